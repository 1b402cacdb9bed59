package refund

import (
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Metrics of the loop. Labels come from closed lists.
type Metrics struct {
	ended, contradictions *prometheus.CounterVec
}

// NewMetrics returns metrics that are registered with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "mobilemoney", Name: "refunds_ended_total",
		Help: "Refunds that came to an end or to the phases Unknown and ManualActionRequired.",
	}, []string{"provider", "phase", "reason"})
	contradictions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "mobilemoney", Name: "late_refund_settlements_total",
		Help: "Refunds about which the provider said something else after they were finished.",
	}, []string{"provider"})
	reg.MustRegister(ended, contradictions)
	return &Metrics{ended: ended, contradictions: contradictions}
}

// announce tells, once, that a Refund came into another phase, and counts the
// ends. Its texts are those of the conditions: closed, and without secrets.
func (r *Reconciler) announce(v view, next *v1alpha1.Refund) {
	if late := v1alpha1.ConditionLateSettlement; meta.IsStatusConditionTrue(next.Status.Conditions, late) && !meta.IsStatusConditionTrue(v.refund.Status.Conditions, late) {
		r.event(next, corev1.EventTypeWarning, v1alpha1.ReasonContradicted, late, reasons.Refund().Of(v1alpha1.ReasonContradicted, ""))
		r.Metrics.contradictions.WithLabelValues(v.charge.Spec.Provider).Inc()
	}
	c := meta.FindStatusCondition(next.Status.Conditions, v1alpha1.ConditionSucceeded)
	if c == nil || v.refund.Status.Phase == next.Status.Phase {
		return
	}
	kind, counts := corev1.EventTypeNormal, next.Status.Phase.Terminal()
	switch next.Status.Phase {
	case v1alpha1.RefundFailed:
		kind = corev1.EventTypeWarning
	case v1alpha1.RefundUnknown, v1alpha1.RefundManualActionRequired:
		kind, counts = corev1.EventTypeWarning, true
	default:
	}
	r.event(next, kind, c.Reason, string(next.Status.Phase), c.Message)
	if counts {
		provider := "unknown"
		if v.charge != nil {
			provider = v.charge.Spec.Provider
		}
		r.Metrics.ended.WithLabelValues(provider, string(next.Status.Phase), c.Reason).Inc()
	}
}

func (r *Reconciler) event(about *v1alpha1.Refund, kind, reason, action, text string) {
	if r.Recorder != nil {
		r.Recorder.Eventf(about, nil, kind, reason, action, "%s", text)
	}
}
