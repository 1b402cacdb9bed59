package simulator

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// OrangeOptions configure the Orange side.
type OrangeOptions struct {
	// ExpiresInString sends expires_in of a token as a JSON string.
	ExpiresInString bool
	// TokenLife of access tokens; one hour if 0.
	TokenLife time.Duration
	// StrictAccept answers 406 to token requests that do not name application/json in their Accept, as has been
	// reported. Otherwise one that is missing, as OAuth 2.0 clients have it, or takes anything will do.
	StrictAccept bool
}

// Credentials of the merchant.
const (
	DefaultOrangeClientID     = "simulatorOrangeClient"
	DefaultOrangeClientSecret = "simulatorOrangeSecret"
	DefaultOrangeMerchantKey  = "simulatorOrangeMerchant"
)

const payTokenLife = 10 * time.Minute

func (s *Simulator) orangeRoutes(handle func(string, wire)) {
	for _, version := range []string{"v2", "v3"} {
		handle("POST /orange/oauth/"+version+"/token", wire{provider: Orange, op: OpToken, access: s.orangeTokenRefusal, handle: s.orangeToken})
	}
	const api = "POST /orange/orange-money-webpay/{env}/v1/"
	handle(api+"webpayment", wire{provider: Orange, op: OpInitiate, peek: peekWebPayment, access: s.orangeAccess, handle: s.webPayment})
	handle(api+"transactionstatus", wire{provider: Orange, op: OpStatus, peek: s.peekOrangeStatus, access: s.orangeAccess, handle: s.transactionStatus})
}

var orangeMessages = map[int]string{
	1: "Internal error", 5: "Service unavailable", 21: "Missing body", 22: "Invalid body",
	23: "Missing body field", 24: "Invalid body field", 40: "Missing credentials",
	41: "Invalid credentials", 42: "Expired credentials", 50: "Access denied", 53: "Too many requests",
	60: "Resource not found", 61: "Method not allowed", 62: "Not acceptable",
	1201: "Forbidden transaction", 1202: "Invalid merchant key",
	1203: "Currency not allowed for the country", 1204: "Order already exists",
}

func orangeError(status, code int, about ...string) answer {
	return asJSON(status, map[string]any{"code": code, "message": orangeMessages[code], "description": strings.Join(about, " ")})
}

func orangeFailure(status int) answer {
	code := map[int]int{400: 22, 401: 41, 403: 50, 404: 60, 405: 61, 406: 62, 409: 1204, 429: 53, 503: 5}[status]
	return orangeError(status, cmp.Or(code, 1))
}

func (s *Simulator) orangeToken(*call) answer {
	name := s.text(alphanumeric, 28)
	life := s.opts.Orange.TokenLife
	s.issue(name, token{audience: "orange", expires: s.now().Add(life)})
	var expiresIn any = int(life.Seconds())
	if s.opts.Orange.ExpiresInString {
		expiresIn = strconv.Itoa(int(life.Seconds()))
	}
	return asJSON(200, map[string]any{"token_type": "Bearer", "access_token": name, "expires_in": expiresIn})
}

func (s *Simulator) orangeTokenRefusal(c *call) (answer, bool) {
	o := s.opts.Orange
	id, secret, basic := c.r.BasicAuth()
	form, _ := url.ParseQuery(string(c.body))
	switch {
	case !o.takes(c.r.Header.Get("Accept")):
		return orangeError(406, 62), false
	case !basic || !s.has(Orange, func(k Keys) bool { return k.ID == id && k.Secret == secret }):
		return oauthError(401, "invalid_client", "Client credentials are invalid"), false
	case !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return oauthError(400, "invalid_request", "The body must be a form"), false
	case form.Get("grant_type") != "client_credentials":
		return oauthError(400, "unsupported_grant_type", "Use client_credentials"), false
	}
	return answer{}, true
}

// takes tells whether JSON is an answer to that Accept.
func (o OrangeOptions) takes(accept string) bool {
	anything := accept == "" || strings.Contains(accept, "*/*") || strings.Contains(accept, "application/*")
	return strings.Contains(accept, "application/json") || anything && !o.StrictAccept
}

func oauthError(status int, code, description string) answer {
	return asJSON(status, map[string]string{"error": code, "error_description": description})
}

func (s *Simulator) orangeAccess(c *call) (answer, bool) {
	name, ok := bearer(c.r)
	t, known := s.tokens[name]
	switch {
	case !ok:
		return orangeError(401, 40), false
	case !known || t.audience != "orange":
		return orangeError(401, 41), false
	case !s.now().Before(t.expires):
		return orangeError(401, 42), false
	}
	return answer{}, true
}

// orangeRequest is what a payment was opened with, and its notif_token.
type orangeRequest struct {
	env        string
	returnURL  string
	cancelURL  string
	notifURL   string
	notifToken string
	merchant   string
}

// fields is a JSON object field by field, so that "1200" and 1200 differ.
type fields map[string]json.RawMessage

func (f fields) text(name string) (string, bool) {
	var s string
	ok := readInto(f[name], &s)
	return s, ok
}

func readInto(raw json.RawMessage, s *string) bool {
	return len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, s) == nil
}

func peekOrange(c *call) {
	var f fields
	_ = decode(c.body, &f, false)
	c.reference, _ = f.text("order_id")
	c.amount = string(f["amount"])
}

func peekWebPayment(c *call) {
	peekOrange(c)
	c.opens = true
}

func (s *Simulator) peekOrangeStatus(c *call) {
	peekOrange(c)
	c.payment = s.byReference(Orange, c.reference)
}

var (
	integer = regexp.MustCompile(`^[1-9][0-9]{0,14}$`)
	orderID = regexp.MustCompile(`^\S{1,30}$`)
)

var orangeFields = []struct {
	name     string
	required bool
	valid    func(json.RawMessage) bool
}{
	{"merchant_key", true, aText(func(string) bool { return true })},
	{"currency", true, aText(func(v string) bool { return len(v) == 3 })},
	{"order_id", true, aText(orderID.MatchString)},
	{"amount", true, func(raw json.RawMessage) bool { return integer.Match(raw) }},
	{"return_url", true, aText(orangeURL)},
	{"cancel_url", true, aText(orangeURL)},
	{"notif_url", true, aText(orangeURL)},
	{"lang", false, aText(func(v string) bool { return v == "fr" || v == "en" })},
	{"reference", false, aText(func(v string) bool { return len([]rune(v)) <= 30 })},
}

func aText(valid func(string) bool) func(json.RawMessage) bool {
	return func(raw json.RawMessage) bool {
		var v string
		return readInto(raw, &v) && valid(v)
	}
}

func orangeURL(v string) bool {
	u, err := url.Parse(v)
	return len(v) <= 120 && err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http")
}

func orangeBody(body []byte) (fields, answer, bool) {
	if len(body) == 0 {
		return nil, orangeError(400, 21), false
	}
	var f fields
	if decode(body, &f, false) != nil || f == nil {
		return nil, orangeError(400, 22), false
	}
	for _, field := range orangeFields {
		raw := f[field.name]
		switch missing := len(raw) == 0 || string(raw) == `""` || string(raw) == "null"; {
		case missing && field.required:
			return nil, orangeError(400, 23, field.name), false
		case !missing && !field.valid(raw):
			return nil, orangeError(400, 24, field.name), false
		}
	}
	return f, answer{}, true
}

// webPayment opens a session; an order id is good for one, for ever.
func (s *Simulator) webPayment(c *call) answer {
	f, refused, ok := orangeBody(c.body)
	if !ok {
		return refused
	}
	env := c.r.PathValue("env")
	key, _ := f.text("merchant_key")
	currency, _ := f.text("currency")
	switch {
	case !s.has(Orange, func(k Keys) bool { return k.Key == key }):
		return orangeError(403, 1202)
	case !orangeCurrencyFits(env, currency):
		return orangeError(403, 1203)
	case s.byReference(Orange, c.reference) != nil:
		return orangeError(403, 1204)
	}
	return s.openOrange(c, env, currency, f)
}

func (s *Simulator) openOrange(c *call, env, currency string, f fields) answer {
	p := &payment{
		provider: Orange, reference: c.reference, id: s.text(alphanumeric, 64),
		amount: c.amount, currency: currency, scenario: s.scenario(c),
		orange: orangeRequest{env: env, notifToken: s.text(alphanumeric, 32)},
	}
	p.orange.returnURL, _ = f.text("return_url")
	p.orange.cancelURL, _ = f.text("cancel_url")
	p.orange.notifURL, _ = f.text("notif_url")
	p.orange.merchant, _ = f.text("reference")
	s.add(p, payTokenLife)
	return asJSON(201, map[string]any{
		"status": 201, "message": "OK", "pay_token": p.id, "payment_url": s.page(p, c.base), "notif_token": p.orange.notifToken,
	}, p)
}

// orangeCurrencies of the country segments that are known here.
var orangeCurrencies = map[string]string{
	"dev": "OUV", "ci": "XOF", "sn": "XOF", "ml": "XOF", "bf": "XOF", "gw": "XOF",
	"cm": "XAF", "gn": "GNF", "mg": "MGA", "bw": "BWP",
}

func orangeCurrencyFits(env, currency string) bool {
	want, known := orangeCurrencies[env]
	if known {
		return currency == want
	}
	return currency != "OUV"
}

// transactionStatus tells only who knows order id, amount and pay token.
func (s *Simulator) transactionStatus(c *call) answer {
	var f fields
	if decode(c.body, &f, false) != nil {
		return orangeError(400, 22)
	}
	for _, name := range []string{"order_id", "amount", "pay_token"} {
		if len(f[name]) == 0 {
			return orangeError(400, 23, name)
		}
	}
	if !integer.Match(f["amount"]) {
		return orangeError(400, 24, "amount")
	}
	payToken, _ := f.text("pay_token")
	p := s.find(Orange, payToken)
	if p == nil || p.reference != c.reference || p.amount != c.amount || p.orange.env != c.r.PathValue("env") ||
		p.hidden(s.now(), s.opts.Speed) {
		return orangeError(404, 60)
	}
	v := p.shown(s.now())
	return asJSON(201, orangeStatus{orangeWord(v.state), p.reference, v.txn})
}

type orangeStatus struct {
	Status  string `json:"status"`
	OrderID string `json:"order_id"`
	TxnID   string `json:"txnid,omitempty"`
}

func orangeWord(st state) string {
	return map[state]string{
		open: "INITIATED", lapsed: "INITIATED", confirming: "PENDING",
		settled: "SUCCESS", failed: "FAILED", expired: "EXPIRED",
	}[st]
}

// orangeCallbacks is the notification of a confirmed end, and of nothing else.
func (s *Simulator) orangeCallbacks(p *payment) []delivery {
	word := orangeWord(p.state)
	body := map[string]string{"status": word, "notif_token": p.orange.notifToken, "txnid": p.txn}
	return []delivery{{
		provider: Orange, reference: p.reference, event: word,
		url:    p.orange.notifURL,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   asJSON(0, body).body,
	}}
}
