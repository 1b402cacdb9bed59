package payment

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

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
