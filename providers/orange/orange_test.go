package orange_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/transport"
)

type answer = wiretest.Answer

const ref = "aaaaaaaaaaaaaaaaaaaaaaaa"

var (
	// The string is as Orange was seen to send it.
	tokenAnswer  = answer{Status: 200, Body: `{"token_type":"Bearer","access_token":"canary-token-1","expires_in":"7776000"}`}
	tokenAnswer2 = answer{Status: 200, Body: `{"token_type":"Bearer","access_token":"canary-token-2","expires_in":3600,"scope":"x"}`}
	// Orange Money Web Payment, webpayment.
	opened = answer{Status: 201, Body: `{"status":201,"message":"OK","pay_token":"canary-pay","payment_url":"https://webpayment.example/payment/pay_token/canary-pay","notif_token":"canary-notif"}`}
	// Orange Money Web Payment, transactionstatus.
	paid = answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + ref + `","txnid":"MP150709.1341.A00073"}`}
)

func account(baseURL string) providers.Account {
	return providers.Account{
		BaseURL: baseURL, Environment: providers.Production, Country: "ci", MerchantName: "Épicerie Koné",
		Credentials: map[string]providers.Secret{
			orange.KeyClientID: "canary-id", orange.KeyClientSecret: "canary-secret", orange.KeyMerchant: "canary-merchant",
		},
	}
}

func client(t testing.TB, script ...answer) (providers.Provider, *wiretest.Server, *wiretest.Clock) {
	t.Helper()
	s, clock := wiretest.Start(t, script...), wiretest.NewClock()
	p, err := orange.Kind().New(account(s.URL+"/orange-money-webpay/ci/v1/"), transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p, s, clock
}

func request() providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}, Payer: "+2250701020304", Description: "Order",
		CallbackURL: "https://hooks.example/canary-path", ReturnURL: "https://shop.example/back", CancelURL: "https://shop.example/cancel",
	}
}

func handle() providers.Handle {
	return providers.Handle{Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}, Token: "canary-pay"}
}

func check(t testing.TB, err error, want providers.Error) {
	t.Helper()
	if err == nil {
		t.Fatal("want an error")
	}
	got := *providers.AsError(err)
	got.Operation, got.Fault, got.Field, got.Detail, got.Err = "", "", "", "", nil
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wiretest.NoCanary(t, fmt.Sprintf("%v %+v", err, err), "canary", "2250701020304", "http://", "https://", "Y2FuYXJ5")
}

func checkHeader(t testing.TB, r wiretest.Request, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// Orange Developer, OAuth 2.0 client credentials, v3.
func TestTokenRequest(t *testing.T) {
	p, s, _ := client(t, tokenAnswer)
	check := func(ctx context.Context) error {
		return p.(providers.AccountChecker).CheckAccount(ctx, providers.AccountCheck{})
	}
	for _, prepare := range []func(context.Context) error{p.(providers.Preparer).Prepare, check} {
		if err := prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r := s.Requests()[0]
	if r.Method != "POST" || r.URI != "/oauth/v3/token" || r.Body != "grant_type=client_credentials" {
		t.Errorf("%s %s %q", r.Method, r.URI, r.Body)
	}
	checkHeader(t, r, map[string]string{
		"Authorization": "Basic Y2FuYXJ5LWlkOmNhbmFyeS1zZWNyZXQ=",
		"Content-Type":  "application/x-www-form-urlencoded",
		"Accept":        "application/json",
	})
}

// Orange Money Web Payment, webpayment.
func TestInitiate(t *testing.T) {
	for _, status := range []int{201, 200} {
		success := opened
		success.Status = status
		p, s, _ := client(t, tokenAnswer, success)
		got, err := p.Initiate(t.Context(), request())
		want := providers.Initiation{
			Session:           providers.Session{Token: "canary-pay", PaymentURL: "https://webpayment.example/payment/pay_token/canary-pay"},
			NotificationToken: "canary-notif",
		}
		if err != nil || got != want {
			t.Errorf("HTTP %d: %+v, %v", status, got, err)
		}
		wiretest.NoCanary(t, fmt.Sprintf("%+v %#v", got, got), "canary", "webpayment.example")
		r := s.Requests()[1]
		if r.Method != "POST" || r.URI != "/orange-money-webpay/ci/v1/webpayment" {
			t.Errorf("%s %s", r.Method, r.URI)
		}
		checkHeader(t, r, map[string]string{
			"Authorization": "Bearer canary-token-1", "Accept": "application/json", "Content-Type": "application/json", "Idempotency-Key": "",
		})
		body := map[string]any{
			"merchant_key": "canary-merchant", "currency": "XOF", "order_id": ref, "amount": json.Number("5000"),
			"return_url": "https://shop.example/back", "cancel_url": "https://shop.example/cancel", "notif_url": "https://hooks.example/canary-path",
			"lang": "fr", "reference": "Epicerie Kone",
		}
		if sent := r.Object(t); !reflect.DeepEqual(sent, body) {
			t.Errorf("got %v, want %v", sent, body)
		}
	}
}

func TestInitiateFillsIn(t *testing.T) {
	for merchant, want := range map[string]string{
		"":                               ref,
		"日本":                             ref,
		strings.Repeat("Long name ", 10): "Long name Long name Long name",
	} {
		s := wiretest.Start(t, tokenAnswer, opened)
		a := account(s.URL + "/orange-money-webpay/ci/v1")
		a.MerchantName = merchant
		p, err := orange.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		req := request()
		req.CancelURL = ""
		if _, err := p.Initiate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		body := s.Requests()[1].Object(t)
		if body["cancel_url"] != req.ReturnURL || body["reference"] != want {
			t.Errorf("%q: cancel_url %v, reference %v", merchant, body["cancel_url"], body["reference"])
		}
	}
}

func TestInitiateRefusesBeforeSending(t *testing.T) {
	long := "https://hooks.example/" + strings.Repeat("a", 99)
	if len(long) != 121 {
		t.Fatal(len(long))
	}
	tests := map[string]struct {
		change func(*providers.InitiateRequest)
		class  providers.Class
	}{
		"no callback URL":   {func(r *providers.InitiateRequest) { r.CallbackURL = "" }, providers.ClassMisconfigured},
		"no return URL":     {func(r *providers.InitiateRequest) { r.ReturnURL = "" }, providers.ClassMisconfigured},
		"neither":           {func(r *providers.InitiateRequest) { r.ReturnURL, r.CancelURL = "", "" }, providers.ClassMisconfigured},
		"callback URL long": {func(r *providers.InitiateRequest) { r.CallbackURL = long }, providers.ClassMisconfigured},
		"return URL long":   {func(r *providers.InitiateRequest) { r.ReturnURL = long }, providers.ClassMisconfigured},
		"cancel URL long":   {func(r *providers.InitiateRequest) { r.CancelURL = long }, providers.ClassMisconfigured},
		"decimals":          {func(r *providers.InitiateRequest) { r.Money = providers.Money{Amount: "10.5", Currency: "EUR"} }, providers.ClassRejected},
		"no number":         {func(r *providers.InitiateRequest) { r.Money.Amount = `1,"lang":"en"` }, providers.ClassRejected},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p, s, _ := client(t)
			req := request()
			tt.change(&req)
			_, err := p.Initiate(t.Context(), req)
			check(t, err, providers.Error{Class: tt.class})
			if len(s.Requests()) != 0 {
				t.Error("something was sent")
			}
		})
	}
	p, _, _ := client(t, tokenAnswer, opened)
	req := request()
	req.CallbackURL = long[:120]
	if _, err := p.Initiate(t.Context(), req); err != nil {
		t.Errorf("120 characters are allowed: %v", err)
	}
}

func body(code string) string {
	return `{"code":` + code + `,"message":"canary","description":"canary"}`
}

// Orange Money Web Payment, error codes: what else may come back.
// The documented rows are in protocol_test.go.
func TestInitiateErrors(t *testing.T) {
	e := func(class providers.Class, code string, status int) providers.Error {
		return providers.Error{Class: class, Code: code, HTTPStatus: status}
	}
	tests := []struct {
		status int
		body   string
		want   providers.Error
	}{
		{400, body(`"24"`), e(providers.ClassRejected, "24", 400)},
		{400, body("99"), e(providers.ClassUnknown, "99", 400)},
		{400, "", e(providers.ClassUnknown, "", 400)},
		{403, body("1205"), e(providers.ClassUnknown, "1205", 403)},
		{403, "<html>", e(providers.ClassMisconfigured, "", 403)},
		{404, "<html>", e(providers.ClassMisconfigured, "", 404)},
		{403, body("53"), e(providers.ClassThrottled, "53", 403)},
		{500, "", e(providers.ClassUnknown, "", 500)},
		{502, body("1204"), e(providers.ClassUnknown, "1204", 502)},
		{500, body("1201"), e(providers.ClassUnknown, "1201", 500)},
		{403, `{"code":1204,"code":1201}`, e(providers.ClassMisconfigured, "", 403)},
		{408, "", e(providers.ClassUnknown, "", 408)},
		{409, "", e(providers.ClassUnknown, "", 409)},
		{302, "", e(providers.ClassUnknown, "", 302)},
		{202, opened.Body, e(providers.ClassUnknown, "", 202)},
		{204, "", e(providers.ClassUnknown, "", 204)},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.body), func(t *testing.T) {
			p, s, _ := client(t, tokenAnswer, answer{Status: tt.status, Body: tt.body})
			_, err := p.Initiate(t.Context(), request())
			check(t, err, tt.want)
			if len(s.Requests()) != 2 {
				t.Errorf("%v", s.Seen())
			}
		})
	}
}

func TestThrottledFor(t *testing.T) {
	p, _, _ := client(t, tokenAnswer, answer{Status: 429, Body: body("53"), Header: map[string]string{"Retry-After": "999999999"}})
	_, err := p.Initiate(t.Context(), request())
	check(t, err, providers.Error{Class: providers.ClassThrottled, Code: "53", HTTPStatus: 429, RetryAfter: 15 * time.Minute})
}

// A success without what it promises may have opened a page: not known.
func TestInitiateOddSuccess(t *testing.T) {
	bodies := []string{
		``, `<html>`, `{}`, `[]`, `{"status":201,"message":"OK"}`,
		`{"pay_token":"canary","notif_token":"canary"}`,
		`{"payment_url":"https://webpayment.example/canary","notif_token":"canary"}`,
		`{"pay_token":"","payment_url":"https://webpayment.example/canary"}`,
		`{"pay_token":7,"payment_url":"https://webpayment.example/canary"}`,
		`{"pay_token":"a","pay_token":"b","payment_url":"https://webpayment.example/canary"}`,
		`{"pay_token":"a","payment_url":"javascript:alert(1)"}`,
		`{"pay_token":"a","payment_url":"/canary"}`,
		`{"pay_token":"a b","payment_url":"https://webpayment.example/canary"}`,
		`{"pay_token":"` + strings.Repeat("a", 256) + `","payment_url":"https://webpayment.example/canary"}`,
		`{"pay_token":"a","payment_url":"https://webpayment.example/canary","notif_token":"` + strings.Repeat("a", 256) + `"}`,
		`{"code":1204,"message":"canary"}`,
		opened.Body[:60],
	}
	for _, text := range bodies {
		t.Run(text, func(t *testing.T) {
			p, _, _ := client(t, tokenAnswer, answer{Status: 201, Body: text})
			_, err := p.Initiate(t.Context(), request())
			check(t, err, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201})
		})
	}
	p, _, _ := client(t, tokenAnswer, answer{Lost: true})
	_, err := p.Initiate(t.Context(), request())
	check(t, err, providers.Error{Class: providers.ClassUnknown})
}

// Polling does without notif_token, and a pay_token may have 255 characters.
func TestInitiateWithLess(t *testing.T) {
	long := strings.Repeat("a", 255)
	p, _, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"pay_token":"` + long + `","payment_url":"https://webpayment.example/p"}`})
	got, err := p.Initiate(t.Context(), request())
	if err != nil || got.NotificationToken != "" || got.Token.Reveal() != long {
		t.Errorf("%v", err)
	}
}

// Orange Developer, API errors: 40, 41 and 42. An order that is refused so is void and not
// repeated; a question is, once.
func TestTokenRefused(t *testing.T) {
	for _, refused := range []answer{
		{Status: 401, Body: body("40")}, {Status: 401, Body: body("41")}, {Status: 401, Body: body("42")},
		{Status: 401, Body: `{"error":"invalid_token"}`}, {Status: 401}, {Status: 403, Body: body("42")},
	} {
		p, s, _ := client(t, tokenAnswer, opened, refused, tokenAnswer2, refused, tokenAnswer, refused, tokenAnswer2, paid, refused, tokenAnswer, refused)
		for i, want := range []providers.Class{"", providers.ClassNotSent, providers.ClassMisconfigured} {
			if _, err := p.Initiate(t.Context(), request()); (err == nil) != (want == "") || err != nil && providers.ClassOf(err) != want {
				t.Errorf("%+v: order %d: %v", refused, i+1, err)
			}
		}
		if _, err := p.Status(t.Context(), handle()); err != nil {
			t.Errorf("%+v: %v", refused, err)
		}
		sent := s.Requests()
		if len(sent) != 9 || sent[6].Body != sent[8].Body || sent[8].Header.Get("Authorization") != "Bearer canary-token-2" {
			t.Error("the same question must be repeated with the new token")
		}
		if _, err := p.Status(t.Context(), handle()); providers.ClassOf(err) != providers.ClassMisconfigured {
			t.Errorf("%+v: %v", refused, err)
		}
	}
}

func TestTokenAnswers(t *testing.T) {
	tests := []struct {
		answer answer
		want   providers.Error
	}{
		{answer{Status: 401, Body: `{"error":"invalid_client","error_description":"canary"}`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "invalid_client"}},
		{answer{Status: 401, Body: body("41")}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "41"}},
		{answer{Status: 400, Body: `{"error":"invalid_request"}`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 400, Code: "invalid_request"}},
		{answer{Status: 403, Body: body("50")}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 403, Code: "50"}},
		{answer{Status: 404}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 404}},
		{answer{Status: 406}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 406}},
		{answer{Status: 429, Header: map[string]string{"Retry-After": "60"}}, providers.Error{Class: providers.ClassThrottled, HTTPStatus: 429, RetryAfter: time.Minute}},
		{answer{Status: 503}, providers.Error{Class: providers.ClassNotSent, HTTPStatus: 503}},
		{answer{Status: 200, Body: "<html>"}, providers.Error{Class: providers.ClassNotSent, HTTPStatus: 200}},
		{answer{Lost: true}, providers.Error{Class: providers.ClassNotSent}},
	}
	for _, tt := range tests {
		p, _, _ := client(t, tt.answer, tt.answer, tt.answer)
		_, err := p.Initiate(t.Context(), request())
		check(t, err, tt.want)
		check(t, p.(providers.Preparer).Prepare(t.Context()), tt.want)
		check(t, p.(providers.AccountChecker).CheckAccount(t.Context(), providers.AccountCheck{}), tt.want)
	}
}

// Orange was seen to send expires_in as a string: 90 days, refreshed early.
func TestTokenLife(t *testing.T) {
	p, s, clock := client(t, tokenAnswer, paid, tokenAnswer2, paid)
	if _, err := p.Status(t.Context(), handle()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(90*24*time.Hour - 10*time.Minute)
	if _, err := p.Status(t.Context(), handle()); err != nil {
		t.Fatal(err)
	}
	if len(s.Requests()) != 4 {
		t.Errorf("%v", s.Seen())
	}
}

// Orange Money Web Payment, transactionstatus.
func TestStatusRequest(t *testing.T) {
	for _, status := range []int{201, 200} {
		success := paid
		success.Status = status
		p, s, _ := client(t, tokenAnswer, success)
		got, err := p.Status(t.Context(), handle())
		want := providers.Status{
			State: providers.StateSucceeded, Code: "SUCCESS", Reference: ref, TransactionID: "MP150709.1341.A00073",
			Money: providers.Money{Amount: "5000", Currency: "XOF"},
		}
		if err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
		r := s.Requests()[1]
		if r.Method != "POST" || r.URI != "/orange-money-webpay/ci/v1/transactionstatus" {
			t.Errorf("%s %s", r.Method, r.URI)
		}
		checkHeader(t, r, map[string]string{"Authorization": "Bearer canary-token-1", "Accept": "application/json", "Content-Type": "application/json"})
		question := map[string]any{"order_id": ref, "amount": json.Number("5000"), "pay_token": "canary-pay"}
		if sent := r.Object(t); !reflect.DeepEqual(sent, question) {
			t.Errorf("got %v, want %v", sent, question)
		}
	}
}

func TestStatusNeedsItsHandle(t *testing.T) {
	for _, change := range []func(*providers.Handle){
		func(h *providers.Handle) { h.Token = "" },
		func(h *providers.Handle) { h.Reference = "" },
		func(h *providers.Handle) { h.Money = providers.Money{} },
		func(h *providers.Handle) { h.Money.Amount = "10.5" },
	} {
		p, s, _ := client(t)
		h := handle()
		change(&h)
		_, err := p.Status(t.Context(), h)
		check(t, err, providers.Error{Class: providers.ClassUnknown})
		if len(s.Requests()) != 0 {
			t.Error("something was sent")
		}
	}
}

// Orange Money Web Payment, transactionstatus: status, beside the
// documented rows in protocol_test.go.
func TestStatusWords(t *testing.T) {
	tests := []struct {
		body string
		want providers.Status
	}{
		{`"status":"SUCCESSFUL"`, providers.Status{State: providers.StatePending, Code: "SUCCESSFUL", Unrecognized: true}},
		{`"status":"success"`, providers.Status{State: providers.StatePending, Code: "success", Unrecognized: true}},
		{`"status":"SUCCESS\u0000"`, providers.Status{State: providers.StatePending, Code: "SUCCESS", Unrecognized: true}},
		{`"status":null`, providers.Status{State: providers.StatePending, Unrecognized: true}},
		{`"x":1`, providers.Status{State: providers.StatePending, Unrecognized: true}},
		{`"status":"SUCCESS","order_id":"another"`, providers.Status{State: providers.StateSucceeded, Code: "SUCCESS", Reference: "another"}},
		{`"status":"SUCCESS","order_id":" ` + ref + `"`, providers.Status{State: providers.StateSucceeded, Code: "SUCCESS", Reference: "unreadable"}},
		{`"status":"PENDING","txnid":null`, providers.Status{State: providers.StatePending, Code: "PENDING"}},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) { checkStatus(t, "{"+tt.body+"}", tt.want) })
	}
}

// What is told of the money stands against the question's, so that other money is
// seen; what is not told is the question's.
func TestStatusMoney(t *testing.T) {
	none := providers.Money{}
	for fields, want := range map[string]providers.Money{
		``:                                   handle().Money,
		`,"amount":null,"currency":null`:     handle().Money,
		`,"amount":5000`:                     handle().Money,
		`,"amount":"5000"`:                   handle().Money,
		`,"amount":"5000.00"`:                handle().Money,
		`,"amount":5000.0,"currency":"XOF"`:  handle().Money,
		`,"amount":50`:                       {Amount: "50", Currency: "XOF"},
		`,"currency":"OUV"`:                  {Amount: "5000", Currency: "OUV"},
		`,"amount":"12.50","currency":"EUR"`: {Amount: "12.5", Currency: "EUR"},
		`,"amount":12.5,"currency":"EUR"`:    {Amount: "12.5", Currency: "EUR"},
		`,"amount":5e3`:                      none,
		`,"amount":"5 000"`:                  none,
		`,"amount":-5000`:                    none,
		`,"amount":0`:                        none,
		`,"currency":"xof"`:                  none,
	} {
		p, _, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + ref + `"` + fields + `}`})
		got, err := p.Status(t.Context(), handle())
		if err != nil || got.State != providers.StateSucceeded || got.Money != want || got.Money.Equal(handle().Money) != (want == handle().Money) {
			t.Errorf("%s: %+v, %v; want %v", fields, got, err, want)
		}
	}
}

// A word that a payment can end by, of an order that is not named, says nothing.
func TestStatusWithoutOrder(t *testing.T) {
	for _, word := range []string{"SUCCESS", "FAILED", "EXPIRED", "INITIATED"} {
		for _, rest := range []string{``, `,"order_id":null`, `,"order_id":""`, `,"message":"upstream timeout"`, `,"amount":5000,"currency":"XOF","txnid":"MP1"`} {
			p, _, _ := client(t, tokenAnswer, answer{Status: 200, Body: `{"status":"` + word + `"` + rest + `}`})
			got, err := p.Status(t.Context(), handle())
			if got != (providers.Status{}) {
				t.Errorf("%s%s: %+v", word, rest, got)
			}
			check(t, err, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200})
		}
	}
}

func checkStatus(t testing.TB, body string, want providers.Status) {
	t.Helper()
	want.Money = handle().Money // of the question
	p, _, _ := client(t, tokenAnswer, answer{Status: 201, Body: body})
	if got, err := p.Status(t.Context(), handle()); err != nil || got != want {
		t.Errorf("%s: got %+v, %v; want %+v", body, got, err, want)
	}
}

// An error says nothing about the payment.
func TestStatusErrors(t *testing.T) {
	tests := []struct {
		answer answer
		want   providers.Error
	}{
		{answer{Status: 429, Header: map[string]string{"Retry-After": "3"}}, providers.Error{Class: providers.ClassThrottled, HTTPStatus: 429, RetryAfter: 3 * time.Second}},
		{answer{Status: 201}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{answer{Status: 201, Body: "<html>SUCCESS</html>"}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{answer{Status: 201, Body: `{"status":"FAILED","status":"SUCCESS"}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"a`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{answer{Status: 201, Body: `{"status":201}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{answer{Lost: true}, providers.Error{Class: providers.ClassUnknown}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.answer.Status, tt.answer.Body), func(t *testing.T) {
			p, _, _ := client(t, tokenAnswer, tt.answer)
			_, err := p.Status(t.Context(), handle())
			check(t, err, tt.want)
		})
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct {
		name        string
		account     providers.Account
		base, token string
		says        string // of the error
	}{
		{"sandbox", providers.Account{Environment: "sandbox"}, "https://api.orange.com/orange-money-webpay/dev/v1", "https://api.orange.com/oauth/v3/token", ""},
		{"sandbox of a country", providers.Account{Environment: "sandbox", Country: "ci"}, "https://api.orange.com/orange-money-webpay/dev/v1", "https://api.orange.com/oauth/v3/token", ""},
		{"production", providers.Account{Environment: "production", Country: "ci"}, "https://api.orange.com/orange-money-webpay/ci/v1", "https://api.orange.com/oauth/v3/token", ""},
		{"other host", providers.Account{Environment: "sandbox", BaseURL: "http://127.0.0.1:8080/orange-money-webpay/dev/v1/"}, "http://127.0.0.1:8080/orange-money-webpay/dev/v1", "http://127.0.0.1:8080/oauth/v3/token", ""},
		{"behind a gateway", providers.Account{Environment: "sandbox", BaseURL: "https://gw.example/orange/orange-money-webpay/dev/v1"}, "https://gw.example/orange/orange-money-webpay/dev/v1", "https://gw.example/orange/oauth/v3/token", ""},
		{"other token path", providers.Account{Environment: "sandbox", TokenURL: "https://api.orange.com/oauth/v2/token"}, "https://api.orange.com/orange-money-webpay/dev/v1", "https://api.orange.com/oauth/v2/token", ""},
		{"no country", providers.Account{Environment: "production"}, "", "", "country"},
		{"country in capitals", providers.Account{Environment: "production", Country: "CI"}, "", "", "country"},
		{"country as a path", providers.Account{Environment: "production", Country: "../dev"}, "", "", "country"},
		{"no environment", providers.Account{}, "", "", "environment"},
		{"bad URL", providers.Account{Environment: "sandbox", BaseURL: "ftp://x"}, "", "", "baseURL"},
		{"K5e: a call's name", providers.Account{Environment: "production", Country: "ci", BaseURL: "https://api.orange.com/orange-money-webpay/ci/v1/webpayment"}, "", "", "without /webpayment"},
		{"K5e: the other call's", providers.Account{Environment: "sandbox", BaseURL: "https://api.orange.com/orange-money-webpay/dev/v1/transactionstatus/"}, "", "", "without /webpayment"},
		{"K5e: no country", providers.Account{Environment: "production", Country: "ci", BaseURL: "https://api.orange.com/orange-money-webpay/v1"}, "", "", "<country>/v1"},
		{"K5e: no version", providers.Account{Environment: "production", BaseURL: "https://api.orange.com/orange-money-webpay/ci"}, "", "", "<country>/v1"},
		{"K5e: no path", providers.Account{Environment: "production", Country: "ci", BaseURL: "https://api.orange.com"}, "", "", "<country>/v1"},
		{"K5e: dev in production", providers.Account{Environment: "production", BaseURL: "https://api.orange.com/orange-money-webpay/dev/v1"}, "", "", "contradict"},
		{"K5e: a country in the sandbox", providers.Account{Environment: "sandbox", BaseURL: "https://api.orange.com/orange-money-webpay/ci/v1"}, "", "", "contradict"},
		{"K5e: another country", providers.Account{Environment: "production", Country: "sn", BaseURL: "https://api.orange.com/orange-money-webpay/ci/v1"}, "", "", "contradict"},
		{"bad token URL", providers.Account{Environment: "sandbox", TokenURL: "token"}, "", "", "tokenURL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := orange.Kind().Endpoint(tt.account)
			if tt.says != "" {
				if providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v", err)
				}
				if _, err := orange.Kind().New(tt.account, nil, nil); providers.ClassOf(err) != providers.ClassMisconfigured {
					t.Errorf("New: %v", err)
				}
				return
			}
			if err != nil || got.BaseURL != tt.base || got.TokenURL != tt.token {
				t.Errorf("got %+v, %v", got, err)
			}
			if again, err := orange.Kind().Endpoint(got); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("a second time: %+v, %v", again, err)
			}
		})
	}
}

// Orange Money Web Payment, webpayment: URL. The country is a segment of the path.
func TestCountries(t *testing.T) {
	for _, country := range []string{"ci", "sn", "ml", "bf", "cm", "gn", "mg", "bw", "cd"} {
		got, err := orange.Kind().Endpoint(providers.Account{Environment: providers.Production, Country: country})
		if err != nil || got.BaseURL != "https://api.orange.com/orange-money-webpay/"+country+"/v1" {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// Some accounts take their tokens from version 2.
func TestTokenURL(t *testing.T) {
	s := wiretest.Start(t, tokenAnswer, opened)
	a := account(s.URL + "/orange-money-webpay/ci/v1")
	a.TokenURL = s.URL + "/oauth/v2/token"
	p, err := orange.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Initiate(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"POST /oauth/v2/token", "POST /orange-money-webpay/ci/v1/webpayment"}; !reflect.DeepEqual(s.Seen(), want) {
		t.Errorf("%v", s.Seen())
	}
}

func TestMissingCredentials(t *testing.T) {
	for _, key := range orange.Kind().CredentialKeys {
		a := account("https://orange.example/orange-money-webpay/ci/v1")
		delete(a.Credentials, key)
		if _, err := orange.Kind().New(a, nil, nil); providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWireMoney(t *testing.T) {
	tests := []struct {
		env              providers.Environment
		amount, currency string
		want             providers.Money
	}{
		{"sandbox", "5000", "XOF", providers.Money{Amount: "5000", Currency: "OUV"}},
		{"sandbox", "5000", "OUV", providers.Money{}},
		{"production", "5000.00", "GNF", providers.Money{Amount: "5000", Currency: "GNF"}},
		{"production", "10.50", "XOF", providers.Money{}},
		{"production", "10.50", "MGA", providers.Money{}},
		{"sandbox", "0.5", "EUR", providers.Money{}},
		{"production", "-5", "XOF", providers.Money{}},
	}
	for _, tt := range tests {
		got, err := orange.Kind().WireMoney(providers.Account{Environment: tt.env}, providers.Money{Amount: tt.amount, Currency: tt.currency})
		if got != tt.want || (err == nil) != (tt.want.Amount != "") || (err != nil && providers.ClassOf(err) != providers.ClassRejected) {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
}

// Frozen: a changed reference charges open payments again.
func TestReferenceVectors(t *testing.T) {
	ones := [32]byte{}
	for i := range ones {
		ones[i] = 0xff
	}
	for digest, want := range map[[32]byte]string{
		{}:                            "aaaaaaaaaaaaaaaaaaaaaaaa",
		ones:                          "777777777777777777777777",
		sha256.Sum256([]byte("abc")):  "xj4bnp4pahh6uqkbidpf3lrc",
		sha256.Sum256([]byte("1042")): "efw2ks2zggtng7gkryuzkm3b",
	} {
		if got := orange.Kind().Reference(digest); got != want {
			t.Errorf("%x: %s, want %s", digest, got, want)
		}
	}
}

func TestReferenceForm(t *testing.T) {
	form := regexp.MustCompile(`^[a-z2-7]{24}$`)
	rapid.Check(t, func(t *rapid.T) {
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		got := orange.Kind().Reference(digest)
		if !form.MatchString(got) || len(got) > 24 {
			t.Fatal(got)
		}
		other := digest
		other[rapid.IntRange(0, 14).Draw(t, "byte")] ^= 1
		if orange.Kind().Reference(other) == got {
			t.Fatal("two digests, one reference")
		}
	})
}

func TestTraits(t *testing.T) {
	want := providers.Traits{
		Flow: providers.FlowRedirect, Recovery: providers.RecoverByRepeat, SessionLife: 10 * time.Minute,
		Deduplicates: true, RefusalIsFinal: true, StatusNeedsToken: true,
		NeedsCallbackURL: true, NeedsReturnURL: true, MaxURL: 120, Refund: providers.RefundManual,
	}
	p, _, _ := client(t)
	if p.Traits() != want || orange.Kind().Traits != want {
		t.Errorf("%+v", p.Traits())
	}
	if _, ok := p.(providers.Refunder); ok {
		t.Error("Orange has no refunds")
	}
}

// Orange Money Web Payment, notification.
func TestCallbacks(t *testing.T) {
	parse := func(body, hash string) (providers.Callback, error) {
		return orange.Kind().Callbacks.ParseCallback(providers.CallbackRequest{Body: []byte(body), TokenHash: hash})
	}
	hash := providers.HashToken("canary-notif")
	got, err := parse(`{"status":"SUCCESS","notif_token":"canary-notif","txnid":"MP1"}`, hash)
	if err != nil || got != (providers.Callback{Claim: "SUCCESS"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err = parse(`{"notif_token":"canary-notif"}`, hash); err != nil || got != (providers.Callback{}) {
		t.Errorf("%+v, %v", got, err)
	}
	bad := map[string]string{
		`{"status":"SUCCESS","notif_token":"canary-other"}`:                              hash,
		`{"status":"SUCCESS","notif_token":""}`:                                          hash,
		`{"status":"SUCCESS"}`:                                                           hash,
		`{"status":"SUCCESS","notif_token":"canary-notif"}`:                              "",
		`{"status":"FAILED","notif_token":""}`:                                           "",
		`{"status":"SUCCESS","notif_token":"` + hash + `"}`:                              hash,
		`{"status":"SUCCESS","notif_token":"canary-other","notif_token":"canary-notif"}`: hash,
		`{"status":"SUCCESS","notif_token":7}`:                                           hash,
		`<html>canary-notif</html>`:                                                      hash,
		``:                                                                               hash,
	}
	for body, hash := range bad {
		got, err := parse(body, hash)
		if !errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		} else {
			wiretest.NoCanary(t, err.Error(), "canary", hash+"x")
		}
	}
}
