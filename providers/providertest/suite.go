package providertest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"runtime/debug"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// T is what the suite needs of a test; *testing.T is one.
type T interface {
	rapid.TB
	Cleanup(func())
	Context() context.Context
}

// rule that a provider must keep.
type rule struct {
	// name of its subtest.
	name string
	// says what must hold.
	says string

	applies func(profile) bool
	check   func(T, *world)
}

// rules of the core, and of the traits and optional interfaces that a provider may have.
func rules() []rule {
	var all []rule
	for _, some := range [][]rule{
		accountRules(), paymentRules(), answerRules(), moneyRules(), callbackRules(), refundRules(),
	} {
		all = append(all, some...)
	}
	return all
}

// Run checks every rule that applies to the provider, each in a subtest with its name and with a provider of its own.
func Run(t *testing.T, factory Factory) {
	t.Helper()
	profile := newWorld(t, factory).profile()
	for _, rule := range rules() {
		if rule.applies != nil && !rule.applies(profile) {
			continue
		}
		t.Run(rule.name, func(t *testing.T) {
			t.Log(rule.says)
			w := newWorld(t, factory)
			rule.check(t, w)
			w.noLeaks(t)
		})
	}
}

// property checks one, unless the test has failed already, which rapid cannot bear.
func property(t T, check func(*rapid.T)) {
	t.Helper()
	if !t.Failed() {
		rapid.Check(t, check)
	}
}

// wantClass fails the test unless an error is of one of the classes; none is "".
func wantClass(t rapid.TB, what string, err error, classes ...providers.Class) {
	t.Helper()
	got := providers.Class("")
	if err != nil {
		got = providers.ClassOf(err)
	}
	if !slices.Contains(classes, got) {
		t.Errorf("%s: %v, want %q", what, err, classes)
	}
}

// profile of a provider: what of the optional parts it has.
type profile struct {
	traits providers.Traits
	facts  Facts

	preparer, searcher, canceller, refunder, refundPreparer, checker bool
}

func (p profile) callbacks() bool { return p.facts.Callbacks != nil }

func (w *world) profile() profile {
	p := profile{traits: w.facts.Kind.Traits, facts: w.facts}
	_, p.preparer = w.client.(providers.Preparer)
	_, p.searcher = w.client.(providers.Searcher)
	_, p.canceller = w.client.(providers.Canceller)
	_, p.refunder = w.client.(providers.Refunder)
	_, p.refundPreparer = w.client.(providers.RefundPreparer)
	_, p.checker = w.client.(providers.AccountChecker)
	return p
}

// world is a provider, a client of it, and the wire between the two.
type world struct {
	Fixture
	t      T
	facts  Facts
	wire   *wire
	client providers.Provider
	make   Factory
	n      uint64
	// token is an answer with an access token, if there are any.
	token providers.Answer
	// shown is every text that might get into a log, and of what type it is.
	shown map[string]string
	// told are the secrets that the provider gave out.
	told []string
}

func newWorld(t T, factory Factory) *world {
	t.Helper()
	fixture := factory(t)
	w := &world{Fixture: fixture, t: t, facts: fixture.Facts(), make: factory, shown: map[string]string{}}
	w.wire = &wire{next: fixture.Transport(), role: w.facts.Role}
	w.client = w.clientOf(t, w.facts.Account)
	return w
}

func (w *world) clientOf(t rapid.TB, a providers.Account) providers.Provider {
	t.Helper()
	client, err := w.facts.Kind.New(a, w.wire, w.Now)
	if err != nil {
		t.Fatalf("a client of a good account: %v", err)
	}
	return client
}

func (w *world) fresh() *world { return newWorld(w.t, w.make) }

func (w *world) digest() [32]byte {
	w.n++
	return sha256.Sum256(binary.BigEndian.AppendUint64([]byte("providertest"), w.n))
}

// money is an amount as the provider is sent it.
func (w *world) money(t rapid.TB, amount string) providers.Money {
	t.Helper()
	m, err := w.facts.Kind.WireMoney(w.facts.Account, providers.Money{Amount: amount, Currency: w.facts.Request.Money.Currency})
	if err != nil {
		t.Fatalf("%s %s: %v", amount, w.facts.Request.Money.Currency, err)
	}
	return m
}

// request for money under a reference that was never used.
func (w *world) request(t rapid.TB) providers.InitiateRequest {
	t.Helper()
	req := w.facts.Request
	req.Reference = w.facts.Kind.Reference(w.digest())
	req.Money = w.money(t, req.Money.Amount)
	return req
}

func (w *world) initiate(req providers.InitiateRequest) (providers.Initiation, error) {
	in, err := ask(w, OpInitiate, func(ctx context.Context) (providers.Initiation, error) { return w.client.Initiate(ctx, req) })
	w.remember(in.Session, in.NotificationToken)
	return in, err
}

// open a session that nothing befalls.
func (w *world) open(t rapid.TB) Payment {
	t.Helper()
	return w.openFor(t, w.request(t))
}

func (w *world) openFor(t rapid.TB, req providers.InitiateRequest) Payment {
	t.Helper()
	w.warm(t)
	in, err := w.initiate(req)
	if err != nil {
		t.Fatalf("Initiate: %v", err)
	}
	return Payment{Request: req, Initiation: in}
}

// warm gets the access tokens, so that the next call is what it is about.
func (w *world) warm(t rapid.TB) {
	t.Helper()
	if p, ok := w.client.(providers.Preparer); ok {
		if err := w.call(OpPrepare, p.Prepare); err != nil {
			t.Fatalf("Prepare: %v", err)
		}
	}
	if p, ok := w.client.(providers.RefundPreparer); ok {
		if err := w.call(OpPrepareRefund, p.PrepareRefund); err != nil {
			t.Fatalf("PrepareRefund: %v", err)
		}
	}
}

// paid is a session that the payer has paid.
func (w *world) paid(t rapid.TB) Payment {
	t.Helper()
	p := w.open(t)
	w.pay(t, p)
	return p
}

func (w *world) pay(t rapid.TB, p Payment) {
	t.Helper()
	if err := w.Pay(p.Handle()); err != nil {
		t.Fatalf("the payer cannot pay: %v", err)
	}
}

func (w *world) status(h providers.Handle) (providers.Status, error) {
	return ask(w, OpStatus, func(ctx context.Context) (providers.Status, error) { return w.client.Status(ctx, h) })
}

// mustStatus asks where nothing is in the way.
func (w *world) mustStatus(t rapid.TB, h providers.Handle) providers.Status {
	t.Helper()
	s, err := w.status(h)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	return s
}

func (w *world) search(reference string) ([]providers.Session, error) {
	found, err := ask(w, OpSearch, func(ctx context.Context) ([]providers.Session, error) {
		return w.client.(providers.Searcher).Search(ctx, reference)
	})
	for _, s := range found {
		w.remember(s, "")
	}
	return found, err
}

func (w *world) cancel(h providers.Handle) error {
	return w.call(OpCancel, func(ctx context.Context) error { return w.client.(providers.Canceller).Cancel(ctx, h) })
}

func (w *world) refund(req providers.RefundRequest) error {
	return w.call(OpRefund, func(ctx context.Context) error { return w.client.(providers.Refunder).Refund(ctx, req) })
}

func (w *world) refundStatus(h providers.RefundHandle) (providers.Status, error) {
	return ask(w, OpRefundStatus, func(ctx context.Context) (providers.Status, error) {
		return w.client.(providers.Refunder).RefundStatus(ctx, h)
	})
}

// refundOf asks for a part of a payment, under a reference that was never used.
func (w *world) refundOf(t rapid.TB, p Payment, amount string) providers.RefundRequest {
	t.Helper()
	req := providers.RefundRequest{RefundHandle: providers.RefundHandle{Money: w.money(t, amount), Payment: p.Handle()}}
	if derive := w.facts.Kind.RefundReference; derive != nil {
		req.Reference = derive(w.digest())
	}
	return req
}

// call keeps what went wrong, and turns a panic into a failed test.
func (w *world) call(op Op, do func(context.Context) error) error {
	return w.callIn(w.t.Context(), op, do)
}

// ask is call for what has an answer.
func ask[T any](w *world, op Op, do func(context.Context) (T, error)) (out T, err error) {
	err = w.call(op, func(ctx context.Context) (err error) {
		out, err = do(ctx)
		return err
	})
	return out, err
}

func (w *world) callIn(ctx context.Context, op Op, do func(context.Context) error) (err error) {
	w.t.Helper()
	defer func() {
		if r := recover(); r != nil {
			w.t.Errorf("%s panics: %v\n%s", op, r, debug.Stack())
			err = &providers.Error{Detail: "panic"}
		}
	}()
	err = do(ctx)
	w.showError(err)
	return err
}

// remember the secrets that the provider gave out.
func (w *world) remember(s providers.Session, notification providers.Secret) {
	for _, secret := range []providers.Secret{s.Token, s.PaymentURL, notification} {
		if secret != "" {
			w.told = append(w.told, secret.Reveal())
		}
	}
}
