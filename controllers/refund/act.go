package refund

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

var errNotWanted = errors.New("the Refund does not want it any more")

// act does what was decided: at most one call that could move money.
func (r *Reconciler) act(ctx context.Context, v view, d attempt.Decision) (view, error) {
	now := metav1.NewMicroTime(r.Now())
	switch d.Action {
	case attempt.Recreate, actReserve:
		return r.reserveOnly(ctx, v)
	case actRelease:
		return r.change(ctx, v, release(v.key.Name))
	case attempt.Raise:
		return r.send(ctx, v)
	case attempt.Ask:
		return r.ask(ctx, v, v.key.Name)
	case attempt.Conclude:
		return r.record(ctx, v, attempt.FoldConcluded(attempt.RefusalOutcome(v.entry().Refusal, r.Now()), &v.entry().Attempt))
	case attempt.GiveUp:
		return r.record(ctx, v, attempt.FoldUnknown(v1alpha1.Unknown{Reason: d.Reason, Since: now}))
	case attempt.Settle:
		return r.confirm(ctx, v)
	case attempt.Note:
		return r.record(ctx, v, attempt.FoldNotice(v1alpha1.Notice{Reason: d.Reason, At: now}))
	case attempt.Wait, attempt.Idle:
		return r.judge(v), nil
	default:
		return v, nil
	}
}

// judge refuses a Refund that waits and could never be reserved.
func (r *Reconciler) judge(v view) view {
	if v.refund == nil || v.entry() != nil || !paid(v.payment, v.charge) || v.refund.Status.Phase.Terminal() {
		return v
	}
	_, v.refused = newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, metav1.NewMicroTime(r.Now()))
	return v
}

// record writes folds of the Refund's attempt on the Charge.
func (r *Reconciler) record(ctx context.Context, v view, folds ...attempt.Fold) (view, error) {
	return r.change(ctx, v, attempt.Refund(v.key.Name).On(folds...))
}

func (r *Reconciler) change(ctx context.Context, v view, change attempt.Change) (view, error) {
	after, err := r.Protocol.Record(ctx, v.charge, change)
	v.charge = after
	return v, err
}

// reserveOnly reserves without a send: a person gives back, or the record of a
// Refund that may have been sent is made again.
func (r *Reconciler) reserveOnly(ctx context.Context, v view) (view, error) {
	e, refused := newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, metav1.NewMicroTime(r.Now()))
	if v.refused = refused; refused != nil {
		return v, nil
	}
	next := v.charge.DeepCopy()
	if err := reserve(next, e); err != nil {
		return v, err
	}
	if err := r.Client.Update(ctx, next); err != nil {
		v.problem = attempt.Refused(err)
		return v, fmt.Errorf("reserving on Charge %s: %w", next.Name, err)
	}
	v.charge = next
	return v, nil
}

// send asks the provider to give back, after everything that can fail without asking.
func (r *Reconciler) send(ctx context.Context, v view) (view, error) {
	first := v.entry() == nil || !attempt.MayHaveArrived(&v.entry().Attempt)
	entry := v1alpha1.ChargeRefund{}
	if first {
		entry, v.refused = newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, metav1.NewMicroTime(r.Now()))
		if v.refused != nil {
			return v, nil
		}
		for _, name := range unverified(v.charge, entry) {
			// It failed, by all that is known. Its amount is given back again only
			// once the provider has said so again.
			return r.ask(ctx, v, name)
		}
	}
	c, refunder, v, err := r.prepare(ctx, v, first)
	if refunder == nil || err != nil {
		return v, err
	}
	fenced := v.refund
	sent, answer, err := r.Protocol.Send(ctx, attempt.Sending{
		Where:       attempt.Refund(v.key.Name),
		Charge:      v.charge,
		Credentials: r.Installation.Credentials(c.Credentials),
		Rules:       attempt.RefundRules(c.Traits()),
		Known:       true,
		Reserve: func(c *v1alpha1.Charge) error {
			if first {
				return reserve(c, entry)
			}
			return nil
		},
		Fence: func(ctx context.Context, c *v1alpha1.Charge) error {
			var err error
			fenced, err = r.fence(ctx, v, c)
			return err
		},
		Call: func(ctx context.Context, charge *v1alpha1.Charge) (providers.Initiation, error) {
			err := refunder.Refund(account.WithCaller(ctx, caller(v, account.ToSend)), providers.RefundRequest{RefundHandle: handleOf(charge, v.key.Name), Description: v.refund.Spec.Reason})
			r.Called(charge.Spec.Provider, providers.OpRefund, err)
			return providers.Initiation{}, err
		},
	})
	v.charge, v.refund = sent, fenced
	if errors.Is(err, attempt.ErrNotRaised) {
		v.problem = attempt.Refused(err)
	}
	if answer != nil {
		v = r.answered(ctx, v, c, answer)
	}
	return v, err
}

// prepare does what can fail without giving back: credentials, the account as the API
// server has it now, and an access token. Without a Refunder, the send has to wait.
func (r *Reconciler) prepare(ctx context.Context, v view, first bool) (*account.Client, providers.Refunder, view, error) {
	c, refunder, v, err := r.client(ctx, v)
	if refunder == nil || err != nil {
		return nil, nil, v, err
	}
	have := r.Installation.Credentials(c.Credentials)
	switch {
	case first:
		if v.problem, err = r.Accounts.ClosedNow(ctx, v.account, v.charge); v.problem != nil || err != nil {
			return nil, nil, v, err
		}
	case !sentWith(&v.entry().Attempt, have):
		// Other credentials may be another merchant's, at whom the reference is not
		// known. The schedule goes on with questions.
		v.wait = r.Settings.RetryMax
		return nil, nil, v, nil
	}
	if v.wait = c.Reserve(caller(v, account.ToSend)); v.wait > 0 {
		return nil, nil, v, nil
	}
	p, ok := c.Provider.(providers.RefundPreparer)
	if !ok {
		return c, refunder, v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Settings.CallTimeout)
	defer cancel()
	err = p.PrepareRefund(ctx)
	r.Called(v.charge.Spec.Provider, providers.OpToken, err)
	if err != nil {
		v, err = r.failed(ctx, v, c, err)
		return nil, nil, v, err
	}
	return c, refunder, v, nil
}

func sentWith(a *v1alpha1.Attempt, have string) bool {
	for _, s := range a.Open {
		if s.Credentials != have {
			return false
		}
	}
	return a.Refusal == nil || a.Refusal.Send.Credentials == have
}

// client of the account, unless it may not be called now.
func (r *Reconciler) client(ctx context.Context, v view) (*account.Client, providers.Refunder, view, error) {
	if v.account == nil {
		return nil, nil, v, nil
	}
	c, err := r.Accounts.RefundClient(ctx, v.account)
	if err != nil {
		v, err = r.failed(ctx, v, nil, err)
		return nil, nil, v, err
	}
	refunder, ok := c.Provider.(providers.Refunder)
	if !ok {
		return nil, nil, v, fmt.Errorf("provider %s says that it refunds, and cannot", v.charge.Spec.Provider)
	}
	if v.wait = c.Paused(); v.wait > 0 {
		return nil, nil, v, nil
	}
	return c, refunder, v, nil
}

// fence writes the Refund that wants the send, under its uid and resourceVersion. The
// write always changes it: whoever ends the Refund meanwhile loses.
func (r *Reconciler) fence(ctx context.Context, v view, c *v1alpha1.Charge) (*v1alpha1.Refund, error) {
	v.charge, v.problem = c, nil
	e, next := v.entry(), v.refund.DeepCopy()
	if next.DeletionTimestamp != nil || next.Status.Phase.Terminal() || e == nil || !sameRefund(next, c, e) {
		return v.refund, errNotWanted
	}
	next.Status = r.project(v, true)
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return v.refund, fmt.Errorf("writing Refund %s: %w", v.key, err)
	}
	return next, nil
}

// answered remembers what came of a send.
func (r *Reconciler) answered(ctx context.Context, v view, c *account.Client, a *attempt.Answer) view {
	v.seen = r.Protocol.Sent(v.memoryKey(), a.Err)
	if c.Heed(providers.OpRefund, a.Err) {
		v.seen = r.Protocol.Retry(v.memoryKey())
	}
	if a.Err != nil {
		e := providers.AsError(a.Err)
		log.FromContext(ctx).Info("The provider did not take the refund", "refund", v.key.String(), "charge", v.charge.Name,
			"class", e.Class, "operation", e.Operation, "status", e.HTTPStatus, "code", e.Code)
	}
	return v
}

// ask asks how the refund of that name on the Charge stands. Where refunds have no
// reference, one that is not made is a payment that was not given back.
func (r *Reconciler) ask(ctx context.Context, v view, name string) (view, error) {
	c, refunder, v, err := r.client(ctx, v)
	if refunder == nil || err != nil {
		return v, err
	}
	who := caller(v, account.Scheduled)
	if v.wait = c.Reserve(who); v.wait > 0 {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(account.WithCaller(context.WithoutCancel(ctx), who), r.Settings.CallTimeout)
	defer cancel()
	entry := attempt.RefundOf(v.charge, name)
	st, err := refunder.RefundStatus(ctx, handleOf(v.charge, name))
	r.Called(v.charge.Spec.Provider, providers.OpRefundStatus, err)
	whole := c.Traits().Refund == providers.RefundWhole
	switch {
	case err != nil && providers.ClassOf(err) == providers.ClassNotFound,
		err == nil && whole && st.State == providers.StatePending && !st.Unrecognized:
		// What these credentials do not know, those that it was sent with may.
		same := sentWith(&entry.Attempt, r.Installation.Credentials(c.Credentials))
		v.seen = r.Protocol.Answered(v.memoryKey(), "", same)
		if same && entry.Outcome != nil {
			return r.change(ctx, v, attempt.Refund(name).On(attempt.FoldStillEnded(r.Now())))
		}
		return v, nil
	case err != nil:
		return r.failed(ctx, v, c, err)
	}
	v.seen = r.Protocol.Answered(v.memoryKey(), st.State, false)
	return r.change(ctx, v, attempt.Refund(name).On(attempt.FoldStatus(st, expected(v.charge, entry), r.Now())))
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

// failed notes why a call that gives nothing back did not get through.
func (r *Reconciler) failed(ctx context.Context, v view, c *account.Client, err error) (view, error) {
	notice, known := r.Protocol.Failed(v.memoryKey(), err)
	v.seen = r.Protocol.Recall(v.memoryKey(), nil)
	var e *providers.Error
	if errors.As(err, &e) {
		if c.Heed(e.Operation, err) {
			v.seen = r.Protocol.Retry(v.memoryKey())
		}
		log.FromContext(ctx).Info("The provider did not answer", "refund", v.key.String(), "operation", e.Operation,
			"status", e.HTTPStatus, "code", e.Code, "class", e.Class)
	}
	if !known {
		return v, err
	}
	if v.entry() == nil {
		return v, nil // what is remembered is shown
	}
	return r.record(ctx, v, attempt.FoldNotice(notice))
}

// confirm records what a person said.
func (r *Reconciler) confirm(ctx context.Context, v view) (view, error) {
	said := r.confirmation(v)
	o := v1alpha1.Outcome{
		Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonNotRefunded, SettledBy: said.ConfirmedBy, Note: said.Note, At: metav1.NewMicroTime(r.Now()),
	}
	if said.Outcome == v1alpha1.ConfirmedRefunded {
		money := v.entry().Money
		o.Phase, o.Reason, o.TransactionID, o.Paid = v1alpha1.PhaseSucceeded, v1alpha1.ReasonRefunded, said.TransactionID, &money
	}
	return r.record(ctx, v, attempt.FoldSettled(o, v.entry().Unknown))
}

func handleOf(c *v1alpha1.Charge, name string) providers.RefundHandle {
	spec, e := &c.Spec, attempt.RefundOf(c, name)
	h := providers.RefundHandle{
		Reference: e.Reference,
		Money:     providers.Money(e.Money),
		Payment:   providers.Handle{Reference: spec.ProviderReference, MerchantReference: spec.MerchantReference, Money: providers.Money(spec.Money)},
	}
	if s := c.Record.Session; s != nil {
		h.Payment.SessionID, h.Payment.Token = s.ID, providers.Secret(s.Token)
	}
	return h
}
