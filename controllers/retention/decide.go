package retention

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
)

// verdict says whether a Charge is collected, and if not, why it is kept.
type verdict string

const (
	// keepForeign: made by another installation or version, or on its way out.
	keepForeign verdict = "Foreign"
	// keepOpen: how the payment or a refund ended is not known.
	keepOpen verdict = "Open"
	// keepYoung: not over for long enough.
	keepYoung verdict = "Young"
	// keepUsed: a Payment names it, or a Refund claimed of it.
	keepUsed verdict = "Used"
	// collect: delete it.
	collect verdict = "Collect"
)

// facts are all that a verdict depends on.
type facts struct {
	now          time.Time
	settings     Settings
	installation installation.Installation
	charge       *v1alpha1.Charge
	// payments that exist and name the sale, and refunds that exist and claimed
	// of the Charge.
	payments []v1alpha1.Payment
	refunds  []v1alpha1.Refund
}

// decide is the only place that says that a Charge may go. It does no I/O and
// has no clock.
func decide(f facts) verdict {
	switch c := f.charge; {
	case !ours(c, f.installation) || c.DeletionTimestamp != nil:
		return keepForeign
	case !over(&c.Record):
		return keepOpen
	case f.settings.Keep <= 0 || c.CreationTimestamp.IsZero() || f.now.Before(newest(c).Add(f.settings.Keep)):
		return keepYoung
	case len(f.payments) > 0 || len(f.refunds) > 0:
		return keepUsed
	default:
		return collect
	}
}

// ours: what this operator made and understands. Payments are found by the
// name, so that one has to be right, too.
func ours(c *v1alpha1.Charge, inst installation.Installation) bool {
	return c.Spec.InstallationID == inst.ID &&
		c.Spec.ReferenceVersion == installation.ReferenceVersion &&
		c.Name == inst.ChargeName(c.Spec.Payment.Namespace, c.Spec.Reference)
}

// over: it is known how the payment ended, and each refund of it.
func over(rec *v1alpha1.ChargeRecord) bool {
	if rec.Outcome == nil || !rec.Outcome.Phase.Terminal() {
		return false
	}
	for i := range rec.Refunds {
		if o := rec.Refunds[i].Outcome; o == nil || !o.Phase.Terminal() {
			return false
		}
	}
	return true
}

// newest is when the last thing happened that a person may want to look at. The
// creation counts, because the API server dated it: what this operator wrote
// itself was dated by its own clock.
func newest(c *v1alpha1.Charge) time.Time {
	last := c.CreationTimestamp.Time
	note := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	note(c.Record.Outcome.At.Time)
	if contradiction := c.Record.Contradiction; contradiction != nil {
		note(contradiction.At.Time)
	}
	for i := range c.Record.Refunds {
		note(c.Record.Refunds[i].Outcome.At.Time)
	}
	return last
}
