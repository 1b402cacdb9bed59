package payment

import (
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Metrics of the loop. Labels come from closed lists: no names, no references.
type Metrics struct {
	calls          *prometheus.CounterVec
	finished       *prometheus.CounterVec
	waits          *prometheus.CounterVec
	unmapped       *prometheus.CounterVec
	contradictions *prometheus.CounterVec
	orphans        *prometheus.CounterVec
}

// NewMetrics returns metrics that are registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "mobilemoney", Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	return &Metrics{
		calls: counter("provider_calls_total",
			"Calls to providers, by operation and what their end means for the money (OK, or the class of the error).", "provider", "operation", "class"),
		finished: counter("payments_ended_total",
			"Payments that came to an end or to phase Unknown.", "provider", "phase", "reason"),
		waits: counter("payments_waiting_total",
			"Times that a Payment that is not over began to wait for something else than its payer, by reason.", "provider", "reason"),
		unmapped: counter("unrecognized_status_total",
			"Status words that this version has no mapping for.", "provider"),
		contradictions: counter("late_settlements_total",
			"Payments about which the provider said something else after they were finished.", "provider"),
		orphans: counter("orphaned_charges_ended_total",
			"Charges that came to an end without a Payment.", "provider", "phase"),
	}
}

// Called counts a call that ended in err, or in OK.
func (m *Metrics) Called(provider string, operation providers.Operation, err error) {
	class := "OK"
	if err != nil {
		class = string(providers.ClassOf(err))
	}
	m.calls.WithLabelValues(provider, string(operation), class).Inc()
}

func (m *Metrics) unrecognized(provider string) { m.unmapped.WithLabelValues(provider).Inc() }

func (m *Metrics) contradicted(provider string) { m.contradictions.WithLabelValues(provider).Inc() }

func (m *Metrics) orphaned(provider string, phase v1alpha1.Phase) {
	m.orphans.WithLabelValues(provider, string(phase)).Inc()
}

func (m *Metrics) waiting(provider string, reason v1alpha1.Reason) {
	m.waits.WithLabelValues(provider, reason).Inc()
}

func (m *Metrics) ended(p *v1alpha1.Payment, provider string) {
	reason := ""
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		reason = c.Reason
	}
	m.finished.WithLabelValues(provider, string(p.Status.Phase), reason).Inc()
}
