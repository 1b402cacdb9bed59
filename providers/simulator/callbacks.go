package simulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type delivery struct {
	provider  Provider
	reference string
	event     string
	url       string
	header    http.Header
	body      []byte
	// sign adds what authenticates it, by the clock of the sending.
	sign func(h http.Header, now time.Time, body []byte)
	// retries are the pauses before the next tries, if it is not taken.
	retries []time.Duration
}

// Sent is one try to deliver a callback.
type Sent struct {
	Provider  Provider  `json:"provider"`
	Reference string    `json:"reference"`
	Event     string    `json:"event"`
	At        time.Time `json:"at"`
	// Status that the receiver answered, 0 if none.
	Status int    `json:"status"`
	Error  string `json:"error,omitempty"`
}

// Callbacks returns every try so far to deliver a callback.
func (s *Simulator) Callbacks() []Sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

const callbackTimeout = 5 * time.Second

// callbackClient follows no redirect and uses no proxy.
func callbackClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = &http.Transport{}
	}
	return &http.Client{
		Timeout:       callbackTimeout,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// report calls back about the state of a payment, as its scenario has it.
func (s *Simulator) report(p *payment) {
	all := s.callbacksOf(p)
	if p.scenario.Callback == CallbackReordered {
		s.reorder(p, all)
		return
	}
	for _, d := range all {
		switch p.scenario.Callback {
		case CallbackLost:
		case CallbackLate:
			s.later(lateTime, func() { s.post(d) })
		case CallbackDoubled:
			s.post(d)
			s.post(d)
		default:
			s.post(d)
		}
	}
}

// reorder holds callbacks back until the next ones are on their way.
func (s *Simulator) reorder(p *payment, all []delivery) {
	if p.held == nil {
		p.held = all
		return
	}
	for _, d := range all {
		s.post(d)
	}
	for _, d := range p.held {
		s.later(time.Second, func() { s.post(d) })
	}
	p.held = nil
}

func (s *Simulator) callbacksOf(p *payment) []delivery {
	switch p.provider {
	case MTN:
		return s.mtnCallbacks(p)
	case Orange:
		return s.orangeCallbacks(p)
	default:
		return s.waveCallbacks(p)
	}
}

// forge sends what an attacker would, who knows all but the secrets.
func (s *Simulator) forge(p *payment) {
	liar := *p
	liar.state, liar.txn, liar.ended = settled, s.transactionID(p.provider), s.now()
	liar.orange.notifToken = s.text(alphanumeric, 32)
	for _, d := range s.callbacksOf(&liar) {
		if d.sign != nil {
			d.sign = signWith(s.text(alphanumeric, 40))
		}
		d.event += " (forged)"
		d.retries = nil
		s.post(d)
	}
}

// Announce calls back about every session of a reference, with what authenticates
// it: how it stands, or that it was paid, whether it was or not.
func (s *Simulator) Announce(reference string, paid bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	for _, p := range s.payments {
		if p.reference != reference || p.payout != nil {
			continue
		}
		said := *p
		if paid {
			said.state, said.txn, said.ended = settled, s.transactionID(p.provider), s.now()
		}
		for _, d := range s.callbacksOf(&said) {
			s.post(d)
		}
	}
}

// post puts a callback into the outbox; the caller holds the lock.
func (s *Simulator) post(d delivery) {
	if d.url == "" {
		return
	}
	s.outbox = append(s.outbox, d)
	s.wake()
}

// send makes one try, and plans the next if the callback was not taken.
func (s *Simulator) send(d delivery) {
	at := s.opts.Now()
	status, err := s.try(d, at)
	s.mu.Lock()
	defer s.mu.Unlock()
	sent := Sent{Provider: d.provider, Reference: d.reference, Event: d.event, At: at.UTC(), Status: status}
	if err != nil {
		sent.Error = err.Error()
	}
	s.sent = append(s.sent, sent)
	if status/100 != 2 && len(d.retries) > 0 {
		pause := d.retries[0]
		d.retries = d.retries[1:]
		s.later(pause, func() { s.post(d) })
	}
}

func (s *Simulator) try(d delivery, now time.Time) (int, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil {
		return 0, err
	}
	req.Header = d.header.Clone()
	if d.sign != nil {
		d.sign(req.Header, now, d.body)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// WaveSignature is the Wave-Signature header of a body: the HMAC-SHA256 of timestamp and raw body
// with nothing between, keyed with the whole secret as text; one v1 per secret.
func WaveSignature(t time.Time, body []byte, secrets ...string) string {
	stamp := strconv.FormatInt(t.Unix(), 10)
	parts := []string{"t=" + stamp}
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(stamp))
		mac.Write(body)
		parts = append(parts, "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(parts, ",")
}

func signWith(secrets ...string) func(http.Header, time.Time, []byte) {
	return func(h http.Header, now time.Time, body []byte) {
		h.Set("Wave-Signature", WaveSignature(now, body, secrets...))
	}
}
