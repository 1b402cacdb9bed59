package payment

import (
	"hash/fnv"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// action is the one thing that a run does.
type action string

const (
	// actIdle: nothing to do, and nothing to wait for but an event.
	actIdle action = "Idle"
	// actWait: nothing to do before decision.after has passed.
	actWait action = "Wait"
	// actClaim: create the Charge.
	actClaim action = "Claim"
	// actSend: ask the provider for money. The only action that can.
	actSend action = "Send"
	// actAsk: find out what became of a send that was not answered.
	actAsk action = "Ask"
	// actCheck: ask how an opened payment stands.
	actCheck action = "Check"
	// actCancel: end a session whose time is over, or that was called off.
	actCancel action = "Cancel"
	// actCallOff: write down that the merchant called the payment off.
	actCallOff action = "CallOff"
	// actCancelled: it was called off, and it is certain that nobody can pay.
	actCancelled action = "Cancelled"
	// actExpire: it is certain by the provider's rules that nobody can pay.
	actExpire action = "Expire"
	// actSettle: write down what a person found out.
	actSettle action = "Settle"
	// actHold: the outcome cannot be told; record decision.reason.
	actHold action = "Hold"
	// actNote: nothing can be done now; record decision.reason.
	actNote action = "Note"
)

type decision struct {
	action action
	after  time.Duration
	reason v1alpha1.Reason
}

// facts are all that a decision depends on.
type facts struct {
	now      time.Time
	settings attempt.Settings
	// process is this process, and processStart when it began.
	process      string
	processStart time.Time

	// payment holds the charge and still exists; nil: there is nobody to ask
	// for money for, only a charge to follow.
	payment  *v1alpha1.Payment
	charge   *v1alpha1.Charge
	traits   providers.Traits
	interval time.Duration
	// closed is why nothing new is sent through the account; empty: it is open.
	closed v1alpha1.Reason
	// seen is what this process learnt from the provider.
	seen observation
}

// observation is what one process remembers of its last call for a charge. It
// only spaces calls; forgetting it costs a call, never money.
type observation struct {
	// at is when the last call ended; zero: none yet.
	at time.Time
	// failures in a row, counting the last call.
	failures int
	// notFound: the provider does not know the reference.
	notFound bool
	// state that it told.
	state providers.State
	// cancelledAt is when we last ended the session.
	cancelledAt time.Time
}

func (o observation) ok() bool { return !o.at.IsZero() && o.failures == 0 }

// decide is the whole of the protocol: what to do next, from what is known. It
// does no I/O and has no clock.
func decide(f facts) decision {
	if f.charge == nil {
		return f.unclaimed()
	}
	rec := &f.charge.Record
	switch {
	case f.charge.Spec.ReferenceVersion != installation.ReferenceVersion:
		// Made by another version, which knows what it sent. Leave it alone.
		return decision{action: actIdle}
	case rec.Outcome != nil:
		return f.over()
	case rec.Hold != nil && f.payment != nil && settlement(f.payment) != nil:
		return decision{action: actSettle}
	case f.asks() && f.payment.Spec.Cancel && rec.Cancel == nil:
		return decision{action: actCallOff}
	case rec.Hold != nil:
		return f.held()
	case rec.Session != nil:
		return f.opened()
	case rec.Refusal != nil:
		return f.refused()
	case openSends(rec) > 0:
		return f.unanswered()
	default:
		return f.unasked()
	}
}

// openSends counts the sends that may have arrived.
func openSends(rec *v1alpha1.ChargeRecord) int32 { return rec.Sends - rec.VoidSends }

func (f facts) unclaimed() decision {
	p := f.payment
	switch {
	case p == nil || p.DeletionTimestamp != nil || p.Status.Phase.Terminal():
		return decision{action: actIdle}
	case p.Spec.Cancel && p.Status.ChargeName == "" && p.Status.InitiatedAt == nil && !attempt.Restored(p) && !f.settings.AdoptOnly:
		return decision{action: actCancelled}
	default:
		return decision{action: actClaim}
	}
}

// unasked: nothing was sent, or nothing that arrived.
func (f facts) unasked() decision {
	switch {
	case f.calledOff() && !f.mayHaveSent():
		return decision{action: actCancelled}
	case !f.asks() || f.payment.DeletionTimestamp != nil:
		return decision{action: actIdle}
	case !f.maySend():
		return f.adopt()
	case f.closed != "":
		return f.waitUntilOpen()
	default:
		return f.afterRetry(actSend)
	}
}

// waitUntilOpen: the account takes nothing new, which stops a first request only.
// One that may have arrived is followed to its end, whatever that takes.
func (f facts) waitUntilOpen() decision {
	if n := f.charge.Record.Notice; n == nil || n.Reason != f.closed {
		return decision{action: actNote, reason: f.closed}
	}
	return decision{action: actWait, after: f.settings.RetryMax}
}

// maySend: there is somebody to ask for, and no sign that this object is older
// than the record of it.
func (f facts) maySend() bool {
	return f.asks() && f.payment.DeletionTimestamp == nil && !f.calledOff() && !f.mayHaveSent()
}

// asks: there is a Payment that is not over. One that is has said its last word,
// whatever Charge it comes to hold later: a namesake's, whose Payment was deleted.
func (f facts) asks() bool { return f.payment != nil && !f.payment.Status.Phase.Terminal() }

// mayHaveSent: there are signs that the Charge is older than what was sent for
// it, as after a restore.
func (f facts) mayHaveSent() bool {
	return f.settings.AdoptOnly || (f.payment != nil && (attempt.Restored(f.payment) || f.recordLost()))
}

// calledOff: the merchant called the payment off. Nothing is sent any more.
func (f facts) calledOff() bool { return f.charge.Record.Cancel != nil }

// recordLost: the Payment says that the provider was asked, the Charge that it
// never was. So the Charge is younger than the request.
func (f facts) recordLost() bool {
	return f.payment.Status.InitiatedAt != nil && f.charge.Record.Sends == 0
}

// adopt looks for what the provider may know already, and sends nothing.
func (f facts) adopt() decision {
	n := f.charge.Record.Notice
	switch {
	case f.canAsk() && !f.seen.ok():
		return f.afterRetry(actAsk)
	case f.recordLost():
		return decision{action: actHold, reason: v1alpha1.ReasonLostInitiation}
	case n != nil && n.Reason == v1alpha1.ReasonAdoptOnly:
		return decision{action: actIdle}
	default:
		return decision{action: actNote, reason: v1alpha1.ReasonAdoptOnly}
	}
}

// canAsk: the provider can be asked by reference alone.
func (f facts) canAsk() bool { return f.traits.Recovery != providers.RecoverByRepeat }

// unanswered: a send may have arrived and nothing came back. It is never taken
// for a failure; how it is recovered is the provider's trait.
func (f facts) unanswered() decision {
	if !f.canAsk() {
		return f.unansweredForGood()
	}
	late := f.lateUntil()
	askedInTime := f.seen.ok() && !f.seen.at.Before(late)
	switch {
	case f.seen.at.Before(f.charge.Record.LastSend.At.Time) || f.calledBack():
		return f.afterGap(actAsk)
	case f.now.Before(late):
		return f.waitUntil(earliest(late, f.seen.at.Add(f.settings.CloserInterval)), actAsk)
	case !askedInTime:
		return f.afterRetry(actAsk)
	case f.seen.notFound:
		return f.notArrived(decision{action: actSend}, v1alpha1.ReasonOutcomeUnknown)
	default:
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	}
}

// unansweredForGood: only sending again tells whether the first one arrived.
// Calling off is certain here, too: what was opened, if anything, has a page
// that nobody was told of.
func (f facts) unansweredForGood() decision {
	if late := f.lateUntil(); f.now.Before(late) {
		return f.waitUntil(late)
	}
	return f.notArrived(f.afterRetry(actSend), v1alpha1.ReasonLostInitiation)
}

// notArrived: no send can arrive any more, and none has to our knowledge. It is
// sent again if it may be.
func (f facts) notArrived(again decision, unknown v1alpha1.Reason) decision {
	switch {
	case f.charge.Record.ReferenceKnown:
		// The provider said that it has it.
		return decision{action: actHold, reason: unknown}
	case f.calledOff() && !f.mayHaveSent():
		return decision{action: actCancelled}
	case f.maySend() && openSends(&f.charge.Record) < f.settings.MaxSends:
		return again
	default:
		return decision{action: actHold, reason: unknown}
	}
}

// lateUntil is when the newest send can no longer arrive; zero: there is none.
func (f facts) lateUntil() time.Time {
	last := f.charge.Record.LastSend
	if last == nil {
		return time.Time{}
	}
	late := last.At.Add(f.settings.LateWindow)
	if last.Sender != f.process {
		late = late.Add(f.settings.ClockSkew)
	}
	return late
}

// refused: a push provider said no. It is asked at once, because the payer could
// have been asked all the same, and once more when nothing can arrive any more.
func (f facts) refused() decision {
	late := f.lateUntil()
	if f.seen.notFound && f.seen.at.Before(late) {
		return f.waitUntil(late, actAsk)
	}
	return f.afterRetry(actAsk)
}

// opened: the provider took the request.
func (f facts) opened() decision {
	deadline, end := f.deadline(), f.sessionEnd()
	verdict := deadline
	switch {
	case f.traits.CanCancel && f.calledOff():
		verdict = earliest(deadline, f.charge.Record.Cancel.At.Time)
	case end.After(verdict) && !f.traits.CanCancel:
		verdict = end
	}
	checkedAfter := func(t time.Time) bool { return f.seen.ok() && !f.seen.at.Before(t) }
	switch {
	case !end.IsZero() && checkedAfter(end) && f.seen.state == providers.StateNotStarted:
		return decision{action: actExpire}
	case checkedAfter(verdict) && f.traits.CanCancel && !f.triedToEnd(verdict):
		return f.cancel()
	case checkedAfter(verdict):
		return decision{action: actHold, reason: v1alpha1.ReasonOutcomeUnknown}
	default:
		return f.waitUntil(f.nextCheck(verdict, end), actCheck)
	}
}

// triedToEnd: the session was ended again and again, and still the provider does
// not tell how it ended.
func (f facts) triedToEnd(since time.Time) bool {
	return !f.seen.cancelledAt.IsZero() && f.now.After(since.Add(f.settings.SlowInterval))
}

// cancel ends the session, then asks; at most once an interval.
func (f facts) cancel() decision {
	if again := f.seen.cancelledAt.Add(f.interval); f.now.Before(again) {
		return f.waitUntil(again, actCancel)
	}
	return decision{action: actCancel}
}

func (f facts) deadline() time.Time {
	return f.charge.Record.Session.At.Add(time.Duration(f.charge.Spec.TimeoutSeconds) * time.Second)
}

// sessionEnd is when nobody can pay any more; zero if there is no such time.
func (f facts) sessionEnd() time.Time {
	s := f.charge.Record.Session
	switch {
	case s.ExpiresAt != nil:
		return s.ExpiresAt.Add(f.settings.ExpiryMargin)
	case f.traits.SessionLife > 0:
		return s.At.Add(f.traits.SessionLife + f.settings.ExpiryMargin)
	default:
		return time.Time{}
	}
}

// nextCheck is one interval after the last one, sooner after a callback, and
// never later than the times at which a verdict is due.
func (f facts) nextCheck(limits ...time.Time) time.Time {
	if f.calledBack() {
		return f.seen.at.Add(f.settings.CallbackGap)
	}
	last := f.lastAsked()
	if last.After(f.now) {
		return f.now // the clock was set back: better too early than hours too late
	}
	due := last.Add(f.jittered(f.interval))
	if f.recentlyCalledBack() && !f.seen.at.IsZero() {
		due = earliest(due, f.seen.at.Add(f.settings.CloserInterval))
	}
	for _, t := range limits {
		if !t.IsZero() && f.seen.at.Before(t) {
			due = earliest(due, t)
		}
	}
	return due
}

// lastAsked is where the interval counts from. After a restart nothing is
// remembered: then the first checks are spread over one interval.
func (f facts) lastAsked() time.Time {
	opened := f.charge.Record.Session.At.Time
	switch {
	case !f.seen.at.IsZero():
		return f.seen.at
	case opened.Before(f.processStart):
		return f.processStart.Add(-time.Duration(f.fraction() * float64(f.interval)))
	default:
		return opened
	}
}

// calledBack: a callback came after the last call.
func (f facts) calledBack() bool {
	note := f.lastCallback()
	return note != nil && note.ReceivedAt.After(f.seen.at)
}

func (f facts) recentlyCalledBack() bool {
	note := f.lastCallback()
	return note != nil && f.now.Sub(note.ReceivedAt.Time) < f.settings.CloserFor
}

func (f facts) lastCallback() *v1alpha1.CallbackNote {
	if f.payment == nil {
		return nil
	}
	return f.payment.Status.LastCallback
}

// held: nobody is asked for money again; the provider is asked slowly, as long
// as there is something to ask by.
func (f facts) held() decision {
	hold := f.charge.Record.Hold
	ask, ok := f.question()
	switch {
	case !ok:
		return decision{action: actIdle}
	case f.calledBack():
		return f.afterGap(ask)
	case hold.Reason == v1alpha1.ReasonReusedReference && f.consented() && (!f.seen.ok() || f.seen.state.Final()):
		return f.afterGap(ask)
	default:
		return f.slowly(hold.At.Time, ask)
	}
}

// over: there is an outcome. It stays; what the provider says against it is
// found where it may be: after a person settled, and when a callback comes about
// a payment that is not known as paid.
func (f facts) over() decision {
	rec := &f.charge.Record
	ask, ok := f.question()
	note := f.lastCallback()
	switch {
	case !ok, rec.Contradiction != nil, saidPaid(rec.Outcome):
		return decision{action: actIdle}
	case note != nil && note.ReceivedAt.After(rec.Outcome.At.Time) && f.recentlyCalledBack():
		return f.lateNews(note, ask)
	case rec.Outcome.Settlement != nil:
		return f.slowly(rec.Outcome.At.Time, ask)
	default:
		return decision{action: actIdle}
	}
}

// lateNews: a callback came after the end. It is worth one answer, and the
// memory of that is kept while the callback is recent.
func (f facts) lateNews(note *v1alpha1.CallbackNote, ask action) decision {
	switch {
	case f.calledBack():
		return f.afterGap(ask)
	case f.seen.failures > 0:
		return f.afterRetry(ask)
	default:
		return f.waitUntil(note.ReceivedAt.Add(f.settings.CloserFor))
	}
}

// saidPaid: the provider itself said that it was paid.
func saidPaid(o *v1alpha1.ChargeOutcome) bool {
	return o.Phase == v1alpha1.PhaseSucceeded && o.Settlement == nil
}

// question is how the provider can be asked about the charge, if it can.
func (f facts) question() (action, bool) {
	rec := &f.charge.Record
	if rec.Session != nil {
		return actCheck, true
	}
	return actAsk, f.canAsk() && (openSends(rec) > 0 || rec.Hold != nil)
}

// slowly asks now and then, for a while since the time given.
func (f facts) slowly(since time.Time, ask action) decision {
	if f.now.Sub(since) > f.settings.SlowFor {
		return decision{action: actIdle}
	}
	last := latest(since, f.seen.at)
	return f.waitUntil(last.Add(f.jittered(f.settings.SlowInterval)), ask)
}

// consented: an outcome that the provider knew before this Charge asked for it
// may be taken up.
func (f facts) consented() bool {
	return f.mayHaveSent() || f.settings.AdoptionWindow == 0 || (f.payment != nil && consents(f.payment))
}

// afterRetry does a once the wait for the failures so far is over.
func (f facts) afterRetry(a action) decision {
	if f.seen.failures == 0 {
		return decision{action: a}
	}
	return f.waitUntil(f.seen.at.Add(f.settings.Retry(f.seen.failures)), a)
}

// afterGap does a, but not sooner after the last call than a flood of
// callbacks may cause.
func (f facts) afterGap(a action) decision {
	if f.seen.at.IsZero() {
		return decision{action: a}
	}
	return f.waitUntil(f.seen.at.Add(f.settings.CallbackGap), a)
}

// waitUntil waits until t and then does a, if one is given.
func (f facts) waitUntil(t time.Time, a ...action) decision {
	wait := t.Sub(f.now)
	if wait <= 0 && len(a) > 0 {
		return decision{action: a[0]}
	}
	return decision{action: actWait, after: max(wait, time.Millisecond)}
}

// jittered spreads d by ten per cent either way.
func (f facts) jittered(d time.Duration) time.Duration {
	return d + time.Duration((f.fraction()-0.5)*0.2*float64(d))
}

// fraction is a number in [0,1) that follows from the charge and the last
// call: spread like a random one, but the same facts give the same decision.
func (f facts) fraction() float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.charge.Name + f.seen.at.UTC().Format(time.RFC3339Nano)))
	return float64(h.Sum32()) / (1 << 32)
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
