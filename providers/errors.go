package providers

import (
	"errors"
	"fmt"
	"time"
)

// Class says what an error means for the money. It is decided once, in the
// transport or in the adapter, and decides everything that follows.
type Class string

const (
	// ClassUnknown: the request may have left and there is no usable answer.
	// The zero value means the same.
	ClassUnknown Class = "Unknown"
	// ClassRejected: a definite no to this request. Nothing moved.
	ClassRejected Class = "Rejected"
	// ClassMisconfigured: credentials, host or environment are wrong. The
	// account is at fault, not the payment. Nothing moved.
	ClassMisconfigured Class = "Misconfigured"
	// ClassThrottled: too many requests. Nothing moved.
	ClassThrottled Class = "Throttled"
	// ClassNotSent: no byte of the request left this machine.
	ClassNotSent Class = "NotSent"
	// ClassAlreadyExists: the provider knows this reference already.
	ClassAlreadyExists Class = "AlreadyExists"
	// ClassNotFound: the provider does not know this reference (yet).
	ClassNotFound Class = "NotFound"
)

// Error is a classified provider error. Its text is safe to show and to log:
// it holds no body, no URL, no token and no phone number.
type Error struct {
	Class Class
	// Op names the call, such as "requesttopay".
	Op string
	// Code is the provider's code, or empty. Only SafeCode lets one in.
	Code string
	// HTTPStatus of the answer; 0 where there was none.
	HTTPStatus int
	// RetryAfter as the provider asked for; 0 where it did not.
	RetryAfter time.Duration
	// Failure refines Rejected where the code says why.
	Failure FailureReason
	// Detail says what happened, in our own words.
	Detail string
	// Err is the cause, already stripped of everything that must not leak.
	Err error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s", e.Op, e.Class)
	if e.HTTPStatus != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.HTTPStatus)
	}
	if e.Code != "" {
		s += " " + e.Code
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

// ClassOf returns the class of an error. An error without one is Unknown: the
// class that never loses money.
func ClassOf(err error) Class {
	var e *Error
	if errors.As(err, &e) && e.Class != "" {
		return e.Class
	}
	return ClassUnknown
}

// AsError returns the classified error inside err, or one of class Unknown.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: ClassUnknown, Detail: "unclassified error"}
}

// ErrBadCallback is returned, wrapped, for a callback that fails verification.
// Nothing more is told to its sender.
var ErrBadCallback = errors.New("callback not verified")

// ErrMalformedCallback is returned, wrapped, for a verified callback that
// cannot be read.
var ErrMalformedCallback = errors.New("callback not readable")

// SafeCode clips a provider's code to what may be shown: at most 64 of
// [A-Za-z0-9._-], everything else dropped.
func SafeCode(code string) string {
	out := make([]byte, 0, 64)
	for i := 0; i < len(code) && len(out) < 64; i++ {
		c := code[i]
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			out = append(out, c)
		}
	}
	return string(out)
}
