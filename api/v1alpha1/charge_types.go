package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Charge is the lasting record that a provider has been, or may have been,
// asked to take money. The operator creates it before the first request and it
// outlives its Payment, as a PersistentVolume outlives its PersistentVolumeClaim. People read
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
// +kubebuilder:validation:XValidation:rule="has(self.record) || !has(oldSelf.record)",message="the record of a Charge cannot be removed"
// +kubebuilder:validation:XValidation:rule="self.spec == oldSelf.spec || !has(oldSelf.record) || !(has(oldSelf.record.open) || has(oldSelf.record.taken) || has(oldSelf.record.refusal) || has(oldSelf.record.unknown) || has(oldSelf.record.outcome))",message="the intent of a Charge cannot change once something was sent"
type Charge struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What the provider is asked, fixed before it is asked.
	Spec ChargeSpec `json:"spec"`

	// What has happened since. Facts are added, never taken back.
	Record ChargeRecord `json:"record,omitzero"`
}

// ChargeSpec is the intent: fixed before the first request.
//
// +structType=atomic
type ChargeSpec struct {
	// InstallationID that the names and references are derived from.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	InstallationID string `json:"installationID"`

	// ReferenceVersion of the derivation. An operator that does not know it
	// leaves the Charge alone.
	// +kubebuilder:validation:MaxLength=16
	ReferenceVersion string `json:"referenceVersion"`

	// Payment that the Charge was created for.
	Payment PaymentIdentity `json:"payment"`

	// MerchantReference is the merchant's own order number: spec.reference of the
	// Payment, else its name. It is sent where the provider has a field for it and
	// identifies no sale.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	MerchantReference string `json:"merchantReference"`

	// Provider that is asked.
	// +kubebuilder:validation:MaxLength=63
	Provider string `json:"provider"`

	// Account that it is asked through, with everything that decides which
	// ledger at the provider the payment is in.
	Account AccountPin `json:"account"`

	// Requested is what the merchant asked for.
	Requested Money `json:"requested"`

	// Money as sent to the provider.
	Money Money `json:"money"`

	// Fingerprint is a keyed hash of provider, money, phone and reference of the
	// Payment: the same sale with other ones is refused.
	// +kubebuilder:validation:MaxLength=128
	Fingerprint string `json:"fingerprint"`

	// Payer is a keyed hash of the phone that the provider rings, by which prompts
	// to one payer are counted; empty where it rings none.
	// +kubebuilder:validation:MaxLength=64
	Payer string `json:"payer,omitempty"`

	// CallbackID names the Charge in the URL of its callbacks; empty: they name it by
	// its reference or session.
	// +kubebuilder:validation:MaxLength=255
	CallbackID string `json:"callbackID,omitempty"`

	// ProviderReference is what the provider knows the payment by.
	// +kubebuilder:validation:MaxLength=255
	ProviderReference string `json:"providerReference"`

	// TimeoutSeconds of the Payment, or of the account when the Charge was made.
	// +kubebuilder:validation:Minimum=1
	TimeoutSeconds int32 `json:"timeoutSeconds"`
}

// PaymentIdentity names a Payment.
type PaymentIdentity struct {
	// Namespace of the Payment.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the Payment.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// UID of the Payment.
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
}

// AccountPin is the account as it was when the Charge was made.
type AccountPin struct {
	// Kind: MerchantAccount, ClusterMerchantAccount, or Operator for the one
	// that the operator's environment describes.
	// +kubebuilder:validation:Enum=MerchantAccount;ClusterMerchantAccount;Operator
	Kind string `json:"kind"`
	// Namespace of a MerchantAccount.
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// Name of the account.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Environment of the account: sandbox or production.
	// +kubebuilder:validation:Enum=sandbox;production
	Environment string `json:"environment"`
	// BaseURL of the provider's API.
	// +kubebuilder:validation:MaxLength=512
	BaseURL string `json:"baseURL"`
	// TokenURL of the provider, where it has one.
	// +kubebuilder:validation:MaxLength=512
	TokenURL string `json:"tokenURL,omitempty"`
	// TargetEnvironment is MTN's word for the country.
	// +kubebuilder:validation:MaxLength=63
	TargetEnvironment string `json:"targetEnvironment,omitempty"`
}

// Money is an exact amount in a currency.
//
// +structType=atomic
type Money struct {
	// Amount, an exact decimal.
	// +kubebuilder:validation:MaxLength=40
	Amount string `json:"amount"`
	// Currency, an ISO 4217 code or the word of a sandbox.
	// +kubebuilder:validation:MaxLength=3
	Currency string `json:"currency"`
}

// ChargeRecord is what has happened to a Charge.
//
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) >= oldSelf.?sends.orValue(0)",message="sends cannot fall"
// +kubebuilder:validation:XValidation:rule="!has(self.open) || self.open.all(s, s.number <= self.?sends.orValue(0))",message="open lists sends that were raised"
// +kubebuilder:validation:XValidation:rule="!has(self.open) || self.open.all(s, s.number > oldSelf.?sends.orValue(0) || (has(oldSelf.open) && oldSelf.open.exists(o, o == s)))",message="a send that has a definite answer stays answered, and one that is raised cannot change"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?referenceKnown.orValue(false) || self.?referenceKnown.orValue(false)",message="that the reference was known cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.taken) || (has(self.taken) && self.taken == oldSelf.taken)",message="that the provider has the request cannot change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.refusal) || (has(self.refusal) && self.refusal.send.number >= oldSelf.refusal.send.number)",message="a refusal cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="the outcome cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || self.?sends.orValue(0) == oldSelf.?sends.orValue(0)",message="nothing is sent after the outcome"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.later) || has(self.later)",message="what the provider said later cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.session) || (has(self.session) && self.session == oldSelf.session)",message="the session cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.refunds) || oldSelf.refunds.all(o, (!has(o.open) && !has(o.taken) && !o.?referenceKnown.orValue(false) && !has(o.refusal) && !has(o.unknown) && !has(o.outcome)) || (has(self.refunds) && self.refunds.exists(n, n.name == o.name)))",message="a refund that was sent cannot be removed"
// +kubebuilder:validation:XValidation:rule=`!has(self.refunds) || self.refunds.size() == 0 || (has(self.outcome) && self.outcome.phase == "Succeeded")`,message="only what was paid can be given back"
type ChargeRecord struct {
	Attempt `json:",inline"`

	// Session holds what the provider opened for the payer, where it opens
	// something.
	Session *Session `json:"session,omitempty"`

	// LastCallback notes the last verified callback where no Payment shows the
	// Charge. It changes no outcome: it makes the operator ask the provider.
	LastCallback *CallbackNote `json:"lastCallback,omitempty"`

	// Refunds that reserved a part of what was paid, by the name of their Refund.
	// The reservation is written before the provider is asked; all that have not
	// failed count against what was paid.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Refunds []ChargeRefund `json:"refunds,omitempty"`
}

// MaxRefunds of one Charge.
const MaxRefunds = 256

// ChargeRefund is what a Refund reserved of a Charge, and its attempt.
//
// +kubebuilder:validation:XValidation:rule=`(self.money == oldSelf.money && self.uid == oldSelf.uid && self.reservedAt == oldSelf.reservedAt && (has(self.reference) ? self.reference : "") == (has(oldSelf.reference) ? oldSelf.reference : "")) || (!has(oldSelf.open) && !has(oldSelf.taken) && !oldSelf.?referenceKnown.orValue(false) && !has(oldSelf.refusal) && !has(oldSelf.unknown) && !has(oldSelf.outcome))`,message="the reservation of a refund that was sent cannot change"
// +kubebuilder:validation:XValidation:rule="self.?sends.orValue(0) >= oldSelf.?sends.orValue(0)",message="sends cannot fall"
// +kubebuilder:validation:XValidation:rule="!has(self.open) || self.open.all(s, s.number <= self.?sends.orValue(0))",message="open lists sends that were raised"
// +kubebuilder:validation:XValidation:rule="!has(self.open) || self.open.all(s, s.number > oldSelf.?sends.orValue(0) || (has(oldSelf.open) && oldSelf.open.exists(o, o == s)))",message="a send that has a definite answer stays answered, and one that is raised cannot change"
// +kubebuilder:validation:XValidation:rule="!oldSelf.?referenceKnown.orValue(false) || self.?referenceKnown.orValue(false)",message="that the reference was known cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.taken) || (has(self.taken) && self.taken == oldSelf.taken)",message="that the provider has the request cannot change"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.refusal) || (has(self.refusal) && self.refusal.send.number >= oldSelf.refusal.send.number)",message="a refusal cannot be taken back"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || (has(self.outcome) && self.outcome == oldSelf.outcome)",message="the outcome cannot change once it is recorded"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.outcome) || self.?sends.orValue(0) == oldSelf.?sends.orValue(0)",message="nothing is sent after the outcome"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.later) || has(self.later)",message="what the provider said later cannot be taken back"
type ChargeRefund struct {
	// Name of the Refund, in the namespace of the Payment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// UID of the Refund that reserved.
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// Money to give back, as sent to the provider.
	Money Money `json:"money"`
	// Reference is what the provider knows the refund by, where refunds have one.
	// +kubebuilder:validation:MaxLength=255
	Reference string `json:"reference,omitempty"`
	// ReservedAt is when the reservation was written.
	ReservedAt metav1.MicroTime `json:"reservedAt"`

	Attempt `json:",inline"`
}

// Session is what the provider opened for the payer.
//
// +structType=atomic
type Session struct {
	// ID that the provider gave it.
	// +kubebuilder:validation:MaxLength=255
	ID string `json:"id,omitempty"`
	// Token is needed to ask how the payment stands.
	// +kubebuilder:validation:MaxLength=255
	Token string `json:"token,omitempty"`
	// NotificationTokenHash recognises the provider's callback.
	// +kubebuilder:validation:MaxLength=64
	NotificationTokenHash string `json:"notificationTokenHash,omitempty"`
	// PaymentURL that the payer opens. Anybody who has it can pay.
	// +kubebuilder:validation:MaxLength=2048
	PaymentURL string `json:"paymentURL,omitempty"`
	// ExpiresAt is when it is too late to pay.
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// ChargeList is a list of Charges.
//
// +kubebuilder:object:root=true
type ChargeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Charge `json:"items"`
}
