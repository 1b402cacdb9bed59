package mtn_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/transport"
)

type answer = wiretest.Answer

const ref = "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10"

var (
	tokenAnswer  = answer{Status: 200, Body: `{"access_token":"canary-token-1","token_type":"access_token","expires_in":3600}`}
	tokenAnswer2 = answer{Status: 200, Body: `{"access_token":"canary-token-2","token_type":"Bearer","expires_in":3600}`}
	accepted     = answer{Status: 202}
	// MTN MoMo Collection API, requesttopay-referenceId-GET.
	successful = answer{Status: 200, Body: `{"financialTransactionId":"363440463","externalId":"` + ref + `","amount":"5000","currency":"XOF",
		"payer":{"partyIdType":"MSISDN","partyId":"2250501020304"},"payerMessage":"Order 1042","payeeNote":"Order 1042","status":"SUCCESSFUL"}`}
)

func account(baseURL string) providers.Account {
	return providers.Account{
		BaseURL: baseURL, Environment: providers.Production, TargetEnvironment: "mtnivorycoast",
		Credentials: map[string]providers.Secret{
			mtn.KeySubscription: "canary-subscription", mtn.KeyUserID: "canary-user=", mtn.KeyAPISecret: "canary-secret",
			mtn.KeyDisbursementSubscription: "canary-sub-2", mtn.KeyDisbursementUserID: "canary-user-2=", mtn.KeyDisbursementAPISecret: "canary-secret-2",
		},
	}
}

func client(t testing.TB, script ...answer) (*mtn.Provider, *wiretest.Server, *wiretest.Clock) {
	t.Helper()
	s, clock := wiretest.Start(t, script...), wiretest.NewClock()
	p, err := mtn.Kind().New(account(s.URL+"/"), transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*mtn.Provider), s, clock
}

func request() providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}, Payer: "+2250501020304",
		Description: "Café d'Abidjan", CallbackURL: "https://hooks.example/canary-path",
	}
}

func handle() providers.Handle {
	return providers.Handle{Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}}
}

const refundRef = "5f0c7c4e-7a54-4d0c-8f38-6a2b6c0f6f11"

func refundRequest() providers.RefundRequest {
	return providers.RefundRequest{RefundHandle: refundHandle(), Description: "Remboursement de l'été"}
}

// refundHandle names a refund of a part of the payment.
func refundHandle() providers.RefundHandle {
	return providers.RefundHandle{Reference: refundRef, Money: providers.Money{Amount: "1500", Currency: "XOF"}, Payment: handle()}
}

type call = func(context.Context, *mtn.Provider) error

// posts are the calls that ask for money to move, gets those that ask how it
// went; what MTN answers means the same in both of each.
func posts() map[string]call {
	return map[string]call{
		"requesttopay": func(ctx context.Context, p *mtn.Provider) error {
			_, err := p.Initiate(ctx, request())
			return err
		},
		"refund": func(ctx context.Context, p *mtn.Provider) error { return p.Refund(ctx, refundRequest()) },
	}
}

func gets() map[string]call {
	return map[string]call{
		"requesttopay status": func(ctx context.Context, p *mtn.Provider) error {
			_, err := p.Status(ctx, handle())
			return err
		},
		"refund status": func(ctx context.Context, p *mtn.Provider) error {
			_, err := p.RefundStatus(ctx, refundHandle())
			return err
		},
	}
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
	wiretest.NoCanary(t, fmt.Sprintf("%v %+v", err, err), "canary", "2250501020304", "http://", "Y2FuYXJ5")
}

// MTN MoMo API, CreateAccessToken: of each product with its own credentials.
func TestTokenRequest(t *testing.T) {
	for path, want := range map[string]struct {
		prepare             func(context.Context, *mtn.Provider) error
		subscription, basic string
	}{
		// printf canary-user=:canary-secret | base64: the raw bytes, not URL-encoded
		"/collection/token/": {func(ctx context.Context, p *mtn.Provider) error { return p.Prepare(ctx) }, "canary-subscription", "Y2FuYXJ5LXVzZXI9OmNhbmFyeS1zZWNyZXQ="},
		// printf canary-user-2=:canary-secret-2 | base64
		"/disbursement/token/": {func(ctx context.Context, p *mtn.Provider) error { return p.PrepareRefund(ctx) }, "canary-sub-2", "Y2FuYXJ5LXVzZXItMj06Y2FuYXJ5LXNlY3JldC0y"},
	} {
		p, s, _ := client(t, tokenAnswer)
		for range 2 { // the second time it is kept
			if err := want.prepare(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		r := s.Requests()[0]
		if r.Method != "POST" || r.URI != path {
			t.Errorf("%s %s", r.Method, r.URI)
		}
		checkHeader(t, r, map[string]string{
			"Authorization":             "Basic " + want.basic,
			"Ocp-Apim-Subscription-Key": want.subscription,
			"X-Target-Environment":      "mtnivorycoast",
			"Content-Length":            "0",
			"Content-Type":              "",
		})
		if r.Body != "" || len(r.TransferEncoding) != 0 {
			t.Errorf("body %q, encoding %v", r.Body, r.TransferEncoding)
		}
		if !strings.HasPrefix(r.Header.Get("User-Agent"), "mobile-money-operator/") {
			t.Errorf("User-Agent %q", r.Header.Get("User-Agent"))
		}
	}
}

func checkHeader(t testing.TB, r wiretest.Request, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := r.Header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// MTN MoMo Collection API, requesttopay-POST.
func TestInitiateRequest(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, accepted)
	got, err := p.Initiate(t.Context(), request())
	if err != nil || got != (providers.Initiation{}) {
		t.Fatalf("%+v, %v", got, err)
	}
	r := s.Requests()[1]
	if r.Method != "POST" || r.URI != "/collection/v1_0/requesttopay" {
		t.Errorf("%s %s", r.Method, r.URI)
	}
	checkHeader(t, r, map[string]string{
		"Authorization":             "Bearer canary-token-1",
		"X-Reference-Id":            ref,
		"X-Target-Environment":      "mtnivorycoast",
		"Ocp-Apim-Subscription-Key": "canary-subscription",
		"Content-Type":              "application/json",
		"X-Callback-Url":            "https://hooks.example/canary-path",
		"Idempotency-Key":           "",
	})
	want := map[string]any{
		"amount": "5000", "currency": "XOF", "externalId": ref,
		"payer":        map[string]any{"partyIdType": "MSISDN", "partyId": "2250501020304"},
		"payerMessage": "Cafe d Abidjan", "payeeNote": "Cafe d Abidjan",
	}
	if body := r.Object(t); !reflect.DeepEqual(body, want) {
		t.Errorf("got %v, want %v", body, want)
	}
}

func TestInitiateLeavesOutWhatIsEmpty(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, accepted)
	req := request()
	req.CallbackURL, req.Description = "", "日本"
	if _, err := p.Initiate(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	r := s.Requests()[1]
	if _, sent := r.Header["X-Callback-Url"]; sent {
		t.Error("an empty X-Callback-Url is refused by MTN")
	}
	body := r.Object(t)
	for _, field := range []string{"payerMessage", "payeeNote"} {
		if _, sent := body[field]; sent {
			t.Errorf("%s was sent empty", field)
		}
	}
}

func TestInitiateRefusesBeforeSending(t *testing.T) {
	tests := map[string]func(*providers.InitiateRequest){
		"no phone":          func(r *providers.InitiateRequest) { r.Payer = "" },
		"local phone":       func(r *providers.InitiateRequest) { r.Payer = "0501020304" },
		"phone with spaces": func(r *providers.InitiateRequest) { r.Payer = "+225 0501020304" },
		"unicode digits":    func(r *providers.InitiateRequest) { r.Payer = "+٢٢٥٠٥٠١٠٢٠٣٠٤" },
		"too long":          func(r *providers.InitiateRequest) { r.Payer = "+1234567890123456" },
		"no amount":         func(r *providers.InitiateRequest) { r.Money.Amount = "" },
		"decimals":          func(r *providers.InitiateRequest) { r.Money.Amount = "10.5" },
		"exponent":          func(r *providers.InitiateRequest) { r.Money.Amount = "1e3" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			p, s, _ := client(t)
			req := request()
			change(&req)
			_, err := p.Initiate(t.Context(), req)
			check(t, err, providers.Error{Class: providers.ClassRejected})
			if len(s.Requests()) != 0 {
				t.Error("something was sent")
			}
		})
	}
}

// MTN MoMo API, response codes: what else may come back. The documented rows are
// in protocol_test.go.
func TestAnswersToPosts(t *testing.T) {
	momo := func(code string) string { return `{"message":"canary","code":"` + code + `"}` }
	tests := []struct {
		name   string
		answer answer
		want   providers.Error
	}{
		{"400 with a code that is not listed", answer{Status: 400, Body: momo("OTHER")}, providers.Error{Class: providers.ClassRejected, Code: "OTHER", HTTPStatus: 400}},
		{"400 that decides nothing", answer{Status: 400, Body: momo("INTERNAL_PROCESSING_ERROR")}, providers.Error{Class: providers.ClassUnknown, Code: "INTERNAL_PROCESSING_ERROR", HTTPStatus: 400}},
		{"400 for a known reference", answer{Status: 400, Body: momo("RESOURCE_ALREADY_EXIST")}, providers.Error{Class: providers.ClassAlreadyExists, Code: "RESOURCE_ALREADY_EXIST", HTTPStatus: 400}},
		{"404 wrong host", answer{Status: 404, Body: `{"statusCode":404,"message":"Resource not found"}`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 404}},
		{"409 empty", answer{Status: 409}, providers.Error{Class: providers.ClassAlreadyExists, HTTPStatus: 409}},
		{"500 no payee", answer{Status: 500, Body: momo("PAYEE_NOT_FOUND")}, providers.Error{Class: providers.ClassRejected, Code: "PAYEE_NOT_FOUND", HTTPStatus: 500, Failure: providers.FailureNotAllowed}},
		{"500 funds", answer{Status: 500, Body: momo("NOT_ENOUGH_FUNDS")}, providers.Error{Class: providers.ClassRejected, Code: "NOT_ENOUGH_FUNDS", HTTPStatus: 500, Failure: providers.FailureInsufficientFunds}},
		{"500 limit", answer{Status: 500, Body: momo("PAYER_LIMIT_REACHED")}, providers.Error{Class: providers.ClassRejected, Code: "PAYER_LIMIT_REACHED", HTTPStatus: 500, Failure: providers.FailureLimitReached}},
		{"500 code not listed", answer{Status: 500, Body: momo("APPROVAL_REJECTED")}, providers.Error{Class: providers.ClassUnknown, Code: "APPROVAL_REJECTED", HTTPStatus: 500}},
		{"500 code twice", answer{Status: 500, Body: `{"code":"NOT_ALLOWED","code":"PAYER_NOT_FOUND"}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 500}},
		{"500 code of another type", answer{Status: 500, Body: `{"code":["PAYER_NOT_FOUND"]}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 500}},
		{"500 empty", answer{Status: 500}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 500}},
		{"502 page", answer{Status: 502, Body: "<html>"}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 502}},
		{"502 with a code", answer{Status: 502, Body: momo("PAYER_NOT_FOUND")}, providers.Error{Class: providers.ClassUnknown, Code: "PAYER_NOT_FOUND", HTTPStatus: 502}},
		{"504", answer{Status: 504}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 504}},
		{"408", answer{Status: 408}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 408}},
		{"411", answer{Status: 411, Body: "<html>"}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 411}},
		{"307", answer{Status: 307, Header: map[string]string{"Location": "/canary"}}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 307}},
		{"200", answer{Status: 200}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"201", answer{Status: 201}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201}},
		{"204", answer{Status: 204}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 204}},
		{"202 page", answer{Status: 202, Body: "<html>Request Rejected</html>"}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 202}},
		{"lost", answer{Lost: true}, providers.Error{Class: providers.ClassUnknown}},
	}
	for _, tt := range tests {
		for op, send := range posts() {
			t.Run(op+" "+tt.name, func(t *testing.T) {
				p, s, _ := client(t, tokenAnswer, tt.answer)
				check(t, send(t.Context(), p), tt.want)
				if n := len(s.Requests()); n != 2 {
					t.Errorf("%d requests, want a token and one send", n)
				}
			})
		}
	}
}

func TestInitiateNotSent(t *testing.T) {
	p, _, _ := client(t, tokenAnswer)
	if err := p.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Initiate(ctx, request())
	check(t, err, providers.Error{Class: providers.ClassNotSent})
}

// A 401 is void: a request for money is not repeated, and the next one has another token. A
// question is repeated once.
func Test401(t *testing.T) {
	refused := answer{Status: 401, Body: `{"statusCode":401,"message":"canary"}`}
	misconfigured := providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401}
	early := providers.Error{Class: providers.ClassNotSent, HTTPStatus: 401}
	for op, send := range posts() {
		t.Run(op, func(t *testing.T) {
			p, s, _ := client(t, tokenAnswer, accepted, refused, tokenAnswer2, refused, tokenAnswer, accepted)
			for i, want := range []*providers.Error{nil, &early, &misconfigured, nil} {
				if err := send(t.Context(), p); want != nil {
					check(t, err, *want)
				} else if err != nil {
					t.Errorf("send %d: %v", i, err)
				}
			}
			sent := s.Requests()
			if len(sent) != 7 || sent[4].Header.Get("Authorization") != "Bearer canary-token-2" {
				t.Errorf("%v", s.Seen())
			}
		})
	}
	for op, ask := range gets() {
		t.Run(op, func(t *testing.T) {
			p, s, _ := client(t, tokenAnswer, refused, tokenAnswer2, refused, tokenAnswer, refused, tokenAnswer2, successful)
			check(t, ask(t.Context(), p), misconfigured)
			if err := ask(t.Context(), p); err != nil || len(s.Requests()) != 8 {
				t.Errorf("%v, %v", err, s.Seen())
			}
		})
	}
	t.Run("then no token", func(t *testing.T) {
		p, _, _ := client(t, tokenAnswer, refused, answer{Lost: true})
		_, err := p.Status(t.Context(), handle())
		check(t, err, providers.Error{Class: providers.ClassNotSent})
	})
}

// Without a token no money was asked for.
func TestTokenAnswers(t *testing.T) {
	tests := []struct {
		name   string
		answer answer
		want   providers.Error
	}{
		{"wrong pair", answer{Status: 401, Body: `{"error":"invalid_client"}`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "invalid_client"}},
		{"no target", answer{Status: 400, Body: `{"error":"Invalid or missing X-Target-Environment header"}`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 400}},
		{"firewall", answer{Status: 403, Body: `<html>`}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 403}},
		{"wrong host", answer{Status: 404}, providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 404}},
		{"throttled", answer{Status: 429, Header: map[string]string{"Retry-After": "5"}}, providers.Error{Class: providers.ClassThrottled, HTTPStatus: 429, RetryAfter: 5 * time.Second}},
		{"broken", answer{Status: 500}, providers.Error{Class: providers.ClassNotSent, HTTPStatus: 500}},
		{"page", answer{Status: 200, Body: `<html>Request Rejected</html>`}, providers.Error{Class: providers.ClassNotSent, HTTPStatus: 200}},
		{"empty", answer{Status: 200, Body: `{}`}, providers.Error{Class: providers.ClassNotSent, HTTPStatus: 200}},
		{"lost", answer{Lost: true}, providers.Error{Class: providers.ClassNotSent}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, s, _ := client(t, tt.answer, tt.answer, tt.answer, tt.answer)
			for _, send := range posts() {
				check(t, send(t.Context(), p), tt.want)
			}
			check(t, p.Prepare(t.Context()), tt.want)
			check(t, p.PrepareRefund(t.Context()), tt.want)
			if len(s.Requests()) != 4 {
				t.Errorf("%v", s.Seen())
			}
		})
	}
}

func TestOneTokenForManyCalls(t *testing.T) {
	p, s, clock := client(t, tokenAnswer, accepted, successful, tokenAnswer2, successful)
	if _, err := p.Initiate(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(50*time.Minute - time.Second)
	if _, err := p.Status(t.Context(), handle()); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second) // ten minutes before its end
	if _, err := p.Status(t.Context(), handle()); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests()[4].Header.Get("Authorization"); got != "Bearer canary-token-2" {
		t.Error("the token was not replaced early")
	}
}

func TestStatusRequest(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, successful)
	got, err := p.Status(t.Context(), handle())
	if err != nil {
		t.Fatal(err)
	}
	want := providers.Status{
		State: providers.StateSucceeded, Code: "SUCCESSFUL", Reference: ref, TransactionID: "363440463",
		Money: providers.Money{Amount: "5000", Currency: "XOF"},
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r := s.Requests()[1]
	if r.Method != "GET" || r.URI != "/collection/v1_0/requesttopay/"+ref || r.Body != "" {
		t.Errorf("%s %s %q", r.Method, r.URI, r.Body)
	}
	checkHeader(t, r, map[string]string{
		"Authorization": "Bearer canary-token-1", "X-Target-Environment": "mtnivorycoast",
		"Ocp-Apim-Subscription-Key": "canary-subscription", "X-Callback-Url": "", "X-Reference-Id": "",
	})
}

// MTN MoMo Collection API, requesttopay-referenceId-GET: status and reason,
// beside the documented rows in protocol_test.go.
func TestStatusWords(t *testing.T) {
	failed := func(code string, f providers.FailureReason) providers.Status {
		return providers.Status{State: providers.StateFailed, Code: code, Failure: f}
	}
	tests := []struct {
		body string
		want providers.Status
	}{
		{`"status":"SUCCESSFUL","reason":"EXPIRED"`, providers.Status{State: providers.StateSucceeded, Code: "SUCCESSFUL"}},
		{`"status":"PENDING","reason":"EXPIRED"`, providers.Status{State: providers.StatePending, Code: "PENDING"}},
		{`"status":"FAILED","reason":{"code":"EXPIRED","message":"canary"}`, providers.Status{State: providers.StateExpired, Code: "EXPIRED"}},
		{`"status":"FAILED","reason":"APPROVAL_REJECTED"`, failed("APPROVAL_REJECTED", providers.FailurePayerDeclined)},
		{`"status":"FAILED","reason":{"code":"APPROVAL_REJECTED","message":"canary"}`, failed("APPROVAL_REJECTED", providers.FailurePayerDeclined)},
		{`"status":"FAILED","reason":"PAYMENT_NOT_APPROVED"`, failed("PAYMENT_NOT_APPROVED", providers.FailurePayerDeclined)},
		{`"status":"FAILED","reason":"NOT_ENOUGH_FUNDS"`, failed("NOT_ENOUGH_FUNDS", providers.FailureInsufficientFunds)},
		{`"status":"FAILED","reason":"LOW_BALANCE_OR_PAYEE_LIMIT_REACHED_OR_NOT_ALLOWED"`, failed("LOW_BALANCE_OR_PAYEE_LIMIT_REACHED_OR_NOT_ALLOWED", providers.FailureInsufficientFunds)},
		{`"status":"FAILED","reason":"PAYER_NOT_FOUND"`, failed("PAYER_NOT_FOUND", providers.FailurePayerNotFound)},
		{`"status":"FAILED","reason":"PAYER_LIMIT_REACHED"`, failed("PAYER_LIMIT_REACHED", providers.FailureLimitReached)},
		{`"status":"FAILED","reason":"PAYEE_LIMIT_REACHED"`, failed("PAYEE_LIMIT_REACHED", providers.FailureLimitReached)},
		{`"status":"FAILED","reason":"PAYEE_NOT_ALLOWED_TO_RECEIVE"`, failed("PAYEE_NOT_ALLOWED_TO_RECEIVE", providers.FailureNotAllowed)},
		{`"status":"FAILED","reason":"PAYEE_NOT_FOUND"`, failed("PAYEE_NOT_FOUND", providers.FailureNotAllowed)},
		{`"status":"FAILED","reason":"NOT_ALLOWED"`, failed("NOT_ALLOWED", providers.FailureNotAllowed)},
		{`"status":"FAILED","reason":"NOT_ALLOWED_TARGET_ENVIRONMENT"`, failed("NOT_ALLOWED_TARGET_ENVIRONMENT", providers.FailureNotAllowed)},
		{`"status":"FAILED","reason":"SENDER_ACCOUNT_NOT_ACTIVE"`, failed("SENDER_ACCOUNT_NOT_ACTIVE", providers.FailureNotAllowed)},
		{`"status":"FAILED","reason":"SERVICE_UNAVAILABLE"`, failed("SERVICE_UNAVAILABLE", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"INVALID_CALLBACK_URL_HOST"`, failed("INVALID_CALLBACK_URL_HOST", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"INVALID_CURRENCY"`, failed("INVALID_CURRENCY", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"RESOURCE_NOT_FOUND"`, failed("RESOURCE_NOT_FOUND", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"RESOURCE_ALREADY_EXIST"`, failed("RESOURCE_ALREADY_EXIST", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"TRANSACTION_NOT_FOUND"`, failed("TRANSACTION_NOT_FOUND", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"VALIDATION_ERROR"`, failed("VALIDATION_ERROR", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":"TRANSACTION_CANCELED"`, failed("TRANSACTION_CANCELED", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":null`, failed("FAILED", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":{}`, failed("FAILED", providers.FailureProviderRefused)},
		{`"status":"FAILED","reason":7`, failed("FAILED", providers.FailureProviderRefused)},
		{`"status":"REJECTED"`, providers.Status{State: providers.StatePending, Unrecognized: true, Code: "REJECTED"}},
		{`"status":"TIMEOUT"`, providers.Status{State: providers.StatePending, Unrecognized: true, Code: "TIMEOUT"}},
		{`"status":"successful"`, providers.Status{State: providers.StatePending, Unrecognized: true, Code: "successful"}},
		{`"status":"SUCCESSFUL "`, providers.Status{State: providers.StatePending, Unrecognized: true, Code: "SUCCESSFUL"}},
		{`"status":""`, providers.Status{State: providers.StatePending, Unrecognized: true}},
		{`"status":null`, providers.Status{State: providers.StatePending, Unrecognized: true}},
		{`"other":1`, providers.Status{State: providers.StatePending, Unrecognized: true}},
	}
	for _, tt := range tests {
		t.Run(tt.body, func(t *testing.T) { checkStatus(t, "{"+tt.body+"}", tt.want) })
	}
}

// What is missing or odd must not look equal to what was asked for.
func TestStatusEchoes(t *testing.T) {
	tests := map[string]providers.Status{
		`"amount":"12.50","currency":"EUR"`:          {Money: providers.Money{Amount: "12.5", Currency: "EUR"}},
		`"amount":"5000"`:                            {},
		`"currency":"XOF"`:                           {},
		`"amount":"","currency":"XOF"`:               {},
		`"amount":"5,000","currency":"XOF"`:          {},
		`"amount":"5000","currency":"xof"`:           {},
		`"externalId":"a b","amount":null`:           {Reference: "unreadable"},
		`"externalId":42,"financialTransactionId":7`: {Reference: "42", TransactionID: "7"},
		`"financialTransactionId":"7 <b>"`:           {TransactionID: "7b"},
	}
	for body, want := range tests {
		want.State, want.Code = providers.StateSucceeded, "SUCCESSFUL"
		checkStatus(t, `{"status":"SUCCESSFUL",`+body+"}", want)
	}
}

// checkStatus asks for a payment and for a refund, which read the same, but that
// nobody lets a refund expire.
func checkStatus(t testing.TB, body string, want providers.Status) {
	t.Helper()
	p, _, _ := client(t, tokenAnswer, answer{Status: 200, Body: body}, tokenAnswer2, answer{Status: 200, Body: body})
	got, err := p.Status(t.Context(), handle())
	if err != nil || got != want {
		t.Errorf("%s: got %+v, %v; want %+v", body, got, err, want)
	}
	if want.State == providers.StateExpired {
		want.State, want.Failure = providers.StateFailed, providers.FailureProviderRefused
	}
	got, err = p.RefundStatus(t.Context(), refundHandle())
	if err != nil || got != want {
		t.Errorf("%s: of a refund: got %+v, %v; want %+v", body, got, err, want)
	}
}

func TestStatusErrors(t *testing.T) {
	tests := []struct {
		name   string
		answer answer
		want   providers.Error
	}{
		{"404 page", answer{Status: 404, Body: "<html>"}, providers.Error{Class: providers.ClassNotFound, HTTPStatus: 404}},
		{"409", answer{Status: 409}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 409}},
		{"500 payer", answer{Status: 500, Body: `{"code":"PAYER_NOT_FOUND"}`}, providers.Error{Class: providers.ClassUnknown, Code: "PAYER_NOT_FOUND", HTTPStatus: 500}},
		{"500 not allowed", answer{Status: 500, Body: `{"code":"NOT_ALLOWED"}`}, providers.Error{Class: providers.ClassMisconfigured, Code: "NOT_ALLOWED", HTTPStatus: 500}},
		{"202", answer{Status: 202, Body: `{"status":"SUCCESSFUL"}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 202}},
		{"page", answer{Status: 200, Body: `<html>SUCCESSFUL</html>`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"empty", answer{Status: 200}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"cut short", answer{Status: 200, Body: `{"status":"SUCCESSFUL","amount":"50`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"status twice", answer{Status: 200, Body: `{"status":"FAILED","status":"SUCCESSFUL"}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"amount a number", answer{Status: 200, Body: `{"status":"SUCCESSFUL","amount":5000}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"status a number", answer{Status: 200, Body: `{"status":1}`}, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200}},
		{"lost", answer{Lost: true}, providers.Error{Class: providers.ClassUnknown}},
	}
	for _, tt := range tests {
		for op, ask := range gets() {
			t.Run(op+" "+tt.name, func(t *testing.T) {
				p, _, _ := client(t, tokenAnswer, tt.answer)
				check(t, ask(t.Context(), p), tt.want)
			})
		}
	}
	p, _, _ := client(t)
	_, err := p.Status(t.Context(), providers.Handle{})
	check(t, err, providers.Error{Class: providers.ClassUnknown})
	_, err = p.RefundStatus(t.Context(), providers.RefundHandle{})
	check(t, err, providers.Error{Class: providers.ClassUnknown})
}

func TestReferenceCannotChangeThePath(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, answer{Status: 404}, tokenAnswer, answer{Status: 404})
	_, _ = p.Status(t.Context(), providers.Handle{Reference: "../token/?x#y"})
	_, _ = p.RefundStatus(t.Context(), providers.RefundHandle{Reference: "../token/?x#y"})
	if got := s.Requests()[1].URI; got != "/collection/v1_0/requesttopay/..%2Ftoken%2F%3Fx%23y" {
		t.Error(got)
	}
	if got := s.Requests()[3].URI; got != "/disbursement/v1_0/refund/..%2Ftoken%2F%3Fx%23y" {
		t.Error(got)
	}
}

func TestEndpoint(t *testing.T) {
	tests := []struct {
		name         string
		account      providers.Account
		base, target string
		says         string // of the error
	}{
		{"sandbox", providers.Account{Environment: "sandbox"}, "https://sandbox.momodeveloper.mtn.com", "sandbox", ""},
		{"sandbox named", providers.Account{Environment: "sandbox", TargetEnvironment: "sandbox"}, "https://sandbox.momodeveloper.mtn.com", "sandbox", ""},
		{"production", providers.Account{Environment: "production", TargetEnvironment: "mtncameroon"}, "https://proxy.momoapi.mtn.com", "mtncameroon", ""},
		{"legacy platform", providers.Account{Environment: "production", TargetEnvironment: "mtncameroon", BaseURL: "https://proxy.momoapi.mtn.com"}, "https://proxy.momoapi.mtn.com", "mtncameroon", ""},
		{"new platform", providers.Account{Environment: "production", TargetEnvironment: "mtncameroon", BaseURL: "https://momoapi.momo.africa/"}, "https://momoapi.momo.africa", "mtncameroon", ""},
		{"no target", providers.Account{Environment: "production"}, "", "", "targetEnvironment"},
		{"the word", providers.Account{Environment: "production", TargetEnvironment: "production"}, "", "", "targetEnvironment"},
		{"the word in capitals", providers.Account{Environment: "production", TargetEnvironment: "Production"}, "", "", "targetEnvironment"},
		{"sandbox in production", providers.Account{Environment: "production", TargetEnvironment: "sandbox"}, "", "", "targetEnvironment"},
		{"production in sandbox", providers.Account{Environment: "sandbox", TargetEnvironment: "mtncameroon"}, "", "", "targetEnvironment"},
		{"header injection", providers.Account{Environment: "production", TargetEnvironment: "a\r\nX: y"}, "", "", "targetEnvironment"},
		{"no environment", providers.Account{}, "", "", "environment"},
		{"bad URL", providers.Account{Environment: "sandbox", BaseURL: "momo.example"}, "", "", "baseURL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mtn.Kind().Endpoint(tt.account)
			if tt.says != "" {
				if providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("got %v", err)
				}
				if _, err := mtn.Kind().New(tt.account, nil, nil); providers.ClassOf(err) != providers.ClassMisconfigured {
					t.Errorf("New: %v", err)
				}
				return
			}
			if err != nil || got.BaseURL != tt.base || got.TargetEnvironment != tt.target {
				t.Errorf("got %+v, %v", got, err)
			}
			if again, err := mtn.Kind().Endpoint(got); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("a second time: %+v, %v", again, err)
			}
		})
	}
}

func TestMissingCredentials(t *testing.T) {
	for _, key := range slices.Concat(mtn.Kind().CredentialKeys, mtn.Kind().RefundCredentialKeys) {
		a := account("https://momo.example")
		delete(a.Credentials, key)
		if _, err := mtn.Kind().New(a, nil, nil); providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), key) {
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
		{"sandbox", "5000", "XOF", providers.Money{Amount: "5000", Currency: "EUR"}},
		{"sandbox", "12.50", "EUR", providers.Money{Amount: "12.5", Currency: "EUR"}},
		{"production", "5000.0", "XOF", providers.Money{Amount: "5000", Currency: "XOF"}},
		{"production", "12.50", "GHS", providers.Money{Amount: "12.5", Currency: "GHS"}},
		{"production", "10.50", "XOF", providers.Money{}},
		{"sandbox", "10.50", "XOF", providers.Money{}},
		{"production", "0", "XOF", providers.Money{}},
		{"production", "1.234", "GHS", providers.Money{}},
	}
	for _, tt := range tests {
		got, err := mtn.Kind().WireMoney(providers.Account{Environment: tt.env}, providers.Money{Amount: tt.amount, Currency: tt.currency})
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
		{}:                            "00000000-0000-4000-8000-000000000000",
		ones:                          "ffffffff-ffff-4fff-bfff-ffffffffffff",
		sha256.Sum256([]byte("abc")):  "ba7816bf-8f01-4fea-8141-40de5dae2223",
		sha256.Sum256([]byte("1042")): "216da54b-5931-46d3-bcca-8e29953361fe",
	} {
		if got := mtn.Kind().Reference(digest); got != want {
			t.Errorf("%x: %s, want %s", digest, got, want)
		}
		if got := mtn.Kind().RefundReference(digest); got != want {
			t.Errorf("of a refund: %x: %s, want %s", digest, got, want)
		}
	}
}

func TestReferenceIsUUIDv4(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	rapid.Check(t, func(t *rapid.T) {
		digest := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "digest"))
		before := digest
		got := mtn.Kind().Reference(digest)
		if !form.MatchString(got) || got != mtn.Kind().Reference(before) {
			t.Fatal(got)
		}
		other := digest
		other[rapid.IntRange(0, 5).Draw(t, "byte")] ^= 1
		if mtn.Kind().Reference(other) == got {
			t.Fatal("two digests, one reference")
		}
	})
}

func TestTraits(t *testing.T) {
	want := providers.Traits{Flow: providers.FlowPush, Recovery: providers.RecoverByReference, StatusPerSecond: 8, Deduplicates: true, NeedsPayer: true, Refund: providers.RefundPartial}
	p, _, _ := client(t)
	if p.Traits() != want || mtn.Kind().Traits != want {
		t.Errorf("%+v", p.Traits())
	}
}

// MTN MoMo API, callbacks: as recorded in the sandbox.
func TestCallbacks(t *testing.T) {
	good := map[string]string{
		`{"externalId":"1","amount":"5000","currency":"EUR","payer":{"partyIdType":"MSISDN","partyId":"46733123453"},"status":"FAILED","reason":"EXPIRED"}`: "FAILED",
		`{"financialTransactionId":"1","status":"SUCCESSFUL"}`:                    "SUCCESSFUL",
		`{"status":"FAILED","reason":{"code":"APPROVAL_REJECTED","message":"x"}}`: "FAILED",
		`{"status":" a\u001b[31m"}`:                                               "a31m",
		`{}`:                                                                      "",
	}
	for body, claim := range good {
		got, err := mtn.Kind().Callbacks.ParseCallback(providers.CallbackRequest{Body: []byte(body)})
		if err != nil || got != (providers.Callback{Claim: claim}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "<html>", "[]", `{"status":`, `{"status":{}}`} {
		_, err := mtn.Callbacks{}.ParseCallback(providers.CallbackRequest{Body: []byte(body)})
		if !isMalformed(err) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func isMalformed(err error) bool {
	return errors.Is(err, providers.ErrMalformedCallback) && !errors.Is(err, providers.ErrBadCallback)
}
