package payment

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

// The API server refuses the operator's own write, of the record before the send or of the
// answer: the Payment says so, with the class of the refusal, and it is Stalled. Once the
// cause is gone it goes on, and nothing is lost or asked for twice.
func TestK5f_RecordRefused(t *testing.T) {
	kind := v1alpha1.SchemeGroupVersion.WithKind("Charge").GroupKind()
	resource := v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource()
	for class, refusal := range map[string]error{
		"Forbidden": apierrors.NewForbidden(resource, "x", errors.New("a policy says no")), "Invalid": apierrors.NewInvalid(kind, "x", nil),
	} {
		for _, provider := range allProviders {
			for verb, phase := range map[string]v1alpha1.Phase{"create Charge": v1alpha1.PhasePending, "update Charge": v1alpha1.PhaseProcessing} {
				t.Run(fmt.Sprintf("%s/%s/%s", provider, verb, class), func(t *testing.T) {
					w := newWorld(t)
					w.payerPays = true
					w.OnPoint = func(_ int, label string, after bool) error {
						if label == verb && !after {
							return refusal
						}
						return nil
					}
					w.payment("sale", provider, "1902")
					w.until("sale", 20*time.Second, never)
					p := w.get("sale")
					expectPhase(t, p, phase, v1alpha1.ReasonRecordRefused)
					if c := condition(p, v1alpha1.ConditionStalled); c == nil || !strings.Contains(c.Message, class) {
						t.Errorf("%+v", p.Status.Conditions)
					}
					if named := strings.Contains(fmt.Sprint(w.Errs), looptest.Shop+"/sale"); !named {
						t.Errorf("no error names the Payment: %v", w.Errs)
					}
					w.OnPoint, w.Errs = nil, nil
					expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
					if n := w.asked(); n != 1 || w.charges("sale") != 1 {
						t.Errorf("asked %d times, charged %d times", n, w.charges("sale"))
					}
				})
			}
		}
	}
}

// A provider that the operator does not know makes a Payment Stalled.
func TestK5g_UnknownProviderIsStalled(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "orange-money", "1902")
	p := w.settle("sale", time.Hour)
	expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonProviderNotSupported)
	if condition(p, v1alpha1.ConditionStalled) == nil || condition(p, v1alpha1.ConditionReconciling) != nil {
		t.Errorf("%+v", p.Status.Conditions)
	}
}

// Nothing is recorded with credentials that do not work; and Charges of which nothing was
// sent are limited in each namespace, whatever else is in the way.
func TestK6a_UnsentCharges(t *testing.T) {
	for _, provider := range []string{"mtn", "orange"} { // Wave's key is tried with the search
		w := newWorld(t)
		w.secret(provider, false)
		for i := range 5 {
			name := fmt.Sprint("sale-", i)
			w.payment(name, provider, "1902")
			w.until(name, time.Minute, never)
			expectPhase(t, w.get(name), v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
			if w.charge(name) != nil {
				t.Errorf("%s: recorded with credentials that do not work", provider)
			}
		}
	}
	for _, provider := range allProviders {
		w := newWorld(t, func(s *attempt.Settings) { s.UnsentCharges = 3 })
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		for i := range 5 {
			name := fmt.Sprint("sale-", i)
			w.payment(name, provider, "1902")
			w.until(name, time.Second, never)
			w.Clock.Add(20 * time.Minute)
			w.until(name, time.Second, never)
		}
		expectPhase(t, w.get("sale-2"), v1alpha1.PhaseProcessing, v1alpha1.ReasonProviderThrottled)
		expectPhase(t, w.get("sale-3"), v1alpha1.PhasePending, v1alpha1.ReasonUnsentChargesLimited)
		if w.charge("sale-4") != nil {
			t.Errorf("%s: recorded beyond the limit", provider)
		}
		w.Sim.ClearScripts()
		w.payerPays = true
		w.Clock.Add(time.Hour)
		for _, name := range []string{"sale-0", "sale-3"} {
			expectPhase(t, w.settle(name, time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		}
	}
}
