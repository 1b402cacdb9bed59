package callback

import (
	"cmp"
	"fmt"
	"strings"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/installation"
)

// URLs that providers are told, all below the public base URL of the callback receiver.
type URLs struct {
	// Base is where the receiver is reached from outside, without a slash at the end; empty: it is not.
	Base string
	// Paths sign what names a Charge in a URL.
	Paths *installation.PathKeys
}

// Callback is where a provider reports on one charge; empty: nowhere.
func (u URLs) Callback(a *account.Account, c *v1alpha1.Charge) string {
	base := u.CallbackBase(a)
	if base == "" || c.Spec.CallbackID == "" {
		return ""
	}
	return base + "/" + c.Spec.CallbackID
}

// CallbackBase is what the callback URLs of an account begin with; empty: it has none.
func (u URLs) CallbackBase(a *account.Account) string {
	switch {
	case a.NoCallbacks && !a.Kind.Traits.NeedsCallbackURL:
		return ""
	case a.CallbackURL != "":
		return a.CallbackURL
	case u.Base != "":
		return u.Base + "/callbacks/" + a.Provider
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

// Return is where the payer goes after paying; empty: nowhere.
func (u URLs) Return(a *account.Account, p *v1alpha1.Payment) string {
	return cmp.Or(string(p.Spec.ReturnURL), a.ReturnURL, u.Landing())
}

// Cancel is where the payer goes after giving up; empty: nowhere.
func (u URLs) Cancel(a *account.Account, p *v1alpha1.Payment) string {
	return cmp.Or(string(p.Spec.CancelURL), a.CancelURL, u.Return(a, p))
}

// Check says what is missing, or too long, for a payment of p through a.
func (u URLs) Check(a *account.Account, p *v1alpha1.Payment) error {
	traits := a.Kind.Traits
	callback := len(u.CallbackBase(a)) + len("/") + installation.PathIDLength
	for _, length := range []int{callback, len(u.Return(a, p)), len(u.Cancel(a, p))} {
		if traits.MaxURL > 0 && length > traits.MaxURL {
			return &account.Problem{
				Reason: v1alpha1.ReasonAccountMisconfigured,
				Message: fmt.Sprintf("Provider %s takes URLs of at most %d characters, and one of this payment's is longer. "+
					"Have the operator started with a shorter --public-url.", a.Provider, traits.MaxURL),
			}
		}
	}
	missing := func(what string) error {
		return &account.Problem{
			Reason: v1alpha1.ReasonAccountMisconfigured,
			Message: "Provider " + a.Provider + " needs " + what +
				". Have the operator started with --public-url, the https URL at which its callback receiver is reached.",
		}
	}
	switch {
	case traits.NeedsCallbackURL && u.CallbackBase(a) == "":
		return missing("a URL for its notifications")
	case traits.NeedsReturnURL && u.Return(a, p) == "":
		return missing("a page for the payer to come back to (returnURL)")
	default:
		return nil
	}
}

// CheckAccount says what is missing, or too long, for payments through a that name no page of their own.
func (u URLs) CheckAccount(a *account.Account) error {
	return u.Check(a, &v1alpha1.Payment{})
}

// NewURLs takes the public base URL as the user writes it.
func NewURLs(base string, paths *installation.PathKeys) URLs {
	return URLs{Base: strings.TrimRight(base, "/"), Paths: paths}
}
