package manager

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// visit asks for a page, with a bearer token if there is one.
func visit(ctx context.Context, g Gomega, url, token string) (status int, body string) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	g.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	// Who serves metrics has a certificate of its own making.
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} //nolint:gosec // see above
	response, err := c.Do(request)
	g.Expect(err).NotTo(HaveOccurred())
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	g.Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(content)
}

// tokenOf a new ServiceAccount with a ClusterRole, if one is named.
func tokenOf(ctx context.Context, name, role string) string {
	GinkgoHelper()
	Expect(api.Create(ctx, serviceAccount("default", name))).To(Succeed())
	if role != "" {
		Expect(api.Create(ctx, bindingOf(name, role, "default", name))).To(Succeed())
	}
	cfg, err := env.ServiceAccountConfig(ctx, "default", name)
	Expect(err).NotTo(HaveOccurred())
	return cfg.BearerToken
}

var _ = Describe("What the manager exposes", func() {
	It("I-4 metrics take a token with the right to them, probes have their own port, and pprof is nowhere", func(ctx context.Context) {
		Expect(env.ApplyManifests(ctx, "config/prometheus/metrics_reader.yaml")).To(Succeed())
		address := freeAddress()
		m := startManager(ctx, "--metrics-bind-address="+address, "--metrics-insecure=false")
		page := "https://" + address + "/metrics"
		reader, stranger, admin := tokenOf(ctx, "prometheus", "mobilemoney-metrics-reader"), tokenOf(ctx, "stranger", ""), tokenOf(ctx, "admin", "cluster-admin")
		Eventually(func(g Gomega) {
			status, body := visit(ctx, g, page, reader)
			g.Expect(status).To(Equal(http.StatusOK), body)
			g.Expect(body).To(ContainSubstring("mobilemoney_revisions_went_back 0"))
		}, "20s", "100ms").Should(Succeed())
		// 500 is what controller-runtime answers to a token that is none.
		for token, want := range map[string]int{"": http.StatusUnauthorized, "made-up": http.StatusInternalServerError, stranger: http.StatusForbidden} {
			status, body := visit(ctx, Default, page, token)
			Expect(status).To(Equal(want))
			Expect(body).NotTo(ContainSubstring("mobilemoney_"))
		}
		for _, base := range []string{"https://" + address, "http://" + m.callbacks, "http://" + m.probes} {
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/vars"} {
				status, _ := visit(ctx, Default, base+path, admin)
				Expect(status).To(Equal(http.StatusNotFound), base+path)
			}
		}
		for _, base := range []string{"http://" + m.callbacks, "http://" + m.probes} {
			status, _ := visit(ctx, Default, base+"/metrics", admin)
			Expect(status).To(Equal(http.StatusNotFound))
		}
		status, _ := visit(ctx, Default, "http://"+m.callbacks+"/healthz", "")
		Expect(status).To(Equal(http.StatusNotFound))
		status, _ = visit(ctx, Default, "http://"+m.probes+"/healthz", "")
		Expect(status).To(Equal(http.StatusOK))
		status, _ = visit(ctx, Default, "https://"+address+"/healthz", admin)
		Expect(status).To(Equal(http.StatusNotFound))
	})

	It("I-4 no flag turns pprof on", func() {
		opts, fs := DefaultOptions(), flag.NewFlagSet("manager", flag.ContinueOnError)
		opts.Bind(fs)
		fs.VisitAll(func(f *flag.Flag) { Expect(f.Name + f.Usage).NotTo(MatchRegexp("(?i)pprof|profil|debug")) })
	})

	It("H9 hundreds of names make no label of a metric, and no series of their own", func(ctx context.Context) {
		address := freeAddress()
		startManager(ctx, "--metrics-insecure", "--metrics-bind-address="+address)
		scrape := func(g Gomega) string {
			status, body := visit(ctx, g, "http://"+address+"/metrics", "")
			g.Expect(status).To(Equal(http.StatusOK))
			return body
		}
		ns := tenant(ctx, time.Second)
		liftPromptLimit(ctx, ns)
		end := func(name string) {
			Expect(api.Create(ctx, newPayment(ns, name, "mtn", 5901))).To(Succeed())
		}
		// One of each first, so that what comes later can only be more of the same.
		end("quartz-first")
		nobody := func(i int) {
			p := newPayment(ns, fmt.Sprintf("quartz-nobody-%d", i), fmt.Sprintf("quartz-provider-%d", i), 5901)
			p.Spec.Cancel = true
			Expect(api.Create(ctx, p)).To(Succeed())
		}
		nobody(0)
		reaches(ctx, ns, "quartz-first", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		reaches(ctx, ns, "quartz-nobody-0", v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
		before := seriesOf(scrape(Default))

		for i := 1; i <= 100; i++ {
			nobody(i)
			end(fmt.Sprintf("quartz-sale-%d", i))
		}
		for range 10 {
			Expect(api.Create(ctx, newPayment(newNamespace(ctx), "quartz-waits", "mtn", 5901))).To(Succeed())
		}
		Eventually(func(g Gomega) {
			var list v1alpha1.PaymentList
			g.Expect(api.List(ctx, &list, client.InNamespace(ns))).To(Succeed())
			for _, p := range list.Items {
				g.Expect(p.Status.Phase.Terminal()).To(BeTrue(), p.Name)
			}
		}, "90s", "500ms").Should(Succeed())

		body := scrape(Default)
		Expect(body).To(MatchRegexp(`mobilemoney_payments_ended_total\{phase="Cancelled",provider="other",reason="Cancelled"\} 1\d\d`))
		for _, label := range regexp.MustCompile(`="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			Expect(label[1]).NotTo(Or(ContainSubstring("quartz"), ContainSubstring(ns), ContainSubstring("shop-"), ContainSubstring("0501020304")))
		}
		labels := map[string]bool{}
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(strings.Join(ours(body), "\n"), -1) {
			labels[l[1]] = true
		}
		for l := range labels {
			Expect([]string{"provider", "operation", "class", "phase", "reason", "result", "key"}).To(ContainElement(l))
		}
		// A call may end in another class under load; the names may add nothing.
		Expect(seriesOf(body)).To(BeNumerically("<", before+40))
		fmt.Fprintf(GinkgoWriter, "%d series before, %d after\n", before, seriesOf(body))
	})

	It("H10 events have reasons from the documented list, a handful for each payment", func(ctx context.Context) {
		startManager(ctx)
		ns := tenant(ctx, time.Second)
		liftPromptLimit(ctx, ns)
		const payments = 30
		for i := range payments {
			Expect(api.Create(ctx, newPayment(ns, fmt.Sprintf("sale-%d", i), "mtn", []int64{5901, 5903, 5904}[i%3]))).To(Succeed())
		}
		for i := range payments {
			reaches(ctx, ns, fmt.Sprintf("sale-%d", i),
				[]v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseFailed}[i%3],
				[]string{v1alpha1.ReasonPaid, v1alpha1.ReasonPayerDeclined, v1alpha1.ReasonInsufficientFunds}[i%3])
		}
		// Their spec is touched often; what has not changed is not told again.
		var list v1alpha1.PaymentList
		Expect(api.List(ctx, &list, client.InNamespace(ns))).To(Succeed())
		for round := range 3 {
			for i := range list.Items {
				patch := fmt.Sprintf(`{"metadata":{"labels":{"round":"%d"}}}`, round)
				Expect(api.Patch(ctx, &list.Items[i], client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
			}
		}
		known := documentedReasons()
		Consistently(func(g Gomega) {
			var events corev1.EventList
			g.Expect(api.List(ctx, &events, client.InNamespace(ns))).To(Succeed())
			g.Expect(len(events.Items)).To(BeNumerically("<=", 3*payments))
			for _, e := range events.Items {
				g.Expect(known).To(ContainElement(e.Reason))
				expectNoSecrets(ctx, "an event", e.Message)
			}
		}, "2s", "500ms").Should(Succeed())
	})
})

// ours are the lines of a scrape that are of the operator's own metrics.
func ours(scrape string) (lines []string) {
	for l := range strings.Lines(scrape) {
		if strings.HasPrefix(l, "mobilemoney_") {
			lines = append(lines, l)
		}
	}
	return lines
}

func seriesOf(scrape string) (n int) {
	for l := range strings.Lines(scrape) {
		if !strings.HasPrefix(l, "#") {
			n++
		}
	}
	return n
}

// documentedReasons are those of the table in docs/payment.md.
func documentedReasons() (reasons []string) {
	GinkgoHelper()
	page, err := os.ReadFile("../../docs/payment.md")
	Expect(err).NotTo(HaveOccurred())
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		reasons = append(reasons, row[1])
	}
	return reasons
}
