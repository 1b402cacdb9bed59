package manager

import (
	"context"
	"fmt"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// Specs of this file and of restore_test.go have a section of the same name in
// docs/recreation.md: see pages_test.go. The others are stories of controllers/payment.

// allProviders that a sale can go through.
func allProviders() []string { return []string{"mtn", "orange", "wave"} }

// each does the same for all, at the same time.
func each[T any](all []T, do func(T)) {
	var group sync.WaitGroup
	for _, one := range all {
		group.Go(func() {
			defer GinkgoRecover()
			do(one)
		})
	}
	group.Wait()
}

// sale is a Payment, and what the provider calls it. It outlives both Payment and Charge.
type sale struct {
	*v1alpha1.Payment
	reference string
}

func saleOf(ctx context.Context, p *v1alpha1.Payment) sale {
	GinkgoHelper()
	return sale{p, chargeOf(ctx, p).Spec.ProviderReference}
}

// paidSales makes a Payment for each provider, of its name after a prefix, and has them paid.
func paidSales(ctx context.Context, namespace, prefix string) []sale {
	GinkgoHelper()
	for _, provider := range allProviders() {
		Expect(api.Create(ctx, newPayment(namespace, prefix+provider, provider, 5901))).To(Succeed())
	}
	return paid(ctx, namespace, prefix)
}

// paid waits until the Payments for each provider, of its name after a prefix, are.
func paid(ctx context.Context, namespace, prefix string) (sales []sale) {
	GinkgoHelper()
	for _, provider := range allProviders() {
		sales = append(sales, saleOf(ctx, reaches(ctx, namespace, prefix+provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)))
	}
	return sales
}

// openSale makes a Payment whose payer does nothing until somebody pays it.
func openSale(ctx context.Context, namespace, provider string) sale {
	GinkgoHelper()
	Expect(api.Create(ctx, newPayment(namespace, provider, provider, 5000))).To(Succeed())
	var p *v1alpha1.Payment
	Eventually(func(g Gomega) {
		p = get(ctx, g, namespace, provider)
		g.Expect(reasonOf(p)).To(Equal(v1alpha1.ReasonAwaitingPayer))
	}, "20s", "50ms").Should(Succeed())
	return saleOf(ctx, p)
}

// payersWait lets MTN's payers wait for somebody to pay, as the others do.
func payersWait() {
	sim.SetDefault(simulator.MTN, simulator.Scenario{})
	DeferCleanup(func() { sim.SetDefault(simulator.MTN, simulator.Scenario{Payer: simulator.Pays}) })
}

// chargedOnce: the payer was asked once and paid once, by the provider's books.
func (s sale) chargedOnce() {
	GinkgoHelper()
	Expect(sim.Charges(s.reference)).To(Equal(1), s.Spec.Provider)
	Expect(askedUnder(s.reference)).To(Equal(1), s.Spec.Provider)
}

func askedUnder(reference string) int {
	n := 0
	for _, e := range sim.Journal() {
		if e.Reference == reference && e.Op == simulator.OpInitiate {
			n++
		}
	}
	return n
}

// written is a Payment as it is in a file: what a cluster adds is gone.
func written(p *v1alpha1.Payment, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: p.Labels, Annotations: p.Annotations},
		Spec:       *p.Spec.DeepCopy(),
	}
	for _, c := range change {
		c(w)
	}
	return w
}

// byVelero labels what a restore from a backup brings back.
func byVelero(p *v1alpha1.Payment) {
	p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly-20261124", "velero.io/backup-name": "nightly"}
}

// applyAgain deletes a Payment and creates it again, under another uid and without status.
func applyAgain(ctx context.Context, p *v1alpha1.Payment, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	GinkgoHelper()
	Expect(api.Delete(ctx, written(p))).To(Succeed())
	again := written(p, change...)
	Expect(api.Create(ctx, again)).To(Succeed())
	return again
}

// takesUp waits until the Payment shows the sale as paid, and as taken up.
func (s sale) takesUp(ctx context.Context) *v1alpha1.Payment {
	GinkgoHelper()
	p := reaches(ctx, s.Namespace, s.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	Expect(p.UID).NotTo(Equal(s.UID))
	Expect(p.Status.ProviderReference).To(Equal(s.reference))
	Expect(p.Status.Conditions).To(ContainElement(HaveField("Type", v1alpha1.ConditionAdopted)))
	return p
}

var _ = Describe("A Payment that is there again", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) { startManager(ctx) })

	It("Replaced by Argo CD or kubectl replace --force, twice in a row", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		replace := func(provider string) {
			kubectl(ctx, ns, fmt.Sprintf(
				`{apiVersion: mobilemoney.dev/v1alpha1, kind: Payment, metadata: {name: %s}, spec: {provider: %s, amount: 5000, phone: "%s"}}`, provider, provider, phone),
				"replace", "--force", "-f", "-")
		}
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			replace(provider)
			replace(provider)
			Expect(sim.Pay(s.reference)).To(Succeed())
			s.takesUp(ctx)
			replace(provider)
			replace(provider)
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Its status is wiped or forged", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		refused := func(p *v1alpha1.Payment, change func(*v1alpha1.PaymentStatus)) {
			GinkgoHelper()
			Eventually(func(g Gomega) {
				fresh := get(ctx, g, p.Namespace, p.Name)
				change(&fresh.Status)
				err := api.Status().Update(ctx, fresh)
				g.Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			}, "10s", "50ms").Should(Succeed())
		}
		wipe := func(s *v1alpha1.PaymentStatus) { *s = v1alpha1.PaymentStatus{} }
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			refused(s.Payment, wipe)
			refused(s.Payment, func(s *v1alpha1.PaymentStatus) { s.ChargeName = "another" })
			Expect(sim.Pay(s.reference)).To(Succeed())
			reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			refused(s.Payment, wipe)
			refused(s.Payment, func(s *v1alpha1.PaymentStatus) { s.Phase = v1alpha1.PhaseFailed })
			refused(s.Payment, func(s *v1alpha1.PaymentStatus) { s.TransactionID = "another" })
			s.chargedOnce()
		})

		By("inventing an outcome, which the Charge does not confirm, and for which nothing is given back")
		Expect(api.Create(ctx, newPayment(ns, "forged", "wave", 5000))).To(Succeed())
		p := reaches(ctx, ns, "forged", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		Eventually(func(g Gomega) {
			p = get(ctx, g, ns, "forged")
			p.Status.Phase = v1alpha1.PhaseSucceeded
			g.Expect(api.Status().Update(ctx, p)).To(Succeed())
		}, "10s", "50ms").Should(Succeed())
		Expect(api.Create(ctx, newRefund(ns, "back", "forged", 0))).To(Succeed())
		refundReaches(ctx, ns, "back", v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotSucceeded)
		Expect(chargeOf(ctx, p).Record.Outcome).To(BeNil())
		Expect(sim.RefundedAmount(p.Status.ProviderReference)).To(Equal("0"))
	})
})
