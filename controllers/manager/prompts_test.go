package manager

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

var _ = Describe("The limit on prompts", func() {
	// Workers side by side, and the cache behind them.
	It("H11 rings a phone no oftener than the account allows, whatever a tenant creates", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		Expect(api.Create(ctx, newSecret(ns, "mtn"))).To(Succeed())
		account := newAccount(ns, "mtn", time.Second)
		account.Spec.Prompts = v1alpha1.Prompts{PerPhone: 3, PerNamespace: 5}
		Expect(api.Create(ctx, account)).To(Succeed())
		for i := range 15 {
			Expect(api.Create(ctx, newPayment(ns, fmt.Sprintf("victim-%d", i), "mtn", 5901))).To(Succeed())
		}
		expectPhases(ctx, ns, map[v1alpha1.Phase]int{v1alpha1.PhaseSucceeded: 3, v1alpha1.PhasePending: 12})

		By("ringing other phones")
		for i := range 6 {
			p := newPayment(ns, fmt.Sprintf("stranger-%d", i), "mtn", 5901)
			p.Spec.Phone = fmt.Sprintf("+22505010203%02d", 30+i)
			Expect(api.Create(ctx, p)).To(Succeed())
		}
		expectPhases(ctx, ns, map[v1alpha1.Phase]int{v1alpha1.PhaseSucceeded: 5, v1alpha1.PhasePending: 16})

		By("leaving the neighbour alone")
		neighbour := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(neighbour, "order", "mtn", 5901))).To(Succeed())
		paidOnce(ctx, reaches(ctx, neighbour, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
	})
})

// expectPhases waits for a namespace to have so many Payments in each phase, and for
// every one that is Pending to say so.
func expectPhases(ctx context.Context, namespace string, want map[v1alpha1.Phase]int) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var list v1alpha1.PaymentList
		g.Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		got := map[v1alpha1.Phase]int{}
		for i := range list.Items {
			p := &list.Items[i]
			got[p.Status.Phase]++
			if p.Status.Phase == v1alpha1.PhasePending {
				g.Expect(reasonOf(p)).To(Equal(v1alpha1.ReasonPromptsLimited))
			}
		}
		g.Expect(got).To(Equal(want))
	}, "30s", "200ms").Should(Succeed())
}

// liftPromptLimit lets a namespace ring one phone as often as it likes.
func liftPromptLimit(ctx context.Context, namespace string) {
	GinkgoHelper()
	changeAccount(ctx, namespace, "mtn", func(a *v1alpha1.MerchantAccountSpec) {
		a.Prompts = v1alpha1.Prompts{PerPhone: 10_000, PerNamespace: 10_000}
	})
}
