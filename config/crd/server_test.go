package crd_test

import (
	"context"
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

func TestRules_OnAnAPIServer(t *testing.T) {
	env := testenv.ForTest(t)
	for name, test := range map[string]func(*testing.T, *testenv.Env){
		"rules":                              testRules,
		"H6 H8 H15 nasty values are refused": testNasty,
		"permissions":                        testPermissions,
		"status":                             testStatusStays,
		"typos":                              testTypos,
		"selectors":                          testSelectors,
		"discovery":                          testDiscovery,
		"columns":                            testColumns,
	} {
		t.Run(name, func(t *testing.T) { test(t, env) })
	}
}

func newPayment(name, provider string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.AmountFromInt(5000), Phone: "+2250501020304"},
	}
}

// Somebody who may only write Payments cannot say that one was paid.
func testPermissions(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	g.Expect(env.Client().Create(ctx, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "default"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"mobilemoney.dev"}, Resources: []string{"payments"}, Verbs: []string{"get", "create", "update", "patch"},
		}},
	})).To(Succeed())
	g.Expect(env.Client().Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "default"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "shop"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "shop"}},
	})).To(Succeed())
	cfg, err := env.ConfigFor("shop")
	g.Expect(err).NotTo(HaveOccurred())
	shop, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	g.Expect(err).NotTo(HaveOccurred())

	p := newPayment("permissions", "mtn")
	p.Status.Phase = v1alpha1.PhaseSucceeded
	// The API server's view of RBAC follows a little later.
	g.Eventually(func() error { return shop.Create(ctx, p) }, "10s").Should(Succeed())
	g.Expect(p.Status).To(Equal(v1alpha1.PaymentStatus{ObservedGeneration: -1}), "status at creation")

	p.Status.Phase = v1alpha1.PhaseSucceeded
	p.Labels = map[string]string{"a": "b"}
	update := p.DeepCopy()
	g.Expect(shop.Update(ctx, update)).To(Succeed())
	g.Expect(update.Status).To(Equal(v1alpha1.PaymentStatus{ObservedGeneration: -1}), "status in an update")

	p.ResourceVersion = ""
	g.Expect(shop.Status().Update(ctx, p)).To(Satisfy(apierrors.IsForbidden))
	g.Expect(shop.Status().Patch(ctx, p, client.RawPatch(types.MergePatchType, []byte(`{"status":{"phase":"Succeeded"}}`)))).To(Satisfy(apierrors.IsForbidden))
	g.Expect(shop.Create(ctx, &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "forged"}})).To(Satisfy(apierrors.IsForbidden))
}

// Whatever the way in, status stays. (Updates are in the table.)
func testStatusStays(t *testing.T, env *testenv.Env) {
	g, ctx, c := NewWithT(t), t.Context(), env.Client()
	p := newPayment("stays", "mtn")
	g.Expect(c.Create(ctx, p)).To(Succeed())

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
		g.Expect(causes(c.Status().Patch(ctx, p.DeepCopy(), patch))).To(ConsistOf(finishedKept, phaseKept, chargeKept), string(patch.Type()))
	}
	// Server-side apply takes away what its manager no longer names.
	g.Expect(causes(applied(map[string]any{}))).To(ConsistOf(finishedKept, phaseKept, chargeKept))
	g.Expect(causes(applied(map[string]any{"phase": "Failed"}))).To(ConsistOf(chargeKept))

	// Through the main resource a write of status is without effect.
	g.Expect(c.Patch(ctx, p.DeepCopy(), client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/status"}]`)))).To(Succeed())
	g.Expect(c.Get(ctx, client.ObjectKeyFromObject(p), p)).To(Succeed())
	g.Expect(p.Status.Phase).To(Equal(v1alpha1.PhaseFailed))

	// The whole spec cannot go and come back by patch either.
	spec := client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec"}]`))
	g.Expect(causes(c.Patch(ctx, p.DeepCopy(), spec))).To(ContainElement("spec: Required value"))
	spec = client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec"},{"op":"add","path":"/spec","value":{"provider":"mtn","amount":999,"phone":"+2250501020304"}}]`))
	g.Expect(causes(c.Patch(ctx, p.DeepCopy(), spec))).To(ConsistOf(fixed("amount")))
}

// kubectl asks for strict validation: a misspelt field is named, not dropped.
func testTypos(t *testing.T, env *testenv.Env) {
	g := NewWithT(t)
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"provider": "wave", "amount": int64(5000), "fone": "+2250501020304",
	}}}
	u.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("Payment"))
	u.SetNamespace("default")
	u.SetName("typo")
	err := env.Client().Create(t.Context(), u, client.FieldValidation(metav1.FieldValidationStrict))
	g.Expect(err).To(MatchError(ContainSubstring(`unknown field "spec.fone"`)))
}

func testSelectors(t *testing.T, env *testenv.Env) {
	g, ctx, c := NewWithT(t), t.Context(), env.Client()
	for _, name := range []string{"select-paid", "select-open"} {
		p := newPayment(name, "selectable")
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
	invoice := newPayment("select-invoice", "mtn")
	invoice.Spec.Reference = "inv/7:1#2"
	g.Expect(c.Create(ctx, invoice)).To(Succeed())
	g.Expect(names(client.MatchingFields{"spec.reference": "inv/7:1#2"})).To(ConsistOf("select-invoice"))
	g.Expect(c.List(ctx, &v1alpha1.ChargeList{}, client.MatchingFields{"spec.provider": "mtn"})).To(Succeed())
	g.Expect(c.List(ctx, &v1alpha1.PaymentList{}, client.MatchingFields{"spec.phone": "+2250501020304"})).
		To(MatchError(ContainSubstring("field label not supported")))
}

func testDiscovery(t *testing.T, env *testenv.Env) {
	g := NewWithT(t)
	d, err := discovery.NewDiscoveryClientForConfig(env.AdminConfig())
	g.Expect(err).NotTo(HaveOccurred())
	resources, err := d.ServerResourcesForGroupVersion(v1alpha1.SchemeGroupVersion.String())
	g.Expect(err).NotTo(HaveOccurred())
	type shown struct {
		Namespaced bool
		Short      string
		Category   string
	}
	got := map[string]shown{}
	for _, r := range resources.APIResources {
		s := shown{Namespaced: r.Namespaced}
		if len(r.ShortNames) > 0 {
			s.Short = r.ShortNames[0]
		}
		if len(r.Categories) > 0 {
			s.Category = r.Categories[0]
		}
		got[r.Name] = s
	}
	for name, want := range map[string]shown{
		"payments":                       {true, "pay", "mobilemoney"},
		"payments/status":                {true, "", ""},
		"charges":                        {false, "", "mobilemoney"},
		"merchantaccounts":               {true, "", "mobilemoney"},
		"merchantaccounts/status":        {true, "", ""},
		"clustermerchantaccounts":        {false, "", "mobilemoney"},
		"clustermerchantaccounts/status": {false, "", ""},
	} {
		g.Expect(got).To(HaveKeyWithValue(name, want))
	}
	g.Expect(got).NotTo(HaveKey("charges/status"), "backup tools drop what is named status")
}

// What kubectl get shows. The payer's phone is in no column, not even a wide one.
func testColumns(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	p := newPayment("columns", "mtn")
	p.Spec.Reference = "order-1042"
	g.Expect(env.Client().Create(ctx, p)).To(Succeed())
	p.Status = v1alpha1.PaymentStatus{
		Phase: v1alpha1.PhaseProcessing, Currency: "EUR", Account: "MerchantAccount/mtn", Environment: "sandbox", Reference: "order-1042",
		Conditions: []metav1.Condition{{Type: "Succeeded", Status: "Unknown", Reason: "AwaitingPayer", LastTransitionTime: metav1.Now()}},
	}
	g.Expect(env.Client().Status().Update(ctx, p)).To(Succeed())

	columns, cells := table(ctx, g, env, "namespaces/default/payments/columns")
	g.Expect(columns).To(Equal([]string{"Name", "Provider", "Amount", "Currency", "Phase", "Reason", "Age", "(Account)", "(Environment)", "(Reference)"}))
	cells[6] = "" // Age
	g.Expect(cells).To(Equal([]any{"columns", "mtn", "5000", "EUR", "Processing", "AwaitingPayer", "", "MerchantAccount/mtn", "sandbox", "order-1042"}))

	columns, _ = table(ctx, g, env, "charges")
	g.Expect(columns).To(Equal([]string{"Name", "Provider", "Amount", "Currency", "Namespace", "Payment", "Sends", "Outcome", "Age"}))
	for _, accounts := range []string{"merchantaccounts", "clustermerchantaccounts"} {
		columns, _ = table(ctx, g, env, accounts)
		g.Expect(columns).To(Equal([]string{"Name", "Provider", "Environment", "Currency", "Ready", "Reason", "Age"}))
	}
}

// table returns the columns of a resource, wide ones in parentheses, and the cells
// of the first row.
func table(ctx context.Context, g *WithT, env *testenv.Env, resource string) (columns []string, cells []any) {
	d, err := discovery.NewDiscoveryClientForConfig(env.AdminConfig())
	g.Expect(err).NotTo(HaveOccurred())
	body, err := d.RESTClient().Get().AbsPath("/apis/"+v1alpha1.SchemeGroupVersion.String()+"/"+resource).
		Param("includeObject", "None").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	var t metav1.Table
	g.Expect(json.Unmarshal(body, &t)).To(Succeed())
	for _, c := range t.ColumnDefinitions {
		if c.Priority > 0 {
			c.Name = "(" + c.Name + ")"
		}
		columns = append(columns, c.Name)
	}
	if len(t.Rows) > 0 {
		cells = t.Rows[0].Cells
	}
	return columns, cells
}
