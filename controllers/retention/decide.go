package retention

import (
	"fmt"
	"slices"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
)

// keepUnsent is how long a Charge stays of which nothing was sent and that no Payment
// wants. It needs no memory: a new Payment of its name may be asked for.
const keepUnsent = 24 * time.Hour

// verdict says whether a Charge is collected, and if not, why it is kept.
type verdict string

const (
	// keepForeign: made by another installation or version, or on its way out.
	keepForeign verdict = "Foreign"
	// keepOpen: how the payment or a refund ended is not known.
	keepOpen verdict = "Open"
	// keepYoung: not over for long enough.
	keepYoung verdict = "Young"
	// keepUsed: its Payment exists, or a Refund that it has an entry of.
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
	// payment of the sale; nil: there is none.
	payment *v1alpha1.Payment
	// refunds: one that the Charge has an entry of exists.
	refunds bool
}

// decide is the only place that says that a Charge may go. It does no I/O and has no clock.
func decide(f facts) verdict {
	c := f.charge
	keep, used := f.settings.Keep, f.payment != nil || f.refunds
	if unsent(&c.Record) {
		keep, used = keepUnsent, f.payment != nil && !f.payment.Status.Phase.Terminal()
	}
	switch {
	case !ours(c, f.installation) || c.DeletionTimestamp != nil:
		return keepForeign
	case !unsent(&c.Record) && !over(&c.Record):
		return keepOpen
	case keep <= 0 || c.CreationTimestamp.IsZero() || f.now.Before(newestEvidence(c).Add(keep)):
		return keepYoung
	case used:
		return keepUsed
	default:
		return collect
	}
}

// ours: what this operator made and understands. Payments are found by the name, so that one has to be right, too.
func ours(c *v1alpha1.Charge, inst installation.Installation) bool {
	return inst.Made(c) && c.Name == inst.ChargeName(c.Spec.Payment.Namespace, c.Spec.Payment.Name)
}

// unsent: nothing was sent, neither for the payment nor for a refund of it.
func unsent(rec *v1alpha1.ChargeRecord) bool {
	sent := func(r v1alpha1.ChargeRefund) bool { return !attempt.NothingSent(&r.Attempt) }
	return attempt.NothingSent(&rec.Attempt) && rec.Session == nil && !slices.ContainsFunc(rec.Refunds, sent)
}

// over: it is known how the payment ended, and each refund of it. What is Unknown is
// not over, however old: nothing else remembers that sale.
func over(rec *v1alpha1.ChargeRecord) bool {
	open := func(o *v1alpha1.Outcome) bool { return o == nil || !o.Phase.Terminal() }
	return !open(rec.Outcome) && !slices.ContainsFunc(rec.Refunds, func(r v1alpha1.ChargeRefund) bool { return open(r.Outcome) })
}

// newestEvidence is when the last thing happened that a person may want to look at. The creation counts, because the
// API server dated it: what this operator wrote itself was dated by its own clock.
func newestEvidence(c *v1alpha1.Charge) time.Time {
	newest := c.CreationTimestamp.Time
	at := func(t time.Time) {
		if t.After(newest) {
			newest = t
		}
	}
	if note := c.Record.LastCallback; note != nil {
		at(note.ReceivedAt.Time)
	}
	of := func(a *v1alpha1.Attempt) {
		for _, o := range []*v1alpha1.Outcome{a.Outcome, a.Later} {
			if o != nil {
				at(o.At.Time)
			}
		}
		if a.Notice != nil {
			at(a.Notice.At.Time)
		}
	}
	of(&c.Record.Attempt)
	for i := range c.Record.Refunds {
		at(c.Record.Refunds[i].ReservedAt.Time)
		of(&c.Record.Refunds[i].Attempt)
	}
	return newest
}

// Settings of the retention.
type Settings struct {
	// Keep is how long a Charge is kept after its newest evidence; 0: for ever. One of
	// which nothing was sent goes after a day all the same.
	Keep time.Duration
	// Minimum of Keep. There is no flag for it; tests shorten it.
	Minimum time.Duration
	// Every is the time between two sweeps.
	Every time.Duration
}

// DefaultSettings for production.
func DefaultSettings() Settings {
	return Settings{Keep: 90 * 24 * time.Hour, Minimum: 96 * time.Hour, Every: time.Hour}
}

// Validate refuses to forget a charge while a new Payment of its name would still take it up.
func (s Settings) Validate(adoptionWindow time.Duration) error {
	switch {
	case s.Keep == 0:
		return nil
	case s.Keep < s.Minimum:
		return fmt.Errorf("--charge-retention must be 0 (keep for ever) or at least %v: "+
			"a Payment that is applied again could be charged again", s.Minimum)
	case s.Keep <= adoptionWindow:
		return fmt.Errorf("--charge-retention must be longer than --adoption-window (%v): "+
			"a Payment that is applied again within it has to find its charge", adoptionWindow)
	default:
		return nil
	}
}
