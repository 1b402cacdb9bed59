package account_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

const subscription, user, apiKey = "a1b2c3d4e5f60718293a4b5c6d7e8f90", "b1a7c3d2-5e6f-4a8b-9c0d-1e2f3a4b5c6d", "00112233445566778899aabbccddeeff"

// atSimulator is the readiness of an account at a simulator of MTN's sandbox, whose API user
// has a callback host.
func atSimulator(t *testing.T, o client.Object, base func(simulated string), keys map[string]string) *readiness {
	t.Helper()
	sim, err := simulator.New(simulator.Options{Rand: simulator.Seeded(1), MTN: simulator.MTNOptions{CallbackHost: "pay.example.com"}})
	must(t, err)
	sim.AddKeys(simulator.MTN, simulator.Keys{ID: user, Secret: apiKey, Key: subscription})
	server := httptest.NewServer(sim)
	sim.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	base(server.URL)
	r := readinessOf(t, o, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), secret("shop", "mtn-credentials", keys), secret("shop", "orange-credentials", keysOf("orange")))
	u, err := url.Parse(server.URL)
	must(t, err)
	r.Resolver.AllowedEndpoints = []string{u.Host}
	return r
}

func good() map[string]string {
	return map[string]string{"subscriptionKey": subscription, "userID": user, "apiSecret": apiKey}
}

// K5c: five wrong Secrets are told by five sentences, with the operation, the HTTP status and
// the keys to look at.
func TestReadiness_K5cFiveWrongSecrets(t *testing.T) {
	seen := map[string]string{}
	for name, tt := range map[string]struct {
		change map[string]string
		says   []string
	}{
		"wrong user":         {map[string]string{"userID": "00000000-0000-4000-8000-000000000000"}, []string{"userID"}},
		"wrong secret":       {map[string]string{"apiSecret": "wrong"}, []string{"apiSecret"}},
		"swapped":            {map[string]string{"userID": apiKey, "apiSecret": user}, []string{"swapped"}},
		"placeholders":       {map[string]string{"subscriptionKey": "<key of the Collections product>", "userID": "<API user>", "apiSecret": "<API key of that user>"}, []string{"placeholder"}},
		"of another product": {map[string]string{"subscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey}, []string{"subscriptionKey"}},
	} {
		keys, m := good(), merchant("shop", "mtn", "mtn")
		for k, v := range tt.change {
			keys[k] = v
		}
		got, _ := atSimulator(t, m, func(sim string) { m.Spec.BaseURL = sim + "/mtn" }, keys).ready()
		if got.Status != metav1.ConditionFalse || got.Reason != v1alpha1.ReasonAccountMisconfigured {
			t.Errorf("%s: %+v", name, got)
		}
		for _, s := range append(tt.says, "operation token", "HTTP status 401") {
			if !strings.Contains(got.Message, s) {
				t.Errorf("%s: %q does not say %q", name, got.Message, s)
			}
		}
		if other, ok := seen[got.Message]; ok && name != "wrong user" && other != "wrong user" {
			t.Errorf("%s and %s are told by one sentence: %q", name, other, got.Message)
		}
		seen[got.Message] = name
	}
	if len(seen) < 4 {
		t.Errorf("%d sentences: %v", len(seen), seen)
	}
}

// K5d: the callback host of MTN's API user is compared with --public-url.
func TestReadiness_K5dCallbackHost(t *testing.T) {
	for base, ready := range map[string]bool{
		"https://pay.example.com/callbacks/mtn": true, "https://other.example/callbacks/mtn": false, "": true,
	} {
		m := merchant("shop", "mtn", "mtn")
		r := atSimulator(t, m, func(sim string) { m.Spec.BaseURL = sim + "/mtn" }, good())
		r.CallbackBase = func(*account.Account) string { return base }
		got, _ := r.ready()
		if (got.Status == metav1.ConditionTrue) != ready {
			t.Errorf("%q: %+v", base, got)
		}
		if !ready && (!strings.Contains(got.Message, "pay.example.com") || !strings.Contains(got.Message, "--public-url")) {
			t.Errorf("%q: %s", base, got.Message)
		}
	}
}

// K5e: a base path of Orange's that no payment can be opened at is refused by the account.
func TestReadiness_K5eBasePathOfOrange(t *testing.T) {
	for path, ready := range map[string]bool{
		"/orange-money-webpay/ci/v1": true, "/orange-money-webpay/ci/v1/": true, "/orange-money-webpay/ci/v1/webpayment": false, "/orange-money-webpay/v1": false,
	} {
		m := merchant("shop", "orange", "orange", func(s *v1alpha1.MerchantAccountSpec) { s.Environment, s.Country = "production", "ci" })
		r := readinessOf(t, m, token(), secret("shop", "orange-credentials", keysOf("orange")))
		m.Spec.BaseURL = "https://api.orange.com" + path
		must(t, r.api.Update(t.Context(), m))
		got, _ := r.ready()
		if (got.Status == metav1.ConditionTrue) != ready || !ready && (got.Reason != v1alpha1.ReasonAccountMisconfigured || !strings.Contains(got.Message, "base")) {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

// K5a: at an account of Côte d'Ivoire only its currency is asked for, in a sandbox as in
// production, and the same is true of the account's own currency.
func TestAccount_K5aCurrencyOfTheCountry(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for _, environment := range []string{"sandbox", "production"} {
			for currency, ok := range map[string]bool{"XOF": true, "GHS": false, "UGX": false, "XAF": false, "CFA": false, "XYZ": false} {
				name := fmt.Sprint(provider, " ", environment, " ", currency)
				ivorian := func(s *v1alpha1.MerchantAccountSpec) {
					s.Environment, s.Country = environment, "ci"
					if provider == "mtn" && environment == "production" {
						s.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
					}
				}
				f := setUp(t, merchant("shop", provider, provider, ivorian), secret("shop", provider+"-credentials", keysOf(provider)))
				a := f.resolve(payment("shop", provider))
				money := providers.Money{Amount: "5000", Currency: currency}
				_, err := a.WireMoney(money)
				again := f.client(a).CheckMoney(money)
				if (err == nil) != ok || (again == nil) != ok || !ok && providers.ClassOf(err) != providers.ClassRejected {
					t.Errorf("%s: %v, %v", name, err, again)
				}
				f = setUp(t, merchant("shop", provider, provider, ivorian, func(s *v1alpha1.MerchantAccountSpec) { s.Currency = currency }))
				if _, err = f.Resolve(f.ctx, payment("shop", provider)); ok && err != nil {
					t.Errorf("%s: %v", name, err)
				} else if !ok {
					expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "XOF")
				}
			}
		}
	}
	// What a key says of its country counts, too.
	f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", map[string]string{"apiKey": "wave_ci_prod_" + canary}))
	c := f.client(f.resolve(payment("shop", "wave")))
	if err := c.CheckMoney(providers.Money{Amount: "5000", Currency: "UGX"}); providers.ClassOf(err) != providers.ClassRejected {
		t.Errorf("%v", err)
	}
}
