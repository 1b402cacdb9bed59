package refund

import (
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// That another refund failed frees nothing that this one claimed.
func TestVerdictAboutAnotherReference(t *testing.T) {
	for reference, ends := range map[string]bool{"": true, "ours": true, "another": false} {
		c := &v1alpha1.Charge{Record: v1alpha1.ChargeRecord{Refunds: []v1alpha1.ChargeRefund{{Name: "back"}}}}
		foldStatus("back", "ours", providers.Status{State: providers.StateFailed, Reference: reference}, c.CreationTimestamp.Time)(c)
		if over := c.Record.Refunds[0].Outcome != nil; over != ends {
			t.Errorf("%q: over %t", reference, over)
		}
	}
}
