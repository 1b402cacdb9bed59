package manager

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// with is an object with one more field, which its Go type does not have.
func with(o client.Object, value string, path ...string) *unstructured.Unstructured {
	GinkgoHelper()
	gvk, err := env.Client().GroupVersionKindFor(o)
	Expect(err).NotTo(HaveOccurred())
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	Expect(err).NotTo(HaveOccurred())
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(gvk)
	Expect(unstructured.SetNestedField(u.Object, value, path...)).To(Succeed())
	return u
}

// pruned: strict clients, such as kubectl, are told that there is no such field. For
// all others it is not stored.
func pruned(ctx context.Context, u *unstructured.Unstructured, path ...string) {
	GinkgoHelper()
	strict := client.WithFieldValidation(api, metav1.FieldValidationStrict)
	Expect(strict.Create(ctx, u.DeepCopy())).To(MatchError(ContainSubstring("unknown field")))
	Expect(api.Create(ctx, u)).To(Succeed())
	Expect(api.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
	_, found, err := unstructured.NestedString(u.Object, path...)
	Expect(err).NotTo(HaveOccurred())
	Expect(found).To(BeFalse())
}

var _ = Describe("The credentials of another", func() {
	It("H1 are not reached by a namespace in secretRef", func(ctx context.Context) {
		startManager(ctx)
		victim, ns := tenant(ctx, time.Second), newNamespace(ctx)
		pruned(ctx, with(newAccount(ns, "mtn", time.Second), victim, "spec", "secretRef", "namespace"), "spec", "secretRef", "namespace")
		// Nor by a name that looks like a path.
		byName := newAccount(ns, "wave", time.Second)
		byName.Spec.SecretRef.Name = "../" + victim + "/secrets/wave-credentials"
		Expect(api.Create(ctx, byName)).To(MatchError(ContainSubstring("must be the name of a Secret")))
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5901))).To(Succeed())
		p := reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonCredentialsNotFound)
		Expect(p.Status.Conditions[0].Message).NotTo(ContainSubstring(victim))
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound)
		Expect(p.Status.ChargeName).To(BeEmpty())
	})

	It("H2 are not reached by naming a Secret in a Payment", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		Expect(api.Create(ctx, newSecret(ns, "mtn"))).To(Succeed())
		pruned(ctx, with(newPayment(ns, "field", "mtn", 5901), "mtn-credentials", "spec", "secretRef", "name"), "spec", "secretRef", "name")
		reaches(ctx, ns, "field", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)

		named := newPayment(ns, "named", "mtn", 5901)
		named.Spec.AccountRef = &v1alpha1.AccountReference{Kind: "MerchantAccount", Name: "mtn-credentials"}
		Expect(api.Create(ctx, named)).To(Succeed())
		reaches(ctx, ns, "named", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)
		kind := newPayment(ns, "kind", "mtn", 5901)
		kind.Spec.AccountRef = &v1alpha1.AccountReference{Kind: "Secret", Name: "mtn-credentials"}
		Expect(api.Create(ctx, kind)).To(MatchError(ContainSubstring("Unsupported value")))
	})

	It("H3 are not taken from a Secret that serves something else", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		foreign := newSecret(ns, "mtn")
		foreign.Type = corev1.SecretTypeServiceAccountToken
		foreign.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
		Expect(api.Create(ctx, foreign)).To(Succeed())
		Expect(api.Create(ctx, newAccount(ns, "mtn", time.Second))).To(Succeed())
		Expect(api.Create(ctx, newPayment(ns, "order", "mtn", 5901))).To(Succeed())
		reaches(ctx, ns, "order", v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		expectReady(ctx, ns, "mtn", metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured)

		Expect(api.Delete(ctx, foreign)).To(Succeed())
		own := newSecret(ns, "mtn")
		own.Type = v1alpha1.SecretTypeCredentials
		Expect(api.Create(ctx, own)).To(Succeed())
		paidOnce(ctx, reaches(ctx, ns, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
	})

	It("H5 are not sent to a host that a tenant names", func(ctx context.Context) {
		startManager(ctx, "--allowed-endpoints=gateway.example")
		ns := tenant(ctx, time.Second) // at the simulator, which is not allowed now
		for _, provider := range allProviders() {
			Expect(api.Create(ctx, newPayment(ns, provider, provider, 5901))).To(Succeed())
			p := reaches(ctx, ns, provider, v1alpha1.PhasePending, v1alpha1.ReasonEndpointNotAllowed)
			Expect(p.Status.Conditions[0].Message).To(ContainSubstring("sends nothing to host"))
			expectReady(ctx, ns, provider, metav1.ConditionFalse, v1alpha1.ReasonEndpointNotAllowed)
			Expect(p.Status.ChargeName).To(BeEmpty())
		}
	})
})
