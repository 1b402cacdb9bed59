package manager

import (
	"context"
	"flag"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

var _ = Describe("Retention", func() {
	DescribeTable("has a flag that refuses to forget too soon", func(refused string, args ...string) {
		opts := DefaultOptions()
		fs := flag.NewFlagSet("manager", flag.ContinueOnError)
		opts.Bind(fs)
		Expect(fs.Parse(append(args, "--namespace="+operatorNamespace))).To(Succeed())
		if refused == "" {
			Expect(opts.validate()).To(Succeed())
			return
		}
		Expect(opts.validate()).To(MatchError(ContainSubstring(refused)))
	},
		Entry("the default", ""),
		Entry("for ever", "", "--charge-retention=0"),
		Entry("less than four days", "at least 96h", "--charge-retention=95h"),
		Entry("no longer than the adoption window", "longer than --adoption-window", "--charge-retention=120h", "--adoption-window=120h"),
	)

	It("collects what is over and nobody names any more, and nothing else", func(ctx context.Context) {
		startManager(ctx, keepFor+"=2s")
		ns := tenant(ctx, time.Second)
		pay := func(name, provider string, amount int64, phase v1alpha1.Phase, reason string, change ...func(*v1alpha1.Payment)) (charge string) {
			p := newPayment(ns, name, provider, amount)
			for _, do := range change {
				do(p)
			}
			Expect(api.Create(ctx, p)).To(Succeed())
			return reaches(ctx, ns, name, phase, reason).Status.ChargeName
		}
		forget := func(names ...string) {
			for _, name := range names {
				Expect(api.Delete(ctx, newPayment(ns, name, "", 0))).To(Succeed())
			}
		}
		there := func(charge string) bool {
			err := api.Get(ctx, types.NamespacedName{Name: charge}, &v1alpha1.Charge{})
			Expect(err).To(Or(BeNil(), Satisfy(apierrors.IsNotFound)))
			return err == nil
		}
		gone := func(charge string) {
			GinkgoHelper()
			Eventually(there, "20s", "100ms").WithArguments(charge).Should(BeFalse())
		}
		invoice := func(p *v1alpha1.Payment) { p.Spec.Reference = "invoice/7#1" }

		paid := pay("paid", "mtn", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		declined := pay("declined", "mtn", 5903, v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined)
		declared := pay("declared", "mtn", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		byReference := pay("by-reference", "mtn", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid, invoice)
		open := pay("open", "mtn", 5907, v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		mismatch := pay("mismatch", "mtn", 5943, v1alpha1.PhaseUnknown, v1alpha1.ReasonAmountMismatch)
		claimed := pay("claimed", "orange", 5901, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		Expect(api.Create(ctx, newRefund(ns, "by-hand", "claimed", 0))).To(Succeed())
		refundReaches(ctx, ns, "by-hand", v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired)
		Expect(api.Delete(ctx, newRefund(ns, "by-hand", "claimed", 0))).To(Succeed())

		forget("paid", "declined", "open", "mismatch", "claimed")
		gone(paid)
		gone(declined)
		Consistently(func(g Gomega) {
			for _, charge := range []string{declared, byReference, open, mismatch, claimed} {
				g.Expect(there(charge)).To(BeTrue())
			}
		}, "1s", "200ms").Should(Succeed())

		forget("declared", "by-reference")
		gone(declared)
		gone(byReference)
		for _, charge := range []string{open, mismatch, claimed} {
			Expect(there(charge)).To(BeTrue())
		}
	})
})
