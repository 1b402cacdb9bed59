package simtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/wave"
)

const waveSecret = "wave_ci_WHS_conformancesecret"

// Wave runs with a wallet without decimals; and with one that has them, is an aggregator's and has its requests signed.
func Wave() map[string]providertest.Factory {
	with := func(key, amount string, decimals int, w simulator.WaveOptions) providertest.Factory {
		return func(t providertest.T) providertest.Fixture {
			o := simulator.Options{Wave: w}
			o.Wave.APIKey = key
			return Start(t, simulator.Wave, o, func(s *simulator.Simulator) providertest.Facts {
				facts := waveFacts()
				facts.Account.BaseURL = s.WaveURL()
				facts.Account.AggregatedMerchantID = w.AggregatedMerchantID
				facts.Account.Credentials = map[string]providers.Secret{wave.KeyAPI: providers.Secret(key), wave.KeySigning: providers.Secret(w.SigningSecret)}
				facts.Request.Money, facts.Accepts = providers.Money{Amount: amount, Currency: w.Currency}, map[string]int{w.Currency: decimals}
				return facts
			})
		}
	}
	return map[string]providertest.Factory{
		"XOF": with(simulator.DefaultWaveKey, "5000", 0, simulator.WaveOptions{Currency: "XOF"}),
		"GMD": with("wave_gm_prod_simulator", "5000.50", 2,
			simulator.WaveOptions{Currency: "GMD", AggregatedMerchantID: "am-7lks22ap113t4", SigningSecret: "wave_gm_AKS_conformance"}),
	}
}

func waveFacts() providertest.Facts {
	// Of another session, with its refund.
	echoes := map[string]providertest.Edit{
		"amount": Fields("amount", "1"), "no amount": Fields("amount", nil),
		"currency": Fields("currency", "USD"), "no currency": Fields("currency", nil),
		"reference": Fields("client_reference", "another"), "odd reference": Fields("client_reference", "x "), "session": Fields("id", "cos-another"),
	}
	return providertest.Facts{
		Kind:    wave.Kind(),
		Account: providers.Account{Environment: providers.Production},
		Request: providers.InitiateRequest{
			Payer: "+221771020304", Description: "Order 1042", ReturnURL: "https://shop.example/back", CancelURL: "https://shop.example/cancel",
		},
		Role: roles(map[string]providertest.Role{"/v1/checkout/sessions": providertest.RoleMoney, "/refund": providertest.RoleRefund}),
		// Wave Checkout API, create a checkout session: client_reference.
		Reference: regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`),
		// A failed try leaves the session open.
		Refused:  []providers.State{providers.StatePending},
		Expired:  []providers.State{providers.StateExpired},
		Statuses: waveWords(), RefundStatuses: waveRefundWords(),
		Read: readWave, List: "result",
		UnknownWord: func(word string) providertest.Edit { return Fields("checkout_status", word) },
		UnknownRefundWord: func(word string) providertest.Edit {
			return Fields("checkout_status", word, "when_refunded", nil)
		},
		Refusals: waveRefusals(),
		Echoes:   echoes, RefundEchoes: echoes,
		Callbacks: waveCallbacks(),
	}
}

// readWave (Wave Checkout API, checkout session object).
func readWave(op providertest.Op, said func(...string) string) providers.Status {
	states := map[string]providers.State{"complete succeeded": providers.StateSucceeded}
	if op == providertest.OpStatus {
		states["expired cancelled"], states["complete cancelled"] = providers.StateExpired, providers.StateFailed
	} else if said("when_refunded") == "" {
		clear(states) // nothing was given back
	}
	return providers.Status{
		State: cmp.Or(states[said("checkout_status")+" "+said("payment_status")], providers.StatePending), Reference: said("client_reference"),
		Money: providers.Money{Amount: said("amount"), Currency: said("currency")},
	}
}

// waveWords (§3.4; Wave Checkout API, checkout session object): the pairs of
// checkout_status and payment_status, and last_payment_error.
func waveWords() []providertest.Word {
	var words []providertest.Word
	add := func(checkout, payment, last string, want providers.Status) {
		var failure any
		if last != "" {
			failure = map[string]string{"code": last, "message": "canary"}
		}
		want.LastError = last
		words = append(words, word(strings.TrimSpace(checkout+" "+payment+" "+last), want,
			"checkout_status", checkout, "payment_status", payment, "last_payment_error", failure))
	}
	failures := map[string]providers.FailureReason{
		"blocked-account": providers.FailureNotAllowed, "cross-border-payment-not-allowed": providers.FailureNotAllowed,
		"customer-age-restricted": providers.FailureNotAllowed, "payer-mobile-mismatch": providers.FailureNotAllowed,
		"insufficient-funds": providers.FailureInsufficientFunds, "kyb-limits-exceeded": providers.FailureLimitReached,
		"payment-failure": providers.FailureProviderRefused, "never-documented": providers.FailureProviderRefused,
		"": providers.FailureProviderRefused,
	}
	for last, reason := range failures {
		add("open", "processing", last, is(providers.StatePending, "open"))
		add("open", "cancelled", last, is(providers.StatePending, "open"))
		add("complete", "succeeded", last, is(providers.StateSucceeded, "complete"))
		add("expired", "cancelled", last, is(providers.StateExpired, "expired"))
		add("complete", "cancelled", last, providers.Status{State: providers.StateFailed, Code: "cancelled", Failure: reason})
	}
	for _, pair := range []string{
		"open succeeded", "expired succeeded", "expired processing", "complete processing", "complete failed", "COMPLETE SUCCEEDED",
		" succeeded", "complete ", "refunded succeeded", "paused waiting",
	} {
		checkout, payment, _ := strings.Cut(pair, " ")
		add(checkout, payment, "", odd(checkout+"."+payment))
	}
	return append(words, word("both in one", odd("completesucceeded."), "checkout_status", "complete succeeded", "payment_status", ""))
}

// waveRefundWords (Wave Checkout API, checkout session object: when_refunded). What is not
// paid cannot have been given back.
func waveRefundWords() []providertest.Word {
	const when = "2026-11-22T10:00:00Z"
	pending := is(providers.StatePending, "complete")
	state := func(checkout, payment string, when any) []any {
		return []any{"checkout_status", checkout, "payment_status", payment, "when_refunded", when}
	}
	return []providertest.Word{
		word("given back", is(providers.StateSucceeded, "complete"), "when_refunded", when),
		word("not given back", pending, "when_refunded", json.RawMessage("null")),
		word("an empty time", pending, "when_refunded", ""),
		word("no time", pending, "when_refunded", nil),
		word("open", is(providers.StatePending, "open"), state("open", "processing", nil)...),
		word("given back, and open", is(providers.StatePending, "open"), state("open", "processing", when)...),
		word("given back, and expired", is(providers.StatePending, "expired"), state("expired", "cancelled", when)...),
		word("given back, and cancelled", is(providers.StatePending, "cancelled"), state("complete", "cancelled", when)...),
		word("given back, and refunded", odd("complete.refunded"), state("complete", "refunded", when)...),
	}
}

// waveAccountCodes are codes about the key and its wallet, with what is said of each.
var waveAccountCodes = map[int]map[string][]string{
	401: {
		"missing-auth-header": {"apiKey", "complete"}, "invalid-auth": {"apiKey"}, "api-key-not-provided": {"apiKey"},
		"no-matching-api-key": {"apiKey", "wallet"}, "api-key-revoked": {"revoked", "make another"}, "authorization-error": {"Checkout API"},
	},
	403: {
		"invalid-wallet": {"no wallet"}, "disabled-wallet": {"disabled", "ask Wave"}, "unauthorized-wallet": {"may not do this", "Checkout API"},
		"ip-not-allowed": {"outgoing address"},
	},
	404: {"checkout-session-not-found": {"apiKey", "wallet that opened it"}},
}

// waveRefusals (§3.1, §3.6; Wave API, errors).
func waveRefusals() []providertest.Refusal {
	var out []providertest.Refusal
	for _, op := range []providertest.Op{
		providertest.OpInitiate, providertest.OpStatus, providertest.OpSearch, providertest.OpCancel, providertest.OpRefund, providertest.OpRefundStatus,
	} {
		out = append(out, with(op, waveRefusedAccounts())...)
		out = append(out, with(op, waveRefusedRequests(op))...)
		out = append(out, with(op, waveForeignAnswers())...)
	}
	out = append(out, with(providertest.OpInitiate, waveRefusedFields())...)
	out = append(out, with(providertest.OpInitiate, waveOddSuccesses())...)
	// Only a clear "none" may lead to another session.
	for _, result := range []string{`null`, `{}`, `"none"`, `[null]`, `[{}]`, `[],"result":[]`, `[`, `[{"id":"cos-1","client_reference":"another"}]`} {
		out = append(out, providertest.Refusal{Op: providertest.OpSearch, Answer: providertest.JSON(200, `{"result":`+result+`}`), Class: unknown})
	}
	return out
}

// waveOddSuccesses may have opened a session, and have none that can be used.
func waveOddSuccesses() []providertest.Refusal {
	const page = `"wave_launch_url":"https://pay.wave.example/canary"`
	var rows []providertest.Refusal
	for _, body := range []string{
		`{"id":"cos-1",` + page + `}{}`, `{"id":"",` + page + `}`, `{"id":7,` + page + `}`, `{"id":"..",` + page + `}`, `{"id":"../x",` + page + `}`,
		`{"id":"` + strings.Repeat("a", 65) + `",` + page + `}`, `{"id":"cos-1","id":"cos-2",` + page + `}`, `{"id":"cos-1","amount":5000,` + page + `}`,
		`{"id":"cos-1","wave_launch_url":null}`, `{"id":"cos-1","wave_launch_url":"javascript:canary"}`, `{"id":"cos-1","wave_launch_url":"ftp://pay.wave.example/canary"}`,
	} {
		rows = append(rows, providertest.Refusal{Answer: providertest.JSON(200, body), Class: unknown})
	}
	return rows
}

func waveSays(status int, code string, class providers.Class, says ...string) providertest.Refusal {
	body := fmt.Sprintf(`{"code":%q,"message":"canary","details":[]}`, code)
	return providertest.Refusal{Answer: providertest.JSON(status, body), Code: code, Class: class, Says: says}
}

// waveRefusedAccounts: the key and the wallet are at fault, whatever the status.
func waveRefusedAccounts() []providertest.Refusal {
	rows := []providertest.Refusal{waveSays(429, "too-many-requests", throttled), {Answer: empty(429), Class: throttled}}
	for status, codes := range waveAccountCodes {
		for code, says := range codes {
			rows = append(rows, waveSays(status, code, misconfigured, says...))
		}
		rows = append(rows, providertest.Refusal{Answer: empty(status), Class: misconfigured})
		for _, code := range []string{"another-code", "request-validation-error", "checkout-refund-failed"} {
			rows = append(rows, waveSays(status, code, misconfigured))
		}
	}
	return rows
}

// waveRefusedRequests: only a code of Wave's own refuses a request, and no question.
func waveRefusedRequests(op providertest.Op) []providertest.Refusal {
	refused, conflict, refundFailed := unknown, unknown, unknown
	switch op {
	case providertest.OpInitiate:
		refused = rejected
	case providertest.OpRefund:
		refused, refundFailed = rejected, rejected
	case providertest.OpCancel:
		conflict = exists
	default: // questions
	}
	rows := []providertest.Refusal{
		{Answer: empty(409), Class: conflict}, waveSays(409, "another-code", conflict), waveSays(409, "checkout-session-not-open", conflict),
		waveSays(400, "checkout-refund-failed", refundFailed),
		waveSays(409, "checkout-refund-failed", map[bool]providers.Class{true: conflict, false: refundFailed}[op == providertest.OpCancel]),
	}
	for _, status := range []int{400, 422} {
		for _, code := range []string{"request-validation-error", "request-not-json", "request-parsing-error"} {
			r := waveSays(status, code, refused)
			if refused == rejected && (code != "request-validation-error" || op == providertest.OpRefund) {
				r.Fault = providers.FaultProvider // what the operator wrote cannot be read
			}
			rows = append(rows, r)
		}
	}
	return rows
}

// waveForeignAnswers: pages, empty answers and other words of a gateway refuse nothing for good.
func waveForeignAnswers() []providertest.Refusal {
	rows := []providertest.Refusal{
		waveSays(500, "internal-server-error", unknown), waveSays(503, "service-unavailable", unknown), waveSays(500, "request-validation-error", unknown),
		{Answer: empty(201), Class: unknown}, {Answer: empty(204), Class: unknown},
	}
	for _, status := range []int{400, 402, 405, 408, 410, 413, 418, 422, 499} {
		rows = append(rows, providertest.Refusal{Answer: empty(status), Class: unknown})
		for _, code := range []string{"invalid_request", "request-", "request-too-large", "Request-Validation-Error", "checkout-session-not-found"} {
			rows = append(rows, waveSays(status, code, unknown))
		}
		for _, code := range []string{"invalid-auth", "api-key-revoked", "disabled-wallet", "ip-not-allowed"} {
			rows = append(rows, waveSays(status, code, misconfigured))
		}
	}
	for body, code := range map[string]string{
		`<html>`: "", `{"error":{"code":"x"}}`: "", `{"code":7}`: "", `{"code":"a","code":"b"}`: "",
		`{"code":"<b>code!"}`: "bcode", `{"code":"request-validation-error "}`: "request-validation-error",
	} {
		rows = append(rows, providertest.Refusal{Answer: providertest.JSON(422, body), Code: code, Class: unknown})
	}
	return rows
}

// waveRefusedFields (K5b): a field that the account or the operator supplies is no refusal of the Payment.
func waveRefusedFields() []providertest.Refusal {
	var rows []providertest.Refusal
	for details, r := range map[string]providertest.Refusal{
		`[{"loc":["aggregated_merchant_id"],"msg":"field required"}]`: {Class: misconfigured, Field: "aggregated_merchant_id", Says: []string{"wave.aggregatedMerchantID"}},
		`[{"loc":["body","currency"],"msg":"canary"}]`:                {Class: misconfigured, Field: "currency", Says: []string{"currency and country"}},
		`[{"loc":["success_url"],"msg":"canary"}]`:                    {Class: misconfigured, Field: "success_url", Fault: providers.FaultOperator, Says: []string{"--public-url"}},
		`[{"loc":["body","error_url",0],"msg":"canary"}]`:             {Class: misconfigured, Field: "error_url", Fault: providers.FaultOperator, Says: []string{"error_url"}},
		`[{"loc":["body","business_name"],"msg":"canary"}]`:           {Class: misconfigured, Field: "business_name", Says: []string{"business_name"}},
		`[{"loc":["body","amount"],"msg":"canary"}]`:                  {Class: rejected, Field: "amount", Says: []string{"create another Payment"}},
		`[{"loc":["restrict_payer_mobile"],"msg":"canary"}]`:          {Class: rejected, Field: "restrict_payer_mobile", Says: []string{"restrict_payer_mobile"}},
		`[{"loc":["client_reference"],"msg":"canary"}]`:               {Class: rejected, Field: "client_reference", Says: []string{"client_reference"}},
		`[{"loc":["amount"]},{"loc":["aggregated_merchant_id"]}]`:     {Class: misconfigured, Field: "aggregated_merchant_id", Says: []string{"aggregatedMerchantID"}},
		`[{"loc":["amount"]},{"loc":["client_reference"]}]`:           {Class: rejected, Field: "amount", Says: []string{"amount"}},
		`[ ]`:                               {Class: rejected, Says: []string{"names no field"}},
		`[{"loc":["body"],"msg":"canary"}]`: {Class: rejected, Says: []string{"names no field"}},
		`[{"loc":["Canary: 12","+225"]}]`:   {Class: rejected, Says: []string{"names no field"}},
		`[{"loc":["` + strings.Repeat("canary", 9) + `"]}]`: {Class: rejected, Says: []string{"names no field"}},
		`{"loc":"amount"}`: {Class: rejected, Says: []string{"names no field"}},
	} {
		for _, status := range []int{400, 422} {
			r.Code = "request-validation-error"
			r.Answer = providertest.JSON(status, `{"details":`+details+`,"code":"request-validation-error","message":"canary"}`)
			rows = append(rows, r)
		}
	}
	return rows
}

// waveCallbacks are signed over timestamp and raw body (Wave webhooks, signing secret).
func waveCallbacks() *providertest.Callbacks {
	sign := func(secret string, body []byte, at time.Time) http.Header {
		return http.Header{"Wave-Signature": {simulator.WaveSignature(at, body, secret)}}
	}
	header := func(change func(cb providers.CallbackRequest) http.Header) func(providers.CallbackRequest) providers.CallbackRequest {
		return func(cb providers.CallbackRequest) providers.CallbackRequest { cb.Header = change(cb); return cb }
	}
	return &providertest.Callbacks{
		Window: 5 * time.Minute, Ahead: 30 * time.Second, EventIDs: true, Claim: "type",
		Secrets: []providers.Secret{waveSecret, "wave_ci_WHS_another", "wave_ci_WHS_third"},
		Body: func(p providertest.Payment) []byte {
			body, _ := json.Marshal(map[string]any{"id": "EV_conformance", "type": "checkout.session.completed", "data": map[string]any{
				"id": p.Initiation.ID, "client_reference": p.Request.Reference, "amount": p.Request.Money.Amount,
				"currency": p.Request.Money.Currency, "checkout_status": "complete", "payment_status": "succeeded",
			}})
			return body
		},
		Prove: func(body []byte, _ providertest.Payment, at time.Time) providers.CallbackRequest {
			return providers.CallbackRequest{
				Body: body, Header: sign(waveSecret, body, at), Secrets: []providers.Secret{"wave_ci_WHS_another", waveSecret},
			}
		},
		Forgeries: map[string]func(providers.CallbackRequest) providers.CallbackRequest{
			"no signature": header(func(providers.CallbackRequest) http.Header { return http.Header{} }),
			"other secret": header(func(cb providers.CallbackRequest) http.Header { return sign("wave_ci_WHS_guess", cb.Body, cb.Now) }),
			"with a dot": header(func(cb providers.CallbackRequest) http.Header {
				return sign(waveSecret, append([]byte("."), cb.Body...), cb.Now)
			}),
			"secret as bearer": header(func(providers.CallbackRequest) http.Header { return http.Header{"Authorization": {"Bearer guess"}} }),
			"an empty line among the secrets": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.Secrets, cb.Header = []providers.Secret{waveSecret + "\n\n"}, sign("", cb.Body, cb.Now)
				return cb
			},
		},
	}
}
