package mtn_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
)

// The suite runs in a country without decimals, and in the sandbox, where the
// API user can be asked for.
func TestConformance(t *testing.T) {
	for _, target := range []struct {
		name, word string
		env        providers.Environment
		money      providers.Money
	}{
		{"ivory coast", "mtnivorycoast", providers.Production, providers.Money{Amount: "5000", Currency: "XOF"}},
		{"sandbox", "sandbox", providers.Sandbox, providers.Money{Amount: "12.50", Currency: "EUR"}},
	} {
		t.Run(target.name, func(t *testing.T) {
			providertest.Run(t, func(t providertest.T) providertest.Fixture {
				var o simulator.Options
				o.MTN.TargetEnvironment = target.word
				return simtest.Start(t, simulator.MTN, o, func(s *simulator.Simulator) providertest.Facts {
					facts := conformanceFacts(s)
					facts.Account.Environment, facts.Account.TargetEnvironment = target.env, target.word
					facts.Request.Money = target.money
					if target.env == providers.Sandbox {
						facts.Accepts = map[string]int{"XOF": 0, "XAF": 0, "GNF": 0, "EUR": 2, "GMD": 2}
					}
					return facts
				})
			})
		})
	}
}

// echoes of another payment, or another refund.
func echoes() map[string]providertest.Edit {
	return map[string]providertest.Edit{
		"amount": simtest.Fields("amount", "1"), "no amount": simtest.Fields("amount", nil),
		"currency": simtest.Fields("currency", "USD"), "no currency": simtest.Fields("currency", nil),
		"reference": simtest.Fields("externalId", "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10"),
	}
}

func conformanceFacts(s *simulator.Simulator) providertest.Facts {
	uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	return providertest.Facts{
		Kind: mtn.Kind(),
		Account: providers.Account{BaseURL: s.MTNURL(), Credentials: map[string]providers.Secret{
			mtn.KeySubscription: simulator.DefaultMTNSubscriptionKey, mtn.KeyUserID: simulator.DefaultMTNUser,
			mtn.KeyAPISecret:                simulator.DefaultMTNKey,
			mtn.KeyDisbursementSubscription: simulator.DefaultMTNDisbursementSubscriptionKey,
			mtn.KeyDisbursementUserID:       simulator.DefaultMTNDisbursementUser,
			mtn.KeyDisbursementAPISecret:    simulator.DefaultMTNDisbursementKey,
		}},
		Request: providers.InitiateRequest{
			Payer: "+2250501020304", Description: "Order 1042", CallbackURL: "http://127.0.0.1:1/canary-callback-path",
		},
		Role: simtest.Roles(func(path string) providertest.Role {
			switch {
			case strings.HasSuffix(path, "/token/"):
				return providertest.RoleToken
			case strings.HasSuffix(path, "/requesttopay"):
				return providertest.RoleMoney
			case strings.HasSuffix(path, "/refund"):
				return providertest.RoleRefund
			}
			return providertest.RoleOther
		}),
		Reference: uuid, RefundReference: uuid,
		Accepts:           map[string]int{"XOF": 0},
		Refused:           []providers.State{providers.StateFailed},
		Expired:           []providers.State{providers.StateExpired},
		Statuses:          statusWords(false),
		RefundStatuses:    statusWords(true),
		UnknownWord:       func(word string) providertest.Edit { return simtest.Fields("status", word) },
		UnknownRefundWord: func(word string) providertest.Edit { return simtest.Fields("status", word) },
		Refusals:          refusals(),
		Echoes:            echoes(),
		RefundEchoes:      echoes(),
		// They carry no proof (MTN MoMo API, callbacks).
		Callbacks: &providertest.Callbacks{
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

// reasons of FAILED (MTN MoMo Collection API, requesttopay-referenceId-GET:
// ErrorReason), and those seen besides.
var reasons = map[string]providers.FailureReason{
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
	"VALIDATION_ERROR": providers.FailureProviderRefused, "NEVER_DOCUMENTED": providers.FailureProviderRefused,
	"EXPIRED": "", "COULD_NOT_PERFORM_TRANSACTION": "",
}

func statusWords(refund bool) []providertest.Word {
	words := []providertest.Word{
		{Name: "SUCCESSFUL", Answer: simtest.Fields("status", "SUCCESSFUL"), State: providers.StateSucceeded},
		{Name: "CREATED", Answer: simtest.Fields("status", "CREATED"), State: providers.StatePending},
		{Name: "PENDING", Answer: simtest.Fields("status", "PENDING"), State: providers.StatePending},
		{Name: "FAILED", Answer: simtest.Fields("status", "FAILED"), State: providers.StateFailed, Failure: providers.FailureProviderRefused},
	}
	for why, failure := range reasons {
		state := providers.StateFailed
		switch {
		case failure == "" && refund: // nobody is asked to approve a refund
			failure = providers.FailureProviderRefused
		case failure == "":
			state = providers.StateExpired
		}
		// Older sandboxes sent an object.
		for i, reason := range []any{why, map[string]string{"code": why, "message": "no"}} {
			words = append(words, providertest.Word{
				Name: fmt.Sprint("FAILED ", why, []string{"", " as an object"}[i]), State: state, Failure: failure,
				Answer: simtest.Fields("status", "FAILED", "reason", reason),
			})
		}
	}
	return words
}

// refusals (MTN MoMo API, response codes): with the codes of MTN, or of the
// gateway before it.
func refusals() []providertest.Refusal {
	var out []providertest.Refusal
	add := func(op providertest.Op, name string, status int, body string, class providers.Class, failure providers.FailureReason) {
		out = append(out, providertest.Refusal{
			Name: string(op) + " " + name, Op: op, Answer: providertest.JSON(status, body), Class: class, Failure: failure,
		})
	}
	named := map[string]string{"INVALID_CALLBACK_URL_HOST": "X-Callback-Url", "INVALID_CURRENCY": "currency", "PAYER_NOT_FOUND": "payer"}
	code := func(word string) string { return `{"message":"no","code":"` + word + `"}` }
	for _, op := range []providertest.Op{providertest.OpInitiate, providertest.OpRefund} {
		add(op, "400", 400, "", providers.ClassRejected, "")
		add(op, "401", 401, `{"statusCode":401,"message":"Access denied"}`, providers.ClassMisconfigured, "")
		add(op, "403", 403, `{"statusCode":403,"message":"Forbidden"}`, providers.ClassMisconfigured, "")
		add(op, "404", 404, `{"statusCode":404,"message":"Resource not found"}`, providers.ClassMisconfigured, "")
		add(op, "409", 409, code("RESOURCE_ALREADY_EXIST"), providers.ClassAlreadyExists, "")
		add(op, "429", 429, `{"statusCode":429,"message":"Rate limit is exceeded"}`, providers.ClassThrottled, "")
		for word, class := range map[string]providers.Class{
			"INVALID_CALLBACK_URL_HOST": providers.ClassMisconfigured, "INVALID_CURRENCY": providers.ClassMisconfigured,
			"NOT_ALLOWED": providers.ClassMisconfigured, "NOT_ALLOWED_TARGET_ENVIRONMENT": providers.ClassMisconfigured,
			"INTERNAL_PROCESSING_ERROR": providers.ClassUnknown, "SERVICE_UNAVAILABLE": providers.ClassUnknown,
			"NEVER_DOCUMENTED": providers.ClassUnknown,
		} {
			add(op, "500 "+word, 500, code(word), class, "")
			out[len(out)-1].Field = named[word]
		}
		for word, failure := range map[string]providers.FailureReason{
			"PAYER_NOT_FOUND": providers.FailurePayerNotFound, "PAYEE_NOT_ALLOWED_TO_RECEIVE": providers.FailureNotAllowed,
			"PAYEE_NOT_FOUND": providers.FailureNotAllowed, "NOT_ENOUGH_FUNDS": providers.FailureInsufficientFunds,
			"PAYER_LIMIT_REACHED": providers.FailureLimitReached,
		} {
			add(op, "500 "+word, 500, code(word), providers.ClassRejected, failure)
			out[len(out)-1].Field = named[word]
		}
		add(op, "503", 503, code("SERVICE_UNAVAILABLE"), providers.ClassUnknown, "")
	}
	for _, op := range []providertest.Op{providertest.OpStatus, providertest.OpRefundStatus} {
		add(op, "404", 404, code("RESOURCE_NOT_FOUND"), providers.ClassNotFound, "")
		add(op, "400", 400, "", providers.ClassUnknown, "")
		add(op, "403", 403, `{"statusCode":403,"message":"Forbidden"}`, providers.ClassMisconfigured, "")
		add(op, "500", 500, code("INTERNAL_PROCESSING_ERROR"), providers.ClassUnknown, "")
	}
	for _, op := range []providertest.Op{providertest.OpPrepare, providertest.OpPrepareRefund} {
		add(op, "400", 400, `{"error":"Invalid or missing X-Target-Environment header"}`, providers.ClassMisconfigured, "")
		add(op, "401", 401, `{"error":"invalid_client"}`, providers.ClassMisconfigured, "")
		add(op, "403", 403, "<html></html>", providers.ClassMisconfigured, "")
	}
	return out
}
