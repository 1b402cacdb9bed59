package mtn

import (
	"encoding/json"
	"fmt"
	"net/http"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// failures are the published reasons of a FAILED payment (MTN MoMo Collection API, requesttopay-referenceId-GET:
// ErrorReason), and those seen besides. The list is open: any other is the provider's refusal.
var failures = map[string]providers.FailureReason{
	"APPROVAL_REJECTED":    providers.FailurePayerDeclined,
	"PAYMENT_NOT_APPROVED": providers.FailurePayerDeclined,

	"NOT_ENOUGH_FUNDS": providers.FailureInsufficientFunds,
	"LOW_BALANCE_OR_PAYEE_LIMIT_REACHED_OR_NOT_ALLOWED": providers.FailureInsufficientFunds,

	"PAYER_NOT_FOUND": providers.FailurePayerNotFound,

	"PAYER_LIMIT_REACHED": providers.FailureLimitReached,
	"PAYEE_LIMIT_REACHED": providers.FailureLimitReached,

	"NOT_ALLOWED":                    providers.FailureNotAllowed,
	"NOT_ALLOWED_TARGET_ENVIRONMENT": providers.FailureNotAllowed,
	"PAYEE_NOT_FOUND":                providers.FailureNotAllowed,
	"PAYEE_NOT_ALLOWED_TO_RECEIVE":   providers.FailureNotAllowed,
	"SENDER_ACCOUNT_NOT_ACTIVE":      providers.FailureNotAllowed,
}

// readStatus reads how a payment or a refund stands. It is about what was asked for, since that
// is in the question's path, unless the externalId is another than was sent.
func (p *product) readStatus(op providers.Operation, a providers.Answer, reference, externalID string) (providers.Status, error) {
	if a.Status != http.StatusOK {
		code := wire.ErrorCode(a.Body)
		return providers.Status{}, p.fail(op, a, classifyStatus(a.Status, code), code)
	}
	var body struct {
		Status        string      `json:"status"`
		Reason        reason      `json:"reason"`
		Amount        string      `json:"amount"`
		Currency      string      `json:"currency"`
		ExternalID    wire.Scalar `json:"externalId"`
		TransactionID wire.Scalar `json:"financialTransactionId"`
		PayeeNote     wire.Scalar `json:"payeeNote"`
	}
	if err := wire.Decode(a.Body, &body); err != nil {
		return providers.Status{}, wire.Odd(op, a, err.Error())
	}
	s := outcome(body.Status, string(body.Reason))
	s.Money, s.Said = wire.Money(body.Amount, body.Currency)
	s.Reference = echoed(string(body.ExternalID), externalID, reference)
	s.TransactionID = providers.SafeID(string(body.TransactionID))
	s.CorrelationTag = tagOf(string(body.PayeeNote))
	return s, nil
}

// echoed is the reference that an externalId stands for: the one that it was sent with, or one
// that equals none of ours.
func echoed(externalID, sent, reference string) string {
	switch externalID {
	case "":
		return ""
	case sent:
		return reference
	case reference:
		return wire.Unreadable
	}
	return wire.Echo(externalID)
}

// outcome reads the status words (MTN MoMo Collection API, requesttopay-referenceId-GET: status). The status is the
// verdict: a reason only says how it failed. A payer who stays silent ends as COULD_NOT_PERFORM_TRANSACTION.
func outcome(word, why string) providers.Status {
	s := providers.Status{Code: providers.SafeCode(word)}
	switch word {
	case "SUCCESSFUL":
		s.State = providers.StateSucceeded
	case "CREATED", "PENDING":
		s.State = providers.StatePending
	case "FAILED":
		if why != "" {
			s.Code = providers.SafeCode(why)
		}
		s.State, s.Failure = failed(why)
	default:
		s.State, s.Unrecognized = providers.StatePending, true
	}
	return s
}

func failed(why string) (providers.State, providers.FailureReason) {
	if why == "EXPIRED" || why == "COULD_NOT_PERFORM_TRANSACTION" {
		return providers.StateExpired, ""
	}
	if f, ok := failures[why]; ok {
		return providers.StateFailed, f
	}
	return providers.StateFailed, providers.FailureProviderRefused
}

// reason is a bare word, or an object in older answers. What is neither gives no reason.
type reason string

func (r *reason) UnmarshalJSON(b []byte) error {
	var object struct {
		Code string `json:"code"`
	}
	if json.Unmarshal(b, (*string)(r)) != nil && json.Unmarshal(b, &object) == nil {
		*r = reason(object.Code)
	}
	return nil
}

// Callbacks reads MTN's callbacks (MTN MoMo API, callbacks). They are not
// signed and do not name our reference: the path says which payment is meant.
type Callbacks struct{}

// ParseCallback returns what the callback claims.
func (Callbacks) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	var body struct {
		Status wire.Scalar `json:"status"`
	}
	if err := json.Unmarshal(cb.Body, &body); err != nil {
		return providers.Callback{}, fmt.Errorf("mtn callback: %w", providers.ErrMalformedCallback)
	}
	return providers.Callback{Claim: providers.SafeCode(string(body.Status))}, nil
}
