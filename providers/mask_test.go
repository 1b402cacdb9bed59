package providers_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest/canary"
)

func TestI1NothingLeaksWhenPrinted(t *testing.T) {
	const phone = "+2250501020304"
	find := canary.New()
	find.Secret("canary", secretText)
	find.Phone("phone", phone)
	header := http.Header{"Authorization": {"Bearer " + secretText}}
	secret := providers.Secret(secretText)
	session := providers.Session{Token: secret, PaymentURL: secret}
	values := []any{
		secret, providers.Phone(phone), map[string]providers.Secret{"k": secret}, []providers.Phone{phone},
		providers.Call{Operation: "op", URL: secretText, Header: header, Body: []byte(secretText)},
		providers.Answer{Status: 200, Header: header, Body: []byte(secretText)},
		providers.Account{Credentials: map[string]providers.Secret{"apiKey": secret}},
		providers.InitiateRequest{Reference: "ref", Payer: phone, Description: secretText, CallbackURL: secretText, ReturnURL: secretText, CancelURL: secretText},
		providers.Initiation{Session: session, NotificationToken: secret}, session,
		providers.Handle{Token: secret},
		providers.RefundRequest{RefundHandle: providers.RefundHandle{Payment: providers.Handle{Token: secret}}},
		providers.CallbackRequest{Header: header, Body: []byte(secretText), Secrets: []providers.Secret{secret}},
	}
	for _, v := range values {
		for form, text := range inEachForm(v) {
			if leaks := find.Find(text); len(leaks) > 0 {
				t.Errorf("%T with %s leaks %v: %s", v, form, leaks, text)
			}
		}
	}
	if got := fmt.Sprint(providers.Answer{Status: 200}, providers.Call{Operation: "op"}); got != "answer HTTP 200 call op" {
		t.Error(got)
	}
}

const secretText = "canary51-of-the-provider"

// inEachForm is v as people and libraries print values.
// fmt asks no type about %p and a misplaced %w; go vet refuses both for these.
func inEachForm(v any) map[string]string {
	out := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%t", "%c", "%U", "%b", "%g", "%10s", "%.40s", "%T"} {
		for name, shown := range map[string]any{"value": v, "pointer": &v, "list": []any{v}, "error": fmt.Errorf("x: %v", v)} {
			out[verb+" "+name] = fmt.Sprintf(verb, shown)
		}
	}
	marshalled, _ := json.Marshal(v)
	out["JSON"] = string(marshalled)
	pointed, _ := json.Marshal(map[string]any{"v": &v})
	out["JSON pointer"] = string(pointed)
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
	log := funcr.NewJSON(func(s string) { b.WriteString(s) }, funcr.Options{Verbosity: 10})
	log.Info("x", "v", v)
	log.WithValues("v", v).Error(errors.New("x"), "x", "p", &v)
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{})
	zap.New(zapcore.NewCore(encoder, zapcore.AddSync(&b), zapcore.DebugLevel)).Sugar().Infow("x", "v", v, "p", &v)
	out["logs"] = b.String()
	return out
}

func TestMasks(t *testing.T) {
	for number, want := range map[providers.Phone]string{"+2250501020304": "+***04", "+12345": "+***45", "12345": "[masked]", "": "[masked]"} {
		if number.String() != want || number.Reveal() != string(number) {
			t.Errorf("%s, want %s", number, want)
		}
	}
	secret := providers.Secret(secretText)
	if secret.String() != "[masked]" || !secret.Equal(secretText) || secret.Equal(secretText+"x") || providers.Secret("").Equal("") {
		t.Error("a secret equals itself, and shows nothing")
	}
}

func TestHashToken(t *testing.T) {
	if providers.HashToken("") != "" || providers.HashToken("a") == providers.HashToken("b") || len(providers.HashToken("a")) != 64 {
		t.Error("HashToken")
	}
}

func TestErrorText(t *testing.T) {
	cause := errors.New("cause")
	e := &providers.Error{Class: providers.ClassThrottled, Operation: "op", Code: "53", HTTPStatus: 429, Detail: "slow down", Err: cause}
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
		strings.Repeat("a", 100): strings.Repeat("a", 64), "1204": "1204", "E-123456": "E-123456",
		"NO_2250501020304": "NO_", "+225 05-01.02_03 04": "", "PAYER +2250501020304 REFUSED": "PAYERREFUSED",
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
