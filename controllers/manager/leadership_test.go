package manager

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers/simulator"
)

// askedFor waits until the provider is asked for a new payment, and tells how long it took.
func askedFor(ctx context.Context, namespace, name string, within time.Duration) time.Duration {
	GinkgoHelper()
	before, began := sim.Count(simulator.Orange, simulator.OpInitiate), time.Now()
	Expect(api.Create(ctx, newPayment(namespace, name, "orange", 5000))).To(Succeed())
	Eventually(func() int { return sim.Count(simulator.Orange, simulator.OpInitiate) }, within, "10ms").Should(BeNumerically(">", before))
	return time.Since(began)
}

var _ = Describe("Leadership", func() {
	It("is handed over by a planned restart within two seconds, and what is open goes on", func(ctx context.Context) {
		payersWait()
		leader := startManager(ctx, "--leader-elect")
		ns := tenant(ctx, time.Second)
		askedFor(ctx, ns, "first", 20*time.Second)
		open := openSale(ctx, ns, "mtn")
		standby := startManager(ctx, "--leader-elect")
		Consistently(standby.out.String, "2s", "200ms").ShouldNot(ContainSubstring("This process leads"))

		Expect(leader.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		waited := askedFor(ctx, ns, "second", 20*time.Second)
		fmt.Fprintf(GinkgoWriter, "a new payment waited %v\n", waited)
		Expect(waited).To(BeNumerically("<", 2*time.Second))
		Expect(standby.out.String()).To(ContainSubstring("This process leads"))
		Eventually(leader.done, "20s").Should(BeClosed())
		Expect(leader.cmd.ProcessState.ExitCode()).To(BeZero())

		Expect(sim.Pay(open.reference)).To(Succeed())
		reaches(ctx, ns, open.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		open.chargedOnce()
	})

	It("is taken over after a crash within twenty seconds", func(ctx context.Context) {
		leader := startManager(ctx, "--leader-elect")
		ns := tenant(ctx, time.Second)
		askedFor(ctx, ns, "first", 30*time.Second)
		startManager(ctx, "--leader-elect")
		leader.stop(syscall.SIGKILL)
		waited := askedFor(ctx, ns, "second", 40*time.Second)
		fmt.Fprintf(GinkgoWriter, "a new payment waited %v\n", waited)
		Expect(waited).To(BeNumerically("<", 20*time.Second))
	})
})

var _ = Describe("A process that lost its lease", Ordered, func() {
	BeforeAll(func(ctx context.Context) { use(secondCluster(ctx)) })

	It("K2f records the answer that it has once the API server is back, and competes again", func(ctx context.Context) {
		m := startManager(ctx, "--leader-elect", "--leader-elect-lease-duration=2s", "--leader-elect-renew-deadline=1500ms",
			"--leader-elect-retry-period=300ms", "--record-timeout=1s", "--call-timeout=30s", "--late-window=1m")
		ns := tenant(ctx, time.Second)
		answered, leave := make(chan struct{}, 1), make(chan struct{})
		sim.AfterProcess(func(r simulator.Request) {
			if r.Op == simulator.OpInitiate {
				answered <- struct{}{}
				<-leave
			}
		})
		DeferCleanup(func() { sim.AfterProcess(nil) })
		Expect(api.Create(ctx, newPayment(ns, "sale", "orange", 5901))).To(Succeed())
		Eventually(answered, "20s").Should(Receive())
		Expect(env.StopAPIServer()).To(Succeed())
		back := false
		DeferCleanup(func() {
			if !back {
				Expect(env.StartAPIServer()).To(Succeed())
			}
		})
		sim.AfterProcess(nil)
		close(leave)
		Eventually(m.out.String, "20s", "100ms").Should(ContainSubstring("leads no more"))
		Consistently(m.done, "3s").ShouldNot(BeClosed())
		Expect(env.StartAPIServer()).To(Succeed())
		back = true
		s := saleOf(ctx, reaches(ctx, ns, "sale", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		s.chargedOnce()
		Expect(strings.Count(m.out.String(), "This process leads")).To(BeNumerically(">=", 2))
		m.stop(syscall.SIGTERM)
	})
})

var _ = Describe("An operator with another identity", func() {
	It("K1c another installation id: nothing is sent, the Payment is Stalled, and it goes on under the old one", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		sales := paidSales(ctx, ns, "")
		m.stop(syscall.SIGTERM)
		other := startManager(ctx, "--installation-id=other")
		Eventually(other.out.String, "20s", "100ms").Should(ContainSubstring("Charges of another installation id"))
		each(sales, func(s sale) {
			applyAgain(ctx, s.Payment)
			p := reaches(ctx, ns, s.Name, v1alpha1.PhasePending, v1alpha1.ReasonInstallationChanged)
			Expect(p.Status.Conditions).To(ContainElement(And(HaveField("Type", v1alpha1.ConditionStalled), HaveField("Status", metav1.ConditionTrue))))
			s.chargedOnce()
		})
		By("beside the old one: each writes a status at most once")
		startManager(ctx)
		each(sales, func(s sale) {
			again := applyAgain(ctx, s.Payment)
			Expect(s.takesUp(ctx).UID).To(Equal(again.UID))
			p := get(ctx, Default, ns, s.Name)
			Consistently(func(g Gomega) {
				g.Expect(get(ctx, g, ns, s.Name).ResourceVersion).To(Equal(p.ResourceVersion))
			}, "2s", "200ms").Should(Succeed())
			s.chargedOnce()
		})
	})

	It("K1e another key: a sale of another payer is not adopted without consent, and the new key is announced", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		sales := paidSales(ctx, ns, "")
		m.stop(syscall.SIGTERM)
		Expect(api.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: installation.KeySecretName}})).To(Succeed())
		m = startManager(ctx)
		Eventually(m.out.String, "20s", "100ms").Should(ContainSubstring("The operator's own key is new"))
		Eventually(func() []corev1.Event { return eventsOf(ctx, operatorNamespace, "OperatorKeyMade") }, "10s", "100ms").ShouldNot(BeEmpty())
		each(sales, func(s sale) {
			applyAgain(ctx, s.Payment, func(p *v1alpha1.Payment) { p.Spec.Phone = "+2250501020305" })
			reaches(ctx, ns, s.Name, v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
			s.chargedOnce()
		})
	})
})
