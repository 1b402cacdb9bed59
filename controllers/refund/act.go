package refund

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
)

// act does what was decided: at most one call that could move money.
func (r *Reconciler) act(ctx context.Context, v view, d attempt.Decision) (view, error) {
	switch d.Action {
	case attempt.Wait, attempt.Idle:
		return r.noteUnfollowed(ctx, v)
	case attempt.Recreate, actReserve:
		return r.reserveOnly(ctx, v)
	case actRelease, actRefuse:
		return r.end(ctx, v, d)
	case attempt.Raise:
		return r.send(ctx, v)
	case attempt.Ask:
		return r.ask(ctx, v)
	case attempt.Settle:
		return r.confirm(ctx, v)
	default:
		return r.record(ctx, v, d.Fold(&v.entry().Attempt, r.Now()))
	}
}

// end ends a Refund, or a reservation, for which nothing was sent, if that is still right by what
// the API server says now. It reads the Refund before the Charge, and the status is written under
// the version of the Refund that was read: whoever sends writes the Refund after the raise.
func (r *Reconciler) end(ctx context.Context, v view, d attempt.Decision) (view, error) {
	v, err := r.observe(ctx, r.Live, v.key, v.chargeName)
	switch {
	case err != nil:
		return v, err
	case r.decide(v).Action != d.Action:
		v.wait = r.Settings.RetryMin // the cache is behind
		return v, nil
	case d.Action == actRelease:
		return r.change(ctx, v, release(v.entry()))
	default:
		v.refused = r.refusal(v)
		return v, nil
	}
}

// record writes folds of the attempt on the Charge.
func (r *Reconciler) record(ctx context.Context, v view, folds ...attempt.Fold) (view, error) {
	return r.change(ctx, v, at(v.entry()).On(folds...))
}

func (r *Reconciler) change(ctx context.Context, v view, change attempt.Change) (view, error) {
	after, err := r.Protocol.Record(ctx, v.charge, change)
	v.charge = after
	return v, err
}

// reserveOnly reserves without a send: a person gives back, or the record of a
// Refund that may have been sent is made again.
func (r *Reconciler) reserveOnly(ctx context.Context, v view) (view, error) {
	e, problem := newEntry(v.refund, v.charge, r.kind(v.charge), r.Installation, r.Now())
	if problem != nil {
		return v, problem
	}
	next := v.charge.DeepCopy()
	if err := reserve(next, e, v.byHand); err != nil {
		return v, err
	}
	if err := r.Protocol.Write(ctx, next); err != nil {
		return v, fmt.Errorf("reserving on Charge %s: %w", next.Name, err)
	}
	v.charge = next
	return v, nil
}

// confirm records what a person said.
func (r *Reconciler) confirm(ctx context.Context, v view) (view, error) {
	return r.record(ctx, v, attempt.FoldSettled(r.confirmed(v, metav1.NewMicroTime(r.Now())), v.entry().Unknown))
}

// confirmed is the outcome that a person found out.
func (r *Reconciler) confirmed(v view, now metav1.MicroTime) v1alpha1.Outcome {
	said := r.confirmation(v)
	o := v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonNotRefunded, SettledBy: said.ConfirmedBy, Note: said.Note, At: now}
	if said.Outcome == v1alpha1.ConfirmedRefunded {
		o.Phase, o.Reason, o.TransactionID = v1alpha1.PhaseSucceeded, v1alpha1.ReasonRefunded, said.TransactionID
		if e := v.entry(); e != nil {
			money := e.Money
			o.Paid = &money
		}
	}
	return o
}

// noteUnfollowed records why what was sent for a Refund that is gone cannot be followed
// any more: nobody else would learn it.
func (r *Reconciler) noteUnfollowed(ctx context.Context, v view) (view, error) {
	e := v.entry()
	if v.refund != nil || e == nil || v.foreign || v.problem == nil || v.last != nil || e.Outcome != nil || !attempt.MayHaveArrived(&e.Attempt) {
		return v, nil
	}
	before := e.Notice
	v, err := r.record(ctx, v, attempt.FoldNotice(v1alpha1.Notice{Reason: v.problem.Reason, Message: v.problem.Message, At: metav1.NewMicroTime(r.Now())}))
	if e := v.entry(); e != nil && e.Notice != nil && (before == nil || before.Reason != e.Notice.Reason) {
		attempt.ReportUnfollowed(ctx, r.Recorder, r.Accounts.OperatorNamespace, v.charge, v.key.String(), v.problem)
	}
	return v, err
}

// failed remembers why a call that gives nothing back did not get through, and notes it on the Charge.
func (r *Reconciler) failed(ctx context.Context, v view, heed attempt.Heed, err error) (view, error) {
	notice, known := r.Protocol.Failed(ctx, v.memoryKey(), heed, err)
	v.seen = r.Protocol.Recall(v.memoryKey(), nil)
	switch {
	case !known:
		return v, err
	case v.refund == nil && errors.As(err, &v.problem):
		return r.noteUnfollowed(ctx, v)
	case v.entry() == nil:
		return v, nil // what is remembered is shown
	default:
		return r.record(ctx, v, attempt.FoldNotice(notice))
	}
}

var errNotWanted = errors.New("the Refund does not want it any more")
