package orange_test

import (
	"encoding/json"
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

func FuzzAnswers(f *testing.F) { providertest.FuzzAnswers(f, simtest.Orange()["ci"]) }

func FuzzCallbacks(f *testing.F) { providertest.FuzzCallbacks(f, simtest.Orange()["ci"]) }

type answer = wiretest.Answer

const ref = "aaaaaaaaaaaaaaaaaaaaaaaa"

var (
	// The string is as Orange was seen to send it.
	tokenAnswer = wiretest.OK(`{"token_type":"Bearer","access_token":"canary-token-1","expires_in":"7776000"}`)
	// Orange Money Web Payment, webpayment.
	opened = answer{Status: 201, Body: `{"status":201,"message":"OK","pay_token":"canary-pay","payment_url":"https://webpayment.example/payment/pay_token/canary-pay","notif_token":"canary-notif"}`}
	// Orange Money Web Payment, transactionstatus.
	paid = answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + ref + `","txnid":"MP150709.1341.A00073"}`}
)

func account() providers.Account {
	return providers.Account{
		BaseURL: wiretest.Base + "/orange-money-webpay/ci/v1/", Environment: providers.Production, Country: "ci", MerchantName: "Épicerie Koné",
		Credentials: map[string]providers.Secret{
			orange.KeyClientID: "canary-id", orange.KeyClientSecret: "canary-secret", orange.KeyMerchant: "canary-merchant",
		},
	}
}

func client(t testing.TB, answers ...answer) (*orange.Provider, *wiretest.Script) {
	t.Helper()
	return wiretest.Client[*orange.Provider](t, orange.Kind(), account(), answers...)
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

// Orange Developer, OAuth 2.0 client credentials, v3; Orange Money Web Payment, webpayment and transactionstatus.
func TestRequests_AsSent(t *testing.T) {
	opened200, paid200, token := opened, paid, account()
	opened200.Status, paid200.Status, token.TokenURL = 200, 200, wiretest.Base+"/oauth/v2/token" // some accounts take theirs from version 2
	header := func(authorization, kind string) map[string]string {
		return map[string]string{"Authorization": authorization, "Accept": "application/json", "Content-Type": kind}
	}
	const bearer, basic = "Bearer canary-token-1", "Basic Y2FuYXJ5LWlkOmNhbmFyeS1zZWNyZXQ="
	order := wiretest.Sent{Call: "POST /orange-money-webpay/ci/v1/webpayment", Header: header(bearer, "application/json"), Body: map[string]any{
		"merchant_key": "canary-merchant", "currency": "XOF", "order_id": ref, "amount": json.Number("5000"),
		"return_url": "https://shop.example/back", "cancel_url": "https://shop.example/cancel", "notif_url": "https://hooks.example/canary-path",
		"lang": "fr", "reference": "Epicerie Kone",
	}}
	question := wiretest.Sent{Call: "POST /orange-money-webpay/ci/v1/transactionstatus", Header: header(bearer, "application/json"),
		Body: map[string]any{"order_id": ref, "amount": json.Number("5000"), "pay_token": "canary-pay"}}
	for path, a := range map[string]providers.Account{"v3": account(), "v2": token} {
		p, s := wiretest.Client[*orange.Provider](t, orange.Kind(), a, tokenAnswer, opened, opened200, paid, paid200)
		if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
			t.Error(err)
		}
		for range 2 {
			got, err := p.Initiate(t.Context(), request())
			page := providers.Session{Token: "canary-pay", PaymentURL: "https://webpayment.example/payment/pay_token/canary-pay"}
			if want := (providers.Initiation{Session: page, NotificationToken: "canary-notif"}); err != nil || got != want {
				t.Errorf("%+v, %v", got, err)
			}
		}
		for range 2 {
			got, err := p.Status(t.Context(), handle())
			want := providers.Status{State: providers.StateSucceeded, Code: "SUCCESS", Reference: ref, TransactionID: "MP150709.1341.A00073", Money: handle().Money}
			if err != nil || got != want {
				t.Errorf("got %+v, %v", got, err)
			}
		}
		if form := string(s.Calls[0].Body); form != "grant_type=client_credentials" {
			t.Errorf("form %q", form)
		}
		s.Calls[0].Body = nil
		s.Check(t, wiretest.Sent{Call: "POST /oauth/" + path + "/token", Header: header(basic, "application/x-www-form-urlencoded")}, order, order, question, question)
	}
}

func TestInitiate_FillsIn(t *testing.T) {
	for merchant, want := range map[string]string{"": ref, "日本": ref, strings.Repeat("Long name ", 10): "Long name Long name Long name"} {
		a, req := account(), request()
		a.MerchantName, req.CancelURL = merchant, ""
		p, s := wiretest.Client[*orange.Provider](t, orange.Kind(), a, tokenAnswer, opened)
		if _, err := p.Initiate(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if body := s.Object(1); body["cancel_url"] != req.ReturnURL || body["reference"] != want {
			t.Errorf("%q: cancel_url %v, reference %v", merchant, body["cancel_url"], body["reference"])
		}
	}
}

func TestRequests_RefusedBeforeSending(t *testing.T) {
	long := "https://hooks.example/" + strings.Repeat("a", 99)
	if len(long) != 121 {
		t.Fatal(len(long))
	}
	p, _ := client(t) // expects no call
	for name, tt := range map[string]struct {
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
	} {
		req := request()
		tt.change(&req)
		_, err := p.Initiate(t.Context(), req)
		wiretest.CheckUnsent(t, name, err, tt.class)
	}
	for name, change := range map[string]func(*providers.Handle){
		"no token":     func(h *providers.Handle) { h.Token = "" },
		"no reference": func(h *providers.Handle) { h.Reference = "" },
		"no money":     func(h *providers.Handle) { h.Money = providers.Money{} },
		"decimals":     func(h *providers.Handle) { h.Money.Amount = "10.5" },
	} {
		h := handle()
		change(&h)
		_, err := p.Status(t.Context(), h)
		wiretest.CheckUnsent(t, name, err, providers.ClassUnknown)
	}
	p, _ = client(t, tokenAnswer, opened)
	req := request()
	req.CallbackURL = long[:120]
	if _, err := p.Initiate(t.Context(), req); err != nil {
		t.Errorf("120 characters are allowed: %v", err)
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

// What is told of the money stands, and what is not told is the question's.
func TestStatus_Money(t *testing.T) {
	for fields, want := range map[string]providers.Money{
		``: handle().Money, `,"amount":null,"currency":null`: handle().Money, `,"amount":5000`: handle().Money, `,"amount":"5000"`: handle().Money,
		`,"amount":"5000.00"`: handle().Money, `,"amount":5000.0,"currency":"XOF"`: handle().Money, `,"amount":12.5,"currency":"EUR"`: {Amount: "12.5", Currency: "EUR"},
	} {
		p, _ := client(t, tokenAnswer, answer{Status: 201, Body: `{"status":"SUCCESS","order_id":"` + ref + `"` + fields + `}`})
		if got, err := p.Status(t.Context(), handle()); err != nil || got.State != providers.StateSucceeded || got.Money != want {
			t.Errorf("%s: %+v, %v; want %v", fields, got, err, want)
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

// K5a: what an account tells of itself.
func TestKind_Country(t *testing.T) {
	k := orange.Kind()
	for name, tt := range map[string]struct {
		account             providers.Account
		country, paid, sent string
	}{
		"by the setting":      {providers.Account{Environment: providers.Production, Country: "cm"}, "cm", "XAF", "XAF"},
		"by the path":         {providers.Account{Environment: providers.Production, BaseURL: "https://api.orange.com/orange-money-webpay/gn/v1"}, "gn", "GNF", "GNF"},
		"in the sandbox":      {providers.Account{Environment: providers.Sandbox, Country: "ci"}, "ci", "XOF", "OUV"},
		"in the sandbox path": {providers.Account{Environment: providers.Sandbox, Country: "mg", BaseURL: "https://api.orange.com/orange-money-webpay/dev/v1"}, "mg", "MGA", "OUV"},
	} {
		if got := k.Country(tt.account); got != tt.country {
			t.Errorf("%s: %s", name, got)
		}
		for _, currency := range []string{"XOF", "XAF", "GNF", "MGA", "GHS", "UGX", "CFA", "XYZ", "OUV"} {
			got, err := k.WireMoney(tt.account, providers.Money{Amount: "5000", Currency: currency})
			if (err == nil) != (currency == tt.paid) || err == nil && got.Currency != tt.sent || err != nil && providers.AsError(err).Field != "currency" {
				t.Errorf("K5a: %s %s: %v, %v", name, currency, got, err)
			}
		}
	}
	// Amounts are whole, whatever the currency.
	for env, m := range map[providers.Environment]providers.Money{"production": {Amount: "10.50", Currency: "MGA"}, "sandbox": {Amount: "0.5", Currency: "EUR"}} {
		wiretest.CheckMoney(t, k, providers.Account{Environment: env}, m, providers.Money{})
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
	a := account()
	a.Credentials[orange.KeyClientID] = "<client id>"
	p, _ := wiretest.Client[*orange.Provider](t, orange.Kind(), a, answer{Status: 401, Body: `{"error":"invalid_client","error_description":"canary"}`})
	wiretest.CheckDiagnosis(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), providers.Error{
		Operation: providers.OpToken, Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "invalid_client", Fault: providers.FaultAccount,
	}, "left in clientID")
}
