package providertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest"
)

const (
	host           = "https://bank.example"
	sessionLife    = 30 * time.Minute
	callbackSecret = "memory-callback-secret"
)

// bank is a provider in memory. It takes a reference once, or, where payments
// are found by search, opens another session each time.
type bank struct {
	recovery providers.Recovery
	refunds  providers.RefundMode
	facts    providertest.Facts

	mu       sync.Mutex
	at       time.Time
	n        int
	tokens   map[string]time.Time
	sessions []*session
	given    map[string]refund
}

type session struct {
	ID, Ref, Amount, Currency, URL, Word, Why string
	ExpiresAt                                 time.Time
	payer                                     string
}

type refund struct{ of, Ref, Amount, Currency, Word string }

func (b *bank) Facts() providertest.Facts      { return b.facts }
func (b *bank) Transport() providers.Transport { return b }

func (b *bank) Now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bank) Advance(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
	for _, s := range b.sessions {
		if s.Word == "waiting" && b.at.After(s.ExpiresAt) {
			s.Word = "over"
		}
	}
}

func (b *bank) Expire(providers.Handle) error { b.Advance(sessionLife + 1); return nil }

func (b *bank) Pay(h providers.Handle) error    { return b.act(h, "paid", "") }
func (b *bank) Refuse(h providers.Handle) error { return b.act(h, "refused", "declined") }

func (b *bank) act(h providers.Handle, word, why string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.find(h.Reference, h.SessionID)
	if s == nil || s.Word != "waiting" {
		return errors.New("no open session")
	}
	s.Word, s.Why = word, why
	return nil
}

func (b *bank) RevokeTokens() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.tokens)
}

func (b *bank) Ledger(reference string) (out providertest.Ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		if s.Ref != reference {
			continue
		}
		out.Opened = append(out.Opened, providers.Money{Amount: s.Amount, Currency: s.Currency})
		out.Payers = append(out.Payers, providers.Phone(s.payer))
		if s.Word == "paid" {
			out.Paid++
		}
		for i := range b.n + 1 { // in their order
			if r, ok := b.given[fmt.Sprint(i)]; ok && r.of == s.ID {
				out.Refunded = append(out.Refunded, providers.Money{Amount: r.Amount, Currency: r.Currency})
			}
		}
	}
	return out
}

func (b *bank) find(ref, id string) *session {
	for _, s := range b.sessions {
		if s.ID == id || id == "" && s.Ref == ref {
			return s
		}
	}
	return nil
}

// Do is the bank's wire.
func (b *bank) Do(_ context.Context, call providers.Call) (providers.Answer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	u, err := url.Parse(call.URL)
	if err != nil {
		return providers.Answer{}, err
	}
	b.n++
	route := call.Method + " " + u.Path
	if strings.HasSuffix(u.Path, "token") {
		return b.token(call, u.Path), nil
	}
	token := strings.TrimPrefix(call.Header.Get("Authorization"), "Bearer ")
	if until, ok := b.tokens[token]; !ok || b.at.After(until) || strings.HasPrefix(token, "refunds") != strings.HasSuffix(u.Path, "refund") {
		return providertest.JSON(http.StatusUnauthorized, `{"code":"token"}`), nil
	}
	return b.route(route, call, u.Query()), nil
}

func (b *bank) token(call providers.Call, path string) providers.Answer {
	product := map[string]string{"/token": "payments", "/refund-token": "refunds"}[path]
	if call.Header.Get("Authorization") != "Basic "+basic(product+"-user", product+"-secret") {
		return providertest.JSON(http.StatusUnauthorized, `{"code":"credentials"}`)
	}
	name := fmt.Sprintf("%s-access-token-%d", product, b.n)
	b.tokens[name] = b.at.Add(time.Hour)
	return b.say(200, map[string]any{"access_token": name, "expires_in": 3600})
}

func (b *bank) say(status int, v any) providers.Answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return providertest.JSON(status, string(body))
}

func (b *bank) route(route string, call providers.Call, q url.Values) providers.Answer {
	var in struct{ Ref, ID, Key, Amount, Currency, Payer string }
	if call.Body != nil && json.Unmarshal(call.Body, &in) != nil {
		return providertest.JSON(400, `{"code":"body"}`)
	}
	s := b.find(q.Get("ref"), q.Get("id"))
	switch route {
	case "POST /pay":
		return b.pay(in.Ref, in.Amount, in.Currency, in.Payer)
	case "POST /refund":
		return b.refund(refund{of: in.ID, Ref: in.Key, Amount: in.Amount, Currency: in.Currency, Word: "given"})
	case "GET /refund":
		return b.refundOf(q.Get("key"), q.Get("id"))
	case "GET /search":
		found := []*session{}
		for _, s := range b.sessions {
			if s.Ref == q.Get("ref") {
				found = append(found, s)
			}
		}
		return b.say(200, map[string]any{"list": found})
	case "GET /check":
		return providertest.JSON(200, "{}")
	}
	switch {
	case s == nil:
		return providertest.JSON(404, `{"code":"unknown"}`)
	case route == "GET /pay":
		return b.say(200, s)
	case s.Word != "waiting":
		return providertest.JSON(409, `{"code":"over"}`)
	}
	s.Word = "cancelled"
	return providertest.JSON(200, "")
}

func (b *bank) pay(ref, amount, currency, payer string) providers.Answer {
	if b.find(ref, "") != nil && b.recovery != providers.RecoverBySearch {
		return providertest.JSON(409, `{"code":"exists"}`)
	}
	id := fmt.Sprintf("session-%d", b.n)
	s := &session{
		ID: id, Ref: ref, Amount: amount, Currency: currency, payer: payer,
		URL: host + "/page/canary-" + id, Word: "waiting", ExpiresAt: b.at.Add(sessionLife),
	}
	b.sessions = append(b.sessions, s)
	return b.say(201, s)
}

func (b *bank) refund(r refund) providers.Answer {
	if s := b.find("", r.of); s == nil || r.of == "" || s.Word != "paid" {
		return providertest.JSON(400, `{"code":"unpaid"}`)
	}
	for _, other := range b.given {
		if other.Ref == r.Ref && b.refunds == providers.RefundPartial {
			return providertest.JSON(409, `{"code":"exists"}`)
		}
		if other.Ref == r.Ref {
			return providertest.JSON(200, "")
		}
	}
	b.given[fmt.Sprint(b.n)] = r
	return providertest.JSON(200, "")
}

func (b *bank) refundOf(key, id string) providers.Answer {
	for _, r := range b.given {
		if r.Ref == key {
			return b.say(200, r)
		}
	}
	if b.refunds == providers.RefundPartial {
		return providertest.JSON(404, `{"code":"unknown"}`)
	}
	s := b.find("", id)
	return b.say(200, refund{Ref: key, Amount: s.Amount, Currency: s.Currency, Word: "none"})
}
