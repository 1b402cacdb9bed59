package attempt

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Action is the one thing that a run does.
type Action string

const (
	// Idle: nothing to do, and nothing to wait for but an event.
	Idle Action = "Idle"
	// Wait: nothing to do before Decision.After has passed.
	Wait Action = "Wait"
	// Recreate: make the record again, without a send.
	Recreate Action = "Recreate"
	// Raise: raise a send and send it. The only action that asks for money.
	Raise Action = "Send"
	// Ask the provider how the request stands.
	Ask Action = "Ask"
	// EndSession: end a session whose time is over, or that was called off.
	EndSession Action = "EndSession"
	// EndUnasked: end the object as Decision says; nobody was asked.
	EndUnasked Action = "EndUnasked"
	// Conclude: record the outcome that Decision says, certain by the rules.
	Conclude Action = "Conclude"
	// GiveUp: record that the outcome cannot be told, for Decision.Reason.
	GiveUp Action = "GiveUp"
	// Settle: record what a person found out.
	Settle Action = "Settle"
	// Note: record Decision.Reason as what holds the request up.
	Note Action = "Note"
)

// Decision is what to do next.
type Decision struct {
	Action Action
	// After is how long to wait.
	After time.Duration
	// Phase and Reason of an end, of an Unknown or of a notice.
	Phase  v1alpha1.Phase
	Reason v1alpha1.Reason
}

// Fold is what a decision records, of the attempt that it was made from; nil: it takes more than that.
func (d Decision) Fold(a *v1alpha1.Attempt, now time.Time) Fold {
	at := metav1.NewMicroTime(now)
	switch d.Action {
	case Conclude:
		o := v1alpha1.Outcome{Phase: d.Phase, Reason: d.Reason, At: at}
		if n := a.Notice; n != nil && a.Taken == nil && d.Phase == v1alpha1.PhaseExpired {
			// Nobody could pay, for that reason.
			o.Code, o.Message = n.Code, n.Message
		}
		if a.Refusal != nil && d.Phase == v1alpha1.PhaseFailed {
			o = RefusalOutcome(a.Refusal, now)
		}
		return FoldConcluded(o, a)
	case GiveUp:
		return FoldUnknown(v1alpha1.Unknown{Reason: d.Reason, Since: at})
	case Note:
		return FoldNotice(v1alpha1.Notice{Reason: d.Reason, At: at})
	default:
		return nil
	}
}

// Again is how long after a run to come back, given what is to be done next. wait, if set, is how long a limit holds
// the next call up; age, if set, is that of an object without a record, whose account has to be mended: Secrets are not
// watched, so it is looked at again, the sooner the younger it is.
func (d Decision) Again(wait, age time.Duration, s Settings) time.Duration {
	switch {
	case wait > 0:
		return wait
	case d.Action == Wait && age > 0:
		return min(max(age/4, s.RetryMin), d.After)
	case d.Action == Wait:
		return d.After
	default:
		return time.Millisecond
	}
}

// Decide is the request protocol: what to do next, from what is known. It does no
// I/O, has no clock and knows no provider by name.
func Decide(f Facts) Decision {
	a := f.Attempt
	switch {
	case a == nil || NothingSent(a):
		return f.unsent()
	case a.Outcome != nil:
		return f.ended()
	case a.Unknown != nil && f.Settled:
		return Decision{Action: Settle}
	case a.Unknown != nil && a.Unknown.Reason == v1alpha1.ReasonReusedName && f.Consent:
		return f.ask(f.Seen.At.Add(f.Interval))
	case a.Unknown != nil && a.Unknown.Reason == v1alpha1.ReasonOutcomeUnknown && f.refusedForCertain():
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseFailed, Reason: a.Refusal.Reason}
	case a.Unknown != nil:
		return f.ask(f.nextCheck())
	case a.Taken != nil:
		return f.taken()
	case len(a.Open) > 0 || a.ReferenceKnown:
		return f.unanswered()
	default:
		return f.refused()
	}
}

// unsent: nothing was sent, or nothing that arrived.
func (f Facts) unsent() Decision {
	switch {
	case !f.Wanted:
		return Decision{Action: Idle}
	case f.Elsewhere:
		if d := f.Vacated(); d.Action != Idle {
			return d
		}
		return f.waitUntil(f.Now)
	case f.EarlierLife || f.RecordLost:
		return f.adopt()
	case f.CalledOff:
		return f.endUnasked(v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
	case f.Overdue:
		return f.endUnasked(v1alpha1.PhaseExpired, v1alpha1.ReasonNotAsked)
	case f.AdoptOnly:
		return f.adopt()
	case f.Blocked != "":
		return Decision{Action: Wait, Reason: f.Blocked, After: f.Settings.RetryMax}
	default:
		return f.raise()
	}
}

// adopt looks for what the provider may know already, and sends nothing.
func (f Facts) adopt() Decision {
	lost := f.RecordLost || f.EarlierLife && !f.Rules.Askable
	switch {
	case !f.Rules.Askable && !lost:
		return Decision{Action: Wait, Reason: v1alpha1.ReasonAdoptOnly, After: f.Settings.RetryMax}
	case f.Attempt == nil && f.Usable:
		return Decision{Action: Recreate}
	case f.Attempt == nil && !f.silent():
		// What it would be asked through is part of the record.
		return Decision{Action: Wait, Reason: f.Blocked, After: f.Settings.RetryMax}
	case f.Rules.Askable && !f.Seen.OK() && !f.silent():
		return f.askAfterRetry()
	case lost:
		return Decision{Action: GiveUp, Reason: v1alpha1.ReasonLostInitiation}
	case f.Attempt.Notice != nil && f.Attempt.Notice.Reason == v1alpha1.ReasonAdoptOnly:
		return f.ask(f.nextCheck())
	default:
		return Decision{Action: Note, Reason: v1alpha1.ReasonAdoptOnly}
	}
}

// endUnasked ends what nobody was asked for. Where the provider can be asked, it has to say first
// that it knows nothing: the record of an earlier life may be lost.
func (f Facts) endUnasked(phase v1alpha1.Phase, reason v1alpha1.Reason) Decision {
	if d := f.Untaken(); d.Action != Idle {
		return d
	}
	return Decision{Action: EndUnasked, Phase: phase, Reason: reason}
}

// Vacated is Idle once another intent may take the place of an attempt whose sends are all void.
func (f Facts) Vacated() Decision {
	if f.Attempt.Sends == 0 || f.Rules.RefusalFinal {
		return Decision{Action: Idle}
	}
	return f.Untaken()
}

// Untaken is Idle once it is certain that a request of which no send arrived has not taken effect:
// an answer by which a send is void was wrong before. Where the provider can be asked, it has to
// say that it knows nothing, and where something was sent, after the late window.
func (f Facts) Untaken() Decision {
	if !f.Rules.Askable {
		return Decision{Action: Idle}
	}
	late := f.voidUntil()
	switch {
	case f.Seen.OK() && f.Seen.NotFound && f.askedSince(late):
		return Decision{Action: Idle}
	case f.Seen.OK() && f.Now.Before(late):
		return f.waitUntil(late)
	default:
		return f.askAfterRetry()
	}
}

// unanswered: a send may have arrived and has no definite answer. It is never
// taken for a failure; how it is recovered is the provider's rule.
func (f Facts) unanswered() Decision {
	late, deadline := f.lateUntil(), f.deadline()
	verdict := latest(late, deadline)
	ended, certain := f.nobodyCanPay(late)
	switch {
	case certain:
		return ended
	case f.mayRepeat(late) && !f.CalledBack():
		return f.raise()
	case !f.Now.Before(verdict) && (!f.Rules.Askable || f.undecided(verdict)):
		return Decision{Action: GiveUp, Reason: v1alpha1.ReasonOutcomeUnknown}
	case !f.Rules.Askable && f.Now.Before(late):
		return f.waitUntil(late)
	case !f.Rules.Askable:
		return f.waitUntil(earliest(deadline, f.Now.Add(f.Settings.RetryMax)))
	default:
		return f.ask(f.nextCheck(late, verdict), verdict.Add(silentFor))
	}
}

// nobodyCanPay is the end of a request of which no page was ever published, and no
// send can arrive any more; false: that is not certain, or it may be sent again.
func (f Facts) nobodyCanPay(late time.Time) (Decision, bool) {
	a := f.Attempt
	if !f.Rules.PageOnly || f.EarlierLife || a.ReferenceKnown || !f.unknownThere(late) {
		return Decision{}, false
	}
	switch {
	case a.Refusal != nil:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseFailed, Reason: a.Refusal.Reason}, true
	case !f.Wanted || f.CalledOff:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseCancelled, Reason: v1alpha1.ReasonCancelled}, true
	case !f.Now.Before(f.deadline()):
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout}, true
	default:
		return Decision{}, false
	}
}

// mayRepeat tells whether the same reference may be sent again: somebody wants it, and the provider does not know it.
func (f Facts) mayRepeat(late time.Time) bool {
	a := f.Attempt
	wanted := f.Wanted && !f.CalledOff && !f.EarlierLife && !f.RecordLost && !f.AdoptOnly
	return wanted && f.unknownThere(late) && f.Usable && !a.ReferenceKnown && a.Refusal == nil &&
		f.Now.Before(f.deadline()) && len(a.Open) < v1alpha1.MaxOpenSends
}

// unknownThere tells whether no send can arrive any more, and none has to the provider's
// knowledge; where it cannot be asked, only a repeat tells.
func (f Facts) unknownThere(late time.Time) bool {
	return !f.Now.Before(late) && (!f.Rules.Askable || f.askedSince(late) && f.Seen.NotFound)
}

// refusedForCertain tells whether the provider refused the newest send, no other is open,
// and that counts. Where the request can have taken effect all the same, it counts only
// after the late window and one question that did not overturn it.
func (f Facts) refusedForCertain() bool {
	a := f.Attempt
	if a.Refusal == nil || a.Taken != nil || len(a.Open) > 0 || a.ReferenceKnown {
		return false
	}
	return f.Rules.RefusalFinal || f.askedSince(f.lateUntil()) && f.Seen.NotFound
}

// refused: the provider refused, and no other send is open.
func (f Facts) refused() Decision {
	late := f.lateUntil()
	switch {
	case f.refusedForCertain():
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseFailed, Reason: f.Attempt.Refusal.Reason}
	case f.undecided(f.deadline()) && !f.Now.Before(late):
		return Decision{Action: GiveUp, Reason: v1alpha1.ReasonOutcomeUnknown}
	default:
		return f.ask(f.nextCheck(late, f.deadline()), f.deadline().Add(silentFor))
	}
}

// taken: the provider has the request.
func (f Facts) taken() Decision {
	deadline, end := f.deadline(), f.sessionEnd()
	verdict := deadline
	switch {
	case f.Rules.CanEnd && f.CalledOff:
		verdict = earliest(deadline, f.Now)
	case end.After(verdict) && !f.Rules.CanEnd:
		verdict = end
	}
	switch {
	case !end.IsZero() && f.askedSince(end) && f.Seen.State == providers.StateNotStarted:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout}
	case f.Rules.CanEnd && !f.Now.Before(verdict) && f.Now.Sub(deadline) < silentFor:
		return f.endSession()
	case f.undecided(verdict) && !f.Now.Before(verdict):
		return Decision{Action: GiveUp, Reason: v1alpha1.ReasonOutcomeUnknown}
	default:
		return f.ask(f.nextCheck(verdict, end), verdict.Add(silentFor))
	}
}

// endSession ends the session, then asks what became of it, again at the pace of the schedule.
func (f Facts) endSession() Decision {
	switch again := f.Seen.EndedAt.Add(f.pace()); {
	case !f.askable():
		return f.waitUntil(f.Now.Add(f.Settings.RetryMax))
	case f.CalledBack() && !f.Seen.EndedAt.IsZero():
		return f.waitUntil(f.nextCheck(), Ask)
	case f.Seen.EndedAt.IsZero(), f.askedSince(f.Seen.EndedAt) && !f.Now.Before(again):
		return f.afterRetry(EndSession)
	case f.askedSince(f.Seen.EndedAt) && f.Seen.At.After(f.Seen.EndedAt):
		return f.waitUntil(again)
	default:
		return f.askAfterRetry()
	}
}

// ended: there is an outcome, and it stays. The provider is asked on where it did not tell the
// outcome itself, and where a callback came after one that is not "paid".
func (f Facts) ended() Decision {
	o, later := f.Attempt.Outcome, f.Attempt.Later
	called := f.Callback.After(f.clamp(o.At.Time)) && f.Now.Sub(f.clamp(f.Callback)) < lateCallbacks
	switch {
	case later != nil && Contradicts(o, later):
		return Decision{Action: Idle}
	case o.SettledBy != "" && (later == nil || later.SettledBy != "" || called), o.Phase != v1alpha1.PhaseSucceeded && called:
		return f.ask(f.nextCheck())
	default:
		return Decision{Action: Idle}
	}
}

// Over tells whether ended has nothing left to ask about a Charge, nor anybody else to do, whatever
// has become of its Payment. A callback that comes later changes that.
func Over(c *v1alpha1.Charge) bool {
	rec := &c.Record
	switch o := rec.Outcome; {
	case o == nil, !o.Phase.Terminal(), o.SettledBy != "", rec.Later != nil, len(rec.Open) > 0, len(rec.Refunds) > 0, c.DeletionTimestamp != nil:
		return false
	case o.Phase == v1alpha1.PhaseSucceeded, rec.LastCallback == nil:
		return true
	default:
		return !rec.LastCallback.ReceivedAt.After(o.At.Time)
	}
}

// ask asks at the time given, or waits until then, and looks again at the times at
// which a verdict is due; where nothing can be asked, it waits for those only.
func (f Facts) ask(at time.Time, verdicts ...time.Time) Decision {
	if f.askable() {
		return f.waitUntil(at, Ask)
	}
	for _, t := range verdicts {
		if t.After(f.Now) {
			return f.waitUntil(earliest(t, f.Now.Add(f.Settings.RetryMax)))
		}
	}
	return Decision{Action: Idle}
}

// askAfterRetry asks once the wait for the failures so far is over.
func (f Facts) askAfterRetry() Decision {
	if !f.askable() {
		return f.waitUntil(f.Now.Add(f.Settings.RetryMax))
	}
	return f.afterRetry(Ask)
}

// afterRetry does a once the wait for the failures so far is over.
func (f Facts) afterRetry(a Action) Decision {
	if f.Seen.Failures == 0 {
		return Decision{Action: a}
	}
	return f.waitUntil(f.Seen.At.Add(f.Settings.Retry(f.Seen.Failures)), a)
}

// raise a send once the waits for those that were not made, and for the failures so far, are over.
func (f Facts) raise() Decision {
	if again := f.Seen.UnsentAt.Add(f.Settings.Retry(f.Seen.Unsent)); f.Seen.Unsent > 0 && again.After(f.Now) {
		return f.waitUntil(again)
	}
	return f.afterRetry(Raise)
}

// waitUntil waits until t and then does a, if one is given.
func (f Facts) waitUntil(t time.Time, a ...Action) Decision {
	wait := t.Sub(f.Now)
	if wait <= 0 && len(a) > 0 {
		return Decision{Action: a[0]}
	}
	return Decision{Action: Wait, After: max(wait, time.Millisecond)}
}
