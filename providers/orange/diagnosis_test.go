package orange_test

import (
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/transport"
)

func TestDiagnosis_OfRefusals(t *testing.T) {
	misconfigured, account := providers.ClassMisconfigured, providers.FaultAccount
	refused := func(code, description string) string {
		return `{"code":` + code + `,"message":"canary","description":"` + description + `"}`
	}
	payment := func(code, field string) wiretest.Diagnosis {
		return wiretest.Diagnosis{Class: providers.ClassRejected, Code: code, Field: field, Fault: providers.FaultPayment}
	}
	for name, tt := range map[string]struct {
		answer answer
		want   wiretest.Diagnosis
	}{
		"K5c: merchant key": {answer{Status: 403, Body: refused("1202", "")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "1202", Field: "merchant_key", Fault: account, Says: []string{"merchantKey", "clientID"}}},
		"K5a: currency": {answer{Status: 403, Body: refused("1203", "")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "1203", Field: "currency", Fault: account, Says: []string{"country", "baseURL"}}},
		"K5e: address":         {answer{Status: 404, Body: refused("60", "")}, wiretest.Diagnosis{Class: misconfigured, Code: "60", Fault: account, Says: []string{"baseURL", "/v1"}}},
		"K5e: address, a page": {answer{Status: 404, Body: "<html>"}, wiretest.Diagnosis{Class: misconfigured, Fault: account, Says: []string{"baseURL"}}},
		"not subscribed":       {answer{Status: 403, Body: refused("50", "")}, wiretest.Diagnosis{Class: misconfigured, Code: "50", Fault: account, Says: []string{"add Orange Money Web Payment"}}},
		"token":                {answer{Status: 401, Body: refused("42", "")}, wiretest.Diagnosis{Class: misconfigured, Code: "42", Fault: account, Says: []string{"clientID and clientSecret"}}},
		"K5b: the account's field, invalid": {answer{Status: 400, Body: refused("24", "canary: merchant_key is canary")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "24", Field: "merchant_key", Fault: account, Says: []string{"merchantKey"}}},
		"K5b: the account's field, missing": {answer{Status: 400, Body: refused("23", "reference")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "23", Field: "reference", Fault: account, Says: []string{"merchantName"}}},
		"K5b: the operator's field": {answer{Status: 400, Body: refused("24", "notif_url")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "24", Field: "notif_url", Fault: providers.FaultOperator, Says: []string{"--public-url"}}},
		"K5b: the payment's field":         {answer{Status: 400, Body: refused("24", "amount")}, payment("24", "amount")},
		"K5b: our field":                   {answer{Status: 400, Body: refused("23", "order_id")}, payment("23", "order_id")},
		"K5b: no field":                    {answer{Status: 400, Body: refused("24", "canary_field, canaries")}, payment("24", "")},
		"unreadable request":               {answer{Status: 400, Body: refused("22", "amount")}, wiretest.Diagnosis{Class: providers.ClassRejected, Code: "22", Fault: providers.FaultProvider}},
		"forbidden transaction":            {answer{Status: 403, Body: refused("1201", "")}, payment("1201", "")},
		"a code that is not documented":    {answer{Status: 400, Body: refused("99", "")}, wiretest.Diagnosis{Class: providers.ClassUnknown, Code: "99", Fault: providers.FaultProvider}},
		"a description of another type":    {answer{Status: 400, Body: `{"code":24,"description":["amount"]}`}, wiretest.Diagnosis{Class: providers.ClassUnknown, Fault: providers.FaultProvider}},
		"a field named beside a good code": {answer{Status: 403, Body: refused("1204", "amount")}, wiretest.Diagnosis{Class: providers.ClassAlreadyExists, Code: "1204", Fault: providers.FaultProvider}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _, _ := client(t, tokenAnswer, tt.answer)
			tt.want.Operation, tt.want.Status = providers.OpInitiate, tt.answer.Status
			_, err := p.Initiate(t.Context(), request())
			tt.want.Check(t, err)
		})
	}
	p, _, _ := client(t, tokenAnswer, answer{Status: 404, Body: refused("60", "")})
	_, err := p.Status(t.Context(), handle())
	wiretest.Diagnosis{
		Operation: providers.OpStatus, Class: misconfigured, Status: 404, Code: "60", Fault: account, Says: []string{"does not know the order", "baseURL"},
	}.Check(t, err)
}

func TestDiagnosis_OfTokens(t *testing.T) {
	wrong := answer{Status: 401, Body: `{"error":"invalid_client","error_description":"canary"}`}
	for name, tt := range map[string]struct {
		id     providers.Secret
		answer answer
		code   string
		says   []string
	}{
		"K5c: wrong pair":  {"id", wrong, "invalid_client", []string{"clientID and clientSecret"}},
		"K5c: placeholder": {"<client id>", wrong, "invalid_client", []string{"left in clientID"}},
		"elsewhere":        {"id", answer{Status: 404}, "", []string{"tokenURL"}},
		"denied":           {"id", answer{Status: 403, Body: `{"code":50}`}, "50", []string{"enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := wiretest.Start(t, tt.answer)
			a := account(s.URL + "/orange-money-webpay/ci/v1")
			a.Credentials[orange.KeyClientID] = tt.id
			p, err := orange.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), wiretest.NewClock().Now)
			if err != nil {
				t.Fatal(err)
			}
			wiretest.Diagnosis{
				Operation: providers.OpToken, Class: providers.ClassMisconfigured, Status: tt.answer.Status, Code: tt.code,
				Fault: providers.FaultAccount, Says: tt.says,
			}.Check(t, p.(providers.AccountChecker).CheckAccount(t.Context(), providers.AccountCheck{}))
		})
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
