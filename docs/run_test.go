package docs

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	shop      = "shop"
	unknownID = "7f3a90c4d1"
	nowhere   = "no-namespace-given"
	// seen is a generation that no command comes to: kubectl waits for a status that is of the present one.
	seen = 100
)

// Every kubectl command of every page does what it is there for: a real API server takes
// it, with the shipped policies in force and objects as the pages speak of them.
func TestCommands_Run(t *testing.T) {
	env := testenv.ForTest(t)
	dir := t.TempDir()
	reader(t, env, dir)
	run := shell(t, dir)
	prepare(t, env, run)
	// Whoever leaves out where the objects are finds none.
	run("kubectl config set-context --current --namespace=" + nowhere)
	user := strings.TrimSpace(run(`kubectl auth whoami -o jsonpath='{.status.userInfo.username}'`))
	fill := strings.NewReplacer(
		"<status.unknown.id>", unknownID, "<user name>", user, "<chargeName>", chargeName(), "merchantaccount <name>", "merchantaccount mtn",
		"charge <name>", "charge "+chargeName(), "<namespace>", shop, " -w", "",
	)
	all, ran := pages(t), 0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, c := range commands(all[name]) {
			if runnable(c) {
				ran++
				run(fill.Replace(c))
			}
		}
	}
	if ran < 35 {
		t.Errorf("ran %d commands", ran)
	}
	expectEffects(t, env)
}

// runnable: a command of kubectl that is more than the mention of a verb.
func runnable(command string) bool {
	_, args, found := strings.Cut(command, "kubectl ")
	if !found || !strings.HasPrefix(command, "kubectl ") && !strings.Contains(command, "| kubectl ") {
		return false
	}
	return regexp.MustCompile(`-[fk] \S|auth |^\S+ +(-\S+ \S+ +)?\w+`).MatchString(args) && !regexp.MustCompile(`^\S+( --?\w+)?$`).MatchString(args)
}

// reader makes the files that README tells its reader to make.
func reader(t *testing.T, env *testenv.Env, dir string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.CopyFS(filepath.Join(dir, "config"), os.DirFS("../config"))).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(dir, "config", "mine"), 0o700)).To(Succeed())
	for _, b := range blocks(page(t, "../README.md")) {
		file := ""
		switch {
		case strings.Contains(b.text, "kind: Kustomization"):
			file = "config/mine/kustomization.yaml"
		case strings.Contains(b.text, "kind: MerchantAccount"):
			file = "first.yaml"
		case strings.Contains(b.text, "kind: Refund"):
			file = "refund.yaml"
		default:
			continue
		}
		g.Expect(os.WriteFile(filepath.Join(dir, file), []byte(b.text), 0o600)).To(Succeed())
	}
	kubeconfig, err := testenv.Kubeconfig(env.AdminConfig())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o600)).To(Succeed())
	g.Expect(os.Mkdir(filepath.Join(dir, "bin"), 0o700)).To(Succeed())
	kubectl, err := filepath.Abs(env.Kubectl())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Symlink(kubectl, filepath.Join(dir, "bin", "kubectl"))).To(Succeed())
}

// shell runs a command as the reader would, and returns what it prints.
func shell(t *testing.T, dir string) func(string) string {
	t.Helper()
	return func(command string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", command)
		cmd.WaitDelay = time.Second
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), "KUBECONFIG="+filepath.Join(dir, "kubeconfig"),
			"WAVE_API_KEY=key", "WAVE_WEBHOOK_SECRET=secret")
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil || strings.Contains(complaints.String(), nowhere) {
			t.Errorf("%s: %v\n%s", command, err, complaints.String())
		}
		return out.String()
	}
}

func chargeName() string { return installation.Installation{}.ChargeName(shop, "order-1042") }

// prepare the objects that the pages speak of, as the operator would leave them.
func prepare(t *testing.T, env *testenv.Env, run func(string) string) {
	t.Helper()
	g, ctx, c := NewWithT(t), t.Context(), env.Client()
	for _, name := range []string{"ingress-nginx", "monitoring", "mobile-money-system"} {
		g.Expect(c.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
	run("kubectl apply -f first.yaml -f refund.yaml")
	run("kubectl create -f - <<'EOF'\napiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: mobile-money-operator, namespace: mobile-money-system}\nEOF")
	page := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "order-1043"},
		Spec:       v1alpha1.PaymentSpec{Provider: "wave", Amount: v1alpha1.AmountFromInt(5000)},
	}
	g.Expect(c.Create(ctx, page)).To(Succeed())
	page.Status.NextAction = &v1alpha1.NextAction{Type: v1alpha1.NextActionOpenURL, URL: "https://pay.example/1043"}
	g.Expect(c.Status().Update(ctx, page)).To(Succeed())

	finished := []metav1.Condition{{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now()}}
	unknown := &v1alpha1.UnknownStatus{ID: unknownID, Since: metav1.NewTime(time.Now()), Reason: v1alpha1.ReasonOutcomeUnknown}
	var p v1alpha1.Payment
	g.Expect(c.Get(ctx, client.ObjectKey{Namespace: shop, Name: "order-1042"}, &p)).To(Succeed())
	p.Status = v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseUnknown, Unknown: unknown, Conditions: finished, ChargeName: chargeName(), ObservedGeneration: seen}
	g.Expect(c.Status().Update(ctx, &p)).To(Succeed())
	var r v1alpha1.Refund
	g.Expect(c.Get(ctx, client.ObjectKey{Namespace: shop, Name: "order-1042-return"}, &r)).To(Succeed())
	r.Status = v1alpha1.RefundStatus{Phase: v1alpha1.RefundManualActionRequired, Unknown: unknown, Conditions: finished, ObservedGeneration: seen}
	g.Expect(c.Status().Update(ctx, &r)).To(Succeed())
	var m v1alpha1.MerchantAccount
	g.Expect(c.Get(ctx, client.ObjectKey{Namespace: shop, Name: "mtn"}, &m)).To(Succeed())
	m.Finalizers = []string{v1alpha1.FinalizerCharges}
	g.Expect(c.Update(ctx, &m)).To(Succeed())
	g.Expect(c.Create(ctx, charge(p.UID))).To(Succeed())
}

func charge[T ~string](payment T) *v1alpha1.Charge {
	money := v1alpha1.Money{Amount: "5000", Currency: "XOF"}
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: chargeName()},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: "test", ReferenceVersion: installation.ReferenceVersion, MerchantReference: "order-1042", Provider: "mtn",
			Payment:   v1alpha1.PaymentIdentity{Namespace: shop, Name: "order-1042", UID: string(payment)},
			Account:   v1alpha1.AccountPin{Kind: "MerchantAccount", Namespace: shop, Name: "mtn", Environment: "sandbox", BaseURL: "https://mtn.example"},
			Requested: money, Money: money, Fingerprint: "f", ProviderReference: "r", TimeoutSeconds: 3600,
		},
	}
}

// expectEffects: what people said with the commands of the pages is there.
func expectEffects(t *testing.T, env *testenv.Env) {
	t.Helper()
	g, ctx := NewWithT(t), t.Context()
	var p v1alpha1.Payment
	g.Expect(env.Client().Get(ctx, client.ObjectKey{Namespace: shop, Name: "order-1042"}, &p)).To(Succeed())
	g.Expect(p.Spec.Cancel).To(BeTrue())
	g.Expect(p.Spec.Settlement).To(HaveField("UnknownID", unknownID))
	g.Expect(p.Annotations).To(And(HaveKeyWithValue(v1alpha1.AnnotationAdopt, "true"), HaveKey(v1alpha1.AnnotationRequestedAt)))
	at, err := time.Parse(time.RFC3339, p.Annotations[v1alpha1.AnnotationRequestedAt])
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(at).To(BeTemporally("~", time.Now(), time.Hour))
	var r v1alpha1.Refund
	g.Expect(env.Client().Get(ctx, client.ObjectKey{Namespace: shop, Name: "order-1042-return"}, &r)).To(Succeed())
	g.Expect(r.Spec.Confirmation).To(HaveField("UnknownID", unknownID))
}
