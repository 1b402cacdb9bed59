package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Charge is the lasting record that a provider has been, or may have been,
// asked to take money. The operator creates it before the first request and it
// outlives its Payment, as a PersistentVolume outlives its claim. People read
// it; only the operator writes it. Nothing of it is named status, because
// backup tools drop what is.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=mobilemoney
// +kubebuilder:selectablefield:JSONPath=.spec.provider
// +kubebuilder:selectablefield:JSONPath=.spec.account.kind
// +kubebuilder:selectablefield:JSONPath=.spec.account.name
// +kubebuilder:selectablefield:JSONPath=.record.outcome.phase
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Amount",type=string,JSONPath=`.spec.money.amount`
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.spec.money.currency`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.payment.namespace`
// +kubebuilder:printcolumn:name="Payment",type=string,JSONPath=`.spec.payment.name`
// +kubebuilder:printcolumn:name="Sends",type=integer,JSONPath=`.record.sends`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.record.outcome.phase`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.record) || has(self.record)",message="the record of a Charge cannot be removed"
type Charge struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the provider is asked, fixed before it is asked.
	// +required
	Spec ChargeSpec `json:"spec"`

	// What has happened since. Facts are added, never taken back.
	// +optional
	Record ChargeRecord `json:"record,omitzero"`
}

// ChargeSpec is the intent: fixed before the first request.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the intent of a Charge cannot change"
type ChargeSpec struct {
	// InstallationID that the names and references are derived from.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	InstallationID string `json:"installationID"`

	// ReferenceVersion of the derivation. An operator that does not know it
	// leaves the Charge alone.
	// +required
	// +kubebuilder:validation:MaxLength=16
	ReferenceVersion string `json:"referenceVersion"`

	// Payment that the Charge was created for.
	// +required
	Payment PaymentIdentity `json:"payment"`

	// Reference is the merchant's name for the sale.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Reference string `json:"reference"`

	// Provider that is asked.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Provider string `json:"provider"`

	// Account that it is asked through, with everything that decides which
	// ledger at the provider the payment is in.
	// +required
	Account AccountPin `json:"account"`

	// Requested is what the merchant asked for.
	// +required
	Requested Money `json:"requested"`

	// Money as sent to the provider.
	// +required
	Money Money `json:"money"`

	// Fingerprint is a keyed hash of the money fields of the Payment, phone
	// included: the same reference with other ones is refused.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Fingerprint string `json:"fingerprint"`

	// Payer is a keyed hash of the phone that the provider rings, by which prompts
	// to one payer are counted; empty where it rings none.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Payer string `json:"payer,omitempty"`

	// ProviderReference is what the provider knows the payment by.
	// +required
	// +kubebuilder:validation:MaxLength=255
	ProviderReference string `json:"providerReference"`

	// TimeoutSeconds of the Payment, or of the account when the Charge was made.
	// +required
	// +kubebuilder:validation:Minimum=1
	TimeoutSeconds int32 `json:"timeoutSeconds"`
}

// PaymentIdentity names a Payment.
type PaymentIdentity struct {
	// Namespace of the Payment.
	// +required
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the Payment.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// UID of the Payment.
	// +required
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
}

// AccountPin is the account as it was when the Charge was made.
type AccountPin struct {
	// Kind: MerchantAccount, ClusterMerchantAccount, or Operator for the one
	// that the operator's environment describes.
	// +required
	// +kubebuilder:validation:Enum=MerchantAccount;ClusterMerchantAccount;Operator
	Kind string `json:"kind"`
	// Namespace of a MerchantAccount.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Name of the account.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Environment of the account: sandbox or production.
	// +required
	// +kubebuilder:validation:Enum=sandbox;production
	Environment string `json:"environment"`
	// BaseURL of the provider's API.
	// +required
	// +kubebuilder:validation:MaxLength=512
	BaseURL string `json:"baseURL"`
	// TokenURL of the provider, where it has one.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	TokenURL string `json:"tokenURL,omitempty"`
	// TargetEnvironment is MTN's word for the country.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	TargetEnvironment string `json:"targetEnvironment,omitempty"`
}

// Money is an exact amount in a currency.
type Money struct {
	// Amount, an exact decimal.
	// +required
	// +kubebuilder:validation:MaxLength=40
	Amount string `json:"amount"`
	// Currency, an ISO 4217 code or the word of a sandbox.
	// +required
	// +kubebuilder:validation:MaxLength=3
	Currency string `json:"currency"`
}

// ChargeRecord is what has happened to a Charge.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.sends) ? self.sends : 0) != (has(oldSelf.sends) ? oldSelf.sends : 0) || !has(oldSelf.lastSend) || (has(self.lastSend) && self.lastSend == oldSelf.lastSend)`,message="a send that is written down cannot change"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.contradiction) || (has(self.contradiction) && self.contradiction == oldSelf.contradiction)`,message="the contradiction cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) >= oldSelf.?sends.orValue(0)",message="sends cannot fall"
// +kubebuilder:validation:XValidation:rule="self.?voidSends.orValue(0) >= oldSelf.?voidSends.orValue(0)",message="voidSends cannot fall"
// +kubebuilder:validation:XValidation:rule="self.?voidSends.orValue(0) <= self.?sends.orValue(0)",message="voidSends cannot exceed sends"
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) == 0 || self.?lastSend.number.orValue(0) == self.sends",message="lastSend must describe the newest send"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?referenceKnown.orValue(false) || self.?referenceKnown.orValue(false)",message="that the reference was known cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.session) || (has(self.session) && self.session == oldSelf.session)",message="the session cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.refusal) || (has(self.refusal) && self.refusal == oldSelf.refusal)",message="the refusal cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="the outcome cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || self.?sends.orValue(0) == oldSelf.?sends.orValue(0)",message="nothing is sent after the outcome"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.cancel) || (has(self.cancel) && self.cancel == oldSelf.cancel)",message="that it was called off cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.refunds) || (has(self.refunds) && self.refunds.size() >= oldSelf.refunds.size() && oldSelf.refunds.all(i, o, self.refunds[i].name == o.name))",message="a refund that is written down cannot be removed"
// +kubebuilder:validation:XValidation:rule=`!has(self.refunds) || (has(self.outcome) && self.outcome.phase == "Succeeded")`,message="only what was paid can be given back"
type ChargeRecord struct {
	// Sends counts the requests for money. It is raised before each one: one
	// acknowledged raise allows one request.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sends int32 `json:"sends,omitempty"`

	// VoidSends counts those of them that certainly did nothing.
	// +optional
	// +kubebuilder:validation:Minimum=0
	VoidSends int32 `json:"voidSends,omitempty"`

	// LastVoidSend is the number of the newest of those, so that none is
	// counted twice.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LastVoidSend int32 `json:"lastVoidSend,omitempty"`

	// LastSend describes the newest of Sends.
	// +optional
	LastSend *Send `json:"lastSend,omitempty"`

	// ReferenceKnown is set when the provider knew the reference as it was first
	// sent. What it knows may be an earlier sale's, so an outcome counts only with
	// the mark of this record, or with consent.
	// +optional
	ReferenceKnown bool `json:"referenceKnown,omitempty"`

	// Session is the answer that took the request.
	// +optional
	Session *ChargeSession `json:"session,omitempty"`

	// Refusal is the answer that refused it for good.
	// +optional
	Refusal *ChargeRefusal `json:"refusal,omitempty"`

	// Hold says why the outcome cannot be told, once that is so. An outcome
	// may still come.
	// +optional
	Hold *ChargeHold `json:"hold,omitempty"`

	// Notice is the newest thing that the provider said which is neither
	// progress nor an outcome, such as a status word without a mapping.
	// +optional
	Notice *ChargeNotice `json:"notice,omitempty"`

	// Cancel says that the merchant called the payment off, and when the
	// operator wrote that down.
	// +optional
	Cancel *ChargeCancel `json:"cancel,omitempty"`

	// Outcome, with its evidence. It never changes.
	// +optional
	Outcome *ChargeOutcome `json:"outcome,omitempty"`

	// Contradiction is what the provider said against the outcome, later.
	// +optional
	Contradiction *ChargeOutcome `json:"contradiction,omitempty"`

	// Refunds that were claimed, by the name of their Refund. A claim is written
	// down before the provider is asked; all that have not failed count against
	// what was paid.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Refunds []ChargeRefund `json:"refunds,omitempty"`
}

// MaxRefunds of one Charge.
const MaxRefunds = 256

// ChargeCancel says that a payment was called off.
type ChargeCancel struct {
	// At is when it was written down.
	// +required
	At metav1.MicroTime `json:"at"`
}

// ChargeRefund is what a Refund claims of a Charge, and what has happened to it.
//
// +kubebuilder:validation:XValidation:rule=`self.money.amount == oldSelf.money.amount && self.money.currency == oldSelf.money.currency && self.uid == oldSelf.uid && self.claimedAt == oldSelf.claimedAt && (has(self.reference) ? self.reference : "") == (has(oldSelf.reference) ? oldSelf.reference : "")`,message="the claim of a refund cannot change"
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) >= oldSelf.?sends.orValue(0) && self.?voidSends.orValue(0) >= oldSelf.?voidSends.orValue(0) && self.?voidSends.orValue(0) <= self.?sends.orValue(0)",message="sends cannot fall, nor voidSends exceed them"
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) == 0 || self.?lastSend.number.orValue(0) == self.sends",message="lastSend must describe the newest send"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.taken) || (has(self.taken) && self.taken == oldSelf.taken)",message="that the provider took the refund cannot change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="the outcome cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || self.?sends.orValue(0) == oldSelf.?sends.orValue(0)",message="nothing is sent after the outcome"
type ChargeRefund struct {
	// Name of the Refund, in the namespace of the Payment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// UID of the Refund that claimed.
	// +required
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// Money to give back, as sent to the provider.
	// +required
	Money Money `json:"money"`
	// Reference is what the provider knows the refund by, where refunds have one.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Reference string `json:"reference,omitempty"`
	// ClaimedAt is when the claim was written down.
	// +required
	ClaimedAt metav1.MicroTime `json:"claimedAt"`

	// Sends counts the requests to give back. It is raised before each one: one
	// acknowledged raise allows one request.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sends int32 `json:"sends,omitempty"`
	// VoidSends counts those of them that certainly did nothing.
	// +optional
	// +kubebuilder:validation:Minimum=0
	VoidSends int32 `json:"voidSends,omitempty"`
	// LastVoidSend is the number of the newest of those.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LastVoidSend int32 `json:"lastVoidSend,omitempty"`
	// LastSend describes the newest of Sends.
	// +optional
	LastSend *Send `json:"lastSend,omitempty"`

	// Taken is when the provider was seen to have taken the request.
	// +optional
	Taken *metav1.MicroTime `json:"taken,omitempty"`
	// Refusal is the answer that refused it for good.
	// +optional
	Refusal *ChargeRefusal `json:"refusal,omitempty"`
	// Hold says why the outcome cannot be told, once that is so.
	// +optional
	Hold *ChargeHold `json:"hold,omitempty"`
	// Notice is the newest thing that was said which is neither progress nor an
	// outcome.
	// +optional
	Notice *ChargeNotice `json:"notice,omitempty"`
	// Outcome never changes.
	// +optional
	Outcome *ChargeRefundOutcome `json:"outcome,omitempty"`
}

// ChargeRefundOutcome is how a refund ended, and how we know.
type ChargeRefundOutcome struct {
	// Phase: Succeeded or Failed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self in ['Succeeded', 'Failed']",message="an outcome is Succeeded or Failed"
	Phase RefundPhase `json:"phase"`
	// Reason from the closed list of docs/refund.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// TransactionID is the provider's name for the movement of money.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	TransactionID string `json:"transactionID,omitempty"`
	// Confirmation by the person who knows, where no provider told.
	// +optional
	Confirmation *RefundConfirmation `json:"confirmation,omitempty"`
	// At is when the operator learnt it.
	// +required
	At metav1.MicroTime `json:"at"`
}

// Send is one request for money.
type Send struct {
	// Number of the request, from 1.
	// +required
	Number int32 `json:"number"`
	// Sender is the process that was allowed to send.
	// +required
	// +kubebuilder:validation:MaxLength=128
	Sender string `json:"sender"`
	// At is when it was allowed, just before it.
	// +required
	At metav1.MicroTime `json:"at"`
	// Credentials is a keyed hash of those that it was sent with. A send that
	// may have arrived is repeated with the same ones or not at all: other ones
	// may be another merchant's, at whom the reference is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Credentials string `json:"credentials,omitempty"`
}

// ChargeSession is what the provider opened.
type ChargeSession struct {
	// Send whose answer it was; 0 if it was found by asking.
	// +optional
	Send int32 `json:"send,omitempty"`
	// At is when the answer was read.
	// +required
	At metav1.MicroTime `json:"at"`
	// ID that the provider gave it.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	ID string `json:"id,omitempty"`
	// Token is needed to ask how the payment stands.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Token string `json:"token,omitempty"`
	// NotificationTokenHash recognises the provider's callback.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	NotificationTokenHash string `json:"notificationTokenHash,omitempty"`
	// PaymentURL that the payer opens. Whoever has it can pay.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	PaymentURL string `json:"paymentURL,omitempty"`
	// ExpiresAt is when it is too late to pay.
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
	// Known is set when the provider knew the reference before this record
	// says that it was asked.
	// +optional
	Known bool `json:"known,omitempty"`
}

// ChargeRefusal is a definite no.
type ChargeRefusal struct {
	// Send whose answer it was.
	// +required
	Send int32 `json:"send"`
	// At is when the answer was read.
	// +required
	At metav1.MicroTime `json:"at"`
	// Reason from the closed list of docs/payment.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
}

// ChargeHold says why the outcome cannot be told.
type ChargeHold struct {
	// Reason from the closed list of docs/payment.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// At is when that became so.
	// +required
	At metav1.MicroTime `json:"at"`
	// Code is the provider's own word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
}

// ChargeNotice is something that the provider said.
type ChargeNotice struct {
	// Reason from the closed list of docs/payment.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// Message for people, where the reason alone does not say what to do.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// At is when it was read.
	// +required
	At metav1.MicroTime `json:"at"`
}

// ChargeOutcome is how it ended, and how we know.
type ChargeOutcome struct {
	// A rule, because an enum here would lose against that of the type.

	// Phase: Succeeded, Failed, Expired or Cancelled.
	// +required
	// +kubebuilder:validation:XValidation:rule="self in ['Succeeded', 'Failed', 'Expired', 'Cancelled']",message="an outcome is Succeeded, Failed, Expired or Cancelled"
	Phase Phase `json:"phase"`
	// Reason from the closed list of docs/payment.md.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// TransactionID is the provider's name for the movement of money.
	// +optional
	// +kubebuilder:validation:MaxLength=255
	TransactionID string `json:"transactionID,omitempty"`
	// Paid is the amount that the provider, or a person, confirmed.
	// +optional
	Paid *Money `json:"paid,omitempty"`
	// Settlement by the person who found out, where the provider did not tell.
	// +optional
	Settlement *Settlement `json:"settlement,omitempty"`
	// At is when the operator learnt it.
	// +required
	At metav1.MicroTime `json:"at"`
}

// ChargeList is a list of Charges.
//
// +kubebuilder:object:root=true
type ChargeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Charge `json:"items"`
}
