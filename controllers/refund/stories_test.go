package refund

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// Providers that give back by their API.
var automatic = []string{"mtn", "wave"}

// Requests to give back, and questions how that went.
var (
	sending = simulator.Match{Op: simulator.OpRefund, Method: "POST"}
	asking  = simulator.Match{Op: simulator.OpRefund, Method: "GET"}
	pending = simulator.Behaviour{Set: map[string]any{"status": "PENDING"}}
	silent  = simulator.Behaviour{Status: 500, Body: text("<html>")}
)

func text(s string) *string { return &s }

func TestRefund_GivesBackTheWholeOnce(t *testing.T) {
	for _, provider := range automatic {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		w.refund("back", "sale", "")
		w.succeeds("back", "sale", "5000")
		r, e := w.get("back"), w.entry("back")
		if r.Status.Amount != "5000" || r.Status.CompletedAt == nil || r.Status.InitiatedAt == nil || r.Status.ChargeName != w.charge("sale").Name || e.Sends != 1 {
			t.Errorf("%s: status %+v, %d sends", provider, r.Status, e.Sends)
		}
		w.projectsTheSame("back")
	}
}

// projectsTheSame: what is recorded was projected, and projecting it again changes nothing.
func (w *world) projectsTheSame(name string) {
	w.T.Helper()
	before := w.get(name).ResourceVersion
	w.step(name)
	if after := w.get(name); after.ResourceVersion != before {
		w.T.Errorf("projected again, the status changed: %+v", after.Status)
	}
}

func TestRefund_RefusedBeforeAnythingIsSent(t *testing.T) {
	for name, tt := range map[string]struct {
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
	} {
		w := newWorld(t)
		w.pay("sale", tt.provider, "5000")
		calls := len(w.Sim.Journal())
		w.refund("back", "sale", tt.amount)
		w.settled("back", time.Hour, v1alpha1.RefundFailed, tt.reason)
		if r := w.get("back"); r.Status.Failure == nil || r.Status.Failure.Reason != tt.reason || r.Status.CompletedAt == nil {
			t.Errorf("%s: status %+v", name, r.Status)
		}
		if len(w.Sim.Journal()) != calls || len(w.charge("sale").Record.Refunds) != 0 {
			t.Errorf("%s: something was written or sent", name)
		}
	}
}

func TestRefund_WaitsForItsPayment(t *testing.T) {
	w := newWorld(t)
	w.refund("back", "sale", "")
	w.settled("back", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound)
	w.refund("none", "failed", "")
	w.pay("failed", "mtn", "1906")
	w.settled("none", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonPaymentNotSucceeded)
	w.pay("sale", "mtn", "5000")
	if n := w.calls(providers.OpRefund); n != 0 {
		t.Errorf("%d calls", n)
	}
	w.succeeds("back", "sale", "5000")
}

// What the user has to mend is told, nothing is reserved meanwhile, and it continues automatically.
func TestRefund_WaitsForItsAccount(t *testing.T) {
	secret := func(key, value string) func(*world) {
		return func(w *world) {
			w.EditSecret("mtn", func(data map[string][]byte) {
				if data[key] = []byte(value); value == "" {
					delete(data, key)
				}
			})
			w.start() // credentials are kept for a minute
		}
	}
	trust := func(yes bool) func(*world) {
		return func(w *world) {
			if w.Endpoints = nil; yes {
				w.Endpoints = []string{strings.TrimPrefix(w.Sim.URL(), "http://")}
			}
			w.start()
		}
	}
	for name, tt := range map[string]struct {
		reason      v1alpha1.Reason
		harm, amend func(*world)
	}{
		"no credentials for refunds": {
			v1alpha1.ReasonRefundNotConfigured, secret("disbursementSubscriptionKey", ""),
			secret("disbursementSubscriptionKey", simulator.DefaultMTNDisbursementSubscriptionKey),
		},
		"wrong credentials": {
			v1alpha1.ReasonAccountMisconfigured, secret("disbursementAPISecret", "wrong-secret"),
			secret("disbursementAPISecret", simulator.DefaultMTNDisbursementKey),
		},
		"suspended": {
			v1alpha1.ReasonAccountSuspended, func(w *world) { w.Suspend("mtn", true) }, func(w *world) { w.Suspend("mtn", false) },
		},
		"K6e: endpoint not trusted": {v1alpha1.ReasonEndpointNotAllowed, trust(false), trust(true)},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.pay("sale", "mtn", "5000")
			tt.harm(w)
			w.refund("back", "sale", "")
			w.settled("back", time.Hour, v1alpha1.RefundPending, tt.reason)
			if n := len(w.charge("sale").Record.Refunds); n != 0 || w.calls(providers.OpRefund) != 0 || tt.reason == v1alpha1.ReasonEndpointNotAllowed && len(w.Points) != w.Writes {
				t.Errorf("reserved %d, or called: %v", n, w.Points)
			}
			tt.amend(w)
			w.succeeds("back", "sale", "5000")
		})
	}
}

func TestRefund_SuspendedAccount(t *testing.T) {
	for _, provider := range automatic {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		w.refund("back", "sale", "")
		behind := w.Builder(w.API.Scheme()).WithObjects(looptest.Get[v1alpha1.MerchantAccount](w.World, shop, provider)).Build()
		w.Suspend(provider, true)
		w.loop.Accounts.Reader = behind
		w.settled("back", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonAccountSuspended)
		w.givenBack("sale", "0")
		w.Suspend(provider, false)
		w.Sim.Script(sending, simulator.Behaviour{Cut: true, Times: 1})
		w.sent()
		w.Suspend(provider, true)
		w.succeeds("back", "sale", "5000")
	}
}

// Orange has no refunds: a person makes them, and what the person says is kept.
func TestRefund_ByHand(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	calls := len(w.Sim.Journal())
	w.refund("back", "sale", "3000")
	w.settled("back", time.Hour, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	r := w.get("back")
	for _, part := range []string{"3000 OUV", w.payment("sale").Status.TransactionID, w.payment("sale").Status.ProviderReference, "kubectl patch refund back -n shop", "confirmedBy", r.Status.Unknown.ID} {
		if !strings.Contains(r.Status.Instructions, part) {
			t.Errorf("instructions lack %q: %s", part, r.Status.Instructions)
		}
	}
	w.projectsTheSame("back")
	// What is reserved by hand counts like any other.
	w.refund("more", "sale", "2001")
	w.settled("more", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)

	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	if r = w.get("back"); r.Status.ConfirmedBy != "awa@example.com" || r.Status.TransactionID != "RC2611.1" || r.Status.Instructions != "" || r.Status.ObservedGeneration != 2 {
		t.Errorf("status %+v", r.Status)
	}
	if o := w.entry("back").Outcome; o == nil || o.SettledBy != "awa@example.com" || o.Note != "seen in the portal" || o.Paid.Amount != "3000" {
		t.Errorf("kept %+v", o)
	}
	w.refund("rest", "sale", "2000")
	w.settle("rest", time.Hour)
	w.confirm("rest", v1alpha1.ConfirmedNotRefunded)
	w.settled("rest", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
	w.refund("again", "sale", "2000")
	w.settled("again", time.Hour, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	if len(w.Sim.Journal()) != calls {
		t.Error("the provider was called")
	}
}

// Who was told to give back by hand may have done so: what was reserved stays so when
// the Refund is deleted, and another amount is a conflict.
func TestRefund_ByHandStaysReservedWhenDeleted(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	w.Delete(w.get("back"))
	w.settle("back", time.Hour)
	w.refund("other", "sale", "1")
	w.settled("other", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
	w.refund("back", "sale", "1000")
	w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonRefundConflict)
	w.Delete(w.get("back"))
	w.refund("back", "sale", "5000")
	w.settled("back", time.Hour, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// Success needs the amount, currency and reference that were sent, and a known word.
func TestRefund_EchoDiffers(t *testing.T) {
	for field, value := range map[string]any{"amount": "5001", "currency": "XAF", "externalId": "00000000-0000-4000-8000-000000000000"} {
		w := newWorld(t)
		w.pay("sale", "mtn", "5000")
		w.Sim.Script(asking, simulator.Behaviour{Set: map[string]any{field: value}})
		w.refund("back", "sale", "")
		w.settled("back", 30*time.Minute, v1alpha1.RefundUnknown, v1alpha1.ReasonAmountMismatch)
		if reported := w.get("back").Status.Unknown.Reported; field == "amount" && (reported == nil || reported.Amount != "5001") {
			t.Errorf("reported %+v", reported)
		}
	}
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.Sim.Script(asking, simulator.Behaviour{Set: map[string]any{"status": "ONGOING"}})
	w.refund("back", "sale", "")
	w.settled("back", 30*time.Minute, v1alpha1.RefundProcessing, v1alpha1.ReasonUnrecognizedStatus)
}

// A provider that says no has given nothing back: the amount is free again, once it was asked once more.
func TestRefund_ProviderRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		provider string
		match    simulator.Match
		refusal  simulator.Behaviour
		asked    int
	}{
		"mtn, at once":  {"mtn", sending, simulator.Behaviour{Unprocessed: true, Status: 400}, 3},
		"wave, at once": {"wave", sending, simulator.Behaviour{Unprocessed: true, Status: 409, Body: text(`{"code":"checkout-refund-failed","message":"no"}`)}, 1},
		"mtn, later":    {"mtn", asking, simulator.Behaviour{Set: map[string]any{"status": "FAILED", "reason": "NOT_ENOUGH_FUNDS"}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, uncapped)
			w.pay("sale", tt.provider, "5000")
			w.Sim.Script(tt.match, tt.refusal)
			w.refund("back", "sale", "")
			w.settle("back", time.Hour)
			if r := w.get("back"); r.Status.Phase != v1alpha1.RefundFailed || r.Status.Failure == nil || r.Status.Failure.Message == "" {
				t.Fatalf("%+v", r.Status)
			}
			w.projectsTheSame("back")
			w.Clock.Add(time.Second)
			w.refund("again", "sale", "")
			w.until("again", func() bool { return w.entry("back").Later != nil })
			if n := w.calls(providers.OpRefundStatus); n != tt.asked || w.entry("again") != nil {
				t.Errorf("%d questions before %+v", n, w.entry("again"))
			}
			w.Sim.ClearScripts()
			w.settled("again", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		})
	}
}

func TestRefund_PaymentDeleted(t *testing.T) {
	w := newWorld(t)
	p := w.pay("sale", "mtn", "5000")
	w.refund("back", "sale", "3000")
	w.sent()
	w.Delete(p)
	w.succeeds("back", "sale", "3000")
	w.refund("more", "sale", "")
	w.settled("more", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound)
}

// The name of a Refund is the refund: another amount is a conflict, unless nothing was
// sent; about another Payment it is another refund, and the first is still followed.
func TestRefund_SameName(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	r := w.refund("back", "sale", "3000")
	w.Sim.Script(sending, simulator.Behaviour{Status: 429, Unprocessed: true, Times: 1})
	w.until("back", func() bool { return w.calls(providers.OpRefund) == 1 })
	w.Delete(r)
	r = w.refund("back", "sale", "1000")
	w.succeeds("back", "sale", "1000")
	w.Delete(r)
	w.refund("back", "sale", "3000")
	w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonRefundConflict)
	w.givenBack("sale", "1000")

	w.pay("other", "mtn", "7000")
	r = w.refund("first", "sale", "")
	r.Spec.Amount = nil
	w.Delete(r)
	r = w.refund("first", "sale", "2000")
	w.until("first", func() bool { e := w.entry("first"); return e != nil && e.Sends > 0 })
	w.Delete(r)
	w.refund("first", "other", "")
	w.succeeds("first", "other", "7000")
	if o := w.entry("first").Outcome; o == nil || o.Phase != v1alpha1.PhaseSucceeded {
		t.Errorf("outcome %+v", o)
	}
}

// After a restore nothing is sent for what may be old, and what the advice says works.
func TestRefund_Restored(t *testing.T) {
	for _, provider := range automatic {
		w := newWorld(t)
		w.pay("sale", provider, "5000")
		r := w.refund("back", "sale", "", func(r *v1alpha1.Refund) { restored(r) })
		w.settled("back", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonAdoptOnly)
		w.givenBack("sale", "0")
		w.Delete(r)
		w.settle("back", time.Hour)
		w.refund("again", "sale", "")
		w.succeeds("again", "sale", "5000")
	}
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	w.refund("back", "sale", "", func(r *v1alpha1.Refund) { restored(r) })
	w.settle("back", time.Hour)
	if text := w.get("back").Status.Instructions; !strings.Contains(text, "kubectl label refund back -n shop "+v1alpha1.LabelRestore+"-") || !strings.Contains(text, "check before") {
		t.Errorf("instructions %q", text)
	}
	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settled("back", time.Hour, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
	named := w.get("back")
	named.Labels = nil
	must(t, w.API.Update(w.Ctx, named))
	w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}

// A Refund shows a request, and its record is lost: the provider is asked and nothing is
// sent again. Where there is nothing to record it on, a person settles it.
func TestRefund_RecordLost(t *testing.T) {
	for _, provider := range automatic {
		for _, arrived := range []bool{true, false} {
			w := newWorld(t)
			w.pay("sale", provider, "5000")
			before := w.charge("sale")
			w.Sim.Script(sending, simulator.Behaviour{Cut: true, Unprocessed: !arrived, Times: 1})
			w.refund("back", "sale", "")
			w.sent()
			w.change("sale", func(c *v1alpha1.Charge) { c.Record = before.Record })
			w.start()
			if w.settle("back", time.Hour); arrived {
				w.expect("back", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
			} else {
				w.expect("back", v1alpha1.RefundUnknown, v1alpha1.ReasonLostInitiation)
			}
			if w.calls(providers.OpRefund) != 1 || w.entry("back").Sends != 0 {
				t.Errorf("%s: sent again: %v", provider, w.Points)
			}
		}
	}
	for _, outcome := range []v1alpha1.ConfirmedOutcome{v1alpha1.ConfirmedRefunded, v1alpha1.ConfirmedNotRefunded} {
		for name, lose := range map[string]func(*world){
			"Charge gone":       func(w *world) { w.Delete(w.charge("sale")) },
			"amount taken":      func(w *world) { w.edited(func(e *v1alpha1.ChargeRefund) { e.Name, e.Reference = "other", "other" }) },
			"Charge made again": func(w *world) { w.change("sale", func(c *v1alpha1.Charge) { c.Record = v1alpha1.ChargeRecord{} }) },
		} {
			t.Run(name+" "+string(outcome), func(t *testing.T) {
				w := newWorld(t)
				w.pay("sale", "mtn", "5000")
				w.Sim.Script(sending, simulator.Behaviour{Cut: true})
				w.refund("back", "sale", "")
				w.sent()
				lose(w)
				w.start()
				w.settled("back", time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonLostInitiation)
				w.projectsTheSame("back")
				w.confirm("back", outcome)
				w.settle("back", time.Hour)
				want := map[v1alpha1.ConfirmedOutcome]v1alpha1.RefundPhase{v1alpha1.ConfirmedRefunded: v1alpha1.RefundSucceeded, v1alpha1.ConfirmedNotRefunded: v1alpha1.RefundFailed}
				if r := w.get("back"); r.Status.Phase != want[outcome] || r.Status.ConfirmedBy != "awa@example.com" || w.calls(providers.OpRefund) != 1 {
					t.Errorf("%+v", r.Status)
				}
			})
		}
	}
}

// edited changes what the Charge of "sale" holds for "back", as another process may have.
func (w *world) edited(edit func(*v1alpha1.ChargeRefund)) {
	w.T.Helper()
	w.change("sale", func(c *v1alpha1.Charge) { edit(attempt.RefundOf(c, "back")) })
}

// K1a for refunds: what ends a Refund is what the API server says now of its Payment,
// not of an earlier one of that name.
func TestRefund_K1aNotEndedByAnEarlierPayment(t *testing.T) {
	w := newWorld(t)
	failed := w.pay("sale", "mtn", "1906")
	w.refund("back", "sale", "")
	w.Freeze()
	w.Delete(w.charge("sale"))
	w.Delete(failed)
	w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{})
	w.create(&v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "sale"}, Spec: failed.Spec})
	for range 5 {
		w.step("back")
		w.Clock.Add(time.Minute)
	}
	w.expect("back", v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotSucceeded)
}

func TestRelease_NotByAbsenceInACache(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.refund("back", "sale", "")
	w.Sim.Script(sending, simulator.Behaviour{Status: 429, Unprocessed: true, Times: 1})
	w.until("back", func() bool { return w.calls(providers.OpRefund) == 1 })
	w.Stale = w.Builder(w.API.Scheme()).WithObjects(w.charge("sale")).Build()
	for range 5 {
		w.step("back")
	}
	if w.entry("back") == nil {
		t.Fatal("released, though the Refund is there")
	}
	w.Stale = nil
	w.succeeds("back", "sale", "5000")
}

// A Payment that shows as paid before its Charge does: it is looked at again, since nothing else would wake the Refund.
func TestRefund_CacheShowsThePaymentFirst(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	paid := w.charge("sale").Record
	w.change("sale", func(c *v1alpha1.Charge) { c.Record.Outcome = nil })
	w.refund("back", "sale", "")
	w.Freeze()
	w.change("sale", func(c *v1alpha1.Charge) { c.Record = paid })
	w.step("back")
	if wait, again := w.step("back"); !again || wait < time.Second {
		t.Fatalf("looks again: %t, after %s", again, wait)
	}
	w.Stale = nil
	w.succeeds("back", "sale", "5000")
}
