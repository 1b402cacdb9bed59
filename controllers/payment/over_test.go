package payment

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

// Whatever the cache holds as stubs: of the whole objects, the protocol would decide to do
// nothing and the status would stay as it is.
func TestNothingLeft_HidesNothing(t *testing.T) {
	noon := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	now := func() time.Time { return noon }
	r := &Reconciler{
		Protocol: &attempt.Protocol{Now: now, Settings: attempt.DefaultSettings()}, Now: now, Settings: attempt.DefaultSettings(),
		Installation: testInstallation,
		Accounts:     &account.Resolver{Registry: providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}},
	}
	stubs, hidden := NewTransform(now), 0
	rapid.Check(t, func(t *rapid.T) {
		v := anyEnd(t, noon)
		if !nothingLeft(cachedBy(stubs, v)) {
			return
		}
		hidden++
		if d := attempt.Decide(r.facts(v)); d.Action != attempt.Idle {
			t.Fatalf("%+v", d)
		}
		if v.payment != nil && !sameStatus(r.project(r.projection(v)), v.payment.Status) {
			t.Fatal("another status")
		}
	})
	if hidden == 0 {
		t.Error("nothing was hidden")
	}
}

func cachedBy(t *stub.Transform, v view) (p *v1alpha1.Payment, c *v1alpha1.Charge) {
	if v.payment != nil {
		p = t.Held(v.payment).(*v1alpha1.Payment)
	}
	if v.charge != nil {
		c = t.Held(v.charge).(*v1alpha1.Charge)
	}
	return p, c
}

// anyEnd is a sale that ended, or almost; times are close together, and before noon.
func anyEnd(t *rapid.T, noon time.Time) view {
	maybe := func(name string) bool { return rapid.IntRange(0, 5).Draw(t, name) == 0 }
	at := func(name string) metav1.MicroTime {
		return metav1.NewMicroTime(noon.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, name)) * time.Millisecond))
	}
	note := func(name string) *v1alpha1.CallbackNote {
		if rapid.Bool().Draw(t, name) {
			return nil
		}
		return &v1alpha1.CallbackNote{ReceivedAt: at(name + " at")}
	}
	phases := []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled}
	outcome := func(name string) *v1alpha1.Outcome {
		o := &v1alpha1.Outcome{Phase: rapid.SampledFrom(phases).Draw(t, name), At: at(name + " at")}
		if maybe(name + " settled") {
			o.SettledBy = "awa"
		}
		return o
	}
	provider := rapid.SampledFrom([]string{"mtn", "orange", "wave"}).Draw(t, "provider")
	end := outcome("outcome")
	v := view{relation: rapid.SampledFrom([]relation{relationOwn, relationAdopted, relationConflict, relationForeign}).Draw(t, "relation")}
	if !maybe("no Charge") {
		v.charge = &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{InstallationID: testInstallation.ID, ReferenceVersion: installation.ReferenceVersion, Provider: provider}}
		rec := &v.charge.Record
		rec.Sends, rec.Taken, rec.LastCallback = 1, &v1alpha1.Taken{At: at("taken")}, note("note on the Charge")
		if !maybe("not over") {
			rec.Outcome = end
		}
		if maybe("later") {
			rec.Later = outcome("later")
		}
		if maybe("open") {
			rec.Open = []v1alpha1.Send{{Number: 1, At: at("sent")}}
		}
		if maybe("refund") {
			rec.Refunds = []v1alpha1.ChargeRefund{{Name: "refund", Money: v1alpha1.Money{Amount: "5"}, Attempt: v1alpha1.Attempt{Outcome: outcome("refunded")}}}
		}
	}
	if v.charge == nil {
		v.relation = relationNone
	}
	if maybe("no Payment") {
		v.relation = relationNone
		return v
	}
	v.payment = &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Generation: 1}, Spec: v1alpha1.PaymentSpec{Provider: provider}}
	s := &v.payment.Status
	*s = v1alpha1.PaymentStatus{Phase: end.Phase, ObservedGeneration: 1, SettledBy: end.SettledBy, CompletedAt: toSecond(end.At), LastCallback: note("note on the Payment")}
	if maybe("not finished") {
		s.Phase = v1alpha1.PhaseProcessing
	}
	if maybe("cancelled") {
		v.payment.Spec.Cancel, v.payment.Generation = true, 2
		if rapid.Bool().Draw(t, "shown") {
			s.ObservedGeneration = 2
			showCancel(s, projection{payment: v.payment}, s.Phase, noon)
		}
	}
	if maybe("asked for a check") {
		v.payment.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: noon.Format(time.RFC3339)}
	}
	if maybe("given back") {
		s.Refunded = "5"
	}
	return v
}

// A finished payment costs nothing at a start: what the cache holds of it is enough.
func TestReconcile_ReadsNothingLiveOfWhatIsOver(t *testing.T) {
	w := newWorld(t)
	w.sold("mtn")
	w.start()
	counted := &counting{Reader: w.loop.Live}
	w.loop.Live, w.loop.Protocol.Live = counted, counted
	w.step("sale")
	if counted.reads > 0 {
		t.Errorf("%d live reads", counted.reads)
	}
}

// counting counts reads.
type counting struct {
	client.Reader
	reads int
}

func (c *counting) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.reads++
	return c.Reader.Get(ctx, key, o, opts...)
}
