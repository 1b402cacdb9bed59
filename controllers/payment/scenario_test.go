package payment

import (
	"strings"
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// What becomes of a payment for every story that the providers can tell. The
// judge of "charged" is the provider's ledger. No callback ever comes here.
func TestG5_Scenarios(t *testing.T) {
	const hour = time.Hour
	type want struct {
		phase   v1alpha1.Phase
		reason  string
		charges int
	}
	succeeded := want{v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid, 1}
	failed := func(reason string) want { return want{v1alpha1.PhaseFailed, reason, 0} }
	expired := want{v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout, 0}
	processing := func(reason string) want { return want{v1alpha1.PhaseProcessing, reason, 0} }
	unknown := func(reason string, charges int) want { return want{v1alpha1.PhaseUnknown, reason, charges} }

	cases := []struct {
		amount  string
		horizon time.Duration
		want    map[string]want
	}{
		{"1901", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1902", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		// Wave keeps the session open after a failed try.
		{"1903", 2 * hour, map[string]want{"mtn": failed(v1alpha1.ReasonPayerDeclined), "orange": failed(v1alpha1.ReasonProviderRefused), "wave": expired}},
		{"1904", 2 * hour, map[string]want{"mtn": failed(v1alpha1.ReasonInsufficientFunds), "orange": failed(v1alpha1.ReasonProviderRefused), "wave": expired}},
		{"1906", 2 * hour, map[string]want{"mtn": expired, "orange": expired, "wave": expired}},
		// Stuck: MTN cannot say, Orange's and Wave's sessions are over for certain.
		{"1907", 2 * hour, map[string]want{"mtn": unknown(v1alpha1.ReasonOutcomeUnknown, 0), "orange": expired, "wave": expired}},
		{"1908", 2 * hour, map[string]want{"mtn": unknown(v1alpha1.ReasonOutcomeUnknown, 0), "orange": unknown(v1alpha1.ReasonOutcomeUnknown, 0)}},
		// The answer to the creation is lost, in every way.
		{"1921", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		{"1922", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1923", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		{"1924", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1926", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1927", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1929", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0)}},
		{"1931", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		{"1932", hour, map[string]want{"orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		{"1933", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		{"1936", hour, map[string]want{"mtn": succeeded, "orange": unknown(v1alpha1.ReasonLostInitiation, 0), "wave": succeeded}},
		// The query is in trouble for a while, or for good.
		{"1941", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1942", 30 * time.Minute, map[string]want{"mtn": {v1alpha1.PhaseProcessing, v1alpha1.ReasonUnrecognizedStatus, 1}, "orange": {v1alpha1.PhaseProcessing, v1alpha1.ReasonUnrecognizedStatus, 1}, "wave": {v1alpha1.PhaseProcessing, v1alpha1.ReasonUnrecognizedStatus, 1}}},
		{"1943", 30 * time.Minute, map[string]want{"mtn": unknown(v1alpha1.ReasonAmountMismatch, 1), "orange": unknown(v1alpha1.ReasonAmountMismatch, 1), "wave": unknown(v1alpha1.ReasonAmountMismatch, 1)}},
		{"1944", 30 * time.Minute, map[string]want{"mtn": unknown(v1alpha1.ReasonAmountMismatch, 1), "wave": unknown(v1alpha1.ReasonAmountMismatch, 1)}},
		{"1946", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1947", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1948", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1949", hour, map[string]want{"mtn": succeeded, "orange": succeeded, "wave": succeeded}},
		{"1909", 5 * time.Minute, map[string]want{"mtn": processing(v1alpha1.ReasonAwaitingPayer), "orange": processing(v1alpha1.ReasonAwaitingPayer), "wave": processing(v1alpha1.ReasonAwaitingPayer)}},
	}
	for _, c := range cases {
		for provider, want := range c.want {
			t.Run(provider+"/"+c.amount, func(t *testing.T) {
				w := newWorld(t)
				// In these stories the payer waits for a page and then pays.
				w.payerPays = strings.HasPrefix(c.amount, "192") || strings.HasPrefix(c.amount, "193")
				w.payment("sale", provider, c.amount)
				got := w.settle("sale", c.horizon)
				expectPhase(t, got, want.phase, want.reason)
				if n := w.charges("sale"); n != want.charges {
					t.Errorf("charged %d times, want %d", n, want.charges)
				}
				assertProjection(t, got)
				assertQuietWhenOver(t, w, got)
			})
		}
	}
}

// assertQuietWhenOver: once terminal, nothing is asked or written any more.
func assertQuietWhenOver(t *testing.T, w *world, p *v1alpha1.Payment) {
	t.Helper()
	if !p.Status.Phase.Terminal() {
		return
	}
	points := len(w.Points)
	if wait, again := w.step(p.Name); again {
		t.Errorf("a finished payment is looked at again after %s", wait)
	}
	if len(w.Points) != points {
		t.Errorf("a finished payment still causes %v", w.Points[points:])
	}
}
