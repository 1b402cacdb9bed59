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
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
)

// MTN runs in a country without decimals, and in the sandbox, where the API user can be asked for.
func MTN() map[string]providertest.Factory {
	in := func(target string, env providers.Environment, amount, currency string, accepts map[string]int) providertest.Factory {
		return func(t providertest.T) providertest.Fixture {
			var o simulator.Options
			o.MTN.TargetEnvironment = target
			return Start(t, simulator.MTN, o, func(s *simulator.Simulator) providertest.Facts {
				facts := mtnFacts(s)
				facts.Account.Environment, facts.Account.TargetEnvironment = env, target
				facts.Request.Money, facts.Accepts = providers.Money{Amount: amount, Currency: currency}, accepts
				return facts
			})
		}
	}
	return map[string]providertest.Factory{
		"ivory coast": in("mtnivorycoast", providers.Production, "5000", "XOF", map[string]int{"XOF": 0}),
		"sandbox":     in("sandbox", providers.Sandbox, "12.50", "EUR", map[string]int{"XOF": 0, "XAF": 0, "GNF": 0, "EUR": 2, "GMD": 2}),
	}
}

// MTNCredentials of the simulator, for both products.
func MTNCredentials() map[string]providers.Secret {
	return map[string]providers.Secret{
		mtn.KeySubscription: simulator.DefaultMTNSubscriptionKey, mtn.KeyUserID: simulator.DefaultMTNUser, mtn.KeyAPISecret: simulator.DefaultMTNKey,
		mtn.KeyDisbursementSubscription: simulator.DefaultMTNDisbursementSubscriptionKey,
		mtn.KeyDisbursementUserID:       simulator.DefaultMTNDisbursementUser, mtn.KeyDisbursementAPISecret: simulator.DefaultMTNDisbursementKey,
	}
}

func mtnFacts(s *simulator.Simulator) providertest.Facts {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	unknownWord := func(word string) providertest.Edit { return Fields("status", word) }
	// Of another payment, or another refund.
	echoes := map[string]providertest.Edit{
		"amount": Fields("amount", "1"), "no amount": Fields("amount", nil),
		"currency": Fields("currency", "USD"), "no currency": Fields("currency", nil),
		"odd amount": Fields("amount", "5,000"), "empty amount": Fields("amount", ""), "odd currency": Fields("currency", "xof"),
		"reference":     Fields("externalId", "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10"),
		"odd reference": Fields("externalId", "a b"), "number": Fields("externalId", 42, "financialTransactionId", 7),
	}
	return providertest.Facts{
		Kind:    mtn.Kind(),
		Account: providers.Account{BaseURL: s.MTNURL(), Credentials: MTNCredentials()},
		Request: providers.InitiateRequest{
			Payer: "+2250501020304", Description: "Order 1042", CallbackURL: "http://127.0.0.1:1/canary-callback-path",
		},
		Role: roles(map[string]providertest.Role{
			"/token/": providertest.RoleToken, "/requesttopay": providertest.RoleMoney, "/refund": providertest.RoleRefund,
		}),
		Reference: uuid, RefundReference: uuid,
		Refused:  []providers.State{providers.StateFailed},
		Expired:  []providers.State{providers.StateExpired},
		Statuses: mtnWords(false), RefundStatuses: mtnWords(true),
		UnknownWord: unknownWord, UnknownRefundWord: unknownWord, Read: readMTN,
		Refusals: mtnRefusals(),
		Echoes:   echoes, RefundEchoes: echoes,
		// They carry no proof (MTN MoMo API, callbacks).
		Callbacks: &providertest.Callbacks{
			Claim: "status",
			Body: func(p providertest.Payment) []byte {
				body, _ := json.Marshal(map[string]any{
					"financialTransactionId": "363440463", "externalId": p.Request.Reference, "status": "SUCCESSFUL",
					"amount": p.Request.Money.Amount, "currency": p.Request.Money.Currency,
					"payer": map[string]string{"partyIdType": "MSISDN", "partyId": "2250501020304"},
				})
				return body
			},
			Prove: func(body []byte, _ providertest.Payment, _ time.Time) providers.CallbackRequest {
				return providers.CallbackRequest{Body: body}
			},
		},
	}
}

// mtnReasons of FAILED (§2.5; MTN MoMo Collection API, requesttopay-referenceId-GET:
// ErrorReason), and those seen besides. Empty: a payment expired.
var mtnReasons = map[string]providers.FailureReason{
	"APPROVAL_REJECTED": providers.FailurePayerDeclined, "PAYMENT_NOT_APPROVED": providers.FailurePayerDeclined,
	"NOT_ENOUGH_FUNDS": providers.FailureInsufficientFunds,
	"LOW_BALANCE_OR_PAYEE_LIMIT_REACHED_OR_NOT_ALLOWED": providers.FailureInsufficientFunds,
	"PAYER_NOT_FOUND":     providers.FailurePayerNotFound,
	"PAYER_LIMIT_REACHED": providers.FailureLimitReached, "PAYEE_LIMIT_REACHED": providers.FailureLimitReached,
	"NOT_ALLOWED": providers.FailureNotAllowed, "NOT_ALLOWED_TARGET_ENVIRONMENT": providers.FailureNotAllowed,
	"PAYEE_NOT_FOUND": providers.FailureNotAllowed, "PAYEE_NOT_ALLOWED_TO_RECEIVE": providers.FailureNotAllowed,
	"SENDER_ACCOUNT_NOT_ACTIVE": providers.FailureNotAllowed,
	"INVALID_CALLBACK_URL_HOST": providers.FailureProviderRefused, "INVALID_CURRENCY": providers.FailureProviderRefused,
	"SERVICE_UNAVAILABLE": providers.FailureProviderRefused, "INTERNAL_PROCESSING_ERROR": providers.FailureProviderRefused,
	"RESOURCE_NOT_FOUND": providers.FailureProviderRefused, "RESOURCE_ALREADY_EXIST": providers.FailureProviderRefused,
	"TRANSACTION_CANCELED": providers.FailureProviderRefused, "TRANSACTION_NOT_FOUND": providers.FailureProviderRefused,
	"VALIDATION_ERROR": providers.FailureProviderRefused, "never documented": providers.FailureProviderRefused,
	"EXPIRED": "", "COULD_NOT_PERFORM_TRANSACTION": "",
}

// readMTN (MTN MoMo Collection API, requesttopay-referenceId-GET; Disbursement API, GetRefundStatus).
func readMTN(op providertest.Op, said func(...string) string) providers.Status {
	state := map[string]providers.State{"SUCCESSFUL": providers.StateSucceeded, "FAILED": providers.StateFailed}[said("status")]
	why := cmp.Or(said("reason"), said("reason", "code"))
	if state == providers.StateFailed && op == providertest.OpStatus && (why == "EXPIRED" || why == "COULD_NOT_PERFORM_TRANSACTION") {
		state = providers.StateExpired
	}
	return providers.Status{
		State: cmp.Or(state, providers.StatePending), Reference: said("externalId"),
		Money: providers.Money{Amount: said("amount"), Currency: said("currency")},
	}
}

// mtnWords (§2.5): the status is the verdict, a reason only says how it failed.
func mtnWords(refund bool) []providertest.Word {
	succeeded, null := is(providers.StateSucceeded, "SUCCESSFUL"), json.RawMessage("null")
	refused := providers.Status{State: providers.StateFailed, Code: "FAILED", Failure: providers.FailureProviderRefused}
	words := []providertest.Word{
		word("SUCCESSFUL", succeeded, "status", "SUCCESSFUL"),
		word("SUCCESSFUL with a reason", succeeded, "status", "SUCCESSFUL", "reason", "EXPIRED"),
		word("CREATED", is(providers.StatePending, "CREATED"), "status", "CREATED"),
		word("PENDING", is(providers.StatePending, "PENDING"), "status", "PENDING"),
		word("PENDING with a reason", is(providers.StatePending, "PENDING"), "status", "PENDING", "reason", "EXPIRED"),
		word("FAILED", refused, "status", "FAILED"),
		word("FAILED, null", refused, "status", "FAILED", "reason", null),
		word("FAILED, an empty object", refused, "status", "FAILED", "reason", map[string]string{}),
		word("FAILED, a number", refused, "status", "FAILED", "reason", 7),
		word("another word with a reason", odd("TIMEOUT"), "status", "TIMEOUT", "reason", "EXPIRED"),
		word("a reason as a word", odd("EXPIRED"), "status", "EXPIRED"),
		word("an empty word", odd(""), "status", ""),
		word("null", odd(""), "status", null),
		word("no word", odd(""), "status", nil),
	}
	for why, failure := range mtnReasons {
		want := providers.Status{State: providers.StateFailed, Code: strings.ReplaceAll(why, " ", ""), Failure: failure}
		switch {
		case failure == "" && refund: // nobody is asked to approve a refund
			want.Failure = providers.FailureProviderRefused
		case failure == "":
			want.State = providers.StateExpired
		}
		// Older sandboxes sent an object.
		for i, reason := range []any{why, map[string]string{"code": why, "message": "canary"}} {
			name := fmt.Sprint("FAILED ", why, []string{"", " as an object"}[i])
			words = append(words, word(name, want, "status", "FAILED", "reason", reason))
		}
	}
	return words
}

// mtnRefusals (§2.3; MTN MoMo API, response codes): with the codes of MTN, or of the gateway before it.
func mtnRefusals() []providertest.Refusal {
	products := []struct {
		order, question, prepare providertest.Op
		name, keys               string
	}{
		{providertest.OpInitiate, providertest.OpStatus, providertest.OpPrepare, "Collection", "subscriptionKey, userID, apiSecret"},
		{
			providertest.OpRefund, providertest.OpRefundStatus, providertest.OpPrepareRefund,
			"Disbursement", "disbursementSubscriptionKey, disbursementUserID, disbursementAPISecret",
		},
	}
	var out []providertest.Refusal
	for _, p := range products {
		out = append(out, with(p.order, mtnRefusedOrders(p.name, p.keys))...)
		out = append(out, with(p.question, mtnRefusedQuestions(p.name, p.keys))...)
		out = append(out, with(p.prepare, mtnRefusedTokens(strings.Split(p.keys, ", ")))...)
	}
	return out
}

func coded(status int, code string, r providertest.Refusal) providertest.Refusal {
	r.Answer, r.Code = providertest.JSON(status, `{"message":"canary","code":"`+code+`"}`), code
	return r
}

func gateway(status int) providers.Answer {
	return providertest.JSON(status, fmt.Sprintf(`{"statusCode":%d,"message":"canary"}`, status))
}

func mtnRefusedOrders(product, keys string) []providertest.Refusal {
	enable := "enable the " + product + " product"
	rows := []providertest.Refusal{
		{Answer: empty(400), Class: rejected, Says: []string{"does not say why"}},
		{Answer: gateway(401), Class: misconfigured, Says: []string{keys}},
		{Answer: providertest.JSON(401, `{"error":"canary"}`), Class: misconfigured},
		{Answer: gateway(403), Class: misconfigured, Says: []string{enable, "outgoing address"}},
		{Answer: providertest.Page(403), Class: misconfigured},
		{Answer: gateway(404), Class: misconfigured, Says: []string{"baseURL"}},
		{Answer: empty(409), Class: exists},
		{Answer: gateway(429), Class: throttled},
		coded(400, "NEVER_DOCUMENTED", providertest.Refusal{Class: rejected}),
		coded(404, "PAYER_NOT_FOUND", providertest.Refusal{Class: misconfigured}),
		coded(409, "RESOURCE_ALREADY_EXIST", providertest.Refusal{Class: exists}),
		coded(502, "PAYER_NOT_FOUND", providertest.Refusal{Class: unknown}),
		coded(503, "SERVICE_UNAVAILABLE", providertest.Refusal{Class: unknown}),
		coded(500, "APPROVAL_REJECTED", providertest.Refusal{Class: unknown}),
		coded(500, "NEVER_DOCUMENTED", providertest.Refusal{Class: unknown}),
	}
	for code, r := range map[string]providertest.Refusal{
		"INVALID_CALLBACK_URL_HOST": { // K5d
			Class: misconfigured, Field: "X-Callback-Url", Fault: providers.FaultOperator, Says: []string{"providerCallbackHost", "--public-url"}},
		"INVALID_CURRENCY":               {Class: misconfigured, Field: "currency", Says: []string{"targetEnvironment"}}, // K5a
		"NOT_ALLOWED":                    {Class: misconfigured, Says: []string{enable}},
		"NOT_ALLOWED_TARGET_ENVIRONMENT": {Class: misconfigured, Says: []string{"targetEnvironment", keys, product + " product"}},
		"PAYER_NOT_FOUND":                {Class: rejected, Failure: providers.FailurePayerNotFound, Field: "payer"},
		"PAYEE_NOT_FOUND":                {Class: rejected, Failure: providers.FailureNotAllowed},
		"PAYEE_NOT_ALLOWED_TO_RECEIVE":   {Class: rejected, Failure: providers.FailureNotAllowed},
		"NOT_ENOUGH_FUNDS":               {Class: rejected, Failure: providers.FailureInsufficientFunds},
		"PAYER_LIMIT_REACHED":            {Class: rejected, Failure: providers.FailureLimitReached},
		"RESOURCE_ALREADY_EXIST":         {Class: exists},
		"INTERNAL_PROCESSING_ERROR":      {Class: unknown},
		"SERVICE_UNAVAILABLE":            {Class: unknown},
	} {
		rows = append(rows, coded(400, code, r), coded(500, code, r))
	}
	for _, a := range []providers.Answer{
		providertest.JSON(500, `{"code":"NOT_ALLOWED","code":"PAYER_NOT_FOUND"}`), providertest.JSON(500, `{"code":["PAYER_NOT_FOUND"]}`),
		empty(408), providertest.Page(411), empty(200), empty(201), empty(204), providertest.Page(202),
	} {
		rows = append(rows, providertest.Refusal{Answer: a, Class: unknown})
	}
	return rows
}

// mtnRefusedQuestions are refused like orders, but nothing is rejected, and what is unknown to MTN is not found.
func mtnRefusedQuestions(product, keys string) []providertest.Refusal {
	rows := []providertest.Refusal{
		coded(404, "RESOURCE_NOT_FOUND", providertest.Refusal{Class: providers.ClassNotFound}),
		{Answer: providertest.Page(404), Class: providers.ClassNotFound},
		{Answer: providertest.JSON(202, `{"status":"SUCCESSFUL"}`), Class: unknown},
		{Answer: providertest.JSON(200, `{"status":"SUCCESSFUL","amount":5000}`), Class: unknown},
		{Answer: providertest.JSON(200, `{"status":1}`), Class: unknown},
	}
	for _, r := range mtnRefusedOrders(product, keys) {
		if r.Answer.Status != http.StatusNotFound {
			rows = append(rows, asQuestion(r))
		}
	}
	return rows
}

func mtnRefusedTokens(keys []string) []providertest.Refusal {
	pair := keys[1:]
	return []providertest.Refusal{
		{Answer: providertest.JSON(400, `{"error":"Invalid or missing X-Target-Environment header"}`), Class: misconfigured, Says: []string{"targetEnvironment"}},
		{Answer: providertest.JSON(401, `{"error":"invalid_client"}`), Code: "invalid_client", Class: misconfigured, Says: pair},
		{Answer: gateway(401), Class: misconfigured, Says: keys[:1]},
		{Answer: providertest.Page(403), Class: misconfigured},
		{Answer: empty(404), Class: misconfigured},
		{Answer: empty(429), Class: throttled},
		// MTN fails so for some wrong ones, and when it is down.
		{Answer: providertest.JSON(500, "{}"), Class: providers.ClassNotSent, Says: pair},
		{Answer: providertest.Page(200), Class: providers.ClassNotSent},
		{Answer: providertest.JSON(200, "{}"), Class: providers.ClassNotSent},
	}
}
