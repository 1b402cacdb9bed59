package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/providers/simulator"
)

// witness judges every version of every object as it comes: by what may follow the one
// before it, and by the provider's books as they are then.
type witness struct {
	ledger func() []simulator.LedgerEntry
	// see is told about each version of a Payment.
	see func(*v1alpha1.Payment)

	mu       sync.Mutex // guards everything below
	open     map[types.UID]bool
	verdict  verdict
	versions int
}

func (w *witness) run(ctx context.Context, env *testenv.Env) error {
	seen, err := cache.New(env.AdminConfig(), cache.Options{Scheme: env.Scheme})
	if err != nil {
		return fmt.Errorf("setting up the watch: %w", err)
	}
	handler := toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { w.record(nil, o.(client.Object)) },
		UpdateFunc: func(old, o any) { w.record(old.(client.Object), o.(client.Object)) },
		DeleteFunc: func(o any) { w.forget(o) },
	}
	for _, kind := range []client.Object{&v1alpha1.Payment{}, &v1alpha1.Charge{}, &v1alpha1.Refund{}} {
		informer, err := seen.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("setting up the watch: %w", err)
		}
		if _, err := informer.AddEventHandler(handler); err != nil {
			return fmt.Errorf("setting up the watch: %w", err)
		}
	}
	return seen.Start(ctx)
}

func (w *witness) record(old, o client.Object) {
	switch {
	case old == nil:
	case old.GetResourceVersion() == o.GetResourceVersion():
		return
	case old.GetUID() != o.GetUID():
		w.forget(old) // it was made again while nobody watched
		old = nil
	}
	w.mu.Lock()
	w.versions++
	switch o := o.(type) {
	case *v1alpha1.Charge:
		before, _ := old.(*v1alpha1.Charge)
		w.verdict.add(saleOf(o), judge.ChargeChange(before, o))
	case *v1alpha1.Refund:
		before, _ := old.(*v1alpha1.Refund)
		w.verdict.add(key{o.Namespace, o.Spec.PaymentRef.Name}, judge.RefundChange(before, o))
	case *v1alpha1.Payment:
		before, _ := old.(*v1alpha1.Payment)
		w.payment(before, o)
	}
	w.mu.Unlock()
	if p, ok := o.(*v1alpha1.Payment); ok {
		w.see(p)
	}
}

func (w *witness) payment(old, p *v1alpha1.Payment) {
	k, st := key{p.Namespace, p.Name}, &p.Status
	w.open[p.UID] = !st.Phase.Terminal() && st.Phase != v1alpha1.PhaseUnknown
	w.verdict.add(k, judge.PaymentChange(old, p, true))
	if saysPaid(p) && (old == nil || !saysPaid(old)) {
		book := judge.BookOf(st.ProviderReference, w.ledger(), nil, nil)
		w.verdict.add(k, book.Success("Payment "+p.Name, v1alpha1.Money{Amount: st.Amount, Currency: st.Currency}))
	}
}

func saysPaid(p *v1alpha1.Payment) bool {
	return p.Status.Phase == v1alpha1.PhaseSucceeded || meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionSucceeded) ||
		meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady)
}

func (w *witness) forget(o any) {
	if last, ok := o.(toolscache.DeletedFinalStateUnknown); ok {
		o = last.Obj
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, o.(client.Object).GetUID())
}

func (w *witness) opened() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, open := range w.open {
		if open {
			n++
		}
	}
	return n
}

// testify returns the faults of versions, and how many versions there were.
func (w *witness) testify() ([]fault, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.verdict.faults), w.versions
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
