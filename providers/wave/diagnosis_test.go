package wave_test

import (
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

// K5b: a field that the account or the operator supplies is no refusal of the Payment.
func TestDiagnosis_OfFields(t *testing.T) {
	rejected, misconfigured := providers.ClassRejected, providers.ClassMisconfigured
	for name, tt := range map[string]struct {
		details string
		class   providers.Class
		field   string
		fault   providers.Fault
		says    string
	}{
		"aggregated merchant": {`[{"loc":["aggregated_merchant_id"],"msg":"field required"}]`, misconfigured, "aggregated_merchant_id", providers.FaultAccount, "wave.aggregatedMerchantID"},
		"currency":            {`[{"loc":["body","currency"],"msg":"canary"}]`, misconfigured, "currency", providers.FaultAccount, "currency and country"},
		"success URL":         {`[{"loc":["success_url"],"msg":"canary"}]`, misconfigured, "success_url", providers.FaultOperator, "--public-url"},
		"error URL":           {`[{"loc":["body","error_url",0],"msg":"canary"}]`, misconfigured, "error_url", providers.FaultOperator, "error_url"},
		"a field of Wave's":   {`[{"loc":["body","business_name"],"msg":"canary"}]`, misconfigured, "business_name", providers.FaultAccount, "business_name"},
		"amount":              {`[{"loc":["body","amount"],"msg":"canary"}]`, rejected, "amount", providers.FaultPayment, "create another Payment"},
		"payer":               {`[{"loc":["restrict_payer_mobile"],"msg":"canary"}]`, rejected, "restrict_payer_mobile", providers.FaultPayment, "restrict_payer_mobile"},
		"reference":           {`[{"loc":["client_reference"],"msg":"canary"}]`, rejected, "client_reference", providers.FaultPayment, "client_reference"},
		"both":                {`[{"loc":["amount"]},{"loc":["aggregated_merchant_id"]}]`, misconfigured, "aggregated_merchant_id", providers.FaultAccount, "aggregatedMerchantID"},
		"two of the payment":  {`[{"loc":["amount"]},{"loc":["client_reference"]}]`, rejected, "amount", providers.FaultPayment, "amount"},
		"none":                {`[]`, rejected, "", providers.FaultPayment, "names no field"},
		"the body":            {`[{"loc":["body"],"msg":"canary"}]`, rejected, "", providers.FaultPayment, "names no field"},
		"no name":             {`[{"loc":["Canary: 12","+225"],"msg":"canary"}]`, rejected, "", providers.FaultPayment, "names no field"},
		"a long one":          {`[{"loc":["` + strings.Repeat("canary", 9) + `"]}]`, rejected, "", providers.FaultPayment, "names no field"},
		"another shape":       {`{"loc":"amount"}`, rejected, "", providers.FaultPayment, "names no field"},
	} {
		for _, status := range []int{400, 422} {
			t.Run("K5b: "+name, func(t *testing.T) {
				p, _ := client(t, answer{Status: status, Body: `{"code":"request-validation-error","message":"canary","details":` + tt.details + `}`})
				_, err := p.Initiate(t.Context(), request())
				wiretest.Diagnosis{
					Operation: providers.OpInitiate, Class: tt.class, Status: status, Code: "request-validation-error",
					Field: tt.field, Fault: tt.fault, Says: []string{tt.says},
				}.Check(t, err)
			})
		}
	}
}

func TestDiagnosis_OfAccounts(t *testing.T) {
	for code, tt := range map[string]struct {
		status int
		says   []string
	}{
		"missing-auth-header": {401, []string{"apiKey", "complete"}}, "invalid-auth": {401, []string{"apiKey"}},
		"api-key-not-provided": {401, []string{"apiKey"}}, "no-matching-api-key": {401, []string{"apiKey", "wallet"}},
		"api-key-revoked": {401, []string{"revoked", "make another"}}, "authorization-error": {401, []string{"Checkout API"}},
		"invalid-wallet": {403, []string{"no wallet"}}, "disabled-wallet": {403, []string{"disabled", "ask Wave"}},
		"unauthorized-wallet": {403, []string{"may not do this", "Checkout API"}}, "ip-not-allowed": {403, []string{"outgoing address"}},
		"checkout-session-not-found": {404, []string{"apiKey", "wallet that opened it"}},
	} {
		p, _ := client(t, answer{Status: tt.status, Body: `{"code":"` + code + `","message":"canary"}`}, answer{Status: tt.status, Body: `{"code":"` + code + `"}`})
		want := wiretest.Diagnosis{
			Operation: providers.OpAccountCheck, Class: providers.ClassMisconfigured, Status: tt.status, Code: code, Fault: providers.FaultAccount, Says: tt.says,
		}
		want.Check(t, p.CheckAccount(t.Context(), providers.AccountCheck{}))
		want.Operation = providers.OpStatus
		_, err := p.Status(t.Context(), handle())
		want.Check(t, err)
	}
	// K5c: a key that was never filled in.
	s := wiretest.Start(t, answer{Status: 401, Body: `{"code":"no-matching-api-key"}`})
	a := account(s.URL)
	a.Credentials[wave.KeyAPI] = "<your API key>"
	p, err := wave.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	wiretest.Diagnosis{
		Operation: providers.OpAccountCheck, Class: providers.ClassMisconfigured, Status: 401, Code: "no-matching-api-key", Fault: providers.FaultAccount,
		Says: []string{"placeholder"},
	}.Check(t, p.(providers.AccountChecker).CheckAccount(t.Context(), providers.AccountCheck{}))
}

// K5b: an aggregator names the merchant; nobody else does.
func TestInitiate_NamesTheAggregatedMerchant(t *testing.T) {
	for _, merchant := range []string{"", "am-7lks22ap113t4"} {
		s := wiretest.Start(t, ok(session(id, "open", "processing", "null")))
		a := account(s.URL)
		a.AggregatedMerchantID = merchant
		p, err := wave.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Initiate(t.Context(), request()); err != nil {
			t.Fatal(err)
		}
		got, sent := s.Requests()[0].Object(t)["aggregated_merchant_id"]
		if sent != (merchant != "") || sent && got != merchant {
			t.Errorf("%q: sent %v", merchant, got)
		}
	}
}

func TestStatus_TellsWhenItWasCompleted(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 10, 5, 0, time.UTC)
	for when, tt := range map[string]struct {
		state string
		want  time.Time
	}{
		`"2026-05-01T12:10:05Z"`: {"complete", at}, `null`: {state: "complete"}, `"soon"`: {state: "complete"}, `"2026-05-01T12:10:05.000Z"`: {"complete", at},
		`"2026-05-01T12:10:05+00:00"`: {state: "expired"},
	} {
		payment := map[string]string{"complete": "succeeded", "expired": "cancelled"}[tt.state]
		body := strings.Replace(session(id, tt.state, payment, "null"), `"when_completed":null`, `"when_completed":`+when, 1)
		p, _ := client(t, ok(body))
		if got, err := p.Status(t.Context(), handle()); err != nil || !got.CompletedAt.Equal(tt.want) {
			t.Errorf("%s: %v, %v", when, got.CompletedAt, err)
		}
	}
}

// K5a, K6d: what an account tells of itself.
func TestKind_CountryAndLimit(t *testing.T) {
	k := wave.Kind()
	for name, tt := range map[string]struct {
		key      providers.Secret
		country  string
		currency []string
	}{
		"key of Ivory Coast":       {"wave_ci_prod_x", "", []string{"XOF"}},
		"key of the Gambia":        {"wave_gm_prod_x", "", []string{"GMD"}},
		"key of Uganda":            {"wave_ug_prod_x", "", []string{"UGX"}},
		"the setting":              {"x", "sn", []string{"XOF"}},
		"the key is more certain":  {"wave_gm_prod_x", "ci", []string{"GMD"}},
		"nothing told":             {"x", "", []string{"XOF", "GMD", "UGX"}},
		"a country without wallet": {"x", "gh", nil},
	} {
		for _, env := range []providers.Environment{providers.Sandbox, providers.Production} {
			a := providers.Account{Environment: env, Country: tt.country, Credentials: map[string]providers.Secret{wave.KeyAPI: tt.key}}
			var taken []string
			for _, currency := range []string{"XOF", "GMD", "UGX", "XAF", "GHS", "CFA", "XYZ"} {
				if _, err := k.WireMoney(a, providers.Money{Amount: "5000", Currency: currency}); err == nil {
					taken = append(taken, currency)
				} else if providers.ClassOf(err) != providers.ClassRejected || providers.AsError(err).Field != "currency" {
					t.Errorf("K5a: %s %s: %v", name, currency, err)
				}
			}
			if strings.Join(taken, " ") != strings.Join(tt.currency, " ") {
				t.Errorf("K5a: %s: %v, want %v", name, taken, tt.currency)
			}
		}
	}
	one, other := account("https://api.example"), account("https://api.example/")
	if k.LimitKey(one) != k.LimitKey(other) {
		t.Error("K6d: a limit is that of the key")
	}
	other.Credentials[wave.KeyAPI] = "another"
	if k.LimitKey(one) == k.LimitKey(other) {
		t.Error("K6d: another key has its own limit")
	}
}

// K5b, at the simulator: the wallet of an aggregator needs the merchant, any other refuses one.
func TestAggregatedMerchant_AtTheSimulator(t *testing.T) {
	for name, tt := range map[string]struct {
		wallet, account string
		opens           bool
	}{"aggregator": {"am-1", "am-1", true}, "none told": {"am-1", "", false}, "another": {"am-1", "am-2", false}, "no aggregator": {"", "am-1", false}} {
		sim, err := simulator.New(simulator.Options{Rand: simulator.Seeded(1), Wave: simulator.WaveOptions{AggregatedMerchantID: tt.wallet}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sim.Close() })
		if _, err := sim.Start(); err != nil {
			t.Fatal(err)
		}
		a := account(sim.WaveURL())
		a.Credentials[wave.KeyAPI], a.AggregatedMerchantID = simulator.DefaultWaveKey, tt.account
		p, err := wave.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Initiate(t.Context(), request())
		if tt.opens {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wiretest.Diagnosis{
			Operation: providers.OpInitiate, Class: providers.ClassMisconfigured, Status: 400, Code: "request-validation-error",
			Field: "aggregated_merchant_id", Fault: providers.FaultAccount,
		}.Check(t, err)
	}
}
