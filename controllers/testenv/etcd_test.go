package testenv_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/testenv"
)

// A restored snapshot brings back what there was, and takes away what came later;
// whether revisions go back as well depends on the bump.
func TestRestoreEtcd(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	env := testenv.ForTest(t)
	file := filepath.Join(t.TempDir(), "snapshot.db")
	g.Expect(env.SnapshotEtcd(ctx, filepath.Join(t.TempDir(), "no", "folder"))).To(MatchError(ContainSubstring("etcdutl snapshot save")))

	kept := newConfigMap("kept", "old")
	g.Expect(env.Client().Create(ctx, kept)).To(Succeed())
	g.Expect(env.SnapshotEtcd(ctx, file)).To(Succeed())
	old := kept.ResourceVersion
	for _, bump := range []uint64{0, 1_000_000} {
		// More than the API server writes by itself when it starts.
		for i := range 300 {
			kept.Data["word"] = "new-" + strconv.Itoa(i)
			g.Expect(env.Client().Update(ctx, kept)).To(Succeed())
		}
		g.Expect(env.Client().Create(ctx, newConfigMap("later", ""))).To(Succeed())
		before := revision(ctx, g, env)

		g.Expect(env.RestoreEtcd(ctx, file, bump)).To(Succeed())
		var now corev1.ConfigMap
		g.Expect(env.Client().Get(ctx, client.ObjectKeyFromObject(kept), &now)).To(Succeed())
		g.Expect(now.Data).To(HaveKeyWithValue("word", "old"))
		g.Expect(now.ResourceVersion).To(Equal(old))
		g.Expect(now.UID).To(Equal(kept.UID))
		g.Expect(env.Client().Get(ctx, client.ObjectKey{Namespace: "default", Name: "later"}, &corev1.ConfigMap{})).NotTo(Succeed())
		g.Expect(revision(ctx, g, env) < before).To(Equal(bump == 0))
		kept.ResourceVersion = old
	}
}

func newConfigMap(name, word string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"word": word}}
}

// revision is the newest one that the API server knows.
func revision(ctx context.Context, g *WithT, env *testenv.Env) int64 {
	var list corev1.ConfigMapList
	g.Expect(env.Client().List(ctx, &list)).To(Succeed())
	n, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	g.Expect(err).NotTo(HaveOccurred())
	return n
}
