package wave

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// codeRefundFailed comes with 400 or with 409 (Wave Checkout API, refund a checkout session).
const codeRefundFailed = "checkout-refund-failed"

// The codes that say more than an HTTP status that any gateway may send (Wave
// API, errors). Whether they come with 400 or with 422 is not told.
const codeValidation = "request-validation-error"

var unreadableCodes = []string{"request-not-json", "request-parsing-error"}

const (
	wrongKey = "Wave does not know the API key; check that " + KeyAPI + " is complete, and of the wallet that collects"
	noAccess = "Wave denies the API key access; check in Wave's portal that " + KeyAPI + " may use the Checkout API, and from which addresses"
)

// accountCodes say that the account is wrong.
var accountCodes = map[string]wire.Verdict{
	"missing-auth-header":  wire.Misconfigured(wrongKey),
	"invalid-auth":         wire.Misconfigured(wrongKey),
	"api-key-not-provided": wire.Misconfigured(wrongKey),
	"no-matching-api-key":  wire.Misconfigured(wrongKey),
	"api-key-revoked":      wire.Misconfigured("the API key was revoked; make another in Wave's portal, and put it in " + KeyAPI),
	"authorization-error":  wire.Misconfigured(noAccess),
	"invalid-wallet":       wire.Misconfigured("Wave has no wallet for the API key; check that " + KeyAPI + " is of the wallet that collects"),
	"disabled-wallet":      wire.Misconfigured("the wallet of the API key is disabled; ask Wave to enable it"),
	"unauthorized-wallet": wire.Misconfigured("the wallet of the API key may not do this; ask Wave to enable the Checkout API for it, or put the key " +
		"of another wallet in " + KeyAPI),
	"ip-not-allowed": wire.Misconfigured("Wave does not take the API key from the operator's outgoing address; allow that address for " +
		KeyAPI + " in Wave's portal"),
}

// statuses of what has no code of Wave's. An id that Wave gave us is unknown only to another
// wallet; nothing ends by it, so that a gateway's own 404 will do.
var statuses = map[int]wire.Verdict{
	http.StatusUnauthorized: wire.Misconfigured(wrongKey),
	http.StatusForbidden:    wire.Misconfigured(noAccess),
	http.StatusNotFound: wire.Misconfigured("Wave does not know the session by this API key, or has nothing at this address; check that " + KeyAPI +
		" is of the wallet that opened it, and baseURL, to which /v1/checkout/sessions is appended"),
	http.StatusTooManyRequests: {Class: providers.ClassThrottled},
}

// classify an answer that is not 200 (Wave API, errors). A refusal is final, and only a code of Wave's own is one.
func classify(op providers.Operation, a providers.Answer) wire.Verdict {
	code := wire.ErrorCode(a.Body)
	order := op == providers.OpInitiate || op == providers.OpRefund
	if a.Status < 400 || a.Status > 499 {
		return wire.Verdict{Class: providers.ClassUnknown}
	}
	if v, ok := accountCodes[code]; ok && a.Status != http.StatusTooManyRequests {
		return v
	}
	if v, ok := statuses[a.Status]; ok {
		return v
	}
	switch {
	case op == providers.OpCancel && a.Status == http.StatusConflict: // complete or expired already
		return wire.Verdict{Class: providers.ClassAlreadyExists}
	case op == providers.OpRefund && code == codeRefundFailed:
		return wire.Verdict{Class: providers.ClassRejected, Detail: "Wave cannot give the payment back; see it in Wave's portal"}
	case op == providers.OpInitiate && code == codeValidation:
		return refusedField(a.Body)
	case order && (code == codeValidation || slices.Contains(unreadableCodes, code)):
		return wire.Verdict{
			Class: providers.ClassRejected, Fault: providers.FaultProvider, Detail: "Wave cannot read the request; report it with the code",
		}
	}
	return wire.Verdict{Class: providers.ClassUnknown}
}

// paymentFields are the fields of a request that the Payment supplies.
var paymentFields = []string{"amount", "client_reference", "restrict_payer_mobile"}

// refusedField reads which field Wave refuses (Wave API, errors: details, loc). Only a field that the Payment supplies
// is a refusal of the Payment; any other concerns all payments of the account, and can be corrected.
func refusedField(body []byte) wire.Verdict {
	fields := namedFields(body)
	others := slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(paymentFields, f) })
	switch {
	case len(others) > 0:
		v := wire.Misconfigured("Wave refuses " + others[0] + " for the merchant; check the account, and that its wallet needs nothing else")
		v.Field = others[0]
		switch v.Field {
		case "aggregated_merchant_id":
			v.Detail = "Wave refuses the aggregated_merchant_id; an aggregator sets wave.aggregatedMerchantID in the account, nobody else does"
		case "currency":
			v.Detail = "Wave does not take this currency for the wallet; check currency and country of the account"
		case "success_url", "error_url":
			v.Fault = providers.FaultOperator
			v.Detail = "Wave refuses the " + v.Field + "; it takes https URLs that it can reach: check --public-url, and the return URLs"
		}
		return v
	case len(fields) > 0:
		return wire.Verdict{
			Class: providers.ClassRejected, Field: fields[0],
			Detail: "Wave refuses " + fields[0] + "; create another Payment with a correct one",
		}
	}
	return wire.Verdict{Class: providers.ClassRejected, Detail: "Wave refuses the request and names no field; check the fields of the Payment, and the account"}
}

// namedFields are the last names in each loc; a message is never read.
func namedFields(body []byte) []string {
	var e struct {
		Details []struct {
			Loc []any `json:"loc"`
		} `json:"details"`
	}
	if wire.Decode(body, &e) != nil {
		return nil
	}
	var fields []string
	for _, d := range e.Details {
		for _, part := range slices.Backward(d.Loc) {
			if name, ok := part.(string); ok && name != "body" && fieldName.MatchString(name) {
				fields = append(fields, name)
				break
			}
		}
	}
	return fields
}

var fieldName = regexp.MustCompile(`^[a-z][a-z_]{0,39}$`)

// fail is the error for an answer that is not 200.
func (p *Provider) fail(op providers.Operation, a providers.Answer) *providers.Error {
	v := classify(op, a)
	if v.Detail == wrongKey {
		v.Detail += wire.Shapes(p.account.Credentials, KeyAPI)
		if strings.Contains(p.account.Credentials[KeyAPI].Reveal(), "_WHS_") {
			v.Detail += ". " + KeyAPI + " seems to be the secret of a webhook"
		}
	}
	return wire.Fail(op, a, v, wire.ErrorCode(a.Body), p.now())
}
