package refund

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Once the API server went back in time nothing is given back, also if the very
// write that allows it shows it; nor with --adopt-only.
func TestNothingIsGivenBackOnceRevisionsWentBack(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		for _, when := range []string{"flag", "before", "claim", "raise"} {
			w := newWorld(t)
			w.pay("sale", provider, "5000")
			writes, back := 0, when == "before"
			w.settings.AdoptOnly = when == "flag"
			w.start()
			w.loop.WentBack = func() bool { return back }
			w.onPoint = func(_ int, label string, after bool) error {
				if after && label == "update charge" {
					writes++
					back = back || writes == map[string]int{"claim": 1, "raise": 2}[when]
				}
				return nil
			}
			w.refund("back", "sale", "")
			w.settle("back", time.Hour)
			expect(t, w.get("back"), v1alpha1.RefundPending, v1alpha1.ReasonAdoptOnly)
			if got := w.givenBack("sale"); got != "0" || when != "flag" && !back {
				t.Errorf("%s, %s: %s given back", provider, when, got)
			}
			if claim := claimOf(w.charge("sale"), "back"); openSends(claim) != 0 {
				t.Errorf("%s, %s: a send counts as made: %+v", provider, when, claim)
			}
		}
	}
}
