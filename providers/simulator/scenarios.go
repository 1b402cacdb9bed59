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
	// Fails after a while, with the scenario's reason. A Wave session stays
	// open after it.
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
	// CallbackForged: somebody else claims, without the right signature or
	// token, that the payment succeeded.
	CallbackForged CallbackPlan = "forged"
)

// Scenario is the story of one payment.
type Scenario struct {
	Name  string
	Payer Conduct
	// After is when the payer acts: after an MTN prompt, or after the payment
	// page was opened.
	After time.Duration
	// Reason is the provider's word for why it fails or runs out.
	Reason string
	// Create befalls the requests that open the payment, Query those for its
	// status. Both count per reference.
	Create, Query Behaviour
	// HiddenFor: the status query does not find the payment for so long.
	HiddenFor time.Duration
	// ShownAfter: the status query shows the end so much later than it
	// happened (and than the callback told it).
	ShownAfter time.Duration
	// Delayed: MTN calls the undecided payment CREATED instead of PENDING.
	Delayed bool
	// SettlesAfter: so long after the provider said that it failed, the
	// payment turns out to be paid.
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
	lateTime    = 60 * time.Second
)

func payerDelay(p Provider) time.Duration {
	if p == MTN {
		return promptDelay
	}
	return pageDelay
}

func paid(p Provider) Scenario { return Scenario{Payer: Pays, After: payerDelay(p)} }

// usual is how the payer acts where a scenario is about the wire: an MTN
// payer has the prompt whatever became of the answer; at the others nobody
// can pay a URL that was never delivered, so a person has to.
func usual(p Provider) Scenario {
	if p == MTN {
		return paid(p)
	}
	return Scenario{}
}

func creating(b Behaviour) func(Provider) Scenario {
	return func(p Provider) Scenario {
		sc := usual(p)
		sc.Create = b
		return sc
	}
}

func querying(b func(Provider) Behaviour) func(Provider) Scenario {
	return func(p Provider) Scenario {
		sc := paid(p)
		sc.Query = b(p)
		return sc
	}
}

func same(b Behaviour) func(Provider) Behaviour {
	return func(Provider) Behaviour { return b }
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

// Magic is one line of the table of magic numbers.
type Magic struct {
	// Code is what amount or phone end in.
	Code string
	Name string
	// Scenario tells the story for one provider.
	Scenario func(Provider) Scenario
}

const html = "<html><body>Request Rejected</body></html>"

// MagicTable lists the magic numbers: the last three digits of the amount's
// whole part, or, if those are not magic, of the payer's phone.
func MagicTable() []Magic {
	return []Magic{
		{"901", "paid at once", with(func(sc *Scenario) { sc.After = 0 })},
		{"902", "paid after 25 s", with(func(sc *Scenario) { sc.After = 25 * time.Second })},
		{"903", "refused by the payer", failing(approvalRejected, paymentFailure)},
		{"904", "not enough funds", failing(notEnoughFunds, insufficientFunds)},
		{"906", "payer too late", with(func(sc *Scenario) { sc.Payer, sc.Reason = PaysLate, "EXPIRED" })},
		{"907", "stuck: the payer never acts", with(func(sc *Scenario) { sc.Payer = Ignores })},
		{"908", "stuck after the payer confirmed", with(func(sc *Scenario) { sc.Payer = Confirms })},
		{"909", "waits for a person", func(Provider) Scenario { return Scenario{} }},
		{"911", "not enough funds, paid at the second try (Wave)", func(p Provider) Scenario {
			sc := failing(notEnoughFunds, insufficientFunds)(p)
			sc.Payer = FailsThenPays
			return sc
		}},
		{"912", "reported failed, paid 60 s later (not Wave)", func(p Provider) Scenario {
			sc := failing("INTERNAL_PROCESSING_ERROR", paymentFailure)(p)
			sc.SettlesAfter = lateTime
			return sc
		}},

		{"921", "creation: processed, answer lost, once", creating(LoseAnswer().once())},
		{"922", "creation: dropped unprocessed, once", creating(Drop().once())},
		{"923", "creation: 500, processed, once", creating(Fail(500, true).once())},
		{"924", "creation: 500, not processed, once", creating(Fail(500, false).once())},
		{"926", "creation: 503, not processed, once", creating(Fail(503, false).once())},
		{"927", "creation: 429 with Retry-After 7, once", creating(Throttle("7").once())},
		{"928", "creation: answer takes 40 s, once", creating(Behaviour{Name: "slow", Delay: 40 * time.Second}.once())},
		{"929", "creation: 409 (MTN), 403/1204 (Orange) though first, processed", func(p Provider) Scenario {
			return creating(alreadyExists(p).once())(p)
		}},
		{"931", "creation: HTML instead of the 2xx body, processed, once", creating(Answer(200, html).once())},
		{"932", "creation: body truncated, processed, once", creating(Behaviour{Name: "truncated", Truncate: true}.once())},
		{"933", "creation: 2xx with an empty body, processed, once", creating(Answer(200, "").named("empty").once())},
		{"934", "creation: connection cut, processed 60 s later, once", creating(Behaviour{Name: "late", Late: lateTime}.once())},
		{"936", "creation: arrives twice, once", creating(Behaviour{Name: "twice", Twice: true}.once())},

		{"941", "status: not found for 30 s", with(func(sc *Scenario) { sc.HiddenFor = someTime })},
		{"942", "status: unknown word", querying(unknownWord)},
		{"943", "status: other amount (Orange: other order id) in the answer", querying(otherAmount)},
		{"944", "status: other currency in the answer (not Orange)", querying(otherCurrency)},
		{"946", "status: HTML with 200, three times", querying(same(Answer(200, html).times(3)))},
		{"947", "status: body truncated, three times", querying(same(Behaviour{Name: "truncated", Truncate: true}.times(3)))},
		{"948", "status: 500, three times", querying(same(Fail(500, true).times(3)))},
		{"949", "status: 429 with Retry-After 7, three times", querying(same(Throttle("7").times(3)))},
		{"951", "refused, reason as an object (MTN)", func(p Provider) Scenario {
			sc := failing(approvalRejected, paymentFailure)(p)
			sc.ReasonObject = true
			return sc
		}},

		{"961", "paid, callback lost", with(func(sc *Scenario) { sc.Callback = CallbackLost })},
		{"962", "paid, callback doubled", with(func(sc *Scenario) { sc.Callback = CallbackDoubled })},
		{"963", "paid, callback 30 s ahead of the status query", with(func(sc *Scenario) { sc.ShownAfter = someTime })},
		{"964", "never paid, callback forged", with(func(sc *Scenario) { sc.Payer, sc.Callback = Ignores, CallbackForged })},
		{"966", "paid, callback 60 s late", with(func(sc *Scenario) { sc.Callback = CallbackLate })},
	}
}

func alreadyExists(p Provider) Behaviour {
	switch p {
	case MTN:
		return Fail(409, true).named("already exists")
	case Orange:
		body := string(orangeError(403, 1204).body)
		return Behaviour{Name: "already exists", Status: 403, Body: &body}
	default:
		return Behaviour{} // Wave does not know repeated references
	}
}

func unknownWord(p Provider) Behaviour {
	field := "status"
	if p == Wave {
		field = "checkout_status"
	}
	return Behaviour{Name: "unknown word"}.set(field, "ON_HOLD")
}

func otherAmount(p Provider) Behaviour {
	if p == Orange {
		return Behaviour{Name: "other order"}.set("order_id", "another-order")
	}
	return Behaviour{Name: "other amount"}.set("amount", "1")
}

func otherCurrency(p Provider) Behaviour {
	if p == Orange {
		return Behaviour{}
	}
	return Behaviour{Name: "other currency"}.set("currency", "USD")
}

func defaultScenarios() map[Provider]Scenario {
	return map[Provider]Scenario{MTN: usual(MTN), Orange: usual(Orange), Wave: usual(Wave)}
}

// SetDefault changes what happens to payments of a provider without a magic
// number.
func (s *Simulator) SetDefault(p Provider, sc Scenario) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.defaults[p] = sc
}

// SetScenario chooses the story of the payments with a reference that are
// opened from now on.
func (s *Simulator) SetScenario(reference string, sc Scenario) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chosen[reference] = sc
}

// scenario finds the story of the payment that a request asks for.
func (s *Simulator) scenario(c *call) Scenario {
	if sc, ok := s.chosen[c.reference]; ok {
		return sc
	}
	if !s.opts.NoMagic {
		whole, _, _ := strings.Cut(c.amount, ".")
		for _, number := range []string{whole, c.phone} {
			if sc, ok := magic(c.provider, number); ok {
				return sc
			}
		}
		if sc, ok := s.sandboxScenario(c.phone); ok && c.provider == MTN {
			return sc
		}
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
