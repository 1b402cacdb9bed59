package payment

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// assertProjection holds a status against what every status promises.
func assertProjection(t *testing.T, p *v1alpha1.Payment) {
	t.Helper()
	s := p.Status
	is := func(kind string) metav1.ConditionStatus {
		if c := condition(p, kind); c != nil {
			return c.Status
		}
		return ""
	}
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	if s.Phase.Terminal() {
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	}
	if s.Phase == v1alpha1.PhaseSucceeded {
		succeeded = metav1.ConditionTrue
	}
	if is(v1alpha1.ConditionFinished) != finished || is(v1alpha1.ConditionSucceeded) != succeeded || is(v1alpha1.ConditionReady) != succeeded {
		t.Errorf("phase %s with conditions %+v", s.Phase, s.Conditions)
	}
	reconciling, stalled := is(v1alpha1.ConditionReconciling), is(v1alpha1.ConditionStalled)
	switch {
	case s.Phase == v1alpha1.PhaseSucceeded && (reconciling != "" || stalled != ""):
		t.Errorf("paid, and still Reconciling=%s Stalled=%s", reconciling, stalled)
	case s.Phase != v1alpha1.PhaseSucceeded && (s.Phase.Terminal() || s.Phase == v1alpha1.PhaseUnknown) && (reconciling != "" || stalled != metav1.ConditionTrue):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	case !s.Phase.Terminal() && s.Phase != v1alpha1.PhaseUnknown && (reconciling != metav1.ConditionTrue || stalled != ""):
		t.Errorf("%s, with Reconciling=%s Stalled=%s", s.Phase, reconciling, stalled)
	}
	if s.Phase.Terminal() == (s.CompletedAt == nil) {
		t.Errorf("phase %s, completedAt %v", s.Phase, s.CompletedAt)
	}
	if failed := s.Phase.Terminal() && s.Phase != v1alpha1.PhaseSucceeded; failed != (s.Failure != nil) {
		t.Errorf("phase %s, failure %+v", s.Phase, s.Failure)
	}
	if s.Phase.Terminal() && s.NextAction != nil {
		t.Error("finished, and there is still something to do for the payer")
	}
	if s.ObservedGeneration != p.Generation {
		t.Errorf("observedGeneration %d of %d", s.ObservedGeneration, p.Generation)
	}
	for _, c := range s.Conditions {
		if _, ok := messages()[c.Reason]; !ok && c.Reason != v1alpha1.ReasonUnrecognizedStatus {
			t.Errorf("condition %s has a reason outside the closed list: %s", c.Type, c.Reason)
		}
	}
}
