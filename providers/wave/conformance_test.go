package wave_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/wave"
)

const conformanceSecret = "wave_ci_WHS_conformancesecret"

// The suite runs with a wallet without decimals, and with one that has them.
func TestConformance(t *testing.T) {
	for currency, amount := range map[string]string{"XOF": "5000", "GMD": "5000.50"} {
		key := map[string]string{"XOF": simulator.DefaultWaveKey, "GMD": "wave_gm_prod_simulator"}[currency]
		t.Run(currency, func(t *testing.T) {
			providertest.Run(t, func(t providertest.T) providertest.Fixture {
				var o simulator.Options
				o.Wave.Currency, o.Wave.APIKey = currency, key
				return simtest.Start(t, simulator.Wave, o, func(s *simulator.Simulator) providertest.Facts {
					facts := conformanceFacts()
					facts.Account.BaseURL = s.WaveURL()
					facts.Account.Credentials[wave.KeyAPI] = providers.Secret(key)
					facts.Accepts = map[string]int{"XOF": 0}
					if currency == "GMD" {
						facts.Accepts = map[string]int{"GMD": 2}
					}
					facts.Request.Money = providers.Money{Amount: amount, Currency: currency}
					return facts
				})
			})
		})
	}
}

// conformanceEchoes of another session, with its refund.
func conformanceEchoes() map[string]providertest.Edit {
	return map[string]providertest.Edit{
		"amount": simtest.Fields("amount", "1"), "no amount": simtest.Fields("amount", nil),
		"currency": simtest.Fields("currency", "USD"), "no currency": simtest.Fields("currency", nil),
		"reference": simtest.Fields("client_reference", "another"), "session": simtest.Fields("id", "cos-another"),
	}
}

func conformanceFacts() providertest.Facts {
	return providertest.Facts{
		Kind: wave.Kind(),
		Account: providers.Account{
			Environment: providers.Production, Credentials: map[string]providers.Secret{wave.KeyAPI: simulator.DefaultWaveKey},
		},
		Request: providers.InitiateRequest{
			Payer: "+221771020304", Description: "Order 1042", ReturnURL: "https://shop.example/back", CancelURL: "https://shop.example/cancel",
		},
		Role: simtest.Roles(func(path string) providertest.Role {
			switch {
			case strings.HasSuffix(path, "/v1/checkout/sessions"):
				return providertest.RoleMoney
			case strings.HasSuffix(path, "/refund"):
				return providertest.RoleRefund
			}
			return providertest.RoleOther
		}),
		// Wave Checkout API, create a checkout session: client_reference.
		Reference: regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`),
		// A failed try leaves the session open.
		Refused:        []providers.State{providers.StatePending},
		Expired:        []providers.State{providers.StateExpired},
		Statuses:       conformanceWords(),
		RefundStatuses: conformanceRefundWords(),
		UnknownWord:    func(word string) providertest.Edit { return simtest.Fields("checkout_status", word) },
		UnknownRefundWord: func(word string) providertest.Edit {
			return simtest.Fields("checkout_status", word, "when_refunded", nil)
		},
		Refusals:     conformanceRefusals(),
		Echoes:       conformanceEchoes(),
		RefundEchoes: conformanceEchoes(),
		Callbacks:    conformanceCallbacks(),
	}
}

// conformanceWords (Wave Checkout API, checkout session object): the pairs of
// checkout_status and payment_status, and last_payment_error.
func conformanceWords() []providertest.Word {
	type pair struct {
		checkout, payment string
		state             providers.State
	}
	failure := func(code string) any { return map[string]string{"code": code, "message": "no"} }
	var words []providertest.Word
	for _, w := range []pair{
		{"open", "processing", providers.StatePending}, {"open", "cancelled", providers.StatePending},
		{"complete", "succeeded", providers.StateSucceeded}, {"expired", "cancelled", providers.StateExpired},
	} {
		for _, last := range []any{nil, failure("insufficient-funds")} {
			words = append(words, providertest.Word{
				Name:   fmt.Sprint(w.checkout, " ", w.payment, " failed before: ", last != nil),
				Answer: simtest.Fields("checkout_status", w.checkout, "payment_status", w.payment, "last_payment_error", last),
				State:  w.state,
			})
		}
	}
	for code, reason := range map[string]providers.FailureReason{
		"blocked-account": providers.FailureNotAllowed, "cross-border-payment-not-allowed": providers.FailureNotAllowed,
		"customer-age-restricted": providers.FailureNotAllowed, "payer-mobile-mismatch": providers.FailureNotAllowed,
		"insufficient-funds": providers.FailureInsufficientFunds, "kyb-limits-exceeded": providers.FailureLimitReached,
		"payment-failure": providers.FailureProviderRefused, "never-documented": providers.FailureProviderRefused,
	} {
		words = append(words, providertest.Word{
			Name:   "complete cancelled " + code,
			Answer: simtest.Fields("checkout_status", "complete", "payment_status", "cancelled", "last_payment_error", failure(code)),
			State:  providers.StateFailed, Failure: reason,
		})
	}
	return words
}

// conformanceRefundWords (Wave Checkout API, checkout session object:
// when_refunded).
func conformanceRefundWords() []providertest.Word {
	return []providertest.Word{
		{Name: "given back", Answer: simtest.Fields("when_refunded", "2026-11-22T10:00:00Z"), State: providers.StateSucceeded},
		{Name: "not given back", Answer: simtest.Fields("when_refunded", nil), State: providers.StatePending},
		{Name: "given back, but not paid", Answer: simtest.Fields("when_refunded", "2026-11-22T10:00:00Z", "checkout_status", "open", "payment_status", "processing"), State: providers.StatePending},
		{Name: "open", Answer: simtest.Fields("when_refunded", nil, "checkout_status", "open", "payment_status", "processing"), State: providers.StatePending},
	}
}

// conformanceRefusals (Wave API, errors).
func conformanceRefusals() []providertest.Refusal {
	var out []providertest.Refusal
	add := func(op providertest.Op, status int, class providers.Class, codes ...string) {
		for _, code := range codes {
			body := fmt.Sprintf(`{"code":%q,"message":"no","details":[]}`, code)
			out = append(out, providertest.Refusal{
				Name: fmt.Sprintf("%s %d %s", op, status, code), Op: op, Answer: providertest.JSON(status, body), Class: class,
			})
		}
	}
	ops := []providertest.Op{
		providertest.OpInitiate, providertest.OpStatus, providertest.OpSearch, providertest.OpCancel,
		providertest.OpRefund, providertest.OpRefundStatus,
	}
	for _, op := range ops {
		add(op, 401, providers.ClassMisconfigured, "missing-auth-header", "invalid-auth", "api-key-not-provided",
			"no-matching-api-key", "api-key-revoked", "authorization-error")
		add(op, 403, providers.ClassMisconfigured, "invalid-wallet", "disabled-wallet", "unauthorized-wallet", "ip-not-allowed")
		add(op, 429, providers.ClassThrottled, "too-many-requests")
		add(op, 500, providers.ClassUnknown, "internal-server-error")
		add(op, 503, providers.ClassUnknown, "service-unavailable")
		invalid := providers.ClassUnknown // a question is not rejected
		if op == providertest.OpInitiate || op == providertest.OpRefund {
			invalid = providers.ClassRejected
		}
		add(op, 400, invalid, "request-validation-error", "request-not-json", "request-parsing-error")
		add(op, 422, invalid, "request-validation-error")
		if op != providertest.OpInitiate {
			add(op, 404, providers.ClassMisconfigured, "checkout-session-not-found")
		}
	}
	add(providertest.OpCancel, 409, providers.ClassAlreadyExists, "checkout-session-not-open")
	add(providertest.OpRefund, 400, providers.ClassRejected, "checkout-refund-failed")
	add(providertest.OpRefund, 409, providers.ClassRejected, "checkout-refund-failed")
	return out
}

// conformanceCallbacks are signed over timestamp and raw body (Wave webhooks,
// signing secret).
func conformanceCallbacks() *providertest.Callbacks {
	sign := func(secret string, body []byte, at time.Time) http.Header {
		return http.Header{"Wave-Signature": {simulator.WaveSignature(at, body, secret)}}
	}
	header := func(change func(cb providers.CallbackRequest) http.Header) func(providers.CallbackRequest) providers.CallbackRequest {
		return func(cb providers.CallbackRequest) providers.CallbackRequest { cb.Header = change(cb); return cb }
	}
	value := func(change func(signature string) string) func(providers.CallbackRequest) providers.CallbackRequest {
		return header(func(cb providers.CallbackRequest) http.Header {
			return http.Header{"Wave-Signature": {change(cb.Header.Get("Wave-Signature"))}}
		})
	}
	return &providertest.Callbacks{
		Window: 5 * time.Minute, Ahead: 30 * time.Second, EventIDs: true,
		Secrets: []providers.Secret{conformanceSecret, "wave_ci_WHS_another", "wave_ci_WHS_third"},
		Body: func(p providertest.Payment) []byte {
			body, _ := json.Marshal(map[string]any{"id": "EV_conformance", "type": "checkout.session.completed", "data": map[string]any{
				"id": p.Initiation.ID, "client_reference": p.Request.Reference, "amount": p.Request.Money.Amount,
				"currency": p.Request.Money.Currency, "checkout_status": "complete", "payment_status": "succeeded",
			}})
			return body
		},
		Prove: func(body []byte, _ providertest.Payment, at time.Time) providers.CallbackRequest {
			return providers.CallbackRequest{
				Body: body, Header: sign(conformanceSecret, body, at), Secrets: []providers.Secret{"wave_ci_WHS_another", conformanceSecret},
			}
		},
		Forgeries: map[string]func(providers.CallbackRequest) providers.CallbackRequest{
			"no signature": header(func(providers.CallbackRequest) http.Header { return http.Header{} }),
			"other secret": header(func(cb providers.CallbackRequest) http.Header { return sign("wave_ci_WHS_guess", cb.Body, cb.Now) }),
			"with a dot": header(func(cb providers.CallbackRequest) http.Header {
				return sign(conformanceSecret, append([]byte("."), cb.Body...), cb.Now)
			}),
			"secret as bearer": header(func(providers.CallbackRequest) http.Header { return http.Header{"Authorization": {"Bearer guess"}} }),
			"no timestamp":     value(func(s string) string { _, v1, _ := strings.Cut(s, ","); return v1 }),
			"other timestamp":  value(func(s string) string { _, v1, _ := strings.Cut(s, ","); return "t=1," + v1 }),
			"empty signature":  value(func(s string) string { t, _, _ := strings.Cut(s, ","); return t + ",v1=" }),
			"half a signature": value(func(s string) string { return s[:len(s)-32] }),
			"two headers": header(func(cb providers.CallbackRequest) http.Header {
				h := cb.Header.Clone()
				h.Add("Wave-Signature", h.Get("Wave-Signature"))
				return h
			}),
			"no secret is kept": func(cb providers.CallbackRequest) providers.CallbackRequest { cb.Secrets = nil; return cb },
			"an empty secret": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.Secrets, cb.Header = []providers.Secret{""}, sign("", cb.Body, cb.Now)
				return cb
			},
			"an empty line among the secrets": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.Secrets, cb.Header = []providers.Secret{conformanceSecret + "\n\n"}, sign("", cb.Body, cb.Now)
				return cb
			},
		},
	}
}
