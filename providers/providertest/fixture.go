package providertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"time"

	"mobilemoney.dev/operator/providers"
)

// Factory builds a provider that nobody has asked anything yet. It may register its end with t.Cleanup.
type Factory func(t T) Fixture

// Fixture is a fake of the provider (a simulator, or anything else that speaks its protocol) together with its payers
// and its books. The suite makes the faults of the wire itself, between the client and Transport.
type Fixture interface {
	// Facts of the provider; the same for every Fixture of a Factory.
	Facts() Facts
	// Transport to the fake.
	Transport() providers.Transport
	// Now is the time of client and fake; Advance moves it, and lets happen at the provider what is due.
	Now() time.Time
	Advance(d time.Duration)
	// Pay, Refuse and Expire are what becomes of a session: the payer approves, the payer refuses, or the payer stays
	// away until it is over. An error says that it was not possible. Nothing happens to a session by itself.
	Pay(h providers.Handle) error
	Refuse(h providers.Handle) error
	Expire(h providers.Handle) error
	// Ledger of a reference, from the provider's own books.
	Ledger(reference string) Ledger
	// RevokeTokens makes all access tokens useless. It does nothing where there are none.
	RevokeTokens()
}

// Ledger is what the provider knows of a payment's reference.
type Ledger struct {
	// Opened is the money of each prompt that was pushed, or session opened.
	Opened []providers.Money
	// Payers are the phones of these prompts, where the payer's phone is part of the request.
	Payers []providers.Phone
	// Paid counts the sessions that were paid.
	Paid int
	// Refunded is the money of each time that some of it was given back.
	Refunded []providers.Money
}

// Role of a request on the wire.
type Role string

const (
	// RoleOther asks a question, or ends a session. The zero value.
	RoleOther Role = ""
	// RoleToken gets an access token.
	RoleToken Role = "token"
	// RoleMoney asks a payer for money.
	RoleMoney Role = "money"
	// RoleRefund asks the provider to give money back.
	RoleRefund Role = "refund"
)

// Op is one method of a provider.
type Op string

const (
	OpPrepare       Op = "Prepare"
	OpInitiate      Op = "Initiate"
	OpStatus        Op = "Status"
	OpSearch        Op = "Search"
	OpCancel        Op = "Cancel"
	OpPrepareRefund Op = "PrepareRefund"
	OpRefund        Op = "Refund"
	OpRefundStatus  Op = "RefundStatus"
)

// Facts of a provider that the suite cannot find out by itself. What they say
// comes from the provider's documentation, not from the implementation.
type Facts struct {
	Kind providers.Kind
	// Account that may do everything, refunds included, at the fake.
	Account providers.Account
	// Request that is good but for its reference, which the suite sets. Money
	// is what the merchant asks for; Kind.WireMoney makes of it what is sent.
	// Where some currency has decimals, the suite should run with that one, too.
	Request providers.InitiateRequest
	// Role of a request, told from its method and URL.
	Role func(providers.Call) Role
	// Reference and RefundReference are the documented forms.
	Reference, RefundReference *regexp.Regexp
	// Accepts are the currencies that the account takes, of XOF, XAF, GNF, EUR and GMD, with their decimals.
	Accepts map[string]int
	// LateCredentials are those that only a request for money shows to be wrong.
	LateCredentials []string
	// Refused and Expired are how Status tells of a payer who refused, and of a session that is over.
	Refused, Expired []providers.State
	// Statuses and RefundStatuses are the words of a status answer: all that are documented, and others.
	Statuses, RefundStatuses []Word
	// Read reads a status answer (OpStatus or OpRefundStatus) without the code under test, by what is
	// said under a key: its State, and Money and Reference as they are written.
	Read func(op Op, said func(path ...string) string) providers.Status
	// List is the field of a search's answer that has the sessions.
	List string
	// UnknownWord puts a word where a status answer has its word; for refunds
	// UnknownRefundWord does, nil where no word tells how a refund stands.
	UnknownWord, UnknownRefundWord func(word string) Edit
	// RefusedTokens are answers that refuse an access token, besides HTTP 401.
	RefusedTokens []providers.Answer
	// Refusals are answers that say no: all that are documented, and others.
	Refusals []Refusal
	// Echoes make a status answer one about another payment: other amount, other currency, other
	// reference. RefundEchoes do so with an answer about a refund.
	Echoes, RefundEchoes map[string]Edit
	// Callbacks that the provider sends; nil where it sends none.
	Callbacks *Callbacks
}

// Word is a status answer, of those that are documented and of those that are not.
type Word struct {
	// Name is unique in its table.
	Name string
	// Answer makes it out of the answer about a payment that is paid.
	Answer Edit
	// Want is what Status returns, but for what the answer is about: money, reference and transaction.
	Want providers.Status
}

// Refusal is an answer that says no. No two of a table are equal.
type Refusal struct {
	Op Op
	// Answer may have the word "canary" where the provider writes texts: no error shows it.
	Answer  providers.Answer
	Class   providers.Class
	Code    string
	Failure providers.FailureReason
	// Field that it names, if any, and whose Fault it is; empty: that of its Class.
	Field string
	Fault providers.Fault
	// Says are words of the error's Detail.
	Says []string
}

func (r Refusal) String() string {
	return fmt.Sprintf("%s, HTTP %d %.80s", r.Op, r.Answer.Status, r.Answer.Body)
}

// Callbacks are what a provider sends.
type Callbacks struct {
	// Body of the callback that says that a payment is paid.
	Body func(p Payment) []byte
	// Prove makes a body what the receiver gets at a moment: with signature,
	// secrets and token, as far as there are any. The suite sets Now.
	Prove func(body []byte, p Payment, at time.Time) providers.CallbackRequest
	// Forgeries are what an attacker makes of a good callback; empty where callbacks carry no proof.
	Forgeries map[string]func(providers.CallbackRequest) providers.CallbackRequest
	// Secrets of the account: the one that Prove proves with, and two others; nil where none of them proves a callback.
	Secrets []providers.Secret
	// Window is how old a proof may be; 0 where a proof has no age. Ahead is how
	// far in the future it may be, for clocks that differ.
	Window, Ahead time.Duration
	// Claim is the key of the word that a body claims.
	Claim string
	// EventIDs are sent, to tell deliveries apart.
	EventIDs bool
}

// Payment as it was asked for.
type Payment struct {
	Request    providers.InitiateRequest
	Initiation providers.Initiation
}

// Handle of the payment.
func (p Payment) Handle() providers.Handle {
	return providers.Handle{
		Reference: p.Request.Reference, MerchantReference: p.Request.MerchantReference, Money: p.Request.Money,
		SessionID: p.Initiation.ID, Token: p.Initiation.Token,
	}
}

// Edit makes an answer another one.
type Edit func(providers.Answer) providers.Answer

// then makes the next edit after this one.
func (e Edit) then(next Edit) Edit {
	return func(a providers.Answer) providers.Answer { return next(e(a)) }
}

// Set replaces fields at the top of a JSON object; nil removes one. What is no object becomes one.
func Set(fields map[string]any) Edit {
	return func(a providers.Answer) providers.Answer {
		object := map[string]json.RawMessage{}
		_ = json.Unmarshal(a.Body, &object)
		if object == nil {
			object = map[string]json.RawMessage{}
		}
		for name, value := range fields {
			delete(object, name)
			if raw, err := json.Marshal(value); err == nil && value != nil {
				object[name] = raw
			}
		}
		a.Body, _ = json.Marshal(object)
		return a
	}
}

// JSON is an answer with a body.
func JSON(status int, body string) providers.Answer {
	return providers.Answer{
		Status: status, Body: []byte(body), Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// Page is the answer of a gateway that was not meant for programs.
func Page(status int) providers.Answer {
	return providers.Answer{
		Status: status, Body: []byte("<!doctype html><html><title>Request Rejected</title></html>"),
		Header: http.Header{"Content-Type": {"text/html"}},
	}
}

func withHeader(a providers.Answer, name, value string) providers.Answer {
	a.Header = maps.Clone(a.Header)
	if a.Header == nil {
		a.Header = http.Header{}
	}
	a.Header.Set(name, value)
	return a
}

func withBody(body string) Edit {
	return func(a providers.Answer) providers.Answer {
		a.Body = []byte(body)
		return a
	}
}

// every gives each field of an answer a value; nil if it has none.
func every(a providers.Answer, value string) []byte {
	object := map[string]json.RawMessage{}
	if json.Unmarshal(a.Body, &object) != nil || len(object) == 0 {
		return nil
	}
	for name := range object {
		object[name] = json.RawMessage(value)
	}
	body, _ := json.Marshal(object)
	return body
}

// doubled writes every field twice, the first time with another value.
func doubled(a providers.Answer) providers.Answer {
	first := every(a, `"PENDING"`)
	if first == nil {
		return withBody(`{"a":1,"a":2}`)(a)
	}
	a.Body = slices.Concat(first[:len(first)-1], []byte(","), bytes.TrimSpace(a.Body)[1:])
	return a
}

// retyped gives every field a value of a type that no field has.
func retyped(a providers.Answer) providers.Answer {
	if a.Body = every(a, `[true]`); a.Body == nil {
		a.Body = []byte(`[true]`)
	}
	return a
}

func halved(a providers.Answer) providers.Answer {
	if len(a.Body) < 2 {
		a.Body = []byte(`{"a":`)
		return a
	}
	a.Body = bytes.Clone(a.Body[:len(a.Body)/2])
	return a
}
