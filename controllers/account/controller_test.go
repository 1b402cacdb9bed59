package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

// answering is a provider that answers as told: to the question for MTN's API user with user, to any other with answer.
type answering struct {
	answer, user providers.Answer
	err          error
	calls        int
}

func (a *answering) Do(_ context.Context, call providers.Call) (providers.Answer, error) {
	a.calls++
	if strings.Contains(call.URL, "/apiuser/") {
		return a.user, a.err
	}
	return a.answer, a.err
}

func ok(body string) providers.Answer {
	return providers.Answer{Status: http.StatusOK, Body: []byte(body)}
}

func token() *answering { return userIs(ok(`{"targetEnvironment":"sandbox"}`)) }

func userIs(user providers.Answer) *answering {
	return &answering{answer: ok(`{"access_token":"` + canary + `","expires_in":3600}`), user: user}
}

// mute is a provider without a harmless question.
func mute() providers.Kind {
	return providers.Kind{
		CredentialKeys: []string{"apiKey"},
		Endpoint:       func(a providers.Account) (providers.Account, error) { return a, nil },
		WireMoney:      func(_ providers.Account, m providers.Money) (providers.Money, error) { return m, nil },
		New: func(providers.Account, providers.Transport, func() time.Time) (providers.Provider, error) {
			return struct{ providers.Provider }{}, nil
		},
	}
}

// readiness is an account.Reconciler with everything around it.
type readiness struct {
	*account.Reconciler
	t      *testing.T
	clock  *fixture
	events *events.FakeRecorder
	api    client.Client
	writes int
	name   types.NamespacedName
}

func readinessOf(t *testing.T, o client.Object, wire providers.Transport, others ...client.Object) *readiness {
	t.Helper()
	f := setUp(t, append(others, o)...)
	f.Clients = account.NewClients(wire, func() time.Time { return f.now })
	f.Registry["mute"] = mute()
	r := &readiness{t: t, clock: f, events: events.NewFakeRecorder(10), name: client.ObjectKeyFromObject(o)}
	r.api = interceptor.NewClient(f.api, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			r.writes++
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
	})
	kind := account.KindNamespaced
	if _, ok := o.(*v1alpha1.ClusterMerchantAccount); ok {
		kind = account.KindCluster
	}
	r.Reconciler = &account.Reconciler{
		Client: r.api, Resolver: f.Resolver, Kind: kind,
		CheckURLs: func(*account.Account) error { return nil }, CallbackBase: func(*account.Account) string { return "" },
		Now: func() time.Time { return f.now }, CallTimeout: time.Second,
		Retry: time.Minute, Recheck: time.Hour, Settle: settle,
		Recorder: r.events,
	}
	return r
}

// ready reconciles and returns the condition, and when the next look is due.
func (r *readiness) ready() (metav1.Condition, time.Duration) {
	r.t.Helper()
	result, err := r.Reconcile(r.t.Context(), ctrl.Request{NamespacedName: r.name})
	must(r.t, err)
	var m v1alpha1.MerchantAccount
	status := &m.Status
	if r.Kind == account.KindCluster {
		var c v1alpha1.ClusterMerchantAccount
		must(r.t, r.api.Get(r.t.Context(), r.name, &c))
		status = &c.Status
	} else {
		must(r.t, r.api.Get(r.t.Context(), r.name, &m))
	}
	c := meta.FindStatusCondition(status.Conditions, account.ConditionReady)
	if c == nil {
		r.t.Fatal("no condition Ready")
	}
	if strings.Contains(c.Message, canary) {
		r.t.Errorf("a credential is in %q", c.Message)
	}
	return *c, result.RequeueAfter
}

func TestReadiness(t *testing.T) {
	status := func(code int) *answering { return &answering{answer: providers.Answer{Status: code}} }
	away := &answering{err: &providers.Error{Class: providers.ClassNotSent, Operation: "token"}}
	good := secret("shop", "mtn-credentials", keysOf("mtn"))
	refunding := good.DeepCopy()
	refunding.Data["disbursementUserID"] = []byte("wrong")
	waveKey := secret("shop", "wave-credentials", keysOf("wave"))
	partial := secret("shop", "mtn-credentials", map[string]string{"userID": "u"})
	elsewhere := func(s *v1alpha1.MerchantAccountSpec) { s.BaseURL = "https://evil.example" }
	suspended := func(s *v1alpha1.MerchantAccountSpec) { s.Suspend = true }
	production := func(s *v1alpha1.MerchantAccountSpec) {
		s.Environment, s.MTN = "production", &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
	}

	for name, c := range map[string]struct {
		account client.Object
		wire    *answering
		others  []client.Object
		status  metav1.ConditionStatus
		reason  string
		calls   int
		says    string
	}{
		"accepted":             {merchant("shop", "mtn", "mtn"), token(), []client.Object{good}, metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, 2, "accepts"},
		"in production":        {merchant("shop", "mtn", "mtn", production), token(), []client.Object{good}, metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, 1, "accepts"},
		"refunds are left out": {merchant("shop", "mtn", "mtn"), token(), []client.Object{refunding}, metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, 2, "accepts"},
		"cluster":              {cluster("orange", "orange", names()), token(), []client.Object{secret(operatorNamespace, "orange-credentials", keysOf("orange"))}, metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, 1, "accepts"},
		"wave":                 {merchant("shop", "wave", "wave"), &answering{answer: ok(`{"result":[]}`)}, []client.Object{waveKey}, metav1.ConditionTrue, v1alpha1.ReasonAccountChecked, 1, "accepts"},
		"wave, refused":        {merchant("shop", "wave", "wave"), status(403), []client.Object{waveKey}, metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, 1, "(HTTP status 403): Wave denies the API key access"},
		"wave, a page":         {merchant("shop", "wave", "wave"), status(200), []client.Object{waveKey}, metav1.ConditionUnknown, v1alpha1.ReasonProviderUnreachable, 1, "asked again"},
		"nothing to try":       {merchant("shop", "mute", "mute"), token(), []client.Object{secret("shop", "mute-credentials", keysOf("mute"))}, metav1.ConditionTrue, v1alpha1.ReasonAccountUsable, 0, "no harmless question"},
		"no Secret":            {merchant("shop", "mtn", "mtn"), token(), nil, metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound, 0, "Create it"},
		"Secret of another":    {cluster("mtn", "mtn", names("shop")), token(), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonCredentialsNotFound, 0, "Create it"},
		"suspended":            {merchant("shop", "mtn", "mtn", suspended), token(), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonAccountSuspended, 0, "Remove suspend"},
		"incomplete":           {merchant("shop", "mtn", "mtn"), token(), []client.Object{partial}, metav1.ConditionFalse, v1alpha1.ReasonCredentialsIncomplete, 0, "Add what is missing"},
		"unknown provider":     {merchant("shop", "moov", "moov"), token(), nil, metav1.ConditionFalse, v1alpha1.ReasonProviderNotSupported, 0, "orange or wave"},
		"endpoint not allowed": {merchant("shop", "mtn", "mtn", elsewhere), token(), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonEndpointNotAllowed, 0, "evil.example"},
		"refused":              {merchant("shop", "mtn", "mtn"), status(401), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, 1, "operation token (HTTP status 401): MTN does not know the pair"},
		"no such user":         {merchant("shop", "mtn", "mtn"), userIs(providers.Answer{Status: 404}), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, 2, "knows no API user"},
		"user of elsewhere":    {merchant("shop", "mtn", "mtn"), userIs(ok(`{"targetEnvironment":"` + canary + `"}`)), []client.Object{good}, metav1.ConditionFalse, v1alpha1.ReasonAccountMisconfigured, 2, "another target environment"},
		"user cannot be asked": {merchant("shop", "mtn", "mtn"), userIs(providers.Answer{Status: 401}), []client.Object{good}, metav1.ConditionUnknown, v1alpha1.ReasonProviderUnreachable, 2, "asked again"},
		"throttled":            {merchant("shop", "mtn", "mtn"), status(429), []client.Object{good}, metav1.ConditionUnknown, v1alpha1.ReasonProviderThrottled, 1, "fewer requests"},
		"out of reach":         {merchant("shop", "mtn", "mtn"), away, []client.Object{good}, metav1.ConditionUnknown, v1alpha1.ReasonProviderUnreachable, 1, "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			r := readinessOf(t, c.account, c.wire, c.others...)
			got, after := r.ready()
			if got.Status != c.status || got.Reason != c.reason || !strings.Contains(got.Message, c.says) {
				t.Fatalf("%+v", got)
			}
			if want := map[bool]time.Duration{true: time.Hour, false: time.Minute}[got.Status == metav1.ConditionTrue]; after != want {
				t.Errorf("next look after %s, want %s", after, want)
			}
			if c.wire.calls != c.calls {
				t.Errorf("%d calls, want %d", c.wire.calls, c.calls)
			}
			if again, _ := r.ready(); r.writes != 1 || again != got {
				t.Errorf("%d writes for nothing new", r.writes)
			}
		})
	}
}

func TestReadinessSaysWhatTheOperatorLacks(t *testing.T) {
	r := readinessOf(t, merchant("shop", "orange", "orange"), token(), secret("shop", "orange-credentials", keysOf("orange")))
	r.CheckURLs = func(*account.Account) error {
		return &account.Problem{Reason: v1alpha1.ReasonAccountMisconfigured, Message: "set --public-url"}
	}
	if got, _ := r.ready(); got.Status != metav1.ConditionFalse || got.Message != "set --public-url" {
		t.Errorf("%+v", got)
	}
}

// K5: what the calls for Payments tell about an account shows in its Ready, with the diagnosis,
// until such a call succeeds, or the account is corrected.
func TestReadiness_K5eShowsWhatPaymentsLearn(t *testing.T) {
	host := &providers.Error{Class: providers.ClassMisconfigured, Operation: providers.OpInitiate, HTTPStatus: 500,
		Code: "INVALID_CALLBACK_URL_HOST", Field: "X-Callback-Url", Fault: providers.FaultOperator, Detail: "have it started with another --public-url"}
	old := &providers.Error{Class: providers.ClassMisconfigured, Operation: providers.OpToken, HTTPStatus: 401, Fault: providers.FaultAccount}
	for name, o := range map[string]client.Object{"namespaced": merchant("shop", "mtn", "mtn"), "cluster": cluster("mtn", "mtn", names("shop"))} {
		r := readinessOf(t, o, token(), secret("shop", "mtn-credentials", keysOf("mtn")), secret(operatorNamespace, "mtn-credentials", keysOf("mtn")))
		c := r.clock.client(r.clock.resolve(payment("shop", "mtn")))
		expect := func(status metav1.ConditionStatus, says ...string) {
			t.Helper()
			got, _ := r.ready()
			for _, s := range append(says, "") {
				if got.Status != status || !strings.Contains(got.Message, s) || len(says) > 0 && got.Reason != v1alpha1.ReasonAccountMisconfigured {
					t.Errorf("%s: %s %s %q does not say %q", name, got.Status, got.Reason, got.Message, s)
				}
			}
		}
		expect(metav1.ConditionTrue)
		for _, e := range []*providers.Error{
			{Class: providers.ClassRejected, Operation: providers.OpInitiate, Fault: providers.FaultPayment},
			{Class: providers.ClassThrottled}, {Class: providers.ClassUnknown, Fault: providers.FaultProvider},
		} {
			c.Heed(providers.OpInitiate, e)
		}
		r.clock.now = r.clock.now.Add(time.Hour) // throttled
		expect(metav1.ConditionTrue)
		c.Heed(providers.OpInitiate, host)
		says := []string{"initiate", "HTTP status 500", "code INVALID_CALLBACK_URL_HOST", "field X-Callback-Url", host.Detail}
		expect(metav1.ConditionFalse, says...)
		c.Heed(providers.OpStatus, nil) // says nothing about it
		expect(metav1.ConditionFalse, says...)
		c.Heed(providers.OpInitiate, nil)
		expect(metav1.ConditionTrue)
		// The account's own question gets as far as a token does.
		c.Heed(providers.OpInitiate, old)
		expect(metav1.ConditionTrue)
		// Who corrects the account is not told of its past, and nobody for ever.
		c.Heed(providers.OpInitiate, host)
		must(t, r.api.Get(t.Context(), r.name, o))
		o.SetGeneration(o.GetGeneration() + 1)
		must(t, r.api.Update(t.Context(), o))
		expect(metav1.ConditionTrue)
		c.Heed(providers.OpInitiate, host)
		r.clock.now = r.clock.now.Add(time.Hour)
		expect(metav1.ConditionTrue)
	}
}

func TestFindings_WakeTheAccount(t *testing.T) {
	r := readinessOf(t, merchant("shop", "mtn", "mtn"), token(), secret("shop", "mtn-credentials", keysOf("mtn")))
	c := r.clock.client(r.clock.resolve(payment("shop", "mtn")))
	for range 3 {
		c.Heed(providers.OpInitiate, &providers.Error{Class: providers.ClassMisconfigured, Operation: providers.OpInitiate})
	}
	c.Heed(providers.OpInitiate, nil)
	c.Heed(providers.OpInitiate, nil)
	if got := r.Resolver.Clients.Findings.Woken(account.KindNamespaced); len(got) != 2 || got[0] != r.name || got[1] != r.name {
		t.Errorf("%v", got)
	}
	if got := r.Resolver.Clients.Findings.Woken(account.KindCluster); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// K6: refused credentials are read again and tried at once a single time, however often something
// else reads them; other credentials get a try of their own.
func TestClient_HeedTriesRefusedCredentialsOnceMore(t *testing.T) {
	r := readinessOf(t, merchant("shop", "mtn", "mtn"), token(), secret("shop", "mtn-credentials", keysOf("mtn")))
	acct, err := r.Resolver.Named(t.Context(), account.KindNamespaced, "shop", "mtn")
	must(t, err)
	refused := &providers.Error{Class: providers.ClassMisconfigured, Operation: providers.OpInitiate, HTTPStatus: 403}
	heeds := func() bool {
		t.Helper()
		c, err := r.Resolver.Client(t.Context(), acct)
		must(t, err)
		r.clock.now = r.clock.now.Add(2 * time.Second)
		return c.Heed(providers.OpInitiate, refused)
	}
	for i, want := range []bool{true, false, false} {
		if got := heeds(); got != want {
			t.Errorf("refusal %d: again at once: %t", i+1, got)
		}
	}
	other := secret("shop", "mtn-credentials", keysOf("mtn"))
	other.Data["apiSecret"] = []byte("another")
	must(t, r.api.Update(t.Context(), other))
	if !heeds() || heeds() {
		t.Error("other credentials are not tried at once a single time")
	}
}

func TestReadinessOfWhatIsGone(t *testing.T) {
	r := readinessOf(t, merchant("shop", "mtn", "mtn"), token())
	r.name.Name = "other"
	if result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.name}); err != nil || result != (ctrl.Result{}) {
		t.Errorf("%+v, %v", result, err)
	}
}

// What is the API's fault is an error to try again, not a verdict; a conflict is no fault.
func TestReadinessWithoutAPI(t *testing.T) {
	r := readinessOf(t, merchant("shop", "mtn", "mtn"), token(), secret("shop", "mtn-credentials", keysOf("mtn")))
	api := r.api.(client.WithWatch)
	r.Client = interceptor.NewClient(api, interceptor.Funcs{
		SubResourceUpdate: func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
			return errAPI
		},
	})
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.name}); !errors.Is(err, errAPI) {
		t.Errorf("%v", err)
	}
	r.Client = interceptor.NewClient(api, interceptor.Funcs{
		SubResourceUpdate: func(_ context.Context, _ client.Client, _ string, o client.Object, _ ...client.SubResourceUpdateOption) error {
			return apierrors.NewConflict(schema.GroupResource{Resource: "merchantaccounts"}, o.GetName(), errAPI)
		},
	})
	if result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.name}); err != nil || result.RequeueAfter != time.Second {
		t.Errorf("after a conflict: %+v, %v", result, err)
	}
	r.Client = api
	r.clock.broken = "Secret"
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.name}); !errors.Is(err, errAPI) || r.writes != 0 {
		t.Errorf("%v after %d writes", err, r.writes)
	}
}

const subscription, user, apiKey = "a1b2c3d4e5f60718293a4b5c6d7e8f90", "b1a7c3d2-5e6f-4a8b-9c0d-1e2f3a4b5c6d", "00112233445566778899aabbccddeeff"

// atSimulator is the readiness of an account at a simulator of MTN's sandbox, whose API user has a callback host.
func atSimulator(t *testing.T, o client.Object, base func(simulated string), keys map[string]string) *readiness {
	t.Helper()
	sim, err := simulator.New(simulator.Options{Rand: simulator.Seeded(1), MTN: simulator.MTNOptions{CallbackHost: "pay.example.com"}})
	must(t, err)
	sim.AddKeys(simulator.MTN, simulator.Keys{ID: user, Secret: apiKey, Key: subscription})
	server := httptest.NewServer(sim)
	sim.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	base(server.URL)
	r := readinessOf(t, o, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), secret("shop", "mtn-credentials", keys), secret("shop", "orange-credentials", keysOf("orange")))
	u, err := url.Parse(server.URL)
	must(t, err)
	r.Resolver.AllowedEndpoints = []string{u.Host}
	return r
}

func good() map[string]string {
	return map[string]string{"subscriptionKey": subscription, "userID": user, "apiSecret": apiKey}
}

func TestReadiness_K5cFiveWrongSecrets(t *testing.T) {
	seen := map[string]string{}
	for name, tt := range map[string]struct {
		change map[string]string
		says   []string
	}{
		"wrong user":         {map[string]string{"userID": "00000000-0000-4000-8000-000000000000"}, []string{"userID"}},
		"wrong secret":       {map[string]string{"apiSecret": "wrong"}, []string{"apiSecret"}},
		"swapped":            {map[string]string{"userID": apiKey, "apiSecret": user}, []string{"swapped"}},
		"placeholders":       {map[string]string{"subscriptionKey": "<key of the Collections product>", "userID": "<API user>", "apiSecret": "<API key of that user>"}, []string{"placeholder"}},
		"of another product": {map[string]string{"subscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey}, []string{"subscriptionKey"}},
	} {
		keys, m := good(), merchant("shop", "mtn", "mtn")
		for k, v := range tt.change {
			keys[k] = v
		}
		got, _ := atSimulator(t, m, func(sim string) { m.Spec.BaseURL = sim + "/mtn" }, keys).ready()
		if got.Status != metav1.ConditionFalse || got.Reason != v1alpha1.ReasonAccountMisconfigured {
			t.Errorf("%s: %+v", name, got)
		}
		for _, s := range append(tt.says, "operation token", "HTTP status 401") {
			if !strings.Contains(got.Message, s) {
				t.Errorf("%s: %q does not say %q", name, got.Message, s)
			}
		}
		if other, ok := seen[got.Message]; ok && name != "wrong user" && other != "wrong user" {
			t.Errorf("%s and %s are told by one sentence: %q", name, other, got.Message)
		}
		seen[got.Message] = name
	}
	if len(seen) < 4 {
		t.Errorf("%d sentences: %v", len(seen), seen)
	}
}

func TestReadiness_K5dCallbackHost(t *testing.T) {
	for base, ready := range map[string]bool{
		"https://pay.example.com/callbacks/mtn": true, "https://other.example/callbacks/mtn": false, "": true,
	} {
		m := merchant("shop", "mtn", "mtn")
		r := atSimulator(t, m, func(sim string) { m.Spec.BaseURL = sim + "/mtn" }, good())
		r.CallbackBase = func(*account.Account) string { return base }
		got, _ := r.ready()
		if (got.Status == metav1.ConditionTrue) != ready {
			t.Errorf("%q: %+v", base, got)
		}
		if !ready && (!strings.Contains(got.Message, "pay.example.com") || !strings.Contains(got.Message, "--public-url")) {
			t.Errorf("%q: %s", base, got.Message)
		}
	}
}

func TestReadiness_K5eBasePathOfOrange(t *testing.T) {
	for path, ready := range map[string]bool{
		"/orange-money-webpay/ci/v1": true, "/orange-money-webpay/ci/v1/": true, "/orange-money-webpay/ci/v1/webpayment": false, "/orange-money-webpay/v1": false,
	} {
		m := merchant("shop", "orange", "orange", func(s *v1alpha1.MerchantAccountSpec) { s.Environment, s.Country = "production", "ci" })
		r := readinessOf(t, m, token(), secret("shop", "orange-credentials", keysOf("orange")))
		m.Spec.BaseURL = "https://api.orange.com" + path
		must(t, r.api.Update(t.Context(), m))
		got, _ := r.ready()
		if (got.Status == metav1.ConditionTrue) != ready || !ready && (got.Reason != v1alpha1.ReasonAccountMisconfigured || !strings.Contains(got.Message, "base")) {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestAccount_K5aCurrencyOfTheCountry(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		for _, environment := range []string{"sandbox", "production"} {
			for currency, ok := range map[string]bool{"XOF": true, "GHS": false, "UGX": false, "XAF": false, "CFA": false, "XYZ": false} {
				name := fmt.Sprint(provider, " ", environment, " ", currency)
				ivorian := func(s *v1alpha1.MerchantAccountSpec) {
					s.Environment, s.Country = environment, "ci"
					if provider == "mtn" && environment == "production" {
						s.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
					}
				}
				f := setUp(t, merchant("shop", provider, provider, ivorian), secret("shop", provider+"-credentials", keysOf(provider)))
				a := f.resolve(payment("shop", provider))
				money := providers.Money{Amount: "5000", Currency: currency}
				_, err := a.WireMoney(money)
				again := f.client(a).CheckMoney(a, money)
				if (err == nil) != ok || (again == nil) != ok || !ok && providers.ClassOf(err) != providers.ClassRejected {
					t.Errorf("%s: %v, %v", name, err, again)
				}
				f = setUp(t, merchant("shop", provider, provider, ivorian, func(s *v1alpha1.MerchantAccountSpec) { s.Currency = currency }))
				if _, err = f.Resolve(f.ctx, payment("shop", provider)); ok && err != nil {
					t.Errorf("%s: %v", name, err)
				} else if !ok {
					expectProblem(t, err, v1alpha1.ReasonAccountMisconfigured, "XOF")
				}
			}
		}
	}
	// What a key says of its country counts, too.
	f := setUp(t, merchant("shop", "wave", "wave"), secret("shop", "wave-credentials", map[string]string{"apiKey": "wave_ci_prod_" + canary}))
	a := f.resolve(payment("shop", "wave"))
	if err := f.client(a).CheckMoney(a, providers.Money{Amount: "5000", Currency: "UGX"}); providers.ClassOf(err) != providers.ClassRejected {
		t.Errorf("%v", err)
	}
}
