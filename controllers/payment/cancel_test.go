package payment

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// callOff sets the switch, as a user would.
func (w *world) callOff(name string) {
	w.T.Helper()
	p := w.get(name)
	p.Spec.Cancel = true
	p.Generation++
	must(w.T, w.API.Update(w.Ctx, p))
}

func calledOff(p *v1alpha1.Payment) { p.Spec.Cancel = true }

func expectCancel(t *testing.T, p *v1alpha1.Payment, reason string) {
	t.Helper()
	if c := condition(p, v1alpha1.ConditionCancelRequested); c == nil || c.Reason != reason {
		t.Fatalf("conditions %+v; want CancelRequested %s", p.Status.Conditions, reason)
	}
	if p.Status.ObservedGeneration != p.Generation {
		t.Fatalf("observed generation %d of %d", p.Status.ObservedGeneration, p.Generation)
	}
	assertProjection(t, p)
}

// What was not asked for is over, once the provider that can be asked does not know it.
func TestCancel_BeforeAsking(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.Suspend(provider, true)
		w.payment("sale", provider, "1901")
		w.step("sale")
		w.callOff("sale")
		if provider != "orange" {
			w.step("sale")
			expectPhase(t, w.get("sale"), v1alpha1.PhasePending, v1alpha1.ReasonAccountSuspended)
			w.Suspend(provider, false)
		}
		p := w.settle("sale", time.Hour)
		expectPhase(t, p, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
		expectCancel(t, p, v1alpha1.ReasonCancelDone)
		if n := w.Sim.Count("", simulator.OpInitiate); n != 0 || w.charge("sale") != nil {
			t.Errorf("%s: asked for money %d times", provider, n)
		}
	}
}

func TestCancel_AfterAVoidSend(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		w.payment("sale", provider, "1901")
		w.step("sale")
		w.callOff("sale")
		p := w.settle("sale", time.Hour)
		expectPhase(t, p, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
		expectCancel(t, p, v1alpha1.ReasonCancelDone)
		if n := w.Sim.Count("", simulator.OpInitiate); n != 1 {
			t.Errorf("%s: asked for money %d times", provider, n)
		}
	}
}

func TestCancelIsSeenBeforeTheSend(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "mtn", "1901")
	w.Freeze() // the cache does not show the switch
	w.callOff("sale")
	w.step("sale")
	if n := w.Sim.Count("", simulator.OpInitiate); n != 0 {
		t.Fatalf("asked for money %d times", n)
	}
	w.Stale, w.Errs = nil, nil
	expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
}

func TestCancelOpenSession(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "wave", "1907")
	w.until("sale", time.Minute, never)
	url := w.get("sale").Status.NextAction.URL
	w.callOff("sale")
	w.step("sale")
	w.step("sale")
	if w.get("sale").Status.NextAction != nil {
		t.Error("the page is still published")
	}
	p := w.settle("sale", time.Hour)
	expectPhase(t, p, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
	expectCancel(t, p, v1alpha1.ReasonCancelDone)
	if w.Sim.Pay(url) == nil || w.charges("sale") != 0 {
		t.Error("it can still be paid")
	}
}

func TestCancelRacesThePayer(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "wave", "1907")
	w.until("sale", time.Minute, never)
	url, paid := w.get("sale").Status.NextAction.URL, false
	w.Sim.BeforeProcess(func(r simulator.Request) {
		if r.Op == simulator.OpExpire && !paid {
			paid = true
			must(t, w.Sim.Pay(url))
		}
	})
	w.callOff("sale")
	expectCancel(t, w.paidOnce(), v1alpha1.ReasonCancelTooLate)
}

func TestCancelNotSupported(t *testing.T) {
	for _, provider := range []string{"mtn", "orange"} {
		w := newWorld(t)
		w.payment("sale", provider, "1907")
		w.until("sale", time.Minute, never)
		reference := w.get("sale").Status.ProviderReference
		w.callOff("sale")
		w.until("sale", time.Minute, never)
		p := w.get("sale")
		expectPhase(t, p, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		expectCancel(t, p, v1alpha1.ReasonCancelNotSupported)
		must(t, w.Sim.Pay(reference))
		p = w.settle("sale", time.Hour)
		expectPhase(t, p, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		expectCancel(t, p, v1alpha1.ReasonCancelTooLate)
	}
}

func TestCancelWhileUnanswered(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for name, processed := range map[string]bool{"arrived": true, "lost": false} {
			w := newWorld(t)
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Cut: true, Unprocessed: !processed, Times: 1})
			w.payment("sale", provider, "1907")
			w.until("sale", time.Second, never)
			w.callOff("sale")
			w.until("sale", 10*time.Minute, never)
			p := w.get("sale")
			want := v1alpha1.PhaseCancelled
			if provider == "mtn" {
				want = v1alpha1.PhaseProcessing // the phone rang, or it may have
			}
			if p.Status.Phase != want || w.Sim.Count("", simulator.OpInitiate) != 1 {
				t.Errorf("%s, %s: %s (%+v) after %d requests", provider, name, p.Status.Phase, p.Status.Conditions, w.Sim.Count("", simulator.OpInitiate))
			}
		}
	}
}
