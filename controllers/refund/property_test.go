package refund

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/wave"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func paidCharge(amount string) *v1alpha1.Charge {
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: "charge-x"},
		Spec: v1alpha1.ChargeSpec{
			ReferenceVersion: installation.ReferenceVersion, Provider: "mtn", ProviderReference: "ref",
			Payment: v1alpha1.PaymentIdentity{Namespace: shop, Name: "sale"},
			Account: v1alpha1.AccountPin{Environment: "production"}, Requested: v1alpha1.Money{Amount: amount, Currency: "GHS"},
			Money: v1alpha1.Money{Amount: amount, Currency: "GHS"},
		},
		Record: v1alpha1.ChargeRecord{Outcome: &v1alpha1.ChargeOutcome{
			Phase: v1alpha1.PhaseSucceeded, Paid: &v1alpha1.Money{Amount: amount, Currency: "GHS"},
		}},
	}
}

func aRefund(name, amount string) *v1alpha1.Refund {
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name, Generation: 1},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: "sale"}, Reason: "why"},
	}
	if amount != "" {
		a := v1alpha1.NewAmount(amount)
		r.Spec.Amount = &a
	}
	return r
}

var anAmount = rapid.StringMatching(`[1-9][0-9]{0,3}(\.[0-9]{1,2})?`)

// Whatever is claimed, in whatever order, and whichever of it fails: what stands
// never exceeds what was paid.
func TestClaimsNeverExceedWhatWasPaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paid := anAmount.Draw(t, "paid")
		c := paidCharge(paid)
		kind := rapid.SampledFrom([]providers.Kind{mtn.Kind(), wave.Kind()}).Draw(t, "provider")
		if kind.Traits.Refund == providers.RefundWhole {
			c.Spec.Requested.Currency, c.Spec.Money.Currency = "GMD", "GMD"
		}
		for i := range rapid.IntRange(1, 40).Draw(t, "claims") {
			name := rapid.StringMatching(`[a-z]{1,2}`).Draw(t, "name")
			amount := rapid.OneOf(anAmount, rapid.Just("")).Draw(t, "amount")
			if old := claimOf(c, name); old != nil {
				if phase := rapid.SampledFrom([]v1alpha1.RefundPhase{"", v1alpha1.RefundSucceeded, v1alpha1.RefundFailed}).Draw(t, "ends"); phase != "" && old.Outcome == nil {
					old.Outcome = &v1alpha1.ChargeRefundOutcome{Phase: phase}
				}
				continue
			}
			claim, refused := newClaim(aRefund(name, amount), c, kind, testInstallation, noon)
			if refused == nil {
				c.Record.Refunds = append(c.Record.Refunds, claim)
			} else if claim.Name != "" {
				t.Fatalf("%d: refused and claimed", i)
			}
		}
		standing := []string{}
		for _, r := range c.Record.Refunds {
			if r.Outcome == nil || r.Outcome.Phase != v1alpha1.RefundFailed {
				standing = append(standing, r.Money.Amount)
			}
		}
		if sum := providers.SumAmounts(standing...); providers.CompareAmounts(sum, paid) > 0 {
			t.Fatalf("%s stands on %s", sum, paid)
		}
	})
}

func anyClaim(t *rapid.T) v1alpha1.ChargeRefund {
	maybe := func(what string) bool { return rapid.Bool().Draw(t, what) }
	at := metav1.NewMicroTime(noon.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "age")) * time.Minute))
	c := v1alpha1.ChargeRefund{Name: "back", UID: "u", Money: v1alpha1.Money{Amount: "5000", Currency: "GHS"}, Reference: "r", ClaimedAt: at}
	if c.Sends = int32(rapid.IntRange(0, 6).Draw(t, "sends")); c.Sends > 0 {
		c.LastSend = &v1alpha1.Send{Number: c.Sends, Sender: rapid.SampledFrom([]string{"me", "other"}).Draw(t, "sender"), At: at}
		c.VoidSends = int32(rapid.IntRange(0, int(c.Sends)).Draw(t, "void"))
	}
	if maybe("taken") && c.Sends > c.VoidSends {
		c.Taken = &at
	}
	if maybe("refused") && c.Sends > 0 {
		c.Refusal = &v1alpha1.ChargeRefusal{Send: c.Sends, At: at, Reason: v1alpha1.ReasonRequestRejected}
	}
	if maybe("held") {
		c.Hold = &v1alpha1.ChargeHold{Reason: v1alpha1.ReasonOutcomeUnknown, At: at}
	}
	if maybe("noticed") {
		c.Notice = &v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonAdoptOnly, At: at}
	}
	if maybe("over") {
		c.Outcome = &v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundSucceeded, Reason: v1alpha1.ReasonRefunded, At: at}
	}
	return c
}

func anyFacts(t *rapid.T) facts {
	f := facts{
		now: noon, settings: attempt.DefaultSettings(), process: "me", interval: 2 * time.Minute, charge: paidCharge("5000"),
		mode: rapid.SampledFrom([]providers.RefundMode{providers.RefundManual, providers.RefundWhole, providers.RefundPartial, ""}).Draw(t, "mode"),
	}
	f.settings.AdoptOnly = rapid.Bool().Draw(t, "adopt only")
	f.foreign = rapid.IntRange(0, 4).Draw(t, "foreign") == 0
	f.seen.failures = rapid.IntRange(0, 3).Draw(t, "failures")
	if ago := rapid.IntRange(-1, 100).Draw(t, "asked"); ago >= 0 {
		f.seen.at, f.seen.notThere = noon.Add(-time.Duration(ago)*time.Minute), rapid.Bool().Draw(t, "not there")
	}
	if rapid.Bool().Draw(t, "refund exists") {
		f.refund = aRefund("back", "")
		if rapid.Bool().Draw(t, "restored") {
			f.refund.Labels = map[string]string{v1alpha1.LabelRestore: "b"}
		}
		if rapid.Bool().Draw(t, "deleted") {
			f.refund.DeletionTimestamp = &metav1.Time{Time: noon}
		}
		if rapid.Bool().Draw(t, "initiated") {
			f.refund.Status.InitiatedAt = &metav1.Time{Time: noon}
		}
		f.refund.Status.Phase = rapid.SampledFrom([]v1alpha1.RefundPhase{"", v1alpha1.RefundProcessing, v1alpha1.RefundSucceeded, v1alpha1.RefundFailed}).Draw(t, "phase")
		if rapid.Bool().Draw(t, "shown") {
			f.refund.Status.ChargeName = f.charge.Name
		}
		if rapid.Bool().Draw(t, "confirmed") {
			f.refund.Spec.Confirmation = &v1alpha1.RefundConfirmation{Outcome: v1alpha1.ConfirmedRefunded}
		}
	}
	if rapid.Bool().Draw(t, "claimed") {
		c := anyClaim(t)
		f.charge.Record.Refunds = []v1alpha1.ChargeRefund{c}
		f.claim = &f.charge.Record.Refunds[0]
	}
	return f
}

// The rules of sending, in every situation.
func TestDecideAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := decide(f)
		c := f.claim
		switch d.action {
		case actSend:
			sound := c != nil && c.Outcome == nil && c.Hold == nil && c.Taken == nil && !manual(f.mode) &&
				f.refund != nil && f.refund.DeletionTimestamp == nil && !attempt.Restored(f.refund) && !f.settings.AdoptOnly &&
				!f.foreign && f.refund.Status.ChargeName == f.charge.Name && !f.refund.Status.Phase.Terminal()
			resend := c != nil && openSends(c) > 0
			if !sound || resend && (!f.seen.notThere || f.seen.at.Before(f.lateUntil()) || f.seen.failures > 0) {
				t.Fatalf("sends in %+v", f)
			}
		case actWithdraw:
			if f.refund != nil && f.refund.DeletionTimestamp == nil && f.refund.Status.Phase != v1alpha1.RefundFailed || c.Taken != nil || !f.seen.notThere && openSends(c) > 0 || !f.seen.ok() {
				t.Fatalf("withdraws in %+v", f)
			}
		case actConfirm:
			if f.refund == nil || f.refund.Spec.Confirmation == nil || attempt.Restored(f.refund) || (!manual(f.mode) || f.foreign) && c.Hold == nil {
				t.Fatalf("confirms in %+v", f)
			}
		case actWait:
			if d.after <= 0 {
				t.Fatalf("waits %s in %+v", d.after, f)
			}
		case actHold:
			if c.Outcome != nil || d.reason == "" {
				t.Fatalf("holds in %+v", f)
			}
		default:
		}
		if c != nil && c.Outcome != nil && d.action != actIdle {
			t.Fatalf("%s after the end", d.action)
		}
	})
}

// Folds add and never take back, and folding again changes nothing.
func TestFoldsOnlyAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claim := anyClaim(t)
		st := providers.Status{
			State: rapid.SampledFrom([]providers.State{
				providers.StatePending, providers.StateSucceeded, providers.StateFailed, providers.StateExpired, providers.StateCancelled,
			}).Draw(t, "state"),
			Money:     providers.Money{Amount: rapid.SampledFrom([]string{"5000", "5000.0", "4999"}).Draw(t, "amount"), Currency: rapid.SampledFrom([]string{"GHS", "XOF"}).Draw(t, "currency")},
			Reference: rapid.SampledFrom([]string{"", "r", "other"}).Draw(t, "reference"),
		}
		folds := []attempt.Fold{
			foldVoid("back", claim.Sends, v1alpha1.ReasonProviderThrottled, "", noon),
			foldTaken("back", noon),
			foldRefusal("back", v1alpha1.ChargeRefusal{Send: claim.Sends, Reason: v1alpha1.ReasonRequestRejected}),
			foldNotThere("back", noon), foldWithdrawn("back", claim.Sends, noon),
			foldHold("back", v1alpha1.ReasonOutcomeUnknown, "", noon),
			foldConfirmed("back", v1alpha1.RefundConfirmation{Outcome: v1alpha1.ConfirmedRefunded}, noon),
			foldStatus("back", "r", st, noon),
		}
		c := paidCharge("5000")
		c.Record.Refunds = []v1alpha1.ChargeRefund{claim}
		before := c.DeepCopy()
		i := rapid.IntRange(0, len(folds)-1).Draw(t, "fold")
		folds[i](c)
		got, old := c.Record.Refunds[0], before.Record.Refunds[0]
		if old.Outcome != nil && *got.Outcome != *old.Outcome || got.Sends != old.Sends || got.VoidSends < old.VoidSends || old.Taken != nil && got.Taken == nil {
			t.Fatalf("%d took something back: %+v → %+v", i, old, got)
		}
		if folds[i](c) && i != 0 {
			t.Fatalf("fold %d changes something again", i)
		}
		equal := st.Money.Equal(providers.Money(claim.Money)) && (st.Reference == "" || st.Reference == "r")
		if i == len(folds)-1 && old.Outcome == nil && got.Outcome != nil && got.Outcome.Phase == v1alpha1.RefundSucceeded && !(st.State == providers.StateSucceeded && equal) {
			t.Fatalf("%+v became Succeeded", st)
		}
	})
}

// The status is a function of what is recorded: projected again it is the same,
// and it is Succeeded only if the record says so.
func TestProjectAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		v := view{refund: aRefund("back", rapid.SampledFrom([]string{"", "5000", "1"}).Draw(t, "amount")), charge: f.charge, claim: f.claim, mode: f.mode}
		if rapid.Bool().Draw(t, "payment exists") {
			v.payment = &v1alpha1.Payment{Status: v1alpha1.PaymentStatus{
				ChargeName: "charge-x", Phase: rapid.SampledFrom([]v1alpha1.Phase{"", v1alpha1.PhaseProcessing, v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}).Draw(t, "payment"),
			}}
		}
		if rapid.Bool().Draw(t, "problem") {
			v.problem = &account.Problem{Reason: v1alpha1.ReasonRefundNotConfigured, Message: "add the keys"}
		}
		status := project(v, noon)
		recorded := v.claim != nil && v.claim.Outcome != nil && v.claim.Outcome.Phase == v1alpha1.RefundSucceeded && sameRefund(v.refund, v.charge, v.claim)
		if (status.Phase == v1alpha1.RefundSucceeded) != recorded {
			t.Fatalf("%s from %+v", status.Phase, v.claim)
		}
		v.refund.Status = status
		if again := project(v, noon.Add(time.Hour)); !sameStatus(again, status) {
			t.Fatalf("projected again, the status changed:\n%+v\n%+v", status, again)
		}
	})
}

// Frozen: a changed derivation would give back again what is under way.
func TestRefundReferenceGolden(t *testing.T) {
	got := mtn.Kind().RefundReference(testInstallation.RefundDigest("5b0c5a3e-7a39-4f0e-9a50-16e7f5a0f7d1", "order-1042-return"))
	if want := "01a9a8dc-3cbb-499a-8b4f-1ac9fa35cf21"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
