package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// act does what was decided: at most one call that could move money, and that
// one only after its write-ahead was acknowledged. What it learns is in o
// afterwards.
func (r *Reconciler) act(ctx context.Context, o *observed, d decision) error {
	switch d.action {
	case actClaim:
		return r.claim(ctx, o)
	case actHold:
		return r.record(ctx, o, foldHold(d.reason, "", r.Now()))
	case actNote:
		return r.record(ctx, o, foldNotice(noticeOf(o, d.reason), r.Now()))
	case actExpire:
		return r.record(ctx, o, foldExpired(r.Now()))
	case actCallOff:
		return r.record(ctx, o, foldCallOff(r.Now()))
	case actCancelled:
		return r.cancelled(ctx, o)
	case actSettle:
		return r.record(ctx, o, foldSettled(*settlement(o.holder), r.Now()))
	case actSend, actAsk, actCheck, actCancel:
		return r.call(ctx, o, d.action)
	default:
		return nil
	}
}

// noticeOf a reason, in the words of the account where it is the account's.
func noticeOf(o *observed, reason v1alpha1.Reason) v1alpha1.ChargeNotice {
	n := v1alpha1.ChargeNotice{Reason: reason}
	if o.account != nil && o.account.Closed != nil && o.account.Closed.Reason == reason {
		n.Message = o.account.Closed.Message
	}
	return n
}

// cancelled ends what was called off before anybody could pay. Without a Charge
// the status says so: whoever sends reads the Payment after the Charge exists,
// and finds that it was called off.
func (r *Reconciler) cancelled(ctx context.Context, o *observed) error {
	if o.charge != nil {
		return r.record(ctx, o, foldCancelled(o.charge.Record.Sends, r.Now()))
	}
	// Between our look at the Charge and that at the Payment somebody may have
	// claimed and sent, before it was called off. Now that it is, nobody who
	// claims later sends.
	claimed := &v1alpha1.Charge{}
	switch err := r.Live.Get(ctx, types.NamespacedName{Name: o.name}, claimed); {
	case err == nil:
		o.charge = claimed
		return nil
	case !attempt.IsGone(err):
		return fmt.Errorf("reading Charge %s: %w", o.name, err)
	}
	if o.settled == "" {
		o.settled = v1alpha1.PhaseCancelled
		o.problem = &account.Problem{Reason: v1alpha1.ReasonCancelled, Message: message(v1alpha1.ReasonCancelled, "")}
	}
	return nil
}

// claim creates the Charge. The API server lets one creator win; whoever finds
// that it exists goes on from the live object.
func (r *Reconciler) claim(ctx context.Context, o *observed) error {
	charge := o.intent.DeepCopy()
	if o.holder.Status.Phase == v1alpha1.PhaseUnknown {
		// The record of what made it so is gone. It is never asked for money again.
		foldHold(v1alpha1.ReasonLostInitiation, "", r.Now())(charge)
	}
	err := r.Client.Create(ctx, charge)
	switch {
	case apierrors.IsAlreadyExists(err):
		charge = &v1alpha1.Charge{}
		if err := r.Live.Get(ctx, types.NamespacedName{Name: o.name}, charge); err != nil {
			return fmt.Errorf("reading the Charge that exists already: %w", err)
		}
	case err != nil:
		return fmt.Errorf("creating the Charge: %w", err)
	case !equality.Semantic.DeepEqual(charge.Spec, o.intent.Spec):
		return errors.New("something in the cluster changed the Charge while it was created; nothing is sent")
	}
	o.charge = charge
	return nil
}

// call makes one call to the provider, with everything that has to be right
// before it.
func (r *Reconciler) call(ctx context.Context, o *observed, a action) error {
	if o.account == nil {
		return r.failed(ctx, o, nil, o.problem)
	}
	c, err := r.Accounts.Client(ctx, o.account)
	if err != nil {
		return r.failed(ctx, o, nil, err)
	}
	if wait := c.Paused(); wait > 0 {
		o.wait = wait
		return nil
	}
	switch a {
	case actSend:
		return r.send(ctx, o, c)
	case actAsk:
		return r.ask(ctx, o, c)
	case actCancel:
		return r.cancel(ctx, o, c)
	default:
		return r.check(ctx, o, c)
	}
}

// send asks the provider for money. This is the only place that does.
func (r *Reconciler) send(ctx context.Context, o *observed, c *account.Client) error {
	if ready, err := r.prepare(ctx, o, c); !ready || err != nil {
		return err
	}
	if open, err := r.accountOpen(ctx, o); !open || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // shutting down: begin nothing
	}
	if held, err := r.promptLimited(ctx, o); held || err != nil {
		return err
	}
	credentials := r.Installation.Credentials(c.Credentials)
	if !r.sentWith(o.charge, c) {
		return r.record(ctx, o, foldHold(v1alpha1.ReasonOutcomeUnknown, "", r.Now()))
	}
	raised := o.charge.DeepCopy()
	at := r.Now()
	raise(raised, r.Process, credentials, at)
	if err := r.Client.Update(ctx, raised); err != nil {
		// Not acknowledged, so nothing may be sent, whether it was written or not.
		return fmt.Errorf("writing the send down: %w", err)
	}
	o.charge = raised
	send := raised.Record.Sends
	if last := raised.Record.LastSend; last == nil || last.Number != send || last.Sender != r.Process {
		return errors.New("something in the cluster changed the send while it was written down; nothing is sent")
	}

	if r.Settings.InForce(r.WentBack).AdoptOnly {
		// The acknowledgement itself may have shown that records are missing.
		return r.record(ctx, o, foldVoid(send, v1alpha1.ReasonAdoptOnly, "", r.Now()))
	}
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	if r.Now().Sub(at) > r.Settings.CallTimeout {
		// Paused for so long that another process may think this send is over.
		return r.record(ctx, o, foldVoid(send, v1alpha1.ReasonProviderUnreachable, "", r.Now()))
	}
	initiation, err := c.Initiate(callCtx, r.initiateRequest(o))
	return r.recordInitiation(ctx, o, c, send, initiation, err)
}

// accountOpen tells whether a first request may be sent through the account: not once
// the API server has told somebody that it is suspended, being deleted, or for this
// namespace no more.
func (r *Reconciler) accountOpen(ctx context.Context, o *observed) (bool, error) {
	if openSends(&o.charge.Record) > 0 {
		return true, nil // followed to its end
	}
	closed, err := r.Accounts.ClosedNow(ctx, o.account, o.charge)
	if closed == nil || err != nil {
		return err == nil, err
	}
	o.account.Closed = closed
	return false, r.record(ctx, o, foldNotice(noticeOf(o, closed.Reason), r.Now()))
}

// prepare does what asks for no money: it takes the access token, and where
// references are not deduplicated it looks for what is open under ours. It
// tells whether to go on.
func (r *Reconciler) prepare(ctx context.Context, o *observed, c *account.Client) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Settings.CallTimeout)
	defer cancel()
	if p, ok := c.Provider.(providers.Preparer); ok {
		err := p.Prepare(ctx)
		r.Metrics.Called(o.charge.Spec.Provider, "prepare", err)
		if err != nil {
			return false, r.failed(ctx, o, c, err)
		}
	}
	if c.Traits().Recovery == providers.RecoverBySearch {
		if err := r.search(ctx, o, c); err != nil {
			return false, err
		}
		return o.seen.notFound, nil
	}
	return true, nil
}

func (r *Reconciler) initiateRequest(o *observed) providers.InitiateRequest {
	p, spec := o.holder, &o.charge.Spec
	return providers.InitiateRequest{
		Reference:      spec.ProviderReference,
		Money:          providers.Money(spec.Money),
		Payer:          providers.Phone(p.Spec.Phone),
		Description:    p.Spec.Description,
		CorrelationTag: installation.CorrelationTag(o.charge),
		CallbackURL:    r.URLs.Callback(o.account, o.charge.Name),
		ReturnURL:      r.URLs.Return(o.account, p),
		CancelURL:      r.URLs.Cancel(o.account, p),
	}
}

// recordInitiation writes the answer down, whatever it is. Nothing stands
// between reading an answer and writing it.
func (r *Reconciler) recordInitiation(ctx context.Context, o *observed, c *account.Client, send int32, in providers.Initiation, err error) error {
	now := r.Now()
	r.Metrics.Called(o.charge.Spec.Provider, "initiate", err)
	if err == nil {
		session := sessionOf(in.Session, send, now)
		session.NotificationTokenHash = providers.HashToken(in.NotificationToken)
		return r.recordSession(ctx, o, c, session)
	}
	e := providers.AsError(err)
	switch e.Class {
	case providers.ClassAlreadyExists:
		return r.recordKnown(ctx, o, c, send)
	case providers.ClassRejected:
		return r.record(ctx, o, foldRefusal(v1alpha1.ChargeRefusal{
			Send: send, At: metav1.NewMicroTime(now), Reason: attempt.RefusalReason(e), Code: e.Code,
		}, c.Traits().Flow))
	case providers.ClassMisconfigured, providers.ClassThrottled, providers.ClassNotSent:
		r.rememberFailure(o)
		c.Heed(e.Operation, e)
		return r.record(ctx, o, foldVoid(send, attempt.ReasonOf(e), e.Code, now))
	default:
		r.logger(ctx, o).Info("No usable answer from the provider; finding out what became of the request", "error", e.Error())
		r.rememberFailure(o)
		return nil
	}
}

// recordKnown: the provider had the reference already. Where it can be asked by
// reference, that is as good as an acceptance, unless it was known before we
// asked; where it can't, the handle that it gave at the time is lost.
func (r *Reconciler) recordKnown(ctx context.Context, o *observed, c *account.Client, send int32) error {
	now := r.Now()
	earlier := openSends(&o.charge.Record) == 1 || o.charge.Record.ReferenceKnown
	switch {
	case c.Traits().Recovery != providers.RecoverByReference:
		return r.record(ctx, o, foldHold(v1alpha1.ReasonLostInitiation, "", now))
	case earlier && !r.facts(o).consented():
		// Doubled on the wire, or an earlier sale's: to be asked.
		r.remember(o, func(seen *observation) { *seen = observation{} })
		return r.record(ctx, o, foldReferenceKnown)
	default:
		session := v1alpha1.ChargeSession{Send: send, At: metav1.NewMicroTime(now), Known: earlier}
		return r.recordSession(ctx, o, c, session)
	}
}

// recordSession writes down what was opened. If another session got there
// first, ours is surplus: nobody has its URL, and it is ended.
func (r *Reconciler) recordSession(ctx context.Context, o *observed, c *account.Client, s v1alpha1.ChargeSession) error {
	if err := r.record(ctx, o, foldSession(s)); err != nil {
		return err
	}
	r.remember(o, func(seen *observation) { *seen = observation{} })
	if recorded := o.charge.Record.Session; recorded != nil && s.ID != "" && recorded.ID != s.ID {
		return r.endSession(ctx, o, c, s.ID)
	}
	return nil
}

// endSession ends a session that nobody may pay any more. That it is over
// already is no error.
func (r *Reconciler) endSession(ctx context.Context, o *observed, c *account.Client, sessionID string) error {
	canceller, ok := c.Provider.(providers.Canceller)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	h := handleOf(o.charge)
	h.SessionID = sessionID
	err := canceller.Cancel(ctx, h)
	r.Metrics.Called(o.charge.Spec.Provider, "cancel", err)
	if err != nil && providers.ClassOf(err) != providers.ClassAlreadyExists {
		return fmt.Errorf("ending a session: %w", err)
	}
	return nil
}

// ask finds out what became of a send that was not answered.
func (r *Reconciler) ask(ctx context.Context, o *observed, c *account.Client) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	if c.Traits().Recovery == providers.RecoverBySearch {
		return r.search(ctx, o, c)
	}
	who := r.caller(o)
	if o.wait = c.Reserve(who); o.wait > 0 {
		return nil
	}
	ctx = account.WithCaller(ctx, who)
	st, err := c.Status(ctx, handleOf(o.charge))
	r.Metrics.Called(o.charge.Spec.Provider, "status", err)
	if providers.ClassOf(err) == providers.ClassNotFound && err != nil {
		if !r.sentWith(o.charge, c) {
			return r.notKnownHere(ctx, o)
		}
		r.rememberNotFound(o)
		if f := r.facts(o); f.now.Before(f.lateUntil()) {
			return nil
		}
		return r.record(ctx, o, foldRefusalConfirmed(r.Now()))
	}
	if err != nil {
		return r.failed(ctx, o, c, err)
	}
	now := r.Now()
	if r.reused(o, st) {
		return r.learn(ctx, o, st, foldHold(v1alpha1.ReasonReusedReference, "", now))
	}
	rec := &o.charge.Record
	known := rec.Sends == 0 || strange(o.charge, st)
	session := v1alpha1.ChargeSession{Send: rec.Sends, At: metav1.NewMicroTime(now), Known: known}
	return r.learn(ctx, o, st, func(c *v1alpha1.Charge) bool {
		opened := foldSession(session)(c)
		return foldStatus(st, now)(c) || opened
	})
}

// sentWith: the credentials are those that the open request was sent with.
func (r *Reconciler) sentWith(c *v1alpha1.Charge, with *account.Client) bool {
	return openSends(&c.Record) == 0 || c.Record.LastSend.Credentials == r.Installation.Credentials(with.Credentials)
}

// notKnownHere: what these credentials do not know, those that it was sent with may.
// So it is not told that nothing arrived.
func (r *Reconciler) notKnownHere(ctx context.Context, o *observed) error {
	r.rememberFailure(o)
	if f := r.facts(o); f.now.Before(f.lateUntil()) {
		return nil
	}
	return r.record(ctx, o, foldHold(v1alpha1.ReasonOutcomeUnknown, "", r.Now()))
}

// reused: what is told is the end of an earlier sale under this reference, which
// nobody consented to take up. The provider gives the mark of the request back; if
// it did not, a reference that was known at our first send was another's.
func (r *Reconciler) reused(o *observed, st providers.Status) bool {
	rec := &o.charge.Record
	if rec.Session != nil || rec.Outcome != nil || !st.State.Final() || r.facts(o).consented() {
		return false
	}
	held := rec.Hold != nil && rec.Hold.Reason == v1alpha1.ReasonReusedReference
	return strange(o.charge, st) || st.CorrelationTag == "" && (held || rec.ReferenceKnown)
}

// strange: the request bears the mark of another record.
func strange(c *v1alpha1.Charge, st providers.Status) bool {
	return st.CorrelationTag != "" && st.CorrelationTag != installation.CorrelationTag(c)
}

// search adopts what is open under our reference. Surplus sessions are ended
// before one is recorded, so that at most one can ever be paid.
func (r *Reconciler) search(ctx context.Context, o *observed, c *account.Client) error {
	sessions, err := c.Provider.(providers.Searcher).Search(ctx, o.charge.Spec.ProviderReference)
	r.Metrics.Called(o.charge.Spec.Provider, "search", err)
	if err != nil {
		return r.failed(ctx, o, c, err)
	}
	if len(sessions) == 0 {
		r.rememberNotFound(o)
		return nil
	}
	chosen, surplus := chooseSession(sessions)
	for _, s := range surplus {
		if err := r.endSession(ctx, o, c, s.ID); err != nil {
			return r.failed(ctx, o, c, err)
		}
	}
	if len(surplus) > 0 {
		// One of them may have been paid meanwhile: look again before choosing.
		r.rememberFailure(o)
		return nil
	}
	rec, now := &o.charge.Record, r.Now()
	switch earlier := rec.Sends == 0 && !r.facts(o).consented(); {
	case rec.Outcome != nil && chosen.Status != nil:
		return r.learn(ctx, o, *chosen.Status, foldStatus(*chosen.Status, now))
	case earlier && rank(chosen) == paid:
		return r.learn(ctx, o, *chosen.Status, foldHold(v1alpha1.ReasonReusedReference, "", now))
	case earlier && rank(chosen) == over:
		// It ended unpaid before this Charge was: in nobody's way.
		r.rememberNotFound(o)
		return nil
	}
	session := sessionOf(chosen, 0, now)
	session.Known = rec.Sends == 0
	return r.recordSession(ctx, o, c, session)
}

// chooseSession picks the session that counts: a paid one, else the first that
// is open, else the first. The other open ones are surplus.
func chooseSession(sessions []providers.Session) (chosen providers.Session, surplus []providers.Session) {
	best := 0
	for i, s := range sessions {
		if rank(s) > rank(sessions[best]) {
			best = i
		}
	}
	for i, s := range sessions {
		if i != best && rank(s) == open {
			surplus = append(surplus, s)
		}
	}
	return sessions[best], surplus
}

// How much a session counts.
const (
	over = iota
	open
	paid
)

func rank(s providers.Session) int {
	switch {
	case s.Status != nil && s.Status.State == providers.StateSucceeded:
		return paid
	case s.Status == nil || !s.Status.State.Final():
		return open
	default:
		return over
	}
}

// caller is who asks about a payment.
func (r *Reconciler) caller(o *observed) account.Caller {
	return account.Caller{Name: o.name, Namespace: o.charge.Spec.Payment.Namespace, Purpose: account.Scheduled, Since: o.charge.CreationTimestamp.Time}
}

// check asks how an opened payment stands.
func (r *Reconciler) check(ctx context.Context, o *observed, c *account.Client) error {
	who := r.caller(o)
	if o.wait = c.Reserve(who); o.wait > 0 {
		return nil
	}
	ctx = account.WithCaller(ctx, who)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	st, err := c.Status(ctx, handleOf(o.charge))
	r.Metrics.Called(o.charge.Spec.Provider, "status", err)
	if err != nil {
		if providers.ClassOf(err) == providers.ClassNotFound {
			// Not visible yet, or on another platform: an answer that says nothing.
			r.rememberNotFound(o)
			return nil
		}
		return r.failed(ctx, o, c, err)
	}
	if c.Traits().Recovery == providers.RecoverBySearch && st.State.Final() && st.State != providers.StateSucceeded {
		var settled bool
		if st, settled, err = r.others(ctx, o, c, st); err != nil || !settled {
			return err
		}
	}
	st = endedByUs(o.charge, c.Traits(), st)
	return r.learn(ctx, o, st, foldStatus(st, r.Now()))
}

// others looks at the other sessions of the reference before a negative
// verdict: all have to be over and unpaid.
func (r *Reconciler) others(ctx context.Context, o *observed, c *account.Client, st providers.Status) (providers.Status, bool, error) {
	sessions, err := c.Provider.(providers.Searcher).Search(ctx, o.charge.Spec.ProviderReference)
	r.Metrics.Called(o.charge.Spec.Provider, "search", err)
	if err != nil {
		return st, false, r.failed(ctx, o, c, err)
	}
	if len(sessions) == 0 {
		return st, true, nil
	}
	best, surplus := chooseSession(sessions)
	switch rank(best) {
	case paid:
		return *best.Status, true, nil
	case over:
		return st, true, nil
	}
	for _, s := range append(surplus, best) {
		if err := r.endSession(ctx, o, c, s.ID); err != nil {
			return st, false, r.failed(ctx, o, c, err)
		}
	}
	r.rememberFailure(o)
	return st, false, nil
}

// cancel ends a session whose time is over, or that was called off. Whether it was paid meanwhile is
// for the next check to find out.
func (r *Reconciler) cancel(ctx context.Context, o *observed, c *account.Client) error {
	if err := r.endSession(ctx, o, c, o.charge.Record.Session.ID); err != nil {
		return r.failed(ctx, o, c, err)
	}
	r.remember(o, func(seen *observation) { *seen = observation{cancelledAt: r.Now()} })
	return nil
}

// learn remembers and records the answer to a question of ours.
func (r *Reconciler) learn(ctx context.Context, o *observed, st providers.Status, f fold) error {
	if st.Unrecognized {
		r.Metrics.unrecognized(o.charge.Spec.Provider)
	}
	r.remember(o, func(seen *observation) {
		*seen = observation{at: r.Now(), state: st.State, cancelledAt: seen.cancelledAt}
	})
	return r.record(ctx, o, f)
}

// failed notes why a call that asks for no money did not get through. It says
// nothing about the payment.
func (r *Reconciler) failed(ctx context.Context, o *observed, c *account.Client, err error) error {
	r.rememberFailure(o)
	var p *account.Problem
	if errors.As(err, &p) {
		return r.record(ctx, o, foldNotice(v1alpha1.ChargeNotice{Reason: p.Reason, Message: p.Message}, r.Now()))
	}
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	r.logger(ctx, o).Info("The provider did not answer a question", "error", e.Error())
	c.Heed(e.Operation, e)
	return r.record(ctx, o, foldNotice(v1alpha1.ChargeNotice{Reason: attempt.ReasonOf(e), Code: e.Code}, r.Now()))
}

// record commits a fold; see attempt.Recorder.
func (r *Reconciler) record(ctx context.Context, o *observed, f fold) error {
	recorder := attempt.Recorder{Writer: r.Client, Live: r.Live, Timeout: r.Settings.RecordTimeout, Pause: r.Pause}
	before := o.charge
	after, err := recorder.Commit(ctx, before, f)
	o.charge = after
	if before.Record.Outcome == nil && after.Record.Outcome != nil && o.holder == nil {
		r.Metrics.orphaned(after.Spec.Provider, after.Record.Outcome.Phase)
		r.logger(ctx, o).Info("A Charge without a Payment came to its end",
			"phase", after.Record.Outcome.Phase, "reason", after.Record.Outcome.Reason)
	}
	return err
}

func handleOf(c *v1alpha1.Charge) providers.Handle {
	h := providers.Handle{Reference: c.Spec.ProviderReference, Money: providers.Money(c.Spec.Money)}
	if s := c.Record.Session; s != nil {
		h.SessionID, h.Token = s.ID, providers.Secret(s.Token)
	}
	return h
}

func sessionOf(s providers.Session, send int32, now time.Time) v1alpha1.ChargeSession {
	out := v1alpha1.ChargeSession{
		Send:       send,
		At:         metav1.NewMicroTime(now),
		ID:         s.ID,
		Token:      s.Token.Reveal(),
		PaymentURL: s.PaymentURL.Reveal(),
	}
	if !s.ExpiresAt.IsZero() {
		t := metav1.NewTime(s.ExpiresAt.Truncate(time.Second))
		out.ExpiresAt = &t
	}
	return out
}
