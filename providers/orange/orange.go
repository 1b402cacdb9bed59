// Package orange collects through Orange Money Web Payment: it opens a page
// where the payer types number and code. Opening it moves no money.
package orange

import (
	"context"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/token"
)

// Keys of the account's Secret.
const (
	KeyClientID     = "clientID"
	KeyClientSecret = "clientSecret"
	KeyMerchant     = "merchantKey"
)

const (
	host        = "api.orange.com"
	servicePath = "/orange-money-webpay/"
	tokenPath   = "/oauth/v3/token"
	// OUV is the currency of the dev environment, and of no other (Orange Money Web Payment, webpayment: currency).
	sandboxCurrency = "OUV"

	// Orange Money Web Payment, webpayment: limits of the fields.
	maxURL      = 120
	maxMerchant = 30
)

var (
	countryCode = regexp.MustCompile(`^[a-z]{2}$`)
	// The base path, after which the calls' own names follow (Orange Money Web Payment,
	// webpayment: URL). A gateway in front of the API may put a path before it.
	apiPath = regexp.MustCompile(`^(.*)` + servicePath + `(dev|[a-z]{2})/v[0-9]+$`)
)

var traits = providers.Traits{
	Flow:     providers.FlowRedirect,
	Recovery: providers.RecoverByRepeat,
	// Orange Money Web Payment, getting started: life of a pay_token.
	SessionLife:      10 * time.Minute,
	Deduplicates:     true,
	RefusalIsFinal:   true,
	StatusNeedsToken: true,
	NeedsCallbackURL: true,
	NeedsReturnURL:   true,
	MaxURL:           maxURL,
	// Orange Money Web Payment has no refund.
	Refund: providers.RefundManual,
}

// Kind describes Orange to the registry.
func Kind() providers.Kind {
	return providers.Kind{
		CredentialKeys:  []string{KeyClientID, KeyClientSecret, KeyMerchant},
		Endpoint:        endpoint,
		Hosts:           []string{host},
		Country:         country,
		WireMoney:       wireMoney,
		LimitCredential: KeyClientID,
		Reference:       reference,
		New:             newProvider,
		Traits:          traits,
		Callbacks:       Callbacks{},
	}
}

// endpoint fills in the base path: dev in the sandbox, the country in production (Orange Money Web
// Payment, webpayment: URL). Tokens come from the same host.
func endpoint(a providers.Account) (providers.Account, error) {
	if err := wire.CheckEnvironment(a.Environment); err != nil {
		return a, err
	}
	if a.BaseURL == "" {
		segment := "dev"
		if a.Environment == providers.Production {
			segment = a.Country
			if !countryCode.MatchString(segment) {
				return a, wire.BadAccount("country is needed in production: two small letters, such as ci")
			}
		}
		a.BaseURL = "https://" + host + servicePath + segment + "/v1"
	}
	var err error
	if a.BaseURL, err = wire.BaseURL("baseURL", a.BaseURL); err != nil {
		return a, err
	}
	prefix, err := checkPath(a)
	if err != nil {
		return a, err
	}
	if a.TokenURL == "" {
		a.TokenURL = prefix + tokenPath
	}
	a.TokenURL, err = wire.BaseURL("tokenURL", a.TokenURL)
	return a, err
}

// checkPath refuses a base path at which Orange has nothing, and returns what is before it.
func checkPath(a providers.Account) (prefix string, err error) {
	path := apiPath.FindStringSubmatch(a.BaseURL)
	switch {
	case path == nil:
		return "", wire.BadAccount("baseURL must end in " + servicePath + "<country>/v1, such as ci (in the sandbox: dev), " +
			"without /webpayment or another call's name after it")
	case (path[2] == "dev") != (a.Environment == providers.Sandbox):
		return "", wire.BadAccount("baseURL and environment contradict each other: the base path of the sandbox is " + servicePath +
			"dev/v1, and in production it has the country in the place of dev")
	case path[2] != "dev" && a.Country != "" && path[2] != a.Country:
		return "", wire.BadAccount("baseURL and country contradict each other: the base path is that of " + path[2])
	}
	return path[1], nil
}

// country that the base path names; in the sandbox the account may name one.
func country(a providers.Account) string {
	if path := apiPath.FindStringSubmatch(a.BaseURL); path != nil && path[2] != "dev" {
		return path[2]
	}
	return a.Country
}

// wireMoney: amounts are whole, and the sandbox takes OUV only (Orange Money
// Web Payment, webpayment: amount, currency).
func wireMoney(a providers.Account, m providers.Money) (providers.Money, error) {
	m, err := wire.RealMoney(m, 0, country(a))
	if err == nil && a.Environment == providers.Sandbox {
		m.Currency = sandboxCurrency
	}
	return m, err
}

// reference is 120 bits of the digest: an order_id, of 24 characters of the 30 that are documented,
// since one country refused more (Orange Money Web Payment, webpayment: order_id).
func reference(digest [32]byte) string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(digest[:15]))
}

// Provider is a client of one account.
type Provider struct {
	account   providers.Account
	transport providers.Transport
	now       func() time.Time
	tokens    *token.Source
}

var (
	_ providers.Provider       = (*Provider)(nil)
	_ providers.Preparer       = (*Provider)(nil)
	_ providers.AccountChecker = (*Provider)(nil)
)

func newProvider(a providers.Account, t providers.Transport, now func() time.Time) (providers.Provider, error) {
	a, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	if err := wire.CheckCredentials(a.Credentials, KeyClientID, KeyClientSecret, KeyMerchant); err != nil {
		return nil, err
	}
	p := &Provider{account: a, transport: t, now: now}
	p.tokens = token.NewSource(p.fetchToken, now)
	return p, nil
}

// Traits of Orange.
func (p *Provider) Traits() providers.Traits { return traits }

// Prepare gets an access token.
func (p *Provider) Prepare(ctx context.Context) error {
	_, err := p.tokens.Get(ctx)
	return err
}

// CheckAccount gets an access token, the only call that opens no page.
func (p *Provider) CheckAccount(ctx context.Context, _ providers.AccountCheck) error {
	return p.Prepare(ctx)
}

// fetchToken asks for an access token (Orange Developer, OAuth 2.0 client credentials, v3).
func (p *Provider) fetchToken(ctx context.Context) (token.Token, error) {
	pair := p.account.Credentials[KeyClientID].Reveal() + ":" + p.account.Credentials[KeyClientSecret].Reveal()
	header := http.Header{}
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	header.Set("Accept", "application/json")
	a, err := p.transport.Do(ctx, providers.Call{
		Operation: providers.OpToken, Method: http.MethodPost, URL: p.account.TokenURL, Header: header,
		Body: []byte("grant_type=client_credentials"),
	})
	if err != nil {
		return token.Token{}, err
	}
	if a.Status != http.StatusOK {
		return token.Token{}, wire.Fail(providers.OpToken, a, p.classifyToken(a.Status), tokenCode(a.Body), p.now())
	}
	value, life, err := wire.AccessToken(providers.OpToken, a)
	return token.Token{Value: value, Life: life}, err
}

type payment struct {
	MerchantKey string      `json:"merchant_key"`
	Currency    string      `json:"currency"`
	OrderID     string      `json:"order_id"`
	Amount      json.Number `json:"amount"`
	ReturnURL   string      `json:"return_url"`
	CancelURL   string      `json:"cancel_url"`
	NotifURL    string      `json:"notif_url"`
	Lang        string      `json:"lang"`
	Reference   string      `json:"reference"`
}

// Initiate opens a payment page (Orange Money Web Payment, webpayment).
func (p *Provider) Initiate(ctx context.Context, req providers.InitiateRequest) (providers.Initiation, error) {
	body, err := p.encode(req)
	if err != nil {
		return providers.Initiation{}, err
	}
	a, err := p.tokens.Order(ctx, providers.OpInitiate, p.post(ctx, providers.OpInitiate, "/webpayment", body), tokenRefused)
	switch {
	case err != nil:
		return providers.Initiation{}, err
	case !isSuccess(a.Status):
		return providers.Initiation{}, p.fail(providers.OpInitiate, a)
	}
	return p.readInitiation(a)
}

func (p *Provider) encode(req providers.InitiateRequest) ([]byte, error) {
	money, err := req.Money.Canonical(0)
	if err != nil {
		return nil, err
	}
	if req.CancelURL == "" {
		req.CancelURL = req.ReturnURL
	}
	for _, u := range []struct{ name, value string }{
		{"callback", req.CallbackURL}, {"return", req.ReturnURL}, {"cancel", req.CancelURL},
	} {
		if u.value == "" || len(u.value) > maxURL {
			return nil, wire.Refuse(providers.OpInitiate, providers.ClassMisconfigured, "the "+u.name+" URL must have 1 to 120 characters")
		}
	}
	// The CRDs ask for it too; a page that the payer is sent to is checked twice.
	if base := p.account.BaseURL; !wire.IsPayerURL(req.ReturnURL, base) || !wire.IsPayerURL(req.CancelURL, base) {
		return nil, wire.Refuse(providers.OpInitiate, providers.ClassMisconfigured, "Orange needs return and cancel URLs that are https")
	}
	return json.Marshal(payment{
		MerchantKey: p.account.Credentials[KeyMerchant].Reveal(),
		Currency:    money.Currency,
		OrderID:     req.Reference,
		Amount:      json.Number(money.Amount),
		ReturnURL:   req.ReturnURL,
		CancelURL:   req.CancelURL,
		NotifURL:    req.CallbackURL,
		Lang:        "fr",
		Reference:   p.merchant(req.Reference),
	})
}

// merchant is the name that the payer sees; where the account has none, the order stands in for it.
func (p *Provider) merchant(orderID string) string {
	if name := wire.PlainText(p.account.MerchantName, maxMerchant); name != "" {
		return name
	}
	return orderID
}

type question struct {
	OrderID  string      `json:"order_id"`
	Amount   json.Number `json:"amount"`
	PayToken string      `json:"pay_token"`
}

// Status asks for a payment by order, amount and pay_token, all three (Orange Money Web Payment, transactionstatus).
func (p *Provider) Status(ctx context.Context, h providers.Handle) (providers.Status, error) {
	if h.Reference == "" || h.Token == "" {
		return providers.Status{}, wire.Refuse(providers.OpStatus, providers.ClassUnknown, "no order or no pay_token to ask with")
	}
	money, err := h.Money.Canonical(0)
	if err != nil {
		return providers.Status{}, wire.Refuse(providers.OpStatus, providers.ClassUnknown, "no amount to ask with")
	}
	body, err := json.Marshal(question{OrderID: h.Reference, Amount: json.Number(money.Amount), PayToken: h.Token.Reveal()})
	if err != nil {
		return providers.Status{}, wire.Refuse(providers.OpStatus, providers.ClassUnknown, "the question cannot be written")
	}
	a, err := p.tokens.Question(ctx, p.post(ctx, providers.OpStatus, "/transactionstatus", body), tokenRefused)
	switch {
	case err != nil:
		return providers.Status{}, err
	case !isSuccess(a.Status):
		return providers.Status{}, p.fail(providers.OpStatus, a)
	}
	return readStatus(a, money)
}

// post sends a JSON body.
func (p *Provider) post(ctx context.Context, op providers.Operation, path string, body []byte) token.Send {
	return func(t providers.Secret) (providers.Answer, error) {
		header := http.Header{}
		header.Set("Authorization", "Bearer "+t.Reveal())
		header.Set("Accept", "application/json")
		header.Set("Content-Type", "application/json")
		return p.transport.Do(ctx, providers.Call{
			Operation: op, Method: http.MethodPost, URL: p.account.BaseURL + path, Header: header, Body: body,
		})
	}
}
