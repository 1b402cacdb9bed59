package promptlimit

import (
	"context"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Indexes of the cache: they find the Charges that rang a phone, by the hour.
const (
	IndexPayer     = "promptPayer"
	IndexNamespace = "promptNamespace"
)

// SetupIndexes adds the indexes that prompts are counted by.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for field, values := range map[string]client.IndexerFunc{IndexPayer: payerKeys, IndexNamespace: namespaceKeys} {
		if err := indexer.IndexField(ctx, &v1alpha1.Charge{}, field, values); err != nil {
			return fmt.Errorf("indexing Charges by %s: %w", field, err)
		}
	}
	return nil
}

// indexKey is whose prompts, and in which hour, so that however many Charges are kept
// only those of two hours are looked at.
func indexKey(value string, at time.Time) string {
	return value + "@" + at.UTC().Truncate(window).Format(time.RFC3339)
}

// promptedAt is when a phone rang last, or may have; false if none did.
func promptedAt(c *v1alpha1.Charge) (time.Time, bool) {
	last := c.Record.LastSend
	if c.Spec.Payer == "" || last == nil {
		return time.Time{}, false
	}
	return last.At.Time, true
}

func payerKeys(o client.Object) []string {
	c := o.(*v1alpha1.Charge)
	return indexKeys(c, c.Spec.Payment.Namespace+"/"+c.Spec.Payer)
}

func namespaceKeys(o client.Object) []string {
	c := o.(*v1alpha1.Charge)
	return indexKeys(c, c.Spec.Payment.Namespace)
}

func indexKeys(c *v1alpha1.Charge, value string) []string {
	at, ok := promptedAt(c)
	if !ok {
		return nil
	}
	return []string{indexKey(value, at)}
}
