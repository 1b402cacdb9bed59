package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Refund asks to give back all or part of a Payment that succeeded, once.
// Deleting a Refund gives nothing back and takes nothing back; applying it
// again under the same name continues the same refund. To give back more, use a
// new name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=mobilemoney
// +kubebuilder:selectablefield:JSONPath=.spec.paymentRef.name
// +kubebuilder:selectablefield:JSONPath=.status.phase
// +kubebuilder:printcolumn:name="Payment",type=string,JSONPath=`.spec.paymentRef.name`
// +kubebuilder:printcolumn:name="Amount",type=string,JSONPath=`.status.amount`
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.status.currency`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Account",type=string,priority=1,JSONPath=`.status.account`
// +kubebuilder:validation:XValidation:rule=`!has(self.spec.confirmation) || (has(oldSelf.spec.confirmation) && self.spec.confirmation == oldSelf.spec.confirmation) || oldSelf.?status.phase.orValue("") in ["Unknown", "ManualActionRequired"]`,message="only a Refund in phase Unknown or ManualActionRequired can be confirmed by a person; the operator finds the outcome of any other"
// +kubebuilder:validation:XValidation:rule=`!has(self.spec.confirmation) || (has(oldSelf.spec.confirmation) && self.spec.confirmation == oldSelf.spec.confirmation) || !(oldSelf.?status.phase.orValue("") in ["Unknown", "ManualActionRequired"]) || self.spec.confirmation.unknownID == oldSelf.?status.unknown.id.orValue("")`,message="confirmation.unknownID must be the present status.unknown.id; read the Refund again and confirm what it shows"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.spec.confirmation) || (has(self.spec.confirmation) && self.spec.confirmation == oldSelf.spec.confirmation) || (oldSelf.spec.confirmation.unknownID != oldSelf.?status.unknown.id.orValue("") && oldSelf.?status.confirmedBy.orValue("") == "")`,message="a confirmation that counts cannot change or be taken back"
type Refund struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What to give back. It cannot change after creation; create a new Refund
	// instead.
	Spec RefundSpec `json:"spec"`

	// How the refund stands. Written by the operator only.
	// +kubebuilder:default:={"observedGeneration":-1}
	Status RefundStatus `json:"status,omitzero"`
}

// RefundSpec says what to give back, and why.
//
// +kubebuilder:validation:XValidation:rule="self.paymentRef == oldSelf.paymentRef",message="paymentRef cannot change after creation; create a new Refund"
// +kubebuilder:validation:XValidation:rule="has(self.amount) == has(oldSelf.amount) && (!has(self.amount) || !isQuantity(string(self.amount)) || quantity(string(self.amount)).compareTo(quantity(string(oldSelf.amount))) == 0)",message="amount cannot change after creation; create a new Refund"
// +kubebuilder:validation:XValidation:rule="self.reason == oldSelf.reason",message="reason cannot change after creation; create a new Refund"
type RefundSpec struct {
	// PaymentRef names the Payment, in the Refund's own namespace.
	PaymentRef PaymentReference `json:"paymentRef"`

	// Amount to give back, in the currency of the Payment: an integer (1500) or
	// a decimal in quotes ("10.50"). Default: the whole amount of the Payment.
	// Wave gives back whole payments only.
	Amount *Amount `json:"amount,omitempty"`

	// Reason for the refund. The payer sees it where the provider shows one
	// (mtn).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=140
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="reason must be plain text on one line, without control characters"
	Reason string `json:"reason"`

	// Confirmation is what a person says who has settled the refund at the
	// provider. It counts in the phases ManualActionRequired (orange, whose API
	// has no refunds) and Unknown only, and is recorded for good. Writing it
	// takes the verb "confirm" on refunds.
	Confirmation *RefundConfirmation `json:"confirmation,omitempty"`
}

// PaymentReference names a Payment of the same namespace.
type PaymentReference struct {
	// Name of the Payment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="name must be that of a Payment: small letters, digits, . and - only"
	Name string `json:"name"`
}

// RefundConfirmation is what a person says about a refund that was settled by
// hand.
type RefundConfirmation struct {
	// UnknownID is the status.unknown.id that the person saw: the confirmation
	// counts only while the Refund shows that id.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UnknownID string `json:"unknownID"`

	// Outcome: Refunded (the payer has the money back) or NotRefunded (and
	// never will under this Refund).
	// +kubebuilder:validation:Enum=Refunded;NotRefunded
	Outcome ConfirmedOutcome `json:"outcome"`

	// ConfirmedBy is the user name of who confirms, as the API server knows it
	// (kubectl auth whoami).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="confirmedBy must be plain text on one line"
	ConfirmedBy string `json:"confirmedBy"`

	// TransactionID of the refund at the provider.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._:/-]+$')",message="transactionID must be letters, digits and . _ : / - only"
	TransactionID string `json:"transactionID,omitempty"`

	// Note says how the person knows.
	// +kubebuilder:validation:MaxLength=500
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="note must be plain text on one line"
	Note string `json:"note,omitempty"`
}

// ConfirmedOutcome is what a person says became of a refund.
type ConfirmedOutcome string

const (
	// ConfirmedRefunded: the payer has the money back.
	ConfirmedRefunded ConfirmedOutcome = "Refunded"
	// ConfirmedNotRefunded: nothing was given back, and nothing will be.
	ConfirmedNotRefunded ConfirmedOutcome = "NotRefunded"
)

// RefundPhase is how far a Refund is. All but Succeeded and Failed can change.
//
// +kubebuilder:validation:Enum=Pending;Processing;ManualActionRequired;Unknown;Succeeded;Failed
type RefundPhase string

const (
	// RefundPending: the provider has not been asked.
	RefundPending RefundPhase = "Pending"
	// RefundProcessing: the provider was asked, or may have been.
	RefundProcessing RefundPhase = "Processing"
	// RefundManualActionRequired: a person has to give the money back in the
	// provider's portal, and to confirm it.
	RefundManualActionRequired RefundPhase = "ManualActionRequired"
	// RefundUnknown: whether the money was given back cannot be determined. Nothing
	// is sent again; the provider's answer or a person settles it.
	RefundUnknown RefundPhase = "Unknown"
	// RefundSucceeded: the provider, or a person, said that exactly this amount
	// was given back.
	RefundSucceeded RefundPhase = "Succeeded"
	// RefundFailed: certain that nothing was given back.
	RefundFailed RefundPhase = "Failed"
)

// Terminal reports whether the phase is final.
func (p RefundPhase) Terminal() bool { return p == RefundSucceeded || p == RefundFailed }

// Reasons of a Refund that are not those of a Payment. docs/refund.md says what
// to do about each.
const (
	// ReasonPaymentNotFound, ReasonPaymentNotSucceeded: there is nothing to give
	// back yet.
	ReasonPaymentNotFound     Reason = "PaymentNotFound"
	ReasonPaymentNotSucceeded Reason = "PaymentNotSucceeded"
	// ReasonRefundNotConfigured: the account lacks the credentials of the
	// provider's product for refunds.
	ReasonRefundNotConfigured Reason = "RefundNotConfigured"
	// ReasonManualActionRequired: a person has to give the money back.
	ReasonManualActionRequired Reason = "ManualActionRequired"
	ReasonAwaitingProvider     Reason = "AwaitingProvider"

	ReasonRefunded                  Reason = "Refunded"
	ReasonExceedsPayment            Reason = "ExceedsPayment"
	ReasonPartialRefundNotSupported Reason = "PartialRefundNotSupported"
	ReasonRefundConflict            Reason = "RefundConflict"
	ReasonNotRefunded               Reason = "NotRefunded"
	ReasonTooManyRefunds            Reason = "TooManyRefunds"
	// ReasonRefundHistoryUnknown: the payment was found at the provider, without the
	// record of the refunds that it may have had.
	ReasonRefundHistoryUnknown Reason = "RefundHistoryUnknown"
)

// RefundStatus says how a Refund stands. It is a projection of what the Charge
// of its Payment records.
//
// +kubebuilder:validation:XValidation:rule=`!(oldSelf.?phase.orValue("") in ['Succeeded', 'Failed']) || self.?phase.orValue("") == oldSelf.phase`,message="a finished Refund stays as it ended"
// +kubebuilder:validation:XValidation:rule=`self.?phase.orValue("Pending") != "Pending" || oldSelf.?phase.orValue("Pending") == "Pending"`,message="phase cannot be removed or become Pending again: it says whether the money was given back"
// +kubebuilder:validation:XValidation:rule="has(self.chargeName) || !has(oldSelf.chargeName)",message="chargeName cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.initiatedAt) || !has(oldSelf.initiatedAt)",message="initiatedAt cannot be removed"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.unknown) || has(self.unknown) || !(self.?phase.orValue("") in ['Unknown', 'ManualActionRequired'])`,message="unknown cannot be removed while a person has to confirm"
// +kubebuilder:validation:XValidation:rule="has(self.sends) || oldSelf.?sends.orValue(0) == 0",message="sends cannot fall"
type RefundStatus struct {
	// Phase: Pending (not asked yet), Processing, ManualActionRequired (a
	// person has to give the money back), Succeeded, Failed, or Unknown: the
	// outcome cannot be determined now; nothing is sent again.
	Phase RefundPhase `json:"phase,omitempty"`

	// Conditions: Finished is True when it is over, whatever the outcome;
	// Succeeded (and Ready, which mirrors it) is True when the money was given
	// back, False when it was not.
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the generation of the spec that status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ChargeName names the Charge on which the refund is recorded.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="chargeName cannot change"
	ChargeName string `json:"chargeName,omitempty"`

	// Account in use: kind/name.
	Account string `json:"account,omitempty"`

	// Environment of the account: sandbox or production.
	Environment string `json:"environment,omitempty"`

	// Amount as sent to the provider.
	// +kubebuilder:validation:MaxLength=40
	Amount string `json:"amount,omitempty"`

	// Currency as sent to the provider.
	// +kubebuilder:validation:MaxLength=16
	Currency string `json:"currency,omitempty"`

	// Unknown is what a person confirms, in the phases Unknown and
	// ManualActionRequired.
	Unknown *UnknownStatus `json:"unknown,omitempty"`

	// Instructions say what a person has to do, in phase ManualActionRequired.
	// +kubebuilder:validation:MaxLength=2048
	Instructions string `json:"instructions,omitempty"`

	// ProviderReference is what the provider knows the refund by.
	ProviderReference string `json:"providerReference,omitempty"`

	// TransactionID is the provider's name for the movement of money.
	// +kubebuilder:validation:MaxLength=255
	TransactionID string `json:"transactionID,omitempty"`

	// Sends counts how often the provider was, or was about to be, asked. Each
	// request is fenced by raising it: who ends the object at the same time loses.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:XValidation:rule="self >= oldSelf",message="sends cannot fall"
	Sends int32 `json:"sends,omitempty"`

	// InitiatedAt is when the provider was asked.
	InitiatedAt *metav1.Time `json:"initiatedAt,omitempty"`

	// CompletedAt is when the operator learnt the outcome.
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`

	// ConfirmedBy is who confirmed an outcome that the provider did not give.
	ConfirmedBy string `json:"confirmedBy,omitempty"`

	// Failure says why nothing was given back.
	Failure *RefundFailure `json:"failure,omitempty"`
}

// RefundFailure says why nothing was given back.
//
// +structType=atomic
type RefundFailure struct {
	// Reason from the closed list of docs/refund.md.
	Reason string `json:"reason"`

	// ProviderCode is the provider's own word.
	ProviderCode string `json:"providerCode,omitempty"`

	// Message for people.
	Message string `json:"message,omitempty"`
}

// RefundList is a list of Refunds.
//
// +kubebuilder:object:root=true
type RefundList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Refund `json:"items"`
}
