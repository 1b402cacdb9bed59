package orange

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"net/http"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// codes of a refused request (Orange Money Web Payment, error codes; Orange
// Developer, API errors).
var codes = map[string]providers.Class{
	"21": providers.ClassRejected, // body missing
	"22": providers.ClassRejected, // body invalid
	"23": providers.ClassRejected, // field missing
	"24": providers.ClassRejected, // field invalid

	"40": providers.ClassMisconfigured, // credentials missing
	"41": providers.ClassMisconfigured, // credentials invalid
	"42": providers.ClassMisconfigured, // token expired

	"50":   providers.ClassMisconfigured, // access denied
	"1201": providers.ClassRejected,      // forbidden transaction
	"1202": providers.ClassMisconfigured, // invalid merchant key
	"1203": providers.ClassMisconfigured, // currency not allowed for the country
	"1204": providers.ClassAlreadyExists, // order already exists
	"60":   providers.ClassMisconfigured, // not found
	"61":   providers.ClassMisconfigured, // method not allowed
	"62":   providers.ClassMisconfigured, // not acceptable
	"53":   providers.ClassThrottled,     // too many requests
	"1":    providers.ClassUnknown,       // internal error
	"5":    providers.ClassUnknown,       // unavailable
}

// classify an answer that is no success. Only a 4xx is a definite no; the code
// says which, and a code that we do not know says nothing.
func classify(status int, code string) providers.Class {
	switch {
	case status < 400 || status > 499:
		return providers.ClassUnknown
	case status == http.StatusTooManyRequests:
		return providers.ClassThrottled
	case status == http.StatusUnauthorized:
		return providers.ClassMisconfigured
	}
	if class, ok := codes[code]; ok {
		return class
	}
	if code == "" && (status == http.StatusForbidden || isWrongAddress(status)) {
		return providers.ClassMisconfigured
	}
	return providers.ClassUnknown
}

func isWrongAddress(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotAcceptable
}

func classifyToken(status int) providers.Class {
	switch {
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden, isWrongAddress(status):
		return providers.ClassMisconfigured
	case status == http.StatusTooManyRequests:
		return providers.ClassThrottled
	default:
		return providers.ClassUnknown
	}
}

// tokenRefused: codes 40, 41 and 42 (Orange Developer, API errors), and the
// bare HTTP status that says the same.
func tokenRefused(a providers.Answer) bool {
	if a.Status == http.StatusUnauthorized {
		return true
	}
	code := errorCode(a.Body)
	return a.Status >= 400 && a.Status <= 499 && (code == "40" || code == "41" || code == "42")
}

// isSuccess: 201 is documented, for both calls, and 200 has been seen (Orange
// Money Web Payment, webpayment and transactionstatus).
func isSuccess(status int) bool { return status == http.StatusCreated || status == http.StatusOK }

func errorCode(body []byte) string {
	var e struct {
		Code wire.Scalar `json:"code"`
	}
	if wire.Decode(body, &e) != nil {
		return ""
	}
	return string(e.Code)
}

func (p *Provider) readInitiation(a providers.Answer) (providers.Initiation, error) {
	var body struct {
		PayToken   string `json:"pay_token"`
		PaymentURL string `json:"payment_url"`
		NotifToken string `json:"notif_token"`
	}
	if err := wire.Decode(a.Body, &body); err != nil {
		return providers.Initiation{}, wire.Odd(providers.OpInitiate, a, err.Error())
	}
	switch {
	case !wire.IsToken(body.PayToken, wire.MaxToken):
		return providers.Initiation{}, wire.Odd(providers.OpInitiate, a, "no usable pay_token")
	case !wire.IsPayerURL(body.PaymentURL, p.account.BaseURL):
		return providers.Initiation{}, wire.Odd(providers.OpInitiate, a, "no usable payment_url")
	case body.NotifToken != "" && !wire.IsToken(body.NotifToken, wire.MaxToken):
		return providers.Initiation{}, wire.Odd(providers.OpInitiate, a, "no usable notif_token")
	}
	return providers.Initiation{
		Session: providers.Session{
			Token:      providers.Secret(body.PayToken),
			PaymentURL: providers.Secret(body.PaymentURL),
		},
		// Without it callbacks are refused, and the payment is polled.
		NotificationToken: providers.Secret(body.NotifToken),
	}, nil
}

// readStatus: the documented answer has no money; the question's, which it had to
// match, stands in for what is not told. A word that a payment can end by counts
// for the order that it names only.
func readStatus(a providers.Answer, asked providers.Money) (providers.Status, error) {
	var body struct {
		Status   string      `json:"status"`
		OrderID  string      `json:"order_id"`
		TxnID    wire.Scalar `json:"txnid"`
		Amount   wire.Scalar `json:"amount"`
		Currency string      `json:"currency"`
	}
	if err := wire.Decode(a.Body, &body); err != nil {
		return providers.Status{}, wire.Odd(providers.OpStatus, a, err.Error())
	}
	s := outcome(body.Status)
	if s.State != providers.StatePending && body.OrderID == "" {
		return providers.Status{}, wire.Odd(providers.OpStatus, a, "no order_id")
	}
	s.Money = wire.Money(cmp.Or(string(body.Amount), asked.Amount), cmp.Or(body.Currency, asked.Currency))
	s.Reference = wire.Echo(body.OrderID)
	s.TransactionID = providers.SafeCode(string(body.TxnID))
	return s, nil
}

// outcome reads the status words (Orange Money Web Payment, transactionstatus:
// status).
func outcome(word string) providers.Status {
	s := providers.Status{Code: providers.SafeCode(word)}
	switch word {
	case "INITIATED":
		s.State = providers.StateNotStarted
	case "PENDING":
		s.State = providers.StatePending
	case "SUCCESS":
		s.State = providers.StateSucceeded
	case "FAILED": // Orange gives no reason
		s.State, s.Failure = providers.StateFailed, providers.FailureProviderRefused
	case "EXPIRED":
		s.State = providers.StateExpired
	default:
		s.State, s.Unrecognized = providers.StatePending, true
	}
	return s
}

// Callbacks verifies and reads Orange's notifications (Orange Money Web
// Payment, notification). The path says which payment is meant; what proves
// the sender is the notif_token that came with the payment page.
type Callbacks struct{}

// ParseCallback returns what the callback claims.
func (Callbacks) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	var body struct {
		Status     string `json:"status"`
		NotifToken string `json:"notif_token"`
	}
	if err := wire.Decode(cb.Body, &body); err != nil {
		// The proof is inside, so what cannot be read is not verified.
		return providers.Callback{}, fmt.Errorf("orange callback: %w: no JSON", providers.ErrBadCallback)
	}
	hash := providers.HashToken(providers.Secret(body.NotifToken))
	if hash == "" || subtle.ConstantTimeCompare([]byte(hash), []byte(cb.TokenHash)) != 1 {
		return providers.Callback{}, fmt.Errorf("orange callback: %w: wrong notif_token", providers.ErrBadCallback)
	}
	return providers.Callback{Claim: providers.SafeCode(body.Status)}, nil
}
