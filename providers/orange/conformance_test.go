package orange_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
)

// The suite runs in a country, and in the sandbox with its own currency; and where
// tokens are given only to who asks for JSON.
func TestConformance(t *testing.T) {
	strict := simulator.Options{Orange: simulator.OrangeOptions{StrictAccept: true}}
	for segment, env := range map[string]providers.Environment{"ci": providers.Production, "dev": providers.Sandbox} {
		t.Run(segment, func(t *testing.T) {
			providertest.Run(t, func(t providertest.T) providertest.Fixture {
				return simtest.Start(t, simulator.Orange, strict, func(s *simulator.Simulator) providertest.Facts {
					facts := conformanceFacts()
					facts.Account.Environment = env
					facts.Account.BaseURL, facts.Account.TokenURL = s.OrangeURL(segment), s.OrangeTokenURL()
					return facts
				})
			})
		})
	}
}

func conformanceFacts() providertest.Facts {
	return providertest.Facts{
		Kind: orange.Kind(),
		Account: providers.Account{Country: "ci", MerchantName: "Shop", Credentials: map[string]providers.Secret{
			orange.KeyClientID: simulator.DefaultOrangeClientID, orange.KeyClientSecret: simulator.DefaultOrangeClientSecret,
			orange.KeyMerchant: simulator.DefaultOrangeMerchantKey,
		}},
		Request: providers.InitiateRequest{
			Money: providers.Money{Amount: "5000", Currency: "XOF"}, Payer: "+2250701020304", Description: "Order 1042",
			CallbackURL: "http://127.0.0.1:1/canary-callback-path", ReturnURL: "https://shop.example/back",
		},
		Role: simtest.Roles(func(path string) providertest.Role {
			switch {
			case strings.HasSuffix(path, "/token"):
				return providertest.RoleToken
			case strings.HasSuffix(path, "/webpayment"):
				return providertest.RoleMoney
			}
			return providertest.RoleOther
		}),
		// Orange Money Web Payment, webpayment: order_id.
		Reference: regexp.MustCompile(`^[A-Za-z0-9_-]{1,24}$`),
		// Orange Money Web Payment, webpayment: amount is whole.
		Accepts:         map[string]int{"XOF": 0},
		LateCredentials: []string{orange.KeyMerchant},
		Refused:         []providers.State{providers.StateFailed},
		// A payer who never tries leaves it INITIATED for ever.
		Expired:     []providers.State{providers.StateNotStarted, providers.StateExpired},
		Statuses:    conformanceWords(),
		UnknownWord: func(word string) providertest.Edit { return simtest.Fields("status", word) },
		Refusals:    conformanceRefusals(),
		Echoes:      map[string]providertest.Edit{"order": simtest.Fields("order_id", "another-order")},
		Callbacks:   conformanceCallbacks(),
	}
}

// conformanceWords (Orange Money Web Payment, transactionstatus: status).
func conformanceWords() []providertest.Word {
	words := []providertest.Word{
		{Name: "INITIATED", State: providers.StateNotStarted},
		{Name: "PENDING", State: providers.StatePending},
		{Name: "SUCCESS", State: providers.StateSucceeded},
		{Name: "FAILED", State: providers.StateFailed, Failure: providers.FailureProviderRefused},
		{Name: "EXPIRED", State: providers.StateExpired},
	}
	for i, w := range words {
		words[i].Answer = simtest.Fields("status", w.Name)
	}
	status200 := func(a providers.Answer) providers.Answer { a.Status = 200; return a }
	return append(words, providertest.Word{Name: "SUCCESS with 200", Answer: status200, State: providers.StateSucceeded})
}

// conformanceRefusals (Orange Money Web Payment, error codes; Orange Developer,
// API errors).
func conformanceRefusals() []providertest.Refusal {
	var out []providertest.Refusal
	add := func(op providertest.Op, status, code int, class providers.Class) {
		body := ""
		if code != 0 {
			body = fmt.Sprintf(`{"code":%d,"message":"no","description":"no"}`, code)
		}
		out = append(out, providertest.Refusal{
			Name: fmt.Sprintf("%s %d %d", op, status, code), Op: op, Answer: providertest.JSON(status, body), Class: class,
			Field: map[int]string{1202: "merchant_key", 1203: "currency"}[code],
		})
	}
	for _, row := range []struct {
		status, code int
		class        providers.Class
	}{
		{400, 21, providers.ClassRejected}, {400, 22, providers.ClassRejected},
		{400, 23, providers.ClassRejected}, {400, 24, providers.ClassRejected},
		{401, 40, providers.ClassMisconfigured}, {401, 41, providers.ClassMisconfigured}, {401, 42, providers.ClassMisconfigured},
		{403, 50, providers.ClassMisconfigured}, {403, 1201, providers.ClassRejected},
		{403, 1202, providers.ClassMisconfigured}, {403, 1203, providers.ClassMisconfigured}, {403, 1204, providers.ClassAlreadyExists},
		{404, 60, providers.ClassMisconfigured}, {405, 61, providers.ClassMisconfigured}, {406, 62, providers.ClassMisconfigured},
		{429, 53, providers.ClassThrottled}, {429, 0, providers.ClassThrottled},
		{500, 1, providers.ClassUnknown}, {503, 5, providers.ClassUnknown},
		// A code that is not documented says nothing, whatever the status.
		{400, 99, providers.ClassUnknown}, {403, 1299, providers.ClassUnknown},
	} {
		add(providertest.OpInitiate, row.status, row.code, row.class)
		asked := row.class
		if asked == providers.ClassRejected || asked == providers.ClassAlreadyExists {
			asked = providers.ClassUnknown // a question is not rejected
		}
		add(providertest.OpStatus, row.status, row.code, asked)
	}
	add(providertest.OpPrepare, 401, 41, providers.ClassMisconfigured)
	add(providertest.OpPrepare, 406, 62, providers.ClassMisconfigured)
	add(providertest.OpPrepare, 429, 53, providers.ClassThrottled)
	add(providertest.OpPrepare, 503, 5, providers.ClassNotSent) // no token, so nothing was sent
	return out
}

// conformanceCallbacks: what proves the sender is the notif_token, which has no
// age (Orange Money Web Payment, notification).
func conformanceCallbacks() *providertest.Callbacks {
	notification := func(token string) []byte {
		body, _ := json.Marshal(map[string]string{"status": "SUCCESS", "notif_token": token, "txnid": "MP150709.1341.A00073"})
		return body
	}
	forged := func(body []byte) func(providers.CallbackRequest) providers.CallbackRequest {
		return func(cb providers.CallbackRequest) providers.CallbackRequest { cb.Body = body; return cb }
	}
	return &providertest.Callbacks{
		Body: func(p providertest.Payment) []byte { return notification(p.Initiation.NotificationToken.Reveal()) },
		Prove: func(body []byte, p providertest.Payment, _ time.Time) providers.CallbackRequest {
			return providers.CallbackRequest{Body: body, TokenHash: providers.HashToken(p.Initiation.NotificationToken)}
		},
		Forgeries: map[string]func(providers.CallbackRequest) providers.CallbackRequest{
			"no token":    forged([]byte(`{"status":"SUCCESS"}`)),
			"empty token": forged(notification("")),
			"other token": forged(notification("a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4")),
			"token twice": forged([]byte(`{"status":"SUCCESS","notif_token":"x","notif_token":"y"}`)),
			"nothing known, nothing sent": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.TokenHash, cb.Body = "", []byte(`{"status":"SUCCESS"}`)
				return cb
			},
			"nothing known": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.TokenHash = ""
				return cb
			},
			"the hash as the token": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.Body = notification(cb.TokenHash)
				return cb
			},
		},
	}
}
