package attempt

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Backlog lists what there is to do for a process that begins to lead: nothing was done behind the closed gate. Objects
// that nobody was asked for come first, then those that are not over, and what has to be looked at of each Charge.
func Backlog(ctx context.Context, cached client.Reader, objects client.ObjectList, stage func(runtime.Object) (unbegun, over bool), ofCharge func(*v1alpha1.Charge) []reconcile.Request) (unbegun, rest []reconcile.Request, err error) {
	var charges v1alpha1.ChargeList
	if err := errors.Join(cached.List(ctx, objects, client.UnsafeDisableDeepCopy), cached.List(ctx, &charges, client.UnsafeDisableDeepCopy)); err != nil {
		return nil, nil, fmt.Errorf("listing what is open: %w", err)
	}
	err = meta.EachListItem(objects, func(o runtime.Object) error {
		request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.(client.Object))}
		switch first, over := stage(o); {
		case first:
			unbegun = append(unbegun, request)
		case !over:
			rest = append(rest, request)
		}
		return nil
	})
	for i := range charges.Items {
		rest = append(rest, ofCharge(&charges.Items[i])...)
	}
	return unbegun, rest, err
}
