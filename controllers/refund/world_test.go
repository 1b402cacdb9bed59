package refund

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

var testInstallation = looptest.Installation()

const shop = looptest.Shop

// world is the loop with everything around it, and with payments that were paid.
type world struct {
	*looptest.World
	payments *payment.Reconciler
	loop     *Reconciler
	settings attempt.Settings
	// back tells that revisions went back.
	back func() bool
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, options ...func(*simulator.Options)) *world {
	t.Helper()
	opts := simulator.Options{}
	for _, change := range options {
		change(&opts)
	}
	indexes := func(ctx context.Context, i client.FieldIndexer) error {
		return errors.Join(attempt.SetupIndexes(ctx, i), promptlimit.SetupIndexes(ctx, i), SetupIndexes(ctx, i))
	}
	w := &world{World: looptest.New(t, opts, indexes), settings: attempt.DefaultSettings()}
	w.Stubs = payment.NewTransform(w.Clock.Now)
	w.start()
	return w
}

// uncapped: MTN gives back whatever it is asked for.
func uncapped(o *simulator.Options) { o.MTN.UncappedRefunds = true }

// start starts a process: one that remembers nothing.
func (w *world) start() {
	p, settings := w.Start(w.settings), attempt.DefaultSettings()
	p.Protocol.RestoreDetected = w.back
	metrics := payment.NewMetrics(p.Registry)
	payments := w.Protocol(w.API, settings)
	payments.RestoreDetected = w.back
	w.payments = &payment.Reconciler{
		Protocol: payments, Client: w.API, Live: w.API, Accounts: w.Resolver(w.Transport()), Installation: testInstallation,
		Settings: settings, Prompts: &promptlimit.Limiter{}, Metrics: metrics, Now: w.Clock.Now,
		URLs: callback.NewURLs("https://pay.example", testInstallation.PathKeys()),
	}
	w.loop = &Reconciler{
		Protocol: p.Protocol, Client: p.Client, Live: w.API, Accounts: p.Accounts, Installation: testInstallation, Settings: w.settings,
		Recorder: w, Metrics: NewMetrics(p.Registry), Called: metrics.Called, Now: w.Clock.Now,
	}
}

func (w *world) create(o client.Object) { w.T.Helper(); w.Must(w.API.Create(w.Ctx, o)) }

// pay makes a Payment and runs it until it is over or Unknown.
func (w *world) pay(name, provider, amount string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w.T.Helper()
	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: looptest.Phone, TimeoutSeconds: 3600},
	}
	for _, c := range change {
		c(p)
	}
	w.create(p)
	return w.paid(name)
}

// paid runs a Payment until it is over or Unknown.
func (w *world) paid(name string) *v1alpha1.Payment {
	w.T.Helper()
	for range 200 {
		result, err := w.payments.Reconcile(w.Ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: name}})
		must(w.T, err)
		p := w.payment(name)
		if p.Status.Phase.Terminal() || p.Status.Phase == v1alpha1.PhaseUnknown && p.Spec.Settlement == nil {
			return p
		}
		if p.Status.NextAction != nil && p.Status.NextAction.URL != "" {
			_ = w.Sim.Pay(p.Status.NextAction.URL)
		}
		w.Clock.Add(max(result.RequeueAfter, time.Second))
		w.Sim.Tick()
	}
	w.T.Fatalf("%s was not paid: %+v", name, w.payment(name).Status)
	return nil
}

func (w *world) payment(name string) *v1alpha1.Payment {
	return looptest.Get[v1alpha1.Payment](w.World, shop, name)
}
func (w *world) get(name string) *v1alpha1.Refund {
	return looptest.Get[v1alpha1.Refund](w.World, shop, name)
}
func (w *world) charge(payment string) *v1alpha1.Charge {
	return looptest.Get[v1alpha1.Charge](w.World, "", testInstallation.ChargeName(shop, payment))
}

// entry that the Charge of "sale" holds under a name; nil: none.
func (w *world) entry(refund string) *v1alpha1.ChargeRefund {
	return attempt.RefundOf(w.charge("sale"), refund)
}

// change edits the record of a sale, as another process would.
func (w *world) change(payment string, edit func(*v1alpha1.Charge)) {
	w.T.Helper()
	c := w.charge(payment)
	edit(c)
	must(w.T, w.API.Update(w.Ctx, c))
}

// refund creates a Refund, as a user would; amount "" is the whole payment.
func (w *world) refund(name, payment, amount string, change ...func(*v1alpha1.Refund)) *v1alpha1.Refund {
	w.T.Helper()
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

// confirm says what a person found out about the id that the Refund shows.
func (w *world) confirm(name string, outcome v1alpha1.ConfirmedOutcome) {
	w.T.Helper()
	r := w.get(name)
	if r.Status.Unknown == nil {
		w.T.Fatalf("%s: nothing to confirm: %+v", name, r.Status)
	}
	w.confirmAs(name, r.Status.Unknown.ID, outcome)
}

func (w *world) confirmAs(name, id string, outcome v1alpha1.ConfirmedOutcome) {
	w.T.Helper()
	r := w.get(name)
	r.Spec.Confirmation = &v1alpha1.RefundConfirmation{UnknownID: id, Outcome: outcome, ConfirmedBy: "awa@example.com", TransactionID: "RC2611.1", Note: "seen in the portal"}
	r.Generation++
	must(w.T, w.API.Update(w.Ctx, r))
}

// step reconciles one Refund once.
func (w *world) step(name string) (wait time.Duration, again bool) {
	request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: name}}
	return w.Step(func() (ctrl.Result, error) { return w.loop.Reconcile(w.Ctx, request) }, w.start)
}

// settle runs a Refund to its end, or to the horizon; to a far one in large steps.
func (w *world) settle(name string, horizon time.Duration) {
	w.T.Helper()
	atLeast := time.Duration(0)
	if horizon > 6*time.Hour {
		atLeast = horizon / 100
	}
	w.Until(horizon, atLeast, func() (time.Duration, bool) { return w.step(name) }, func() bool { return false }, func() {})
	w.FailOnErrors()
}

// until steps a Refund until something is so.
func (w *world) until(name string, so func() bool) {
	w.T.Helper()
	for range 100 {
		if so() {
			return
		}
		wait, _ := w.step(name)
		w.Clock.Add(wait)
	}
	w.T.Fatalf("%s: never so: %+v", name, w.get(name).Status)
}

// sent steps until the refund "back" of "sale" was sent.
func (w *world) sent() {
	w.T.Helper()
	w.until("back", func() bool { e := w.entry("back"); return e != nil && e.Sends > 0 })
}

// settled runs a Refund for a long time and expects how it stands then.
func (w *world) settled(name string, horizon time.Duration, phase v1alpha1.RefundPhase, reason v1alpha1.Reason) {
	w.T.Helper()
	w.settle(name, horizon)
	w.expect(name, phase, reason)
}

func (w *world) expect(name string, phase v1alpha1.RefundPhase, reason v1alpha1.Reason) {
	w.T.Helper()
	r := w.get(name)
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionSucceeded)
	if r.Status.Phase != phase || c == nil || c.Reason != reason {
		w.T.Fatalf("%s: phase %s, conditions %+v; want %s %s", r.Name, r.Status.Phase, r.Status.Conditions, phase, reason)
	}
}

// succeeds: the Refund ends well, and its payment was given back so far as the provider's own books say.
func (w *world) succeeds(name, payment, back string) {
	w.T.Helper()
	w.settled(name, time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	w.givenBack(payment, back)
}

func (w *world) givenBack(payment, want string) {
	w.T.Helper()
	if got := w.Sim.RefundedAmount(w.charge(payment).Spec.ProviderReference); got != want {
		w.T.Fatalf("%s of %s was given back, want %s: %v", got, payment, want, w.Points)
	}
}

// calls counts those to the provider of an operation.
func (w *world) calls(op providers.Operation) (n int) {
	for _, label := range w.Points {
		if label == "call "+string(op) {
			n++
		}
	}
	return n
}
