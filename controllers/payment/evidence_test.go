package payment

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// A Payment that is over has said its last word, also when it comes to hold the
// Charge of a namesake whose Payment was deleted.
func TestFinishedPaymentIsNotSent(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payerPays = true
		first := w.payment("one", provider, "1901", named("sale"))
		w.step("sale")
		w.suspend(provider, true)
		w.clock.Add(time.Second)
		w.payment("two", provider, "1901", named("sale"))
		w.until("sale", time.Minute, never)
		expectPhase(t, w.get("two"), v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference)
		must(t, w.api.Delete(w.ctx, first))
		w.suspend(provider, false)
		w.until("sale", 3*time.Hour, never)
		if n := w.sim.Count(simulator.Provider(provider), simulator.OpInitiate); n != 0 {
			t.Errorf("%s: asked for money %d times for a Payment that failed", provider, n)
		}
	}
}

// So nobody calls a sale off by deleting its Payment, either.
func TestFinishedPaymentCallsNothingOff(t *testing.T) {
	w := newWorld(t)
	first := w.payment("one", "wave", "1907", named("sale"))
	w.until("sale", time.Minute, never)
	w.clock.Add(time.Second)
	w.payment("two", "wave", "1907", named("sale"))
	w.until("sale", time.Minute, never)
	expectPhase(t, w.get("two"), v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference)
	w.callOff("two")
	must(t, w.api.Delete(w.ctx, first))
	w.until("sale", 2*time.Minute, never)
	w.payment("one", "wave", "1907", named("sale"))
	w.until("sale", 2*time.Minute, never)
	expectPhase(t, w.get("one"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
}

func named(reference string) func(*v1alpha1.Payment) {
	return func(p *v1alpha1.Payment) { p.Spec.Reference = reference }
}

// otherMerchant exchanges the credentials for those of somebody who does not know
// what was sent.
func (w *world) otherMerchant() {
	const user = "11111111-1111-4111-8111-111111111111"
	w.sim.AddKeys(simulator.MTN, simulator.Keys{ID: user, Secret: "other", Key: simulator.DefaultMTNSubscriptionKey})
	w.sim.Script(simulator.Match{Op: simulator.OpStatus}, jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`))
	var s corev1.Secret
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: "mtn"}, &s))
	s.Data["userID"], s.Data["apiSecret"] = []byte(user), []byte("other")
	must(w.t, w.api.Update(w.ctx, &s))
}

// What another merchant's credentials do not know may still be paid.
func TestNotFoundElsewhereIsNoVerdict(t *testing.T) {
	for name, answer := range map[string]simulator.Behaviour{
		"lost":    simulator.LoseAnswer(),
		"refused": jsonAnswer(500, `{"code":"PAYER_NOT_FOUND"}`),
	} {
		w := newWorld(t)
		sent := w.sim.Script(simulator.Match{Op: simulator.OpInitiate}, answer)
		w.payment("sale", "mtn", "1907")
		w.until("sale", time.Minute, func() bool { return sent.Fired() > 0 })
		if name == "lost" {
			w.callOff("sale")
		}
		w.otherMerchant()
		w.until("sale", time.Hour, never)
		expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
	}
}

// The provider said that it has the reference: that it does not find it afterwards is
// no leave to call it off, nor to take what it finds later for this sale.
func TestKnownReferenceIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	twice := w.sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Twice: true, Times: 1})
	w.sim.Script(simulator.Match{Op: simulator.OpStatus}, jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`))
	w.payment("sale", "mtn", "1907")
	w.until("sale", time.Minute, func() bool { return twice.Fired() > 0 })
	w.callOff("sale")
	w.until("sale", time.Hour, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
}

func TestEarlierSaleIsNotTakenForThisOne(t *testing.T) {
	w := newWorld(t)
	w.payerPays = true
	first := w.payment("sale", "mtn", "1901")
	expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	must(t, w.api.Delete(w.ctx, first))
	must(t, w.api.Delete(w.ctx, w.charge("sale")))
	w.start()
	w.clock.Add(100 * time.Hour)
	unknown := jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`)
	unknown.Times = 20
	w.sim.Script(simulator.Match{Op: simulator.OpStatus}, unknown)
	w.payment("sale", "mtn", "1901")
	w.until("sale", 40*time.Hour, never)
	w.start() // nor does a restart forget it
	w.until("sale", 40*time.Hour, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedReference)
}

// What is Unknown is never asked for again, though the record of why is gone.
func TestUnknownWithoutItsChargeIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.payerPays = true
	first := w.payment("sale", "orange", "1903")
	w.until("sale", 3*time.Hour, never)
	must(t, w.api.Delete(w.ctx, first))
	w.clock.Add(100 * time.Hour)
	w.payment("sale", "orange", "1903")
	w.until("sale", time.Minute, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedReference)
	sent := w.sim.Count(simulator.Orange, simulator.OpInitiate)
	must(t, w.api.Delete(w.ctx, w.charge("sale")))
	w.until("sale", time.Hour, never)
	if n := w.sim.Count(simulator.Orange, simulator.OpInitiate); n != sent {
		t.Errorf("asked for money %d times more", n-sent)
	}
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
}

// How another reference ended tells nothing of ours.
func TestVerdictAboutAnotherReference(t *testing.T) {
	for _, state := range []providers.State{providers.StateFailed, providers.StateExpired, providers.StateCancelled} {
		c := &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{ProviderReference: "ours"}}
		foldStatus(providers.Status{State: state, Reference: "another", Code: "FAILED"}, noon)(c)
		if c.Record.Outcome != nil || c.Record.Hold != nil || c.Record.Notice == nil || c.Record.Notice.Reason != v1alpha1.ReasonUnrecognizedStatus {
			t.Errorf("%s: %+v", state, c.Record)
		}
		for _, own := range []string{"", "ours"} {
			c := &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{ProviderReference: "ours"}}
			if foldStatus(providers.Status{State: state, Reference: own}, noon)(c); c.Record.Outcome == nil {
				t.Errorf("%s of %q is not learnt", state, own)
			}
		}
	}
}

// In what way it was not paid is no news against what a person, or another process,
// said; that it was is.
func TestWhatContradicts(t *testing.T) {
	for _, was := range []v1alpha1.Phase{v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled, v1alpha1.PhaseSucceeded} {
		for state, paid := range map[providers.State]bool{
			providers.StateFailed: false, providers.StateExpired: false, providers.StateCancelled: false, providers.StateSucceeded: true,
		} {
			c := &v1alpha1.Charge{
				Spec:   v1alpha1.ChargeSpec{Money: v1alpha1.Money{Amount: "5", Currency: "XOF"}},
				Record: v1alpha1.ChargeRecord{Outcome: &v1alpha1.ChargeOutcome{Phase: was}},
			}
			foldStatus(providers.Status{State: state, Money: providers.Money{Amount: "5", Currency: "XOF"}}, noon)(c)
			if news := c.Record.Contradiction != nil; news != (paid != (was == v1alpha1.PhaseSucceeded)) {
				t.Errorf("%s, then %s: contradicted %t", was, state, news)
			}
		}
	}
}
