package refund

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// Rows of the list of cases that broke earlier versions, as they are for refunds.

// atEach runs a story for each provider, with a payment of 5000 that was paid.
func atEach(t *testing.T, names []string, story func(t *testing.T, w *world)) {
	for _, provider := range names {
		t.Run(provider, func(t *testing.T) {
			w := newWorld(t, uncapped)
			w.pay("sale", provider, "5000")
			story(t, w)
		})
	}
}

// lose makes of the next request to give back one whose answer is lost.
func (w *world) lose(processed bool) {
	w.Sim.Script(sending, simulator.Behaviour{Cut: true, Unprocessed: !processed, Times: 1})
}

func TestSend_K1bNotForARefundThatWasMadeAgain(t *testing.T) {
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		r := w.refund("back", "sale", "3000")
		w.Freeze()
		w.Delete(r)
		w.refund("back", "sale", "1000")
		for range 3 {
			w.step("back")
		}
		if e := w.entry("back"); e != nil && len(e.Open) > 0 || w.calls(providers.OpRefund) != 0 {
			t.Fatalf("sent: %+v", e)
		}
		w.Stale, w.Errs = nil, nil
		w.succeeds("back", "sale", "1000")
	})
}

func TestRefund_K1cOtherInstallation(t *testing.T) {
	atEach(t, []string{"mtn", "wave", "orange"}, func(t *testing.T, w *world) {
		w.refund("back", "sale", "")
		ours := w.loop
		w.start()
		other := w.loop
		other.Installation.ID = "another"
		w.settled("back", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonInstallationChanged)
		if stalled := meta.FindStatusCondition(w.get("back").Status.Conditions, v1alpha1.ConditionStalled); stalled == nil || len(w.charge("sale").Record.Refunds) != 0 {
			t.Errorf("%+v", w.get("back").Status)
		}
		// Two of them write each status at most once.
		writes := w.Writes
		for range 5 {
			w.loop = ours
			w.settle("back", time.Hour)
			w.loop = other
			w.settle("back", time.Hour)
		}
		if r := w.get("back"); r.Status.Phase != v1alpha1.RefundSucceeded && r.Status.Phase != v1alpha1.RefundManualActionRequired || w.Writes-writes > 8 {
			t.Errorf("%d writes: %+v", w.Writes-writes, r.Status)
		}
	})
}

// A provider that this operator does not know, or a record of another version, is left
// alone. Above all nobody is told to give by hand what was sent.
func TestRefund_WhatIsNotKnownIsLeftAlone(t *testing.T) {
	for name, forget := range map[string]func(*world) v1alpha1.Reason{
		"provider": func(w *world) v1alpha1.Reason {
			delete(w.loop.Accounts.Registry, "mtn")
			return v1alpha1.ReasonProviderNotSupported
		},
		"version": func(w *world) v1alpha1.Reason {
			w.change("sale", func(c *v1alpha1.Charge) { c.Spec.ReferenceVersion = "v0" })
			return v1alpha1.ReasonInstallationChanged
		},
	} {
		for _, sent := range []bool{true, false} {
			w := newWorld(t)
			w.pay("sale", "mtn", "5000")
			w.Sim.Script(sending, simulator.Behaviour{Cut: true})
			w.refund("back", "sale", "")
			phase := v1alpha1.RefundPending
			if sent {
				w.sent()
				phase = v1alpha1.RefundProcessing
			}
			reason, before := forget(w), w.charge("sale").ResourceVersion
			w.settle("back", 48*time.Hour)
			if r := w.get("back"); sent && reason == v1alpha1.ReasonInstallationChanged && r.Status.Phase != phase {
				t.Errorf("%s: %+v", name, r.Status)
			} else if !sent || reason == v1alpha1.ReasonProviderNotSupported {
				w.expect("back", phase, reason)
			}
			if w.projectsTheSame("back"); w.charge("sale").ResourceVersion != before {
				t.Errorf("%s: the Charge was touched", name)
			}
		}
	}
}

func TestRefund_K2OutcomesAreLearnt(t *testing.T) {
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		w.Sim.Script(asking, pending)
		w.refund("back", "sale", "")
		w.settled("back", 2*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		// K2a: the operator is away for 73 h. What it never asked is due at once.
		w.Clock.Add(73 * time.Hour)
		w.Sim.ClearScripts()
		w.start()
		w.settled("back", time.Minute, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	})
	atEach(t, automatic, func(t *testing.T, w *world) {
		// K2b: questions are refused for four days from the deadline on.
		w.lose(true)
		w.refund("back", "sale", "")
		w.sent()
		w.Sim.Script(simulator.Match{Method: "GET"}, simulator.Behaviour{Status: 403})
		w.settle("back", 96*time.Hour)
		w.expect("back", v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		w.Sim.ClearScripts()
		w.settled("back", 24*time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	})
	atEach(t, automatic, func(t *testing.T, w *world) {
		// K2c: silence for ever is for a person.
		w.Sim.Script(simulator.Match{Method: "GET"}, silent)
		w.refund("back", "sale", "")
		w.settled("back", 12*time.Hour, v1alpha1.RefundProcessing, v1alpha1.ReasonProviderUnreachable)
		w.settled("back", 48*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		w.confirm("back", v1alpha1.ConfirmedRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if n := w.calls(providers.OpRefund); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}

// K2d: Refund, account and Secret are gone. One last question is asked with credentials
// that are still in memory; else it is noted on the Charge.
func TestRefund_K2dNamespaceDeleted(t *testing.T) {
	for _, remembered := range []bool{true, false} {
		atEach(t, automatic, func(t *testing.T, w *world) {
			w.lose(true)
			r := w.refund("back", "sale", "")
			w.sent()
			provider := w.charge("sale").Spec.Provider
			w.Delete(r)
			w.Delete(looptest.Get[v1alpha1.MerchantAccount](w.World, shop, provider))
			w.Delete(looptest.Get[corev1.Secret](w.World, shop, provider))
			if !remembered {
				w.start()
			}
			w.settle("back", 48*time.Hour)
			e := w.entry("back")
			switch {
			case remembered && (e.Outcome == nil || e.Outcome.Phase != v1alpha1.PhaseSucceeded):
				t.Errorf("not learnt: %+v", e)
			case !remembered && (e.Notice == nil || e.Notice.Reason != v1alpha1.ReasonAccountNotFound || e.Unknown == nil):
				t.Errorf("not noted: %+v", e)
			}
		})
	}
}

// K2e: another process's clock was ahead. Nothing is asked in a loop, nor put off until the clocks agree.
func TestRefund_K2eClockThatWasAhead(t *testing.T) {
	const ahead = 365 * 24 * time.Hour
	for name, edit := range map[string]func(*v1alpha1.ChargeRefund){
		"sent": func(e *v1alpha1.ChargeRefund) {
			e.Open[0].Sender, e.Open[0].At = "other", metav1.NewMicroTime(e.Open[0].At.Add(ahead))
		},
		"taken": func(e *v1alpha1.ChargeRefund) {
			e.Taken = &v1alpha1.Taken{Send: 1, At: metav1.NewMicroTime(e.Open[0].At.Add(ahead))}
			e.Open = nil
		},
	} {
		w := newWorld(t)
		w.pay("sale", "mtn", "5000")
		w.lose(true)
		w.Sim.Script(asking, simulator.Behaviour{Set: map[string]any{"status": "PENDING"}, Times: 3})
		w.refund("back", "sale", "")
		w.sent()
		w.edited(edit)
		w.start()
		w.settled("back", 20*time.Minute, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if n := w.calls(providers.OpRefundStatus); n > 10 {
			t.Errorf("%s: %d questions", name, n)
		}
	}
}

// K2f: the API server is silent after the provider answered. The answer is kept, and written before anything else.
func TestRefund_K2fAnswerIsKept(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		away := false
		w.OnPoint = func(_ int, label string, after bool) error {
			if after && label == "call refund" {
				away = true
			}
			if away && !after && strings.HasPrefix(label, "update") {
				return looptest.ErrInjected
			}
			return nil
		}
		w.refund("back", "sale", "")
		w.until("back", func() bool { return away })
		for range 10 {
			w.step("back")
			w.Clock.Add(30 * time.Second)
		}
		if e := w.entry("back"); e.Taken != nil || len(e.Open) != 1 {
			t.Fatalf("written while the API server was away: %+v", e)
		}
		away, w.OnPoint, w.Errs = false, nil, nil
		w.step("back")
		if e := w.entry("back"); e.Taken == nil || e.Taken.Send != 1 {
			t.Errorf("the answer is lost: %+v", e)
		}
		w.succeeds("back", "sale", "5000")
	})
}

// K3e: nor does a later send that was not made hide the first one, which the provider does not show yet.
func TestReserved_K3eASendThatWasNotMadeFreesNoOther(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.paid("sale")
	refused := w.Sim.Script(simulator.Match{Op: simulator.OpRefund, Method: "POST"}, simulator.Fail(429, true))
	w.refund("back", "sale", "5000")
	w.until("back", func() bool { return refused.Fired() > 0 && len(w.entry("back").Open) == 0 })
	w.Sim.ClearScripts()
	w.OnPoint = func(_ int, label string, after bool) error {
		if e := w.entry("back"); label == "update Refund status" && !after && e != nil && e.Sends == 2 && len(e.Open) > 0 {
			return looptest.ErrInjected
		}
		return nil
	}
	w.until("back", func() bool { e := w.entry("back"); return e.Sends == 2 && len(e.Open) == 0 })
	w.OnPoint, w.Errs = nil, nil
	w.Delete(w.get("back"))
	w.Sim.Script(simulator.Match{Op: simulator.OpRefund, Method: "GET"}, simulator.Fail(404, false))
	for range 10 {
		w.step("back")
		w.Clock.Add(3 * time.Second)
	}
	if w.entry("back") == nil {
		t.Error("released within the late window")
	}
	w.Errs = nil
}

// K3d: absence frees nothing that was reserved. Not found for longer than the late
// window, deleted, or both: another Refund has to do with what is left.
func TestReserved_K3dNotFreedByAbsence(t *testing.T) {
	for _, arrived := range []bool{true, false} {
		atEach(t, automatic, func(t *testing.T, w *world) {
			w.lose(arrived)
			r := w.refund("back", "sale", "")
			w.sent()
			unknown := w.Sim.Script(asking, simulator.Behaviour{Unprocessed: true, Status: 404})
			w.Sim.Script(simulator.Match{Provider: simulator.Wave, Method: "GET"}, simulator.Behaviour{Set: map[string]any{"when_refunded": nil}})
			w.Delete(r)
			w.settle("back", 10*time.Minute)
			w.refund("other", "sale", "")
			w.settled("other", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
			w.settle("back", 2*time.Hour)
			if e := w.entry("back"); e.Outcome != nil || e.Unknown == nil || e.Sends != 1 {
				t.Fatalf("ended, or repeated: %+v", e)
			}
			if w.charge("sale").Spec.Provider == "mtn" && unknown.Fired() == 0 {
				t.Error("nobody asked")
			}
			// Applied again under that name and amount, it continues.
			w.Sim.ClearScripts()
			w.refund("back", "sale", "")
			if w.settle("back", 24*time.Hour); arrived {
				w.expect("back", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
				w.givenBack("sale", "5000")
				return
			}
			w.expect("back", v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
			w.confirm("back", v1alpha1.ConfirmedNotRefunded)
			w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
			w.refund("third", "sale", "")
			w.succeeds("third", "sale", "5000")
		})
	}
}

// K2c: where the record is lost, too, and nobody can be asked.
func TestRefund_K2cUnknownWithoutARecord(t *testing.T) {
	for name, arrange := range map[string]func(w *world, provider string){
		"the account is gone": func(w *world, provider string) { w.Delete(w.Merchant(provider)) },
		"denied": func(w *world, _ string) {
			w.Sim.Script(simulator.Match{Method: "GET"}, simulator.Behaviour{Status: 403})
		},
	} {
		atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
			w.lose(true)
			w.refund("back", "sale", "")
			w.sent()
			w.change("sale", func(c *v1alpha1.Charge) { c.Record.Refunds = nil })
			arrange(w, w.charge("sale").Spec.Provider)
			w.start()
			if w.settled("back", 48*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonLostInitiation); w.calls(providers.OpRefund) != 1 {
				t.Errorf("%s: sent again", name)
			}
			w.confirm("back", v1alpha1.ConfirmedRefunded)
			w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		})
	}
}

// K3e: refused though it was processed, and not found at first: a refusal counts only
// after the late window and one question that did not overturn it.
func TestRefund_K3eRefusedThoughProcessed(t *testing.T) {
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		w.Sim.Script(sending, simulator.Behaviour{Status: 500, Body: text(`{"code":"NOT_ENOUGH_FUNDS","message":"no"}`), Times: 1})
		w.Sim.Script(asking, simulator.Behaviour{Unprocessed: true, Status: 404, Times: 1})
		w.refund("back", "sale", "")
		w.sent()
		w.refund("other", "sale", "")
		w.settled("other", time.Minute, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
		w.succeeds("back", "sale", "5000")
	})
	// Made again for less, it frees nothing either before the provider was asked.
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		w.Sim.Script(sending, simulator.Behaviour{Status: 429, Times: 1})
		r := w.refund("back", "sale", "")
		w.until("back", func() bool { e := w.entry("back"); return e != nil && e.Notice != nil })
		w.Delete(r)
		w.refund("back", "sale", "1000")
		w.step("back")
		w.refund("other", "sale", "4000")
		w.settle("other", time.Hour)
		w.settle("back", time.Hour)
		w.givenBack("sale", "5000")
		w.expect("other", v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
		w.expect("back", v1alpha1.RefundFailed, v1alpha1.ReasonRefundConflict)
	})
	// Nor does an answer free anything by which the send is void: the Refund is deleted, and
	// another one asks for the whole.
	for name, answer := range map[string]simulator.Behaviour{
		"the account's fault": {Status: 500, Body: text(`{"code":"NOT_ALLOWED","message":"no"}`), Times: 1},
		"denied":              {Status: 403, Times: 1}, "throttled": {Status: 429, Times: 1},
	} {
		for _, processed := range []bool{true, false} {
			atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
				answer.Unprocessed = !processed
				w.Sim.Script(sending, answer)
				w.Sim.Script(asking, simulator.Behaviour{Unprocessed: true, Status: 404, Times: 1})
				w.refund("back", "sale", "")
				w.until("back", func() bool { e := w.entry("back"); return e != nil && e.Notice != nil })
				w.Delete(w.get("back"))
				w.settle("back", time.Hour)
				w.refund("other", "sale", "")
				if w.settle("other", time.Hour); processed {
					w.expect("other", v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
				}
				if w.givenBack("sale", "5000"); (w.entry("back") != nil) != processed {
					t.Errorf("%s, processed %t: %+v", name, processed, w.entry("back"))
				}
			})
		}
	}
	// With other credentials than those of that send, nothing is certain.
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		w.Sim.Script(sending, simulator.Behaviour{Unprocessed: true, Status: 500, Body: text(`{"code":"NOT_ENOUGH_FUNDS","message":"no"}`), Times: 1})
		w.refund("back", "sale", "")
		w.until("back", func() bool { e := w.entry("back"); return e != nil && e.Refusal != nil })
		w.edited(func(e *v1alpha1.ChargeRefund) { e.Refusal.Send.Credentials = "others" })
		w.settled("back", 3*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
	})
}

// K3f: the payment may have had refunds that the record does not tell of. Nothing is raised.
func TestRefund_K3fHistoryUnknown(t *testing.T) {
	for name, forget := range map[string]func(w *world){
		"Charge gone": func(w *world) { w.Delete(w.charge("sale")) },
		"found without a send": func(w *world) {
			w.change("sale", func(c *v1alpha1.Charge) { c.Record.Sends, c.Record.Taken = 0, &v1alpha1.Taken{Found: true} })
		},
		"reference known before the first send": func(w *world) {
			w.change("sale", func(c *v1alpha1.Charge) { c.Record.ReferenceKnown = true })
		},
		"Charge restored": func(w *world) { w.change("sale", func(c *v1alpha1.Charge) { restored(c) }) },
	} {
		t.Run(name, func(t *testing.T) {
			atEach(t, []string{"mtn", "wave", "orange"}, func(t *testing.T, w *world) {
				forget(w)
				w.refund("back", "sale", "")
				w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonRefundHistoryUnknown)
				if w.calls(providers.OpRefund) != 0 || w.Writes != 1 {
					t.Errorf("raised: %v", w.Points)
				}
			})
		})
	}
	// The whole story: paid and given back; Refund, Payment and Charge are gone; applied
	// again, with consent, and found.
	for _, provider := range automatic {
		w := newWorld(t, uncapped)
		p := w.pay("sale", provider, "5000")
		w.refund("back", "sale", "")
		w.succeeds("back", "sale", "5000")
		w.Delete(w.get("back"))
		w.Delete(w.charge("sale"))
		w.Delete(p)
		p = w.pay("sale", provider, "5000", func(p *v1alpha1.Payment) { p.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} })
		if p.Status.Phase != v1alpha1.PhaseSucceeded {
			t.Fatalf("%+v", p.Status)
		}
		for _, again := range []string{"back", "other"} {
			w.refund(again, "sale", "")
			w.settled(again, time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonRefundHistoryUnknown)
		}
		w.givenBack("sale", "5000")
	}
}

// A Payment that was settled without a Charge of its own stands for an earlier sale.
func TestRefund_ReusedName(t *testing.T) {
	atEach(t, []string{"mtn", "orange"}, func(t *testing.T, w *world) {
		p := w.payment("sale")
		w.Delete(p)
		w.create(&v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "sale"}, Spec: p.Spec})
		again := w.payment("sale")
		again.Status = v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseSucceeded}
		must(t, w.API.Status().Update(w.Ctx, again))
		w.refund("back", "sale", "")
		w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonReusedName)
		if w.Writes != 1 {
			t.Errorf("raised: %v", w.Points)
		}
	})
}

func TestRefund_K3gCrashBeforeTheSend(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		died := false
		w.OnPoint = func(_ int, label string, after bool) error {
			if label == "call refund" && !after && !died {
				died = true
				panic(looptest.Crash{At: label})
			}
			return nil
		}
		r := w.refund("back", "sale", "")
		w.until("back", func() bool { return died })
		w.Delete(r)
		w.settle("back", 3*time.Hour)
		e := w.entry("back")
		if w.givenBack("sale", "0"); e.Outcome != nil || e.Unknown == nil || e.Sends != 1 {
			t.Errorf("%+v", e)
		}
	})
}

// paidOther makes a payment about which the provider reports other money, settled by a person with that.
func (w *world) paidOther(provider string, reported, settled v1alpha1.Money) {
	w.T.Helper()
	w.pay("sale", provider, "5000")
	w.change("sale", func(c *v1alpha1.Charge) {
		c.Record.Outcome.Paid, c.Record.Outcome.SettledBy = &settled, "awa@example.com"
		if reported != settled {
			c.Record.Later = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonAmountMismatch, Paid: &reported, At: metav1.NewMicroTime(w.Clock.Now())}
		}
	})
}

// K4a: no more is given back than was really paid, in the currency in which it was.
func TestRefund_K4aOfAtMostWhatWasPaid(t *testing.T) {
	wire := map[string]string{"mtn": "EUR", "wave": "XOF", "orange": "OUV"}
	for provider, currency := range wire {
		automatic := provider != "orange"
		less := v1alpha1.Money{Amount: "1000", Currency: currency}
		w := newWorld(t, uncapped)
		w.paidOther(provider, less, less)
		w.refund("much", "sale", "1001")
		w.settle("much", time.Hour)
		if r := w.get("much"); r.Status.Phase != v1alpha1.RefundFailed {
			t.Errorf("%s: %+v", provider, r.Status)
		}
		w.refund("back", "sale", "")
		w.settle("back", time.Minute)
		if e := w.entry("back"); e == nil || e.Money != less || automatic == (w.get("back").Status.Phase == v1alpha1.RefundManualActionRequired) {
			t.Errorf("%s: %+v", provider, e)
		}
		w.refund("more", "sale", "1")
		w.settle("more", time.Hour)
		if r := w.get("more"); r.Status.Phase != v1alpha1.RefundFailed {
			t.Errorf("%s: %+v", provider, r.Status)
		}
		// Another currency is for a person.
		w = newWorld(t, uncapped)
		other := v1alpha1.Money{Amount: "7", Currency: "USD"}
		w.paidOther(provider, other, other)
		w.refund("back", "sale", "")
		w.settled("back", time.Hour, v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
		if e := w.entry("back"); e.Money != other || w.calls(providers.OpRefund) != 0 || !strings.Contains(w.get("back").Status.Instructions, "7 USD") {
			t.Errorf("%s: %+v", provider, e)
		}
		// A settlement that the provider contradicts counts for no more than it says.
		w = newWorld(t, uncapped)
		w.paidOther(provider, less, v1alpha1.Money{Amount: "5000", Currency: currency})
		w.refund("back", "sale", "")
		w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
		w.givenBack("sale", "0")
	}
}

// K4a, the whole story: the provider says "paid, 1 EUR" for 1943.
func TestRefund_K4aSettledWithTheAmountThatWasReported(t *testing.T) {
	w := newWorld(t, uncapped)
	rule := w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, simulator.Behaviour{Set: map[string]any{"amount": "1"}})
	p := w.pay("sale", "mtn", "1944")
	if p.Status.Phase != v1alpha1.PhaseUnknown || p.Status.Unknown.Reported.Amount != "1" || rule.Fired() == 0 {
		t.Fatalf("%+v", p.Status)
	}
	one := v1alpha1.NewAmount("1")
	p.Spec.Settlement = &v1alpha1.Settlement{UnknownID: p.Status.Unknown.ID, Outcome: v1alpha1.SettledPaid, SettledBy: "awa", Reason: "seen", Amount: &one, Currency: "EUR"}
	must(t, w.API.Update(w.Ctx, p))
	if p = w.paid("sale"); p.Status.Phase != v1alpha1.PhaseSucceeded {
		t.Fatalf("%+v", p.Status)
	}
	w.refund("back", "sale", "")
	w.succeeds("back", "sale", "1")
	w.refund("more", "sale", "1942")
	w.settled("more", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
}

// K4b: a confirmation that was planted at the creation never counts: not by hand, not
// for an Unknown, not under a known id, not after the label of a restore is gone.
func TestConfirmation_K4bPlanted(t *testing.T) {
	planted := func(id string) func(*v1alpha1.Refund) {
		return func(r *v1alpha1.Refund) {
			restored(r)
			r.Spec.Confirmation = &v1alpha1.RefundConfirmation{UnknownID: id, Outcome: v1alpha1.ConfirmedRefunded, ConfirmedBy: "the-admin"}
		}
	}
	atEach(t, []string{"mtn", "wave", "orange"}, func(t *testing.T, w *world) {
		byHand := w.charge("sale").Spec.Provider == "orange"
		want, reason := v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown
		if byHand {
			want, reason = v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired
		}
		w.Sim.Script(simulator.Match{Method: "GET"}, silent)
		r := w.refund("back", "sale", "")
		w.settled("back", 30*time.Hour, want, reason)
		known := w.get("back").Status.Unknown.ID
		w.Delete(r)
		for _, id := range []string{known, "", "guess"} {
			w.refund("back", "sale", "", planted(id))
			w.settled("back", 30*time.Hour, want, reason)
			r := w.get("back")
			r.Labels = nil
			must(t, w.API.Update(w.Ctx, r))
			w.settled("back", 30*time.Hour, want, reason)
			if got := w.get("back").Status.Unknown.ID; got == known || w.entry("back").Outcome != nil {
				t.Fatalf("%q: id %s, %+v", id, got, w.entry("back"))
			}
			w.Delete(w.get("back"))
		}
	})
}

// K4c: the reason, or the reservation, changes between reading and confirming.
func TestConfirmation_K4cOfSomethingElse(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		w.Sim.Script(simulator.Match{Method: "GET"}, silent)
		w.refund("back", "sale", "")
		w.settled("back", 30*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		read := w.get("back").Status.Unknown.ID
		w.edited(func(e *v1alpha1.ChargeRefund) {
			e.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonAmountMismatch, Since: metav1.NewMicroTime(w.Clock.Now()), Reported: &v1alpha1.Reported{Amount: "7"}}
		})
		w.confirmAs("back", read, v1alpha1.ConfirmedRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonAmountMismatch)
		w.confirm("back", v1alpha1.ConfirmedRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
	})
	// It changes while the confirmation is written.
	atEach(t, []string{"orange"}, func(t *testing.T, w *world) {
		w.refund("back", "sale", "3000")
		w.settle("back", time.Hour)
		w.confirm("back", v1alpha1.ConfirmedRefunded)
		w.OnPoint = func(_ int, label string, after bool) error {
			if !after && label == "update Charge" {
				w.OnPoint = nil
				w.edited(func(e *v1alpha1.ChargeRefund) { e.UID, e.Money.Amount = "another", "1000" })
			}
			return nil
		}
		w.step("back")
		if o := w.entry("back").Outcome; o != nil {
			t.Errorf("confirmed another reservation: %+v", o)
		}
	})
}

func TestRefund_K5fRecordRefused(t *testing.T) {
	for name, refuses := range map[string]error{
		"policy": apierrors.NewForbidden(schema.GroupResource{Resource: "charges"}, "x", looptest.ErrInjected),
		"CRD":    apierrors.NewInvalid(schema.GroupKind{Kind: "Charge"}, "x", nil),
	} {
		atEach(t, []string{"mtn", "wave", "orange"}, func(t *testing.T, w *world) {
			w.OnPoint = func(_ int, label string, after bool) error {
				if label == "update Charge" && !after {
					return refuses
				}
				return nil
			}
			w.refund("back", "sale", "")
			w.settle("back", time.Minute)
			w.expect("back", v1alpha1.RefundPending, v1alpha1.ReasonRecordRefused)
			if !meta.IsStatusConditionTrue(w.get("back").Status.Conditions, v1alpha1.ConditionStalled) || w.calls(providers.OpRefund) != 0 {
				t.Errorf("%s: %+v", name, w.get("back").Status)
			}
			w.OnPoint, w.Errs = nil, nil
			w.settle("back", time.Hour)
			if r := w.get("back"); r.Status.Phase != v1alpha1.RefundSucceeded && r.Status.Phase != v1alpha1.RefundManualActionRequired {
				t.Errorf("%s: %+v", name, r.Status)
			}
		})
	}
}

func TestRefund_K6eEndpointNotTrustedAfterTheSend(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		w.lose(true)
		w.refund("back", "sale", "")
		w.sent()
		w.Endpoints = nil
		w.start()
		journal := len(w.Sim.Journal())
		w.settled("back", time.Hour, v1alpha1.RefundProcessing, v1alpha1.ReasonEndpointNotAllowed)
		w.settled("back", 48*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		w.confirm("back", v1alpha1.ConfirmedRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		if len(w.Sim.Journal()) != journal {
			t.Error("something was sent there")
		}
	})
}

// R12: once the API server went back in time nothing is given back, also if the very
// write that allows it shows it; nor with --adopt-only. A person is warned.
func TestRefund_AdoptOnly(t *testing.T) {
	for _, when := range []string{"flag", "before", "raise", "fence"} {
		atEach(t, automatic, func(t *testing.T, w *world) {
			back := when == "before"
			w.back, w.settings.AdoptOnly = func() bool { return back }, when == "flag"
			w.start()
			w.OnPoint = func(_ int, label string, after bool) error {
				back = back || after && label == map[string]string{"raise": "update Charge", "fence": "update Refund status"}[when]
				return nil
			}
			w.refund("back", "sale", "")
			w.settle("back", time.Hour)
			if r := w.get("back"); r.Status.Phase != v1alpha1.RefundPending && r.Status.Phase != v1alpha1.RefundProcessing {
				t.Errorf("%s: %+v", when, r.Status)
			}
			w.givenBack("sale", "0")
			if e := w.entry("back"); e == nil || len(e.Open) != 0 || e.Notice == nil || e.Notice.Reason != v1alpha1.ReasonAdoptOnly {
				t.Errorf("%s: %+v", when, e)
			}
			w.back, w.OnPoint, w.settings = nil, nil, attempt.DefaultSettings()
			w.start()
			w.succeeds("back", "sale", "5000")
		})
	}
	w := newWorld(t)
	w.pay("sale", "orange", "5000")
	w.settings.AdoptOnly = true
	w.start()
	w.refund("back", "sale", "")
	w.settle("back", time.Hour)
	if text := w.get("back").Status.Instructions; !strings.Contains(text, "check before") {
		t.Error(text)
	}
}

func TestRefund_LateSettlement(t *testing.T) {
	atEach(t, []string{"mtn"}, func(t *testing.T, w *world) {
		w.lose(true)
		w.Sim.Script(asking, simulator.Behaviour{Unprocessed: true, Status: 404})
		w.refund("back", "sale", "")
		w.settled("back", 3*time.Hour, v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
		w.confirm("back", v1alpha1.ConfirmedNotRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
		// It is asked about before its amount is reserved again, and the provider knows it.
		w.Sim.ClearScripts()
		w.refund("other", "sale", "")
		w.settled("other", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonExceedsPayment)
		w.givenBack("sale", "5000")
		w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
		if !meta.IsStatusConditionTrue(w.get("back").Status.Conditions, v1alpha1.ConditionLateSettlement) {
			t.Errorf("%+v", w.get("back").Status)
		}
	})
	// A person's word is asked on about, also after another one was given back.
	atEach(t, automatic, func(t *testing.T, w *world) {
		wave := w.charge("sale").Spec.Provider == "wave"
		w.Sim.Script(sending, simulator.Behaviour{Cut: true, Unprocessed: true})
		w.Sim.Script(simulator.Match{Provider: simulator.MTN, Op: simulator.OpRefund, Method: "GET"}, simulator.Behaviour{Unprocessed: true, Status: 404})
		r := w.refund("back", "sale", "")
		w.sent()
		w.Delete(r)
		w.settle("back", 3*time.Hour)
		w.refund("back", "sale", "")
		w.settle("back", time.Hour)
		w.confirm("back", v1alpha1.ConfirmedNotRefunded)
		w.settled("back", time.Hour, v1alpha1.RefundFailed, v1alpha1.ReasonNotRefunded)
		w.Sim.ClearScripts()
		w.refund("other", "sale", "")
		w.succeeds("other", "sale", "5000")
		questions := w.calls(providers.OpRefundStatus)
		w.settle("back", 72*time.Hour)
		if asked := w.calls(providers.OpRefundStatus) > questions; asked == wave {
			t.Errorf("asked on: %t", asked)
		}
		if meta.IsStatusConditionTrue(w.get("back").Status.Conditions, v1alpha1.ConditionLateSettlement) {
			t.Error("the other refund was taken for this one's")
		}
	})
}

// R13: a failed refund that cannot be asked about with its own credentials keeps its amount.
func TestRefund_NotReservedAgainUnverified(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		w.Sim.Script(sending, simulator.Behaviour{Unprocessed: true, Status: 400, Body: text(`{"code":"checkout-refund-failed"}`), Times: 1})
		w.refund("back", "sale", "")
		w.settle("back", time.Hour)
		if w.get("back").Status.Phase != v1alpha1.RefundFailed {
			t.Fatalf("%+v", w.get("back").Status)
		}
		w.edited(func(e *v1alpha1.ChargeRefund) { e.Refusal.Send.Credentials = "others" })
		w.refund("other", "sale", "")
		w.settled("other", time.Hour, v1alpha1.RefundPending, v1alpha1.ReasonAwaitingProvider)
		if n := w.calls(providers.OpRefundStatus); w.entry("other") != nil || n > 80 {
			t.Errorf("%d questions, %+v", n, w.entry("other"))
		}
	})
}

// Credentials that were changed between sends may be another merchant's: nothing is
// repeated with them, and what they do not know is not absent.
func TestRefund_RotatedCredentials(t *testing.T) {
	for _, deleted := range []bool{true, false} {
		atEach(t, automatic, func(t *testing.T, w *world) {
			w.lose(false)
			r := w.refund("back", "sale", "")
			w.sent()
			if deleted {
				w.Delete(r)
			}
			w.settle("back", time.Minute)
			w.edited(func(e *v1alpha1.ChargeRefund) { e.Open[0].Credentials = "others" })
			before := w.calls(providers.OpRefundStatus)
			w.settle("back", 50*time.Minute)
			if n := w.calls(providers.OpRefundStatus) - before; n < 10 {
				t.Errorf("%d questions meanwhile", n)
			}
			w.settle("back", time.Hour)
			e := w.entry("back")
			if w.givenBack("sale", "0"); e.Sends != 1 || e.Outcome != nil || e.Unknown == nil {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Two processes at once: one finds that nothing is left and says so; for the other, who
// looks a moment later, something is. A Refund that says Failed is never sent.
func TestRefund_RefusedByOneReservedByTheOther(t *testing.T) {
	atEach(t, automatic, func(t *testing.T, w *world) {
		w.refund("all", "sale", "")
		w.Sim.Script(sending, simulator.Behaviour{Unprocessed: true, Status: 429, Times: 1})
		w.until("all", func() bool { e := w.entry("all"); return e != nil && e.Notice != nil })
		w.refund("back", "sale", "")
		first, inside := w.loop, false
		w.start()
		second := w.loop
		request := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: shop, Name: "back"}}
		w.OnPoint = func(_ int, label string, after bool) error {
			if after || label != "update Refund status" || inside {
				return nil
			}
			inside = true
			w.Delete(w.get("all"))
			w.change("sale", func(c *v1alpha1.Charge) { c.Record.Refunds = nil })
			freed := w.get("back")
			freed.Status = v1alpha1.RefundStatus{Phase: v1alpha1.RefundFailed} // the first one's write comes first
			must(t, w.API.Status().Update(w.Ctx, freed))
			_, err := second.Reconcile(w.Ctx, request)
			return err
		}
		_, _ = first.Reconcile(w.Ctx, request)
		w.OnPoint, w.Errs = nil, nil
		w.settle("back", time.Hour)
		if w.givenBack("sale", "0"); w.get("back").Status.Phase != v1alpha1.RefundFailed || len(w.charge("sale").Record.Refunds) != 0 {
			t.Errorf("%+v, %+v", w.get("back").Status, w.charge("sale").Record.Refunds)
		}
		w.refund("again", "sale", "")
		w.succeeds("again", "sale", "5000")
	})
}

func TestReconcile_ForgetsWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.EditSecret("mtn", func(data map[string][]byte) { data["disbursementAPISecret"] = []byte("wrong-secret") })
	r := w.refund("back", "sale", "")
	w.settle("back", time.Minute)
	key := view{key: types.NamespacedName{Namespace: shop, Name: "back"}, chargeName: w.charge("sale").Name}.memoryKey()
	if w.loop.Protocol.Recall(key, nil).Failures == 0 {
		t.Fatal("nothing was remembered")
	}
	w.Delete(r)
	w.step("back")
	if o := w.loop.Protocol.Recall(key, nil); o.Failures != 0 || len(w.loop.known.Recall("shop/back")) != 0 {
		t.Errorf("still remembered: %+v", o)
	}
}
