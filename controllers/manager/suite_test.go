package manager

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// The manager of these tests is a process of its own: this test binary, started
// once more as its ServiceAccount, so that it can be killed like a real one.
const (
	asManager = "TEST_RUN_AS_MANAGER"
	killAt    = "TEST_KILL_AT" // "before initiate", "after initiate", ...
	// keepFor is a retention of Charges that no flag would allow.
	keepFor = "TEST_CHARGE_RETENTION"
)

func TestMain(m *testing.M) {
	if os.Getenv(asManager) == "" {
		os.Exit(m.Run())
	}
	if err := managerProcess(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func managerProcess() error {
	opts := DefaultOptions()
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	opts.Bind(fs)
	logging := zap.Options{Development: true}
	logging.BindFlags(fs)
	if err := fs.Parse(os.Args[1:]); err != nil {
		return err
	}
	if err := shortenRetention(&opts); err != nil {
		return err
	}
	SetLogger(logging)
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	out := mortal{inner: newTransport(opts, os.Getenv), at: os.Getenv(killAt)}
	return run(ctrl.SetupSignalHandler(), cfg, opts, out, os.Getenv)
}

func shortenRetention(opts *Options) error {
	short := os.Getenv(keepFor)
	if short == "" {
		return nil
	}
	keep, err := time.ParseDuration(short)
	opts.retention = retention.Settings{Keep: keep, Every: keep / 4}
	opts.settings.AdoptionWindow = keep / 2
	return err
}

// mortal is a transport on which the process dies, without a word.
type mortal struct {
	inner providers.Transport
	at    string
}

func (m mortal) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	if m.at == "before "+string(call.Operation) {
		die()
	}
	answer, err := m.inner.Do(ctx, call)
	if m.at == "after "+string(call.Operation) {
		die()
	}
	return answer, err
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

var (
	env *testenv.Env
	sim *simulator.Simulator
	api client.Client
)

func TestManager(t *testing.T) {
	RegisterFailHandler(Fail)
	suite, reporter := GinkgoConfiguration()
	suite.RandomSeed = 1 // the same order in every run
	RunSpecs(t, "Manager", suite, reporter)
}

var _ = BeforeSuite(func(ctx context.Context) {
	keepCredentials()
	var err error
	auditDir, err = os.MkdirTemp("", "audit-")
	Expect(err).NotTo(HaveOccurred())
	env, err = testenv.Start(ctx, testenv.WithAudit(auditDir, operatorUser))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(env.Stop()).To(Succeed()) })
	api = env.Client()
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
	Expect(env.ApplyManifests(ctx, "config/rbac")).To(Succeed())

	sim, err = simulator.New(simulator.Options{Speed: 25, PayerOpens: true})
	Expect(err).NotTo(HaveOccurred())
	_, err = sim.Start()
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(sim.Close()).To(Succeed()) })
})

const operatorNamespace = "mobile-money-system"

// process is a running manager.
type process struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
	// callbacks is where its receiver listens; probes and metrics where those are.
	callbacks, probes, metrics string
}

// output collects what a process prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// startManager starts a manager with the shipped rights and short windows. Settings
// that begin with -- are flags, the others are of its environment.
func startManager(ctx context.Context, settings ...string) *process {
	GinkgoHelper()
	p := startManagerUnready(ctx, settings...)
	Eventually(p.ready, "30s", "50ms").Should(Succeed(), p.out.String)
	return p
}

// startManagerUnready does not wait until it is ready.
func startManagerUnready(ctx context.Context, settings ...string) *process {
	GinkgoHelper()
	cfg, err := env.ServiceAccountConfig(ctx, operatorNamespace, "mobile-money-operator")
	Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := testenv.Kubeconfig(cfg)
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())

	free, err := testenv.FreePorts(ctx, 3)
	Expect(err).NotTo(HaveOccurred())
	p := &process{out: &output{}, done: make(chan struct{}), callbacks: free[0], probes: free[1], metrics: free[2]}
	p.cmd = exec.Command(os.Args[0],
		"--namespace="+operatorNamespace, "--installation-id=specs",
		"--public-url=http://"+p.callbacks,
		"--callback-bind-address="+p.callbacks,
		"--health-probe-bind-address="+p.probes,
		"--metrics-bind-address="+p.metrics, "--metrics-insecure",
		"--zap-log-level=10",
		"--allowed-endpoints="+strings.TrimPrefix(sim.URL(), "http://"),
		"--leader-elect=false",
		"--late-window=2s", "--clock-skew=500ms", "--call-timeout=2s",
		"--retry-min=200ms", "--retry-max=1s",
		"--callback-gap=200ms",
	)
	p.cmd.Env = append(os.Environ(), asManager+"=1", "KUBECONFIG="+path)
	for _, s := range settings {
		if strings.HasPrefix(s, "--") {
			p.cmd.Args = append(p.cmd.Args, s)
		} else {
			p.cmd.Env = append(p.cmd.Env, s)
		}
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	Expect(p.cmd.Start()).To(Succeed())
	go func() { _ = p.cmd.Wait(); close(p.done) }()
	kept.Secret("token of the ServiceAccount", cfg.BearerToken)
	DeferCleanup(func(ctx context.Context) {
		measured := p.scrape()
		if slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(s, "--leader-elect") }) {
			p.stop(syscall.SIGTERM) // it lets its lease go, which the next one would wait for
		}
		p.stop(syscall.SIGKILL)
		if CurrentSpecReport().Failed() {
			GinkgoWriter.Println(p.out.String())
		}
		expectNoSecrets(ctx, "the metrics", measured)
		expectNoSecrets(ctx, "what a manager prints", p.out.String())
	})
	return p
}

func (p *process) ready() error {
	r, err := http.Get("http://" + p.probes + "/readyz")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %d", r.StatusCode)
	}
	return nil
}

// stop ends the process and waits until it is gone.
func (p *process) stop(signal syscall.Signal) {
	GinkgoHelper()
	_ = p.cmd.Process.Signal(signal)
	Eventually(p.done, "60s").Should(BeClosed())
}

const (
	phone      = "+2250501020304"
	waveSecret = "wave_ci_WHS_test-secret"
)

// newNamespace is a tenant without accounts.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "shop-"}}
	Expect(api.Create(ctx, ns)).To(Succeed())
	return ns.Name
}

func credentials(provider string) map[string]string {
	return map[string]map[string]string{
		"mtn":    {"subscriptionKey": simulator.DefaultMTNSubscriptionKey, "userID": simulator.DefaultMTNUser, "apiSecret": simulator.DefaultMTNKey},
		"orange": {"clientID": simulator.DefaultOrangeClientID, "clientSecret": simulator.DefaultOrangeClientSecret, "merchantKey": simulator.DefaultOrangeMerchantKey},
		"wave":   {"apiKey": simulator.DefaultWaveKey, "webhookSecret": waveSecret},
	}[provider]
}

func newSecret(namespace, provider string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: provider + "-credentials"},
		StringData: credentials(provider),
	}
}

func newAccount(namespace, provider string, interval time.Duration) *v1alpha1.MerchantAccount {
	base := map[string]string{"mtn": sim.MTNURL(), "orange": sim.OrangeURL("dev"), "wave": sim.WaveURL()}[provider]
	return &v1alpha1.MerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: provider},
		Spec: v1alpha1.MerchantAccountSpec{
			Provider: provider, Environment: "sandbox", BaseURL: base,
			SecretRef: v1alpha1.SecretReference{Name: provider + "-credentials"},
			Polling:   v1alpha1.Polling{Interval: &metav1.Duration{Duration: interval}},
		},
	}
}

// tenant is a namespace with an account at each provider.
func tenant(ctx context.Context, interval time.Duration) string {
	GinkgoHelper()
	ns := newNamespace(ctx)
	openAccounts(ctx, ns, interval)
	return ns
}

func openAccounts(ctx context.Context, namespace string, interval time.Duration) {
	GinkgoHelper()
	for _, provider := range allProviders() {
		Expect(api.Create(ctx, newSecret(namespace, provider))).To(Succeed())
		Expect(api.Create(ctx, newAccount(namespace, provider, interval))).To(Succeed())
	}
}

func newPayment(namespace, name, provider string, amount int64) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.AmountFromInt(amount), Phone: phone},
	}
}

func get(ctx context.Context, g Gomega, namespace, name string) *v1alpha1.Payment {
	var p v1alpha1.Payment
	g.Expect(api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &p)).To(Succeed())
	return &p
}

// openPages is what the payers of a namespace do with pages that they are sent.
func openPages(ctx context.Context, g Gomega, namespace string) {
	var list v1alpha1.PaymentList
	g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
	for _, p := range list.Items {
		if a := p.Status.NextAction; a != nil && a.URL != "" {
			_ = sim.Open(a.URL) // whoever comes too late is turned away
		}
	}
}

// reaches waits until the Payment is in a phase with a reason, opening on the
// way whatever page is published, as a payer would.
func reaches(ctx context.Context, namespace, name string, phase v1alpha1.Phase, reason string) *v1alpha1.Payment {
	GinkgoHelper()
	var p *v1alpha1.Payment
	Eventually(func(g Gomega) {
		openPages(ctx, g, namespace)
		p = get(ctx, g, namespace, name)
		g.Expect(p.Status.Phase).To(Equal(phase))
		g.Expect(reasonOf(p)).To(Equal(reason))
	}, "40s", "100ms").Should(Succeed())
	return p
}

func reasonOf(p *v1alpha1.Payment) string { return succeeded(p).Reason }

func messageOf(p *v1alpha1.Payment) string { return succeeded(p).Message }

func succeeded(p *v1alpha1.Payment) metav1.Condition {
	return ptr.Deref(meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded), metav1.Condition{})
}

func chargeOf(ctx context.Context, p *v1alpha1.Payment) *v1alpha1.Charge {
	GinkgoHelper()
	var c v1alpha1.Charge
	Expect(api.Get(ctx, types.NamespacedName{Name: p.Status.ChargeName}, &c)).To(Succeed())
	return &c
}

// paidOnce: by the provider's books the payer was charged exactly once.
func paidOnce(ctx context.Context, p *v1alpha1.Payment) {
	GinkgoHelper()
	Expect(sim.Charges(chargeOf(ctx, p).Spec.ProviderReference)).To(Equal(1))
}
