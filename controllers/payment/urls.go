package payment

import (
	"strings"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
)

// URLs that providers are told, all below the public base URL of the callback
// receiver.
type URLs struct {
	// Base is where the receiver is reached from outside, without a slash at
	// the end; empty: it is not.
	Base string
}

// Callback is where a provider reports on one charge; empty: nowhere.
func (u URLs) Callback(a *account.Account, callbackID string) string {
	switch {
	case a.NoCallbacks && !a.Kind.Traits.NeedsCallbackURL:
		return ""
	case a.CallbackURL != "":
		return a.CallbackURL + "/" + callbackID
	case u.Base != "":
		return u.Base + "/callbacks/" + a.Provider + "/" + callbackID
	default:
		return ""
	}
}

// Landing is the plain page for payers who come back; empty: there is none.
func (u URLs) Landing() string {
	if u.Base == "" {
		return ""
	}
	return u.Base + "/return"
}

// check says what is missing for a payment of p through a.
func (u URLs) check(a *account.Account, p *v1alpha1.Payment) error {
	traits := a.Kind.Traits
	missing := func(what string) error {
		return &account.Problem{
			Reason: v1alpha1.ReasonAccountMisconfigured,
			Message: "provider " + a.Provider + " needs " + what +
				"; have the operator started with --public-url, the https URL at which its callback receiver is reached",
		}
	}
	switch {
	case traits.NeedsCallbackURL && u.Callback(a, "x") == "":
		return missing("a URL for its notifications")
	case traits.NeedsReturnURL && firstOf(string(p.Spec.ReturnURL), a.ReturnURL, u.Landing()) == "":
		return missing("a page for the payer to come back to (returnURL)")
	default:
		return nil
	}
}

// NewURLs takes the public base URL as the user writes it.
func NewURLs(base string) URLs { return URLs{Base: strings.TrimRight(base, "/")} }
