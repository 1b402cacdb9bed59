package mtn

import (
	"net/http"
	"regexp"
	"strings"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
)

// refusals are the documented codes of a refused request about money, of requesttopay and of refund alike (MTN MoMo
// API, response codes). MTN sends them with HTTP 500, too. What is not listed is decided by the HTTP status. In a
// Detail {product} and {keys} stand for the product and its Secret's keys.
var refusals = map[string]wire.Verdict{
	// The callback URL comes from the operator's --public-url.
	"INVALID_CALLBACK_URL_HOST": {
		Class: providers.ClassMisconfigured, Field: "X-Callback-Url", Fault: providers.FaultOperator,
		Detail: "MTN refuses the host of the callback URL: it is not the providerCallbackHost of the API user; " +
			"set --public-url to that host, have the host of --public-url registered (in the sandbox: for a new API user), " +
			"or set mtn.callbacks to Disabled in the account",
	},
	// Whether the payment has the currency of the country was checked before.
	"INVALID_CURRENCY": {
		Class: providers.ClassMisconfigured, Field: "currency",
		Detail: "MTN does not take this currency in the account's target environment; check targetEnvironment, country and currency of the account",
	},
	"NOT_ALLOWED": wire.Misconfigured("MTN does not allow this to the API user; ask MTN to enable the {product} product for it"),
	"NOT_ALLOWED_TARGET_ENVIRONMENT": wire.Misconfigured(
		"MTN refuses the API user in this target environment or product; check targetEnvironment, and that {keys} are all of the {product} product"),

	"PAYER_NOT_FOUND":              rejected(providers.FailurePayerNotFound, "payer"),
	"PAYEE_NOT_FOUND":              rejected(providers.FailureNotAllowed, ""),
	"PAYEE_NOT_ALLOWED_TO_RECEIVE": rejected(providers.FailureNotAllowed, ""),
	"NOT_ENOUGH_FUNDS":             rejected(providers.FailureInsufficientFunds, ""),
	"PAYER_LIMIT_REACHED":          rejected(providers.FailureLimitReached, ""),

	"RESOURCE_ALREADY_EXIST": {Class: providers.ClassAlreadyExists},

	// The payment may exist.
	"INTERNAL_PROCESSING_ERROR": {Class: providers.ClassUnknown},
	"SERVICE_UNAVAILABLE":       {Class: providers.ClassUnknown},
}

func rejected(failure providers.FailureReason, field string) wire.Verdict {
	return wire.Verdict{Class: providers.ClassRejected, Failure: failure, Field: field}
}

// statuses of what has no documented code.
var statuses = map[int]wire.Verdict{
	http.StatusBadRequest: {
		Class: providers.ClassRejected,
		Detail: "MTN refuses the request and does not say why; check amount, currency and phone, " +
			"and in production that MTN has listed the operator's outgoing address",
	},
	http.StatusUnauthorized: wire.Misconfigured("MTN refuses the credentials; check {keys}"),
	http.StatusForbidden: wire.Misconfigured(
		"MTN denies the account access; ask MTN to enable the {product} product for it, and to list the operator's outgoing address"),
	http.StatusNotFound:        wire.Misconfigured("MTN has nothing at this address; check baseURL, to which paths such as /collection/token/ are appended"),
	http.StatusConflict:        {Class: providers.ClassAlreadyExists},
	http.StatusTooManyRequests: {Class: providers.ClassThrottled},
}

// classify an answer to a request about money that is not 202.
func classify(status int, code string) wire.Verdict {
	if status == http.StatusBadRequest || status == http.StatusInternalServerError {
		if v, ok := refusals[code]; ok {
			return v
		}
	}
	if v, ok := statuses[status]; ok {
		return v
	}
	return wire.Verdict{Class: providers.ClassUnknown}
}

func classifyStatus(status int, code string) wire.Verdict {
	if status == http.StatusNotFound {
		return wire.Verdict{Class: providers.ClassNotFound}
	}
	return classify(status, code).ForQuestion()
}

// classifyToken: whatever is wrong with a token request is wrong with the account, unless MTN
// fails. The gateway checks the subscription key, and what is behind it user and API key.
func (p *product) classifyToken(a providers.Answer) wire.Verdict {
	switch a.Status {
	case http.StatusBadRequest:
		return wire.Misconfigured("MTN refuses the target environment; check targetEnvironment")
	case http.StatusUnauthorized:
		return p.classifyCredentials(a)
	case http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests:
		return statuses[a.Status]
	case http.StatusInternalServerError:
		return wire.Verdict{Class: providers.ClassUnknown, Detail: "MTN fails to give out an access token; if it goes on, check {user} and {secret}: " +
			"MTN has answered so to wrong ones"}
	default:
		return wire.Verdict{Class: providers.ClassUnknown}
	}
}

var uuid = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

func (p *product) classifyCredentials(a providers.Answer) wire.Verdict {
	v := wire.Misconfigured("MTN does not know the pair {user} and {secret}; check the API user and its API key, and that both are of this environment")
	if wire.IsGateway(a.Body) {
		v = wire.Misconfigured("MTN refuses {subscription}: it is no subscription key of the {product} product; copy the primary key of that product")
	}
	if shapes := wire.Shapes(p.credentials, p.keys...); shapes != "" {
		v.Detail += shapes
	} else if uuid.MatchString(p.secret.Reveal()) && !uuid.MatchString(p.user.Reveal()) {
		v.Detail += ". {user} and {secret} seem to be swapped"
	}
	return v
}

// fail is the error for an answer that is not the documented success.
func (p *product) fail(op providers.Operation, a providers.Answer, v wire.Verdict, code string) *providers.Error {
	v.Detail = strings.NewReplacer(
		"{product}", p.name, "{keys}", strings.Join(p.keys, ", "),
		"{subscription}", p.keys[0], "{user}", p.keys[1], "{secret}", p.keys[2],
	).Replace(v.Detail)
	return wire.Fail(op, a, v, code, p.now())
}

// refusal is the error for a request about money that was not taken.
func (p *product) refusal(op providers.Operation, a providers.Answer) *providers.Error {
	code := wire.ErrorCode(a.Body)
	return p.fail(op, a, classify(a.Status, code), code)
}
