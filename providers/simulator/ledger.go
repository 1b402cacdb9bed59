package simulator

import (
	"math/big"
	"slices"
	"time"
)

// Event is what happened to a session.
type Event string

const (
	Opened   Event = "opened"
	Paid     Event = "paid"
	Refused  Event = "refused"
	Expired  Event = "expired"
	Refunded Event = "refunded"
)

// LedgerEntry is one fact about money, in the order in which they happened.
type LedgerEntry struct {
	Provider  Provider  `json:"provider"`
	Reference string    `json:"reference"`
	Session   string    `json:"session"`
	Amount    string    `json:"amount"`
	Currency  string    `json:"currency"`
	Event     Event     `json:"event"`
	At        time.Time `json:"at"`
	// Refund is the reference of the refund itself (MTN); Reference is that of
	// the payment, and Amount what was given back of it.
	Refund string `json:"refund,omitempty"`
}

// CountEvents counts the entries of an event for a reference.
func CountEvents(entries []LedgerEntry, reference string, event Event) int {
	n := 0
	for _, e := range entries {
		if e.Reference == reference && e.Event == event {
			n++
		}
	}
	return n
}

// Ledger returns all entries so far.
func (s *Simulator) Ledger() []LedgerEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	return slices.Clone(s.ledger)
}

// Charges counts the paid sessions of a reference: 2 is a double charge.
func (s *Simulator) Charges(reference string) int {
	return CountEvents(s.Ledger(), reference, Paid)
}

// Opened counts the sessions that a reference opened.
func (s *Simulator) Opened(reference string) int {
	return CountEvents(s.Ledger(), reference, Opened)
}

// Refunds returns what was given back of the payments with a reference.
func (s *Simulator) Refunds(reference string) []LedgerEntry {
	return refundsOf(s.Ledger(), reference)
}

func refundsOf(entries []LedgerEntry, reference string) (refunds []LedgerEntry) {
	for _, e := range entries {
		if e.Reference == reference && e.Event == Refunded {
			refunds = append(refunds, e)
		}
	}
	return refunds
}

// RefundedAmount is the sum of what was given back of the payments with a
// reference: a plain decimal, "0" if nothing was.
func (s *Simulator) RefundedAmount(reference string) string {
	return written(sum(s.Refunds(reference), Refunded))
}

// sum adds the amounts of the entries of an event up, exactly.
func sum(entries []LedgerEntry, event Event) *big.Rat {
	total := new(big.Rat)
	for _, e := range entries {
		if e.Event == event {
			total.Add(total, number(e.Amount))
		}
	}
	return total
}

func number(amount string) *big.Rat {
	n, ok := new(big.Rat).SetString(amount)
	if !ok {
		panic("simulator: no amount")
	}
	return n
}

func written(n *big.Rat) string { return normal(n.FloatString(2)) }

// Payers returns the phones that rang for a reference, as they were sent: digits without + (MTN).
func (s *Simulator) Payers(reference string) (phones []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.byRef[name{MTN, reference}] {
		phones = append(phones, p.phone)
	}
	return phones
}

func (s *Simulator) enter(p *payment, event Event) {
	if p.payout != nil {
		s.enterPayout(p, event)
		return
	}
	s.ledger = append(s.ledger, LedgerEntry{
		Provider: p.provider, Reference: p.reference, Session: p.session(),
		Amount: p.amount, Currency: p.currency, Event: event, At: s.now().UTC(),
	})
}

// Entry is one request as the provider saw it. It holds no secrets.
type Entry struct {
	Seq       int       `json:"seq"`
	At        time.Time `json:"at"`
	Provider  Provider  `json:"provider"`
	Op        Op        `json:"op"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Reference string    `json:"reference,omitempty"`
	// Fault names the behaviour that befell it.
	Fault string `json:"fault,omitempty"`
	// Processed tells whether the provider acted on it.
	Processed bool `json:"processed"`
	// Done is false while it is in flight.
	Done bool `json:"done"`
	// Status that was answered; 0 if the connection was cut.
	Status int `json:"status"`
	// Delivered: the answer went out in full to a client that was there.
	Delivered bool `json:"delivered"`
}

// Journal returns every request so far, in the order of their arrival.
func (s *Simulator) Journal() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.journal)
}

// Count counts the requests for op at a provider; empty counts at all.
func (s *Simulator) Count(p Provider, op Op) int {
	n := 0
	for _, e := range s.Journal() {
		if (p == "" || e.Provider == p) && e.Op == op {
			n++
		}
	}
	return n
}

// received opens the entry of a request; the caller holds the lock.
func (s *Simulator) received(c *call) {
	c.seq = len(s.journal)
	s.journal = append(s.journal, Entry{
		Seq: c.seq, At: s.now().UTC(), Provider: c.provider, Op: c.op,
		Method: c.r.Method, Path: mask(c.r.URL.Path), Reference: c.reference,
	})
}

// note changes the entry of a request.
func (s *Simulator) note(c *call, change func(*Entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.journal[c.seq])
}
