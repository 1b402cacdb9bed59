// Package mtn collects through the MTN MoMo Collection API: it pushes a prompt to the payer's
// phone, and asks by reference how it went. It gives back through the Disbursement API.
package mtn

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// Keys of the account's Secret. Refunds are another product of MTN's, with keys of its own.
const (
	KeySubscription = "subscriptionKey"
	KeyUserID       = "userID"
	KeyAPISecret    = "apiSecret"

	KeyDisbursementSubscription = "disbursementSubscriptionKey"
	KeyDisbursementUserID       = "disbursementUserID"
	KeyDisbursementAPISecret    = "disbursementAPISecret"
)

const (
	sandboxHost = "sandbox.momodeveloper.mtn.com"
	// In production an account chooses its platform by its baseURL (MTN MoMo
	// API, migration of 2026); the legacy one is the default.
	legacyHost      = "proxy.momoapi.mtn.com"
	newPlatformHost = "momoapi.momo.africa"
	// The sandbox knows one currency and one target environment (MTN MoMo API, sandbox use cases).
	sandboxCurrency = "EUR"
	sandboxTarget   = "sandbox"

	// MTN MoMo Collection API, requesttopay-POST: payerMessage and payeeNote.
	maxMessage = 160
	// What is echoed has to be recognised; see providers.SafeCode.
	maxExternalID = 64
)

var (
	e164       = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	targetWord = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
)

var traits = providers.Traits{
	Flow:     providers.FlowPush,
	Recovery: providers.RecoverByReference,
	// MTN MoMo API, best practices: at most 10 status calls a second.
	StatusPerSecond: 8,
	Deduplicates:    true,
	NeedsPayer:      true,
	// MTN MoMo Disbursement API, Refund-V2: an amount of its own, and an X-Reference-Id that is taken once.
	Refund: providers.RefundPartial,
}

// Kind describes MTN to the registry.
func Kind() providers.Kind {
	return providers.Kind{
		CredentialKeys:       collectionKeys(),
		RefundCredentialKeys: disbursementKeys(),
		Endpoint:             endpoint,
		Hosts:                []string{sandboxHost, legacyHost, newPlatformHost},
		Country:              country,
		WireMoney:            wireMoney,
		LimitCredential:      KeyUserID,
		Reference:            reference,
		RefundReference:      reference,
		New:                  newProvider,
		Traits:               traits,
		Callbacks:            Callbacks{},
		CallbackByPut:        true,
	}
}

func collectionKeys() []string { return []string{KeySubscription, KeyUserID, KeyAPISecret} }

func disbursementKeys() []string {
	return []string{KeyDisbursementSubscription, KeyDisbursementUserID, KeyDisbursementAPISecret}
}

// endpoint chooses the host. In production the target environment is the country's word, and never
// the word "production" (MTN MoMo API, API documentation: X-Target-Environment).
func endpoint(a providers.Account) (providers.Account, error) {
	if err := wire.CheckEnvironment(a.Environment); err != nil {
		return a, err
	}
	host := legacyHost
	if a.Environment == providers.Sandbox {
		host = sandboxHost
		if a.TargetEnvironment == "" {
			a.TargetEnvironment = sandboxTarget
		}
	}
	if a.BaseURL == "" {
		a.BaseURL = "https://" + host
	}
	if err := checkTarget(a); err != nil {
		return a, err
	}
	var err error
	a.BaseURL, err = wire.BaseURL("baseURL", a.BaseURL)
	return a, err
}

func checkTarget(a providers.Account) error {
	isSandboxWord := strings.EqualFold(a.TargetEnvironment, sandboxTarget)
	switch {
	case a.TargetEnvironment == "":
		return wire.BadAccount("targetEnvironment is needed in production: the country's word, such as mtnivorycoast")
	case strings.EqualFold(a.TargetEnvironment, "production"):
		return wire.BadAccount(`targetEnvironment must be the country's word, such as mtnivorycoast, and not "production"`)
	case !targetWord.MatchString(a.TargetEnvironment):
		return wire.BadAccount("targetEnvironment must be letters, digits and hyphens")
	case isSandboxWord != (a.Environment == providers.Sandbox):
		return wire.BadAccount("targetEnvironment and environment contradict each other")
	}
	return nil
}

// targets are the target environments of countries (MTN MoMo API, API documentation).
var targets = map[string]string{
	"mtnbenin": "bj", "mtncameroon": "cm", "mtncongo": "cg", "mtnghana": "gh", "mtnguineaconakry": "gn", "mtnivorycoast": "ci",
	"mtnliberia": "lr", "mtnnigeria": "ng", "mtnrwanda": "rw", "mtnsouthafrica": "za", "mtnsouthsudan": "ss", "mtnswaziland": "sz",
	"mtnuganda": "ug", "mtnzambia": "zm",
}

// country of the target environment; the sandbox is of none.
func country(a providers.Account) string {
	return cmp.Or(targets[strings.ToLower(a.TargetEnvironment)], a.Country)
}

// wireMoney: the sandbox takes EUR only (MTN MoMo Collection API, requesttopay-POST: currency).
func wireMoney(a providers.Account, m providers.Money) (providers.Money, error) {
	m, err := wire.RealMoney(m, 2, country(a))
	if err == nil && a.Environment == providers.Sandbox {
		m.Currency = sandboxCurrency
	}
	return m, err
}

// reference is a UUID in the form of version 4, the only one that MTN takes
// (MTN MoMo Collection API, requesttopay-POST: X-Reference-Id).
func reference(digest [32]byte) string {
	b := digest[:16]
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// Provider is a client of one account.
type Provider struct {
	account    providers.Account
	transport  providers.Transport
	now        func() time.Time
	collection *product
	// disbursement is nil for an account that was given no credentials for it.
	disbursement *product
}

var (
	_ providers.Provider       = (*Provider)(nil)
	_ providers.Preparer       = (*Provider)(nil)
	_ providers.AccountChecker = (*Provider)(nil)
	_ providers.Refunder       = (*Provider)(nil)
	_ providers.RefundPreparer = (*Provider)(nil)
)

func newProvider(a providers.Account, t providers.Transport, now func() time.Time) (providers.Provider, error) {
	a, err := endpoint(a)
	if err != nil {
		return nil, err
	}
	p := &Provider{account: a, transport: t, now: now}
	if p.collection, err = p.product("collection", collectionKeys()); err != nil {
		return nil, err
	}
	if wire.HasAny(a.Credentials, disbursementKeys()...) {
		if p.disbursement, err = p.product("disbursement", disbursementKeys()); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// Traits of MTN.
func (p *Provider) Traits() providers.Traits { return traits }

// Prepare gets an access token.
func (p *Provider) Prepare(ctx context.Context) error {
	_, err := p.collection.tokens.Get(ctx)
	return err
}

type request struct {
	Amount       string `json:"amount"`
	Currency     string `json:"currency"`
	ExternalID   string `json:"externalId"`
	Payer        party  `json:"payer"`
	PayerMessage string `json:"payerMessage,omitempty"`
	PayeeNote    string `json:"payeeNote,omitempty"`
}

type party struct {
	PartyIDType string `json:"partyIdType"`
	PartyID     string `json:"partyId"`
}

// Initiate pushes a prompt to the payer's phone (MTN MoMo Collection API,
// requesttopay-POST). The answer 202 says only that the request was taken.
func (p *Provider) Initiate(ctx context.Context, req providers.InitiateRequest) (providers.Initiation, error) {
	body, err := encode(req)
	if err != nil {
		return providers.Initiation{}, err
	}
	return providers.Initiation{}, p.collection.order(ctx, providers.OpInitiate, "/v1_0/requesttopay", req.Reference, req.CallbackURL, body)
}

func encode(req providers.InitiateRequest) ([]byte, error) {
	if !e164.MatchString(req.Payer.Reveal()) {
		// MTN takes any number and lets the payment fail later.
		return nil, wire.Refuse(providers.OpInitiate, providers.ClassRejected, "the payer's phone must be in E.164 form")
	}
	money, err := req.Money.Canonical(2)
	if err != nil {
		return nil, err
	}
	text := wire.PlainText(req.Description, maxMessage)
	return json.Marshal(request{
		Amount:       money.Amount,
		Currency:     money.Currency,
		ExternalID:   externalID(req.MerchantReference, req.Reference),
		Payer:        party{PartyIDType: "MSISDN", PartyID: strings.TrimPrefix(req.Payer.Reveal(), "+")},
		PayerMessage: text,
		PayeeNote:    noted(text, req.CorrelationTag),
	})
}

// externalID is what MTN is told of the merchant's order number, without spaces, which it has
// refused; where nothing is left of it, the reference.
func externalID(merchant, reference string) string {
	return cmp.Or(strings.ReplaceAll(wire.PlainText(merchant, maxExternalID), " ", "-"), reference)
}

// noted is a note to the payee that ends in the tag of the request.
func noted(text, tag string) string {
	if tag == "" {
		return text
	}
	return strings.TrimSpace(wire.PlainText(text, maxMessage-len(tag)-1) + " " + tag)
}

// tagOf a note.
func tagOf(note string) string {
	if m := tagged.FindStringSubmatch(note); m != nil {
		return m[1]
	}
	return ""
}

// tagged notes end in "c-" and hexadecimal digits.
var tagged = regexp.MustCompile(`(?:^| )(c-[0-9a-f]{1,32})$`)

// Status asks by reference (MTN MoMo Collection API, requesttopay-referenceId-GET). A reference is
// not found for a while after it was accepted.
func (p *Provider) Status(ctx context.Context, h providers.Handle) (providers.Status, error) {
	return p.collection.status(ctx, providers.OpStatus, "/v1_0/requesttopay/", h.Reference, h.MerchantReference)
}

// PrepareRefund gets an access token of the Disbursement product.
func (p *Provider) PrepareRefund(ctx context.Context) error {
	if p.disbursement == nil {
		return noDisbursement(providers.OpToken)
	}
	_, err := p.disbursement.tokens.Get(ctx)
	return err
}

func noDisbursement(op providers.Operation) error {
	return wire.Refuse(op, providers.ClassMisconfigured, "the account has no credentials of the Disbursement product, which refunds take; add "+strings.Join(disbursementKeys(), ", "))
}

type refund struct {
	Amount              string `json:"amount"`
	Currency            string `json:"currency"`
	ExternalID          string `json:"externalId"`
	PayerMessage        string `json:"payerMessage,omitempty"`
	PayeeNote           string `json:"payeeNote,omitempty"`
	ReferenceIDToRefund string `json:"referenceIdToRefund"`
}

// Refund gives a payment back, or a part of it (MTN MoMo Disbursement API,
// Refund-V2). The answer 202 says only that the request was taken.
func (p *Provider) Refund(ctx context.Context, req providers.RefundRequest) error {
	if p.disbursement == nil {
		return noDisbursement(providers.OpRefund)
	}
	body, err := encodeRefund(req)
	if err != nil {
		return err
	}
	return p.disbursement.order(ctx, providers.OpRefund, "/v2_0/refund", req.Reference, "", body)
}

func encodeRefund(req providers.RefundRequest) ([]byte, error) {
	if req.Reference == "" || req.Payment.Reference == "" {
		return nil, wire.Refuse(providers.OpRefund, providers.ClassRejected, "no reference of the refund or of its payment")
	}
	money, err := req.Money.Canonical(2)
	if err != nil {
		return nil, err
	}
	text := wire.PlainText(req.Description, maxMessage)
	return json.Marshal(refund{
		Amount: money.Amount, Currency: money.Currency, ExternalID: externalID(req.MerchantReference, req.Reference),
		PayerMessage: text, PayeeNote: text, ReferenceIDToRefund: req.Payment.Reference,
	})
}

// RefundStatus asks by reference (MTN MoMo Disbursement API, GetRefundStatus). A reference is not found for a while
// after it was accepted. Nobody is asked to approve a refund, so one that expired is one that failed.
func (p *Provider) RefundStatus(ctx context.Context, h providers.RefundHandle) (providers.Status, error) {
	if p.disbursement == nil {
		return providers.Status{}, noDisbursement(providers.OpRefundStatus)
	}
	s, err := p.disbursement.status(ctx, providers.OpRefundStatus, "/v1_0/refund/", h.Reference, h.MerchantReference)
	if s.State == providers.StateExpired {
		s.State, s.Failure = providers.StateFailed, providers.FailureProviderRefused
	}
	return s, err
}
