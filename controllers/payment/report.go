package payment

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// announce tells, once, that a Payment ended, became Unknown or waits for somebody, and counts the
// ends. Its texts are those of the conditions: closed, and without secrets.
func (r *Reconciler) announce(old, p *v1alpha1.Payment) {
	if isTrue(p, v1alpha1.ConditionLateSettlement) && !isTrue(old, v1alpha1.ConditionLateSettlement) {
		r.event(p, corev1.EventTypeWarning, v1alpha1.ConditionLateSettlement, v1alpha1.ConditionLateSettlement)
		r.Metrics.contradictions.WithLabelValues(r.providerLabel(p)).Inc()
	}
	if isTrue(p, v1alpha1.ConditionAdopted) && !isTrue(old, v1alpha1.ConditionAdopted) {
		r.event(p, corev1.EventTypeNormal, v1alpha1.ConditionAdopted, v1alpha1.ConditionAdopted)
	}
	if reason := waitsFor(p); reason != "" && reason != waitsFor(old) {
		r.Metrics.waits.WithLabelValues(r.providerLabel(p), reason).Inc()
	}
	ended := p.Status.Phase.Terminal() || p.Status.Phase == v1alpha1.PhaseUnknown
	// That all goes as it should is no event: it would cost a request of each payment.
	if old.Status.Phase == p.Status.Phase || !ended && waitsFor(p) == "" {
		return
	}
	kind := corev1.EventTypeNormal
	switch p.Status.Phase {
	case v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseUnknown:
		kind = corev1.EventTypeWarning
	default:
	}
	r.event(p, kind, string(p.Status.Phase), v1alpha1.ConditionSucceeded)
	if ended {
		r.Metrics.ended(p, r.providerLabel(p))
	}
}

// waitsFor is the reason why a Payment gets no further, and neither its payer nor an
// answer is what it waits for; empty: nothing is in its way, or it is over.
func waitsFor(p *v1alpha1.Payment) v1alpha1.Reason {
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded)
	if c == nil || p.Status.Phase != v1alpha1.PhasePending && p.Status.Phase != v1alpha1.PhaseProcessing {
		return ""
	}
	switch c.Reason {
	case v1alpha1.ReasonAccepted, v1alpha1.ReasonAwaitingPayer, v1alpha1.ReasonAwaitingAnswer:
		return ""
	default:
		return c.Reason
	}
}

// providerLabel is the provider of p for a metric: any name may stand in a Payment,
// so one that the operator does not know would be a label of the user's choice.
func (r *Reconciler) providerLabel(p *v1alpha1.Payment) string {
	if _, known := r.Accounts.Registry[p.Spec.Provider]; known {
		return p.Spec.Provider
	}
	return "other"
}

func (r *Reconciler) event(p *v1alpha1.Payment, kind, action, condition string) {
	c := meta.FindStatusCondition(p.Status.Conditions, condition)
	if c == nil || r.Recorder == nil {
		return
	}
	r.Recorder.Eventf(p, nil, kind, c.Reason, action, "%s", c.Message)
}

func isTrue(p *v1alpha1.Payment, condition string) bool {
	return meta.IsStatusConditionTrue(p.Status.Conditions, condition)
}

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
		return promauto.With(reg).NewCounterVec(prometheus.CounterOpts{Namespace: "mobilemoney", Name: name, Help: help}, labels)
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

func (m *Metrics) ended(p *v1alpha1.Payment, provider string) {
	reason := ""
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		reason = c.Reason
	}
	m.finished.WithLabelValues(provider, string(p.Status.Phase), reason).Inc()
}
