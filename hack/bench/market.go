package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// clients that create Payments at the same time.
const buyers = 32

// market creates Payments, and sees by a watch how far each got. It is the load generator, of
// which nothing is accounted for.
type market struct {
	*stage

	mu    sync.Mutex
	sales map[types.NamespacedName]*sale
}

// sale is one Payment. Its times are written under the lock of its market.
type sale struct {
	key      types.NamespacedName
	provider string
	account  string // of a ClusterMerchantAccount; empty: the shop's own
	// created is when it was about to be; asked and ended are when the watch showed it.
	created, asked, ended time.Time
	phase                 v1alpha1.Phase
	reference             string // of the provider
}

func newMarket(s *stage) *market {
	return &market{stage: s, sales: map[types.NamespacedName]*sale{}}
}

// plan makes up n sales of MTN, spread over the shops.
func (m *market) plan(name string, n int) []*sale {
	sales := make([]*sale, n)
	for i := range sales {
		sales[i] = &sale{
			key:      types.NamespacedName{Namespace: m.shops[i%len(m.shops)].Namespace, Name: name + "-" + strconv.Itoa(i)},
			provider: "mtn",
		}
	}
	return sales
}

func (s *sale) payment() *v1alpha1.Payment {
	p := &v1alpha1.Payment{ObjectMeta: named(s.key.Namespace, s.key.Name), Spec: v1alpha1.PaymentSpec{
		Provider: s.provider, Amount: v1alpha1.AmountFromInt(5000), Phone: "+2250501020304",
	}}
	if s.account != "" {
		p.Spec.AccountRef = &v1alpha1.AccountReference{Kind: "ClusterMerchantAccount", Name: s.account}
	}
	return p
}

// sell creates the Payments of sales, so many a second; 0: as fast as it can.
func (m *market) sell(ctx context.Context, sales []*sale, perSecond float64) error {
	m.mu.Lock()
	for _, s := range sales {
		m.sales[s.key] = s
	}
	m.mu.Unlock()
	next := make(chan *sale)
	errs := make(chan error, buyers)
	var group sync.WaitGroup
	for range buyers {
		group.Go(func() {
			for s := range next {
				if err := m.create(ctx, s); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	err := deal(ctx, sales, perSecond, next, errs)
	close(next)
	group.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// deal hands the sales out, evenly.
func deal(ctx context.Context, sales []*sale, perSecond float64, next chan<- *sale, failed <-chan error) error {
	began := time.Now()
	for i, s := range sales {
		if perSecond > 0 {
			due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			if err := sleep(ctx, time.Until(due)); err != nil {
				return err
			}
		}
		select {
		case next <- s:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (m *market) create(ctx context.Context, s *sale) error {
	m.mu.Lock()
	s.created = time.Now()
	m.mu.Unlock()
	return m.Env.Client().Create(ctx, s.payment())
}

// watch notes how far the sales got, until ctx is over.
func (m *market) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := m.watchOnce(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("watching Payments: %w", err)
		}
	}
	return nil
}

func (m *market) watchOnce(ctx context.Context) error {
	var list v1alpha1.PaymentList
	if err := m.Env.Client().List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		m.see(&list.Items[i])
	}
	w, err := m.Env.Client().Watch(ctx, &v1alpha1.PaymentList{}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	if err != nil {
		return err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		if event.Type == watch.Error {
			if err := apierrors.FromObject(event.Object); !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
				return err
			}
			return nil
		}
		if p, ok := event.Object.(*v1alpha1.Payment); ok && event.Type != watch.Deleted {
			m.see(p)
		}
	}
	return nil
}

func (m *market) see(p *v1alpha1.Payment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sales[client.ObjectKeyFromObject(p)]
	if s == nil {
		return
	}
	s.phase = p.Status.Phase
	if p.Status.ProviderReference != "" {
		s.reference = p.Status.ProviderReference
	}
	if s.asked.IsZero() && (p.Status.NextAction != nil || s.phase.Terminal()) {
		s.asked = time.Now()
	}
	if s.ended.IsZero() && s.phase.Terminal() {
		s.ended = time.Now()
	}
}

// A stage of a sale that can be waited for.
func asked(s *sale) bool { return !s.asked.IsZero() }
func ended(s *sale) bool { return !s.ended.IsZero() }

// wait until all sales are so far.
func (m *market) wait(ctx context.Context, sales []*sale, far func(*sale) bool, within time.Duration) error {
	for end := time.Now().Add(within); ; {
		left := m.count(sales, func(s *sale) bool { return !far(s) })
		switch {
		case left == 0:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d of %d payments did not get so far within %v, the first is %s", left, len(sales), within, m.first(sales, far))
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

func (m *market) count(sales []*sale, is func(*sale) bool) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range sales {
		if is(s) {
			n++
		}
	}
	return n
}

func (m *market) first(sales []*sale, far func(*sale) bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(sales, func(s *sale) bool { return !far(s) })
	if i < 0 {
		return ""
	}
	return sales[i].key.String()
}

// took is how long the sales took between two of their times.
func (m *market) took(sales []*sale, from, to func(*sale) time.Time) latencies {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all latencies
	for _, s := range sales {
		if f, t := from(s), to(s); !f.IsZero() && !t.IsZero() {
			all = append(all, t.Sub(f))
		}
	}
	slices.Sort(all)
	return all
}

func createdAt(s *sale) time.Time { return s.created }
func askedAt(s *sale) time.Time   { return s.asked }
func endedAt(s *sale) time.Time   { return s.ended }

// calledBack is when each sale's first callback left the provider.
func (m *market) calledBack() func(*sale) time.Time {
	first := map[string]time.Time{}
	for _, c := range m.Sim.Callbacks() {
		if at, ok := first[c.Reference]; !ok || c.At.Before(at) {
			first[c.Reference] = c.At
		}
	}
	return func(s *sale) time.Time { return first[s.reference] }
}

// latencies in order.
type latencies []time.Duration

// sorted are those of several rounds, in order.
func (l latencies) sorted() latencies { return slices.Sorted(slices.Values(l)) }

// at is the p-th quantile in milliseconds.
func (l latencies) at(p float64) float64 {
	if len(l) == 0 {
		return 0
	}
	i := min(len(l)-1, int(p*float64(len(l))))
	return float64(l[i].Microseconds()) / 1000
}

// refusedCallbacks counts those that were not taken, by the answer.
func (s *stage) refusedCallbacks() map[string]int {
	out := map[string]int{}
	for _, c := range s.Sim.Callbacks() {
		switch {
		case c.Status == 0:
			out["none"]++
		case c.Status/100 != 2:
			out[strconv.Itoa(c.Status)]++
		}
	}
	return out
}
