package refund

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// change edits the record of a sale, as another process would.
func (w *world) change(paymentName string, edit func(*v1alpha1.Charge)) {
	w.t.Helper()
	c := w.charge(paymentName)
	edit(c)
	must(w.t, w.api.Update(w.ctx, c))
}

// sent steps until the refund "back" of "sale" was sent.
func (w *world) sent() {
	w.t.Helper()
	for claimOf(w.charge("sale"), "back") == nil || w.sends("back") == 0 {
		w.step("back")
	}
}

// payAgain makes a Payment under another reference or name, and lets it be paid.
func (w *world) payAgain(name, reference string) {
	w.t.Helper()
	must(w.t, w.api.Create(w.ctx, &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Generation: 1, UID: types.UID("uid-" + name + "-" + reference), CreationTimestamp: metav1.NewTime(w.clock.Now())},
		Spec:       v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.NewAmount("5000"), Phone: "+2250501020304", Reference: reference, TimeoutSeconds: 3600},
	}))
	for range 100 {
		_, err := w.payments.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Name: testInstallation.ChargeName(shop, reference)}})
		must(w.t, err)
		if w.payment(name).Status.Phase == v1alpha1.PhaseSucceeded {
			return
		}
		w.clock.Add(time.Minute)
		w.sim.Tick()
	}
	w.t.Fatalf("%s was not paid", name)
}

// A provider that this operator does not know, or a record of another version,
// is left alone. Above all nobody is told to give by hand what was sent.
func TestWhatIsNotKnownIsLeftAlone(t *testing.T) {
	for name, forget := range map[string]func(*world){
		"provider": func(w *world) { delete(w.loop.Accounts.Registry, "mtn") },
		"version":  func(w *world) { w.change("sale", func(c *v1alpha1.Charge) { c.Spec.ReferenceVersion = "v0" }) },
	} {
		for _, sent := range []bool{true, false} {
			w := newWorld(t)
			w.pay("sale", "mtn", "5000")
			w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Cut: true})
			w.refund("back", "sale", "")
			want, claims := v1alpha1.RefundPending, 0
			if sent {
				w.sent()
				want, claims = v1alpha1.RefundProcessing, 1
			}
			forget(w)
			w.settle("back", time.Hour)
			expect(t, w.get("back"), want, v1alpha1.ReasonProviderNotSupported)
			w.confirm("back", v1alpha1.ConfirmedRefunded)
			w.settle("back", time.Hour)
			expect(t, w.get("back"), want, v1alpha1.ReasonProviderNotSupported)
			if n := len(w.charge("sale").Record.Refunds); n != claims {
				t.Errorf("%s: %d claims", name, n)
			}
			assertProjection(t, w, "back")
		}
	}
}

// A Refund stays with the Charge of which it claimed, also when the Payment that
// took that Charge up is gone.
func TestAdoptedPaymentIsDeleted(t *testing.T) {
	w := newWorld(t)
	must(t, w.api.Delete(w.ctx, w.pay("sale", "mtn", "5000")))
	w.payAgain("adopted", "sale")
	w.refund("back", "adopted", "")
	w.step("back")
	must(t, w.api.Delete(w.ctx, w.payment("adopted")))
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// The name of a Payment may come to stand for another sale. A Refund stays with
// the sale of which it claimed; a new one is about the new sale.
func TestPaymentNameOfAnotherSale(t *testing.T) {
	for name, steps := range map[string]int{"claimed": 1, "done": 20} {
		w := newWorld(t)
		p := w.pay("sale", "mtn", "5000")
		r := w.refund("back", "sale", "")
		for range steps {
			w.step("back")
			w.clock.Add(10 * time.Second)
		}
		must(t, w.api.Delete(w.ctx, p))
		w.payAgain("sale", "other")
		w.settle("back", time.Hour)
		expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if first, second := w.givenBack("sale"), w.givenBack("other"); first != "5000" || second != "0" {
			t.Fatalf("%s: %s and %s given back", name, first, second)
		}
		must(t, w.api.Delete(w.ctx, r))
		w.refund("back", "sale", "")
		w.settle("back", time.Hour)
		expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if first, second := w.givenBack("sale"), w.givenBack("other"); first != "5000" || second != "5000" {
			t.Fatalf("%s, again: %s and %s given back", name, first, second)
		}
	}
}

// Another process's clock was ahead: nothing is asked in a loop, nor put off
// until the clocks agree.
func TestClockThatWasAhead(t *testing.T) {
	const ahead = 6 * time.Hour
	for name, edit := range map[string]func(*v1alpha1.ChargeRefund){
		"sent": func(c *v1alpha1.ChargeRefund) {
			c.LastSend.Sender, c.LastSend.At = "other", metav1.NewMicroTime(c.LastSend.At.Add(ahead))
		},
		"taken": func(c *v1alpha1.ChargeRefund) {
			at := metav1.NewMicroTime(c.LastSend.At.Add(ahead))
			c.Taken = &at
		},
	} {
		w := newWorld(t)
		w.pay("sale", "mtn", "5000")
		w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Cut: true, Times: 1})
		w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Set: map[string]any{"status": "PENDING"}, Times: 3})
		w.refund("back", "sale", "")
		w.sent()
		w.change("sale", func(c *v1alpha1.Charge) { edit(claimOf(c, "back")) })
		w.start()
		calls := len(w.sim.Journal())
		w.settle("back", 20*time.Minute)
		if n := len(w.sim.Journal()) - calls; n > 200 {
			t.Errorf("%s: %d calls", name, n)
		}
		expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	}
}

// However long the provider is down, the questions keep their distance.
func TestQuestionsKeepTheirDistance(t *testing.T) {
	at := metav1.NewMicroTime(noon.Add(-2 * followedFor))
	claim := v1alpha1.ChargeRefund{Name: "back", Sends: 1, LastSend: &v1alpha1.Send{Number: 1, At: at}, Taken: &at}
	w := facts{now: noon, settings: attempt.DefaultSettings(), charge: paidCharge("5000"), claim: &claim, mode: providers.RefundPartial, interval: time.Minute}
	w.seen = observation{at: noon, failures: 10}
	if d := decide(w); d.action != actWait || d.after != w.settings.RetryMax {
		t.Errorf("%+v", d)
	}
}

// Other credentials may be another merchant's, who knows nothing of the refund:
// that it is not found there frees nothing.
func TestRotatedCredentialsFreeNothing(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Cut: true, Times: 1})
	w.sim.Script(simulator.Match{Op: simulator.OpRefund}, simulator.Behaviour{Unprocessed: true, Status: 404})
	r := w.refund("back", "sale", "")
	w.sent()
	must(t, w.api.Delete(w.ctx, r))
	w.change("sale", func(c *v1alpha1.Charge) { claimOf(c, "back").LastSend.Credentials = "others" })
	w.settle("back", time.Hour)
	claim := claimOf(w.charge("sale"), "back")
	if w.givenBack("sale") != "5000" || claim.Outcome != nil || claim.Hold == nil {
		t.Errorf("%s given back, and the claim says %+v, %+v", w.givenBack("sale"), claim.Outcome, claim.Hold)
	}
}

// Two processes at once: one finds that nothing is left and says so; for the
// other, who looks a moment later, something is. A Refund that says Failed is
// never sent.
func TestRefusedByOneClaimedByTheOther(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.refund("all", "sale", "")
	w.step("all")
	w.refund("back", "sale", "")
	first := w.loop
	w.start()
	second, inside := w.loop, false
	w.onPoint = func(_ int, label string, after bool) error {
		switch {
		case after || label != "update refund status":
			return nil
		case inside: // the first one's status comes first
			return apierrors.NewConflict(schema.GroupResource{}, "back", errInjected)
		}
		inside = true
		w.change("sale", func(c *v1alpha1.Charge) { foldWithdrawn("all", 0, w.clock.Now())(c) })
		_, err := second.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: "back"}})
		w.onPoint = nil
		return err
	}
	_, err := first.Reconcile(w.ctx, ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: "back"}})
	must(t, err)
	if claimOf(w.charge("sale"), "back") == nil {
		t.Fatal("the second one claimed nothing")
	}
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
	if got := w.givenBack("sale"); got != "0" {
		t.Errorf("%s given back", got)
	}
	w.refund("again", "sale", "")
	w.settle("again", time.Hour)
	expect(t, w.get("again"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// What a restored Refund tells its user to do works.
func TestAdviceAfterARestore(t *testing.T) {
	restored := func(r *v1alpha1.Refund) { r.Labels = map[string]string{v1alpha1.LabelRestore: "backup"} }
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	r := w.refund("back", "sale", "", restored)
	w.settle("back", time.Hour)
	if m := condition(w.get("back"), v1alpha1.ConditionSucceeded).Message; !strings.Contains(m, "delete this one") {
		t.Errorf("message %q", m)
	}
	must(t, w.api.Delete(w.ctx, r))
	w.settle("back", time.Hour)
	w.refund("again", "sale", "")
	w.settle("again", time.Hour)
	expect(t, w.get("again"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)

	// By hand, the label has to go before a confirmation counts.
	w.pay("other", "orange", "5000")
	w.refund("by-hand", "other", "", restored)
	w.settle("by-hand", time.Hour)
	if text := w.get("by-hand").Status.Instructions; !strings.Contains(text, "kubectl label refund by-hand -n shop "+v1alpha1.LabelRestore+"-") {
		t.Errorf("instructions %q", text)
	}
	w.confirm("by-hand", v1alpha1.ConfirmedRefunded)
	w.settle("by-hand", time.Hour)
	expect(t, w.get("by-hand"), v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	named := w.get("by-hand")
	named.Labels = nil
	must(t, w.api.Update(w.ctx, named))
	w.settle("by-hand", time.Hour)
	expect(t, w.get("by-hand"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}
