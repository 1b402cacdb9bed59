package wave_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/wave"
)

var calls = []string{"initiate", "search", "status", "cancel", "refund", "refund status", "check"}

// got is what came of a call.
type got struct {
	sessions []providers.Session
	status   *providers.Status
}

// answered makes one of the calls and answers it.
func answered(t *testing.T, op string, a providers.Answer) (out got, err error) {
	t.Helper()
	requests := 0
	answer := wiretest.Wired(func(c providers.Call) providers.Answer {
		if requests++; requests > 1 {
			t.Fatalf("%s: %s is sent again", op, c.Operation)
		}
		return a
	})
	acct := account("https://api.example")
	acct.Credentials[wave.KeySigning] = "canary-signing"
	client, err := wave.Kind().New(acct, answer, wiretest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	p := client.(*wave.Provider)
	var s providers.Status
	switch op {
	case "initiate":
		var i providers.Initiation
		if i, err = p.Initiate(t.Context(), request()); err == nil {
			out.sessions = []providers.Session{i.Session}
		}
	case "search":
		out.sessions, err = p.Search(t.Context(), ref)
	case "status":
		s, err = p.Status(t.Context(), handle())
		out.status = &s
	case "cancel":
		err = p.Cancel(t.Context(), handle())
	case "refund":
		err = p.Refund(t.Context(), providers.RefundRequest{RefundHandle: refundHandle()})
	case "refund status":
		s, err = p.RefundStatus(t.Context(), refundHandle())
		out.status = &s
	default:
		err = p.CheckAccount(t.Context(), providers.AccountCheck{})
	}
	return out, err
}

// Whatever Wave answers to whatever call: nothing is taken for a decision that does
// not say so in the documented words, nor a session for another.
func FuzzAnswers(f *testing.F) {
	open, paid := session(id, "open", "processing", "null"), session(id, "complete", "succeeded", "null")
	bodies := []string{
		open, paid, session(id, "expired", "cancelled", `{"code":"insufficient-funds","message":"canary!"}`), session(id, "complete", "cancelled", `{"code":"blocked-account"}`),
		session(id, "open", "cancelled", `{"code":"payer-mobile-mismatch"}`), session(id, "complete", "refunded", "7"), session("cos-other", "complete", "succeeded", "null"),
		strings.Replace(paid, `"when_refunded":null`, `"when_refunded":"2026-05-02T08:00:00Z"`, 1), strings.Replace(open, `"when_refunded":null`, `"when_refunded":"x"`, 1),
		strings.Replace(paid, `"5000"`, `5000`, 1), strings.Replace(paid, `"5000"`, `"5e3"`, 1), strings.Replace(paid, "https://pay", "javascript://pay", 1), strings.Replace(paid, ref, "x y", 1),
		`{"result":[]}`, `{"result":[` + open + `,` + paid + `]}`, `{"result":[` + strings.Replace(open, ref, "another", 1) + `]}`, `{"result":null}`, `{"result":{}}`, `[]`,
		`{"code":"checkout-refund-failed","message":"canary!"}`, `{"code":"request-validation-error","message":"canary!","details":[{"loc":["body"],"msg":"canary!"}]}`, `{"error":{"code":"x"}}`,
		`{"code":"ip-not-allowed"}`, `{"code":["request-validation-error"]}`, `{"code":"request-validation-error","Code":"x"}`, "", "{}", "<html>", `{"checkout_status":"complete","payment_status":"succeeded"}`, `{"id":"` + id + `","checkout_status":"complete succeeded","payment_status":""}`,
		`{"id":"` + id + `","checkout_status":"complete","payment_status":"succeeded","Payment_Status":"cancelled"}`, `{"id":"../` + id + `"}`, `{"id":".."}`,
	}
	statuses := []int{400, 401, 403, 404, 409, 422, 429, 500, 503}
	for i, body := range bodies {
		for op := range calls {
			f.Add(uint8(op), 200, "", []byte(body))
			f.Add(uint8(op), statuses[(i+op)%len(statuses)], "30", []byte(body))
		}
		f.Add(uint8(4), 409, "-1", []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, wait string, body []byte) {
		op := calls[int(which)%len(calls)]
		a := providers.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: wiretest.Planted(body)}
		out, err := answered(t, op, a)
		switch {
		case err != nil:
			if len(out.sessions) > 0 || out.status != nil && *out.status != (providers.Status{}) {
				t.Errorf("%s: %v, and %+v", op, err, out)
			}
			checkError(t, op, a, err)
		case status != 200:
			t.Fatalf("%s: HTTP %d is no error", op, status)
		case op == "initiate":
			checkOpened(t, a.Body, out.sessions[0])
			if out.sessions[0].PaymentURL == "" {
				t.Errorf("%s: no page", a.Body)
			}
		case op == "search" || op == "check":
			checkFound(t, a.Body, out.sessions)
		case out.status != nil:
			if wiretest.Said(a.Body, "id") != id {
				t.Fatalf("%s is another session", a.Body)
			}
			checkOutcome(t, op, a.Body, *out.status)
		}
	})
}

// checkFound: only a list that is there can say that there is no session.
func checkFound(t *testing.T, body []byte, sessions []providers.Session) {
	t.Helper()
	var list struct {
		Result *[]json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &list); err != nil || list.Result == nil {
		t.Fatalf("%s is no list", body)
	}
	for i, s := range sessions {
		if len(*list.Result) != len(sessions) || wiretest.Said((*list.Result)[i], "client_reference") != ref {
			t.Fatalf("%s: session %d of %d", body, i, len(sessions))
		}
		checkOpened(t, (*list.Result)[i], s)
	}
}

// checkOpened: a session as the body has it, with a page that a browser opens safely.
func checkOpened(t *testing.T, body []byte, s providers.Session) {
	t.Helper()
	page := s.PaymentURL.Reveal()
	odd := strings.ContainsFunc(page, func(r rune) bool { return r < '!' || r > '~' })
	if page != wiretest.Said(body, "wave_launch_url") || page != "" && !strings.HasPrefix(strings.ToLower(page), "https://") || odd || len(page) > 2048 {
		t.Errorf("%s: page %q", body, page)
	}
	if s.ID == "" || s.ID != wiretest.Said(body, "id") || strings.ContainsAny(s.ID, "/?#%") || strings.Trim(s.ID, ".") == "" {
		t.Errorf("%s: session %q", body, s.ID)
	}
	if told, err := time.Parse(time.RFC3339, wiretest.Said(body, "when_expires")); err == nil && !told.Equal(s.ExpiresAt) {
		t.Errorf("%s: expires at %s", body, s.ExpiresAt)
	}
	checkOutcome(t, "status", body, *s.Status)
}

// checkOutcome: the state is what both status words say (Wave Checkout API, checkout
// session object), the money and the reference are what is echoed, or none.
func checkOutcome(t *testing.T, op string, body []byte, s providers.Status) {
	t.Helper()
	want := providers.StatePending
	checkout, payment := wiretest.Said(body, "checkout_status"), wiretest.Said(body, "payment_status")
	switch {
	case checkout == "complete" && payment == "succeeded" && (op == "status" || wiretest.Said(body, "when_refunded") != ""):
		want = providers.StateSucceeded
	case op != "status": // not given back yet
	case checkout == "expired" && payment == "cancelled":
		want = providers.StateExpired
	case checkout == "complete" && payment == "cancelled":
		want = providers.StateFailed
	}
	if s.State != want || (s.Failure != "") != (want == providers.StateFailed) {
		t.Fatalf("%s %s: %+v", op, body, s)
	}
	if !wiretest.SameMoney(s.Money, wiretest.Said(body, "amount"), wiretest.Said(body, "currency")) {
		t.Fatalf("%s: %v", body, s.Money)
	}
	if s.Reference != "unreadable" && s.Reference != wiretest.Said(body, "client_reference") {
		t.Fatalf("%s: %q", body, s.Reference)
	}
}

// The codes that are a definite no to a request, and those of keys and wallets (Wave
// API, errors).
var (
	malformedCodes = []string{"request-validation-error", "request-not-json", "request-parsing-error"}
	accountCodes   = []string{
		"missing-auth-header", "invalid-auth", "api-key-not-provided", "no-matching-api-key", "api-key-revoked", "authorization-error",
		"invalid-wallet", "disabled-wallet", "unauthorized-wallet", "ip-not-allowed",
	}
)

// checkError: which answer is a definite no to what was asked (Wave API, errors).
func checkError(t *testing.T, op string, a providers.Answer, err error) {
	t.Helper()
	e := providers.AsError(err)
	is := func(statuses ...int) bool { return slices.Contains(statuses, a.Status) }
	code, client := wiretest.Said(a.Body, "code"), a.Status >= 400 && a.Status <= 499
	var proven bool
	switch e.Class {
	case providers.ClassUnknown:
		proven = true
	case providers.ClassMisconfigured:
		proven = is(401, 403, 404) || client && slices.Contains(accountCodes, code)
	case providers.ClassThrottled:
		proven = is(429)
	case providers.ClassRejected:
		refused := slices.Contains(malformedCodes, code) || op == "refund" && code == "checkout-refund-failed"
		proven = (op == "initiate" || op == "refund") && client && refused
	case providers.ClassAlreadyExists:
		proven = op == "cancel" && is(409)
	case providers.ClassNotSent, providers.ClassNotFound: // never, of an answer
	}
	if !proven {
		t.Fatalf("%s: %v for HTTP %d %q", op, err, a.Status, a.Body)
	}
	wiretest.CheckShown(t, a.Body, err, "221770102030", "pay.wave")
}

// signed is a header with a signature for each secret, made without the code under
// test (Wave webhooks, signing secret).
func signed(timestamp string, body []byte, secrets ...string) string {
	header := "t=" + timestamp
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(timestamp + string(body)))
		header += ",v1=" + hex.EncodeToString(mac.Sum(nil))
	}
	return header
}

// proven tells whether any timestamp of the header that is in time is signed with any
// of the secrets.
func proven(header string, body []byte, secrets ...string) bool {
	var timestamps, sums []string
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimSpace(part)
		if t, ok := strings.CutPrefix(part, "t="); ok {
			timestamps = append(timestamps, t)
		}
		if sum, ok := strings.CutPrefix(part, "v1="); ok {
			sums = append(sums, strings.ToLower(sum))
		}
	}
	return slices.ContainsFunc(timestamps, func(text string) bool {
		at, err := strconv.ParseInt(text, 10, 64)
		if err != nil || at < ownTime-300 || at > ownTime+30 {
			return false
		}
		return slices.ContainsFunc(secrets, func(secret string) bool {
			_, sum, _ := strings.Cut(signed(text, body, secret), "v1=")
			return slices.Contains(sums, sum)
		})
	})
}

// No callback counts without a proof, and each with one does.
func FuzzCallback(f *testing.F) {
	sums := ",v1=" + ownSum
	for i, header := range []string{
		"t=1790000000" + sums, "t=1790000000,v1=" + otherSum, "t=1790000000,v1=" + dottedSum, "t=1790000000, v1=00" + sums, "t=1790000000,t=1790000000" + sums, "t=1790000000,v1=,v1=zz,v1=" + otherSum[1:], "t=+1790000000" + sums,
		"v1=" + ownSum + ",t=1790000000", "t=1,t=2,v1=,v1=zz", "t=1790000000,v0=" + ownSum, "t=1790000000;v1=" + ownSum, "T=1790000000" + sums, "t=1790000000" + strings.Repeat(",v1=00", 17), "",
		"t=17900000000000000000" + sums, "t=1790000000,v1=" + strings.ToUpper(ownSum), "t=1790000000,v1=" + ownSum + " ", "Bearer " + ownSecret, "Bearer " + otherSecret, "Bearer ", "Basic " + ownSecret,
	} {
		f.Add(header, header, []byte(ownBody), int64(i-10)*40)
	}
	for _, body := range []string{publishedBody, ``, `{}`, `{"type":"checkout.session.completed"}`, `{"type":"checkout.session.completed","data":{"id":7}}`, `{"type":"a","type":"b"}`, `{"id":"EV_2","type":"test.test_event","data":"x"}`} {
		f.Add("t=1", "Bearer x", []byte(body), int64(0))
	}
	f.Fuzz(func(t *testing.T, header, authorization string, body []byte, skew int64) {
		secrets := []providers.Secret{ownSecret + "\r\n\n " + otherSecret}
		parse := func(secrets []providers.Secret, headers ...string) error {
			cb := providers.CallbackRequest{Header: http.Header{}, Body: body, Now: time.Unix(ownTime, 0), Secrets: secrets}
			for i := 0; i < len(headers); i += 2 {
				cb.Header.Add(headers[i], headers[i+1])
			}
			out, err := wave.Callbacks{}.ParseCallback(cb)
			checkParsed(t, body, out, err)
			return err
		}
		bearer := slices.Contains([]string{"Bearer " + ownSecret, "Bearer " + otherSecret}, authorization)
		genuine := signed(strconv.FormatInt(ownTime+skew, 10), body, "wrong", otherSecret)
		inTime := skew >= -300 && skew <= 30
		for _, c := range []struct {
			err      error
			mayCount bool
		}{
			{parse(secrets, "Wave-Signature", header, "Authorization", authorization), proven(header, body, ownSecret, otherSecret)},
			{parse(secrets, "Authorization", authorization), bearer},
			{parse(secrets, "Wave-Signature", genuine), inTime},
			{parse(secrets, "Wave-Signature", genuine+","+header), proven(genuine+","+header, body, ownSecret, otherSecret)},
			{parse(secrets, "Wave-Signature", genuine, "Wave-Signature", header, "Authorization", authorization), false},
			{parse(nil, "Wave-Signature", genuine, "Authorization", authorization), false},
			{parse([]providers.Secret{"", " \n"}, "Authorization", authorization), false},
		} {
			if counts := !errors.Is(c.err, providers.ErrBadCallback); counts && !c.mayCount {
				t.Fatalf("header %q, authorization %q, skew %d, body %q: %v", header, authorization, skew, body, c.err)
			}
		}
		if err := parse(secrets, "Wave-Signature", genuine); inTime && errors.Is(err, providers.ErrBadCallback) {
			t.Fatalf("%q: %v", genuine, err)
		}
		if err := parse(secrets, "Authorization", authorization); bearer && errors.Is(err, providers.ErrBadCallback) {
			t.Fatalf("%q: %v", authorization, err)
		}
	})
}

// checkParsed: what is not verified or not readable says nothing, and what is says
// what its body says.
func checkParsed(t *testing.T, body []byte, out providers.Callback, err error) {
	t.Helper()
	bad, malformed := errors.Is(err, providers.ErrBadCallback), errors.Is(err, providers.ErrMalformedCallback)
	switch {
	case err != nil:
		if bad == malformed || out != (providers.Callback{}) || strings.Contains(err.Error(), "canary") {
			t.Fatalf("%q: %+v, %v", body, out, err)
		}
	case out.EventID != providers.SafeCode(wiretest.Said(body, "id")) || out.Claim != providers.SafeCode(wiretest.Said(body, "type")):
		t.Fatalf("%q: %+v", body, out)
	case out.Reference != "" && out.Reference != "unreadable" && out.Reference != wiretest.Said(body, "data", "client_reference"):
		t.Fatalf("%q: %+v", body, out)
	}
}
