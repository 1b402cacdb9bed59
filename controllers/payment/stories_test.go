package payment

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers/simulator"
)

func never() bool { return false }

func TestToken(t *testing.T) {
	for _, provider := range []string{"mtn", "orange"} {
		w := newWorld(t)
		for _, name := range []string{"a", "b", "c"} {
			w.payment(name, provider, "1909")
			w.until(name, time.Minute, never)
		}
		if n := w.Sim.Count("", simulator.OpToken); n != 1 {
			t.Errorf("%s: %d token requests for three payments", provider, n)
		}
		w.Sim.ExpireTokens()
		w.payment("sale", provider, "1902")
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		// A 401 to a send is void, and takes a raise of its own.
		if n := w.Sim.Count("", simulator.OpToken); n != 2 || w.sends() != 2 || w.charges("sale") != 1 {
			t.Errorf("%s: %d token requests, %d sends, charged %d times", provider, n, w.sends(), w.charges("sale"))
		}
	}
}

// Credentials are rotated while a payment is open: first the Secret, then the provider takes the old ones back.
func TestRotatedCredentials(t *testing.T) {
	w := newWorld(t)
	w.opened("mtn", "1907")
	rotated := simulator.Keys{ID: "11111111-1111-4111-8111-111111111111", Secret: "rotated-secret", Key: "rotated-key"}
	w.Sim.AddKeys(simulator.MTN, rotated)
	w.EditSecret("mtn", func(data map[string][]byte) {
		data["userID"], data["apiSecret"], data["subscriptionKey"] = []byte(rotated.ID), []byte(rotated.Secret), []byte(rotated.Key)
	})
	w.Sim.RevokeKeys(simulator.MTN, simulator.Keys{ID: simulator.DefaultMTNUser, Secret: simulator.DefaultMTNKey, Key: simulator.DefaultMTNSubscriptionKey})
	w.pay()
	w.paidOnce()
	w.payment("next", "mtn", "1902")
	expectPhase(t, w.settle("next", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
}

func TestWhatIsSent(t *testing.T) {
	for provider, currency := range map[string]string{"mtn": "EUR", "orange": "OUV", "wave": "XOF"} {
		w := newWorld(t)
		w.payment("sale", provider, "1909")
		w.until("sale", time.Minute, never)
		p := w.get("sale")
		if p.Status.Amount != "1909" || p.Status.Currency != currency || p.Status.Environment != "sandbox" {
			t.Errorf("%s: %+v", provider, p.Status)
		}
		if c := w.charge("sale"); c.Spec.Requested != (v1alpha1.Money{Amount: "1909", Currency: "XOF"}) {
			t.Errorf("%s: requested %+v", provider, c.Spec.Requested)
		}
		action := p.Status.NextAction
		if provider == "mtn" && action.Type != v1alpha1.NextActionApproveOnPhone ||
			provider != "mtn" && (action.Type != v1alpha1.NextActionOpenURL || action.URL == "") {
			t.Errorf("%s: %+v", provider, action)
		}
	}
}

func TestInvalidForTheAccount(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "mtn", "10.50") // XOF, but only the account says so
	p := w.settle("sale", time.Hour)
	expectPhase(t, p, v1alpha1.PhaseFailed, v1alpha1.ReasonInvalidRequest)
	assertProjection(t, p)
	if len(w.Sim.Journal()) != 0 || w.charge("sale") != nil {
		t.Error("something was asked for, or claimed")
	}
}

func TestRefused(t *testing.T) {
	for provider, refusal := range refusals() {
		w := newWorld(t)
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, refusal)
		w.payment("sale", provider, "1901")
		p := w.settle("sale", time.Hour)
		expectPhase(t, p, v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected)
		assertProjection(t, p)
		if c := w.charge("sale"); c.Record.Sends != 1 || w.charges("sale") != 0 {
			t.Errorf("%s: %d sends, %d charges", provider, c.Record.Sends, w.charges("sale"))
		}
	}
}

// refusals are a definite no of each provider.
func refusals() map[string]simulator.Behaviour {
	return map[string]simulator.Behaviour{
		"mtn":    simulator.Fail(400, false),
		"orange": jsonAnswer(403, `{"code":1201,"message":"Forbidden","description":""}`),
		"wave":   jsonAnswer(400, `{"code":"request-validation-error","message":"no"}`),
	}
}

func jsonAnswer(status int, body string) simulator.Behaviour {
	return simulator.Behaviour{Status: status, Body: &body, Unprocessed: true}
}

// The account is at fault: the payment waits, and goes on once it is mended.
func TestMisconfiguredAccountIsMended(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.secret(provider, false)
		w.payment("sale", provider, "1902")
		w.until("sale", 10*time.Minute, never)
		p := w.get("sale")
		expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		assertProjection(t, p)
		if n := len(w.Sim.Journal()); n > 30 {
			t.Errorf("%s: %d calls in ten minutes", provider, n)
		}
		w.secret(provider, true)
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if w.charges("sale") != 1 {
			t.Errorf("%s: not charged once", provider)
		}
	}
}

// K6: a request that the provider keeps refusing for the account's sake is repeated less and less often, a minute apart
// in the end, whatever is asked between two sends; also where the answer to the first one was lost.
func TestMisconfiguredAccount_SendsBackOff(t *testing.T) {
	for provider, refused := range map[string]simulator.Behaviour{
		"mtn":    jsonAnswer(500, `{"code":"INVALID_CALLBACK_URL_HOST"}`),
		"orange": jsonAnswer(403, `{"code":1202,"message":"","description":""}`),
		"wave":   jsonAnswer(403, `{"code":"unauthorized-wallet","message":""}`),
	} {
		for _, lost := range []bool{false, true} {
			w := newWorld(t)
			if lost {
				w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Cut: true, Unprocessed: true, Times: 1})
			}
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, refused)
			w.payment("sale", provider, "1902")
			w.until("sale", 30*time.Minute, never)
			if n := w.sends(); n < 20 || n > 40 {
				t.Errorf("%s, first answer lost: %t: %d sends in half an hour", provider, lost, n)
			}
		}
	}
}

// A send that may have arrived is not repeated with other credentials: they may be another merchant's.
func TestH3OtherCredentialsAreNotSentWith(t *testing.T) {
	w := newWorld(t)
	w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Drop())
	w.payment("sale", "wave", "1902")
	w.until("sale", time.Minute, func() bool {
		c := w.charge("sale")
		return c != nil && c.Record.Sends == 1 && w.Sim.Count("", simulator.OpInitiate) == 1
	})
	c := w.charge("sale")
	c.Record.Open[0].Credentials = "those of before"
	must(t, w.API.Update(w.Ctx, c))
	w.until("sale", 2*time.Hour, never)
	expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonOutcomeUnknown)
	if n := w.Sim.Count("", simulator.OpInitiate); n != 1 {
		t.Errorf("asked for money %d times", n)
	}
}

// A request that is doubled on the wire is answered as one that was known before. If what is found bears our mark its
// end is ours, however fast the payer is and whoever asks; else it is that of an earlier sale.
func TestDoubledOnTheWire(t *testing.T) {
	for _, restart := range []bool{false, true} {
		for _, marked := range []bool{false, true} {
			w := newWorld(t)
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Twice: true, Times: 1})
			if !marked {
				w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, simulator.Behaviour{Set: map[string]any{"payeeNote": "books"}})
			}
			w.payment("sale", "mtn", "1909")
			w.until("sale", time.Minute, func() bool { return w.sends() == 1 })
			w.pay()
			if restart {
				w.start()
			}
			if w.until("sale", time.Hour, never); !marked {
				expectPhase(t, w.get("sale"), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
				continue
			}
			if w.paidOnce(); condition(w.get("sale"), v1alpha1.ConditionAdopted) != nil {
				t.Errorf("conditions %+v", w.get("sale").Status.Conditions)
			}
		}
	}
}

// What MTN knows under the reference, and is not over, is this sale: it goes on with
// it. An open session of before at Wave is ended, and the sale gets its own.
func TestChargesLostInMidFlight(t *testing.T) {
	for provider, amounts := range map[string]map[string]int{"mtn": {"1902": 1}, "wave": {"1902": 2, "1906": 2}} {
		for amount, initiations := range amounts {
			w := newWorld(t)
			p := w.payment("sale", provider, amount)
			if amount == "1902" {
				w.until("sale", 3*time.Second, never)
			} else {
				w.settle("sale", 3*time.Hour)
			}
			must(t, w.API.Delete(w.Ctx, p))
			must(t, w.API.Delete(w.Ctx, w.charge("sale")))
			w.start()
			w.payment("sale", provider, amount)
			got := w.settle("sale", 3*time.Hour)
			if n := w.charges("sale"); n > 1 || (got.Status.Phase == v1alpha1.PhaseSucceeded) != (n == 1) || got.Status.Phase == v1alpha1.PhaseUnknown {
				t.Errorf("%s %s: %s with %d charges", provider, amount, got.Status.Phase, n)
			}
			if n := len(w.Sim.Sessions()); n != initiations {
				t.Errorf("%s %s: %d sessions, want %d", provider, amount, n, initiations)
			}
		}
	}
}

func TestAdoptOnlySendsNothing(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for name, arrange := range map[string]func(*world){
			"flag":  func(w *world) { w.payment("sale", provider, "1902") },
			"label": func(w *world) { w.payment("sale", provider, "1902", restored1) },
		} {
			w := newWorld(t, func(s *attempt.Settings) { s.AdoptOnly = name == "flag" })
			arrange(w)
			p := w.settle("sale", time.Hour)
			if provider == "orange" && name == "label" { // it cannot be asked what became of it
				expectPhase(t, p, v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
			} else {
				expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
			}
			assertProjection(t, p)
			if n := w.Sim.Count("", simulator.OpInitiate); n != 0 {
				t.Errorf("%s, %s: asked for money", provider, name)
			}
		}
	}
}

func restored1(p *v1alpha1.Payment) { p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"} }

// Surplus sessions at Wave are ended before one is published. One that was paid at the last
// moment is the one that counts.
func TestSurplusSessionsAreEnded(t *testing.T) {
	for _, paidMeanwhile := range []bool{false, true} {
		w := newWorld(t)
		w.payerPays = !paidMeanwhile
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Twice: true, Cut: true, Times: 1})
		w.OnPoint = func(_ int, label string, after bool) error {
			if paidMeanwhile && label == "call cancel" && !after {
				sessions := w.Sim.Sessions()
				_ = w.Sim.Pay(sessions[len(sessions)-1].ID)
			}
			return nil
		}
		w.payment("sale", "wave", "1909")
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if n := w.Sim.Count("", simulator.OpExpire); !paidMeanwhile && n != 1 || w.charges("sale") != 1 {
			t.Errorf("%d sessions ended, charged %d times", n, w.charges("sale"))
		}
	}
}

func TestLosersSessionIsEnded(t *testing.T) {
	w := newWorld(t)
	w.OnPoint = func(_ int, label string, after bool) error {
		if label == "call initiate" && after {
			c := w.charge("sale")
			attempt.FoldTaken(v1alpha1.Taken{At: metav1.NewMicroTime(w.Clock.Now())})(&c.Record.Attempt)
			c.Record.Session = &v1alpha1.Session{ID: "cos-winner", PaymentURL: "https://pay.example/winner"}
			must(t, w.API.Update(w.Ctx, c))
		}
		return nil
	}
	w.payment("sale", "wave", "1909")
	w.until("sale", time.Minute, never)
	if n := w.Sim.Count("", simulator.OpExpire); n != 1 {
		t.Errorf("%d sessions ended", n)
	}
	if got := w.charge("sale").Record.Session.ID; got != "cos-winner" {
		t.Errorf("session %s is recorded", got)
	}
	if a := w.get("sale").Status.NextAction; a == nil || a.URL != "https://pay.example/winner" {
		t.Errorf("published %+v", a)
	}
}

// A Charge that was put back to before the send is recognised by what the
// Payment says, also after a question that failed: nothing is sent again.
func TestRewoundChargeIsNotSentAgain(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		w := newWorld(t)
		w.payment("sale", provider, "1907")
		w.until("sale", time.Minute, never)
		reset := w.charge("sale")
		reset.Record = v1alpha1.ChargeRecord{}
		must(t, w.API.Update(w.Ctx, reset))
		for _, op := range []simulator.Op{simulator.OpStatus, simulator.OpSearch} {
			w.Sim.Script(simulator.Match{Op: op}, simulator.Behaviour{Unprocessed: true, Status: 503, Times: 2})
		}
		w.start()
		w.until("sale", 30*time.Minute, never)
		if sends := w.charge("sale").Record.Sends; sends != 0 || w.Sim.Count("", simulator.OpInitiate) != 1 {
			t.Errorf("%s: sent again: %+v", provider, w.charge("sale").Record)
		}
		if p := w.get("sale"); p.Status.Phase != v1alpha1.PhaseProcessing {
			t.Errorf("%s: %s", provider, p.Status.Phase)
		}
	}
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

// Nothing is sent again through an account that was suspended after a send that was void, also
// where the cache shows the account as it was.
func TestSuspended_StopsTheNextSend(t *testing.T) {
	for _, behind := range []bool{false, true} {
		for _, provider := range []string{"mtn", "orange", "wave"} {
			w := newWorld(t)
			w.payerPays = true
			limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
			w.payment("sale", provider, "1901")
			w.until("sale", time.Hour, func() bool { return limited.Fired() > 0 })
			w.Sim.ClearScripts()
			if behind {
				w.loop.Accounts.Reader = notSuspended(w.API)
			}
			w.Suspend(provider, true)
			w.until("sale", time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAccountSuspended)
			if c := w.charge("sale"); c.Record.Sends != 1 || len(c.Record.Open) != 0 {
				t.Fatalf("%s, behind %t: %+v", provider, behind, c.Record)
			}
			w.Suspend(provider, false)
			expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if n := w.charges("sale"); n != 1 {
				t.Errorf("%s: charged %d times", provider, n)
			}
		}
	}
}

func TestSuspended_AfterTheSend(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payerPays = true
		w.payment("sale", provider, "1901")
		w.until("sale", time.Hour, func() bool { return w.charge("sale") != nil && w.charge("sale").Record.Taken != nil })
		w.Suspend(provider, true)
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
}

// notSuspended is a cache that is behind.
func notSuspended(api client.WithWatch) client.Reader {
	return interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			if m, ok := o.(*v1alpha1.MerchantAccount); ok {
				m.Spec.Suspend = false
			}
			return err
		},
	})
}
