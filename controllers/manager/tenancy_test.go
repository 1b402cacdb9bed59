package manager

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// sharedAccount is a ClusterMerchantAccount at mtn, with its Secret in the operator's namespace.
func sharedAccount(ctx context.Context, name string, allowed v1alpha1.AllowedNamespaces) *v1alpha1.ClusterMerchantAccount {
	GinkgoHelper()
	secret := newSecret(operatorNamespace, "mtn")
	secret.Name = "vault-of-" + name
	Expect(api.Create(ctx, secret)).To(Succeed())
	spec := newAccount("", "mtn", time.Second).Spec
	spec.SecretRef.Name = secret.Name
	a := &v1alpha1.ClusterMerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: spec, AllowedNamespaces: allowed},
	}
	Expect(api.Create(ctx, a)).To(Succeed())
	DeferCleanup(func(ctx context.Context) {
		Expect(api.Delete(ctx, a)).To(Succeed())
		Expect(api.Delete(ctx, secret)).To(Succeed())
	})
	return a
}

func through(kind, name string) *v1alpha1.AccountReference {
	return &v1alpha1.AccountReference{Kind: kind, Name: name}
}

// told is everything that somebody who reads a whole namespace is told in it: the
// status of its objects, and its events.
func told(ctx context.Context, namespace string) string {
	GinkgoHelper()
	var text strings.Builder
	for _, list := range []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.RefundList{}, &v1alpha1.MerchantAccountList{}, &corev1.EventList{}} {
		Expect(api.List(ctx, list, client.InNamespace(namespace))).To(Succeed())
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(list)
		Expect(err).NotTo(HaveOccurred())
		for _, item := range content["items"].([]any) {
			o := item.(map[string]any)
			said := o["status"]
			if o["involvedObject"] != nil {
				said = o["message"]
			}
			line, err := json.Marshal(said)
			Expect(err).NotTo(HaveOccurred())
			text.Write(line)
		}
	}
	return text.String()
}

var _ = Describe("Tenants", func() {
	It("H1 H2 no field of a Payment names a Secret, and none of a Payment or an account another namespace", func(ctx context.Context) {
		ns := newNamespace(ctx)
		payment := newPayment(ns, "", "mtn", 5901)
		payment.Spec.AccountRef = through("MerchantAccount", "mtn")
		for field, o := range map[string]client.Object{
			"secretRef.namespace": newAccount(ns, "mtn", time.Second), "accountRef.namespace": payment, "secretRef.name": payment, "credentials": payment,
		} {
			gvk, err := api.GroupVersionKindFor(o)
			Expect(err).NotTo(HaveOccurred())
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
			Expect(err).NotTo(HaveOccurred())
			path := append([]string{"spec"}, strings.Split(field, ".")...)
			u := &unstructured.Unstructured{Object: content}
			u.SetGroupVersionKind(gvk)
			u.SetName(strings.ToLower(field))
			Expect(unstructured.SetNestedField(u.Object, "victim", path...)).To(Succeed())
			Expect(api.Create(ctx, u.DeepCopy(), client.FieldValidation(metav1.FieldValidationStrict))).To(MatchError(ContainSubstring("unknown field")), field)
			// Who is not strict has it dropped.
			Expect(api.Create(ctx, u)).To(Succeed(), field)
			_, found, err := unstructured.NestedString(u.Object, path...)
			Expect(found || err != nil).To(BeFalse(), field)
		}
	})

	It("H16 a namespace neither uses nor learns of the accounts and Secrets of another", func(ctx context.Context) {
		startManager(ctx)
		victim, attacker := newNamespace(ctx), newNamespace(ctx)
		secret := newSecret(victim, "mtn")
		secret.Name = "victims-vault"
		Expect(api.Create(ctx, secret)).To(Succeed())
		account := newAccount(victim, "victims-mtn", time.Second)
		account.Spec = newAccount(victim, "mtn", time.Second).Spec
		account.Spec.SecretRef.Name = secret.Name
		Expect(api.Create(ctx, account)).To(Succeed())
		expectReady(ctx, victim, "victims-mtn", metav1.ConditionTrue, v1alpha1.ReasonAccountChecked)
		calls := sim.Count(simulator.MTN, "")

		named := newPayment(attacker, "named", "mtn", 5901)
		named.Spec.AccountRef = through("MerchantAccount", "victims-mtn")
		Expect(api.Create(ctx, named)).To(Succeed())
		stolen := newAccount(attacker, "mtn", time.Second)
		stolen.Spec.SecretRef.Name = secret.Name
		Expect(api.Create(ctx, stolen)).To(Succeed())
		Expect(api.Create(ctx, newPayment(attacker, "by-secret", "mtn", 5901))).To(Succeed())

		there := reaches(ctx, attacker, "named", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)
		reaches(ctx, attacker, "by-secret", v1alpha1.PhasePending, v1alpha1.ReasonCredentialsNotFound)
		expectReady(ctx, attacker, "mtn", metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound)
		Expect(told(ctx, attacker)).NotTo(ContainSubstring(victim))

		// With an account that is nowhere the answer is the same, but for the name.
		guess := newPayment(attacker, "guess", "mtn", 5901)
		guess.Spec.AccountRef = through("MerchantAccount", "nobodys-mtn")
		Expect(api.Create(ctx, guess)).To(Succeed())
		nowhere := reaches(ctx, attacker, "guess", v1alpha1.PhasePending, v1alpha1.ReasonAccountNotFound)
		Expect(strings.ReplaceAll(messageOf(nowhere), "nobodys-", "victims-")).To(Equal(messageOf(there)))

		for _, path := range []string{"../../" + victim + "/secrets/victims-vault", victim + "/victims-vault", "..%2fvictims-vault", "."} {
			traversal := newAccount(attacker, "traversal", time.Second)
			traversal.Spec = stolen.Spec
			traversal.Spec.SecretRef.Name = path
			Expect(api.Create(ctx, traversal)).To(MatchError(ContainSubstring("secretRef.name")), path)
		}
		Expect(sim.Count(simulator.MTN, "")).To(Equal(calls), "nothing was sent with the victim's keys")
	})

	It("H16 a shared account is for nobody by default, for who has the label once it has it, and tells others nothing", func(ctx context.Context) {
		startManager(ctx)
		ns := newNamespace(ctx)
		refused := func(name, account string) *v1alpha1.Payment {
			GinkgoHelper()
			p := newPayment(ns, name, "mtn", 5901)
			p.Spec.AccountRef = through("ClusterMerchantAccount", account)
			Expect(api.Create(ctx, p)).To(Succeed())
			return reaches(ctx, ns, name, v1alpha1.PhasePending, v1alpha1.ReasonAccountNotAllowed)
		}
		sharedAccount(ctx, "closed-one", v1alpha1.AllowedNamespaces{})
		sharedAccount(ctx, "opened-one", v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"pays": "yes"}}})
		calls := sim.Count(simulator.MTN, simulator.OpInitiate)
		closed, labelled, none := refused("closed", "closed-one"), refused("labelled", "opened-one"), refused("none", "absent-one")
		for name, p := range map[string]*v1alpha1.Payment{"closed": closed, "opened": labelled} {
			Expect(strings.ReplaceAll(messageOf(p), name+"-one", "absent-one")).To(Equal(messageOf(none)))
		}
		Expect(told(ctx, ns)).NotTo(Or(ContainSubstring("vault-of"), ContainSubstring(operatorNamespace)))
		Expect(sim.Count(simulator.MTN, simulator.OpInitiate)).To(Equal(calls))

		label := func(value string) {
			patch := `{"metadata":{"labels":{"pays":` + value + `}}}`
			Expect(api.Patch(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}, client.RawPatch(types.MergePatchType, []byte(patch)))).To(Succeed())
		}
		label(`"yes"`)
		paidOnce(ctx, reaches(ctx, ns, "labelled", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid))
		Expect(reasonOf(get(ctx, Default, ns, "closed"))).To(Equal(v1alpha1.ReasonAccountNotAllowed))
		label("null")
		refused("afterwards", "opened-one")
	})

	It("H14 the same name and reference in two namespaces at one shared account are two sales that know nothing of each other", func(ctx context.Context) {
		startManager(ctx)
		a, b := newNamespace(ctx), newNamespace(ctx)
		shared := sharedAccount(ctx, "market", v1alpha1.AllowedNamespaces{Names: []string{a, b}})
		sell := func(ns string, amount int64) {
			p := newPayment(ns, "order", "mtn", amount)
			p.Spec.Reference = "invoice-7"
			p.Spec.AccountRef = through("ClusterMerchantAccount", shared.Name)
			Expect(api.Create(ctx, p)).To(Succeed())
		}
		sell(a, 5901)
		first := reaches(ctx, a, "order", v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		// The other one asks for the very same, and is not told that it is paid.
		sell(b, 5903)
		second := reaches(ctx, b, "order", v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined)
		Expect(second.Status.ChargeName).NotTo(Equal(first.Status.ChargeName))
		Expect(chargeOf(ctx, second).Spec.ProviderReference).NotTo(Equal(chargeOf(ctx, first).Spec.ProviderReference))
		paidOnce(ctx, first)
		Expect(sim.Charges(chargeOf(ctx, second).Spec.ProviderReference)).To(BeZero())
		Expect(told(ctx, b)).NotTo(Or(ContainSubstring(first.Status.TransactionID), ContainSubstring(a)))

		// Nor does a Refund over there give back what was paid here.
		Expect(api.Create(ctx, newRefund(b, "back", "order", 0))).To(Succeed())
		Eventually(func(g Gomega) {
			var r v1alpha1.Refund
			g.Expect(api.Get(ctx, types.NamespacedName{Namespace: b, Name: "back"}, &r)).To(Succeed())
			g.Expect(r.Status.Phase).NotTo(BeEmpty())
			g.Expect(r.Status.Phase).NotTo(Equal(v1alpha1.RefundSucceeded))
		}, "20s", "100ms").Should(Succeed())
		Expect(sim.Refunds(chargeOf(ctx, first).Spec.ProviderReference)).To(BeEmpty())
		Expect(get(ctx, Default, a, "order").Status).To(Equal(first.Status))
	})
})
