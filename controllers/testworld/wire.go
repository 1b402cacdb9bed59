package testworld

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing/iotest"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	simulatorHost = "simulator.example"
	// otherHost is the same, for who was told to use it.
	otherHost = "simulator.example:443"
	publicURL = "https://pay.example"
	page      = "<html><body>Request Rejected</body></html>"
	rotated   = "-rotated"
)

// Flight is one call to a provider on its way.
type Flight struct {
	Process *Process
	Op      string
	// Request as it arrived at the provider, with what it asks for.
	Provider  simulator.Provider
	Asks      simulator.Op
	Method    string
	Reference string
	Host      string
	// Point of the run that it is.
	Point int
	// Arrived: the provider has, or will have, the whole of it.
	Arrived bool
	// Started is when the client began.
	Started time.Time
	// Replayable: its body can be sent again by whoever has the request.
	Replayable bool
	// Answer that the process got.
	Status int
	Err    error

	hit hit
}

// calls makes each call a point, and each answer a fact.
type calls struct {
	p     *Process
	inner providers.Transport
}

// Garbled: whatever the status says, there is no answer that can be read.
func (f *Flight) Garbled() bool { return f.hit.kind == Malformed }

// Refuses: the answer is a definite no, and leaves no doubt.
func (f *Flight) Refuses() bool {
	switch f.hit.kind {
	case Rejects, Throttled, Unauthorized, Forbidden, Unsent:
		return true
	default:
		return f.Err == nil && f.Status/100 == 4 && f.Status != http.StatusConflict && f.Status != http.StatusRequestTimeout && f.hit.kind == ""
	}
}

// Denied: somebody let the answer be a no that says for certain that nothing was done.
func (f *Flight) Denied() bool {
	return slices.Contains([]string{Rejects, Throttled, Unauthorized, Forbidden}, f.hit.kind)
}

type flightKey struct{}

func (c *calls) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	p, token := c.p, call.Operation == "token"
	// A token is fetched in a goroutine of its own, which no panic may end.
	if p.dead && token {
		return providers.Answer{}, &providers.Error{Class: providers.ClassNotSent, Operation: call.Operation, Err: errLost}
	}
	p.alive()
	f := &Flight{Process: p, Op: string(call.Operation), Method: call.Method, Started: p.w.clock.Now()}
	f.hit = p.w.arrive(p, Call, "call "+string(call.Operation))
	f.Point = len(p.w.Points)
	switch {
	case p.dead && token:
		return providers.Answer{}, &providers.Error{Class: providers.ClassNotSent, Operation: call.Operation, Err: errLost}
	default:
		p.alive()
	}
	p.w.observer.Calls(f)
	answer, err := c.inner.Do(context.WithValue(ctx, flightKey{}, f), call)
	f.Status, f.Err = answer.Status, err
	switch {
	case !Crashes(f.hit.kind):
	case token:
		p.kill(f.hit.stale)
		return providers.Answer{}, &providers.Error{Class: providers.ClassNotSent, Operation: call.Operation, Err: errLost}
	default:
		p.die(f.hit.stale)
	}
	p.w.logf(p, "call %s %s: %d %v", call.Operation, f.Reference, answer.Status, err)
	p.w.observer.Answered(f)
	return answer, err
}

// network carries requests to the simulator.
type network struct{ w *World }

func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	f := req.Context().Value(flightKey{}).(*Flight)
	f.Host = req.URL.Host
	n.w.observer.Leaves(f)
	f.Replayable = req.Body != nil && req.Body != http.NoBody && req.GetBody != nil
	switch {
	case f.hit.kind == Unsent:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case n.w.clock.Now().Sub(f.Started) > callDeadline:
		return nil, context.DeadlineExceeded // it was paused for too long to begin
	}
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	resp, err := n.carry(f, req)
	if err != nil && f.hit.kind != "" && replayable(req) {
		// What net/http does by itself on a connection that it had used before.
		f.hit.kind = ""
		n.w.logf(f.Process, "net/http sends %s again", f.Op)
		return n.carry(f, req)
	}
	return resp, err
}

// replayable is what net/http takes for permission to send a request again.
func replayable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	_, idempotent := req.Header["Idempotency-Key"]
	_, alsoIdempotent := req.Header["X-Idempotency-Key"]
	return idempotent || alsoIdempotent
}

// carry lets a request arrive, with what befalls it on the way.
func (n *network) carry(f *Flight, req *http.Request) (*http.Response, error) {
	b, befallen := behaviour(f, n.w.opts.Provider)
	if befallen {
		n.w.sim.Script(simulator.Match{}, b)
	}
	resp, err := n.serve(f, req)
	if befallen {
		n.w.sim.ClearScripts()
	}
	switch f.hit.kind {
	case TooSlow, LateArrival, LaterArrival, Dribble:
		n.w.advance(callDeadline)
		if err != nil {
			err = context.DeadlineExceeded
		}
	}
	if b.Late > 0 {
		n.w.Late = append(n.w.Late, Arrival{f, f.Started.Add(b.Late)})
	}
	if n.w.opts.Eager {
		n.w.tick()
	}
	return resp, err
}

// behaviour of the simulator under a fault.
func behaviour(f *Flight, provider string) (simulator.Behaviour, bool) {
	switch f.hit.kind {
	case Dropped:
		return simulator.Drop(), true
	case Lost, TooSlow, CrashUnread:
		return simulator.LoseAnswer(), true
	case LateArrival:
		return simulator.Behaviour{Name: "late", Late: time.Minute}, true
	case LaterArrival:
		return simulator.Behaviour{Name: "later", Late: 110 * time.Second}, true
	case Twice:
		return simulator.Behaviour{Name: "twice", Twice: true}, true
	case TwiceLost:
		return simulator.Behaviour{Name: "twice", Twice: true, Cut: true}, true
	case Error500Done:
		return simulator.Fail(http.StatusInternalServerError, true), true
	case Error500:
		return simulator.Fail(http.StatusInternalServerError, false), true
	case Throttled:
		return simulator.Throttle("7"), true
	case Unauthorized:
		return simulator.Fail(http.StatusUnauthorized, false), true
	case Forbidden:
		return simulator.Fail(http.StatusForbidden, false), true
	case NotFound:
		return simulator.Fail(http.StatusNotFound, false), true
	case Malformed:
		return simulator.Answer(http.StatusOK, page), true
	case Truncated, Dribble:
		return simulator.Behaviour{Name: "truncated", Truncate: true}, true
	case Exists:
		return simulator.Behaviour{Fault: "already-exists"}, true
	case Rejects, RejectsRings:
		return rejection(provider, f.hit.kind == RejectsRings), true
	default:
		return simulator.Behaviour{}, false
	}
}

// rejection is a definite no to a request for money.
func rejection(provider string, rings bool) simulator.Behaviour {
	b := simulator.Fail(http.StatusBadRequest, rings)
	body := `{"code":"request-validation-error","message":"no"}`
	switch provider {
	case "mtn":
		return b
	case "orange":
		b.Status, body = http.StatusForbidden, `{"code":1201,"message":"Forbidden","description":""}`
	}
	b.Body = &body
	return b
}

// Arrival of a request that was cut off and is under way still.
type Arrival struct {
	Flight *Flight
	At     time.Time
}

// serve lets the simulator answer.
func (n *network) serve(f *Flight, req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	r := req.Clone(req.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Length", strconv.Itoa(len(body)))
	r.RequestURI, r.Host = req.URL.RequestURI(), req.URL.Host
	n.w.admit(r)
	before := n.w.flight
	n.w.flight = f
	defer func() { n.w.flight = before }()
	rec := newRecorder()
	if rec.run(n.w.sim, r) {
		return rec.Result(), nil
	}
	if rec.Code == 0 {
		return nil, io.EOF
	}
	return rec.cut(), nil
}

// everywhere is MTN's word for a country in which every currency is taken.
const everywhere = "everywhere"

// admit lets requests for either environment in, and rotated credentials, as a provider does while both are good.
func (w *World) admit(r *http.Request) {
	if r.Header.Get("X-Target-Environment") != "" {
		r.Header.Set("X-Target-Environment", everywhere)
	}
	if !w.rotated {
		return
	}
	if user, key, ok := r.BasicAuth(); ok {
		r.SetBasicAuth(strings.TrimSuffix(user, rotated), strings.TrimSuffix(key, rotated))
		return
	}
	r.Header.Set("Authorization", strings.TrimSuffix(r.Header.Get("Authorization"), rotated))
}

// recorder is what a handler wrote; code 0: nothing.
type recorder struct{ *httptest.ResponseRecorder }

func newRecorder() recorder {
	r := httptest.NewRecorder()
	r.Code = 0
	return recorder{r}
}

// run tells whether the handler came to its end.
func (r recorder) run(h http.Handler, req *http.Request) (whole bool) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
		}
	}()
	h.ServeHTTP(r, req)
	return true
}

// cut is the response whose body breaks off.
func (r recorder) cut() *http.Response {
	response := r.Result()
	response.Body = io.NopCloser(io.MultiReader(response.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	return response
}

// received is told about each request before it is processed.
func (w *World) received(r simulator.Request) {
	f := w.flight
	f.Provider, f.Asks, f.Reference, f.Arrived = r.Provider, r.Op, r.Reference, true
	w.observer.Arrives(f)
}

// postman carries callbacks to a process that is up.
type postman struct{ w *World }

func (m *postman) RoundTrip(req *http.Request) (*http.Response, error) {
	w := m.w
	if w.opts.NoCallbacks {
		return nil, io.EOF
	}
	at := slices.IndexFunc(w.processes, func(p *Process) bool { return !p.dead && !p.busy })
	if at < 0 {
		at = slices.IndexFunc(w.processes, func(p *Process) bool { return !p.dead })
	}
	if at < 0 {
		return nil, syscall.ECONNREFUSED
	}
	p := w.processes[at]
	if !p.busy {
		p.pump()
	}
	r := req.Clone(req.Context())
	r.RequestURI, r.Host = req.URL.RequestURI(), req.URL.Host
	rec := newRecorder()
	whole := rec.run(p.callbacks, r)
	w.logf(p, "callback %s: %d", req.URL.Path, rec.Code)
	if p.dead {
		if !p.busy {
			w.succeed(p)
		}
		return nil, io.EOF
	}
	if !whole {
		return nil, io.EOF
	}
	if rec.Code == http.StatusOK {
		w.observer.Noted(p)
	}
	return rec.Result(), nil
}

// publish adds to the transcript what others may read of an object: all of a status but where nextAction leads.
func (w *World) publish(o client.Object) {
	switch x := o.(type) {
	case *v1alpha1.Payment:
		status := x.Status
		status.NextAction = nil
		w.said.Say(status.Conditions, status.Failure, status.LastCallback, status.TransactionID, status.ProviderReference, status.Account)
	case *v1alpha1.Refund:
		w.said.Say(x.Status)
	case *v1alpha1.MerchantAccount:
		w.said.Say(x.Status)
	}
}

// Leaks are the credentials, tokens, pages and phones in what was said.
func (w *World) Leaks() []canary.Leak {
	// Those of other runs of the worker are looked for, too: most are the same.
	secrets := w.opts.Shared.secrets
	for key, value := range credentials()[w.opts.Provider] {
		secrets.Secret(key, value)
	}
	for _, secret := range w.sim.Secrets() {
		secrets.Secret("a token, a session or its page", secret)
	}
	secrets.Phone("the payer", payer)
	return w.said.Leaks(secrets)
}
