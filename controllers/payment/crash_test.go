package payment

import (
	"fmt"
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

// crashStory is a run that is crashed at each of its points in turn.
type crashStory struct {
	name      string
	providers []string
	amount    string
	phase     v1alpha1.Phase
	// arrange is done to the world before the Payment is created.
	arrange func(*world)
}

func crashStories() []crashStory {
	return []crashStory{
		{"paid", allProviders, "1901", v1alpha1.PhaseSucceeded, func(*world) {}},
		{"expired", allProviders, "1906", v1alpha1.PhaseExpired, func(*world) {}},
		{"dropped", allProviders, "1922", v1alpha1.PhaseSucceeded, func(w *world) { w.payerPays = true }},
		{"surplus", []string{"wave"}, "1909", v1alpha1.PhaseSucceeded, func(w *world) {
			w.payerPays = true
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Behaviour{Twice: true, Cut: true, Times: 1})
		}},
		{"refused", allProviders, "1901", v1alpha1.PhaseFailed, func(w *world) {
			for provider, refusal := range refusals() {
				w.Sim.Script(simulator.Match{Provider: simulator.Provider(provider), Op: simulator.OpInitiate}, refusal)
			}
		}},
	}
}

// begin starts the story in a world of its own.
func (s crashStory) begin(t *testing.T, provider string) *world {
	t.Helper()
	w := newWorld(t)
	s.arrange(w)
	w.payment("sale", provider, s.amount)
	return w
}

// Every write and every provider call of a run is a place to die at: right before it, right
// after it, or with its answer lost. Whatever happens, the payer is charged once at most, and
// the outcome is found again. The torture does the same to every story, with more faults.
func TestCrashAtEveryPoint(t *testing.T) {
	for _, story := range crashStories() {
		for _, provider := range story.providers {
			clean := story.begin(t, provider)
			clean.settle("sale", 3*time.Hour)
			for n, label := range crashPoints(clean.Points) {
				for _, fault := range []string{"crash before", "crash after", "answer lost"} {
					t.Run(fmt.Sprintf("%s/%s/%d %s/%s", provider, story.name, n, label, fault), func(t *testing.T) {
						t.Parallel()
						crashAt(t, story, provider, clean, n, fault)
					})
				}
			}
		}
	}
}

// crashPoints are the places to die at. Of a long row of the same question, the
// first ones and the last stand for all.
func crashPoints(points []string) map[int]string {
	out := map[int]string{}
	for n, label := range points {
		if n < 3 || n == len(points)-1 || label != points[n-1] || label != points[n-2] || label != points[n+1] {
			out[n] = label
		}
	}
	return out
}

func crashAt(t *testing.T, story crashStory, provider string, clean *world, n int, fault string) {
	t.Helper()
	label := clean.Points[n]
	w := story.begin(t, provider)
	fired := false
	w.OnPoint = func(at int, _ string, after bool) error {
		if at != n || fired || after == (fault == "crash before") {
			return nil
		}
		fired = true
		// A token is fetched in a goroutine of its own, which no crash here can
		// reach; it asks for no money.
		if fault == "answer lost" || label == "call token" {
			return looptest.ErrInjected
		}
		panic(looptest.Crash{At: label})
	}
	w.settle("sale", 3*time.Hour)
	if !fired {
		t.Fatal("the fault did not happen")
	}
	// Orange tells its token once: who dies with it in hand lost it.
	inHand := label == "call initiate" ||
		fault == "crash before" && n > 0 && clean.Points[n-1] == "call initiate"
	assertSafe(t, w, inHand, story.phase)
	if sends := w.sends(); sends > clean.sends()+1 {
		t.Errorf("%d sends for one more fault", sends)
	}
}

// sends of the sale that are written down.
func (w *world) sends() int32 {
	if c := w.charge("sale"); c != nil {
		return c.Record.Sends
	}
	return 0
}

func assertSafe(t *testing.T, w *world, mayHold bool, phase v1alpha1.Phase) {
	t.Helper()
	p := w.get("sale")
	charges, want := w.charges("sale"), 0
	if phase == v1alpha1.PhaseSucceeded {
		want = 1
	}
	reason := condition(p, v1alpha1.ConditionSucceeded).Reason
	switch {
	case charges > 1:
		t.Fatalf("charged %d times: %v", charges, w.Points)
	case phase == v1alpha1.PhaseFailed && charges == 0 && p.Status.Phase == v1alpha1.PhaseUnknown && len(w.charge("sale").Record.Open) > 0:
		// MTN refused a repeat, and the first send may have arrived.
	case mayHold && charges == 0 && p.Status.Phase == v1alpha1.PhaseUnknown && reason == v1alpha1.ReasonLostInitiation:
	case p.Status.Phase != phase || charges != want:
		t.Fatalf("%s with %d charges; want %s with %d: %v", p.Status.Phase, charges, phase, want, w.Points)
	}
	assertProjection(t, p)
}
