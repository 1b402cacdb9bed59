package retention

import (
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
)

// indexUnfollowed finds the Charges that are open and whose notice says that the
// provider cannot be asked.
const indexUnfollowed = "unfollowed"

// cannotAsk: by that reason, what the provider was asked with is gone.
func cannotAsk(reason v1alpha1.Reason) bool {
	switch reason {
	case v1alpha1.ReasonAccountNotFound, v1alpha1.ReasonAccountMismatch, v1alpha1.ReasonProviderNotSupported,
		v1alpha1.ReasonCredentialsNotFound, v1alpha1.ReasonCredentialsIncomplete, v1alpha1.ReasonRefundNotConfigured,
		v1alpha1.ReasonEndpointNotAllowed:
		return true
	default:
		return false
	}
}

// whyUnfollowed is the notice of an attempt on c that is open and cannot be followed;
// nil: there is none.
func whyUnfollowed(c *v1alpha1.Charge) *v1alpha1.Notice {
	attempts := []*v1alpha1.Attempt{&c.Record.Attempt}
	for i := range c.Record.Refunds {
		attempts = append(attempts, &c.Record.Refunds[i].Attempt)
	}
	for _, a := range attempts {
		if a.Outcome == nil && a.Notice != nil && !attempt.NothingSent(a) && cannotAsk(a.Notice.Reason) {
			return a.Notice
		}
	}
	return nil
}

// unfollowed are the Charges that are open, cannot be followed and have no Payment
// that would show it.
func unfollowed(ctx context.Context, cached client.Reader) ([]v1alpha1.Charge, error) {
	var list v1alpha1.ChargeList
	if err := cached.List(ctx, &list, client.MatchingFields{indexUnfollowed: "true"}); err != nil {
		return nil, fmt.Errorf("listing the Charges that cannot be followed: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(c v1alpha1.Charge) bool {
		key := types.NamespacedName{Namespace: c.Spec.Payment.Namespace, Name: c.Spec.Payment.Name}
		err := cached.Get(ctx, key, &v1alpha1.Payment{})
		return !attempt.IsGone(err) || whyUnfollowed(&c) == nil
	}), nil
}

func unfollowedDesc() *prometheus.Desc {
	return prometheus.NewDesc("mobilemoney_charges_unfollowed",
		"Open Charges without a Payment about which the provider cannot be asked: their account, Secret or namespace is gone.",
		[]string{"provider", "reason"}, nil)
}

// UnfollowedMetric counts, at each scrape, the Charges that cannot be followed.
type UnfollowedMetric struct{ Cached client.Reader }

// Describe implements prometheus.Collector.
func (UnfollowedMetric) Describe(out chan<- *prometheus.Desc) { out <- unfollowedDesc() }

// Collect implements prometheus.Collector.
func (m UnfollowedMetric) Collect(out chan<- prometheus.Metric) {
	type labels struct{ provider, reason string }
	counts := map[labels]int{}
	ctx, cancel := context.WithTimeout(context.Background(), oneTimeout)
	defer cancel()
	charges, err := unfollowed(ctx, m.Cached)
	if err != nil {
		out <- prometheus.NewInvalidMetric(unfollowedDesc(), err)
		return
	}
	for i := range charges {
		counts[labels{charges[i].Spec.Provider, whyUnfollowed(&charges[i]).Reason}]++
	}
	for l, n := range counts {
		out <- prometheus.MustNewConstMetric(unfollowedDesc(), prometheus.GaugeValue, float64(n), l.provider, l.reason)
	}
}
