package attempt

import (
	"hash/fnv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Rules of a provider that the protocol depends on.
type Rules struct {
	// Askable: the provider can be asked by our reference alone.
	Askable bool
	// PageOnly: nobody can pay before the page of a session is published.
	PageOnly bool
	// RefusalFinal: a definite refusal needs no question after it.
	RefusalFinal bool
	// CanEnd: an unpaid session can be ended for certain.
	CanEnd bool
	// SessionLife is how long a session can be paid, where the provider does not say; 0: there is no such time.
	SessionLife time.Duration
	// Prompt: a request that is taken is settled within seconds, so that the first check comes early.
	Prompt bool
}

// CollectionRules are those of asking for a payment.
func CollectionRules(t providers.Traits) Rules {
	return Rules{
		Askable:      t.Recovery == providers.RecoverByReference || t.Recovery == providers.RecoverBySearch,
		PageOnly:     t.Flow == providers.FlowRedirect,
		RefusalFinal: t.Flow == providers.FlowRedirect,
		CanEnd:       t.CanCancel,
		SessionLife:  t.SessionLife,
	}
}

// RefundRules are those of giving a payment back.
func RefundRules(t providers.Traits) Rules {
	return Rules{Askable: true, RefusalFinal: t.Refund == providers.RefundWhole, Prompt: true}
}

// Facts are all that a decision depends on.
type Facts struct {
	Now      time.Time
	Settings Settings
	// Process is this process, as a sender.
	Process string
	Rules   Rules

	// Attempt as it is recorded; nil: there is no record.
	Attempt *v1alpha1.Attempt
	// Created is when the API server made the record or, where there is none, the object.
	Created time.Time
	// Usable now: the account, its credentials and its endpoint.
	Usable bool
	// LacksHandle: the reference is not enough to ask by, and what is needed besides is not recorded.
	LacksHandle bool
	// Key of the attempt, to spread checks.
	Key string

	// Wanted: an object that is this request's wants it and is not over.
	Wanted bool
	// CalledOff: the user does not want it any more.
	CalledOff bool
	// Overdue: it could not be asked for in time.
	Overdue bool
	// Blocked is why no first request may be sent now; empty: it may.
	Blocked v1alpha1.Reason
	// Elsewhere: the object wants something else than the record says, of which no send arrived.
	Elsewhere bool
	// EarlierLife: there are signs that the provider was asked and that the record of it is lost.
	EarlierLife bool
	// RecordLost: the object shows a record that is not there.
	RecordLost bool
	// AdoptOnly: the operator asks and adopts, and sends nothing.
	AdoptOnly bool
	// Consent: the outcome of an earlier life may be adopted.
	Consent bool
	// Settled: a person said how the present Unknown ended.
	Settled bool

	// Timeout after which an undecided request is followed slowly.
	Timeout time.Duration
	// Interval between two checks.
	Interval time.Duration
	// SessionExpires is when the provider said that nobody can pay any more; zero: it did not.
	SessionExpires time.Time
	// Callback is when the newest verified callback came; zero: none did.
	Callback time.Time
	// Requested is when a user asked for a check; zero: nobody did.
	Requested time.Time

	// Seen is what this process learnt from the provider.
	Seen Observation
}

// Facts of this process, to which those of an attempt are added; key spreads checks.
func (p *Protocol) Facts(key string, rules Rules, seen Observation) Facts {
	return Facts{
		Now: p.Now(), Settings: p.Settings, Process: p.Process, AdoptOnly: p.AdoptOnly(), Rules: rules, Key: key, Seen: seen,
	}
}

// InitiatedAt is when an attempt is first known to have been asked for; nil: it is not.
func InitiatedAt(a *v1alpha1.Attempt) *metav1.Time {
	at := metav1.MicroTime{}
	switch {
	case a.Taken != nil:
		at = a.Taken.At
	case len(a.Open) > 0:
		at = a.Open[0].At
	case a.Refusal != nil:
		at = a.Refusal.At
	default:
		return nil
	}
	return &metav1.Time{Time: at.Truncate(time.Second)}
}

// Observation is what one process remembers of its calls for an attempt. It spaces calls and tells
// how fresh an answer is; forgetting it costs a call, never money.
type Observation struct {
	// At is when the last call ended; zero: none yet.
	At time.Time
	// Asked is when the last question that was answered began; zero: none was.
	Asked time.Time
	// ForCallback is when the last question began that a callback asked for; zero: none since the last send.
	ForCallback time.Time
	// Failures in a row, counting the last call.
	Failures int
	// NotFound: the provider does not know the reference, asked with the
	// credentials that every open send was sent with.
	NotFound bool
	// State that it told.
	State providers.State
	// EndedAt is when we last ended the session.
	EndedAt time.Time
	// Notice is what the last failure means for people; nil: the last call did not fail.
	Notice *v1alpha1.Notice
	// Unsent sends in a row that were not made after all, or are void, the last one at UnsentAt.
	Unsent   int
	UnsentAt time.Time
	// Newest is the number of the newest send, and FirstSeen when this process
	// first saw it: a bound on when it was sent that needs no other clock.
	Newest    int32
	FirstSeen time.Time
}

// OK tells whether the last call had a usable answer.
func (o Observation) OK() bool { return !o.At.IsZero() && o.Failures == 0 }

// See notes which send is the newest, and returns o as of now: where the clock was set back, waits count from now.
func (o Observation) See(a *v1alpha1.Attempt, now time.Time) Observation {
	for _, t := range []*time.Time{&o.At, &o.Asked, &o.ForCallback, &o.EndedAt, &o.FirstSeen, &o.UnsentAt} {
		*t = earliest(*t, now)
	}
	if a != nil && a.Sends > o.Newest {
		o.Newest, o.FirstSeen = a.Sends, now
	}
	return o
}

// MayHaveArrived tells whether the provider may have the request: a send has no definite answer, or
// the provider is known to have it. It is the only place that says so.
func MayHaveArrived(a *v1alpha1.Attempt) bool {
	return len(a.Open) > 0 || a.Taken != nil || a.ReferenceKnown
}

// NothingSent tells whether a record stands in nobody's way: every send of it is
// void by the word of its own sender, and nothing is known of the request.
func NothingSent(a *v1alpha1.Attempt) bool {
	return !MayHaveArrived(a) && a.Refusal == nil && a.Outcome == nil && a.Unknown == nil
}

// PaidByProvider tells whether the provider itself said that it was paid.
func PaidByProvider(o *v1alpha1.Outcome) bool {
	return o.Phase == v1alpha1.PhaseSucceeded && o.SettledBy == ""
}

// MadeElsewhere tells whether no send that this record tells of made the request: what the provider
// has under the reference was there before, and so may be what became of it since, such as refunds.
func MadeElsewhere(a *v1alpha1.Attempt) bool {
	if a.Taken != nil {
		return a.Taken.Found
	}
	return a.ReferenceKnown || len(a.Open) == 0 && a.Refusal == nil
}

// SentWith tells whether credentials, a keyed hash, are those that every open send, or the one that
// was refused, was sent with. Others may be another merchant's, at whom the reference is not known.
func SentWith(a *v1alpha1.Attempt, credentials string) bool {
	for _, s := range a.Open {
		if s.Credentials != credentials {
			return false
		}
	}
	return a.Refusal == nil || a.Refusal.Send.Credentials == credentials
}

// askable tells whether the provider can be asked now.
func (f Facts) askable() bool { return f.Usable && !f.LacksHandle }

// clamp bounds a recorded time: one from the future, by a clock that was ahead, counts as when the record was made.
func (f Facts) clamp(t time.Time) time.Time {
	switch {
	case !t.After(f.Now):
		return t
	case f.Created.After(f.Now) || f.Created.IsZero():
		return f.Now
	default:
		return f.Created
	}
}

// lateUntil is when no send can still arrive; zero: there is none.
func (f Facts) lateUntil() time.Time {
	var until time.Time
	add := func(s v1alpha1.Send) {
		at := s.At.Time
		if s.Number == f.Seen.Newest && !f.Seen.FirstSeen.IsZero() {
			at = earliest(at, f.Seen.FirstSeen)
		}
		at = f.clamp(at).Add(f.Settings.LateWindow)
		if s.Sender != f.Process {
			at = at.Add(f.Settings.ClockSkew)
		}
		until = latest(until, at)
	}
	for _, s := range f.Attempt.Open {
		add(s)
	}
	if r := f.Attempt.Refusal; r != nil {
		add(r.Send)
	}
	return until
}

// voidUntil is when no send that is void by the provider's answer can still turn out to be taken; zero: there is none.
// Only the newest notice is kept. Where it is of a send that was not made, an earlier send counts as of then.
func (f Facts) voidUntil() time.Time {
	a := f.Attempt
	switch {
	case a == nil || a.Sends == 0 || f.Rules.RefusalFinal, a.Sends == 1 && a.Notice != nil && a.Notice.Reason == v1alpha1.ReasonAccepted:
		return time.Time{}
	case a.Notice == nil:
		return f.Seen.FirstSeen.Add(f.Settings.LateWindow)
	default:
		return f.clamp(a.Notice.At.Time).Add(f.Settings.LateWindow)
	}
}

// began is when the request was first sent or found; zero: it was not.
func (f Facts) began() time.Time {
	a := f.Attempt
	var at time.Time
	first := func(t time.Time) {
		if t = f.clamp(t); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	for _, s := range a.Open {
		first(s.At.Time)
	}
	if a.Taken != nil {
		first(a.Taken.At.Time)
	}
	if a.Refusal != nil {
		first(a.Refusal.Send.At.Time)
	}
	return at
}

// deadline is when an undecided request is no longer followed closely.
func (f Facts) deadline() time.Time { return f.began().Add(f.Timeout) }

// sessionEnd is when nobody can pay any more; zero: there is no such time.
func (f Facts) sessionEnd() time.Time {
	switch {
	case !f.SessionExpires.IsZero():
		return f.SessionExpires.Add(f.Settings.ExpiryMargin)
	case f.Rules.SessionLife > 0:
		return f.clamp(f.Attempt.Taken.At.Time).Add(f.Rules.SessionLife + f.Settings.ExpiryMargin)
	default:
		return time.Time{}
	}
}

// askedSince tells whether the last question has a usable answer, and began at t or
// later. One that seems to lie ahead was asked before the clock was set back.
func (f Facts) askedSince(t time.Time) bool {
	asked := f.Seen.Asked
	return f.Seen.OK() && !asked.IsZero() && !asked.Before(t) && !asked.After(f.Now)
}

// undecided tells whether the time for a verdict has come and brought none: asked
// since then without an outcome, or no usable answer for a day.
func (f Facts) undecided(verdict time.Time) bool {
	return f.askedSince(verdict) || f.Now.Sub(verdict) >= silentFor
}

// silent tells whether nobody answered for so long about a request whose record is lost that
// a person has to say how it ended.
func (f Facts) silent() bool {
	unanswered := f.Seen.Failures > 0 || !f.askable()
	return f.RecordLost && unanswered && !f.Created.IsZero() && f.Now.Sub(f.clamp(f.Created)) >= f.Timeout+silentFor
}

// fraction is a number in [0,1) that follows from the attempt and the last call:
// spread like a random one, but the same facts give the same decision.
func (f Facts) fraction() float64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(f.Key + f.Seen.At.UTC().Format(time.RFC3339Nano)))
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

// Restored tells whether an object came out of a backup: what its status says is of
// another life, and it is no reason to send anything.
func Restored(o metav1.Object) bool {
	_, ok := o.GetLabels()[v1alpha1.LabelRestore]
	return ok
}
