package testworld

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers/simulator"
)

// ledger notes when a provider is asked how a payment stands, and when a callback is noted.
type ledger struct {
	w            *World
	asked, noted []time.Duration
	last         time.Time
	// asks are the requests for money; meanwhile happens while a question is under way.
	asks      int
	meanwhile func()
}

func (l *ledger) Committed(v Version) {
	p, ok := v.New.(*v1alpha1.Payment)
	if ok && p.Status.LastCallback != nil && p.Status.LastCallback.ReceivedAt.After(l.last) {
		l.last = p.Status.LastCallback.ReceivedAt.Time
		l.noted = append(l.noted, l.w.Elapsed())
	}
}

func (l *ledger) Arrives(f *Flight) {
	if f.Asks == simulator.OpInitiate {
		l.asks++
	}
	if f.Asks != simulator.OpStatus {
		return
	}
	l.asked = append(l.asked, l.w.Elapsed())
	if l.meanwhile != nil {
		l.meanwhile()
	}
}

func (*ledger) Acknowledged(*Process, Version)           {}
func (*ledger) Refused(*Process, Key, error)             {}
func (*ledger) Careless(Key)                             {}
func (*ledger) Calls(*Flight)                            {}
func (*ledger) Answered(*Flight)                         {}
func (*ledger) Begins(*Process, Job)                     {}
func (*ledger) Ends(*Process, Job, ctrl.Result, error)   {}
func (*ledger) Shown(*Process, Key, client.Object, bool) {}
func (*ledger) Leaves(*Flight)                           {}
func (*ledger) Died(*Process)                            {}
func (*ledger) Noted(*Process)                           {}
func (l *ledger) gap(times []time.Duration) (least time.Duration) {
	least = time.Hour
	for i := 1; i < len(times); i++ {
		least = min(least, times[i]-times[i-1])
	}
	return least
}

// Somebody who knows the path of a charge, and for once is right in everything, sends ten different callbacks a second:
// the loop asks once in ten seconds, and as little is written, also while the cache is a minute behind.
func TestG14FloodOfDifferentCallbacks(t *testing.T) {
	for name, behind := range map[string]bool{"cache in time": false, "cache behind": true} {
		t.Run(name, func(t *testing.T) {
			l := &ledger{}
			w, err := New(Options{Shared: NewShared(), Observer: l, Provider: "mtn", Settings: attempt.DefaultSettings(), NoCallbacks: true})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = w.Close() }()
			l.w = w
			w.Pay(Sale, "1907", nil)
			if err := w.Run(30 * time.Second); err != nil {
				t.Fatal(err)
			}
			process, charge := w.processes[0], w.Charge(InShop(Sale))
			path := "/callbacks/mtn/" + process.payments.URLs.Paths.ID("mtn", charge.Name)
			answers := map[int]int{}
			const flood = 5 * time.Minute
			if behind {
				process.view.held = w.clock.Now().Add(time.Minute)
			}
			for i := range int(flood / (100 * time.Millisecond)) {
				w.After(time.Duration(i)*100*time.Millisecond, func() {
					rec := httptest.NewRecorder()
					body := fmt.Sprintf(`{"status":"SUCCESSFUL","n":%d}`, i)
					process.callbacks.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
					answers[rec.Code]++
				})
			}
			l.asked, l.noted = nil, nil
			if err := w.Run(flood); err != nil {
				t.Fatal(err)
			}
			limit := int(flood/w.opts.Settings.CallbackGap) + 1
			if len(l.asked) > limit || len(l.asked) < limit/2 || l.gap(l.asked) < w.opts.Settings.CallbackGap {
				t.Errorf("asked %d times, at %v", len(l.asked), l.asked)
			}
			if len(l.noted) > limit || len(l.noted) < limit/2 || l.gap(l.noted) < w.opts.Settings.CallbackGap {
				t.Errorf("noted %d times, at %v", len(l.noted), l.noted)
			}
			if answers[200] == 0 || answers[200]+answers[429] != int(flood/(100*time.Millisecond)) {
				t.Errorf("answers %v", answers)
			}
			if p := w.Payment(InShop(Sale)); p.Status.Phase != "Processing" {
				t.Errorf("it is %s now", p.Status.Phase)
			}
		})
	}
}

// Callbacks come exactly while the loop asks, each of them another one, one before and
// one of them true after the end: there is one request for money and one outcome.
func TestG4CallbackRacesPoll(t *testing.T) {
	for _, amount := range []string{"1902", "1903", "1963"} { // paid, refused, paid with the callback ahead
		l := &ledger{}
		w, err := New(Options{Shared: NewShared(), Observer: l, Provider: "mtn", Settings: attempt.DefaultSettings()})
		if err != nil {
			t.Fatal(err)
		}
		l.w = w
		n, codes := 0, map[int]int{}
		knock := func() {
			p := w.processes[0]
			if w.Charge(InShop(Sale)) == nil {
				return
			}
			n++
			rec := httptest.NewRecorder()
			path := "/callbacks/mtn/" + p.payments.URLs.Paths.ID("mtn", w.Charge(InShop(Sale)).Name)
			p.callbacks.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(fmt.Sprintf(`{"status":"FAILED","n":%d}`, n))))
			codes[rec.Code]++
		}
		l.meanwhile = knock
		w.Pay(Sale, amount, nil)
		w.After(time.Second, knock)
		w.After(10*time.Minute, knock)
		if err := w.Run(time.Hour); err != nil {
			t.Fatal(err)
		}
		want := map[string]v1alpha1.Phase{"1902": v1alpha1.PhaseSucceeded, "1903": v1alpha1.PhaseFailed, "1963": v1alpha1.PhaseSucceeded}[amount]
		if p := w.Payment(InShop(Sale)); p.Status.Phase != want || l.asks != 1 {
			t.Errorf("%s: %s, asked for money %d times", amount, p.Status.Phase, l.asks)
		}
		if codes[http.StatusOK] < 2 || codes[http.StatusOK] != n {
			t.Errorf("%s: answers %v", amount, codes)
		}
		_ = w.Close()
	}
}
