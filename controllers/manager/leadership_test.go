package manager

import (
	"context"
	"fmt"
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
})

var _ = Describe("An operator with another identity", func() {
	It("says at its start that there are Charges of another installation id, and that its key is new", func(ctx context.Context) {
		m := startManager(ctx)
		s := paidSales(ctx, tenant(ctx, time.Second), "")[0]
		m.stop(syscall.SIGTERM)
		Expect(api.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: installation.KeySecretName}})).To(Succeed())
		other := startManager(ctx, "--installation-id=other")
		Eventually(other.out.String, "20s", "100ms").Should(And(
			ContainSubstring("Charges of another installation id"), ContainSubstring("The operator's own key is new")))
		Eventually(func() []corev1.Event { return eventsOf(ctx, operatorNamespace, "OperatorKeyMade") }, "10s", "100ms").ShouldNot(BeEmpty())
		applyAgain(ctx, s.Payment)
		reaches(ctx, s.Namespace, s.Name, v1alpha1.PhasePending, v1alpha1.ReasonInstallationChanged)
		s.chargedOnce()
	})
})
