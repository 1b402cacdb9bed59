package wave_test

import (
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// The sections (§) are those of the project's protocol notes, which
// docs/providers.md reproduces: each row of their tables is a case here.

func TestProtocolErrors(t *testing.T) {
	const (
		unknown, rejected, exists = providers.ClassUnknown, providers.ClassRejected, providers.ClassAlreadyExists
	)
	malformed := classes{initiate: rejected, search: unknown, query: unknown, cancel: unknown, refund: rejected}
	misconfigured := everywhere(providers.ClassMisconfigured)
	for _, tt := range []struct {
		section string
		status  int
		code    string
		want    classes
	}{
		{"§3.1", 400, "request-validation-error", malformed},
		{"§3.1", 422, "request-validation-error", malformed},
		{"§3.1", 400, "request-not-json", malformed},
		{"§3.1", 422, "request-not-json", malformed},
		{"§3.1", 400, "request-parsing-error", malformed},
		{"§3.1", 422, "request-parsing-error", malformed},
		{"§3.1", 401, "missing-auth-header", misconfigured},
		{"§3.1", 401, "invalid-auth", misconfigured},
		{"§3.1", 401, "api-key-not-provided", misconfigured},
		{"§3.1", 401, "no-matching-api-key", misconfigured},
		{"§3.1", 401, "api-key-revoked", misconfigured},
		{"§3.1", 401, "authorization-error", misconfigured},
		{"§3.1", 403, "invalid-wallet", misconfigured},
		{"§3.1", 403, "disabled-wallet", misconfigured},
		{"§3.1", 403, "unauthorized-wallet", misconfigured},
		{"§3.1", 403, "ip-not-allowed", misconfigured},
		{"§3.1", 400, "", everywhere(unknown)},
		{"§3.1", 422, "", everywhere(unknown)},
		{"§3.1", 400, "invalid-auth", misconfigured},
		{"§3.1", 422, "disabled-wallet", misconfigured},
		{"§3.1", 404, "checkout-session-not-found", misconfigured},
		{"§3.1", 409, "", classes{initiate: unknown, search: unknown, query: unknown, cancel: exists, refund: unknown}},
		{"§3.1", 429, "", everywhere(providers.ClassThrottled)},
		{"§3.1", 500, "internal-server-error", everywhere(unknown)},
		{"§3.1", 503, "service-unavailable", everywhere(unknown)},
		{"§3.6", 400, "checkout-refund-failed", classes{initiate: unknown, search: unknown, query: unknown, cancel: unknown, refund: rejected}},
		{"§3.6", 409, "checkout-refund-failed", classes{initiate: unknown, search: unknown, query: unknown, cancel: exists, refund: rejected}},
	} {
		t.Run(tt.section+" "+tt.code, func(t *testing.T) { checkErrors(t, tt.status, tt.code, tt.want) })
	}
}

func TestProtocolStatus(t *testing.T) {
	funds := `{"code":"insufficient-funds","message":"canary"}`
	state := func(s providers.State, code, last string) providers.Status {
		return providers.Status{State: s, Code: code, LastError: last}
	}
	failed := providers.Status{State: providers.StateFailed, Code: "cancelled", Failure: providers.FailureProviderRefused}
	odd := providers.Status{State: providers.StatePending, Code: "paused.waiting", Unrecognized: true}
	for _, tt := range []struct {
		section, checkout, payment, lastError string
		want                                  providers.Status
	}{
		{"§3.4", "open", "processing", "null", state(providers.StatePending, "open", "")},
		{"§3.4", "open", "cancelled", "null", state(providers.StatePending, "open", "")},
		{"§3.4", "open", "processing", funds, state(providers.StatePending, "open", "insufficient-funds")},
		{"§3.4", "complete", "succeeded", "null", state(providers.StateSucceeded, "complete", "")},
		{"§3.4", "expired", "cancelled", "null", state(providers.StateExpired, "expired", "")},
		{"§3.4", "expired", "cancelled", funds, state(providers.StateExpired, "expired", "insufficient-funds")},
		{"§3.4", "complete", "cancelled", "null", failed},
		{"§3.4", "paused", "waiting", "null", odd},
	} {
		t.Run(tt.section+" "+tt.checkout+", "+tt.payment, func(t *testing.T) {
			checkStatus(t, tt.checkout, tt.payment, tt.lastError, tt.want)
		})
	}
}

// A pair of words without a mapping is never an end.
func TestProtocolUnknownWords(t *testing.T) {
	known := map[string]bool{
		"open processing": true, "open cancelled": true, "complete succeeded": true, "expired cancelled": true, "complete cancelled": true,
	}
	word := func(words ...string) *rapid.Generator[string] {
		return rapid.OneOf(rapid.StringMatching(`[A-Za-z_-]{0,40}`), rapid.SampledFrom(words))
	}
	checkouts := word("open", "complete", "expired", "COMPLETE", "completed")
	payments := word("processing", "succeeded", "cancelled", "SUCCEEDED", "success", "failed")
	pairs := rapid.Custom(func(rt *rapid.T) [2]string {
		return [2]string{checkouts.Draw(rt, "checkout"), payments.Draw(rt, "payment")}
	}).Filter(func(pair [2]string) bool { return !known[pair[0]+" "+pair[1]] })
	rapid.Check(t, func(rt *rapid.T) {
		pair := pairs.Draw(rt, "pair")
		checkStatus(t, pair[0], pair[1], "null",
			providers.Status{State: providers.StatePending, Code: providers.SafeCode(pair[0] + "." + pair[1]), Unrecognized: true})
	})
}
