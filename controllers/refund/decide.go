package refund

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// action is the one thing that a run does.
type action string

const (
	actIdle action = "Idle"
	// actWait: nothing to do before decision.after has passed.
	actWait action = "Wait"
	// actClaim: write on the Charge what is to be given back.
	actClaim action = "Claim"
	// actSend: ask the provider to give money back. The only action that can.
	actSend action = "Send"
	// actAsk: ask the provider how the refund stands.
	actAsk action = "Ask"
	// actConfirm: record what a person confirmed.
	actConfirm action = "Confirm"
	// actWithdraw: the Refund is gone, and certainly nothing was given back.
	actWithdraw action = "Withdraw"
	// actHold: the outcome cannot be told; record decision.reason.
	actHold action = "Hold"
	// actNote: nothing can be done now; record decision.reason.
	actNote action = "Note"
)

// followedFor is how long a refund that the provider took is asked about
// closely. Providers settle them in seconds to minutes.
const followedFor = time.Hour

type decision struct {
	action action
	after  time.Duration
	reason v1alpha1.Reason
}

// facts are all that a decision depends on.
type facts struct {
	now      time.Time
	settings attempt.Settings
	// process is this process.
	process string

	// refund that exists and is the one that claimed; nil: there is only a
	// claim to follow.
	refund   *v1alpha1.Refund
	payment  *v1alpha1.Payment
	charge   *v1alpha1.Charge
	claim    *v1alpha1.ChargeRefund
	mode     providers.RefundMode
	interval time.Duration
	// closed is why nothing new is sent through the account; empty: it is open.
	closed v1alpha1.Reason
	seen   observation
	// foreign: the provider or the record is none that this operator knows.
	foreign bool
}

// observation is what one process remembers of its last call for a refund. It
// only spaces calls.
type observation struct {
	// at is when the last call ended; zero: none yet.
	at time.Time
	// failures in a row, counting the last call.
	failures int
	// notThere: the provider knows nothing of the refund.
	notThere bool
}

func (o observation) ok() bool { return !o.at.IsZero() && o.failures == 0 }

// decide is the whole of the protocol. It does no I/O and has no clock.
func decide(f facts) decision {
	c := f.claim
	switch {
	case c == nil:
		return f.unclaimed()
	case c.Outcome != nil, f.charge.Spec.ReferenceVersion != installation.ReferenceVersion:
		return decision{action: actIdle}
	case f.confirmed():
		return decision{action: actConfirm}
	case f.foreign, manual(f.mode):
		return decision{action: actIdle}
	case c.Hold != nil:
		return f.held()
	case c.Taken != nil:
		return f.taken()
	case c.Refusal != nil && c.Refusal.Send == c.Sends:
		// Asked once more, because what is freed can be given back by another.
		return f.afterRetry(actAsk)
	case openSends(c) > 0:
		return f.unanswered()
	default:
		return f.unsent()
	}
}

func manual(m providers.RefundMode) bool { return m == providers.RefundManual || m == "" }

// openSends counts the sends that may have arrived.
func openSends(c *v1alpha1.ChargeRefund) int32 { return c.Sends - c.VoidSends }

func (f facts) unclaimed() decision {
	r, p := f.refund, f.payment
	switch {
	case r == nil || r.DeletionTimestamp != nil || r.Status.Phase.Terminal() || f.foreign:
		return decision{action: actIdle}
	case refundable(p, f.charge):
		return decision{action: actClaim}
	case p != nil && p.Status.Phase == v1alpha1.PhaseSucceeded:
		// Our view of the Charge is behind, and its change does not wake us.
		return decision{action: actWait, after: f.settings.RetryMin}
	default:
		return decision{action: actIdle}
	}
}

// unpaid: the Payment ended, and otherwise than paid.
func unpaid(p *v1alpha1.Payment) bool {
	return p != nil && p.Status.Phase.Terminal() && p.Status.Phase != v1alpha1.PhaseSucceeded
}

// refundable: the Payment succeeded, and this is the Charge that says so.
func refundable(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	return p != nil && p.Status.Phase == v1alpha1.PhaseSucceeded &&
		c != nil && c.Name == p.Status.ChargeName &&
		c.Record.Outcome != nil && c.Record.Outcome.Phase == v1alpha1.PhaseSucceeded && c.Record.Outcome.Paid != nil
}

// confirmed: a person says what became of it, where nobody else can. What a
// restore brought back was not checked when it was written.
func (f facts) confirmed() bool {
	byHand := manual(f.mode) && !f.foreign
	return f.refund != nil && f.refund.Spec.Confirmation != nil && !attempt.Restored(f.refund) && (byHand || f.claim.Hold != nil)
}

// unsent: nothing was sent, or nothing that arrived.
func (f facts) unsent() decision {
	switch {
	case f.maySend() && f.closed != "":
		return f.waitUntilOpen()
	case f.maySend():
		return f.onceShown(f.afterRetry(actSend))
	case !f.seen.ok():
		return f.afterRetry(actAsk)
	case f.recordLost():
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	case f.gone():
		return decision{action: actWithdraw}
	case f.claim.Notice != nil && f.claim.Notice.Reason == v1alpha1.ReasonAdoptOnly:
		return decision{action: actIdle}
	default:
		return decision{action: actNote, reason: v1alpha1.ReasonAdoptOnly}
	}
}

// waitUntilOpen: the account takes nothing new, which stops a first request only.
func (f facts) waitUntilOpen() decision {
	if n := f.claim.Notice; n == nil || n.Reason != f.closed {
		return decision{action: actNote, reason: f.closed}
	}
	return decision{action: actWait, after: f.settings.RetryMax}
}

// gone: nobody asks for it any more. A Refund that says Failed was refused by
// another process, which did not see this claim.
func (f facts) gone() bool {
	r := f.refund
	return r == nil || r.DeletionTimestamp != nil || r.Status.Phase == v1alpha1.RefundFailed
}

// onceShown does d once the Refund shows the claim. Status is written under the
// Refund's version: one that shows its claim can no longer be refused.
func (f facts) onceShown(d decision) decision {
	if f.refund.Status.ChargeName != f.charge.Name {
		return decision{action: actWait, after: f.settings.RetryMin}
	}
	return d
}

// maySend: somebody asks for it, and there is no sign that this object is older
// than the record of it.
func (f facts) maySend() bool {
	return !f.gone() && !f.refund.Status.Phase.Terminal() && !f.settings.AdoptOnly && !attempt.Restored(f.refund) && !f.recordLost()
}

// recordLost: the Refund says that the provider was asked, the Charge that it
// never was.
func (f facts) recordLost() bool {
	return f.refund != nil && f.refund.Status.InitiatedAt != nil && f.claim.Sends == 0
}

// unanswered: a send may have arrived and nothing came back.
func (f facts) unanswered() decision {
	c, late := f.claim, f.lateUntil()
	askedInTime := f.seen.ok() && !f.seen.at.Before(late)
	switch {
	case f.seen.at.IsZero():
		return decision{action: actAsk}
	case f.now.Before(late):
		return f.waitUntil(earliest(late, f.seen.at.Add(f.settings.CloserInterval)), actAsk)
	case f.silent(late):
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	case !askedInTime:
		return f.afterRetry(actAsk)
	case f.seen.notThere && f.maySend() && openSends(c) < f.settings.MaxSends:
		return f.onceShown(decision{action: actSend})
	case f.seen.notThere && f.gone():
		return decision{action: actWithdraw}
	default:
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	}
}

// lateUntil is when the newest send can no longer arrive.
func (f facts) lateUntil() time.Time {
	last := f.claim.LastSend
	late := last.At.Add(f.settings.LateWindow)
	if last.Sender != f.process {
		late = late.Add(f.settings.ClockSkew)
	}
	return late
}

// taken: the provider took the request; it is asked until it has decided.
func (f facts) taken() decision {
	deadline := f.claim.Taken.Add(followedFor)
	ahead := f.claim.Taken.After(f.now) // by a clock that was
	switch {
	case f.silent(deadline):
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	case f.seen.failures > 0, ahead && f.seen.at.IsZero():
		return f.afterRetry(actAsk)
	case f.seen.ok() && !f.seen.at.Before(deadline):
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	case !ahead && f.seen.at.Before(f.claim.Taken.Time):
		// Most are settled at once.
		return f.waitUntil(f.claim.Taken.Add(f.settings.RetryMin), actAsk)
	default:
		return f.waitUntil(earliest(f.seen.at.Add(f.interval), latest(deadline, f.seen.at.Add(f.settings.RetryMin))), actAsk)
	}
}

// silentFor is how long the provider may be silent once it should have decided. Then a
// person may find out and confirm; the provider is asked on all the same.
const silentFor = 24 * time.Hour

func (f facts) silent(since time.Time) bool {
	return f.seen.failures > 0 && f.now.Sub(since) > silentFor
}

// held: nothing is sent again; the provider is asked slowly.
func (f facts) held() decision {
	if f.now.Sub(f.claim.Hold.At.Time) > f.settings.SlowFor {
		return decision{action: actIdle}
	}
	return f.waitUntil(latest(f.claim.Hold.At.Time, f.seen.at).Add(f.settings.SlowInterval), actAsk)
}

// afterRetry does a once the wait for the failures so far is over.
func (f facts) afterRetry(a action) decision {
	if f.seen.failures == 0 {
		return decision{action: a}
	}
	return f.waitUntil(f.seen.at.Add(f.settings.Retry(f.seen.failures)), a)
}

// waitUntil waits until t and then does a.
func (f facts) waitUntil(t time.Time, a action) decision {
	if wait := t.Sub(f.now); wait > 0 {
		return decision{action: actWait, after: wait}
	}
	return decision{action: a}
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
