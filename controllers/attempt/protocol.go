// Package attempt is the request protocol: the only code that decides about, sends
// and records requests for money, whether they collect or give back.
//
//	facts.go     what a decision depends on, and its predicates
//	decide.go    facts, time → one decision             pure
//	schedule.go  when to ask the provider next          pure
//	fold.go      an answer → a fact on the attempt      pure
//	protocol.go  write ahead, fence, look, send
//	record.go    answers are kept until they are written
package attempt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Protocol carries out attempts for one process.
type Protocol struct {
	Client client.Client
	// Live reads past any cache.
	Live     client.Reader
	Settings Settings
	Now      func() time.Time
	// Process names this process as a sender.
	Process string
	// Leads tells whether this process may begin anything; nil: it may.
	Leads func() bool
	// RestoreDetected tells that the API server went back in time; nil: it never does.
	RestoreDetected func() bool
	// Behind tells that an object, as a cache shows it, is older than what this process wrote to it; nil: it never is.
	Behind func(client.Object) bool
	// Pause waits between two tries to record an answer; nil: with a timer.
	Pause func(context.Context, time.Duration) error

	seen    Memory[Observation]
	behind  Memory[time.Time]
	pending pending
}

// Where tells where in a Charge an attempt is; nil: it is not there.
type Where func(*v1alpha1.Charge) *v1alpha1.Attempt

// Payment is where the attempt to collect is.
func Payment(c *v1alpha1.Charge) *v1alpha1.Attempt { return &c.Record.Attempt }

// RefundOf is what a Charge holds for the Refund of that name; nil: nothing.
func RefundOf(c *v1alpha1.Charge, name string) *v1alpha1.ChargeRefund {
	if c == nil {
		return nil
	}
	for i := range c.Record.Refunds {
		if c.Record.Refunds[i].Name == name {
			return &c.Record.Refunds[i]
		}
	}
	return nil
}

// Change is a fold of a whole Charge.
type Change func(*v1alpha1.Charge) bool

// On makes a Change of the folds of one attempt.
func (w Where) On(folds ...Fold) Change {
	return func(c *v1alpha1.Charge) bool {
		a, changed := w(c), false
		for _, f := range folds {
			changed = a != nil && f != nil && f(a) || changed
		}
		return changed
	}
}

// Sending is one send of an attempt, and what differs between asking for a payment and giving one back.
type Sending struct {
	Where Where
	// Charge as it was read when the send was decided; without a resourceVersion it is created.
	Charge *v1alpha1.Charge
	// Reserve is what a first send writes on the Charge along with its raise; nil: nothing. An error refuses the send.
	Reserve func(*v1alpha1.Charge) error
	// Credentials is the keyed hash of those at hand.
	Credentials string
	// Rules of the provider.
	Rules Rules
	// Known is what an answer "this reference exists" means at a first send: true,
	// that the request is ours; false, that it may be an earlier sale's.
	Known bool
	// Fence writes the object that wants the send, under its uid and resourceVersion; an error voids the send.
	Fence func(ctx context.Context, c *v1alpha1.Charge) error
	// Look reads the memory of sales; an error voids the send.
	Look func(ctx context.Context, c *v1alpha1.Charge) error
	// Call asks the provider, with one request on the wire at most.
	Call func(ctx context.Context, c *v1alpha1.Charge) (providers.Initiation, error)
}

// ErrNotRaised says that a raise was not acknowledged: nothing was sent.
var ErrNotRaised = errors.New("the send was not raised")

// Send writes ahead, fences, looks and sends: the one way in which the operator asks for money. It returns the Charge
// as recorded, and the provider's answer; a nil answer says that nothing was sent.
func (p *Protocol) Send(ctx context.Context, s Sending) (*v1alpha1.Charge, *Answer, error) {
	if err := ctx.Err(); err != nil || !p.Begins() {
		return s.Charge, nil, err
	}
	c, send, err := p.raise(ctx, s)
	if err != nil {
		return s.Charge, nil, err
	}
	if void := p.hindrance(ctx, s, c, send); void != nil {
		logr.FromContextOrDiscard(ctx).V(1).Info("Voided the send", "charge", c.Name, "send", send.Number, "cause", void.Error())
		c, err = p.Record(ctx, c, s.Where.On(FoldVoid(send.Number, whyVoid(void, p.Now()))))
		return c, nil, err
	}
	// All of it, from the raise on, takes CallTimeout at most: later another process may
	// think that this send can no longer arrive.
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Settings.CallTimeout-p.Now().Sub(send.At.Time))
	defer cancel()
	initiation, callErr := s.Call(callCtx, c)
	answer := &Answer{Send: send, Initiation: initiation, Err: callErr}
	c, err = p.Record(ctx, c, answer.change(s, p.Now()))
	return c, answer, err
}

// raise writes the send ahead. What it returns was acknowledged, and is what was written.
func (p *Protocol) raise(ctx context.Context, s Sending) (*v1alpha1.Charge, v1alpha1.Send, error) {
	c := s.Charge.DeepCopy()
	if s.Reserve != nil {
		if err := s.Reserve(c); err != nil {
			return nil, v1alpha1.Send{}, err
		}
	}
	a := s.Where(c)
	if a == nil || a.Outcome != nil || len(a.Open) >= v1alpha1.MaxOpenSends {
		return nil, v1alpha1.Send{}, fmt.Errorf("%w: the attempt on Charge %s takes no further send", ErrNotRaised, c.Name)
	}
	send := raise(a, p.Process, s.Credentials, p.Now())
	if err := p.Write(ctx, c); err != nil {
		if refusalClass(err) == "" || apierrors.IsInternalError(err) || errors.Is(err, errDropped) {
			// It may have been written all the same, also where a repeat conflicts
			// with it, and nobody but us can know that nothing was sent.
			p.pending.add(c.Name, pendingAnswer{change: s.Where.On(foldNotSent(send, p.Now()))})
		}
		return nil, v1alpha1.Send{}, fmt.Errorf("%w: %w", ErrNotRaised, err)
	}
	return c, send, nil
}

// foldNotSent voids a raise whose acknowledgement was lost, if it was written.
func foldNotSent(send v1alpha1.Send, now time.Time) Fold {
	return func(a *v1alpha1.Attempt) bool {
		return isOpen(a, send) && FoldVoid(send.Number, v1alpha1.Notice{Reason: v1alpha1.ReasonAccepted, At: metav1.NewMicroTime(now)})(a)
	}
}

func isOpen(a *v1alpha1.Attempt, send v1alpha1.Send) bool {
	for _, s := range a.Open {
		if s.Number == send.Number && s.Sender == send.Sender && s.At.Equal(&send.At) {
			return true
		}
	}
	return false
}

// hindrance is why a send that was raised is void after all; nil: it may be sent.
func (p *Protocol) hindrance(ctx context.Context, s Sending, c *v1alpha1.Charge, send v1alpha1.Send) error {
	if err := s.Fence(ctx, c); err != nil {
		return fmt.Errorf("fencing the send: %w", err)
	}
	if s.Look != nil {
		if err := s.Look(ctx, c); err != nil {
			return fmt.Errorf("looking the sale up: %w", err)
		}
	}
	switch {
	case p.AdoptOnly():
		// The writes themselves may have shown that records are missing.
		return &Problem{Reason: v1alpha1.ReasonAdoptOnly, Message: "an etcd restore was detected"}
	case !p.Begins():
		return errors.New("another replica leads now")
	case p.Now().Sub(send.At.Time) > p.Settings.CallTimeout/2 || p.Now().Before(send.At.Time):
		return errors.New("too much time passed since the send was raised")
	default:
		return nil
	}
}

// whyVoid is what to tell people about a send that was not made.
func whyVoid(err error, now time.Time) v1alpha1.Notice {
	n := v1alpha1.Notice{Reason: v1alpha1.ReasonAccepted, At: metav1.NewMicroTime(now)}
	var p *Problem
	if errors.As(err, &p) {
		n.Reason = p.Reason
	}
	return n
}

// AdoptOnly tells whether the operator sends nothing.
func (p *Protocol) AdoptOnly() bool {
	return p.Settings.AdoptOnly || p.RestoreDetected != nil && p.RestoreDetected()
}

// Begins tells whether this process may begin anything.
func (p *Protocol) Begins() bool { return p.Leads == nil || p.Leads() }

// Answer is what the provider said to a send.
type Answer struct {
	Send       v1alpha1.Send
	Initiation providers.Initiation
	Err        error
}

// change records an answer, whatever it is. One that says nothing leaves the send open.
func (a *Answer) change(s Sending, now time.Time) Change {
	at := metav1.NewMicroTime(now)
	taken := FoldTaken(v1alpha1.Taken{Send: a.Send.Number, At: at})
	if a.Err == nil {
		return func(c *v1alpha1.Charge) bool {
			opened := foldSession(c, a.Initiation, s.Where)
			return s.Where.On(taken)(c) || opened
		}
	}
	e := providers.AsError(a.Err)
	switch e.Class {
	case providers.ClassAlreadyExists:
		return s.Where.On(a.known(s, now))
	case providers.ClassRejected:
		return s.Where.On(FoldRefusal(v1alpha1.Refusal{
			Send: a.Send, At: at, Reason: RefusalReason(e), Code: e.Code, Message: Advice(e),
		}))
	case providers.ClassMisconfigured, providers.ClassThrottled, providers.ClassNotSent:
		return s.Where.On(FoldVoid(a.Send.Number, NoticeOf(e, now)))
	default:
		return s.Where.On(foldUnanswered(a.Send, e, now))
	}
}

// foldUnanswered notes an answer which does not tell whether the send was taken, for people.
func foldUnanswered(send v1alpha1.Send, e *providers.Error, now time.Time) Fold {
	return func(a *v1alpha1.Attempt) bool {
		return e.HTTPStatus != 0 && a.Taken == nil && isOpen(a, send) && FoldNotice(NoticeOf(e, now))(a)
	}
}

// known: the provider had the reference already. Where it can be asked by reference, that is as good as an acceptance,
// unless it was known before we asked; where it can't, the handle that it gave at the time is lost.
func (a *Answer) known(s Sending, now time.Time) Fold {
	at := metav1.NewMicroTime(now)
	return func(attempt *v1alpha1.Attempt) bool {
		first := len(attempt.Open) == 1 && attempt.Open[0].Number == a.Send.Number && attempt.Taken == nil
		switch {
		case !s.Rules.Askable:
			known := first && FoldReferenceKnown(attempt)
			return FoldUnknown(v1alpha1.Unknown{Reason: v1alpha1.ReasonLostInitiation, Since: at})(attempt) || known
		case (first || attempt.ReferenceKnown) && !s.Known:
			return FoldReferenceKnown(attempt)
		default:
			return FoldTaken(v1alpha1.Taken{Send: a.Send.Number, At: at, Found: first})(attempt)
		}
	}
}

// foldSession records what the provider opened for the payer, if nothing is
// recorded yet. Only a collection opens something.
func foldSession(c *v1alpha1.Charge, in providers.Initiation, where Where) bool {
	rec := &c.Record
	if where(c) != &rec.Attempt || rec.Session != nil || rec.Outcome != nil || (in.ID == "" && in.Token == "" && in.PaymentURL == "") {
		return false
	}
	rec.Session = SessionOf(in.Session)
	rec.Session.NotificationTokenHash = providers.HashToken(in.NotificationToken)
	return true
}

// SessionOf is a provider's session as it is recorded.
func SessionOf(s providers.Session) *v1alpha1.Session {
	out := &v1alpha1.Session{ID: s.ID, Token: s.Token.Reveal(), PaymentURL: s.PaymentURL.Reveal()}
	if !s.ExpiresAt.IsZero() {
		t := metav1.NewTime(s.ExpiresAt.Truncate(time.Second))
		out.ExpiresAt = &t
	}
	return out
}

// Conflicts tells whether err is that somebody else was faster. What the faster one wrote wakes us, too.
func Conflicts(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
}
