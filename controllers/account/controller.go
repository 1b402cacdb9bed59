package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/redact"
	"mobilemoney.dev/operator/providers"
)

// ConditionReady says whether an account can be used.
const ConditionReady = "Ready"

// Reconciler keeps the condition Ready of one kind of account true to what the provider says. It never asks for money.
type Reconciler struct {
	Client   client.Client
	Resolver *Resolver
	// Kind of the accounts: KindNamespaced or KindCluster.
	Kind string
	// CheckURLs says what the operator itself has to provide for an account.
	CheckURLs func(*Account) error
	// CallbackBase is the base of the callback URLs that payments through an account name; empty: they name none.
	CallbackBase func(*Account) string
	Now          func() time.Time
	// Recorder tells of a deletion that is held.
	Recorder events.EventRecorder
	// CallTimeout bounds the question to the provider.
	CallTimeout time.Duration
	// Retry is the wait for an account that is not ready; Recheck for one that is.
	Retry, Recheck time.Duration
	// Settle is how long after its last look at an account somebody may still send through it.
	Settle time.Duration
	// Leads tells whether this process may begin anything; nil: it may.
	Leads func() bool
}

// object is either kind of account.
type object interface {
	client.Object
	AccountStatus() *v1alpha1.MerchantAccountStatus
}

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=merchantaccounts;clustermerchantaccounts,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=merchantaccounts/status;clustermerchantaccounts/status,verbs=update

// A provider may take long to answer. So that accounts at one that does are in nobody's
// way, there are some workers, and who only looks once more comes last.
const (
	workers         = 8
	priorityRecheck = -100
)

// SetupWithManager starts the reconciler with mgr; began tells what to look at once this process begins to lead.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, began source.Source) error {
	name := map[string]string{KindNamespaced: "merchantaccount", KindCluster: "clustermerchantaccount"}[r.Kind]
	return ctrl.NewControllerManagedBy(mgr).
		Named(name).
		For(newObject(r.Kind), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&v1alpha1.Charge{}, handler.EnqueueRequestsFromMapFunc(r.ofCharge)).
		WatchesRawSource(began).
		WatchesRawSource(source.Channel(r.Resolver.Clients.Findings.changed[r.Kind], &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(redact.Panics(r))
}

// Everything lists the accounts, for a process that begins to lead.
func (r *Reconciler) Everything(ctx context.Context) (unbegun, rest []ctrl.Request, err error) {
	var list client.ObjectList = &v1alpha1.MerchantAccountList{}
	if r.Kind == KindCluster {
		list = &v1alpha1.ClusterMerchantAccountList{}
	}
	if err := r.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("listing accounts: %w", err)
	}
	err = meta.EachListItem(list, func(o runtime.Object) error {
		rest = append(rest, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(o.(client.Object))})
		return nil
	})
	return nil, rest, err
}

func newObject(kind string) object {
	if kind == KindCluster {
		return &v1alpha1.ClusterMerchantAccount{}
	}
	return &v1alpha1.MerchantAccount{}
}

// Reconcile asks whether one account can be used, and says so in its status. One
// that is being deleted goes once no open charge needs it.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if r.Leads != nil && !r.Leads() {
		return ctrl.Result{}, nil
	}
	o := newObject(r.Kind)
	if err := r.Client.Get(ctx, req.NamespacedName, o); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if o.GetDeletionTimestamp() != nil {
		return r.letGo(ctx, o)
	}
	if err := r.keep(ctx, o); err != nil {
		return ctrl.Result{}, err
	}
	ready, err := r.judge(ctx, o)
	if err != nil {
		return ctrl.Result{}, err
	}
	err = r.write(ctx, o, ready)
	if apierrors.IsConflict(err) { // the cache shows an older version: no fault to log
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	again := r.Retry
	if ready.Status == metav1.ConditionTrue {
		again = r.Recheck
	}
	return ctrl.Result{RequeueAfter: again, Priority: ptr.To(priorityRecheck)}, nil
}

// judge finds out whether an account can be used: by what it says, by a harmless question,
// and by what the calls for Payments told. An error is ours, not the account's.
func (r *Reconciler) judge(ctx context.Context, o object) (metav1.Condition, error) {
	acct, c, err := r.usable(ctx, client.ObjectKeyFromObject(o))
	var p *Problem
	switch {
	case errors.As(err, &p):
		return condition(metav1.ConditionFalse, p.Reason, cmp.Or(p.ForManager, p.Message)), nil
	case err != nil:
		return metav1.Condition{}, err
	}
	findings := r.Resolver.Clients.Findings
	if o.GetGeneration() != o.AccountStatus().ObservedGeneration {
		findings.forget(acct.Pin)
	}
	ready := r.try(ctx, acct, c)
	if found := findings.about(acct.Pin, r.Now()); found != "" && ready.Status == metav1.ConditionTrue {
		ready = condition(metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, found)
	}
	return ready, nil
}

// try the credentials, if there is a way.
func (r *Reconciler) try(ctx context.Context, acct *Account, c *Client) metav1.Condition {
	check := harmless(c.Provider, providers.AccountCheck{CallbackURL: r.CallbackBase(acct)})
	if check == nil {
		return condition(metav1.ConditionTrue, v1alpha1.ReasonAccountUsable,
			"Everything is there. The provider has no harmless question to try the credentials with; the first payment does.")
	}
	ctx, cancel := context.WithTimeout(ctx, r.CallTimeout)
	defer cancel()
	err := check(ctx)
	c.Heed(providers.OpAccountCheck, err)
	return verdict(err)
}

// harmless is the question that tries an account and asks for no money; nil where there is none.
func harmless(p providers.Provider, check providers.AccountCheck) func(context.Context) error {
	switch p := p.(type) {
	case providers.AccountChecker:
		return func(ctx context.Context) error { return p.CheckAccount(ctx, check) }
	case providers.Preparer:
		return p.Prepare
	default:
		return nil
	}
}

// usable goes as far as can be told without asking the provider, by the Secret as it is now.
func (r *Reconciler) usable(ctx context.Context, name types.NamespacedName) (*Account, *Client, error) {
	acct, err := r.Resolver.Named(ctx, r.Kind, name.Namespace, name.Name)
	if err != nil {
		return nil, nil, err
	}
	if acct.Closed != nil {
		return nil, nil, acct.Closed
	}
	if err := r.CheckURLs(acct); err != nil {
		return nil, nil, err
	}
	r.Resolver.Clients.secrets.forget(acct.secretKey(), r.Now())
	c, err := r.Resolver.Client(ctx, acct)
	if err != nil {
		return nil, nil, err
	}
	if err := c.CheckMoney(acct, providers.Money{Amount: "1", Currency: acct.Currency}); err != nil {
		return nil, nil, err
	}
	return acct, c, nil
}

// verdict on what the provider said to the credentials. Its texts hold nothing
// that changes, or every check would be a write.
func verdict(err error) metav1.Condition {
	_, limited := LimitedFor(err)
	switch class := providers.ClassOf(err); {
	case err == nil:
		return condition(metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, "The provider accepts the credentials.")
	case class == providers.ClassMisconfigured:
		return condition(metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, diagnosis(err))
	case class == providers.ClassThrottled || limited:
		return condition(metav1.ConditionUnknown, v1alpha1.ReasonProviderThrottled, "The provider asks for fewer requests; it is asked again.")
	default:
		return condition(metav1.ConditionUnknown, v1alpha1.ReasonProviderUnreachable, outage(err))
	}
}

func condition(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: ConditionReady, Status: status, Reason: reason, Message: message}
}

// write sets the condition, if that changes anything.
func (r *Reconciler) write(ctx context.Context, o object, ready metav1.Condition) error {
	next := o.DeepCopyObject().(object)
	status := next.AccountStatus()
	status.ObservedGeneration = o.GetGeneration()
	ready.ObservedGeneration = o.GetGeneration()
	ready.LastTransitionTime = metav1.NewTime(r.Now().Truncate(time.Second))
	meta.SetStatusCondition(&status.Conditions, ready)
	if equality.Semantic.DeepEqual(status, o.AccountStatus()) {
		return nil
	}
	if err := r.Client.Status().Update(ctx, next); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the readiness of %s %s: %w", r.Kind, o.GetName(), err)
	}
	return nil
}
