package manager

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// changeAccount edits an account of a namespace, as its admin would.
func changeAccount(ctx context.Context, namespace, name string, change func(*v1alpha1.MerchantAccountSpec)) {
	GinkgoHelper()
	Eventually(func() error {
		var m v1alpha1.MerchantAccount
		if err := api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &m); err != nil {
			return err
		}
		change(&m.Spec)
		return api.Update(ctx, &m)
	}, "10s", "50ms").Should(Succeed())
}

// isKept waits until the operator holds the account.
func isKept(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(api.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		g.Expect(o.GetFinalizers()).To(ContainElement(v1alpha1.FinalizerCharges))
	}, "20s", "50ms").Should(Succeed())
}

func isGone(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(func() bool {
		return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(o), o))
	}, "20s", "50ms").Should(BeTrue())
}

func eventsOf(ctx context.Context, namespace, reason string) (found []corev1.Event) {
	GinkgoHelper()
	var list corev1.EventList
	Expect(api.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
	for _, e := range list.Items {
		if e.Reason == reason {
			found = append(found, e)
		}
	}
	return found
}

var _ = Describe("An account that is deleted", func() {
	It("stays while an open payment needs it, and takes nothing new", func(ctx context.Context) {
		const provider = "mtn"
		payersWait()
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		s := openSale(ctx, ns, provider)
		account := newAccount(ns, provider, time.Second)
		isKept(ctx, account)
		Expect(api.Delete(ctx, account)).To(Succeed())
		expectReady(ctx, ns, provider, metav1.ConditionFalse, v1alpha1.ReasonDeletionHeld)
		Eventually(func() []corev1.Event { return eventsOf(ctx, ns, v1alpha1.ReasonDeletionHeld) }, "10s", "100ms").Should(HaveLen(1))
		Expect(eventsOf(ctx, ns, v1alpha1.ReasonDeletionHeld)[0].Message).To(ContainSubstring("Open: 1, such as " + ns + "/" + s.Name))

		Expect(api.Create(ctx, newPayment(ns, "late", provider, 5901))).To(Succeed())
		reaches(ctx, ns, "late", v1alpha1.PhasePending, v1alpha1.ReasonAccountDeleting)

		Expect(sim.Pay(s.reference)).To(Succeed())
		reaches(ctx, ns, s.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		isGone(ctx, account)
		reaches(ctx, ns, "late", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)

		By("going on with an account that is made anew")
		Expect(api.Create(ctx, newAccount(ns, provider, time.Second))).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "late", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		s.chargedOnce()

		By("going at once when nothing is open, also the cluster's")
		cluster := &v1alpha1.ClusterMerchantAccount{
			ObjectMeta: metav1.ObjectMeta{Name: ns},
			Spec:       v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: newAccount(ns, "mtn", time.Second).Spec},
		}
		Expect(api.Create(ctx, cluster)).To(Succeed())
		for _, o := range []client.Object{newAccount(ns, "mtn", 0), cluster} {
			isKept(ctx, o)
			Expect(api.Delete(ctx, o)).To(Succeed())
			isGone(ctx, o)
		}
		Expect(eventsOf(ctx, ns, v1alpha1.ReasonDeletionHeld)).To(HaveLen(1))
	})
})
