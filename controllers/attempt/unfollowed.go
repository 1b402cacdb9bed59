package attempt

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// ReportUnfollowed tells that what was asked for an object which is gone cannot be followed any more, in the log and in
// an event in the operator's own namespace: that of the sale may be gone, and others must not learn of it.
func ReportUnfollowed(ctx context.Context, recorder events.EventRecorder, operatorNamespace string, c *v1alpha1.Charge, key string, why *Problem) {
	log.FromContext(ctx).Info("A Charge without its object cannot be followed", "charge", c.Name, "attempt", key, "reason", why.Reason)
	if recorder == nil {
		return
	}
	about := &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "Charge", Name: c.Name, UID: c.UID, Namespace: operatorNamespace,
	}
	recorder.Eventf(about, nil, corev1.EventTypeWarning, why.Reason, "Follow", "The outcome of this charge cannot be asked for: %s", why.Message)
}
