package payment

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers/simulator"
)

func prompts(perPhone, perNamespace int) func(*attempt.Settings) {
	return func(s *attempt.Settings) {
		s.Prompts = promptlimit.Limits{PerPhone: perPhone, PerNamespace: perNamespace}
	}
}

// batch creates Payments and gives each some time.
func (w *world) batch(from, to int, provider string, each time.Duration, change ...func(int, *v1alpha1.Payment)) (last string) {
	w.T.Helper()
	for i := from; i < to; i++ {
		last = fmt.Sprintf("sale-%d", i)
		w.payment(last, provider, "5901", func(p *v1alpha1.Payment) {
			for _, c := range change {
				c(i, p)
			}
		})
		w.until(last, each, never)
	}
	return last
}

// rung is how often phones rang.
func (w *world) rung() int { return w.Sim.Count(simulator.MTN, simulator.OpInitiate) }

// However many Payments there are, phones ring no more often than the limits say, and what
// waits has no Charge and continues automatically.
func TestPromptLimit(t *testing.T) {
	ownPhone := func(i int, p *v1alpha1.Payment) { p.Spec.Phone = fmt.Sprintf("+22505010203%02d", i) }
	for name, c := range map[string]struct {
		phone, namespace, want int
		change                 func(int, *v1alpha1.Payment)
	}{
		"on one phone":   {3, 100, 3, func(int, *v1alpha1.Payment) {}},
		"on a namespace": {100, 4, 4, ownPhone},
		"of the account": {100, 100, 2, func(int, *v1alpha1.Payment) {}},
		"by default":     {20, 3000, 20, func(int, *v1alpha1.Payment) {}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w := newWorld(t, prompts(c.phone, c.namespace))
			if name == "of the account" {
				w.EditMerchant("mtn", func(m *v1alpha1.MerchantAccount) { m.Spec.Prompts.PerPhone = 2 })
			}
			w.batch(0, c.want+2, "mtn", time.Minute, c.change)
			w.start() // a new process counts on
			last := w.batch(c.want+2, c.want+5, "mtn", time.Minute, c.change)
			if rung := w.rung(); rung != c.want {
				t.Fatalf("rung %d times, the limit is %d", rung, c.want)
			}
			waits := w.get(last)
			expectPhase(t, waits, v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
			assertProjection(t, waits)
			if w.charge(last) != nil {
				t.Error("it has a Charge, although it may not be asked for")
			}
			if n := testutil.ToFloat64(w.loop.Metrics.waits.WithLabelValues("mtn", v1alpha1.ReasonPromptsLimited)); n != 3 {
				t.Errorf("%v payments are counted as waiting in this process, want 3 however often they are looked at", n)
			}
			expectPhase(t, w.settle(last, 2*time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		})
	}
}

func TestPromptLimit_PushOnly(t *testing.T) {
	for _, provider := range []string{"orange", "wave"} {
		w := newWorld(t, prompts(1, 1))
		w.batch(0, 3, provider, time.Second)
		if n := w.Sim.Count("", simulator.OpInitiate); n != 3 {
			t.Errorf("%s: %d of 3 are asked for", provider, n)
		}
	}
}

// A Payment that comes again is one prompt; one that is called off while it waits, or that
// came out of a backup, is none.
func TestPromptLimit_AndOtherFates(t *testing.T) {
	w := newWorld(t, prompts(1, 100))
	w.payment("first", "mtn", "5901")
	expectPhase(t, w.settle("first", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	must(t, w.API.Delete(w.Ctx, w.get("first")))
	w.payment("first", "mtn", "5901")
	expectPhase(t, w.settle("first", time.Minute), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)

	w.payment("second", "mtn", "5901")
	w.until("second", time.Minute, never)
	expectPhase(t, w.get("second"), v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	w.callOff("second")
	expectPhase(t, w.settle("second", time.Minute), v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)

	w.payment("restored", "mtn", "5901", restored1)
	expectPhase(t, w.settle("restored", time.Minute), v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
	if n := w.rung(); n != 1 {
		t.Errorf("rung %d times, want once", n)
	}
}

// H12: who takes the label of a restore off again waits all the same.
func TestH12PromptLimit_NotPassedWithALabel(t *testing.T) {
	w := newWorld(t, prompts(3, 100))
	w.batch(0, 8, "mtn", time.Minute, func(_ int, p *v1alpha1.Payment) { restored1(p) })
	for i := range 8 {
		p := w.get(fmt.Sprintf("sale-%d", i))
		expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
		p.Labels = nil
		must(t, w.API.Update(w.Ctx, p))
		w.until(p.Name, 10*time.Second, never)
	}
	if n := w.rung(); n != 3 {
		t.Fatalf("rung %d times, the limit is 3", n)
	}
	expectPhase(t, w.get("sale-7"), v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	expectPhase(t, w.settle("sale-7", 2*time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
}
