package payment

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

// otherMerchant exchanges the credentials for those of somebody who does not know
// what was sent.
func (w *world) otherMerchant() {
	const user = "11111111-1111-4111-8111-111111111111"
	w.Sim.AddKeys(simulator.MTN, simulator.Keys{ID: user, Secret: "other", Key: simulator.DefaultMTNSubscriptionKey})
	w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`))
	var s corev1.Secret
	must(w.T, w.API.Get(w.Ctx, types.NamespacedName{Namespace: looptest.Shop, Name: "mtn"}, &s))
	s.Data["userID"], s.Data["apiSecret"] = []byte(user), []byte("other")
	must(w.T, w.API.Update(w.Ctx, &s))
}

// What another merchant's credentials do not know may still be paid.
func TestNotFoundElsewhereIsNoVerdict(t *testing.T) {
	for name, answer := range map[string]simulator.Behaviour{
		"lost":    simulator.LoseAnswer(),
		"refused": jsonAnswer(500, `{"code":"PAYER_NOT_FOUND"}`),
	} {
		w := newWorld(t)
		sent := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, answer)
		w.payment("sale", "mtn", "1907")
		w.until("sale", time.Minute, func() bool { return sent.Fired() > 0 })
		if name == "lost" {
			w.callOff("sale")
		}
		w.otherMerchant()
		w.until("sale", 2*time.Hour, never)
		expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
	}
}

// The provider said that it has the reference: that it does not find it afterwards is
// no leave to call it off, nor to take what it finds later for this sale.
func TestKnownReferenceIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	twice := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Twice: true, Times: 1})
	w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`))
	w.payment("sale", "mtn", "1907")
	w.until("sale", time.Minute, func() bool { return twice.Fired() > 0 })
	w.callOff("sale")
	w.until("sale", 2*time.Hour, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
}

func TestEarlierSaleIsNotTakenForThisOne(t *testing.T) {
	w := newWorld(t)
	w.payerPays = true
	first := w.payment("sale", "mtn", "1901")
	expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	must(t, w.API.Delete(w.Ctx, first))
	must(t, w.API.Delete(w.Ctx, w.charge("sale")))
	w.start()
	w.Clock.Add(100 * time.Hour)
	unknown := jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`)
	unknown.Times = 20
	w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, unknown)
	w.payment("sale", "mtn", "1901")
	w.until("sale", 40*time.Hour, never)
	w.start() // nor does a restart forget it
	w.until("sale", 40*time.Hour, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
}

// What is Unknown is never asked for again, though the record of why is gone.
func TestUnknownWithoutItsChargeIsNotSent(t *testing.T) {
	w := newWorld(t)
	w.payerPays = true
	first := w.payment("sale", "orange", "1903")
	w.until("sale", 3*time.Hour, never)
	must(t, w.API.Delete(w.Ctx, first))
	w.Clock.Add(100 * time.Hour)
	w.payment("sale", "orange", "1903")
	w.until("sale", time.Minute, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
	sent := w.Sim.Count(simulator.Orange, simulator.OpInitiate)
	must(t, w.API.Delete(w.Ctx, w.charge("sale")))
	w.until("sale", time.Hour, never)
	if n := w.Sim.Count(simulator.Orange, simulator.OpInitiate); n != sent {
		t.Errorf("asked for money %d times more", n-sent)
	}
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
}
