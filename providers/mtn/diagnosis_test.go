package mtn_test

import (
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

func TestDiagnosis_OfRefusals(t *testing.T) {
	momo := func(code string) string { return `{"message":"canary","code":"` + code + `"}` }
	gateway := `{"statusCode":403,"message":"canary"}`
	misconfigured, account := providers.ClassMisconfigured, providers.FaultAccount
	for name, tt := range map[string]struct {
		answer answer
		want   wiretest.Diagnosis
	}{
		"K5d: callback host": {answer{Status: 500, Body: momo("INVALID_CALLBACK_URL_HOST")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "INVALID_CALLBACK_URL_HOST", Field: "X-Callback-Url", Fault: providers.FaultOperator,
			Says: []string{"providerCallbackHost", "--public-url"}}},
		"K5a: currency": {answer{Status: 500, Body: momo("INVALID_CURRENCY")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "INVALID_CURRENCY", Field: "currency", Fault: account, Says: []string{"targetEnvironment"}}},
		"target": {answer{Status: 500, Body: momo("NOT_ALLOWED_TARGET_ENVIRONMENT")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "NOT_ALLOWED_TARGET_ENVIRONMENT", Fault: account, Says: []string{"targetEnvironment", "{keys}", "{product} product"}}},
		"not allowed": {answer{Status: 500, Body: momo("NOT_ALLOWED")}, wiretest.Diagnosis{
			Class: misconfigured, Code: "NOT_ALLOWED", Fault: account, Says: []string{"enable the {product} product"}}},
		"gateway":   {answer{Status: 403, Body: gateway}, wiretest.Diagnosis{Class: misconfigured, Fault: account, Says: []string{"enable the {product} product", "outgoing address"}}},
		"elsewhere": {answer{Status: 404, Body: gateway}, wiretest.Diagnosis{Class: misconfigured, Fault: account, Says: []string{"baseURL"}}},
		"token":     {answer{Status: 401, Body: gateway}, wiretest.Diagnosis{Class: misconfigured, Fault: account, Says: []string{"{keys}"}}},
		"empty":     {answer{Status: 400}, wiretest.Diagnosis{Class: providers.ClassRejected, Fault: providers.FaultPayment, Says: []string{"does not say why"}}},
		"funds": {answer{Status: 500, Body: momo("NOT_ENOUGH_FUNDS")}, wiretest.Diagnosis{
			Class: providers.ClassRejected, Code: "NOT_ENOUGH_FUNDS", Fault: providers.FaultPayment}},
		"broken": {answer{Status: 503}, wiretest.Diagnosis{Class: providers.ClassUnknown, Fault: providers.FaultProvider}},
	} {
		for op, send := range posts() {
			t.Run(name+" "+op, func(t *testing.T) {
				want := tt.want
				want.Operation, want.Status = providers.OpInitiate, tt.answer.Status
				words := strings.NewReplacer("{product}", "Collection", "{keys}", "subscriptionKey, userID, apiSecret")
				if op == "refund" {
					want.Operation = providers.OpRefund
					words = strings.NewReplacer("{product}", "Disbursement",
						"{keys}", "disbursementSubscriptionKey, disbursementUserID, disbursementAPISecret")
				}
				want.Says = nil
				for _, s := range tt.want.Says {
					want.Says = append(want.Says, words.Replace(s))
				}
				p, _, _ := client(t, tokenAnswer, tt.answer)
				want.Check(t, send(t.Context(), p))
			})
		}
	}
}

// K5c: five wrong Secrets are five answers, as the simulator gives them.
func TestDiagnosis_OfWrongSecrets(t *testing.T) {
	sim, err := simulator.New(simulator.Options{Rand: simulator.Seeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	if _, err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	const subscription, user, secret = simulator.DefaultMTNSubscriptionKey, simulator.DefaultMTNUser, simulator.DefaultMTNKey
	pair := []string{"userID", "apiSecret"}
	for name, tt := range map[string]struct {
		subscription, user, secret providers.Secret
		code                       string
		says                       []string
	}{
		"wrong user":             {subscription, "00000000-0000-4000-8000-000000000000", secret, "invalid_client", pair},
		"wrong secret":           {subscription, user, "canary", "invalid_client", pair},
		"swapped":                {subscription, secret, user, "invalid_client", append(pair, "userID and apiSecret seem to be swapped")},
		"placeholders":           {"<key of the Collections product>", "<API user>", "<API key of that user>", "", []string{"subscriptionKey", "A placeholder seems to be left in subscriptionKey, userID, apiSecret"}},
		"a placeholder":          {subscription, user, "your-api-key", "invalid_client", append(pair, "left in apiSecret")},
		"key of another product": {simulator.DefaultMTNDisbursementSubscriptionKey, user, secret, "", []string{"subscriptionKey", "no subscription key of the Collection product"}},
	} {
		t.Run("K5c: "+name, func(t *testing.T) {
			p, err := mtn.Kind().New(providers.Account{
				BaseURL: sim.MTNURL(), Environment: providers.Sandbox, Credentials: map[string]providers.Secret{
					mtn.KeySubscription: tt.subscription, mtn.KeyUserID: tt.user, mtn.KeyAPISecret: tt.secret,
				},
			}, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), wiretest.NewClock().Now)
			if err != nil {
				t.Fatal(err)
			}
			want := wiretest.Diagnosis{
				Operation: providers.OpToken, Class: providers.ClassMisconfigured, Status: 401, Code: tt.code, Fault: providers.FaultAccount, Says: tt.says,
			}
			want.Check(t, p.(providers.Preparer).Prepare(t.Context()))
			want.Check(t, p.(providers.AccountChecker).CheckAccount(t.Context(), providers.AccountCheck{}))
		})
	}
	// MTN fails so for some wrong ones, and when it is down.
	p, _, _ := client(t, answer{Status: 500, Body: "{}"})
	wiretest.Diagnosis{
		Operation: providers.OpToken, Class: providers.ClassNotSent, Status: 500, Fault: providers.FaultProvider, Says: pair,
	}.Check(t, p.Prepare(t.Context()))
}

// K5d: what the API user is registered for is compared with where callbacks go.
func TestDiagnosis_OfTheCallbackHost(t *testing.T) {
	for name, tt := range map[string]struct {
		registered, told string
		says             []string // empty: in order
	}{
		"K5d: the same":                 {registered: "pay.example.com", told: "https://pay.example.com/base"},
		"K5d: the same with a port":     {registered: "pay.example.com:8443", told: "https://pay.example.com:8443"},
		"K5d: in capitals":              {registered: "PAY.example.com", told: "https://pay.example.com"},
		"K5d: polled only":              {registered: "pay.example.com"},
		"K5d: nothing registered":       {told: "https://pay.example.com"},
		"K5d: another":                  {registered: "old.example.com", told: "https://pay.example.com", says: []string{"callbacks to old.example.com", "at pay.example.com", "--public-url"}},
		"K5d: a part":                   {registered: "example.com", told: "https://pay.example.com", says: []string{"example.com"}},
		"K5d: what is no host":          {registered: "canary <script>", told: "https://pay.example.com", says: []string{"no host name"}},
		"K5d: a URL instead of a host":  {registered: "https://pay.example.com", told: "https://pay.example.com", says: []string{"no host name", "providerCallbackHost pay.example.com"}},
		"K5d: the operator has another": {registered: "pay.example.com", told: "https://203.0.113.7", says: []string{"pay.example.com", "203.0.113.7"}},
	} {
		t.Run(name, func(t *testing.T) {
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
			wiretest.Diagnosis{
				Operation: providers.OpAccountCheck, Class: providers.ClassMisconfigured, Status: 200,
				Field: "providerCallbackHost", Fault: providers.FaultOperator, Says: tt.says,
			}.Check(t, err)
		})
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
		p, s, _ := client(t, tokenAnswer, accepted, status(want), status("another"), status(reference+"x"), answer{Status: 200, Body: `{"status":"SUCCESSFUL"}`})
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
	p, _, _ := client(t, tokenAnswer, successful)
	h := handle()
	h.MerchantReference = "order-1042"
	if got, err := p.Status(t.Context(), h); err != nil || got.About(h) {
		t.Errorf("%+v, %v", got, err)
	}
	// The same for refunds.
	p, s, _ := client(t, tokenAnswer, accepted, answer{Status: 200, Body: `{"externalId":"order-1042","status":"SUCCESSFUL"}`})
	req := refundRequest()
	req.MerchantReference = "order 1042"
	if err := p.Refund(t.Context(), req); err != nil || s.Requests()[1].Object(t)["externalId"] != "order-1042" {
		t.Errorf("%v, %v", err, s.Requests()[1].Body)
	}
	if got, err := p.RefundStatus(t.Context(), req.RefundHandle); err != nil || got.Reference != refundRef || !got.AboutRefund(req.RefundHandle) {
		t.Errorf("%+v, %v", got, err)
	}
}

// K5a, K6d: what an account tells of itself.
func TestKind_CountryAndLimit(t *testing.T) {
	k := mtn.Kind()
	for word, currency := range map[string]string{
		"mtnivorycoast": "XOF", "mtnbenin": "XOF", "mtnguineaconakry": "GNF", "mtncameroon": "XAF", "mtnghana": "GHS", "mtncongo": "XAF",
		"mtnuganda": "UGX", "mtnrwanda": "RWF", "mtnzambia": "ZMW", "mtnliberia": "LRD", "mtnsouthafrica": "ZAR", "mtnswaziland": "SZL",
		"mtnsouthsudan": "SSP", "mtnnigeria": "NGN",
	} {
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
	// In the sandbox just so, where the account tells its country.
	sandbox := providers.Account{Environment: providers.Sandbox, TargetEnvironment: "sandbox", Country: "ci"}
	for currency, want := range map[string]providers.Money{"XOF": {Amount: "5000", Currency: "EUR"}, "XAF": {}, "GHS": {}, "CFA": {}} {
		if got, err := k.WireMoney(sandbox, providers.Money{Amount: "5000", Currency: currency}); got != want || (err == nil) != (want.Amount != "") {
			t.Errorf("K5a: %s in the sandbox: %v, %v", currency, got, err)
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

// A refusal of MTN's is not final: what it refused with a code it may have processed.
func TestRefusal_MayHaveBeenProcessed(t *testing.T) {
	p, pass := sandbox(t, false)
	req := inEUR("refused")
	req.Money.Amount = "1973" // mtn-no-funds-processed
	_, err := p.Initiate(t.Context(), req)
	wiretest.Diagnosis{
		Operation: providers.OpInitiate, Class: providers.ClassRejected, Status: 500, Code: "NOT_ENOUGH_FUNDS", Fault: providers.FaultPayment,
	}.Check(t, err)
	pass(time.Minute)
	h := providers.Handle{Reference: req.Reference, Money: req.Money}
	if got, err := p.Status(t.Context(), h); err != nil || got.State != providers.StateSucceeded || !got.Matches(h) {
		t.Errorf("%+v, %v", got, err)
	}
	if p.Traits().RefusalIsFinal {
		t.Error("so a refusal is not final")
	}
}
