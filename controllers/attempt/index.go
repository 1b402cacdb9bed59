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

// Indexes of the cache, all of Charges.
const (
	// IndexProviderReference finds them by what the provider calls them.
	IndexProviderReference = "providerReference"
	// IndexSession finds them by the session that is recorded.
	IndexSession = "session"
	// IndexUnsent finds those of a namespace of which nothing was sent.
	IndexUnsent = "unsent"
)

// SetupIndexes adds the indexes that payments and callbacks use.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	one := func(s string) []string {
		if s == "" {
			return nil
		}
		return []string{s}
	}
	indexes := map[string]func(*v1alpha1.Charge) []string{
		IndexProviderReference: func(c *v1alpha1.Charge) []string { return one(c.Spec.ProviderReference) },
		IndexSession: func(c *v1alpha1.Charge) []string {
			if c.Record.Session == nil {
				return nil
			}
			return one(c.Record.Session.ID)
		},
		IndexUnsent: func(c *v1alpha1.Charge) []string {
			if !NothingSent(&c.Record.Attempt) {
				return nil
			}
			return one(c.Spec.Payment.Namespace)
		},
	}
	for field, values := range indexes {
		value := func(o client.Object) []string { return values(o.(*v1alpha1.Charge)) }
		if err := indexer.IndexField(ctx, &v1alpha1.Charge{}, field, value); err != nil {
			return fmt.Errorf("indexing Charges by %s: %w", field, err)
		}
	}
	return nil
}

// UnsentCharges counts the Charges of a namespace of which nothing was sent.
func UnsentCharges(ctx context.Context, cached client.Reader, namespace string) (int, error) {
	var list v1alpha1.ChargeList
	err := cached.List(ctx, &list, client.MatchingFields{IndexUnsent: namespace}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return 0, fmt.Errorf("counting Charges: %w", err)
	}
	return len(list.Items), nil
}

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
