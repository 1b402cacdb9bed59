package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/providers"
)

// annotationBack is how much has to be given back, by the simulator's ledger.
const annotationBack = "demo.mobilemoney.dev/gives-back"

// giveBack applies the sample Refunds as who may create them, waits until nothing
// more happens by itself, and judges how they stand.
func (s *stage) giveBack(ctx context.Context, objects []*unstructured.Unstructured) error {
	s.announce("giving three of them back, as a user who may create Refunds")
	c, err := s.applyAs(ctx, refunder, objects)
	if err != nil {
		return err
	}
	var refunds []v1alpha1.Refund
	err = s.watch(ctx, func() (bool, error) {
		refunds, err = readAll[v1alpha1.Refund](ctx, c, objects)
		return allSettled(refunds), err
	})
	if err != nil {
		return err
	}
	return s.concludeRefunds(refunds)
}

// allSettled: each is over, or waits for a person.
func allSettled(refunds []v1alpha1.Refund) bool {
	return !slices.ContainsFunc(refunds, func(r v1alpha1.Refund) bool {
		return !r.Status.Phase.Terminal() && r.Status.Phase != v1alpha1.RefundManualActionRequired
	})
}

// judgeRefund compares how r stands with what its sample says, and with what the
// ledger says was given back of its payment.
func judgeRefund(r *v1alpha1.Refund, back string) verdict {
	var v verdict
	v.expect("phase", string(r.Status.Phase), r.Annotations[annotationEnd])
	if want := r.Annotations[annotationBack]; providers.CompareAmounts(back, want) != 0 {
		v.fault("%s were given back, its sample says %s", back, want)
	}
	return v
}

func (s *stage) concludeRefunds(refunds []v1alpha1.Refund) error {
	wrong := 0
	for i := range refunds {
		r := &refunds[i]
		var p v1alpha1.Payment
		key := client.ObjectKey{Namespace: s.shop.Namespace, Name: r.Spec.PaymentRef.Name}
		if err := s.Env.Client().Get(context.Background(), key, &p); err != nil {
			return fmt.Errorf("reading Payment %s: %w", key.Name, err)
		}
		back := s.Sim.RefundedAmount(p.Status.ProviderReference)
		v := judgeRefund(r, back)
		v.rules(judge.BookOf(p.Status.ProviderReference, s.Sim.Ledger(), nil, nil).OverRefund())
		wrong += s.tell(v, "%-20s  %-42s  %s of %s given back", r.Name, r.Status.Phase, back, p.Status.Amount)
	}
	s.out.printf("\nAll of it took %.0f s.\n", time.Since(s.began).Seconds())
	if wrong > 0 {
		return fmt.Errorf("%d refunds are not as they should be", wrong)
	}
	return nil
}
