package payment

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

var testInstallation = looptest.Installation()

// world is the loop with everything around it.
type world struct {
	*looptest.World
	loop *Reconciler
	// payerPays at once who finds a page, whatever the amount says.
	payerPays bool
	// tweak and installation are those of the next process.
	tweak        func(*attempt.Settings)
	installation installation.Installation
}

func newWorld(t *testing.T, tweaks ...func(*attempt.Settings)) *world {
	t.Helper()
	indexes := func(ctx context.Context, i client.FieldIndexer) error {
		return errors.Join(attempt.SetupIndexes(ctx, i), promptlimit.SetupIndexes(ctx, i))
	}
	// A payer sees what is published, and nothing else.
	w := &world{World: looptest.New(t, simulator.Options{PayerOpens: true}, indexes), installation: testInstallation}
	for _, tweak := range tweaks {
		w.tweak = tweak
	}
	w.Stubs = NewTransform(w.Clock.Now)
	w.start()
	return w
}

// start starts a process: one that remembers nothing.
func (w *world) start() {
	settings := attempt.DefaultSettings()
	if w.tweak != nil {
		w.tweak(&settings)
	}
	p := w.Start(settings)
	w.loop = &Reconciler{
		Protocol: p.Protocol, Client: p.Client, Live: w.API, Accounts: p.Accounts, Installation: w.installation, Settings: settings,
		URLs: callback.NewURLs("https://pay.example", w.installation.PathKeys()), Prompts: &promptlimit.Limiter{},
		Recorder: w, Metrics: NewMetrics(p.Registry), Now: w.Clock.Now,
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// secret of an account: the good one, or one that is refused.
func (w *world) secret(provider string, good bool) {
	w.T.Helper()
	w.EditSecret(provider, func(data map[string][]byte) {
		for key, value := range looptest.Credentials(provider) {
			if !good {
				value = "wrong"
			}
			data[key] = []byte(value)
		}
	})
}

// payment creates a Payment, as a user would.
func (w *world) payment(name, provider, amount string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w.T.Helper()
	p := newPayment(name, provider, amount)
	for _, c := range change {
		c(p)
	}
	w.Must(w.API.Create(w.Ctx, p))
	return p
}

func newPayment(name, provider, amount string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: looptest.Shop, Name: name},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: looptest.Phone, TimeoutSeconds: 3600},
	}
}

func (w *world) get(name string) *v1alpha1.Payment {
	w.T.Helper()
	return looptest.Get[v1alpha1.Payment](w.World, looptest.Shop, name)
}

func (w *world) charge(name string) *v1alpha1.Charge {
	w.T.Helper()
	var c v1alpha1.Charge
	err := w.API.Get(w.Ctx, types.NamespacedName{Name: testInstallation.ChargeName(looptest.Shop, name)}, &c)
	if apierrors.IsNotFound(err) {
		return nil
	}
	w.Must(err)
	return &c
}

// step reconciles one sale once.
func (w *world) step(sale string) (wait time.Duration, again bool) {
	return w.Step(func() (ctrl.Result, error) { return w.loop.Reconcile(w.Ctx, request(looptest.Shop, sale)) }, w.start)
}

// until runs the loop until done says so, nothing is left to do, or the horizon is reached.
func (w *world) until(sale string, horizon time.Duration, done func() bool) {
	w.T.Helper()
	w.Until(horizon, 0, func() (time.Duration, bool) { return w.step(sale) }, done, func() { w.open(sale) })
}

// open is what a payer does who finds a page to pay on.
func (w *world) open(sale string) {
	var list v1alpha1.PaymentList
	w.Must(w.API.List(w.Ctx, &list))
	for _, p := range list.Items {
		if p.Name == sale && p.Status.NextAction != nil && p.Status.NextAction.URL != "" {
			act := w.Sim.Open
			if w.payerPays {
				act = w.Sim.Pay
			}
			_ = act(p.Status.NextAction.URL) // whoever comes too late, or twice, is turned away
		}
	}
}

// settle runs a sale to its end, or to the horizon.
func (w *world) settle(sale string, horizon time.Duration) *v1alpha1.Payment {
	w.T.Helper()
	w.until(sale, horizon, never)
	w.FailOnErrors()
	return w.get(sale)
}

// charges is how often the payer of a sale was charged, by the provider's own books.
func (w *world) charges(sale string) int {
	if c := w.charge(sale); c != nil {
		return w.Sim.Charges(c.Spec.ProviderReference)
	}
	return 0
}

// sends of the sale that are written down.
func (w *world) sends() int32 {
	if c := w.charge("sale"); c != nil {
		return c.Record.Sends
	}
	return 0
}

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
	return meta.FindStatusCondition(p.Status.Conditions, kind)
}

// assertProjection holds a status against what every status promises.
func assertProjection(t *testing.T, p *v1alpha1.Payment) {
	t.Helper()
	s := p.Status
	is := func(kind string) metav1.ConditionStatus {
		if c := condition(p, kind); c != nil {
			return c.Status
		}
		return ""
	}
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	if s.Phase.Terminal() {
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	}
	if s.Phase == v1alpha1.PhaseSucceeded {
		succeeded = metav1.ConditionTrue
	}
	if is(v1alpha1.ConditionFinished) != finished || is(v1alpha1.ConditionSucceeded) != succeeded || is(v1alpha1.ConditionReady) != succeeded {
		t.Errorf("phase %s with conditions %+v", s.Phase, s.Conditions)
	}
	reconciling, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	switch {
	case s.Phase == v1alpha1.PhaseSucceeded && (reconciling != "" || stalled != ""):
		t.Errorf("paid, and still Reconciling=%s Stalled=%s", reconciling, stalled)
	case s.Phase != v1alpha1.PhaseSucceeded && (s.Phase.Terminal() || s.Phase == v1alpha1.PhaseUnknown) && (reconciling != "" || stalled != metav1.ConditionTrue):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	case !s.Phase.Terminal() && s.Phase != v1alpha1.PhaseUnknown && (reconciling != metav1.ConditionTrue || stalled != ""):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	}
	if s.Phase.Terminal() == (s.CompletedAt == nil) {
		t.Errorf("phase %s, completedAt %v", s.Phase, s.CompletedAt)
	}
	if failed := s.Phase.Terminal() && s.Phase != v1alpha1.PhaseSucceeded; failed != (s.Failure != nil) {
		t.Errorf("phase %s, failure %+v", s.Phase, s.Failure)
	}
	if s.Phase.Terminal() && s.NextAction != nil {
		t.Error("finished, and there is still something to do for the payer")
	}
	if s.ObservedGeneration != p.Generation {
		t.Errorf("observedGeneration %d of %d", s.ObservedGeneration, p.Generation)
	}
	for _, c := range s.Conditions {
		if _, ok := reasons.OfPayments()[c.Reason]; !ok && c.Reason != v1alpha1.ReasonUnrecognizedStatus {
			t.Errorf("condition %s has a reason outside the closed list: %s", c.Type, c.Reason)
		}
	}
}
