package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/hack/internal/shop"
)

const (
	samples   = "config/samples"
	lookEvery = 250 * time.Millisecond
)

// perform applies the samples, shows how they go, and judges how they ended.
func (s *stage) perform(ctx context.Context) error {
	s.announce("applying " + samples + " as a user who may create Payments in namespace " + s.shop.Namespace + ", and watching")
	objects, err := s.Env.ReadManifests(samples)
	if err != nil {
		return err
	}
	c, err := s.clientFor(clerk)
	if err != nil {
		return err
	}
	sales := shop.OnlyKind(objects, "Payment")
	for _, o := range sales {
		if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("demo")); err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	s.out.printf("\n")
	payments, err := s.follow(ctx, c, sales)
	if err != nil {
		return err
	}
	if err := s.conclude(payments); err != nil {
		return err
	}
	return s.giveBack(ctx, shop.OnlyKind(objects, "Refund"))
}

func (s *stage) clientFor(user string) (client.Client, error) {
	cfg, err := s.Env.ConfigFor(user)
	if err != nil {
		return nil, err
	}
	c, err := client.New(cfg, client.Options{Scheme: s.Env.Scheme})
	if err != nil {
		return nil, fmt.Errorf("making a client for %s: %w", user, err)
	}
	return c, nil
}

// follow shows the payments until all are over, or time is. It returns them as they
// are then, in the order of the samples.
func (s *stage) follow(ctx context.Context, c client.Client, objects []*unstructured.Unstructured) ([]v1alpha1.Payment, error) {
	table, began := newTable(s.out), time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		payments, err := s.look(ctx, c, objects)
		if err != nil {
			return nil, err
		}
		elapsed := time.Since(began)
		table.show(elapsed, rowsOf(payments))
		if allFinished(payments) || elapsed > s.timeout {
			return payments, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.manager.Done():
			return nil, s.manager.Ended()
		case <-tick.C:
		}
	}
}

func (s *stage) look(ctx context.Context, c client.Client, objects []*unstructured.Unstructured) ([]v1alpha1.Payment, error) {
	var list v1alpha1.PaymentList
	if err := c.List(ctx, &list, client.InNamespace(s.shop.Namespace)); err != nil {
		return nil, fmt.Errorf("listing the Payments: %w", err)
	}
	byName := map[string]v1alpha1.Payment{}
	for _, p := range list.Items {
		byName[p.Name] = p
	}
	payments := make([]v1alpha1.Payment, 0, len(objects))
	for _, o := range objects {
		p, ok := byName[o.GetName()]
		if !ok {
			return nil, errors.New("Payment " + o.GetName() + " is gone")
		}
		payments = append(payments, p)
	}
	return payments, nil
}

func rowsOf(payments []v1alpha1.Payment) []row {
	rows := make([]row, 0, len(payments))
	for i := range payments {
		p := &payments[i]
		rows = append(rows, row{p.Spec.Provider, p.Name, p.Spec.Amount.String(), string(p.Status.Phase), reasonOf(p)})
	}
	return rows
}

// reasonOf is the reason that kubectl's column shows too.
func reasonOf(p *v1alpha1.Payment) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		return c.Reason
	}
	return ""
}

func allFinished(payments []v1alpha1.Payment) bool {
	for i := range payments {
		if !meta.IsStatusConditionTrue(payments[i].Status.Conditions, v1alpha1.ConditionFinished) {
			return false
		}
	}
	return true
}
