package manager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// notReady waits until /readyz says that something is missing.
func (p *process) notReady(missing string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		r, err := http.Get("http://" + p.probes + "/readyz?verbose")
		g.Expect(err).NotTo(HaveOccurred())
		defer r.Body.Close()
		g.Expect(r.StatusCode).NotTo(Equal(http.StatusOK))
		_, _ = io.Copy(io.Discard, r.Body)
		// The API hides the reasons of a probe; the log tells them.
		g.Expect(p.out.String()).To(ContainSubstring(missing))
	}, "20s", "200ms").Should(Succeed())
}

// deleteCRDs deletes all kinds; those named stay until somebody takes the finalizers off.
func deleteCRDs(ctx context.Context, held ...string) {
	GinkgoHelper()
	crds, err := env.ReadManifests("config/crd/bases")
	Expect(err).NotTo(HaveOccurred())
	for _, crd := range crds {
		Expect(api.Delete(ctx, crd)).To(Succeed())
	}
	for _, crd := range crds {
		if fmt.Sprint(held) == "["+crd.GetName()+"]" {
			continue
		}
		Eventually(func() bool {
			return apierrors.IsNotFound(api.Get(ctx, client.ObjectKeyFromObject(crd), crd.DeepCopy()))
		}, "30s", "50ms").Should(BeTrue(), crd.GetName())
	}
}

// established waits until all kinds are served, and applies the CRDs until they are: one
// that is being deleted takes nothing new.
func established(ctx context.Context) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		g.Expect(env.ApplyManifests(ctx, "config/crd/bases")).To(Succeed())
		for _, list := range []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.ChargeList{}, &v1alpha1.MerchantAccountList{}, &v1alpha1.ClusterMerchantAccountList{}, &v1alpha1.RefundList{}} {
			g.Expect(api.List(ctx, list)).To(Succeed())
		}
		var crd apiextensionsv1.CustomResourceDefinition
		g.Expect(api.Get(ctx, client.ObjectKey{Name: "merchantaccounts.mobilemoney.dev"}, &crd)).To(Succeed())
		g.Expect(crd.DeletionTimestamp).To(BeNil())
	}, "60s", "500ms").Should(Succeed())
}

var _ = Describe("The installed CRDs", Ordered, func() {
	BeforeAll(func(ctx context.Context) { use(secondCluster(ctx)) })

	It("K7b operator removed first, then the CRDs, and installed again as the docs say", func(ctx context.Context) {
		const held = "merchantaccounts.mobilemoney.dev" // its accounts bear the operator's finalizer
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		isKept(ctx, newAccount(ns, "mtn", 0))
		m.stop(syscall.SIGTERM)
		deleteCRDs(ctx, held)
		var crd apiextensionsv1.CustomResourceDefinition
		Expect(api.Get(ctx, client.ObjectKey{Name: held}, &crd)).To(Succeed())
		Expect(crd.DeletionTimestamp).NotTo(BeNil())

		By("starting before the CRDs are there: it waits for them and is not ready")
		m = startManagerUnready(ctx)
		m.notReady("CRD charges.mobilemoney.dev")
		status, _ := visit(ctx, Default, "http://"+m.probes+"/healthz", "")
		Expect(status).To(Equal(http.StatusOK))

		By("installing again: the operator lets the accounts go, and the CRDs are applied once more")
		Expect(env.ApplyManifests(ctx, "config/crd/bases")).To(Succeed())
		m.notReady(held)
		established(ctx)
		Eventually(m.ready, "30s", "200ms").Should(Succeed())
		Expect(api.Create(ctx, newAccount(ns, "mtn", time.Second))).To(Succeed())
		Expect(api.Create(ctx, newPayment(ns, "again", "mtn", 5901))).To(Succeed())
		Eventually(func(g Gomega) { g.Expect(get(ctx, g, ns, "again").Status.Phase).NotTo(BeEmpty()) }, "90s", "200ms").Should(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "again", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		m.stop(syscall.SIGTERM)
	})
})

// withoutField serves a CRD that drops a field which the operator writes, until the spec
// is over. Rules go with it: they may name the field.
func withoutField(ctx context.Context, crd string, path ...string) {
	GinkgoHelper()
	DeferCleanup(func(ctx context.Context) { Expect(env.ApplyManifests(ctx, "config/crd/bases")).To(Succeed()) })
	var d apiextensionsv1.CustomResourceDefinition
	Expect(api.Get(ctx, client.ObjectKey{Name: crd}, &d)).To(Succeed())
	root := d.Spec.Versions[0].Schema.OpenAPIV3Schema
	schemas("", root, func(_ string, s *apiextensionsv1.JSONSchemaProps) { s.XValidations = nil })
	d.Spec.Versions[0].Schema.OpenAPIV3Schema = dropField(root.DeepCopy(), path...)
	Expect(api.Update(ctx, &d)).To(Succeed())
}

func dropField(s *apiextensionsv1.JSONSchemaProps, path ...string) *apiextensionsv1.JSONSchemaProps {
	name := path[0]
	if len(path) == 1 {
		delete(s.Properties, name)
		s.Required = slices.DeleteFunc(s.Required, func(r string) bool { return r == name })
		return s
	}
	field := s.Properties[name]
	if field.Items != nil {
		field.Items.Schema = dropField(field.Items.Schema, path[1:]...)
	} else {
		field = *dropField(&field, path[1:]...)
	}
	s.Properties[name] = field
	return s
}

// writesOf counts what managers wrote to Charges, refused and dropped writes included.
func writesOf(g Gomega) (n int) {
	for _, a := range requests(g) {
		if a.ObjectRef != nil && a.ObjectRef.Resource == "charges" && (a.Verb == "create" || a.Verb == "update") {
			n++
		}
	}
	return n
}

var _ = Describe("A CRD that lost a field", func() {
	It("K6b: nothing is charged or given back twice, there are few calls and writes, and /readyz says so", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		refundKeys(ctx, ns)
		sales := paidSales(ctx, ns, "paid-")
		// made creates objects and tells what the next seconds cost. It were thousands.
		made := func(missing string, objects ...client.Object) (writes, calls int) {
			withoutField(ctx, "charges.mobilemoney.dev", strings.Split(strings.ReplaceAll(missing, "[]", ""), ".")...)
			m.notReady("Charge." + missing)
			writes, calls = writesOf(Default), sim.Count("", "")
			for _, o := range objects {
				Expect(api.Create(ctx, o)).To(Succeed())
			}
			time.Sleep(3 * time.Second)
			return writesOf(Default) - writes, sim.Count("", "") - calls
		}
		writes, _ := made("record.refunds[].sends", newRefund(ns, "mtn", "paid-mtn", 0), newRefund(ns, "wave", "paid-wave", 0))
		Expect(writes).To(BeNumerically("<", 40))
		for _, s := range sales {
			Expect(len(sim.Refunds(s.reference))).To(BeNumerically("<=", 1))
		}
		writes, calls := made("record.sends", newPayment(ns, "mtn", "mtn", 5901), newPayment(ns, "orange", "orange", 5901), newPayment(ns, "wave", "wave", 5901))
		Expect(writes).To(BeNumerically("<", 120))
		Expect(calls).To(BeNumerically("<", 80))
		for _, c := range chargesOf(ctx, ns) {
			Expect(sim.Charges(c.Spec.ProviderReference)).To(BeNumerically("<=", 1), c.Spec.Provider)
		}
	})
})

func chargesOf(ctx context.Context, namespace string) (all []v1alpha1.Charge) {
	GinkgoHelper()
	var list v1alpha1.ChargeList
	Expect(api.List(ctx, &list)).To(Succeed())
	for _, c := range list.Items {
		if c.Spec.Payment.Namespace == namespace {
			all = append(all, c)
		}
	}
	return all
}

// refuse has the API server refuse writes of a kind, as a policy of the cluster does,
// until the returned function is called.
func refuse(ctx context.Context, resource string, operation admissionv1.OperationType, unless string) (allow func()) {
	GinkgoHelper()
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "refuse-"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{operation},
					Rule:       admissionv1.Rule{APIGroups: []string{v1alpha1.SchemeGroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{resource}},
				},
			}}},
			Validations: []admissionv1.Validation{{Expression: unless, Message: "every object needs the label team"}},
		},
	}
	Expect(api.Create(ctx, policy)).To(Succeed())
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: policy.Name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: policy.Name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	Expect(api.Create(ctx, binding)).To(Succeed())
	done := false
	allow = func() {
		if !done {
			done = true
			Expect(api.Delete(context.WithoutCancel(ctx), binding)).To(Succeed())
			Expect(api.Delete(context.WithoutCancel(ctx), policy)).To(Succeed())
		}
	}
	DeferCleanup(allow)
	return allow
}

// refusedNow waits until a policy is in force: the API server compiles it first.
func refusedNow(ctx context.Context, o client.Object) {
	GinkgoHelper()
	Eventually(func() error {
		return api.Create(ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
	}, "20s", "100ms").Should(MatchError(ContainSubstring("label team")))
}

var _ = Describe("A policy of the cluster", func() {
	It("K5f that refuses the operator's record: the Payment says so, is Stalled, and goes on once it is mended", func(ctx context.Context) {
		m := startManager(ctx)
		ns := tenant(ctx, time.Second)
		allow := refuse(ctx, "charges", admissionv1.Create, "has(object.metadata.labels) && 'team' in object.metadata.labels")
		charge := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-of-nobody"}, Spec: v1alpha1.ChargeSpec{
			InstallationID: "nobody", ReferenceVersion: "v2", Payment: v1alpha1.PaymentIdentity{Namespace: ns, Name: "none", UID: "none"},
			Provider: "mtn", Account: v1alpha1.AccountPin{Kind: "MerchantAccount", Name: "mtn", Environment: "sandbox"},
			Requested: v1alpha1.Money{Amount: "1", Currency: "XOF"}, Money: v1alpha1.Money{Amount: "1", Currency: "EUR"},
			MerchantReference: "none", Fingerprint: "none", ProviderReference: "none", TimeoutSeconds: 60,
		}}
		refusedNow(ctx, charge)
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
		}
		each(allProviders(), func(provider string) {
			p := reaches(ctx, ns, provider, v1alpha1.PhasePending, v1alpha1.ReasonRecordRefused)
			Expect(meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionStalled)).To(BeTrue())
			Expect(meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReconciling)).To(BeNil())
			Expect(messageOf(p)).To(And(ContainSubstring("admission policies"), MatchRegexp(`\((Invalid|Forbidden)\)`)))
			Eventually(m.out.String).Should(MatchRegexp(`"error": "[^"]*Payment ` + ns + "/" + provider))
		})
		Expect(chargesOf(ctx, ns)).To(BeEmpty())
		allow()
		for _, s := range paid(ctx, ns, "") {
			s.chargedOnce()
		}
	})
})
