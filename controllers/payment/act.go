package payment

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
)

// act does what was decided: at most one call that could move money.
func (r *Reconciler) act(ctx context.Context, v view, d attempt.Decision) (view, error) {
	switch d.Action {
	case attempt.Recreate:
		return r.recreate(ctx, v)
	case attempt.Raise:
		return r.send(ctx, v)
	case attempt.Ask:
		return r.ask(ctx, v)
	case attempt.EndSession:
		return r.endSession(ctx, v)
	case attempt.EndUnasked:
		return r.endUnasked(ctx, v, d)
	case attempt.Settle:
		return r.settle(ctx, v)
	case attempt.Wait, attempt.Idle:
		if d.Reason != "" && v.problem == nil {
			v.problem = &attempt.Problem{Reason: d.Reason, Message: reasons.OfPayments().Of(d.Reason, "")}
		}
		return r.noteUnfollowed(ctx, v)
	default:
		if v.charge == nil { // it is given up, and there is nothing to make one of
			v.settled, v.problem = v1alpha1.PhaseUnknown, &attempt.Problem{Reason: d.Reason, Message: reasons.OfPayments().Of(d.Reason, "")}
			return v, nil
		}
		return r.record(ctx, v, d.Fold(&v.charge.Record.Attempt, r.Now()))
	}
}

// noteUnfollowed records why a Charge without a Payment cannot be followed any more: nobody else would learn it.
func (r *Reconciler) noteUnfollowed(ctx context.Context, v view) (view, error) {
	if v.payment != nil || v.charge == nil || v.problem == nil || v.last != nil || !r.Installation.Made(v.charge) || !attempt.MayHaveArrived(&v.charge.Record.Attempt) {
		return v, nil
	}
	before := v.charge.Record.Notice
	v, err := r.record(ctx, v, attempt.FoldNotice(v1alpha1.Notice{Reason: v.problem.Reason, Message: v.problem.Message, At: metav1.NewMicroTime(r.Now())}))
	if after := v.charge.Record.Notice; after != nil && (before == nil || before.Reason != after.Reason) {
		attempt.ReportUnfollowed(ctx, r.Recorder, r.Accounts.OperatorNamespace, v.charge, v.key.String(), v.problem)
	}
	return v, err
}

// record writes a fold of the attempt on the Charge.
func (r *Reconciler) record(ctx context.Context, v view, folds ...attempt.Fold) (view, error) {
	return r.change(ctx, v, attempt.Where(attempt.Payment).On(folds...))
}

// change writes a change of the Charge, which may be newer than the one that was read.
func (r *Reconciler) change(ctx context.Context, v view, change attempt.Change) (view, error) {
	after, err := r.Protocol.Record(ctx, v.charge, change)
	r.reportOrphan(ctx, v, after)
	v.charge = after
	if v.payment != nil && v.relation.holds() {
		v.relation = relate(v.payment, after, r.Installation, asMade(after), r.Settings.AdoptionWindow)
	}
	return v, err
}

// reportOrphan tells that a Charge ended which no Payment shows.
func (r *Reconciler) reportOrphan(ctx context.Context, v view, after *v1alpha1.Charge) {
	if v.payment != nil || v.charge.Record.Outcome != nil || after.Record.Outcome == nil {
		return
	}
	r.Metrics.orphans.WithLabelValues(after.Spec.Provider, string(after.Record.Outcome.Phase)).Inc()
	log.FromContext(ctx).Info("A Charge without a Payment ended", "charge", after.Name, "payment", v.key.String(),
		"phase", after.Record.Outcome.Phase, "reason", after.Record.Outcome.Reason)
}

// settle records what a person found out about the Unknown that the Charge shows.
func (r *Reconciler) settle(ctx context.Context, v view) (view, error) {
	said := settlement(v.payment, r.unknownID(v.payment, v.charge))
	outcome := settled(*said, v.charge.Spec.Money, metav1.NewMicroTime(r.Now()))
	return r.record(ctx, v, attempt.FoldSettled(outcome, v.charge.Record.Unknown))
}

// recreate makes the Charge again without a send, for an object that may have had one.
func (r *Reconciler) recreate(ctx context.Context, v view) (view, error) {
	now, err := attempt.Get[v1alpha1.Payment](ctx, r.Live, v.key)
	if err != nil || now == nil || now.UID != v.payment.UID {
		v.payment, v.charge, v.relation = nil, nil, relationNone // nobody wants it any more
		return v, err
	}
	c, _ := r.intent(v)
	c = v.inPlace(c)
	if err := r.Protocol.Write(ctx, c); err != nil {
		return v, fmt.Errorf("making the Charge again: %w", err)
	}
	v.charge, v.relation = c, relationOwn
	return v, nil
}

// endUnasked ends a Payment that nobody was asked for. It reads the Payment, then the Charge, and writes under the
// version of the Payment that it read: whoever sends writes the Payment after its Charge exists.
func (r *Reconciler) endUnasked(ctx context.Context, v view, d attempt.Decision) (view, error) {
	now, err := r.observe(ctx, v.key, r.Live)
	if err != nil {
		return v, err
	}
	if now.payment == nil || now.payment.UID != v.payment.UID || attempt.Decide(r.facts(now)).Action != attempt.EndUnasked {
		return now, nil
	}
	now.settled, now.problem = d.Phase, &attempt.Problem{Reason: d.Reason, Message: reasons.OfPayments().Of(d.Reason, "")}
	return now, nil
}

// conclude publishes, after a look past the cache where a Payment is about to end without an outcome on its Charge, or
// to adopt one: by an older view it may be refused for what is not so, or adopt what had ended long before it.
func (r *Reconciler) conclude(ctx context.Context, v view, d attempt.Decision) (view, error) {
	p := v.payment
	if p == nil || p.Status.Phase.Terminal() || d.Action == attempt.EndUnasked || !v.concludes() {
		return r.publish(ctx, v)
	}
	now, err := r.observe(ctx, v.key, r.Live)
	if err != nil {
		return v, err
	}
	same := now.payment != nil && now.payment.UID == p.UID && now.relation == v.relation && (now.charge == nil) == (v.charge == nil)
	v.payment, v.charge, v.relation = now.payment, now.charge, now.relation
	if !same {
		v.settled, v.problem = "", nil
		return v, nil
	}
	return r.publish(ctx, v)
}

// concludes tells whether the status is about to say what is not taken back.
func (v view) concludes() bool {
	adopts := v.relation == relationAdopted && v.payment.Status.ChargeName == ""
	return v.settled != "" || v.relation == relationConflict || adopts
}

// failed notes why a call that asks for no money did not get through. It says nothing about the payment.
func (r *Reconciler) failed(ctx context.Context, v view, c *account.Client, err error) (view, error) {
	notice, known := r.Protocol.Failed(ctx, v.key.String(), c.Heed, err)
	v.seen = r.Protocol.Recall(v.key.String(), nil)
	switch {
	case !known:
		return v, err
	case v.payment == nil && errors.As(err, &v.problem):
		return r.noteUnfollowed(ctx, v)
	case v.charge == nil || v.relation == relationVacant:
		return v, nil // what is remembered is shown
	default:
		return r.record(ctx, v, attempt.FoldNotice(notice))
	}
}

// inPlace puts an intent in the place of the other one that the Charge holds, for which nothing was sent. Sends go on
// counting: an answer to an earlier one is none to this.
func (v view) inPlace(c *v1alpha1.Charge) *v1alpha1.Charge {
	if v.relation == relationVacant {
		c.ObjectMeta, c.Record.Sends = *v.charge.ObjectMeta.DeepCopy(), v.charge.Record.Sends
	}
	return c
}
