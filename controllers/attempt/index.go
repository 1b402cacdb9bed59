package attempt

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
)

// Indexes of the cache.
const (
	// IndexCharge finds Payments by the name of the Charge of their sale.
	IndexCharge = "charge"
	// IndexProviderReference finds Charges by what the provider calls them.
	IndexProviderReference = "providerReference"
	// IndexSession finds Charges by the session that is recorded for them.
	IndexSession = "session"
)

// SetupIndexes adds the indexes that payments, retention and callbacks use.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer, inst installation.Installation) error {
	indexes := []struct {
		object client.Object
		field  string
		value  func(client.Object) []string
	}{
		{&v1alpha1.Payment{}, IndexCharge, func(o client.Object) []string {
			return []string{inst.ChargeName(o.GetNamespace(), o.(*v1alpha1.Payment).SaleReference())}
		}},
		{&v1alpha1.Charge{}, IndexProviderReference, func(o client.Object) []string {
			return []string{o.(*v1alpha1.Charge).Spec.ProviderReference}
		}},
		{&v1alpha1.Charge{}, IndexSession, func(o client.Object) []string {
			if s := o.(*v1alpha1.Charge).Record.Session; s != nil && s.ID != "" {
				return []string{s.ID}
			}
			return nil
		}},
	}
	for _, i := range indexes {
		if err := indexer.IndexField(ctx, i.object, i.field, i.value); err != nil {
			return fmt.Errorf("indexing %T by %s: %w", i.object, i.field, err)
		}
	}
	return nil
}
