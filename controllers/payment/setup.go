package payment

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/redact"
)

// SetupWithManager starts the loop with mgr.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	toCharge := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{request(o.GetName())}
	})
	toSale := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{r.requestOf(o.(*v1alpha1.Payment))}
	})
	toWaiting := handler.EnqueueRequestsFromMapFunc(r.waitingFor)
	return ctrl.NewControllerManagedBy(mgr).
		Named("payment").
		Watches(&v1alpha1.Payment{}, toSale).
		Watches(&v1alpha1.Charge{}, toCharge).
		Watches(&v1alpha1.MerchantAccount{}, toWaiting).
		Watches(&v1alpha1.ClusterMerchantAccount{}, toWaiting).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			ReconciliationTimeout:   r.Settings.RunTimeout(),
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				time.Second, 5*time.Minute),
		}).
		Complete(redact.Panics(r))
}

func request(chargeName string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: chargeName}}
}

func (r *Reconciler) requestOf(p *v1alpha1.Payment) reconcile.Request {
	return request(r.Installation.ChargeName(p.Namespace, p.SaleReference()))
}

// waitingFor wakes the open Payments that a changed account may concern.
func (r *Reconciler) waitingFor(ctx context.Context, o client.Object) []reconcile.Request {
	var list v1alpha1.PaymentList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace())); err != nil {
		return nil
	}
	var out []reconcile.Request
	for i := range list.Items {
		if p := &list.Items[i]; p.Status.Phase == "" || p.Status.Phase == v1alpha1.PhasePending {
			out = append(out, r.requestOf(p))
		}
	}
	return out
}
