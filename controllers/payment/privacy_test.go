package payment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
)

// A merchant who names a sale after the payer has told the cluster, and nobody else. The
// order number is told where there is a field for it.
func TestI6NamesDoNotLeave(t *testing.T) {
	const name, reference = "kouassi-yao", "INV-7"
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payment(name, provider, "5901", func(p *v1alpha1.Payment) { p.Spec.Reference = reference })
		w.until(name, time.Hour, never)
		expectPhase(t, w.get(name), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if len(w.Calls) < 2 {
			t.Fatalf("%s: only %d requests", provider, len(w.Calls))
		}
		told := false
		for _, call := range w.Calls {
			said := fmt.Sprint(call.URL, map[string][]string(call.Header), string(call.Body))
			told = told || strings.Contains(said, reference)
			if strings.Contains(strings.ToLower(said), "kouassi") || strings.Contains(said, looptest.Shop+"/") {
				t.Errorf("%s is told who pays in %s", provider, call.Operation)
			}
		}
		if told != (provider == "mtn") {
			t.Errorf("%s is told the order number: %t", provider, told)
		}
	}
}

// Who may read Payments may read the URL, while it is of use to the payer and no longer.
func TestI7PaymentURLIsGoneWhenThePaymentIsOver(t *testing.T) {
	for _, provider := range []string{"orange", "wave"} {
		for _, amount := range []string{"5901", "5903", "5906"} {
			w := newWorld(t)
			w.payment("sale", provider, amount)
			w.until("sale", time.Hour, func() bool { return w.get("sale").Status.NextAction != nil })
			open := w.get("sale")
			if open.Status.NextAction == nil || open.Status.NextAction.URL == "" {
				t.Fatalf("%s %s: no URL", provider, amount)
			}
			url := open.Status.NextAction.URL
			over := w.settle("sale", 100*time.Hour)
			if !over.Status.Phase.Terminal() || over.Status.NextAction != nil {
				t.Errorf("%s %s: %s, next action %+v", provider, amount, over.Status.Phase, over.Status.NextAction)
			}
			for _, c := range over.Status.Conditions {
				if strings.Contains(c.Message, url) {
					t.Errorf("%s %s: condition %s holds the URL", provider, amount, c.Type)
				}
			}
		}
	}
}
