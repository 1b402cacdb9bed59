package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
)

// world is a collector with an API around it.
type world struct {
	t         *testing.T
	api       client.WithWatch
	collector *Collector
	// stale, if set, is what the cache shows.
	stale client.Reader
	// before is done ahead of a request past the cache, such as "get Charge".
	before map[string]func() error
	mu     sync.Mutex
	// requests past the cache.
	requests []string
	log      strings.Builder
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{t: t, before: map[string]func() error{}}
	w.api = builder(t).WithObjects(objects...).Build()
	at := func(context.Context) (time.Time, error) { return noon, nil }
	w.collector = &Collector{
		Client:       interceptor.NewClient(w.api, interceptor.Funcs{Get: w.getCached, List: w.listCached, Delete: w.delete}),
		Live:         interceptor.NewClient(w.api, interceptor.Funcs{Get: w.getLive}),
		Installation: testInstallation, Settings: DefaultSettings(),
		Now: func() time.Time { return noon }, ServerNow: at,
		Collected: NewMetrics(prometheus.NewRegistry()),
		Log:       funcr.New(w.print, funcr.Options{Verbosity: 1}),
	}
	return w
}

func (w *world) print(_, args string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintln(&w.log, args)
}

func builder(t *testing.T) *fake.ClientBuilder {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, v1alpha1.AddToScheme(scheme))
	b := fake.NewClientBuilder().WithScheme(scheme)
	must(t, errors.Join(attempt.SetupIndexes(t.Context(), indexAdder{b}), SetupIndexes(t.Context(), indexAdder{b})))
	return b
}

type indexAdder struct{ *fake.ClientBuilder }

func (i indexAdder) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(obj, field, extract)
	return nil
}

func (w *world) cache() client.Reader {
	if w.stale != nil {
		return w.stale
	}
	return w.api
}

func (w *world) getCached(ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	return w.cache().Get(ctx, key, o, opts...)
}

func (w *world) listCached(ctx context.Context, _ client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
	return w.cache().List(ctx, l, opts...)
}

func (w *world) getLive(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	if err := w.request("get", o); err != nil {
		return err
	}
	return c.Get(ctx, key, o, opts...)
}

func (w *world) delete(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
	if err := w.request("delete", o); err != nil {
		return err
	}
	asked := (&client.DeleteOptions{}).ApplyOptions(opts).Preconditions
	if asked == nil || asked.UID == nil || *asked.UID != o.GetUID() || asked.ResourceVersion == nil || *asked.ResourceVersion == "" {
		w.t.Errorf("deleted without naming uid and version: %+v", asked)
	}
	return c.Delete(ctx, o, opts...)
}

func (w *world) request(verb string, o any) error {
	label := verb + " " + strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, label)
	if do := w.before[label]; do != nil {
		return do()
	}
	return nil
}

// freeze makes the cache show the world as it is now, whatever happens.
func (w *world) freeze() {
	w.t.Helper()
	lists := []client.ObjectList{&v1alpha1.PaymentList{}, &v1alpha1.ChargeList{}, &v1alpha1.RefundList{}}
	for _, l := range lists {
		must(w.t, w.api.List(w.t.Context(), l))
	}
	w.stale = builder(w.t).WithLists(lists...).Build()
}

func (w *world) sweep() {
	w.t.Helper()
	must(w.t, w.collector.Sweep(w.t.Context()))
}

// left are the sales whose Charge is there.
func (w *world) left() []string {
	w.t.Helper()
	var list v1alpha1.ChargeList
	must(w.t, w.api.List(w.t.Context(), &list))
	out := []string{}
	for i := range list.Items {
		out = append(out, list.Items[i].Spec.Payment.Name)
	}
	slices.Sort(out)
	return out
}

func (w *world) expectLeft(want ...string) {
	w.t.Helper()
	if got := w.left(); !slices.Equal(got, want) {
		w.t.Errorf("left: %v, want %v", got, want)
	}
}

// change writes to a Charge as the loop does.
func (w *world) change(name string, do func(*v1alpha1.Charge)) error {
	var c v1alpha1.Charge
	key := client.ObjectKey{Name: testInstallation.ChargeName(shop, name)}
	if err := w.api.Get(w.t.Context(), key, &c); err != nil {
		return err
	}
	do(&c)
	return w.api.Update(w.t.Context(), &c)
}

func newPayment(name string) *v1alpha1.Payment {
	return &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
}

func newRefund(name string) *v1alpha1.Refund {
	return &v1alpha1.Refund{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: name}}
}

func elsewhere(o client.Object) client.Object {
	o.SetNamespace("elsewhere")
	return o
}

func TestSweep_CollectsWhatNobodyUses(t *testing.T) {
	w := newWorld(t,
		old("due"), old("refunded", refunded("gone", keep)), old("never-sent", neverSent(24*time.Hour)),
		old("open", open), old("unknown", open, unknown), old("young", ended(time.Hour)), old("reserved", reserved),
		old("declared"), newPayment("declared"),
		old("waiting", neverSent(keep)), newPayment("waiting"),
		old("elsewhere"), elsewhere(newPayment("elsewhere")),
		old("refund-declared", refunded("first", keep), refunded("back", keep)), newRefund("back"),
		old("refund-elsewhere", refunded("back-there", keep)), elsewhere(newRefund("back-there")),
	)
	w.sweep()
	w.expectLeft("declared", "open", "refund-declared", "reserved", "unknown", "waiting", "young")
	if got := testutil.ToFloat64(w.collector.Collected); got != 5 {
		t.Errorf("%v counted, want 5", got)
	}
	if n := strings.Count(w.log.String(), `"msg"="Collected a Charge"`); n != 5 {
		t.Errorf("%d lines in the log, want 5:\n%s", n, w.log.String())
	}

	must(t, w.api.Delete(t.Context(), newPayment("declared")))
	must(t, w.api.Delete(t.Context(), newRefund("back")))
	w.sweep()
	w.expectLeft("open", "reserved", "unknown", "waiting", "young")
}

func TestSweep_MakesNoRequestWhenNothingIsDue(t *testing.T) {
	w := newWorld(t, old("young", ended(time.Hour)), old("open", open), old("declared"), newPayment("declared"))
	w.sweep()
	if len(w.requests) != 0 {
		t.Errorf("requests: %v", w.requests)
	}
}

func TestSweep_TrustsNoStaleCache(t *testing.T) {
	tests := map[string]func(w *world) error{
		"a refund was reserved since": func(w *world) error { return w.change("sale", reserved) },
		"a refund ended since":        func(w *world) error { return w.change("sale", refunded("back", time.Minute)) },
		"it was contradicted since":   func(w *world) error { return w.change("sale", contradicted(time.Minute)) },
		"a callback came since":       func(w *world) error { return w.change("sale", calledBack(time.Minute)) },
		"a Payment was applied again": func(w *world) error { return w.api.Create(w.t.Context(), newPayment("sale")) },
		"a Refund was applied again": func(w *world) error {
			return errors.Join(w.change("sale", refunded("again", keep)), w.api.Create(w.t.Context(), newRefund("again")))
		},
		"it was made again and is open": func(w *world) error {
			return errors.Join(w.api.Delete(w.t.Context(), old("sale")), w.api.Create(w.t.Context(), old("sale", open)))
		},
	}
	for name, since := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, old("sale"))
			w.freeze()
			must(t, since(w))
			w.sweep()
			w.expectLeft("sale")
			if !slices.Contains(w.requests, "get Charge") || slices.Contains(w.requests, "delete Charge") {
				t.Errorf("requests: %v", w.requests)
			}
		})
	}
	t.Run("it is gone already", func(t *testing.T) {
		w := newWorld(t, old("sale"))
		w.freeze()
		must(t, w.api.Delete(t.Context(), old("sale")))
		w.sweep()
		if got := testutil.ToFloat64(w.collector.Collected.WithLabelValues("mtn")); got != 0 {
			t.Errorf("%v counted", got)
		}
	})
}

func TestSweep_KeepsWhatIsWrittenMeanwhile(t *testing.T) {
	reserve := func(w *world) error { return w.change("sale", reserved) }
	again := func(w *world) error {
		return client.IgnoreAlreadyExists(w.api.Create(w.t.Context(), newPayment("sale")))
	}
	for _, test := range []struct {
		moment string
		do     func(*world) error
		last   string // request: a write is found by the precondition, a Payment by a look
	}{
		{"get Payment", reserve, "delete Charge"}, {"delete Charge", reserve, "delete Charge"},
		{"get Charge", again, "get Payment"}, {"get Payment", again, "get Payment"},
	} {
		w := newWorld(t, old("sale"))
		w.freeze()
		w.before[test.moment] = func() error { return test.do(w) }
		w.sweep()
		w.expectLeft("sale")
		if last := w.requests[len(w.requests)-1]; last != test.last || testutil.ToFloat64(w.collector.Collected.WithLabelValues("mtn")) != 0 {
			t.Errorf("before %s: counted, or not kept by %s: %v", test.moment, test.last, w.requests)
		}
		delete(w.before, test.moment)
		w.stale = nil
		w.sweep()
		w.expectLeft("sale")
	}
}

// One clock that is wrong deletes nothing.
func TestSweep_TakesTheEarlierClock(t *testing.T) {
	future, past := noon.Add(100*keep), noon.Add(-100*keep)
	tests := map[string]struct {
		here, there time.Time
		err         error
		left        []string
	}{
		"both right":               {noon, noon, nil, []string{"young"}},
		"ours is ahead":            {future, noon, nil, []string{"young"}},
		"the API server's is":      {noon, future, nil, []string{"young"}},
		"ours is behind":           {past, noon, nil, []string{"old", "young"}},
		"the API server's is late": {noon, past, nil, []string{"old", "young"}},
		"the API server has none":  {future, time.Time{}, errors.New("no time"), []string{"old", "young"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, old("old"), old("young", ended(time.Hour)))
			w.collector.Now = func() time.Time { return test.here }
			w.collector.ServerNow = func(context.Context) (time.Time, error) { return test.there, test.err }
			if err := w.collector.Sweep(t.Context()); !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
			w.expectLeft(test.left...)
			apart := test.err == nil && !test.here.Equal(test.there)
			if strings.Contains(w.log.String(), "The clocks of") != apart {
				t.Errorf("the log: %s", w.log.String())
			}
		})
	}
}

func TestSweep_DeletesNothingBehindAClosedGate(t *testing.T) {
	for _, moment := range []string{"", "get Charge", "get Payment"} {
		for gate, set := range map[string]func(c *Collector, closed *bool){
			"restore detected": func(c *Collector, closed *bool) { c.RestoreDetected = func() bool { return *closed } },
			"lease lost":       func(c *Collector, closed *bool) { c.Leads = func() bool { return !*closed } },
		} {
			t.Run(gate+" before "+moment, func(t *testing.T) {
				w := newWorld(t, old("sale"))
				closed := moment == ""
				set(w.collector, &closed)
				w.before[moment] = func() error { closed = true; return nil }
				w.sweep()
				w.expectLeft("sale")
				if slices.Contains(w.requests, "get Charge") != (moment != "") {
					t.Errorf("requests: %v", w.requests)
				}
			})
		}
	}
}

func TestSweep_GoesOnAfterAFailure(t *testing.T) {
	broken := errors.New("broken")
	for _, moment := range []string{"get Charge", "get Payment", "get Refund", "delete Charge"} {
		t.Run(moment, func(t *testing.T) {
			w := newWorld(t, old("a", refunded("back", keep)), old("b", refunded("back", keep)))
			failed := false
			w.before[moment] = func() error {
				if failed {
					return nil
				}
				failed = true
				return broken
			}
			if err := w.collector.Sweep(t.Context()); !errors.Is(err, broken) {
				t.Errorf("error %v", err)
			}
			if n := len(w.left()); n != 1 {
				t.Errorf("left: %v", w.left())
			}
			w.sweep()
			w.expectLeft()
		})
	}
}

func TestSweep_LeavesTheRestAfterManyFailures(t *testing.T) {
	var charges []client.Object
	for i := range 3 * maxFailures {
		charges = append(charges, old(fmt.Sprintf("sale-%d", i)))
	}
	w := newWorld(t, charges...)
	w.before["delete Charge"] = func() error {
		return apierrors.NewForbidden(v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource(), "charge", errors.New("not here"))
	}
	if err := w.collector.Sweep(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("error %v", err)
	}
	tries := 0
	for _, r := range w.requests {
		if r == "delete Charge" {
			tries++
		}
	}
	if tries < maxFailures || tries > maxFailures+workers || len(w.left()) != len(charges) {
		t.Errorf("%d tries, %d left", tries, len(w.left()))
	}
}

func TestStart_SweepsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, old("first"))
		w.collector.Log = logr.Discard()
		sweeps := 0
		w.collector.ServerNow = func(context.Context) (time.Time, error) {
			sweeps++
			if sweeps == 2 {
				return time.Time{}, errors.New("a failure does not end it")
			}
			return noon, nil
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.collector.Start(ctx) }()
		synctest.Wait()
		w.expectLeft()
		must(t, w.api.Create(t.Context(), old("second")))
		time.Sleep(time.Hour)
		synctest.Wait()
		w.expectLeft("second")
		time.Sleep(time.Hour)
		synctest.Wait()
		w.expectLeft()
		if sweeps != 3 {
			t.Errorf("%d sweeps in two hours", sweeps)
		}
		stop()
		must(t, <-done)
	})
}

func TestServerTime_IsTheDateOfAReview(t *testing.T) {
	scheme := runtime.NewScheme()
	must(t, authenticationv1.AddToScheme(scheme))
	var answer error
	var date time.Time
	api := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
			o.(*authenticationv1.SelfSubjectReview).CreationTimestamp = metav1.NewTime(date)
			return answer
		},
	}).Build()
	date = noon
	if got, err := ServerTime(api)(t.Context()); err != nil || !got.Equal(noon) {
		t.Error(got, err)
	}
	date = time.Time{}
	if got, err := ServerTime(api)(t.Context()); err == nil {
		t.Error("a time from nowhere:", got)
	}
	date, answer = noon, errors.New("no")
	if got, err := ServerTime(api)(t.Context()); !errors.Is(err, answer) {
		t.Error(got, err)
	}
}

// noticed is open, and its notice says why.
func noticed(reason v1alpha1.Reason) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Outcome, c.Record.Notice = nil, &v1alpha1.Notice{Reason: reason, At: ago(time.Hour)}
	}
}

func TestUnfollowedMetric_CountsWhatCannotBeFollowed(t *testing.T) {
	w := newWorld(t,
		old("account-gone", noticed(v1alpha1.ReasonAccountNotFound)),
		old("secret-gone", noticed(v1alpha1.ReasonCredentialsNotFound), unknown),
		old("refund", reserved, func(c *v1alpha1.Charge) {
			c.Record.Refunds[0].Open = []v1alpha1.Send{{Number: 1}}
			c.Record.Refunds[0].Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound}
		}),
		old("with-payment", noticed(v1alpha1.ReasonAccountNotFound)), newPayment("with-payment"),
		old("over", func(c *v1alpha1.Charge) { c.Record.Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountNotFound} }),
		old("unreachable", noticed(v1alpha1.ReasonProviderUnreachable)),
		old("never-sent", neverSent(time.Hour), func(c *v1alpha1.Charge) { c.Record.Notice.Reason = v1alpha1.ReasonAccountNotFound }),
	)
	reg := prometheus.NewRegistry()
	reg.MustRegister(UnfollowedMetric{w.api})
	must(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP mobilemoney_charges_unfollowed Open Charges without a Payment about which the provider cannot be asked: their account, Secret or namespace is gone.
# TYPE mobilemoney_charges_unfollowed gauge
mobilemoney_charges_unfollowed{provider="mtn",reason="AccountNotFound"} 2
mobilemoney_charges_unfollowed{provider="mtn",reason="CredentialsNotFound"} 1
`)))
}
