package refund

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
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

// A refund about which the provider is silent for good can be closed by a person.
func TestSilentProviderLeavesItToAPerson(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.sim.Script(simulator.Match{Method: "GET", Op: simulator.OpRefund}, simulator.Behaviour{Status: 500})
	w.refund("back", "sale", "")
	w.settle("back", 12*time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundProcessing, v1alpha1.ReasonProviderUnreachable)
	for range 10 {
		w.settle("back", 12*time.Hour)
	}
	expect(t, w.get("back"), v1alpha1.RefundUnknown, v1alpha1.ReasonOutcomeUnknown)
	w.confirm("back", v1alpha1.ConfirmedRefunded)
	w.settle("back", time.Hour)
	if got := w.get("back"); got.Status.Phase != v1alpha1.RefundSucceeded || w.sends("back") != 1 {
		t.Errorf("%s after %d sends", got.Status.Phase, w.sends("back"))
	}
}
