package payment

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/redact"
)

// SetupWithManager starts the loop with mgr; began tells what to look at once this process begins to lead.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int, began source.Source) error {
	toSale := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		sale := o.(*v1alpha1.Charge).Spec.Payment
		return []reconcile.Request{request(sale.Namespace, sale.Name)}
	})
	toWaiting := handler.EnqueueRequestsFromMapFunc(r.waitingFor)
	unfinished := builder.WithPredicates(attempt.Unfinished())
	return ctrl.NewControllerManagedBy(mgr).
		Named("payment").
		For(&v1alpha1.Payment{}, unfinished).
		Watches(&v1alpha1.Payment{}, handler.Funcs{UpdateFunc: calledBack}).
		Watches(&v1alpha1.Charge{}, toSale, unfinished).
		Watches(&v1alpha1.MerchantAccount{}, toWaiting).
		Watches(&v1alpha1.ClusterMerchantAccount{}, toWaiting).
		WatchesRawSource(began).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   r.Settings.RunTimeout(),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				time.Second, 5*time.Minute),
		}).
		Complete(redact.Panics(attempt.Paced(r, r.Now)))
}

// calledBack lets a Payment about which a callback was noted overtake all that wait for a worker: its end is one check away.
func calledBack(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	before, after := e.ObjectOld.(*v1alpha1.Payment).Status.LastCallback, e.ObjectNew.(*v1alpha1.Payment).Status.LastCallback
	queue, ok := q.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok || after == nil || before != nil && !before.ReceivedAt.Before(&after.ReceivedAt) {
		return
	}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(priorityCallback)}, request(e.ObjectNew.GetNamespace(), e.ObjectNew.GetName()))
}

func request(namespace, name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}}
}

// Everything lists what the loop works on, for a process that begins to lead.
func (r *Reconciler) Everything(ctx context.Context) (unbegun, rest []reconcile.Request, err error) {
	unasked := func(o runtime.Object) bool { return unasked(o.(*v1alpha1.Payment)) }
	return attempt.Backlog(ctx, r.Client, &v1alpha1.PaymentList{}, unasked, func(c *v1alpha1.Charge) []reconcile.Request {
		return []reconcile.Request{request(c.Spec.Payment.Namespace, c.Spec.Payment.Name)}
	})
}

// waitingFor wakes the open Payments that a changed account may concern.
func (r *Reconciler) waitingFor(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.PaymentList
	open := client.MatchingFields{attempt.IndexOpen: attempt.Open}
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()), open, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if p := &list.Items[i]; unasked(p) {
			out = append(out, request(p.Namespace, p.Name))
		}
	}
	return out
}

func unasked(p *v1alpha1.Payment) bool {
	return p.Status.Phase == "" || p.Status.Phase == v1alpha1.PhasePending
}
