package wave_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

// Wave Checkout API, refund a checkout session.
func TestRefund(t *testing.T) {
	p, s := client(t, answer{Status: 200}, answer{Status: 200}, answer{Lost: true})
	req := providers.RefundRequest{RefundHandle: refundHandle(), Description: "canary"}
	for range 2 { // repeating it is harmless
		if err := p.Refund(t.Context(), req); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.Requests() {
		if r.Method != "POST" || r.URI != "/v1/checkout/sessions/"+id+"/refund" || r.Body != "" || r.Header.Get("Content-Length") != "0" ||
			r.Header.Get("Authorization") != "Bearer canary-key" || r.Header.Get("Idempotency-Key") != "" {
			t.Errorf("%+v", r)
		}
	}
	check(t, p.Refund(t.Context(), req), providers.Error{Class: providers.ClassUnknown})
}

// Wave Checkout API, checkout session object: when_refunded.
func TestRefundStatus(t *testing.T) {
	at := func(checkout, payment, when string) string {
		return strings.Replace(session(id, checkout, payment, `{"code":"insufficient-funds","message":"canary"}`), `"when_refunded":null`, `"when_refunded":`+when, 1)
	}
	const when = `"2026-05-02T08:00:00Z"`
	for _, tt := range []struct {
		body         string
		state        providers.State
		code         string
		unrecognized bool
	}{
		{at("complete", "succeeded", when), providers.StateSucceeded, "complete", false},
		{at("complete", "succeeded", "null"), providers.StatePending, "complete", false},
		{at("complete", "succeeded", `""`), providers.StatePending, "complete", false},
		{strings.Replace(at("complete", "succeeded", "null"), `,"when_refunded":null`, "", 1), providers.StatePending, "complete", false},
		// What is not paid cannot have been given back.
		{at("open", "processing", when), providers.StatePending, "open", false},
		{at("expired", "cancelled", when), providers.StatePending, "expired", false},
		{at("complete", "cancelled", when), providers.StatePending, "cancelled", false},
		{at("complete", "refunded", when), providers.StatePending, "complete.refunded", true},
	} {
		p, s := client(t, ok(tt.body))
		got, err := p.RefundStatus(t.Context(), refundHandle())
		want := providers.Status{
			State: tt.state, Code: tt.code, Unrecognized: tt.unrecognized, Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"},
		}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", tt.code, got, err)
		}
		if r := s.Requests()[0]; r.Method != "GET" || r.URI != "/v1/checkout/sessions/"+id {
			t.Errorf("%s %s", r.Method, r.URI)
		}
	}
	for _, text := range []string{``, `<html>`, `{}`, session("cos-other", "complete", "succeeded", "null"), at("complete", "succeeded", "7")} {
		p, _ := client(t, ok(text))
		_, err := p.RefundStatus(t.Context(), refundHandle())
		check(t, err, providers.Error{Class: providers.ClassUnknown, HTTPStatus: 200})
	}
}

// Wave Checkout API, search checkout sessions: by a reference that no payment has.
func TestCheckAccount(t *testing.T) {
	p, s := client(t, ok(`{"result":[]}`))
	if err := p.CheckAccount(t.Context(), providers.AccountCheck{}); err != nil {
		t.Fatal(err)
	}
	if r := s.Requests()[0]; r.Method != "GET" || r.URI != "/v1/checkout/sessions/search?client_reference=account-check" {
		t.Errorf("%s %s", r.Method, r.URI)
	}
}

const signingSecret = "canary_AKS_1"

// Wave API, request signing: every request is signed by the clock that is passed
// in, over what is sent, and none without a secret.
func TestRequestsAreSigned(t *testing.T) {
	open := ok(session(id, "open", "processing", "null"))
	none := ok(`{"result":[]}`)
	calls := func(p *wave.Provider) {
		_, err := p.Initiate(t.Context(), request())
		_, err2 := p.Search(t.Context(), ref)
		_, err3 := p.Status(t.Context(), handle())
		for _, err := range []error{err, err2, err3, p.Cancel(t.Context(), handle()), p.CheckAccount(t.Context(), providers.AccountCheck{})} {
			if err != nil {
				t.Error(err)
			}
		}
	}
	script := []answer{open, none, open, {Status: 200}, none}

	plain, s := client(t, script...)
	calls(plain)
	for _, r := range s.Requests() {
		if got, sent := r.Header["Wave-Signature"]; sent {
			t.Errorf("%s %s: %v", r.Method, r.URI, got)
		}
	}

	s = wiretest.Start(t, script...)
	a, clock := account(s.URL), wiretest.NewClock()
	a.Credentials[wave.KeySigning] = signingSecret
	p, err := wave.Kind().New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	calls(p.(*wave.Provider))
	for _, r := range s.Requests() {
		mac := hmac.New(sha256.New, []byte(signingSecret))
		mac.Write([]byte(strconv.FormatInt(clock.Now().Unix(), 10) + r.Body))
		want := "t=1790000000,v1=" + hex.EncodeToString(mac.Sum(nil))
		if got := r.Header.Get("Wave-Signature"); got != want {
			t.Errorf("%s %s: %q, want %q", r.Method, r.URI, got, want)
		}
	}
	// printf 1790000000 | openssl dgst -sha256 -hmac canary_AKS_1
	if got := s.Requests()[2].Header.Get("Wave-Signature"); got != "t=1790000000,v1=052bffa2e2868a42a8302281378d88ddf8b29ae0dd5919c3012ecc42db46f90f" {
		t.Errorf("without a body: %q", got)
	}
	// Wave verifies its own callbacks in the same way.
	first := s.Requests()[0]
	cb := callback(first.Header.Get("Wave-Signature"), first.Body, clock.Now().Unix(), signingSecret)
	if _, err := (wave.Callbacks{}).ParseCallback(cb); err != nil {
		t.Errorf("%v", err)
	}
}

func TestUnusableSigningSecret(t *testing.T) {
	a := account("https://wave.example")
	a.Credentials[wave.KeySigning] = "canary\ncanary"
	_, err := wave.Kind().New(a, nil, time.Now)
	check(t, err, providers.Error{Class: providers.ClassMisconfigured})
	if !strings.Contains(err.Error(), "signingSecret") {
		t.Errorf("%v", err)
	}
	a.Credentials[wave.KeySigning] = ""
	if _, err := wave.Kind().New(a, nil, time.Now); err != nil {
		t.Errorf("an empty one is none: %v", err)
	}
}
