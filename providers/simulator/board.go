package simulator

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// board is what the payers' page shows, copied under the lock.
type board struct {
	Open     []card // the newest first
	Finished []card // who ended last first
	// Unknown counts open sessions whose page no client was told of: nobody can open them.
	Unknown     int
	Sent, Taken int // callbacks, over all payments
}

type card struct {
	ID       string // names it without being a secret
	Provider Provider
	State    state
	Reason   string // provider's word
	Ignored  bool
	Payable  bool

	Merchant, About string
	Amount          string
	Currency        string
	Phone           string // masked
	Left            time.Duration

	// Automatic: the simulated payer acts without a person, as the magic Code says, where there is one.
	Automatic bool
	Code      string

	Page, Back  string // of Orange and Wave
	History     []moment
	Sent, Taken int // callbacks
}

type moment struct {
	After time.Duration // since it was asked for
	What  string        // an Event, or "callback"
	// Status that answered the callback; 0 if none did.
	Status int
}

const recentlyFinished = 12

func (s *Simulator) board() board {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	var b board
	var finished []*payment
	for _, p := range slices.Backward(s.payments) {
		switch {
		case s.over(p) != nil:
			finished = append(finished, p)
		case !p.delivered:
			b.Unknown++
		default:
			b.Open = append(b.Open, s.card(p))
		}
	}
	slices.SortStableFunc(finished, func(x, y *payment) int { return y.finishedAt().Compare(x.finishedAt()) })
	for _, p := range finished[:min(len(finished), recentlyFinished)] {
		b.Finished = append(b.Finished, s.card(p))
	}
	for _, sent := range s.sent {
		b.Sent++
		if sent.Status/100 == 2 {
			b.Taken++
		}
	}
	return b
}

// card is a payment as its payer sees it; the caller holds the lock.
func (s *Simulator) card(p *payment) card {
	c := card{
		ID: p.session(), Provider: p.provider, State: p.state, Reason: p.reason, Ignored: p.ignored,
		Payable:  s.over(p) == nil,
		Merchant: s.opts.Wave.BusinessName, About: p.mtn.PayerMessage,
		Amount: p.amount, Currency: p.currency, Phone: masked(p.phone),
		Left: max(0, p.expires.Sub(s.now())), Page: s.page(p, ""),
	}
	if conduct := p.scenario.Payer; conduct != Waits && conduct != Ignores && !p.ignored {
		c.Automatic = true
		c.Code = magicCode(p.scenario.Name)
	}
	s.fillPage(&c, p)
	s.fillHistory(&c, p)
	return c
}

// finishedAt is when a finished payment ended; Orange does not say when a session lapsed.
func (p *payment) finishedAt() time.Time {
	return cmp.Or(p.ended, p.expires)
}

// magicCode is what a scenario's name begins with, where that is a number.
func magicCode(name string) string {
	code, _, _ := strings.Cut(name, " ")
	if _, ok := magicByCode()[code]; ok {
		return code
	}
	return ""
}

// fillPage adds who asks, and where the payer goes afterwards.
func (s *Simulator) fillPage(c *card, p *payment) {
	switch p.provider {
	case Orange:
		c.Merchant = cmp.Or(p.orange.merchant, c.Merchant)
		if c.Back = p.orange.cancelURL; p.state == settled {
			c.Back = p.orange.returnURL
		}
	case Wave:
		if c.Back = or(p.wave.ErrorURL); p.state == settled {
			c.Back = or(p.wave.SuccessURL)
		}
	default:
	}
}

func (s *Simulator) fillHistory(c *card, p *payment) {
	for _, e := range s.ledger {
		refund := e.Refund != "" && e.Event == Refunded && e.Reference == p.reference
		if e.Provider == p.provider && (refund || e.Session == c.ID) {
			c.History = append(c.History, moment{After: e.At.Sub(p.created), What: string(e.Event)})
		}
	}
	for _, sent := range s.sent {
		if sent.Provider != p.provider || sent.Reference != p.reference || sent.At.Before(p.created) {
			continue
		}
		c.Sent++
		if sent.Status/100 == 2 {
			c.Taken++
		}
		c.History = append(c.History, moment{After: sent.At.Sub(p.created), What: "callback", Status: sent.Status})
	}
	slices.SortStableFunc(c.History, func(x, y moment) int { return cmp.Compare(x.After, y.After) })
}

// masked leaves so much of a phone number that its owner knows it again.
func masked(phone string) string {
	const shown = 4
	switch {
	case phone == "":
		return ""
	case len(phone) < 2*shown:
		return "••••"
	}
	return "•••• " + phone[len(phone)-shown:]
}

// Ignore lets the payer do nothing: the session runs into its end, whatever
// its scenario had in mind. A person may still change it.
func (s *Simulator) Ignore(ref string) error {
	return s.act(ref, func(p *payment) error {
		if err := s.over(p); err != nil {
			return err
		}
		p.ignored = true
		return nil
	})
}
