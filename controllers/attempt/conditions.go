package attempt

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Standing is how a request stands, as its conditions show it.
type Standing struct {
	// Finished, and Succeeded: True, False or Unknown.
	Finished, Succeeded metav1.ConditionStatus
	// Stalled: it cannot change by itself.
	Stalled bool
	Reason  v1alpha1.Reason
	Message string
}

// SetConditions sets Finished, Succeeded, Ready and, as kstatus wants them, there
// only while true and never both, Reconciling and Stalled.
func SetConditions(conditions *[]metav1.Condition, s Standing, generation int64, now time.Time) {
	set := func(kind string, value metav1.ConditionStatus) {
		SetCondition(conditions, kind, value, s.Reason, s.Message, generation, now)
	}
	set(v1alpha1.ConditionFinished, s.Finished)
	set(v1alpha1.ConditionSucceeded, s.Succeeded)
	set(v1alpha1.ConditionReady, s.Succeeded)
	shown, hidden := v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled
	if s.Stalled {
		shown, hidden = hidden, shown
	}
	meta.RemoveStatusCondition(conditions, hidden)
	if s.Succeeded == metav1.ConditionTrue {
		meta.RemoveStatusCondition(conditions, shown)
		return
	}
	set(shown, metav1.ConditionTrue)
}

// SetCondition sets one condition; now dates its transition, to the second.
func SetCondition(conditions *[]metav1.Condition, kind string, value metav1.ConditionStatus, reason, message string, generation int64, now time.Time) {
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: kind, Status: value, Reason: reason, Message: message,
		ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	})
}
