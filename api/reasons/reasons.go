// Package reasons tells what each reason of a Payment and of a Refund means, and what to do.
package reasons

import (
	_ "embed"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/util/yaml"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

//go:embed reasons.yaml
var source []byte

// Texts by reason.
type Texts map[v1alpha1.Reason]string

//nolint:gochecknoglobals // Read once, and never changed.
var table = sync.OnceValue(func() (all struct{ Payment, Refund Texts }) {
	if err := yaml.UnmarshalStrict(source, &all); err != nil {
		panic(fmt.Errorf("reading the embedded reasons.yaml: %w", err))
	}
	return all
})

// Payment returns the texts of Payments.
func Payment() Texts { return table().Payment }

// Refund returns the texts of Refunds.
func Refund() Texts { return table().Refund }

// Of a reason, with the provider's own code where there is one.
func (t Texts) Of(reason v1alpha1.Reason, code string) string {
	text, ok := t[reason]
	if !ok {
		text = "See the documentation of this reason."
	}
	if code != "" {
		return fmt.Sprintf("%s (provider code %s)", text, code)
	}
	return text
}

// OfNotice is what a notice tells, in its own words where it has some.
func (t Texts) OfNotice(n v1alpha1.Notice) string {
	if n.Message != "" {
		return n.Message
	}
	return t.Of(n.Reason, n.Code)
}
