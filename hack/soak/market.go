package main

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	applyv1alpha1 "mobilemoney.dev/operator/api/applyconfiguration/api/v1alpha1"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	payerPhone = "+2250501020304"
	// clients that apply Payments at the same time.
	clients = 8
	// No more Payments are opened while so many are, so that a slow machine sells less and not later.
	openAtMost  = 400
	tryAgain    = 300 * time.Millisecond
	churnWithin = 30 * time.Second
	// longestGap between two sales keeps a run with few of them short.
	longestGap = 250 * time.Millisecond
)

type market struct {
	api client.Client
	sim *simulator.Simulator
	// tasks are what shops and payers do after a while; they end with ctx.
	ctx   context.Context
	tasks sync.WaitGroup
	busy  atomic.Int32

	mu    sync.Mutex // guards everything below
	sales []sale
	byKey map[key]*sale
	// begun already: pages by their URL, prompts that are paid late, and refunds.
	begun map[any]bool
}

func newMarket(ctx context.Context, api client.Client, sim *simulator.Simulator, sales []sale) *market {
	m := &market{ctx: ctx, api: api, sim: sim, sales: sales, byKey: map[key]*sale{}, begun: map[any]bool{}}
	for i := range sales {
		s := &sales[i]
		m.byKey[s.key()] = s
	}
	return m
}

// later does something after a while, unless the run is over by then.
func (m *market) later(after time.Duration, do func(ctx context.Context)) {
	m.busy.Add(1)
	m.tasks.Go(func() {
		defer m.busy.Add(-1)
		pause(m.ctx, after)
		if m.ctx.Err() == nil {
			do(m.ctx)
		}
	})
}

// run opens all sales until the end, evenly, by a few clients.
func (m *market) run(ctx context.Context, end time.Time, open func() int) {
	next := make(chan *sale)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for s := range next {
				m.open(ctx, s)
			}
		})
	}
	defer group.Wait()
	defer close(next)
	for i := range m.sales {
		due := time.Now().Add(min(longestGap, time.Until(end)/time.Duration(len(m.sales)-i)))
		for open() >= openAtMost && ctx.Err() == nil {
			pause(ctx, tryAgain)
		}
		select {
		case next <- &m.sales[i]:
		case <-ctx.Done():
			return
		}
		pause(ctx, time.Until(due))
	}
}

// open applies the Payment of a sale and sets in motion what follows.
func (m *market) open(ctx context.Context, s *sale) {
	var second sync.WaitGroup
	if s.together {
		second.Go(func() { m.apply(ctx, s, "colleague") })
	}
	done := m.apply(ctx, s, "shop")
	second.Wait()
	if !done {
		return
	}
	m.mu.Lock()
	s.acknowledged = true
	m.mu.Unlock()
	switch {
	case s.churn > 0:
		m.later(s.pause, func(ctx context.Context) { m.churn(ctx, s) })
	case s.gone:
		m.later(s.pause, func(ctx context.Context) { m.remove(ctx, s) })
	case s.cancel:
		m.later(s.pause, func(ctx context.Context) { m.callOff(ctx, s) })
	}
}

func manifest(s *sale) *applyv1alpha1.PaymentApplyConfiguration {
	return applyv1alpha1.Payment(s.name, s.namespace).WithSpec(applyv1alpha1.PaymentSpec().
		WithProvider(s.provider).WithAmount(v1alpha1.AmountFromInt(s.amount)).WithPhone(payerPhone).
		WithReference(s.order()).WithTimeoutSeconds(s.timeout))
}

func insist(ctx context.Context, do func() error) bool {
	for ctx.Err() == nil {
		if do() == nil {
			return true
		}
		pause(ctx, tryAgain)
	}
	return false
}

func (m *market) apply(ctx context.Context, s *sale, who string) bool {
	return insist(ctx, func() error {
		return m.api.Apply(ctx, manifest(s), client.FieldOwner(who), client.ForceOwnership)
	})
}

func (m *market) remove(ctx context.Context, s *sale) {
	p := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.name}}
	insist(ctx, func() error { return client.IgnoreNotFound(m.api.Delete(ctx, p)) })
}

// churn deletes the Payment and applies it again, like a pipeline that replaces; to the
// end, also where the run ends meanwhile.
func (m *market) churn(ctx context.Context, s *sale) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), churnWithin)
	defer cancel()
	for range s.churn {
		m.remove(ctx, s)
		pause(ctx, s.pause/4)
		m.apply(ctx, s, "shop")
		pause(ctx, s.pause)
	}
}

func (m *market) callOff(ctx context.Context, s *sale) {
	off := manifest(s)
	off.Spec.WithCancel(true)
	insist(ctx, func() error {
		return m.api.Apply(ctx, off, client.FieldOwner("shop"), client.ForceOwnership)
	})
}

// see is what payers and shops do about what a Payment says.
func (m *market) see(p *v1alpha1.Payment) {
	k := key{p.Namespace, p.Name}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.byKey[k]
	if s == nil {
		return
	}
	once := func(what any, after time.Duration, do func(ctx context.Context)) {
		if !m.begun[what] {
			m.begun[what] = true
			m.later(after, do)
		}
	}
	st := &p.Status
	switch a := st.NextAction; {
	case a != nil && a.URL != "":
		once(a.URL, s.after, func(context.Context) { m.act(s, a.URL) })
	case s.payer == paysLate && st.InitiatedAt != nil && st.ProviderReference != "":
		once(k, s.after, func(context.Context) { m.act(s, st.ProviderReference) })
	}
	if st.Phase == v1alpha1.PhaseSucceeded && s.refunds > 0 {
		once(s, s.pause, func(ctx context.Context) { m.giveBack(ctx, s) })
	}
}

// act is what a payer does with a page, or with a prompt that is known by reference.
// Who comes too late is turned away, which is no error here.
func (m *market) act(s *sale, page string) {
	if s.payer == opens {
		_ = m.sim.Open(page)
		return
	}
	_ = m.sim.Pay(page)
}

func (m *market) giveBack(ctx context.Context, s *sale) {
	var group sync.WaitGroup
	for i := range s.refunds {
		spec := applyv1alpha1.RefundSpec().WithReason("goods came back").WithPaymentRef(applyv1alpha1.PaymentReference().WithName(s.name))
		if s.refunds > 1 {
			spec.WithAmount(v1alpha1.AmountFromInt(part(s.amount)))
		}
		r := applyv1alpha1.Refund(s.name+"-"+strconv.Itoa(i), s.namespace).WithSpec(spec)
		group.Go(func() { insist(ctx, func() error { return m.api.Apply(ctx, r, client.FieldOwner("shop")) }) })
	}
	group.Wait()
}

// part of which two fit into an amount, and three do not.
func part(amount int64) int64 { return amount*4/10/1000*1000 + plain }

// opened are the sales that were begun, as the judge needs them.
func (m *market) opened() []sale {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]sale(nil), m.sales...)
}

func (m *market) acknowledged() (n int) {
	for _, s := range m.opened() {
		if s.acknowledged {
			n++
		}
	}
	return n
}
