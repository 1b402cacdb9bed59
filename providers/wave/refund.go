package wave

import (
	"context"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// Refund gives the whole payment back (Wave Checkout API, refund a checkout
// session). To ask again changes nothing.
func (p *Provider) Refund(ctx context.Context, req providers.RefundRequest) error {
	path, err := sessionPath(providers.OpRefund, req.Payment)
	if err != nil {
		return wire.Refuse(providers.OpRefund, providers.ClassRejected, "no session to give back")
	}
	return p.act(ctx, providers.OpRefund, path+"/refund")
}

// RefundStatus asks for the session that was paid (Wave Checkout API, retrieve a
// checkout session: when_refunded). Its money and reference are the payment's.
func (p *Provider) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	s, err := p.retrieve(ctx, providers.OpRefundStatus, h.Payment)
	if err != nil {
		return providers.Status{}, err
	}
	return s.refund(), nil
}

// refund is how the refund of a session stands. Only a session that is paid can
// have been given back.
func (s session) refund() providers.Status {
	paid := s.status()
	refund := providers.Status{
		State: providers.StatePending, Unrecognized: paid.Unrecognized,
		Code: paid.Code, Money: paid.Money, Reference: paid.Reference,
	}
	if paid.State == providers.StateSucceeded && s.WhenRefunded != "" {
		refund.State = providers.StateSucceeded
	}
	return refund
}
