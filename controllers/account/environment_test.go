package account_test

import (
	"maps"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
)

func TestFromEnvironment(t *testing.T) {
	mtnKeys := map[string]string{"MTN_SUBSCRIPTION_KEY": "s", "MTN_USER_ID": "u", "MTN_API_SECRET": "p"}
	orangeKeys := map[string]string{"ORANGE_CLIENT_ID": "i", "ORANGE_CLIENT_SECRET": "c", "ORANGE_MERCHANT_KEY": "m"}
	waveKeys := map[string]string{"WAVE_API_KEY": "k", "WAVE_WEBHOOK_SECRET": "w"}
	with := func(base map[string]string, more ...string) map[string]string {
		out := maps.Clone(base)
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	const orangeDev = "https://api.orange.com/orange-money-webpay/dev/v1"
	const orangeToken = "https://api.orange.com/oauth/v3/token"
	cases := map[string]struct {
		provider    string
		environment map[string]string
		want        v1alpha1.AccountPin
		callback    string
	}{
		"mtn":            {"mtn", mtnKeys, v1alpha1.AccountPin{Environment: "sandbox", BaseURL: "https://sandbox.momodeveloper.mtn.com", TargetEnvironment: "sandbox"}, ""},
		"mtn sandbox":    {"mtn", with(mtnKeys, "MTN_ENVIRONMENT", "sandbox"), v1alpha1.AccountPin{Environment: "sandbox", BaseURL: "https://sandbox.momodeveloper.mtn.com", TargetEnvironment: "sandbox"}, ""},
		"mtn production": {"mtn", with(mtnKeys, "MTN_ENVIRONMENT", "production", "MTN_TARGET_ENVIRONMENT", "mtnivorycoast"), v1alpha1.AccountPin{Environment: "production", BaseURL: "https://proxy.momoapi.mtn.com", TargetEnvironment: "mtnivorycoast"}, ""},
		"mtn elsewhere":  {"mtn", with(mtnKeys, "MTN_API_URL", "https://sim.example/mtn/"), v1alpha1.AccountPin{Environment: "sandbox", BaseURL: "https://sim.example/mtn", TargetEnvironment: "sandbox"}, ""},
		"mtn callbacks":  {"mtn", with(mtnKeys, "MTN_CALLBACK_URL", "https://pay.example/momo/"), v1alpha1.AccountPin{Environment: "sandbox", BaseURL: "https://sandbox.momodeveloper.mtn.com", TargetEnvironment: "sandbox"}, "https://pay.example/momo"},
		"mtn from a file": {
			"mtn", map[string]string{
				"MTN_SUBSCRIPTION_KEY": "s\n", "MTN_USER_ID": "u\n", "MTN_API_SECRET": " p\r\n", "MTN_ENVIRONMENT": "production\n",
				"MTN_TARGET_ENVIRONMENT": "mtnivorycoast\n", "MTN_API_URL": "https://sim.example/mtn/\n", "MTN_CALLBACK_URL": "https://pay.example/momo/\n",
			},
			v1alpha1.AccountPin{Environment: "production", BaseURL: "https://sim.example/mtn", TargetEnvironment: "mtnivorycoast"}, "https://pay.example/momo",
		},

		"orange":             {"orange", orangeKeys, v1alpha1.AccountPin{Environment: "sandbox", BaseURL: orangeDev, TokenURL: orangeToken}, ""},
		"orange dev":         {"orange", with(orangeKeys, "ORANGE_API_URL", orangeDev+"/"), v1alpha1.AccountPin{Environment: "sandbox", BaseURL: orangeDev, TokenURL: orangeToken}, ""},
		"orange ci":          {"orange", with(orangeKeys, "ORANGE_API_URL", "https://api.orange.com/orange-money-webpay/ci/v1"), v1alpha1.AccountPin{Environment: "production", BaseURL: "https://api.orange.com/orange-money-webpay/ci/v1", TokenURL: orangeToken}, ""},
		"orange tokens":      {"orange", with(orangeKeys, "ORANGE_TOKEN_URL", "https://sim.example/token"), v1alpha1.AccountPin{Environment: "sandbox", BaseURL: orangeDev, TokenURL: "https://sim.example/token"}, ""},
		"orange on dev host": {"orange", with(orangeKeys, "ORANGE_API_URL", "https://dev/orange-money-webpay/sn/v1"), v1alpha1.AccountPin{Environment: "production", BaseURL: "https://dev/orange-money-webpay/sn/v1", TokenURL: "https://dev/oauth/v3/token"}, ""},

		"wave":           {"wave", waveKeys, v1alpha1.AccountPin{Environment: "production", BaseURL: "https://api.wave.com"}, ""},
		"wave elsewhere": {"wave", with(waveKeys, "WAVE_API_URL", "https://sim.example/wave/"), v1alpha1.AccountPin{Environment: "production", BaseURL: "https://sim.example/wave"}, ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			f := setUp(t).operator(c.environment)
			if len(f.Operator) != 1 {
				t.Errorf("accounts: %v", sortedKeys(f.Operator))
			}
			a := f.resolve(payment("shop", c.provider))
			c.want.Kind, c.want.Name = "Operator", c.provider
			if a.Pin != c.want || a.CallbackURL != c.callback {
				t.Errorf("%+v %s, want %+v %s", a.Pin, a.CallbackURL, c.want, c.callback)
			}
			if a.Currency != "XOF" || a.Interval != account.DefaultInterval || a.Provider != c.provider {
				t.Errorf("%+v", a)
			}
			if len(f.reads) != 2 { // the accounts that come before it, and no Secret
				t.Errorf("read %v", f.reads)
			}
			f.client(a)
			if len(f.reads) != 2 {
				t.Errorf("the operator's credentials are in its environment, but it read %v", f.reads)
			}
		})
	}
}

func TestNoAccountInTheEnvironment(t *testing.T) {
	for _, environment := range []map[string]string{
		nil,
		{"MTN_ENVIRONMENT": "production", "MTN_TARGET_ENVIRONMENT": "mtnivorycoast", "MTN_API_URL": "https://x.example", "MTN_CALLBACK_URL": "https://x.example"},
		{"ORANGE_API_URL": "https://x.example", "ORANGE_TOKEN_URL": "https://x.example", "WAVE_API_URL": "https://x.example"},
		{"MTN_USER_ID": "", "WAVE_API_KEY": " \n", "ORANGE_CLIENT_ID": "\t"},
		// What an account may have besides.
		{"MTN_DISBURSEMENT_SUBSCRIPTION_KEY": "s", "MTN_DISBURSEMENT_USER_ID": "u", "MTN_DISBURSEMENT_API_SECRET": "p", "WAVE_SIGNING_SECRET": "s"},
	} {
		f := setUp(t).operator(environment)
		if len(f.Operator) != 0 {
			t.Errorf("%v: %v", environment, sortedKeys(f.Operator))
		}
		_, err := f.Resolve(f.ctx, payment("shop", "mtn"))
		expectProblem(t, err, v1alpha1.ReasonAccountNotFound)
	}
}
