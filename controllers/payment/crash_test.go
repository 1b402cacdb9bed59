package payment

import (
	"fmt"
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Every write and every provider call of a run is a place to die at: right
// before it, right after it, or with its answer lost. Whatever happens, the
// payer is charged once at most, and the outcome is found again.
func TestCrashAtEveryPoint(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for _, story := range []struct {
			amount string
			paid   bool
		}{{"1901", true}, {"1906", false}, {"1922", true}} {
			clean := newWorld(t)
			clean.payerPays = story.amount == "1922"
			clean.payment("sale", provider, story.amount)
			clean.settle("sale", 3*time.Hour)
			for n, label := range clean.points {
				for _, fault := range []string{"crash before", "crash after", "answer lost"} {
					t.Run(fmt.Sprintf("%s/%s/%d %s/%s", provider, story.amount, n, label, fault), func(t *testing.T) {
						t.Parallel()
						w := newWorld(t)
						w.payerPays = story.amount == "1922"
						fired := false
						w.onPoint = func(at int, _ string, after bool) error {
							if at != n || fired || after == (fault == "crash before") {
								return nil
							}
							fired = true
							// A token is fetched in a goroutine of its own, which
							// no crash here can reach; it asks for no money.
							if fault == "answer lost" || label == "call token" {
								return errInjected
							}
							panic(crash{label})
						}
						w.payment("sale", provider, story.amount)
						w.settle("sale", 3*time.Hour)
						if !fired {
							t.Fatal("the fault did not happen")
						}
						// Orange tells its token once: who dies with it in hand lost it.
						inHand := label == "call webpayment" ||
							fault == "crash before" && n > 0 && clean.points[n-1] == "call webpayment"
						assertSafe(t, w, inHand, story.paid)
						if sends := w.charge("sale").Record.Sends; sends > clean.charge("sale").Record.Sends+1 {
							t.Errorf("%d sends for one more fault", sends)
						}
					})
				}
			}
		}
	}
}

func assertSafe(t *testing.T, w *world, mayHold, paid bool) {
	t.Helper()
	p := w.get("sale")
	charges := w.charges("sale")
	reason := condition(p, v1alpha1.ConditionSucceeded).Reason
	switch {
	case charges > 1:
		t.Fatalf("charged %d times: %v", charges, w.points)
	case mayHold && charges == 0 && p.Status.Phase == v1alpha1.PhaseUnknown && reason == v1alpha1.ReasonLostInitiation:
	case paid && (p.Status.Phase != v1alpha1.PhaseSucceeded || charges != 1):
		t.Fatalf("%s with %d charges; want Succeeded with one: %v", p.Status.Phase, charges, w.points)
	case !paid && (p.Status.Phase != v1alpha1.PhaseExpired || charges != 0):
		t.Fatalf("%s with %d charges; want Expired with none: %v", p.Status.Phase, charges, w.points)
	}
	assertProjection(t, p)
}
