package simulator

// payout makes of a payment one that the merchant makes: a refund (Disbursement product).
type payout struct {
	of string // referenceIdToRefund
}

// payoutRoutes: a refund is made at v2_0, and asked about at v1_0.
func (s *Simulator) payoutRoutes(handle func(string, wire)) {
	const base = "/mtn/" + disbursement + "/"
	access := s.mtnAccess(disbursement)
	handle("POST "+base+"v2_0/refund", wire{provider: MTN, op: OpRefund, peek: peekMTN, access: access, handle: s.takeMTN})
	handle("GET "+base+"v1_0/refund/{id}", wire{provider: MTN, op: OpRefund, peek: s.peekPayoutStatus, access: access, handle: s.mtnStatusAnswer})
}

func (s *Simulator) peekPayoutStatus(c *call) {
	c.reference = c.r.PathValue("id")
	c.payment = s.payouts[c.reference]
}

func (s *Simulator) startPayout(p *payment) {
	p.state, p.delivered, p.payout = open, true, &payout{of: p.mtn.Of}
	p.created = s.now()
	p.expires = p.created.Add(s.scaled(promptLife))
	s.payouts[p.id] = p
	s.at(p.expires, func() { s.lapse(p) })
	s.opens(p)
}

// obstacle is why a refund cannot be made now; empty: it can.
func (s *Simulator) obstacle(p *payment) string {
	if p.payout == nil {
		return ""
	}
	if _, published := sandboxRefunds[p.payout.of]; published && s.inSandbox() {
		return ""
	}
	of := s.find(MTN, p.payout.of)
	switch {
	case of == nil:
		return "TRANSACTION_NOT_FOUND"
	case of.state != settled || of.currency != p.currency:
		return notAllowed
	}
	back := sum(refundsOf(s.ledger, p.payout.of), Refunded)
	if back.Add(back, number(p.amount)).Cmp(number(of.amount)) > 0 && !s.opts.MTN.UncappedRefunds {
		return notAllowed
	}
	return ""
}

// enterPayout: only money that moved is in the ledger.
func (s *Simulator) enterPayout(p *payment, event Event) {
	if event != Paid {
		return
	}
	s.ledger = append(s.ledger, LedgerEntry{
		Provider: MTN, Reference: p.payout.of, Session: p.payout.of, Refund: p.reference,
		Amount: p.amount, Currency: p.currency, Event: Refunded, At: s.now().UTC(),
	})
}
