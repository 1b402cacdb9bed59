package account_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

var required = map[string]map[string]string{
	"mtn":    {"subscriptionKey": "MTN_SUBSCRIPTION_KEY", "userID": "MTN_USER_ID", "apiSecret": "MTN_API_SECRET"},
	"orange": {"clientID": "ORANGE_CLIENT_ID", "clientSecret": "ORANGE_CLIENT_SECRET", "merchantKey": "ORANGE_MERCHANT_KEY"},
	"wave":   {"apiKey": "WAVE_API_KEY"},
}

// CredentialsIncomplete names exactly what is missing, by the name under which
// the user knows it.
func TestMissingCredentials(t *testing.T) {
	for provider, keys := range required {
		all := sortedKeys(keys)
		for subset := range 1 << len(all) {
			have, environment := map[string]string{"webhookSecret": canary}, map[string]string{"WAVE_WEBHOOK_SECRET": canary}
			var missing, missingVariables, present []string
			for i, k := range all {
				if subset&(1<<i) != 0 {
					have[k], environment[keys[k]] = canary, canary
					present = append(present, k, keys[k])
				} else {
					// Empty, and nothing but a line break, are missing too.
					have[k], environment[keys[k]] = []string{"", "\n"}[i%2], " \n"
					missing, missingVariables = append(missing, k), append(missingVariables, keys[k])
				}
			}
			f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", have))
			expectMissing(t, f, provider, missing, present, `Secret "`+provider+`-credentials" in this namespace lacks `)

			f = setUp(t).operator(environment)
			if f.Operator[provider].Credentials != nil {
				expectMissing(t, f, provider, missingVariables, present, "the operator's environment lacks ")
			}
		}
	}
}

func expectMissing(t *testing.T, f *fixture, provider string, missing, present []string, prefix string) {
	t.Helper()
	_, err := f.Client(f.ctx, f.resolve(payment("shop", provider)))
	if len(missing) == 0 {
		if err != nil {
			t.Errorf("%s: complete, and %v", provider, err)
		}
		return
	}
	expectProblem(t, err, v1alpha1.ReasonCredentialsIncomplete, append(missing, prefix, "add it")...)
	for _, p := range present {
		if slices.Contains(strings.FieldsFunc(err.Error(), func(r rune) bool { return strings.ContainsRune(" ,;:", r) }), p) {
			t.Errorf("%v names %s, which is there", err, p)
		}
	}
}

func TestNoSecret(t *testing.T) {
	for provider, keys := range required {
		f := setUp(t, merchant("shop", provider, provider))
		_, err := f.Client(f.ctx, f.resolve(payment("shop", provider)))
		expectProblem(t, err, v1alpha1.ReasonCredentialsNotFound, append(sortedKeys(keys), `"`+provider+`-credentials"`, "create it")...)
		a, err := f.ForCallbacks(f.ctx, provider, account.KindNamespaced, "shop", provider)
		must(t, err)
		_, err = f.CallbackSecrets(f.ctx, a)
		expectProblem(t, err, v1alpha1.ReasonCredentialsNotFound)
	}
}

// A credential with a line break in the middle is no credential, and its text is
// in no message.
func TestUnusableCredentials(t *testing.T) {
	f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", map[string]string{"apiKey": canary + "\n" + canary}))
	_, err := f.Client(f.ctx, f.resolve(payment("shop", "wave")))
	expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "apiKey", "line break", "correct the account or its Secret")

	f = setUp(t).operator(map[string]string{"WAVE_API_KEY": canary + "\n" + canary})
	_, err = f.Client(f.ctx, f.resolve(payment("shop", "wave")))
	expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "line break", "WAVE_*")
}

// A line break at the end, as echo and editors leave it, is not part of it; a
// blank may be.
func TestLineBreakAtTheEnd(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"),
		secret("shop", "mtn-credentials", map[string]string{"subscriptionKey": "s\n", "userID": "u\r\n", "apiSecret": "p \n"}))
	must(t, f.client(f.resolve(payment("shop", "mtn"))).Provider.(providers.Preparer).Prepare(f.ctx))
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("u:p "))
	if h := f.wire.calls[0].Header; h.Get("Authorization") != want || h.Get("Ocp-Apim-Subscription-Key") != "s" {
		t.Errorf("%v", h)
	}
}

func TestCallbackSecrets(t *testing.T) {
	for text, want := range map[string][]string{
		"":                           nil,
		" \n\n":                      nil,
		"one":                        {"one"},
		"one\n":                      {"one"},
		"\n new \r\n\nold\n":         {"new", "old"},
		"a b\nc":                     {"a b", "c"},
		"wave_sn_WHS_1\nwave_sn_2\n": {"wave_sn_WHS_1", "wave_sn_2"},
	} {
		f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", map[string]string{"apiKey": "k", "webhookSecret": text})).
			operator(map[string]string{"WAVE_API_KEY": "k", "WAVE_WEBHOOK_SECRET": text})
		for _, kind := range []string{account.KindNamespaced, account.KindOperator} {
			a, err := f.ForCallbacks(f.ctx, "wave", kind, map[string]string{account.KindNamespaced: "shop"}[kind], "wave")
			must(t, err)
			got, err := f.CallbackSecrets(f.ctx, a)
			must(t, err)
			var plain []string
			for _, s := range got {
				plain = append(plain, s.Reveal())
			}
			if !slices.Equal(plain, want) {
				t.Errorf("%q at %s: %q, want %q", text, kind, plain, want)
			}
		}
	}
	// mtn and orange verify by no secret, whatever the Secret holds.
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", map[string]string{"webhookSecret": "x"}))
	a, err := f.ForCallbacks(f.ctx, "mtn", account.KindNamespaced, "shop", "mtn")
	must(t, err)
	if got, err := f.CallbackSecrets(f.ctx, a); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// Payments of one account share a client, and with it one token and one limit.
func TestClientsAreShared(t *testing.T) {
	for _, provider := range []string{"mtn", "orange"} {
		f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", keysOf(provider)))
		first := f.resolve(payment("shop", provider))
		made := charge(payment("shop", provider), first)
		again, err := f.Pinned(f.ctx, made)
		must(t, err)
		for _, a := range []*account.Account{first, f.resolve(payment("shop", provider)), again} {
			c := f.client(a)
			if c != f.client(first) {
				t.Errorf("%s: another client", provider)
			}
			must(t, c.Provider.(providers.Preparer).Prepare(f.ctx))
		}
		if got := f.wire.tokens(); len(got) != 1 {
			t.Errorf("%s: %d tokens", provider, len(got))
		}
	}
}

// New credentials make a new client.
func TestRotation(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	a := f.resolve(payment("shop", "mtn"))
	prepare := func() *account.Client {
		c := f.client(a)
		must(t, c.Provider.(providers.Preparer).Prepare(f.ctx))
		return c
	}
	old := prepare()
	rotated := secret("shop", "mtn-credentials", keysOf("mtn"))
	rotated.Data["apiSecret"] = []byte("new")
	must(t, f.api.Update(f.ctx, rotated))
	fresh := prepare()
	if fresh == old {
		t.Fatal("the old client goes on with the old credentials")
	}
	if prepare() != fresh {
		t.Error("the new client is not kept")
	}
	tokens := f.wire.tokens()
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte(canary+"-user:new"))
	if len(tokens) != 2 || !strings.HasSuffix(tokens[1], want) {
		t.Errorf("%d tokens, the last by the new credentials: %t", len(tokens), strings.HasSuffix(tokens[len(tokens)-1], want))
	}
	if !strings.HasSuffix(tokens[0], base64.StdEncoding.EncodeToString([]byte(canary+"-user:"+canary+"-secret"))) {
		t.Error("the first was not by the old ones")
	}
}

// A new secret for callbacks, or anything else in the Secret, is no new credential:
// a send that may have arrived is repeated with the same credentials only.
func TestRotationOfCallbackSecrets(t *testing.T) {
	for provider := range required {
		f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", keysOf(provider)))
		a := f.resolve(payment("shop", provider))
		before := f.client(a)
		rotated := secret("shop", provider+"-credentials", keysOf(provider))
		rotated.Data["webhookSecret"], rotated.Data["note"] = []byte("new"), []byte("x")
		must(t, f.api.Update(f.ctx, rotated))
		if f.client(a) != before {
			t.Errorf("%s: another client", provider)
		}
	}
}

var disbursement = map[string]string{
	"disbursementSubscriptionKey": "MTN_DISBURSEMENT_SUBSCRIPTION_KEY",
	"disbursementUserID":          "MTN_DISBURSEMENT_USER_ID",
	"disbursementAPISecret":       "MTN_DISBURSEMENT_API_SECRET",
}

// Refunds at MTN have credentials of their own: the client for collecting stays
// the same without them, with some of them and with all.
func TestRefundCredentials(t *testing.T) {
	all := sortedKeys(disbursement)
	for subset := range 1 << len(all) {
		have, environment := keysOf("mtn"), map[string]string{}
		for key, variable := range required["mtn"] {
			environment[variable] = have[key]
		}
		plain := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", have))
		want := plain.client(plain.resolve(payment("shop", "mtn"))).Credentials
		var missing, missingVariables []string
		for i, k := range all {
			if subset&(1<<i) != 0 {
				have[k], environment[disbursement[k]] = canary+k, canary+k
			} else {
				missing, missingVariables = append(missing, k), append(missingVariables, disbursement[k])
			}
		}
		for _, f := range []*fixture{
			setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", have)),
			setUp(t).operator(environment),
		} {
			a := f.resolve(payment("shop", "mtn"))
			if got := f.client(a); got.Credentials != want || f.client(a) != got {
				t.Errorf("with %d: another client for collecting", subset)
			}
			lacks := missing
			if a.Pin.Kind == account.KindOperator {
				lacks = missingVariables
			}
			c, err := f.RefundClient(f.ctx, a)
			if len(lacks) > 0 {
				expectProblem(t, err, v1alpha1.ReasonRefundNotConfigured, append(lacks, "add it")...)
				continue
			}
			must(t, err)
			must(t, c.Provider.(providers.RefundPreparer).PrepareRefund(f.ctx))
			user := canary + "disbursementUserID:" + canary + "disbursementAPISecret"
			tokens := f.wire.tokens()
			if c == f.client(a) || len(tokens) != 1 || tokens[0] != a.Pin.BaseURL+"/disbursement/token/ Basic "+base64.StdEncoding.EncodeToString([]byte(user)) {
				t.Errorf("tokens: %d", len(tokens))
			}
		}
	}
	// Where refunds have no credentials of their own, the client is the same.
	f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", keysOf("wave")))
	a := f.resolve(payment("shop", "wave"))
	if c, err := f.RefundClient(f.ctx, a); err != nil || c != f.client(a) {
		t.Errorf("%v", err)
	}
}

// What is optional is used if it is there, and makes no difference if it is not:
// the hash of an account's credentials must not change with the operator.
func TestOptionalCredentials(t *testing.T) {
	for text, signs := range map[string]bool{"": false, "\n": false, "wave_sn_AKS_1\n": true} {
		have := keysOf("wave")
		plain := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", have))
		want := plain.client(plain.resolve(payment("shop", "wave"))).Credentials
		if golden := sha256.Sum256([]byte("6:apiKey10:" + canary + "-key")); want != golden {
			t.Error("the hash of an account with nothing optional has changed")
		}
		have["signingSecret"] = text
		for _, f := range []*fixture{
			setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", have)),
			setUp(t).operator(map[string]string{"WAVE_API_KEY": have["apiKey"], "WAVE_SIGNING_SECRET": text}),
		} {
			c := f.client(f.resolve(payment("shop", "wave")))
			_ = c.Provider.(providers.AccountChecker).CheckAccount(f.ctx, providers.AccountCheck{})
			if signed := f.wire.calls[0].Header.Get("Wave-Signature") != ""; signed != signs || (c.Credentials == want) == signs {
				t.Errorf("%q: signed %t", text, signed)
			}
		}
	}
}

// What moves from one key to the next makes other credentials.
func TestCredentialsAreToldApart(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", map[string]string{"subscriptionKey": "s", "userID": "ab", "apiSecret": "c"}))
	a := f.resolve(payment("shop", "mtn"))
	first := f.client(a)
	for _, keys := range []map[string]string{
		{"subscriptionKey": "sa", "userID": "b", "apiSecret": "c"}, // the same text in a row
		{"subscriptionKey": "s", "userID": "a", "apiSecret": "bc"},
		{"subscriptionKey": "s", "userID": "c", "apiSecret": "ab"},
		{"subscriptionKey": "s1", "userID": "ab", "apiSecret": "c"},
	} {
		must(t, f.api.Update(f.ctx, secret("shop", "mtn-credentials", keys)))
		if c := f.client(a); c == first {
			t.Errorf("%v share the client", keys)
		} else {
			first = c
		}
	}
}

// The same credentials in two accounts, or at two endpoints, are two clients: a
// token of one is not shown to the other.
func TestClientsAreNotSharedAcross(t *testing.T) {
	at := func(base string) func(*v1alpha1.MerchantAccountSpec) {
		return func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = base }
	}
	f := setUp(t,
		merchant("shop", "mtn", "mtn"), merchant("shop", "second", "mtn"), merchant("shop", "third", "mtn", at("https://sim.example:8443")),
		merchant("bakery", "mtn", "mtn"), cluster("mtn", "mtn", names("shop")),
		secret("shop", "mtn-credentials", keysOf("mtn")), secret("bakery", "mtn-credentials", keysOf("mtn")), secret(operatorNamespace, "mtn-credentials", keysOf("mtn")),
	)
	seen := map[*account.Client]string{}
	for _, p := range []*v1alpha1.Payment{
		payment("shop", "mtn"), payment("shop", "mtn", through("MerchantAccount", "second")), payment("shop", "mtn", through("MerchantAccount", "third")),
		payment("bakery", "mtn"), payment("shop", "mtn", through("ClusterMerchantAccount", "mtn")),
	} {
		a := f.resolve(p)
		c := f.client(a)
		if other, ok := seen[c]; ok {
			t.Errorf("%s shares its client with %s", a.Identity(), other)
		}
		seen[c] = a.Identity()
	}
	edited := f.resolve(payment("shop", "mtn"))
	edited.Pin.TargetEnvironment = "Sandbox"
	if _, ok := seen[f.client(edited)]; ok {
		t.Error("another target environment shares a client")
	}
}

// MTN allows 10 status calls a second to an account; we make 8.
func TestReserve(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	c := f.client(f.resolve(payment("shop", "mtn")))
	made := 0
	for end := f.now.Add(10 * time.Second); f.now.Before(end); f.now = f.now.Add(time.Millisecond) {
		// Those who come back too soon are told to wait for the rest, and no more.
		for _, who := range []string{"a", "b", "c"} {
			if wait := c.Reserve(who); wait == 0 {
				made++
			} else if wait < 0 || wait > 3*125*time.Millisecond {
				t.Fatalf("told to wait for %s", wait)
			}
		}
	}
	if made < 79 || made > 81 {
		t.Errorf("%d calls in 10 s", made)
	}
	// A pause of an hour saves nothing up.
	f.now = f.now.Add(time.Hour)
	if c.Reserve("a") != 0 || c.Reserve("b") == 0 {
		t.Error("a burst after an hour")
	}
}

// A thousand who come at once each get a turn, in the order in which they came, and
// ask twice for it: not a thousand times, of which 999 are for nothing.
func TestReserveForAThousand(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	c := f.client(f.resolve(payment("shop", "mtn")))
	began, last := f.now, time.Duration(-1)
	waits := make([]time.Duration, 1000)
	for i := range waits {
		if waits[i] = c.Reserve(strconv.Itoa(i)); waits[i] <= last {
			t.Fatalf("number %d waits for %s, the one before for %s", i, waits[i], last)
		}
		last = waits[i]
	}
	if want := 999 * 125 * time.Millisecond; last.Round(time.Millisecond) != want {
		t.Errorf("the last one waits for %s, want %s", last, want)
	}
	for i, wait := range waits[1:] {
		f.now = began.Add(wait + time.Second) // the queue is a second behind
		if again := c.Reserve(strconv.Itoa(i + 1)); again != 0 {
			t.Fatalf("number %d came at its turn and was told to wait for another %s", i+1, again)
		}
	}
}

func TestTurnsAreLost(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	c := f.client(f.resolve(payment("shop", "mtn")))
	c.Reserve("a")
	// Who comes much too late asks again, like the one who has come meanwhile.
	wait := c.Reserve("late")
	f.now = f.now.Add(wait + time.Minute)
	if c.Reserve("b") != 0 || c.Reserve("late") == 0 {
		t.Error("a turn that was missed is taken a minute later")
	}
	// All turns that a pause begins with are lost, or its end would be a burst.
	for i := range 10 {
		c.Reserve(strconv.Itoa(i))
	}
	c.Pause(time.Second)
	f.now = f.now.Add(time.Second)
	made := 0
	for i := range 10 {
		if c.Reserve(strconv.Itoa(i)) == 0 {
			made++
		}
	}
	if made > 1 {
		t.Errorf("%d calls at the end of a pause", made)
	}
}

func TestNoLimitWhereThereIsNone(t *testing.T) {
	f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", keysOf("wave")))
	c := f.client(f.resolve(payment("shop", "wave")))
	for range 1000 {
		if c.Reserve("a") != 0 {
			t.Fatal("told to wait")
		}
	}
}

func TestPause(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", keysOf(provider)))
		c := f.client(f.resolve(payment("shop", provider)))
		expect := func(want time.Duration) {
			t.Helper()
			if got := c.Paused(); got != want {
				t.Errorf("%s: paused for %s, want %s", provider, got, want)
			}
			if got := c.Reserve("a"); got != want {
				t.Errorf("%s: to wait for %s, want %s", provider, got, want)
			}
		}
		expect(0)
		f.now = f.now.Add(time.Second)
		c.Pause(time.Minute)
		expect(time.Minute)
		c.Pause(time.Second) // a shorter one takes nothing back
		expect(time.Minute)
		f.now = f.now.Add(59 * time.Second)
		expect(time.Second)
		c.Pause(time.Minute)
		expect(time.Minute)
		f.now = f.now.Add(time.Minute)
		expect(0)
		c.Pause(-time.Minute)
		f.now = f.now.Add(time.Second)
		expect(0)
		// The next payment of the account waits too.
		c.Pause(time.Minute)
		if got := f.client(f.resolve(payment("shop", provider))).Paused(); got != time.Minute {
			t.Errorf("%s: the next one is paused for %s", provider, got)
		}
	}
}

// Reading credentials ends with its context.
func TestContext(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	c := f.client(f.resolve(payment("shop", "mtn")))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	if err := c.Provider.(providers.Preparer).Prepare(ctx); err != nil && providers.ClassOf(err) != providers.ClassNotSent {
		t.Errorf("%v", err)
	}
}

// An account's own limit holds at each provider, a change of it at once, and the
// client, with its access token, stays the same.
func TestRateLimitOfTheAccount(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		m := merchant("shop", provider, provider)
		f := setUp(t, m, secret("shop", provider+"-credentials", keysOf(provider)))
		first := f.client(f.resolve(payment("shop", provider)))
		for _, perSecond := range []int32{2, 50, 1} {
			must(t, f.api.Get(f.ctx, client.ObjectKeyFromObject(m), m))
			m.Spec.RateLimit.ChecksPerSecond = perSecond
			must(t, f.api.Update(f.ctx, m))
			c := f.client(f.resolve(payment("shop", provider)))
			if c != first {
				t.Fatal("another client for another limit")
			}
			made := 0
			for end := f.now.Add(10 * time.Second); f.now.Before(end); f.now = f.now.Add(time.Millisecond) {
				if c.Reserve("a") == 0 {
					made++
				}
			}
			if want := int(perSecond) * 10; made < want-1 || made > want+1 {
				t.Errorf("%s: %d calls in 10 s, want %d", provider, made, want)
			}
		}
	}
}
