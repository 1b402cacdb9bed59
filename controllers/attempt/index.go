package attempt

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

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
