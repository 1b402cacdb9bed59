package manager

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
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

// ofPayments are the requests that payments of a namespace cost: without leases, what is
// listed and watched, and what the accounts cost by themselves.
func ofPayments(ctx context.Context, g Gomega, namespace string) (all []string) {
	var charges v1alpha1.ChargeList
	g.Expect(api.List(ctx, &charges)).To(Succeed())
	own := map[string]bool{} // those of other specs are followed to their end meanwhile
	for i := range charges.Items {
		own[charges.Items[i].Name] = charges.Items[i].Spec.Payment.Namespace == namespace
	}
	for _, a := range requests(g) {
		ref := a.ObjectRef
		if ref == nil || slices.Contains([]string{"list", "watch"}, a.Verb) || ref.Resource == "merchantaccounts" && ref.Subresource == "status" {
			continue
		}
		if ref.Namespace == namespace || ref.Resource == "charges" && own[ref.Name] || ref.Resource == "namespaces" && ref.Name == namespace {
			all = append(all, fmt.Sprintf("%s %s/%s %s", a.Verb, ref.Resource, ref.Subresource, ref.Name))
		}
	}
	return all
}

var _ = Describe("The budget of requests to the API server", func() {
	It("an MTN payment with a callback takes at most 11, of them at most 7 writes of Payment and Charge", func(ctx context.Context) {
		payersWait()
		startManager(ctx)
		ns := tenant(ctx, time.Hour) // callbacks bring them home
		pay := func(name string) {
			Expect(api.Create(ctx, newPayment(ns, name, "mtn", 5000))).To(Succeed())
			p := reaches(ctx, ns, name, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
			Expect(sim.Pay(p.Status.ProviderReference)).To(Succeed())
			Expect(reaches(ctx, ns, name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid).Status.LastCallback).NotTo(BeNil())
		}
		settled := func() (all []string) { // until nothing is asked for any more
			Eventually(func(g Gomega) {
				before := len(all)
				all = ofPayments(ctx, g, ns)
				g.Expect(all).To(HaveLen(before))
			}, "20s", "1s").Should(Succeed())
			return all
		}
		pay("warm-up")
		before := len(settled())
		const payments = 5
		for i := range payments {
			pay(fmt.Sprintf("sale-%d", i))
		}
		all := settled()[before:]
		writes := len(regexp.MustCompile(`(?m)^(create|update|patch) (charges|payments)/`).FindAllString(strings.Join(all, "\n"), -1))
		fmt.Fprintf(GinkgoWriter, "%d requests, %d writes of Payment and Charge\n%q\n", len(all), writes, all)
		Expect(len(all)).To(BeNumerically("<=", 11*payments), "requests: %q", all)
		Expect(writes).To(BeNumerically("<=", 7*payments), "writes: %q", all)
	})
})
