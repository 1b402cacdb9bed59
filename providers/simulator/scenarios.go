package simulator

import (
	"strings"
	"sync"
	"time"
)

// Conduct is what a payer does.
type Conduct string

const (
	// Waits: nothing happens until a person acts, by page, admin or Pay.
	Waits Conduct = ""
	// Pays after a while.
	Pays Conduct = "pays"
	// Fails after a while, with the scenario's reason. A Wave session stays open after it.
	Fails Conduct = "fails"
	// FailsThenPays: at Wave the payer tries again and pays; elsewhere Fails.
	FailsThenPays Conduct = "fails-then-pays"
	// PaysLate: the payer confirms when the session is over.
	PaysLate Conduct = "pays-late"
	// Ignores: never decided, and an MTN prompt never runs out.
	Ignores Conduct = "ignores"
	// Confirms: the payer confirms, and that is never decided either.
	Confirms Conduct = "confirms"
)

// CallbackPlan is what becomes of the callbacks of a payment.
type CallbackPlan string

const (
	CallbackSent    CallbackPlan = ""
	CallbackLost    CallbackPlan = "lost"
	CallbackDoubled CallbackPlan = "doubled"
	CallbackLate    CallbackPlan = "late"
	// CallbackReordered: each callback that another follows comes after that.
	CallbackReordered CallbackPlan = "reordered"
	// CallbackForged: somebody else claims, without the right signature or token, that the payment succeeded.
	CallbackForged CallbackPlan = "forged"
)

// Scenario is the story of one payment.
type Scenario struct {
	Name  string
	Payer Conduct
	// After is when the payer acts: after an MTN prompt, or after the payment page was opened.
	After time.Duration
	// Reason is the provider's word for why it fails or runs out.
	Reason string
	// Create befalls the requests that open the payment, Query those for its status. Both count per reference.
	Create, Query Behaviour
	// HiddenFor: the status query does not find the payment for so long.
	HiddenFor time.Duration
	// ShownAfter: the status query shows the end so much later than it happened (and than the callback told it).
	ShownAfter time.Duration
	// Delayed: MTN calls the undecided payment CREATED instead of PENDING.
	Delayed bool
	// SettlesAfter: so long after the provider said that it failed, the payment turns out to be paid.
	SettlesAfter time.Duration
	Callback     CallbackPlan
	// RefusedWith: MTN answers the creation with 500 and this code.
	RefusedWith string
	// ReasonObject: MTN sends the reason as {code,message}.
	ReasonObject bool
}

const (
	promptDelay = 5 * time.Second  // a payer finds the phone
	pageDelay   = 25 * time.Second // a payer types number and OTP
	someTime    = 30 * time.Second
	slowTime    = 40 * time.Second
	lateTime    = 60 * time.Second
	longTime    = 10 * time.Minute
)

func payerDelay(p Provider) time.Duration {
	if p == MTN {
		return promptDelay
	}
	return pageDelay
}

func paid(p Provider) Scenario { return Scenario{Payer: Pays, After: payerDelay(p)} }

// usual is how the payer acts where a scenario is about the wire: an MTN payer has the prompt whatever became of the
// answer; at the others nobody can pay a URL that was never delivered, so a person has to.
func usual(p Provider) Scenario {
	if p == MTN {
		return paid(p)
	}
	return Scenario{}
}

func with(change func(*Scenario)) func(Provider) Scenario {
	return func(p Provider) Scenario {
		sc := paid(p)
		change(&sc)
		return sc
	}
}

func failing(mtn, wave string) func(Provider) Scenario {
	return func(p Provider) Scenario {
		sc := paid(p)
		sc.Payer = Fails
		sc.Reason = map[Provider]string{MTN: mtn, Wave: wave}[p]
		return sc
	}
}

// SetDefault changes what happens to payments of a provider without a magic number.
func (s *Simulator) SetDefault(p Provider, sc Scenario) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults[p] = sc
}

// scenario finds the story of the payment that a request asks for.
func (s *Simulator) scenario(c *call) Scenario {
	if c.story != nil {
		return *c.story
	}
	if !s.opts.NoMagic {
		whole, _, _ := strings.Cut(c.amount, ".")
		for _, number := range []string{whole, c.phone} {
			if sc, ok := magic(c.provider, number); ok {
				return sc
			}
		}
		if sc, ok := s.published(c); ok {
			return sc
		}
	}
	if c.op != OpInitiate {
		return paid(MTN) // a payout that nothing stands in the way of
	}
	return s.defaults[c.provider]
}

// magicByCode is a table that is made once and read only.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var magicByCode = sync.OnceValue(func() map[string]Magic {
	byCode := map[string]Magic{}
	for _, m := range MagicTable() {
		byCode[m.Code] = m
	}
	return byCode
})

func magic(p Provider, number string) (Scenario, bool) {
	m, ok := magicByCode()[number[max(0, len(number)-3):]]
	if !ok {
		return Scenario{}, false
	}
	sc := m.Scenario(p)
	sc.Name = m.Code + " " + m.Name
	return sc, true
}
