package providertest_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wire"
	"mobilemoney.dev/operator/providers/providertest"
)

// The planted faults make properties fail on purpose: they need no shrinking,
// and leave no files.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// variant of the bank: all that a provider can be, between the three.
type variant struct {
	recovery providers.Recovery
	refunds  providers.RefundMode
}

var variants = []variant{
	{providers.RecoverByReference, providers.RefundPartial},
	{providers.RecoverBySearch, providers.RefundWhole},
	{providers.RecoverByRepeat, providers.RefundWhole},
}

func (v variant) String() string { return fmt.Sprint(v.recovery, " ", v.refunds) }

// further faults of a rule, besides the one that has its name.
var further = map[string][]string{
	"stateless":         {"stateless Cancel", "stateless Refund", "stateless RefundStatus"},
	"expires-at":        {"expires-at too late"},
	"echo":              {"echo of a failure", "echo of a failure dropped"},
	"callback-replayed": {"callback-replayed ahead"},
	"callback-secrets":  {"callback-secrets last", "callback-secrets any"},
}

func TestSoundProviderKeepsEveryRule(t *testing.T) {
	kept := map[string]bool{}
	for _, v := range variants {
		factory := v.factory("")
		for _, rule := range providertest.Applicable(t, factory) {
			kept[rule.Name] = true
		}
		t.Run(v.String(), func(t *testing.T) { providertest.Run(t, factory) })
	}
	for _, rule := range providertest.Rules() {
		if !kept[rule.Name] {
			t.Errorf("%s applies to no variant", rule.Name)
		}
	}
}

// Each rule finds the faults that are planted for it, in every variant that the
// rule applies to.
func TestEveryRuleHasTeeth(t *testing.T) {
	sources, err := os.ReadFile("client_test.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds, err := os.ReadFile("faulty_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range further {
		if !slices.ContainsFunc(providertest.Rules(), func(r providertest.Rule) bool { return r.Name == name }) {
			t.Errorf("%s is no rule", name)
		}
	}
	for _, rule := range providertest.Rules() {
		if !strings.Contains(string(sources)+string(kinds), `"`+rule.Name+`"`) {
			t.Errorf("%s has no planted fault", rule.Name)
		}
		t.Run(rule.Name, func(t *testing.T) {
			for _, fault := range append([]string{rule.Name}, further[rule.Name]...) {
				if bites(t, rule.Name, fault) == 0 {
					t.Errorf("it applies to nothing")
				}
			}
		})
	}
}

// bites fails the test unless the rule finds the fault, and counts the variants
// that it applies to.
func bites(t *testing.T, rule, fault string) (n int) {
	for _, v := range variants {
		factory := v.factory(fault)
		for _, applicable := range providertest.Applicable(t, factory) {
			if applicable.Name == rule {
				n++
				if r := record(t, applicable, factory); !r.failed {
					t.Errorf("%s: %q is not found", v, fault)
				}
			}
		}
	}
	return n
}

func TestRulesAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, rule := range providertest.Rules() {
		if names[rule.Name] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(rule.Name) || !strings.HasSuffix(rule.Says, ".") {
			t.Errorf("%q: %q", rule.Name, rule.Says)
		}
		names[rule.Name] = true
		want := "//   - " + rule.Name + ": " + rule.Says
		if !strings.Contains(string(doc), want+"\n") {
			t.Errorf("doc.go lacks\n%s", want)
		}
	}
}

// recorder is a test that only notes whether it failed.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

// record runs a rule where it may fail.
func record(t *testing.T, rule providertest.Rule, factory providertest.Factory) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		rule.Check(r, factory)
	}()
	<-done
	return r
}

func (r *recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Helper()                  {}
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Context() context.Context { return context.Background() }
func (r *recorder) Log(...any)               {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Error(...any)             { r.Fail() }
func (r *recorder) Errorf(string, ...any)    { r.Fail() }
func (r *recorder) Fatal(...any)             { r.FailNow() }
func (r *recorder) Fatalf(string, ...any)    { r.FailNow() }
func (r *recorder) FailNow()                 { r.Fail(); runtime.Goexit() }

// factory of banks whose client has a fault.
func (v variant) factory(fault string) providertest.Factory {
	return func(providertest.T) providertest.Fixture {
		return &bank{
			recovery: v.recovery, refunds: v.refunds, facts: facts(v, fault),
			at: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), tokens: map[string]time.Time{}, given: map[string]refund{},
		}
	}
}

func kind(v variant, fault string) providers.Kind {
	believed := &sync.Map{}
	traits := providers.Traits{Flow: providers.FlowRedirect, Recovery: v.recovery, CanCancel: true, Refund: v.refunds, SessionLife: sessionLife}
	if v.recovery == providers.RecoverByReference {
		traits.Flow, traits.NeedsPayer = providers.FlowPush, true
	}
	derive := func(rule string) func([32]byte) string {
		return func(d [32]byte) string {
			if fault == rule {
				return hex.EncodeToString(d[:1])
			}
			return hex.EncodeToString(d[:16])
		}
	}
	k := providers.Kind{
		CredentialKeys: []string{"user", "secret"}, RefundCredentialKeys: []string{"refundUser", "refundSecret"},
		Traits: traits, Callbacks: parser{fault, believed}, Reference: derive("references"),
		Endpoint: func(a providers.Account) (providers.Account, error) {
			a.BaseURL = host
			return a, wire.CheckEnvironment(a.Environment)
		},
		WireMoney: func(_ providers.Account, m providers.Money) (providers.Money, error) {
			if fault == "amounts" {
				return m, nil
			}
			return wire.RealMoney(m, 2, "")
		},
	}
	if v.refunds == providers.RefundPartial {
		k.RefundReference = derive("refund-references")
	}
	k.New = func(a providers.Account, t providers.Transport, now func() time.Time) (providers.Provider, error) {
		if _, err := k.Endpoint(a); err != nil {
			return nil, err
		}
		if err := wire.CheckCredentials(a.Credentials, k.CredentialKeys...); err != nil && fault != "account" {
			return nil, err
		}
		c := &client{fault: fault, traits: traits, account: a, send: t, now: now, believed: believed}
		c.payments = c.tokens("/token", "user", "secret")
		if wire.HasAny(a.Credentials, k.RefundCredentialKeys...) {
			c.refunds = c.tokens("/refund-token", "refundUser", "refundSecret")
		}
		return c, nil
	}
	return k
}

func facts(v variant, fault string) providertest.Facts {
	set := func(name string, value any) providertest.Edit { return providertest.Set(map[string]any{name: value}) }
	word := func(w string) providertest.Edit { return set("Word", w) }
	form := regexp.MustCompile(`^[0-9a-f]{2,32}$`)
	no := func(op providertest.Op, status int, code string, class providers.Class, failure providers.FailureReason) providertest.Refusal {
		return providertest.Refusal{
			Name: fmt.Sprint(op, status, code), Op: op, Class: class, Failure: failure,
			Answer: providertest.JSON(status, `{"code":"`+code+`"}`),
		}
	}
	echoes := map[string]providertest.Edit{
		"amount": set("Amount", "1"), "currency": set("Currency", "XAF"), "reference": set("Ref", "another"),
	}
	return providertest.Facts{
		Kind: kind(v, fault),
		Account: providers.Account{Environment: providers.Production, Credentials: map[string]providers.Secret{
			"user": "payments-user", "secret": "payments-secret", "refundUser": "refunds-user", "refundSecret": "refunds-secret",
		}},
		Request: providers.InitiateRequest{
			Money: providers.Money{Amount: "5000.50", Currency: "EUR"}, Payer: "+2250501020304", CallbackURL: "https://hooks.example/canary-path",
		},
		Role: func(c providers.Call) providertest.Role {
			return map[string]providertest.Role{
				"POST " + host + "/token": providertest.RoleToken, "POST " + host + "/refund-token": providertest.RoleToken,
				"POST " + host + "/pay": providertest.RoleMoney, "POST " + host + "/refund": providertest.RoleRefund,
			}[c.Method+" "+c.URL]
		},
		Reference: form, RefundReference: form,
		Accepts: map[string]int{"XOF": 0, "XAF": 0, "GNF": 0, "EUR": 2, "GMD": 2},
		Refused: []providers.State{providers.StateFailed}, Expired: []providers.State{providers.StateExpired},
		Statuses: []providertest.Word{
			{Name: "waiting", Answer: word("waiting"), State: providers.StatePending},
			{Name: "paid", Answer: word("paid"), State: providers.StateSucceeded},
			{Name: "refused", Answer: word("refused"), State: providers.StateFailed, Failure: providers.FailurePayerDeclined},
			{Name: "over", Answer: word("over"), State: providers.StateExpired},
			{Name: "cancelled", Answer: word("cancelled"), State: providers.StateCancelled},
		},
		RefundStatuses: []providertest.Word{
			{Name: "given", Answer: word("given"), State: providers.StateSucceeded},
			{Name: "none", Answer: word("none"), State: providers.StatePending},
			{Name: "failed", Answer: word("failed"), State: providers.StateFailed, Failure: providers.FailureProviderRefused},
		},
		UnknownWord: word, UnknownRefundWord: word,
		Refusals: []providertest.Refusal{
			no(providertest.OpInitiate, 400, "no-funds", providers.ClassRejected, providers.FailureInsufficientFunds),
			no(providertest.OpInitiate, 409, "exists", providers.ClassAlreadyExists, ""),
			no(providertest.OpStatus, 404, "unknown", providers.ClassNotFound, ""),
			no(providertest.OpCancel, 409, "over", providers.ClassAlreadyExists, ""),
			no(providertest.OpPrepare, 401, "credentials", providers.ClassMisconfigured, ""),
			no(providertest.OpPrepareRefund, 401, "credentials", providers.ClassMisconfigured, ""),
		},
		Echoes: echoes, RefundEchoes: echoes,
		Callbacks: callbacks(),
	}
}

func callbacks() *providertest.Callbacks {
	return &providertest.Callbacks{
		Window: 5 * time.Minute, Ahead: time.Minute, EventIDs: true,
		Secrets: []providers.Secret{callbackSecret, "another-callback-secret", "third-callback-secret"},
		Body: func(p providertest.Payment) []byte {
			body, _ := json.Marshal(map[string]string{"Event": "event-1", "Word": "paid", "Ref": p.Request.Reference})
			return body
		},
		Prove: func(body []byte, _ providertest.Payment, at time.Time) providers.CallbackRequest {
			return providers.CallbackRequest{
				Body: body, Secrets: []providers.Secret{callbackSecret}, Header: http.Header{"X-Proof": {proof(at, callbackSecret, body)}},
			}
		},
		Forgeries: map[string]func(providers.CallbackRequest) providers.CallbackRequest{
			"other secret": func(cb providers.CallbackRequest) providers.CallbackRequest {
				cb.Header = http.Header{"X-Proof": {proof(cb.Now, "guess", cb.Body)}}
				return cb
			},
		},
	}
}
