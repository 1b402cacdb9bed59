package attempt

import (
	"cmp"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// A Fold adds one fact to an attempt and tells whether that changed anything. Folds are pure,
// repeatable and right in any order: other processes may have recorded other facts meanwhile.
type Fold func(a *v1alpha1.Attempt) bool

// raise counts one more send. Its acknowledged write permits exactly one send.
func raise(a *v1alpha1.Attempt, process, credentials string, now time.Time) v1alpha1.Send {
	a.Sends++
	at := metav1.NewMicroTime(now.Truncate(time.Microsecond)) // as it is stored
	send := v1alpha1.Send{Number: a.Sends, Sender: process, At: at, Credentials: credentials}
	a.Open = append(a.Open, send)
	a.Notice = nil
	return send
}

// close removes a send from the open ones: it has a definite answer.
func closeSend(a *v1alpha1.Attempt, number int32) bool {
	before := len(a.Open)
	a.Open = slices.DeleteFunc(a.Open, func(s v1alpha1.Send) bool { return s.Number == number })
	return len(a.Open) < before
}

// FoldVoid records that a send certainly did nothing, and why. Only its sender may say so.
func FoldVoid(number int32, why v1alpha1.Notice) Fold {
	return func(a *v1alpha1.Attempt) bool {
		if !closeSend(a, number) {
			return false
		}
		if a.Taken == nil && a.Outcome == nil {
			a.Notice = &why
		}
		return true
	}
}

// FoldTaken records that the provider has the request.
func FoldTaken(taken v1alpha1.Taken) Fold {
	return func(a *v1alpha1.Attempt) bool {
		closed := closeSend(a, taken.Send)
		if a.Taken != nil || a.Outcome != nil {
			return closed
		}
		a.Taken, a.Notice = &taken, nil
		if a.Unknown != nil && lifts(&taken, a.Unknown.Reason) {
			a.Unknown = nil
		}
		return true
	}
}

// lifts tells whether an Unknown is over: the answer that was given up came after all,
// or what was there before is open, and adopted.
func lifts(taken *v1alpha1.Taken, unknown v1alpha1.Reason) bool {
	return unknown == v1alpha1.ReasonLostInitiation || unknown == v1alpha1.ReasonReusedName && taken.Found
}

// FoldReferenceKnown records that the provider knew the reference at the first
// send: the request was doubled on the wire, or it is an earlier sale's.
func FoldReferenceKnown(a *v1alpha1.Attempt) bool {
	if a.ReferenceKnown || a.Taken != nil || a.Outcome != nil {
		return false
	}
	a.ReferenceKnown = true
	return true
}

// FoldRefusal records the provider's definite no to a send. The newest one counts.
func FoldRefusal(refusal v1alpha1.Refusal) Fold {
	return func(a *v1alpha1.Attempt) bool {
		closed := closeSend(a, refusal.Send.Number)
		if a.Outcome != nil || a.Refusal != nil && a.Refusal.Send.Number >= refusal.Send.Number {
			return closed
		}
		a.Refusal, a.Notice = &refusal, nil
		return true
	}
}

// FoldUnknown records that the outcome cannot be told, and what the provider reported.
func FoldUnknown(u v1alpha1.Unknown) Fold {
	return func(a *v1alpha1.Attempt) bool {
		over := a.Taken != nil && lifts(a.Taken, u.Reason)
		if a.Outcome != nil || over || a.Unknown != nil && (a.Unknown.Reason == u.Reason || u.Reported == nil) {
			return false
		}
		a.Unknown = &u
		return true
	}
}

// FoldNotice records what is neither progress nor an outcome, once; an empty reason clears it.
func FoldNotice(n v1alpha1.Notice) Fold {
	return func(a *v1alpha1.Attempt) bool {
		old := v1alpha1.Notice{}
		if a.Notice != nil {
			old = *a.Notice
		}
		at := n.At
		old.At, n.At = metav1.MicroTime{}, metav1.MicroTime{}
		if a.Outcome != nil || n == old {
			return false
		}
		n.At = at
		a.Notice = &n
		if n.Reason == "" {
			a.Notice = nil
		}
		return true
	}
}

// FoldOutcome records an outcome. The first one stays; what the provider says later is kept beside it.
func FoldOutcome(o v1alpha1.Outcome) Fold {
	return func(a *v1alpha1.Attempt) bool {
		if a.Outcome == nil {
			a.Outcome, a.Notice = &o, nil
			return true
		}
		return foldLater(a, o)
	}
}

// foldLater keeps what the provider said after the outcome: the first word, until one contradicts
// the outcome. That it still knows nothing is none, nor is what the person knew who settled it.
func foldLater(a *v1alpha1.Attempt, o v1alpha1.Outcome) bool {
	contradicts := Contradicts(a.Outcome, &o)
	known := a.Later != nil && (Contradicts(a.Outcome, a.Later) || !contradicts && a.Later.SettledBy == "")
	if settled := a.Outcome.SettledBy != ""; settled {
		known = known || contradicts && a.Unknown != nil && wasReported(a.Unknown.Reported, &o)
	} else {
		// The API server keeps microseconds: a write that is repeated finds its own.
		known = known || !contradicts && o.At.Truncate(time.Microsecond).Equal(a.Outcome.At.Truncate(time.Microsecond))
	}
	if known || o.SettledBy != "" {
		return false
	}
	a.Later = &o
	return true
}

// wasReported tells whether o is what an Unknown was about: other money.
func wasReported(r *v1alpha1.Reported, o *v1alpha1.Outcome) bool {
	return r != nil && o.Reason == v1alpha1.ReasonAmountMismatch && o.Paid != nil &&
		r.Currency == o.Paid.Currency && providers.EqualAmount(r.Amount, o.Paid.Amount)
}

// Contradicts tells whether a later word contradicts an outcome: that it was paid after all, or was
// not, or was paid with other money. In what way it was not paid makes no difference.
func Contradicts(o, later *v1alpha1.Outcome) bool {
	paid := func(o *v1alpha1.Outcome) bool { return o.Phase == v1alpha1.PhaseSucceeded }
	return paid(o) != paid(later) || later.Reason == v1alpha1.ReasonAmountMismatch && !samePaid(o, later)
}

func samePaid(o, later *v1alpha1.Outcome) bool {
	return o.Paid != nil && later.Paid != nil && o.Paid.Currency == later.Paid.Currency &&
		providers.EqualAmount(o.Paid.Amount, later.Paid.Amount)
}

// FoldConcluded records an end that is certain by the rules. It holds only for the
// attempt as it was when that was decided: nothing was sent or learnt since.
func FoldConcluded(o v1alpha1.Outcome, decided *v1alpha1.Attempt) Fold {
	was := decided.DeepCopy()
	return func(a *v1alpha1.Attempt) bool {
		learnt := (a.Taken == nil) != (was.Taken == nil) || (a.Unknown == nil) != (was.Unknown == nil) || a.ReferenceKnown != was.ReferenceKnown
		if a.Outcome != nil || a.Sends != was.Sends || len(a.Open) != len(was.Open) || learnt {
			return false
		}
		return FoldOutcome(o)(a)
	}
}

// Expected is what an answer has to be about to be this request's.
type Expected struct {
	// Money as it was sent.
	Money v1alpha1.Money
	// Ours tells whether the answer is about this request's reference.
	Ours func(providers.Status) bool
	// Tag is this record's correlation tag; empty: it has none.
	Tag string
	// Consent: the outcome of an earlier life may be adopted.
	Consent bool
	// Paid is the reason of a success.
	Paid v1alpha1.Reason
	// CalledOff: the user called it off, and that ends a session unpaid.
	CalledOff bool
}

// ofEarlierSale tells whether an answer is about a request that no send of this record made, so that its outcome is not
// this sale's. The provider gives the tag of the request back; where it does not, a reference that was known at our
// first send, or that we never sent, is another's. It is the only place that says so.
func (e Expected) ofEarlierSale(a *v1alpha1.Attempt, st providers.Status) bool {
	switch {
	case a.Taken != nil && a.Taken.Found:
		return false // it was open when this record took it: it ends in this sale's time
	case st.CorrelationTag != "" && e.Tag != "":
		return st.CorrelationTag != e.Tag
	case a.Taken != nil:
		return false
	default:
		return MadeElsewhere(a)
	}
}

// FoldStatus records the provider's answer to our own question. It is the only
// place where an answer becomes an outcome.
func FoldStatus(st providers.Status, e Expected, now time.Time) Fold {
	return func(a *v1alpha1.Attempt) bool {
		at := metav1.NewMicroTime(now)
		unknown := func(reason v1alpha1.Reason) Fold {
			return FoldUnknown(v1alpha1.Unknown{Reason: reason, Since: at, Reported: e.reported(st)})
		}
		found := e.ofEarlierSale(a, st)
		switch {
		case found && st.State.Final() && !e.Consent:
			return unknown(v1alpha1.ReasonReusedName)(a)
		case found && !st.State.Final() && st.Money.Amount != "" && !sameMoney(st.Money, e.Money):
			return unknown(v1alpha1.ReasonAmountMismatch)(a)
		}
		taken := e.Ours(st) && FoldTaken(v1alpha1.Taken{At: at, Found: found})(a)
		outcome, mismatch := conclude(st, e, now)
		switch {
		case mismatch && a.Outcome != nil:
			return foldLater(a, otherMoney(st, now)) || taken
		case mismatch:
			return unknown(v1alpha1.ReasonAmountMismatch)(a) || taken
		case outcome != nil:
			return FoldOutcome(*outcome)(a) || taken
		default:
			return FoldNotice(undecided(st, at))(a) || taken
		}
	}
}

// undecided is what to tell people of an answer that is neither progress nor an outcome.
func undecided(st providers.Status, at metav1.MicroTime) v1alpha1.Notice {
	switch {
	case st.LastError != "" && !st.State.Final():
		// A try failed and the payer may try again.
		return v1alpha1.Notice{Reason: v1alpha1.ReasonAwaitingPayer, Code: st.LastError, At: at}
	case st.Unrecognized || st.State.Final():
		return v1alpha1.Notice{Reason: v1alpha1.ReasonUnrecognizedStatus, Code: st.Code, At: at}
	default:
		return v1alpha1.Notice{At: at}
	}
}

// conclude turns an answer into an outcome. Success needs the amount, the currency and the
// reference to be what was sent. That another reference ended unpaid tells nothing of ours.
func conclude(st providers.Status, e Expected, now time.Time) (outcome *v1alpha1.Outcome, mismatch bool) {
	o := &v1alpha1.Outcome{Code: st.Code, TransactionID: Clip(st.TransactionID), At: metav1.NewMicroTime(now)}
	switch state := st.State; {
	case state == providers.StateSucceeded && !(e.Ours(st) && sameMoney(st.Money, e.Money)):
		return nil, true
	case !e.Ours(st):
		return nil, false
	case state == providers.StateSucceeded:
		paid := v1alpha1.Money(st.Money)
		o.Phase, o.Reason, o.Code, o.Paid = v1alpha1.PhaseSucceeded, e.Paid, "", &paid
	case state == providers.StateFailed:
		o.Phase, o.Reason = v1alpha1.PhaseFailed, FailureReason(st.Failure)
	case state == providers.StateExpired && !e.CalledOff:
		o.Phase, o.Reason = v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout
		if st.LastError != "" {
			o.Code = st.LastError
		}
	case state == providers.StateExpired, state == providers.StateCancelled:
		o.Phase, o.Reason = v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled
	default:
		return nil, false
	}
	return o, false
}

func sameMoney(said providers.Money, want v1alpha1.Money) bool {
	return providers.EqualAmount(said.Amount, want.Amount) && said.Currency == want.Currency
}

// otherMoney is what contradicts an outcome if something was paid, but not what was asked for.
func otherMoney(st providers.Status, now time.Time) v1alpha1.Outcome {
	paid := v1alpha1.Money{Amount: clipTo(st.Money.Amount, 40), Currency: clipTo(st.Money.Currency, 3)}
	return v1alpha1.Outcome{
		Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonAmountMismatch, Code: st.Code,
		TransactionID: Clip(st.TransactionID), Paid: &paid, At: metav1.NewMicroTime(now),
	}
}

// reported keeps what the provider said for the person who settles it: the money where it is not what was asked for.
func (e Expected) reported(st providers.Status) *v1alpha1.Reported {
	r := &v1alpha1.Reported{TransactionID: Clip(st.TransactionID), Code: providers.SafeCode(st.Code)}
	if !sameMoney(st.Money, e.Money) {
		r.Amount, r.Currency = clipTo(cmp.Or(st.Money, st.Said).Amount, 40), clipTo(cmp.Or(st.Money, st.Said).Currency, 16)
	}
	return r
}

// RefusalOutcome is the end of a request that was refused.
func RefusalOutcome(r *v1alpha1.Refusal, now time.Time) v1alpha1.Outcome {
	return v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: r.Reason, Code: r.Code, Message: r.Message, At: metav1.NewMicroTime(now)}
}

// FoldSettled records what a person found out about the Unknown that was shown; nil:
// what was shown is not recorded as one.
func FoldSettled(o v1alpha1.Outcome, shown *v1alpha1.Unknown) Fold {
	return func(a *v1alpha1.Attempt) bool {
		same := shown == nil || a.Unknown != nil && a.Unknown.Reason == shown.Reason && a.Unknown.Since.Equal(&shown.Since)
		return a.Outcome == nil && same && FoldOutcome(o)(a)
	}
}

// FoldStillEnded records that the provider, asked after an end that is not "paid",
// still knows nothing of the request. Where a person told the outcome, so does Later.
func FoldStillEnded(now time.Time) Fold {
	return func(a *v1alpha1.Attempt) bool {
		if a.Outcome == nil || a.Later != nil || a.Outcome.Phase == v1alpha1.PhaseSucceeded {
			return false
		}
		still := *a.Outcome
		still.At = metav1.NewMicroTime(now)
		a.Later = &still
		return true
	}
}
