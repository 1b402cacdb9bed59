package refund

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// act does what was decided: at most one call that could move money, and that
// one only after its write-ahead was acknowledged.
func (r *Reconciler) act(ctx context.Context, o *observed, d decision) error {
	name := o.key.Name
	switch d.action {
	case actClaim:
		return r.claim(ctx, o)
	case actConfirm:
		return r.record(ctx, o, foldConfirmed(name, *o.refund.Spec.Confirmation, r.Now()))
	case actWithdraw:
		return r.record(ctx, o, foldWithdrawn(name, o.claim().Sends, r.Now()))
	case actHold:
		return r.record(ctx, o, foldHold(name, d.reason, "", r.Now()))
	case actNote:
		return r.record(ctx, o, foldNotice(name, noticeOf(o, d.reason), r.Now()))
	case actSend, actAsk:
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

// claim writes on the Charge what is to be given back, if that much is left.
// Of two that claim at once, the second sees what the first one claimed.
func (r *Reconciler) claim(ctx context.Context, o *observed) error {
	kind := r.kind(o)
	if _, o.refused = newClaim(o.refund, o.charge, kind, r.Installation, r.Now()); o.refused != nil {
		return nil //nolint:nilerr // A refusal is the user's to read, not ours to try again.
	}
	ready, err := r.accountReady(ctx, o, kind)
	if !ready || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // shutting down: begin nothing
	}
	return r.record(ctx, o, func(c *v1alpha1.Charge) bool {
		if claimOf(c, o.key.Name) != nil {
			return false
		}
		claim, refused := newClaim(o.refund, c, kind, r.Installation, r.Now())
		if o.refused = refused; refused != nil {
			return false
		}
		c.Record.Refunds = append(c.Record.Refunds, claim)
		return true
	})
}

// accountReady tells whether the account can give money back, down to
// credentials that are complete. If not, o.problem says why.
func (r *Reconciler) accountReady(ctx context.Context, o *observed, kind providers.Kind) (bool, error) {
	if manual(kind.Traits.Refund) {
		return true, nil
	}
	if o.account == nil {
		return false, nil
	}
	if o.problem = o.account.Closed; o.problem != nil {
		return false, nil //nolint:nilerr // It is the user's to read, not ours to try again.
	}
	_, err := r.Accounts.RefundClient(ctx, o.account)
	if errors.As(err, &o.problem) {
		return false, nil
	}
	return err == nil, err
}

// call makes one call to the provider.
func (r *Reconciler) call(ctx context.Context, o *observed, a action) error {
	if o.account == nil {
		return r.failed(ctx, o, nil, o.problem)
	}
	c, err := r.Accounts.RefundClient(ctx, o.account)
	if err != nil {
		return r.failed(ctx, o, nil, err)
	}
	refunder, ok := c.Provider.(providers.Refunder)
	if !ok {
		return fmt.Errorf("provider %s says that it refunds, and cannot", o.charge.Spec.Provider)
	}
	if o.wait = c.Paused(); o.wait > 0 {
		return nil
	}
	if a == actSend {
		return r.send(ctx, o, c, refunder)
	}
	who := account.Caller{Name: o.key.String(), Namespace: o.key.Namespace, Purpose: account.Scheduled, Since: o.charge.CreationTimestamp.Time}
	if o.wait = c.Reserve(who); o.wait > 0 {
		return nil
	}
	return r.ask(account.WithCaller(ctx, who), o, c, refunder)
}

// send asks the provider to give money back. This is the only place that does.
func (r *Reconciler) send(ctx context.Context, o *observed, c *account.Client, refunder providers.Refunder) error {
	if err := r.prepare(ctx, o, c); err != nil {
		return r.failed(ctx, o, c, err)
	}
	if open, err := r.accountOpen(ctx, o); !open || err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err // shutting down: begin nothing
	}
	seen, name := *o.claim(), o.key.Name
	credentials := r.Installation.Credentials(c.Credentials)
	if openSends(&seen) > 0 && seen.LastSend.Credentials != credentials {
		// They may be another merchant's, at whom the reference is not known.
		return r.record(ctx, o, foldHold(name, v1alpha1.ReasonOutcomeUnknown, "", r.Now()))
	}
	at, raised := r.Now(), false
	raise := foldRaise(seen, r.Process, credentials, at)
	if err := r.record(ctx, o, func(c *v1alpha1.Charge) bool { raised = raise(c); return raised }); err != nil {
		// Not acknowledged, so nothing may be sent, whether it was written or not.
		return fmt.Errorf("writing the send down: %w", err)
	}
	send := o.claim().Sends
	if last := o.claim().LastSend; !raised || last == nil || last.Number != send || last.Sender != r.Process || send != seen.Sends+1 {
		return nil // another one was faster
	}
	if r.Settings.InForce(r.WentBack).AdoptOnly {
		// The acknowledgement itself may have shown that records are missing.
		return r.record(ctx, o, foldVoid(name, send, v1alpha1.ReasonAdoptOnly, "", r.Now()))
	}
	callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	if r.Now().Sub(at) > r.Settings.CallTimeout {
		// Paused for so long that another process may think this send is over.
		return r.record(ctx, o, foldVoid(name, send, v1alpha1.ReasonProviderUnreachable, "", r.Now()))
	}
	reason := ""
	if o.refund != nil {
		reason = o.refund.Spec.Reason
	}
	err := refunder.Refund(callCtx, providers.RefundRequest{RefundHandle: handleOf(o), Description: reason})
	return r.recordAnswer(ctx, o, c, send, err)
}

// accountOpen tells whether a first request may be sent through the account: not
// once the API server has told somebody that it is suspended or being deleted.
func (r *Reconciler) accountOpen(ctx context.Context, o *observed) (bool, error) {
	if openSends(o.claim()) > 0 {
		return true, nil // followed to its end
	}
	closed, err := r.Accounts.ClosedNow(ctx, o.account, o.charge)
	if closed == nil || err != nil {
		return err == nil, err
	}
	o.account.Closed = closed
	return false, r.record(ctx, o, foldNotice(o.key.Name, noticeOf(o, closed.Reason), r.Now()))
}

// prepare gets what gives nothing back, such as an access token.
func (r *Reconciler) prepare(ctx context.Context, o *observed, c *account.Client) error {
	p, ok := c.Provider.(providers.RefundPreparer)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Settings.CallTimeout)
	defer cancel()
	err := p.PrepareRefund(ctx)
	r.Called(o.charge.Spec.Provider, "prepare refund", err)
	return err
}

// recordAnswer writes the answer down, whatever it is.
func (r *Reconciler) recordAnswer(ctx context.Context, o *observed, c *account.Client, send int32, err error) error {
	now, name := r.Now(), o.key.Name
	r.Called(o.charge.Spec.Provider, "refund", err)
	if err == nil {
		return r.taken(ctx, o)
	}
	e := providers.AsError(err)
	switch e.Class {
	case providers.ClassAlreadyExists:
		return r.taken(ctx, o)
	case providers.ClassRejected:
		return r.record(ctx, o, foldRefusal(name, v1alpha1.ChargeRefusal{
			Send: send, At: metav1.NewMicroTime(now), Reason: attempt.RefusalReason(e), Code: e.Code,
		}))
	case providers.ClassMisconfigured, providers.ClassThrottled, providers.ClassNotSent:
		r.rememberFailure(o)
		c.Heed(e.Operation, e)
		return r.record(ctx, o, foldVoid(name, send, attempt.ReasonOf(e), e.Code, now))
	default:
		r.logger(ctx, o).Info("No usable answer from the provider; finding out what became of the refund", "error", e.Error())
		r.rememberFailure(o)
		return nil
	}
}

func (r *Reconciler) taken(ctx context.Context, o *observed) error {
	r.remember(o, observation{})
	return r.record(ctx, o, foldTaken(o.key.Name, r.Now()))
}

// ask asks how the refund stands. Where refunds have no reference, one that is
// not made is a payment that was not given back.
func (r *Reconciler) ask(ctx context.Context, o *observed, c *account.Client, refunder providers.Refunder) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Settings.CallTimeout)
	defer cancel()
	st, err := refunder.RefundStatus(ctx, handleOf(o))
	r.Called(o.charge.Spec.Provider, "refund-status", err)
	now, name := r.Now(), o.key.Name
	whole := r.kind(o).Traits.Refund == providers.RefundWhole
	switch {
	case err != nil && providers.ClassOf(err) == providers.ClassNotFound:
		// What these credentials do not know, those that it was sent with may.
		sent, asked := o.claim().LastSend, r.Installation.Credentials(c.Credentials)
		r.remember(o, observation{at: now, notThere: openSends(o.claim()) == 0 || sent.Credentials == asked})
		return r.record(ctx, o, foldNotThere(name, now))
	case err == nil && whole && st.State == providers.StatePending && !st.Unrecognized:
		r.remember(o, observation{at: now, notThere: true})
		return r.record(ctx, o, foldNotThere(name, now))
	case err != nil:
		return r.failed(ctx, o, c, err)
	}
	r.remember(o, observation{at: now})
	return r.record(ctx, o, func(c *v1alpha1.Charge) bool {
		taken := foldTaken(name, now)(c)
		return foldStatus(name, referenceOf(o), st, now)(c) || taken
	})
}

// failed notes why a call that gives nothing back did not get through.
func (r *Reconciler) failed(ctx context.Context, o *observed, c *account.Client, err error) error {
	r.rememberFailure(o)
	var p *account.Problem
	if errors.As(err, &p) {
		return r.record(ctx, o, foldNotice(o.key.Name, v1alpha1.ChargeNotice{Reason: p.Reason, Message: p.Message}, r.Now()))
	}
	var e *providers.Error
	if !errors.As(err, &e) {
		return err
	}
	r.logger(ctx, o).Info("The provider did not answer a question", "error", e.Error())
	c.Heed(e.Operation, e)
	return r.record(ctx, o, foldNotice(o.key.Name, v1alpha1.ChargeNotice{Reason: attempt.ReasonOf(e), Code: e.Code}, r.Now()))
}

// record commits a fold; see attempt.Recorder.
func (r *Reconciler) record(ctx context.Context, o *observed, f attempt.Fold) error {
	recorder := attempt.Recorder{Writer: r.Client, Live: r.Live, Timeout: r.Settings.RecordTimeout, Pause: r.Pause}
	after, err := recorder.Commit(ctx, o.charge, f)
	o.charge = after
	return err
}

func (r *Reconciler) remember(o *observed, seen observation) {
	o.seen = seen
	r.memory.Keep(o.memoryKey(), seen)
}

// rememberFailure: the last call did not get through, or told nothing.
func (r *Reconciler) rememberFailure(o *observed) {
	r.remember(o, observation{at: r.Now(), failures: o.seen.failures + 1})
}

// referenceOf is what an answer about the refund echoes: its own reference, or
// that of the payment where refunds have none.
func referenceOf(o *observed) string {
	if ref := o.claim().Reference; ref != "" {
		return ref
	}
	return o.charge.Spec.ProviderReference
}

func handleOf(o *observed) providers.RefundHandle {
	spec, claim := &o.charge.Spec, o.claim()
	h := providers.RefundHandle{
		Reference: claim.Reference,
		Money:     providers.Money(claim.Money),
		Payment:   providers.Handle{Reference: spec.ProviderReference, Money: providers.Money(spec.Money)},
	}
	if s := o.charge.Record.Session; s != nil {
		h.Payment.SessionID, h.Payment.Token = s.ID, providers.Secret(s.Token)
	}
	return h
}
