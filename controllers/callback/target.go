package callback

import (
	"strings"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

type targetKind int

const (
	noTarget targetKind = iota
	landingTarget
	chargeTarget
	accountTarget
)

// target is what a path means.
type target struct {
	kind     targetKind
	provider string
	// id that names a charge, and the charge once the id is verified.
	id, charge string
	account    accountKey
}

// accountKey names an account in the path of its callbacks.
type accountKey struct{ provider, kind, namespace, name string }

// made reports whether a charge was made through the account.
func (key accountKey) made(c *v1alpha1.Charge) bool {
	pin := c.Spec.Account
	return c.Spec.Provider == key.provider && pin.Kind == key.kind && pin.Namespace == key.namespace && pin.Name == key.name
}

// targetOf reads an escaped path. It is taken as it is: what is escaped, doubled or
// ends in a slash is no path of ours, and nobody is sent to a better one.
func targetOf(path string) target {
	if path == "/return" {
		return target{kind: landingTarget}
	}
	rest, ok := strings.CutPrefix(path, "/callbacks/")
	if !ok || strings.Contains(path, "%") || strings.Contains(path, "//") {
		return target{}
	}
	parts := strings.Split(rest, "/")
	t := target{provider: parts[0]}
	byAccount := func(kind, namespace, name string) target {
		t.kind, t.account = accountTarget, accountKey{t.provider, kind, namespace, name}
		return t
	}
	switch {
	case parts[len(parts)-1] == "":
		return t
	case len(parts) == 1:
		return byAccount(account.KindOperator, "", t.provider)
	case len(parts) == 2:
		t.kind, t.id = chargeTarget, parts[1]
		return t
	case len(parts) == 3 && parts[1] == "cluster":
		return byAccount(account.KindCluster, "", parts[2])
	case len(parts) == 4 && parts[1] == "account":
		return byAccount(account.KindNamespaced, parts[2], parts[3])
	default:
		return t
	}
}

// fits reports whether a provider has such paths: where callbacks are verified with
// an account's secrets, a charge's path proves nothing that they do not, and where
// there are none, an account's path proves nothing at all.
func (t target) fits(kind providers.Kind) bool {
	if kind.Callbacks == nil {
		return false
	}
	switch t.kind {
	case chargeTarget:
		return len(kind.CallbackSecretKeys) == 0
	case accountTarget:
		return len(kind.CallbackSecretKeys) > 0
	default:
		return false
	}
}
