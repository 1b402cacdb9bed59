package simulator

import (
	"net/http"
	"time"
)

// Behaviour is what befalls one request on the wire. The zero value is that of a provider in good health.
type Behaviour struct {
	// Name appears in the journal as the fault of the request.
	Name string `json:"name"`
	// Skip lets that many matching requests pass; Times is how many are befallen after those, 0: all.
	Skip  int `json:"skip"`
	Times int `json:"times"`

	// Unprocessed: the provider answers (or cuts) without doing anything.
	Unprocessed bool `json:"unprocessed"`
	// Late: the connection is cut at once, and the request processed this much later.
	Late time.Duration `json:"-"`
	// Twice: the request arrives twice, as a proxy may do; the second answer is delivered.
	Twice bool `json:"twice"`
	// Delay is how long the answer takes after the processing.
	Delay time.Duration `json:"-"`
	// Dribble is a pause in the middle of the answer's body.
	Dribble time.Duration `json:"-"`
	// Cut: the connection is cut instead of an answer.
	Cut bool `json:"cut"`
	// Truncate: the connection is cut in the middle of the answer's body.
	Truncate bool `json:"truncate"`
	// Status, Header and Body replace those of the answer. A Status alone brings the provider's own body for it.
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   *string     `json:"body"`
	// Set replaces fields of the JSON object that is answered.
	Set map[string]any `json:"set"`
	// Token is what becomes of the access token that the request shows, before it is processed.
	Token TokenFate `json:"-"`
	// Story is that of the payment, or payout, that the request asks for.
	Story *Scenario `json:"-"`
	// Fault names a line of the table of faults, to be used instead of all this
	// but Skip and Times. What it does not fit, it passes by.
	Fault string `json:"fault"`
}

// TokenFate is what becomes of an access token.
type TokenFate string

const (
	TokenExpired TokenFate = "expired"
	TokenRevoked TokenFate = "revoked"
)

func (b Behaviour) idle() bool {
	return !b.Unprocessed && b.Late == 0 && !b.Twice && b.Delay == 0 && b.Dribble == 0 && !b.Cut &&
		!b.Truncate && b.Status == 0 && b.Header == nil && b.Body == nil && b.Set == nil &&
		b.Token == "" && b.Story == nil && b.Fault == ""
}

// LoseAnswer: processed, and the connection cut instead of an answer.
func LoseAnswer() Behaviour { return Behaviour{Name: "answer lost", Cut: true} }

// Drop: the connection cut, nothing processed.
func Drop() Behaviour { return Behaviour{Name: "dropped", Cut: true, Unprocessed: true} }

// Fail: answered with a status, processed or not.
func Fail(status int, processed bool) Behaviour {
	return Behaviour{Name: http.StatusText(status), Status: status, Unprocessed: !processed}
}

// Throttle: 429 with Retry-After as given, not processed.
func Throttle(retryAfter string) Behaviour {
	b := Fail(http.StatusTooManyRequests, false)
	b.Header = http.Header{"Retry-After": {retryAfter}}
	return b
}

// Answer: processed, but answered with another body, as text/html.
func Answer(status int, body string) Behaviour {
	return Behaviour{Name: "foreign body", Status: status, Body: &body,
		Header: http.Header{"Content-Type": {"text/html"}}}
}

func (b Behaviour) once() Behaviour          { b.Times = 1; return b }
func (b Behaviour) times(n int) Behaviour    { b.Times = n; return b }
func (b Behaviour) named(n string) Behaviour { b.Name = n; return b }

func set(k, v string) Behaviour { return Behaviour{Set: map[string]any{k: v}} }

// Match selects requests; an empty field matches all.
type Match struct {
	Provider  Provider `json:"provider,omitempty"`
	Op        Op       `json:"op,omitempty"`
	Method    string   `json:"method,omitempty"`
	Reference string   `json:"reference,omitempty"`
}

func (m Match) matches(c *call) bool {
	return (m.Provider == "" || m.Provider == c.provider) &&
		(m.Op == "" || m.Op == c.op) &&
		(m.Method == "" || m.Method == c.r.Method) &&
		(m.Reference == "" || m.Reference == c.reference)
}

// Rule is a programmed Behaviour. A fault that did not fire proves nothing: ask Fired.
type Rule struct {
	sim       *Simulator
	match     Match
	behaviour Behaviour
	seen      int
	fired     int
}

// Fired tells how many requests the rule has befallen.
func (r *Rule) Fired() int {
	r.sim.mu.Lock()
	defer r.sim.mu.Unlock()
	return r.fired
}

// Script programs what befalls matching requests. The oldest rule that still applies wins. All
// rules win over the magic numbers. It panics if b names a fault that there is not.
func (s *Simulator) Script(m Match, b Behaviour) *Rule {
	if _, known := faultByName()[b.Fault]; b.Fault != "" && !known {
		panic("simulator: there is no fault " + b.Fault)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &Rule{sim: s, match: m, behaviour: b}
	s.rules = append(s.rules, r)
	return r
}

// ClearScripts forgets all rules.
func (s *Simulator) ClearScripts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Request is what a Hook sees.
type Request struct {
	Seq       int
	Provider  Provider
	Op        Op
	Reference string
	// Status that will be answered; AfterProcess only.
	Status int
	// Gone closes when the client has gone or the simulator closes.
	Gone <-chan struct{}
}

// Hook may look at a request, and hold it up for as long as it does not return.
type Hook func(Request)

// BeforeProcess runs h when a request has arrived in full and nothing is processed yet; nil removes it.
func (s *Simulator) BeforeProcess(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = h
}

// AfterProcess runs h when a request is processed and nothing answered yet.
func (s *Simulator) AfterProcess(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.after = h
}

// behaviour finds what befalls a request; the caller holds the lock.
func (s *Simulator) behaviour(c *call) Behaviour {
	for _, r := range s.rules {
		b, fits := r.behaviour.on(c)
		if !fits || !r.match.matches(c) {
			continue
		}
		r.seen++
		if applies(r.behaviour, r.seen) {
			r.fired++
			return b
		}
	}
	b := s.scripted(c)
	if b.idle() {
		return Behaviour{}
	}
	k := Match{c.provider, c.op, c.r.Method, c.reference}
	s.struck[k]++
	if !applies(b, s.struck[k]) {
		return Behaviour{}
	}
	return b
}

// on is the behaviour with its Fault looked up; false if that does not fit.
func (b Behaviour) on(c *call) (Behaviour, bool) {
	if b.Fault == "" {
		return b, true
	}
	return faultByName()[b.Fault].on(c)
}

func applies(b Behaviour, seen int) bool {
	return seen > b.Skip && (b.Times == 0 || seen <= b.Skip+b.Times)
}

// scripted is what the payment's own scenario does to its requests.
func (s *Simulator) scripted(c *call) Behaviour {
	switch {
	case c.opens:
		return s.scenario(c).Create
	case (c.op == OpStatus || c.provider == MTN) && c.payment != nil:
		return c.payment.scenario.Query
	default:
		return Behaviour{}
	}
}
