package payment

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

// assertProjection holds a status against what every status promises.
func assertProjection(t *testing.T, p *v1alpha1.Payment) {
	t.Helper()
	s := p.Status
	is := func(kind string) metav1.ConditionStatus {
		if c := condition(p, kind); c != nil {
			return c.Status
		}
		return ""
	}
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	if s.Phase.Terminal() {
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	}
	if s.Phase == v1alpha1.PhaseSucceeded {
		succeeded = metav1.ConditionTrue
	}
	if is(v1alpha1.ConditionFinished) != finished || is(v1alpha1.ConditionSucceeded) != succeeded || is(v1alpha1.ConditionReady) != succeeded {
		t.Errorf("phase %s with conditions %+v", s.Phase, s.Conditions)
	}
	reconciling, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	switch {
	case s.Phase == v1alpha1.PhaseSucceeded && (reconciling != "" || stalled != ""):
		t.Errorf("paid, and still Reconciling=%s Stalled=%s", reconciling, stalled)
	case s.Phase != v1alpha1.PhaseSucceeded && (s.Phase.Terminal() || s.Phase == v1alpha1.PhaseUnknown) && (reconciling != "" || stalled != metav1.ConditionTrue):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	case !s.Phase.Terminal() && s.Phase != v1alpha1.PhaseUnknown && (reconciling != metav1.ConditionTrue || stalled != ""):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	}
	if s.Phase.Terminal() == (s.CompletedAt == nil) {
		t.Errorf("phase %s, completedAt %v", s.Phase, s.CompletedAt)
	}
	if failed := s.Phase.Terminal() && s.Phase != v1alpha1.PhaseSucceeded; failed != (s.Failure != nil) {
		t.Errorf("phase %s, failure %+v", s.Phase, s.Failure)
	}
	if s.Phase.Terminal() && s.NextAction != nil {
		t.Error("finished, and there is still something to do for the payer")
	}
	if s.ObservedGeneration != p.Generation {
		t.Errorf("observedGeneration %d of %d", s.ObservedGeneration, p.Generation)
	}
	for _, c := range s.Conditions {
		if _, ok := messages()[c.Reason]; !ok && c.Reason != v1alpha1.ReasonUnrecognizedStatus {
			t.Errorf("condition %s has a reason outside the closed list: %s", c.Type, c.Reason)
		}
	}
}

// anyRecord is every record that a Charge can have.
func anyRecord(t *rapid.T) v1alpha1.ChargeRecord {
	maybe := func(name string) bool { return rapid.Bool().Draw(t, name) }
	var rec v1alpha1.ChargeRecord
	rec.Sends = rapid.Int32Range(0, 5).Draw(t, "sends")
	if rec.Sends > 0 {
		rec.LastSend = &v1alpha1.Send{Number: rec.Sends, At: micro(0)}
		rec.VoidSends = rapid.Int32Range(0, rec.Sends).Draw(t, "void")
	}
	if maybe("session") {
		rec.Session = &v1alpha1.ChargeSession{At: micro(0), Known: maybe("known"), Token: "pay-token-canary"}
		if maybe("url") {
			rec.Session.PaymentURL = "https://pay.example/secret"
		}
	}
	if maybe("hold") {
		rec.Hold = &v1alpha1.ChargeHold{Reason: rapid.SampledFrom([]string{v1alpha1.ReasonOutcomeUnknown, v1alpha1.ReasonLostInitiation, v1alpha1.ReasonAmountMismatch}).Draw(t, "why"), At: micro(0)}
	}
	if maybe("called off") {
		rec.Cancel = &v1alpha1.ChargeCancel{At: micro(0)}
	}
	if maybe("notice") {
		rec.Notice = &v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonProviderUnreachable, At: micro(0)}
	}
	if maybe("outcome") {
		phase := rapid.SampledFrom([]v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled}).Draw(t, "phase")
		rec.Outcome = &v1alpha1.ChargeOutcome{Phase: phase, Reason: v1alpha1.ReasonPaid, At: micro(0), TransactionID: "tx"}
	}
	return rec
}

func anyView(t *rapid.T) view {
	v := view{payment: newPayment("sale", "orange", "5000"), traits: testRegistry()[rapid.SampledFrom([]string{"mtn", "orange", "wave"}).Draw(t, "traits of")].Traits}
	v.payment.Spec.Cancel = rapid.Bool().Draw(t, "called off")
	if rapid.Bool().Draw(t, "called back") {
		v.payment.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: micro(0), Claim: "SUCCESS"}
	}
	if rapid.IntRange(0, 4).Draw(t, "claimed") == 0 {
		if rapid.Bool().Draw(t, "problem") {
			v.problem = &account.Problem{Reason: v1alpha1.ReasonAdoptOnly, Message: "do this"}
		}
		return v
	}
	v.charge = &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-x"}, Record: anyRecord(t)}
	v.charge.Spec.Money = v1alpha1.Money{Amount: "5000", Currency: "OUV"}
	v.relation = rapid.SampledFrom([]relation{relationOwn, relationAdopted, relationConflict, relationDuplicate, relationReused}).Draw(t, "relation")
	return v
}

func TestProjectAlways(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := anyView(rt)
		status := project(v, noon)
		p := v.payment.DeepCopy()
		p.Status = status
		assertProjection(t, p)
		if t.Failed() {
			rt.Fatalf("%+v", v)
		}
		// The same facts, later: nothing to write.
		v.payment = p
		if again := project(v, noon.Add(time.Hour)); !sameStatus(again, status) {
			rt.Fatalf("projected again, the status changed:\n%+v\n%+v", status, again)
		}
		if status.LastCallback == nil && v.payment.Status.LastCallback != nil {
			rt.Fatal("the note on a callback was dropped")
		}
		holds := v.charge != nil && v.relation.holds()
		switch {
		case status.Phase == v1alpha1.PhaseSucceeded && (!holds || v.charge.Record.Outcome == nil || v.charge.Record.Outcome.Phase != v1alpha1.PhaseSucceeded):
			rt.Fatal("Succeeded without an outcome that says so")
		case status.NextAction != nil && status.NextAction.URL != "" && (!holds || v.charge.Record.Session == nil || v.charge.Record.Outcome != nil):
			rt.Fatal("a payment URL that is not from an open, recorded session")
		case !holds && (status.ChargeName != "" || status.TransactionID != "" || status.InitiatedAt != nil):
			rt.Fatal("shows a charge that is not its own")
		case holds && openSends(&v.charge.Record) > 0 && status.Phase == v1alpha1.PhasePending:
			rt.Fatal("the provider may have been asked, and the phase is Pending")
		}
		for _, c := range status.Conditions {
			if strings.Contains(c.Message, "canary") || strings.Contains(c.Message, "pay.example") || strings.Contains(c.Message, p.Spec.Phone) {
				rt.Fatalf("a secret is in %+v", c)
			}
		}
	})
}

// Terminal is final, whatever is recorded later.
func TestProjectKeepsTheEnd(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		v := anyView(rt)
		v.payment.Status = project(view{payment: v.payment, charge: &v1alpha1.Charge{
			Record: v1alpha1.ChargeRecord{Outcome: &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout, At: micro(0)}},
		}, relation: relationOwn}, noon)
		if got := project(v, noon.Add(time.Minute)); !sameStatus(got, v.payment.Status) {
			rt.Fatalf("changed after the end: %+v", got)
		}
	})
}

func TestProjectDatesTransitions(t *testing.T) {
	p := newPayment("sale", "mtn", "5000")
	charge := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-x"}}
	v := view{payment: p, charge: charge, relation: relationOwn, traits: providers.Traits{Flow: providers.FlowPush}}
	p.Status = project(v, at(0))
	charge.Record.Session = &v1alpha1.ChargeSession{At: micro(time.Minute)}
	p.Status = project(v, at(time.Minute))
	if c := condition(p, v1alpha1.ConditionReconciling); !c.LastTransitionTime.Time.Equal(noon) || c.Reason != v1alpha1.ReasonAwaitingPayer {
		t.Errorf("%+v", c)
	}
	if a := p.Status.NextAction; a == nil || a.Type != v1alpha1.NextActionApproveOnPhone {
		t.Errorf("%+v", a)
	}
	charge.Record.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, At: micro(2 * time.Minute)}
	p.Status = project(v, at(2*time.Minute))
	if c := condition(p, v1alpha1.ConditionFinished); !c.LastTransitionTime.Time.Equal(at(2 * time.Minute)) {
		t.Errorf("%+v", c)
	}
	if !p.Status.InitiatedAt.Time.Equal(at(time.Minute)) || !p.Status.CompletedAt.Time.Equal(at(2*time.Minute)) {
		t.Errorf("%+v", p.Status)
	}
}
