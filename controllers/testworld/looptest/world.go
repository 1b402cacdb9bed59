// Package looptest is what tests of one loop have around it: an API server in memory, the
// simulator of the providers, and a clock that only moves when told to. The loops in it run
// as they are; stories of all of them together are played in package testworld.
package looptest

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

const (
	// Shop is the namespace with an account at each provider, called like it.
	Shop = "shop"
	// Phone of the payer.
	Phone = "+2250501020304"
)

// ErrInjected is what a call fails with that a test has fail.
var ErrInjected = errors.New("injected")

// Crash is what a dying process looks like from inside: a panic with it ends the step.
type Crash struct{ At string }

// World is all that is around a loop. A run in it is deterministic.
type World struct {
	T     *testing.T
	Ctx   context.Context
	Clock *simulator.Clock
	Sim   *simulator.Simulator
	// API is the API server as users have it.
	API client.WithWatch
	// Stubs makes what the cache of the loop holds.
	Stubs *stub.Transform
	// Stale, if set, is what the cache of the loop shows.
	Stale client.Reader
	// Endpoints that the next process trusts, besides the providers' own.
	Endpoints []string
	// Points are the writes of the loop and its calls to providers so far, in order.
	Points []string
	// OnPoint is called before and after each of them. It may crash the process, or answer in the other side's stead.
	OnPoint func(n int, label string, after bool) error
	// Writes that the API server took, Calls to providers, and the metrics of each process.
	Writes     int
	Calls      []providers.Call
	Registries []*prometheus.Registry
	// Events that this process published.
	Events []string
	// Errs are what the loop returned.
	Errs []error

	indexes func(context.Context, client.FieldIndexer) error
	said    canary.Transcript
	secrets *canary.Scanner
	pauses  int

	mu           sync.Mutex // guards Points, Writes, and everything below
	starts, uids int
}

// Installation of the operator.
func Installation() installation.Installation {
	return installation.Installation{ID: "test-installation", Given: true, Key: []byte("0123456789abcdef0123456789abcdef")}
}

// New makes a world for loops that need these indexes.
func New(t *testing.T, opts simulator.Options, indexes func(context.Context, client.FieldIndexer) error) *World {
	t.Helper()
	w := &World{T: t, indexes: indexes, secrets: canary.New(), Clock: simulator.NewClock(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))}
	w.Ctx = logr.NewContext(t.Context(), w.said.Logger())
	opts.Now, opts.Rand, opts.Wave.AllowHTTPReturnURLs = w.Clock.Now, simulator.Seeded(1), true
	sim, err := simulator.New(opts)
	w.Must(err)
	server := httptest.NewServer(sim)
	sim.SetURL(server.URL)
	t.Cleanup(func() { server.Close(); _ = sim.Close() })
	t.Cleanup(w.saidNoSecret)
	w.Sim, w.Endpoints = sim, []string{strings.TrimPrefix(sim.URL(), "http://")}
	scheme := runtime.NewScheme()
	w.Must(errors.Join(corev1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)))
	w.API = w.bearing(w.Builder(scheme).WithStatusSubresource(
		&v1alpha1.Payment{}, &v1alpha1.Refund{}, &v1alpha1.MerchantAccount{}, &v1alpha1.ClusterMerchantAccount{}).Build())
	for provider, base := range map[string]string{"mtn": sim.MTNURL(), "orange": sim.OrangeURL("dev"), "wave": sim.WaveURL()} {
		w.openAccount(provider, base)
	}
	return w
}

// Must fails the test.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// saidNoSecret: whatever the story, nothing of it is told to anybody.
func (w *World) saidNoSecret() {
	for _, registry := range w.Registries {
		families, err := registry.Gather()
		w.Must(err)
		w.said.Say(families)
	}
	for _, err := range w.Errs {
		w.said.Say(err)
	}
	for _, secret := range w.Sim.Secrets() {
		w.secrets.Secret("a token, a session or its page", secret)
	}
	w.secrets.Phone("the payer", Phone)
	for _, leak := range w.said.Leaks(w.secrets) {
		w.T.Errorf("I-1: the loop tells %v", leak)
	}
}

// Eventf of a recorder: an event is published.
func (w *World) Eventf(_, _ runtime.Object, _, reason, action, note string, args ...any) {
	text := fmt.Sprintf(note, args...)
	w.said.Say(reason, action, text)
	w.Events = append(w.Events, reason+": "+text)
}

// Credentials of the account at a provider, as its Secret has them.
func Credentials(provider string) map[string]string {
	return map[string]map[string]string{
		"mtn": {
			"subscriptionKey": simulator.DefaultMTNSubscriptionKey, "userID": simulator.DefaultMTNUser, "apiSecret": simulator.DefaultMTNKey,
			"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
			"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
			"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
		},
		"orange": {"clientID": simulator.DefaultOrangeClientID, "clientSecret": simulator.DefaultOrangeClientSecret, "merchantKey": simulator.DefaultOrangeMerchantKey},
		"wave":   {"apiKey": simulator.DefaultWaveKey},
	}[provider]
}

func (w *World) openAccount(provider, base string) {
	w.T.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: provider}, Data: map[string][]byte{}}
	for key, value := range Credentials(provider) {
		w.secrets.Secret(provider+" "+key, value)
		secret.Data[key] = []byte(value)
	}
	w.Must(w.API.Create(w.Ctx, secret))
	m := &v1alpha1.MerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: provider},
		Spec: v1alpha1.MerchantAccountSpec{
			Provider: provider, Environment: "sandbox", Currency: "XOF", BaseURL: base, SecretRef: v1alpha1.SecretReference{Name: provider},
		},
	}
	if provider == "orange" {
		m.Spec.Orange = &v1alpha1.OrangeAccount{TokenURL: w.Sim.OrangeTokenURL()}
	}
	w.Must(w.API.Create(w.Ctx, m))
}

// Get reads an object, which has to be there.
func Get[T any, P interface {
	*T
	client.Object
}](w *World, namespace, name string) P {
	w.T.Helper()
	o := P(new(T))
	w.Must(w.API.Get(w.Ctx, types.NamespacedName{Namespace: namespace, Name: name}, o))
	return o
}

// Merchant is the account at a provider.
func (w *World) Merchant(name string) *v1alpha1.MerchantAccount {
	w.T.Helper()
	return Get[v1alpha1.MerchantAccount](w, Shop, name)
}

// EditMerchant changes it.
func (w *World) EditMerchant(name string, change func(*v1alpha1.MerchantAccount)) {
	w.T.Helper()
	m := w.Merchant(name)
	change(m)
	w.Must(w.API.Update(w.Ctx, m))
}

// Suspend closes it, or opens it again.
func (w *World) Suspend(name string, suspended bool) {
	w.T.Helper()
	w.EditMerchant(name, func(m *v1alpha1.MerchantAccount) { m.Spec.Suspend = suspended })
}

// EditSecret changes the credentials of the account at a provider.
func (w *World) EditSecret(name string, change func(map[string][]byte)) {
	w.T.Helper()
	s := Get[corev1.Secret](w, Shop, name)
	change(s.Data)
	w.Must(w.API.Update(w.Ctx, s))
}

// Delete an object.
func (w *World) Delete(o client.Object) { w.T.Helper(); w.Must(w.API.Delete(w.Ctx, o)) }

// Builder of an API server, or a cache, with the indexes.
func (w *World) Builder(scheme *runtime.Scheme) *fake.ClientBuilder {
	b := fake.NewClientBuilder().WithScheme(scheme).WithGlobalResourceVersionCounter()
	w.Must(w.indexes(w.Ctx, indexer{b}))
	return b
}

type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, o client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(o, field, extract)
	return nil
}

// Freeze makes the cache show the world as it is now, whatever happens.
func (w *World) Freeze() {
	w.T.Helper()
	lists := []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.ChargeList{}, &v1alpha1.RefundList{}}
	for _, l := range lists {
		w.Must(w.API.List(w.Ctx, l))
	}
	w.Stale = w.Builder(w.API.Scheme()).WithLists(lists...).Build()
}

// Process is what a process has of its own: it remembers nothing of the one before.
type Process struct {
	// Client reads a cache, and writes at points.
	Client   client.Client
	Protocol *attempt.Protocol
	Accounts *account.Resolver
	Registry *prometheus.Registry
}

// Start starts one.
func (w *World) Start(settings attempt.Settings) Process {
	w.starts++
	w.Events = nil
	registry := prometheus.NewRegistry()
	w.Registries = append(w.Registries, registry)
	c := w.watched()
	return Process{
		Client: c, Protocol: w.Protocol(c, settings), Registry: registry,
		Accounts: w.Resolver(wire{w, w.Transport()}),
	}
}

// Protocol of a process that writes with c.
func (w *World) Protocol(c client.Client, settings attempt.Settings) *attempt.Protocol {
	return &attempt.Protocol{
		Client: c, Live: w.API, Settings: settings, Now: w.Clock.Now, Pause: w.pause, Process: fmt.Sprintf("process-%d", w.starts),
	}
}

// Resolver of accounts that calls providers with t.
func (w *World) Resolver(t providers.Transport) *account.Resolver {
	clients := account.NewClients(t, w.Clock.Now)
	clients.Sleep = func(_ context.Context, d time.Duration) error { w.Clock.Add(d); return nil }
	return &account.Resolver{
		Reader: w.API, Live: w.API, OperatorNamespace: "mobile-money-system", AllowedEndpoints: w.Endpoints, Clients: clients, InstallationIDGiven: true,
		Registry: providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()},
	}
}

// Transport to the simulator.
func (w *World) Transport() providers.Transport {
	return transport.New(transport.Options{Trusted: []string{"127.0.0.1"}})
}

// pause between two tries to record, of which there are few.
func (w *World) pause(_ context.Context, d time.Duration) error {
	w.Clock.Add(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pauses++; w.pauses%5 == 0 {
		return context.DeadlineExceeded
	}
	return nil
}

// Step runs a loop once. It tells how long until the next run, and whether there is one.
// A crash is survived by what restart starts.
func (w *World) Step(run func() (ctrl.Result, error), restart func()) (wait time.Duration, again bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case Crash:
			restart()
			wait, again = 0, true
		default:
			panic(r)
		}
	}()
	before := w.Writes
	result, err := run()
	switch {
	case attempt.Outpaced(err):
		return time.Second, true
	case err != nil:
		w.Errs = append(w.Errs, err)
		return time.Second, true // the rate limiter's first wait
	case w.Writes != before:
		return 0, true // the watch event of our own write
	default:
		return result.RequeueAfter, result.RequeueAfter > 0
	}
}

// Until repeats a step, moving the clock to each wake-up and by at least so much, until done says so, nothing is left
// to do, or the horizon is reached. What happens meanwhile does so before the clock moves.
func (w *World) Until(horizon, atLeast time.Duration, step func() (time.Duration, bool), done func() bool, meanwhile func()) {
	w.T.Helper()
	end := w.Clock.Now().Add(horizon)
	for n := 1; ; n++ {
		if n > 5000 {
			w.T.Fatalf("hot loop: %v", w.Points[max(0, len(w.Points)-20):])
		}
		wait, again := step()
		wait = max(wait, atLeast)
		if done() || !again || !w.Clock.Now().Add(wait).Before(end) {
			return
		}
		meanwhile()
		w.Clock.Add(wait)
		w.Sim.Tick()
	}
}

// FailOnErrors: the loop returned no error, unless the test made it.
func (w *World) FailOnErrors() {
	w.T.Helper()
	if w.OnPoint == nil && len(w.Errs) > 0 {
		w.T.Errorf("Reconcile failed: %v", w.Errs[0])
	}
}
