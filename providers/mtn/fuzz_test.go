package mtn_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
)

// calls by what is asked for: with money, how it stands, or neither.
var (
	paying = []string{"initiate", "refund"}
	asking = []string{"status", "refund status"}
	tokens = []string{"token", "refund token"}
	calls  = slices.Concat(paying, asking, tokens, []string{"check"})
)

// answered makes one of the calls and answers it.
func answered(t *testing.T, op string, a providers.Answer) (s providers.Status, err error) {
	t.Helper()
	requests, most := 0, 1
	if a.Status == 401 && !slices.Contains(tokens, op) {
		most = 2 // once more, with another token
	}
	answer := wiretest.Wired(func(c providers.Call) providers.Answer {
		if strings.HasSuffix(c.URL, "/token/") && !slices.Contains(tokens, op) {
			return providers.Answer{Status: 200, Body: []byte(tokenAnswer.Body)}
		}
		if requests++; requests > most {
			t.Fatalf("%s: %s is sent again after HTTP %d %q", op, c.Operation, a.Status, a.Body)
		}
		return a
	})
	acct := account("https://api.example")
	if op == "check" { // only the sandbox has that question
		acct.Environment, acct.TargetEnvironment = providers.Sandbox, "sandbox"
	}
	client, err := mtn.Kind().New(acct, answer, wiretest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	p := client.(*mtn.Provider)
	switch op {
	case "initiate":
		_, err = p.Initiate(t.Context(), request())
	case "refund":
		err = p.Refund(t.Context(), refundRequest())
	case "status":
		s, err = p.Status(t.Context(), handle())
	case "refund status":
		s, err = p.RefundStatus(t.Context(), refundHandle())
	case "token":
		err = p.Prepare(t.Context())
	case "refund token":
		err = p.PrepareRefund(t.Context())
	default:
		err = p.CheckAccount(t.Context(), providers.AccountCheck{})
	}
	return s, err
}

// Whatever MTN answers to whatever call: nothing is taken for a decision that does
// not say so in the documented words.
func FuzzAnswers(f *testing.F) {
	const payment = `"amount":"5000","currency":"XOF","externalId":"` + ref + `"`
	bodies := []string{
		successful.Body, tokenAnswer.Body, "", " \n", "{}", "<html>Request Rejected</html>", `{"statusCode":429,"message":"Rate limit is exceeded."}`,
		`{"message":"canary!","code":"PAYER_NOT_FOUND"}`, `{"message":"","code":"INVALID_CALLBACK_URL_HOST"}`, `{"code":"RESOURCE_ALREADY_EXIST"}`,
		`{"code":"INTERNAL_PROCESSING_ERROR"}`, `{"code":"SERVICE_UNAVAILABLE"}`, `{"code":"NOT_ENOUGH_FUNDS","Code":"SERVICE_UNAVAILABLE"}`,
		`{"status":"FAILED","reason":"EXPIRED",` + payment + `}`, `{"status":"FAILED","reason":{"code":"APPROVAL_REJECTED","message":"x"},` + payment + `}`,
		`{"status":"PENDING",` + payment + `}`, `{"status":"successful",` + payment + `}`, `{"status":"SUCCESSFUL","status":"FAILED"}`, `{"status":"FAILED","reason":[1]}`,
		`{"status":"SUCCESSFUL","amount":5000,"currency":"XOF"}`, `{"status":"SUCCESSFUL","amount":"5e3","currency":"XOF"}`, `{"data":{"status":"SUCCESSFUL"}}`, `[{"status":"SUCCESSFUL"}]`,
		`{"providerCallbackHost":"x","targetEnvironment":"sandbox"}`, `{"targetEnvironment":"mtncameroon"}`, `{"access_token":"a b","expires_in":"x"}`, `{"access_token":"t","expires_in":-1}`,
	}
	statuses := []int{202, 400, 401, 403, 404, 409, 429, 500, 503}
	for i, body := range bodies {
		for op := range calls {
			f.Add(uint8(op), 200, "", []byte(body))
			f.Add(uint8(op), statuses[(i+op)%len(statuses)], "30", []byte(body))
		}
		f.Add(uint8(0), 500, "-1", []byte(body))
		f.Add(uint8(0), 400, "", []byte(body))
		f.Add(uint8(1), 400, "Fri, 01 May 2026 12:01:00 GMT", []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, wait string, body []byte) {
		op := calls[int(which)%len(calls)]
		a := providers.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: wiretest.Planted(body)}
		s, err := answered(t, op, a)
		switch {
		case err != nil:
			if s != (providers.Status{}) {
				t.Errorf("%s: %v, and %+v", op, err, s)
			}
			checkError(t, op, a, err)
		case slices.Contains(asking, op):
			checkTaken(t, op, a)
			checkOutcome(t, op, a.Body, s)
		default:
			checkTaken(t, op, a)
		}
	})
}

// checkTaken: no error needs the documented success.
func checkTaken(t *testing.T, op string, a providers.Answer) {
	t.Helper()
	want := 200
	if slices.Contains(paying, op) {
		want = 202
	}
	isEmpty := len(bytes.TrimSpace(a.Body)) == 0 && want == 202
	if a.Status != want || !isEmpty && json.Unmarshal(a.Body, &map[string]any{}) != nil {
		t.Fatalf("%s: HTTP %d %q is no error", op, a.Status, a.Body)
	}
	if slices.Contains(tokens, op) && wiretest.Said(a.Body, "access_token") == "" {
		t.Fatalf("%q has a token", a.Body)
	}
}

// checkOutcome: the state is what the one status word says, the money and the
// reference are what is echoed, or none.
func checkOutcome(t *testing.T, op string, body []byte, s providers.Status) {
	t.Helper()
	word, why := wiretest.Said(body, "status"), wiretest.Said(body, "reason")
	if why == "" {
		why = wiretest.Said(body, "reason", "code")
	}
	silent := op == "status" && (why == "EXPIRED" || why == "COULD_NOT_PERFORM_TRANSACTION")
	want := providers.StatePending
	switch {
	case word == "SUCCESSFUL":
		want = providers.StateSucceeded
	case word == "FAILED" && silent:
		want = providers.StateExpired
	case word == "FAILED":
		want = providers.StateFailed
	}
	if s.State != want || (s.Failure != "") != (want == providers.StateFailed) {
		t.Fatalf("%s %s: %+v", op, body, s)
	}
	if !wiretest.SameMoney(s.Money, wiretest.Said(body, "amount"), wiretest.Said(body, "currency")) {
		t.Fatalf("%s: %v", body, s.Money)
	}
	if s.Reference != "" && s.Reference != "unreadable" && s.Reference != wiretest.Said(body, "externalId") {
		t.Fatalf("%s: %q", body, s.Reference)
	}
}

// definite are the answers that prove that nothing moved, and may be sent again or
// given up: by class, the HTTP status alone, or with 400 and 500 these codes (MTN
// MoMo API, response codes).
var definite = map[providers.Class]struct {
	statuses []int
	codes    []string
}{
	providers.ClassRejected:      {[]int{400}, []string{"PAYER_NOT_FOUND", "PAYEE_NOT_FOUND", "PAYEE_NOT_ALLOWED_TO_RECEIVE", "NOT_ENOUGH_FUNDS", "PAYER_LIMIT_REACHED"}},
	providers.ClassMisconfigured: {[]int{401, 403, 404}, []string{"INVALID_CALLBACK_URL_HOST", "INVALID_CURRENCY", "NOT_ALLOWED", "NOT_ALLOWED_TARGET_ENVIRONMENT"}},
	providers.ClassThrottled:     {[]int{429}, nil},
	providers.ClassAlreadyExists: {[]int{409}, []string{"RESOURCE_ALREADY_EXIST"}},
}

func checkError(t *testing.T, op string, a providers.Answer, err error) {
	t.Helper()
	e := providers.AsError(err)
	allowed := []providers.Class{providers.ClassMisconfigured, providers.ClassThrottled, providers.ClassUnknown}
	switch {
	case slices.Contains(tokens, op): // whoever needed the token sent nothing
		allowed[2] = providers.ClassNotSent
	case slices.Contains(paying, op):
		d, listed := definite[e.Class]
		coded := (a.Status == 400 || a.Status == 500) && slices.Contains(d.codes, wiretest.Said(a.Body, "code"))
		if listed && !coded && !slices.Contains(d.statuses, a.Status) {
			t.Fatalf("%s: %v for HTTP %d %q", op, err, a.Status, a.Body)
		}
		allowed = append(allowed, providers.ClassRejected, providers.ClassAlreadyExists)
	case slices.Contains(asking, op) && a.Status == 404:
		allowed = []providers.Class{providers.ClassNotFound}
	}
	if !slices.Contains(allowed, e.Class) {
		t.Fatalf("%s: %v for HTTP %d %q", op, err, a.Status, a.Body)
	}
	wiretest.CheckShown(t, a.Body, err, "Y2FuYXJ5", "2250501020304", "hooks.example")
}

// MTN's callbacks prove nothing, so that all that is read is a word, and no payment
// but the path's can be meant.
func FuzzCallback(f *testing.F) {
	for _, seed := range []string{
		successful.Body, `{"status":"FAILED","reason":"EXPIRED"}`, `{"status":7}`, `{"status":"\u001b[31m"}`, `{"status":{}}`, `null`, `[]`, ``, `<html>`, `{"status":"A","status":"B"}`, strings.Repeat(`{"a":`, 1000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := mtn.Callbacks{}.ParseCallback(providers.CallbackRequest{Body: body})
		if err != nil {
			if !errors.Is(err, providers.ErrMalformedCallback) || errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("%q: %+v, %v", body, got, err)
			}
			return
		}
		if !json.Valid(body) || got != (providers.Callback{Claim: providers.SafeCode(got.Claim)}) {
			t.Fatalf("%q: %+v", body, got)
		}
		if word := wiretest.Said(body, "status"); word != "" && got.Claim != providers.SafeCode(word) {
			t.Fatalf("%q claims %q", body, got.Claim)
		}
	})
}
