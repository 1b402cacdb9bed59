package providers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Transport is the only way out of the machine (package transport).
type Transport interface {
	// Do sends one request, once. An error is of class NotSent where no byte
	// left, else Unknown. An answer of any HTTP status is no error.
	Do(ctx context.Context, call Call) (Answer, error)
}

// Call is one HTTP request. Body is nil for none (sent with Content-Length 0 where the method has one).
type Call struct {
	// Operation that the request belongs to, in errors and metrics.
	Operation Operation
	Method    string
	URL       string
	Header    http.Header
	Body      []byte
}

// Admit is asked right before each HTTP request, also before one that is repeated with a new access
// token, and may wait. Its error stops the request: one of class Throttled, with RetryAfter, goes
// to the caller as it is; of any other nothing was sent. Requests for a token have Operation token.
type Admit func(ctx context.Context, call Call) error

// Admitted returns a Transport that asks admit before it sends through t.
func Admitted(t Transport, admit Admit) Transport { return admitted{t, admit} }

type admitted struct {
	Transport
	admit Admit
}

func (a admitted) Do(ctx context.Context, call Call) (Answer, error) {
	if err := a.admit(ctx, call); err != nil {
		return Answer{}, notAdmitted(call.Operation, err)
	}
	return a.Transport.Do(ctx, call)
}

// notAdmitted is the error for a request that stayed here.
func notAdmitted(op Operation, err error) *Error {
	var e *Error
	if !errors.As(err, &e) {
		return &Error{Class: ClassNotSent, Operation: op, Fault: FaultProvider, Err: err}
	}
	out := *e
	if out.Class != ClassThrottled {
		out.Class = ClassNotSent
	}
	out.Operation = op
	return &out
}

// Answer is what came back, whole: a truncated or oversized body is an error.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Account is what a provider's client is built from.
type Account struct {
	// BaseURL of the API; empty: the provider's own for the environment.
	BaseURL string
	// TokenURL overrides where access tokens are taken (Orange); empty: the provider's own.
	TokenURL string
	// Environment is sandbox or production.
	Environment Environment
	// TargetEnvironment is MTN's word for the country in production.
	TargetEnvironment string
	// Country is the ISO 3166 alpha-2 code in lower case (Orange's path).
	Country string
	// MerchantName is shown to the payer where the provider has a field for it.
	MerchantName string
	// AggregatedMerchantID is the merchant that an aggregator collects for (Wave).
	AggregatedMerchantID string
	// Credentials by the keys that the provider's Kind documents.
	Credentials map[string]Secret
}

// Environment of an account.
type Environment string

const (
	Sandbox    Environment = "sandbox"
	Production Environment = "production"
)

// Kind is one provider as the registry knows it: how to build a client, and what has to be known before there is one.
type Kind struct {
	// CredentialKeys that an account's Secret must have.
	CredentialKeys []string
	// OptionalCredentialKeys that it may have, and that a client is built with
	// if they are there (Wave's signing secret).
	OptionalCredentialKeys []string
	// RefundCredentialKeys that it must have besides for refunds; a client for
	// refunds is built with them, one for collecting never is.
	RefundCredentialKeys []string
	// CallbackSecretKeys that it may have, to verify callbacks (Wave). A value may hold several secrets, one a line.
	CallbackSecretKeys []string
	// Endpoint fills in BaseURL and TokenURL where the account leaves them
	// out, and says what is missing (class Misconfigured) where it can't.
	Endpoint func(a Account) (Account, error)
	// Country of an account, as an ISO 3166 alpha-2 code in lower case; "" where the account
	// does not tell. Credentials may tell it, too.
	Country func(a Account) string
	// WireMoney turns what the merchant asked for into what the provider is sent: the sandbox
	// currency in a sandbox, the amount in the provider's form. An error, of class Rejected, says
	// that it is no money, or not of the account's country; in a sandbox just as in production.
	WireMoney func(a Account, m Money) (Money, error)
	// LimitCredential is the key of the credential that the provider counts calls by.
	LimitCredential string
	// Hosts of the provider itself, which an account's baseURL and tokenURL may name without leave of the operator.
	Hosts []string
	// Reference derives from a digest what the provider knows the payment
	// by. Frozen by golden vectors: a changed one charges open payments again.
	Reference func(digest [32]byte) string
	// RefundReference does the same for a refund; nil where a refund has none.
	RefundReference func(digest [32]byte) string
	// New builds a client that keeps access tokens and nothing else. An error
	// is of class Misconfigured and names what is missing.
	New func(a Account, t Transport, now func() time.Time) (Provider, error)
	// Traits of every client that New builds.
	Traits Traits
	// Callbacks verifies and reads callbacks; nil where there are none.
	Callbacks CallbackParser
	// CallbackByPut is set where callbacks may come by PUT as well as by POST.
	CallbackByPut bool
}

// LimitKey names what the provider counts calls by: the host of the API and the API user, key or client. Accounts with
// the same one share a limit, and refunds share it with payments. It gives no credential away.
func (k Kind) LimitKey(a Account) string {
	if full, err := k.Endpoint(a); err == nil {
		a = full
	}
	sum := sha256.Sum256([]byte(a.BaseURL + "\x00" + a.Credentials[k.LimitCredential].Reveal()))
	return hex.EncodeToString(sum[:16])
}

// Registry holds the known providers by name. It is a value: built in main, passed down, never global.
type Registry map[string]Kind

// Names in alphabetical order.
func (r Registry) Names() []string { return slices.Sorted(maps.Keys(r)) }
