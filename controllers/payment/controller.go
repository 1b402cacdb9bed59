// Package payment brings Payments to their end: it is what a collection has of its
// own in the request protocol of package attempt.
//
//	controller.go  observe: what there is, as values
//	sale.go        what a Payment is to the Charge of its name     pure
//	over.go        of what nothing is left to do                    pure
//	facts.go       what the protocol decides from                  pure
//	act.go         what was decided, done
//	send.go ask.go the calls to providers
//	project.go     status: a function of Payment and Charge        pure
package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
)

// Priorities in the queue: a check, or a Payment that waits for the prompt limit, never stands
// in the way of a new payment, nor that one in the way of a callback.
const (
	priorityCheck    = -100
	priorityNew      = 0
	priorityCallback = 100
)

// Reconciler brings Payments to their end. A request is the name of a Payment, which
// is the sale, also when only its Charge is left.
type Reconciler struct {
	// Protocol sends and records.
	Protocol *attempt.Protocol
	Client   client.Client
	// Live reads past the cache.
	Live         client.Reader
	Accounts     *account.Resolver
	Installation installation.Installation
	Settings     attempt.Settings
	URLs         callback.URLs
	Prompts      *promptlimit.Limiter
	Recorder     events.EventRecorder
	Metrics      *Metrics
	Now          func() time.Time

	told attempt.Told
}

// view is what one step knows of a sale. It is a value: each step takes one and returns one.
type view struct {
	key types.NamespacedName
	// payment of that name; nil: there is none.
	payment *v1alpha1.Payment
	// charge of that sale; nil: there is none.
	charge   *v1alpha1.Charge
	relation relation
	// account that is or will be used; nil with a problem.
	account *account.Account
	// last is the client that this process asked with while there was an account.
	last    *account.Client
	problem *attempt.Problem
	// settled: no account can mend the problem; it leads to this phase.
	settled v1alpha1.Phase
	seen    attempt.Observation
	// asked is when the question of this step began.
	asked time.Time
	// wait, if set, is how long a limit holds the next call up.
	wait time.Duration
	// limited: that is the prompt limit.
	limited bool
	// failed: the call of this run had no usable answer.
	failed bool
}

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=payments,verbs=get;list;watch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=payments/status,verbs=update;patch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=charges,verbs=get;list;watch;create;update;delete
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=merchantaccounts;clustermerchantaccounts,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Reconcile does one step for one sale.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	name := r.Installation.ChargeName(req.Namespace, req.Name)
	next, err := attempt.Once(ctx, r.Protocol, attempt.Run[view]{
		Charge:   name,
		Observe:  func(ctx context.Context) (view, error) { return r.read(ctx, req.NamespacedName, r.Client) },
		Complete: r.complete,
		Decide:   func(v view) attempt.Decision { return attempt.Decide(r.facts(v)) },
		Act:      r.act,
		Publish:  r.conclude,
		Next:     r.next,
	})
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("reconciling Payment %s: %w", req.NamespacedName, err)
	}
	if next.IsZero() {
		r.Prompts.Forget(name)
	}
	return next, nil
}

// Key of the attempt in this process.
func (v view) Key() string { return v.key.String() }

// Observed is what this process remembers.
func (v view) Observed() attempt.Observation { return v.seen }

// Told is the view with a problem to tell, if there is one.
func (v view) Told(problem *attempt.Problem, failed bool) view {
	v.problem, v.failed = cmp.Or(problem, v.problem), failed
	return v
}

// Objects that were read.
func (v view) Objects() (all []client.Object) {
	if v.payment != nil {
		all = append(all, v.payment)
	}
	if v.charge != nil {
		all = append(all, v.charge)
	}
	return all
}

// next is when to come back: at once if there is something to do, else when what was decided is due.
func (r *Reconciler) next(v view, done attempt.Decision) ctrl.Result {
	d := done
	if done.Action != attempt.Wait && done.Action != attempt.Idle {
		d = attempt.Decide(r.facts(v))
	}
	if d.Action == attempt.Idle {
		return ctrl.Result{}
	}
	priority, age := priorityNew, time.Duration(0)
	if v.limited || v.charge != nil && v.charge.Record.Taken != nil {
		priority = priorityCheck
	}
	if v.charge == nil && v.payment != nil {
		age = r.Now().Sub(v.payment.CreationTimestamp.Time)
	}
	return ctrl.Result{RequeueAfter: d.Again(v.wait, age, r.Settings), Priority: &priority}
}

// observe reads what there is about a sale, and completes it.
func (r *Reconciler) observe(ctx context.Context, key types.NamespacedName, from client.Reader) (view, error) {
	v, err := r.read(ctx, key, from)
	if err != nil {
		return v, err
	}
	return r.complete(ctx, v)
}

// read reads the object before its Charge; from a cache, they may be stubs.
func (r *Reconciler) read(ctx context.Context, key types.NamespacedName, from client.Reader) (view, error) {
	v := view{key: key}
	var err error
	if v.payment, err = attempt.Get[v1alpha1.Payment](ctx, from, key, stub.Allow{}); err != nil {
		return v, err
	}
	name := types.NamespacedName{Name: r.Installation.ChargeName(key.Namespace, key.Name)}
	v.charge, err = attempt.Get[v1alpha1.Charge](ctx, from, name, stub.Allow{})
	return v, err
}

// complete adds what stubs lack and what follows from the objects: their relation, the account, and what this process
// remembers.
func (r *Reconciler) complete(ctx context.Context, v view) (view, error) {
	if nothingLeft(v.payment, v.charge) {
		return view{key: v.key}, nil
	}
	v, err := r.whole(ctx, v)
	if err != nil {
		return v, err
	}
	var recorded *v1alpha1.Attempt
	if v.charge != nil {
		recorded = &v.charge.Record.Attempt
	}
	v.seen = r.Protocol.Recall(v.key.String(), recorded)
	v, err = r.findAccount(ctx, v)
	var p *attempt.Problem
	if errors.As(err, &p) {
		v.account, v.problem, err = nil, p, nil
	}
	if acct := v.account; acct != nil && acct.Closed != nil && v.problem == nil && (recorded == nil || v.relation == relationVacant || attempt.NothingSent(recorded)) {
		v.problem = acct.Closed
	}
	if v.account == nil && v.charge != nil && v.relation != relationVacant {
		v.last, _ = r.Accounts.LastKnown(v.charge, false)
	}
	return v, err
}

// findAccount finds the account that the Charge is pinned to or that the Payment chooses, and by it
// what the Payment is to the Charge. What the user has to mend is a *attempt.Problem.
func (r *Reconciler) findAccount(ctx context.Context, v view) (view, error) {
	c, p := v.charge, v.payment
	if c == nil {
		return r.choose(ctx, v)
	}
	if p != nil {
		v.relation = relate(p, c, r.Installation, chosen{}, r.Settings.AdoptionWindow)
	}
	if v.relation == relationOpen {
		acct, err := r.Accounts.Resolve(ctx, p)
		switch {
		case err == nil:
			v.relation = relate(p, c, r.Installation, chosen{acct.Pin.Environment, acct.Currency}, r.Settings.AdoptionWindow)
		case !errors.As(err, &v.problem):
			return v, err
		}
	}
	if v.relation.holds() && attempt.NothingSent(&c.Record.Attempt) && !recordLost(p, c) && r.moved(ctx, v) {
		v.relation = relationVacant
	}
	switch {
	case !r.Installation.Made(c), c.Record.Outcome != nil && attempt.PaidByProvider(c.Record.Outcome):
		return v, nil
	case v.relation == relationVacant:
		if now, err := r.choose(ctx, v); err != nil || !r.unsure(ctx, now) {
			return now, err
		}
		v.relation = relationUnsure
	}
	var err error
	v.account, err = r.Accounts.Pinned(ctx, c)
	return v, err
}

// unsure tells whether a send of the Charge, whose place another intent is to take, may have been taken by the same
// provider in the same environment: nobody asked since, and somebody can be asked.
func (r *Reconciler) unsure(ctx context.Context, v view) bool {
	if v.account == nil || v.account.Pin.Environment != v.charge.Spec.Account.Environment {
		return false
	}
	_, err := r.Accounts.Pinned(ctx, v.charge)
	if _, known := r.Accounts.LastKnown(v.charge, false); errors.As(err, &v.problem) && !known {
		return false // what could not be read may still be there
	}
	f := r.Protocol.Facts(v.key.String(), attempt.CollectionRules(r.traits(v)), v.seen)
	return r.ofCharge(f, v, v.charge).Vacated().Action != attempt.Idle
}

// moved tells whether the Payment would be asked for elsewhere now than its Charge says, of which
// nothing was sent: the account was corrected, switched to another environment or replaced.
func (r *Reconciler) moved(ctx context.Context, v view) bool {
	acct, err := r.Accounts.Resolve(ctx, v.payment)
	if err != nil || v.payment.Status.Phase.Terminal() {
		return false
	}
	v.account = acct
	now, problem := r.intent(v)
	was := &v.charge.Spec
	return problem == nil && (now.Spec.Account != was.Account || now.Spec.Requested != was.Requested || now.Spec.Money != was.Money)
}

// choose finds the account of a Payment that has no Charge.
func (r *Reconciler) choose(ctx context.Context, v view) (view, error) {
	p := v.payment
	if p == nil || p.Status.Phase.Terminal() {
		return v, nil
	}
	acct, err := r.Accounts.Resolve(ctx, p)
	if err != nil {
		return v, err
	}
	v.account = acct
	return v, nil
}

// traits of the provider of the sale; the zero value where it is not known.
func (r *Reconciler) traits(v view) providers.Traits {
	switch {
	case v.charge != nil:
		return r.Accounts.Registry[v.charge.Spec.Provider].Traits
	case v.payment != nil:
		return r.Accounts.Registry[v.payment.Spec.Provider].Traits
	default:
		return providers.Traits{}
	}
}
