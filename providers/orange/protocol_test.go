package orange_test

import (
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// The sections (§) are those of the project's protocol notes, which
// docs/providers.md reproduces: each row of their tables is a case here.

func TestProtocolErrors(t *testing.T) {
	const (
		rejected, misconfigured, unknown = providers.ClassRejected, providers.ClassMisconfigured, providers.ClassUnknown
		exists, throttled                = providers.ClassAlreadyExists, providers.ClassThrottled
	)
	for _, tt := range []struct {
		section, row string
		status       int
		code         string
		initiate     providers.Class
		query        providers.Class // an error says nothing about the payment
	}{
		{"§1.4", "400 21 body missing", 400, "21", rejected, unknown},
		{"§1.4", "400 22 body invalid", 400, "22", rejected, unknown},
		{"§1.4", "400 23 field missing", 400, "23", rejected, unknown},
		{"§1.4", "400 24 field invalid", 400, "24", rejected, unknown},
		{"§1.4", "401 40 credentials missing", 401, "40", misconfigured, misconfigured},
		{"§1.4", "401 41 credentials invalid", 401, "41", misconfigured, misconfigured},
		{"§1.4", "401 42 token expired", 401, "42", misconfigured, misconfigured},
		{"§1.4", "403 50 access denied", 403, "50", misconfigured, misconfigured},
		{"§1.4", "403 1201 forbidden transaction", 403, "1201", rejected, unknown},
		{"§1.4", "403 1202 invalid merchant key", 403, "1202", misconfigured, misconfigured},
		{"§1.4", "403 1203 currency not allowed for the country", 403, "1203", misconfigured, misconfigured},
		{"§1.4", "403 1204 order already exists", 403, "1204", exists, unknown},
		{"§1.4", "404 60 not found", 404, "60", misconfigured, misconfigured},
		{"§1.4", "405 61 method not allowed", 405, "61", misconfigured, misconfigured},
		{"§1.4", "406 62 not acceptable", 406, "62", misconfigured, misconfigured},
		{"§1.4", "429 53 too many requests", 429, "53", throttled, throttled},
		{"§1.4", "429, no code", 429, "", throttled, throttled},
		{"§1.4", "500 1 internal error", 500, "1", unknown, unknown},
		{"§1.4", "503 5 unavailable", 503, "5", unknown, unknown},
	} {
		t.Run(tt.section+" "+tt.row, func(t *testing.T) {
			refused := answer{Status: tt.status}
			if tt.code != "" {
				refused.Body = body(tt.code)
			}
			script := []answer{tokenAnswer, refused, refused}
			if tt.status == 401 { // the token is dropped, and the question repeated once
				script = []answer{tokenAnswer, refused, tokenAnswer2, refused, tokenAnswer, refused}
			}
			p, s, _ := client(t, script...)
			_, err := p.Initiate(t.Context(), request())
			check(t, err, providers.Error{Class: tt.initiate, Code: tt.code, HTTPStatus: tt.status})
			_, err = p.Status(t.Context(), handle())
			check(t, err, providers.Error{Class: tt.query, Code: tt.code, HTTPStatus: tt.status})
			if len(s.Requests()) != len(script) {
				t.Errorf("%v", s.Seen())
			}
		})
	}
}

func TestProtocolStatus(t *testing.T) {
	state := func(s providers.State, code string) providers.Status {
		return providers.Status{State: s, Code: code, Reference: ref}
	}
	failed := state(providers.StateFailed, "FAILED")
	failed.Failure = providers.FailureProviderRefused
	unrecognized := state(providers.StatePending, "CANCELLED")
	unrecognized.Unrecognized = true
	for _, tt := range []struct {
		section, row string
		want         providers.Status
	}{
		{"§1.6", "INITIATED", state(providers.StateNotStarted, "INITIATED")},
		{"§1.6", "PENDING", state(providers.StatePending, "PENDING")},
		{"§1.6", "SUCCESS", state(providers.StateSucceeded, "SUCCESS")},
		{"§1.6", "FAILED", failed},
		{"§1.6", "EXPIRED", state(providers.StateExpired, "EXPIRED")},
		{"§1.6", "CANCELLED", unrecognized},
	} {
		t.Run(tt.section+" "+tt.row, func(t *testing.T) {
			checkStatus(t, `{"status":"`+tt.row+`","order_id":"`+ref+`"}`, tt.want)
		})
	}
}

// A word without a mapping is never an end.
func TestProtocolUnknownWords(t *testing.T) {
	known := map[string]bool{"INITIATED": true, "PENDING": true, "SUCCESS": true, "FAILED": true, "EXPIRED": true}
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.OneOf(
			rapid.StringMatching(`[A-Za-z_]{0,70}`),
			rapid.SampledFrom([]string{"success", "SUCCESS ", "SUCCESSFUL", "SUCCEEDED", "REJECTED", "TIMEOUT", "COMPLETED", "CANCELED"}),
		).Filter(func(w string) bool { return !known[w] }).Draw(rt, "word")
		checkStatus(t, `{"status":"`+word+`"}`, providers.Status{State: providers.StatePending, Code: providers.SafeCode(word), Unrecognized: true})
	})
}
