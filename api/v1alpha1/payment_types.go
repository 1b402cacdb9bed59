package v1alpha1

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Payment asks a mobile-money provider to collect an amount from a payer, once.
// The operator asks, follows the payment until it is over and reports in status.
// Deleting a Payment and applying it again adopts the same charge: nobody is
// charged twice. To charge again, use a new name.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pay,categories=mobilemoney
// +kubebuilder:selectablefield:JSONPath=.spec.provider
// +kubebuilder:selectablefield:JSONPath=.spec.reference
// +kubebuilder:selectablefield:JSONPath=.status.phase
// +kubebuilder:printcolumn:name="Provider",type=string,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Amount",type=string,JSONPath=`.spec.amount`
// +kubebuilder:printcolumn:name="Currency",type=string,JSONPath=`.status.currency`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Succeeded")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Account",type=string,priority=1,JSONPath=`.status.account`
// +kubebuilder:printcolumn:name="Environment",type=string,priority=1,JSONPath=`.status.environment`
// +kubebuilder:printcolumn:name="Reference",type=string,priority=1,JSONPath=`.status.reference`
// +kubebuilder:printcolumn:name="Transaction",type=string,priority=1,JSONPath=`.status.transactionID`
// +kubebuilder:printcolumn:name="Completed",type=date,priority=1,JSONPath=`.status.completedAt`
// +kubebuilder:validation:XValidation:rule=`!has(self.spec.settlement) || (has(oldSelf.spec.settlement) && self.spec.settlement == oldSelf.spec.settlement) || oldSelf.?status.phase.orValue("") == "Unknown"`,message="only a Payment in phase Unknown can be settled by a person; the operator finds the outcome of any other"
// +kubebuilder:validation:XValidation:rule=`!has(self.spec.settlement) || (has(oldSelf.spec.settlement) && self.spec.settlement == oldSelf.spec.settlement) || oldSelf.?status.phase.orValue("") != "Unknown" || self.spec.settlement.unknownID == oldSelf.?status.unknown.id.orValue("")`,message="settlement.unknownID must be the present status.unknown.id; read the Payment again and settle what it shows"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.spec.settlement) || (has(self.spec.settlement) && self.spec.settlement == oldSelf.spec.settlement) || (oldSelf.spec.settlement.unknownID != oldSelf.?status.unknown.id.orValue("") && oldSelf.?status.settledBy.orValue("") == "")`,message="a settlement that counts cannot change or be taken back"
// +kubebuilder:validation:XValidation:rule=`!has(self.spec.settlement) || (has(oldSelf.spec.settlement) && self.spec.settlement == oldSelf.spec.settlement) || self.spec.settlement.outcome != "Paid" || oldSelf.?status.unknown.reported.amount.orValue("") == "" || (has(self.spec.settlement.amount) && (!has(oldSelf.status.unknown.reported.currency) || !oldSelf.status.unknown.reported.currency.matches("^[A-Z]{3}$") || self.spec.settlement.currency == oldSelf.status.unknown.reported.currency))`,message="the provider reported another amount or currency; settlement.amount and settlement.currency must say what was really paid, in the currency of status.unknown.reported"
type Payment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// What to collect, from whom, through which provider. It cannot change
	// after creation; create a new Payment instead.
	Spec PaymentSpec `json:"spec"`

	// How the payment stands. Written by the operator only.
	// +kubebuilder:default:={"observedGeneration":-1}
	Status PaymentStatus `json:"status,omitzero"`
}

// PaymentSpec says what to collect, from whom, through which provider.
//
// +kubebuilder:validation:XValidation:rule=`has(self.currency) ? self.currency == oldSelf.?currency.orValue("") : !has(oldSelf.currency)`,message="currency cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule=`has(self.phone) ? self.phone == oldSelf.?phone.orValue("") : !has(oldSelf.phone)`,message="phone cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule=`has(self.reference) ? self.reference == oldSelf.?reference.orValue("") : !has(oldSelf.reference)`,message="reference cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule=`(has(self.description) ? self.description : "") == (has(oldSelf.description) ? oldSelf.description : "")`,message="description cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule="has(self.accountRef) ? has(oldSelf.accountRef) && self.accountRef == oldSelf.accountRef : !has(oldSelf.accountRef)",message="accountRef cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule=`has(self.returnURL) ? self.returnURL == oldSelf.?returnURL.orValue("") : !has(oldSelf.returnURL)`,message="returnURL cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule=`has(self.cancelURL) ? self.cancelURL == oldSelf.?cancelURL.orValue("") : !has(oldSelf.cancelURL)`,message="cancelURL cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule="self.?timeoutSeconds.orValue(0) == oldSelf.?timeoutSeconds.orValue(0)",message="timeoutSeconds cannot change after creation; create a new Payment"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",message="cancel cannot be taken back; create a new Payment"
// +kubebuilder:validation:XValidation:rule="has(self.phone) || self.provider != 'mtn'",message="phone is required for provider mtn, which asks the payer on that phone; add phone, in quotes, such as \"+2250501020304\""
// +kubebuilder:validation:XValidation:rule=`!string(self.amount).matches('[.][0-9]*[1-9]') || !(self.?currency.orValue("") in ['BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF'])`,message="this currency has no decimals; write a whole number, such as 5000"
type PaymentSpec struct {
	// Provider to collect through: mtn, orange or wave. A name that the
	// operator does not know leaves the Payment Pending with the reason
	// ProviderNotSupported.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="provider cannot change after creation; create a new Payment"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="provider must be a lower-case name, such as mtn, orange or wave"
	Provider string `json:"provider"`

	// Amount to collect: an integer (5000) or a decimal in quotes ("10.50").
	// XOF, XAF, GNF and other currencies without decimals take whole numbers.
	// +kubebuilder:validation:XValidation:rule="!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity(string(oldSelf))) == 0",message="amount cannot change after creation; create a new Payment"
	Amount Amount `json:"amount"`

	// Currency of the amount, an ISO 4217 code. Default: that of the merchant
	// account. Write the real currency (XOF) in a sandbox too: what a sandbox
	// wants instead is sent to it, and shown in status.
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z]{3}$')",message="currency must be a three-letter ISO 4217 code in capitals, such as XOF (the FCFA of West Africa) or XAF (that of Central Africa)"
	Currency string `json:"currency,omitempty"`

	// Phone of the payer in international form (E.164), for example
	// "+2250501020304". Required for mtn, which asks the payer on that phone; for
	// wave it restricts who can pay; orange does not use it.
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[+][1-9][0-9]{6,14}$')",message="phone must be in international form: +, country code and number, digits only, in quotes, such as \"+2250501020304\""
	Phone string `json:"phone,omitempty"`

	// Reference is your own order number. It is sent to the provider where it has
	// a field for it (mtn) and shown in columns. It identifies no sale: the name
	// of the Payment does, and several Payments may share a reference. Default:
	// the name of the Payment.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9._:/#-]*[A-Za-z0-9])?$')",message="reference must be letters, digits and . _ : / # - only, and begin and end with a letter or digit"
	Reference string `json:"reference,omitempty"`

	// Description that the payer sees, where the provider shows one.
	// +kubebuilder:validation:MaxLength=140
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="description must be plain text on one line, without control characters"
	Description string `json:"description,omitempty"`

	// AccountRef names the merchant account to use. Default: the
	// MerchantAccount of this namespace that bears the provider's name, else
	// the ClusterMerchantAccount of that name if it allows this namespace, else
	// the account that the operator itself was given.
	AccountRef *AccountReference `json:"accountRef,omitempty"`

	// ReturnURL is where the payer's browser goes after paying (orange, wave).
	// Default: that of the account, else a plain page of the operator.
	ReturnURL BrowserURL `json:"returnURL,omitempty"`

	// CancelURL is where the payer's browser goes after giving up (orange,
	// wave). Default: as for returnURL.
	CancelURL BrowserURL `json:"cancelURL,omitempty"`

	// TimeoutSeconds after which an undecided payment is no longer followed
	// closely. Default: polling.timeout of the account, else 3600.
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=604800
	TimeoutSeconds int32 `json:"timeoutSeconds,omitempty"`

	// Cancel calls the payment off; true cannot become false again. One that
	// was not asked for yet ends as Cancelled. Wave ends an open session, unless
	// the payer was faster; mtn and orange cannot cancel, which the condition
	// CancelRequested says, and the payment is followed to its end.
	Cancel bool `json:"cancel,omitempty"`

	// Settlement is what a person says who has found out at the provider how a
	// Payment in phase Unknown ended. It is recorded for good. Writing it takes
	// the verb "settle" on payments.
	Settlement *Settlement `json:"settlement,omitempty"`
}

// Settlement is what a person says about a payment whose outcome the provider
// did not give. It counts only where an update adds it: what a Payment
// is created with, such as by a restore, names the id of another object.
//
// +kubebuilder:validation:XValidation:rule="has(self.amount) == has(self.currency)",message="amount and currency go together: write both or neither"
// +kubebuilder:validation:XValidation:rule="!has(self.amount) || self.outcome == 'Paid'",message="amount is what was paid; take it out where the outcome is NotPaid"
type Settlement struct {
	// UnknownID is the status.unknown.id that the person saw: the settlement
	// counts only while the Payment shows that id.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	UnknownID string `json:"unknownID"`

	// Outcome: Paid (the merchant has the money) or NotPaid (the payer was not
	// charged, and will not be).
	// +kubebuilder:validation:Enum=Paid;NotPaid
	Outcome SettledOutcome `json:"outcome"`

	// SettledBy is the user name of who says so, as the API server knows it
	// (kubectl auth whoami).
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="settledBy must be plain text on one line"
	SettledBy string `json:"settledBy"`

	// Reason says how the person knows, such as "listed as paid in the provider's portal".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	// +kubebuilder:validation:XValidation:rule="!self.matches('[\\\\p{C}\\\\p{Zl}\\\\p{Zp}]')",message="reason must be plain text on one line"
	Reason string `json:"reason"`

	// Amount really paid. Required with outcome Paid where
	// status.unknown.reported shows an amount; Refunds are limited by it.
	Amount *Amount `json:"amount,omitempty"`

	// Currency of amount: that of status.unknown.reported.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Z]{3}$')",message="currency must be a three-letter ISO 4217 code in capitals"
	// +kubebuilder:validation:MaxLength=16
	Currency string `json:"currency,omitempty"`

	// TransactionID of the payment at the provider.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9._:/-]+$')",message="transactionID must be letters, digits and . _ : / - only"
	TransactionID string `json:"transactionID,omitempty"`
}

// SettledOutcome is what a person says became of a payment.
type SettledOutcome string

const (
	// SettledPaid: the merchant has the money.
	SettledPaid SettledOutcome = "Paid"
	// SettledNotPaid: the payer was not charged, and will not be.
	SettledNotPaid SettledOutcome = "NotPaid"
)

// BrowserURL is a page that a payer's browser is sent to.
//
// +kubebuilder:validation:MaxLength=120
// +kubebuilder:validation:XValidation:rule="self.matches('^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?][^\\\\s#@\\\\p{C}\\\\p{Z}]*)?$') && isURL(self)",message="must be an https URL with a host name, without user, password or fragment, such as https://shop.example/thanks"
type BrowserURL string

// AccountReference names a merchant account.
type AccountReference struct {
	// Kind of the account. Default MerchantAccount, one of the Payment's own
	// namespace.
	// +kubebuilder:default=MerchantAccount
	// +kubebuilder:validation:Enum=MerchantAccount;ClusterMerchantAccount
	Kind string `json:"kind,omitempty"`

	// Name of the account.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$')",message="name must be that of an account: small letters, digits, . and - only"
	Name string `json:"name"`
}

// PaymentStatus says how a Payment stands. It is a projection of its Charge.
//
// +kubebuilder:validation:XValidation:rule=`!(oldSelf.?phase.orValue("") in ['Succeeded', 'Failed', 'Expired', 'Cancelled']) || self.?phase.orValue("") == oldSelf.phase`,message="a finished Payment stays as it ended"
// +kubebuilder:validation:XValidation:rule=`oldSelf.?phase.orValue("") != 'Succeeded' || ((has(self.transactionID) ? self.transactionID : "") == (has(oldSelf.transactionID) ? oldSelf.transactionID : "") && (has(self.amount) ? self.amount : "") == (has(oldSelf.amount) ? oldSelf.amount : "") && (has(self.currency) ? self.currency : "") == (has(oldSelf.currency) ? oldSelf.currency : ""))`,message="what was paid cannot change"
// +kubebuilder:validation:XValidation:rule=`self.?phase.orValue("Pending") != "Pending" || oldSelf.?phase.orValue("Pending") == "Pending"`,message="phase cannot be removed or become Pending again: it says whether the payer was charged"
// +kubebuilder:validation:XValidation:rule="has(self.chargeName) || !has(oldSelf.chargeName)",message="chargeName cannot change"
// +kubebuilder:validation:XValidation:rule="has(self.initiatedAt) || !has(oldSelf.initiatedAt)",message="initiatedAt cannot be removed"
// +kubebuilder:validation:XValidation:rule=`!has(oldSelf.unknown) || has(self.unknown) || self.?phase.orValue("") != "Unknown"`,message="unknown cannot be removed while the phase is Unknown"
// +kubebuilder:validation:XValidation:rule="has(self.sends) || oldSelf.?sends.orValue(0) == 0",message="sends cannot fall"
type PaymentStatus struct {
	// Phase: Pending (not asked yet), Processing (the provider was asked, or
	// may have been), Succeeded, Failed, Expired, Cancelled, or Unknown: the
	// outcome cannot be determined now; nobody is asked for money again.
	Phase Phase `json:"phase,omitempty"`

	// Conditions: Finished is True when it is over, whatever the outcome;
	// Succeeded (and Ready, which mirrors it) is True when it was paid, False
	// when it ended otherwise.
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// ObservedGeneration is the generation of the spec that status speaks of.
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// ChargeName names the Charge, the lasting record of what the provider
	// was asked.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="chargeName cannot change"
	ChargeName string `json:"chargeName,omitempty"`

	// Reference that the merchant knows the sale by: spec.reference, or the name.
	Reference string `json:"reference,omitempty"`

	// Account in use: kind/name.
	Account string `json:"account,omitempty"`

	// Environment of the account: sandbox or production.
	Environment string `json:"environment,omitempty"`

	// Amount as sent to the provider.
	// +kubebuilder:validation:MaxLength=40
	Amount string `json:"amount,omitempty"`

	// Currency as sent to the provider: a sandbox may want another one than
	// the spec says.
	// +kubebuilder:validation:MaxLength=16
	Currency string `json:"currency,omitempty"`

	// NextAction is what the payer has to do now.
	NextAction *NextAction `json:"nextAction,omitempty"`

	// ProviderReference is what the provider knows the payment by.
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

	// Refunded is how much of the amount was given back by Refunds.
	// +kubebuilder:validation:MaxLength=40
	Refunded string `json:"refunded,omitempty"`

	// Unknown says why the outcome cannot be determined, while the phase is Unknown.
	Unknown *UnknownStatus `json:"unknown,omitempty"`

	// SettledBy is who settled a payment whose outcome the provider did not give.
	// +kubebuilder:validation:MaxLength=253
	SettledBy string `json:"settledBy,omitempty"`

	// Failure says why a payment did not succeed.
	Failure *PaymentFailure `json:"failure,omitempty"`

	// LastCallback notes the last verified callback. It changes no phase: it
	// makes the operator ask the provider.
	LastCallback *CallbackNote `json:"lastCallback,omitempty"`
}

// UnknownStatus is what a person settles.
//
// +structType=atomic
type UnknownStatus struct {
	// ID of this object, this reason, this time and what was reported: a
	// settlement or confirmation names it. Anything else has another id.
	// +kubebuilder:validation:MaxLength=64
	ID string `json:"id"`

	// Since is when it became so.
	Since metav1.Time `json:"since"`

	// Reason from the closed list of docs/payment.md.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`

	// Reported is what the provider reported, where it reported something that
	// is not what was asked for.
	Reported *Reported `json:"reported,omitempty"`
}

// NextAction is what the payer has to do now.
//
// +structType=atomic
type NextAction struct {
	// Type: ApproveOnPhone (the payer's phone rings) or OpenURL.
	// +kubebuilder:validation:Enum=ApproveOnPhone;OpenURL
	Type NextActionType `json:"type"`

	// URL that the payer opens to pay. Anybody who has it can pay.
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`

	// ExpiresAt is when it is too late.
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`
}

// NextActionType is a kind of step that a payer takes.
type NextActionType string

const (
	// NextActionApproveOnPhone: the payer's phone shows a prompt.
	NextActionApproveOnPhone NextActionType = "ApproveOnPhone"
	// NextActionOpenURL: the payer opens a page.
	NextActionOpenURL NextActionType = "OpenURL"
)

// PaymentFailure says why a payment did not succeed.
//
// +structType=atomic
type PaymentFailure struct {
	// Reason from the closed list of docs/payment.md.
	Reason string `json:"reason"`

	// ProviderCode is the provider's own word.
	ProviderCode string `json:"providerCode,omitempty"`

	// Message for people.
	Message string `json:"message,omitempty"`
}

// CallbackNote notes a verified callback.
//
// +structType=atomic
type CallbackNote struct {
	// ReceivedAt is when it came.
	ReceivedAt metav1.MicroTime `json:"receivedAt"`

	// Claim is what it said, in the provider's word. It proves nothing.
	// +kubebuilder:validation:MaxLength=64
	Claim string `json:"claim,omitempty"`

	// Digest of what it said, keyed: the same callback is not noted twice.
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`
}

// PaymentList is a list of Payments.
//
// +kubebuilder:object:root=true
type PaymentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Payment `json:"items"`
}

// MerchantReference is the merchant's own order number: spec.reference, else the
// name. It identifies no sale.
func (p *Payment) MerchantReference() string { return cmp.Or(p.Spec.Reference, p.Name) }
