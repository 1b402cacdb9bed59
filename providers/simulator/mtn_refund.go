package simulator

import "time"

// mtnRefund is a refund of a request to pay (Disbursement product).
type mtnRefund struct {
	Amount       string `json:"amount"`
	Currency     string `json:"currency"`
	ExternalID   string `json:"externalId"`
	PayerMessage string `json:"payerMessage"`
	PayeeNote    string `json:"payeeNote"`
	Of           string `json:"referenceIdToRefund"`
	done         time.Time
	txn          string
	reason       string
}

func (s *Simulator) disbursementRoutes(handle func(string, wire)) {
	peek := func(c *call) { c.reference = c.r.Header.Get("X-Reference-Id") }
	for _, version := range []string{"v1_0", "v2_0"} {
		handle("POST /mtn/disbursement/"+version+"/refund",
			wire{provider: MTN, op: OpRefund, peek: peek, handle: s.refundMTN})
	}
	handle("GET /mtn/disbursement/v1_0/refund/{id}", wire{provider: MTN, op: OpRefund,
		peek: func(c *call) { c.reference = c.r.PathValue("id") }, handle: s.refundMTNStatus})
}

func (s *Simulator) refundMTN(c *call) answer {
	if refused, ok := s.mtnAccess(c, "disbursement"); !ok {
		return refused
	}
	var req mtnRefund
	if decode(c.body, &req, false) != nil || !s.validReference(c.reference) || !decimal.MatchString(req.Amount) {
		return empty(400)
	}
	if _, exists := s.refunds[c.reference]; exists {
		return mtnFailure(409)
	}
	s.settleRefund(&req)
	s.refunds[c.reference] = req
	return empty(202)
}

// settleRefund gives a paid amount back, once and in full.
func (s *Simulator) settleRefund(req *mtnRefund) {
	req.done = s.now().Add(s.scaled(promptDelay))
	p := s.find(MTN, req.Of)
	switch {
	case p == nil:
		req.reason = "TRANSACTION_NOT_FOUND"
	case p.state != settled || !p.refunded.IsZero() || normal(req.Amount) != normal(p.amount) || req.Currency != p.currency:
		req.reason = "NOT_ALLOWED"
	default:
		p.refunded, req.txn = s.now(), s.transactionID(MTN)
		s.enter(p, Refunded)
	}
}

func (s *Simulator) refundMTNStatus(c *call) answer {
	if refused, ok := s.mtnAccess(c, "disbursement"); !ok {
		return refused
	}
	r, ok := s.refunds[c.reference]
	if !ok {
		return moMo(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
	}
	return asJSON(200, s.refundStatusOf(r))
}

func (s *Simulator) refundStatusOf(r mtnRefund) map[string]any {
	st := map[string]any{
		"externalId": r.ExternalID, "amount": normal(r.Amount), "currency": r.Currency,
		"payee":        mtnParty{"PARTY_CODE", "1"},
		"payerMessage": r.PayerMessage, "payeeNote": r.PayeeNote, "status": "PENDING",
	}
	switch {
	case s.now().Before(r.done):
	case r.reason != "":
		st["status"], st["reason"] = "FAILED", r.reason
	default:
		st["status"], st["financialTransactionId"] = "SUCCESSFUL", r.txn
	}
	return st
}
