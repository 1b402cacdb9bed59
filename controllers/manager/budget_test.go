package manager

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// ofPayments are the requests that payments of a namespace cost: without leases, what is
// listed and watched, and what the accounts cost by themselves.
func ofPayments(g Gomega, namespace string) (all []string) {
	for _, a := range requests(g) {
		ref := a.ObjectRef
		if ref == nil || slices.Contains([]string{"list", "watch"}, a.Verb) || ref.Resource == "merchantaccounts" && ref.Subresource == "status" {
			continue
		}
		if ref.Namespace == namespace || ref.Resource == "charges" || ref.Resource == "namespaces" && ref.Name == namespace {
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
				all = ofPayments(g, ns)
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
		writes := 0
		for _, r := range all {
			for _, w := range []string{"create charges/", "update charges/", "patch charges/", "update payments/", "patch payments/"} {
				if len(r) > len(w) && r[:len(w)] == w {
					writes++
				}
			}
		}
		fmt.Fprintf(GinkgoWriter, "%d requests, %d writes of Payment and Charge\n%q\n", len(all), writes, all)
		Expect(len(all)).To(BeNumerically("<=", 11*payments), "requests: %q", all)
		Expect(writes).To(BeNumerically("<=", 7*payments), "writes: %q", all)
	})
})
