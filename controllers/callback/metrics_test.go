package callback

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Each end of a callback is counted by a word of a closed list, and nothing that was
// sent becomes a label.
func TestMetrics_CountResults(t *testing.T) {
	s, early := newSale("shop", "order-1", "mtn"), newSale("shop", "early", "orange", unansweredSale)
	over := newSale("shop", "over", "mtn", ended(v1alpha1.PhaseSucceeded))
	f := withSales(t, s, early, over)
	f.send(http.MethodPost, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), said("FAILED"))
	f.send(http.MethodPost, over.path(), mtnBody)
	f.send(http.MethodPost, s.path(), "x")
	f.send(http.MethodPost, s.path()+"x", mtnBody)
	f.send(http.MethodPost, newSale("shop", "gone", "mtn").path(), mtnBody)
	f.send(http.MethodGet, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), strings.Repeat(" ", maxBody+1))
	f.send(http.MethodPost, early.path(), orangeBody("SUCCESS", notifToken))
	f.send(http.MethodPost, "/callbacks/m-pesa/"+s.id(), mtnBody)
	f.send(http.MethodPost, "/wp-login.php", mtnBody)
	f.send(http.MethodGet, "/return", "")
	kind := f.Registry["orange"]
	kind.Callbacks = panicking{}
	f.Registry["orange"] = kind
	f.send(http.MethodPost, early.path(), "{}")
	f.throttle.charges = newBuckets(1, 0)
	f.send(http.MethodPost, s.path(), mtnBody)
	want := `
		# HELP mobilemoney_callback_path_keys_total Callback paths of charges that were verified, by the key that signed them: current or previous.
		# TYPE mobilemoney_callback_path_keys_total counter
		mobilemoney_callback_path_keys_total{key="current"} 10
		# HELP mobilemoney_callbacks_total Requests to the callback receiver, by provider (or other) and what became of them.
		# TYPE mobilemoney_callbacks_total counter
		mobilemoney_callbacks_total{provider="mtn",result="ignored"} 2
		mobilemoney_callbacks_total{provider="mtn",result="limited"} 1
		mobilemoney_callbacks_total{provider="mtn",result="malformed"} 1
		mobilemoney_callbacks_total{provider="mtn",result="method"} 1
		mobilemoney_callbacks_total{provider="mtn",result="noted"} 1
		mobilemoney_callbacks_total{provider="mtn",result="repeated"} 1
		mobilemoney_callbacks_total{provider="mtn",result="too-large"} 1
		mobilemoney_callbacks_total{provider="mtn",result="unknown"} 1
		mobilemoney_callbacks_total{provider="mtn",result="unverified"} 1
		mobilemoney_callbacks_total{provider="orange",result="bug"} 1
		mobilemoney_callbacks_total{provider="orange",result="later"} 1
		mobilemoney_callbacks_total{provider="other",result="unknown"} 2
	`
	if err := testutil.GatherAndCompare(f.metrics, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	var none *Metrics // a receiver can do without
	none.received("mtn", resultNoted)
	none.verifiedBy(0)
}

// Whoever watches it sees when nothing is signed with the old key any more.
func TestG10_MetricOfPathKeys(t *testing.T) {
	f := setUp(t)
	for _, key := range []int{-1, 0, 1, 1} {
		f.Metrics.verifiedBy(key)
	}
	if n := testutil.ToFloat64(f.Metrics.keys.WithLabelValues("previous")); n != 2 {
		t.Errorf("%v", n)
	}
	if n := testutil.ToFloat64(f.Metrics.keys.WithLabelValues("current")); n != 1 {
		t.Errorf("%v", n)
	}
}

// A provider's parser that says neither good nor bad is our fault, and not the
// sender's.
func TestRefused_TakesOddParserErrors(t *testing.T) {
	for err, want := range map[error]result{providers.ErrBadCallback: resultUnverified, providers.ErrMalformedCallback: resultMalformed, errAPI: resultLater} {
		if got := refused(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
	if !tooSoon(time.Unix(5, 0), time.Unix(9, 0), 10*time.Second) {
		t.Error("a clock that was set back is no reason for more notes")
	}
}
