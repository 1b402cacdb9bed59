package manager

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

func newRefund(namespace, name, payment string, amount int64) *v1alpha1.Refund {
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: payment}, Reason: "goods came back"},
	}
	if amount > 0 {
		a := v1alpha1.AmountFromInt(amount)
		r.Spec.Amount = &a
	}
	return r
}

// refundKeys adds the credentials of MTN's Disbursement product to the account.
func refundKeys(ctx context.Context, namespace string) {
	GinkgoHelper()
	var s corev1.Secret
	Expect(api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "mtn-credentials"}, &s)).To(Succeed())
	s.StringData = map[string]string{
		"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
		"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
		"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
	}
	Expect(api.Update(ctx, &s)).To(Succeed())
}

// refundReaches waits until the Refund is in a phase with a reason.
func refundReaches(ctx context.Context, namespace, name string, phase v1alpha1.RefundPhase, reason string) *v1alpha1.Refund {
	GinkgoHelper()
	var r v1alpha1.Refund
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &r)).To(Succeed())
		g.Expect(r.Status.Phase).To(Equal(phase))
		g.Expect(r.Status.Conditions).To(ContainElement(And(HaveField("Type", v1alpha1.ConditionSucceeded), HaveField("Reason", reason))))
	}, "40s", "100ms").Should(Succeed())
	return &r
}

var _ = Describe("Refunds", func() {
	It("gives back what was paid, at each provider as it can", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		for _, provider := range []string{"mtn", "orange", "wave"} {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
			Expect(api.Create(ctx, newRefund(ns, provider, provider, 0))).To(Succeed())
		}
		payments := map[string]*v1alpha1.Payment{}
		for _, provider := range []string{"mtn", "orange", "wave"} {
			payments[provider] = reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		}
		refundReaches(ctx, ns, "wave", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		refundReaches(ctx, ns, "mtn", v1alpha1.RefundPending, v1alpha1.ReasonRefundNotConfigured)
		refundKeys(ctx, ns)
		refundReaches(ctx, ns, "mtn", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		for _, provider := range []string{"mtn", "wave"} {
			Expect(sim.RefundedAmount(chargeOf(ctx, payments[provider]).Spec.ProviderReference)).To(Equal("5901"))
			Eventually(func(g Gomega) { g.Expect(get(ctx, g, ns, provider).Status.Refunded).To(Equal("5901")) }, "10s").Should(Succeed())
		}

		r := refundReaches(ctx, ns, "orange", v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
		r.Spec.Confirmation = &v1alpha1.RefundConfirmation{UnknownID: r.Status.Unknown.ID, Outcome: v1alpha1.ConfirmedRefunded, ConfirmedBy: "awa"}
		Expect(api.Update(ctx, r)).To(Succeed())
		r = refundReaches(ctx, ns, "orange", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		Expect(r.Status.ConfirmedBy).To(Equal("awa"))
	})
})

var _ = Describe("Calling off", func() {
	It("ends what was not asked for, and an open page", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		never := newPayment(ns, "never", "mtn", 5901)
		never.Spec.Cancel = true
		Expect(api.Create(ctx, never)).To(Succeed())
		ended := reaches(ctx, ns, "never", v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
		Expect(ended.Status.ChargeName).To(BeEmpty())

		Expect(api.Create(ctx, newPayment(ns, "open", "wave", 5000))).To(Succeed())
		p := reaches(ctx, ns, "open", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		p.Spec.Cancel = true
		Expect(api.Update(ctx, p)).To(Succeed())
		p = reaches(ctx, ns, "open", v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
		Expect(sim.Charges(p.Status.ProviderReference)).To(BeZero())
	})
})
