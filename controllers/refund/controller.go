// Package refund gives back what Payments collected: each Refund at most once, and all of them together never more than
// was paid. It is what a refund has of its own in the request protocol of package attempt:
//
//	controller.go  observe: what there is, as values
//	reserve.go     what may be given back, reserved on the Charge   pure
//	facts.go       what the protocol decides from                   pure
//	act.go         what was decided, done
//	send.go        the calls to providers
//	project.go     status: a function of Refund and Charge          pure
package refund

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// Reconciler brings Refunds to their end. What a Refund reserved and sent is followed also when the Refund is gone.
type Reconciler struct {
	// Protocol sends and records. It may be that of the payments.
	Protocol     *attempt.Protocol
	Client       client.Client
	Live         client.Reader
	Accounts     *account.Resolver
	Installation installation.Installation
	Settings     attempt.Settings
	Recorder     events.EventRecorder
	Metrics      *Metrics
	// Called counts a call to a provider that ended in err.
	Called func(provider string, operation providers.Operation, err error)
	Now    func() time.Time

	told attempt.Told
	// known are the Charges at which this process remembers calls, by Refund.
	known attempt.Memory[[]string]
}

// view is what one step knows of a Refund and one Charge. It is a value: each step takes one and returns one.
type view struct {
	key types.NamespacedName
	// chargeName is that of the sale.
	chargeName string
	// refund of that name that is about this sale; nil: there is none.
	refund *v1alpha1.Refund
	// payment that it names; nil: there is none.
	payment *v1alpha1.Payment
	// charge of the sale; nil: there is none.
	charge *v1alpha1.Charge
	// foreign: the Charge is none that this operator may touch.
	foreign bool
	// byHand: a person has to give back.
	byHand bool
	// account of the charge; nil with a problem.
	account *account.Account
	// last is the client that this process asked with while there was an account.
	last    *account.Client
	problem *attempt.Problem
	// refused: nothing was sent and nothing will be, and why.
	refused *attempt.Problem
	seen    attempt.Observation
	// failed: the call of this run had no usable answer.
	failed bool
	// wait, if set, is how long a limit holds the next call up.
	wait time.Duration
}

// entry is what the Charge holds under the Refund's name; nil: nothing.
func (v view) entry() *v1alpha1.ChargeRefund { return attempt.RefundOf(v.charge, v.key.Name) }

// memoryKey of the attempt in this process; no payment has the same.
func (v view) memoryKey() string { return v.chargeName + "/" + v.key.String() }

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=refunds,verbs=get;list;watch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=refunds/status,verbs=update

// Reconcile does one step for one Refund, at each Charge that knows it: that of its
// Payment, and those of which an earlier Refund of this name reserved.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	names, err := r.chargeNames(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	r.forgetOthers(req.NamespacedName, names)
	var soonest ctrl.Result
	var errs []error
	for _, name := range names {
		result, err := r.step(ctx, req.NamespacedName, name)
		errs = append(errs, err)
		if result.RequeueAfter > 0 && (soonest.RequeueAfter == 0 || result.RequeueAfter < soonest.RequeueAfter) {
			soonest = result
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ctrl.Result{}, fmt.Errorf("reconciling Refund %s: %w", req.NamespacedName, err)
	}
	return soonest, nil
}

// chargeNames lists the Charges that know a Refund of that name.
func (r *Reconciler) chargeNames(ctx context.Context, key types.NamespacedName) ([]string, error) {
	var reserved v1alpha1.ChargeList
	if err := r.Client.List(ctx, &reserved, client.MatchingFields{IndexRefund: key.String()}); err != nil {
		return nil, fmt.Errorf("listing the Charges of Refund %s: %w", key, err)
	}
	var names []string
	for i := range reserved.Items {
		names = append(names, reserved.Items[i].Name)
	}
	refund, err := attempt.Get[v1alpha1.Refund](ctx, r.Client, key)
	if refund == nil || err != nil {
		return names, err
	}
	if own := r.chargeName(refund); !slices.Contains(names, own) {
		names = append(names, own)
	}
	return names, nil
}

func (r *Reconciler) chargeName(refund *v1alpha1.Refund) string {
	return r.Installation.ChargeName(refund.Namespace, refund.Spec.PaymentRef.Name)
}

// forgetOthers drops what is remembered of a Refund at Charges that no longer know it.
func (r *Reconciler) forgetOthers(key types.NamespacedName, names []string) {
	for _, name := range r.known.Recall(key.String()) {
		if !slices.Contains(names, name) {
			r.Protocol.Forget(view{key: key, chargeName: name}.memoryKey())
		}
	}
	if len(names) == 0 {
		r.known.Forget(key.String())
		return
	}
	r.known.Keep(key.String(), names)
}

// step does one step for a Refund at one Charge.
func (r *Reconciler) step(ctx context.Context, key types.NamespacedName, chargeName string) (ctrl.Result, error) {
	return attempt.Once(ctx, r.Protocol, attempt.Run[view]{
		Charge:  chargeName,
		Observe: func(ctx context.Context) (view, error) { return r.observe(ctx, r.Client, key, chargeName) },
		Decide:  r.decide,
		Act:     r.act,
		Publish: func(ctx context.Context, v view, _ attempt.Decision) (view, error) { return r.publish(ctx, v) },
		Next:    r.next,
	})
}

// Key of the attempt in this process.
func (v view) Key() string { return v.memoryKey() }

// Observed is what this process remembers.
func (v view) Observed() attempt.Observation { return v.seen }

// Told is the view with a problem to tell, if there is one.
func (v view) Told(problem *attempt.Problem, failed bool) view {
	v.problem, v.failed = cmp.Or(problem, v.problem), failed
	return v
}

// Objects that were read and that the loop writes.
func (v view) Objects() (all []client.Object) {
	if v.refund != nil {
		all = append(all, v.refund)
	}
	if v.charge != nil {
		all = append(all, v.charge)
	}
	return all
}

// next is when to come back.
func (r *Reconciler) next(v view, d attempt.Decision) ctrl.Result {
	if d.Action != attempt.Wait && d.Action != attempt.Idle {
		d = r.decide(v)
	}
	if d.Action == attempt.Idle || v.refused != nil {
		return ctrl.Result{}
	}
	age := time.Duration(0)
	if v.entry() == nil {
		age = r.Now().Sub(v.refund.CreationTimestamp.Time)
	}
	return ctrl.Result{RequeueAfter: d.Again(v.wait, age, r.Settings)}
}

// observe reads what there is: the Refund, then its Payment, then the Charge.
func (r *Reconciler) observe(ctx context.Context, from client.Reader, key types.NamespacedName, chargeName string) (view, error) {
	v := view{key: key, chargeName: chargeName}
	refund, err := attempt.Get[v1alpha1.Refund](ctx, from, key)
	if err != nil {
		return v, err
	}
	if refund != nil && r.chargeName(refund) == chargeName {
		v.refund = refund
		if v.payment, err = attempt.Get[v1alpha1.Payment](ctx, from, types.NamespacedName{Namespace: key.Namespace, Name: refund.Spec.PaymentRef.Name}); err != nil {
			return v, err
		}
	}
	name := types.NamespacedName{Name: chargeName}
	if v.charge, err = attempt.Get[v1alpha1.Charge](ctx, from, name); err == nil && v.charge == nil && v.refund != nil && (succeeded(v.payment) || asked(v.refund)) {
		// There has to be one. That a cache lacks it tells nothing.
		v.charge, err = attempt.Get[v1alpha1.Charge](ctx, r.Live, name)
	}
	if err != nil {
		return v, err
	}
	return r.complete(ctx, v)
}

// complete adds what follows from the objects: what may be done with the Charge, its
// account, and what this process remembers.
func (r *Reconciler) complete(ctx context.Context, v view) (view, error) {
	c := v.charge
	var recorded *v1alpha1.Attempt
	if e := v.entry(); e != nil {
		recorded = &e.Attempt
	}
	v.seen = r.Protocol.Recall(v.memoryKey(), recorded)
	if c == nil || v.refund == nil && recorded == nil {
		return v, nil
	}
	kind, known := r.Accounts.Registry[c.Spec.Provider]
	switch {
	case !r.Installation.Made(c):
		v.foreign, v.problem = true, refuse(v1alpha1.ReasonInstallationChanged, "")
		return v, nil
	case !known:
		v.foreign, v.problem = true, refuse(v1alpha1.ReasonProviderNotSupported, "")
		return v, nil
	}
	v.byHand = manual(c, kind.Traits.Refund)
	acct, err := r.Accounts.Pinned(ctx, c)
	if err != nil && !errors.As(err, &v.problem) {
		return v, fmt.Errorf("finding the account of Charge %s: %w", c.Name, err)
	}
	if v.account = acct; acct == nil {
		v.last, _ = r.Accounts.LastKnown(c, true)
	}
	return v, nil
}

func (r *Reconciler) kind(c *v1alpha1.Charge) providers.Kind {
	return r.Accounts.Registry[c.Spec.Provider]
}
