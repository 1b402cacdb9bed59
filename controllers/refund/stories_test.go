package refund

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

func TestWholeRefund(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		w.refund("back", "sale", "")
		w.settle("back", time.Hour)
		r := w.get("back")
		expect(t, r, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if got := w.givenBack("sale"); got != "5000" {
			t.Errorf("%s: %s given back", provider, got)
		}
		if r.Status.Amount != "5000" || r.Status.CompletedAt == nil || r.Status.InitiatedAt == nil || r.Status.ChargeName != w.charge("sale").Name {
			t.Errorf("%s: status %+v", provider, r.Status)
		}
		if n := w.sends("back"); n != 1 {
			t.Errorf("%s: %d sends", provider, n)
		}
		assertProjection(t, w, "back")
	}
}

func (w *world) sends(refund string) int32 { return claimOf(w.charge("sale"), refund).Sends }

// assertProjection: projecting again changes nothing.
func assertProjection(t *testing.T, w *world, name string) {
	t.Helper()
	before := w.get(name).ResourceVersion
	w.step(name)
	if after := w.get(name); after.ResourceVersion != before {
		t.Errorf("projected again, the status changed: %+v", after.Status)
	}
}

// Parts are given back until nothing is left.
func TestPartialRefunds(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	for i, amount := range []string{"1500", "3000", "500"} {
		name := fmt.Sprintf("back-%d", i)
		w.refund(name, "sale", amount)
		w.settle(name, time.Hour)
		expect(t, w.get(name), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	}
	w.refund("more", "sale", "1")
	w.settle("more", time.Hour)
	expect(t, w.get("more"), v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
	if got := w.givenBack("sale"); got != "5000" {
		t.Errorf("%s given back", got)
	}
	references := map[string]bool{}
	for _, c := range w.charge("sale").Record.Refunds {
		references[c.Reference] = true
	}
	if len(references) != 3 {
		t.Errorf("references %v", references)
	}
}

// What cannot be given back is refused before anything is written or sent.
func TestRefused(t *testing.T) {
	tests := map[string]struct {
		provider, amount string
		reason           v1alpha1.Reason
	}{
		"more than was paid":     {"mtn", "5001", v1alpha1.ReasonExceedsPayment},
		"more, at Wave":          {"wave", "5001", v1alpha1.ReasonPartialRefundNotSupported},
		"a part, at Wave":        {"wave", "4999", v1alpha1.ReasonPartialRefundNotSupported},
		"more, by hand":          {"orange", "5001", v1alpha1.ReasonExceedsPayment},
		"decimals in XOF":        {"mtn", "10.50", v1alpha1.ReasonInvalidRequest},
		"decimals, by hand":      {"orange", "10.50", v1alpha1.ReasonInvalidRequest},
		"decimals in XOF, Wave":  {"wave", "10.50", v1alpha1.ReasonInvalidRequest},
		"more digits than money": {"mtn", "999999999999", v1alpha1.ReasonExceedsPayment},
	}
	for name, tt := range tests {
		w := newWorld(t)
		w.pay("sale", tt.provider, "5000")
		calls := len(w.sim.Journal())
		w.refund("back", "sale", tt.amount)
		w.settle("back", time.Hour)
		r := w.get("back")
		expect(t, r, v1alpha1.RefundFailed, tt.reason)
		if r.Status.Failure == nil || r.Status.Failure.Reason != tt.reason || r.Status.CompletedAt == nil {
			t.Errorf("%s: status %+v", name, r.Status)
		}
		if len(w.sim.Journal()) != calls || len(w.charge("sale").Record.Refunds) != 0 {
			t.Errorf("%s: something was written or sent", name)
		}
	}
}

// Only what succeeded is given back.
func TestPaymentThatDidNotSucceed(t *testing.T) {
	w := newWorld(t)
	if p := w.pay("sale", "mtn", "1906"); p.Status.Phase == v1alpha1.PhaseSucceeded {
		t.Fatalf("%+v", p.Status)
	}
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundFailed, v1alpha1.ReasonPaymentNotSucceeded)
	if n := w.sim.Count(simulator.MTN, simulator.OpRefund); n != 0 {
		t.Errorf("%d calls", n)
	}
}

// A Refund may be applied before its Payment, and waits for it.
func TestRefundWaitsForThePayment(t *testing.T) {
	w := newWorld(t)
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound)
	w.pay("sale", "mtn", "5000")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// Without the product's credentials a refund waits, and goes on once they are there.
func TestNotConfigured(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	var secret corev1.Secret
	key := types.NamespacedName{Namespace: shop, Name: "mtn"}
	must(t, w.api.Get(w.ctx, key, &secret))
	whole := secret.DeepCopy()
	delete(secret.Data, "disbursementSubscriptionKey")
	must(t, w.api.Update(w.ctx, &secret))
	w.refund("back", "sale", "")
	w.settle("back", time.Minute)
	r := w.get("back")
	expect(t, r, v1alpha1.RefundPending, v1alpha1.ReasonRefundNotConfigured)
	if m := condition(r, v1alpha1.ConditionReconciling).Message; !strings.Contains(m, "disbursementSubscriptionKey") {
		t.Errorf("message %q", m)
	}
	if len(w.charge("sale").Record.Refunds) != 0 {
		t.Error("claimed what cannot be asked for")
	}
	must(t, w.api.Get(w.ctx, key, &secret))
	secret.Data = whole.Data
	must(t, w.api.Update(w.ctx, &secret))
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

func (w *world) confirm(name string, outcome v1alpha1.ConfirmedOutcome) {
	w.t.Helper()
	r := w.get(name)
	r.Spec.Confirmation = &v1alpha1.RefundConfirmation{Outcome: outcome, ConfirmedBy: "awa@example.com", TransactionID: "RC2611.1", Note: "seen in the portal"}
	r.Generation++
	must(w.t, w.api.Update(w.ctx, r))
}

// Orange has no refunds: a person makes them, and what the person says is kept.
func TestManualRefund(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	calls := len(w.sim.Journal())
	w.refund("back", "sale", "3000")
	w.settle("back", time.Hour)
	r := w.get("back")
	expect(t, r, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	for _, part := range []string{"3000 OUV", w.payment("sale").Status.TransactionID, w.payment("sale").Status.ProviderReference, "kubectl patch refund back -n shop", "confirmedBy"} {
		if !strings.Contains(r.Status.Instructions, part) {
			t.Errorf("instructions lack %q: %s", part, r.Status.Instructions)
		}
	}
	assertProjection(t, w, "back")
	// A claim by hand counts like any other.
	w.refund("more", "sale", "2001")
	w.settle("more", time.Hour)
	expect(t, w.get("more"), v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)

	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settle("back", time.Hour)
	r = w.get("back")
	expect(t, r, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	if r.Status.ConfirmedBy != "awa@example.com" || r.Status.TransactionID != "RC2611.1" || r.Status.Instructions != "" || r.Status.ObservedGeneration != 2 {
		t.Errorf("status %+v", r.Status)
	}
	kept := claimOf(w.charge("sale"), "back").Outcome.Confirmation
	if kept == nil || kept.ConfirmedBy != "awa@example.com" || kept.Note != "seen in the portal" {
		t.Errorf("kept %+v", kept)
	}
	if len(w.sim.Journal()) != calls {
		t.Error("the provider was called")
	}
}

func TestManualRefundThatIsNotMade(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	w.confirm("back", v1alpha1.ConfirmedNotRefunded)
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
	w.refund("again", "sale", "")
	w.settle("again", time.Hour)
	expect(t, w.get("again"), v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
}

// A confirmation decides nothing where the provider can be asked.
func TestConfirmationIsNoShortcut(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "PENDING"}})
	w.refund("back", "sale", "")
	w.settle("back", 10*time.Minute)
	w.confirm("back", v1alpha1.ConfirmedNotRefunded)
	w.settle("back", 10*time.Minute)
	expect(t, w.get("back"), v1alpha1.RefundProcessing, v1alpha1.ReasonAwaitingProvider)
}

// What the provider does not decide becomes Unknown, and a person settles it.
func TestUnknownIsSettledByAPerson(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "PENDING"}})
	w.refund("back", "sale", "")
	w.settle("back", 2*time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
	if n := w.sends("back"); n != 1 {
		t.Errorf("%d sends", n)
	}
	w.refund("more", "sale", "1")
	w.settle("more", time.Minute)
	expect(t, w.get("more"), v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// A late answer settles it, too.
func TestUnknownIsWatched(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "PENDING"}})
	w.refund("back", "sale", "")
	w.settle("back", 2*time.Hour)
	w.sim.ClearScripts()
	w.settle("back", 5*time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// Success needs the amount, currency and reference that were sent.
func TestEchoDiffers(t *testing.T) {
	for field, value := range map[string]any{"amount": "5001", "currency": "XAF", "externalId": "00000000-0000-4000-8000-000000000000"} {
		w := newWorld(t)
		w.pay("sale", "mtn", "5000")
		w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{field: value}})
		w.refund("back", "sale", "")
		w.settle("back", 30*time.Minute)
		expect(t, w.get("back"), v1alpha1.RefundUnknown, v1alpha1.ReasonAmountMismatch)
	}
}

func TestUnknownWordStaysProcessing(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "ONGOING"}})
	w.refund("back", "sale", "")
	w.settle("back", 30*time.Minute)
	expect(t, w.get("back"), v1alpha1.RefundProcessing, v1alpha1.ReasonUnrecognizedStatus)
}

// A provider that says no has given nothing back, and the amount is free again.
func TestProviderRefuses(t *testing.T) {
	tests := map[string]struct {
		provider string
		times    int
		refusal  simulator.Behaviour
	}{
		"mtn, at once":  {"mtn", 1, simulator.Behaviour{Unprocessed: true, Status: 400}},
		"wave, at once": {"wave", 1, simulator.Behaviour{Unprocessed: true, Status: 409, Body: text(`{"code":"checkout-refund-failed","message":"no"}`)}},
		"mtn, later":    {"mtn", 0, simulator.Behaviour{Set: map[string]any{"status": "FAILED", "reason": "NOT_ENOUGH_FUNDS"}}},
	}
	for name, tt := range tests {
		w := newWorld(t)
		w.pay("sale", tt.provider, "5000")
		tt.refusal.Times = tt.times
		w.sim.Script(simulator.Match{Op: simulator.OpRefund}, tt.refusal)
		w.refund("back", "sale", "")
		w.settle("back", time.Hour)
		if r := w.get("back"); r.Status.Phase != v1alpha1.RefundFailed || r.Status.Failure == nil {
			t.Fatalf("%s: %+v", name, r.Status)
		}
		assertProjection(t, w, "back")
		w.sim.ClearScripts()
		if tt.times == 0 {
			continue
		}
		w.refund("again", "sale", "")
		w.settle("again", time.Hour)
		expect(t, w.get("again"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if got := w.givenBack("sale"); got != "5000" {
			t.Errorf("%s: %s given back", name, got)
		}
	}
}

func text(s string) *string { return &s }

// A lost answer is found out about; nothing is given back twice.
func TestLostAnswers(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		for name, b := range map[string]simulator.Behaviour{
			"processed":     {Cut: true, Times: 1},
			"not processed": {Cut: true, Unprocessed: true, Times: 1},
			"late":          {Late: time.Minute, Times: 1},
			"twice":         {Twice: true, Times: 1},
			"500 processed": {Status: 500, Body: text("<html>"), Times: 1},
			"throttled":     {Status: 429, Unprocessed: true, Times: 1},
		} {
			w := newWorld(t, func(o *simulator.Options) { o.MTN.UncappedRefunds = true })
			w.pay("sale", provider, "5000")
			w.sim.Script(simulator.Match{Op: simulator.OpRefund}, b)
			w.refund("back", "sale", "")
			w.settle("back", time.Hour)
			if r := w.get("back"); r.Status.Phase != v1alpha1.RefundSucceeded || w.givenBack("sale") != "5000" {
				t.Errorf("%s, %s: %s with %s given back: %v", provider, name, r.Status.Phase, w.givenBack("sale"), w.points)
			}
		}
	}
}

// Deleting a Refund is no way to give money back, or to lose track of it.
func TestDeletedRefunds(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		for steps := range 8 {
			w := newWorld(t)
			w.pay("sale", provider, "5000")
			r := w.refund("back", "sale", "")
			for range steps {
				w.step("back")
			}
			must(t, w.api.Delete(w.ctx, r))
			asked := claimOf(w.charge("sale"), "back")
			w.settle("back", time.Hour)
			claim := claimOf(w.charge("sale"), "back")
			switch {
			case claim == nil && w.givenBack("sale") == "0":
			case claim == nil || claim.Outcome == nil:
				t.Fatalf("%s, after %d steps: claim %+v with %s given back", provider, steps, claim, w.givenBack("sale"))
			case asked.Sends == 0 && (claim.Outcome.Reason != v1alpha1.ReasonRefundWithdrawn || w.givenBack("sale") != "0"):
				t.Fatalf("%s, after %d steps: %+v with %s given back", provider, steps, claim.Outcome, w.givenBack("sale"))
			case asked.Sends > 0 && (claim.Outcome.Phase != v1alpha1.RefundSucceeded || w.givenBack("sale") != "5000"):
				t.Fatalf("%s, after %d steps: %+v with %s given back", provider, steps, claim.Outcome, w.givenBack("sale"))
			}
		}
	}
}

// Deleting the Payment gives nothing back, and stops no refund.
func TestDeletedPayment(t *testing.T) {
	w := newWorld(t)
	p := w.pay("sale", "mtn", "5000")
	w.refund("back", "sale", "")
	w.step("back") // claimed
	must(t, w.api.Delete(w.ctx, p))
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	w.refund("more", "sale", "")
	w.settle("more", time.Hour)
	expect(t, w.get("more"), v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound)
}

// Applied again under the same name, a Refund takes up what was done for it.
func TestAppliedAgain(t *testing.T) {
	for steps := range 8 {
		w := newWorld(t)
		w.pay("sale", "mtn", "5000")
		r := w.refund("back", "sale", "3000")
		for range steps {
			w.step("back")
		}
		must(t, w.api.Delete(w.ctx, r))
		w.clock.Add(time.Second)
		w.refund("back", "sale", "3000")
		w.settle("back", time.Hour)
		expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if got := w.givenBack("sale"); got != "3000" {
			t.Fatalf("after %d steps: %s given back", steps, got)
		}
	}
}

func TestSameNameOtherAmount(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	r := w.refund("back", "sale", "3000")
	w.settle("back", time.Hour)
	must(t, w.api.Delete(w.ctx, r))
	w.refund("back", "sale", "1000")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundFailed, v1alpha1.ReasonRefundConflict)
	if got := w.givenBack("sale"); got != "3000" {
		t.Errorf("%s given back", got)
	}
}

// A Refund of the same name about another Payment is another one, and the first
// is still followed.
func TestSameNameOtherPayment(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.pay("other", "mtn", "7000")
	r := w.refund("back", "sale", "")
	for range 3 {
		w.step("back")
	}
	must(t, w.api.Delete(w.ctx, r))
	w.refund("back", "other", "")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	if w.givenBack("sale") != "5000" || w.givenBack("other") != "7000" {
		t.Errorf("%s and %s given back", w.givenBack("sale"), w.givenBack("other"))
	}
	if o := claimOf(w.charge("sale"), "back").Outcome; o == nil || o.Phase != v1alpha1.RefundSucceeded {
		t.Errorf("outcome %+v", o)
	}
}

// After a restore nothing is sent for what may be old.
func TestRestored(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		w.refund("back", "sale", "", func(r *v1alpha1.Refund) { r.Labels = map[string]string{v1alpha1.LabelRestore: "backup"} })
		w.settle("back", time.Hour)
		expect(t, w.get("back"), v1alpha1.RefundPending, v1alpha1.ReasonAdoptOnly)
		if got := w.givenBack("sale"); got != "0" {
			t.Errorf("%s: %s given back", provider, got)
		}
	}
}

// A Charge that is older than what its Refund says was sent: the provider is
// asked, and nothing is sent again.
func TestRecordLost(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		before := w.charge("sale")
		w.refund("back", "sale", "")
		for w.get("back").Status.InitiatedAt == nil {
			w.step("back")
		}
		rewound := w.charge("sale")
		rewound.Record = before.Record
		must(t, w.api.Update(w.ctx, rewound))
		w.start()
		w.settle("back", time.Hour)
		if n := w.sim.Count("", simulator.OpRefund); w.givenBack("sale") != "5000" || w.get("back").Status.Phase != v1alpha1.RefundSucceeded {
			t.Errorf("%s: %s given back, %s after %d calls", provider, w.givenBack("sale"), w.get("back").Status.Phase, n)
		}
		if n := w.sends("back"); n != 0 {
			t.Errorf("%s: sent again", provider)
		}
	}
}

// A cache that is behind leads to no second claim and no second send.
func TestStaleCache(t *testing.T) {
	for steps := range 6 {
		w := newWorld(t, func(o *simulator.Options) { o.MTN.UncappedRefunds = true })
		w.pay("sale", "mtn", "5000")
		w.refund("back", "sale", "")
		for range steps {
			w.step("back")
		}
		w.freeze()
		for range 10 {
			w.step("back")
			w.clock.Add(time.Second)
		}
		w.stale = nil
		w.settle("back", time.Hour)
		expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if w.givenBack("sale") != "5000" || w.sends("back") != 1 {
			t.Fatalf("after %d steps: %s given back with %d sends", steps, w.givenBack("sale"), w.sends("back"))
		}
	}
}

// Two hundred refunds at once give back at most what was paid, whatever the
// provider would give.
func TestTwoHundredAtOnce(t *testing.T) {
	const many, workers = 200, 10
	tests := map[string]struct {
		provider, amount, back string
		succeed                int
	}{
		"parts, mtn":  {"mtn", "150", "4950", 33},
		"whole, mtn":  {"mtn", "", "5000", 1},
		"whole, wave": {"wave", "", "5000", 1},
		"by hand":     {"orange", "150", "0", 33},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *simulator.Options) { o.MTN.UncappedRefunds = true })
			w.pay("sale", tt.provider, "5000")
			queue := make(chan string, many)
			for i := range many {
				queue <- fmt.Sprintf("back-%d", i)
				w.refund(fmt.Sprintf("back-%d", i), "sale", tt.amount)
			}
			close(queue)
			var group sync.WaitGroup
			for range workers {
				group.Go(func() {
					for name := range queue {
						for range 4 {
							// Who loses a race comes back; here as later.
							_, _ = w.loop.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: name}})
						}
					}
				})
			}
			group.Wait()
			succeeded, claimed := 0, []string{}
			for i := range many {
				name := fmt.Sprintf("back-%d", i)
				w.settle(name, time.Hour)
				switch r := w.get(name); r.Status.Phase {
				case v1alpha1.RefundSucceeded, v1alpha1.RefundManualActionRequired:
					succeeded++
					claimed = append(claimed, r.Status.Amount)
				case v1alpha1.RefundFailed:
					expect(t, r, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
				default:
					t.Fatalf("%s: %+v", name, r.Status)
				}
			}
			if got := w.givenBack("sale"); got != tt.back || succeeded != tt.succeed {
				t.Errorf("%d refunds gave back %s; want %d, %s", succeeded, got, tt.succeed, tt.back)
			}
			if providers.CompareAmounts(providers.SumAmounts(claimed...), "5000") > 0 {
				t.Errorf("%v claimed of 5000", providers.SumAmounts(claimed...))
			}
			_, err := w.payments.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Name: testInstallation.ChargeName(shop, "sale")}})
			must(t, err)
			if p := w.payment("sale"); tt.back != "0" && p.Status.Refunded != tt.back || p.Status.Phase != v1alpha1.PhaseSucceeded {
				t.Errorf("the Payment says %q", p.Status.Refunded)
			}
		})
	}
}

// Every write and every call is a place to die at. Whatever happens, the money
// is given back once at most, and the outcome is found again.
func TestCrashAtEveryPoint(t *testing.T) {
	refuse := func(w *world) {
		w.sim.Script(simulator.Match{Provider: simulator.MTN, Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "FAILED"}})
		w.sim.Script(simulator.Match{Provider: simulator.Wave, Op: simulator.OpRefund}, simulator.Behaviour{
			Unprocessed: true, Status: 409, Body: text(`{"code":"checkout-refund-failed"}`)})
	}
	stories := []struct {
		name, provider, amount, back string
		phase                        v1alpha1.RefundPhase
		arrange                      func(*world)
	}{
		{"whole", "mtn", "", "5000", v1alpha1.RefundSucceeded, nil},
		{"part", "mtn", "1500", "1500", v1alpha1.RefundSucceeded, nil},
		{"whole", "wave", "", "5000", v1alpha1.RefundSucceeded, nil},
		{"refused", "mtn", "", "", v1alpha1.RefundFailed, refuse},
		{"refused", "wave", "", "0", v1alpha1.RefundFailed, refuse},
		{"by hand", "orange", "", "0", v1alpha1.RefundManualActionRequired, nil},
	}
	for _, story := range stories {
		begin := func(t *testing.T) *world {
			w := newWorld(t, func(o *simulator.Options) { o.MTN.UncappedRefunds = true })
			w.pay("sale", story.provider, "5000")
			if story.arrange != nil {
				story.arrange(w)
			}
			w.refund("back", "sale", story.amount)
			return w
		}
		clean := begin(t)
		clean.settle("back", 3*time.Hour)
		expectedReason := condition(clean.get("back"), v1alpha1.ConditionSucceeded).Reason
		expect(t, clean.get("back"), story.phase, expectedReason)
		for n, label := range clean.points {
			for _, fault := range []string{"crash before", "crash after", "answer lost"} {
				t.Run(fmt.Sprintf("%s/%s/%d %s/%s", story.provider, story.name, n, label, fault), func(t *testing.T) {
					t.Parallel()
					w, fired := begin(t), false
					w.onPoint = func(at int, _ string, after bool) error {
						if at != n || fired || after == (fault == "crash before") {
							return nil
						}
						fired = true
						// A token is fetched in a goroutine of its own.
						if fault == "answer lost" || strings.Contains(label, "token") {
							return errInjected
						}
						panic(crash{label})
					}
					w.settle("back", 3*time.Hour)
					if !fired {
						t.Fatal("the fault did not happen")
					}
					expect(t, w.get("back"), story.phase, expectedReason)
					if got := w.givenBack("sale"); story.back != "" && got != story.back {
						t.Fatalf("%s given back: %v", got, w.points)
					}
				})
			}
		}
	}
}

// Rotated credentials may be another merchant's: what may have arrived is not
// sent again with them.
func TestRotatedCredentials(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Unprocessed: true, Cut: true, Times: 1})
	w.refund("back", "sale", "")
	for w.charge("sale").Record.Refunds == nil || w.sends("back") == 0 {
		w.step("back")
	}
	c := w.charge("sale")
	c.Record.Refunds[0].LastSend.Credentials = "others"
	must(t, w.api.Update(w.ctx, c))
	w.settle("back", 30*time.Minute)
	expect(t, w.get("back"), v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
	if n := w.sends("back"); n != 1 {
		t.Errorf("%d sends", n)
	}
}

func TestAdoptOnly(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.settings.AdoptOnly = true
	w.start()
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundPending, v1alpha1.ReasonAdoptOnly)
	w.settings = attempt.DefaultSettings()
	w.start()
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// A record of another version is left alone.
func TestOtherReferenceVersion(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.refund("back", "sale", "")
	w.step("back")
	f := facts{claim: claimOf(w.charge("sale"), "back"), charge: w.charge("sale"), settings: w.settings, refund: w.get("back")}
	f.charge.Spec.ReferenceVersion = "v0"
	if d := decide(f); d.action != actIdle {
		t.Errorf("%+v", d)
	}
}

// A cache that shows the Payment as paid before it shows the Charge: it is looked
// at again, since nothing else would wake the Refund.
func TestCacheShowsThePaymentFirst(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	paid := w.charge("sale")
	behind := paid.DeepCopy()
	behind.Record.Outcome = nil
	must(t, w.api.Update(w.ctx, behind))
	w.freeze()
	fresh := w.charge("sale")
	fresh.Record = paid.Record
	must(t, w.api.Update(w.ctx, fresh))
	r := w.refund("back", "sale", "")
	must(t, w.stale.(interface {
		Create(context.Context, client.Object, ...client.CreateOption) error
	}).Create(w.ctx, &v1alpha1.Refund{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "back", UID: r.UID}, Spec: r.Spec}))
	w.step("back")
	if _, again := w.step("back"); !again {
		t.Fatal("nothing would look again")
	}
	w.stale = nil
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// A Payment that took up the charge of an earlier one, under another name, can
// be given back like any other.
func TestRefundOfAnAdoptedPayment(t *testing.T) {
	w := newWorld(t)
	must(t, w.api.Delete(w.ctx, w.pay("sale", "mtn", "5000")))
	adopted := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "adopted", Generation: 1, UID: "uid-adopted", CreationTimestamp: metav1.NewTime(w.clock.Now())},
		Spec:       v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.NewAmount("5000"), Phone: "+2250501020304", Reference: "sale", TimeoutSeconds: 3600},
	}
	must(t, w.api.Create(w.ctx, adopted))
	for range 5 {
		_, err := w.payments.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Name: testInstallation.ChargeName(shop, "sale")}})
		must(t, err)
	}
	w.refund("back", "adopted", "")
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	if got := w.givenBack("sale"); got != "5000" {
		t.Errorf("%s given back", got)
	}
}

// A cache that does not show yet what was answered leads to one question more at
// most, however long it is behind.
func TestStaleCacheDoesNotAskForEver(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		w.sim.Script(simulator.Match{Op: simulator.OpRefund, Method: "POST"}, simulator.Fail(400, false))
		updates := 0
		w.onPoint = func(_ int, label string, after bool) error {
			if label == "update charge" && !after {
				if updates++; updates == 4 {
					w.freeze() // it shows the refusal, and never that it was confirmed
				}
			}
			return nil
		}
		w.refund("back", "sale", "")
		w.settle("back", 20*time.Second)
		questions := 0
		for _, label := range w.points {
			if label == "call refund-status" {
				questions++
			}
		}
		if updates < 4 || questions > 2 {
			t.Errorf("%s: %d questions in 20 s: %v", provider, questions, w.points)
		}
	}
}
