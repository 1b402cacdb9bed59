package attempt

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Restored tells whether an object came out of a backup: what its status says is of
// another life, and it is no reason to send anything.
func Restored(o metav1.Object) bool {
	_, ok := o.GetLabels()[v1alpha1.LabelRestore]
	return ok
}
