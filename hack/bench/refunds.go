package main

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// refunds gives many payments back at once.
func (t *trial) refunds(ctx context.Context) error {
	n := t.of(200, 20)
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		return s.managed(ctx, func(ctx context.Context, m *manager) error {
			s.paid(0)
			sales := s.market.plan("sold", n)
			if err := s.market.sell(ctx, sales, 0); err != nil {
				return err
			}
			if err := s.market.wait(ctx, sales, ended, burstWithin); err != nil {
				return err
			}
			before, err := s.used(m.Process)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := s.refund(ctx, sales); err != nil {
				return err
			}
			took := time.Since(began)
			after, err := s.used(m.Process)
			if err != nil {
				return err
			}
			t.report.raw("refunds", "refunds", n)
			t.report.raw("refunds", "per_second", float64(n)/took.Seconds())
			t.report.raw("refunds", "cpu_ms_per_refund", milliseconds(after.since(before).total())/float64(n))
			t.logf("        %.1f refunds a second", float64(n)/took.Seconds())
			return nil
		})
	})
}

// refund gives all sales back, and waits until all of it is over.
func (s *stage) refund(ctx context.Context, sales []*sale) error {
	ctx, cancel := context.WithTimeoutCause(ctx, burstWithin, fmt.Errorf("not all refunds ended within %v", burstWithin))
	defer cancel()
	var list v1alpha1.RefundList
	w, err := s.Env.Client().Watch(ctx, &list)
	if err != nil {
		return err
	}
	defer w.Stop()
	for _, one := range sales {
		r := &v1alpha1.Refund{ObjectMeta: named(one.key.Namespace, one.key.Name), Spec: v1alpha1.RefundSpec{
			PaymentRef: v1alpha1.PaymentReference{Name: one.key.Name}, Reason: "goods came back",
		}}
		if err := s.Env.Client().Create(ctx, r); err != nil {
			return err
		}
	}
	over := map[string]bool{}
	for len(over) < len(sales) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case event := <-w.ResultChan():
			r, ok := event.Object.(*v1alpha1.Refund)
			if !ok || event.Type == watch.Error {
				return fmt.Errorf("watching Refunds: %v", event.Type)
			}
			if r.Status.Phase == v1alpha1.RefundSucceeded {
				over[r.Namespace+"/"+r.Name] = true
			}
		}
	}
	return nil
}
