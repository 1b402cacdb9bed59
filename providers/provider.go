// Package providers says what a mobile-money provider is to the rest of the operator: a small interface, and plain
// requests and answers that could as well travel over a wire. It knows nothing of Kubernetes.
package providers

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// Provider asks one merchant account at one provider for money, and asks how it went. An implementation holds no
// payment state: whatever a later call needs comes back in the answers and is kept by the caller.
//
// Every error is, or wraps, an *Error with a Class.
type Provider interface {
	// Initiate asks the provider to collect. It puts the request on the wire
	// at most once: no retry, no redirect, no replayable body.
	//
	// An error of class AlreadyExists says that the provider knows the reference already; Rejected
	// that nothing moved and nothing will, as far as Traits.RefusalIsFinal says; NotSent,
	// Misconfigured and Throttled that nothing moved this time; Unknown that the money may be
	// moving. An access token that is refused is not replaced: the next Initiate gets another.
	Initiate(ctx context.Context, req InitiateRequest) (Initiation, error)

	// Status asks how a payment stands. An error says nothing about it.
	Status(ctx context.Context, h Handle) (Status, error)

	// Traits describe the provider; they never change during its life.
	Traits() Traits
}

// The interfaces below are optional; a caller finds them by type assertion.

// Preparer gets everything that Initiate needs but that asks for no money, such as an access token,
// so that wrong credentials are found before any request for money is written down.
type Preparer interface {
	Prepare(ctx context.Context) error
}

// Searcher finds the sessions that were opened under a reference: the way back
// after a lost answer at providers that do not deduplicate references.
type Searcher interface {
	Search(ctx context.Context, reference string) ([]Session, error)
}

// Canceller ends a session that is not paid yet. An error of class
// AlreadyExists says that the session is over already, perhaps paid: ask again.
type Canceller interface {
	Cancel(ctx context.Context, h Handle) error
}

// Refunder gives back what was paid. It keeps no state either: what makes a
// refund happen once is its reference, or that repeating it is harmless.
type Refunder interface {
	// Refund asks the provider to give money back. It puts the request on the wire at most once. Errors mean what those
	// of Initiate mean; for a provider whose Traits.Refund is RefundWhole, repeating it is harmless.
	Refund(ctx context.Context, req RefundRequest) error

	// RefundStatus asks how a refund stands: StatePending, StateSucceeded or StateFailed, with the
	// money and the reference that the provider echoes. An error of class NotFound says that the
	// provider does not know the refund (yet); any other says nothing about it.
	RefundStatus(ctx context.Context, h RefundHandle) (Status, error)
}

// RefundPreparer gets everything that Refund needs but that gives nothing back, as Preparer does for Initiate.
type RefundPreparer interface {
	PrepareRefund(ctx context.Context) error
}

// AccountChecker asks the provider, harmlessly, whether the account can be used.
// An error of class Misconfigured says that it can't.
type AccountChecker interface {
	CheckAccount(ctx context.Context, check AccountCheck) error
}

// AccountCheck is what an account is checked against.
type AccountCheck struct {
	// CallbackURL is the base of the URLs that payments name for callbacks; empty: none is named.
	CallbackURL string
}

// CallbackParser verifies and reads what the provider sends to the callback
// receiver. It is pure: clock and secrets are passed in.
type CallbackParser interface {
	ParseCallback(cb CallbackRequest) (Callback, error)
}

// Traits tell the caller how to treat a provider.
type Traits struct {
	// Flow says how the payer gets to approve.
	Flow Flow
	// Recovery says how the outcome of an unanswered Initiate is found.
	Recovery Recovery
	// SessionLife is how long a payer can pay after a session was opened, where the provider does
	// not say so in its answer; 0 where it does, or where it has no such limit.
	SessionLife time.Duration
	// StatusPerSecond caps the status calls of all accounts with the same Kind.LimitKey; 0 is no cap.
	StatusPerSecond float64
	// Deduplicates is set where repeating a reference opens nothing else. (Refunds are
	// deduplicated by every provider that has them.)
	Deduplicates bool
	// RefusalIsFinal is set where a request, or a refund, that was Rejected has come to nothing
	// for certain. Where it is not set the provider may have processed it all the same: ask first.
	RefusalIsFinal bool
	// StatusNeedsToken is set where nobody can ask for the status without Session.Token.
	StatusNeedsToken bool
	// CanCancel is set where an unpaid session can be ended for certain.
	CanCancel bool
	// NeedsPayer is set where the payer's phone is part of the request.
	NeedsPayer bool
	// NeedsCallbackURL is set where no payment can be opened without one.
	NeedsCallbackURL bool
	// MaxURL is how long a URL may be that the provider is told; 0: no limit.
	MaxURL int
	// NeedsReturnURL is set where no payment can be opened without one.
	NeedsReturnURL bool
	// Refund says how a payment is given back.
	Refund RefundMode
}

// RefundMode says how a payment is given back.
type RefundMode string

const (
	// RefundManual: the API has no refunds; a person makes them in the
	// provider's portal (Orange). The zero value means the same.
	RefundManual RefundMode = "Manual"
	// RefundWhole: the whole payment or nothing, and asking twice gives back once (Wave).
	RefundWhole RefundMode = "Whole"
	// RefundPartial: any part, several times, each under a reference of its own that the provider deduplicates (MTN).
	RefundPartial RefundMode = "Partial"
)

// Flow says how the payer gets to approve a payment.
type Flow string

const (
	// FlowPush rings the payer's phone: the payer can pay from the moment that the provider takes the request.
	FlowPush Flow = "Push"
	// FlowRedirect opens a page: nobody can pay before its URL is published.
	FlowRedirect Flow = "Redirect"
)

// Recovery says how the outcome of an unanswered Initiate is found.
type Recovery string

const (
	// RecoverByReference: Status takes the reference alone, and repeating Initiate with it is harmless (MTN).
	RecoverByReference Recovery = "ByReference"
	// RecoverBySearch: Search lists what the reference opened (Wave).
	RecoverBySearch Recovery = "BySearch"
	// RecoverByRepeat: only a repeated Initiate tells whether the first one
	// arrived, and the handle that it returned is lost if it did (Orange).
	RecoverByRepeat Recovery = "ByRepeat"
)

// Money is an exact amount: a plain decimal without sign, exponent, separator
// or leading zero, and an ISO 4217 code (or a sandbox's own, such as OUV).
type Money struct {
	Amount   string
	Currency string
}

// InitiateRequest is everything that a provider is told about a payment.
type InitiateRequest struct {
	// Reference is what the provider knows the payment by: MTN X-Reference-Id, Orange order_id, Wave client_reference.
	Reference string
	// Money as the provider gets it (the sandbox currency in a sandbox).
	Money Money
	// Payer is the phone in E.164 with +. Empty where none is needed.
	Payer Phone
	// MerchantReference is the merchant's own order number, shown where the provider has a field
	// for it (MTN externalId). It identifies nothing.
	MerchantReference string
	// Description is shown to the payer where the provider has a field for it.
	Description string
	// CorrelationTag tells this record's requests from those of an earlier one under the same reference, where the
	// provider tells it again with the status (MTN payeeNote): "c-" and hexadecimal digits. Empty: none.
	CorrelationTag string
	// CallbackURL is where the provider reports; empty: it is polled only.
	CallbackURL string
	// ReturnURL and CancelURL are where the payer's browser goes afterwards.
	ReturnURL string
	CancelURL string
}

// Initiation is the answer to a successful Initiate.
type Initiation struct {
	Session
	// NotificationToken comes back in the provider's callback (Orange notif_token). Only its hash is kept.
	NotificationToken Secret
}

// Session is what the provider opened for a payment. Push providers leave it empty but for Status.
type Session struct {
	// ID names the session at the provider (Wave).
	ID string
	// Token is needed to ask for the status (Orange pay_token).
	Token Secret
	// PaymentURL is where the payer pays. It is published only once the session is recorded.
	PaymentURL Secret
	// ExpiresAt is when it can no longer be paid; zero where not told.
	ExpiresAt time.Time
	// Status as the answer that carried the session had it; nil if it did not.
	Status *Status
}

// Handle is what Status and Cancel need; all of it comes from the recorded request and its answer.
type Handle struct {
	Reference string
	// MerchantReference as Initiate got it.
	MerchantReference string
	Money             Money
	SessionID         string
	Token             Secret
}

// RefundRequest is everything that a provider is told about a refund.
type RefundRequest struct {
	RefundHandle
	// Description is shown to the payer where the provider has a field for it.
	Description string
}

// RefundHandle names a refund, and the payment that it gives back.
type RefundHandle struct {
	// Reference of the refund: MTN X-Reference-Id of the disbursement. Providers
	// that refund whole payments only have none.
	Reference string
	// MerchantReference as in InitiateRequest.
	MerchantReference string
	// Money to give back, in the form that the provider was sent.
	Money Money
	// Payment that was paid.
	Payment Handle
}

// State is how far a payment is, in the words of this package.
type State string

const (
	// StateNotStarted: the payer has done nothing yet, so that the payment
	// can only end unpaid once its session is over (Orange INITIATED).
	StateNotStarted State = "NotStarted"
	// StatePending: not decided. Every word without a mapping is Pending.
	StatePending   State = "Pending"
	StateSucceeded State = "Succeeded"
	StateFailed    State = "Failed"
	StateExpired   State = "Expired"
	StateCancelled State = "Cancelled"
)

// Final tells whether the provider will not change its mind.
func (s State) Final() bool {
	switch s {
	case StateSucceeded, StateFailed, StateExpired, StateCancelled:
		return true
	default:
		return false
	}
}

// Status is the provider's answer to our own, authenticated question.
type Status struct {
	State State
	// Unrecognized is set, with State Pending, when the provider used a word
	// that this version has no mapping for; Code holds the word.
	Unrecognized bool
	// Code is the provider's own word for the state or for why it failed.
	Code string
	// Failure says why in the closed list; set with StateFailed only.
	Failure FailureReason
	// Money that was paid or is asked for. Where the answer has none but the
	// question itself names it (Orange), it is that of the question.
	Money Money
	// Said is what the provider wrote where that is no money, for people.
	Said Money
	// Reference of the payment or refund that the answer is about: the one that was asked for if the provider echoes
	// what was sent with it, another one if it echoes anything else; empty where it echoes nothing.
	Reference string
	// CorrelationTag of the request, as echoed; empty where there is none.
	CorrelationTag string
	// TransactionID is the provider's name for the movement of money.
	TransactionID string
	// CompletedAt is when it was paid; zero where not told.
	CompletedAt time.Time
	// LastError is the provider's code for a failed try that the payer may repeat (Wave last_payment_error).
	LastError string
}

// About tells whether an answer is about the payment that was asked for. Not every one says so.
func (s Status) About(h Handle) bool { return s.about(h.Reference) }

func (s Status) about(reference string) bool { return s.Reference == "" || s.Reference == reference }

// Matches tells whether an answer is about the payment that was asked for, and its money.
func (s Status) Matches(h Handle) bool { return s.About(h) && s.Money.Equal(h.Money) }

// AboutRefund is About for a refund. One without a reference of its own goes by its payment's.
func (s Status) AboutRefund(h RefundHandle) bool {
	return s.about(cmp.Or(h.Reference, h.Payment.Reference))
}

// MatchesRefund is Matches for a refund.
func (s Status) MatchesRefund(h RefundHandle) bool { return s.AboutRefund(h) && s.Money.Equal(h.Money) }

// FailureReason is the closed list of why a payer did not pay.
type FailureReason string

const (
	FailurePayerDeclined     FailureReason = "PayerDeclined"
	FailureInsufficientFunds FailureReason = "InsufficientFunds"
	FailurePayerNotFound     FailureReason = "PayerNotFound"
	FailureLimitReached      FailureReason = "LimitReached"
	FailureNotAllowed        FailureReason = "NotAllowed"
	FailureProviderRefused   FailureReason = "ProviderRefused"
)

// CallbackRequest is a received callback with what is needed to verify it.
type CallbackRequest struct {
	Header http.Header
	// Body is the raw body, as signed.
	Body []byte
	Now  time.Time
	// Secrets verify the signature (Wave), any of them.
	Secrets []Secret
	// TokenHash is HashToken of the charge's notification token (Orange).
	TokenHash string
}

// Callback is what a verified callback claims. It is a hint to ask the provider, never evidence.
type Callback struct {
	// EventID deduplicates deliveries where the provider sends one.
	EventID string
	// Claim is the provider's word for the event or state, clipped.
	Claim string
	// SessionID and Reference tell which payment is meant, either or both; empty
	// where the path of the callback already says so.
	SessionID string
	Reference string
}
