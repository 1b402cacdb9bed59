package mtn_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/simulator"
)

// sandbox is the simulator in the role of MTN's sandbox, with a clock of its own.
func sandbox(t *testing.T, refuseAtPost bool) (*mtn.Provider, func(time.Duration)) {
	t.Helper()
	clock := simulator.NewClock(time.Unix(1_790_000_000, 0))
	sim := simtest.Simulator(t, simulator.Options{Now: clock.Now, Rand: simulator.Seeded(1), MTN: simulator.MTNOptions{RefuseAtPost: refuseAtPost}})
	a := providers.Account{BaseURL: sim.MTNURL(), Environment: providers.Sandbox, Credentials: simtest.MTNCredentials()}
	return simtest.Client(t, mtn.Kind(), a, clock.Now).(*mtn.Provider), func(d time.Duration) {
		clock.Add(d)
		sim.Tick()
	}
}

// sandboxRow is one of the payers, or of the references of refunds, that MTN publishes for its sandbox.
type sandboxRow struct {
	section, row, name string
	undecided          bool // after 40 s
	end                providers.Status
	refusedAs          providers.Class // if it is refused at the POST
}

// run asks for money to move, and how that went, at a simulator that refuses at the POST and at one
// that does not: nobody recorded what MTN does, so both must end well.
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

// K5c: five wrong Secrets are five answers, as the simulator gives them.
func TestDiagnosis_OfWrongSecrets(t *testing.T) {
	sim := simtest.Simulator(t, simulator.Options{Rand: simulator.Seeded(1)})
	const subscription, user, secret = simulator.DefaultMTNSubscriptionKey, simulator.DefaultMTNUser, simulator.DefaultMTNKey
	pair := []string{"userID", "apiSecret"}
	for name, tt := range map[string]struct {
		subscription, user, secret providers.Secret
		code                       string
		says                       []string
	}{
		"wrong user":             {subscription, "00000000-0000-4000-8000-000000000000", secret, "invalid_client", pair},
		"wrong secret":           {subscription, user, "canary", "invalid_client", pair},
		"swapped":                {subscription, secret, user, "invalid_client", append(pair, "userID and apiSecret seem to be swapped")},
		"placeholders":           {"<key of the Collections product>", "<API user>", "<API key of that user>", "", []string{"subscriptionKey", "A placeholder seems to be left in subscriptionKey, userID, apiSecret"}},
		"a placeholder":          {subscription, user, "your-api-key", "invalid_client", append(pair, "left in apiSecret")},
		"blanks and quotes":      {" " + subscription, user, "'canary'", "invalid_client", []string{"remove those in subscriptionKey, apiSecret"}},
		"base64 of base64":       {"c2ltdWxhdG9yLW10bi1zdWJzY3JpcHRpb24ta2V5", user, secret, "", []string{"Encoded in base64 once too often seems to be subscriptionKey"}},
		"key of another product": {simulator.DefaultMTNDisbursementSubscriptionKey, user, secret, "", []string{"subscriptionKey", "no subscription key of the Collection product"}},
	} {
		t.Run("K5c: "+name, func(t *testing.T) {
			p := simtest.Client(t, mtn.Kind(), providers.Account{
				BaseURL: sim.MTNURL(), Environment: providers.Sandbox, Credentials: map[string]providers.Secret{
					mtn.KeySubscription: tt.subscription, mtn.KeyUserID: tt.user, mtn.KeyAPISecret: tt.secret,
				},
			}, wiretest.NewClock().Now)
			want := providers.Error{Operation: providers.OpToken, Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: tt.code, Fault: providers.FaultAccount}
			wiretest.CheckDiagnosis(t, p.(providers.Preparer).Prepare(t.Context()), want, tt.says...)
			wiretest.CheckDiagnosis(t, p.(providers.AccountChecker).CheckAccount(t.Context(), providers.AccountCheck{}), want, tt.says...)
		})
	}
}

// A refusal of MTN's is not final: what it refused with a code it may have processed.
func TestRefusal_MayHaveBeenProcessed(t *testing.T) {
	p, pass := sandbox(t, false)
	req := inEUR("refused")
	req.Money.Amount = "1973" // mtn-no-funds-processed
	_, err := p.Initiate(t.Context(), req)
	wiretest.CheckDiagnosis(t, err, providers.Error{
		Operation: providers.OpInitiate, Class: providers.ClassRejected, HTTPStatus: 500, Code: "NOT_ENOUGH_FUNDS", Fault: providers.FaultPayment, Failure: providers.FailureInsufficientFunds,
	})
	pass(time.Minute)
	h := providers.Handle{Reference: req.Reference, Money: req.Money}
	if got, err := p.Status(t.Context(), h); err != nil || got.State != providers.StateSucceeded || !got.Matches(h) {
		t.Errorf("%+v, %v", got, err)
	}
	if p.Traits().RefusalIsFinal {
		t.Error("so a refusal is not final")
	}
}
