package payment

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// Once the API server went back in time nothing is sent, also if the very write that
// allows a send shows it.
func TestNothingIsSentOnceRevisionsWentBack(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for _, shownBy := range []string{"", "create Charge", "update Charge"} {
			w := newWorld(t)
			back := shownBy == ""
			w.loop.WentBack = func() bool { return back }
			w.onPoint = func(_ int, label string, after bool) error {
				back = back || after && label == shownBy
				return nil
			}
			w.payment("sale", provider, "1902")
			expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
			if n := w.sim.Count("", simulator.OpInitiate); n != 0 || !back {
				t.Errorf("%s, shown by %q: asked for money %d times", provider, shownBy, n)
			}
			if rec := w.charge("sale").Record; openSends(&rec) != 0 {
				t.Errorf("%s, shown by %q: a send counts as made: %+v", provider, shownBy, rec)
			}
		}
	}
}
