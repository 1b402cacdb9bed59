package refund

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

var testInstallation = installation.Installation{ID: "test-installation", Key: []byte("0123456789abcdef0123456789abcdef")}

const (
	shop  = "shop"
	payer = "+2250501020304"
)

// crash is what a dying process looks like from inside.
type crash struct{ at string }

var errInjected = errors.New("injected")

// world is the loop with everything around it: an API, the providers, payments
// that were paid, and a clock that only moves when told to.
type world struct {
	t        *testing.T
	ctx      context.Context
	clock    *simulator.Clock
	sim      *simulator.Simulator
	api      client.WithWatch
	payments *payment.Reconciler
	loop     *Reconciler
	events   *events.FakeRecorder
	settings attempt.Settings

	mu     sync.Mutex
	points []string
	// onPoint may crash the process, or answer in the API's stead.
	onPoint func(n int, label string, after bool) error
	writes  int
	starts  int
	refunds int
	// stale, if set, is what the cache shows.
	stale client.Reader
	errs  []error
	// said is all that the loops logged, published and counted.
	said    canary.Transcript
	metrics []*prometheus.Registry
	secrets *canary.Scanner
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
	for _, secret := range w.sim.Secrets() {
		w.secrets.Secret("a token, a session or its page", secret)
	}
	w.secrets.Phone("the payer", payer)
	for _, leak := range w.said.Leaks(w.secrets) {
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

// say is what others may read of what was written.
func (w *world) say(o client.Object) {
	if r, ok := o.(*v1alpha1.Refund); ok {
		w.said.Say(r.Status)
		for _, c := range r.Status.Conditions {
			w.said.Say(c)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, options ...func(*simulator.Options)) *world {
	t.Helper()
	w := &world{
		t: t, secrets: canary.New(), settings: attempt.DefaultSettings(),
		clock: simulator.NewClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)),
	}
	w.ctx = logr.NewContext(t.Context(), w.said.Logger())
	opts := simulator.Options{Now: w.clock.Now, Rand: simulator.Seeded(1), Wave: simulator.WaveOptions{AllowHTTPReturnURLs: true}}
	for _, change := range options {
		change(&opts)
	}
	sim, err := simulator.New(opts)
	must(t, err)
	server := httptest.NewServer(sim.Handler())
	sim.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	w.sim = sim
	t.Cleanup(w.saidNoSecret)

	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	builder := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Payment{}, &v1alpha1.Refund{})
	must(t, attempt.SetupIndexes(w.ctx, indexAdder{builder}, testInstallation))
	must(t, SetupIndexes(w.ctx, indexAdder{builder}))
	w.api = builder.Build()
	w.account("mtn", w.sim.MTNURL(), "", map[string]string{
		"subscriptionKey": simulator.DefaultMTNSubscriptionKey, "userID": simulator.DefaultMTNUser, "apiSecret": simulator.DefaultMTNKey,
		"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
		"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
		"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
	})
	w.account("orange", w.sim.OrangeURL("dev"), w.sim.OrangeTokenURL(), map[string]string{
		"clientID": simulator.DefaultOrangeClientID, "clientSecret": simulator.DefaultOrangeClientSecret, "merchantKey": simulator.DefaultOrangeMerchantKey,
	})
	w.account("wave", w.sim.WaveURL(), "", map[string]string{"apiKey": simulator.DefaultWaveKey})
	w.start()
	return w
}

type indexAdder struct{ *fake.ClientBuilder }

func (i indexAdder) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(obj, field, extract)
	return nil
}

func (w *world) account(provider, base, tokenURL string, credentials map[string]string) {
	w.t.Helper()
	for key, value := range credentials {
		w.secrets.Secret(provider+" "+key, value)
	}
	must(w.t, w.api.Create(w.ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: provider}, Data: bytesOf(credentials),
	}))
	m := &v1alpha1.MerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: provider},
		Spec: v1alpha1.MerchantAccountSpec{
			Provider: provider, Environment: "sandbox", Currency: "XOF", BaseURL: base,
			SecretRef: v1alpha1.SecretReference{Name: provider},
		},
	}
	if tokenURL != "" {
		m.Spec.Orange = &v1alpha1.OrangeAccount{TokenURL: tokenURL}
	}
	must(w.t, w.api.Create(w.ctx, m))
}

func bytesOf(m map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for k, v := range m {
		out[k] = []byte(v)
	}
	return out
}

// start starts a process: one that remembers nothing.
func (w *world) start() {
	w.starts++
	registry := providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
	resolver := func(t providers.Transport) *account.Resolver {
		clients := account.NewClients(t, w.clock.Now)
		clients.Sleep = func(_ context.Context, d time.Duration) error { w.clock.Add(d); return nil }
		return &account.Resolver{
			Reader: w.api, Live: w.api, Registry: registry, OperatorNamespace: "mobile-money-system",
			AllowedEndpoints: []string{strings.TrimPrefix(w.sim.URL(), "http://")},
			Clients:          clients, InstallationIDGiven: true,
		}
	}
	registered := prometheus.NewRegistry()
	w.metrics = append(w.metrics, registered)
	metrics := payment.NewMetrics(registered)
	plain := transport.New(transport.Options{Trusted: []string{"127.0.0.1"}})
	w.payments = &payment.Reconciler{
		Client: w.api, Live: w.api, Accounts: resolver(plain), Installation: testInstallation, Settings: w.settings,
		URLs: callback.NewURLs("https://pay.example", testInstallation.PathKeys()), Metrics: metrics, Now: w.clock.Now,
		Process: fmt.Sprintf("process-%d", w.starts), Start: w.clock.Now(),
	}
	w.events = events.NewFakeRecorder(1000)
	w.loop = &Reconciler{
		Client: w.intercept(), Live: w.api, Accounts: resolver(watchedTransport{w, plain}),
		Installation: testInstallation, Settings: w.settings, Recorder: telling{w.events, &w.said},
		Metrics: NewMetrics(registered), Called: metrics.Called, Now: w.clock.Now,
		Process: fmt.Sprintf("process-%d", w.starts),
	}
}

// point is a place where a process can die: before or after a write or a call.
func (w *world) point(label string, do func() error) error {
	w.mu.Lock()
	n := len(w.points)
	w.points = append(w.points, label)
	w.mu.Unlock()
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
				w.mu.Lock()
				w.writes++
				w.mu.Unlock()
			}
			return err
		})
	}
	cache := func() client.Reader {
		if w.stale != nil {
			return w.stale
		}
		return w.api
	}
	return interceptor.NewClient(w.api, interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return cache().Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return cache().List(ctx, list, opts...)
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write("update charge", func() error { return c.Update(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			w.say(o)
			return write("update refund "+sub, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
}

// freeze makes the cache show the world as it is now, whatever happens.
func (w *world) freeze() {
	w.t.Helper()
	builder := fake.NewClientBuilder().WithScheme(w.api.Scheme())
	must(w.t, attempt.SetupIndexes(w.ctx, indexAdder{builder}, testInstallation))
	must(w.t, SetupIndexes(w.ctx, indexAdder{builder}))
	lists := []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.ChargeList{}, &v1alpha1.RefundList{}}
	for _, l := range lists {
		must(w.t, w.api.List(w.ctx, l))
	}
	w.stale = builder.WithLists(lists...).Build()
}

type watchedTransport struct {
	w     *world
	inner providers.Transport
}

func (t watchedTransport) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	var answer providers.Answer
	err := t.w.point("call "+string(call.Operation), func() error {
		var err error
		answer, err = t.inner.Do(ctx, call)
		return err
	})
	return answer, err
}

// pay makes a Payment and runs it to its end, at which it is paid.
func (w *world) pay(name, provider, amount string) *v1alpha1.Payment {
	w.t.Helper()
	must(w.t, w.api.Create(w.ctx, &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Generation: 1, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(w.clock.Now())},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: payer, TimeoutSeconds: 3600},
	}))
	req := ctrl.Request{NamespacedName: types.NamespacedName{Name: testInstallation.ChargeName(shop, name)}}
	for range 100 {
		result, err := w.payments.Reconcile(w.ctx, req)
		must(w.t, err)
		p := w.payment(name)
		if p.Status.Phase.Terminal() {
			return p
		}
		if p.Status.NextAction != nil && p.Status.NextAction.URL != "" {
			_ = w.sim.Pay(p.Status.NextAction.URL)
		}
		w.clock.Add(max(result.RequeueAfter, time.Second))
		w.sim.Tick()
	}
	w.t.Fatalf("%s was not paid: %+v", name, w.payment(name).Status)
	return nil
}

func (w *world) payment(name string) *v1alpha1.Payment {
	w.t.Helper()
	var p v1alpha1.Payment
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: shop, Name: name}, &p))
	return &p
}

// refund creates a Refund, as a user would; amount "" is the whole payment.
func (w *world) refund(name, paymentName, amount string, change ...func(*v1alpha1.Refund)) *v1alpha1.Refund {
	w.t.Helper()
	w.refunds++
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: shop, Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(w.clock.Now()),
			UID: types.UID(fmt.Sprintf("uid-%s-%d", name, w.refunds)),
		},
		Spec: v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: paymentName}, Reason: "goods came back"},
	}
	if amount != "" {
		a := v1alpha1.NewAmount(amount)
		r.Spec.Amount = &a
	}
	for _, c := range change {
		c(r)
	}
	must(w.t, w.api.Create(w.ctx, r))
	return r
}

func (w *world) get(name string) *v1alpha1.Refund {
	w.t.Helper()
	var r v1alpha1.Refund
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: shop, Name: name}, &r))
	return &r
}

func (w *world) charge(paymentName string) *v1alpha1.Charge {
	w.t.Helper()
	var c v1alpha1.Charge
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Name: testInstallation.ChargeName(shop, paymentName)}, &c))
	return &c
}

// step reconciles one Refund once. A crash is survived by a new process.
func (w *world) step(name string) (wait time.Duration, again bool) {
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
	result, err := w.loop.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: name}})
	switch {
	case err != nil:
		w.errs = append(w.errs, err)
		return time.Second, true
	case w.writes != before:
		return 0, true
	case result.RequeueAfter > 0:
		return result.RequeueAfter, true
	default:
		return 0, false
	}
}

// settle runs a Refund to its end, or to the horizon.
func (w *world) settle(name string, horizon time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(horizon)
	for range 5000 {
		wait, again := w.step(name)
		if !again || !w.clock.Now().Add(wait).Before(end) {
			if w.onPoint == nil && len(w.errs) > 0 {
				w.t.Errorf("Reconcile failed: %v", w.errs[0])
			}
			return
		}
		w.clock.Add(wait)
		w.sim.Tick()
	}
	w.t.Fatalf("hot loop: %v", w.points[max(0, len(w.points)-20):])
}

// givenBack is what the provider's own books say was given back of a payment.
func (w *world) givenBack(paymentName string) string {
	return w.sim.RefundedAmount(w.charge(paymentName).Spec.ProviderReference)
}

func condition(r *v1alpha1.Refund, kind string) *metav1.Condition {
	for i := range r.Status.Conditions {
		if r.Status.Conditions[i].Type == kind {
			return &r.Status.Conditions[i]
		}
	}
	return nil
}

func expect(t *testing.T, r *v1alpha1.Refund, phase v1alpha1.RefundPhase, reason string) {
	t.Helper()
	c := condition(r, v1alpha1.ConditionSucceeded)
	if r.Status.Phase != phase || c == nil || c.Reason != reason {
		t.Fatalf("%s: phase %s, conditions %+v; want %s %s", r.Name, r.Status.Phase, r.Status.Conditions, phase, reason)
	}
}
