package simulator

import (
	"math/big"
	"strings"
)

// payout makes of a payment one that the merchant makes: a refund or a transfer
// (Disbursement product).
type payout struct {
	op Op
	of string // referenceIdToRefund
}

// payoutRoutes: there is no v2_0/transfer, and both are asked about at v1_0.
func (s *Simulator) payoutRoutes(handle func(string, wire)) {
	const base = "/mtn/" + disbursement + "/"
	access := s.mtnAccess(disbursement)
	for op, version := range map[Op]string{OpRefund: "v2_0", OpTransfer: "v1_0"} {
		handle("POST "+base+version+"/"+string(op), wire{provider: MTN, op: op, peek: peekMTN, access: access, handle: s.takeMTN})
		handle("GET "+base+"v1_0/"+string(op)+"/{id}",
			wire{provider: MTN, op: op, peek: s.peekPayoutStatus, access: access, handle: s.mtnStatusAnswer})
	}
}

func (s *Simulator) peekPayoutStatus(c *call) {
	c.reference = c.r.PathValue("id")
	if p := s.payouts[c.reference]; p != nil && p.payout.op == c.op {
		c.payment = p
	}
}

func (s *Simulator) startPayout(p *payment, op Op) {
	switch {
	case op == OpRefund:
		p.mtn.Payee = mtnParty{"PARTY_CODE", "1"} // never the phone
	case p.mtn.Payee.unknown():
		p.scenario = Scenario{Name: "no such number", Payer: Fails, After: promptDelay, Reason: "PAYEE_NOT_FOUND"}
	}
	p.state, p.delivered, p.payout = open, true, &payout{op: op, of: p.mtn.Of}
	p.created = s.now()
	p.expires = p.created.Add(s.scaled(promptLife))
	s.payouts[p.id] = p
	s.at(p.expires, func() { s.lapse(p) })
	s.opens(p)
}

// obstacle is why a refund cannot be made now; empty: it can.
func (s *Simulator) obstacle(p *payment) string {
	if p.payout == nil || p.payout.op != OpRefund {
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
	e := LedgerEntry{
		Provider: MTN, Reference: p.reference, Session: p.id,
		Amount: p.amount, Currency: p.currency, Event: Transferred, At: s.now().UTC(),
	}
	if p.payout.op == OpRefund {
		e.Event, e.Reference, e.Session, e.Refund = Refunded, p.payout.of, p.payout.of, p.reference
	}
	s.ledger = append(s.ledger, e)
}

func (s *Simulator) accountRoutes(handle func(string, wire), product string) {
	base := "GET /mtn/" + product + "/v1_0/"
	access := s.mtnAccess(product)
	handle(base+"account/balance", wire{provider: MTN, op: OpBalance, access: access, handle: s.balance})
	handle(base+"accountholder/{type}/{id}/active", wire{provider: MTN, op: OpAccountHolder, access: access, handle: s.accountHolder})
}

// balance of a merchant who began with a million, whatever the product.
func (s *Simulator) balance(*call) answer {
	total := big.NewRat(1_000_000, 1)
	for _, e := range s.ledger {
		switch {
		case e.Provider != MTN:
		case e.Event == Paid:
			total.Add(total, number(e.Amount))
		case e.Event == Refunded, e.Event == Transferred:
			total.Sub(total, number(e.Amount))
		}
	}
	return asJSON(200, map[string]string{
		"availableBalance": written(total), "currency": mtnCurrencies[s.opts.MTN.TargetEnvironment],
	})
}

// accountHolder is active in the sandbox, whoever it is.
func (s *Simulator) accountHolder(c *call) answer {
	if !(mtnParty{strings.ToUpper(c.r.PathValue("type")), c.r.PathValue("id")}).wellFormed() {
		return empty(400)
	}
	active := s.inSandbox() || msisdn.MatchString(c.r.PathValue("id"))
	return asJSON(200, map[string]bool{"result": active})
}
