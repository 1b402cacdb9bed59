package manager

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

var _ = Describe("A Payment that is restored", Ordered, func() {
	BeforeAll(func(ctx context.Context) { startManager(ctx) })

	It("A whole namespace is deleted and restored", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		sales := paidSales(ctx, ns, "paid-")
		openSale(ctx, ns, "mtn") // which holds no account of a namespace that goes
		isKept(ctx, newAccount(ns, "mtn", 0))
		deleteNamespace(ctx, ns)
		Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
		openAccounts(ctx, ns, time.Second)
		each(sales, func(s sale) {
			Expect(api.Create(ctx, written(s.Payment, byVelero))).To(Succeed())
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Restored into another namespace", func(ctx context.Context) {
		ns, other := tenant(ctx, time.Second), tenant(ctx, time.Second)
		elsewhere := func(p *v1alpha1.Payment) { p.Namespace = other }
		each(paidSales(ctx, ns, ""), func(s sale) {
			Expect(api.Create(ctx, written(s.Payment, byVelero, elsewhere))).To(Succeed())
			if s.Spec.Provider == "orange" { // of which nobody can tell
				reaches(ctx, other, s.Name, v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
				s.chargedOnce()
				return
			}
			notSent(ctx, other, s.Name)
			By("copied by hand, without Velero's label: " + s.Name)
			Expect(api.Delete(ctx, written(s.Payment, elsewhere))).To(Succeed())
			Expect(api.Create(ctx, written(s.Payment, elsewhere))).To(Succeed())
			second := saleOf(ctx, reaches(ctx, other, s.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
			Expect(second.reference).NotTo(Equal(s.reference))
			s.chargedOnce()
			second.chargedOnce()
		})
	})
})

// notSent: the Payment waits, and nobody was asked for it.
func notSent(ctx context.Context, namespace, name string) {
	GinkgoHelper()
	reaches(ctx, namespace, name, v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
}

// deleteNamespace does what the namespace controller does, which is not there: deletes what is in it, and lets it go.
func deleteNamespace(ctx context.Context, name string) {
	GinkgoHelper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	Expect(api.Delete(ctx, ns)).To(Succeed())
	for _, o := range []client.Object{&v1alpha1.Payment{}, &v1alpha1.Refund{}, &v1alpha1.MerchantAccount{}, &corev1.Secret{}} {
		Expect(api.DeleteAllOf(ctx, o, client.InNamespace(name))).To(Succeed())
	}
	// Nothing holds the accounts of a namespace that goes.
	Eventually(func(g Gomega) {
		var list v1alpha1.MerchantAccountList
		g.Expect(api.List(ctx, &list, client.InNamespace(name))).To(Succeed())
		g.Expect(list.Items).To(BeEmpty())
	}, "20s", "50ms").Should(Succeed())
	Expect(api.Get(ctx, client.ObjectKeyFromObject(ns), ns)).To(Succeed())
	ns.Spec.Finalizers = nil
	Expect(api.SubResource("finalize").Update(ctx, ns)).To(Succeed())
	Eventually(func() bool {
		return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(ns), ns))
	}, "10s", "50ms").Should(BeTrue())
}

// use makes a control plane the one that the specs talk to.
func use(e *testenv.Env) { env, api = e, e.Client() }

// another is a second control plane, for those specs that need one.
var another *testenv.Env

var _ = AfterSuite(func() {
	if another != nil {
		Expect(another.Stop()).To(Succeed())
	}
})

// secondCluster has the operator's rights, like the first one.
func secondCluster(ctx context.Context) *testenv.Env {
	GinkgoHelper()
	DeferCleanup(use, env)
	if another != nil {
		return another
	}
	e, err := testenv.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
	another = e
	Expect(e.Client().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: operatorNamespace}})).To(Succeed())
	Expect(e.ApplyManifests(ctx, "config/rbac")).To(Succeed())
	return e
}

// past is a cluster with a snapshot, and what happened after it.
type past struct {
	namespace, snapshot string
	manager             *process
	// before, waiting and after: paid before the snapshot; applied before and paid
	// after it; applied and paid after it. Of one, 1000 were given back after it.
	before, waiting, after []sale
	refunded               sale
}

func (h past) missing() []sale { return slices.Concat(h.waiting, h.after) }

func (h past) all() []sale { return slices.Concat(h.before, h.missing()) }

// nothingTwice: no payer was asked to pay twice, or paid twice.
func nothingTwice(h past) {
	GinkgoHelper()
	for _, s := range h.all() {
		Expect(sim.Charges(s.reference)).To(Equal(1), s.Name)
		Expect(sim.Opened(s.reference)).To(Equal(1), s.Name)
	}
}

// nothingSent: since the restore, no provider was asked for money or to give any back.
func nothingSent(h past) error {
	for _, s := range h.all() {
		if n := askedUnder(s.reference); n != 1 {
			return fmt.Errorf("%s was asked for %d times", s.Name, n)
		}
	}
	_, err := givenBack(h.refunded, "1000")
	return err
}

var _ = Describe("A snapshot of etcd", Ordered, ContinueOnFailure, func() {
	var dir string
	BeforeAll(func(ctx context.Context) {
		use(secondCluster(ctx))
		dir = GinkgoT().TempDir()
	})

	happened := func(ctx context.Context, settings ...string) past {
		GinkgoHelper()
		h := past{namespace: tenant(ctx, time.Second), manager: startManager(ctx, settings...)}
		h.snapshot = filepath.Join(dir, h.namespace)
		refundKeys(ctx, h.namespace)
		h.before = paidSales(ctx, h.namespace, "")
		h.refunded = h.before[0]
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, accountless(h.namespace, provider))).To(Succeed())
		}
		each(allProviders(), func(provider string) {
			reaches(ctx, h.namespace, "waiting-"+provider, v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)
		})
		Expect(env.SnapshotEtcd(ctx, h.snapshot)).To(Succeed())

		for _, provider := range allProviders() {
			openAccount(ctx, h.namespace, provider)
		}
		h.after = paidSales(ctx, h.namespace, "after-")
		h.waiting = paid(ctx, h.namespace, "waiting-")
		Expect(api.Create(ctx, newRefund(h.namespace, "back", h.refunded.Name, 1000))).To(Succeed())
		refundReaches(ctx, h.namespace, "back", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		return h
	}
	// goOn is what people and pipelines do in the restored cluster: they apply again
	// what is gone, and a Refund under a new name for which nothing shows.
	goOn := func(ctx context.Context, h past) {
		GinkgoHelper()
		for i, provider := range allProviders() {
			openAccount(ctx, h.namespace, provider)
			Expect(api.Create(ctx, written(h.after[i].Payment))).To(Succeed())
		}
		Expect(api.Create(ctx, newRefund(h.namespace, "back-again", h.refunded.Name, 1000))).To(Succeed())
	}
	// adoptedOnly: what MTN and Wave know is taken up, and nothing is sent.
	adoptedOnly := func(ctx context.Context, h past) {
		GinkgoHelper()
		for _, s := range h.missing() {
			if s.Spec.Provider != "orange" {
				reaches(ctx, h.namespace, s.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				continue
			}
			// Paid, if it was still in the cache that it was.
			Eventually(func(g Gomega) {
				g.Expect(reasonOf(get(ctx, g, h.namespace, s.Name))).To(BeElementOf(v1alpha1.ReasonAdoptOnly, v1alpha1.ReasonPaid))
			}, "40s", "100ms").Should(Succeed())
		}
		Expect(api.Create(ctx, newPayment(h.namespace, "new", "mtn", 5901))).To(Succeed())
		notSent(ctx, h.namespace, "new")
		refundReaches(ctx, h.namespace, "back-again", v1alpha1.RefundPending, v1alpha1.ReasonAdoptOnly)
		Expect(nothingSent(h)).To(Succeed())
	}
	// alive restores the snapshot under a running manager, which notices and says so.
	alive := func(ctx context.Context, bump uint64) past {
		GinkgoHelper()
		h := happened(ctx, "--revision-check=1s")
		if bump == 0 {
			// What a cluster writes in the time between backup and restore; more than
			// the API server writes when it starts.
			writeOften(ctx, 500)
		}
		Expect(h.manager.scrape()).To(ContainSubstring("mobilemoney_revisions_went_back 0"))
		Expect(env.RestoreEtcd(ctx, h.snapshot, bump)).To(Succeed())
		goOn(ctx, h)
		Eventually(h.manager.scrape, "30s", "100ms").Should(ContainSubstring("mobilemoney_revisions_went_back 1"))
		Eventually(h.manager.out.String, "10s", "100ms").Should(ContainSubstring("The API server went back in time"))
		Eventually(func(g Gomega) {
			var events corev1.EventList
			g.Expect(api.List(ctx, &events)).To(Succeed())
			g.Expect(events.Items).To(ContainElement(And(HaveField("Reason", "RevisionsWentBack"), HaveField("Type", corev1.EventTypeWarning))))
		}, "10s", "200ms").Should(Succeed())
		Expect(h.manager.ready()).To(Succeed())
		return h
	}

	It("An etcd snapshot is restored while the operator runs", func(ctx context.Context) {
		h := alive(ctx, 1_000_000)
		adoptedOnly(ctx, h)
		Expect(h.manager.ready()).To(Succeed())
		h.manager.stop(syscall.SIGTERM)
	})

	It("An etcd snapshot is restored while the operator runs, without --bump-revision", func(ctx context.Context) {
		h := alive(ctx, 0)
		// Its watches wait for revisions that are far away, so it sees little of this.
		Consistently(func() error { return nothingSent(h) }, "2s", "200ms").Should(Succeed())
		h.manager.stop(syscall.SIGTERM)
		m := startManager(ctx, "--adopt-only", "--adoption-window=0")
		adoptedOnly(ctx, h)
		m.stop(syscall.SIGTERM)
	})

	var h past // of both specs that follow; the second one goes back once more
	It("An etcd snapshot is restored while the operator is stopped, and it is started with --adopt-only", func(ctx context.Context) {
		h = happened(ctx)
		h.manager.stop(syscall.SIGTERM)
		Expect(env.RestoreEtcd(ctx, h.snapshot, 0)).To(Succeed())
		m := startManager(ctx, "--adopt-only", "--adoption-window=0")
		goOn(ctx, h)
		adoptedOnly(ctx, h)

		By("deleting what must not be sent, and going on as usual")
		m.stop(syscall.SIGTERM)
		for _, p := range []sale{h.waiting[1], h.after[1]} {
			Expect(api.Delete(ctx, written(p.Payment))).To(Succeed())
		}
		Expect(api.Delete(ctx, newRefund(h.namespace, "back-again", h.refunded.Name, 1000))).To(Succeed())
		m = startManager(ctx)
		saleOf(ctx, reaches(ctx, h.namespace, "new", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)).chargedOnce()
		nothingTwice(h)
		Expect(givenBack(h.refunded, "1000")).To(BeTrue())
		m.stop(syscall.SIGTERM)
	})

	It("An etcd snapshot is restored while the operator is stopped, and it is started as usual", func(ctx context.Context) {
		Expect(env.RestoreEtcd(ctx, h.snapshot, 0)).To(Succeed())
		m := startManager(ctx)
		goOn(ctx, h)
		Expect(api.Create(ctx, newRefund(h.namespace, "back", h.refunded.Name, 1000))).To(Succeed())
		for _, s := range h.missing() {
			if s.Spec.Provider == "orange" {
				reaches(ctx, h.namespace, s.Name, v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
				continue
			}
			Eventually(func(g Gomega) {
				g.Expect(reasonOf(get(ctx, g, h.namespace, s.Name))).To(BeElementOf(v1alpha1.ReasonPaid, v1alpha1.ReasonReusedName))
			}, "40s", "100ms").Should(Succeed())
		}
		nothingTwice(h)
		// The same name is the same refund; a new one is given back, too.
		refundReaches(ctx, h.namespace, "back", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		refundReaches(ctx, h.namespace, "back-again", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		Expect(givenBack(h.refunded, "2000")).To(BeTrue())
		m.stop(syscall.SIGTERM)
	})
})

var _ = Describe("The API of the operator", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) { use(secondCluster(ctx)) })

	It("K2f The API server goes away while the provider answers", func(ctx context.Context) {
		m := startManager(ctx, "--leader-elect", "--leader-elect-lease-duration=2s", "--leader-elect-renew-deadline=1500ms",
			"--leader-elect-retry-period=300ms", "--record-timeout=1s", "--call-timeout=30s", "--late-window=1m")
		ns := tenant(ctx, time.Second)
		answered, leave := make(chan struct{}, 3), make(chan struct{})
		sim.AfterProcess(func(r simulator.Request) {
			if r.Op == simulator.OpInitiate {
				answered <- struct{}{}
				<-leave
			}
		})
		DeferCleanup(func() { sim.AfterProcess(nil) })
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
		}
		for range allProviders() {
			Eventually(answered, "20s").Should(Receive())
		}
		Expect(env.StopAPIServer()).To(Succeed())
		back := false
		DeferCleanup(func() {
			if !back {
				Expect(env.StartAPIServer()).To(Succeed())
			}
		})
		close(leave)
		Eventually(m.out.String, "20s", "100ms").Should(ContainSubstring("leads no more"))
		Consistently(m.done, "2s").ShouldNot(BeClosed())
		Expect(env.StartAPIServer()).To(Succeed())
		back = true
		for _, s := range paid(ctx, ns, "") {
			s.chargedOnce()
		}
		Expect(strings.Count(m.out.String(), "This process leads")).To(BeNumerically(">=", 2))
		m.stop(syscall.SIGTERM)
	})

	It("K7b The CRDs are deleted and installed again", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		sales := paidSales(ctx, ns, "")
		deleteCRDs(ctx)
		m.notReady("payments.mobilemoney.dev")
		established(ctx)
		Eventually(m.ready, "20s", "200ms").Should(Succeed())
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, newAccount(ns, provider, time.Second))).To(Succeed())
			Expect(api.Create(ctx, newPayment(ns, "new-"+provider, provider, 5901))).To(Succeed())
		}
		// Their watches are tried again with a back-off.
		Eventually(func(g Gomega) { g.Expect(get(ctx, g, ns, "new-mtn").Status.Phase).NotTo(BeEmpty()) }, "90s", "200ms").Should(Succeed())
		for _, s := range paid(ctx, ns, "new-") {
			s.chargedOnce()
		}
		By("applying again what is gone: the providers remember it")
		each(sales, func(s sale) {
			Expect(api.Create(ctx, written(s.Payment))).To(Succeed())
			reason := v1alpha1.ReasonReusedName
			if s.Spec.Provider == "orange" {
				reason = v1alpha1.ReasonLostInitiation
			}
			reaches(ctx, ns, s.Name, v1alpha1.PhaseUnknown, reason)
			Expect(sim.Charges(s.reference)).To(Equal(1))
			Expect(sim.Opened(s.reference)).To(Equal(1))
		})
		m.stop(syscall.SIGTERM)
	})
})

// accountless is a Payment that waits for an account of its own.
func accountless(namespace, provider string) *v1alpha1.Payment {
	p := newPayment(namespace, "waiting-"+provider, provider, 5901)
	p.Spec.AccountRef = &v1alpha1.AccountReference{Kind: "MerchantAccount", Name: "later-" + provider}
	return p
}

// openAccount makes the account that it waits for.
func openAccount(ctx context.Context, namespace, provider string) {
	GinkgoHelper()
	a := newAccount(namespace, provider, time.Second)
	a.Name = "later-" + provider
	Expect(api.Create(ctx, a)).To(Succeed())
}

func givenBack(s sale, want string) (bool, error) {
	got := sim.RefundedAmount(s.reference)
	if !providers.EqualAmount(got, want) {
		return false, fmt.Errorf("%s given back of %s, not %s", got, s.Name, want)
	}
	return true, nil
}

// writeOften makes the revisions of the cluster grow.
func writeOften(ctx context.Context, n int) {
	GinkgoHelper()
	o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "busy-", Namespace: metav1.NamespaceDefault}}
	Expect(api.Create(ctx, o)).To(Succeed())
	for i := range n {
		o.Data = map[string]string{"n": fmt.Sprint(i)}
		Expect(api.Update(ctx, o)).To(Succeed())
	}
}
