package providertest_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/token"
)

// client of the bank. Its fault is the name of the rule that it breaks; without
// one it is sound.
type client struct {
	fault    string
	traits   providers.Traits
	account  providers.Account
	send     providers.Transport
	now      func() time.Time
	payments *token.Source
	refunds  *token.Source
	believed *sync.Map
	first    atomic.Value // payer
	kept     sync.Map     // references that it opened
	current  atomic.Value
	n        atomic.Int64
}

func (c *client) breaks(rule string) bool { return c.fault == rule }

func basic(user, secret string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
}

func (c *client) tokens(path, user, secret string) *token.Source {
	return token.NewSource(func(ctx context.Context) (token.Token, error) {
		header := http.Header{"Authorization": {"Basic " + basic(c.account.Credentials[user].Reveal(), c.account.Credentials[secret].Reveal())}}
		a, err := c.send.Do(ctx, providers.Call{Operation: "token", Method: "POST", URL: host + path, Header: header})
		if err != nil {
			return token.Token{}, err
		}
		if a.Status != http.StatusOK {
			return token.Token{}, c.no("token", a)
		}
		value, life, err := wire.AccessToken("token", a)
		return token.Token{Value: value, Life: life}, err
	}, c.now)
}

func (c *client) Traits() providers.Traits {
	t := c.traits
	if c.breaks("traits") {
		t.MaxURL++
	}
	return t
}

func (c *client) Prepare(ctx context.Context) error {
	_, err := c.payments.Get(ctx)
	if c.breaks("wrong-credentials") {
		return nil
	}
	return err
}

func (c *client) PrepareRefund(ctx context.Context) error {
	if c.refunds == nil {
		return c.noRefunds()
	}
	_, err := c.refunds.Get(ctx)
	return err
}

func (c *client) noRefunds() error {
	if c.breaks("refund-credentials") {
		return nil
	}
	return wire.Refuse("refund", providers.ClassMisconfigured, "no credentials for refunds")
}

func (c *client) CheckAccount(ctx context.Context, _ providers.AccountCheck) error {
	_, err := c.ask(ctx, c.payments, "check", "GET /check", nil, 200)
	if c.breaks("check-account") {
		return nil
	}
	return err
}

// ask sends one request, and returns an answer with the wanted status.
func (c *client) ask(ctx context.Context, tokens *token.Source, op providers.Operation, route string, body any, want int) (providers.Answer, error) {
	if c.breaks("context") {
		ctx = context.WithoutCancel(ctx)
	}
	method, path, _ := strings.Cut(route, " ")
	call := providers.Call{Operation: op, Method: method, URL: host + path}
	if body != nil {
		call.Body, _ = json.Marshal(body)
	}
	authorized := tokens.Question
	if op == providers.OpInitiate || op == providers.OpRefund {
		authorized = func(ctx context.Context, send token.Send, refused token.Refused) (providers.Answer, error) {
			return tokens.Order(ctx, op, send, refused)
		}
	}
	a, err := authorized(ctx, func(t providers.Secret) (providers.Answer, error) {
		call.Header = http.Header{"Authorization": {"Bearer " + t.Reveal()}}
		if c.breaks("requests") {
			call.Header.Set("Idempotency-Key", "1")
		}
		a, err := c.send.Do(ctx, call)
		if a.Status == http.StatusServiceUnavailable && (c.breaks("initiate-once") && op == providers.OpInitiate || c.breaks("refund-once") && op == providers.OpRefund) {
			return c.send.Do(ctx, call)
		}
		return a, err
	}, func(a providers.Answer) bool { return a.Status == http.StatusUnauthorized && !c.breaks("tokens") })
	switch {
	case err != nil && c.breaks("lost-answers") && op == providers.OpInitiate:
		return a, wire.Refuse(op, providers.ClassRejected, "it did not work")
	case err != nil:
		return a, err
	case a.Status != want:
		return a, c.no(op, a)
	}
	return a, nil
}

// no is the error for an answer that is none of the good ones.
func (c *client) no(op providers.Operation, a providers.Answer) error {
	code := wire.ErrorCode(a.Body)
	e := wire.Fail(op, a, wire.Verdict{Class: c.classify(op, a.Status), Detail: "see the bank"}, code, c.now())
	if code == "no-funds" && e.Class == providers.ClassRejected && !c.breaks("refusals") {
		e.Failure = providers.FailureInsufficientFunds
	}
	if c.breaks("diagnosis") {
		e.Operation = ""
	}
	if c.breaks("throttled") {
		e.RetryAfter = 0
	}
	if c.breaks("redaction") {
		e.Detail = string(a.Body)
	}
	return e
}

func (c *client) classify(op providers.Operation, status int) providers.Class {
	moves := op == providers.OpInitiate || op == providers.OpRefund
	switch {
	case status == 401, status == 403, status == 404 && op != providers.OpStatus && op != providers.OpRefundStatus:
		return providers.ClassMisconfigured
	case status == 404:
		return providers.ClassNotFound
	case status == 429:
		return providers.ClassThrottled
	case status == 400 && moves, status >= 500 && c.breaks("server-errors"):
		return providers.ClassRejected
	case status == 409 && (moves || op == providers.OpCancel) && (op != providers.OpInitiate || !c.breaks("recover-by-repeat")):
		return providers.ClassAlreadyExists
	}
	return providers.ClassUnknown
}

// read a JSON answer.
func (c *client) read(op providers.Operation, a providers.Answer, v any) error {
	if c.breaks("random-answers") && a.Body[0] == '<' {
		return wire.Odd(op, a, "a page")
	}
	if err := wire.Decode(a.Body, v); err != nil && !c.breaks("garbage") {
		return wire.Odd(op, a, err.Error())
	}
	return nil
}

func (c *client) Initiate(ctx context.Context, req providers.InitiateRequest) (providers.Initiation, error) {
	ref, amount := req.Reference, req.Money.Amount
	c.current.Store(ref)
	if c.breaks("recover-by-reference") {
		ref += fmt.Sprint(c.n.Add(1))
	}
	if f, err := strconv.ParseFloat(amount, 32); err == nil && c.breaks("amount-exact") {
		amount = strconv.FormatFloat(f, 'f', 2, 32)
	}
	a, err := c.ask(ctx, c.payments, providers.OpInitiate, "POST /pay", map[string]string{
		"ref": ref, "amount": amount, "currency": req.Money.Currency, "payer": c.payer(req),
	}, 201)
	if err != nil {
		return providers.Initiation{}, err
	}
	if c.breaks("concurrency") && c.current.Load() != ref {
		return providers.Initiation{}, wire.Odd(providers.OpInitiate, a, "not the current payment")
	}
	var s session
	if err := c.read(providers.OpInitiate, a, &s); err != nil {
		return providers.Initiation{}, err
	}
	in, err := c.opened(providers.OpInitiate, a, s)
	c.kept.Store(req.Reference, true)
	return providers.Initiation{Session: in}, err
}

// payer is who is asked.
func (c *client) payer(req providers.InitiateRequest) string {
	c.first.CompareAndSwap(nil, req.Payer)
	if first, ok := c.first.Load().(providers.Phone); ok && c.breaks("payer-phone") {
		return first.Reveal()
	}
	return req.Payer.Reveal()
}

// recall finds what a client that keeps state knows of a payment.
func (c *client) recall(fault string, h providers.Handle) error {
	if _, ok := c.kept.Load(h.Reference); !ok && c.breaks(fault) {
		return wire.Refuse("recall", providers.ClassUnknown, "a payment that this process did not open")
	}
	return nil
}

func (c *client) opened(op providers.Operation, a providers.Answer, s session) (providers.Session, error) {
	if providers.SafeCode(s.ID) != s.ID || s.ID == "" || !wire.IsPayerURL(s.URL, host) {
		return providers.Session{}, wire.Odd(op, a, "no session")
	}
	status := c.outcome(s)
	return providers.Session{
		ID: s.ID, Token: "canary-" + providers.Secret(s.ID), PaymentURL: providers.Secret(s.URL), Status: &status, ExpiresAt: c.end(s),
	}, nil
}

func (c *client) end(s session) time.Time {
	switch {
	case c.breaks("expires-at"):
		return s.ExpiresAt.Add(-2 * sessionLife)
	case c.breaks("expires-at too late"):
		return s.ExpiresAt.Add(time.Hour)
	}
	return s.ExpiresAt
}

func (c *client) Status(ctx context.Context, h providers.Handle) (providers.Status, error) {
	if err := c.recall("stateless", h); err != nil {
		return providers.Status{}, err
	}
	query := url.Values{"ref": {h.Reference}}
	if c.traits.Recovery != providers.RecoverByReference {
		query = url.Values{"id": {h.SessionID}}
	}
	a, err := c.ask(ctx, c.payments, "status", "GET /pay?"+query.Encode(), nil, 200)
	if c.breaks("questions") && providers.ClassOf(err) == providers.ClassNotFound {
		return providers.Status{}, errorOf(c.Initiate(ctx, providers.InitiateRequest{Reference: h.Reference, Money: h.Money}))
	}
	if err != nil {
		return providers.Status{}, err
	}
	var s session
	if err := c.read("status", a, &s); err != nil {
		return providers.Status{}, err
	}
	out := c.outcome(s)
	if _, ok := c.believed.Load(h.Reference); ok {
		out.State = providers.StateSucceeded
	}
	failed := out.State == providers.StateFailed || out.State == providers.StateExpired
	switch {
	case c.breaks("echo"), c.breaks("echo of a failure") && failed:
		out.Money, out.Reference = h.Money, h.Reference
	case c.breaks("echo of a failure dropped") && failed:
		out.Money, out.Reference = providers.Money{}, ""
	}
	return out, nil
}

func errorOf(_ providers.Initiation, err error) error { return err }

func (c *client) outcome(s session) providers.Status {
	out := providers.Status{Code: providers.SafeCode(s.Word), Money: wire.Money(s.Amount, s.Currency), Reference: wire.Echo(s.Ref)}
	switch s.Word {
	case "waiting":
		out.State = providers.StatePending
	case "paid":
		if out.State = providers.StateSucceeded; c.breaks("payment") {
			out.State = providers.StatePending
		}
	case "refused":
		if out.State = providers.StateFailed; !c.breaks("payer") {
			out.Failure = providers.FailurePayerDeclined
		}
	case "over":
		if out.State = providers.StateExpired; c.breaks("status-words") {
			out.State = providers.StatePending
		}
	case "cancelled":
		out.State = providers.StateCancelled
	default:
		if out.State, out.Unrecognized = providers.StatePending, true; c.breaks("unknown-words") {
			out.State, out.Unrecognized = providers.StateFailed, false
		}
	}
	return out
}

func (c *client) Search(ctx context.Context, reference string) ([]providers.Session, error) {
	a, err := c.ask(ctx, c.payments, "search", "GET /search?ref="+url.QueryEscape(reference), nil, 200)
	if err != nil {
		return nil, err
	}
	var body struct{ List *[]session }
	if err := c.read("search", a, &body); err != nil {
		return nil, err
	}
	if body.List == nil && !c.breaks("search") {
		return nil, wire.Odd("search", a, "no list")
	}
	var out []providers.Session
	if body.List == nil {
		return out, nil
	}
	for _, s := range *body.List {
		if s.Ref != reference && !c.breaks("search-reference") {
			return nil, wire.Odd("search", a, "another reference")
		}
		found, err := c.opened("search", a, s)
		if err != nil {
			return nil, err
		}
		if out = append(out, found); c.breaks("recover-by-search") {
			break
		}
	}
	return out, nil
}

func (c *client) Cancel(ctx context.Context, h providers.Handle) error {
	if err := c.recall("stateless Cancel", h); err != nil {
		return err
	}
	a, err := c.ask(ctx, c.payments, "cancel", "POST /cancel?id="+url.QueryEscape(h.SessionID), nil, 200)
	if c.breaks("cancel") && providers.ClassOf(err) == providers.ClassAlreadyExists {
		return nil
	}
	return c.said("cancel", a, err)
}

// said checks an answer that has nothing to say.
func (c *client) said(op providers.Operation, a providers.Answer, err error) error {
	if err == nil && !wire.EmptyOrObject(a.Body) && !c.breaks("garbage") {
		return wire.Odd(op, a, "a page")
	}
	return err
}

// key that the bank knows a refund by.
func (c *client) key(h providers.RefundHandle) string {
	if h.Reference != "" && !c.breaks("refund-partial") {
		return h.Reference
	}
	return h.Payment.Reference
}

func (c *client) Refund(ctx context.Context, req providers.RefundRequest) error {
	if c.refunds == nil {
		return c.noRefunds()
	}
	if err := c.recall("stateless Refund", req.Payment); err != nil {
		return err
	}
	key, amount := c.key(req.RefundHandle), req.Money.Amount
	if c.breaks("refund-whole") {
		key += fmt.Sprint(c.n.Add(1))
	}
	if c.breaks("refund-exact") {
		amount, _, _ = strings.Cut(amount, ".")
	}
	a, err := c.ask(ctx, c.refunds, "refund", "POST /refund", map[string]string{
		"key": key, "id": req.Payment.SessionID, "amount": amount, "currency": req.Money.Currency,
	}, 200)
	return c.said("refund", a, err)
}

func (c *client) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	if c.refunds == nil {
		return providers.Status{}, c.noRefunds()
	}
	if err := c.recall("stateless RefundStatus", h.Payment); err != nil {
		return providers.Status{}, err
	}
	a, err := c.ask(ctx, c.refunds, providers.OpRefundStatus, "GET /refund?"+url.Values{"key": {c.key(h)}, "id": {h.Payment.SessionID}}.Encode(), nil, 200)
	if c.breaks("refund-lost") && providers.ClassOf(err) == providers.ClassNotFound {
		return providers.Status{State: providers.StateFailed, Failure: providers.FailureProviderRefused}, nil
	}
	if err != nil {
		return providers.Status{}, err
	}
	var r refund
	if err := c.read(providers.OpRefundStatus, a, &r); err != nil {
		return providers.Status{}, err
	}
	out := providers.Status{Code: providers.SafeCode(r.Word), Money: wire.Money(r.Amount, r.Currency), Reference: wire.Echo(r.Ref)}
	if c.breaks("refund-echo") {
		out.Money = h.Money
	}
	switch r.Word {
	case "given":
		out.State = providers.StateSucceeded
	case "failed":
		if out.State, out.Failure = providers.StateFailed, providers.FailureProviderRefused; c.breaks("refund-words") {
			out.State, out.Failure = providers.StateExpired, ""
		}
	case "none":
		if out.State = providers.StatePending; c.breaks("refund-lost") {
			out.State = providers.StateFailed
		}
	default:
		out.State, out.Unrecognized = providers.StatePending, true
	}
	return out, nil
}

// parser of the bank's callbacks: X-Proof is t=<unix>,v=<hex of the HMAC of
// timestamp and body>.
type parser struct {
	fault    string
	believed *sync.Map
}

func proof(at time.Time, secret string, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(t))
	mac.Write(body)
	return "t=" + t + ",v=" + hex.EncodeToString(mac.Sum(nil))
}

func (p parser) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	if err := p.verify(cb); err != nil {
		return providers.Callback{}, err
	}
	if p.fault == "callback-malformed" && !bytes.HasPrefix(cb.Body, []byte("{")) {
		panic("not an object")
	}
	var body struct{ Event, Word, Ref string }
	if err := wire.Decode(cb.Body, &body); err != nil {
		return providers.Callback{}, fmt.Errorf("bank: %w", providers.ErrMalformedCallback)
	}
	if p.fault == "callback-hint" && body.Word == "paid" {
		p.believed.Store(body.Ref, true)
	}
	return providers.Callback{EventID: providers.SafeCode(body.Event), Claim: providers.SafeCode(body.Word), Reference: wire.Echo(body.Ref)}, nil
}

func (p parser) verify(cb providers.CallbackRequest) error {
	sent := cb.Header.Get("X-Proof")
	stamp, _, _ := strings.Cut(strings.TrimPrefix(sent, "t="), ",")
	unix, err := strconv.ParseInt(stamp, 10, 64)
	age := cb.Now.Sub(time.Unix(unix, 0))
	ahead := time.Minute
	if p.fault == "callback-replayed ahead" {
		ahead = 12 * time.Hour
	}
	stale := age > 5*time.Minute || age < -ahead
	good := err == nil && slices.ContainsFunc(p.trusted(cb.Secrets), func(s providers.Secret) bool {
		return hmac.Equal([]byte(sent), []byte(proof(time.Unix(unix, 0), s.Reveal(), cb.Body)))
	}) || p.fault == "callback-secrets any" && len(cb.Secrets) > 1
	switch {
	case p.fault == "callback-good", !good && p.fault != "callback-forged", stale && p.fault != "callback-replayed":
		return fmt.Errorf("bank: %w", providers.ErrBadCallback)
	}
	return nil
}

// trusted are the secrets that prove a callback: all of them.
func (p parser) trusted(secrets []providers.Secret) []providers.Secret {
	switch {
	case p.fault == "callback-secrets" && len(secrets) > 1:
		return secrets[:1]
	case p.fault == "callback-secrets last" && len(secrets) > 1:
		return secrets[len(secrets)-1:]
	}
	return secrets
}
