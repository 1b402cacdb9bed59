package payment

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// facts are what the protocol decides from.
func (r *Reconciler) facts(v view) attempt.Facts {
	f := r.Protocol.Facts(v.key.String(), attempt.CollectionRules(r.traits(v)), v.seen)
	f.Interval, f.Timeout = account.DefaultInterval, account.DefaultTimeout
	f.Usable = v.account != nil || v.last != nil
	if v.account != nil {
		f.Interval = v.account.Interval
	}
	if c := v.charge; c != nil && !r.Installation.Made(c) {
		return f // never touched
	}
	if c := v.charge; c != nil && v.relation != relationVacant {
		f = r.ofCharge(f, v, c)
	}
	f.Elsewhere = v.relation == relationUnsure
	if p := v.payment; p != nil && (v.charge == nil || v.relation.holds() || v.relation == relationVacant || f.Elsewhere) {
		f = r.ofPayment(f, v, p)
	}
	return f
}

func (r *Reconciler) ofCharge(f attempt.Facts, v view, c *v1alpha1.Charge) attempt.Facts {
	rec := &c.Record
	f.Attempt = &rec.Attempt
	f.Created = c.CreationTimestamp.Time
	f.Timeout = time.Duration(c.Spec.TimeoutSeconds) * time.Second
	f.LacksHandle = !f.Rules.Askable && (rec.Session == nil || rec.Session.Token == "")
	if s := rec.Session; s != nil && s.ExpiresAt != nil {
		f.SessionExpires = s.ExpiresAt.Time
	}
	if note := rec.LastCallback; note != nil {
		f.Callback = note.ReceivedAt.Time
	}
	return f
}

func (r *Reconciler) ofPayment(f attempt.Facts, v view, p *v1alpha1.Payment) attempt.Facts {
	f.Wanted = !p.Status.Phase.Terminal() && p.DeletionTimestamp == nil && v.settled == ""
	f.CalledOff = p.Spec.Cancel
	f.Overdue = f.Now.Sub(p.CreationTimestamp.Time) > r.Settings.StartDeadline
	f.EarlierLife = attempt.Restored(p) || v.relation.holds() && attempt.Restored(v.charge) || p.Spec.Cancel && p.Generation == 1 && r.traits(v).Recovery == providers.RecoverByRepeat
	f.RecordLost = recordLost(p, v.charge)
	f.Consent = consents(p) || f.AdoptOnly || r.Settings.AdoptionWindow == 0 || f.RecordLost && askedBefore(p, v.charge)
	if f.Attempt == nil {
		f.Created = p.CreationTimestamp.Time
	}
	if v.problem != nil {
		f.Blocked = v.problem.Reason
	}
	if note := p.Status.LastCallback; note != nil && note.ReceivedAt.After(f.Callback) {
		f.Callback = note.ReceivedAt.Time
	}
	if at, err := time.Parse(time.RFC3339, p.Annotations[v1alpha1.AnnotationRequestedAt]); err == nil {
		f.Requested = at
	}
	if v.charge != nil {
		f.Settled = settlement(p, r.unknownID(p, v.charge)) != nil
	}
	return f
}

// recordLost tells whether the status shows a record that is not there: none is, or the
// Payment went past Pending and no send of it is recorded, or the payer was asked and no
// send arrived. One that was made again shows nothing of that by itself.
func recordLost(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	s := p.Status
	begun := s.Phase != "" && s.Phase != v1alpha1.PhasePending
	switch {
	case c == nil:
		return begun || s.ChargeName != ""
	case !begun:
		return false
	default:
		return c.Record.Sends == 0 || attempt.NothingSent(&c.Record.Attempt) && showsMore(p, &c.Record)
	}
}

// askedBefore tells whether the status shows that the payer was asked by a record that is lost: not
// by this one, of which an open send is left where the API server does not keep their count.
func askedBefore(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	return p.Status.InitiatedAt != nil && (c == nil || len(c.Record.Open) == 0)
}

// showsMore tells whether the status shows that the payer was asked, and the record of as many
// sends does not. Fewer sends are an old view of it.
func showsMore(p *v1alpha1.Payment, rec *v1alpha1.ChargeRecord) bool {
	return p.Status.NextAction != nil && untold(p, rec)
}

// untold tells whether the record of as many sends as the status shows tells nothing of how they went.
func untold(p *v1alpha1.Payment, rec *v1alpha1.ChargeRecord) bool {
	return rec.Sends >= p.Status.Sends && rec.Taken == nil && rec.Outcome == nil
}

// unknownID is the id of the Unknown that the Charge records, for this Payment; empty: it records none.
func (r *Reconciler) unknownID(p *v1alpha1.Payment, c *v1alpha1.Charge) string {
	u := c.Record.Unknown
	if u == nil || c.Record.Outcome != nil {
		return ""
	}
	return r.Installation.UnknownID(string(c.UID), string(p.UID), u.Reason, u.Since.Time, u.Reported)
}
