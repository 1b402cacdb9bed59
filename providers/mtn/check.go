package mtn

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// CheckAccount gets an access token, and in the sandbox asks what the API user
// is registered for. In production there is no such question.
func (p *Provider) CheckAccount(ctx context.Context) error {
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
	return p.judgeUser(a)
}

// judgeUser reads the answer (MTN MoMo API, sandbox provisioning: GET apiuser).
// Only what it says for certain is held against the account.
func (p *Provider) judgeUser(a providers.Answer) error {
	var user struct {
		TargetEnvironment string `json:"targetEnvironment"`
	}
	switch {
	case a.Status == http.StatusNotFound:
		e := wire.Fail(providers.OpAccountCheck, a, providers.ClassMisconfigured, wire.ErrorCode(a.Body), p.now())
		e.Detail = "MTN's sandbox knows no API user of this userID; create one with the subscription key of the Collection product"
		return e
	case a.Status == http.StatusTooManyRequests:
		return wire.Fail(providers.OpAccountCheck, a, providers.ClassThrottled, wire.ErrorCode(a.Body), p.now())
	case a.Status != http.StatusOK:
		return wire.Fail(providers.OpAccountCheck, a, providers.ClassUnknown, wire.ErrorCode(a.Body), p.now())
	}
	err := wire.Decode(a.Body, &user)
	switch {
	case err != nil:
		return wire.Odd(providers.OpAccountCheck, a, err.Error())
	case user.TargetEnvironment == "":
		return wire.Odd(providers.OpAccountCheck, a, "no targetEnvironment")
	case !strings.EqualFold(user.TargetEnvironment, p.account.TargetEnvironment):
		return wire.Refuse(providers.OpAccountCheck, providers.ClassMisconfigured,
			"the API user belongs to another target environment; create one in the sandbox, or correct targetEnvironment")
	}
	return nil
}
