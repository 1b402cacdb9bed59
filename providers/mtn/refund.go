package mtn

import (
	"context"
	"encoding/json"
	"strings"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// PrepareRefund gets an access token of the Disbursement product.
func (p *Provider) PrepareRefund(ctx context.Context) error {
	if p.disbursement == nil {
		return noDisbursement(providers.OpToken)
	}
	_, err := p.disbursement.tokens.Get(ctx)
	return err
}

func noDisbursement(op providers.Operation) error {
	return wire.Refuse(op, providers.ClassMisconfigured, "the account has no credentials of the Disbursement product, which refunds take; add "+strings.Join(disbursementKeys(), ", "))
}

type refund struct {
	Amount              string `json:"amount"`
	Currency            string `json:"currency"`
	ExternalID          string `json:"externalId"`
	PayerMessage        string `json:"payerMessage,omitempty"`
	PayeeNote           string `json:"payeeNote,omitempty"`
	ReferenceIDToRefund string `json:"referenceIdToRefund"`
}

// Refund gives a payment back, or a part of it (MTN MoMo Disbursement API,
// Refund-V2). The answer 202 says only that the request was taken.
func (p *Provider) Refund(ctx context.Context, req providers.RefundRequest) error {
	if p.disbursement == nil {
		return noDisbursement(providers.OpRefund)
	}
	body, err := encodeRefund(req)
	if err != nil {
		return err
	}
	return p.disbursement.order(ctx, providers.OpRefund, "/v2_0/refund", req.Reference, "", body)
}

func encodeRefund(req providers.RefundRequest) ([]byte, error) {
	if req.Reference == "" || req.Payment.Reference == "" {
		return nil, wire.Refuse(providers.OpRefund, providers.ClassRejected, "no reference of the refund or of its payment")
	}
	money, err := req.Money.Canonical(2)
	if err != nil {
		return nil, err
	}
	text := wire.PlainText(req.Description, maxMessage)
	return json.Marshal(refund{
		Amount: money.Amount, Currency: money.Currency, ExternalID: externalID(req.MerchantReference, req.Reference),
		PayerMessage: text, PayeeNote: text, ReferenceIDToRefund: req.Payment.Reference,
	})
}

// RefundStatus asks by reference (MTN MoMo Disbursement API, GetRefundStatus). A reference is not found for a while
// after it was accepted. Nobody is asked to approve a refund, so one that expired is one that failed.
func (p *Provider) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	if p.disbursement == nil {
		return providers.Status{}, noDisbursement(providers.OpRefundStatus)
	}
	s, err := p.disbursement.status(ctx, providers.OpRefundStatus, "/v1_0/refund/", h.Reference, h.MerchantReference)
	if s.State == providers.StateExpired {
		s.State, s.Failure = providers.StateFailed, providers.FailureProviderRefused
	}
	return s, err
}
