package manager

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

var _ = Describe("Retention", func() {
	It("collects what is over and nobody names any more, and nothing else", func(ctx context.Context) {
		startManager(ctx, keepFor+"=2s")
		ns := tenant(ctx, time.Second)
		charges := map[string]string{}
		pay := func(name, provider string, amount int64, phase v1alpha1.Phase, reason string) {
			Expect(api.Create(ctx, newPayment(ns, name, provider, amount))).To(Succeed())
			charges[name] = reaches(ctx, ns, name, phase, reason).Status.ChargeName
		}
		forget := func(names ...string) {
			for _, name := range names {
				Expect(api.Delete(ctx, newPayment(ns, name, "", 0))).To(Succeed())
			}
		}
		there := func(name string) bool {
			err := api.Get(ctx, types.NamespacedName{Name: charges[name]}, &v1alpha1.Charge{})
			Expect(err).To(Or(BeNil(), Satisfy(apierrors.IsNotFound)))
			return err == nil
		}
		pay("paid", "mtn", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		pay("declared", "mtn", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		pay("open", "mtn", 5907, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		pay("mismatch", "mtn", 5943, v1alpha1.PhaseUnknown, v1alpha1.ReasonAmountMismatch)
		pay("by-hand", "orange", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		Expect(api.Create(ctx, newRefund(ns, "by-hand", "by-hand", 0))).To(Succeed())
		refundReaches(ctx, ns, "by-hand", v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
		Expect(api.Delete(ctx, newRefund(ns, "by-hand", "by-hand", 0))).To(Succeed())

		forget("paid", "open", "mismatch", "by-hand")
		Eventually(there, "20s", "100ms").WithArguments("paid").Should(BeFalse())
		Consistently(there, "1s", "200ms").WithArguments("declared").Should(BeTrue())
		forget("declared")
		Eventually(there, "20s", "100ms").WithArguments("declared").Should(BeFalse())
		for _, name := range []string{"open", "mismatch", "by-hand"} {
			Expect(there(name)).To(BeTrue(), name)
		}
	})
})
