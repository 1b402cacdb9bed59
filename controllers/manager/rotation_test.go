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

func writeKeys(ctx context.Context, namespace string, k simulator.Keys) {
	GinkgoHelper()
	var s corev1.Secret
	Expect(api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: "mtn-credentials"}, &s)).To(Succeed())
	s.StringData = map[string]string{"subscriptionKey": k.Key, "userID": k.ID, "apiSecret": k.Secret}
	Expect(api.Update(ctx, &s)).To(Succeed())
}

var _ = Describe("Credentials", func() {
	newKeys := func(n string) simulator.Keys {
		return simulator.Keys{ID: "9f1b7c1e-3c55-4a55-8f0e-0000000000" + n, Secret: "rotated-secret-" + n, Key: "rotated-key-" + n}
	}
	It("can be rotated while payments are open and keep coming", func(ctx context.Context) {
		first := simulator.Keys{ID: simulator.DefaultMTNUser, Secret: simulator.DefaultMTNKey, Key: simulator.DefaultMTNSubscriptionKey}
		second, third := newKeys("02"), newKeys("03")
		DeferCleanup(func() {
			sim.RevokeKeys(simulator.MTN, second)
			sim.RevokeKeys(simulator.MTN, third)
			sim.AddKeys(simulator.MTN, first)
		})
		payersWait()
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		open := openSale(ctx, ns, "mtn")
		pay := func(name string) {
			GinkgoHelper()
			Expect(api.Create(ctx, newPayment(ns, name, "mtn", 5901))).To(Succeed())
			saleOf(ctx, reaches(ctx, ns, name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)).chargedOnce()
		}
		pay("before")

		By("the Secret first, then the provider takes the old ones back")
		sim.AddKeys(simulator.MTN, second)
		writeKeys(ctx, ns, second)
		pay("meanwhile")
		sim.RevokeKeys(simulator.MTN, first)
		pay("after")
		Expect(sim.Pay(open.reference)).To(Succeed())
		reaches(ctx, ns, open.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		open.chargedOnce()

		By("the provider first: payments wait, and continue automatically")
		sim.RevokeKeys(simulator.MTN, second)
		Expect(api.Create(ctx, newPayment(ns, "waiting", "mtn", 5901))).To(Succeed())
		reaches(ctx, ns, "waiting", v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		changeAccount(ctx, ns, "mtn", func(a *v1alpha1.MerchantAccountSpec) { a.MerchantName = "Shop" }) // looks at once
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)
		sim.AddKeys(simulator.MTN, third)
		writeKeys(ctx, ns, third)
		expectReady(ctx, ns, "mtn", metav1.ConditionTrue, v1alpha1.ReasonAccountChecked)
		saleOf(ctx, reaches(ctx, ns, "waiting", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)).chargedOnce()
	})
})
