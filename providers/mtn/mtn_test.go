package mtn_test

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/providertest"
)

// What an answer means is said in the tables of package simtest. The other tests are of what
// is sent, and of what the suite cannot know.
func TestConformance(t *testing.T) {
	for name, factory := range simtest.MTN() {
		t.Run(name, func(t *testing.T) { providertest.Run(t, factory) })
	}
}

func FuzzAnswers(f *testing.F) { providertest.FuzzAnswers(f, simtest.MTN()["sandbox"]) }

func FuzzCallbacks(f *testing.F) { providertest.FuzzCallbacks(f, simtest.MTN()["sandbox"]) }

type answer = wiretest.Answer

const (
	ref       = "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10"
	refundRef = "5f0c7c4e-7a54-4d0c-8f38-6a2b6c0f6f11"
)

var (
	tokenAnswer  = wiretest.OK(`{"access_token":"canary-token-1","token_type":"access_token","expires_in":3600}`)
	tokenAnswer2 = wiretest.OK(`{"access_token":"canary-token-2","token_type":"Bearer","expires_in":3600}`)
	accepted     = answer{Status: 202}
	// MTN MoMo Collection API, requesttopay-referenceId-GET.
	successful = wiretest.OK(`{"financialTransactionId":"363440463","externalId":"` + ref + `","amount":"5000","currency":"XOF",
		"payer":{"partyIdType":"MSISDN","partyId":"2250501020304"},"payerMessage":"Order 1042","payeeNote":"Order 1042","status":"SUCCESSFUL"}`)
	// MTN MoMo Disbursement API, GetRefundStatus: as recorded in the sandbox.
	refunded = wiretest.OK(`{"financialTransactionId":"363440464","externalId":"` + refundRef + `","amount":"1500","currency":"XOF",
		"payee":{"partyIdType":"PARTY_CODE","partyId":"1"},"payerMessage":"","payeeNote":"","status":"SUCCESSFUL"}`)
)

func account() providers.Account {
	return providers.Account{
		BaseURL: wiretest.Base, Environment: providers.Production, TargetEnvironment: "mtnivorycoast",
		Credentials: map[string]providers.Secret{
			mtn.KeySubscription: "canary-subscription", mtn.KeyUserID: "canary-user=", mtn.KeyAPISecret: "canary-secret",
			mtn.KeyDisbursementSubscription: "canary-sub-2", mtn.KeyDisbursementUserID: "canary-user-2=", mtn.KeyDisbursementAPISecret: "canary-secret-2",
		},
	}
}

func client(t testing.TB, answers ...answer) (*mtn.Provider, *wiretest.Script) {
	t.Helper()
	return wiretest.Client[*mtn.Provider](t, mtn.Kind(), account(), answers...)
}

func request() providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: ref, Money: handle().Money, Payer: "+2250501020304",
		Description: "Café d'Abidjan", CallbackURL: "https://hooks.example/canary-path",
	}
}

func handle() providers.Handle {
	return providers.Handle{Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}}
}

// refundRequest is about a part of the payment.
func refundRequest() providers.RefundRequest {
	h := providers.RefundHandle{Reference: refundRef, Money: providers.Money{Amount: "1500", Currency: "XOF"}, Payment: handle()}
	return providers.RefundRequest{RefundHandle: h, Description: "Remboursement de l'été"}
}

func refundHandle() providers.RefundHandle { return refundRequest().RefundHandle }

// MTN MoMo API, CreateAccessToken; Collection API, requesttopay-POST and requesttopay-referenceId-GET; Disbursement
// API, Refund-V2 and GetRefundStatus: each product with its own credentials.
func TestRequests_AsSent(t *testing.T) {
	p, s := client(t, tokenAnswer, accepted, successful, accepted, tokenAnswer2, accepted, refunded, accepted)
	plain, silent := request(), refundRequest()
	plain.CallbackURL, plain.Description, silent.Description = "", "日本", ""
	in, err := p.Initiate(t.Context(), request())
	paid, err2 := p.Status(t.Context(), handle())
	_, err3 := p.Initiate(t.Context(), plain)
	err4 := p.Refund(t.Context(), refundRequest())
	back, err5 := p.RefundStatus(t.Context(), refundHandle())
	if err := errors.Join(err, err2, err3, err4, err5, p.Refund(t.Context(), silent)); err != nil || in != (providers.Initiation{}) {
		t.Fatalf("%+v, %v", in, err)
	}
	want := providers.Status{State: providers.StateSucceeded, Code: "SUCCESSFUL", Reference: ref, TransactionID: "363440463", Money: handle().Money}
	if paid != want {
		t.Errorf("got %+v, want %+v", paid, want)
	}
	want.Reference, want.TransactionID, want.Money = refundRef, "363440464", refundHandle().Money
	if back != want {
		t.Errorf("got %+v, want %+v", back, want)
	}
	payment := map[string]any{
		"amount": "5000", "currency": "XOF", "externalId": ref, "payer": map[string]any{"partyIdType": "MSISDN", "partyId": "2250501020304"},
	}
	refund := map[string]any{"amount": "1500", "currency": "XOF", "externalId": refundRef, "referenceIdToRefund": ref}
	noted := func(body map[string]any, note string) map[string]any {
		body = maps.Clone(body)
		body["payerMessage"], body["payeeNote"] = note, note
		return body
	}
	header := func(authorization, subscription string, more ...string) map[string]string {
		h := map[string]string{"Authorization": authorization, "Ocp-Apim-Subscription-Key": subscription, "X-Target-Environment": "mtnivorycoast"}
		for i, name := range []string{"X-Reference-Id", "X-Callback-Url"}[:len(more)] {
			h[name], h["Content-Type"] = more[i], "application/json"
		}
		return h
	}
	const bearer, bearer2, collection, disbursement = "Bearer canary-token-1", "Bearer canary-token-2", "canary-subscription", "canary-sub-2"
	const pay, giveBack = "POST /collection/v1_0/requesttopay", "POST /disbursement/v2_0/refund"
	s.Check(t,
		// printf canary-user=:canary-secret | base64: the raw bytes, not URL-encoded
		wiretest.Sent{Call: "POST /collection/token/", Header: header("Basic Y2FuYXJ5LXVzZXI9OmNhbmFyeS1zZWNyZXQ=", collection)},
		wiretest.Sent{Call: pay, Header: header(bearer, collection, ref, "https://hooks.example/canary-path"), Body: noted(payment, "Cafe d Abidjan")},
		wiretest.Sent{Call: "GET /collection/v1_0/requesttopay/" + ref, Header: header(bearer, collection)},
		wiretest.Sent{Call: pay, Header: header(bearer, collection, ref), Body: payment}, // an empty X-Callback-Url is refused
		wiretest.Sent{Call: "POST /disbursement/token/", Header: header("Basic Y2FuYXJ5LXVzZXItMj06Y2FuYXJ5LXNlY3JldC0y", disbursement)},
		wiretest.Sent{Call: giveBack, Header: header(bearer2, disbursement, refundRef), Body: noted(refund, "Remboursement de l ete")},
		wiretest.Sent{Call: "GET /disbursement/v1_0/refund/" + refundRef, Header: header(bearer2, disbursement)},
		wiretest.Sent{Call: giveBack, Header: header(bearer2, disbursement, refundRef), Body: refund},
	)
}

func TestRequests_RefusedBeforeSending(t *testing.T) {
	p, _ := client(t) // expects no call
	for name, change := range map[string]func(*providers.InitiateRequest){
		"no phone":          func(r *providers.InitiateRequest) { r.Payer = "" },
		"local phone":       func(r *providers.InitiateRequest) { r.Payer = "0501020304" },
		"phone with spaces": func(r *providers.InitiateRequest) { r.Payer = "+225 0501020304" },
		"unicode digits":    func(r *providers.InitiateRequest) { r.Payer = "+٢٢٥٠٥٠١٠٢٠٣٠٤" },
		"too long":          func(r *providers.InitiateRequest) { r.Payer = "+1234567890123456" },
		"no amount":         func(r *providers.InitiateRequest) { r.Money.Amount = "" },
		"decimals":          func(r *providers.InitiateRequest) { r.Money.Amount = "10.5" },
		"exponent":          func(r *providers.InitiateRequest) { r.Money.Amount = "1e3" },
	} {
		req := request()
		change(&req)
		_, err := p.Initiate(t.Context(), req)
		wiretest.CheckUnsent(t, name, err, providers.ClassRejected)
	}
	for name, change := range map[string]func(*providers.RefundRequest){
		"no reference": func(r *providers.RefundRequest) { r.Reference = "" },
		"no payment":   func(r *providers.RefundRequest) { r.Payment.Reference = "" },
		"no amount":    func(r *providers.RefundRequest) { r.Money.Amount = "" },
		"decimals":     func(r *providers.RefundRequest) { r.Money.Amount = "10.5" },
		"zero":         func(r *providers.RefundRequest) { r.Money.Amount = "0" },
	} {
		req := refundRequest()
		change(&req)
		wiretest.CheckUnsent(t, "refund: "+name, p.Refund(t.Context(), req), providers.ClassRejected)
	}
	_, err := p.Status(t.Context(), providers.Handle{})
	wiretest.CheckUnsent(t, "status", err, providers.ClassUnknown)
	_, err = p.RefundStatus(t.Context(), providers.RefundHandle{})
	wiretest.CheckUnsent(t, "refund status", err, providers.ClassUnknown)
}

func TestStatus_ReferenceCannotChangeThePath(t *testing.T) {
	p, s := client(t, tokenAnswer, answer{Status: 404}, tokenAnswer, answer{Status: 404})
	_, _ = p.Status(t.Context(), providers.Handle{Reference: "../token/?x#y"})
	_, _ = p.RefundStatus(t.Context(), providers.RefundHandle{Reference: "../token/?x#y"})
	const escaped = "..%2Ftoken%2F%3Fx%23y"
	if got := s.Seen(); got[1] != "GET /collection/v1_0/requesttopay/"+escaped || got[3] != "GET /disbursement/v1_0/refund/"+escaped {
		t.Error(got)
	}
}

// The merchant's order number is shown, identifies nothing, and must come back as it was sent.
func TestExternalID_IsTheMerchantsReference(t *testing.T) {
	for reference, want := range map[string]string{
		"": ref, "order-1042": "order-1042", "Commande n° 7 / Café": "Commande-n-7-Cafe", "日本": ref, "a_b": "a-b", ref: ref,
		strings.Repeat("x", 300): strings.Repeat("x", 64),
	} {
		status := func(externalID string) answer {
			return wiretest.OK(`{"amount":"5000","currency":"XOF","externalId":"` + externalID + `","status":"SUCCESSFUL"}`)
		}
		p, s := client(t, tokenAnswer, accepted, status(want), status("another"), status(reference+"x"), wiretest.OK(`{"status":"SUCCESSFUL"}`))
		req, h := request(), handle()
		req.MerchantReference, h.MerchantReference = reference, reference
		if _, err := p.Initiate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := s.Object(1)["externalId"]; got != want {
			t.Errorf("%q is sent as %q, want %q", reference, got, want)
		}
		for i, about := range []bool{true, false, false, true} {
			got, err := p.Status(t.Context(), h)
			if err != nil || got.About(h) != about || i == 0 && got.Reference != ref {
				t.Errorf("%q, answer %d: %+v, %v", reference, i, got, err)
			}
		}
	}
	// Nor is our own reference in the place of another that was sent.
	p, _ := client(t, tokenAnswer, successful)
	h := handle()
	h.MerchantReference = "order-1042"
	if got, err := p.Status(t.Context(), h); err != nil || got.About(h) {
		t.Errorf("%+v, %v", got, err)
	}
	// The same for refunds.
	p, s := client(t, tokenAnswer, accepted, wiretest.OK(`{"externalId":"order-1042","status":"SUCCESSFUL"}`))
	req := refundRequest()
	req.MerchantReference = "order 1042"
	if err := p.Refund(t.Context(), req); err != nil || s.Object(1)["externalId"] != "order-1042" {
		t.Errorf("%v, %s", err, s.Calls[1].Body)
	}
	if got, err := p.RefundStatus(t.Context(), req.RefundHandle); err != nil || got.Reference != refundRef || !got.AboutRefund(req.RefundHandle) {
		t.Errorf("%+v, %v", got, err)
	}
}

// §2.1
func TestEndpoint(t *testing.T) {
	const sandboxHost, legacy, platform = "https://sandbox.momodeveloper.mtn.com", "https://proxy.momoapi.mtn.com", "https://momoapi.momo.africa"
	in := func(env providers.Environment, target, base string) providers.Account {
		return providers.Account{Environment: env, TargetEnvironment: target, BaseURL: base}
	}
	for name, tt := range map[string]struct {
		account, want providers.Account
		says          string // of the error
	}{
		"sandbox":               {in("sandbox", "", ""), in("", "sandbox", sandboxHost), ""},
		"sandbox named":         {in("sandbox", "sandbox", ""), in("", "sandbox", sandboxHost), ""},
		"with a slash":          {in("production", "mtncameroon", platform+"/"), in("", "mtncameroon", platform), ""},
		"no target":             {in("production", "", ""), providers.Account{}, "targetEnvironment"},
		"the word":              {in("production", "production", ""), providers.Account{}, "targetEnvironment"},
		"the word in capitals":  {in("production", "Production", ""), providers.Account{}, "targetEnvironment"},
		"sandbox in production": {in("production", "sandbox", ""), providers.Account{}, "targetEnvironment"},
		"production in sandbox": {in("sandbox", "mtncameroon", ""), providers.Account{}, "targetEnvironment"},
		"header injection":      {in("production", "a\r\nX: y", ""), providers.Account{}, "targetEnvironment"},
		"no environment":        {providers.Account{}, providers.Account{}, "environment"},
		"bad URL":               {in("sandbox", "", "momo.example"), providers.Account{}, "baseURL"},
	} {
		t.Run(name, func(t *testing.T) { wiretest.CheckEndpoint(t, mtn.Kind(), tt.account, tt.want, tt.says) })
	}
	for target := range currencies {
		for base, want := range map[string]string{"": legacy, legacy: legacy, platform: platform} {
			wiretest.CheckEndpoint(t, mtn.Kind(), in("production", target, base), in("", target, want), "")
		}
	}
}

// currencies of the target environments.
var currencies = map[string]string{
	"mtnivorycoast": "XOF", "mtnbenin": "XOF", "mtnguineaconakry": "GNF", "mtncameroon": "XAF", "mtnghana": "GHS", "mtncongo": "XAF",
	"mtnuganda": "UGX", "mtnrwanda": "RWF", "mtnzambia": "ZMW", "mtnliberia": "LRD", "mtnsouthafrica": "ZAR", "mtnswaziland": "SZL",
	"mtnsouthsudan": "SSP", "mtnnigeria": "NGN",
}

// K5a: what an account tells of itself.
func TestKind_Country(t *testing.T) {
	k := mtn.Kind()
	for word, currency := range currencies {
		a := providers.Account{Environment: providers.Production, TargetEnvironment: word}
		for _, other := range []string{"XOF", "XAF", "GHS", "EUR", "CFA", "XYZ", currency} {
			_, err := k.WireMoney(a, providers.Money{Amount: "5000", Currency: other})
			if (err == nil) != (other == currency) || err != nil && providers.AsError(err).Field != "currency" {
				t.Errorf("K5a: %s at %s: %v", other, word, err)
			}
		}
	}
	// The sandbox takes EUR in place of what is real; it is as strict where the account tells its country.
	for _, country := range []string{"", "ci"} {
		sandbox := providers.Account{Environment: providers.Sandbox, TargetEnvironment: "sandbox", Country: country}
		for currency, want := range map[string]providers.Money{"XOF": {Amount: "5000", Currency: "EUR"}, "CFA": {}} {
			wiretest.CheckMoney(t, k, sandbox, providers.Money{Amount: "5000.0", Currency: currency}, want)
		}
		for _, currency := range []string{"XAF", "GHS"} {
			want := map[string]providers.Money{"": {Amount: "5000", Currency: "EUR"}}[country]
			wiretest.CheckMoney(t, k, sandbox, providers.Money{Amount: "5000", Currency: currency}, want)
		}
	}
}

func TestKind_ReferencesAndTraits(t *testing.T) {
	k := mtn.Kind()
	for _, derive := range []func([32]byte) string{k.Reference, k.RefundReference} {
		wiretest.CheckVectors(t, derive, "00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff",
			"ba7816bf-8f01-4fea-8141-40de5dae2223", "216da54b-5931-46d3-bcca-8e29953361fe")
	}
	want := providers.Traits{Flow: providers.FlowPush, Recovery: providers.RecoverByReference, StatusPerSecond: 8, Deduplicates: true, NeedsPayer: true, Refund: providers.RefundPartial}
	if k.Traits != want {
		t.Errorf("%+v", k.Traits)
	}
}

// collecting is a client without the credentials of the Disbursement product.
func collecting(t *testing.T, environment providers.Environment, target string, answers ...answer) (*mtn.Provider, *wiretest.Script) {
	t.Helper()
	a := account()
	a.Environment, a.TargetEnvironment = environment, target
	for _, key := range mtn.Kind().RefundCredentialKeys {
		delete(a.Credentials, key)
	}
	return wiretest.Client[*mtn.Provider](t, mtn.Kind(), a, answers...)
}

// MTN MoMo API, sandbox provisioning: GET apiuser. K5d: what the API user is registered for is
// compared with where callbacks go.
func TestCheckAccount(t *testing.T) {
	registered := func(host string) answer {
		return wiretest.OK(`{"providerCallbackHost":"` + host + `","targetEnvironment":"sandbox"}`)
	}
	wrong := func(status int, code string) providers.Error {
		return providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: status, Code: code, Fault: providers.FaultAccount}
	}
	unknown := func(status int) providers.Error {
		return providers.Error{Class: providers.ClassUnknown, HTTPStatus: status, Fault: providers.FaultProvider}
	}
	throttled := providers.Error{Class: providers.ClassThrottled, HTTPStatus: 429, RetryAfter: 5 * time.Second, Fault: providers.FaultProvider}
	otherHost := providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 200, Field: "providerCallbackHost", Fault: providers.FaultOperator}
	noUser := answer{Status: 404, Body: `{"code":"RESOURCE_NOT_FOUND","message":"canary"}`}
	const told = "https://pay.example.com"
	for name, tt := range map[string]struct {
		answer answer
		told   string
		want   providers.Error // zero: in order
		says   []string
	}{
		"no such user":                  {noUser, "", wrong(404, "RESOURCE_NOT_FOUND"), []string{"create one"}},
		"of another environment":        {wiretest.OK(`{"targetEnvironment":"mtncanary"}`), "", wrong(200, ""), []string{"correct targetEnvironment"}},
		"nothing said":                  {wiretest.OK(`{}`), "", unknown(200), nil},
		"a page":                        {wiretest.OK(`<html>`), "", unknown(200), nil},
		"401":                           {answer{Status: 401}, "", unknown(401), nil},
		"403":                           {answer{Status: 403}, "", unknown(403), nil},
		"500":                           {answer{Status: 500}, "", unknown(500), nil},
		"lost":                          {answer{Lost: true}, "", unknown(0), nil},
		"throttled":                     {answer{Status: 429, Header: http.Header{"Retry-After": {"5"}}}, "", throttled, nil},
		"K5d: the same":                 {registered("pay.example.com"), told + "/base", providers.Error{}, nil},
		"K5d: the same with a port":     {registered("pay.example.com:8443"), told + ":8443", providers.Error{}, nil},
		"K5d: in capitals":              {registered("PAY.example.com"), told, providers.Error{}, nil},
		"K5d: polled only":              {registered("pay.example.com"), "", providers.Error{}, nil},
		"K5d: nothing registered":       {registered(""), told, providers.Error{}, nil},
		"K5d: another":                  {registered("old.example.com"), told, otherHost, []string{"callbacks to old.example.com", "at pay.example.com", "--public-url"}},
		"K5d: a part":                   {registered("example.com"), told, otherHost, []string{"example.com"}},
		"K5d: what is no host":          {registered("canary <script>"), told, otherHost, []string{"no host name"}},
		"K5d: a URL instead of a host":  {registered(told), told, otherHost, []string{"no host name", "providerCallbackHost pay.example.com"}},
		"K5d: the operator has another": {registered("pay.example.com"), "https://203.0.113.7", otherHost, []string{"pay.example.com", "203.0.113.7"}},
	} {
		p, s := collecting(t, providers.Sandbox, "sandbox", tokenAnswer, tt.answer)
		err := p.CheckAccount(t.Context(), providers.AccountCheck{CallbackURL: tt.told})
		s.Calls = s.Calls[1:]
		s.Check(t, wiretest.Sent{Call: "GET /v1_0/apiuser/canary-user=", Header: map[string]string{"Ocp-Apim-Subscription-Key": "canary-subscription"}})
		if tt.want != (providers.Error{}) {
			tt.want.Operation = providers.OpAccountCheck
			wiretest.CheckDiagnosis(t, err, tt.want, tt.says...)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In production there is no such question, and a wrong pair is wrong anywhere.
	p, _ := collecting(t, providers.Production, "mtnivorycoast", tokenAnswer)
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Error(err)
	}
	for env, target := range map[providers.Environment]string{providers.Sandbox: "", providers.Production: "mtnghana"} {
		p, _ = collecting(t, env, target, answer{Status: 401, Body: `{"error":"invalid_client"}`})
		want := wrong(401, "invalid_client")
		want.Operation = providers.OpToken
		wiretest.CheckDiagnosis(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), want)
	}
}
