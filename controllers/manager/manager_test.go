package manager

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// kubectl as an administrator uses it in a namespace.
func kubectl(ctx context.Context, namespace, stdin string, args ...string) string {
	GinkgoHelper()
	kubeconfig, err := testenv.Kubeconfig(env.AdminConfig())
	Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(path, kubeconfig, 0o600)).To(Succeed())
	cmd := exec.CommandContext(ctx, env.Kubectl(), append([]string{"--kubeconfig", path, "-n", namespace}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}

var _ = Describe("The main job", func() {
	It("is a good citizen of kubectl, and charges with nothing but provider, amount and phone", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		for provider, currency := range map[string]string{"mtn": "EUR", "orange": "OUV", "wave": "XOF"} {
			manifest := fmt.Sprintf(`{apiVersion: mobilemoney.dev/v1alpha1, kind: Payment, metadata: {name: %s}, spec: {provider: %s, amount: 5000, phone: "%s"}}`, provider, provider, phone)
			Expect(kubectl(ctx, ns, manifest, "apply", "-f", "-")).To(ContainSubstring("created"))
			if provider != "mtn" { // which pushes a prompt: publishing a page, and having it paid
				const page = "jsonpath={.status.nextAction.url}"
				kubectl(ctx, ns, "", "wait", "--for="+page, "pay/"+provider, "--timeout=30s")
				response, err := http.Post(kubectl(ctx, ns, "", "get", "pay", provider, "-o", page)+"/pay", "application/x-www-form-urlencoded", nil)
				Expect(err).NotTo(HaveOccurred())
				response.Body.Close()
			}
			Expect(kubectl(ctx, ns, "", "wait", "--for=condition=Finished", "pay/"+provider, "--timeout=30s")).To(ContainSubstring("condition met"))
			p := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			Expect(p.Status.Currency).To(Equal(currency), "what the sandbox was really sent")
			Expect(p.Status.Environment).To(Equal("sandbox"))
			Expect(p.Status.NextAction).To(BeNil())
			paidOnce(ctx, p)
			Expect(kubectl(ctx, ns, manifest, "apply", "-f", "-")).To(ContainSubstring("unchanged"))
			Expect(get(ctx, Default, ns, provider).ResourceVersion).To(Equal(p.ResourceVersion))
		}
		Expect(kubectl(ctx, ns, "", "get", "pay", "-o", "wide")).NotTo(ContainSubstring("0501020304"))
		Expect(kubectl(ctx, ns, "", "explain", "payment.spec.reference")).To(ContainSubstring("own order number"))
	})

	It("uses the account that its environment describes", func(ctx context.Context) {
		startManager(ctx,
			"MTN_SUBSCRIPTION_KEY="+simulator.DefaultMTNSubscriptionKey, "MTN_USER_ID="+simulator.DefaultMTNUser,
			"MTN_API_SECRET="+simulator.DefaultMTNKey, "MTN_API_URL="+sim.MTNURL(),
			"ORANGE_CLIENT_ID="+simulator.DefaultOrangeClientID, "ORANGE_CLIENT_SECRET="+simulator.DefaultOrangeClientSecret,
			"ORANGE_MERCHANT_KEY="+simulator.DefaultOrangeMerchantKey, "ORANGE_API_URL="+sim.OrangeURL("dev"), "ORANGE_TOKEN_URL="+sim.OrangeTokenURL(),
			"WAVE_API_KEY="+simulator.DefaultWaveKey, "WAVE_API_URL="+sim.WaveURL(),
		)
		ns := newNamespace(ctx)
		for _, provider := range []string{"mtn", "orange", "wave"} {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
		}
		// Callbacks bring these home: the environment's account polls every two minutes.
		for _, provider := range []string{"mtn", "orange"} {
			p := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			Expect(p.Status.Account).To(Equal("Operator/" + provider))
			Expect(p.Status.LastCallback).NotTo(BeNil())
		}
		reaches(ctx, ns, "wave", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
	})
})

var _ = Describe("Callbacks", func() {
	It("make the loop ask at once, at every provider", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Hour) // polling alone would take an hour
		sim.RegisterWaveCallback(simulator.WaveCallback{
			URL: "http://" + m.callbacks + "/callbacks/wave/account/" + ns + "/wave", SigningSecrets: []string{waveSecret},
		})
		knowsSecrets(ctx, m, ns, waveSecret)
		for _, provider := range []string{"mtn", "orange", "wave"} {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
			p := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			Expect(p.Status.LastCallback).NotTo(BeNil())
			paidOnce(ctx, p)
		}
	})
})

// knock sends a test callback to Wave's path of a namespace's account.
func knock(ctx context.Context, m *process, namespace, secret string) int {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+m.callbacks+"/callbacks/wave/account/"+namespace+"/wave",
		strings.NewReader(`{"type":"test.test_event"}`))
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	response.Body.Close()
	return response.StatusCode
}

// knowsSecrets waits until a manager has loaded what verifies callbacks of a
// namespace's account at Wave; until then it answers 503.
func knowsSecrets(ctx context.Context, m *process, namespace, secret string) {
	GinkgoHelper()
	Eventually(func() int { return knock(ctx, m, namespace, secret) }, "20s", "100ms").Should(Equal(http.StatusOK))
}

var _ = Describe("A callback at a replica that does not lead", func() {
	It("G7 is noted there, and the leader asks", func(ctx context.Context) {
		lease := []string{"--leader-elect=true", "--leader-elect-lease-duration=15s", "--leader-elect-renew-deadline=10s", "--leader-elect-retry-period=500ms"}
		startManager(ctx, lease...)
		ns := tenant(ctx, time.Hour)
		Expect(api.Create(ctx, newPayment(ns, "stuck", "mtn", 5907))).To(Succeed())
		p := reaches(ctx, ns, "stuck", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer) // so the first one leads
		follower := startManager(ctx, lease...)

		inst, _, err := installation.Load(ctx, api, operatorNamespace, "", rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		before := sim.Count(simulator.MTN, simulator.OpStatus)
		path := "/callbacks/mtn/" + inst.PathKeys().ID("mtn", p.Status.ChargeName)
		response, err := http.Post("http://"+follower.callbacks+path, "application/json", strings.NewReader(`{"status":"SUCCESSFUL"}`))
		Expect(err).NotTo(HaveOccurred())
		response.Body.Close()
		Expect(response.StatusCode).To(Equal(http.StatusOK))
		Expect(get(ctx, Default, ns, "stuck").Status.LastCallback.Claim).To(Equal("SUCCESSFUL"))
		Eventually(func() int { return sim.Count(simulator.MTN, simulator.OpStatus) }, "20s", "100ms").Should(BeNumerically(">", before))
		Expect(get(ctx, Default, ns, "stuck").Status.Phase).To(Equal(v1alpha1.PhaseProcessing))

		By("knowing the secrets of accounts, too")
		knowsSecrets(ctx, follower, ns, waveSecret)
		Expect(knock(ctx, follower, ns, "wrong")).To(Equal(http.StatusUnauthorized))
	})
})

var _ = Describe("Waiting", func() {
	It("says exactly what is missing, calls nobody, and goes on once it is mended", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		calls := sim.Count(simulator.MTN, "")
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5901))).To(Succeed())
		reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)

		Expect(api.Create(ctx, newAccount(ns, "mtn", time.Second))).To(Succeed())
		reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonCredentialsNotFound)
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound)

		secret := newSecret(ns, "mtn")
		delete(secret.StringData, "apiSecret")
		Expect(api.Create(ctx, secret)).To(Succeed())
		p := reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonCredentialsIncomplete)
		Expect(p.Status.Conditions[0].Message).To(ContainSubstring("apiSecret"))
		Expect(sim.Count(simulator.MTN, "")).To(Equal(calls))

		patch := client.MergeFrom(secret.DeepCopy()) //nolint:forbidigo // a Secret, by its user
		secret.StringData = map[string]string{"apiSecret": "wrong"}
		Expect(api.Patch(ctx, secret, patch)).To(Succeed())
		p = reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		Expect(p.Status.ChargeName).To(BeEmpty(), "wrong credentials are found before there is a Charge")
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)

		secret.StringData = credentials("mtn")
		Expect(api.Update(ctx, secret)).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		expectReady(ctx, ns, "mtn", metav1.ConditionTrue, v1alpha1.ReasonAccountChecked)
	})
})

var _ = Describe("Killed with SIGKILL", func() {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for _, when := range []string{"before", "after"} {
			It("right "+when+" the call to "+provider, func(ctx context.Context) {
				ns := tenant(ctx, time.Second)
				victim := startManager(ctx, killAt+"="+when+" initiate")
				Expect(api.Create(ctx, newPayment(ns, "order", provider, 5901))).To(Succeed())
				Eventually(victim.done, "20s").Should(BeClosed())
				Expect(victim.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGKILL))

				startManager(ctx)
				if provider == "orange" && when == "after" { // what Orange answers to the creation, it answers once
					p := reaches(ctx, ns, "order", v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
					Expect(sim.Charges(chargeOf(ctx, p).Spec.ProviderReference)).To(BeZero())
					Expect(sim.Opened(chargeOf(ctx, p).Spec.ProviderReference)).To(Equal(1))
					return
				}
				p := reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				paidOnce(ctx, p)
				Expect(sim.Opened(chargeOf(ctx, p).Spec.ProviderReference)).To(Equal(1))
			})
		}
	}

	It("finishes a call that it has begun when it is told to go", func(ctx context.Context) {
		ns := tenant(ctx, time.Second)
		m := startManager(ctx)
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		sim.BeforeProcess(func(r simulator.Request) {
			if r.Op == simulator.OpInitiate {
				entered <- struct{}{}
				<-leave
			}
		})
		DeferCleanup(func() { sim.BeforeProcess(nil) })
		Expect(api.Create(ctx, newPayment(ns, "order", "orange", 5901))).To(Succeed())
		Eventually(entered, "20s").Should(Receive())
		Expect(m.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		Consistently(m.done, "500ms").ShouldNot(BeClosed())
		close(leave)
		Eventually(m.done, "20s").Should(BeClosed())
		sim.BeforeProcess(nil)
		startManager(ctx)
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
	})
})

var _ = Describe("One sale", func() {
	It("is charged once, and given back at most once, by two managers that both work for ever", func(ctx context.Context) {
		startManager(ctx)
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		refundKeys(ctx, ns)
		for _, prefix := range []string{"a-", "b-", "c-"} {
			for _, provider := range allProviders() {
				Expect(api.Create(ctx, newPayment(ns, prefix+provider, provider, 5901))).To(Succeed())
			}
		}
		for _, prefix := range []string{"a-", "b-", "c-"} {
			for _, s := range paid(ctx, ns, prefix) {
				s.chargedOnce()
			}
		}
		for i := range 20 {
			Expect(api.Create(ctx, newRefund(ns, fmt.Sprint("part-", i), "a-mtn", 1000))).To(Succeed())
			Expect(api.Create(ctx, newRefund(ns, fmt.Sprint("whole-", i), "a-wave", 0))).To(Succeed())
		}
		Eventually(func(g Gomega) {
			var list v1alpha1.RefundList
			g.Expect(api.List(ctx, &list, client.InNamespace(ns))).To(Succeed())
			ended := map[string]int{}
			for _, r := range list.Items {
				ended[r.Spec.PaymentRef.Name+" "+string(r.Status.Phase)]++
			}
			g.Expect(ended).To(Equal(map[string]int{"a-mtn Succeeded": 5, "a-mtn Failed": 15, "a-wave Succeeded": 1, "a-wave Failed": 19}))
		}, "60s", "500ms").Should(Succeed())
		for name, want := range map[string]string{"a-mtn": "5000", "a-wave": "5901"} {
			back := sim.RefundedAmount(get(ctx, Default, ns, name).Status.ProviderReference)
			Expect(providers.EqualAmount(back, want)).To(BeTrue(), "%s: %s given back", name, back)
		}
	})
})

func expectReady(ctx context.Context, namespace, name string, status metav1.ConditionStatus, reason string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		var m v1alpha1.MerchantAccount
		g.Expect(api.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &m)).To(Succeed())
		g.Expect(m.Status.Conditions).To(ContainElement(And(HaveField("Status", status), HaveField("Reason", reason))))
	}, "20s", "100ms").Should(Succeed())
}

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
