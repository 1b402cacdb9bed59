package mtn_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

// The sections (§) are those of the project's protocol notes, which
// docs/providers.md reproduces: each row of their tables is a case here.

func TestProtocolTargetEnvironments(t *testing.T) {
	for _, word := range []string{
		"mtnivorycoast", "mtnbenin", "mtnguineaconakry", "mtncameroon", "mtnghana", "mtncongo", "mtnuganda", "mtnrwanda",
		"mtnzambia", "mtnliberia", "mtnsouthafrica", "mtnswaziland", "mtnsouthsudan", "mtnnigeria",
	} {
		for _, platform := range []string{"", "https://proxy.momoapi.mtn.com", "https://momoapi.momo.africa"} {
			a := providers.Account{Environment: providers.Production, TargetEnvironment: word, BaseURL: platform}
			if got, err := mtn.Kind().Endpoint(a); err != nil || got.TargetEnvironment != word {
				t.Errorf("§2.1 %s at %q: %+v, %v", word, platform, got, err)
			}
		}
	}
}

func TestProtocolErrors(t *testing.T) {
	momo := func(code string) string { return `{"message":"canary","code":"` + code + `"}` }
	gateway := `{"statusCode":0,"message":"canary"}`
	wait := map[string]string{"Retry-After": "17"}
	is := func(class providers.Class, status int, code string) providers.Error {
		return providers.Error{Class: class, HTTPStatus: status, Code: code}
	}
	failing := func(e providers.Error, why providers.FailureReason) providers.Error {
		e.Failure = why
		return e
	}
	waiting := func(e providers.Error) providers.Error {
		e.RetryAfter = 17 * time.Second
		return e
	}
	throttled := waiting(is(providers.ClassThrottled, 429, ""))
	misconfigured, rejected, unknown := providers.ClassMisconfigured, providers.ClassRejected, providers.ClassUnknown

	for _, tt := range []struct {
		section, row string
		calls        map[string]call
		answer       answer
		want         providers.Error
	}{
		{"§2.3", "400, no code: bad header or body", posts(), answer{Status: 400}, is(rejected, 400, "")},
		{"§2.3", "400 to a question", gets(), answer{Status: 400}, is(unknown, 400, "")},
		{"§2.3", "401 gateway: wrong subscription key", posts(), answer{Status: 401, Body: gateway}, is(misconfigured, 401, "")},
		{"§2.3", "401 error: token invalid", posts(), answer{Status: 401, Body: `{"error":"canary"}`}, is(misconfigured, 401, "")},
		{"§2.3", "401 to a question", gets(), answer{Status: 401, Body: gateway}, is(misconfigured, 401, "")},
		{"§2.3", "403 gateway: product not enabled, address not listed", posts(), answer{Status: 403, Body: gateway}, is(misconfigured, 403, "")},
		{"§2.3", "403 page of a firewall", posts(), answer{Status: 403, Body: `<html>Request Rejected</html>`}, is(misconfigured, 403, "")},
		{"§2.3", "403 to a question", gets(), answer{Status: 403, Body: gateway}, is(misconfigured, 403, "")},
		{"§2.3", "404 on GET, RESOURCE_NOT_FOUND", gets(), answer{Status: 404, Body: momo("RESOURCE_NOT_FOUND")}, is(providers.ClassNotFound, 404, "RESOURCE_NOT_FOUND")},
		{"§2.3", "409 RESOURCE_ALREADY_EXIST", posts(), answer{Status: 409, Body: momo("RESOURCE_ALREADY_EXIST")}, is(providers.ClassAlreadyExists, 409, "RESOURCE_ALREADY_EXIST")},
		{"§2.3", "500 INVALID_CALLBACK_URL_HOST", posts(), answer{Status: 500, Body: momo("INVALID_CALLBACK_URL_HOST")}, is(misconfigured, 500, "INVALID_CALLBACK_URL_HOST")},
		{"§2.3", "500 INVALID_CURRENCY", posts(), answer{Status: 500, Body: momo("INVALID_CURRENCY")}, is(misconfigured, 500, "INVALID_CURRENCY")},
		{"§2.3", "500 NOT_ALLOWED", posts(), answer{Status: 500, Body: momo("NOT_ALLOWED")}, is(misconfigured, 500, "NOT_ALLOWED")},
		{"§2.3", "500 NOT_ALLOWED_TARGET_ENVIRONMENT", posts(), answer{Status: 500, Body: momo("NOT_ALLOWED_TARGET_ENVIRONMENT")}, is(misconfigured, 500, "NOT_ALLOWED_TARGET_ENVIRONMENT")},
		{"§2.3", "500 PAYER_NOT_FOUND", posts(), answer{Status: 500, Body: momo("PAYER_NOT_FOUND")}, failing(is(rejected, 500, "PAYER_NOT_FOUND"), providers.FailurePayerNotFound)},
		{"§2.3", "500 PAYEE_NOT_ALLOWED_TO_RECEIVE", posts(), answer{Status: 500, Body: momo("PAYEE_NOT_ALLOWED_TO_RECEIVE")}, failing(is(rejected, 500, "PAYEE_NOT_ALLOWED_TO_RECEIVE"), providers.FailureNotAllowed)},
		{"§2.3", "500 INTERNAL_PROCESSING_ERROR", posts(), answer{Status: 500, Body: momo("INTERNAL_PROCESSING_ERROR")}, is(unknown, 500, "INTERNAL_PROCESSING_ERROR")},
		{"§2.3", "503 SERVICE_UNAVAILABLE", posts(), answer{Status: 503, Body: momo("SERVICE_UNAVAILABLE"), Header: wait}, waiting(is(unknown, 503, "SERVICE_UNAVAILABLE"))},
		{"§2.3", "503 to a question", gets(), answer{Status: 503}, is(unknown, 503, "")},
		{"§2.3", "429 gateway", posts(), answer{Status: 429, Body: gateway, Header: wait}, throttled},
		{"§2.3", "429 gateway to a question", gets(), answer{Status: 429, Body: gateway, Header: wait}, throttled},
	} {
		for op, do := range tt.calls {
			t.Run(tt.section+" "+tt.row+", "+op, func(t *testing.T) {
				script := []answer{tokenAnswer, tt.answer}
				if _, question := gets()[op]; question && tt.answer.Status == 401 { // the token is replaced, once
					script = append(script, tokenAnswer2, tt.answer)
				}
				p, s, _ := client(t, script...)
				check(t, do(t.Context(), p), tt.want)
				if n := len(s.Requests()); n != len(script) {
					t.Errorf("%d requests, want %d", n, len(script))
				}
			})
		}
	}
}

func TestProtocolStatus(t *testing.T) {
	state := func(s providers.State, code string) providers.Status { return providers.Status{State: s, Code: code} }
	failed := func(code string, why providers.FailureReason) providers.Status {
		return providers.Status{State: providers.StateFailed, Code: code, Failure: why}
	}
	object := `"status":"FAILED","reason":{"code":"EXPIRED","message":"canary"}`
	for _, tt := range []struct {
		section, row, body string
		want               providers.Status
	}{
		{"§2.5", "SUCCESSFUL", `"status":"SUCCESSFUL"`, state(providers.StateSucceeded, "SUCCESSFUL")},
		{"§2.5", "FAILED, EXPIRED", `"status":"FAILED","reason":"EXPIRED"`, state(providers.StateExpired, "EXPIRED")},
		{"§2.5", "FAILED, EXPIRED as an object", object, state(providers.StateExpired, "EXPIRED")},
		{"§2.5", "FAILED, COULD_NOT_PERFORM_TRANSACTION", `"status":"FAILED","reason":"COULD_NOT_PERFORM_TRANSACTION"`, state(providers.StateExpired, "COULD_NOT_PERFORM_TRANSACTION")},
		{"§2.5", "FAILED, anything else", `"status":"FAILED","reason":"INTERNAL_PROCESSING_ERROR"`, failed("INTERNAL_PROCESSING_ERROR", providers.FailureProviderRefused)},
		{"§2.5", "FAILED, unknown word", `"status":"FAILED","reason":"a new word"`, failed("anewword", providers.FailureProviderRefused)},
		{"§2.5", "FAILED, no reason", `"status":"FAILED"`, failed("FAILED", providers.FailureProviderRefused)},
		{"§2.5", "CREATED", `"status":"CREATED"`, state(providers.StatePending, "CREATED")},
		{"§2.5", "PENDING", `"status":"PENDING"`, state(providers.StatePending, "PENDING")},
		{"§2.5", "unknown status", `"status":"EXPIRED"`, providers.Status{State: providers.StatePending, Code: "EXPIRED", Unrecognized: true}},
	} {
		t.Run(tt.section+" "+tt.row, func(t *testing.T) { checkStatus(t, "{"+tt.body+"}", tt.want) })
	}
	// An error says nothing about the payment: it is none of the classes that
	// decide one.
	for status := 400; status < 600; status++ {
		for op, ask := range gets() {
			script := []answer{tokenAnswer, {Status: status}, tokenAnswer2, {Status: status}}
			p, _, _ := client(t, script...)
			if class := providers.ClassOf(ask(t.Context(), p)); class == providers.ClassRejected || class == providers.ClassAlreadyExists {
				t.Errorf("§2.5 HTTP %d on the query, %s: %s", status, op, class)
			}
		}
	}
}

// A word without a mapping is never an end.
func TestProtocolUnknownWords(t *testing.T) {
	known := map[string]bool{"SUCCESSFUL": true, "FAILED": true, "CREATED": true, "PENDING": true}
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.OneOf(
			rapid.StringMatching(`[A-Za-z_]{0,70}`),
			rapid.SampledFrom([]string{"successful", "SUCCESSFUL ", "SUCCESS", "SUCCEEDED", "REJECTED", "TIMEOUT", "ONGOING", "DELAYED", "CANCELLED"}),
		).Filter(func(w string) bool { return !known[w] }).Draw(rt, "word")
		reason := rapid.SampledFrom([]string{"", `,"reason":"EXPIRED"`, `,"reason":"APPROVAL_REJECTED"`}).Draw(rt, "reason")
		checkStatus(t, `{"status":"`+word+`"`+reason+`}`,
			providers.Status{State: providers.StatePending, Code: providers.SafeCode(word), Unrecognized: true})
	})
}

// sandbox is the simulator in the role of MTN's sandbox, with a clock of its own.
func sandbox(t *testing.T, refuseAtPost bool) (*mtn.Provider, func(time.Duration)) {
	t.Helper()
	clock := simulator.NewClock(time.Unix(1_790_000_000, 0))
	sim, err := simulator.New(simulator.Options{Now: clock.Now, Rand: simulator.Seeded(1), MTN: simulator.MTNOptions{RefuseAtPost: refuseAtPost}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sim.Close() })
	if _, err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := mtn.Kind().New(providers.Account{
		BaseURL: sim.MTNURL(), Environment: providers.Sandbox,
		Credentials: map[string]providers.Secret{
			mtn.KeySubscription: simulator.DefaultMTNSubscriptionKey, mtn.KeyUserID: simulator.DefaultMTNUser, mtn.KeyAPISecret: simulator.DefaultMTNKey,
			mtn.KeyDisbursementSubscription: simulator.DefaultMTNDisbursementSubscriptionKey,
			mtn.KeyDisbursementUserID:       simulator.DefaultMTNDisbursementUser, mtn.KeyDisbursementAPISecret: simulator.DefaultMTNDisbursementKey,
		},
	}, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*mtn.Provider), func(d time.Duration) {
		clock.Add(d)
		sim.Tick()
	}
}

// sandboxRow is one of the payers, or of the references of refunds, that MTN
// publishes for its sandbox.
type sandboxRow struct {
	section, row, name string
	undecided          bool // after 40 s
	end                providers.Status
	refusedAs          providers.Class // if it is refused at the POST
}

// run asks for money to move, and how that went, at a simulator that refuses at
// the POST and at one that does not: nobody recorded what MTN does, so both must
// end well.
func (tt sandboxRow) run(t *testing.T, do func(*mtn.Provider) error, ask func(*mtn.Provider) (providers.Status, error)) {
	for refuseAtPost, variant := range map[bool]string{true: "refused at the POST", false: "taken"} {
		t.Run(tt.section+" "+tt.row+", "+variant, func(t *testing.T) {
			p, pass := sandbox(t, refuseAtPost)
			err := do(p)
			if refuseAtPost && tt.refusedAs != "" {
				if providers.ClassOf(err) != tt.refusedAs || providers.AsError(err).Code != tt.end.Code {
					t.Errorf("refused: %v", err)
				}
				if _, err := ask(p); providers.ClassOf(err) != providers.ClassNotFound {
					t.Errorf("and still known: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			pass(40 * time.Second)
			if tt.undecided {
				if got, err := ask(p); err != nil || got.State != providers.StatePending {
					t.Errorf("after 40 s: %+v, %v", got, err)
				}
				pass(time.Minute)
			}
			got, err := ask(p)
			if got.State == providers.StateSucceeded && got.TransactionID == "" {
				t.Errorf("no name for the movement: %+v", got)
			}
			got.Money, got.Reference, got.TransactionID = providers.Money{}, "", ""
			if err != nil || got != tt.end {
				t.Errorf("%+v, %v; want %+v", got, err, tt.end)
			}
		})
	}
}

func failedAs(code string, why providers.FailureReason) providers.Status {
	return providers.Status{State: providers.StateFailed, Code: code, Failure: why}
}

func TestProtocolSandboxPayers(t *testing.T) {
	expired := func(code string) providers.Status {
		return providers.Status{State: providers.StateExpired, Code: code}
	}
	paid := providers.Status{State: providers.StateSucceeded, Code: "SUCCESSFUL"}
	refused := providers.FailureProviderRefused
	misconfigured, rejected, unknown := providers.ClassMisconfigured, providers.ClassRejected, providers.ClassUnknown
	for _, tt := range []sandboxRow{
		{"§2.9", "450 failed", "+46733123450", false, failedAs("INTERNAL_PROCESSING_ERROR", refused), ""},
		{"§2.9", "451 rejected", "+46733123451", false, failedAs("APPROVAL_REJECTED", providers.FailurePayerDeclined), ""},
		{"§2.9", "452 expired", "+46733123452", false, expired("EXPIRED"), ""},
		{"§2.9", "453 ongoing", "+46733123453", true, expired("EXPIRED"), ""},
		{"§2.9", "454 delayed", "+46733123454", false, paid, ""},
		{"§2.9", "455 payer not found", "+46733123455", false, failedAs("PAYER_NOT_FOUND", providers.FailurePayerNotFound), rejected},
		{"§2.9", "456 payee not allowed to receive", "+46733123456", false, failedAs("PAYEE_NOT_ALLOWED_TO_RECEIVE", providers.FailureNotAllowed), rejected},
		{"§2.9", "457 not allowed", "+46733123457", false, failedAs("NOT_ALLOWED", providers.FailureNotAllowed), misconfigured},
		{"§2.9", "458 not allowed target environment", "+46733123458", false, failedAs("NOT_ALLOWED_TARGET_ENVIRONMENT", providers.FailureNotAllowed), misconfigured},
		{"§2.9", "459 invalid callback host", "+46733123459", false, failedAs("INVALID_CALLBACK_URL_HOST", refused), misconfigured},
		{"§2.9", "460 invalid currency", "+46733123460", false, failedAs("INVALID_CURRENCY", refused), misconfigured},
		{"§2.9", "461 internal error", "+46733123461", false, failedAs("INTERNAL_PROCESSING_ERROR", refused), unknown},
		{"§2.9", "462 service unavailable", "+46733123462", false, failedAs("SERVICE_UNAVAILABLE", refused), unknown},
		{"§2.9", "463 could not perform", "+46733123463", false, expired("COULD_NOT_PERFORM_TRANSACTION"), unknown},
		{"§2.9", "464 transfer type unknown", "+46733123464", false, failedAs("TRANSFER_TYPE_UNKNOWN", refused), unknown},
		{"§2.9", "any other number", "+46733000001", false, paid, ""},
	} {
		req := inEUR(tt.name)
		req.Payer = providers.Phone(tt.name)
		tt.run(t,
			func(p *mtn.Provider) error { _, err := p.Initiate(t.Context(), req); return err },
			func(p *mtn.Provider) (providers.Status, error) {
				return p.Status(t.Context(), providers.Handle{Reference: req.Reference, Money: req.Money})
			})
	}
}

// The sandbox ends refunds by the reference of the payment that they name.
func TestProtocolSandboxRefunds(t *testing.T) {
	refused := providers.FailureProviderRefused
	misconfigured, unknown := providers.ClassMisconfigured, providers.ClassUnknown
	for _, tt := range []sandboxRow{
		{"§2.9", "refund 1 not found", "1", false, failedAs("TRANSACTION_NOT_FOUND", refused), ""},
		{"§2.9", "refund 2 failed", "2", false, failedAs("INTERNAL_PROCESSING_ERROR", refused), ""},
		{"§2.9", "refund 3 rejected", "3", false, failedAs("APPROVAL_REJECTED", providers.FailurePayerDeclined), ""},
		{"§2.9", "refund 4 expired", "4", false, failedAs("EXPIRED", refused), ""},
		{"§2.9", "refund 5 ongoing", "5", true, failedAs("EXPIRED", refused), ""},
		{"§2.9", "refund 6 delayed", "6", false, providers.Status{State: providers.StateSucceeded, Code: "SUCCESSFUL"}, ""},
		{"§2.9", "refund 7 not allowed", "7", false, failedAs("NOT_ALLOWED", providers.FailureNotAllowed), misconfigured},
		{"§2.9", "refund 8 target environment", "8", false, failedAs("NOT_ALLOWED_TARGET_ENVIRONMENT", providers.FailureNotAllowed), misconfigured},
		{"§2.9", "refund 9 callback host", "9", false, failedAs("INVALID_CALLBACK_URL_HOST", refused), misconfigured},
		{"§2.9", "refund 10 currency", "10", false, failedAs("INVALID_CURRENCY", refused), misconfigured},
		{"§2.9", "refund 11 internal", "11", false, failedAs("INTERNAL_PROCESSING_ERROR", refused), unknown},
		{"§2.9", "refund 12 unavailable", "12", false, failedAs("SERVICE_UNAVAILABLE", refused), unknown},
		{"§2.9", "refund 13 could not perform", "13", false, failedAs("COULD_NOT_PERFORM_TRANSACTION", refused), unknown},
	} {
		req := inEUR("refund " + tt.name)
		h := providers.RefundHandle{Reference: req.Reference, Money: req.Money, Payment: providers.Handle{Reference: tt.name, Money: req.Money}}
		tt.run(t,
			func(p *mtn.Provider) error {
				return p.Refund(t.Context(), providers.RefundRequest{RefundHandle: h})
			},
			func(p *mtn.Provider) (providers.Status, error) { return p.RefundStatus(t.Context(), h) })
	}
}

// inEUR is a request under a reference of that name.
func inEUR(name string) providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: mtn.Kind().Reference(sha256.Sum256([]byte(name))), Money: providers.Money{Amount: "12.5", Currency: "EUR"}, Payer: "+46733000001",
	}
}
