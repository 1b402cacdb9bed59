// Package v1alpha1 holds the kinds of mobilemoney.dev/v1alpha1. Every rule about
// what a user may write is CEL in the CRDs, so that the API server refuses a
// mistake at once and says what to do instead.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +kubebuilder:ac:output:package="../applyconfiguration"
// +groupName=mobilemoney.dev
package v1alpha1

// What a write of these types costs the API server:
//   - Each look of a rule at a member copies the schema of all members. So a rule about
//     one member is on that member where it can be, and what is usually true comes first.
//   - Each member has an entry in managedFields. What is written as a whole is atomic.

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// SchemeGroupVersion is the group and version of this package.
	SchemeGroupVersion = schema.GroupVersion{Group: "mobilemoney.dev", Version: "v1alpha1"}

	// SchemeBuilder collects what AddToScheme adds.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme adds the kinds of this package to a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(SchemeGroupVersion,
		&Payment{}, &PaymentList{},
		&Charge{}, &ChargeList{},
		&Refund{}, &RefundList{},
		&MerchantAccount{}, &MerchantAccountList{},
		&ClusterMerchantAccount{}, &ClusterMerchantAccountList{},
	)
	metav1.AddToGroupVersion(s, SchemeGroupVersion)
	return nil
}
