package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
)

// kept is everything that must be kept quiet in this suite: whatever story a spec tells, all that its managers print at
// their loudest is searched for it, and so are their metrics, and all that is in the cluster afterwards.
var kept = canary.New()

// keepCredentials are those of all accounts, and what verifies callbacks.
func keepCredentials() {
	for _, provider := range allProviders() {
		for key, value := range credentials(provider) {
			kept.Secret(provider+" "+key, value)
		}
	}
	kept.Secret("mtn disbursementSubscriptionKey", simulator.DefaultMTNDisbursementSubscriptionKey)
	kept.Secret("mtn disbursementUserID", simulator.DefaultMTNDisbursementUser)
	kept.Secret("mtn disbursementAPISecret", simulator.DefaultMTNDisbursementKey)
	kept.Phone("the payer", phone)
}

// learn adds what came into being since: what the providers told, the operator's own key, and the paths of callbacks.
func learn(ctx context.Context) {
	for _, secret := range sim.Secrets() {
		kept.Secret("a token, a session or its page", secret)
	}
	var secrets corev1.SecretList
	if api.List(ctx, &secrets, client.InNamespace(operatorNamespace)) == nil {
		for _, s := range secrets.Items {
			for key, value := range s.Data {
				kept.Secret("the operator's Secret "+s.Name+" "+key, string(value))
			}
		}
	}
	var charges v1alpha1.ChargeList
	if paths := callbackPaths(ctx); paths != nil && api.List(ctx, &charges) == nil {
		for _, c := range charges.Items {
			kept.Secret("the path of a callback", paths.ID(c.Spec.Provider, c.Name))
		}
	}
}

// callbackPaths make the paths of callbacks; nil: no manager has made a key yet.
func callbackPaths(ctx context.Context) *installation.PathKeys {
	var s corev1.Secret
	if api.Get(ctx, types.NamespacedName{Namespace: operatorNamespace, Name: "mobile-money-operator-key"}, &s) != nil {
		return nil
	}
	return installation.Installation{Key: s.Data["key"]}.PathKeys()
}

// expectNoSecrets wants none of it in a text, in no form.
func expectNoSecrets(ctx context.Context, what, text string) {
	GinkgoHelper()
	learn(ctx)
	Expect(leaks(text)).To(BeEmpty(), "%s holds secrets", what)
}

// leaks are what was found, each with what stands before it.
func leaks(text string) []string {
	var out []string
	for _, l := range kept.Find(text) {
		from, to := max(0, l.At-200), max(0, min(l.At, len(text)))
		out = append(out, fmt.Sprintf("%v after %q", l, text[min(from, to):to]))
	}
	return out
}

// scrape is what the metrics of a manager say; empty where it is gone.
func (p *process) scrape() string {
	r, err := http.Get("http://" + p.metrics + "/metrics")
	if err != nil {
		return ""
	}
	defer r.Body.Close()
	text, _ := io.ReadAll(r.Body)
	return string(text)
}

// published is all that is in the cluster for others than its owner to read, as JSON: what a Charge
// and nextAction are there to keep is left out, and the spec that the user wrote.
func published(ctx context.Context) []string {
	GinkgoHelper()
	var payments v1alpha1.PaymentList
	var charges v1alpha1.ChargeList
	lists := []client.ObjectList{
		&payments, &charges, &v1alpha1.RefundList{}, &v1alpha1.MerchantAccountList{}, &v1alpha1.ClusterMerchantAccountList{},
		&corev1.EventList{}, &eventsv1.EventList{},
	}
	for _, list := range lists {
		Expect(api.List(ctx, list)).To(Succeed())
	}
	for i := range payments.Items {
		p := &payments.Items[i]
		p.Spec.Phone, p.Status.NextAction = "", nil
		delete(p.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	for i := range charges.Items {
		charges.Items[i].Record.Session, charges.Items[i].Spec.CallbackID = nil, ""
	}
	var out []string
	for _, list := range lists {
		text, err := json.Marshal(list)
		Expect(err).NotTo(HaveOccurred())
		out = append(out, string(text))
	}
	return out
}

var _ = AfterEach(func(ctx context.Context) {
	for _, text := range published(ctx) {
		expectNoSecrets(ctx, "the cluster", text)
	}
})

var _ = Describe("Nothing leaks", func() {
	It("I-1 I-2 at the highest verbosity, whatever ends how: the log for people, and the log for machines", func(ctx context.Context) {
		// Each format prints other things: the one for people whole objects.
		managers := []*process{
			startManager(ctx, "--zap-devel=true"),
			startManager(ctx, "--zap-devel=false", "--zap-encoder=json", "--zap-stacktrace-level=info"),
		}
		ns := tenant(ctx, time.Second)
		refundKeys(ctx, ns)
		// Good and bad ends, forged callbacks, and an account that is wrong.
		amounts := map[string]int64{"paid": 5901, "declined": 5903, "late": 5906, "mismatch": 5943, "odd": 5942, "forged": 5964}
		for name, amount := range amounts {
			for _, provider := range allProviders() {
				Expect(api.Create(ctx, newPayment(ns, provider+"-"+name, provider, amount))).To(Succeed())
			}
		}
		wrong := newNamespace(ctx)
		for _, provider := range allProviders() {
			secret := newSecret(wrong, provider)
			for key := range secret.StringData {
				secret.StringData[key] = "wrong-but-secret-" + key
				kept.Secret("wrong "+key, secret.StringData[key])
			}
			Expect(api.Create(ctx, secret)).To(Succeed())
			Expect(api.Create(ctx, newAccount(wrong, provider, time.Second))).To(Succeed())
			Expect(api.Create(ctx, newPayment(wrong, provider, provider, 5901))).To(Succeed())
		}
		for _, provider := range allProviders() {
			reaches(ctx, ns, provider+"-paid", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			reaches(ctx, wrong, provider, v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
			Expect(api.Create(ctx, newRefund(ns, provider, provider+"-paid", 0))).To(Succeed())
		}
		reaches(ctx, ns, "mtn-declined", v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined)
		reaches(ctx, ns, "mtn-late", v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout)
		refundReaches(ctx, ns, "mtn", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
		refundReaches(ctx, ns, "wave", v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)

		// A genuine path with a body of a stranger's, full of what is not his to tell.
		p := get(ctx, Default, ns, "orange-paid")
		body := strings.Join(append(sim.Secrets(), phone), "\n")
		for _, m := range managers {
			r, err := http.Post("http://"+m.callbacks+"/callbacks/orange/"+callbackPaths(ctx).ID("orange", p.Status.ChargeName)+"?"+phone,
				"application/json", strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			r.Body.Close()
		}

		for _, m := range managers {
			Expect(m.out.String()).To(ContainSubstring("Reconcile successful"), "the log is at its loudest")
			Expect(m.scrape()).To(ContainSubstring("mobilemoney_"))
		}
		// What is said is searched when the spec is over, here as everywhere.
	})
})
