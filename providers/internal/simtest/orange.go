package simtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
)

// Orange runs in a country, and in the sandbox with its own currency; and where tokens
// are given only to who asks for JSON.
func Orange() map[string]providertest.Factory {
	strict := simulator.Options{Orange: simulator.OrangeOptions{StrictAccept: true}}
	in := func(segment string, env providers.Environment) providertest.Factory {
		return func(t providertest.T) providertest.Fixture {
			return Start(t, simulator.Orange, strict, func(s *simulator.Simulator) providertest.Facts {
				facts := orangeFacts()
				facts.Account.Environment = env
				facts.Account.BaseURL, facts.Account.TokenURL = s.OrangeURL(segment), s.OrangeTokenURL()
				return facts
			})
		}
	}
	return map[string]providertest.Factory{"ci": in("ci", providers.Production), "dev": in("dev", providers.Sandbox)}
}

func orangeFacts() providertest.Facts {
	return providertest.Facts{
		Kind: orange.Kind(),
		Account: providers.Account{Country: "ci", MerchantName: "Shop", Credentials: map[string]providers.Secret{
			orange.KeyClientID: simulator.DefaultOrangeClientID, orange.KeyClientSecret: simulator.DefaultOrangeClientSecret,
			orange.KeyMerchant: simulator.DefaultOrangeMerchantKey,
		}},
		Request: providers.InitiateRequest{
			Money: providers.Money{Amount: "5000", Currency: "XOF"}, Payer: "+2250701020304", Description: "Order 1042",
			CallbackURL: "http://127.0.0.1:1/canary-callback-path", ReturnURL: "https://shop.example/back",
		},
		Role: roles(map[string]providertest.Role{"/token": providertest.RoleToken, "/webpayment": providertest.RoleMoney}),
		// Orange Money Web Payment, webpayment: order_id.
		Reference: regexp.MustCompile(`^[A-Za-z0-9_-]{1,24}$`),
		// Orange Money Web Payment, webpayment: amount is whole.
		Accepts:         map[string]int{"XOF": 0},
		LateCredentials: []string{orange.KeyMerchant},
		Refused:         []providers.State{providers.StateFailed},
		// A payer who never tries leaves it INITIATED for ever.
		Expired:     []providers.State{providers.StateNotStarted, providers.StateExpired},
		Statuses:    orangeWords(),
		Read:        readOrange,
		UnknownWord: func(word string) providertest.Edit { return Fields("status", word) },
		// Orange Developer, API errors.
		RefusedTokens: []providers.Answer{providertest.JSON(401, `{"code":40}`), providertest.JSON(403, `{"code":42}`), providertest.JSON(401, "")},
		Refusals:      orangeRefusals(),
		Echoes: map[string]providertest.Edit{
			"order": Fields("order_id", "another-order"), "odd order": Fields("order_id", " order"), "amount": Fields("amount", 50),
			"exponent": Fields("amount", json.Number("5e3")), "blank": Fields("amount", "5 000"), "negative": Fields("amount", -5000), "zero": Fields("amount", 0),
			"currency": Fields("currency", "USD"), "odd currency": Fields("currency", "xof"),
		},
		Callbacks: orangeCallbacks(),
	}
}

// readOrange (Orange Money Web Payment, transactionstatus).
func readOrange(_ providertest.Op, said func(...string) string) providers.Status {
	state := map[string]providers.State{
		"SUCCESS": providers.StateSucceeded, "FAILED": providers.StateFailed, "EXPIRED": providers.StateExpired, "INITIATED": providers.StateNotStarted,
	}[said("status")]
	return providers.Status{
		State: cmp.Or(state, providers.StatePending), Reference: said("order_id"),
		Money: providers.Money{Amount: said("amount"), Currency: said("currency")},
	}
}

// orangeWords (§1.6; Orange Money Web Payment, transactionstatus: status).
func orangeWords() []providertest.Word {
	var words []providertest.Word
	for name, want := range map[string]providers.Status{
		"INITIATED": {State: providers.StateNotStarted}, "PENDING": {State: providers.StatePending}, "SUCCESS": {State: providers.StateSucceeded},
		"FAILED": {State: providers.StateFailed, Failure: providers.FailureProviderRefused}, "EXPIRED": {State: providers.StateExpired},
		"CANCELLED": {State: providers.StatePending, Unrecognized: true},
	} {
		want.Code = name
		words = append(words, word(name, want, "status", name))
	}
	null := json.RawMessage("null")
	status200 := func(a providers.Answer) providers.Answer { a.Status = 200; return a }
	return append(words,
		providertest.Word{Name: "SUCCESS with 200", Answer: status200, Want: is(providers.StateSucceeded, "SUCCESS")},
		word("SUCCESS and more", odd("SUCCESS"), "status", "SUCCESS\x00"),
		word("PENDING without txnid", is(providers.StatePending, "PENDING"), "status", "PENDING", "txnid", null),
		word("null", odd(""), "status", null),
		word("no word", odd(""), "status", nil))
}

// orangeRefusals (§1.4; Orange Money Web Payment, error codes; Orange Developer, API
// errors): a code with a description, which may name a field.
func orangeRefusals() []providertest.Refusal {
	const token, address = "clientID and clientSecret", "baseURL"
	about := func(status, code int, description string, r providertest.Refusal) providertest.Refusal {
		body := fmt.Sprintf(`{"code":%d,"message":"canary","description":%q}`, code, description)
		r.Answer, r.Code = providertest.JSON(status, body), fmt.Sprint(code)
		return r
	}
	row := func(status, code int, class providers.Class, says ...string) providertest.Refusal {
		return about(status, code, "canary", providertest.Refusal{Class: class, Says: says})
	}
	ours := providertest.Refusal{Class: rejected, Fault: providers.FaultProvider}
	orders := []providertest.Refusal{
		about(400, 21, "", ours), about(400, 22, "amount", ours), row(400, 23, rejected), row(400, 24, rejected),
		{Answer: providertest.JSON(400, `{"code":"24"}`), Code: "24", Class: rejected},
		{Answer: providertest.JSON(400, `{"code":24,"description":["amount"]}`), Class: unknown},
		// K5b: only a field that the Payment supplies is a refusal of the Payment.
		about(400, 24, "canary: merchant_key is canary", providertest.Refusal{Class: misconfigured, Field: "merchant_key", Says: []string{"merchantKey"}}),
		about(400, 23, "reference", providertest.Refusal{Class: misconfigured, Field: "reference", Says: []string{"merchantName"}}),
		about(400, 24, "notif_url", providertest.Refusal{
			Class: misconfigured, Field: "notif_url", Fault: providers.FaultOperator, Says: []string{"--public-url"}}),
		about(400, 24, "amount", providertest.Refusal{Class: rejected, Field: "amount"}),
		about(400, 23, "order_id", providertest.Refusal{Class: rejected, Field: "order_id"}),
		about(400, 24, "canary_field, canaries", providertest.Refusal{Class: rejected}),
		{Answer: empty(401), Class: misconfigured, Says: []string{token}}, row(401, 40, misconfigured, token), row(401, 41, misconfigured, token), row(401, 42, misconfigured, token), row(403, 42, misconfigured, token),
		row(403, 50, misconfigured, "add Orange Money Web Payment"), {Answer: providertest.Page(403), Class: misconfigured},
		row(403, 1201, rejected), about(403, 1204, "amount", providertest.Refusal{Class: exists}), row(403, 53, throttled),
		about(403, 1202, "", providertest.Refusal{Class: misconfigured, Field: "merchant_key", Says: []string{"merchantKey", "clientID"}}), // K5c
		about(403, 1203, "", providertest.Refusal{Class: misconfigured, Field: "currency", Says: []string{"country", "baseURL"}}),          // K5a
		{Answer: providertest.JSON(403, `{"code":1204,"code":1201}`), Class: misconfigured},
		row(404, 60, misconfigured, address, "/v1"), {Answer: providertest.Page(404), Class: misconfigured, Says: []string{address}}, // K5e
		row(405, 61, misconfigured, address), {Answer: empty(405), Class: misconfigured},
		row(406, 62, misconfigured, address), {Answer: empty(406), Class: misconfigured},
		row(429, 53, throttled), {Answer: empty(429), Class: throttled},
		row(500, 1, unknown), row(503, 5, unknown), row(500, 1201, unknown), row(502, 1204, unknown),
		// What is not documented says nothing, whatever the status.
		row(400, 99, unknown), row(403, 1205, unknown), {Answer: empty(400), Class: unknown},
		{Answer: empty(408), Class: unknown}, {Answer: empty(409), Class: unknown}, {Answer: empty(202), Class: unknown}, {Answer: empty(204), Class: unknown},
	}
	out := with(providertest.OpInitiate, slices.Concat(orders, orangeOddSuccesses()))
	for _, r := range with(providertest.OpStatus, orders) {
		if r = asQuestion(r); r.Answer.Status == 404 {
			r.Says = append(r.Says, "does not know the order")
		}
		out = append(out, r)
	}
	out = append(out, with(providertest.OpStatus, orangeUnnamed())...)
	return append(out, with(providertest.OpPrepare, []providertest.Refusal{
		{Answer: providertest.JSON(401, `{"error":"invalid_client","error_description":"canary"}`), Code: "invalid_client", Class: misconfigured, Says: []string{token}},
		{Answer: providertest.JSON(400, `{"error":"invalid_request"}`), Code: "invalid_request", Class: misconfigured},
		row(401, 41, misconfigured, token), row(403, 50, misconfigured, "enabled"), row(405, 61, misconfigured), row(406, 62, misconfigured),
		{Answer: empty(404), Class: misconfigured, Says: []string{"tokenURL"}},
		row(429, 53, throttled),
		row(503, 5, providers.ClassNotSent), // no token, so nothing was sent
		{Answer: providertest.Page(200), Class: providers.ClassNotSent},
	})...)
}

// orangeOddSuccesses may have opened a page, and have none that can be used.
func orangeOddSuccesses() []providertest.Refusal {
	const page, long = `"payment_url":"https://webpayment.example/canary"`, 256
	var rows []providertest.Refusal
	for _, body := range []string{
		`"status":201,"message":"OK"`, `"pay_token":"canary","notif_token":"canary"`, page + `,"notif_token":"canary"`,
		`"pay_token":"",` + page, `"pay_token":7,` + page, `"pay_token":"a","pay_token":"b",` + page, `"pay_token":"a b",` + page,
		`"pay_token":"a","payment_url":"javascript:alert(1)"`, `"pay_token":"a","payment_url":"/canary"`,
		`"pay_token":"` + strings.Repeat("a", long) + `",` + page, `"pay_token":"a",` + page + `,"notif_token":"` + strings.Repeat("a", long) + `"`,
		`"code":1204,"message":"canary"`,
	} {
		rows = append(rows, providertest.Refusal{Answer: providertest.JSON(201, "{"+body+"}"), Class: unknown})
	}
	return rows
}

// orangeUnnamed: a word that a payment can end by, of an order that is not named, says nothing.
func orangeUnnamed() []providertest.Refusal {
	var rows []providertest.Refusal
	for _, word := range []string{"SUCCESS", "FAILED", "EXPIRED", "INITIATED"} {
		for _, rest := range []string{``, `,"order_id":null`, `,"order_id":""`, `,"message":"upstream timeout"`, `,"amount":5000,"currency":"XOF","txnid":"MP1"`} {
			rows = append(rows, providertest.Refusal{Answer: providertest.JSON(200, `{"status":"`+word+`"`+rest+`}`), Class: unknown})
		}
	}
	return rows
}

// orangeCallbacks: what proves the sender is the notif_token, which has no age (Orange
// Money Web Payment, notification).
func orangeCallbacks() *providertest.Callbacks {
	notification := func(token string) []byte {
		body, _ := json.Marshal(map[string]string{"status": "SUCCESS", "notif_token": token, "txnid": "MP150709.1341.A00073"})
		return body
	}
	// forged has another body, and is of a payment whose token is known or not.
	forged := func(known bool, body func(providers.CallbackRequest) []byte) func(providers.CallbackRequest) providers.CallbackRequest {
		return func(cb providers.CallbackRequest) providers.CallbackRequest {
			cb.Body = body(cb)
			if !known {
				cb.TokenHash = ""
			}
			return cb
		}
	}
	of := func(body []byte) func(providers.CallbackRequest) []byte {
		return func(providers.CallbackRequest) []byte { return body }
	}
	return &providertest.Callbacks{
		Claim: "status",
		Body:  func(p providertest.Payment) []byte { return notification(p.Initiation.NotificationToken.Reveal()) },
		Prove: func(body []byte, p providertest.Payment, _ time.Time) providers.CallbackRequest {
			return providers.CallbackRequest{Body: body, TokenHash: providers.HashToken(p.Initiation.NotificationToken)}
		},
		Forgeries: map[string]func(providers.CallbackRequest) providers.CallbackRequest{
			"no token":    forged(true, of([]byte(`{"status":"SUCCESS"}`))),
			"empty token": forged(true, of(notification(""))),
			"other token": forged(true, of(notification("a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4"))),
			"a number":    forged(true, of([]byte(`{"status":"SUCCESS","notif_token":7}`))),
			"token twice": forged(true, func(cb providers.CallbackRequest) []byte {
				return append([]byte(`{"notif_token":"x",`), cb.Body[1:]...)
			}),
			"the hash as the token":        forged(true, func(cb providers.CallbackRequest) []byte { return notification(cb.TokenHash) }),
			"nothing known, nothing sent":  forged(false, of([]byte(`{"status":"SUCCESS"}`))),
			"nothing known, nothing in it": forged(false, of(notification(""))),
			"nothing known":                forged(false, func(cb providers.CallbackRequest) []byte { return cb.Body }),
		},
	}
}
