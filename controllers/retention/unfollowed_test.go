package retention

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// noticed is open, and its notice says why.
func noticed(reason v1alpha1.Reason) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Outcome, c.Record.Notice = nil, &v1alpha1.Notice{Reason: reason, At: ago(time.Hour)}
	}
}

// K2d: an open Charge without a Payment that cannot be followed is counted, whether
// it waits for the payment or for a refund of it.
func TestUnfollowedMetric_CountsWhatCannotBeFollowed(t *testing.T) {
	w := newWorld(t,
		old("account-gone", noticed(v1alpha1.ReasonAccountNotFound)),
		old("secret-gone", noticed(v1alpha1.ReasonCredentialsNotFound), unknown),
		old("refund", reserved, func(c *v1alpha1.Charge) {
			c.Record.Refunds[0].Open = []v1alpha1.Send{{Number: 1}}
			c.Record.Refunds[0].Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound}
		}),
		old("with-payment", noticed(v1alpha1.ReasonAccountNotFound)), newPayment("with-payment"),
		old("over", func(c *v1alpha1.Charge) { c.Record.Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound} }),
		old("unreachable", noticed(v1alpha1.ReasonProviderUnreachable)),
		old("never-sent", neverSent(time.Hour), func(c *v1alpha1.Charge) { c.Record.Notice.Reason = v1alpha1.ReasonAccountNotFound }),
	)
	reg := prometheus.NewRegistry()
	reg.MustRegister(UnfollowedMetric{w.api})
	must(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP mobilemoney_charges_unfollowed Open Charges without a Payment about which the provider cannot be asked: their account, Secret or namespace is gone.
# TYPE mobilemoney_charges_unfollowed gauge
mobilemoney_charges_unfollowed{provider="mtn",reason="AccountNotFound"} 2
mobilemoney_charges_unfollowed{provider="mtn",reason="CredentialsNotFound"} 1
`)))
}
