package manager

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/cert"
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
		chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
		Expect(err).NotTo(HaveOccurred())
		pair := filepath.Join(GinkgoT().TempDir(), "tls")
		Expect(os.WriteFile(pair+".crt", chain, 0o600)).To(Succeed())
		Expect(os.WriteFile(pair+".key", key, 0o600)).To(Succeed())
		m := startManager(ctx, "--metrics-insecure=false", "--callback-tls-cert="+pair+".crt", "--callback-tls-key="+pair+".key")
		metrics, callbacks, probes := "https://"+m.metrics, "https://"+m.callbacks, "http://"+m.probes
		page := metrics + "/metrics"
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
		for _, base := range []string{metrics, callbacks, probes} {
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile", "/debug/vars"} {
				status, _ := visit(ctx, Default, base+path, admin)
				Expect(status).To(Equal(http.StatusNotFound), base+path)
			}
		}
		for url, want := range map[string]int{
			callbacks + "/metrics": http.StatusNotFound, probes + "/metrics": http.StatusNotFound,
			callbacks + "/healthz": http.StatusNotFound, metrics + "/healthz": http.StatusNotFound, probes + "/healthz": http.StatusOK,
			callbacks + "/return": http.StatusOK, // it ends TLS itself, with the certificate that it was given
		} {
			status, _ := visit(ctx, Default, url, admin)
			Expect(status).To(Equal(want), url)
		}
	})

	It("I-4 no flag turns pprof on", func() {
		opts, fs := DefaultOptions(), flag.NewFlagSet("manager", flag.ContinueOnError)
		opts.Bind(fs)
		fs.VisitAll(func(f *flag.Flag) { Expect(f.Name + f.Usage).NotTo(MatchRegexp("(?i)pprof|profil|debug")) })
	})

	It("H9 H10 names make no label of a metric and no series, and events have documented reasons, a handful for each payment", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		liftPromptLimit(ctx, ns)
		const payments = 30
		ends := []v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseFailed, v1alpha1.PhaseCancelled}
		reasons := []string{v1alpha1.ReasonPaid, v1alpha1.ReasonPayerDeclined, v1alpha1.ReasonInsufficientFunds, v1alpha1.ReasonCancelled}
		end := func(from, to int) {
			for i := from; i < to; i++ {
				p := newPayment(ns, fmt.Sprintf("quartz-%d", i), "mtn", []int64{5901, 5903, 5904, 5901}[i%4])
				if p.Spec.Cancel = i%4 == 3; p.Spec.Cancel {
					p.Spec.Provider = p.Name
				}
				Expect(api.Create(ctx, p)).To(Succeed())
			}
			for i := from; i < to; i++ {
				reaches(ctx, ns, fmt.Sprintf("quartz-%d", i), ends[i%4], reasons[i%4])
			}
		}
		end(0, 4) // one of each, so that what comes later can only be more of the same
		before := seriesOf(m.scrape())
		end(4, payments)
		// Their spec is touched; what has not changed is not told again.
		var list v1alpha1.PaymentList
		Expect(api.List(ctx, &list, client.InNamespace(ns))).To(Succeed())
		for i := range list.Items {
			Expect(api.Patch(ctx, &list.Items[i], client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"round":"1"}}}`)))).To(Succeed())
		}
		known := documentedReasons()
		Consistently(func(g Gomega) {
			var events corev1.EventList
			g.Expect(api.List(ctx, &events, client.InNamespace(ns))).To(Succeed())
			g.Expect(len(events.Items)).To(BeNumerically("<=", 3*payments))
			for _, e := range events.Items {
				g.Expect(known).To(ContainElement(e.Reason))
			}
		}, "1s", "500ms").Should(Succeed())

		body := m.scrape()
		Expect(body).To(MatchRegexp(`mobilemoney_payments_ended_total\{phase="Cancelled",provider="other",reason="Cancelled"\} \d`))
		for _, label := range regexp.MustCompile(`="([^"]*)"`).FindAllStringSubmatch(body, -1) {
			Expect(label[1]).NotTo(Or(ContainSubstring("quartz"), ContainSubstring(ns), ContainSubstring("shop-"), ContainSubstring("0501020304")))
		}
		labels := regexp.MustCompile(`[{,](\w+)="`)
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, "mobilemoney_") {
				for _, label := range labels.FindAllStringSubmatch(line, -1) {
					Expect([]string{"provider", "operation", "class", "phase", "reason", "result", "key"}).To(ContainElement(label[1]))
				}
			}
		}
		// A call may end in another class under load; the names may add nothing.
		Expect(seriesOf(body)).To(BeNumerically("<", before+20))
	})
})

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
