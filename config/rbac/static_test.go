package rbac

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"mobilemoney.dev/operator/controllers/testenv"
)

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
