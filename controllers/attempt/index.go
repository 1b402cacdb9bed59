package attempt

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/stub"
)

// Indexes of the cache. Each value of one costs more than the string itself, so that a stub is in as few as can be.
const (
	// IndexProviderReference finds Charges by what the provider calls them, where their callbacks name no Charge.
	IndexProviderReference = "providerReference"
	// IndexSession finds them by the session that is recorded.
	IndexSession = "session"
	// IndexUnsent finds those of a namespace of which nothing was sent.
	IndexUnsent = "unsent"
	// IndexPart has all Charges in parts, by the last letter of their names, which are
	// hashes: a list of all at once takes much memory.
	IndexPart = "part"
	// IndexOpen has the objects about which something may be left to do, all under Open.
	IndexOpen = "open"
	Open      = "true"
)

// parts are the values of IndexPart.
const parts = "abcdefghijklmnopqrstuvwxyz234567"

// SetupIndexes adds the indexes that payments, refunds and callbacks use.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	indexes := map[string]func(*v1alpha1.Charge) []string{
		IndexProviderReference: func(c *v1alpha1.Charge) []string {
			return only(awaitsCallback(c), c.Spec.ProviderReference)
		},
		IndexSession: func(c *v1alpha1.Charge) []string {
			if c.Record.Session == nil {
				return nil
			}
			return only(awaitsCallback(c), c.Record.Session.ID)
		},
		IndexUnsent: func(c *v1alpha1.Charge) []string {
			return only(NothingSent(&c.Record.Attempt), c.Spec.Payment.Namespace)
		},
		IndexPart: func(c *v1alpha1.Charge) []string {
			return only(c.Name != "", c.Name[max(0, len(c.Name)-1):])
		},
	}
	for field, values := range indexes {
		value := func(o client.Object) []string { return values(o.(*v1alpha1.Charge)) }
		if err := indexer.IndexField(ctx, &v1alpha1.Charge{}, field, value); err != nil {
			return fmt.Errorf("indexing Charges by %s: %w", field, err)
		}
	}
	for _, o := range []client.Object{&v1alpha1.Payment{}, &v1alpha1.Charge{}, &v1alpha1.Refund{}} {
		if err := indexer.IndexField(ctx, o, IndexOpen, func(o client.Object) []string { return only(open(o), Open) }); err != nil {
			return fmt.Errorf("indexing %T: %w", o, err)
		}
	}
	return nil
}

func only(is bool, value string) []string {
	if !is || value == "" {
		return nil
	}
	return []string{value}
}

// awaitsCallback: a callback may have something to say about c, and does not name it.
func awaitsCallback(c *v1alpha1.Charge) bool {
	return c.Spec.CallbackID == "" && (c.Record.Outcome == nil || !PaidByProvider(c.Record.Outcome))
}

// open tells whether something may be left to do about o.
func open(o client.Object) bool {
	switch o := o.(type) {
	case *v1alpha1.Refund:
		return !o.Status.Phase.Terminal()
	case *v1alpha1.Payment:
		return !stub.Is(o) || o.Status.LastCallback != nil
	default:
		return !stub.Is(o)
	}
}

// Unfinished passes all events but those of a start that tell of an object about which nothing is left to do: of an
// object that is over and one that is not, the latter wakes the loop.
func Unfinished() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList || open(e.Object) }}
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

// EachPart gives all Charges, of which some are stubs, to do in parts. They are the cache's own.
func EachPart(ctx context.Context, cached client.Reader, do func([]v1alpha1.Charge) error) error {
	for _, part := range parts {
		var list v1alpha1.ChargeList
		if err := cached.List(ctx, &list, client.MatchingFields{IndexPart: string(part)}, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("listing Charges: %w", err)
		}
		if err := do(list.Items); err != nil {
			return err
		}
	}
	return nil
}

// Backlog lists what there is to do for a process that begins to lead: nothing was done behind the closed gate. Objects
// that nobody was asked for come first, then the other open ones, and what has to be looked at of each open Charge.
func Backlog(ctx context.Context, cached client.Reader, objects client.ObjectList, unasked func(runtime.Object) bool, ofCharge func(*v1alpha1.Charge) []reconcile.Request) (unbegun, rest []reconcile.Request, err error) {
	var charges v1alpha1.ChargeList
	which := []client.ListOption{client.MatchingFields{IndexOpen: Open}, client.UnsafeDisableDeepCopy}
	if err := errors.Join(cached.List(ctx, objects, which...), cached.List(ctx, &charges, which...)); err != nil {
		return nil, nil, fmt.Errorf("listing what is open: %w", err)
	}
	err = meta.EachListItem(objects, func(o runtime.Object) error {
		request := reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o.(client.Object))}
		if unasked(o) {
			unbegun = append(unbegun, request)
		} else {
			rest = append(rest, request)
		}
		return nil
	})
	for i := range charges.Items {
		rest = append(rest, ofCharge(&charges.Items[i])...)
	}
	return unbegun, rest, err
}
