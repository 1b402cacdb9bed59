package refund

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/redact"
)

// Indexes of the cache.
const (
	// IndexPayment finds Refunds by the name of their Payment.
	IndexPayment = "refundedPayment"
	// IndexRefund finds Charges by the namespace/name of the Refunds that reserved of them.
	IndexRefund = "refund"
)

// SetupIndexes adds the indexes that the loop uses.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Refund{}, IndexPayment, func(o client.Object) []string {
		return []string{o.(*v1alpha1.Refund).Spec.PaymentRef.Name}
	})
	if err != nil {
		return fmt.Errorf("indexing Refunds: %w", err)
	}
	err = indexer.IndexField(ctx, &v1alpha1.Charge{}, IndexRefund, func(o client.Object) []string {
		var keys []string
		for _, r := range requests(o.(*v1alpha1.Charge), nil) {
			keys = append(keys, r.String())
		}
		return keys
	})
	if err != nil {
		return fmt.Errorf("indexing Charges: %w", err)
	}
	return nil
}

// SetupWithManager starts the loop with mgr; began tells what to look at once this process begins to lead.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int, began source.Source) error {
	unfinished := builder.WithPredicates(attempt.Unfinished())
	return ctrl.NewControllerManagedBy(mgr).
		Named("refund").
		For(&v1alpha1.Refund{}, unfinished).
		Watches(&v1alpha1.Charge{}, chargeHandler(), unfinished).
		Watches(&v1alpha1.Payment{}, handler.EnqueueRequestsFromMapFunc(r.ofPayment), unfinished).
		Watches(&v1alpha1.MerchantAccount{}, handler.EnqueueRequestsFromMapFunc(r.ofAccount)).
		Watches(&v1alpha1.ClusterMerchantAccount{}, handler.EnqueueRequestsFromMapFunc(r.ofAccount)).
		WatchesRawSource(began).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   r.Settings.RunTimeout(),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				time.Second, 5*time.Minute),
		}).
		Complete(redact.Panics(attempt.Paced(r, r.Now)))
}

// Everything lists what the loop works on, for a process that begins to lead.
func (r *Reconciler) Everything(ctx context.Context) (unbegun, rest []reconcile.Request, err error) {
	unasked := func(o runtime.Object) bool {
		phase := o.(*v1alpha1.Refund).Status.Phase
		return phase == "" || phase == v1alpha1.RefundPending
	}
	return attempt.Backlog(ctx, r.Client, &v1alpha1.RefundList{}, unasked, func(c *v1alpha1.Charge) []reconcile.Request { return requests(c, nil) })
}

// chargeHandler wakes the Refunds whose entry changed: one Charge may hold hundreds.
func chargeHandler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	add := func(q queue, reqs []reconcile.Request) {
		for _, r := range reqs {
			q.Add(r)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			add(q, requests(e.Object.(*v1alpha1.Charge), nil))
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			add(q, requests(e.ObjectNew.(*v1alpha1.Charge), e.ObjectOld.(*v1alpha1.Charge)))
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) {
			add(q, requests(e.Object.(*v1alpha1.Charge), nil))
		},
	}
}

// requests for the entries of c that are not as they were.
func requests(c, old *v1alpha1.Charge) []reconcile.Request {
	var out []reconcile.Request
	for i := range c.Record.Refunds {
		entry := &c.Record.Refunds[i]
		if was := attempt.RefundOf(old, entry.Name); was == nil || !equality.Semantic.DeepEqual(was, entry) {
			out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: c.Spec.Payment.Namespace, Name: entry.Name}})
		}
	}
	return out
}

// ofPayment wakes the Refunds that wait for a Payment.
func (r *Reconciler) ofPayment(ctx context.Context, o client.Object) []reconcile.Request {
	return r.those(ctx, func(p v1alpha1.RefundPhase) bool { return !p.Terminal() },
		client.InNamespace(o.GetNamespace()), client.MatchingFields{IndexPayment: o.GetName()})
}

// ofAccount wakes the Refunds that wait for an account, which are in its namespace or, where it has none, in any.
func (r *Reconciler) ofAccount(ctx context.Context, o client.Object) []reconcile.Request {
	waits := func(p v1alpha1.RefundPhase) bool { return p == "" || p == v1alpha1.RefundPending }
	return r.those(ctx, waits, client.InNamespace(o.GetNamespace()))
}

// those Refunds of the list that are in such a phase.
func (r *Reconciler) those(ctx context.Context, in func(v1alpha1.RefundPhase) bool, which ...client.ListOption) (out []reconcile.Request) {
	var list v1alpha1.RefundList
	if err := r.Client.List(ctx, &list, which...); err != nil {
		return nil
	}
	for i := range list.Items {
		if refund := &list.Items[i]; in(refund.Status.Phase) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(refund)})
		}
	}
	return out
}
