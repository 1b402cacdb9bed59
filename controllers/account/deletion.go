package account

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

const (
	// indexAccount finds the Charges of an account whose end, or that of a refund of theirs, is not known.
	indexAccount = "openChargeOfAccount"
	// shownNames is how many of them a message names.
	shownNames = 3
)

// SetupIndexes adds the index that deletions are held by.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Charge{}, indexAccount, func(o client.Object) []string {
		c := o.(*v1alpha1.Charge)
		if ended(c) {
			return nil
		}
		return []string{identity(c.Spec.Account)}
	})
	if err != nil {
		return fmt.Errorf("indexing Charges: %w", err)
	}
	return nil
}

func identity(pin v1alpha1.AccountPin) string {
	return pin.Kind + "/" + pin.Namespace + "/" + pin.Name
}

// ended: it is known how the payment ended, and each refund of it.
func ended(c *v1alpha1.Charge) bool {
	return c.Record.Outcome != nil && !slices.ContainsFunc(c.Record.Refunds,
		func(r v1alpha1.ChargeRefund) bool { return r.Outcome == nil })
}

// deletion of an account.
type deletion struct {
	now time.Time
	// at is when it was asked for.
	at time.Time
	// settle is how much later somebody may send who looked at the account before.
	settle time.Duration
}

// needs tells whether the account has to stay for c, or for a refund of it. It is pure.
func (d deletion) needs(c *v1alpha1.Charge, traits providers.Traits) bool {
	rec := &c.Record
	if rec.Outcome == nil {
		return d.holds(&rec.Attempt)
	}
	return traits.Refund != providers.RefundManual && traits.Refund != "" && slices.ContainsFunc(rec.Refunds, func(r v1alpha1.ChargeRefund) bool {
		return r.Outcome == nil && d.holds(&r.Attempt)
	})
}

// holds tells whether an open request for money holds the account: not if it is Unknown, for
// which there may never be an answer, nor if nothing was sent and nobody can be about to.
func (d deletion) holds(a *v1alpha1.Attempt) bool {
	return a.Unknown == nil && (!attempt.NothingSent(a) || d.settling())
}

// settling: nothing was sent, and nothing will be through an account on its way
// out, but by somebody who looked at it before.
func (d deletion) settling() bool { return d.now.Before(d.at.Add(d.settle)) }

// ofCharge wakes an account that is being deleted when one of its Charges changes.
func (r *Reconciler) ofCharge(ctx context.Context, o client.Object) []reconcile.Request {
	pin := o.(*v1alpha1.Charge).Spec.Account
	if pin.Kind != r.Kind {
		return nil
	}
	name := types.NamespacedName{Namespace: pin.Namespace, Name: pin.Name}
	acct := newObject(r.Kind)
	if err := r.Client.Get(ctx, name, acct); err != nil || acct.GetDeletionTimestamp() == nil {
		return nil
	}
	return []reconcile.Request{{NamespacedName: name}}
}

// keep puts the finalizer on. It is a patch, so that fields which this version does not know stay as they are.
func (r *Reconciler) keep(ctx context.Context, o object) error {
	before := o.DeepCopyObject().(object)
	if !controllerutil.AddFinalizer(o, v1alpha1.FinalizerCharges) {
		return nil
	}
	return r.patch(ctx, o, before)
}

// letGo takes the finalizer off an account that nobody needs any more. Until then it says who does.
func (r *Reconciler) letGo(ctx context.Context, o object) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(o, v1alpha1.FinalizerCharges) {
		return ctrl.Result{}, nil
	}
	users, err := r.users(ctx, o)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(users) == 0 {
		before := o.DeepCopyObject().(object)
		controllerutil.RemoveFinalizer(o, v1alpha1.FinalizerCharges)
		return ctrl.Result{}, r.patch(ctx, o, before)
	}
	held := condition(metav1.ConditionFalse, v1alpha1.ReasonDeletionHeld, heldBy(users))
	if c := meta.FindStatusCondition(o.AccountStatus().Conditions, ConditionReady); c == nil || c.Reason != held.Reason {
		r.Recorder.Eventf(o, nil, corev1.EventTypeWarning, held.Reason, "Delete", "%s", r.heldNote(users))
	}
	return ctrl.Result{RequeueAfter: r.Retry}, r.write(ctx, o, held)
}

// heldUntil begins what is said of a deletion that waits, with how many it waits for.
const heldUntil = "The account is deleted as soon as no open payment or refund needs it to learn how it ends. Open: %d"

// maxNote is how long the note of an event may be, in bytes, for the API server.
const maxNote = 1024

// heldNote is heldBy for an event. Those of the cluster's accounts are in namespace
// default, whose readers learn nothing of others' payments.
func (r *Reconciler) heldNote(users []string) string {
	if note := heldBy(users); r.Kind != KindCluster && len(note) <= maxNote {
		return note
	}
	return fmt.Sprintf(heldUntil+"; its condition %s names some.", len(users), ConditionReady)
}

func (r *Reconciler) patch(ctx context.Context, o, before object) error {
	err := r.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the finalizer of %s %s: %w", r.Kind, o.GetName(), err)
	}
	return nil
}

// heldBy says whom a deletion waits for.
func heldBy(users []string) string {
	slices.Sort(users)
	shown := users[:min(len(users), shownNames)]
	return fmt.Sprintf(heldUntil+", such as %s.", len(users), strings.Join(shown, ", "))
}

// users are the payments, by namespace/name, whose charges need the account. None
// does once the Secret goes with its namespace: then nobody can be asked anyway.
func (r *Reconciler) users(ctx context.Context, o object) ([]string, error) {
	if going, err := r.secretIsGoing(ctx, o); going || err != nil {
		return nil, err
	}
	pin := v1alpha1.AccountPin{Kind: r.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
	d := deletion{now: r.Now(), at: o.GetDeletionTimestamp().Time, settle: r.Settle}
	seen, err := r.list(ctx, r.Client, client.MatchingFields{indexAccount: identity(pin)}, pin, d)
	if len(seen) > 0 || err != nil {
		return seen, err
	}
	// The cache may be behind, and a Charge that has just been made is not in it.
	return r.list(ctx, r.Resolver.Live, client.MatchingFields{
		"spec.account.kind": pin.Kind, "spec.account.name": pin.Name, "record.outcome.phase": "",
	}, pin, d)
}

func (r *Reconciler) list(ctx context.Context, from client.Reader, which client.MatchingFields, pin v1alpha1.AccountPin, d deletion) ([]string, error) {
	var list v1alpha1.ChargeList
	err := from.List(ctx, &list, which)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		// The kind itself is gone, and all Charges with it: somebody removes the CRDs.
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("listing the Charges of %s: %w", DisplayName(pin), err)
	}
	var users []string
	for i := range list.Items {
		c := &list.Items[i]
		if identity(c.Spec.Account) == identity(pin) && d.needs(c, r.Resolver.Registry[c.Spec.Provider].Traits) {
			users = append(users, c.Spec.Payment.Namespace+"/"+c.Spec.Payment.Name)
		}
	}
	return users, nil
}

// secretIsGoing: the namespace of the Secret is being deleted.
func (r *Reconciler) secretIsGoing(ctx context.Context, o object) (bool, error) {
	name := o.GetNamespace()
	if name == "" {
		name = r.Resolver.OperatorNamespace
	}
	var ns corev1.Namespace
	err := r.Resolver.Live.Get(ctx, types.NamespacedName{Name: name}, &ns)
	switch {
	case apierrors.IsNotFound(err):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("reading Namespace: %w", err)
	default:
		return ns.DeletionTimestamp != nil, nil
	}
}
