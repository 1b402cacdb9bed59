package providers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
)

const canary = "canary51"

// Nothing that carries a secret, a phone, a URL or a body shows it when printed.
func TestNothingLeaksWhenPrinted(t *testing.T) {
	header := http.Header{"Authorization": {"Bearer " + canary}}
	secret := providers.Secret(canary)
	values := []any{
		secret, providers.Phone("+22505canary51"),
		providers.Call{Op: "op", URL: canary, Header: header, Body: []byte(canary)},
		providers.Answer{Status: 200, Header: header, Body: []byte(canary)},
		providers.Account{Credentials: map[string]providers.Secret{"apiKey": secret}},
		providers.InitiateRequest{Reference: "ref", Payer: "+22505canary51", Description: canary, CallbackURL: canary, ReturnURL: canary, CancelURL: canary},
		providers.Initiation{Session: providers.Session{Token: secret, PaymentURL: secret}, NotificationToken: secret},
		providers.Handle{Token: secret},
		providers.CallbackRequest{Header: header, Body: []byte(canary), Secrets: []providers.Secret{secret}},
	}
	for _, v := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			for _, shown := range []any{v, []any{v}, &v} {
				text := fmt.Sprintf(format, shown)
				if strings.Contains(text, canary) || strings.Contains(text, fmt.Sprint([]byte(canary))[1:20]) {
					t.Errorf("%T with %s leaks: %s", v, format, text)
				}
			}
		}
	}
	for _, v := range []any{secret, providers.Phone("+22505canary51")} {
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		text, err := json.Marshal(v)
		if err != nil || strings.Contains(log.String()+string(text), canary) {
			t.Errorf("%T leaks: %s %s", v, log.String(), text)
		}
	}
	if got := fmt.Sprint(providers.Answer{Status: 200}, providers.Call{Op: "op"}); got != "answer HTTP 200 call op" {
		t.Error(got)
	}
}

func TestPhoneKeepsTwoDigits(t *testing.T) {
	for phone, want := range map[providers.Phone]string{"+2250501020304": "+***04", "": "[masked]", "+2250": "[masked]"} {
		if got := fmt.Sprint(phone); got != want {
			t.Errorf("%s", got)
		}
	}
	if providers.Phone("+225").Reveal() != "+225" || providers.Secret("a").Reveal() != "a" {
		t.Error("Reveal must reveal")
	}
}

func TestSecretEqual(t *testing.T) {
	if providers.Secret("").Equal("") || providers.Secret("a").Equal("b") || !providers.Secret("a").Equal("a") {
		t.Error("an empty secret equals nothing, any other itself")
	}
	if providers.HashToken("") != "" || providers.HashToken("a") == providers.HashToken("b") || len(providers.HashToken("a")) != 64 {
		t.Error("HashToken")
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	e := &providers.Error{Class: providers.ClassThrottled, Op: "op", Code: "53", HTTPStatus: 429, Detail: "slow down", Err: cause}
	if got := e.Error(); got != "op: Throttled (HTTP 429) 53: slow down: cause" {
		t.Error(got)
	}
	wrapped := fmt.Errorf("while paying: %w", e)
	if providers.ClassOf(wrapped) != providers.ClassThrottled || providers.AsError(wrapped) != e || !errors.Is(wrapped, cause) {
		t.Error("a wrapped error keeps its class")
	}
	for _, err := range []error{nil, cause, &providers.Error{}} {
		if providers.ClassOf(err) != providers.ClassUnknown {
			t.Errorf("%v must be Unknown", err)
		}
	}
	if providers.AsError(cause).Class != providers.ClassUnknown {
		t.Error("an unclassified error is Unknown")
	}
}

func TestSafeCode(t *testing.T) {
	for code, want := range map[string]string{
		"": "", "PAYER_NOT_FOUND": "PAYER_NOT_FOUND", "cos-1.a": "cos-1.a", "a b\x1b[31m\n<é>/": "ab31m",
		strings.Repeat("a", 100): strings.Repeat("a", 64),
	} {
		if got := providers.SafeCode(code); got != want {
			t.Errorf("%q: %q", code, got)
		}
	}
}

func TestRegistryNames(t *testing.T) {
	r := providers.Registry{"wave": {}, "mtn": {}, "orange": {}}
	if got := strings.Join(r.Names(), ","); got != "mtn,orange,wave" {
		t.Error(got)
	}
}

func TestFinal(t *testing.T) {
	for state, want := range map[providers.State]bool{
		providers.StateNotStarted: false, providers.StatePending: false, "": false, "Other": false,
		providers.StateSucceeded: true, providers.StateFailed: true, providers.StateExpired: true, providers.StateCancelled: true,
	} {
		if state.Final() != want {
			t.Errorf("%q: want %v", state, want)
		}
	}
}
