package refund

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// claimOf is what c holds for a Refund of that name; nil: nothing.
func claimOf(c *v1alpha1.Charge, name string) *v1alpha1.ChargeRefund {
	if c == nil {
		return nil
	}
	i := slices.IndexFunc(c.Record.Refunds, func(r v1alpha1.ChargeRefund) bool { return r.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Record.Refunds[i]
}

// wanted is the amount that a Refund asks for: its own, or the whole payment.
func wanted(r *v1alpha1.Refund, c *v1alpha1.Charge) string {
	if r.Spec.Amount != nil {
		return r.Spec.Amount.String()
	}
	return c.Spec.Requested.Amount
}

// sameRefund tells whether r, which is about c, is what the claim was made for,
// or that same declaration applied again.
func sameRefund(r *v1alpha1.Refund, c *v1alpha1.Charge, claim *v1alpha1.ChargeRefund) bool {
	return providers.EqualAmount(wanted(r, c), claim.Money.Amount)
}

// newClaim is what r may claim of c, or why it may not, for good. It is pure,
// and the only place where it is decided how much can be given back: all claims
// that have not failed count, whether the provider was asked yet or not.
func newClaim(r *v1alpha1.Refund, c *v1alpha1.Charge, kind providers.Kind, inst installation.Installation, now time.Time) (v1alpha1.ChargeRefund, *account.Problem) {
	none := v1alpha1.ChargeRefund{}
	money, err := kind.WireMoney(providers.Account{Environment: providers.Environment(c.Spec.Account.Environment)},
		providers.Money{Amount: wanted(r, c), Currency: c.Spec.Requested.Currency})
	if err != nil {
		return none, refuse(v1alpha1.ReasonInvalidRequest, providers.AsError(err).Detail)
	}
	paid := c.Record.Outcome.Paid.Amount
	switch left := remaining(c, paid); {
	case kind.Traits.Refund == providers.RefundWhole && !providers.EqualAmount(money.Amount, paid):
		return none, refuse(v1alpha1.ReasonPartialRefundNotSupported, "")
	case providers.CompareAmounts(money.Amount, left) > 0:
		return none, refuse(v1alpha1.ReasonExceedsPayment, "Not yet claimed: "+left+" "+money.Currency+".")
	case len(c.Record.Refunds) >= v1alpha1.MaxRefunds:
		return none, refuse(v1alpha1.ReasonTooManyRefunds, "")
	}
	claim := v1alpha1.ChargeRefund{
		Name: r.Name, UID: string(r.UID), Money: v1alpha1.Money(money), ClaimedAt: metav1.NewMicroTime(now),
	}
	if kind.RefundReference != nil {
		claim.Reference = kind.RefundReference(inst.RefundDigest(c.Spec.ProviderReference, r.Name))
	}
	return claim, nil
}

func refuse(reason v1alpha1.Reason, more string) *account.Problem {
	text := message(reason, "")
	if more != "" {
		text += " " + more
	}
	return &account.Problem{Reason: reason, Message: text}
}

// remaining is what of the paid amount no claim stands on.
func remaining(c *v1alpha1.Charge, paid string) string {
	var claimed []string
	for i := range c.Record.Refunds {
		if o := c.Record.Refunds[i].Outcome; o == nil || o.Phase != v1alpha1.RefundFailed {
			claimed = append(claimed, c.Record.Refunds[i].Money.Amount)
		}
	}
	return providers.SubtractAmounts(paid, claimed...)
}

// onClaim is a fold of one claim, which does nothing to one that is over.
func onClaim(name string, change func(*v1alpha1.ChargeRefund) bool) attempt.Fold {
	return func(c *v1alpha1.Charge) bool {
		claim := claimOf(c, name)
		return claim != nil && claim.Outcome == nil && change(claim)
	}
}

// foldRaise counts one more send. It is the write-ahead, and holds only for the
// claim as it was when the send was decided.
func foldRaise(seen v1alpha1.ChargeRefund, process, credentials string, now time.Time) attempt.Fold {
	return onClaim(seen.Name, func(c *v1alpha1.ChargeRefund) bool {
		if !equality.Semantic.DeepEqual(*c, seen) {
			return false
		}
		c.Sends++
		c.Notice = nil
		c.LastSend = &v1alpha1.Send{Number: c.Sends, Sender: process, At: metav1.NewMicroTime(now), Credentials: credentials}
		return true
	})
}

// foldVoid records that a send certainly did nothing, and why.
func foldVoid(name string, send int32, reason v1alpha1.Reason, code string, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Sends != send || c.LastVoidSend == send || c.Taken != nil {
			return false
		}
		c.VoidSends++
		c.LastVoidSend = send
		note(c, v1alpha1.ChargeNotice{Reason: reason, Code: code}, now)
		return true
	})
}

// foldTaken records that the provider has the request.
func foldTaken(name string, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Taken != nil {
			return false
		}
		t := metav1.NewMicroTime(now)
		c.Taken, c.Notice = &t, nil
		return true
	})
}

// foldRefusal records a definite no, to be confirmed.
func foldRefusal(name string, refusal v1alpha1.ChargeRefusal) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Refusal != nil || c.Taken != nil || c.Sends != refusal.Send {
			return false
		}
		c.Refusal, c.Notice = &refusal, nil
		return true
	})
}

// foldNotThere: the provider knows nothing of the refund. After a refusal that
// is how it ended.
func foldNotThere(name string, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Refusal == nil || c.Refusal.Send != c.Sends || c.Taken != nil {
			return false
		}
		return end(c, v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundFailed, Reason: c.Refusal.Reason, Code: c.Refusal.Code}, now)
	})
}

// foldWithdrawn records that nothing was given back and nothing will be. It
// holds only if nothing was sent since that was decided.
func foldWithdrawn(name string, sends int32, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Sends != sends || c.Taken != nil {
			return false
		}
		return end(c, v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundFailed, Reason: v1alpha1.ReasonRefundWithdrawn}, now)
	})
}

// foldHold records that the outcome cannot be told.
func foldHold(name string, reason v1alpha1.Reason, code string, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		if c.Hold != nil {
			return false
		}
		c.Hold = &v1alpha1.ChargeHold{Reason: reason, Code: code, At: metav1.NewMicroTime(now)}
		return true
	})
}

// foldNotice records what is neither progress nor an outcome, once.
func foldNotice(name string, n v1alpha1.ChargeNotice, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool { return note(c, n, now) })
}

func note(c *v1alpha1.ChargeRefund, n v1alpha1.ChargeNotice, now time.Time) bool {
	old := v1alpha1.ChargeNotice{}
	if c.Notice != nil {
		old = *c.Notice
	}
	n.At = old.At
	if n == old {
		return false
	}
	n.At = metav1.NewMicroTime(now)
	c.Notice = &n
	if n.Reason == "" {
		c.Notice = nil
	}
	return true
}

// foldConfirmed records what a person says.
func foldConfirmed(name string, said v1alpha1.RefundConfirmation, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		o := v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundFailed, Reason: v1alpha1.ReasonNotRefunded, Confirmation: &said}
		if said.Outcome == v1alpha1.ConfirmedRefunded {
			o.Phase, o.Reason, o.TransactionID = v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded, said.TransactionID
		}
		return end(c, o, now)
	})
}

// foldStatus records the provider's answer to our own question. Success needs
// the amount, the currency and, where it is echoed, the reference to be ours. That
// another reference failed tells nothing of ours.
func foldStatus(name string, reference string, st providers.Status, now time.Time) attempt.Fold {
	return onClaim(name, func(c *v1alpha1.ChargeRefund) bool {
		switch {
		case st.State == providers.StateSucceeded && !echoes(st, c.Money, reference):
			return foldHoldOn(c, v1alpha1.ReasonAmountMismatch, st.Code, now)
		case st.State == providers.StateSucceeded:
			return end(c, v1alpha1.ChargeRefundOutcome{
				Phase: v1alpha1.RefundSucceeded, Reason: v1alpha1.ReasonRefunded, TransactionID: attempt.Clip(st.TransactionID),
			}, now)
		case st.State == providers.StateFailed && st.About(providers.Handle{Reference: reference}):
			return end(c, v1alpha1.ChargeRefundOutcome{
				Phase: v1alpha1.RefundFailed, Reason: attempt.FailureReason(st.Failure), Code: st.Code,
			}, now)
		case st.Unrecognized || st.State.Final():
			return note(c, v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonUnrecognizedStatus, Code: st.Code}, now)
		default:
			return note(c, v1alpha1.ChargeNotice{}, now)
		}
	})
}

func foldHoldOn(c *v1alpha1.ChargeRefund, reason v1alpha1.Reason, code string, now time.Time) bool {
	if c.Hold != nil && c.Hold.Reason == reason {
		return false
	}
	c.Hold = &v1alpha1.ChargeHold{Reason: reason, Code: code, At: metav1.NewMicroTime(now)}
	return true
}

func echoes(st providers.Status, money v1alpha1.Money, reference string) bool {
	return st.Money.Equal(providers.Money(money)) && st.About(providers.Handle{Reference: reference})
}

func end(c *v1alpha1.ChargeRefund, o v1alpha1.ChargeRefundOutcome, now time.Time) bool {
	o.At = metav1.NewMicroTime(now)
	c.Outcome, c.Notice = &o, nil
	return true
}
