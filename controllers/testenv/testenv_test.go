package testenv_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

const manifests = `
# Out of order, and with an empty document, on purpose.
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: manifests}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: manifests}]
---
apiVersion: v1
kind: List
items:
- apiVersion: rbac.authorization.k8s.io/v1
  kind: Role
  metadata: {name: reader, namespace: manifests}
  rules: [{apiGroups: [mobilemoney.dev], resources: [payments], verbs: [list]}]
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: manifests}}
---
apiVersion: v1
kind: Namespace
metadata: {name: manifests}
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
`

func TestEnv(t *testing.T) {
	g := NewWithT(t)
	ctx := t.Context()
	env := testenv.ForTest(t)

	file := filepath.Join(t.TempDir(), "all.yaml")
	g.Expect(os.WriteFile(file, []byte(manifests), 0o600)).To(Succeed())
	for range 2 {
		g.Expect(env.ApplyManifests(ctx, file)).To(Succeed())
	}
	g.Expect(env.ApplyManifests(ctx, "config/nothing/*.yaml")).To(MatchError(ContainSubstring("no such manifest")))

	reader, err := env.ServiceAccountConfig(ctx, "manifests", "reader")
	g.Expect(err).NotTo(HaveOccurred())
	stranger, err := env.ConfigFor("stranger", "shop")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = env.ServiceAccountConfig(ctx, "manifests", "nobody")
	g.Expect(err).To(MatchError(ContainSubstring("does it exist?")))

	check := func(cfg *rest.Config, namespace string, allowed bool) {
		t.Helper()
		err := list(ctx, env, cfg, namespace)
		if allowed {
			g.Expect(err).NotTo(HaveOccurred())
		} else {
			g.Expect(apierrors.IsForbidden(err)).To(BeTrue(), "%v", err)
		}
	}
	check(reader, "manifests", true)
	check(reader, "default", false)
	check(stranger, "manifests", false)

	kubeconfig, err := testenv.Kubeconfig(reader)
	g.Expect(err).NotTo(HaveOccurred())
	fromFile, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	g.Expect(err).NotTo(HaveOccurred())
	check(fromFile, "manifests", true)

	g.Expect(env.Client().Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept", Namespace: "manifests"}})).To(Succeed())
	g.Expect(env.StopAPIServer()).To(Succeed())
	giveBack := takePort(t, env.AdminConfig().Host)
	time.AfterFunc(2*time.Second, giveBack)
	g.Expect(env.StartAPIServer()).To(Succeed())
	g.Expect(env.Client().Get(ctx, client.ObjectKey{Namespace: "manifests", Name: "kept"}, &corev1.ConfigMap{})).To(Succeed())
	check(env.AdminConfig(), "default", true)
	check(stranger, "manifests", false)
	// The API server's view of RBAC and of the CRDs fills up after it is healthy.
	g.Eventually(func() error { return list(ctx, env, reader, "manifests") }, "10s").Should(Succeed())
}

// takePort holds the port of a stopped API server, as an outgoing connection of
// another test might.
func takePort(t *testing.T, url string) (giveBack func()) {
	t.Helper()
	listener, err := net.Listen("tcp", strings.Trim(strings.TrimPrefix(url, "https:"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = listener.Close() }
}

// Tests that need a control plane fail without one, and say what to do.
func TestMissingBinaries(t *testing.T) {
	g := NewWithT(t)
	t.Setenv("KUBEBUILDER_ASSETS", t.TempDir())
	_, err := testenv.Start(t.Context())
	g.Expect(err).To(MatchError(ContainSubstring("run `make controlplane`")))
}

func list(ctx context.Context, env *testenv.Env, cfg *rest.Config, namespace string) error {
	c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	if err != nil {
		return err
	}
	return c.List(ctx, &v1alpha1.PaymentList{}, client.InNamespace(namespace))
}
