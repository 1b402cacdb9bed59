package refund

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// followedFor is how long a refund is followed closely. Providers settle them in
// seconds to minutes.
const followedFor = time.Hour

// Actions that only refunds have.
const (
	// actReserve: reserve what a person has to give back.
	actReserve attempt.Action = "Reserve"
	// actRelease: the Refund is gone, and nothing was sent for it.
	actRelease attempt.Action = "Release"
)

// decide what to do: where a person gives back, the operator reserves and records;
// all else is the protocol.
func (r *Reconciler) decide(v view) attempt.Decision {
	e := v.entry()
	gone := v.refund == nil || v.refund.DeletionTimestamp != nil
	switch {
	case v.charge == nil, v.charge.Spec.InstallationID != r.Installation.ID:
		return attempt.Decision{Action: attempt.Idle}
	case e != nil && gone && attempt.NothingSent(&e.Attempt):
		return attempt.Decision{Action: actRelease}
	case manual(v.charge, r.kind(v.charge).Traits.Refund):
		return r.byHand(v)
	default:
		return attempt.Decide(r.facts(v))
	}
}

func (r *Reconciler) byHand(v view) attempt.Decision {
	switch e := v.entry(); {
	case v.refund == nil || v.refund.Status.Phase.Terminal() || e != nil && e.Outcome != nil:
		return attempt.Decision{Action: attempt.Idle}
	case e == nil && paid(v.payment, v.charge):
		return attempt.Decision{Action: actReserve}
	case e != nil && sameRefund(v.refund, v.charge, e) && r.confirmation(v) != nil:
		return attempt.Decision{Action: attempt.Settle}
	default:
		return attempt.Decision{Action: attempt.Idle}
	}
}

// facts are what the protocol decides from.
func (r *Reconciler) facts(v view) attempt.Facts {
	traits := r.kind(v.charge).Traits
	f := attempt.Facts{
		Now: r.Now(), Settings: r.Settings, Process: r.Protocol.Process, Rules: attempt.RefundRules(traits),
		Key: v.memoryKey(), AdoptOnly: r.Protocol.AdoptOnly(), Usable: v.account != nil, SameCredentials: true,
		Interval: account.DefaultInterval, Timeout: followedFor, Seen: v.seen,
	}
	if v.account != nil {
		f.Interval = v.account.Interval
	}
	e := v.entry()
	if e != nil {
		f.Attempt, f.Created = &e.Attempt, e.ReservedAt.Time
	}
	if refund := v.refund; refund != nil && (e == nil || sameRefund(refund, v.charge, e) || attempt.NothingSent(&e.Attempt)) {
		f.Wanted = !refund.Status.Phase.Terminal() && refund.DeletionTimestamp == nil && v.refused == nil
		f.EarlierLife = attempt.Restored(refund)
		f.RecordLost = refund.Status.ChargeName != "" && refund.Status.Phase != v1alpha1.RefundPending && (e == nil || e.Sends == 0)
		f.Consent = true // the name of a refund is the refund
		f.Settled = r.confirmation(v) != nil
		f.Blocked = r.blocked(v)
	}
	return f
}

// blocked is why no first request may be sent; empty: it may.
func (r *Reconciler) blocked(v view) v1alpha1.Reason {
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

// confirmation is what a person said about what the Refund shows; nil: nothing. What
// a restore brought back was said about another record.
func (r *Reconciler) confirmation(v view) *v1alpha1.RefundConfirmation {
	id := r.unknownID(v)
	if said := v.refund.Spec.Confirmation; id != "" && said != nil && said.UnknownID == id && !attempt.Restored(v.refund) {
		return said
	}
	return nil
}

// unknownID is the id of what a person has to confirm; empty: nothing.
func (r *Reconciler) unknownID(v view) string {
	u := unknownOf(v.charge, v.entry(), r.kind(v.charge).Traits.Refund)
	if u == nil || v.refund == nil {
		return ""
	}
	return r.Installation.UnknownID(string(v.charge.UID), string(v.refund.UID), u.Reason, u.Since.Time, u.Reported)
}

// unknownOf is what a person has to confirm of an entry; nil: nothing.
func unknownOf(c *v1alpha1.Charge, e *v1alpha1.ChargeRefund, mode providers.RefundMode) *v1alpha1.Unknown {
	switch {
	case e == nil || e.Outcome != nil:
		return nil
	case manual(c, mode):
		return &v1alpha1.Unknown{Reason: v1alpha1.ReasonManualActionRequired, Since: e.ReservedAt}
	default:
		return e.Unknown
	}
}
