package attempt

import (
	"context"
	"errors"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// View is what one run knows of a request. It is a value: each step takes one and returns one.
type View[V any] interface {
	// Key of the attempt in this process.
	Key() string
	// Objects that were read.
	Objects() []client.Object
	// Observed is what this process remembers.
	Observed() Observation
	// Told is the view with a problem to tell, if there is one, and with whether the call of this run failed.
	Told(problem *Problem, failed bool) V
}

// Run is what a run of a payment and of a refund have of their own.
type Run[V View[V]] struct {
	// Charge is the name of the Charge.
	Charge  string
	Observe func(context.Context) (V, error)
	// Complete reads what a cache that is not behind did not hold; nil: nothing.
	Complete func(context.Context, V) (V, error)
	Decide   func(V) Decision
	Act      func(context.Context, V, Decision) (V, error)
	Publish  func(context.Context, V, Decision) (V, error)
	// Next is when to come back; zero: nothing is left to do.
	Next func(V, Decision) ctrl.Result
}

// Once does one run: what is due is recorded first; then observe, decide, act, record and project.
func Once[V View[V]](ctx context.Context, p *Protocol, run Run[V]) (ctrl.Result, error) {
	// Answers are recorded by whoever has them, also when another process leads.
	flushErr := p.Flush(ctx, run.Charge)
	refused := Refused(flushErr)
	if !p.Begins() || flushErr != nil && refused == nil {
		return ctrl.Result{}, flushErr
	}
	v, err := run.Observe(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if wait := p.CatchUp(v.Key(), v.Objects()...); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	if run.Complete != nil {
		if v, err = run.Complete(ctx, v); err != nil {
			return ctrl.Result{}, err
		}
	}
	if refused != nil {
		// Nothing is decided before it is written, but people are told.
		_, err := run.Publish(ctx, v.Told(refused, false), Decision{Action: Wait})
		return ctrl.Result{}, errors.Join(flushErr, err)
	}
	d := run.Decide(v)
	after, actErr := run.Act(ctx, v, d)
	after = after.Told(Refused(actErr), after.Observed().FailedSince(v.Observed()))
	after, publishErr := run.Publish(ctx, after, d)
	next, err := Finish(run.Next(after, d), actErr, publishErr)
	log.FromContext(ctx).V(1).Info("Decided", "attempt", v.Key(), "charge", run.Charge, "action", d.Action, "reason", d.Reason,
		"next", next.RequeueAfter.String())
	if err == nil && next.IsZero() {
		p.Forget(v.Key())
	}
	return next, err
}
