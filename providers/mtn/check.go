package mtn

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// CheckAccount gets an access token, and in the sandbox asks what the API user
// is registered for. In production there is no such question.
func (p *Provider) CheckAccount(ctx context.Context, check providers.AccountCheck) error {
	if err := p.Prepare(ctx); err != nil || p.account.Environment != providers.Sandbox {
		return err
	}
	header := http.Header{}
	header.Set("Ocp-Apim-Subscription-Key", p.collection.subscription.Reveal())
	a, err := p.transport.Do(ctx, providers.Call{
		Operation: providers.OpAccountCheck, Method: http.MethodGet, Header: header,
		URL: p.account.BaseURL + "/v1_0/apiuser/" + url.PathEscape(p.collection.user.Reveal()),
	})
	if err != nil {
		return err
	}
	return p.judgeUser(a, check.CallbackURL)
}

// judgeUser reads the answer (MTN MoMo API, sandbox provisioning: GET apiuser).
// Only what it says for certain is held against the account.
func (p *Provider) judgeUser(a providers.Answer, callbackURL string) error {
	var user struct {
		Target string `json:"targetEnvironment"`
		Host   string `json:"providerCallbackHost"`
	}
	if a.Status != http.StatusOK {
		v, known := checks[a.Status]
		if !known {
			v = wire.Verdict{Class: providers.ClassUnknown}
		}
		return p.collection.fail(providers.OpAccountCheck, a, v, wire.ErrorCode(a.Body))
	}
	err := wire.Decode(a.Body, &user)
	switch {
	case err != nil:
		return wire.Odd(providers.OpAccountCheck, a, err.Error())
	case user.Target == "":
		return wire.Odd(providers.OpAccountCheck, a, "no targetEnvironment")
	case !strings.EqualFold(user.Target, p.account.TargetEnvironment):
		return p.collection.fail(providers.OpAccountCheck, a, wire.Misconfigured(
			"the API user belongs to another target environment; create one in the sandbox, or correct targetEnvironment"), "")
	case user.Host == "" || callbackURL == "" || isHostOf(user.Host, callbackURL):
		return nil
	}
	return p.collection.fail(providers.OpAccountCheck, a, otherHost(user.Host, callbackURL), "")
}

var checks = map[int]wire.Verdict{
	http.StatusNotFound: wire.Misconfigured(
		"MTN's sandbox knows no API user of this {user}; create one with the subscription key of the {product} product"),
	http.StatusTooManyRequests: {Class: providers.ClassThrottled},
}

// isHostOf tells whether MTN takes a URL for callbacks to the registered host.
func isHostOf(host, callbackURL string) bool {
	u, err := url.Parse(callbackURL)
	return err == nil && (strings.EqualFold(host, u.Hostname()) || strings.EqualFold(host, u.Host))
}

// otherHost: MTN refuses every payment that names a callback URL at another host than the
// registered one, which cannot be changed.
func otherHost(registered, callbackURL string) wire.Verdict {
	ours := "another host"
	if u, err := url.Parse(callbackURL); err == nil {
		ours = u.Hostname()
	}
	if !hostName.MatchString(registered) {
		registered = "what is no host name"
	}
	return wire.Verdict{
		Class: providers.ClassMisconfigured, Field: "providerCallbackHost", Fault: providers.FaultOperator,
		Detail: "MTN's API user is registered for callbacks to " + registered + ", and the operator is told them at " + ours +
			"; create an API user with providerCallbackHost " + ours + ", change --public-url, or set mtn.callbacks to Disabled in the account",
	}
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$`)
