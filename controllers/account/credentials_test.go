package account_test

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
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

// CredentialsIncomplete names exactly what is missing, by the name under which the user knows it.
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
				expectMissing(t, f, provider, missingVariables, present, "The operator's environment lacks ")
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
	expectProblem(t, err, v1alpha1.ReasonCredentialsIncomplete, append(missing, prefix, "Add what is missing")...)
	for _, p := range present {
		if slices.Contains(strings.FieldsFunc(err.Error(), func(r rune) bool { return strings.ContainsRune(" ,;:", r) }), p) {
			t.Errorf("%v names %s, which is there", err, p)
		}
	}
}

// A line break at the end, as echo and editors leave it, is not part of it; a blank may be.
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

// A new secret for callbacks, or anything else in the Secret, is no new credential:
// a send that may have arrived is repeated with the same credentials only.
func TestRotationOfCallbackSecrets(t *testing.T) {
	for provider := range required {
		f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", keysOf(provider)))
		a := f.resolve(payment("shop", provider))
		before := f.client(a)
		rotated := secret("shop", provider+"-credentials", keysOf(provider))
		rotated.Data["webhookSecret"], rotated.Data["note"] = []byte("new"), []byte("x")
		f.rotate(rotated)
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
				expectProblem(t, err, v1alpha1.ReasonRefundNotConfigured, append(lacks, "Add what is missing")...)
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
		f.rotate(secret("shop", "mtn-credentials", keys))
		if c := f.client(a); c == first {
			t.Errorf("%v share the client", keys)
		} else {
			first = c
		}
	}
}

// The same credentials in two accounts, or at two endpoints, are two clients: a token of one is not shown to the other.
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

// asks is one that comes again when it was told to, and calls.
func asks(t *testing.T, f *fixture, c *account.Client, d time.Duration) (left []time.Time) {
	t.Helper()
	who := account.Caller{Name: "order-1", Namespace: "shop", Purpose: account.Scheduled, Since: f.now}
	for end := f.now.Add(d); f.now.Before(end); {
		if wait := c.Reserve(who); wait > 0 {
			f.now = f.now.Add(wait)
			continue
		}
		_, err := c.Status(account.WithCaller(f.ctx, who), providers.Handle{Reference: "r", SessionID: "s"})
		if providers.ClassOf(err) == providers.ClassNotSent {
			t.Fatal(err)
		}
		left = append(left, f.now)
	}
	return left
}

func TestClients_RateLimitOfTheAccount(t *testing.T) {
	for provider, allowed := range map[string]int{"mtn": 8, "wave": 50} {
		m := merchant("shop", provider, provider)
		f := setUp(t, m, secret("shop", provider+"-credentials", keysOf(provider)))
		first := f.client(f.resolve(payment("shop", provider)))
		for _, perSecond := range []int{2, 50, 1} {
			must(t, f.api.Get(f.ctx, client.ObjectKeyFromObject(m), m))
			m.Spec.RateLimit.ChecksPerSecond = int32(perSecond)
			must(t, f.api.Update(f.ctx, m))
			c := f.client(f.resolve(payment("shop", provider)))
			if c != first {
				t.Fatal("another client for another limit")
			}
			f.now = f.now.Add(time.Minute)
			want := 10 * min(perSecond, allowed)
			if made := len(asks(t, f, c, 10*time.Second)); made < want-1 || made > want+1 {
				t.Errorf("%s: %d calls in 10 s, want %d", provider, made, want)
			}
		}
	}
}

func TestClients_K6dAccountsWithOneUserShareALimit(t *testing.T) {
	have := keysOf("mtn")
	for k := range disbursement {
		have[k] = canary + k
	}
	f := setUp(t, merchant("shop", "mtn", "mtn"), merchant("bakery", "mtn", "mtn"), secret("shop", "mtn-credentials", have), secret("bakery", "mtn-credentials", have))
	var clients []*account.Client
	for _, namespace := range []string{"shop", "bakery"} {
		a := f.resolve(payment(namespace, "mtn"))
		refunds, err := f.RefundClient(f.ctx, a)
		must(t, err)
		clients = append(clients, f.client(a), refunds)
	}
	permitted := 0
	for i := range 40 {
		who := account.Caller{Name: strconv.Itoa(i), Namespace: "shop", Purpose: account.Scheduled}
		if clients[i%4].Reserve(who) == 0 {
			permitted++
		}
	}
	if permitted != 8 {
		t.Errorf("%d may call at once", permitted)
	}
	for i := range 40 {
		ctx := account.WithCaller(f.ctx, account.Caller{Name: strconv.Itoa(i)})
		if c := clients[i%4]; i%2 == 0 {
			_, _ = c.Status(ctx, providers.Handle{Reference: "r"})
		} else {
			_, _ = c.Provider.(providers.Refunder).RefundStatus(ctx, providers.RefundHandle{Reference: "r"})
		}
	}
	left := f.wire.left()
	for i := range left {
		if i >= 8 && left[i].Sub(left[i-8]) <= time.Second {
			t.Fatalf("9 calls between %s and %s", left[i-8], left[i])
		}
	}
	if len(left) != 40 {
		t.Errorf("%d calls", len(left))
	}
}

// The provider asks to be left alone: all accounts of one user wait, tokens included, whatever
// the answer was to; and no answer of the limiter's own is taken for the provider's.
func TestClients_PauseTogether(t *testing.T) {
	f := setUp(t, merchant("shop", "wave", "wave"), merchant("bakery", "wave", "wave"),
		secret("shop", "wave-credentials", keysOf("wave")), secret("bakery", "wave-credentials", keysOf("wave")))
	a, b := f.client(f.resolve(payment("shop", "wave"))), f.client(f.resolve(payment("bakery", "wave")))
	b.Heed(providers.OpStatus, &providers.Error{Class: providers.ClassThrottled, RetryAfter: 20 * time.Second})
	if got := a.Reserve(account.Caller{Name: "x"}); got != 20*time.Second || a.Paused() != got {
		t.Errorf("to wait for %s", got)
	}
	_, err := a.Status(f.ctx, providers.Handle{Reference: "r", SessionID: "s"})
	if wait, ok := account.LimitedFor(err); !ok || wait != 20*time.Second || len(f.wire.calls) != 0 {
		t.Errorf("%v, %d calls", err, len(f.wire.calls))
	}
	f.now = f.now.Add(15 * time.Second)
	a.Heed(providers.OpStatus, err)
	if got := a.Paused(); got != 5*time.Second {
		t.Errorf("paused for %s", got)
	}
}

// K6c: who begins to lead does not know what left within the last second.
func TestClients_K6cStartEmpty(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), merchant("shop", "second", "mtn", func(s *v1alpha1.MerchantAccountSpec) { s.SecretRef.Name = "second" }),
		secret("shop", "mtn-credentials", keysOf("mtn")), secret("shop", "second", map[string]string{"subscriptionKey": "a", "userID": "b", "apiSecret": "c"}))
	before := f.client(f.resolve(payment("shop", "mtn")))
	f.Clients.StartEmpty()
	later := f.client(f.resolve(payment("shop", "mtn", through("MerchantAccount", "second"))))
	for _, c := range []*account.Client{before, later} {
		if wait := c.Reserve(account.Caller{Name: "x"}); wait <= time.Second || wait > 1100*time.Millisecond {
			t.Errorf("the first call waits for %s", wait)
		}
	}
	f.now = f.now.Add(1001 * time.Millisecond)
	if wait := later.Reserve(account.Caller{Name: "x"}); wait != 0 {
		t.Errorf("a second later it waits for %s", wait)
	}
}

func TestClients_AreBounded(t *testing.T) {
	f := setUp(t, merchant("shop", "mtn", "mtn"), secret("shop", "mtn-credentials", keysOf("mtn")))
	first := f.client(f.resolve(payment("shop", "mtn")))
	f.now = f.now.Add(59 * time.Minute)
	if f.client(f.resolve(payment("shop", "mtn"))) != first {
		t.Error("dropped though it is in use")
	}
	f.now = f.now.Add(2 * time.Hour)
	a := f.resolve(payment("shop", "mtn"))
	a.MerchantName = "another one" // for which there is another client
	f.client(a)
	if f.client(f.resolve(payment("shop", "mtn"))) == first {
		t.Error("kept though nobody used it for two hours")
	}
}

func reads(f *fixture, kind string) (n int) {
	for _, r := range f.reads {
		if strings.HasPrefix(r, kind+" ") {
			n++
		}
	}
	return n
}

func TestCredentials_AreKeptForAMinute(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		f := setUp(t, merchant("shop", provider, provider), secret("shop", provider+"-credentials", keysOf(provider)))
		a := f.resolve(payment("shop", provider))
		expect := func(want int, when string) *account.Client {
			t.Helper()
			c := f.client(a)
			if got := reads(f, "Secret"); got != want {
				t.Errorf("%s, %s: %d reads of the Secret, want %d", provider, when, got, want)
			}
			return c
		}
		expect(1, "at first")
		f.now = f.now.Add(59 * time.Second)
		old := expect(1, "within a minute")
		rotated := secret("shop", provider+"-credentials", keysOf(provider))
		for k, v := range rotated.Data {
			rotated.Data[k] = append(v, "-new"...)
		}
		must(t, f.api.Update(f.ctx, rotated))
		for _, class := range []providers.Class{providers.ClassThrottled, providers.ClassUnknown, providers.ClassNotFound, providers.ClassRejected} {
			if old.Heed(providers.OpStatus, &providers.Error{Class: class}) {
				t.Errorf("%s: %s has the Secret read again", provider, class)
			}
		}
		refused := &providers.Error{Class: providers.ClassMisconfigured, HTTPStatus: 401}
		if !old.Heed(providers.OpToken, refused) {
			t.Errorf("%s: the call is not repeated at once with what may be new credentials", provider)
		}
		fresh := expect(2, "after a 401")
		if fresh == old {
			t.Errorf("%s: the old client is used after a 401", provider)
		}
		if fresh.Heed(providers.OpToken, refused) || old.Heed(providers.OpToken, refused) {
			t.Errorf("%s: repeated at once though the Secret was just read", provider)
		}
		expect(3, "after another 401")
		f.now = f.now.Add(time.Minute)
		expect(4, "a minute later")
	}
}

func TestCredentials_ThatAreMissingAreLookedForAgain(t *testing.T) {
	stored := secret("shop", "mtn-credentials", nil)
	f := setUp(t, merchant("shop", "mtn", "mtn"), stored)
	a := f.resolve(payment("shop", "mtn"))
	_, err := f.Client(f.ctx, a)
	expectProblem(t, err, v1alpha1.ReasonCredentialsIncomplete)
	stored.Data = secret("shop", "mtn-credentials", keysOf("mtn")).Data
	must(t, f.api.Update(f.ctx, stored))
	f.client(a)
	_, err = f.RefundClient(f.ctx, a)
	expectProblem(t, err, v1alpha1.ReasonRefundNotConfigured)
	for _, key := range a.Kind.RefundCredentialKeys {
		stored.Data[key] = []byte("value")
	}
	must(t, f.api.Update(f.ctx, stored))
	_, err = f.RefundClient(f.ctx, a)
	must(t, err)
}

func TestCredentials_BelongToOneAccountObject(t *testing.T) {
	named := func(uid string) *v1alpha1.MerchantAccount {
		m := merchant("shop", "wave", "wave")
		m.UID = types.UID(uid)
		return m
	}
	f := setUp(t, named("one"), secret("shop", "wave-credentials", keysOf("wave")))
	f.client(f.resolve(payment("shop", "wave")))
	must(t, f.api.Delete(f.ctx, named("one")))
	must(t, f.api.Create(f.ctx, named("two")))
	f.client(f.resolve(payment("shop", "wave")))
	if got := reads(f, "Secret"); got != 2 {
		t.Errorf("%d reads", got)
	}
}

// K2d: with account, Secret and namespace gone, what is in memory asks one last question, at
// an endpoint that is still trusted.
func TestResolver_K2dLastKnown(t *testing.T) {
	at := func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = "https://sim.example:8443/mtn" }
	m, s := merchant("shop", "mtn", "mtn", at), secret("shop", "mtn-credentials", keysOf("mtn"))
	f := setUp(t, m, s)
	p := payment("shop", "mtn")
	made := charge(p, f.resolve(p))
	if _, ok := f.LastKnown(made, false); ok {
		t.Error("known before it was used")
	}
	a, err := f.Pinned(f.ctx, made)
	must(t, err)
	c := f.client(a)
	must(t, f.api.Delete(f.ctx, m))
	must(t, f.api.Delete(f.ctx, s))
	if got, ok := f.LastKnown(made, false); !ok || got != c {
		t.Error("what is in memory is not used")
	}
	if _, ok := f.LastKnown(made, true); ok {
		t.Error("refunds take other credentials, which nobody has read")
	}
	f.AllowedEndpoints = nil
	if _, ok := f.LastKnown(made, false); ok {
		t.Error("the endpoint is not trusted any more")
	}
}

func TestResolver_K6eAnEndpointThatIsNotTrustedGetsNothing(t *testing.T) {
	at := func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = "https://sim.example:8443/mtn" }
	have := keysOf("mtn")
	for k := range disbursement {
		have[k] = canary + k
	}
	environment := map[string]string{"MTN_API_URL": "https://sim.example:8443/mtn"}
	for key, variable := range required["mtn"] {
		environment[variable] = have[key]
	}
	for name, tt := range map[string]struct {
		objects  []client.Object
		operator map[string]string
	}{
		"namespaced": {objects: []client.Object{merchant("shop", "mtn", "mtn", at), secret("shop", "mtn-credentials", have)}},
		"cluster":    {objects: []client.Object{cluster("mtn", "mtn", names("shop"), at), secret(operatorNamespace, "mtn-credentials", have)}},
		"operator":   {operator: environment},
	} {
		f := setUp(t, tt.objects...)
		if tt.operator != nil {
			f.operator(tt.operator)
		}
		p := payment("shop", "mtn")
		made := charge(p, f.resolve(p))
		made.Record.Sends = 1
		f.client(f.resolve(p)) // its credentials are in memory
		f.AllowedEndpoints = nil
		if tt.operator != nil {
			f.operator(map[string]string{"MTN_USER_ID": "new", "MTN_API_SECRET": "new", "MTN_SUBSCRIPTION_KEY": "new"})
		} else if _, err := f.Resolve(f.ctx, p); true {
			expectProblem(t, err, v1alpha1.ReasonEndpointNotAllowed)
		}
		f.reads = nil
		a, err := f.Pinned(f.ctx, made)
		must(t, err)
		expectProblem(t, a.Closed, v1alpha1.ReasonEndpointNotAllowed)
		expectProblem(t, f.Untrusted(a), v1alpha1.ReasonEndpointNotAllowed)
		_, err = f.Client(f.ctx, a)
		expectProblem(t, err, v1alpha1.ReasonEndpointNotAllowed)
		_, err = f.RefundClient(f.ctx, a)
		expectProblem(t, err, v1alpha1.ReasonEndpointNotAllowed)
		if len(f.wire.calls) != 0 || reads(f, "Secret") != 0 {
			t.Errorf("%s: %d calls, reads %v", name, len(f.wire.calls), f.reads)
		}
	}
}

func TestResolver_K1hProductionNeedsAGivenInstallationID(t *testing.T) {
	production := func(s *v1alpha1.MerchantAccountSpec) {
		s.Environment, s.Country = "production", "ci"
		if s.Provider == "mtn" {
			s.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
		}
	}
	for _, provider := range []string{"mtn", "orange", "wave"} {
		environment := map[string]string{"MTN_ENVIRONMENT": "production", "MTN_TARGET_ENVIRONMENT": "mtnivorycoast", "ORANGE_API_URL": "https://api.orange.com/orange-money-webpay/ci/v1"}
		for key, variable := range required[provider] {
			environment[variable] = keysOf(provider)[key]
		}
		for name, f := range map[string]*fixture{
			"namespaced": setUp(t, merchant("shop", provider, provider, production)),
			"cluster":    setUp(t, cluster(provider, provider, names("shop"), production)),
			"operator":   setUp(t).operator(environment),
		} {
			p := payment("shop", provider)
			made := charge(p, f.resolve(p))
			made.Record.Sends = 1
			f.InstallationIDGiven = false
			_, err := f.Resolve(f.ctx, p)
			expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "--installation-id")
			a, err := f.Pinned(f.ctx, made)
			must(t, err)
			expectProblem(t, a.Closed, v1alpha1.ReasonAccountMisconfigured, "--installation-id")
			if f.Untrusted(a) != nil {
				t.Errorf("%s, %s: what is open is not followed", provider, name)
			}
		}
	}
	f := setUp(t, merchant("shop", "mtn", "mtn"))
	f.InstallationIDGiven = false
	f.resolve(payment("shop", "mtn")) // the sandbox takes no money
}
