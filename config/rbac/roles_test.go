// Package rbac tests the rights that are shipped in this folder: those of people, with the policies
// of config/policy, against a real API server, and all of them for what no role may hold.
package rbac

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	shop     = "shop"
	operator = "mobile-money-system"
)

// person has one ClusterRole, in namespace shop or in the whole cluster.
type person struct {
	role        string
	clusterWide bool
}

// people, by user name. The last three have the roles of Kubernetes itself.
func people() map[string]person {
	return map[string]person{
		"nobody":                {},
		"viewer":                {role: "mobilemoney-payment-viewer"},
		"creator":               {role: "mobilemoney-payment-creator"},
		"settler":               {role: "mobilemoney-payment-settler"},
		"refunder":              {role: "mobilemoney-refunder"},
		"confirmer":             {role: "mobilemoney-refund-confirmer"},
		"account-admin":         {role: "mobilemoney-account-admin"},
		"cluster-account-admin": {role: "mobilemoney-cluster-account-admin", clusterWide: true},
		"auditor":               {role: "mobilemoney-auditor", clusterWide: true},
		"shop-auditor":          {role: "mobilemoney-auditor"},
		"view":                  {role: "view"},
		"edit":                  {role: "edit"},
		"admin":                 {role: "admin"},
	}
}

// cluster is an API server with what is shipped, and a user for each person.
func cluster(t *testing.T) *testenv.Env {
	t.Helper()
	g, ctx, env := NewWithT(t), t.Context(), testenv.ForTest(t)
	for _, name := range []string{shop, operator, "elsewhere"} {
		g.Expect(env.Client().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
	g.Expect(env.ApplyManifests(ctx, "config/rbac", "config/policy")).To(Succeed())
	for _, role := range []string{"view", "edit", "admin"} {
		aggregate(ctx, g, env, role)
	}
	for user, p := range people() {
		if p.role == "" {
			continue
		}
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: p.role}
		subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
		var binding client.Object = &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: user}, RoleRef: ref, Subjects: subjects,
		}
		if p.clusterWide {
			binding = &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: user}, RoleRef: ref, Subjects: subjects}
		}
		g.Expect(env.Client().Create(ctx, binding)).To(Succeed())
	}
	return env
}

// aggregate fills a ClusterRole of Kubernetes in, as the controller manager does, which does not run here.
func aggregate(ctx context.Context, g *WithT, env *testenv.Env, name string) {
	var role rbacv1.ClusterRole
	g.Eventually(func() error { return env.Client().Get(ctx, client.ObjectKey{Name: name}, &role) }, "30s").Should(Succeed())
	role.Rules = nil
	for _, r := range selected(ctx, g, env, &role) {
		role.Rules = append(role.Rules, r.Rules...)
	}
	g.Expect(env.Client().Update(ctx, &role)).To(Succeed())
}

// selected are the ClusterRoles that a ClusterRole is made of.
func selected(ctx context.Context, g *WithT, env *testenv.Env, role *rbacv1.ClusterRole) (found []rbacv1.ClusterRole) {
	var all rbacv1.ClusterRoleList
	g.Expect(env.Client().List(ctx, &all)).To(Succeed())
	for _, s := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		g.Expect(err).NotTo(HaveOccurred())
		for _, r := range all.Items {
			if selector.Matches(labels.Set(r.Labels)) {
				found = append(found, r)
			}
		}
	}
	return found
}

func TestRoles_AllowWhatTheyAreFor(t *testing.T) {
	env := cluster(t)
	t.Run("J4 no shipped role allows too much", func(t *testing.T) { testShipped(t, env) })
	t.Run("kubectl auth can-i --list equals the documented table", func(t *testing.T) { testCanI(t, env) })
	t.Run("what is aggregated to the roles of Kubernetes is as documented", func(t *testing.T) { testAggregation(t, env) })
	testPolicies(t, env)
	t.Run("H13 nobody but the operator writes a status or a Charge, or raises their rights", func(t *testing.T) { testAttempts(t, env) })
}

// verbs by resource.
type rights map[string]string

// documented reads the table of docs/rbac.md.
func documented(g *WithT) map[string]rights {
	page, err := os.ReadFile("../../docs/rbac.md")
	g.Expect(err).NotTo(HaveOccurred())
	table := map[string]rights{}
	role := ""
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z-]+`)? ?\\| `([a-z]+)` \\| ([a-z ]+) \\|$").FindAllStringSubmatch(string(page), -1) {
		if row[1] != "" {
			role = strings.Trim(row[1], "`")
			table[role] = rights{}
		}
		table[role][row[2]+".mobilemoney.dev"] = row[3]
	}
	return table
}

// canI is what kubectl auth can-i --list says, by resource or URL. A right that is
// bound to names is another one than that for all.
func canI(ctx context.Context, g *WithT, env *testenv.Env, dir, user string) rights {
	cfg, err := env.ConfigFor(user)
	g.Expect(err).NotTo(HaveOccurred())
	kubeconfig, err := testenv.Kubeconfig(cfg)
	g.Expect(err).NotTo(HaveOccurred())
	file := filepath.Join(dir, user)
	g.Expect(os.WriteFile(file, kubeconfig, 0o600)).To(Succeed())
	out, err := exec.CommandContext(ctx, env.Kubectl(), "--kubeconfig", file, "auth", "can-i", "--list", "-n", shop).Output()
	g.Expect(err).NotTo(HaveOccurred())
	lines := regexp.MustCompile(`(?m)^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]\s*$`).FindAllStringSubmatch(string(out), -1)
	g.Expect(lines).To(HaveLen(strings.Count(strings.TrimSpace(string(out)), "\n")), "lines of:\n%s", out)
	found := rights{}
	for _, l := range lines {
		key := strings.TrimSpace(l[1] + " " + l[2] + " " + l[3])
		verbs := slices.Sorted(slices.Values(slices.Concat(strings.Fields(l[4]), strings.Fields(found[key]))))
		found[key] = strings.Join(slices.Compact(verbs), " ")
	}
	return found
}

func testCanI(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	table := documented(g)
	everybody := canI(ctx, g, env, t.TempDir(), "nobody")
	g.Expect(everybody).To(HaveKey("selfsubjectreviews.authentication.k8s.io"), "what each user may")
	g.Expect(everybody).NotTo(HaveKey(ContainSubstring("mobilemoney")))
	tested := map[string]bool{}
	for user, p := range people() {
		if !strings.HasPrefix(p.role, "mobilemoney-") {
			continue
		}
		tested[p.role] = true
		want := maps.Clone(everybody)
		maps.Copy(want, table[p.role])
		// The API server's view of RBAC follows a little later.
		g.Eventually(func() rights { return canI(ctx, g, env, t.TempDir(), user) }, "30s").Should(Equal(want), user)
	}
	shipped, err := env.ReadManifests("config/rbac/user_roles.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	for _, role := range shipped {
		g.Expect(tested).To(HaveKey(role.GetName()), "no user has it")
		g.Expect(table).To(HaveKey(role.GetName()), "not documented")
	}
	g.Expect(table).To(HaveLen(len(shipped)))
}

func testAggregation(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	for name, want := range map[string][]string{
		"view": {"mobilemoney-payment-viewer"}, "edit": {}, "admin": {"mobilemoney-account-admin"},
	} {
		var role rbacv1.ClusterRole
		g.Expect(env.Client().Get(ctx, client.ObjectKey{Name: name}, &role)).To(Succeed())
		ours := []string{}
		for _, r := range selected(ctx, g, env, &role) {
			if strings.Contains(r.Name, "mobile") {
				ours = append(ours, r.Name)
			}
		}
		g.Expect(ours).To(ConsistOf(want), name)
	}
}

// attempt is made by a user, and leaves no trace.
type attempt func(ctx context.Context, c client.Client, user string) error

func list(l client.ObjectList, namespace string) attempt {
	return func(ctx context.Context, c client.Client, _ string) error {
		return c.List(ctx, l, client.InNamespace(namespace))
	}
}

func create(o client.Object) attempt {
	return func(ctx context.Context, c client.Client, _ string) error {
		return c.Create(ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
	}
}

// patch merges JSON, in which USER stands for who tries.
func patch(o client.Object, json string) attempt {
	return func(ctx context.Context, c client.Client, user string) error {
		return c.Patch(ctx, o.DeepCopyObject().(client.Object), merge(strings.ReplaceAll(json, "USER", user)), client.DryRunAll)
	}
}

func patchStatus(o client.Object, json string) attempt {
	return func(ctx context.Context, c client.Client, _ string) error {
		return c.Status().Patch(ctx, o.DeepCopyObject().(client.Object), merge(json), client.DryRunAll)
	}
}

func remove(o client.Object) attempt {
	return func(ctx context.Context, c client.Client, _ string) error { return c.Delete(ctx, o, client.DryRunAll) }
}

func bind(role string) attempt {
	return func(ctx context.Context, c client.Client, user string) error {
		return c.Create(ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "own"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
		}, client.DryRunAll)
	}
}

// attempts at what no list of rights tells: what policies and the API server itself refuse,
// and what would raise somebody's rights.
func attempts() map[string]attempt {
	charge := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	return map[string]attempt{
		"write a payment's status": patchStatus(newPayment("unclear"), `{"status":{"phase":"Succeeded"}}`),
		"settle a payment":         patch(newPayment("unclear"), `{"spec":{"settlement":{"unknownID":"u1","outcome":"Paid","settledBy":"USER","reason":"seen"}}}`),

		"confirm a refund":        patch(newRefund("by-hand"), `{"spec":{"confirmation":{"unknownID":"u1","outcome":"Refunded","confirmedBy":"USER"}}}`),
		"write a refund's status": patchStatus(newRefund("by-hand"), `{"status":{"phase":"Succeeded"}}`),

		"create a charge": create(charge),
		"change a charge": patch(charge, `{"record":{"sends":0}}`),
		"delete a charge": remove(charge),

		"write an account's status":        patchStatus(newAccount(), `{"status":{}}`),
		"write a cluster account's status": patchStatus(newClusterAccount(), `{"status":{}}`),

		"read secrets":                   list(&corev1.SecretList{}, shop),
		"read the operator's secrets":    list(&corev1.SecretList{}, operator),
		"allow the namespace by a label": patch(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}}, `{"metadata":{"labels":{"a":"b"}}}`),
		"bind the right to collect":      bind("mobilemoney-payment-creator"),
		"bind the right to refund":       bind("mobilemoney-refunder"),
		"bind the operator's right":      bind("manager-role"),
		"make a role of money": create(&rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "own"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"mobilemoney.dev"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
		}),
		"take the operator's token": func(ctx context.Context, c client.Client, _ string) error {
			account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: operator, Name: "mobile-money-operator"}}
			return c.SubResource("token").Create(ctx, account, &authenticationv1.TokenRequest{}, &client.SubResourceCreateOptions{CreateOptions: client.CreateOptions{DryRun: []string{metav1.DryRunAll}}})
		},
	}
}

// allowed of the attempts. All others have to be refused, as forbidden.
func allowed() map[string]string {
	return map[string]string{"settler": "settle a payment", "confirmer": "confirm a refund", "edit": "read secrets", "admin": "read secrets"}
}

func testAttempts(t *testing.T, env *testenv.Env) {
	g, ctx := NewWithT(t), t.Context()
	inPhase(ctx, g, env, "unclear", v1alpha1.PhaseUnknown, "u1")
	byHand := newRefund("by-hand")
	g.Expect(env.Client().Create(ctx, byHand)).To(Succeed())
	byHand.Status.Phase, byHand.Status.Unknown = v1alpha1.RefundManualActionRequired, unknown("u1")
	g.Expect(env.Client().Status().Update(ctx, byHand)).To(Succeed())
	// The policies take a moment to be enforced.
	for user, attempt := range map[string]string{"creator": "settle a payment", "refunder": "confirm a refund"} {
		g.Eventually(func() error { return attempts()[attempt](ctx, as(g, env, user), user) }, "30s").Should(Satisfy(apierrors.IsForbidden))
	}
	for user := range people() {
		may, c := allowed()[user], as(g, env, user)
		for name, try := range attempts() {
			if name == may {
				g.Expect(try(ctx, c, user)).To(Succeed(), "%s: %s", user, name)
			} else {
				g.Expect(try(ctx, c, user)).To(Satisfy(apierrors.IsForbidden), "%s: %s", user, name)
			}
		}
	}
	// Nor does anybody become the operator by saying so.
	for user := range people() {
		cfg, err := env.ConfigFor(user)
		g.Expect(err).NotTo(HaveOccurred())
		cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + operator + ":mobile-money-operator"}
		c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.List(ctx, &v1alpha1.ChargeList{})).To(Satisfy(apierrors.IsForbidden), user)
	}
}

func as(g *WithT, env *testenv.Env, user string) client.Client {
	cfg, err := env.ConfigFor(user)
	g.Expect(err).NotTo(HaveOccurred())
	c, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	g.Expect(err).NotTo(HaveOccurred())
	return c
}

func merge(patch string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(patch))
}

func newPayment(name string) *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       v1alpha1.PaymentSpec{Provider: "wave", Amount: v1alpha1.NewAmount("5000")},
	}
}

func newRefund(name string) *v1alpha1.Refund {
	return &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: "unclear"}, Reason: "goods came back"},
	}
}

func newAccount() *v1alpha1.MerchantAccount {
	return &v1alpha1.MerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "wave"},
		Spec: v1alpha1.MerchantAccountSpec{
			Provider: "wave", Environment: "production", SecretRef: v1alpha1.SecretReference{Name: "wave"},
		},
	}
}

func newClusterAccount() *v1alpha1.ClusterMerchantAccount {
	return &v1alpha1.ClusterMerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "wave"},
		Spec:       v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: newAccount().Spec},
	}
}

// forbidden is why a rule must not be shipped; empty: it may.
func forbidden(rule rbacv1.PolicyRule) string {
	secrets := slices.Contains(rule.Resources, "secrets")
	for _, part := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs) {
		if strings.Contains(part, "*") {
			return "a *"
		}
	}
	for _, verb := range rule.Verbs {
		switch {
		case slices.Contains([]string{"escalate", "bind", "impersonate", "deletecollection"}, verb):
			return "the verb " + verb
		case secrets && verb != "get" && verb != "create":
			return "the verb " + verb + " on secrets"
		}
	}
	for _, resource := range rule.Resources {
		switch resource {
		case "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy", "nodes/proxy", "serviceaccounts/token":
			return "the resource " + resource
		}
	}
	return ""
}

// testShipped looks at the roles of all manifests below config.
func testShipped(t *testing.T, env *testenv.Env) {
	g, roles := NewWithT(t), 0
	objects, err := env.ReadManifests("config/*/*.yaml", "config/*/*/*.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	for _, o := range objects {
		if o.GetKind() != "Role" && o.GetKind() != "ClusterRole" {
			continue
		}
		roles++
		var role rbacv1.ClusterRole
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role)).To(Succeed())
		for _, rule := range role.Rules {
			g.Expect(forbidden(rule)).To(BeEmpty(), "%s %s: %v", o.GetKind(), o.GetName(), rule)
		}
	}
	g.Expect(roles).To(BeNumerically(">=", 10), "the manifests are elsewhere")
	for _, bad := range []rbacv1.PolicyRule{
		{Resources: []string{"secrets"}, Verbs: []string{"get", "list"}},
		{Resources: []string{"secrets"}, Verbs: []string{"watch"}},
		{Resources: []string{"payments/*"}, Verbs: []string{"get"}},
		{Resources: []string{"payments"}, Verbs: []string{"*"}},
		{Resources: []string{"clusterroles"}, Verbs: []string{"escalate"}},
		{Resources: []string{"clusterroles"}, Verbs: []string{"bind"}},
		{Resources: []string{"users"}, Verbs: []string{"impersonate"}},
	} {
		g.Expect(forbidden(bad)).NotTo(BeEmpty(), "%v", bad)
	}
}
