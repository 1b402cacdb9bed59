package payment

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

// rarely has what fails tried again less often, so that days are short.
func rarely(s *attempt.Settings) { s.RetryMax = 30 * time.Minute }

// refusing answers every question and every end of a session with a status.
func (w *world) refusing(status int) {
	for _, op := range []simulator.Op{simulator.OpStatus, simulator.OpSearch, simulator.OpExpire} {
		w.Sim.Script(simulator.Match{Op: op}, simulator.Fail(status, false))
	}
}

// open is a Payment that the provider has.
func (w *world) opened(provider, amount string, change ...func(*v1alpha1.Payment)) {
	w.T.Helper()
	w.payment("sale", provider, amount, change...)
	w.until("sale", time.Minute, func() bool { return w.charge("sale") != nil && w.charge("sale").Record.Taken != nil })
	w.step("sale")
	expectPhase(w.T, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
}

// pay with the payer's phone, or on the page.
func (w *world) pay() { w.T.Helper(); must(w.T, w.Sim.Pay(w.charge("sale").Spec.ProviderReference)) }

func TestK2a_UnknownIsAskedAfterAnAbsence(t *testing.T) {
	for provider, amount := range map[string]string{"mtn": "1907", "orange": "1908"} {
		for _, restart := range []bool{false, true} {
			w := newWorld(t)
			w.opened(provider, amount)
			w.until("sale", 2*time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
			w.Clock.Add(73 * time.Hour)
			w.pay()
			if restart {
				w.start()
			}
			expectPhase(t, w.settle("sale", time.Minute), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		}
	}
}

func TestK2b_AskedWithinADay(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t, rarely)
		w.opened(provider, "1907")
		w.refusing(403)
		w.pay()
		w.until("sale", 5*24*time.Hour, never)
		expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
		w.Sim.ClearScripts()
		expectPhase(t, w.settle("sale", 24*time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
}

func TestK2c_UnknownADayAfterTheDeadline(t *testing.T) {
	for _, provider := range allProviders {
		for name, arrange := range map[string]func(w *world){
			"the contract ended":   func(w *world) { w.refusing(401); w.secret(provider, false) },
			"the account is gone":  func(w *world) { w.start(); must(t, w.API.Delete(w.Ctx, w.Merchant(provider))) },
			"a host not trusted":   func(w *world) { w.loop.Accounts.AllowedEndpoints = nil },
			"the provider is away": func(w *world) { w.refusing(503) },
		} {
			w := newWorld(t, rarely)
			w.opened(provider, "1907")
			arrange(w)
			calls := len(w.Calls)
			w.until("sale", 24*time.Hour, never)
			if p := w.get("sale"); p.Status.Phase != v1alpha1.PhaseProcessing {
				t.Fatalf("%s, %s: %s too early", provider, name, p.Status.Phase)
			}
			w.until("sale", 4*time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
			if name == "a host not trusted" && len(w.Calls) != calls {
				t.Errorf("K6e: %s: %d calls to a host that is not trusted", provider, len(w.Calls)-calls)
			}
			w.settleByHand("sale", v1alpha1.SettledNotPaid)
			w.until("sale", time.Hour, never)
			expectSettled(t, w.get("sale"), v1alpha1.PhaseFailed, v1alpha1.ReasonSettledNotPaid)
		}
	}
}

// So it is where the record is lost, too: it may be that nobody can ever ask.
func TestK2c_UnknownWithoutARecord(t *testing.T) {
	for _, provider := range allProviders {
		for name, arrange := range map[string]func(w *world){
			"the contract ended":  func(w *world) { w.refusing(401); w.secret(provider, false) },
			"the account is gone": func(w *world) { w.Delete(w.Merchant(provider)) },
		} {
			w := newWorld(t, rarely)
			w.opened(provider, "1907")
			arrange(w)
			w.lose("sale")
			w.until("sale", 60*time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
			w.settleByHand("sale", v1alpha1.SettledNotPaid)
			w.until("sale", time.Hour, never)
			if p := w.get("sale"); p.Status.Phase != v1alpha1.PhaseFailed || p.Status.SettledBy == "" {
				t.Errorf("%s, %s: %+v", provider, name, p.Status)
			}
		}
	}
}

// Where only the Secret is gone, people are told, too.
func TestK2d_TheSecretIsGone(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.opened(provider, "1909")
		w.Delete(w.get("sale"))
		w.Delete(looptest.Get[corev1.Secret](w.World, looptest.Shop, provider))
		w.start()
		w.until("sale", time.Hour, never)
		if n := w.charge("sale").Record.Notice; n == nil || n.Reason != v1alpha1.ReasonCredentialsNotFound || len(w.Events) != 1 {
			t.Errorf("%s: %+v, events %v", provider, n, w.Events)
		}
	}
}

// A namespace is deleted while a payment is open: who still has the credentials asks with
// them; else the Charge bears a notice, and people are told.
func TestK2d_TheNamespaceIsGone(t *testing.T) {
	for _, provider := range allProviders {
		for _, restart := range []bool{false, true} {
			w := newWorld(t)
			w.opened(provider, "1909")
			must(t, w.API.Delete(w.Ctx, w.get("sale")))
			must(t, w.API.Delete(w.Ctx, w.Merchant(provider)))
			must(t, w.API.Delete(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: looptest.Shop, Name: provider}}))
			w.pay()
			if restart {
				w.start()
			}
			w.until("sale", 10*time.Minute, never)
			rec := w.charge("sale").Record
			if !restart {
				if rec.Outcome == nil || rec.Outcome.Phase != v1alpha1.PhaseSucceeded {
					t.Errorf("%s: %+v", provider, rec)
				}
				continue
			}
			if rec.Outcome != nil || rec.Notice == nil || rec.Notice.Reason != v1alpha1.ReasonAccountNotFound || len(w.Events) != 1 {
				t.Errorf("%s: %d events, %+v", provider, len(w.Events), rec)
			}
			w.until("sale", 40*time.Hour, never)
			if rec = w.charge("sale").Record; rec.Unknown == nil || len(w.Events) != 1 {
				t.Errorf("%s: %d events, %+v", provider, len(w.Events), rec)
			}
		}
	}
}

// Times that a clock far ahead recorded put off nothing.
func TestK2e_ClockAYearAhead(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		ahead := func() time.Time { return w.Clock.Now().Add(365 * 24 * time.Hour) }
		w.loop.Now, w.loop.Protocol.Now = ahead, ahead
		w.payment("sale", provider, "1909", func(p *v1alpha1.Payment) { p.CreationTimestamp = metav1.NewTime(ahead()) })
		w.until("sale", 5*time.Second, never)
		w.start()
		w.until("sale", time.Second, never)
		w.pay()
		expectPhase(t, w.settle("sale", 3*time.Minute), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
}

// The API server is silent for five minutes after the provider answered, and the lease is
// lost meanwhile: the answer is written once it is back, and nothing is sent again.
func TestK2f_TheAnswerIsKept(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		silent := false
		w.OnPoint = func(_ int, label string, after bool) error {
			silent = silent || label == "call initiate"
			if silent && strings.HasPrefix(label, "update") && !after {
				return apierrors.NewServiceUnavailable("silent")
			}
			return nil
		}
		w.payment("sale", provider, "1902")
		w.until("sale", 2*time.Minute, never)
		w.loop.Protocol.Leads = func() bool { return false }
		w.until("sale", 3*time.Minute, never)
		if c := w.charge("sale"); c.Record.Taken != nil || len(w.Errs) == 0 {
			t.Fatalf("%s: the API server is not silent: %+v", provider, c.Record)
		}
		w.OnPoint, w.Errs = nil, nil
		w.step("sale") // still without the lease
		if c := w.charge("sale"); c.Record.Taken == nil {
			t.Errorf("%s: the answer is lost: %+v", provider, c.Record)
		}
		w.start()
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if w.asked() != 1 || w.charges("sale") != 1 {
			t.Errorf("%s: asked %d times, charged %d times", provider, w.asked(), w.charges("sale"))
		}
	}
}

// A callback changes no phase. It has the provider asked at once, and on, also about a Charge without a Payment.
func TestK2g_CallbacksAreEvidence(t *testing.T) {
	for _, provider := range allProviders {
		for _, orphan := range []bool{false, true} {
			w := newWorld(t)
			w.opened(provider, "1907")
			w.until("sale", 10*time.Minute, never)
			if orphan {
				must(t, w.API.Delete(w.Ctx, w.get("sale")))
				w.step("sale")
			}
			calls := len(w.Sim.Journal())
			note := &v1alpha1.CallbackNote{ReceivedAt: metav1.NewMicroTime(w.Clock.Now()), Claim: "SUCCESSFUL"}
			if c := w.charge("sale"); orphan {
				c.Record.LastCallback = note
				must(t, w.API.Update(w.Ctx, c))
			} else {
				w.callBack("sale")
			}
			w.Clock.Add(15 * time.Second)
			w.step("sale")
			if n := len(w.Sim.Journal()) - calls; n == 0 || w.charge("sale").Record.Outcome != nil {
				t.Fatalf("%s, orphan %t: %d calls, outcome %+v", provider, orphan, n, w.charge("sale").Record.Outcome)
			}
			w.pay()
			w.until("sale", 3*time.Minute, never)
			if o := w.charge("sale").Record.Outcome; o == nil || o.Phase != v1alpha1.PhaseSucceeded {
				t.Errorf("%s, orphan %t: %+v", provider, orphan, o)
			}
			if !orphan && w.get("sale").Status.LastCallback == nil {
				t.Errorf("%s: the note on the callback was lost", provider)
			}
		}
	}
}

func TestK2h_NotAskedInTime(t *testing.T) {
	for _, provider := range allProviders {
		for wait, in := range map[time.Duration]bool{23 * time.Hour: true, 25 * time.Hour: false, 21 * 24 * time.Hour: false} {
			w := newWorld(t)
			w.payerPays = true
			w.Suspend(provider, true)
			w.payment("sale", provider, "1902")
			w.until("sale", time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhasePending, v1alpha1.ReasonAccountSuspended)
			if w.charge("sale") != nil || len(w.Sim.Journal()) != 0 {
				t.Fatalf("%s: recorded, or called, through a suspended account", provider)
			}
			w.Clock.Add(wait - time.Hour)
			w.until("sale", time.Minute, never)
			w.Suspend(provider, false)
			p := w.settle("sale", time.Hour)
			if in {
				expectPhase(t, p, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				continue
			}
			expectPhase(t, p, v1alpha1.PhaseExpired, v1alpha1.ReasonNotAsked)
			assertProjection(t, p)
			if w.asked() != 0 || w.charge("sale") != nil {
				t.Errorf("%s: asked for after %s", provider, wait)
			}
		}
	}
}

// A merchant called it off in Git after it was paid, and the record is lost: what the
// provider knows is told, and Orange cannot be asked.
func TestK3a_CalledOffInTheManifest(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		w.payment("sale", provider, "1902")
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		w.lose("sale")
		w.replace("sale", provider, "1902", calledOff)
		want := v1alpha1.ReasonReusedName
		if provider == "orange" {
			want = v1alpha1.ReasonLostInitiation
		}
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseUnknown, want)
		if w.asked() != 1 {
			t.Errorf("%s: asked %d times", provider, w.asked())
		}
	}
}

func TestK3b_NotEndedByAbsence(t *testing.T) {
	for _, paid := range []bool{true, false} {
		w := newWorld(t)
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.LoseAnswer())
		w.payment("sale", "mtn", "1909")
		w.until("sale", 2*time.Second, func() bool { return w.asked() == 1 })
		absent := w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, jsonAnswer(404, `{"code":"RESOURCE_NOT_FOUND"}`))
		w.until("sale", 90*time.Second, never)
		w.callOff("sale")
		w.until("sale", 4*time.Minute, never)
		expectPhase(t, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingAnswer)
		if paid {
			w.pay()
			w.Sim.ClearScripts()
			expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			continue
		}
		w.until("sale", time.Hour, never)
		expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
		if absent.Fired() < 20 || w.asked() != 1 {
			t.Errorf("asked about %d times, for money %d times", absent.Fired(), w.asked())
		}
	}
}

// An open session of before is nobody's: it is ended, and the sale ends by its own one,
// also if its first request is answered 429.
func TestK3c_EndsByItsOwnSession(t *testing.T) {
	w := newWorld(t)
	w.opened("wave", "1909")
	before := w.get("sale").Status.NextAction.URL
	w.lose("sale")
	w.replace("sale", "wave", "1909")
	w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Status: 429, Unprocessed: true, Times: 1})
	w.until("sale", 10*time.Minute, func() bool { return w.get("sale").Status.NextAction != nil })
	if url := w.get("sale").Status.NextAction; url == nil || url.URL == before {
		t.Fatalf("%+v", w.get("sale").Status)
	}
	if w.Sim.Pay(before) == nil {
		t.Error("the page of before can be paid")
	}
	must(t, w.Sim.Pay(w.get("sale").Status.NextAction.URL))
	expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	if w.charges("sale") != 1 || w.asked() != 3 {
		t.Errorf("asked %d times, charged %d times", w.asked(), w.charges("sale"))
	}
}

// A process dies between the raise and the send, and the Payment is deleted: nothing is
// sent any more, and the Charge comes to an end, or to Unknown at the deadline.
func TestK3g_RaisedAndNeverSent(t *testing.T) {
	for _, provider := range allProviders {
		for _, at := range []string{"create Charge", "update Payment status"} {
			w := newWorld(t)
			dead := false
			w.OnPoint = func(_ int, label string, after bool) error {
				if label == at && after && !dead {
					dead = true
					panic(looptest.Crash{At: label})
				}
				return nil
			}
			w.payment("sale", provider, "1902")
			w.until("sale", time.Hour, func() bool { return dead })
			must(t, w.API.Delete(w.Ctx, w.get("sale")))
			w.until("sale", 3*time.Hour, never)
			rec := w.charge("sale").Record
			if unknown := rec.Unknown != nil; unknown != (provider == "mtn") || !unknown && (rec.Outcome == nil || rec.Outcome.Phase != v1alpha1.PhaseCancelled) || rec.Sends != 1 || w.asked() != 0 {
				t.Errorf("%s, dead after %s: asked %d times, %+v", provider, at, w.asked(), rec)
			}
		}
	}
}

func TestK3h_VoidAfterARefusal(t *testing.T) {
	for provider, refusal := range refusals() {
		w := newWorld(t)
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Status: 429, Unprocessed: true, Times: 1})
		w.OnPoint = func(_ int, label string, after bool) error {
			if label == "update Charge" && !after {
				return apierrors.NewServiceUnavailable("away from this process")
			}
			return nil
		}
		w.payment("sale", provider, "1902")
		w.until("sale", 10*time.Second, func() bool { return w.asked() == 1 })
		first := w.loop
		w.OnPoint = nil
		w.start()
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, refusal)
		w.Clock.Add(4 * time.Minute)
		w.until("sale", 5*time.Minute, func() bool { return w.charge("sale").Record.Refusal != nil })
		second := w.loop
		w.loop = first
		w.step("sale")
		w.loop, w.Errs = second, nil
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected)
		if rec := w.charge("sale").Record; rec.Sends != 2 || len(rec.Open) != 0 {
			t.Errorf("%s: %+v", provider, rec)
		}
	}
}

func TestR12_RevisionsWentBack(t *testing.T) {
	for _, provider := range allProviders {
		for _, shownBy := range []string{"", "create Charge", "update Payment status"} {
			w := newWorld(t)
			back := shownBy == ""
			w.loop.Protocol.RestoreDetected = func() bool { return back }
			w.OnPoint = func(_ int, label string, after bool) error {
				back = back || after && label == shownBy
				return nil
			}
			w.payment("sale", provider, "1902")
			p := w.settle("sale", time.Hour)
			if p.Status.Phase.Terminal() || w.asked() != 0 || !back || condition(p, v1alpha1.ConditionSucceeded).Reason != v1alpha1.ReasonAdoptOnly {
				t.Errorf("%s, shown by %q: %s, asked %d times", provider, shownBy, p.Status.Phase, w.asked())
			}
			if c := w.charge("sale"); c != nil && len(c.Record.Open) != 0 {
				t.Errorf("%s, shown by %q: a send counts as made: %+v", provider, shownBy, c.Record)
			}
		}
	}
}
