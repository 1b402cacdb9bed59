package manager

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

// Every spec of this file and of restore_test.go has a section of the same name in
// docs/recreation.md: see recreation_page_test.go.

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

// sale is a Payment, and what the provider calls it. It outlives both Payment and
// Charge.
type sale struct {
	*v1alpha1.Payment
	reference string
}

func saleOf(ctx context.Context, p *v1alpha1.Payment) sale {
	GinkgoHelper()
	return sale{p, chargeOf(ctx, p).Spec.ProviderReference}
}

// paidSales makes a Payment for each provider, of its name after a prefix, and has
// them paid.
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

func amount(n int64) func(*v1alpha1.Payment) {
	return func(p *v1alpha1.Payment) { p.Spec.Amount = v1alpha1.AmountFromInt(n) }
}

// byVelero labels what a restore from a backup brings back.
func byVelero(p *v1alpha1.Payment) {
	p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly-20261124", "velero.io/backup-name": "nightly"}
}

// applyAgain deletes a Payment and creates it again, under another uid and without
// status.
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

// loseCharge deletes the Charge of a sale, which only an administrator can.
func (s sale) loseCharge(ctx context.Context) {
	GinkgoHelper()
	Expect(api.Delete(ctx, &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: s.Status.ChargeName}})).To(Succeed())
}

// endedAgo makes the Charge of a sale look as if it had ended so long ago. Nobody
// waits in a test.
func (s sale) endedAgo(ctx context.Context, ago time.Duration) {
	GinkgoHelper()
	c := chargeOf(ctx, s.Payment)
	s.loseCharge(ctx)
	c.ObjectMeta = metav1.ObjectMeta{Name: c.Name}
	c.Record.Outcome.At = metav1.NewMicroTime(c.Record.Outcome.At.Add(-ago))
	Expect(api.Create(ctx, c)).To(Succeed())
}

var _ = Describe("A Payment that is there again", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx context.Context) { startManager(ctx) })

	It("Deleted and applied again before anything was sent", func(ctx context.Context) {
		ns := newNamespace(ctx)
		each(allProviders(), func(provider string) {
			Expect(api.Create(ctx, newAccount(ns, provider, time.Second))).To(Succeed())
			p := newPayment(ns, provider, provider, 7901)
			Expect(api.Create(ctx, p)).To(Succeed())
			reaches(ctx, ns, provider, v1alpha1.PhasePending, v1alpha1.ReasonCredentialsNotFound)
			applyAgain(ctx, applyAgain(ctx, p), amount(5901))
		})
		each(allProviders(), func(provider string) {
			Expect(api.Create(ctx, newSecret(ns, provider))).To(Succeed())
			s := saleOf(ctx, reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
			s.chargedOnce()
			Expect(chargeOf(ctx, s.Payment).Spec.Requested.Amount).To(Equal("5901"))
		})
	})

	It("Deleted and applied again while the provider is being asked", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		entered, leave := make(chan string, 1), make(chan struct{})
		sim.BeforeProcess(func(r simulator.Request) {
			if r.Op == simulator.OpInitiate {
				entered <- r.Reference
				<-leave
			}
		})
		DeferCleanup(func() { sim.BeforeProcess(nil) })
		for _, provider := range allProviders() {
			p := newPayment(ns, provider, provider, 5901)
			Expect(api.Create(ctx, p)).To(Succeed())
			var reference string
			Eventually(entered, "20s").Should(Receive(&reference))
			applyAgain(ctx, p)
			leave <- struct{}{}
			s := sale{p, reference}
			s.takesUp(ctx)
			s.chargedOnce()
		}
	})

	It("Deleted and applied again while the payer has not decided", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			page := s.Status.NextAction.URL
			applyAgain(ctx, s.Payment)
			Eventually(func(g Gomega) {
				again := get(ctx, g, ns, provider)
				g.Expect(again.Status.NextAction).NotTo(BeNil())
				g.Expect(again.Status.NextAction.URL).To(Equal(page))
			}, "20s", "50ms").Should(Succeed())
			Expect(sim.Pay(s.reference)).To(Succeed())
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Deleted and applied again after it was paid", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		each(paidSales(ctx, ns, ""), func(s sale) {
			for range 3 {
				again := applyAgain(ctx, s.Payment)
				Expect(s.takesUp(ctx).UID).To(Equal(again.UID))
			}
			s.chargedOnce()
		})
	})

	It("Deleted and applied again with another amount", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			applyAgain(ctx, s.Payment, amount(7000))
			p := reaches(ctx, ns, provider, v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
			Expect(p.Status.NextAction).To(BeNil())
			Expect(sim.Pay(s.reference)).To(Succeed())
			Eventually(func(g Gomega) {
				g.Expect(chargeOf(ctx, s.Payment).Record.Outcome).To(HaveField("Phase", v1alpha1.PhaseSucceeded))
			}, "20s", "50ms").Should(Succeed())
			applyAgain(ctx, s.Payment, amount(7000))
			reaches(ctx, ns, provider, v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
			applyAgain(ctx, s.Payment)
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Replaced by Argo CD or kubectl replace --force, twice in a row", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		dir := GinkgoT().TempDir()
		kubeconfig, err := testenv.Kubeconfig(env.AdminConfig())
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o600)).To(Succeed())
		replace := func(provider string) {
			cmd := exec.CommandContext(ctx, env.Kubectl(), "--kubeconfig", filepath.Join(dir, "kubeconfig"), "replace", "--force", "-n", ns, "-f", "-")
			cmd.Stdin = strings.NewReader(fmt.Sprintf(
				`{apiVersion: mobilemoney.dev/v1alpha1, kind: Payment, metadata: {name: %s}, spec: {provider: %s, amount: 5000, phone: "%s"}}`, provider, provider, phone))
			out, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
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

	It("Changed in Git and forced by Flux", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		each(paidSales(ctx, ns, ""), func(s sale) {
			changed := get(ctx, Default, ns, s.Name)
			changed.Spec.Amount = v1alpha1.AmountFromInt(7901)
			err := api.Update(ctx, changed)
			Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			Expect(err).To(MatchError(ContainSubstring("create a new Payment")))
			// What Flux does with force after such an answer:
			applyAgain(ctx, s.Payment, amount(7901))
			reaches(ctx, ns, s.Name, v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
			s.chargedOnce()
		})
	})

	It("Pruned, and reverted minutes later", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			Expect(api.Delete(ctx, s.Payment)).To(Succeed())
			Expect(sim.Pay(s.reference)).To(Succeed())
			Eventually(func(g Gomega) {
				g.Expect(chargeOf(ctx, s.Payment).Record.Outcome).To(HaveField("Phase", v1alpha1.PhaseSucceeded))
			}, "20s", "50ms").Should(Succeed())
			s.endedAgo(ctx, 20*time.Minute)
			Expect(api.Create(ctx, written(s.Payment))).To(Succeed())
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Pruned, and reverted days later", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		each(paidSales(ctx, ns, ""), func(s sale) {
			Expect(api.Delete(ctx, s.Payment)).To(Succeed())
			s.endedAgo(ctx, 3*24*time.Hour)
			Expect(api.Create(ctx, written(s.Payment))).To(Succeed())
			p := reaches(ctx, ns, s.Name, v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
			s.chargedOnce()

			p.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"}
			Expect(api.Update(ctx, p)).To(Succeed())
			s.takesUp(ctx)
			s.chargedOnce()
		})
	})

	It("Deleted with its owner", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		owner := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "order"}}
		Expect(api.Create(ctx, owner)).To(Succeed())
		owned := func(p *v1alpha1.Payment) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}}
		}
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, written(newPayment(ns, provider, provider, 5901), owned))).To(Succeed())
		}
		sales := paid(ctx, ns, "")
		Expect(api.Delete(ctx, owner)).To(Succeed())
		for _, s := range sales {
			// There is no garbage collector here; this is what it does.
			Expect(api.Delete(ctx, s.Payment, client.Preconditions{UID: &s.UID})).To(Succeed())
		}
		owner = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "order"}}
		Expect(api.Create(ctx, owner)).To(Succeed())
		for _, s := range sales {
			Expect(api.Create(ctx, written(s.Payment, owned))).To(Succeed())
			s.takesUp(ctx)
			s.chargedOnce()
		}
	})

	It("Applied again after its Charge was collected", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		reasons := map[string]string{
			"mtn": v1alpha1.ReasonReusedName, "wave": v1alpha1.ReasonReusedName, "orange": v1alpha1.ReasonLostInitiation,
		}
		each(paidSales(ctx, ns, ""), func(s sale) {
			Expect(api.Delete(ctx, s.Payment)).To(Succeed())
			s.loseCharge(ctx)
			Expect(api.Create(ctx, written(s.Payment))).To(Succeed())
			reaches(ctx, ns, s.Name, v1alpha1.PhaseUnknown, reasons[s.Name])
			Expect(sim.Charges(s.reference)).To(Equal(1))
			Expect(sim.Opened(s.reference)).To(Equal(1))
		})
	})

	It("Its Charge is deleted by hand", func(ctx context.Context) {
		payersWait()
		ns := tenant(ctx, time.Second)
		each(allProviders(), func(provider string) {
			s := openSale(ctx, ns, provider)
			s.loseCharge(ctx)
			if provider == "orange" {
				reaches(ctx, ns, provider, v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
			} else {
				Expect(sim.Pay(s.reference)).To(Succeed())
				reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				Expect(sim.Charges(s.reference)).To(Equal(1))
			}
			Expect(askedUnder(s.reference)).To(Equal(1))
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

	It("Deleted and applied again at any moment, two hundred times", func(ctx context.Context) {
		seed := uint64(GinkgoRandomSeed())
		const tenants, each = 8, 27
		var races []*race
		for range tenants {
			ns := tenant(ctx, time.Second)
			for i := range each {
				provider := allProviders()[i%3]
				races = append(races, newRace(newPayment(ns, fmt.Sprintf("%s-%d", provider, i), provider, 5901), stage(i/3%stages)))
			}
		}
		follow(ctx, races)
		// A call takes its time, so that there is one to delete into.
		sim.BeforeProcess(func(r simulator.Request) {
			if r.Op == simulator.OpInitiate {
				time.Sleep(20 * time.Millisecond)
			}
		})
		DeferCleanup(func() { sim.BeforeProcess(nil) })

		By("creating, deleting and creating again")
		var group sync.WaitGroup
		for i, r := range races {
			jitter := time.Duration(rand.New(rand.NewPCG(seed, uint64(i))).Int64N(int64(15 * time.Millisecond)))
			group.Go(func() {
				defer GinkgoRecover()
				Expect(api.Create(ctx, r.payment)).To(Succeed())
				Eventually(r.reached[r.at], "60s").Should(BeClosed(), "%s is not %s", r.payment.Name, r.at)
				time.Sleep(jitter)
				applyAgain(ctx, r.payment)
			})
		}
		Eventually(func(g Gomega) {
			for i := 0; i < len(races); i += each {
				openPages(ctx, g, races[i].payment.Namespace)
			}
			for _, r := range races {
				g.Expect(r.reached[ended]).To(BeClosed(), "%s, seed %d", r.payment.Name, seed)
			}
		}, "120s", "200ms").Should(Succeed())
		group.Wait()
		for _, r := range races {
			s := saleOf(ctx, reaches(ctx, r.payment.Namespace, r.payment.Name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
			Expect(s.UID).NotTo(Equal(r.payment.UID))
			Expect(sim.Charges(s.reference)).To(Equal(1), "%s deleted when %s, seed %d", r.payment.Name, r.at, seed)
			Expect(sim.Opened(s.reference)).To(Equal(1), "%s deleted when %s, seed %d", r.payment.Name, r.at, seed)
		}
	})
})

// stage of a sale, as its Charge shows it.
type stage int

const (
	created stage = iota
	sent
	opened
	ended
	stages = int(ended) // those at which a Payment is deleted in a race
)

func (s stage) String() string {
	return []string{"created", "sent", "opened", "ended"}[s]
}

func stageOf(c *v1alpha1.Charge) stage {
	switch rec := &c.Record; {
	case rec.Outcome != nil:
		return ended
	case rec.Session != nil:
		return opened
	default:
		return sent
	}
}

// race is a sale whose Payment is deleted right after it came to a stage.
type race struct {
	payment *v1alpha1.Payment
	at      stage
	// reached is closed, for each stage, once it was.
	reached [ended + 1]chan struct{}
	seen    stage
}

func newRace(p *v1alpha1.Payment, at stage) *race {
	r := &race{payment: p, at: at}
	for i := range r.reached {
		r.reached[i] = make(chan struct{})
	}
	close(r.reached[created])
	return r
}

// follow watches the Charges of races, until the spec is over.
func follow(ctx context.Context, races []*race) {
	GinkgoHelper()
	byName := map[string]*race{}
	for _, r := range races {
		byName[r.payment.Namespace+"/"+r.payment.Name] = r
	}
	charges, err := env.Client().Watch(ctx, &v1alpha1.ChargeList{})
	Expect(err).NotTo(HaveOccurred())
	done := make(chan struct{})
	DeferCleanup(func() { charges.Stop(); <-done })
	go func() {
		defer close(done)
		for event := range charges.ResultChan() {
			c, ok := event.Object.(*v1alpha1.Charge)
			if !ok {
				continue
			}
			if r := byName[c.Spec.Payment.Namespace+"/"+c.Spec.Payment.Name]; r != nil {
				for now := stageOf(c); r.seen < now; {
					r.seen++
					close(r.reached[r.seen])
				}
			}
		}
	}()
}
