package callback

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

const (
	operatorNamespace = "mobile-money-system"

	// What must be in no log.
	notifToken = "canary-notif-token"
	phone      = "+2250501020304"
)

var testInstallation = installation.Installation{ID: "test", Key: []byte("0123456789abcdef0123456789abcdef")}

// fixture is a Receiver with an API and a clock of its own.
type fixture struct {
	*Receiver
	t   testing.TB
	ctx context.Context
	api client.WithWatch
	now time.Time

	resolver *account.Resolver
	metrics  *prometheus.Registry

	mu     sync.Mutex
	writes []string
	reads  []string
	logs   bytes.Buffer
	// onCall may fail what the receiver asks of the API, such as "list ChargeList".
	onCall func(label string) error
}

var errAPI = errors.New("the API is out of order")

func setUp(t testing.TB, objects ...client.Object) *fixture {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	f := &fixture{t: t, ctx: context.Background(), now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithStatusSubresource(&v1alpha1.Payment{})
	must(t, attempt.SetupIndexes(f.ctx, indexer{builder}))
	f.api = builder.Build()
	registry := providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
	watched := f.intercept()
	f.resolver = &account.Resolver{Reader: watched, Live: watched, Registry: registry, OperatorNamespace: operatorNamespace}
	f.metrics = prometheus.NewRegistry()
	f.Receiver = &Receiver{
		Client:   watched,
		Live:     f.live(),
		Paths:    testInstallation.PathKeys(),
		Keyring:  &Keyring{Reader: watched, Accounts: f.resolver, Refresh: 30 * time.Second},
		Registry: registry,
		Digest:   testInstallation.CallbackDigest,
		Metrics:  NewMetrics(f.metrics),
		Now:      func() time.Time { return f.now },
		NoteGap:  10 * time.Second,
		Limits:   Limits{SourceRate: 1e9, SourceBurst: 1e9},
		Log: funcr.New(func(prefix, args string) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.logs.WriteString(prefix + args + "\n")
		}, funcr.Options{Verbosity: 127, LogTimestamp: true}),
	}
	f.load()
	// Most tests are not about rates.
	f.Handler()
	f.throttle.charges = newBuckets(1e9, 1e9)
	return f
}

// load fills the keyring, as its controllers do.
func (f *fixture) load() {
	f.t.Helper()
	var namespaced v1alpha1.MerchantAccountList
	must(f.t, f.api.List(f.ctx, &namespaced))
	for i := range namespaced.Items {
		must(f.t, f.Keyring.Load(f.ctx, account.KindNamespaced, client.ObjectKeyFromObject(&namespaced.Items[i])))
	}
	var cluster v1alpha1.ClusterMerchantAccountList
	must(f.t, f.api.List(f.ctx, &cluster))
	for i := range cluster.Items {
		must(f.t, f.Keyring.Load(f.ctx, account.KindCluster, client.ObjectKeyFromObject(&cluster.Items[i])))
	}
	f.reads = nil
}

// keep makes or changes an object, and fills the keyring again.
func (f *fixture) keep(o client.Object) {
	f.t.Helper()
	if err := f.api.Create(f.ctx, o); err != nil {
		must(f.t, f.api.Update(f.ctx, o))
	}
	f.load()
}

func (f *fixture) remove(o client.Object) {
	f.t.Helper()
	must(f.t, f.api.Delete(f.ctx, o))
	f.load()
}

type indexer struct{ *fake.ClientBuilder }

func (i indexer) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(obj, field, extract)
	return nil
}

func (f *fixture) call(label string, write bool, do func() error) error {
	f.mu.Lock()
	if write {
		f.writes = append(f.writes, label)
	} else {
		f.reads = append(f.reads, label)
	}
	hook := f.onCall
	f.mu.Unlock()
	if hook != nil {
		if err := hook(label); err != nil {
			return err
		}
	}
	return do()
}

// live reads past the cache, as "live get Charge".
func (f *fixture) live() client.Reader {
	return interceptor.NewClient(f.api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return f.call("live get "+kindOf(o), false, func() error { return c.Get(ctx, key, o, opts...) })
		},
	})
}

// intercept sees every call; all that is not a read is a write.
func (f *fixture) intercept() client.Client {
	return interceptor.NewClient(f.api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return f.call("get "+kindOf(o), false, func() error { return c.Get(ctx, key, o, opts...) })
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			return f.call("list "+kindOf(l), false, func() error { return c.List(ctx, l, opts...) })
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return f.call("create", true, func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return f.call("update", true, func() error { return c.Update(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return f.call("delete", true, func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return f.call("patch", true, func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return f.call("apply", true, func() error { return c.Apply(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return f.call("update "+sub, true, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return f.call("patch "+sub, true, func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
		SubResourceApply: func(ctx context.Context, c client.Client, sub string, o runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
			return f.call("apply "+sub, true, func() error { return c.SubResource(sub).Apply(ctx, o, opts...) })
		},
	})
}

func kindOf(o runtime.Object) string { return reflect.TypeOf(o).Elem().Name() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sale is a Payment that was asked for, with its Charge.
type sale struct {
	payment *v1alpha1.Payment
	charge  *v1alpha1.Charge
}

func (s sale) id() string {
	return testInstallation.PathKeys().ID(s.charge.Spec.Provider, s.charge.Name)
}
func (s sale) reference() string { return s.charge.Spec.ProviderReference }
func (s sale) path() string      { return "/callbacks/" + s.charge.Spec.Provider + "/" + s.id() }

// newSale is one whose answer is recorded.
func newSale(namespace, name, provider string, change ...func(*sale)) sale {
	chargeName := testInstallation.ChargeName(namespace, name)
	now := metav1.NewMicroTime(time.Date(2026, 11, 22, 11, 59, 0, 0, time.UTC))
	s := sale{
		payment: &v1alpha1.Payment{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID("uid-" + namespace + "-" + name)},
			Spec:       v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.AmountFromInt(5000), Phone: phone},
			Status:     v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing, ChargeName: chargeName, Reference: name},
		},
		charge: &v1alpha1.Charge{
			ObjectMeta: metav1.ObjectMeta{Name: chargeName, UID: types.UID("uid-" + chargeName)},
			Spec: v1alpha1.ChargeSpec{
				InstallationID: testInstallation.ID, Provider: provider, MerchantReference: name,
				Payment:           v1alpha1.PaymentIdentity{Namespace: namespace, Name: name},
				Account:           v1alpha1.AccountPin{Kind: account.KindNamespaced, Namespace: namespace, Name: provider},
				ProviderReference: strings.ToLower("ref-" + namespace + "-" + name),
			},
			Record: v1alpha1.ChargeRecord{
				Attempt: v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: now}}, Session: &v1alpha1.Session{},
			},
		},
	}
	if provider == "orange" {
		s.charge.Record.Session.NotificationTokenHash = providers.HashToken(notifToken)
	}
	for _, c := range change {
		c(&s)
	}
	return s
}

func unansweredSale(s *sale) { s.charge.Record.Session = nil }

func unaskedSale(s *sale) { s.charge.Record = v1alpha1.ChargeRecord{} }

func ended(phase v1alpha1.Phase) func(*sale) {
	return func(s *sale) {
		s.payment.Status.Phase = phase
		s.charge.Record.Outcome = &v1alpha1.Outcome{Phase: phase, Reason: "Paid", At: s.charge.Record.Taken.At}
	}
}

func settledByHand(s *sale) { s.charge.Record.Outcome.SettledBy = "awa" }

func pinned(kind, namespace, name string) func(*sale) {
	return func(s *sale) {
		s.charge.Spec.Account = v1alpha1.AccountPin{Kind: kind, Namespace: namespace, Name: name}
	}
}

func (f *fixture) add(sales ...sale) {
	f.t.Helper()
	for _, s := range sales {
		must(f.t, f.api.Create(f.ctx, s.payment.DeepCopy()))
		must(f.t, f.api.Create(f.ctx, s.charge.DeepCopy()))
	}
}

// withSale has one sale, order-1 of namespace shop.
func withSale(t testing.TB, provider string, change ...func(*sale)) (*fixture, sale) {
	t.Helper()
	s := newSale("shop", "order-1", provider, change...)
	return withSales(t, s), s
}

func withSales(t testing.TB, sales ...sale) *fixture {
	t.Helper()
	f := setUp(t)
	f.add(sales...)
	return f
}

// payment and charge as they are now.
func (f *fixture) get(s sale) (*v1alpha1.Payment, *v1alpha1.Charge) {
	f.t.Helper()
	var p v1alpha1.Payment
	var c v1alpha1.Charge
	must(f.t, f.api.Get(f.ctx, client.ObjectKeyFromObject(s.payment), &p))
	must(f.t, f.api.Get(f.ctx, client.ObjectKeyFromObject(s.charge), &c))
	return &p, &c
}

// noteOf is the note on a sale, after checking that nothing else is new.
func (f *fixture) noteOf(s sale) *v1alpha1.CallbackNote {
	f.t.Helper()
	p, c := f.get(s)
	note := p.Status.LastCallback
	p.Status.LastCallback = s.payment.Status.LastCallback
	if !equality.Semantic.DeepEqual(p.Status, s.payment.Status) || !equality.Semantic.DeepEqual(p.Spec, s.payment.Spec) {
		f.t.Errorf("a callback changed the Payment: %+v", p)
	}
	if !equality.Semantic.DeepEqual(c.Spec, s.charge.Spec) || !equality.Semantic.DeepEqual(c.Record, s.charge.Record) {
		f.t.Errorf("a callback changed the Charge: %+v", c)
	}
	return note
}

// expectNote wants a note of this moment with this claim.
func (f *fixture) expectNote(s sale, claim string) {
	f.t.Helper()
	n := f.noteOf(s)
	if n == nil || n.Claim != claim || !n.ReceivedAt.Time.Equal(f.now) {
		f.t.Errorf("%s: noted %+v, want %q at %s", s.payment.Name, n, claim, f.now)
	}
}

func (f *fixture) expectNoNote(s sale) {
	f.t.Helper()
	if n := f.noteOf(s); !equality.Semantic.DeepEqual(n, s.payment.Status.LastCallback) {
		f.t.Errorf("%s: noted %+v", s.payment.Name, n)
	}
}

func (f *fixture) expectWrites(n int) {
	f.t.Helper()
	if len(f.writes) != n {
		f.t.Errorf("writes: %v, want %d", f.writes, n)
	}
	for _, w := range f.writes {
		if w != "apply status" {
			f.t.Errorf("wrote by %s", w)
		}
	}
}

// expectReads wants so many reads since the keyring was filled, cache included.
func (f *fixture) expectReads(n int) {
	f.t.Helper()
	if len(f.reads) != n {
		f.t.Errorf("reads: %v, want %d", f.reads, n)
	}
}

// expectNotLogged wants none of the words in the log.
func (f *fixture) expectNotLogged(words ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range append(words, notifToken, phone, phone[1:]) {
		if strings.Contains(f.logs.String(), w) {
			f.t.Errorf("%q is in the log:\n%s", w, f.logs.String())
		}
	}
}

// send is one request; headers come in pairs.
func (f *fixture) send(method, path, body string, headers ...string) int {
	f.t.Helper()
	return f.do(method, path, body, headers...).Code
}

func (f *fixture) do(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return f.answerTo(request(method, path, strings.NewReader(body), headers...))
}

func request(method, path string, body io.Reader, headers ...string) *http.Request {
	req := httptest.NewRequest(method, path, body)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

func (f *fixture) answerTo(req *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.Handler().ServeHTTP(w, req)
	return w
}

func (f *fixture) expect(want int, method, path, body string, headers ...string) {
	f.t.Helper()
	w := f.do(method, path, body, headers...)
	if w.Code != want {
		f.t.Fatalf("%s %s: HTTP %d, want %d\n%s", method, path, w.Code, want, f.logs.String())
	}
	// The sender learns nothing but the status.
	header := w.Header().Clone()
	header.Del("Connection")
	if want == http.StatusTooManyRequests {
		header.Del("Retry-After")
	}
	if w.Body.Len() > 0 || len(header) > 0 {
		f.t.Errorf("%s %s: answered %v %q", method, path, header, w.Body.String())
	}
}

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
