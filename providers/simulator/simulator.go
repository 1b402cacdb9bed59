// Package simulator plays Orange Money WebPay, MTN MoMo and Wave Checkout on their own wires,
// together with the payers. It shares no code with the clients: its ledger judges them.
package simulator

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// Provider names one of the three wires.
type Provider string

const (
	MTN    Provider = "mtn"
	Orange Provider = "orange"
	Wave   Provider = "wave"
)

// Op is what a request asks for.
type Op string

const (
	OpToken    Op = "token"
	OpInitiate Op = "initiate"
	OpStatus   Op = "status"
	OpSearch   Op = "search"
	OpExpire   Op = "expire"
	// OpRefund asks to give money back, and (MTN) how that went.
	OpRefund    Op = "refund"
	OpProvision Op = "provision"
	OpPage      Op = "page"
	OpOther     Op = "other"
)

// Options configure a Simulator; the zero value is a working sandbox.
type Options struct {
	// Listen is the address that Start listens on; "127.0.0.1:0" if empty.
	Listen string
	// Listener is used by Start instead of Listen, for in-memory networks.
	Listener net.Listener
	// PublicURL is how payers and clients reach the simulator, where it is not the address that Start listens on.
	PublicURL string

	// Now makes the clock manual: nothing happens by itself, Tick does what is due. The default is the real clock.
	Now func() time.Time
	// Speed makes simulated durations shorter: 60 turns 25 s into 25/60 s. The life of access tokens is not scaled.
	Speed float64
	// Rand is where ids and tokens come from; crypto/rand if nil.
	Rand io.Reader

	// CallbackTransport carries callbacks; nil: the network.
	CallbackTransport http.RoundTripper
	// NoMagic switches off the magic phones and amounts.
	NoMagic bool
	// PayerOpens lets scenarios of the redirect providers begin only when the payer opens the
	// payment page (by GET or Open), not as soon as the answer with its URL was delivered. For
	// tests in which an operator dies with the answer in its hands.
	PayerOpens bool

	MTN    MTNOptions
	Orange OrangeOptions
	Wave   WaveOptions
}

// Simulator is an http.Handler that is all three providers.
type Simulator struct {
	opts   Options
	mux    *http.ServeMux
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	owned  sync.WaitGroup
	client *http.Client
	manual bool
	kick   chan struct{}

	server *http.Server
	served chan error

	mu       sync.Mutex // guards everything below
	url      string
	closed   bool
	random   io.Reader
	agenda   []job     // in the order of their times
	moment   time.Time // of the running job
	outbox   []delivery
	ledger   []LedgerEntry // only grows
	journal  []Entry
	sent     []Sent
	payments []*payment
	byID     map[name]*payment
	byRef    map[name][]*payment
	keys     map[Provider][]Keys
	tokens   map[string]token
	issued   []string // names of all tokens there ever were
	rules    []*Rule
	struck   map[Match]int // how often its story befell a payment's requests
	defaults map[Provider]Scenario
	before   Hook
	after    Hook
	users    map[string]mtnUser
	payouts  map[string]*payment
}

// New makes a simulator; Close it.
func New(opts Options) (*Simulator, error) {
	s := &Simulator{
		opts:     opts.withDefaults(),
		manual:   opts.Now != nil,
		kick:     make(chan struct{}, 1),
		url:      opts.PublicURL,
		byID:     map[name]*payment{},
		byRef:    map[name][]*payment{},
		tokens:   map[string]token{},
		struck:   map[Match]int{},
		defaults: map[Provider]Scenario{MTN: usual(MTN), Orange: usual(Orange), Wave: usual(Wave)},
		users:    map[string]mtnUser{},
		payouts:  map[string]*payment{},
	}
	s.random, s.keys = s.opts.Rand, s.opts.keys()
	s.client = callbackClient(s.opts.CallbackTransport)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.mux = s.routes()
	if !s.manual {
		s.owned.Go(s.run)
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	o.Listen = cmp.Or(o.Listen, "127.0.0.1:0")
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Speed <= 0 {
		o.Speed = 1
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	o.MTN.TargetEnvironment = cmp.Or(o.MTN.TargetEnvironment, "sandbox")
	o.Orange.TokenLife = cmp.Or(o.Orange.TokenLife, time.Hour)
	o.Wave = o.Wave.withDefaults()
	return o
}

// Start serves until Close and returns the base URL.
func (s *Simulator) Start() (string, error) {
	l := s.opts.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", s.opts.Listen); err != nil {
			return "", err
		}
	}
	if s.opts.PublicURL == "" {
		s.SetURL("http://" + l.Addr().String())
	}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.served = make(chan error, 1)
	s.owned.Go(func() { s.served <- s.server.Serve(l) })
	return s.URL(), nil
}

// Close stops every goroutine of the simulator. Requests in flight are cut.
func (s *Simulator) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()

	s.cancel()
	var err error
	if s.server != nil {
		err = s.stopServing()
	}
	s.owned.Wait()
	s.client.CloseIdleConnections()
	return err
}

func (s *Simulator) stopServing() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// SetURL sets the base URL that the simulator publishes, where it is used as a handler.
func (s *Simulator) SetURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url = url
}

// URL is the base URL: of the pages, of /admin and of all three wires.
func (s *Simulator) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url
}

// MTNURL is the base URL for MTN clients.
func (s *Simulator) MTNURL() string { return s.URL() + "/mtn" }

// OrangeURL is the base URL for Orange clients of one environment: dev, ci, sn…
func (s *Simulator) OrangeURL(env string) string {
	return s.URL() + "/orange/orange-money-webpay/" + env + "/v1"
}

// OrangeTokenURL is where Orange clients get their access tokens.
func (s *Simulator) OrangeTokenURL() string { return s.URL() + "/orange/oauth/v3/token" }

// WaveURL is the base URL for Wave clients.
func (s *Simulator) WaveURL() string { return s.URL() + "/wave" }

// Seeded is a reproducible source for Options.Rand.
func Seeded(seed uint64) io.Reader {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	return mathrand.NewChaCha8(key)
}

const (
	alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	digits       = "0123456789"
)

// text draws n letters; the caller holds the lock.
func (s *Simulator) text(letters string, n int) string {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.random, b); err != nil {
		panic("simulator: source of randomness failed: " + err.Error())
	}
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
