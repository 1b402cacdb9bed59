package manager

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// stream makes Payments, one every moment, until it is stopped.
type stream struct {
	namespace string
	stopped   context.CancelFunc
	group     sync.WaitGroup

	mu   sync.Mutex
	made []string
}

func startStream(ctx context.Context, namespace string) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{namespace: namespace, stopped: cancel}
	s.group.Go(func() {
		defer GinkgoRecover()
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			name := fmt.Sprintf("sale-%03d", i)
			Expect(api.Create(context.WithoutCancel(ctx), newPayment(namespace, name, "mtn", 5901))).To(Succeed())
			s.mu.Lock()
			s.made = append(s.made, name)
			s.mu.Unlock()
		}
	})
	DeferCleanup(s.stop)
	return s
}

func (s *stream) stop() {
	s.stopped()
	s.group.Wait()
}

func (s *stream) soFar() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.made)
}

// next waits until some Payments that are made from now on are paid.
func (s *stream) next(ctx context.Context) {
	GinkgoHelper()
	from := len(s.soFar())
	Eventually(func(g Gomega) {
		openPages(ctx, g, s.namespace)
		made := s.soFar()
		g.Expect(len(made)).To(BeNumerically(">", from+3))
		for _, name := range made[from : from+3] {
			g.Expect(get(ctx, g, s.namespace, name).Status.Phase).To(Equal(v1alpha1.PhaseSucceeded))
		}
	}, "60s", "200ms").Should(Succeed())
}

// allPaid: every Payment of the stream came to its end, and each payer paid once.
func (s *stream) allPaid(ctx context.Context) {
	GinkgoHelper()
	s.stop()
	for _, name := range s.made {
		p := reaches(ctx, s.namespace, name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		paidOnce(ctx, p)
		Expect(sim.Opened(chargeOf(ctx, p).Spec.ProviderReference)).To(Equal(1))
	}
}

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
	It("can be rotated while payments keep coming", func(ctx context.Context) {
		first := simulator.Keys{ID: simulator.DefaultMTNUser, Secret: simulator.DefaultMTNKey, Key: simulator.DefaultMTNSubscriptionKey}
		second, third := newKeys("02"), newKeys("03")
		DeferCleanup(func() {
			sim.RevokeKeys(simulator.MTN, second)
			sim.RevokeKeys(simulator.MTN, third)
			sim.AddKeys(simulator.MTN, first)
		})
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		liftPromptLimit(ctx, ns)
		s := startStream(ctx, ns)
		s.next(ctx)

		By("the Secret first, then the provider takes the old ones back")
		sim.AddKeys(simulator.MTN, second)
		writeKeys(ctx, ns, second)
		s.next(ctx)
		sim.RevokeKeys(simulator.MTN, first)
		s.next(ctx)

		By("the provider first: payments wait, and continue automatically")
		sim.RevokeKeys(simulator.MTN, second)
		var waiting string
		Eventually(func(g Gomega) {
			var list v1alpha1.PaymentList
			g.Expect(api.List(ctx, &list, client.InNamespace(ns))).To(Succeed())
			for i := range list.Items {
				if p := &list.Items[i]; reasonOf(p) == v1alpha1.ReasonAccountMisconfigured && p.Status.Phase == v1alpha1.PhasePending {
					waiting = p.Name
				}
			}
			g.Expect(waiting).NotTo(BeEmpty())
		}, "40s", "100ms").Should(Succeed())
		changeAccount(ctx, ns, "mtn", func(a *v1alpha1.MerchantAccountSpec) { a.MerchantName = "Shop" }) // looks at once
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)
		sim.AddKeys(simulator.MTN, third)
		writeKeys(ctx, ns, third)
		expectReady(ctx, ns, "mtn", metav1.ConditionTrue, v1alpha1.ReasonAccountChecked)
		reaches(ctx, ns, waiting, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		s.next(ctx)
		s.allPaid(ctx)
	})
})
