package retention

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// noticed is open, and its notice says why.
func noticed(reason v1alpha1.Reason) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Outcome = nil
		c.Record.Notice = &v1alpha1.Notice{Reason: reason, Message: "create it again", At: ago(time.Hour)}
	}
}

func (w *world) events() (out []string) {
	for recorded := w.collector.Recorder.(*events.FakeRecorder).Events; len(recorded) > 0; {
		out = append(out, <-recorded)
	}
	return out
}

// K2d: an open Charge without a Payment that cannot be followed is counted, logged
// and announced, once in a process.
func TestSweep_AnnouncesWhatCannotBeFollowed(t *testing.T) {
	w := newWorld(t,
		old("account-gone", noticed(v1alpha1.ReasonAccountNotFound)),
		old("secret-gone", noticed(v1alpha1.ReasonCredentialsNotFound), unknown),
		old("refund", func(c *v1alpha1.Charge) {
			reserved(c)
			c.Record.Refunds[0].Open = []v1alpha1.Send{{Number: 1}}
			c.Record.Refunds[0].Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound}
		}),
		old("with-payment", noticed(v1alpha1.ReasonAccountNotFound)), newPayment("with-payment"),
		old("over", func(c *v1alpha1.Charge) { c.Record.Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound} }),
		old("unreachable", noticed(v1alpha1.ReasonProviderUnreachable)),
		old("never-sent", neverSent(time.Hour), func(c *v1alpha1.Charge) { c.Record.Notice.Reason = v1alpha1.ReasonAccountNotFound }),
	)
	w.collector.Settings.Keep = 0
	w.sweep()
	announced := strings.Join(w.events(), "\n")
	for _, want := range []string{
		"Warning ChargeNotFollowed The outcome of Payment shop/account-gone, which is gone, cannot be learnt: AccountNotFound. create it again",
		"shop/secret-gone, which is gone, cannot be learnt: CredentialsNotFound", "shop/refund,",
	} {
		if !strings.Contains(announced, want) {
			t.Errorf("%q is not in %s", want, announced)
		}
	}
	if n := strings.Count(w.log.String(), "cannot be followed"); n != 3 || strings.Count(announced, "\n") != 2 {
		t.Errorf("%d lines in the log, want 3; events:\n%s", n, announced)
	}
	w.sweep()
	if again := w.events(); len(again) > 0 {
		t.Errorf("announced again: %v", again)
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(UnfollowedMetric{w.api})
	must(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP mobilemoney_charges_unfollowed Open Charges without a Payment about which the provider cannot be asked: their account, Secret or namespace is gone.
# TYPE mobilemoney_charges_unfollowed gauge
mobilemoney_charges_unfollowed{provider="mtn",reason="AccountNotFound"} 2
mobilemoney_charges_unfollowed{provider="mtn",reason="CredentialsNotFound"} 1
`)))
	w.expectLeft("account-gone", "never-sent", "over", "refund", "secret-gone", "unreachable", "with-payment")
}

func TestSweep_AnnouncesALimitedNumber(t *testing.T) {
	var charges []client.Object
	for i := range maxAnnounced + 1 {
		charges = append(charges, old(fmt.Sprintf("sale-%d", i), noticed(v1alpha1.ReasonAccountNotFound)))
	}
	w := newWorld(t, charges...)
	for sweep, want := range []int{maxAnnounced, 1, 0} {
		w.sweep()
		if got := len(w.events()); got != want {
			t.Errorf("sweep %d announced %d, want %d", sweep+1, got, want)
		}
	}
}
