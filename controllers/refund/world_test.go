package refund

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
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
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

var testInstallation = installation.Installation{ID: "test-installation", Given: true, Key: []byte("0123456789abcdef0123456789abcdef")}

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
	settings attempt.Settings
	// impatient: no try to record an answer is repeated at once.
	impatient bool
	// back tells that revisions went back.
	back func() bool
	// endpoints that the next process trusts, besides the providers' own.
	endpoints []string

	mu     sync.Mutex
	points []string
	// onPoint may crash the process, or answer in the API's stead.
	onPoint              func(n int, label string, after bool) error
	writes, starts, uids int
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

// Eventf of a recorder whose events are in the transcript.
func (w *world) Eventf(_, _ runtime.Object, _, reason, action, note string, args ...any) {
	w.said.Say(reason, action, fmt.Sprintf(note, args...))
}

var _ events.EventRecorder = (*world)(nil)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, options ...func(*simulator.Options)) *world {
	t.Helper()
	w := &world{t: t, secrets: canary.New(), settings: attempt.DefaultSettings(), clock: simulator.NewClock(noon)}
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
	w.sim, w.endpoints = sim, []string{strings.TrimPrefix(sim.URL(), "http://")}
	t.Cleanup(w.saidNoSecret)
	scheme := runtime.NewScheme()
	must(t, errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	w.api = w.builder(scheme).WithStatusSubresource(&v1alpha1.Payment{}, &v1alpha1.Refund{}).Build()
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

// uncapped: MTN gives back whatever it is asked for.
func uncapped(o *simulator.Options) { o.MTN.UncappedRefunds = true }

type indexAdder struct{ *fake.ClientBuilder }

func (i indexAdder) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(obj, field, extract)
	return nil
}

func (w *world) builder(scheme *runtime.Scheme) *fake.ClientBuilder {
	b := fake.NewClientBuilder().WithScheme(scheme).WithGlobalResourceVersionCounter()
	must(w.t, errors.Join(attempt.SetupIndexes(w.ctx, indexAdder{b}), promptlimit.SetupIndexes(w.ctx, indexAdder{b}), SetupIndexes(w.ctx, indexAdder{b})))
	return b
}

func (w *world) account(provider, base, tokenURL string, credentials map[string]string) {
	w.t.Helper()
	data := map[string][]byte{}
	for key, value := range credentials {
		w.secrets.Secret(provider+" "+key, value)
		data[key] = []byte(value)
	}
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: provider}, Data: data})
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
	w.create(m)
}

// create an object as the API server does: with a uid and a time.
func (w *world) create(o client.Object) { must(w.t, w.api.Create(w.ctx, w.born(o))) }

func (w *world) born(o client.Object) client.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uids++
	o.SetUID(types.UID(fmt.Sprint("uid-", w.uids)))
	o.SetCreationTimestamp(metav1.NewTime(w.clock.Now().Truncate(time.Second)))
	o.SetGeneration(1)
	return o
}

// start starts a process: one that remembers nothing.
func (w *world) start() {
	w.starts++
	registry := providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
	pass := func(_ context.Context, d time.Duration) error {
		if w.clock.Add(d); w.impatient {
			return context.DeadlineExceeded
		}
		return nil
	}
	resolver := func(t providers.Transport) *account.Resolver {
		clients := account.NewClients(t, w.clock.Now)
		clients.Sleep = pass
		return &account.Resolver{
			Reader: w.api, Live: w.api, Registry: registry, OperatorNamespace: "mobile-money-system",
			AllowedEndpoints: w.endpoints, Clients: clients, InstallationIDGiven: true,
		}
	}
	protocol := func(c client.Client, s attempt.Settings) *attempt.Protocol {
		return &attempt.Protocol{
			Client: c, Live: w.api, Settings: s, Now: w.clock.Now, Pause: pass, Process: fmt.Sprintf("process-%d", w.starts), RestoreDetected: w.back,
		}
	}
	registered := prometheus.NewRegistry()
	w.metrics = append(w.metrics, registered)
	metrics := payment.NewMetrics(registered)
	plain, birth := transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), interceptor.NewClient(w.api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return c.Create(ctx, w.born(o), opts...)
		},
	})
	w.payments = &payment.Reconciler{
		Protocol: protocol(birth, attempt.DefaultSettings()), Client: birth, Live: w.api, Accounts: resolver(plain), Installation: testInstallation,
		Settings: attempt.DefaultSettings(), Prompts: &promptlimit.Limiter{}, Metrics: metrics, Now: w.clock.Now,
		URLs: callback.NewURLs("https://pay.example", testInstallation.PathKeys()),
	}
	watched := w.intercept()
	w.loop = &Reconciler{
		Protocol: protocol(watched, w.settings), Client: watched, Live: w.api, Accounts: resolver(watchedTransport{w, plain}),
		Installation: testInstallation, Settings: w.settings, Recorder: w,
		Metrics: NewMetrics(registered), Called: metrics.Called, Now: w.clock.Now,
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
	write := func(label string, o client.Object, do func() error) error {
		return w.point(label, func() error {
			w.lasting(o)
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
			return write("update charge", o, func() error { return c.Update(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			w.said.Say(o.(*v1alpha1.Refund).Status)
			return write("update refund "+sub, o, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	})
}

// lasting is what the rules of the CRDs refuse to change, whoever writes it, and what
// always holds of a Charge: what was reserved is no more than what was paid.
func (w *world) lasting(o client.Object) {
	old := o.DeepCopyObject().(client.Object)
	if err := w.api.Get(w.ctx, client.ObjectKeyFromObject(o), old); err != nil || old.GetResourceVersion() != o.GetResourceVersion() {
		return // which the API server refuses
	}
	same, broken := equality.Semantic.DeepEqual, false
	switch o := o.(type) {
	case *v1alpha1.Refund:
		was, is := old.(*v1alpha1.Refund).Status, o.Status
		needsPerson := is.Phase == v1alpha1.RefundUnknown || is.Phase == v1alpha1.RefundManualActionRequired
		broken = was.Phase.Terminal() && is.Phase != was.Phase || asked(old.(*v1alpha1.Refund)) && !asked(o) && !is.Phase.Terminal() || is.Sends < was.Sends ||
			was.ChargeName != "" && is.ChargeName != was.ChargeName || was.InitiatedAt != nil && is.InitiatedAt == nil || needsPerson && is.Unknown == nil
	case *v1alpha1.Charge:
		was := old.(*v1alpha1.Charge)
		for i := range was.Record.Refunds {
			a, b := &was.Record.Refunds[i], attempt.RefundOf(o, was.Record.Refunds[i].Name)
			switch sent := !attempt.NothingSent(&a.Attempt); {
			case b == nil:
				broken = broken || sent
			case b.Sends < a.Sends, a.Taken != nil && !same(a.Taken, b.Taken), a.Outcome != nil && (!same(a.Outcome, b.Outcome) || b.Sends > a.Sends),
				sent && (a.Money != b.Money || a.UID != b.UID || a.Reference != b.Reference),
				slices.ContainsFunc(b.Open, func(s v1alpha1.Send) bool {
					return s.Number <= a.Sends && !slices.ContainsFunc(a.Open, func(o v1alpha1.Send) bool { return same(o, s) })
				}):
				broken = true
			}
		}
		broken = broken || reserved(was) <= 0 && reserved(o) > 0
	}
	if broken {
		w.t.Errorf("a rule refuses:\n%+v became\n%+v", old, o)
	}
}

// reserved compares what is reserved of a Charge with what was paid.
func reserved(c *v1alpha1.Charge) int {
	var amounts []string
	for i := range c.Record.Refunds {
		if counts(&c.Record.Refunds[i]) {
			amounts = append(amounts, c.Record.Refunds[i].Money.Amount)
		}
	}
	return providers.CompareAmounts(providers.SumAmounts(amounts...), c.Record.Outcome.Paid.Amount)
}

// freeze makes the cache show the world as it is now, whatever happens.
func (w *world) freeze() {
	w.t.Helper()
	lists := []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.ChargeList{}, &v1alpha1.RefundList{}}
	for _, l := range lists {
		must(w.t, w.api.List(w.ctx, l))
	}
	w.stale = w.builder(w.api.Scheme()).WithLists(lists...).Build()
}

type watchedTransport struct {
	w     *world
	inner providers.Transport
}

func (t watchedTransport) Do(ctx context.Context, call providers.Call) (answer providers.Answer, err error) {
	err = t.w.point("call "+string(call.Operation), func() (err error) {
		answer, err = t.inner.Do(ctx, call)
		return err
	})
	return answer, err
}

// pay makes a Payment and runs it until it is over or Unknown.
func (w *world) pay(name, provider, amount string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w.t.Helper()
	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: payer, TimeoutSeconds: 3600},
	}
	for _, c := range change {
		c(p)
	}
	w.create(p)
	return w.paid(name)
}

// paid runs a Payment until it is over or Unknown.
func (w *world) paid(name string) *v1alpha1.Payment {
	w.t.Helper()
	for range 200 {
		result, err := w.payments.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: name}})
		must(w.t, err)
		p := w.payment(name)
		if p.Status.Phase.Terminal() || p.Status.Phase == v1alpha1.PhaseUnknown && p.Spec.Settlement == nil {
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

func fetch[T any, P interface {
	*T
	client.Object
}](w *world, namespace, name string) P {
	w.t.Helper()
	o := P(new(T))
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: namespace, Name: name}, o))
	return o
}

func (w *world) payment(name string) *v1alpha1.Payment { return fetch[v1alpha1.Payment](w, shop, name) }
func (w *world) get(name string) *v1alpha1.Refund      { return fetch[v1alpha1.Refund](w, shop, name) }
func (w *world) charge(payment string) *v1alpha1.Charge {
	return fetch[v1alpha1.Charge](w, "", testInstallation.ChargeName(shop, payment))
}

// entry that the Charge of "sale" holds under a name; nil: none.
func (w *world) entry(refund string) *v1alpha1.ChargeRefund {
	return attempt.RefundOf(w.charge("sale"), refund)
}

// change edits the record of a sale, as another process would.
func (w *world) change(payment string, edit func(*v1alpha1.Charge)) {
	w.t.Helper()
	c := w.charge(payment)
	edit(c)
	must(w.t, w.api.Update(w.ctx, c))
}

// refund creates a Refund, as a user would; amount "" is the whole payment.
func (w *world) refund(name, payment, amount string, change ...func(*v1alpha1.Refund)) *v1alpha1.Refund {
	w.t.Helper()
	r := aRefund(name, payment, amount)
	for _, c := range change {
		c(r)
	}
	w.create(r)
	return r
}

func aRefund(name, payment, amount string) *v1alpha1.Refund {
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: payment}, Reason: "goods came back"},
	}
	if amount != "" {
		a := v1alpha1.NewAmount(amount)
		r.Spec.Amount = &a
	}
	return r
}

// restored makes of an object one that a backup tool restored.
func restored(o metav1.Object) { o.SetLabels(map[string]string{v1alpha1.LabelRestore: "backup"}) }

func (w *world) delete(o client.Object) { w.t.Helper(); must(w.t, w.api.Delete(w.ctx, o)) }

// confirm says what a person found out about the id that the Refund shows.
func (w *world) confirm(name string, outcome v1alpha1.ConfirmedOutcome) {
	w.t.Helper()
	r := w.get(name)
	if r.Status.Unknown == nil {
		w.t.Fatalf("%s: nothing to confirm: %+v", name, r.Status)
	}
	w.confirmAs(name, r.Status.Unknown.ID, outcome)
}

func (w *world) confirmAs(name, id string, outcome v1alpha1.ConfirmedOutcome) {
	w.t.Helper()
	r := w.get(name)
	r.Spec.Confirmation = &v1alpha1.RefundConfirmation{UnknownID: id, Outcome: outcome, ConfirmedBy: "awa@example.com", TransactionID: "RC2611.1", Note: "seen in the portal"}
	r.Generation++
	must(w.t, w.api.Update(w.ctx, r))
}

// suspend closes an account, or opens it again.
func (w *world) suspend(name string, suspended bool) {
	w.t.Helper()
	m := fetch[v1alpha1.MerchantAccount](w, shop, name)
	m.Spec.Suspend = suspended
	must(w.t, w.api.Update(w.ctx, m))
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
	case attempt.Outpaced(err):
		return time.Second, true
	case err != nil:
		w.errs = append(w.errs, err)
		return time.Second, true
	case w.writes != before:
		return 0, true
	default:
		return result.RequeueAfter, result.RequeueAfter > 0
	}
}

// settle runs a Refund to its end, or to the horizon; to a far one in large steps.
func (w *world) settle(name string, horizon time.Duration) {
	w.t.Helper()
	end := w.clock.Now().Add(horizon)
	for range 5000 {
		wait, again := w.step(name)
		if horizon > 6*time.Hour {
			wait = max(wait, horizon/100)
		}
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

// until steps a Refund until something is so.
func (w *world) until(name string, so func() bool) {
	w.t.Helper()
	for range 100 {
		if so() {
			return
		}
		wait, _ := w.step(name)
		w.clock.Add(wait)
	}
	w.t.Fatalf("%s: never so: %+v", name, w.get(name).Status)
}

// sent steps until the refund "back" of "sale" was sent.
func (w *world) sent() {
	w.t.Helper()
	w.until("back", func() bool { e := w.entry("back"); return e != nil && e.Sends > 0 })
}

// settled runs a Refund for a long time and expects how it stands then.
func (w *world) settled(name string, horizon time.Duration, phase v1alpha1.RefundPhase, reason v1alpha1.Reason) {
	w.t.Helper()
	w.settle(name, horizon)
	w.expect(name, phase, reason)
}

func (w *world) expect(name string, phase v1alpha1.RefundPhase, reason v1alpha1.Reason) {
	w.t.Helper()
	r := w.get(name)
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionSucceeded)
	if r.Status.Phase != phase || c == nil || c.Reason != reason {
		w.t.Fatalf("%s: phase %s, conditions %+v; want %s %s", r.Name, r.Status.Phase, r.Status.Conditions, phase, reason)
	}
}

// succeeds: the Refund ends well, and its payment was given back so far as the
// provider's own books say.
func (w *world) succeeds(name, payment, back string) {
	w.t.Helper()
	w.settled(name, time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	w.givenBack(payment, back)
}

func (w *world) givenBack(payment, want string) {
	w.t.Helper()
	if got := w.sim.RefundedAmount(w.charge(payment).Spec.ProviderReference); got != want {
		w.t.Fatalf("%s of %s was given back, want %s: %v", got, payment, want, w.points)
	}
}

// calls counts those to the provider of an operation.
func (w *world) calls(op providers.Operation) (n int) {
	for _, label := range w.points {
		if label == "call "+string(op) {
			n++
		}
	}
	return n
}
