// Package wire holds what the provider adapters share in reading answers and in checking what they send.
package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mobilemoney.dev/operator/providers"
)

const (
	minRetryAfter = time.Second
	maxRetryAfter = 15 * time.Minute
	maxDepth      = 32
	// MaxToken caps a token that has to be kept.
	MaxToken = 255
	// MaxURL caps a URL that a provider hands out.
	MaxURL = 2048
	// maxAccessToken caps one that is sent back in a header.
	maxAccessToken = 8 << 10
)

// Decode reads a JSON object into v. Unknown fields are fine; a wrong type, a
// key that comes twice, in whatever case, and anything after the object is not.
func Decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if first, err := d.Token(); err != nil || first != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	if err := object(d, 1); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("data after the JSON object")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return errors.New("JSON of another shape")
	}
	return nil
}

// EmptyOrObject tells whether a body that says nothing is not a page: it is empty or a JSON object.
func EmptyOrObject(body []byte) bool {
	return len(bytes.TrimSpace(body)) == 0 || Decode(body, &struct{}{}) == nil
}

// object checks the rest of an object whose brace is read.
func object(d *json.Decoder, depth int) error {
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return errors.New("broken JSON")
		}
		name, ok := key.(string)
		if !ok {
			return errors.New("broken JSON")
		}
		if name = folded(name); seen[name] {
			return errors.New("a JSON key comes twice")
		}
		seen[name] = true
		if err := value(d, depth); err != nil {
			return err
		}
	}
	return closing(d)
}

// folded is a key as encoding/json matches it, which is in any case, so that keys clash in any case:
// ToUpper folds letters such as the long s, ToLower the Kelvin sign.
func folded(key string) string {
	if strings.IndexFunc(key, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		key = strings.ToUpper(key)
	}
	return strings.ToLower(key)
}

func value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	switch {
	case err != nil:
		return errors.New("broken JSON")
	case depth >= maxDepth:
		return errors.New("JSON nested too deep")
	case t == json.Delim('{'):
		return object(d, depth+1)
	case t == json.Delim('['):
		for d.More() {
			if err := value(d, depth+1); err != nil {
				return err
			}
		}
		return closing(d)
	}
	return nil
}

func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return errors.New("broken JSON")
	}
	return nil
}

// Scalar is a JSON string or number, of which providers use one or the other.
type Scalar string

func (s *Scalar) UnmarshalJSON(b []byte) error {
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(s))
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*s = Scalar(n)
	return nil
}

// Verdict on an answer that is not the documented success: what it means for the money, whose
// fault it is (where empty, by the class), and what people can do about it.
type Verdict struct {
	Class   providers.Class
	Failure providers.FailureReason
	Field   string
	Fault   providers.Fault
	Detail  string
}

// Misconfigured is the Verdict on what the account has wrong.
func Misconfigured(detail string) Verdict {
	return Verdict{Class: providers.ClassMisconfigured, Detail: detail}
}

// Fail is the error for an answer that is not the documented success.
func Fail(op providers.Operation, a providers.Answer, v Verdict, code string, now time.Time) *providers.Error {
	return &providers.Error{
		Class:      v.Class,
		Operation:  op,
		Code:       providers.SafeCode(code),
		Field:      v.Field,
		Fault:      cmp.Or(v.Fault, v.Class.Fault()),
		HTTPStatus: a.Status,
		RetryAfter: RetryAfter(a.Header, now),
		Failure:    v.Failure,
		Detail:     cmp.Or(v.Detail, unexplained(v.Class)),
	}
}

// unexplained is what there is to say of an answer that says nothing.
func unexplained(class providers.Class) string {
	if class == providers.ClassUnknown {
		return "the provider is out of order, or gives an answer that this version does not know"
	}
	return ""
}

// Odd is the error for an answer with a success status that does not hold what the documentation promises.
func Odd(op providers.Operation, a providers.Answer, detail string) *providers.Error {
	return &providers.Error{
		Class: providers.ClassUnknown, Operation: op, HTTPStatus: a.Status, Fault: providers.FaultProvider, Detail: detail,
	}
}

// Refuse is the error for a call that is not made.
func Refuse(op providers.Operation, class providers.Class, detail string) *providers.Error {
	return &providers.Error{Class: class, Operation: op, Fault: class.Fault(), Detail: detail}
}

// ForQuestion turns the verdict on an answer to a question into one that says nothing about the
// payment: only a request for money can be rejected.
func (v Verdict) ForQuestion() Verdict {
	if v.Class == providers.ClassRejected || v.Class == providers.ClassAlreadyExists {
		return Verdict{Class: providers.ClassUnknown}
	}
	v.Failure = ""
	return v
}

// RetryAfter reads the Retry-After header, as seconds or as a date, and keeps
// it between a second and a quarter of an hour. It is 0 where there is none.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if text == "" {
		return 0
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range: the nearest
		return time.Duration(clamp(seconds, minRetryAfter, maxRetryAfter)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), minRetryAfter), maxRetryAfter)
	}
	return 0
}

func clamp(seconds int64, low, high time.Duration) int64 {
	return min(max(seconds, int64(low/time.Second)), int64(high/time.Second))
}

// Money as echoed by a provider; empty where it is incomplete or unreadable,
// so that it equals nothing. Then said is what the provider wrote, for people.
func Money(amount, currency string) (m, said providers.Money) {
	m, err := providers.Money{Amount: amount, Currency: currency}.Canonical(2)
	if err != nil {
		return providers.Money{}, providers.Money{Amount: number(amount), Currency: providers.SafeCode(currency)}
	}
	return m, providers.Money{}
}

// number is what may be part of one, at most 40 bytes.
func number(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune("0123456789.,+-eE", r) {
			return r
		}
		return -1
	}, s)
	return s[:min(len(s), 40)]
}

// RealMoney is what a merchant may ask for in a country, "" where that is not known: money of an
// ISO 4217 currency that is paid there, in canonical form.
func RealMoney(m providers.Money, maxDecimals int, country string) (providers.Money, error) {
	m, err := m.Canonical(maxDecimals)
	if err == nil {
		err = providers.CheckCurrency(m.Currency, country)
	}
	if err != nil {
		return providers.Money{}, err
	}
	return m, nil
}

// Echo is a reference or an id that came back. One with characters that we
// never sent becomes a word that equals none of ours.
func Echo(s string) string {
	if providers.SafeID(s) != s {
		return Unreadable
	}
	return s
}

// Unreadable is a reference that none of ours equals.
const Unreadable = "unreadable"

// IsToken tells whether s can be kept, and sent back in a header or a body.
func IsToken(s string, longest int) bool {
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// ErrorCode reads the code at the top level of an error body (MTN, Wave). A gateway's own body has
// none, and there are pages and empty bodies; a message is never read.
func ErrorCode(body []byte) string {
	var e struct {
		Code string `json:"code"`
	}
	if Decode(body, &e) != nil {
		return ""
	}
	return e.Code
}

// TokenErrorCode reads the code of a refused token request: an error of OAuth 2.0 (RFC 6749, 5.2),
// of which only the documented words are taken, or else ErrorCode.
func TokenErrorCode(body []byte) string {
	var e struct {
		Error string `json:"error"`
	}
	if Decode(body, &e) == nil && slices.Contains(oauthErrors, e.Error) {
		return e.Error
	}
	return ErrorCode(body)
}

var oauthErrors = []string{
	"invalid_client", "invalid_grant", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_grant_type",
}

// IsGateway tells whether an error body is that of the Azure gateway in front of an API.
func IsGateway(body []byte) bool {
	var e struct {
		StatusCode Scalar `json:"statusCode"`
	}
	return Decode(body, &e) == nil && e.StatusCode != ""
}

// IsAccessToken tells whether s can be sent as a bearer token.
func IsAccessToken(s string) bool { return IsToken(s, maxAccessToken) }

// IsPayerURL tells whether s is a page that a payer may be sent to: https,
// or the scheme of the API itself, which is http at a simulator.
func IsPayerURL(s, baseURL string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || !IsToken(s, MaxURL) {
		return false
	}
	return u.Scheme == "https" || (u.Scheme == "http" && strings.HasPrefix(baseURL, "http://"))
}

// AccessToken reads an access token answer. Some providers send expires_in as
// a string; one that is missing or unreadable counts as not told.
func AccessToken(op providers.Operation, a providers.Answer) (providers.Secret, time.Duration, error) {
	var body struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   Scalar `json:"expires_in"`
	}
	if err := Decode(a.Body, &body); err != nil {
		return "", 0, Odd(op, a, err.Error())
	}
	if !IsAccessToken(body.AccessToken) {
		return "", 0, Odd(op, a, "no usable access_token")
	}
	seconds, _ := strconv.ParseInt(string(body.ExpiresIn), 10, 32)
	return providers.Secret(body.AccessToken), time.Duration(seconds) * time.Second, nil
}
