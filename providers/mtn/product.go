package mtn

import (
	"context"
	"encoding/base64"
	"net/http"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/token"
)

// product is one of the API's products: each has a path, a subscription, an API
// user and access tokens of its own (MTN MoMo API, products).
type product struct {
	base         string
	target       string
	subscription providers.Secret
	user         providers.Secret
	secret       providers.Secret
	transport    providers.Transport
	now          func() time.Time
	tokens       *token.Source
}

// product of the account, with the credentials under keys: subscription, user
// and secret.
func (p *Provider) product(name string, keys []string) (*product, error) {
	have := p.account.Credentials
	if err := wire.CheckCredentials(have, keys...); err != nil {
		return nil, err
	}
	out := &product{
		base: p.account.BaseURL + "/" + name, target: p.account.TargetEnvironment,
		subscription: have[keys[0]], user: have[keys[1]], secret: have[keys[2]],
		transport: p.transport, now: p.now,
	}
	out.tokens = token.NewSource(out.fetchToken, p.now)
	return out, nil
}

// fetchToken asks for an access token (MTN MoMo API, CreateAccessToken). The
// slash at the path's end belongs there, and there is no body: a form is
// answered with a page.
func (p *product) fetchToken(ctx context.Context) (token.Token, error) {
	// The raw bytes, not URL-encoded: user ids may end in "=".
	pair := p.user.Reveal() + ":" + p.secret.Reveal()
	a, err := p.transport.Do(ctx, providers.Call{
		Operation: providers.OpToken, Method: http.MethodPost, URL: p.url("/token/"),
		Header: p.header("Basic " + base64.StdEncoding.EncodeToString([]byte(pair))),
	})
	if err != nil {
		return token.Token{}, err
	}
	if a.Status != http.StatusOK {
		return token.Token{}, wire.Fail(providers.OpToken, a, classifyToken(a.Status), wire.ErrorCode(a.Body), p.now())
	}
	value, life, err := wire.AccessToken(providers.OpToken, a)
	return token.Token{Value: value, Life: life}, err
}

func (p *product) authorized(ctx context.Context, call func(http.Header) providers.Call) (providers.Answer, error) {
	return p.tokens.Authorized(ctx,
		func(t providers.Secret) (providers.Answer, error) {
			return p.transport.Do(ctx, call(p.header("Bearer "+t.Reveal())))
		},
		func(a providers.Answer) bool { return a.Status == http.StatusUnauthorized },
	)
}

func (p *product) header(authorization string) http.Header {
	h := http.Header{}
	h.Set("Authorization", authorization)
	h.Set("Ocp-Apim-Subscription-Key", p.subscription.Reveal())
	h.Set("X-Target-Environment", p.target)
	return h
}

func (p *product) url(path string) string { return p.base + path }
