package simulator

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// MTNOptions configure the MTN side.
type MTNOptions struct {
	// TargetEnvironment is "sandbox" (EUR only) or a country's, such as "mtnivorycoast".
	TargetEnvironment string
	// CallbackHost is the registered providerCallbackHost; empty allows all.
	CallbackHost string
	// RefuseAtPost lets the sandbox numbers 455 to 464, and the published references of refunds from 7 on, be refused
	// at once with 500, rather than be taken and fail later: nobody recorded which.
	RefuseAtPost bool
	// UncappedRefunds gives back whatever is asked for. Otherwise a refund that makes their sum
	// larger than the payment fails: what MTN does is not documented.
	UncappedRefunds bool
}

// Credentials of the merchant, for the Collection and the Disbursement product.
const (
	DefaultMTNUser            = "b1a7c3d2-5e6f-4a8b-9c0d-1e2f3a4b5c6d"
	DefaultMTNKey             = "simulator-mtn-api-key"
	DefaultMTNSubscriptionKey = "simulator-mtn-subscription-key"

	DefaultMTNDisbursementUser            = "c2b8d4e3-6f70-4b9c-8d1e-2f3a4b5c6d7e"
	DefaultMTNDisbursementKey             = "simulator-mtn-disbursement-api-key"
	DefaultMTNDisbursementSubscriptionKey = "simulator-mtn-disbursement-subscription-key"
)

// The products that have a token endpoint of their own.
const (
	collection   = "collection"
	disbursement = "disbursement"
)

const (
	approvalRejected = "APPROVAL_REJECTED"
	notEnoughFunds   = "NOT_ENOUGH_FUNDS"
	couldNotPerform  = "COULD_NOT_PERFORM_TRANSACTION"
	payerNotFound    = "PAYER_NOT_FOUND"
	notAllowed       = "NOT_ALLOWED"
	internalError    = "INTERNAL_PROCESSING_ERROR"

	promptLife   = 5 * time.Minute
	mtnTokenLife = time.Hour
)

func (s *Simulator) mtnRoutes(handle func(string, wire)) {
	for _, product := range []string{collection, disbursement} {
		handle("POST /mtn/"+product+"/token/{$}", wire{provider: MTN, op: OpToken,
			access: func(c *call) (answer, bool) { return s.mtnTokenRefusal(c, product) },
			handle: func(c *call) answer { return s.mtnToken(c, product) }})
		// Without the slash it is another, unknown path; the mux would redirect.
		handle("POST /mtn/"+product+"/token", wire{provider: MTN, op: OpToken,
			handle: func(*call) answer { return mtnFailure(404) }})
	}
	handle("POST /mtn/collection/v1_0/requesttopay",
		wire{provider: MTN, op: OpInitiate, peek: peekMTN, access: s.mtnAccess(collection), handle: s.takeMTN})
	handle("GET /mtn/collection/v1_0/requesttopay/{id}",
		wire{provider: MTN, op: OpStatus, peek: s.peekMTNStatus, access: s.mtnAccess(collection), handle: s.mtnStatusAnswer})
	s.provisionRoutes(handle)
	s.payoutRoutes(handle)
}

type mtnError struct {
	Message string `json:"message"`
	Code    string `json:"code"`
}

func moMo(status int, code, message string) answer {
	return asJSON(status, mtnError{message, code})
}

func gateway(status int, message string) answer {
	return asJSON(status, map[string]any{"statusCode": status, "message": message})
}

func mtnFailure(status int) answer {
	switch status {
	case 400:
		return empty(400)
	case 404:
		return gateway(404, "Resource not found")
	case 409:
		return moMo(409, "RESOURCE_ALREADY_EXIST", "Duplicated reference id. Creation of resource failed.")
	case 500:
		return moMo(500, "INTERNAL_PROCESSING_ERROR", "An internal error occurred while processing.")
	case 503:
		return moMo(503, "SERVICE_UNAVAILABLE", "Service temporarily unavailable, try again later.")
	default:
		return gateway(status, http.StatusText(status))
	}
}

// mtnToken wants a Content-Length, Basic authentication, the product's
// subscription key and, in production, the target environment; and no form.
func (s *Simulator) mtnToken(c *call, product string) answer {
	name := s.text(alphanumeric, 64)
	user, _, _ := c.r.BasicAuth()
	s.issue(name, token{audience: "mtn/" + product, user: user, expires: s.now().Add(mtnTokenLife)})
	return asJSON(200, map[string]any{"access_token": name, "token_type": "access_token", "expires_in": int(mtnTokenLife.Seconds())})
}

func (s *Simulator) mtnTokenRefusal(c *call, product string) (answer, bool) {
	user, key, basic := c.r.BasicAuth()
	env := c.r.Header.Get("X-Target-Environment")
	switch {
	case lengthless(c):
		return lengthRequired(), false
	case !s.inSandbox() && strings.Contains(c.r.UserAgent(), "python-requests"):
		return asHTML(403, "<html><head><title>403 Forbidden</title></head></html>"), false
	case s.subscription(c) != product:
		return wrongSubscription(), false
	case env == "" && !s.inSandbox():
		return asJSON(400, map[string]string{"error": "Invalid or missing X-Target-Environment header"}), false
	case !basic || env != "" && env != s.opts.MTN.TargetEnvironment || !s.knownUser(user, key):
		return asJSON(401, map[string]string{"error": "invalid_client"}), false
	case strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		return asHTML(200, html), false
	}
	return answer{}, true
}

func lengthless(c *call) bool {
	return c.r.ContentLength < 0 || c.r.Header.Get("Content-Length") == ""
}

func lengthRequired() answer {
	return asHTML(411, "<html><head><title>411 Length Required</title></head></html>")
}

// subscription is the product whose key a request has; empty: none's.
func (s *Simulator) subscription(c *call) string {
	switch key := c.r.Header.Get("Ocp-Apim-Subscription-Key"); {
	case s.has(MTN, func(k Keys) bool { return k.Key == key }):
		return collection
	case key == DefaultMTNDisbursementSubscriptionKey:
		return disbursement
	default:
		return ""
	}
}

func wrongSubscription() answer {
	return gateway(401, "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription.")
}

// mtnAccess checks what every call but token needs. A user of the other product gets a token, and no further.
func (s *Simulator) mtnAccess(product string) func(*call) (answer, bool) {
	return func(c *call) (answer, bool) {
		name, ok := bearer(c.r)
		t, known := s.tokens[name]
		switch env := c.r.Header.Get("X-Target-Environment"); {
		case s.subscription(c) != product:
			return wrongSubscription(), false
		case !ok || !known || !s.now().Before(t.expires):
			return gateway(401, "Unauthorized. Access token is invalid or expired."), false
		case env == "":
			return empty(400), false
		case t.audience != "mtn/"+product || s.productOf(t.user) != product || env != s.opts.MTN.TargetEnvironment:
			return moMo(500, "NOT_ALLOWED_TARGET_ENVIRONMENT", "Access to target environment is forbidden."), false
		}
		return answer{}, true
	}
}

type mtnParty struct {
	PartyIDType string `json:"partyIdType"`
	PartyID     string `json:"partyId"`
}

// mtnRequest is the body of a request to pay or of a refund, and where to call back.
type mtnRequest struct {
	Amount       string   `json:"amount"`
	Currency     string   `json:"currency"`
	ExternalID   string   `json:"externalId"`
	Payer        mtnParty `json:"payer"` // of a request to pay
	PayerMessage string   `json:"payerMessage"`
	PayeeNote    string   `json:"payeeNote"`
	Of           string   `json:"referenceIdToRefund"`
	callbackURL  string
}

var (
	uuidV4     = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$`)
	decimal    = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,2})?$`)
	zero       = regexp.MustCompile(`^0(\.0+)?$`)
	plainText  = regexp.MustCompile(`^[A-Za-z0-9 .\-]{0,160}$`)
	externalID = regexp.MustCompile(`^[^\s'&]{0,160}$`)
	msisdn     = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)
)

func peekMTN(c *call) {
	var req mtnRequest
	_ = decode(c.body, &req, false)
	c.reference, c.opens = c.r.Header.Get("X-Reference-Id"), true
	c.amount, c.phone, c.of = req.Amount, req.Payer.PartyID, req.Of
}

func (s *Simulator) peekMTNStatus(c *call) {
	c.reference = c.r.PathValue("id")
	c.payment = s.find(MTN, c.reference)
}

// takeMTN takes a request to pay, and rings the payer's phone, or a payout; whether that money can
// move is found out later.
func (s *Simulator) takeMTN(c *call) answer {
	var req mtnRequest
	if decode(c.body, &req, false) != nil || !req.wellFormed(c.op) || !validReference(c.reference) {
		return empty(400)
	}
	callbackURL, refused, ok := s.mtnCallbackURL(c)
	if !ok {
		return refused
	}
	req.callbackURL = callbackURL
	if !mtnCurrencyFits(s.opts.MTN.TargetEnvironment, req.Amount, req.Currency) {
		return moMo(500, "INVALID_CURRENCY", "Currency not supported.")
	}
	known := s.payouts[c.reference]
	if c.op == OpInitiate {
		known = s.find(MTN, c.reference)
	}
	if known != nil {
		return mtnFailure(409)
	}
	sc := s.scenario(c)
	if sc.RefusedWith != "" {
		return moMo(500, sc.RefusedWith, "The request was refused.")
	}
	p := &payment{
		provider: MTN, reference: c.reference, id: c.reference, amount: req.Amount, currency: req.Currency, phone: c.phone,
		scenario: sc, mtn: req,
	}
	if c.op == OpInitiate {
		s.ring(p)
	} else {
		s.startPayout(p)
	}
	return empty(202)
}

func (s *Simulator) ring(p *payment) {
	if p.mtn.Payer.unknown() {
		// Taken, and failed later: the real server does not police numbers.
		p.scenario = Scenario{Name: "no such number", Payer: Fails, After: time.Second, Reason: payerNotFound}
	}
	s.add(p, promptLife)
}

func validReference(id string) bool {
	return uuidV4.MatchString(id) && !strings.EqualFold(id, DefaultMTNUser) && !strings.EqualFold(id, DefaultMTNDisbursementUser)
}

func (r mtnRequest) wellFormed(op Op) bool {
	whom := op == OpInitiate && r.Payer.wellFormed() || op == OpRefund && r.Of != ""
	return whom && money(r.Amount) && r.Currency != "" && plainText.MatchString(r.PayerMessage) && plainText.MatchString(r.PayeeNote) &&
		externalID.MatchString(r.ExternalID)
}

func money(amount string) bool { return decimal.MatchString(amount) && !zero.MatchString(amount) }

func (p mtnParty) wellFormed() bool {
	return (p.PartyIDType == "MSISDN" || p.PartyIDType == "EMAIL" || p.PartyIDType == "PARTY_CODE") && p.PartyID != ""
}

// unknown tells whether nobody has such a number.
func (p mtnParty) unknown() bool { return p.PartyIDType == "MSISDN" && !msisdn.MatchString(p.PartyID) }

// mtnCallbackURL reads X-Callback-Url, which may be absent but not empty.
func (s *Simulator) mtnCallbackURL(c *call) (string, answer, bool) {
	values, given := c.r.Header["X-Callback-Url"]
	if !given {
		return "", answer{}, true
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" {
		return "", empty(400), false
	}
	if host := s.callbackHost(c); host != "" && u.Hostname() != host && u.Host != host {
		return "", moMo(500, "INVALID_CALLBACK_URL_HOST", "Callback URL does not match the configured value."), false
	}
	return values[0], answer{}, true
}

// mtnCurrencies of the target environments.
var mtnCurrencies = map[string]string{
	"sandbox": "EUR", "mtnivorycoast": "XOF", "mtnbenin": "XOF", "mtnguineaconakry": "GNF",
	"mtncameroon": "XAF", "mtnghana": "GHS", "mtncongo": "XAF", "mtnuganda": "UGX",
	"mtnrwanda": "RWF", "mtnzambia": "ZMW", "mtnliberia": "LRD", "mtnsouthafrica": "ZAR",
	"mtnswaziland": "SZL", "mtnsouthsudan": "SSP", "mtnnigeria": "NGN",
}

func mtnCurrencyFits(env, amount, currency string) bool {
	want, known := mtnCurrencies[env]
	if known && currency != want {
		return false
	}
	switch currency {
	case "XOF", "XAF", "GNF", "UGX", "RWF":
		return !strings.Contains(amount, ".")
	}
	return true
}

// mtnStatus is the answer to a status query; a callback is the same but for payerMessage.
type mtnStatus struct {
	FinancialTransactionID string `json:"financialTransactionId,omitempty"`
	ExternalID             string `json:"externalId,omitempty"`
	Amount                 string `json:"amount"`
	Currency               string `json:"currency"`
	// Payer of a request to pay, Payee of everything else.
	Payer        *mtnParty `json:"payer,omitempty"`
	Payee        *mtnParty `json:"payee,omitempty"`
	PayerMessage string    `json:"payerMessage,omitempty"`
	PayeeNote    string    `json:"payeeNote,omitempty"`
	Status       string    `json:"status"`
	Reason       any       `json:"reason,omitempty"`
}

// mtnStatusAnswer tells how a payment stands, or a payout.
func (s *Simulator) mtnStatusAnswer(c *call) answer {
	p := c.payment
	if p == nil || p.hidden(s.now(), s.opts.Speed) {
		return moMo(404, "RESOURCE_NOT_FOUND", "Requested resource was not found.")
	}
	return asJSON(200, s.mtnStatusOf(p, p.shown(s.now())))
}

func (s *Simulator) mtnStatusOf(p *payment, v view) mtnStatus {
	st := mtnStatus{
		FinancialTransactionID: v.txn, ExternalID: p.mtn.ExternalID, Amount: normal(p.amount),
		Currency: p.currency, Payer: &p.mtn.Payer, PayerMessage: p.mtn.PayerMessage,
		PayeeNote: p.mtn.PayeeNote, Status: p.mtnWord(v),
	}
	if p.payout != nil {
		st.Payer, st.Payee = nil, &mtnParty{"PARTY_CODE", "1"} // never the phone
	}
	if st.Status == "FAILED" && v.reason != "" {
		st.Reason = p.mtnReason(v.reason)
	}
	return st
}

func (p *payment) mtnWord(v view) string {
	switch v.state {
	case settled:
		return "SUCCESSFUL"
	case failed, expired:
		return "FAILED"
	default:
		if p.scenario.Delayed {
			return "CREATED"
		}
		return "PENDING"
	}
}

func (p *payment) mtnReason(word string) any {
	if p.scenario.ReasonObject {
		return mtnError{Code: word, Message: "The transaction failed."}
	}
	return word
}

// normal writes an amount as MTN echoes it: "12.50" as "12.5".
func normal(amount string) string {
	if !strings.Contains(amount, ".") {
		return amount
	}
	return strings.TrimRight(strings.TrimRight(amount, "0"), ".")
}

// mtnCallbacks go to the X-Callback-Url of the request, once, unsigned and without our reference.
func (s *Simulator) mtnCallbacks(p *payment) []delivery {
	body := s.mtnStatusOf(p, p.now())
	body.PayerMessage = ""
	return []delivery{{
		provider: MTN, reference: p.reference, event: body.Status,
		url: p.mtn.callbackURL,
		header: http.Header{
			"User-Agent":   {"LWAC Http Client 1.0"},
			"Content-Type": {"application/json; charset=utf-8"},
		},
		body: asJSON(0, body).body,
	}}
}

// payout makes of a payment one that the merchant makes: a refund (Disbursement product).
type payout struct {
	of string // referenceIdToRefund
}

// payoutRoutes: a refund is made at v2_0, and asked about at v1_0.
func (s *Simulator) payoutRoutes(handle func(string, wire)) {
	const base = "/mtn/" + disbursement + "/"
	access := s.mtnAccess(disbursement)
	handle("POST "+base+"v2_0/refund", wire{provider: MTN, op: OpRefund, peek: peekMTN, access: access, handle: s.takeMTN})
	handle("GET "+base+"v1_0/refund/{id}", wire{provider: MTN, op: OpRefund, peek: s.peekPayoutStatus, access: access, handle: s.mtnStatusAnswer})
}

func (s *Simulator) peekPayoutStatus(c *call) {
	c.reference = c.r.PathValue("id")
	c.payment = s.payouts[c.reference]
}

func (s *Simulator) startPayout(p *payment) {
	p.state, p.delivered, p.payout = open, true, &payout{of: p.mtn.Of}
	p.created = s.now()
	p.expires = p.created.Add(s.scaled(promptLife))
	s.payouts[p.id] = p
	s.at(p.expires, func() { s.lapse(p) })
	s.opens(p)
}

// obstacle is why a refund cannot be made now; empty: it can.
func (s *Simulator) obstacle(p *payment) string {
	if p.payout == nil {
		return ""
	}
	if _, published := sandboxRefunds[p.payout.of]; published && s.inSandbox() {
		return ""
	}
	of := s.find(MTN, p.payout.of)
	switch {
	case of == nil:
		return "TRANSACTION_NOT_FOUND"
	case of.state != settled || of.currency != p.currency:
		return notAllowed
	}
	back := sum(refundsOf(s.ledger, p.payout.of), Refunded)
	if back.Add(back, number(p.amount)).Cmp(number(of.amount)) > 0 && !s.opts.MTN.UncappedRefunds {
		return notAllowed
	}
	return ""
}

// enterPayout: only money that moved is in the ledger.
func (s *Simulator) enterPayout(p *payment, event Event) {
	if event != Paid {
		return
	}
	s.ledger = append(s.ledger, LedgerEntry{
		Provider: MTN, Reference: p.payout.of, Session: p.payout.of, Refund: p.reference,
		Amount: p.amount, Currency: p.currency, Event: Refunded, At: s.now().UTC(),
	})
}
