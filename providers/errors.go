package providers

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Class says what an error means for the money. It is decided once, in the
// transport or in the adapter, and decides everything that follows.
type Class string

const (
	// ClassUnknown: the request may have left and there is no usable answer. The zero value means the same.
	ClassUnknown Class = "Unknown"
	// ClassRejected: a definite no to this request. Nothing moved.
	ClassRejected Class = "Rejected"
	// ClassMisconfigured: credentials, host or environment are wrong. The
	// account is at fault, not the payment. Nothing moved.
	ClassMisconfigured Class = "Misconfigured"
	// ClassThrottled: too many requests. Nothing moved.
	ClassThrottled Class = "Throttled"
	// ClassNotSent: no byte of the request left this machine, or the provider
	// refused the access token that it came with, which worked before.
	ClassNotSent Class = "NotSent"
	// ClassAlreadyExists: the provider knows this reference already.
	ClassAlreadyExists Class = "AlreadyExists"
	// ClassNotFound: the provider does not know this reference (yet).
	ClassNotFound Class = "NotFound"
)

// Fault says whose settings or request an error is about, and so who can correct it.
func (c Class) Fault() Fault {
	switch c {
	case ClassRejected:
		return FaultPayment
	case ClassMisconfigured:
		return FaultAccount
	default:
		return FaultProvider
	}
}

// Operation is what a call asks of a provider.
type Operation string

const (
	OpToken        Operation = "token"
	OpInitiate     Operation = "initiate"
	OpStatus       Operation = "status"
	OpSearch       Operation = "search"
	OpCancel       Operation = "cancel"
	OpRefund       Operation = "refund"
	OpRefundStatus Operation = "refund-status"
	OpAccountCheck Operation = "account-check"
)

// Fault says who can correct what an error is about.
type Fault string

const (
	// FaultPayment: the immutable fields of the Payment or the Refund.
	FaultPayment Fault = "Payment"
	// FaultAccount: the account or its Secret, or what the merchant agreed with the provider.
	FaultAccount Fault = "Account"
	// FaultOperator: the settings of the operator, such as --public-url.
	FaultOperator Fault = "Operator"
	// FaultProvider: the provider, or the network on the way to it.
	FaultProvider Fault = "Provider"
)

// Error is a classified provider error. Its text is safe to show and to log:
// it holds no body, no URL, no token and no phone number.
type Error struct {
	Class     Class
	Operation Operation
	// Code is the provider's code, or empty. Only SafeCode lets one in.
	Code string
	// Field is the provider's name of the field that it refused; empty if it named none.
	Field string
	// Fault says who can correct it; see FaultOf.
	Fault Fault
	// HTTPStatus of the answer; 0 where there was none.
	HTTPStatus int
	// RetryAfter as the provider asked for; 0 where it did not.
	RetryAfter time.Duration
	// Failure refines Rejected where the code says why.
	Failure FailureReason
	// Detail says what is wrong and what to do about it, in our own words.
	Detail string
	// Err is the cause, already stripped of everything that must not leak.
	Err error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Operation, e.Class)
	if e.HTTPStatus != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.HTTPStatus)
	}
	if e.Code != "" {
		s += " " + e.Code
	}
	if e.Field != "" {
		s += " field " + e.Field
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of an error. An error without one is Unknown: the class that never loses money.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) && e.Class != "" {
		return e.Class
	}
	return ClassUnknown
}

// FaultOf returns whose fault an error is; where nobody said so, by its class.
func FaultOf(err error) Fault {
	e := AsError(err)
	if e.Fault != "" {
		return e.Fault
	}
	return e.Class.Fault()
}

// AsError returns the classified error inside err, or one of class Unknown.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: ClassUnknown, Detail: "unclassified error"}
}

// ErrBadCallback is returned, wrapped, for a callback that fails verification. Nothing more is told to its sender.
var ErrBadCallback = errors.New("callback not verified")

// ErrMalformedCallback is returned, wrapped, for a verified callback that cannot be read.
var ErrMalformedCallback = errors.New("callback not readable")

// SafeCode clips a provider's code to what may be shown: that of SafeID, without numbers of seven
// digits or more, which are somebody's phone and no code.
func SafeCode(code string) string { return longNumber.ReplaceAllString(SafeID(code), "") }

var longNumber = regexp.MustCompile(`[0-9]([._-]*[0-9]){6,}`)

// SafeID clips a provider's name for something: at most 64 of [A-Za-z0-9._-], everything else dropped.
func SafeID(id string) string {
	out := make([]byte, 0, 64)
	for i := 0; i < len(id) && len(out) < 64; i++ {
		c := id[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			out = append(out, c)
		}
	}
	return string(out)
}
