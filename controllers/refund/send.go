package refund

import (
	"context"
	"fmt"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// send asks the provider to give back, after everything that can fail without asking.
func (r *Reconciler) send(ctx context.Context, v view) (view, error) {
	reservation, failed, err := r.reservation(v)
	switch {
	case err != nil:
		return v, err
	case failed != "":
		return r.verify(ctx, v, failed)
	}
	c, v, err := r.prepare(ctx, v, reservation != nil)
	if c == nil || err != nil {
		v.seen = r.Protocol.NotReady(v.memoryKey(), v.wait, v.problem, err)
		return v, err
	}
	return r.sendThrough(ctx, v, c, reservation)
}

// sendThrough sends with the client of the account.
func (r *Reconciler) sendThrough(ctx context.Context, v view, c *account.Client, reservation *v1alpha1.ChargeRefund) (view, error) {
	refunder, err := refunderOf(c, v.charge)
	if err != nil {
		return v, err
	}
	defer c.Release(caller(v, account.ToSend))
	sending, fenced := r.sending(v, refunder, reservation)
	sending.Credentials = r.Installation.Credentials(c.Credentials)
	sent, answer, err := r.Protocol.Send(ctx, sending)
	if v.charge, v.refund = sent, *fenced; answer != nil {
		v.seen = r.Protocol.Heard(ctx, v.memoryKey(), c.Heed, providers.OpRefund, answer)
	} else {
		v.seen = r.Protocol.Unsent(v.memoryKey(), err)
	}
	return v, err
}

// reservation that a first send makes; nil: the request may have arrived, and is
// repeated. It names a failed refund that the provider has to be asked about before.
func (r *Reconciler) reservation(v view) (entry *v1alpha1.ChargeRefund, failed string, err error) {
	if old := v.entry(); old != nil && attempt.MayHaveArrived(&old.Attempt) {
		return nil, "", nil
	}
	first, problem := newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, r.Now())
	if problem != nil {
		return nil, "", problem
	}
	if names := unverified(v.charge, first); len(names) > 0 {
		return nil, names[0], nil
	}
	return &first, "", nil
}

// sending is a send for the Refund: the first one reserves. It returns the Refund as it will be once it is fenced, too.
func (r *Reconciler) sending(v view, refunder providers.Refunder, reservation *v1alpha1.ChargeRefund) (attempt.Sending, **v1alpha1.Refund) {
	fenced := v.refund
	s := attempt.Sending{Charge: v.charge, Rules: attempt.RefundRules(r.kind(v.charge).Traits), Known: true}
	if reservation == nil {
		s.Where = at(v.entry())
	} else {
		s.Where = at(reservation)
		s.Reserve = func(c *v1alpha1.Charge) error { return reserve(c, *reservation, v.byHand) }
	}
	s.Fence = func(ctx context.Context, charge *v1alpha1.Charge) (err error) {
		fenced, err = r.fence(ctx, v, charge)
		return err
	}
	s.Call = func(ctx context.Context, charge *v1alpha1.Charge) (providers.Initiation, error) {
		request := providers.RefundRequest{RefundHandle: handleOf(charge, v.key.Name), Description: v.refund.Spec.Reason}
		err := refunder.Refund(account.WithCaller(ctx, caller(v, account.ToSend)), request)
		r.Called(charge.Spec.Provider, providers.OpRefund, err)
		return providers.Initiation{}, err
	}
	return s, &fenced
}

func refunderOf(c *account.Client, charge *v1alpha1.Charge) (providers.Refunder, error) {
	refunder, ok := c.Provider.(providers.Refunder)
	if !ok {
		return nil, fmt.Errorf("provider %s says that it refunds, and cannot", charge.Spec.Provider)
	}
	return refunder, nil
}

// prepare does what can fail without giving back: credentials, the account as the API
// server has it now, and an access token. Without a client, the send has to wait.
func (r *Reconciler) prepare(ctx context.Context, v view, first bool) (c *account.Client, _ view, err error) {
	if v.account == nil {
		v.wait = r.Settings.RetryMax
		return nil, v, nil
	}
	if c, err = r.Accounts.RefundClient(ctx, v.account); err != nil {
		v, err = r.failed(ctx, v, nil, err)
		return nil, v, err
	}
	if first {
		v.problem, err = r.Accounts.ClosedNow(ctx, v.account, v.charge)
	} else if !attempt.SentWith(&v.entry().Attempt, r.Installation.Credentials(c.Credentials)) {
		v.seen, v.wait = r.Protocol.OtherCredentials(v.memoryKey()), r.Settings.RetryMax
	}
	if err != nil || v.problem != nil || v.wait > 0 {
		return nil, v, err
	}
	return r.ready(ctx, v, c)
}

// ready waits for the limit of calls, and fetches an access token.
func (r *Reconciler) ready(ctx context.Context, v view, c *account.Client) (*account.Client, view, error) {
	who := caller(v, account.ToSend)
	if v.wait = c.Reserve(who); v.wait > 0 {
		return nil, v, nil
	}
	p, ok := c.Provider.(providers.RefundPreparer)
	if !ok {
		return c, v, nil
	}
	ctx, cancel := context.WithTimeout(account.WithCaller(ctx, who), r.Settings.CallTimeout)
	defer cancel()
	err := p.PrepareRefund(ctx)
	if r.Called(v.charge.Spec.Provider, providers.OpToken, err); err == nil {
		return c, v, nil
	}
	c.Release(who)
	v, err = r.failed(ctx, v, c.Heed, err)
	return nil, v, err
}

// fence writes the Refund that wants the send, under its uid and resourceVersion. The
// write always changes it: whoever ends the Refund meanwhile loses.
func (r *Reconciler) fence(ctx context.Context, v view, c *v1alpha1.Charge) (*v1alpha1.Refund, error) {
	v.charge, v.problem = c, nil
	e, next := v.entry(), v.refund.DeepCopy()
	if !v.open() || e == nil || !sameRefund(next, c, e) {
		return v.refund, errNotWanted
	}
	next.Status = r.project(v, true)
	if !asked(next) {
		return v.refund, errNotWanted
	}
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return v.refund, fmt.Errorf("writing Refund %s: %w", v.key, err)
	}
	return next, nil
}

// ask asks how the refund stands.
func (r *Reconciler) ask(ctx context.Context, v view) (view, error) {
	q, v, err := r.question(ctx, v, v.entry())
	switch {
	case !q.answered || err != nil:
		return v, err
	case q.status == nil:
		// What these credentials do not know, those that it was sent with may.
		v.seen = r.Protocol.Answered(v.memoryKey(), q.asked, "", q.same)
		return v, nil
	default:
		v.seen = r.Protocol.Answered(v.memoryKey(), q.asked, q.status.State, false)
		return r.record(ctx, v, attempt.FoldStatus(*q.status, expected(v.charge, v.entry()), r.Now()))
	}
}

// verify asks once more about a refund that failed, by all that is known. Its amount is
// reserved again only once the provider has said so again.
func (r *Reconciler) verify(ctx context.Context, v view, name string) (view, error) {
	failed := attempt.RefundOf(v.charge, name)
	q, v, err := r.question(ctx, v, failed)
	if !q.answered || err != nil {
		return v, err
	}
	v.seen = r.Protocol.Answered(v.memoryKey(), q.asked, "", false)
	switch {
	case q.status != nil:
		v, err = r.change(ctx, v, at(failed).On(attempt.FoldStatus(*q.status, expected(v.charge, failed), r.Now())))
	case q.same:
		v, err = r.change(ctx, v, at(failed).On(attempt.FoldStillEnded(r.Now())))
	}
	if failed = attempt.RefundOf(v.charge, name); failed != nil && failed.Later == nil {
		v.problem, v.wait = unconfirmed(name), r.Settings.RetryMax
	}
	return v, err
}

func unconfirmed(name string) *attempt.Problem {
	return &attempt.Problem{Reason: v1alpha1.ReasonAwaitingProvider, Message: fmt.Sprintf(
		"Refund %s failed, by all that is known. Its amount is given back by another one only once the provider has confirmed that, "+
			"asked with the credentials that it was sent with. The operator keeps asking.", name)}
}

// answer to a question.
type answer struct {
	// answered: the provider gave a usable one.
	answered bool
	// asked is when the question began.
	asked time.Time
	// status; nil: it does not know the refund.
	status *providers.Status
	// same: it was asked with the credentials that the refund was sent with.
	same bool
}

// question asks how the refund e stands. Where refunds have no reference, one that is
// not made is a payment that was not given back.
func (r *Reconciler) question(ctx context.Context, v view, e *v1alpha1.ChargeRefund) (answer, view, error) {
	c, err := r.Accounts.ClientToAsk(ctx, v.account, v.problem, v.charge, true)
	if err != nil {
		v, err = r.failed(ctx, v, nil, err)
		return answer{}, v, err
	}
	refunder, err := refunderOf(c, v.charge)
	if err != nil {
		return answer{}, v, err
	}
	who := caller(v, account.Scheduled)
	if v.wait = c.Reserve(who); v.wait > 0 {
		return answer{}, v, nil
	}
	defer c.Release(who)
	ctx, cancel := context.WithTimeout(account.WithCaller(context.WithoutCancel(ctx), who), r.Settings.CallTimeout)
	defer cancel()
	asked := r.Now()
	st, err := refunder.RefundStatus(ctx, handleOf(v.charge, e.Name))
	r.Called(v.charge.Spec.Provider, providers.OpRefundStatus, err)
	if err != nil && providers.ClassOf(err) != providers.ClassNotFound {
		v, err = r.failed(ctx, v, c.Heed, err)
		return answer{}, v, err
	}
	c.Heed(providers.OpRefundStatus, nil)
	a := answer{answered: true, asked: asked, same: attempt.SentWith(&e.Attempt, r.Installation.Credentials(c.Credentials))}
	notMade := c.Traits().Refund == providers.RefundWhole && st.State == providers.StatePending && !st.Unrecognized
	if err == nil && !notMade {
		a.status = &st
	}
	return a, v, nil
}

func caller(v view, purpose account.Purpose) account.Caller {
	return account.Caller{Name: v.memoryKey(), Namespace: v.key.Namespace, Purpose: purpose, Since: v.charge.CreationTimestamp.Time}
}

// expected is what an answer has to be about.
func expected(c *v1alpha1.Charge, e *v1alpha1.ChargeRefund) attempt.Expected {
	handle := handleOf(c, e.Name)
	return attempt.Expected{
		Money: e.Money, Paid: v1alpha1.ReasonRefunded, Consent: true,
		Ours: func(st providers.Status) bool { return st.AboutRefund(handle) },
	}
}

func handleOf(c *v1alpha1.Charge, name string) providers.RefundHandle {
	spec, e := &c.Spec, attempt.RefundOf(c, name)
	h := providers.RefundHandle{
		Reference: e.Reference, MerchantReference: spec.MerchantReference, Money: providers.Money(e.Money),
		Payment: providers.Handle{Reference: spec.ProviderReference, MerchantReference: spec.MerchantReference, Money: providers.Money(spec.Money)},
	}
	if s := c.Record.Session; s != nil {
		h.Payment.SessionID, h.Payment.Token = s.ID, providers.Secret(s.Token)
	}
	return h
}
