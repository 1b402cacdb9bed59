package attempt

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// IndexUnsent finds the Charges of a namespace of which nothing was sent.
const IndexUnsent = "unsent"

// SetupIndexes adds the indexes that the protocol uses.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Charge{}, IndexUnsent, func(o client.Object) []string {
		c := o.(*v1alpha1.Charge)
		if !NothingSent(&c.Record.Attempt) {
			return nil
		}
		return []string{c.Spec.Payment.Namespace}
	})
	if err != nil {
		return fmt.Errorf("indexing Charges: %w", err)
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
