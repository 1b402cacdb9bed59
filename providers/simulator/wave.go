package simulator

import (
	"cmp"
	"crypto/hmac"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// WaveOptions configure the Wave side.
type WaveOptions struct {
	APIKey string
	// Currency of the merchant's wallet; XOF if empty.
	Currency string
	// BusinessName is shown to the payer.
	BusinessName string
	// SessionLife is how long a session can be paid; 30 min if 0.
	SessionLife time.Duration
	// AllowHTTPReturnURLs takes success_url and error_url that are not https, as is always allowed for loopback hosts.
	AllowHTTPReturnURLs bool
	// SigningSecret makes request signatures obligatory: Wave-Signature as on callbacks, at most five minutes old.
	SigningSecret string
	// AggregatedMerchantID that sessions of an aggregator's wallet must name;
	// empty: the wallet is not one, and takes none.
	AggregatedMerchantID string
	// Callbacks are registered per merchant, as in the business portal.
	Callbacks []WaveCallback
}

// WaveCallback is a webhook as the business portal registers it.
type WaveCallback struct {
	URL string
	// SigningSecrets sign every event, one v1 each.
	SigningSecrets []string
}

func (o WaveOptions) withDefaults() WaveOptions {
	o.APIKey = cmp.Or(o.APIKey, DefaultWaveKey)
	o.Currency = cmp.Or(o.Currency, "XOF")
	o.BusinessName = cmp.Or(o.BusinessName, "Simulated Merchant")
	o.SessionLife = cmp.Or(o.SessionLife, 30*time.Minute)
	return o
}

// DefaultWaveKey is the API key of a simulator that was not given another.
const DefaultWaveKey = "wave_ci_prod_simulator"

const (
	paymentFailure    = "payment-failure"
	insufficientFunds = "insufficient-funds"
)

func (s *Simulator) waveRoutes(handle func(string, wire)) {
	route := func(method, path string, op Op, peek func(*call), do func(*call) answer) {
		handle(method+" /wave/v1/checkout/sessions"+path, wire{provider: Wave, op: op, peek: peek, access: s.waveAccess, handle: do})
	}
	route("POST", "", OpInitiate, peekWave, s.createSession)
	route("GET", "/search", OpSearch, peekSearch, s.searchSessions)
	route("GET", "", OpStatus, s.peekTransaction, s.getSession)
	route("GET", "/{id}", OpStatus, s.peekSession, s.getSession)
	route("POST", "/{id}/expire", OpExpire, s.peekSession, s.expireSession)
	route("POST", "/{id}/refund", OpRefund, s.peekSession, s.refundSession)
}

// RegisterWaveCallback adds a webhook, as a merchant does in the portal.
func (s *Simulator) RegisterWaveCallback(cb WaveCallback) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opts.Wave.Callbacks = append(slices.Clone(s.opts.Wave.Callbacks), cb)
}

type waveFault struct {
	Code    string       `json:"code"`
	Message string       `json:"message"`
	Details []waveDetail `json:"details,omitempty"`
}

type waveDetail struct {
	Loc []string `json:"loc"`
	Msg string   `json:"msg"`
}

func waveError(status int, code, message string) answer {
	return asJSON(status, waveFault{Code: code, Message: message})
}

func waveInvalid(field, msg string) answer {
	return asJSON(400, waveFault{"request-validation-error", "Request invalid",
		[]waveDetail{{[]string{"body", field}, msg}}})
}

func waveNotFound() answer {
	return waveError(404, "checkout-session-not-found", "The checkout session was not found")
}

func waveFailure(status int) answer {
	code := map[int]string{
		400: "request-validation-error", 401: "no-matching-api-key", 403: "unauthorized-wallet",
		404: "checkout-session-not-found", 409: "checkout-session-not-open",
		429: "too-many-requests", 503: "service-unavailable",
	}[status]
	code = cmp.Or(code, "internal-server-error")
	return waveError(status, code, http.StatusText(status))
}

func (s *Simulator) waveAccess(c *call) (answer, bool) {
	header := c.r.Header.Get("Authorization")
	key, ok := bearer(c.r)
	switch {
	case header == "":
		return waveError(401, "missing-auth-header", "The Authorization header is missing"), false
	case !ok:
		return waveError(401, "invalid-auth", "The Authorization header is invalid"), false
	case key == "":
		return waveError(401, "api-key-not-provided", "The API key is missing"), false
	case !s.has(Wave, func(k Keys) bool { return k.Key == key }):
		return waveError(401, "no-matching-api-key", "The API key is unknown"), false
	case !s.signed(c):
		return waveError(401, "authorization-error", "The request signature is missing or wrong"), false
	}
	return answer{}, true
}

// signed tells whether a request is signed as it has to be, if it has to be.
func (s *Simulator) signed(c *call) bool {
	secret := s.opts.Wave.SigningSecret
	if secret == "" {
		return true
	}
	header := c.r.Header.Get("Wave-Signature")
	stamp, _, _ := strings.Cut(strings.TrimPrefix(header, "t="), ",")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	at := time.Unix(seconds, 0)
	return err == nil && s.now().Sub(at).Abs() <= 5*time.Minute &&
		hmac.Equal([]byte(header), []byte(WaveSignature(at, c.body, secret)))
}

type waveRequest struct {
	Amount               *string `json:"amount"`
	Currency             *string `json:"currency"`
	SuccessURL           *string `json:"success_url"`
	ErrorURL             *string `json:"error_url"`
	ClientReference      *string `json:"client_reference"`
	RestrictPayerMobile  *string `json:"restrict_payer_mobile"`
	AggregatedMerchantID *string `json:"aggregated_merchant_id"`
}

func or(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func peekWave(c *call) {
	var req waveRequest
	_ = decode(c.body, &req, false)
	c.opens = true
	c.reference, c.amount, c.phone = or(req.ClientReference), or(req.Amount), or(req.RestrictPayerMobile)
}

func peekSearch(c *call) { c.reference = c.r.URL.Query().Get("client_reference") }

func (s *Simulator) peekSession(c *call) { s.about(c, s.find(Wave, c.r.PathValue("id"))) }

func (s *Simulator) peekTransaction(c *call) {
	if id := c.r.URL.Query().Get("transaction_id"); id != "" {
		i := slices.IndexFunc(s.payments, func(p *payment) bool { return p.provider == Wave && p.txn == id })
		if i >= 0 {
			s.about(c, s.payments[i])
		}
	}
}

func (s *Simulator) about(c *call, p *payment) {
	if c.payment = p; p != nil {
		c.reference = p.reference
	}
}

var (
	waveDecimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]{1,2})?$`)
	waveInteger = regexp.MustCompile(`^[1-9][0-9]*$`)
	e164        = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// createSession opens a session on every call: Wave does not know repeats.
func (s *Simulator) createSession(c *call) answer {
	var req waveRequest
	if refused, ok := s.waveBody(c, &req); !ok {
		return refused
	}
	p := &payment{
		provider: Wave, reference: or(req.ClientReference), id: "cos-" + s.text(alphanumeric, 13),
		amount: *req.Amount, currency: *req.Currency, phone: or(req.RestrictPayerMobile),
		scenario: s.scenario(c), wave: req,
	}
	s.add(p, s.opts.Wave.SessionLife)
	return asJSON(200, s.waveSession(p, c.base, p.now()), p)
}

func (s *Simulator) waveBody(c *call, req *waveRequest) (answer, bool) {
	var any fields
	if decode(c.body, &any, false) != nil {
		return waveError(400, "request-not-json", "The request body is not a JSON object"), false
	}
	if err := decode(c.body, req, true); err != nil {
		msg := err.Error()
		if name, extra := strings.CutPrefix(msg, "json: unknown field "); extra {
			return waveInvalid(strings.Trim(name, `"`), "extra fields not permitted"), false
		}
		return waveInvalid("", "str type expected"), false
	}
	if field, msg := s.waveProblem(*req); field != "" {
		return waveInvalid(field, msg), false
	}
	return answer{}, true
}

func (s *Simulator) waveProblem(req waveRequest) (field, msg string) {
	switch {
	case req.Amount == nil:
		return "amount", "field required"
	case req.Currency == nil:
		return "currency", "field required"
	case *req.Currency != s.opts.Wave.Currency:
		return "currency", "not the currency of the wallet"
	case !waveAmount(*req.Amount, *req.Currency):
		return "amount", "invalid amount"
	case !s.returnURL(or(req.SuccessURL)):
		return "success_url", "invalid or missing https URL"
	case !s.returnURL(or(req.ErrorURL)):
		return "error_url", "invalid or missing https URL"
	case len(or(req.ClientReference)) > 255:
		return "client_reference", "longer than 255"
	case req.AggregatedMerchantID == nil && s.opts.Wave.AggregatedMerchantID != "":
		return "aggregated_merchant_id", "field required"
	case or(req.AggregatedMerchantID) != s.opts.Wave.AggregatedMerchantID:
		return "aggregated_merchant_id", "not an aggregated merchant of the wallet"
	case req.RestrictPayerMobile != nil && !e164.MatchString(*req.RestrictPayerMobile):
		return "restrict_payer_mobile", "not an E.164 number"
	}
	return "", ""
}

func waveAmount(v, currency string) bool {
	if currency == "XOF" {
		return waveInteger.MatchString(v)
	}
	return waveDecimal.MatchString(v) && strings.Trim(v, "0.") != ""
}

func (s *Simulator) returnURL(v string) bool {
	u, err := url.Parse(v)
	return err == nil && u.Host != "" && (u.Scheme == "https" ||
		u.Scheme == "http" && (s.opts.Wave.AllowHTTPReturnURLs || loopback(u.Hostname())))
}

// loopback: an operator on the same machine has no https, and no payer but the one who plays.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type waveObject struct {
	ID                   string     `json:"id"`
	Amount               string     `json:"amount"`
	CheckoutStatus       string     `json:"checkout_status"`
	ClientReference      *string    `json:"client_reference"`
	Currency             string     `json:"currency"`
	ErrorURL             string     `json:"error_url"`
	LastPaymentError     *waveFault `json:"last_payment_error"`
	BusinessName         string     `json:"business_name"`
	PaymentStatus        string     `json:"payment_status"`
	TransactionID        *string    `json:"transaction_id"`
	AggregatedMerchantID *string    `json:"aggregated_merchant_id"`
	RestrictPayerMobile  *string    `json:"restrict_payer_mobile"`
	SuccessURL           string     `json:"success_url"`
	WaveLaunchURL        string     `json:"wave_launch_url"`
	WhenCompleted        *string    `json:"when_completed"`
	WhenCreated          string     `json:"when_created"`
	WhenExpires          string     `json:"when_expires"`
	WhenRefunded         *string    `json:"when_refunded"`
}

func (s *Simulator) waveSession(p *payment, base string, v view) waveObject {
	o := waveObject{
		ID: p.id, Amount: p.amount, Currency: p.currency, ClientReference: p.wave.ClientReference,
		ErrorURL: *p.wave.ErrorURL, SuccessURL: *p.wave.SuccessURL, BusinessName: s.opts.Wave.BusinessName,
		AggregatedMerchantID: p.wave.AggregatedMerchantID, RestrictPayerMobile: p.wave.RestrictPayerMobile,
		WaveLaunchURL: s.page(p, base), WhenCreated: iso(p.created), WhenExpires: iso(p.expires),
	}
	o.CheckoutStatus, o.PaymentStatus = waveWords(v.state)
	if v.reason != "" {
		o.LastPaymentError = &waveFault{Code: v.reason, Message: "The payment failed."}
	}
	if v.state == settled {
		o.TransactionID, o.WhenCompleted = &v.txn, new(iso(v.ended))
	}
	if !p.refunded.IsZero() {
		o.WhenRefunded = new(iso(p.refunded))
	}
	return o
}

func waveWords(st state) (checkout, payment string) {
	switch st {
	case settled:
		return "complete", "succeeded"
	case expired:
		return "expired", "cancelled"
	default:
		return "open", "processing"
	}
}

func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func (s *Simulator) getSession(c *call) answer {
	p := c.payment
	if p == nil || p.hidden(s.now(), s.opts.Speed) {
		return waveNotFound()
	}
	return asJSON(200, s.waveSession(p, c.base, p.shown(s.now())), p)
}

func (s *Simulator) searchSessions(c *call) answer {
	if c.reference == "" {
		return waveInvalid("client_reference", "field required")
	}
	result, found := []waveObject{}, s.byRef[name{Wave, c.reference}]
	for _, p := range found {
		result = append(result, s.waveSession(p, c.base, p.shown(s.now())))
	}
	return asJSON(200, map[string]any{"result": result}, found...)
}

func (s *Simulator) expireSession(c *call) answer {
	switch p := c.payment; {
	case p == nil:
		return waveNotFound()
	case s.over(p) != nil:
		return waveError(409, "checkout-session-not-open", "The checkout session is complete or expired")
	default:
		s.lapse(p)
		return empty(200)
	}
}

// refundSession gives the money back; asking again changes nothing.
func (s *Simulator) refundSession(c *call) answer {
	switch p := c.payment; {
	case p == nil:
		return waveNotFound()
	case p.state != settled:
		return waveError(400, "checkout-refund-failed", "The checkout session is not paid")
	case p.refunded.IsZero():
		p.refunded = s.now()
		s.enter(p, Refunded)
	}
	return empty(200)
}

// waveRetries: a callback that is not taken within 5 s comes again, for up to three days. The steps are not documented.
var waveRetries = []time.Duration{
	10 * time.Second, time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 40 * time.Hour,
}

// waveCallbacks tell of a paid session or of a failed try to every
// registered webhook, each signed as it was registered.
func (s *Simulator) waveCallbacks(p *payment) []delivery {
	event := "checkout.session.payment_failed"
	if p.state == settled {
		event = "checkout.session.completed"
	}
	body := asJSON(0, map[string]any{"id": "EV_" + s.text(alphanumeric, 12), "type": event, "data": s.waveSession(p, s.url, p.now())}).body
	var all []delivery
	for _, cb := range s.opts.Wave.Callbacks {
		d := delivery{
			provider: Wave, reference: p.reference, event: event, url: cb.URL,
			header: http.Header{"Content-Type": {"application/json"}}, body: body, retries: waveRetries,
		}
		if len(cb.SigningSecrets) > 0 {
			d.sign = signWith(cb.SigningSecrets...)
		}
		all = append(all, d)
	}
	return all
}
