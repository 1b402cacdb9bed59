package payment

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/providers/simulator"
)

func prompts(limits promptlimit.Limits) func(*attempt.Settings) {
	return func(s *attempt.Settings) { s.Prompts = limits }
}

func to(phone string) func(*v1alpha1.Payment) {
	return func(p *v1alpha1.Payment) { p.Spec.Phone = phone }
}

// rung is how many prompts the provider took.
func (w *world) rung() int { return w.sim.Count(simulator.MTN, simulator.OpInitiate) }

// names of Payments.
func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("sale-%d", i)
	}
	return out
}

func TestPromptLimit_OnOnePhone(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 3, PerNamespace: 100}))
	for i, name := range names(8) {
		w.payment(name, "mtn", "5901")
		w.step(name)
		if i == 4 {
			w.start() // a new process counts on
		}
		w.until(name, 2*time.Minute, func() bool { return false })
	}
	if n := w.rung(); n != 3 {
		t.Fatalf("rung %d times, the limit is 3", n)
	}
	held := w.get("sale-7")
	expectPhase(t, held, v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	assertProjection(t, held)
	if w.charge("sale-7") != nil {
		t.Error("claimed, although it may not be asked for")
	}

	// Another phone is another payer.
	w.payment("other", "mtn", "5901", to("+2250501020399"))
	expectPhase(t, w.settle("other", time.Minute*5), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)

	// It goes on by itself when an hour is over.
	expectPhase(t, w.settle("sale-7", 2*time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	if n := w.rung(); n != 5 {
		t.Errorf("rung %d times, want 5", n)
	}
}

func TestPromptLimit_OnANamespace(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 100, PerNamespace: 4}))
	for i, name := range names(9) {
		w.payment(name, "mtn", "5901", to(fmt.Sprintf("+22505010203%02d", i)))
		w.until(name, time.Minute, func() bool { return false })
	}
	if n := w.rung(); n != 4 {
		t.Fatalf("rung %d times, the limit is 4", n)
	}
	expectPhase(t, w.get("sale-8"), v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	// However often they are looked at.
	if n := testutil.ToFloat64(w.loop.Metrics.waits.WithLabelValues("mtn", v1alpha1.ReasonPromptsLimited)); n != 5 {
		t.Errorf("%v payments are counted as waiting, want 5", n)
	}
	if n := testutil.CollectAndCount(w.loop.Metrics.waits); n != 1 {
		t.Errorf("%d reasons to wait, want one: a payer who takes time is none", n)
	}
}

// The defaults are on.
func TestPromptLimit_ByDefault(t *testing.T) {
	w := newWorld(t)
	for _, name := range names(30) {
		w.payment(name, "mtn", "5901")
		w.until(name, time.Second, func() bool { return false })
	}
	if n := w.rung(); n != attempt.DefaultSettings().Prompts.PerPhone {
		t.Errorf("rung %d times", n)
	}
}

func TestPromptLimit_OfTheAccount(t *testing.T) {
	w := newWorld(t)
	var m v1alpha1.MerchantAccount
	must(t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: "mtn"}, &m))
	m.Spec.Prompts.PerPhone = 2
	must(t, w.api.Update(w.ctx, &m))
	for _, name := range names(5) {
		w.payment(name, "mtn", "5901")
		w.until(name, time.Minute, func() bool { return false })
	}
	if n := w.rung(); n != 2 {
		t.Fatalf("rung %d times, the limit is 2", n)
	}
	m.Spec.Prompts.PerPhone = 1000
	must(t, w.api.Update(w.ctx, &m))
	expectPhase(t, w.settle("sale-4", 5*time.Minute), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
}

// Orange and Wave ring nobody.
func TestPromptLimit_PushOnly(t *testing.T) {
	for _, provider := range []string{"orange", "wave"} {
		w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 1, PerNamespace: 1}))
		for _, name := range names(3) {
			w.payment(name, provider, "5901")
			w.step(name)
			w.step(name)
			w.step(name)
			if c := w.charge(name); c == nil {
				t.Errorf("%s: %s is held", provider, name)
			}
		}
	}
}

// A Payment that comes again is one prompt, and one that is called off while it is
// held none.
func TestPromptLimit_AndOtherFates(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 1, PerNamespace: 100}))
	w.payment("first", "mtn", "5901")
	expectPhase(t, w.settle("first", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	must(t, w.api.Delete(w.ctx, w.get("first")))
	w.payment("first", "mtn", "5901")
	expectPhase(t, w.settle("first", time.Minute), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)

	w.payment("second", "mtn", "5901")
	w.until("second", time.Minute, func() bool { return false })
	expectPhase(t, w.get("second"), v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	w.callOff("second")
	expectPhase(t, w.settle("second", time.Minute), v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)

	// What comes out of a backup rings nobody, and is looked up at once.
	w.payment("restored", "mtn", "5901", func(p *v1alpha1.Payment) {
		p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"}
	})
	expectPhase(t, w.settle("restored", time.Minute), v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
	if n := w.rung(); n != 1 {
		t.Errorf("rung %d times, want once", n)
	}
}

// H12: who takes the label of a restore off again has claimed what the prompt limit did not
// look at, and is held all the same.
func TestH12PromptLimit_NotPassedWithALabel(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 3, PerNamespace: 100}))
	for _, name := range names(12) {
		w.payment(name, "mtn", "5901", func(p *v1alpha1.Payment) {
			p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"}
		})
		expectPhase(t, w.settle(name, time.Minute), v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
	}
	for _, name := range names(12) {
		p := w.get(name)
		p.Labels = nil
		must(t, w.api.Update(w.ctx, p))
		w.until(name, 10*time.Second, func() bool { return false })
	}
	if n := w.rung(); n != 3 {
		t.Fatalf("rung %d times, the limit is 3", n)
	}
	held := w.get("sale-11")
	expectPhase(t, held, v1alpha1.PhasePending, v1alpha1.ReasonPromptsLimited)
	assertProjection(t, held)
	expectPhase(t, w.settle("sale-11", 2*time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
}

// What was claimed in each of many hours in which nothing could be sent is not sent
// all at once when that is over.
func TestPromptLimit_AfterAnOutage(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 2, PerNamespace: 100}))
	down := true
	w.onPoint = func(_ int, label string, after bool) error {
		if down && !after && strings.HasPrefix(label, "call token") {
			return errors.New("connection refused")
		}
		return nil
	}
	for _, name := range names(8) {
		w.payment(name, "mtn", "5901")
		w.until(name, time.Hour, func() bool { return false })
		expectPhase(t, w.get(name), v1alpha1.PhasePending, v1alpha1.ReasonProviderUnreachable)
	}
	down = false
	for _, name := range names(8) {
		w.until(name, time.Minute, func() bool { return false })
	}
	if n := w.rung(); n != 2 {
		t.Errorf("rung %d times, the limit is 2", n)
	}
}

// Who waits has a time of its own: however many wait, few come for nothing.
func TestH11PromptLimit_WaitersDoNotAllComeAtOnce(t *testing.T) {
	const limit, waiting = 5, 40
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: limit, PerNamespace: 1000}))
	account, err := w.loop.Accounts.Resolve(w.ctx, newPayment("any", "mtn", "5901"))
	must(t, err)
	next, looks := map[string]time.Time{}, 0
	for _, name := range names(limit + waiting) {
		next[name] = w.clock.Now()
	}
	for hours := 0; len(next) > 0 && hours < 60*20; hours++ {
		for _, name := range names(limit + waiting) {
			if at, waits := next[name]; !waits || at.After(w.clock.Now()) {
				continue
			}
			looks++
			o := &observed{name: name, holder: newPayment(name, "mtn", "5901")}
			if err := w.loop.limitPrompt(w.ctx, o, account, w.loop.promptLimit.Admit); err == nil {
				delete(next, name)
				sent := newCharge(name, w.clock.Now(), w.loop.Installation.Payer(o.holder.Spec.Phone))
				must(t, w.api.Create(w.ctx, sent))
				continue
			}
			next[name] = w.clock.Now().Add(o.wait)
		}
		w.clock.Add(time.Minute)
	}
	if len(next) > 0 {
		t.Fatalf("%d still wait", len(next))
	}
	// Each when it comes, at its time, and once an hour while it is far back. If all came
	// for each, there would be 900.
	if most := waiting * (waiting/limit + 2) / 2 * 3 / 2; looks > most {
		t.Errorf("%d looks for %d payments, want at most %d", looks, limit+waiting, most)
	}
	if n := w.loop.promptLimit.Waiting(); n != 0 {
		t.Errorf("%d are still in a queue", n)
	}
}

func newCharge(name string, sent time.Time, payer string) *v1alpha1.Charge {
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.ChargeSpec{Provider: "mtn", Payer: payer, Payment: v1alpha1.PaymentIdentity{Namespace: testNamespace}},
		Record:     v1alpha1.ChargeRecord{Sends: 1, LastSend: &v1alpha1.Send{Number: 1, At: metav1.NewMicroTime(sent)}},
	}
}

// Many at once, with a cache that shows none of the claims: what was admitted counts.
func TestPromptLimit_WithAStaleCache(t *testing.T) {
	w := newWorld(t, prompts(promptlimit.Limits{PerPhone: 7, PerNamespace: 100}))
	account, err := w.loop.Accounts.Resolve(w.ctx, newPayment("any", "mtn", "5901"))
	must(t, err)
	w.freeze()
	var mu sync.Mutex
	var wg sync.WaitGroup
	passed := 0
	for _, name := range names(100) {
		wg.Go(func() {
			o := &observed{name: name, holder: newPayment(name, "mtn", "5901")}
			if err := w.loop.limitPrompt(w.ctx, o, account, w.loop.promptLimit.Check); err != nil {
				return
			}
			if err := w.loop.limitPrompt(w.ctx, o, account, w.loop.promptLimit.Admit); err == nil {
				mu.Lock()
				defer mu.Unlock()
				passed++
			}
		})
	}
	wg.Wait()
	if passed != 7 {
		t.Errorf("%d passed, the limit is 7", passed)
	}
}
