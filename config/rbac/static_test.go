package rbac

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

// role is a Role or ClusterRole as far as this test reads it.
type role struct {
	Kind     string
	Metadata struct{ Name string }
	Rules    []rbacv1.PolicyRule
}

// shipped are the roles of all manifests below config.
func shipped(t *testing.T) (roles []role) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, document := range strings.Split("\n"+string(body), "\n---\n") {
			var r role
			if err := yaml.Unmarshal([]byte(document), &r); err != nil {
				return err
			}
			if r.Kind == "Role" || r.Kind == "ClusterRole" {
				roles = append(roles, r)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return roles
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

func TestJ4_NoShippedRoleAllowsTooMuch(t *testing.T) {
	roles := shipped(t)
	if len(roles) < 10 {
		t.Fatalf("%d roles: the manifests are elsewhere", len(roles))
	}
	for _, r := range roles {
		for _, rule := range r.Rules {
			if why := forbidden(rule); why != "" {
				t.Errorf("%s %s has %s: %v", r.Kind, r.Metadata.Name, why, rule)
			}
		}
	}
	for _, bad := range []rbacv1.PolicyRule{
		{Resources: []string{"secrets"}, Verbs: []string{"get", "list"}},
		{Resources: []string{"secrets"}, Verbs: []string{"watch"}},
		{Resources: []string{"payments/*"}, Verbs: []string{"get"}},
		{Resources: []string{"payments"}, Verbs: []string{"*"}},
		{Resources: []string{"clusterroles"}, Verbs: []string{"escalate"}},
		{Resources: []string{"clusterroles"}, Verbs: []string{"bind"}},
		{Resources: []string{"users"}, Verbs: []string{"impersonate"}},
	} {
		if forbidden(bad) == "" {
			t.Errorf("%v is let through", bad)
		}
	}
}
