package simulator

import (
	"slices"
	"time"
)

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
