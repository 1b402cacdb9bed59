package payment

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// fold adds one answer to a Charge.
type fold = attempt.Fold

// raise counts one more send. It is the write-ahead: its acknowledgement is
// the leave to send once.
func raise(c *v1alpha1.Charge, process, credentials string, now time.Time) {
	rec := &c.Record
	rec.Sends++
	rec.Notice = nil
	rec.LastSend = &v1alpha1.Send{Number: rec.Sends, Sender: process, At: metav1.NewMicroTime(now), Credentials: credentials}
}

// foldVoid records that a send certainly did nothing, and why.
func foldVoid(send int32, reason v1alpha1.Reason, code string, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Sends != send || rec.LastVoidSend == send || rec.Session != nil || rec.Outcome != nil {
			return false
		}
		rec.VoidSends++
		rec.LastVoidSend = send
		foldNotice(v1alpha1.ChargeNotice{Reason: reason, Code: code}, now)(c)
		return true
	}
}

// foldReferenceKnown records that the provider knew the reference when it was first
// sent: from a request that was doubled on the wire, or from an earlier sale.
func foldReferenceKnown(c *v1alpha1.Charge) bool {
	rec := &c.Record
	if rec.ReferenceKnown || rec.Session != nil || rec.Outcome != nil {
		return false
	}
	rec.ReferenceKnown = true
	return true
}

// foldSession records what the provider opened, if nothing is recorded yet.
func foldSession(s v1alpha1.ChargeSession) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Session != nil || rec.Outcome != nil {
			return false
		}
		rec.Session = &s
		rec.Notice = nil
		if rec.Hold != nil && liftedBySession(rec.Hold.Reason) {
			rec.Hold = nil
		}
		return true
	}
}

// liftedBySession: the answer that was given up came after all, or what was
// there before is taken up.
func liftedBySession(hold v1alpha1.Reason) bool {
	return hold == v1alpha1.ReasonLostInitiation || hold == v1alpha1.ReasonReusedReference
}

// foldRefusal records a definite no. Where nobody can pay before a URL is
// published, it is the outcome; where a phone may have rung, it is confirmed first.
func foldRefusal(refusal v1alpha1.ChargeRefusal, flow providers.Flow) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Refusal != nil || rec.Session != nil || rec.Outcome != nil || rec.Sends != refusal.Send {
			return false
		}
		rec.Refusal = &refusal
		rec.Notice = nil
		if flow != providers.FlowPush {
			rec.Outcome = refusalOutcome(&refusal, refusal.At)
		}
		return true
	}
}

// foldRefusalConfirmed: the provider refused, and knows nothing of it.
func foldRefusalConfirmed(now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Refusal == nil || rec.Session != nil || rec.Outcome != nil || rec.Refusal.Send != rec.Sends {
			return false
		}
		rec.Outcome = refusalOutcome(rec.Refusal, metav1.NewMicroTime(now))
		return true
	}
}

func refusalOutcome(r *v1alpha1.ChargeRefusal, at metav1.MicroTime) *v1alpha1.ChargeOutcome {
	return &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseFailed, Reason: r.Reason, Code: r.Code, At: at}
}

// foldHold records that the outcome cannot be told.
func foldHold(reason v1alpha1.Reason, code string, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		found := liftedBySession(reason) && rec.Session != nil
		if rec.Outcome != nil || found || (rec.Hold != nil && rec.Hold.Reason == reason) {
			return false
		}
		rec.Hold = &v1alpha1.ChargeHold{Reason: reason, Code: code, At: metav1.NewMicroTime(now)}
		return true
	}
}

// foldNotice records what is neither progress nor an outcome, once; an empty
// reason clears it.
func foldNotice(n v1alpha1.ChargeNotice, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		old := v1alpha1.ChargeNotice{}
		if rec.Notice != nil {
			old = *rec.Notice
		}
		n.At = old.At
		if rec.Outcome != nil || n == old {
			return false
		}
		n.At = metav1.NewMicroTime(now)
		rec.Notice = &n
		if n.Reason == "" {
			rec.Notice = nil
		}
		return true
	}
}

// foldExpired records that nobody can pay any more.
func foldExpired(now time.Time) fold {
	return foldOutcome(v1alpha1.ChargeOutcome{
		Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout, At: metav1.NewMicroTime(now),
	})
}

// foldCallOff records that the merchant called the payment off.
func foldCallOff(now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Cancel != nil || rec.Outcome != nil {
			return false
		}
		rec.Cancel = &v1alpha1.ChargeCancel{At: metav1.NewMicroTime(now)}
		return true
	}
}

// foldCancelled records that a payment was called off before anybody could pay.
// It holds only if nothing was sent or opened since that was decided.
func foldCancelled(sends int32, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Cancel == nil || rec.Sends != sends || rec.Session != nil || rec.Outcome != nil {
			return false
		}
		return foldOutcome(v1alpha1.ChargeOutcome{
			Phase: v1alpha1.PhaseCancelled, Reason: v1alpha1.ReasonCancelled, At: metav1.NewMicroTime(now),
		})(c)
	}
}

// foldSettled records what a person found out, where the outcome could not be
// told.
func foldSettled(said v1alpha1.Settlement, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Hold == nil || rec.Outcome != nil {
			return false
		}
		phase, reason := settledAs(said)
		o := v1alpha1.ChargeOutcome{
			Phase: phase, Reason: reason, TransactionID: said.TransactionID, At: metav1.NewMicroTime(now), Settlement: &said,
		}
		if phase == v1alpha1.PhaseSucceeded {
			paid := c.Spec.Money
			o.Paid = &paid
		}
		return foldOutcome(o)(c)
	}
}

func settledAs(said v1alpha1.Settlement) (v1alpha1.Phase, v1alpha1.Reason) {
	if said.Outcome == v1alpha1.SettledPaid {
		return v1alpha1.PhaseSucceeded, v1alpha1.ReasonSettledPaid
	}
	return v1alpha1.PhaseFailed, v1alpha1.ReasonSettledNotPaid
}

// endedByUs: a session that ended unpaid after it was called off, at a provider
// where that ends it, was cancelled.
func endedByUs(c *v1alpha1.Charge, traits providers.Traits, st providers.Status) providers.Status {
	if c.Record.Cancel != nil && traits.CanCancel && st.State == providers.StateExpired {
		st.State = providers.StateCancelled
	}
	return st
}

// foldStatus records the provider's answer to our own question.
func foldStatus(st providers.Status, now time.Time) fold {
	return func(c *v1alpha1.Charge) bool {
		outcome, mismatch := concludeFrom(st, &c.Spec, now)
		switch {
		case mismatch && c.Record.Outcome != nil:
			known := c.Record.Hold != nil && c.Record.Hold.Reason == v1alpha1.ReasonAmountMismatch
			return !known && foldContradiction(otherMoney(st, now))(c)
		case mismatch:
			return foldHold(v1alpha1.ReasonAmountMismatch, st.Code, now)(c)
		case outcome != nil:
			return foldOutcome(*outcome)(c)
		case st.LastError != "" && !st.State.Final():
			// A try failed and the payer may try again.
			return foldNotice(v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonAwaitingPayer, Code: st.LastError}, now)(c)
		case st.Unrecognized || st.State.Final():
			return foldNotice(v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonUnrecognizedStatus, Code: st.Code}, now)(c)
		default:
			return foldNotice(v1alpha1.ChargeNotice{}, now)(c)
		}
	}
}

// foldOutcome records an outcome. The first one stays; another one that
// contradicts it is kept beside it, for a person to look at.
func foldOutcome(o v1alpha1.ChargeOutcome) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Outcome == nil {
			rec.Outcome = &o
			return true
		}
		return foldContradiction(o)(c)
	}
}

// foldContradiction keeps the first news against the outcome: that it was paid after
// all, or was not, or was for other money. In what way it was not is no news.
func foldContradiction(o v1alpha1.ChargeOutcome) fold {
	return func(c *v1alpha1.Charge) bool {
		rec := &c.Record
		if rec.Contradiction != nil || (wasPaid(rec.Outcome) == wasPaid(&o) && o.Reason != v1alpha1.ReasonAmountMismatch) {
			return false
		}
		rec.Contradiction = &o
		return true
	}
}

func wasPaid(o *v1alpha1.ChargeOutcome) bool { return o.Phase == v1alpha1.PhaseSucceeded }

// otherMoney is what contradicts an outcome if something was paid, but not what
// was asked for.
func otherMoney(st providers.Status, now time.Time) v1alpha1.ChargeOutcome {
	return v1alpha1.ChargeOutcome{
		Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonAmountMismatch, Code: st.Code,
		TransactionID: attempt.Clip(st.TransactionID), At: metav1.NewMicroTime(now),
	}
}

// concludeFrom is the only place where an answer becomes an outcome. Success
// needs the amount, the currency and, where it is echoed, the reference to be
// what was sent. That another reference ended unpaid tells nothing of ours.
func concludeFrom(st providers.Status, spec *v1alpha1.ChargeSpec, now time.Time) (outcome *v1alpha1.ChargeOutcome, mismatch bool) {
	o := &v1alpha1.ChargeOutcome{
		Code:          st.Code,
		TransactionID: attempt.Clip(st.TransactionID),
		At:            metav1.NewMicroTime(now),
	}
	switch state := st.State; {
	case state == providers.StateSucceeded && !sentMoney(st, spec):
		return nil, true
	case !st.About(providers.Handle{Reference: spec.ProviderReference}):
		return nil, false
	case state == providers.StateSucceeded:
		paid := v1alpha1.Money(st.Money)
		o.Phase, o.Reason, o.Code, o.Paid = v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid, "", &paid
	case state == providers.StateFailed:
		o.Phase, o.Reason = v1alpha1.PhaseFailed, attempt.FailureReason(st.Failure)
	case state == providers.StateExpired:
		o.Phase, o.Reason = v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout
		if st.LastError != "" {
			o.Code = st.LastError
		}
	case state == providers.StateCancelled:
		o.Phase, o.Reason = v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled
	default:
		return nil, false
	}
	return o, false
}

func sentMoney(st providers.Status, spec *v1alpha1.ChargeSpec) bool {
	return providers.EqualAmount(st.Money.Amount, spec.Money.Amount) &&
		st.Money.Currency == spec.Money.Currency &&
		st.About(providers.Handle{Reference: spec.ProviderReference})
}
