// Package refund gives back what Payments collected: each Refund once, and all
// of them together never more than was paid. It has the shape of package
// payment:
//
//	observe   what is there                        controller.go
//	decide    what to do: a pure function          decide.go
//	act       at most one call that moves money    act.go
//	record    the answer, on the Charge            record.go
//	project   status: a pure function              project.go
package refund

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// whenBusy is when to come back to a Charge that another worker is at.
const whenBusy = 200 * time.Millisecond

// Reconciler brings Refunds to their end. What a Refund claimed is followed
// also when the Refund is gone.
type Reconciler struct {
	Client client.Client
	// Live reads past the cache. Every claim and every send stands on such a read.
	Live         client.Reader
	Accounts     *account.Resolver
	Installation installation.Installation
	Settings     attempt.Settings
	Recorder     events.EventRecorder
	Metrics      *Metrics
	// Called counts a call to a provider that ended in err.
	Called func(provider, operation string, err error)
	Now    func() time.Time
	// Pause waits between two tries to record an answer; nil: with a timer.
	Pause func(context.Context, time.Duration) error
	// Process names this process as a sender.
	Process string
	// WentBack tells that the API server went back in time; nil: it never does.
	WentBack func() bool

	memory attempt.Memory[observation]
	busy   attempt.Busy
}

// observed is what one run knows of a Refund and one Charge.
type observed struct {
	key types.NamespacedName
	// refund that exists and is about this Charge; nil: none.
	refund *v1alpha1.Refund
	// payment that it names; nil: there is none.
	payment *v1alpha1.Payment
	// charge of the payment; nil: none.
	charge *v1alpha1.Charge
	// account of the charge; nil with a problem.
	account *account.Account
	problem *account.Problem
	// refused: the claim cannot be made, and why.
	refused *account.Problem
	seen    observation
	// wait, if set, is how long the account's limits hold this refund up.
	wait time.Duration
}

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=refunds,verbs=get;list;watch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=refunds/status,verbs=update

// Reconcile does one step for one Refund, at each Charge that knows it: the one
// of its Payment, and those that a Refund of this name claimed of earlier.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	names, err := r.chargeNames(ctx, req.NamespacedName)
	if err != nil {
		return ctrl.Result{}, err
	}
	var result ctrl.Result
	var errs []error
	for _, name := range names {
		one, err := r.step(ctx, req.NamespacedName, name)
		errs = append(errs, err)
		if one.RequeueAfter > 0 && (result.RequeueAfter == 0 || one.RequeueAfter < result.RequeueAfter) {
			result = one
		}
	}
	if err := errors.Join(errs...); err != nil {
		return ctrl.Result{}, err
	}
	return result, nil
}

// chargeNames lists them, the Refund's own one first; "" stands for one that is
// not there yet.
func (r *Reconciler) chargeNames(ctx context.Context, key types.NamespacedName) ([]string, error) {
	var claimed v1alpha1.ChargeList
	if err := r.Client.List(ctx, &claimed, client.MatchingFields{IndexClaim: key.String()}); err != nil {
		return nil, fmt.Errorf("listing the Charges of Refund %s: %w", key, err)
	}
	refund, p, err := refundAndPayment(ctx, r.Client, key)
	if err != nil {
		return nil, err
	}
	var names []string
	own := refund == nil
	for i := range claimed.Items {
		names = append(names, claimed.Items[i].Name)
		own = own || about(refund, &claimed.Items[i], p)
	}
	if own {
		return names, nil
	}
	name := refund.Status.ChargeName
	if name == "" && p != nil {
		name = p.Status.ChargeName
	}
	return slices.Insert(names, 0, name), nil
}

// refundAndPayment returns a Refund and the Payment that it names; nil for what
// is not there.
func refundAndPayment(ctx context.Context, reader client.Reader, key types.NamespacedName) (*v1alpha1.Refund, *v1alpha1.Payment, error) {
	refund, err := get[v1alpha1.Refund](ctx, reader, key)
	if refund == nil || err != nil {
		return nil, nil, err
	}
	p, err := get[v1alpha1.Payment](ctx, reader, types.NamespacedName{Namespace: key.Namespace, Name: refund.Spec.PaymentRef.Name})
	return refund, p, err
}

// about tells whether a Refund is about a Charge. It stays with the one of which
// it claimed. Before that it is the one that the Payment shows: the name may have
// come to stand for another sale, or the Payment taken up the charge of another.
func about(refund *v1alpha1.Refund, c *v1alpha1.Charge, p *v1alpha1.Payment) bool {
	claim := claimOf(c, refund.Name)
	switch {
	case c.Spec.Payment.Namespace != refund.Namespace:
		return false
	case refund.Status.ChargeName != "":
		return c.Name == refund.Status.ChargeName
	case claim != nil && claim.UID == string(refund.UID):
		return true
	case p != nil && p.Status.ChargeName != "":
		return c.Name == p.Status.ChargeName
	default:
		return c.Spec.Payment.Name == refund.Spec.PaymentRef.Name
	}
}

// get returns an object, or nil if there is none.
func get[T any, P interface {
	*T
	client.Object
}](ctx context.Context, reader client.Reader, key types.NamespacedName) (P, error) {
	o := P(new(T))
	err := reader.Get(ctx, key, o)
	switch {
	case attempt.IsGone(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %T %s: %w", o, key, err)
	default:
		return o, nil
	}
}

// step does one step for a Refund at one Charge.
func (r *Reconciler) step(ctx context.Context, key types.NamespacedName, chargeName string) (ctrl.Result, error) {
	place := cmp.Or(chargeName, key.String())
	if !r.busy.Enter(place) {
		return ctrl.Result{RequeueAfter: whenBusy}, nil
	}
	defer r.busy.Leave(place)
	o, err := r.observe(ctx, r.Client, key, chargeName)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := decide(r.facts(o))
	if (d.action != actIdle && d.action != actWait) || o.hopeless() {
		// A cache may be behind. Decide again on what is there now. What is recorded
		// already is neither asked for nor recorded again and again, either.
		if o, err = r.observe(ctx, r.Live, key, chargeName); err != nil {
			return ctrl.Result{}, err
		}
		d = decide(r.facts(o))
	}
	actErr, projectErr := r.act(ctx, o, d), r.projectOne(ctx, o)
	slower, err := attempt.Conflicts(actErr, projectErr)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case slower:
		return ctrl.Result{RequeueAfter: time.Second}, nil
	default:
		return r.next(o, d), nil
	}
}

// next is when to come back.
func (r *Reconciler) next(o *observed, done decision) ctrl.Result {
	d := done
	if done.action != actWait && done.action != actIdle {
		d = decide(r.facts(o))
	}
	switch {
	case d.action == actIdle || o.refused != nil:
		r.memory.Forget(o.memoryKey())
		return ctrl.Result{}
	case o.wait > 0:
		return ctrl.Result{RequeueAfter: o.wait}
	case d.action == actWait:
		return ctrl.Result{RequeueAfter: d.after}
	case d.action == actClaim:
		// The account is not ready. Secrets are not watched: look again, the
		// sooner the younger the Refund.
		age := r.Now().Sub(o.refund.CreationTimestamp.Time)
		return ctrl.Result{RequeueAfter: min(max(age/4, r.Settings.RetryMin), r.Settings.RetryMax)}
	default:
		return ctrl.Result{RequeueAfter: time.Millisecond}
	}
}

func (o *observed) memoryKey() string {
	name := ""
	if o.charge != nil {
		name = o.charge.Name
	}
	return o.key.String() + "/" + name
}

// claim is what the Charge holds for the Refund's name; nil: nothing.
func (o *observed) claim() *v1alpha1.ChargeRefund { return claimOf(o.charge, o.key.Name) }

func (r *Reconciler) facts(o *observed) facts {
	f := facts{
		now:      r.Now(),
		settings: r.Settings.InForce(r.WentBack),
		process:  r.Process,
		refund:   o.refund,
		payment:  o.payment,
		charge:   o.charge,
		claim:    o.claim(),
		interval: account.DefaultInterval,
		seen:     o.seen,
		foreign:  o.foreign(),
	}
	if o.account != nil {
		f.interval = o.account.Interval
		if o.account.Closed != nil {
			f.closed = o.account.Closed.Reason
		}
	}
	if o.charge != nil {
		f.mode = r.kind(o).Traits.Refund
	}
	if f.refund != nil && f.claim != nil && !sameRefund(f.refund, o.charge, f.claim) {
		f.refund = nil // it is another one under the same name
	}
	return f
}

func (r *Reconciler) kind(o *observed) providers.Kind {
	return r.Accounts.Registry[o.charge.Spec.Provider]
}

// observe reads what there is, the Charge before the rest.
func (r *Reconciler) observe(ctx context.Context, reader client.Reader, key types.NamespacedName, chargeName string) (*observed, error) {
	o := &observed{key: key}
	var err error
	if chargeName != "" {
		if o.charge, err = get[v1alpha1.Charge](ctx, reader, types.NamespacedName{Name: chargeName}); err != nil {
			return nil, err
		}
	}
	o.seen = r.memory.Recall(o.memoryKey())
	if o.refund, o.payment, err = refundAndPayment(ctx, reader, key); err != nil {
		return nil, err
	}
	if o.refund != nil && o.charge != nil && !about(o.refund, o.charge, o.payment) {
		o.refund, o.payment = nil, nil
	}
	return o, r.findAccount(ctx, o)
}

// hopeless: for all that is seen of it, the Payment ended unpaid.
func (o *observed) hopeless() bool {
	return o.refund != nil && !o.refund.Status.Phase.Terminal() && o.claim() == nil && unpaid(o.payment)
}

// foreign tells whether this operator leaves the Charge alone.
func (o *observed) foreign() bool {
	return o.problem != nil && o.problem.Reason == v1alpha1.ReasonProviderNotSupported
}

// findAccount finds the account that the Charge is pinned to, where one is
// needed. What the user has to mend becomes o.problem.
func (r *Reconciler) findAccount(ctx context.Context, o *observed) error {
	over := func() bool { c := o.claim(); return c != nil && c.Outcome != nil }
	if o.charge == nil || over() || (o.refund == nil && o.claim() == nil) {
		return nil
	}
	if o.charge.Spec.ReferenceVersion != installation.ReferenceVersion {
		o.problem = &account.Problem{
			Reason:  v1alpha1.ReasonProviderNotSupported,
			Message: "the payment was recorded by a version of the operator that this one does not know; start one that does",
		}
		return nil
	}
	acct, err := r.Accounts.Pinned(ctx, o.charge)
	if err == nil {
		o.account = acct
		return nil
	}
	if errors.As(err, &o.problem) {
		return nil
	}
	return err
}

// projectOne writes the status of the Refund, where it is not what it should be.
func (r *Reconciler) projectOne(ctx context.Context, o *observed) error {
	if o.refund == nil {
		return nil
	}
	v := view{refund: o.refund, payment: o.payment, charge: o.charge, claim: o.claim(), problem: o.problem, refused: o.refused, foreign: o.foreign()}
	if o.charge != nil {
		v.mode = r.kind(o).Traits.Refund
	}
	status := project(v, r.Now())
	if sameStatus(status, o.refund.Status) {
		return nil
	}
	next := o.refund.DeepCopy()
	next.Status = status
	// Update carries resourceVersion and uid: a stale view cannot overwrite.
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.announce(o, next)
	return nil
}

func (r *Reconciler) logger(ctx context.Context, o *observed) logr.Logger {
	return log.FromContext(ctx).WithValues("refund", o.key.String(), "charge", o.charge.Name, "provider", o.charge.Spec.Provider)
}
