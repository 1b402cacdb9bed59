package callback

import (
	"errors"
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

func TestURLs_AreBelowTheBase(t *testing.T) {
	acct, paths, charge := accountOf("orange"), testInstallation.PathKeys(), chargeWithID("orange")
	id := charge.Spec.CallbackID
	for base, want := range map[string][2]string{
		"":                             {"", ""},
		"https://pay.example":          {"https://pay.example/callbacks/orange/" + id, "https://pay.example/return"},
		"https://pay.example/":         {"https://pay.example/callbacks/orange/" + id, "https://pay.example/return"},
		"https://pay.example/momo//":   {"https://pay.example/momo/callbacks/orange/" + id, "https://pay.example/momo/return"},
		"https://pay.example:8443/a/b": {"https://pay.example:8443/a/b/callbacks/orange/" + id, "https://pay.example:8443/a/b/return"},
	} {
		u := NewURLs(base, paths)
		if got := [2]string{u.Callback(acct, charge), u.Landing()}; got != want {
			t.Errorf("%q: %v, want %v", base, got, want)
		}
	}
	acct.CallbackURL = "https://own.example/momo"
	for _, base := range []string{"", "https://pay.example"} {
		if got := NewURLs(base, paths).Callback(acct, charge); got != "https://own.example/momo/"+id {
			t.Errorf("the account's own: %s", got)
		}
	}
	// The id is that which the Charge was made with, whatever key signs now.
	if got := NewURLs("https://pay.example", paths).Callback(acct, &v1alpha1.Charge{}); got != "" {
		t.Errorf("without an id: %s", got)
	}
	// An account can do without callbacks where its provider can.
	for provider, want := range map[string]string{"mtn": "", "orange": "https://pay.example/callbacks/orange/" + chargeWithID("orange").Spec.CallbackID, "wave": ""} {
		acct := accountOf(provider)
		acct.NoCallbacks = true
		if got := NewURLs("https://pay.example", paths).Callback(acct, chargeWithID(provider)); got != want {
			t.Errorf("%s: %q, want %q", provider, got, want)
		}
	}
}

// chargeWithID is one of which callbacks were told the URL.
func chargeWithID(provider string) *v1alpha1.Charge {
	id := testInstallation.PathKeys().ID(provider, testInstallation.ChargeName("shop", "order"))
	return &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{Provider: provider, CallbackID: id}}
}

// A Payment with only provider, amount and phone works with each
// provider, if there is a public URL; without one, what cannot work says so.
func TestURLs_CheckNamesWhatIsMissing(t *testing.T) {
	const page = "https://shop.example/thanks"
	cases := map[string]struct {
		provider string
		base     string
		payment  v1alpha1.BrowserURL
		change   func(*account.Account)
		missing  string // empty: nothing
	}{
		"mtn is polled":                      {provider: "mtn"},
		"mtn":                                {provider: "mtn", base: "https://pay.example"},
		"orange":                             {provider: "orange", base: "https://pay.example"},
		"wave":                               {provider: "wave", base: "https://pay.example"},
		"orange without a base":              {provider: "orange", payment: page, missing: "notifications"},
		"orange with callbacks of its own":   {provider: "orange", payment: page, change: func(a *account.Account) { a.CallbackURL = "https://own.example" }},
		"the same, without a page":           {provider: "orange", change: func(a *account.Account) { a.CallbackURL = "https://own.example" }, missing: "returnURL"},
		"wave without a base":                {provider: "wave", missing: "returnURL"},
		"wave with the payment's page":       {provider: "wave", payment: page},
		"wave with the account's page":       {provider: "wave", change: func(a *account.Account) { a.ReturnURL = page }},
		"wave with a cancel page only":       {provider: "wave", change: func(a *account.Account) { a.CancelURL = page }, missing: "returnURL"},
		"orange that is told not to call us": {provider: "orange", base: "https://pay.example", change: func(a *account.Account) { a.NoCallbacks = true }},
	}
	for name, c := range cases {
		acct, p := accountOf(c.provider), &v1alpha1.Payment{}
		p.Spec.ReturnURL = c.payment
		if c.change != nil {
			c.change(acct)
		}
		err := NewURLs(c.base, testInstallation.PathKeys()).Check(acct, p)
		var problem *account.Problem
		switch {
		case c.missing == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.As(err, &problem) || problem.Reason != v1alpha1.ReasonAccountMisconfigured:
			t.Errorf("%s: %v", name, err)
		case !strings.Contains(problem.Message, c.missing) || !strings.Contains(problem.Message, "--public-url") || !strings.Contains(problem.Message, c.provider):
			t.Errorf("%s: %s", name, problem.Message)
		}
	}
}

// Orange takes 120 characters: what is longer is said before anything is sent.
func TestURLs_CheckRefusesLongOnes(t *testing.T) {
	base := "https://pay.example/" + strings.Repeat("a", 20)
	p := &v1alpha1.Payment{}
	paths := testInstallation.PathKeys()
	for length, ok := range map[int]bool{120: true, 121: false} {
		pad := length - len(NewURLs(base, paths).Callback(accountOf("orange"), chargeWithID("orange")))
		err := NewURLs(base+strings.Repeat("a", pad), paths).Check(accountOf("orange"), p)
		var problem *account.Problem
		if (err == nil) != ok || !ok && (!errors.As(err, &problem) || !strings.Contains(problem.Message, "120")) {
			t.Errorf("%d characters: %v", length, err)
		}
	}
	if err := NewURLs(base+strings.Repeat("a", 100), paths).Check(accountOf("wave"), p); err != nil {
		t.Errorf("Wave has no limit: %v", err)
	}
}

func accountOf(provider string) *account.Account {
	kinds := providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
	return &account.Account{Provider: provider, Kind: kinds[provider]}
}
