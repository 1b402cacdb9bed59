package mtn_test

import (
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/transport"
)

// MTN MoMo Disbursement API, Refund-V2.
func TestRefundRequest(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, accepted, accepted)
	if err := p.Refund(t.Context(), refundRequest()); err != nil {
		t.Fatal(err)
	}
	r := s.Requests()[1]
	if r.Method != "POST" || r.URI != "/disbursement/v2_0/refund" {
		t.Errorf("%s %s", r.Method, r.URI)
	}
	checkHeader(t, r, map[string]string{
		"Authorization": "Bearer canary-token-1", "X-Reference-Id": refundRef, "X-Target-Environment": "mtnivorycoast",
		"Ocp-Apim-Subscription-Key": "canary-sub-2", "Content-Type": "application/json", "X-Callback-Url": "", "Idempotency-Key": "",
	})
	want := map[string]any{
		"amount": "1500", "currency": "XOF", "externalId": refundRef, "referenceIdToRefund": ref,
		"payerMessage": "Remboursement de l ete", "payeeNote": "Remboursement de l ete",
	}
	if body := r.Object(t); !reflect.DeepEqual(body, want) {
		t.Errorf("got %v, want %v", body, want)
	}
	silent := refundRequest()
	silent.Description = ""
	if err := p.Refund(t.Context(), silent); err != nil {
		t.Fatal(err)
	}
	delete(want, "payerMessage")
	delete(want, "payeeNote")
	if body := s.Requests()[2].Object(t); !reflect.DeepEqual(body, want) {
		t.Errorf("got %v, want %v", body, want)
	}
}

func TestRefundRefusesBeforeSending(t *testing.T) {
	for name, change := range map[string]func(*providers.RefundRequest){
		"no reference": func(r *providers.RefundRequest) { r.Reference = "" },
		"no payment":   func(r *providers.RefundRequest) { r.Payment.Reference = "" },
		"no amount":    func(r *providers.RefundRequest) { r.Money.Amount = "" },
		"decimals":     func(r *providers.RefundRequest) { r.Money.Amount = "10.5" },
		"zero":         func(r *providers.RefundRequest) { r.Money.Amount = "0" },
	} {
		p, s, _ := client(t)
		req := refundRequest()
		change(&req)
		err := p.Refund(t.Context(), req)
		check(t, err, providers.Error{Class: providers.ClassRejected})
		if len(s.Requests()) != 0 {
			t.Errorf("%s: something was sent", name)
		}
	}
}

// MTN MoMo Disbursement API, GetRefundStatus: as recorded in the sandbox.
func TestRefundStatusRequest(t *testing.T) {
	p, s, _ := client(t, tokenAnswer, answer{Status: 200, Body: `{"financialTransactionId":"363440464","externalId":"` + refundRef + `","amount":"1500","currency":"XOF",
		"payee":{"partyIdType":"PARTY_CODE","partyId":"1"},"payerMessage":"","payeeNote":"","status":"SUCCESSFUL"}`})
	got, err := p.RefundStatus(t.Context(), refundHandle())
	want := providers.Status{
		State: providers.StateSucceeded, Code: "SUCCESSFUL", Reference: refundRef, TransactionID: "363440464",
		Money: providers.Money{Amount: "1500", Currency: "XOF"},
	}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	r := s.Requests()[1]
	if r.Method != "GET" || r.URI != "/disbursement/v1_0/refund/"+refundRef || r.Body != "" {
		t.Errorf("%s %s %q", r.Method, r.URI, r.Body)
	}
	checkHeader(t, r, map[string]string{
		"Authorization": "Bearer canary-token-1", "X-Target-Environment": "mtnivorycoast", "Ocp-Apim-Subscription-Key": "canary-sub-2", "X-Reference-Id": "",
	})
}

// The products have tokens of their own: one that is refused at the one is not
// taken from the other.
func TestTokensOfTheProducts(t *testing.T) {
	refused := answer{Status: 401}
	p, s, _ := client(t, tokenAnswer, accepted, tokenAnswer2, refused, tokenAnswer2, successful)
	if _, err := p.Initiate(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	check(t, p.Refund(t.Context(), refundRequest()), providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401})
	if err := p.PrepareRefund(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Status(t.Context(), handle()); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST /collection/token/", "POST /collection/v1_0/requesttopay",
		"POST /disbursement/token/", "POST /disbursement/v2_0/refund", "POST /disbursement/token/",
		"GET /collection/v1_0/requesttopay/" + ref,
	}
	if !reflect.DeepEqual(s.Seen(), want) {
		t.Errorf("%v", s.Seen())
	}
	if got := s.Requests()[5].Header.Get("Authorization"); got != "Bearer canary-token-1" {
		t.Error("the token of the other product was used")
	}
}

// collecting is a client without the credentials of the Disbursement product.
func collecting(t *testing.T, environment providers.Environment, target string, script ...answer) (*mtn.Provider, *wiretest.Server) {
	t.Helper()
	s := wiretest.Start(t, script...)
	a := account(s.URL)
	a.Environment, a.TargetEnvironment = environment, target
	for _, key := range mtn.Kind().RefundCredentialKeys {
		delete(a.Credentials, key)
	}
	p, err := mtn.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), wiretest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*mtn.Provider), s
}

func TestNoRefundsWithoutTheirCredentials(t *testing.T) {
	p, s := collecting(t, providers.Production, "mtnivorycoast")
	_, err := p.RefundStatus(t.Context(), refundHandle())
	for _, err := range []error{p.PrepareRefund(t.Context()), p.Refund(t.Context(), refundRequest()), err} {
		check(t, err, providers.Error{Class: providers.ClassMisconfigured})
		if !strings.Contains(err.Error(), "Disbursement") {
			t.Errorf("%v does not say what is missing", err)
		}
	}
	if len(s.Requests()) != 0 {
		t.Error("something was sent")
	}
}

// MTN MoMo API, sandbox provisioning: GET apiuser.
func TestCheckAccount(t *testing.T) {
	misconfigured := func(status int, code string) providers.Error {
		return providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: status, Code: code}
	}
	says := func(status int) providers.Error {
		return providers.Error{Class: providers.ClassUnknown, HTTPStatus: status}
	}
	good := answer{Status: 200, Body: `{"providerCallbackHost":"hooks.example","targetEnvironment":"sandbox"}`}
	p, s := collecting(t, providers.Sandbox, "", tokenAnswer, good)
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Fatal(err)
	}
	r := s.Requests()[1]
	if r.Method != "GET" || r.URI != "/v1_0/apiuser/canary-user=" {
		t.Errorf("%s %s", r.Method, r.URI)
	}
	checkHeader(t, r, map[string]string{"Ocp-Apim-Subscription-Key": "canary-subscription", "Authorization": ""})

	for name, tt := range map[string]struct {
		answer answer
		want   providers.Error
		says   string
	}{
		"no such user":      {answer{Status: 404, Body: `{"code":"RESOURCE_NOT_FOUND","message":"canary"}`}, misconfigured(404, "RESOURCE_NOT_FOUND"), "create one"},
		"of another target": {answer{Status: 200, Body: `{"targetEnvironment":"mtncanary"}`}, misconfigured(200, ""), "correct targetEnvironment"},
		"not told":          {answer{Status: 200, Body: `{}`}, says(200), ""},
		"page":              {answer{Status: 200, Body: `<html>`}, says(200), ""},
		"refused":           {answer{Status: 401}, says(401), ""},
		"forbidden":         {answer{Status: 403}, says(403), ""},
		"broken":            {answer{Status: 500}, says(500), ""},
		"lost":              {answer{Lost: true}, says(0), ""},
		"throttled": {
			answer{Status: 429, Header: map[string]string{"Retry-After": "5"}},
			providers.Error{Class: providers.ClassThrottled, HTTPStatus: 429, RetryAfter: 5 * time.Second}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := collecting(t, providers.Sandbox, "sandbox", tokenAnswer, tt.answer)
			err := p.CheckAccount(t.Context(), providers.AccountCheck{})
			check(t, err, tt.want)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v does not say %q", err, tt.says)
			}
		})
	}
	// In production there is no such question, and a wrong pair is wrong anywhere.
	p, _ = collecting(t, providers.Production, "mtnivorycoast", tokenAnswer)
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Error(err)
	}
	for _, env := range []providers.Environment{providers.Sandbox, providers.Production} {
		target := map[providers.Environment]string{providers.Production: "mtnghana"}[env]
		p, _ = collecting(t, env, target, answer{Status: 401, Body: `{"error":"invalid_client"}`})
		check(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), misconfigured(401, "invalid_client"))
	}
}

// At the simulator: what was paid is given back once, and the account is in order.
func TestRefundAtTheSimulator(t *testing.T) {
	p, pass := sandbox(t, false)
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Fatal(err)
	}
	collect := inEUR("paid")
	if _, err := p.Initiate(t.Context(), collect); err != nil {
		t.Fatal(err)
	}
	paid := providers.Handle{Reference: collect.Reference, Money: collect.Money}
	pass(time.Minute)
	req := providers.RefundRequest{RefundHandle: providers.RefundHandle{
		Reference: mtn.Kind().RefundReference(sha256.Sum256([]byte("refund"))), Money: paid.Money, Payment: paid,
	}}
	if _, err := p.RefundStatus(t.Context(), req.RefundHandle); providers.ClassOf(err) != providers.ClassNotFound {
		t.Errorf("before it was asked for: %v", err)
	}
	if err := p.Refund(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if err := p.Refund(t.Context(), req); providers.ClassOf(err) != providers.ClassAlreadyExists {
		t.Errorf("a second time: %v", err)
	}
	pass(time.Minute)
	got, err := p.RefundStatus(t.Context(), req.RefundHandle)
	if err != nil || got.State != providers.StateSucceeded || !got.Money.Equal(paid.Money) || got.Reference != req.Reference || got.TransactionID == "" {
		t.Errorf("%+v, %v", got, err)
	}
}
