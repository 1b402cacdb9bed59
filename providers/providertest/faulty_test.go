package providertest_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/providertest"
)

// planted is a provider with a fault: the name of the rule that it breaks, or one of further.
// Without one it is sound.
type planted struct {
	providertest.Fixture
	fault string
}

func (f planted) Facts() providertest.Facts {
	facts := f.Fixture.Facts()
	facts.Kind = faultyKind(facts.Kind, f.fault)
	return facts
}

func faultyKind(k providers.Kind, fault string) providers.Kind {
	sound, believed := k, &atomic.Bool{}
	if k.Callbacks != nil {
		k.Callbacks = &parser{sound: sound.Callbacks, fault: fault, believed: believed}
	}
	short := func(derive func([32]byte) string) func([32]byte) string {
		return func(d [32]byte) string { return derive([32]byte{d[0]}) }
	}
	switch fault {
	case "references":
		k.Reference = short(sound.Reference)
	case "refund-references":
		k.RefundReference = short(sound.RefundReference)
	case "amounts":
		k.WireMoney = func(_ providers.Account, m providers.Money) (providers.Money, error) { return m, nil }
	}
	k.New = func(a providers.Account, t providers.Transport, now func() time.Time) (providers.Provider, error) {
		if fault == "account" {
			made := map[string]providers.Secret{}
			for _, key := range slices.Concat(k.CredentialKeys, k.RefundCredentialKeys) {
				made[key] = cmp.Or(a.Credentials[key], "made-up")
			}
			a.Credentials = made
		}
		c := &client{fault: fault, send: t, now: now, believed: believed}
		var err error
		if c.sound, err = sound.New(a, c, now); err != nil {
			return nil, err
		}
		return c.as(), nil
	}
	return k
}

// client passes everything on to a sound client, and to the provider what that sends, but for
// its fault.
type client struct {
	fault    string
	sound    providers.Provider
	send     providers.Transport
	now      func() time.Time
	believed *atomic.Bool

	first    atomic.Value // payer
	request  atomic.Value // the last one for money
	answer   atomic.Value // the last one
	opened   sync.Map     // references
	requests atomic.Int64
}

// as has the optional interfaces that the sound client has.
func (c *client) as() providers.Provider {
	switch c.sound.(type) {
	case providers.Searcher:
		return struct {
			providers.Provider
			providers.Searcher
			providers.Canceller
			providers.AccountChecker
			providers.Refunder
		}{c, c, c, c, c}
	case providers.RefundPreparer:
		return struct {
			providers.Provider
			providers.Preparer
			providers.RefundPreparer
			providers.AccountChecker
			providers.Refunder
		}{c, c, c, c, c}
	default:
		return struct {
			providers.Provider
			providers.Preparer
			providers.AccountChecker
		}{c, c, c}
	}
}

func (c *client) breaks(rule string) bool { return c.fault == rule }

var reference = regexp.MustCompile(`"client_reference":"[^"]*"`)

// Do is the sound client's way to the provider.
func (c *client) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	if c.breaks("context") {
		ctx = context.WithoutCancel(ctx)
	}
	if c.breaks("requests") {
		call.Header = call.Header.Clone()
		call.Header.Set("Idempotency-Key", "1")
	}
	a, err := c.send.Do(ctx, call)
	twice := c.breaks("initiate-once") && call.Operation == providers.OpInitiate || c.breaks("refund-once") && call.Operation == providers.OpRefund
	switch {
	case twice && a.Status == 503:
		return c.send.Do(ctx, call)
	case c.breaks("lost-answers") && err != nil && call.Operation == providers.OpInitiate:
		return a, wire.Refuse(call.Operation, providers.ClassRejected, "it did not work")
	case c.breaks("tokens") && a.Status == 401:
		a.Status = 403
	case c.breaks("random-answers") && a.Status >= 400 && len(a.Body) == 0:
		panic("no body")
	case c.breaks("search-reference") && call.Operation == providers.OpSearch:
		_, asked, _ := strings.Cut(call.URL, "client_reference=")
		text, _ := url.QueryUnescape(asked)
		a.Body = reference.ReplaceAll(a.Body, []byte(`"client_reference":"`+text+`"`))
	}
	c.answer.Store(a)
	return a, err
}

func (c *client) wrong(err error) error {
	if err == nil {
		return nil
	}
	e := *providers.AsError(err)
	switch c.fault {
	case "random-answers operation":
		e.Operation = ""
	case "refusals":
		e.Code = ""
	case "throttled":
		e.RetryAfter = 0
	case "redaction":
		if a, ok := c.answer.Load().(providers.Answer); ok {
			e.Detail = string(a.Body)
		}
	case "random-answers code":
		if e.HTTPStatus == 409 {
			e.Class = providers.ClassRejected
		}
	case "random-answers server":
		if e.HTTPStatus >= 500 {
			e.Class = providers.ClassRejected
		}
	case "wrong-credentials":
		if e.Class == providers.ClassMisconfigured {
			e.Class = providers.ClassUnknown
		}
	case "garbage":
		if e.HTTPStatus/100 == 2 {
			return nil
		}
	}
	return &e
}

func (c *client) Traits() providers.Traits {
	t := c.sound.Traits()
	if c.breaks("traits") {
		t.MaxURL++
	}
	return t
}

func (c *client) Prepare(ctx context.Context) error {
	return c.wrong(c.sound.(providers.Preparer).Prepare(ctx))
}

func (c *client) PrepareRefund(ctx context.Context) error {
	err := c.sound.(providers.RefundPreparer).PrepareRefund(ctx)
	if c.breaks("refund-credentials") {
		return nil
	}
	return c.wrong(err)
}

func (c *client) CheckAccount(ctx context.Context, check providers.AccountCheck) error {
	err := c.sound.(providers.AccountChecker).CheckAccount(ctx, check)
	if c.breaks("check-account") {
		return nil
	}
	return c.wrong(err)
}

func (c *client) Initiate(ctx context.Context, req providers.InitiateRequest) (providers.Initiation, error) {
	c.request.Store(req)
	c.first.CompareAndSwap(nil, req.Payer)
	sent := req
	if first, ok := c.first.Load().(providers.Phone); ok && c.breaks("payer-phone") {
		sent.Payer = first
	}
	if c.breaks("recover-by-reference") {
		sent.Reference = req.Reference[:len(req.Reference)-4] + fmt.Sprintf("%04x", c.requests.Add(1))
	}
	if f, err := strconv.ParseFloat(req.Money.Amount, 32); err == nil && c.breaks("amount-exact") {
		sent.Money.Amount = strconv.FormatFloat(f, 'f', 0, 32)
	}
	in, err := c.sound.Initiate(ctx, sent)
	switch last, _ := c.request.Load().(providers.InitiateRequest); {
	case c.breaks("concurrency") && last.Reference != req.Reference:
		return in, wire.Refuse(providers.OpInitiate, providers.ClassUnknown, "not the current payment")
	case c.breaks("recover-by-repeat") && providers.ClassOf(err) == providers.ClassAlreadyExists:
		return in, wire.Refuse(providers.OpInitiate, providers.ClassUnknown, "no idea")
	case c.breaks("expires-at"):
		in.ExpiresAt = c.now().Add(-time.Hour)
	case c.breaks("expires-at too late"):
		in.ExpiresAt = c.now().Add(24 * time.Hour)
	}
	c.opened.Store(req.Reference, true)
	return in, c.wrong(err)
}

// recall finds what a client that keeps state knows of a payment.
func (c *client) recall(fault string, h providers.Handle) error {
	if _, ok := c.opened.Load(h.Reference); !ok && c.breaks(fault) {
		return wire.Refuse(providers.OpStatus, providers.ClassUnknown, "a payment that this process did not open")
	}
	return nil
}

func (c *client) Status(ctx context.Context, h providers.Handle) (providers.Status, error) {
	if err := c.recall("stateless", h); err != nil {
		return providers.Status{}, err
	}
	s, err := c.sound.Status(ctx, h)
	if req, ok := c.request.Load().(providers.InitiateRequest); ok && err != nil && c.breaks("questions") {
		_, err = c.sound.Initiate(ctx, req)
	}
	if err != nil {
		return s, c.wrong(err)
	}
	return c.misread(s, h), nil
}

func (c *client) misread(s providers.Status, h providers.Handle) providers.Status {
	ended := s.State.Final() && s.State != providers.StateSucceeded
	switch {
	case c.breaks("payment") && s.State == providers.StateSucceeded:
		s.State = providers.StatePending
	case c.breaks("payer") && s.Failure != "":
		s.Failure = ""
	case c.breaks("payer"):
		s.Failure = providers.FailureProviderRefused
	case c.breaks("status-words") && s.State == providers.StateExpired:
		s.State = providers.StatePending
	case c.breaks("random-answers verdict") && s.State == providers.StatePending:
		s.State = providers.StateExpired
	case c.breaks("unknown-words") && s.Unrecognized:
		s.State, s.Unrecognized = providers.StateFailed, false
	case c.breaks("echo"), c.breaks("echo of a failure") && ended:
		s.Money, s.Reference = h.Money, h.Reference
	case c.breaks("echo of a failure dropped") && ended:
		s.Money, s.Reference = providers.Money{}, ""
	case c.believed.Load():
		s.State = providers.StateSucceeded
	}
	return s
}

func (c *client) Search(ctx context.Context, reference string) ([]providers.Session, error) {
	found, err := c.sound.(providers.Searcher).Search(ctx, reference)
	switch {
	case c.breaks("search") && len(found) == 0:
		return nil, wire.Refuse(providers.OpSearch, providers.ClassNotFound, "there is none")
	case c.breaks("garbage search"):
		return found, nil
	case c.breaks("recover-by-search") && len(found) > 1:
		return found[:1], err
	}
	return found, c.wrong(err)
}

func (c *client) Cancel(ctx context.Context, h providers.Handle) error {
	if err := c.recall("stateless Cancel", h); err != nil {
		return err
	}
	err := c.sound.(providers.Canceller).Cancel(ctx, h)
	if c.breaks("cancel") && providers.ClassOf(err) == providers.ClassAlreadyExists {
		return nil
	}
	return c.wrong(err)
}

func (c *client) Refund(ctx context.Context, req providers.RefundRequest) error {
	if err := c.recall("stateless Refund", req.Payment); err != nil {
		return err
	}
	if c.breaks("refund-partial") {
		req.Reference = req.Payment.Reference
	}
	if c.breaks("refund-exact") {
		req.Money.Amount, _, _ = strings.Cut(req.Money.Amount, ".")
	}
	err := c.sound.(providers.Refunder).Refund(ctx, req)
	if c.breaks("refund-whole") && providers.ClassOf(err) == providers.ClassRejected {
		return nil
	}
	return c.wrong(err)
}

func (c *client) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	if err := c.recall("stateless RefundStatus", h.Payment); err != nil {
		return providers.Status{}, err
	}
	s, err := c.sound.(providers.Refunder).RefundStatus(ctx, h)
	undone := s.State != providers.StateSucceeded
	switch {
	case c.breaks("refund-lost") && undone:
		return providers.Status{State: providers.StateFailed, Failure: providers.FailureProviderRefused}, nil
	case err != nil:
		return s, c.wrong(err)
	case c.breaks("refund-echo"):
		s.Money, s.Reference = h.Money, cmp.Or(h.Reference, h.Payment.Reference)
	case c.breaks("refund-words") && undone:
		s.State, s.Failure = providers.StateExpired, ""
	case c.breaks("refund-exact"):
		s.Money.Amount, _, _ = strings.Cut(s.Money.Amount, ".")
	}
	return s, nil
}

type parser struct {
	sound    providers.CallbackParser
	fault    string
	believed *atomic.Bool
}

func (p *parser) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	many := len(cb.Secrets) > 1
	switch {
	case p.fault == "callback-malformed" && !bytes.HasPrefix(cb.Body, []byte("{")):
		panic("not an object")
	case p.fault == "callback-secrets" && many:
		cb.Secrets = cb.Secrets[:1]
	case p.fault == "callback-secrets last" && many:
		cb.Secrets = cb.Secrets[len(cb.Secrets)-1:]
	}
	out, err := p.sound.ParseCallback(cb)
	p.believed.Store(p.fault == "callback-hint" && err == nil)
	bad := errors.Is(err, providers.ErrBadCallback)
	switch {
	case p.fault == "callback-good":
		return providers.Callback{}, providers.ErrBadCallback
	case bad && (p.fault == "callback-forged" || p.fault == "callback-replayed" || p.fault == "callback-secrets any"):
		return out, nil
	case bad && p.fault == "callback-replayed ahead":
		cb.Now = cb.Now.Add(24 * time.Hour)
		return p.sound.ParseCallback(cb)
	}
	return out, err
}
