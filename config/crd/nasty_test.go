package crd_test

import (
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// textFields of each kind that users write: free text, and those of a closed form.
var textFields = map[string]struct{ free, closed []string }{
	"Payment": {
		free: []string{"spec.description"},
		closed: []string{
			"spec.provider", "spec.amount", "spec.currency", "spec.phone", "spec.reference", "spec.returnURL", "spec.cancelURL",
			"spec.accountRef.name", "spec.accountRef.kind",
		},
	},
	"Refund":                 {free: []string{"spec.reason"}, closed: []string{"spec.amount", "spec.paymentRef.name"}},
	"MerchantAccount":        {free: []string{"spec.merchantName"}, closed: accountFields},
	"ClusterMerchantAccount": {free: []string{"spec.merchantName"}, closed: accountFields},
}

var accountFields = []string{
	"spec.provider", "spec.environment", "spec.country", "spec.currency", "spec.mtn.targetEnvironment", "spec.baseURL", "spec.orange.tokenURL",
	"spec.returnURL", "spec.cancelURL", "spec.secretRef.name", "spec.polling.interval", "spec.polling.timeout", "spec.mtn.callbacks",
}

// nastyEdits are writes that have to be refused, by a name, with the field.
func nastyEdits(g *WithT, k *kind) map[string][2]string {
	out := map[string][2]string{}
	add := func(fields []string, values map[string]string) {
		for _, field := range fields {
			for name, value := range values {
				if field == "spec.reference" && (name == "fragment" || name == "other scheme") {
					continue // a merchant's number may look so; it leaves the cluster as a digest only
				}
				out[field+" with "+name] = [2]string{field, field + "=" + value}
			}
		}
	}
	fields := textFields[k.crd.Spec.Names.Kind]
	add(slices.Concat(fields.free, fields.closed), read(g, "nasty-texts").text)
	add(fields.closed, read(g, "nasty-words").text)
	return out
}

// Every refusal names the field, and holds no control character itself.
func TestH6H8H15_NastyValuesAreRefused(t *testing.T) {
	for _, k := range kinds(t) {
		for name, field := range nastyEdits(NewWithT(t), k) {
			_, refused := k.write(t, k.object(field[1]), nil, false)
			if !slices.ContainsFunc(refused, func(s string) bool { return strings.HasPrefix(s, field[0]+": ") }) {
				t.Errorf("%s: %s is taken, or not named: %q", k.crd.Spec.Names.Kind, name, refused)
			}
			for _, text := range refused {
				if i := strings.IndexFunc(text, func(r rune) bool {
					return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x206f || r == 0xfeff
				}); i >= 0 {
					t.Errorf("%s: %s: the refusal itself holds it: %q", k.crd.Spec.Names.Kind, name, text)
				}
			}
		}
	}
}
