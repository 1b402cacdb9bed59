package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type call struct {
	seq      int
	provider Provider
	op       Op
	r        *http.Request
	body     []byte
	base     string // public URL

	// What the request is about, as far as it can be told before any check.
	reference string
	amount    string
	phone     string
	of        string // what a refund refunds
	opens     bool   // asks for a payment, or a payout, to begin
	story     *Scenario
	payment   *payment
}

// answer is what a provider says.
type answer struct {
	status int
	kind   string
	header http.Header
	body   []byte
	// shows are the sessions whose URL the answer carries.
	shows []*payment
}

func empty(status int) answer { return answer{status: status} }

func asHTML(status int, body string) answer {
	return answer{status: status, kind: "text/html", body: []byte(body)}
}

func asJSON(status int, v any, shows ...*payment) answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic("simulator: answer is no JSON: " + err.Error())
	}
	return answer{status: status, kind: "application/json", body: body, shows: shows}
}

// wire is one endpoint: peek reads what a request is about, access refuses who may
// not ask, handle does it. All run under the lock.
type wire struct {
	provider Provider
	op       Op
	peek     func(*call)
	access   func(*call) (refused answer, ok bool) // nil: all may
	handle   func(*call) answer
}

func (e wire) answer(c *call) answer {
	if e.access != nil {
		if refused, ok := e.access(c); !ok {
			return refused
		}
	}
	return e.handle(c)
}

const bodyLimit = 1 << 20

// ServeHTTP answers as all three providers. Cut connections are panics with
// http.ErrAbortHandler, as net/http defines them.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.URL.Path, "//") { // the mux would redirect
		s.serve(w, r, wire{provider: ofPath(r.URL.Path), op: OpOther, handle: func(*call) answer { return empty(http.StatusBadRequest) }})
		return
	}
	s.mux.ServeHTTP(w, r)
}

func mask(path string) string {
	if strings.HasPrefix(path, "/orange/pay/") {
		return "/orange/pay/…"
	}
	return path
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	handle := func(pattern string, e wire) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, e) })
	}
	s.mtnRoutes(handle)
	s.orangeRoutes(handle)
	s.waveRoutes(handle)
	s.pageRoutes(mux, handle)
	s.adminRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		p := ofPath(r.URL.Path)
		s.serve(w, r, wire{provider: p, op: OpOther, handle: func(*call) answer { return s.failure(p, 404) }})
	})
	return mux
}

func ofPath(path string) Provider {
	for _, p := range []Provider{MTN, Orange, Wave} {
		if strings.HasPrefix(path, "/"+string(p)+"/") {
			return p
		}
	}
	return ""
}

// serve is the way of every request: arrive, be journaled, be processed, be answered; with a fault at any of these.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, e wire) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		panic(http.ErrAbortHandler) // half a request is none
	}
	c, b := s.arrive(&call{provider: e.provider, op: e.op, r: r, body: body}, e)
	s.hook(c, 0)
	a := s.process(c, e, b)
	s.hook(c, a.status)
	s.reply(w, c, a, b)
}

func (s *Simulator) arrive(c *call, e wire) (*call, Behaviour) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	c.base = s.url
	if c.base == "" {
		c.base = "http://" + c.r.Host
	}
	if e.peek != nil {
		e.peek(c)
	}
	s.received(c)
	b := s.behaviour(c)
	s.journal[c.seq].Fault = b.Name
	c.story = b.Story
	return c, b
}

// hook calls BeforeProcess (status 0) or AfterProcess.
func (s *Simulator) hook(c *call, status int) {
	s.mu.Lock()
	h := s.before
	if status != 0 {
		h = s.after
	}
	s.mu.Unlock()
	if h == nil {
		return
	}
	gone, stop := s.gone(c)
	defer stop()
	h(Request{Seq: c.seq, Provider: c.provider, Op: c.op, Reference: c.reference, Status: status, Gone: gone})
}

func (s *Simulator) process(c *call, e wire, b Behaviour) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	a := answer{status: http.StatusOK}
	s.spoil(c, b.Token)
	switch {
	case b.Late > 0:
		s.later(b.Late, func() {
			s.journal[c.seq].Processed = true
			e.answer(c)
		})
	case !b.Unprocessed:
		s.journal[c.seq].Processed = true
		a = e.answer(c)
		if b.Twice {
			a = e.answer(c)
		}
	}
	return s.altered(c, a, b)
}

// spoil ends the life of the access token that a request shows.
func (s *Simulator) spoil(c *call, fate TokenFate) {
	name, _ := bearer(c.r)
	t, known := s.tokens[name]
	switch {
	case !known:
	case fate == TokenExpired:
		t.expires = s.now()
		s.tokens[name] = t
	case fate == TokenRevoked:
		delete(s.tokens, name)
	}
}

// altered puts the behaviour's words in place of the provider's.
func (s *Simulator) altered(c *call, a answer, b Behaviour) answer {
	if b.Status != 0 && b.Body == nil {
		a = s.failure(c.provider, b.Status)
	}
	if b.Status != 0 {
		a.status = b.Status
	}
	if b.Body != nil {
		a.body, a.shows = []byte(*b.Body), nil
	}
	if b.Set != nil && a.status/100 == 2 {
		a.body = override(a.body, b.Set)
	}
	if b.Header != nil {
		a.header = b.Header
	}
	return a
}

func override(body []byte, set map[string]any) []byte {
	fields := map[string]any{}
	if json.Unmarshal(body, &fields) != nil {
		return body
	}
	for k, v := range set {
		fields[k] = v
	}
	return asJSON(0, fields).body
}

// reply delivers the answer, or what the behaviour leaves of it. Delivery is noted before the last byte leaves, so that
// a client that has the answer never finds the simulator behind it, and taken back if the byte got stuck.
func (s *Simulator) reply(w http.ResponseWriter, c *call, a answer, b Behaviour) {
	if b.Late > 0 || b.Cut || b.Truncate && len(a.body) == 0 || !s.pause(c, b.Delay) {
		s.cut(c)
	}
	s.headers(w, a)
	half := 0
	if b.Truncate || b.Dribble > 0 {
		half = len(a.body) / 2
		_, _ = w.Write(a.body[:half])
		_ = flush(w)
	}
	if b.Truncate || !s.pause(c, b.Dribble) || c.r.Context().Err() != nil {
		s.cut(c)
	}
	fresh := s.answered(c, a)
	_, err := w.Write(a.body[half:])
	if flushed := flush(w); err != nil || flushed != nil {
		s.unanswered(c, fresh)
	}
}

func (s *Simulator) headers(w http.ResponseWriter, a answer) {
	h := w.Header()
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	for name, values := range a.header {
		h[name] = values
	}
	w.WriteHeader(a.status)
}

func flush(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }

// answered notes the end of a request. The sessions that the answer shows
// are known to the client from here on; it returns the new ones.
func (s *Simulator) answered(c *call, a answer) (fresh []*payment) {
	s.note(c, func(e *Entry) {
		e.Done, e.Status, e.Delivered = true, a.status, true
		for _, p := range a.shows {
			if !p.delivered {
				fresh = append(fresh, p)
				s.deliver(p)
			}
		}
	})
	return fresh
}

func (s *Simulator) unanswered(c *call, fresh []*payment) {
	s.note(c, func(e *Entry) {
		e.Delivered = false
		for _, p := range fresh {
			p.delivered, p.opened = false, false
		}
	})
}

func (s *Simulator) cut(c *call) {
	s.note(c, func(e *Entry) { e.Done = true })
	panic(http.ErrAbortHandler)
}

// pause holds an answer back; false if the client did not wait for it.
func (s *Simulator) pause(c *call, d time.Duration) bool {
	if d == 0 {
		return true
	}
	gone, stop := s.gone(c)
	defer stop()
	select {
	case <-s.wait(d):
		return true
	case <-gone:
		return false
	}
}

func (s *Simulator) failure(p Provider, status int) answer {
	switch p {
	case MTN:
		return mtnFailure(status)
	case Orange:
		return orangeFailure(status)
	case Wave:
		return waveFailure(status)
	default:
		return asJSON(status, map[string]string{"message": http.StatusText(status)})
	}
}

// decode reads a JSON object with its numbers as they were written.
func decode(body []byte, into any, strict bool) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value")
	}
	return nil
}

func bearer(r *http.Request) (string, bool) {
	return strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// gone closes when the client has gone or the simulator closes.
func (s *Simulator) gone(c *call) (<-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(c.r.Context())
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx.Done(), func() { stop(); cancel() }
}
