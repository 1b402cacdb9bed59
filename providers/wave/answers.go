package wave

import (
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// session is the checkout session object (Wave Checkout API).
type session struct {
	ID              string     `json:"id"`
	Amount          string     `json:"amount"`
	Currency        string     `json:"currency"`
	CheckoutStatus  string     `json:"checkout_status"`
	PaymentStatus   string     `json:"payment_status"`
	ClientReference string     `json:"client_reference"`
	WaveLaunchURL   string     `json:"wave_launch_url"`
	TransactionID   string     `json:"transaction_id"`
	WhenExpires     string     `json:"when_expires"`
	WhenCompleted   string     `json:"when_completed"`
	WhenRefunded    string     `json:"when_refunded"`
	LastError       *lastError `json:"last_payment_error"`
}

type lastError struct {
	Code string `json:"code"`
}

func (p *Provider) readSession(op providers.Operation, a providers.Answer) (session, error) {
	var s session
	if err := wire.Decode(a.Body, &s); err != nil {
		return session{}, wire.Odd(op, a, err.Error())
	}
	return s, p.check(op, a, s)
}

func (p *Provider) readSessions(op providers.Operation, a providers.Answer, reference string) ([]providers.Session, error) {
	var body struct {
		Result *[]session `json:"result"`
	}
	if err := wire.Decode(a.Body, &body); err != nil {
		return nil, wire.Odd(op, a, err.Error())
	}
	if body.Result == nil {
		// "None" must be said, since it leads to another session.
		return nil, wire.Odd(op, a, "no result")
	}
	sessions := make([]providers.Session, 0, len(*body.Result))
	for _, found := range *body.Result {
		if found.ClientReference != reference {
			return nil, wire.Odd(op, a, "a session of another reference")
		}
		if err := p.check(op, a, found); err != nil {
			return nil, err
		}
		sessions = append(sessions, found.opened())
	}
	return sessions, nil
}

// check that the parts of a session that are used further can be.
func (p *Provider) check(op providers.Operation, a providers.Answer, s session) error {
	switch {
	case !isID(s.ID):
		return wire.Odd(op, a, "no usable session id")
	case s.WaveLaunchURL != "" && !wire.IsPayerURL(s.WaveLaunchURL, p.account.BaseURL):
		return wire.Odd(op, a, "no usable wave_launch_url")
	}
	return nil
}

// opened is the session as it is kept.
func (s session) opened() providers.Session {
	status := s.status()
	expires, _ := time.Parse(time.RFC3339, s.WhenExpires) // zero: not told
	return providers.Session{
		ID:         s.ID,
		PaymentURL: providers.Secret(s.WaveLaunchURL),
		ExpiresAt:  expires,
		Status:     &status,
	}
}

// isID tells whether s can be a session id, and part of a path.
func isID(s string) bool { return s != "" && s != "." && s != ".." && providers.SafeID(s) == s }

func (s session) status() providers.Status {
	status := s.outcome()
	status.Money, status.Said = wire.Money(s.Amount, s.Currency)
	status.Reference = wire.Echo(s.ClientReference)
	status.TransactionID = providers.SafeID(s.TransactionID)
	if status.State == providers.StateSucceeded {
		status.CompletedAt, _ = time.Parse(time.RFC3339, s.WhenCompleted) // zero: not told
	}
	if s.LastError != nil {
		status.LastError = providers.SafeCode(s.LastError.Code)
	}
	return status
}

// outcome reads checkout_status first (Wave Checkout API, checkout session object): an expired
// session says "cancelled" as its payment_status, and an open one stays payable after a failed try.
func (s session) outcome() providers.Status {
	status := providers.Status{Code: providers.SafeCode(s.CheckoutStatus)}
	switch s.CheckoutStatus + " " + s.PaymentStatus {
	case "open processing", "open cancelled":
		status.State = providers.StatePending
	case "complete succeeded":
		status.State = providers.StateSucceeded
	case "expired cancelled":
		status.State = providers.StateExpired
	case "complete cancelled":
		status.State = providers.StateFailed
		status.Code = s.PaymentStatus
		status.Failure = s.failure()
	default:
		status.State, status.Unrecognized = providers.StatePending, true
		status.Code = providers.SafeCode(s.CheckoutStatus + "." + s.PaymentStatus)
	}
	return status
}

// failures are the codes of last_payment_error (Wave Checkout API, last payment error).
var failures = map[string]providers.FailureReason{
	"blocked-account":                  providers.FailureNotAllowed,
	"cross-border-payment-not-allowed": providers.FailureNotAllowed,
	"customer-age-restricted":          providers.FailureNotAllowed,
	"payer-mobile-mismatch":            providers.FailureNotAllowed,
	"insufficient-funds":               providers.FailureInsufficientFunds,
	"kyb-limits-exceeded":              providers.FailureLimitReached,
}

func (s session) failure() providers.FailureReason {
	if s.LastError != nil {
		if f, ok := failures[s.LastError.Code]; ok {
			return f
		}
	}
	return providers.FailureProviderRefused
}
