package payment

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

var testInstallation = installation.Installation{ID: "test-installation", Key: []byte("0123456789abcdef0123456789abcdef")}

func testRegistry() providers.Registry {
	return providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
}

// crash is what a dying process looks like from inside.
type crash struct{ at string }

// world is the loop with everything around it: an API, the providers, a clock
// that only moves when told to. A run of it is deterministic.
type world struct {
	t      *testing.T
	ctx    context.Context
	clock  *simulator.Clock
	sim    *simulator.Simulator
	api    client.WithWatch
	loop   *Reconciler
	events *events.FakeRecorder
	// points are the writes and provider calls so far, in order.
	points []string
	// onPoint may crash the process, or answer in the API's stead.
	onPoint func(n int, label string, after bool) error
	// change is told to the world each time the loop has written something.
	writes int
	starts int
	// stale, if set, is what the cache shows.
	stale client.Reader
	// payerPays at once who finds a page, whatever the amount says.
	payerPays bool
	// callsOff: the merchant calls a payment off once its page is published.
	callsOff bool
	// settles: a person settles what is Unknown as not paid.
	settles bool
	// errs are what Reconcile returned.
	errs   []error
	tweak  func(*attempt.Settings)
	pauses int
	// sent are the calls to providers.
	sent []providers.Call
	// said is all that the loop logged, published and counted.
	said    canary.Transcript
	metrics []*prometheus.Registry
	// installation that the next process is of.
	installation installation.Installation
}

const testNamespace = "shop"

func newWorld(t *testing.T, tweaks ...func(*attempt.Settings)) *world {
	t.Helper()
	w := &world{t: t, ctx: context.Background(), installation: testInstallation, clock: simulator.NewClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))}
	for _, tweak := range tweaks {
		w.tweak = tweak
	}
	sim, err := simulator.New(simulator.Options{
		Now:  w.clock.Now,
		Rand: simulator.Seeded(1),
		// A payer sees what is published, and nothing else.
		PayerOpens: true,
		Wave:       simulator.WaveOptions{AllowHTTPReturnURLs: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.Handler())
	sim.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	w.sim = sim

	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	builder := fake.NewClientBuilder().WithScheme(scheme).
		WithStatusSubresource(&v1alpha1.Payment{}, &v1alpha1.MerchantAccount{}, &v1alpha1.ClusterMerchantAccount{})
	must(t, setupIndexes(w.ctx, builder))
	w.api = builder.Build()
	w.createAccounts()
	t.Cleanup(w.saidNoSecret)
	w.start()
	return w
}

// saidNoSecret: whatever the story, nothing of it is told to anybody.
func (w *world) saidNoSecret() {
	for _, registry := range w.metrics {
		families, err := registry.Gather()
		must(w.t, err)
		w.said.Say(families)
	}
	for _, err := range w.errs {
		w.said.Say(err)
	}
	secrets := canary.New()
	for provider, keys := range testCredentials() {
		for key, value := range keys {
			secrets.Secret(provider+" "+key, value)
		}
	}
	for _, secret := range w.sim.Secrets() {
		secrets.Secret("a token, a session or its page", secret)
	}
	secrets.Phone("the payer", testPhone)
	for _, leak := range w.said.Leaks(secrets) {
		w.t.Errorf("I-1: the loop tells %v", leak)
	}
}

// telling is a recorder whose events are in the transcript, too.
type telling struct {
	events.EventRecorder
	said *canary.Transcript
}

func (r telling) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	r.said.Say(reason, action, fmt.Sprintf(note, args...))
	r.EventRecorder.Eventf(regarding, related, kind, reason, action, note, args...)
}

// say is what others may read of what was written: all but what a Charge and
// nextAction are there to keep.
func (w *world) say(o client.Object) {
	if p, ok := o.(*v1alpha1.Payment); ok {
		status := p.Status.DeepCopy()
		status.NextAction = nil
		w.said.Say(status)
		for _, c := range status.Conditions {
			w.said.Say(c)
		}
	}
}

type indexAdder struct{ *fake.ClientBuilder }

func (i indexAdder) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(obj, field, extract)
	return nil
}

func setupIndexes(ctx context.Context, b *fake.ClientBuilder) error {
	return errors.Join(attempt.SetupIndexes(ctx, indexAdder{b}), promptlimit.SetupIndexes(ctx, indexAdder{b}))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const testPhone = "+2250501020304"

func testCredentials() map[string]map[string]string {
	return map[string]map[string]string{
		"mtn":    {"subscriptionKey": simulator.DefaultMTNSubscriptionKey, "userID": simulator.DefaultMTNUser, "apiSecret": simulator.DefaultMTNKey},
		"orange": {"clientID": simulator.DefaultOrangeClientID, "clientSecret": simulator.DefaultOrangeClientSecret, "merchantKey": simulator.DefaultOrangeMerchantKey},
		"wave":   {"apiKey": simulator.DefaultWaveKey},
	}
}

func (w *world) createAccounts() {
	endpoints := map[string]string{"mtn": w.sim.MTNURL(), "orange": w.sim.OrangeURL("dev"), "wave": w.sim.WaveURL()}
	for provider, keys := range testCredentials() {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: provider}, Data: map[string][]byte{}}
		for k, v := range keys {
			secret.Data[k] = []byte(v)
		}
		must(w.t, w.api.Create(w.ctx, secret))
		acct := &v1alpha1.MerchantAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: testNamespace, Name: provider},
			Spec: v1alpha1.MerchantAccountSpec{
				Provider: provider, Environment: "sandbox", Currency: "XOF", BaseURL: endpoints[provider],
				SecretRef: v1alpha1.SecretReference{Name: provider},
			},
		}
		if provider == "orange" {
			acct.Spec.Orange = &v1alpha1.OrangeAccount{TokenURL: w.sim.OrangeTokenURL()}
		}
		must(w.t, w.api.Create(w.ctx, acct))
	}
}

// secret of an account: the good one, or one that is refused.
func (w *world) secret(provider string, good bool) {
	w.t.Helper()
	var s corev1.Secret
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: provider}, &s))
	for key, value := range testCredentials()[provider] {
		if !good {
			value = "wrong"
		}
		s.Data[key] = []byte(value)
	}
	must(w.t, w.api.Update(w.ctx, &s))
}

// start starts a process: one that remembers nothing.
func (w *world) start() {
	w.starts++
	settings := attempt.DefaultSettings()
	if w.tweak != nil {
		w.tweak(&settings)
	}
	registry := testRegistry()
	watched := w.intercept()
	w.events = events.NewFakeRecorder(1000)
	registered := prometheus.NewRegistry()
	w.metrics = append(w.metrics, registered)
	clients := account.NewClients(watchedTransport{w, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}})}, w.clock.Now)
	pass := func(_ context.Context, d time.Duration) error { w.clock.Add(d); return nil }
	clients.Sleep = pass
	w.loop = &Reconciler{
		Protocol: &attempt.Protocol{
			Client: watched, Live: w.api, Settings: settings, Now: w.clock.Now, Pause: w.pause,
			Process: fmt.Sprintf("process-%d", w.starts),
		},
		Client: watched,
		Live:   w.api,
		Accounts: &account.Resolver{
			Reader: w.api, Live: w.api, Registry: registry, OperatorNamespace: "mobile-money-system",
			AllowedEndpoints: []string{strings.TrimPrefix(w.sim.URL(), "http://")},
			Clients:          clients, InstallationIDGiven: true,
		},
		Installation: w.installation,
		Settings:     settings,
		URLs:         callback.NewURLs("https://pay.example", w.installation.PathKeys()),
		Prompts:      &promptlimit.Limiter{},
		Recorder:     telling{w.events, &w.said},
		Metrics:      NewMetrics(registered),
		Now:          w.clock.Now,
	}
}

// pause between two tries to record, of which there are few.
func (w *world) pause(_ context.Context, d time.Duration) error {
	w.clock.Add(d)
	if w.pauses++; w.pauses%5 == 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// point is a place where a process can die: before or after a write or a call.
func (w *world) point(label string, do func() error) error {
	n := len(w.points)
	w.points = append(w.points, label)
	if w.onPoint != nil {
		if err := w.onPoint(n, label, false); err != nil {
			return err
		}
	}
	err := do()
	if w.onPoint != nil {
		if hookErr := w.onPoint(n, label, true); hookErr != nil {
			return hookErr
		}
	}
	return err
}

func (w *world) intercept() client.Client {
	write := func(label string, do func() error) error {
		return w.point(label, func() error {
			err := do()
			if err == nil {
				w.writes++
			}
			return err
		})
	}
	return interceptor.NewClient(w.api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return w.cache().Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return w.cache().List(ctx, list, opts...)
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write("create "+kindOf(o), func() error {
				o.SetUID(types.UID(fmt.Sprint("uid-", uidCounter.Add(1))))
				o.SetCreationTimestamp(metav1.NewTime(w.clock.Now().Truncate(time.Second)))
				return c.Create(ctx, o, opts...)
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return write("delete "+kindOf(o), func() error { return c.Delete(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write("update "+kindOf(o), func() error { return w.lasting(ctx, o, func() error { return c.Update(ctx, o, opts...) }) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			w.say(o)
			return write("update "+kindOf(o)+" "+sub, func() error {
				return w.lasting(ctx, o, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
			})
		},
	})
}

// lasting is what the rules of the CRDs refuse to change, whoever writes it.
func (w *world) lasting(ctx context.Context, o client.Object, write func() error) error {
	old := o.DeepCopyObject().(client.Object)
	if err := w.api.Get(ctx, client.ObjectKeyFromObject(o), old); err != nil || old.GetResourceVersion() != o.GetResourceVersion() {
		return write() // which refuses it
	}
	broken := ""
	switch o := o.(type) {
	case *v1alpha1.Payment:
		was, is := old.(*v1alpha1.Payment).Status, o.Status
		switch {
		case was.Phase.Terminal() && is.Phase != was.Phase, was.Phase != "" && was.Phase != v1alpha1.PhasePending && (is.Phase == "" || is.Phase == v1alpha1.PhasePending):
			broken = fmt.Sprintf("phase %s became %s", was.Phase, is.Phase)
		case was.ChargeName != "" && is.ChargeName != was.ChargeName, was.InitiatedAt != nil && is.InitiatedAt == nil, is.Phase == v1alpha1.PhaseUnknown && is.Unknown == nil:
			broken = fmt.Sprintf("%+v became %+v", was, is)
		}
	case *v1alpha1.Charge:
		was, is := old.(*v1alpha1.Charge).Record, o.Record
		same := equality.Semantic.DeepEqual
		changed := slices.ContainsFunc(is.Open, func(s v1alpha1.Send) bool {
			return s.Number <= was.Sends && !slices.ContainsFunc(was.Open, func(o v1alpha1.Send) bool { return same(o, s) })
		})
		if is.Sends < was.Sends || changed || was.Taken != nil && !same(was.Taken, is.Taken) || was.Session != nil && !same(was.Session, is.Session) ||
			was.Outcome != nil && (!same(was.Outcome, is.Outcome) || is.Sends > was.Sends) {
			broken = fmt.Sprintf("%+v became %+v", was, is)
		}
	}
	if broken != "" {
		w.t.Errorf("a rule of the CRD refuses: %s", broken)
	}
	return write()
}

// cache is what the process reads without asking the API.
func (w *world) cache() client.Reader {
	if w.stale != nil {
		return w.stale
	}
	return w.api
}

// freeze makes the cache show the world as it is now, whatever happens.
func (w *world) freeze() {
	w.t.Helper()
	builder := fake.NewClientBuilder().WithScheme(w.api.Scheme())
	must(w.t, setupIndexes(w.ctx, builder))
	var payments v1alpha1.PaymentList
	var charges v1alpha1.ChargeList
	must(w.t, w.api.List(w.ctx, &payments))
	must(w.t, w.api.List(w.ctx, &charges))
	w.stale = builder.WithLists(&payments, &charges).Build()
}

func kindOf(o client.Object) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")
}

type watchedTransport struct {
	w     *world
	inner providers.Transport
}

func (t watchedTransport) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	var answer providers.Answer
	t.w.sent = append(t.w.sent, call)
	err := t.w.point("call "+string(call.Operation), func() error {
		var err error
		answer, err = t.inner.Do(ctx, call)
		return err
	})
	return answer, err
}

// payment creates a Payment, as a user would.
func (w *world) payment(name, provider, amount string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w.t.Helper()
	p := newPayment(name, provider, amount)
	p.CreationTimestamp = metav1.NewTime(w.clock.Now())
	for _, c := range change {
		c(p)
	}
	must(w.t, w.api.Create(w.ctx, p))
	return p
}

func newPayment(name, provider, amount string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: testNamespace, Name: name, Generation: 1,
			UID: types.UID("uid-" + name + "-" + fmt.Sprint(uidCounter.Add(1))),
		},
		Spec: v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: testPhone, TimeoutSeconds: 3600},
	}
}

func (w *world) get(name string) *v1alpha1.Payment {
	w.t.Helper()
	var p v1alpha1.Payment
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: name}, &p))
	return &p
}

func (w *world) charge(name string) *v1alpha1.Charge {
	w.t.Helper()
	var c v1alpha1.Charge
	err := w.api.Get(w.ctx, types.NamespacedName{Name: testInstallation.ChargeName(testNamespace, name)}, &c)
	if apierrors.IsNotFound(err) {
		return nil
	}
	must(w.t, err)
	return &c
}

// step reconciles one sale once. It tells how long until the next, and whether
// there is one. A crash is survived by a new process.
func (w *world) step(sale string) (wait time.Duration, again bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crash:
			w.start()
			wait, again = 0, true
		default:
			panic(r)
		}
	}()
	before := w.writes
	req := request(testNamespace, sale)
	ctx := logr.NewContext(w.ctx, w.said.Logger())
	result, err := w.loop.Reconcile(ctx, req)
	switch {
	case attempt.Outpaced(err):
		return time.Second, true
	case err != nil:
		w.errs = append(w.errs, err)
		return time.Second, true // the rate limiter's first wait
	case w.writes != before:
		return 0, true // the watch event of our own write
	case result.RequeueAfter > 0:
		return result.RequeueAfter, true
	default:
		return 0, false
	}
}

// until runs the loop, moving the clock to each wake-up, until done says so,
// nothing is left to do, or the horizon is reached. It tells how often it ran.
func (w *world) until(sale string, horizon time.Duration, done func() bool) int {
	w.t.Helper()
	end := w.clock.Now().Add(horizon)
	for n := 1; ; n++ {
		if n > 5000 {
			w.t.Fatalf("hot loop: %v", w.points[max(0, len(w.points)-20):])
		}
		wait, again := w.step(sale)
		if done() || !again || !w.clock.Now().Add(wait).Before(end) {
			return n
		}
		w.open(sale)
		w.clock.Add(wait)
		w.sim.Tick()
	}
}

// open is what people do: a payer who finds a page to pay on, and whoever settles.
func (w *world) open(sale string) {
	var list v1alpha1.PaymentList
	must(w.t, w.api.List(w.ctx, &list))
	for _, p := range list.Items {
		if w.settles && p.Status.Phase == v1alpha1.PhaseUnknown && (p.Spec.Settlement == nil || p.Spec.Settlement.UnknownID != p.Status.Unknown.ID) {
			w.settleByHand(p.Name, v1alpha1.SettledNotPaid)
		}
		if p.Name == sale && p.Status.NextAction != nil && p.Status.NextAction.URL != "" {
			if w.callsOff && !p.Spec.Cancel {
				w.callOff(p.Name)
				continue
			}
			act := w.sim.Open
			if w.payerPays {
				act = w.sim.Pay
			}
			// Whoever comes too late, or twice, is turned away.
			_ = act(p.Status.NextAction.URL)
		}
	}
}

// settle runs a sale to its end, or to the horizon.
func (w *world) settle(sale string, horizon time.Duration) *v1alpha1.Payment {
	w.t.Helper()
	w.until(sale, horizon, func() bool { return false })
	if w.onPoint == nil && len(w.errs) > 0 {
		w.t.Errorf("Reconcile failed: %v", w.errs[0])
	}
	return w.get(sale)
}

// charges is how often the payer of a sale was charged, by the provider's
// own books.
func (w *world) charges(sale string) int {
	c := w.charge(sale)
	if c == nil {
		return 0
	}
	return w.sim.Charges(c.Spec.ProviderReference)
}

var errInjected = errors.New("injected")

var uidCounter atomic.Int64

func expectPhase(t *testing.T, p *v1alpha1.Payment, phase v1alpha1.Phase, reason string) {
	t.Helper()
	c := condition(p, v1alpha1.ConditionSucceeded)
	if c == nil {
		c = &metav1.Condition{}
	}
	if p.Status.Phase != phase || c.Reason != reason {
		t.Fatalf("%s is %s %s (%s), want %s %s", p.Name, p.Status.Phase, c.Reason, c.Message, phase, reason)
	}
}

func condition(p *v1alpha1.Payment, kind string) *metav1.Condition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}
