package orange

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

const (
	basePath     = "baseURL, which ends in /orange-money-webpay/<country>/v1 (dev in the sandbox)"
	wrongAddress = "Orange has nothing at this address; check " + basePath
	wrongToken   = "Orange refuses the access token; check " + KeyClientID + " and " + KeyClientSecret
	ourRequest   = "Orange cannot read the request; report it with the code"
)

// refusals are the codes of a refused request (Orange Money Web Payment, error codes; Orange Developer, API errors).
var refusals = map[string]wire.Verdict{
	"21": {Class: providers.ClassRejected, Fault: providers.FaultProvider, Detail: ourRequest}, // body missing
	"22": {Class: providers.ClassRejected, Fault: providers.FaultProvider, Detail: ourRequest}, // body invalid
	"23": {Class: providers.ClassRejected, Detail: "Orange misses a field; check the fields of the Payment, and those of the account"},
	"24": {Class: providers.ClassRejected, Detail: "Orange refuses a field; check the fields of the Payment, and those of the account"},

	"40": wire.Misconfigured(wrongToken), // credentials missing
	"41": wire.Misconfigured(wrongToken), // credentials invalid
	"42": wire.Misconfigured(wrongToken), // token expired

	"50": wire.Misconfigured("Orange denies the application access; add Orange Money Web Payment for this country to it, and check " + basePath),

	"1201": {Class: providers.ClassRejected, Detail: "Orange forbids this transaction"},
	"1202": {
		Class: providers.ClassMisconfigured, Field: "merchant_key",
		Detail: "Orange does not know the merchant key; check that " + KeyMerchant + " is that of the application with this " + KeyClientID + ", for this country",
	},
	// Whether the payment has the currency of the country was checked before.
	"1203": {
		Class: providers.ClassMisconfigured, Field: "currency",
		Detail: "Orange does not take this currency in the country of the base path; check country, currency and baseURL of the account",
	},
	"1204": {Class: providers.ClassAlreadyExists}, // order already exists

	"60": wire.Misconfigured(wrongAddress), // not found
	"61": wire.Misconfigured(wrongAddress), // method not allowed
	"62": wire.Misconfigured(wrongAddress), // not acceptable

	"53": {Class: providers.ClassThrottled}, // too many requests
	"1":  {Class: providers.ClassUnknown},   // internal error
	"5":  {Class: providers.ClassUnknown},   // unavailable
}

// suppliers of the fields of a request that do not come from the payment.
var suppliers = map[string]wire.Verdict{
	"merchant_key": wire.Misconfigured("Orange refuses the merchant key; check " + KeyMerchant),
	"currency":     refusals["1203"],
	"reference":    wire.Misconfigured("Orange refuses the merchant's name; correct merchantName"),
	"notif_url":    urls("notif_url"),
	"return_url":   urls("return_url"),
	"cancel_url":   urls("cancel_url"),
}

func urls(field string) wire.Verdict {
	return wire.Verdict{
		Class: providers.ClassMisconfigured, Fault: providers.FaultOperator,
		Detail: "Orange refuses " + field + "; it takes URLs of at most 120 characters that it can reach: check --public-url, and the return URLs",
	}
}

// classify an answer that is no success. Only a 4xx is a definite no; the code
// says which, and a code that we do not know says nothing.
func classify(a providers.Answer, e failure) wire.Verdict {
	switch {
	case a.Status < 400 || a.Status > 499:
		return wire.Verdict{Class: providers.ClassUnknown}
	case a.Status == http.StatusTooManyRequests:
		return refusals["53"]
	case a.Status == http.StatusUnauthorized:
		return wire.Misconfigured(wrongToken)
	}
	if v, ok := refusals[string(e.Code)]; ok {
		return e.about(v)
	}
	switch {
	case e.Code == "" && a.Status == http.StatusForbidden:
		return refusals["50"]
	case e.Code == "" && isWrongAddress(a.Status):
		return wire.Misconfigured(wrongAddress)
	}
	return wire.Verdict{Class: providers.ClassUnknown}
}

// failure is the body of an answer that is no success.
type failure struct {
	Code        wire.Scalar `json:"code"`
	Message     wire.Scalar `json:"message"`
	Description wire.Scalar `json:"description"`
}

func readFailure(body []byte) failure {
	var e failure
	if wire.Decode(body, &e) != nil {
		return failure{}
	}
	return e
}

// about finds out which field codes 23 and 24 mean. Orange names it in a text, of which nothing
// but the name of a field that was sent is taken.
func (e failure) about(v wire.Verdict) wire.Verdict {
	if e.Code != "23" && e.Code != "24" {
		return v
	}
	for _, word := range fieldName.FindAllString(string(e.Description+" "+e.Message), -1) {
		if !slices.Contains(fields, word) {
			continue
		}
		if supplied, ok := suppliers[word]; ok {
			v = supplied
		}
		v.Field = word
		return v
	}
	return v
}

var (
	fieldName = regexp.MustCompile(`[a-z_]+`)
	fields    = []string{"merchant_key", "currency", "order_id", "amount", "return_url", "cancel_url", "notif_url", "lang", "reference"}
)

func isWrongAddress(status int) bool {
	return status == http.StatusNotFound || status == http.StatusMethodNotAllowed || status == http.StatusNotAcceptable
}

func (p *Provider) classifyToken(status int) wire.Verdict {
	switch {
	case status == http.StatusBadRequest, status == http.StatusUnauthorized:
		v := wire.Misconfigured("Orange does not know the pair " + KeyClientID + " and " + KeyClientSecret + "; check both, of this application")
		v.Detail += wire.Shapes(p.account.Credentials, KeyClientID, KeyClientSecret)
		return v
	case status == http.StatusForbidden:
		return wire.Misconfigured("Orange denies the application access tokens; check that it is enabled")
	case isWrongAddress(status):
		return wire.Misconfigured("Orange has no tokens at this address; check tokenURL")
	case status == http.StatusTooManyRequests:
		return refusals["53"]
	default:
		return wire.Verdict{Class: providers.ClassUnknown}
	}
}

// fail is the error for an answer that is no success.
func (p *Provider) fail(op providers.Operation, a providers.Answer) *providers.Error {
	e := readFailure(a.Body)
	v := classify(a, e)
	if op == providers.OpStatus {
		v = v.ForQuestion()
		if v.Detail == wrongAddress {
			v.Detail = "Orange does not know the order by this pay_token, or has nothing at this address; check " + basePath
		}
	}
	return wire.Fail(op, a, v, string(e.Code), p.now())
}

func tokenCode(body []byte) string {
	return cmp.Or(wire.TokenErrorCode(body), string(readFailure(body).Code))
}

// tokenRefused: codes 40, 41 and 42 (Orange Developer, API errors), and the bare HTTP status that says the same.
func tokenRefused(a providers.Answer) bool {
	if a.Status == http.StatusUnauthorized {
		return true
	}
	code := readFailure(a.Body).Code
	return a.Status >= 400 && a.Status <= 499 && (code == "40" || code == "41" || code == "42")
}
