package simulator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// state of a payment, whatever its provider calls it.
type state string

const (
	open       state = "open"
	confirming state = "confirming" // the payer has confirmed, nothing moved yet
	settled    state = "paid"
	failed     state = "failed"
	expired    state = "expired"
	lapsed     state = "lapsed" // can no longer be paid, though the provider does not say so (Orange)
)

// payment is one session: an MTN prompt, an Orange token, a Wave session.
type payment struct {
	provider  Provider
	reference string
	id        string // X-Reference-Id, pay_token, cos-…
	amount    string
	currency  string
	phone     string
	scenario  Scenario

	state     state
	reason    string // provider's word; at Wave of the last failed try
	created   time.Time
	expires   time.Time
	ended     time.Time
	refunded  time.Time
	delivered bool // an answer with its URL reached the client
	opened    bool // the payer has the page, or the prompt
	playing   bool
	ignored   bool // by a person: its scenario's payer does nothing any more
	txn       string

	// seen is what the status query shows until showAt.
	seen   view
	showAt time.Time

	// held are callbacks that wait for the next ones to go first.
	held []delivery

	payout *payout // nil: the payer pays
	mtn    mtnRequest
	orange orangeRequest
	wave   waveRequest
}

// view is the part of a payment that a status query tells.
type view struct {
	state  state
	reason string
	txn    string
	ended  time.Time
}

func (p *payment) now() view { return view{p.state, p.reason, p.txn, p.ended} }

// shown is what a query made at t is told.
func (p *payment) shown(t time.Time) view {
	if t.Before(p.showAt) {
		return p.seen
	}
	return p.now()
}

func (p *payment) hidden(t time.Time, speed float64) bool {
	return t.Before(p.created.Add(time.Duration(float64(p.scenario.HiddenFor) / speed)))
}

// session names the payment in ledger and snapshots without being a secret.
func (p *payment) session() string {
	if p.provider == Orange {
		return "orange-" + p.id[:12]
	}
	return p.id
}

// Session is a snapshot of a payment.
type Session struct {
	Provider  Provider  `json:"provider"`
	Reference string    `json:"reference"`
	ID        string    `json:"id"`
	Amount    string    `json:"amount"`
	Currency  string    `json:"currency"`
	State     string    `json:"state"` // open, confirming, paid, failed, expired, lapsed
	Reason    string    `json:"reason,omitempty"`
	Scenario  string    `json:"scenario,omitempty"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	// Delivered: an answer that carries its URL has reached the client (MTN: always, the prompt goes to the payer).
	Delivered bool `json:"delivered"`
	// Seen: the payer has opened the page, or got the prompt.
	Seen bool `json:"seen"`
	// URL of the payment page.
	URL string `json:"-"`
}

// Sessions returns a snapshot of all payments, oldest first.
func (s *Simulator) Sessions() []Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	sessions := make([]Session, 0, len(s.payments))
	for _, p := range s.payments {
		sessions = append(sessions, Session{
			Provider: p.provider, Reference: p.reference, ID: p.session(),
			Amount: p.amount, Currency: p.currency, State: string(p.state), Reason: p.reason,
			Scenario: p.scenario.Name, Created: p.created, Expires: p.expires,
			Delivered: p.delivered, Seen: p.opened, URL: s.page(p, s.url),
		})
	}
	return sessions
}

type name struct {
	provider Provider
	text     string
}

// find a payment by its id; the caller holds the lock.
func (s *Simulator) find(provider Provider, id string) *payment {
	return s.byID[name{provider, id}]
}

func (s *Simulator) byReference(provider Provider, reference string) *payment {
	if all := s.byRef[name{provider, reference}]; len(all) > 0 {
		return all[0]
	}
	return nil
}

// add opens a payment; the caller holds the lock.
func (s *Simulator) add(p *payment, life time.Duration) {
	p.state = open
	p.created = s.now()
	p.expires = p.created.Add(s.scaled(life))
	s.payments = append(s.payments, p)
	s.byID[name{p.provider, p.id}] = p
	ref := name{p.provider, p.reference}
	s.byRef[ref] = append(s.byRef[ref], p)
	s.enter(p, Opened)
	s.at(p.expires, func() { s.lapse(p) })
	if p.provider == MTN {
		p.delivered = true
		s.opens(p)
	}
}

// deliver notes that the client has got the payer's URL.
func (s *Simulator) deliver(p *payment) {
	p.delivered = true
	if !s.opts.PayerOpens {
		s.opens(p)
	}
}

// opens: the payer has the prompt or the page, and the scenario begins.
func (s *Simulator) opens(p *payment) {
	p.opened = true
	if p.playing {
		return
	}
	p.playing = true
	if p.scenario.Callback == CallbackForged {
		s.later(promptDelay, func() { s.forge(p) })
	}
	s.play(p)
}

func (s *Simulator) play(p *payment) {
	sc := p.scenario
	pay := func() error { return s.pay(p) }
	fail := func() error { return s.fail(p, sc.Reason) }
	confirm := func() error { return s.confirm(p) }
	switch sc.Payer {
	case Pays:
		if sc.After > 0 {
			s.payer(p, sc.After*4/5, confirm)
		}
		s.payer(p, sc.After, pay)
	case Fails:
		s.payer(p, sc.After, fail)
	case FailsThenPays:
		s.payer(p, sc.After, fail)
		s.payer(p, sc.After*2, pay)
	case PaysLate:
		s.at(p.expires, func() { s.payer(p, 0, pay) })
	case Confirms:
		s.payer(p, sc.After, confirm)
	default: // waits for a person, or for ever
	}
}

// payer acts after a while, or now if there is nothing to wait for; but only one who has the page
// or the prompt. To find the session over is bad luck, no error.
func (s *Simulator) payer(p *payment, after time.Duration, act func() error) {
	do := func() {
		if p.opened && !p.ignored {
			_ = act()
		}
	}
	if after == 0 {
		do()
		return
	}
	s.later(after, do)
}

// ErrOver says that a session can no longer be paid or refused.
var ErrOver = errors.New("the session is over")

func (s *Simulator) over(p *payment) error {
	if p.state != open && p.state != confirming {
		return fmt.Errorf("%w: %s", ErrOver, p.state)
	}
	return nil
}

func (s *Simulator) confirm(p *payment) error {
	if err := s.over(p); err != nil {
		return err
	}
	p.state = confirming
	return nil
}

// pay moves the payer's money, if the session is still alive.
func (s *Simulator) pay(p *payment) error {
	if p.provider == Orange && p.state == lapsed {
		s.end(p, expired, "") // Orange says EXPIRED only to who confirms too late
		return ErrOver
	}
	if reason := s.obstacle(p); reason != "" {
		return s.fail(p, reason)
	}
	if err := s.confirm(p); err != nil {
		return err
	}
	s.move(p)
	return nil
}

func (s *Simulator) move(p *payment) {
	s.end(p, settled, "")
	p.txn = s.transactionID(p.provider)
	s.enter(p, Paid)
	s.report(p)
}

// fail is a try that did not succeed: the end at MTN and Orange, while a Wave session stays open.
func (s *Simulator) fail(p *payment, reason string) error {
	if err := s.confirm(p); err != nil {
		return err
	}
	reason = cmp.Or(reason, map[Provider]string{MTN: approvalRejected, Wave: paymentFailure}[p.provider])
	if p.provider == Wave {
		p.state, p.reason = open, reason
	} else {
		s.end(p, failed, reason)
	}
	s.enter(p, Refused)
	s.report(p)
	if d := p.scenario.SettlesAfter; d > 0 && p.provider != Wave {
		s.later(d, func() {
			if s.obstacle(p) == "" {
				s.move(p)
			}
		})
	}
	return nil
}

// lapse ends the life of a session that nobody paid.
func (s *Simulator) lapse(p *payment) {
	if s.over(p) != nil {
		return
	}
	switch p.provider {
	case MTN:
		if p.scenario.Payer == Ignores || p.scenario.Payer == Confirms {
			return // the stuck ones
		}
		if p.payout != nil && p.scenario.Payer != PaysLate {
			return // nobody is asked to approve it
		}
		s.end(p, expired, cmp.Or(p.scenario.Reason, couldNotPerform))
		s.enter(p, Expired)
		s.report(p)
	case Orange:
		if p.state == open {
			p.state = lapsed
			s.enter(p, Expired)
		}
	case Wave:
		s.end(p, expired, p.reason)
		s.enter(p, Expired)
	}
}

// end changes the state; the status query may show it later.
func (s *Simulator) end(p *payment, to state, reason string) {
	now := s.now()
	before := p.now()
	p.state, p.reason, p.ended = to, reason, now
	if p.scenario.ShownAfter > 0 {
		p.seen = before
		p.showAt = now.Add(s.scaled(p.scenario.ShownAfter))
	}
}

func (s *Simulator) transactionID(p Provider) string {
	switch p {
	case MTN:
		return s.text(digits, 10)
	case Orange:
		return "MP" + s.now().UTC().Format("060102.1504") + ".A" + s.text(digits, 5)
	default:
		return "T" + strings.ToUpper(s.text(alphanumeric, 10))
	}
}

// Pay lets the payer pay. ref is a reference, a session id or a payment URL. By reference it must
// be clear which session is meant, and its URL must have been delivered: payers do not guess URLs.
func (s *Simulator) Pay(ref string) error {
	return s.act(ref, s.pay)
}

// Refuse lets the payer refuse, or fail to pay at Wave.
func (s *Simulator) Refuse(ref string) error {
	return s.act(ref, func(p *payment) error { return s.fail(p, "") })
}

// Open lets the payer open the payment page, and the scenario begin.
func (s *Simulator) Open(ref string) error {
	return s.act(ref, func(*payment) error { return nil })
}

// Approve pays every open MTN prompt and returns how many there were.
func (s *Simulator) Approve() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	n := 0
	for _, p := range s.payments {
		if p.provider == MTN && s.pay(p) == nil {
			n++
		}
	}
	return n
}

func (s *Simulator) act(ref string, do func(*payment) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	p, err := s.payable(ref)
	if err != nil {
		return err
	}
	s.opens(p)
	return do(p)
}

// payable finds the one session that a payer may mean.
func (s *Simulator) payable(ref string) (*payment, error) {
	if p := s.payouts[ref]; p != nil {
		return p, nil
	}
	var known, delivered []*payment
	for _, p := range s.payments {
		if ref == p.session() || ref == p.id || p.provider != MTN && strings.HasSuffix(ref, s.page(p, "")) {
			return p, nil
		}
		if ref == p.reference {
			known = append(known, p)
			if p.delivered {
				delivered = append(delivered, p)
			}
		}
	}
	switch {
	case len(known) == 0:
		return nil, fmt.Errorf("no session of %q", ref)
	case len(delivered) == 0:
		return nil, fmt.Errorf("nobody was told the URL of %q", ref)
	case len(delivered) > 1:
		return nil, fmt.Errorf("%q has %d sessions: name one by id or URL", ref, len(delivered))
	}
	return delivered[0], nil
}

func (s *Simulator) issue(name string, t token) {
	s.tokens[name] = t
	s.issued = append(s.issued, name)
}

// Secrets are all that the providers ever told a client and that is to be kept quiet: access
// tokens, what names a session, and payment pages. By it tests look for leaks.
func (s *Simulator) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets := slices.Clone(s.issued)
	for _, p := range s.payments {
		switch p.provider {
		case Orange:
			secrets = append(secrets, p.id, p.orange.notifToken, s.page(p, ""))
		case Wave:
			secrets = append(secrets, p.id, s.page(p, ""))
		case MTN: // a reference of the client's own
		}
	}
	return secrets
}

// ExpireTokens makes all access tokens expired, as in the middle of a flight.
func (s *Simulator) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, t := range s.tokens {
		t.expires = s.now()
		s.tokens[name] = t
	}
}

// RevokeTokens makes all access tokens unknown.
func (s *Simulator) RevokeTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

type token struct {
	audience string
	user     string
	expires  time.Time
}
