package mtn_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
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

type answer = wiretest.Answer

const (
	ref       = "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10"
	refundRef = "5f0c7c4e-7a54-4d0c-8f38-6a2b6c0f6f11"
)

var (
	tokenAnswer  = answer{Status: 200, Body: `{"access_token":"canary-token-1","token_type":"access_token","expires_in":3600}`}
	tokenAnswer2 = answer{Status: 200, Body: `{"access_token":"canary-token-2","token_type":"Bearer","expires_in":3600}`}
	accepted     = answer{Status: 202}
	// MTN MoMo Collection API, requesttopay-referenceId-GET.
	successful = answer{Status: 200, Body: `{"financialTransactionId":"363440463","externalId":"` + ref + `","amount":"5000","currency":"XOF",
		"payer":{"partyIdType":"MSISDN","partyId":"2250501020304"},"payerMessage":"Order 1042","payeeNote":"Order 1042","status":"SUCCESSFUL"}`}
	// MTN MoMo Disbursement API, GetRefundStatus: as recorded in the sandbox.
	refunded = answer{Status: 200, Body: `{"financialTransactionId":"363440464","externalId":"` + refundRef + `","amount":"1500","currency":"XOF",
		"payee":{"partyIdType":"PARTY_CODE","partyId":"1"},"payerMessage":"","payeeNote":"","status":"SUCCESSFUL"}`}
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

func client(t testing.TB, script ...answer) (*mtn.Provider, *wiretest.Server) {
	t.Helper()
	s := wiretest.Start(t, script...)
	return wiretest.Client(t, mtn.Kind(), account(s.URL+"/"), wiretest.NewClock().Now).(*mtn.Provider), s
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

func check(t testing.TB, err error, want providers.Error) {
	t.Helper()
	wiretest.CheckError(t, err, want, "2250501020304")
}

// MTN MoMo API, CreateAccessToken; Collection API, requesttopay-POST and
// requesttopay-referenceId-GET; Disbursement API, Refund-V2 and GetRefundStatus: each
// product with its own credentials.
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
	const collection, disbursement, pay = "canary-subscription", "canary-sub-2", "/collection/v1_0/requesttopay"
	for i, want := range []sent{
		// printf canary-user=:canary-secret | base64: the raw bytes, not URL-encoded
		{"POST /collection/token/", "Basic Y2FuYXJ5LXVzZXI9OmNhbmFyeS1zZWNyZXQ=", collection, "", "", nil},
		{"POST " + pay, "Bearer canary-token-1", collection, ref, "https://hooks.example/canary-path", noted(payment, "Cafe d Abidjan")},
		{"GET " + pay + "/" + ref, "Bearer canary-token-1", collection, "", "", nil},
		{"POST " + pay, "Bearer canary-token-1", collection, ref, "", payment}, // an empty X-Callback-Url is refused
		{"POST /disbursement/token/", "Basic Y2FuYXJ5LXVzZXItMj06Y2FuYXJ5LXNlY3JldC0y", disbursement, "", "", nil},
		{"POST /disbursement/v2_0/refund", "Bearer canary-token-2", disbursement, refundRef, "", noted(refund, "Remboursement de l ete")},
		{"GET /disbursement/v1_0/refund/" + refundRef, "Bearer canary-token-2", disbursement, "", "", nil},
		{"POST /disbursement/v2_0/refund", "Bearer canary-token-2", disbursement, refundRef, "", refund},
	} {
		want.check(t, s.Requests()[i])
	}
}

func noted(body map[string]any, note string) map[string]any {
	out := maps.Clone(body)
	out["payerMessage"], out["payeeNote"] = note, note
	return out
}

// sent is what a request has to be.
type sent struct {
	request, authorization, subscription, reference, callback string
	body                                                      map[string]any // nil: none
}

func (want sent) check(t *testing.T, r wiretest.Request) {
	t.Helper()
	if got := r.Method + " " + r.URI; got != want.request {
		t.Errorf("%s, want %s", got, want.request)
	}
	kind, length := "application/json", r.Header.Get("Content-Length")
	if want.body == nil {
		kind, length = "", map[string]string{"POST": "0"}[r.Method]
	}
	r.CheckHeader(t, map[string]string{
		"Authorization": want.authorization, "Ocp-Apim-Subscription-Key": want.subscription, "X-Target-Environment": "mtnivorycoast",
		"X-Reference-Id": want.reference, "X-Callback-Url": want.callback, "Content-Type": kind, "Content-Length": length, "Idempotency-Key": "",
	})
	if len(r.TransferEncoding) != 0 || !strings.HasPrefix(r.Header.Get("User-Agent"), "mobile-money-operator/") {
		t.Errorf("%s: encoding %v, User-Agent %q", want.request, r.TransferEncoding, r.Header.Get("User-Agent"))
	}
	if want.body == nil && r.Body != "" || want.body != nil && !reflect.DeepEqual(r.Object(t), want.body) {
		t.Errorf("%s: body %s, want %v", want.request, r.Body, want.body)
	}
}

func TestRequests_RefusedBeforeSending(t *testing.T) {
	initiate := func(change func(*providers.InitiateRequest)) func(context.Context, *mtn.Provider) error {
		return func(ctx context.Context, p *mtn.Provider) error {
			req := request()
			change(&req)
			_, err := p.Initiate(ctx, req)
			return err
		}
	}
	refund := func(change func(*providers.RefundRequest)) func(context.Context, *mtn.Provider) error {
		return func(ctx context.Context, p *mtn.Provider) error {
			req := refundRequest()
			change(&req)
			return p.Refund(ctx, req)
		}
	}
	for name, do := range map[string]func(context.Context, *mtn.Provider) error{
		"no phone":             initiate(func(r *providers.InitiateRequest) { r.Payer = "" }),
		"local phone":          initiate(func(r *providers.InitiateRequest) { r.Payer = "0501020304" }),
		"phone with spaces":    initiate(func(r *providers.InitiateRequest) { r.Payer = "+225 0501020304" }),
		"unicode digits":       initiate(func(r *providers.InitiateRequest) { r.Payer = "+٢٢٥٠٥٠١٠٢٠٣٠٤" }),
		"too long":             initiate(func(r *providers.InitiateRequest) { r.Payer = "+1234567890123456" }),
		"no amount":            initiate(func(r *providers.InitiateRequest) { r.Money.Amount = "" }),
		"decimals":             initiate(func(r *providers.InitiateRequest) { r.Money.Amount = "10.5" }),
		"exponent":             initiate(func(r *providers.InitiateRequest) { r.Money.Amount = "1e3" }),
		"refund: no reference": refund(func(r *providers.RefundRequest) { r.Reference = "" }),
		"refund: no payment":   refund(func(r *providers.RefundRequest) { r.Payment.Reference = "" }),
		"refund: no amount":    refund(func(r *providers.RefundRequest) { r.Money.Amount = "" }),
		"refund: decimals":     refund(func(r *providers.RefundRequest) { r.Money.Amount = "10.5" }),
		"refund: zero":         refund(func(r *providers.RefundRequest) { r.Money.Amount = "0" }),
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := client(t) // expects no request
			check(t, do(t.Context(), p), providers.Error{Class: providers.ClassRejected})
		})
	}
	p, _ := client(t)
	_, err := p.Status(t.Context(), providers.Handle{})
	check(t, err, providers.Error{Class: providers.ClassUnknown})
	_, err = p.RefundStatus(t.Context(), providers.RefundHandle{})
	check(t, err, providers.Error{Class: providers.ClassUnknown})
}

// The products have tokens of their own: one that is refused at the one is not taken from the
// other.
func TestTokens_OfTheProducts(t *testing.T) {
	p, s := client(t, tokenAnswer, accepted, tokenAnswer2, answer{Status: 401}, tokenAnswer2, successful)
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

// What is missing or odd must not look equal to what was asked for.
func TestStatus_Echoes(t *testing.T) {
	for body, want := range map[string]providers.Status{
		`"amount":"12.50","currency":"EUR"`:          {Money: providers.Money{Amount: "12.5", Currency: "EUR"}},
		`"amount":"5000"`:                            {},
		`"currency":"XOF"`:                           {},
		`"amount":"","currency":"XOF"`:               {},
		`"amount":"5,000","currency":"XOF"`:          {},
		`"amount":"5000","currency":"xof"`:           {},
		`"externalId":"a b","amount":null`:           {Reference: "unreadable"},
		`"externalId":42,"financialTransactionId":7`: {Reference: "42", TransactionID: "7"},
		`"financialTransactionId":"7 <b>"`:           {TransactionID: "7b"},
	} {
		want.State, want.Code = providers.StateSucceeded, "SUCCESSFUL"
		told := answer{Status: 200, Body: `{"status":"SUCCESSFUL",` + body + "}"}
		p, _ := client(t, tokenAnswer, told, tokenAnswer2, told)
		if got, err := p.Status(t.Context(), handle()); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", body, got, err, want)
		}
		if got, err := p.RefundStatus(t.Context(), refundHandle()); err != nil || got != want {
			t.Errorf("%s: of a refund: got %+v, %v; want %+v", body, got, err, want)
		}
	}
}

func TestStatus_ReferenceCannotChangeThePath(t *testing.T) {
	p, s := client(t, tokenAnswer, answer{Status: 404}, tokenAnswer, answer{Status: 404})
	_, _ = p.Status(t.Context(), providers.Handle{Reference: "../token/?x#y"})
	_, _ = p.RefundStatus(t.Context(), providers.RefundHandle{Reference: "../token/?x#y"})
	if got := s.Requests()[1].URI; got != "/collection/v1_0/requesttopay/..%2Ftoken%2F%3Fx%23y" {
		t.Error(got)
	}
	if got := s.Requests()[3].URI; got != "/disbursement/v1_0/refund/..%2Ftoken%2F%3Fx%23y" {
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
			return answer{Status: 200, Body: `{"amount":"5000","currency":"XOF","externalId":"` + externalID + `","status":"SUCCESSFUL"}`}
		}
		p, s := client(t, tokenAnswer, accepted, status(want), status("another"), status(reference+"x"), answer{Status: 200, Body: `{"status":"SUCCESSFUL"}`})
		req, h := request(), handle()
		req.MerchantReference, h.MerchantReference = reference, reference
		if _, err := p.Initiate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if got := s.Requests()[1].Object(t)["externalId"]; got != want {
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
	p, s := client(t, tokenAnswer, accepted, answer{Status: 200, Body: `{"externalId":"order-1042","status":"SUCCESSFUL"}`})
	req := refundRequest()
	req.MerchantReference = "order 1042"
	if err := p.Refund(t.Context(), req); err != nil || s.Requests()[1].Object(t)["externalId"] != "order-1042" {
		t.Errorf("%v, %v", err, s.Requests()[1].Body)
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

// K5a, K6d: what an account tells of itself.
func TestKind_CountryAndLimit(t *testing.T) {
	k := mtn.Kind()
	for word, currency := range currencies {
		a := providers.Account{Environment: providers.Production, TargetEnvironment: word}
		if got := providers.CurrencyOf(k.Country(a)); got != currency {
			t.Errorf("K5a: %s: %s, want %s", word, got, currency)
		}
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
	one := account("https://momo.example/")
	same, otherUser, otherHost := account("https://momo.example"), account("https://momo.example"), account("https://momo.test")
	same.MerchantName, same.Credentials[mtn.KeySubscription] = "another shop", "another"
	otherUser.Credentials[mtn.KeyUserID] = "another"
	if key := k.LimitKey(one); key != k.LimitKey(same) || key == k.LimitKey(otherUser) || key == k.LimitKey(otherHost) {
		t.Error("K6d: a limit is that of the API user at the host")
	}
	wiretest.NoCanary(t, k.LimitKey(one), "canary")
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

// MTN MoMo API, callbacks: as recorded in the sandbox.
func TestCallbacks(t *testing.T) {
	for body, claim := range map[string]string{
		`{"externalId":"1","amount":"5000","currency":"EUR","payer":{"partyIdType":"MSISDN","partyId":"46733123453"},"status":"FAILED","reason":"EXPIRED"}`: "FAILED",
		`{"financialTransactionId":"1","status":"SUCCESSFUL"}`:                    "SUCCESSFUL",
		`{"status":"FAILED","reason":{"code":"APPROVAL_REJECTED","message":"x"}}`: "FAILED",
		`{"status":" a\u001b[31m"}`:                                               "a31m",
		`{}`:                                                                      "",
	} {
		got, err := mtn.Callbacks{}.ParseCallback(providers.CallbackRequest{Body: []byte(body)})
		if err != nil || got != (providers.Callback{Claim: claim}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{"", "<html>", "[]", `{"status":`, `{"status":{}}`} {
		_, err := mtn.Callbacks{}.ParseCallback(providers.CallbackRequest{Body: []byte(body)})
		if !errors.Is(err, providers.ErrMalformedCallback) || errors.Is(err, providers.ErrBadCallback) {
			t.Errorf("%s: %v", body, err)
		}
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
	return wiretest.Client(t, mtn.Kind(), a, wiretest.NewClock().Now).(*mtn.Provider), s
}

func TestRefund_NeedsCredentialsOfItsProduct(t *testing.T) {
	p, _ := collecting(t, providers.Production, "mtnivorycoast")
	_, err := p.RefundStatus(t.Context(), refundHandle())
	for _, err := range []error{p.PrepareRefund(t.Context()), p.Refund(t.Context(), refundRequest()), err} {
		check(t, err, providers.Error{Class: providers.ClassMisconfigured})
		if !strings.Contains(err.Error(), "Disbursement") {
			t.Errorf("%v does not say what is missing", err)
		}
	}
}

// MTN MoMo API, sandbox provisioning: GET apiuser.
func TestCheckAccount(t *testing.T) {
	says := func(class providers.Class, status int) providers.Error {
		return providers.Error{Class: class, HTTPStatus: status}
	}
	const unknown, misconfigured = providers.ClassUnknown, providers.ClassMisconfigured
	p, s := collecting(t, providers.Sandbox, "", tokenAnswer, answer{Status: 200, Body: `{"providerCallbackHost":"hooks.example","targetEnvironment":"sandbox"}`})
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Seen()[1]; got != "GET /v1_0/apiuser/canary-user=" {
		t.Error(got)
	}
	s.Requests()[1].CheckHeader(t, map[string]string{"Ocp-Apim-Subscription-Key": "canary-subscription", "Authorization": ""})

	noUser := says(misconfigured, 404)
	noUser.Code = "RESOURCE_NOT_FOUND"
	later := says(providers.ClassThrottled, 429)
	later.RetryAfter = 5 * time.Second
	for _, tt := range []struct {
		answer answer
		want   providers.Error
		words  string
	}{
		{answer{Status: 404, Body: `{"code":"RESOURCE_NOT_FOUND","message":"canary"}`}, noUser, "create one"},
		{answer{Status: 200, Body: `{"targetEnvironment":"mtncanary"}`}, says(misconfigured, 200), "correct targetEnvironment"},
		{answer{Status: 200, Body: `{}`}, says(unknown, 200), ""},
		{answer{Status: 200, Body: `<html>`}, says(unknown, 200), ""},
		{answer{Status: 401}, says(unknown, 401), ""},
		{answer{Status: 403}, says(unknown, 403), ""},
		{answer{Status: 500}, says(unknown, 500), ""},
		{answer{Lost: true}, says(unknown, 0), ""},
		{answer{Status: 429, Header: map[string]string{"Retry-After": "5"}}, later, ""},
	} {
		t.Run(fmt.Sprint(tt.answer.Status, tt.answer.Body), func(t *testing.T) {
			p, _ := collecting(t, providers.Sandbox, "sandbox", tokenAnswer, tt.answer)
			err := p.CheckAccount(t.Context(), providers.AccountCheck{})
			check(t, err, tt.want)
			if !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v does not say %q", err, tt.words)
			}
		})
	}
	// In production there is no such question, and a wrong pair is wrong anywhere.
	p, _ = collecting(t, providers.Production, "mtnivorycoast", tokenAnswer)
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Error(err)
	}
	wrong := says(misconfigured, 401)
	wrong.Code = "invalid_client"
	for env, target := range map[providers.Environment]string{providers.Sandbox: "", providers.Production: "mtnghana"} {
		p, _ = collecting(t, env, target, answer{Status: 401, Body: `{"error":"invalid_client"}`})
		check(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), wrong)
	}
}

// K5d: what the API user is registered for is compared with where callbacks go.
func TestCheckAccount_CallbackHost(t *testing.T) {
	for name, tt := range map[string]struct {
		registered, told string
		says             []string // empty: in order
	}{
		"the same":                 {registered: "pay.example.com", told: "https://pay.example.com/base"},
		"the same with a port":     {registered: "pay.example.com:8443", told: "https://pay.example.com:8443"},
		"in capitals":              {registered: "PAY.example.com", told: "https://pay.example.com"},
		"polled only":              {registered: "pay.example.com"},
		"nothing registered":       {told: "https://pay.example.com"},
		"another":                  {registered: "old.example.com", told: "https://pay.example.com", says: []string{"callbacks to old.example.com", "at pay.example.com", "--public-url"}},
		"a part":                   {registered: "example.com", told: "https://pay.example.com", says: []string{"example.com"}},
		"what is no host":          {registered: "canary <script>", told: "https://pay.example.com", says: []string{"no host name"}},
		"a URL instead of a host":  {registered: "https://pay.example.com", told: "https://pay.example.com", says: []string{"no host name", "providerCallbackHost pay.example.com"}},
		"the operator has another": {registered: "pay.example.com", told: "https://203.0.113.7", says: []string{"pay.example.com", "203.0.113.7"}},
	} {
		t.Run("K5d: "+name, func(t *testing.T) {
			p, _ := collecting(t, providers.Sandbox, "sandbox", tokenAnswer, answer{
				Status: 200, Body: `{"providerCallbackHost":"` + tt.registered + `","targetEnvironment":"sandbox"}`,
			})
			err := p.CheckAccount(t.Context(), providers.AccountCheck{CallbackURL: tt.told})
			if len(tt.says) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wiretest.CheckDiagnosis(t, err, providers.Error{
				Operation: providers.OpAccountCheck, Class: providers.ClassMisconfigured, HTTPStatus: 200,
				Field: "providerCallbackHost", Fault: providers.FaultOperator,
			}, tt.says...)
		})
	}
}
