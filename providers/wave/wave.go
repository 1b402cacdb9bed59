// Package wave collects through Wave Checkout: it opens a session that the
// payer approves in the Wave app. Opening it moves no money.
package wave

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// Keys of the account's Secret.
const (
	KeyAPI            = "apiKey"
	KeyCallbackSecret = "webhookSecret"
	// KeySigning signs requests, for API keys that Wave enabled that for.
	KeySigning = "signingSecret"
)

const (
	host = "api.wave.com"

	// No reference of ours has a hyphen.
	checkReference = "account-check"
)

// Wave Checkout API, countries: the wallets' currencies.
var currencies = []string{"XOF", "GMD", "UGX"}

var traits = providers.Traits{
	Flow:           providers.FlowRedirect,
	Recovery:       providers.RecoverBySearch,
	CanCancel:      true,
	RefusalIsFinal: true,
	NeedsReturnURL: true,
	// Wave Checkout API, refund a checkout session: the whole, and once.
	Refund: providers.RefundWhole,
}

// Kind describes Wave to the registry.
func Kind() providers.Kind {
	return providers.Kind{
		CredentialKeys:         []string{KeyAPI},
		OptionalCredentialKeys: []string{KeySigning},
		CallbackSecretKeys:     []string{KeyCallbackSecret},
		Endpoint:               endpoint,
		Hosts:                  []string{host},
		Country:                country,
		WireMoney:              wireMoney,
		LimitCredential:        KeyAPI,
		Reference:              reference,
		New:                    newProvider,
		Traits:                 traits,
		Callbacks:              Callbacks{},
	}
}

// endpoint: Wave has no sandbox; both environments are the same host.
func endpoint(a providers.Account) (providers.Account, error) {
	if err := wire.CheckEnvironment(a.Environment); err != nil {
		return a, err
	}
	if a.BaseURL == "" {
		a.BaseURL = "https://" + host
	}
	var err error
	a.BaseURL, err = wire.BaseURL("baseURL", a.BaseURL)
	return a, err
}

// country of the wallet, which its API key begins with (Wave API, authentication).
func country(a providers.Account) string {
	if key := keyPrefix.FindStringSubmatch(a.Credentials[KeyAPI].Reveal()); key != nil {
		return key[1]
	}
	return a.Country
}

var keyPrefix = regexp.MustCompile(`^wave_([a-z]{2})_`)

// wireMoney: up to two decimals, none in XOF (Wave Checkout API, amounts).
func wireMoney(a providers.Account, m providers.Money) (providers.Money, error) {
	m, err := wire.RealMoney(m, 2, country(a))
	if err == nil && !slices.Contains(currencies, m.Currency) {
		return providers.Money{}, &providers.Error{
			Class: providers.ClassRejected, Operation: providers.OpInitiate, Field: "currency", Fault: providers.FaultPayment,
			Detail: "Wave has wallets in XOF, GMD and UGX only; write the one of the account",
		}
	}
	return m, err
}

// reference is the whole digest: a client_reference, of at most 255 characters
// (Wave Checkout API, create a checkout session).
func reference(digest [32]byte) string {
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(digest[:]))
}

// Provider is a client of one account.
type Provider struct {
	account   providers.Account
	transport providers.Transport
	now       func() time.Time
}

var (
	_ providers.Provider       = (*Provider)(nil)
	_ providers.Searcher       = (*Provider)(nil)
	_ providers.Canceller      = (*Provider)(nil)
	_ providers.AccountChecker = (*Provider)(nil)
	_ providers.Refunder       = (*Provider)(nil)
)

func newProvider(a providers.Account, t providers.Transport, now func() time.Time) (providers.Provider, error) {
	a, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	keys := []string{KeyAPI}
	if wire.HasAny(a.Credentials, KeySigning) {
		keys = append(keys, KeySigning)
	}
	if err := wire.CheckCredentials(a.Credentials, keys...); err != nil {
		return nil, err
	}
	return &Provider{account: a, transport: t, now: now}, nil
}

// Traits of Wave.
func (p *Provider) Traits() providers.Traits { return traits }

type request struct {
	Amount              string `json:"amount"`
	Currency            string `json:"currency"`
	SuccessURL          string `json:"success_url"`
	ErrorURL            string `json:"error_url"`
	ClientReference     string `json:"client_reference"`
	RestrictPayerMobile string `json:"restrict_payer_mobile,omitempty"`
	AggregatedMerchant  string `json:"aggregated_merchant_id,omitempty"`
}

// Initiate opens a checkout session (Wave Checkout API, create a checkout
// session). References are not unique there: each call opens another session.
func (p *Provider) Initiate(ctx context.Context, req providers.InitiateRequest) (providers.Initiation, error) {
	body, err := p.encode(req)
	if err != nil {
		return providers.Initiation{}, err
	}
	a, err := p.call(ctx, providers.OpInitiate, http.MethodPost, "", body)
	if err != nil {
		return providers.Initiation{}, err
	}
	s, err := p.readSession(providers.OpInitiate, a)
	if err == nil && s.WaveLaunchURL == "" {
		err = wire.Odd(providers.OpInitiate, a, "no wave_launch_url")
	}
	if err != nil {
		return providers.Initiation{}, err
	}
	return providers.Initiation{Session: s.opened()}, nil
}

func (p *Provider) encode(req providers.InitiateRequest) ([]byte, error) {
	money, err := req.Money.Canonical(2)
	if err != nil {
		return nil, err
	}
	if req.CancelURL == "" {
		req.CancelURL = req.ReturnURL
	}
	if base := p.account.BaseURL; !wire.IsPayerURL(req.ReturnURL, base) || !wire.IsPayerURL(req.CancelURL, base) {
		return nil, wire.Refuse(providers.OpInitiate, providers.ClassMisconfigured, "Wave needs return and cancel URLs that are https")
	}
	return json.Marshal(request{
		Amount:              money.Amount,
		Currency:            money.Currency,
		SuccessURL:          req.ReturnURL,
		ErrorURL:            req.CancelURL,
		ClientReference:     req.Reference,
		RestrictPayerMobile: req.Payer.Reveal(),
		AggregatedMerchant:  p.account.AggregatedMerchantID,
	})
}

// Search lists the sessions that were opened under a reference (Wave Checkout API, search checkout sessions).
func (p *Provider) Search(ctx context.Context, reference string) ([]providers.Session, error) {
	return p.search(ctx, providers.OpSearch, reference)
}

func (p *Provider) search(ctx context.Context, op providers.Operation, reference string) ([]providers.Session, error) {
	a, err := p.call(ctx, op, http.MethodGet, "/search?client_reference="+url.QueryEscape(reference), nil)
	if err != nil {
		return nil, err
	}
	return p.readSessions(op, a, reference)
}

// CheckAccount searches for a reference that no payment has.
func (p *Provider) CheckAccount(ctx context.Context, _ providers.AccountCheck) error {
	_, err := p.search(ctx, providers.OpAccountCheck, checkReference)
	return err
}

// Status asks for a session by its id (Wave Checkout API, retrieve a checkout session).
func (p *Provider) Status(ctx context.Context, h providers.Handle) (providers.Status, error) {
	s, err := p.retrieve(ctx, providers.OpStatus, h)
	if err != nil {
		return providers.Status{}, err
	}
	return s.status(), nil
}

// Cancel expires a session that is still open (Wave Checkout API, expire a checkout session).
func (p *Provider) Cancel(ctx context.Context, h providers.Handle) error {
	path, err := sessionPath(providers.OpCancel, h)
	if err != nil {
		return err
	}
	return p.act(ctx, providers.OpCancel, path+"/expire")
}

// act posts what is answered with 200 and an empty body.
func (p *Provider) act(ctx context.Context, op providers.Operation, path string) error {
	a, err := p.call(ctx, op, http.MethodPost, path, nil)
	if err == nil && !wire.EmptyOrObject(a.Body) {
		return wire.Odd(op, a, "the answer is a page")
	}
	return err
}

// retrieve a session by its id.
func (p *Provider) retrieve(ctx context.Context, op providers.Operation, h providers.Handle) (session, error) {
	path, err := sessionPath(op, h)
	if err != nil {
		return session{}, err
	}
	a, err := p.call(ctx, op, http.MethodGet, path, nil)
	if err != nil {
		return session{}, err
	}
	s, err := p.readSession(op, a)
	if err == nil && s.ID != h.SessionID {
		err = wire.Odd(op, a, "the answer is about another session")
	}
	return s, err
}

func sessionPath(op providers.Operation, h providers.Handle) (string, error) {
	if !isID(h.SessionID) {
		return "", wire.Refuse(op, providers.ClassUnknown, "no session to ask for")
	}
	return "/" + h.SessionID, nil
}

// call returns an answer that is 200; any other is an error.
func (p *Provider) call(ctx context.Context, op providers.Operation, method, path string, body []byte) (providers.Answer, error) {
	header := http.Header{}
	header.Set("Authorization", "Bearer "+p.account.Credentials[KeyAPI].Reveal())
	header.Set("Accept", "application/json")
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	if secret := p.account.Credentials[KeySigning]; secret != "" {
		header.Set(signatureHeader, signature(secret, p.now(), body))
	}
	a, err := p.transport.Do(ctx, providers.Call{
		Operation: op, Method: method, URL: p.account.BaseURL + "/v1/checkout/sessions" + path, Header: header, Body: body,
	})
	if err == nil && a.Status != http.StatusOK {
		err = p.fail(op, a)
	}
	return a, err
}

// Refund gives the whole payment back (Wave Checkout API, refund a checkout session). To ask again changes nothing.
func (p *Provider) Refund(ctx context.Context, req providers.RefundRequest) error {
	path, err := sessionPath(providers.OpRefund, req.Payment)
	if err != nil {
		return wire.Refuse(providers.OpRefund, providers.ClassRejected, "no session to give back")
	}
	return p.act(ctx, providers.OpRefund, path+"/refund")
}

// RefundStatus asks for the session that was paid (Wave Checkout API, retrieve a
// checkout session: when_refunded). Its money and reference are the payment's.
func (p *Provider) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	s, err := p.retrieve(ctx, providers.OpRefundStatus, h.Payment)
	if err != nil {
		return providers.Status{}, err
	}
	return s.refund(), nil
}

// refund is how the refund of a session stands. Only a session that is paid can have been given back.
func (s session) refund() providers.Status {
	paid := s.status()
	refund := providers.Status{
		State: providers.StatePending, Unrecognized: paid.Unrecognized,
		Code: paid.Code, Money: paid.Money, Reference: paid.Reference,
	}
	if paid.State == providers.StateSucceeded && s.WhenRefunded != "" {
		refund.State = providers.StateSucceeded
	}
	return refund
}
