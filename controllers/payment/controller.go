// Package payment is the loop that turns a Payment into one charge and follows
// it to its end:
//
//	observe   what is there                        controller.go
//	decide    what to do: a pure function          decide.go
//	act       at most one call that moves money    act.go
//	record    the answer, on the Charge            record.go
//	project   status: a pure function              project.go
package payment

import (
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
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers"
)

// Priorities of a requeue: a check, or who waits for the prompt limit, never stands in the
// way of a new payment or a callback.
const (
	priorityCheck = -100
	priorityNew   = 0
)

// Reconciler brings Payments to their end. A request's name is that of a
// Charge: all that concerns one sale is one key (docs/adr/0001).
type Reconciler struct {
	Client client.Client
	// Live reads past the cache. Every send stands on such a read.
	Live         client.Reader
	Accounts     *account.Resolver
	Installation installation.Installation
	Settings     attempt.Settings
	URLs         callback.URLs
	Recorder     events.EventRecorder
	Metrics      *Metrics
	Now          func() time.Time
	// Pause waits between two tries to record an answer; nil: with a timer.
	Pause func(context.Context, time.Duration) error
	// Process names this process as a sender; Start is when it began.
	Process string
	Start   time.Time
	// WentBack tells that the API server went back in time; nil: it never does.
	WentBack func() bool

	memory      attempt.Memory[observation]
	promptLimit promptlimit.Limiter
}

// observed is what one run knows.
type observed struct {
	name string
	// from is how fresh it was when it was read.
	from freshness
	// payments that name the sale, and the one of them that holds the charge.
	payments []*v1alpha1.Payment
	holder   *v1alpha1.Payment
	charge   *v1alpha1.Charge
	// intent is the Charge to create, where there is none.
	intent *v1alpha1.Charge
	// account that is or will be used; nil with a problem.
	account *account.Account
	problem *account.Problem
	// settled: no account can mend the problem; it leads to this phase.
	settled v1alpha1.Phase
	seen    observation
	// wait, if set, is how long a limit holds this charge up.
	wait time.Duration
	// promptLimited: it waits for the limit on prompts.
	promptLimited bool
}

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=payments,verbs=get;list;watch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=payments/status,verbs=update;patch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=charges,verbs=get;list;watch;create;update
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=merchantaccounts;clustermerchantaccounts,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create

// Reconcile does one step for one sale.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o, err := r.observe(ctx, req.Name, cached)
	if err != nil {
		return ctrl.Result{}, err
	}
	d := r.decide(o)
	switch d.action {
	case actIdle, actWait, actCheck:
	default:
		// A cache may be behind. Decide again on what is there now: first the
		// Charge, then the Payment (see cancelled). What is recorded already is
		// neither asked for nor recorded again and again, either.
		if o, err = r.observe(ctx, req.Name, live); err != nil {
			return ctrl.Result{}, err
		}
		d = r.decide(o)
	}
	actErr, projectErr := r.act(ctx, o, d), r.projectAll(ctx, o)
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

// decide what to do; what cannot be claimed waits.
func (r *Reconciler) decide(o *observed) decision {
	d := decide(r.facts(o))
	if d.action == actClaim && o.intent == nil {
		return r.waitForAccount(o)
	}
	return d
}

// next is when to come back: at once if there is something to do, else when
// what was decided is due.
func (r *Reconciler) next(o *observed, done decision) ctrl.Result {
	d := done
	if done.action != actWait && done.action != actIdle {
		d = decide(r.facts(o))
	}
	priority := priorityNew
	if o.promptLimited || o.charge != nil && o.charge.Record.Session != nil {
		priority = priorityCheck
	}
	switch {
	case d.action == actIdle:
		r.promptLimit.Forget(o.name)
		if o.charge != nil {
			r.memory.Forget(o.name)
		}
		return ctrl.Result{}
	case o.wait > 0:
		return ctrl.Result{RequeueAfter: o.wait, Priority: &priority}
	case d.action == actWait:
		return ctrl.Result{RequeueAfter: d.after, Priority: &priority}
	default:
		return ctrl.Result{RequeueAfter: time.Millisecond, Priority: &priority}
	}
}

func (r *Reconciler) facts(o *observed) facts {
	f := facts{
		now:          r.Now(),
		settings:     r.Settings.InForce(r.WentBack),
		process:      r.Process,
		processStart: r.Start,
		payment:      o.holder,
		charge:       o.charge,
		interval:     account.DefaultInterval,
		seen:         o.seen,
	}
	if o.account != nil {
		f.interval = o.account.Interval
		if o.account.Closed != nil {
			f.closed = o.account.Closed.Reason
		}
	}
	if o.charge != nil {
		f.traits = r.Accounts.Registry[o.charge.Spec.Provider].Traits
		if o.holder != nil && !r.relation(o, o.holder).holds() {
			f.payment = nil
		}
	}
	return f
}

func (r *Reconciler) relation(o *observed, p *v1alpha1.Payment) relation {
	return relate(p, o.holder, o.charge, r.Installation, r.Settings.AdoptionWindow)
}

// freshness of a read: through the cache to schedule, live before money is
// asked for.
type freshness bool

const (
	cached freshness = false
	live   freshness = true
)

func (r *Reconciler) reader(f freshness) client.Reader {
	if f == live {
		return r.Live
	}
	return r.Client
}

// observe reads what there is about a sale.
func (r *Reconciler) observe(ctx context.Context, name string, f freshness) (*observed, error) {
	o := &observed{name: name, from: f, seen: r.recall(name)}
	var found v1alpha1.Charge
	switch err := r.reader(f).Get(ctx, types.NamespacedName{Name: name}, &found); {
	case err == nil:
		o.charge = &found
	case !attempt.IsGone(err):
		return nil, fmt.Errorf("reading Charge %s: %w", name, err)
	}
	var err error
	if o.payments, err = r.payments(ctx, name, f); err != nil {
		return nil, err
	}
	o.holder = claimant(o.payments, o.charge)
	if err := r.findAccount(ctx, o); err != nil {
		return nil, err
	}
	return o, nil
}

// payments are those that name the sale. Which ones there are is known from the
// cache's index; how they are is read afresh where that is asked for.
func (r *Reconciler) payments(ctx context.Context, chargeName string, f freshness) ([]*v1alpha1.Payment, error) {
	var list v1alpha1.PaymentList
	if err := r.Client.List(ctx, &list, client.MatchingFields{attempt.IndexCharge: chargeName}); err != nil {
		return nil, fmt.Errorf("listing the Payments of Charge %s: %w", chargeName, err)
	}
	var out []*v1alpha1.Payment
	for i := range list.Items {
		p := &list.Items[i]
		if f == live {
			fresh := &v1alpha1.Payment{}
			err := r.Live.Get(ctx, client.ObjectKeyFromObject(p), fresh)
			if attempt.IsGone(err) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading Payment %s/%s: %w", p.Namespace, p.Name, err)
			}
			p = fresh
		}
		out = append(out, p)
	}
	return out, nil
}

// findAccount resolves the account that a Charge is pinned to or that its
// Payment chooses. What the user has to mend becomes o.problem.
func (r *Reconciler) findAccount(ctx context.Context, o *observed) error {
	var err error
	switch {
	case o.charge != nil && (o.charge.Record.Outcome == nil || !saidPaid(o.charge.Record.Outcome)):
		o.account, err = r.Accounts.Pinned(ctx, o.charge)
	case o.charge == nil && o.holder != nil && !o.holder.Status.Phase.Terminal():
		err = r.plan(ctx, o)
	}
	if err == nil {
		return nil
	}
	o.account = nil
	if errors.As(err, &o.problem) {
		return nil
	}
	return err
}

// plan prepares the Charge of a Payment that has none, down to credentials that
// are complete, so that nothing is claimed that cannot be asked for.
func (r *Reconciler) plan(ctx context.Context, o *observed) error {
	if old := o.holder.Status.ChargeName; old != "" && old != o.name {
		// Under the new name the payer would be charged again.
		o.settled = v1alpha1.PhaseUnknown
		return &account.Problem{
			Reason:  v1alpha1.ReasonInstallationChanged,
			Message: message(v1alpha1.ReasonInstallationChanged, ""),
		}
	}
	acct, err := r.Accounts.Resolve(ctx, o.holder)
	if err != nil {
		return err
	}
	if err := r.URLs.Check(acct, o.holder); err != nil {
		return err
	}
	if err := r.claimable(ctx, o, acct); err != nil {
		return err
	}
	if _, err := r.Accounts.Client(ctx, acct); err != nil {
		return err
	}
	o.account = acct
	charge, err := intent(o.holder, acct, r.Installation)
	if err != nil {
		o.settled = v1alpha1.PhaseFailed
		return &account.Problem{
			Reason:  v1alpha1.ReasonInvalidRequest,
			Message: message(v1alpha1.ReasonInvalidRequest, "") + " " + providers.AsError(err).Detail,
		}
	}
	o.intent = charge
	return nil
}

// waitForAccount: an account is looked for again after a while, the sooner the
// younger the Payment. Changes of accounts wake it at once; those of Secrets
// are not watched.
func (r *Reconciler) waitForAccount(o *observed) decision {
	if o.settled != "" {
		return decision{action: actIdle}
	}
	age := r.Now().Sub(o.holder.CreationTimestamp.Time)
	return decision{action: actWait, after: min(max(age/4, r.Settings.RetryMin), r.Settings.RetryMax)}
}

// projectAll writes the status of every Payment that names the sale, where it
// is not what it should be.
func (r *Reconciler) projectAll(ctx context.Context, o *observed) error {
	changes := func(p *v1alpha1.Payment) bool { return !sameStatus(r.statusOf(o, p), p.Status) }
	if !slices.ContainsFunc(o.payments, changes) {
		return nil
	}
	if o.from == cached {
		// Not from a cache: one that is behind would take back what another process
		// wrote, and that one write it again, for as long as it is behind.
		var err error
		if o, err = r.observe(ctx, o.name, live); err != nil {
			return err
		}
	}
	var errs []error
	for _, p := range o.payments {
		errs = append(errs, r.projectOne(ctx, o, p))
	}
	return errors.Join(errs...)
}

func (r *Reconciler) statusOf(o *observed, p *v1alpha1.Payment) v1alpha1.PaymentStatus {
	v := view{payment: p, charge: o.charge}
	if p == o.holder {
		v.problem, v.settled = o.problem, o.settled
	}
	if o.charge != nil {
		v.relation = r.relation(o, p)
		v.traits = r.Accounts.Registry[o.charge.Spec.Provider].Traits
	}
	return project(v, r.Now())
}

func (r *Reconciler) projectOne(ctx context.Context, o *observed, p *v1alpha1.Payment) error {
	status := r.statusOf(o, p)
	if sameStatus(status, p.Status) {
		return nil
	}
	next := p.DeepCopy()
	next.Status = status
	// Update carries resourceVersion and uid: a stale view cannot overwrite.
	if err := r.Client.Status().Update(ctx, next); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.announce(p, next)
	return nil
}

func (r *Reconciler) logger(ctx context.Context, o *observed) logr.Logger {
	l := log.FromContext(ctx).WithValues("charge", o.name)
	if o.charge != nil {
		l = l.WithValues("payment", o.charge.Spec.Payment.Namespace+"/"+o.charge.Spec.Payment.Name, "provider", o.charge.Spec.Provider)
	}
	return l
}
