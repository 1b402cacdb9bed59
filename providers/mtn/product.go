package mtn

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
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

// product of the account, with the credentials under keys: subscription, user and secret.
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

// fetchToken asks for an access token (MTN MoMo API, CreateAccessToken). The slash at the path's
// end belongs there, and there is no body: a form is answered with a page.
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

// order makes a call that moves money. The answer 202 says only that it was taken.
func (p *product) order(ctx context.Context, op providers.Operation, path, reference, callbackURL string, body []byte) error {
	a, err := p.tokens.Order(ctx, op, func(t providers.Secret) (providers.Answer, error) {
		header := p.header("Bearer " + t.Reveal())
		header.Set("Content-Type", "application/json")
		header.Set("X-Reference-Id", reference)
		if callbackURL != "" { // an empty header is refused
			header.Set("X-Callback-Url", callbackURL)
		}
		return p.transport.Do(ctx, providers.Call{Operation: op, Method: http.MethodPost, URL: p.url(path), Header: header, Body: body})
	}, tokenRefused)
	switch {
	case err != nil:
		return err
	case a.Status != http.StatusAccepted:
		return p.refusal(op, a)
	case !wire.EmptyOrObject(a.Body):
		return wire.Odd(op, a, "the answer is a page")
	}
	return nil
}

// status asks how an order stands, by its reference.
func (p *product) status(ctx context.Context, op providers.Operation, path, reference, merchant string) (providers.Status, error) {
	if reference == "" {
		return providers.Status{}, wire.Refuse(op, providers.ClassUnknown, "no reference to ask for")
	}
	a, err := p.tokens.Question(ctx, func(t providers.Secret) (providers.Answer, error) {
		call := providers.Call{Operation: op, Method: http.MethodGet, URL: p.url(path + url.PathEscape(reference)), Header: p.header("Bearer " + t.Reveal())}
		return p.transport.Do(ctx, call)
	}, tokenRefused)
	if err != nil {
		return providers.Status{}, err
	}
	return p.readStatus(op, a, reference, externalID(merchant, reference))
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
