package orange_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest"
)

// What an answer means is said in the tables of package simtest. The other tests are of what
// is sent, and of what the suite cannot know.
func TestConformance(t *testing.T) {
	for name, factory := range simtest.Orange() {
		t.Run(name, func(t *testing.T) { providertest.Run(t, factory) })
	}
}

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

func client(t testing.TB, script ...answer) (*orange.Provider, *wiretest.Server) {
	t.Helper()
	return clientWith(t, func(*providers.Account) {}, script...)
}

// clientWith is one of another account.
func clientWith(t testing.TB, change func(*providers.Account), script ...answer) (*orange.Provider, *wiretest.Server) {
	t.Helper()
	s := wiretest.Start(t, script...)
	a := account(s.URL + "/orange-money-webpay/ci/v1/")
	change(&a)
	return wiretest.Client(t, orange.Kind(), a, wiretest.NewClock().Now).(*orange.Provider), s
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
	wiretest.CheckError(t, err, want, "2250701020304")
}

// Orange Developer, OAuth 2.0 client credentials, v3.
func TestPrepare_AsSent(t *testing.T) {
	p, s := client(t, tokenAnswer)
	if err := errors.Join(p.Prepare(t.Context()), p.CheckAccount(t.Context(), providers.AccountCheck{})); err != nil {
		t.Fatal(err)
	}
	r := s.Requests()[0]
	if r.Method != "POST" || r.URI != "/oauth/v3/token" || r.Body != "grant_type=client_credentials" {
		t.Errorf("%s %s %q", r.Method, r.URI, r.Body)
	}
	r.CheckHeader(t, map[string]string{
		"Authorization": "Basic Y2FuYXJ5LWlkOmNhbmFyeS1zZWNyZXQ=", "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json",
	})
}

// Orange Money Web Payment, webpayment.
func TestInitiate_AsSent(t *testing.T) {
	for _, status := range []int{201, 200} {
		success := opened
		success.Status = status
		p, s := client(t, tokenAnswer, success)
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
		r.CheckHeader(t, map[string]string{
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

func TestInitiate_FillsIn(t *testing.T) {
	for merchant, want := range map[string]string{
		"":                               ref,
		"日本":                             ref,
		strings.Repeat("Long name ", 10): "Long name Long name Long name",
	} {
		p, s := clientWith(t, func(a *providers.Account) { a.MerchantName = merchant }, tokenAnswer, opened)
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

func TestInitiate_RefusedBeforeSending(t *testing.T) {
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
			p, _ := client(t) // expects no request
			req := request()
			tt.change(&req)
			_, err := p.Initiate(t.Context(), req)
			check(t, err, providers.Error{Class: tt.class})
		})
	}
	p, _ := client(t, tokenAnswer, opened)
	req := request()
	req.CallbackURL = long[:120]
	if _, err := p.Initiate(t.Context(), req); err != nil {
		t.Errorf("120 characters are allowed: %v", err)
	}
}

// A success without what it promises may have opened a page: not known.
func TestInitiate_OddSuccess(t *testing.T) {
	bodies := []string{
		`{"status":201,"message":"OK"}`,
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
	}
	for _, text := range bodies {
		t.Run(text, func(t *testing.T) {
			p, _ := client(t, tokenAnswer, answer{Status: 201, Body: text})
			_, err := p.Initiate(t.Context(), request())
			check(t, err, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 201})
		})
	}
}

// Polling does without notif_token, and a pay_token may have 255 characters.
func TestInitiate_WithLess(t *testing.T) {
	long := strings.Repeat("a", 255)
	p, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"pay_token":"` + long + `","payment_url":"https://webpayment.example/p"}`})
	got, err := p.Initiate(t.Context(), request())
	if err != nil || got.NotificationToken != "" || got.Token.Reveal() != long {
		t.Errorf("%v", err)
	}
}

// Orange Developer, API errors: 40, 41 and 42. An order that is refused so is void and not
// repeated; a question is, once.
func TestToken_Refused(t *testing.T) {
	for _, refused := range []answer{
		{Status: 401, Body: `{"code":40}`}, {Status: 401, Body: `{"error":"invalid_token"}`}, {Status: 401}, {Status: 403, Body: `{"code":42}`},
	} {
		p, s := client(t, tokenAnswer, opened, refused, tokenAnswer2, refused, tokenAnswer, refused, tokenAnswer2, paid, refused, tokenAnswer, refused)
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

// Orange Money Web Payment, transactionstatus.
func TestStatus_AsSent(t *testing.T) {
	for _, status := range []int{201, 200} {
		success := paid
		success.Status = status
		p, s := client(t, tokenAnswer, success)
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
		r.CheckHeader(t, map[string]string{"Authorization": "Bearer canary-token-1", "Accept": "application/json", "Content-Type": "application/json"})
		question := map[string]any{"order_id": ref, "amount": json.Number("5000"), "pay_token": "canary-pay"}
		if sent := r.Object(t); !reflect.DeepEqual(sent, question) {
			t.Errorf("got %v, want %v", sent, question)
		}
	}
}

func TestStatus_NeedsItsHandle(t *testing.T) {
	for _, change := range []func(*providers.Handle){
		func(h *providers.Handle) { h.Token = "" },
		func(h *providers.Handle) { h.Reference = "" },
		func(h *providers.Handle) { h.Money = providers.Money{} },
		func(h *providers.Handle) { h.Money.Amount = "10.5" },
	} {
		p, _ := client(t) // expects no request
		h := handle()
		change(&h)
		_, err := p.Status(t.Context(), h)
		check(t, err, providers.Error{Class: providers.ClassUnknown})
	}
}

// What is told of the money stands against the question's, so that other money is
// seen; what is not told is the question's.
func TestStatus_Money(t *testing.T) {
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
		p, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + ref + `"` + fields + `}`})
		got, err := p.Status(t.Context(), handle())
		if err != nil || got.State != providers.StateSucceeded || got.Money != want || got.Money.Equal(handle().Money) != (want == handle().Money) {
			t.Errorf("%s: %+v, %v; want %v", fields, got, err, want)
		}
	}
}

// The order is the one that is named, or none of ours.
func TestStatus_OtherOrders(t *testing.T) {
	for order, want := range map[string]string{"another": "another", " " + ref: "unreadable"} {
		p, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + order + `"}`})
		if got, err := p.Status(t.Context(), handle()); err != nil || got.Reference != want || got.State != providers.StateSucceeded {
			t.Errorf("%q: %+v, %v", order, got, err)
		}
	}
}

// A word that a payment can end by, of an order that is not named, says nothing.
func TestStatus_WithoutOrder(t *testing.T) {
	for _, word := range []string{"SUCCESS", "FAILED", "EXPIRED", "INITIATED"} {
		for _, rest := range []string{``, `,"order_id":null`, `,"order_id":""`, `,"message":"upstream timeout"`, `,"amount":5000,"currency":"XOF","txnid":"MP1"`} {
			p, _ := client(t, tokenAnswer, answer{Status: 200, Body: `{"status":"` + word + `"` + rest + `}`})
			got, err := p.Status(t.Context(), handle())
			if got != (providers.Status{}) {
				t.Errorf("%s%s: %+v", word, rest, got)
			}
			check(t, err, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200})
		}
	}
}

// Orange Money Web Payment, webpayment: URL. The country is a segment of the path.
func TestEndpoint(t *testing.T) {
	const api, gw = "https://api.orange.com/orange-money-webpay/", "https://gw.example/orange"
	const dev, ci, tokens = api + "dev/v1", api + "ci/v1", "https://api.orange.com/oauth/v3/token"
	in := func(env providers.Environment, country, base string) providers.Account {
		return providers.Account{Environment: env, Country: country, BaseURL: base}
	}
	at := func(base, tokens string) providers.Account { return providers.Account{BaseURL: base, TokenURL: tokens} }
	none := providers.Account{}
	for name, tt := range map[string]struct {
		account, want providers.Account
		says          string // of the error
	}{
		"sandbox":                       {in("sandbox", "", ""), at(dev, tokens), ""},
		"sandbox of a country":          {in("sandbox", "ci", ""), at(dev, tokens), ""},
		"other host":                    {in("sandbox", "", "http://127.0.0.1:80/orange-money-webpay/dev/v1/"), at("http://127.0.0.1:80/orange-money-webpay/dev/v1", "http://127.0.0.1:80/oauth/v3/token"), ""},
		"behind a gateway":              {in("sandbox", "", gw+"/orange-money-webpay/dev/v1"), at(gw+"/orange-money-webpay/dev/v1", gw+"/oauth/v3/token"), ""},
		"other token path":              {providers.Account{Environment: "sandbox", TokenURL: "https://api.orange.com/oauth/v2/token"}, at(dev, "https://api.orange.com/oauth/v2/token"), ""},
		"no country":                    {in("production", "", ""), none, "country"},
		"country in capitals":           {in("production", "CI", ""), none, "country"},
		"country as a path":             {in("production", "../dev", ""), none, "country"},
		"no environment":                {none, none, "environment"},
		"bad URL":                       {in("sandbox", "", "ftp://x"), none, "baseURL"},
		"K5e: a call's name":            {in("production", "ci", ci+"/webpayment"), none, "without /webpayment"},
		"K5e: the other call's":         {in("sandbox", "", dev+"/transactionstatus/"), none, "without /webpayment"},
		"K5e: no country":               {in("production", "ci", api+"v1"), none, "<country>/v1"},
		"K5e: no version":               {in("production", "", api+"ci"), none, "<country>/v1"},
		"K5e: no path":                  {in("production", "ci", "https://api.orange.com"), none, "<country>/v1"},
		"K5e: dev in production":        {in("production", "", dev), none, "contradict"},
		"K5e: a country in the sandbox": {in("sandbox", "", ci), none, "contradict"},
		"K5e: another country":          {in("production", "sn", ci), none, "contradict"},
		"bad token URL":                 {providers.Account{Environment: "sandbox", TokenURL: "token"}, none, "tokenURL"},
	} {
		t.Run(name, func(t *testing.T) { wiretest.CheckEndpoint(t, orange.Kind(), tt.account, tt.want, tt.says) })
	}
	for _, country := range []string{"ci", "sn", "ml", "bf", "cm", "gn", "mg", "bw", "cd"} {
		wiretest.CheckEndpoint(t, orange.Kind(), in("production", country, ""), at(api+country+"/v1", tokens), "")
	}
}

// Some accounts take their tokens from version 2.
func TestTokenURL(t *testing.T) {
	s := wiretest.Start(t, tokenAnswer, opened)
	a := account(s.URL + "/orange-money-webpay/ci/v1")
	a.TokenURL = s.URL + "/oauth/v2/token"
	p := wiretest.Client(t, orange.Kind(), a, time.Now)
	if _, err := p.Initiate(t.Context(), request()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"POST /oauth/v2/token", "POST /orange-money-webpay/ci/v1/webpayment"}; !reflect.DeepEqual(s.Seen(), want) {
		t.Errorf("%v", s.Seen())
	}
}

// K5a, K6d: what an account tells of itself.
func TestKind_CountryAndLimit(t *testing.T) {
	k := orange.Kind()
	for name, tt := range map[string]struct {
		account  providers.Account
		country  string
		currency string // as sent
	}{
		"by the setting":      {providers.Account{Environment: providers.Production, Country: "cm"}, "cm", "XAF"},
		"by the path":         {providers.Account{Environment: providers.Production, BaseURL: "https://api.orange.com/orange-money-webpay/gn/v1"}, "gn", "GNF"},
		"in the sandbox":      {providers.Account{Environment: providers.Sandbox, Country: "ci"}, "ci", "OUV"},
		"in the sandbox path": {providers.Account{Environment: providers.Sandbox, Country: "mg", BaseURL: "https://api.orange.com/orange-money-webpay/dev/v1"}, "mg", "OUV"},
	} {
		real := providers.CurrencyOf(tt.country)
		if got := k.Country(tt.account); got != tt.country {
			t.Errorf("%s: %s", name, got)
		}
		for _, currency := range []string{"XOF", "XAF", "GNF", "MGA", "GHS", "UGX", "CFA", "XYZ", "OUV"} {
			got, err := k.WireMoney(tt.account, providers.Money{Amount: "5000", Currency: currency})
			if (err == nil) != (currency == real) || err == nil && got.Currency != tt.currency || err != nil && providers.AsError(err).Field != "currency" {
				t.Errorf("K5a: %s %s: %v, %v", name, currency, got, err)
			}
		}
	}
	// Amounts are whole, whatever the currency.
	for env, m := range map[providers.Environment]providers.Money{"production": {Amount: "10.50", Currency: "MGA"}, "sandbox": {Amount: "0.5", Currency: "EUR"}} {
		wiretest.CheckMoney(t, k, providers.Account{Environment: env}, m, providers.Money{})
	}
	one, other := account("https://api.example/orange-money-webpay/ci/v1"), account("https://api.example/orange-money-webpay/ci/v1")
	other.Credentials[orange.KeyMerchant] = "another"
	if k.LimitKey(one) != k.LimitKey(other) {
		t.Error("K6d: a limit is that of the client")
	}
	other.Credentials[orange.KeyClientID] = "another"
	if k.LimitKey(one) == k.LimitKey(other) {
		t.Error("K6d: another client has its own limit")
	}
}

func TestKind_ReferencesAndTraits(t *testing.T) {
	k := orange.Kind()
	wiretest.CheckVectors(t, k.Reference, "aaaaaaaaaaaaaaaaaaaaaaaa", "777777777777777777777777", "xj4bnp4pahh6uqkbidpf3lrc", "efw2ks2zggtng7gkryuzkm3b")
	want := providers.Traits{
		Flow: providers.FlowRedirect, Recovery: providers.RecoverByRepeat, SessionLife: 10 * time.Minute,
		Deduplicates: true, RefusalIsFinal: true, StatusNeedsToken: true,
		NeedsCallbackURL: true, NeedsReturnURL: true, MaxURL: 120, Refund: providers.RefundManual,
	}
	if k.Traits != want {
		t.Errorf("%+v", k.Traits)
	}
}

// K5c: a placeholder that was left in the Secret is named.
func TestCheckAccount_Placeholder(t *testing.T) {
	p, _ := clientWith(t, func(a *providers.Account) { a.Credentials[orange.KeyClientID] = "<client id>" },
		answer{Status: 401, Body: `{"error":"invalid_client","error_description":"canary"}`})
	wiretest.CheckDiagnosis(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), providers.Error{
		Operation: providers.OpToken, Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "invalid_client", Fault: providers.FaultAccount,
	}, "left in clientID")
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
	for _, body := range []string{`{"status":"SUCCESS","notif_token":"canary-other","notif_token":"canary-notif"}`, `<html>canary-notif</html>`} {
		got, err := parse(body, hash)
		if !errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		} else {
			wiretest.NoCanary(t, err.Error(), "canary", hash)
		}
	}
}
