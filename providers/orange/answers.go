package orange

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"net/http"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// isSuccess: 201 is documented, for both calls, and 200 has been seen (Orange
// Money Web Payment, webpayment and transactionstatus).
func isSuccess(status int) bool { return status == http.StatusCreated || status == http.StatusOK }

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

// readStatus: the documented answer has no money; the question's, which it had to match, stands in
// for what is not told. A word that a payment can end by counts for the order that it names only.
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
	s.Money, s.Said = wire.Money(cmp.Or(string(body.Amount), asked.Amount), cmp.Or(body.Currency, asked.Currency))
	s.Reference = wire.Echo(body.OrderID)
	s.TransactionID = providers.SafeID(string(body.TxnID))
	return s, nil
}

// outcome reads the status words (Orange Money Web Payment, transactionstatus: status).
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

// Callbacks verifies and reads Orange's notifications (Orange Money Web Payment, notification). The path says which
// payment is meant; what proves the sender is the notif_token that came with the payment page.
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
