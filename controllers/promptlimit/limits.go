// Package promptlimit limits how often phones are rung: the right to create Payments is not the right to ring
// strangers. Each Charge that is sent to a provider that rings a phone is one prompt, and prompts are counted within a
// namespace: what a neighbour does neither delays nor tells anything about the payers of others.
package promptlimit

import (
	"cmp"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Limits are how often payers may be rung in an hour by the Payments of one namespace: the same phone, and any.
type Limits struct{ PerPhone, PerNamespace int }

// Or what an account says.
func (l Limits) Or(own v1alpha1.Prompts) Limits {
	return Limits{
		PerPhone:     cmp.Or(int(own.PerPhone), l.PerPhone),
		PerNamespace: cmp.Or(int(own.PerNamespace), l.PerNamespace),
	}
}
