package refund

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
)

// followedFor is how long a refund is followed closely. Providers settle them in seconds to minutes.
const followedFor = time.Hour

// Actions that only refunds have.
const (
	// actReserve: reserve what a person has to give back.
	actReserve attempt.Action = "Reserve"
	// actRelease: the Refund is gone, and nothing was sent for it.
	actRelease attempt.Action = "Release"
	// actRefuse: the Refund can never be sent.
	actRefuse attempt.Action = "Refuse"
)

// asked tells whether a Refund shows that the provider, or a person, was asked to give back.
func asked(r *v1alpha1.Refund) bool {
	return r.Status.ChargeName != "" && r.Status.Phase != v1alpha1.RefundPending && r.Status.Phase != ""
}

// gone: nobody asks for it. One that says Failed was refused by another process, which did not see the reservation.
func (v view) gone() bool {
	return v.refund == nil || v.refund.DeletionTimestamp != nil || v.refund.Status.Phase == v1alpha1.RefundFailed
}

// open: the Refund is wanted, and not over.
func (v view) open() bool {
	return v.refund != nil && v.refund.DeletionTimestamp == nil && !v.refund.Status.Phase.Terminal()
}

func (v view) vacant() bool { return vacant(v.entry(), v.byHand) }

// recordLost: the Refund shows a request of which the Charge holds no record.
func (v view) recordLost() bool {
	e := v.entry()
	return v.refund != nil && asked(v.refund) && (e == nil || e.Sends == 0 && !v.byHand)
}

// suspect: the provider may know the refund, and the record may lack it.
func (v view) suspect() bool {
	return v.recordLost() || v.refund != nil && attempt.Restored(v.refund)
}

// decide what to do: where a person gives back, the operator reserves and records; all else is the protocol.
func (r *Reconciler) decide(v view) attempt.Decision {
	idle, e := attempt.Decision{Action: attempt.Idle}, v.entry()
	if d, decided := r.vacate(v); decided {
		return d
	}
	switch {
	case v.foreign:
		return idle
	case r.refusal(v) != nil:
		return attempt.Decision{Action: actRefuse}
	case e == nil && v.behind():
		// One of the caches is behind, and the Charge does not wake us.
		return attempt.Decision{Action: attempt.Wait, After: r.Settings.RetryMax}
	case e == nil && (!v.open() || r.lost(v) || !paid(v.payment, v.charge) && !v.recordLost()):
		return idle
	case v.byHand:
		return r.byHand(v)
	case e != nil && superseded(v.charge, e, r.kind(v.charge).Traits.Refund):
		return idle
	default:
		return attempt.Decide(r.facts(v))
	}
}

// vacate decides about an entry of which every send is void, and which the Refund does not want, or not as it is. What
// it reserved is neither released nor another amount's before it is certain that nothing was given back.
func (r *Reconciler) vacate(v view) (d attempt.Decision, decided bool) {
	e := v.entry()
	if v.foreign || e == nil || !v.vacant() || !v.gone() && sameRefund(v.refund, v.charge, e) {
		return d, false
	}
	f := r.facts(v)
	f.Attempt = &e.Attempt
	if d = f.Vacated(); d.Action != attempt.Idle {
		return d, true
	}
	return attempt.Decision{Action: actRelease}, v.gone()
}

// behind: the Payment shows that it was paid, and the Charge does not yet.
func (v view) behind() bool {
	return v.open() && succeeded(v.payment) && v.charge != nil && !payable(v.charge)
}

// byHand: a person gives back. The operator reserves, and records what the person says.
func (r *Reconciler) byHand(v view) attempt.Decision {
	e := v.entry()
	switch {
	case e == nil:
		return attempt.Decision{Action: actReserve}
	case v.open() && sameRefund(v.refund, v.charge, e) && r.confirmation(v) != nil:
		return attempt.Decision{Action: attempt.Settle}
	default:
		return attempt.Decision{Action: attempt.Idle}
	}
}

// refusal is why a Refund, of which nothing was sent, can never be sent; nil: it can, or it may have been. It is pure.
func (r *Reconciler) refusal(v view) *attempt.Problem {
	p := v.payment
	switch {
	case !v.open():
		return nil
	case !v.vacant() && sameRefund(v.refund, v.charge, v.entry()):
		return nil
	case !v.vacant():
		return refuse(v1alpha1.ReasonRefundConflict, "")
	case v.suspect():
		return nil
	case unpaid(p):
		return refuse(v1alpha1.ReasonPaymentNotSucceeded, "")
	case !succeeded(p):
		return nil
	case p.Status.ChargeName != v.chargeName:
		return refuse(v1alpha1.ReasonReusedName, "")
	case v.charge == nil:
		return refuse(v1alpha1.ReasonRefundHistoryUnknown, "")
	case !payable(v.charge):
		return nil
	case historyUnknown(v.charge):
		return refuse(v1alpha1.ReasonRefundHistoryUnknown, "")
	}
	_, problem := newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, r.Now())
	return problem
}

// lost: the provider, or a person, may have given back, and there is no Charge on which that can be recorded.
func (r *Reconciler) lost(v view) bool {
	if v.foreign || !v.open() || v.entry() != nil || !v.recordLost() && !(v.suspect() && succeeded(v.payment)) {
		return false
	}
	if !payable(v.charge) {
		return true
	}
	_, problem := newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, r.Now())
	return problem != nil
}

// facts are what the protocol decides from.
func (r *Reconciler) facts(v view) attempt.Facts {
	f := r.Protocol.Facts(v.memoryKey(), attempt.RefundRules(r.kind(v.charge).Traits), v.seen)
	f.Interval, f.Timeout, f.Usable = account.DefaultInterval, followedFor, v.account != nil || v.last != nil
	f.Usable = f.Usable || v.entry() == nil && v.recordLost() // the record is made again without an account
	if v.account != nil {
		f.Interval = v.account.Interval
	}
	e := v.entry()
	same := e != nil && v.refund != nil && sameRefund(v.refund, v.charge, e)
	if e != nil && (same || !v.vacant() || v.refund == nil) {
		f.Attempt, f.Created = &e.Attempt, e.ReservedAt.Time
	}
	if v.refund != nil && (same || f.Attempt == nil) {
		f = r.ofRefund(f, v)
	}
	return f
}

func (r *Reconciler) ofRefund(f attempt.Facts, v view) attempt.Facts {
	f.Wanted, f.Blocked, f.Settled = v.open(), blocked(v), r.confirmation(v) != nil
	f.EarlierLife, f.RecordLost = attempt.Restored(v.refund), v.recordLost()
	f.Consent = true // the name of a refund is the refund
	return f
}

// blocked is why no first request may be sent; empty: it may.
func blocked(v view) v1alpha1.Reason {
	switch {
	case !paid(v.payment, v.charge):
		return v1alpha1.ReasonPaymentNotSucceeded
	case v.problem != nil:
		return v.problem.Reason
	case v.account.Closed != nil:
		return v.account.Closed.Reason
	default:
		return ""
	}
}

// unknown is what a person has to confirm of a Refund; nil: nothing. Where no Charge
// records it, its time is that of the status which showed it first.
func (r *Reconciler) unknown(v view) *v1alpha1.Unknown {
	e := v.entry()
	switch {
	case r.lost(v):
		u := &v1alpha1.Unknown{Reason: v1alpha1.ReasonLostInitiation, Since: metav1.NewMicroTime(r.Now())}
		if old := v.refund.Status.Unknown; old != nil && old.Reason == u.Reason {
			u.Since = metav1.NewMicroTime(old.Since.Time)
		}
		return u
	case e == nil || e.Outcome != nil:
		return nil
	case v.byHand:
		return &v1alpha1.Unknown{Reason: v1alpha1.ReasonManualActionRequired, Since: e.ReservedAt}
	default:
		return e.Unknown
	}
}

// confirmation is what a person said about what the Refund shows; nil: nothing. What
// a restore brought back was said about another record.
func (r *Reconciler) confirmation(v view) *v1alpha1.RefundConfirmation {
	said, u := v.refund.Spec.Confirmation, r.unknown(v)
	if said == nil || u == nil || attempt.Restored(v.refund) || said.UnknownID != r.unknownID(v, u) {
		return nil
	}
	return said
}

// unknownID is the id of an Unknown for a person.
func (r *Reconciler) unknownID(v view, u *v1alpha1.Unknown) string {
	uid := ""
	if v.charge != nil {
		uid = string(v.charge.UID)
	}
	return r.Installation.UnknownID(uid, string(v.refund.UID), u.Reason, u.Since.Time, u.Reported)
}
