package crd_test

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/v1alpha1"
)

func newPayment(name, provider string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.AmountFromInt(5000), Phone: "+2250501020304"},
	}
}

func TestStatus_StaysWhateverTheWayIn(t *testing.T) {
	g, ctx, c := NewWithT(t), t.Context(), env.Client()
	const finished, phase, charge = "a finished Payment stays", "phase cannot be removed", "chargeName cannot change"
	says := func(err error, causes ...any) {
		t.Helper()
		for i, cause := range causes {
			causes[i] = ContainSubstring(cause.(string))
		}
		g.Expect(causesOf(err)).To(ConsistOf(causes...))
	}
	p := newPayment("stays", "mtn")
	p.Status.Phase = v1alpha1.PhaseSucceeded
	g.Expect(c.Create(ctx, p)).To(Succeed())
	g.Expect(p.Status).To(Equal(v1alpha1.PaymentStatus{ObservedGeneration: -1}), "status at creation")

	applied := func(status map[string]any) error {
		u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
		u.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("Payment"))
		u.SetNamespace("default")
		u.SetName("stays")
		return c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("operator"))
	}
	g.Expect(applied(map[string]any{"phase": "Failed", "chargeName": "c1"})).To(Succeed())

	for _, patch := range []client.Patch{
		client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/status"}]`)),
		client.RawPatch(types.JSONPatchType, []byte(`[{"op":"replace","path":"/status","value":{}}]`)),
		client.RawPatch(types.MergePatchType, []byte(`{"status":null}`)),
		client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":null,"chargeName":null}}`)),
	} {
		says(c.Status().Patch(ctx, p.DeepCopy(), patch), finished, phase, charge)
	}
	// Server-side apply takes away what its manager no longer names.
	says(applied(map[string]any{}), finished, phase, charge)
	says(applied(map[string]any{"phase": "Failed"}), charge)

	// Through the main resource a write of status is without effect.
	g.Expect(c.Patch(ctx, p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/status"}]`)))).To(Succeed())
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	g.Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseFailed))

	// The whole spec cannot go and come back by patch either.
	removed := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec"}]`))
	g.Expect(causesOf(c.Patch(ctx, p.DeepCopy(), removed))).To(ContainElement("spec: Required value"))
	spec := `[{"op":"remove","path":"/spec"},{"op":"add","path":"/spec","value":{"provider":"mtn","amount":999,"phone":"+2250501020304"}}]`
	says(c.Patch(ctx, p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(spec))), "amount cannot change after creation")
}

// An object that the operator has not seen is InProgress for kstatus: its observed generation is not its generation.
func TestStatus_OfAnUnseenObjectIsOfNoGeneration(t *testing.T) {
	for _, k := range kinds(t) {
		if k.crd.Spec.Names.Kind == "Charge" {
			continue // it has no status
		}
		for _, edit := range []string{``, `-status`, `status=null`} {
			stored, refused := k.write(t, k.object(edit), nil, false)
			if len(refused) > 0 || stored.Object["status"].(object)["observedGeneration"] != int64(-1) {
				t.Errorf("%s %s: %v, %q", k.crd.Spec.Names.Kind, edit, stored, refused)
			}
		}
	}
}

func TestCRDs_AreFoundByFields(t *testing.T) {
	g, ctx, c := NewWithT(t), t.Context(), env.Client()
	for _, name := range []string{"select-paid", "select-open"} {
		p := newPayment(name, "selectable")
		p.Spec.Reference = "inv/7:1#" + name
		g.Expect(c.Create(ctx, p)).To(Succeed())
		if name == "select-paid" {
			p.Status.Phase = v1alpha1.PhaseSucceeded
			g.Expect(c.Status().Update(ctx, p)).To(Succeed())
		}
	}
	names := func(fields client.MatchingFields) (names []string) {
		var list v1alpha1.PaymentList
		g.Expect(c.List(ctx, &list, client.InNamespace("default"), fields)).To(Succeed())
		for _, p := range list.Items {
			names = append(names, p.Name)
		}
		return names
	}
	g.Expect(names(client.MatchingFields{"spec.provider": "selectable"})).To(ConsistOf("select-paid", "select-open"))
	g.Expect(names(client.MatchingFields{"spec.provider": "selectable", "status.phase": "Succeeded"})).To(ConsistOf("select-paid"))
	g.Expect(names(client.MatchingFields{"spec.provider": "selectable", "status.phase": ""})).To(ConsistOf("select-open"))
	g.Expect(names(client.MatchingFields{"spec.reference": "inv/7:1#select-open"})).To(ConsistOf("select-open"))
	g.Expect(c.List(ctx, &v1alpha1.ChargeList{}, client.MatchingFields{"spec.provider": "mtn"})).To(Succeed())
	g.Expect(c.List(ctx, &v1alpha1.PaymentList{}, client.MatchingFields{"spec.phone": "+2250501020304"})).
		To(MatchError(ContainSubstring("field label not supported")))
}

func TestCRDs_Names(t *testing.T) {
	g := NewWithT(t)
	for _, k := range kinds(t) {
		names, status := k.crd.Spec.Names, k.crd.Spec.Versions[0].Subresources
		g.Expect(names.Categories).To(ConsistOf("mobilemoney"), names.Kind)
		if names.Kind == "Payment" {
			g.Expect(names.ShortNames).To(ConsistOf("pay"))
		}
		cluster := k.crd.Spec.Scope == apiextensionsv1.ClusterScoped
		g.Expect(cluster).To(Equal(names.Kind == "Charge" || names.Kind == "ClusterMerchantAccount"), names.Kind)
		// Backup tools drop what is named status.
		g.Expect(status != nil && status.Status != nil).To(Equal(names.Kind != "Charge"), names.Kind)
	}
}

// What kubectl get shows. The payer's phone is in no column, not even a wide one.
func TestCRDs_Columns(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	p := newPayment("columns", "mtn")
	p.Spec.Reference = "order-1042"
	g.Expect(env.Client().Create(ctx, p)).To(Succeed())
	p.Status = v1alpha1.PaymentStatus{
		Phase: v1alpha1.PhaseProcessing, Currency: "EUR", Account: "MerchantAccount/mtn", Environment: "sandbox", Reference: "order-1042",
		Conditions: []metav1.Condition{{Type: "Succeeded", Status: "Unknown", Reason: "AwaitingPayer", LastTransitionTime: metav1.Now()}},
	}
	g.Expect(env.Client().Status().Update(ctx, p)).To(Succeed())

	columns, cells := table(t, "namespaces/default/payments/columns")
	g.Expect(columns).To(Equal([]string{"Name", "Provider", "Amount", "Currency", "Phase", "Reason", "Age", "(Account)", "(Environment)", "(Reference)", "(Transaction)", "(Completed)"}))
	cells[6] = "" // Age
	g.Expect(cells).To(Equal([]any{"columns", "mtn", "5000", "EUR", "Processing", "AwaitingPayer", "", "MerchantAccount/mtn", "sandbox", "order-1042", nil, nil}))

	columns, _ = table(t, "charges")
	g.Expect(columns).To(Equal([]string{"Name", "Provider", "Amount", "Currency", "Namespace", "Payment", "Sends", "Outcome", "Age"}))
	columns, _ = table(t, "refunds")
	g.Expect(columns).To(Equal([]string{"Name", "Payment", "Amount", "Currency", "Phase", "Reason", "Age", "(Account)"}))
	for _, accounts := range []string{"merchantaccounts", "clustermerchantaccounts"} {
		columns, _ = table(t, accounts)
		g.Expect(columns).To(Equal([]string{"Name", "Provider", "Environment", "Currency", "Ready", "Reason", "Age"}))
	}
}

// table returns the columns of a resource, wide ones in parentheses, and the cells of the first row.
func table(t *testing.T, resource string) (columns []string, cells []any) {
	t.Helper()
	g := NewWithT(t)
	d, err := discovery.NewDiscoveryClientForConfig(env.AdminConfig())
	g.Expect(err).NotTo(HaveOccurred())
	body, err := d.RESTClient().Get().AbsPath("/apis/"+v1alpha1.SchemeGroupVersion.String()+"/"+resource).
		Param("includeObject", "None").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	var shown metav1.Table
	g.Expect(json.Unmarshal(body, &shown)).To(Succeed())
	for _, c := range shown.ColumnDefinitions {
		if c.Priority > 0 {
			c.Name = "(" + c.Name + ")"
		}
		columns = append(columns, c.Name)
	}
	if len(shown.Rows) > 0 {
		cells = shown.Rows[0].Cells
	}
	return columns, cells
}
