package manager

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
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
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

var _ = Describe("The main job", func() {
	It("charges with nothing but provider, amount and phone", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		By("pushing a prompt (mtn)")
		Expect(api.Create(ctx, newPayment(ns, "mtn", "mtn", 5000))).To(Succeed())
		p := reaches(ctx, ns, "mtn", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		paidOnce(ctx, p)
		Expect(p.Status.Currency).To(Equal("EUR"), "what the sandbox was really sent")
		Expect(p.Status.Environment).To(Equal("sandbox"))

		for provider, currency := range map[string]string{"orange": "OUV", "wave": "XOF"} {
			By("publishing a page and having it paid: " + provider)
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5000))).To(Succeed())
			var page string
			Eventually(func(g Gomega) {
				p := get(ctx, g, ns, provider)
				g.Expect(p.Status.NextAction).NotTo(BeNil())
				g.Expect(p.Status.NextAction.Type).To(Equal(v1alpha1.NextActionOpenURL))
				page = p.Status.NextAction.URL
			}, "20s", "100ms").Should(Succeed())
			response, err := http.Post(page+"/pay", "application/x-www-form-urlencoded", nil)
			Expect(err).NotTo(HaveOccurred())
			response.Body.Close()
			p := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			Expect(p.Status.Currency).To(Equal(currency))
			Expect(p.Status.NextAction).To(BeNil())
			paidOnce(ctx, p)
		}
	})

	It("is a good citizen of kubectl", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		dir := GinkgoT().TempDir()
		kubeconfig, err := testenv.Kubeconfig(env.AdminConfig())
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(dir, "kubeconfig"), kubeconfig, 0o600)).To(Succeed())
		kubectl := func(stdin string, args ...string) string {
			cmd := exec.CommandContext(ctx, env.Kubectl(), append([]string{"--kubeconfig", filepath.Join(dir, "kubeconfig"), "-n", ns}, args...)...)
			cmd.Stdin = strings.NewReader(stdin)
			out, err := cmd.CombinedOutput()
			Expect(err).NotTo(HaveOccurred(), string(out))
			return string(out)
		}
		manifest := `{apiVersion: mobilemoney.dev/v1alpha1, kind: Payment, metadata: {name: order-1}, spec: {provider: mtn, amount: 5000, phone: "+2250501020304"}}`
		Expect(kubectl(manifest, "apply", "-f", "-")).To(ContainSubstring("created"))
		Expect(kubectl("", "wait", "--for=condition=Finished", "pay/order-1", "--timeout=30s")).To(ContainSubstring("condition met"))
		Expect(kubectl("", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pay/order-1", "--timeout=1s")).To(ContainSubstring("condition met"))
		before := kubectl("", "get", "pay", "order-1", "-o", "jsonpath={.metadata.resourceVersion}")
		Expect(kubectl(manifest, "apply", "-f", "-")).To(ContainSubstring("unchanged"))
		Expect(kubectl("", "get", "pay", "order-1", "-o", "jsonpath={.metadata.resourceVersion}")).To(Equal(before))
		Expect(kubectl("", "get", "pay", "-o", "wide")).NotTo(ContainSubstring("0501020304"))
		Expect(kubectl("", "explain", "payment.spec.reference")).To(ContainSubstring("own order number"))
	})

	It("G5 finishes for every outcome, with or without callbacks", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		stories := map[string]struct {
			provider string
			amount   int64
			phase    v1alpha1.Phase
			reason   string
		}{
			"declined":  {"mtn", 5903, v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined},
			"no-funds":  {"mtn", 5904, v1alpha1.PhaseFailed, v1alpha1.ReasonInsufficientFunds},
			"late":      {"mtn", 5906, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout},
			"silent":    {"mtn", 5961, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid},
			"o-refused": {"orange", 5903, v1alpha1.PhaseFailed, v1alpha1.ReasonProviderRefused},
			"o-late":    {"orange", 5906, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout},
			"o-silent":  {"orange", 5961, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid},
			"w-silent":  {"wave", 5961, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid},
			"odd-word":  {"mtn", 5942, v1alpha1.PhaseProcessing, v1alpha1.ReasonUnrecognizedStatus},
			"mismatch":  {"mtn", 5943, v1alpha1.PhaseUnknown, v1alpha1.ReasonAmountMismatch},
		}
		for name, s := range stories {
			Expect(api.Create(ctx, newPayment(ns, name, s.provider, s.amount))).To(Succeed())
		}
		for name, s := range stories {
			By(name)
			reaches(ctx, ns, name, s.phase, s.reason)
		}
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

	It("G1 change nothing where they lie", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Hour)
		Expect(api.Create(ctx, newPayment(ns, "forged", "mtn", 5964))).To(Succeed())
		Eventually(func(g Gomega) {
			p := get(ctx, g, ns, "forged")
			g.Expect(p.Status.LastCallback).NotTo(BeNil())
		}, "20s", "100ms").Should(Succeed())
		Consistently(func(g Gomega) {
			g.Expect(get(ctx, g, ns, "forged").Status.Phase).To(Equal(v1alpha1.PhaseProcessing))
		}, "1500ms", "100ms").Should(Succeed())
	})
})

var _ = Describe("The callback receiver", func() {
	It("ends TLS itself, if it is given a certificate", func(ctx context.Context) {
		dir := GinkgoT().TempDir()
		chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(filepath.Join(dir, "tls.crt"), chain, 0o600)).To(Succeed())
		Expect(os.WriteFile(filepath.Join(dir, "tls.key"), key, 0o600)).To(Succeed())
		m := startManager(ctx, "--callback-tls-cert="+filepath.Join(dir, "tls.crt"), "--callback-tls-key="+filepath.Join(dir, "tls.key"))
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(chain)
		secure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
		response, err := secure.Get("https://" + m.callbacks + "/return")
		Expect(err).NotTo(HaveOccurred())
		response.Body.Close()
		Expect(response.StatusCode).To(Equal(http.StatusOK))
	})
})

var _ = Describe("Forged callbacks", func() {
	It("G14 cost the provider and the Payment nothing", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Hour)
		knowsSecrets(ctx, m, ns, waveSecret)
		Expect(api.Create(ctx, newPayment(ns, "stuck", "mtn", 5907))).To(Succeed())
		reaches(ctx, ns, "stuck", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		var before *v1alpha1.Payment
		Eventually(func(g Gomega) { // until the loop has nothing more to write
			p := get(ctx, g, ns, "stuck")
			same := before != nil && p.ResourceVersion == before.ResourceVersion
			before = p
			g.Expect(same).To(BeTrue())
		}, "20s", "1s").Should(Succeed())
		calls := sim.Count(simulator.MTN, "")
		id := strings.Repeat("A", 50)
		answers := map[int]int{}
		for i := range 2000 {
			path := []string{"/callbacks/mtn/" + fmt.Sprintf("%s%05d", id, i), "/callbacks/wave/account/" + ns + "/wave"}[i%2]
			response, err := http.Post("http://"+m.callbacks+path, "application/json", strings.NewReader(`{"status":"SUCCESSFUL"}`))
			Expect(err).NotTo(HaveOccurred())
			response.Body.Close()
			answers[response.StatusCode]++
		}
		Expect(answers).To(HaveKey(http.StatusUnauthorized))
		delete(answers, http.StatusUnauthorized)
		delete(answers, http.StatusTooManyRequests)
		Expect(answers).To(BeEmpty())
		Expect(sim.Count(simulator.MTN, "")).To(Equal(calls))
		Expect(get(ctx, Default, ns, "stuck").ResourceVersion).To(Equal(before.ResourceVersion))
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

		secret.StringData = credentials("mtn")
		Expect(api.Update(ctx, secret)).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
	})

	It("says of an account whether it can be used", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		Expect(api.Create(ctx, newAccount(ns, "mtn", time.Second))).To(Succeed())
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound)
		secret := newSecret(ns, "mtn")
		secret.StringData["apiSecret"] = "wrong"
		Expect(api.Create(ctx, secret)).To(Succeed())
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)
		secret.StringData = credentials("mtn")
		Expect(api.Update(ctx, secret)).To(Succeed())
		expectReady(ctx, ns, "mtn", metav1.ConditionTrue, v1alpha1.ReasonAccountChecked)
	})

	It("waits for a provider that it does not know", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		Expect(api.Create(ctx, newPayment(ns, "order", "moov", 5901))).To(Succeed())
		reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonProviderNotSupported)
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
	It("is charged once however often its Payment is deleted and applied again", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		for _, provider := range []string{"mtn", "orange", "wave"} {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
			first := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			for range 2 {
				Expect(api.Delete(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
				Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
				again := reaches(ctx, ns, provider, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				Expect(again.UID).NotTo(Equal(first.UID))
				Expect(again.Status.TransactionID).To(Equal(first.Status.TransactionID))
				Expect(again.Status.Conditions).To(ContainElement(HaveField("Type", v1alpha1.ConditionAdopted)))
			}
			Expect(asked(ctx, first)).To(Equal(1))
			paidOnce(ctx, first)
		}
	})

	It("is followed to its end when its Payment is deleted on the way", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5902))).To(Succeed())
		p := reaches(ctx, ns, "order", v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
		Expect(api.Delete(ctx, p)).To(Succeed())
		Eventually(func(g Gomega) {
			var c v1alpha1.Charge
			g.Expect(api.Get(ctx, types.NamespacedName{Name: p.Status.ChargeName}, &c)).To(Succeed())
			g.Expect(c.Record.Outcome).NotTo(BeNil())
			g.Expect(c.Record.Outcome.Phase).To(Equal(v1alpha1.PhaseSucceeded))
		}, "30s", "200ms").Should(Succeed())
	})

	It("is its name: another order number or amount under it is refused, and one order may have several", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		for _, name := range []string{"first", "second"} {
			p := newPayment(ns, name, "mtn", 5901)
			p.Spec.Reference = "order-7"
			Expect(api.Create(ctx, p)).To(Succeed())
			p = reaches(ctx, ns, name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			Expect(p.Status.Reference).To(Equal("order-7"))
			Expect(asked(ctx, p)).To(Equal(1))
			paidOnce(ctx, p)
		}
		for _, change := range []func(*v1alpha1.Payment){amount(7901), func(p *v1alpha1.Payment) { p.Spec.Reference = "order-8" }} {
			p := get(ctx, Default, ns, "first")
			applyAgain(ctx, p, change)
			reaches(ctx, ns, "first", v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
		}
		Expect(asked(ctx, get(ctx, Default, ns, "second"))).To(Equal(1))
	})

	It("is charged once by two managers that both work for ever", func(ctx context.Context) {
		startManager(ctx)
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		names := []string{}
		for _, provider := range []string{"mtn", "orange", "wave"} {
			for _, suffix := range []string{"-a", "-b", "-c"} {
				names = append(names, provider+suffix)
				Expect(api.Create(ctx, newPayment(ns, provider+suffix, provider, 5901))).To(Succeed())
			}
		}
		for _, name := range names {
			p := reaches(ctx, ns, name, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			paidOnce(ctx, p)
			Expect(asked(ctx, p)).To(Equal(1))
		}
	})
})

var _ = Describe("What is published", func() {
	It("holds no secret in an event", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		Expect(api.Create(ctx, newPayment(ns, "order", "orange", 5901))).To(Succeed())
		reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		Eventually(func(g Gomega) {
			var events corev1.EventList
			g.Expect(api.List(ctx, &events, client.InNamespace(ns))).To(Succeed())
			reasons := []string{}
			for _, e := range events.Items {
				reasons = append(reasons, e.Reason)
				expectNoSecrets(ctx, "an event", e.Message)
			}
			g.Expect(reasons).To(ContainElement(v1alpha1.ReasonPaid))
		}, "10s", "200ms").Should(Succeed())
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
