package account_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

// canary is in every credential of these tests, so that a leak shows.
const canary = "canary"

const operatorNamespace = "mobile-money-system"

func keysOf(provider string) map[string]string {
	switch provider {
	case "mtn":
		return map[string]string{"subscriptionKey": canary + "-sub", "userID": canary + "-user", "apiSecret": canary + "-secret"}
	case "orange":
		return map[string]string{"clientID": canary + "-id", "clientSecret": canary + "-secret", "merchantKey": canary + "-merchant"}
	default:
		return map[string]string{"apiKey": canary + "-key"}
	}
}

func secret(namespace, name string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

func spec(provider string, change ...func(*v1alpha1.MerchantAccountSpec)) v1alpha1.MerchantAccountSpec {
	s := v1alpha1.MerchantAccountSpec{
		Provider: provider, Environment: "sandbox", Currency: "XOF",
		SecretRef: v1alpha1.SecretReference{Name: provider + "-credentials"},
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func merchant(namespace, name, provider string, change ...func(*v1alpha1.MerchantAccountSpec)) *v1alpha1.MerchantAccount {
	return &v1alpha1.MerchantAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec(provider, change...)}
}

func cluster(name, provider string, allowed v1alpha1.AllowedNamespaces, change ...func(*v1alpha1.MerchantAccountSpec)) *v1alpha1.ClusterMerchantAccount {
	return &v1alpha1.ClusterMerchantAccount{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClusterMerchantAccountSpec{
		MerchantAccountSpec: spec(provider, change...), AllowedNamespaces: allowed,
	}}
}

func names(n ...string) v1alpha1.AllowedNamespaces { return v1alpha1.AllowedNamespaces{Names: n} }

func selector(key, value string) v1alpha1.AllowedNamespaces {
	return v1alpha1.AllowedNamespaces{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}}
}

func namespace(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func payment(namespace, provider string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "order-1"},
		Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.AmountFromInt(5000)},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func through(kind, name string) func(*v1alpha1.Payment) {
	return func(p *v1alpha1.Payment) { p.Spec.AccountRef = &v1alpha1.AccountReference{Kind: kind, Name: name} }
}

// charge is what a Charge remembers of a payment made through a.
func charge(p *v1alpha1.Payment, a *account.Account) *v1alpha1.Charge {
	return &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{
		Provider: p.Spec.Provider, Account: a.Pin,
		Payment: v1alpha1.PaymentIdentity{Namespace: p.Namespace, Name: p.Name},
	}}
}

// fixture is a Resolver with an API, providers and a clock of its own.
type fixture struct {
	*account.Resolver
	t     *testing.T
	ctx   context.Context
	api   client.WithWatch
	wire  *stub
	now   time.Time
	reads []string
	// broken fails reads of this kind, such as "Secret".
	broken string
}

var errAPI = errors.New("the API is out of order")

func setUp(t *testing.T, objects ...client.Object) *fixture {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	f := &fixture{t: t, ctx: t.Context(), wire: &stub{}, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.MerchantAccount{}, &v1alpha1.ClusterMerchantAccount{})
	must(t, account.SetupIndexes(f.ctx, indexAdder{builder}))
	f.api = withSelectableFields(builder).Build()
	reader := interceptor.NewClient(f.api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			kind := kindOf(o)
			f.reads = append(f.reads, kind+" "+key.String())
			if kind == f.broken {
				return errAPI
			}
			return c.Get(ctx, key, o, opts...)
		},
	})
	clients := account.NewClients(f.wire, func() time.Time { return f.now })
	clients.Sleep = func(_ context.Context, d time.Duration) error { f.now = f.now.Add(d); return nil }
	f.wire.now = func() time.Time { return f.now }
	f.Resolver = &account.Resolver{
		Reader: reader, Live: reader,
		Registry:          providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()},
		OperatorNamespace: operatorNamespace,
		AllowedEndpoints:  []string{"sim.example:8443"},
		Clients:           clients,

		InstallationIDGiven: true,
	}
	return f
}

func kindOf(o client.Object) string { return reflect.TypeOf(o).Elem().Name() }

// operator gives the operator accounts by its environment.
func (f *fixture) operator(environment map[string]string) *fixture {
	f.Operator = account.FromEnvironment(func(k string) string { return environment[k] })
	return f
}

// rotate a Secret: a minute later its new content is used.
func (f *fixture) rotate(s *corev1.Secret) {
	f.t.Helper()
	must(f.t, f.api.Update(f.ctx, s))
	f.now = f.now.Add(time.Minute)
}

func (f *fixture) resolve(p *v1alpha1.Payment) *account.Account {
	f.t.Helper()
	a, err := f.Resolve(f.ctx, p)
	must(f.t, err)
	return a
}

func (f *fixture) client(a *account.Account) *account.Client {
	f.t.Helper()
	c, err := f.Client(f.ctx, a)
	must(f.t, err)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expectProblem wants exactly this reason, and a message with each of the words.
func expectProblem(t *testing.T, err error, reason string, words ...string) {
	t.Helper()
	var p *account.Problem
	if !errors.As(err, &p) {
		t.Fatalf("%v is no Problem; want %s", err, reason)
	}
	if p.Reason != reason {
		t.Errorf("reason %s (%s), want %s", p.Reason, p.Message, reason)
	}
	for _, w := range words {
		if !strings.Contains(p.Message, w) {
			t.Errorf("message %q does not say %q", p.Message, w)
		}
	}
	if strings.Contains(p.Message, canary) || strings.Contains(p.Error(), canary) {
		t.Errorf("a credential is in %q", p.Error())
	}
	if !strings.HasPrefix(p.Error(), reason+": ") {
		t.Errorf("as an error: %q", p.Error())
	}
}

// expectForManager: err, which is a Problem, says these to who manages the account, and only to them.
func expectForManager(t *testing.T, err error, words ...string) {
	t.Helper()
	var p *account.Problem
	if !errors.As(err, &p) {
		t.Fatalf("%v is no Problem", err)
	}
	for _, w := range words {
		if !strings.Contains(p.ForManager, w) || strings.Contains(p.Message, w) {
			t.Errorf("%q is in %q, or not in %q", w, p.Message, p.ForManager)
		}
	}
	if strings.Contains(p.ForManager, canary) {
		t.Errorf("a credential is in %q", p.ForManager)
	}
}

// stub is a provider that hands out tokens and knows nothing else.
type stub struct {
	now   func() time.Time
	mu    sync.Mutex
	calls []providers.Call
	at    []time.Time
}

func (s *stub) Do(_ context.Context, call providers.Call) (providers.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls, s.at = append(s.calls, call), append(s.at, s.now())
	if call.Operation == "token" {
		return providers.Answer{Status: http.StatusOK, Body: []byte(`{"access_token":"token","expires_in":3600}`)}, nil
	}
	return providers.Answer{Status: http.StatusNotFound}, nil
}

// left is when the calls left that are not for tokens.
func (s *stub) left() (at []time.Time) {
	for i, c := range s.calls {
		if c.Operation != providers.OpToken {
			at = append(at, s.at[i])
		}
	}
	return at
}

// tokens tells for which Authorization a token was asked, in order.
func (s *stub) tokens() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.Operation == "token" {
			out = append(out, c.URL+" "+c.Header.Get("Authorization"))
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
