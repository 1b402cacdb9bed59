package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// MaxOpenSends bounds the sends of one attempt that have no definite answer.
const MaxOpenSends = 5

// Attempt is one request for money under one reference, a collection or a
// refund, and everything that is known of it. The request may be sent several
// times and takes effect at most once. Facts are added, never taken back.
type Attempt struct {
	// Sends counts the sends. It is raised before each one: one acknowledged
	// raise permits exactly one send.
	// +kubebuilder:validation:Minimum=0
	Sends int32 `json:"sends,omitempty"`

	// Open lists the sends that have no definite answer: each of them may have
	// arrived, or may still arrive.
	// +listType=map
	// +listMapKey=number
	// +kubebuilder:validation:MaxItems=5
	Open []Send `json:"open,omitempty"`

	// Taken is set once the provider is known to have the request.
	Taken *Taken `json:"taken,omitempty"`

	// ReferenceKnown is set when the provider knew the reference before the first
	// send of this record. What it knows may be an earlier sale's, whose outcome is
	// not this one's.
	ReferenceKnown bool `json:"referenceKnown,omitempty"`

	// Refusal is the newest definite refusal of a send.
	Refusal *Refusal `json:"refusal,omitempty"`

	// Unknown is set once the outcome cannot be determined. An outcome may still come.
	Unknown *Unknown `json:"unknown,omitempty"`

	// Notice is the newest message for people that is neither progress nor an
	// outcome, such as why a send was void.
	Notice *Notice `json:"notice,omitempty"`

	// Outcome, with its evidence. It never changes.
	Outcome *Outcome `json:"outcome,omitempty"`

	// Later is what the provider said after the outcome: the same, or something
	// that contradicts it.
	Later *Outcome `json:"later,omitempty"`
}

// Send is one time that the provider was, or may have been, asked.
//
// +structType=atomic
type Send struct {
	// Number of the send, from 1.
	// +kubebuilder:validation:Minimum=1
	Number int32 `json:"number"`
	// Sender is the process that the raise permitted to send.
	// +kubebuilder:validation:MaxLength=128
	Sender string `json:"sender"`
	// At is when the send was raised, by the clock of the sender.
	At metav1.MicroTime `json:"at"`
	// Credentials is a keyed hash of those it was sent with. What other
	// credentials do not know may be known to these.
	// +kubebuilder:validation:MaxLength=64
	Credentials string `json:"credentials,omitempty"`
}

// Taken says how the provider is known to have the request.
//
// +structType=atomic
type Taken struct {
	// Send whose answer it was; 0 if it was found by asking.
	Send int32 `json:"send,omitempty"`
	// At is when the answer was read.
	At metav1.MicroTime `json:"at"`
	// Found is set when no send of this record made it: it was there already, and
	// so may be refunds that this record does not list.
	Found bool `json:"found,omitempty"`
}

// Refusal is the provider's definite no to a send.
//
// +structType=atomic
type Refusal struct {
	// Send that was refused.
	Send Send `json:"send"`
	// At is when the answer was read.
	At metav1.MicroTime `json:"at"`
	// Reason from the closed list of docs/payment.md.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// Message for people: the field that was refused, and what to do.
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// Unknown says why the outcome cannot be determined.
//
// +structType=atomic
type Unknown struct {
	// Reason from the closed list of docs/payment.md.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Since is when that became so.
	Since metav1.MicroTime `json:"since"`
	// Reported is what the provider reported that is not this request.
	Reported *Reported `json:"reported,omitempty"`
}

// Reported is what a provider reported about a request and the operator does not
// take for its outcome. It is kept for the person who settles it.
//
// +structType=atomic
type Reported struct {
	// Amount that the provider reported, an exact decimal.
	// +kubebuilder:validation:MaxLength=40
	Amount string `json:"amount,omitempty"`
	// Currency that the provider reported.
	// +kubebuilder:validation:MaxLength=16
	Currency string `json:"currency,omitempty"`
	// TransactionID is the provider's name for the movement of money.
	// +kubebuilder:validation:MaxLength=255
	TransactionID string `json:"transactionID,omitempty"`
	// Code is the provider's own word.
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
}

// Notice is a message for people that is neither progress nor an outcome.
//
// +structType=atomic
type Notice struct {
	// Reason from the closed list of docs/payment.md.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// Message for people, where the reason alone does not say what to do.
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// At is when it was read.
	At metav1.MicroTime `json:"at"`
}

// Outcome is how an attempt ended, and how we know.
//
// +structType=atomic
type Outcome struct {
	// A rule, because an enum here would lose against that of the type.

	// Phase: Succeeded, Failed, Expired or Cancelled. A refund succeeds or fails.
	// +kubebuilder:validation:XValidation:rule="self in ['Succeeded', 'Failed', 'Expired', 'Cancelled']",message="an outcome is Succeeded, Failed, Expired or Cancelled"
	Phase Phase `json:"phase"`
	// Reason from the closed list of docs/payment.md.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// Code is the provider's own word.
	// +kubebuilder:validation:MaxLength=64
	Code string `json:"code,omitempty"`
	// Message for people, where the reason alone does not say what to do.
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// TransactionID is the provider's name for the movement of money.
	// +kubebuilder:validation:MaxLength=255
	TransactionID string `json:"transactionID,omitempty"`
	// Paid is the money that the provider, or a person, confirmed.
	Paid *Money `json:"paid,omitempty"`
	// SettledBy is the user name of the person who found out, where the provider
	// gave no outcome.
	// +kubebuilder:validation:MaxLength=253
	SettledBy string `json:"settledBy,omitempty"`
	// Note says how that person knows.
	// +kubebuilder:validation:MaxLength=500
	Note string `json:"note,omitempty"`
	// At is when the operator learnt it.
	At metav1.MicroTime `json:"at"`
}
