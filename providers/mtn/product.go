package mtn

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/token"
)

// product is one of the API's products: each has a path, a subscription, an API
// user and access tokens of its own (MTN MoMo API, products).
type product struct {
	name         string
	base         string
	target       string
	keys         []string // subscription, user, secret
	credentials  map[string]providers.Secret
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
		name: strings.ToUpper(name[:1]) + name[1:], keys: keys, credentials: have,
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
		return token.Token{}, p.fail(providers.OpToken, a, p.classifyToken(a), wire.TokenErrorCode(a.Body))
	}
	value, life, err := wire.AccessToken(providers.OpToken, a)
	return token.Token{Value: value, Life: life}, err
}

// order makes a call that moves money.
func (p *product) order(ctx context.Context, op providers.Operation, call func(http.Header) providers.Call) (providers.Answer, error) {
	return p.tokens.Order(ctx, op, p.send(ctx, call), tokenRefused)
}

// question makes a call that moves none.
func (p *product) question(ctx context.Context, call func(http.Header) providers.Call) (providers.Answer, error) {
	return p.tokens.Question(ctx, p.send(ctx, call), tokenRefused)
}

func (p *product) send(ctx context.Context, call func(http.Header) providers.Call) token.Send {
	return func(t providers.Secret) (providers.Answer, error) {
		c := call(p.header("Bearer " + t.Reveal()))
		if c.Body != nil {
			c.Header.Set("Content-Type", "application/json")
		}
		return p.transport.Do(ctx, c)
	}
}

func tokenRefused(a providers.Answer) bool { return a.Status == http.StatusUnauthorized }

func (p *product) header(authorization string) http.Header {
	h := http.Header{}
	h.Set("Authorization", authorization)
	h.Set("Ocp-Apim-Subscription-Key", p.subscription.Reveal())
	h.Set("X-Target-Environment", p.target)
	return h
}

func (p *product) url(path string) string { return p.base + path }
