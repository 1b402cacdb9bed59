// Package testworld is all that surrounds the loops, in one process and without a socket or a sleep: an API server with
// its versions, caches that may be behind, the three providers (the real simulator), payers, and a clock that only
// moves when told to. A run of it is deterministic. It runs the real reconcilers and the real callback receiver; every
// use that they make of their clients is a point at which a fault can be planned.
package testworld

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/refund"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/providertest/canary"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/wave"
)

// Shop is the namespace of all that users own.
const Shop = "shop"

const (
	payer      = "+2250501020304"
	waveSecret = "wave_ci_WHS_secret"
)

// Observer is told what happens, as it happens.
type Observer interface {
	// Committed: there is a new version of an object.
	Committed(v Version)
	// Acknowledged: the process was told that its write was done.
	Acknowledged(p *Process, v Version)
	// Refused: the CRD's rules refused a write of ours.
	Refused(p *Process, k Key, err error)
	// Careless: a write of ours named no version to stand on.
	Careless(k Key)
	// Calls: a process is about to call a provider.
	Calls(f *Flight)
	// Leaves: it knows where to.
	Leaves(f *Flight)
	// Arrives: a request is at the provider, nothing is processed yet.
	Arrives(f *Flight)
	// Answered: a process has read the answer, or the lack of it.
	Answered(f *Flight)
	// Begins and Ends of one job of a process.
	Begins(p *Process, j Job)
	Ends(p *Process, j Job, result ctrl.Result, err error)
	// Shown: a process has read an object, or (nil) that there is none; live: past its cache.
	Shown(p *Process, k Key, o client.Object, live bool)
	// Died: what the process knew is lost.
	Died(p *Process)
	// Noted: a callback was taken.
	Noted(p *Process)
}

// Shared is what all worlds of one worker can have in common.
type Shared struct {
	Registry     providers.Registry
	Installation installation.Installation
	Payments     *payment.Metrics
	Refunds      *refund.Metrics
	Collected    *prometheus.CounterVec
	Validate     func(kind Kind, status bool, old, written []byte) error
	secrets      *canary.Scanner
}

// NewShared makes one.
func NewShared() *Shared {
	return &Shared{
		Registry:     providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()},
		Installation: installation.Installation{ID: "torture", Given: true, Key: []byte("0123456789abcdef0123456789abcdef")},
		Payments:     payment.NewMetrics(prometheus.NewRegistry()),
		Refunds:      refund.NewMetrics(prometheus.NewRegistry()),
		Collected:    retention.NewMetrics(prometheus.NewRegistry()),
		secrets:      canary.New(),
	}
}

// Options of a world.
type Options struct {
	Shared   *Shared
	Observer Observer
	Provider string
	Settings attempt.Settings
	// Processes that run at the same time; 1 if 0.
	Processes int
	// Skew of the clocks of all but the first.
	Skew time.Duration
	// Eager callbacks come before the answer that they are about.
	Eager bool
	// NoCallbacks: none arrives.
	NoCallbacks bool
	// Pays: who finds a page pays at once. Otherwise it is opened, and the provider's story begins.
	Pays bool
	// Checked writes go through the rules of the CRDs.
	Checked bool
	// Trace keeps what happens in words.
	Trace bool
	// Plan is what befalls which point.
	Plan []Planned
	// Stop, if set, is asked between two steps whether enough was seen.
	Stop func() bool
}

// World is one run.
type World struct {
	Store *Store
	// Points that the run came to.
	Points []Point
	// FiredAt is how many points there were when the first of the plan happened.
	FiredAt int
	// Panics of the loops.
	Panics []string
	// Late requests are under way, cut off from who sent them.
	Late []Arrival
	// Trace in words.
	Trace []string

	// Config is what processes are started with.
	Config Config

	opts  Options
	first Config
	// current process is in the middle of a step while something else happens.
	current   *Process
	ctx       context.Context
	observer  Observer
	clock     *simulator.Clock
	begin     time.Time
	sim       *simulator.Simulator
	indexes   []index
	processes []*Process
	boots     int
	// away are processes that ended, and whose successors are yet to come.
	away      []*Process
	steps     int
	since     time.Duration
	plan      []Planned
	fired     []bool
	counts    map[string]int
	lastFault time.Time
	end       time.Time
	flight    *Flight
	timers    []timer
	urls      []string
	rotated   bool
	// declared is what users and administrators last applied under a name.
	declared map[Key]client.Object
	// outages of what a whole class of points leads to.
	outages map[Class]outage
	armed   []armed
	// shelves are read by goroutines of the collector.
	shelves sync.Mutex
	jumped  bool
	skewed  bool
	keyLost bool
	// crowd is how many Payments others made.
	crowd int
	// made is how many keys were made up.
	made int
	skew time.Duration
	// delivering callbacks: they are carried one after another.
	delivering bool
	// said is all that processes logged, returned and published.
	said canary.Transcript
}

// Config of processes that start from now on.
type Config struct {
	Installation installation.Installation
	// Allowed endpoints.
	Allowed []string
	// AdoptOnly: nothing is sent.
	AdoptOnly bool
	// Skew of the operator's clock.
	Skew time.Duration
}

type timer struct {
	at time.Time
	do func()
}

// New world, with an account and nothing else in it. Close it.
func New(o Options) (*World, error) {
	w := &World{
		opts: o, observer: o.Observer, plan: o.Plan, fired: make([]bool, len(o.Plan)), counts: map[string]int{},
		begin: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), declared: map[Key]client.Object{}, outages: map[Class]outage{},
	}
	w.Config = Config{Installation: o.Shared.Installation, Allowed: Endpoints(), AdoptOnly: o.Settings.AdoptOnly}
	w.first = w.Config
	w.ctx = logr.NewContext(context.Background(), w.said.Logger())
	w.clock = simulator.NewClock(w.begin)
	w.Store = &Store{now: w.clock.Now, committed: w.committed, careless: w.observer.Careless}
	if o.Checked {
		w.Store.validate = o.Shared.Validate
	}
	sim, err := simulator.New(simulator.Options{
		Now: w.clock.Now, Rand: simulator.Seeded(1), PublicURL: "https://" + simulatorHost,
		PayerOpens: true, CallbackTransport: &postman{w},
		// Both environments are here; see admit.
		MTN: simulator.MTNOptions{TargetEnvironment: everywhere, UncappedRefunds: true},
		Wave: simulator.WaveOptions{Callbacks: []simulator.WaveCallback{{
			URL: publicURL + "/callbacks/wave/account/" + Shop + "/wave", SigningSecrets: []string{waveSecret},
		}}},
	})
	if err != nil {
		return nil, fmt.Errorf("starting the simulator: %w", err)
	}
	w.sim = sim
	sim.BeforeProcess(w.received)
	for _, setup := range []func(context.Context, client.FieldIndexer) error{
		attempt.SetupIndexes, promptlimit.SetupIndexes, refund.SetupIndexes, retention.SetupIndexes,
	} {
		if err := setup(w.ctx, w); err != nil {
			return nil, err
		}
	}
	w.openAccounts()
	for seat := range max(1, o.Processes) {
		w.processes = append(w.processes, w.boot(seat, 0))
	}
	return w, nil
}

// Close ends the simulator.
func (w *World) Close() error { return w.sim.Close() }

// Sim is the provider, whose books are the judge.
func (w *World) Sim() *simulator.Simulator { return w.sim }

// Replicas that run at the same time.
func (w *World) Replicas() int { return max(1, w.opts.Processes) }

// Now is where the clock stands.
func (w *World) Now() time.Time { return w.clock.Now() }

// Elapsed since the world began.
func (w *World) Elapsed() time.Duration { return w.clock.Now().Sub(w.begin) }

// LastFault is how long after the beginning the newest thing that was planned happened.
func (w *World) LastFault() time.Duration { return max(0, w.lastFault.Sub(w.begin)) }

// Jumped tells whether the clock ever went other ways than time does.
func (w *World) Jumped() bool { return w.jumped }

// Installation of all processes.
func (w *World) Installation() installation.Installation { return w.Config.Installation }

// Charge of a sale; nil: there is none.
func (w *World) Charge(sale types.NamespacedName) *v1alpha1.Charge {
	c, _ := w.Store.Live(Key{Kind: Charge, Name: w.Installation().ChargeName(sale.Namespace, sale.Name)}).(*v1alpha1.Charge)
	return c
}

// Payment by name; nil: there is none.
func (w *World) Payment(name types.NamespacedName) *v1alpha1.Payment {
	p, _ := w.Store.Live(Key{Payment, name.Namespace, name.Name}).(*v1alpha1.Payment)
	return p
}

// Refund by name; nil: there is none.
func (w *World) Refund(name types.NamespacedName) *v1alpha1.Refund {
	r, _ := w.Store.Live(Key{Refund, name.Namespace, name.Name}).(*v1alpha1.Refund)
	return r
}

// FirstConfig is what the first processes were started with.
func (w *World) FirstConfig() Config { return w.first }

// Endpoints that are trusted unless somebody says otherwise.
func Endpoints() []string { return []string{simulatorHost, otherHost} }

// Say puts a line into the trace.
func (w *World) Say(text string) { w.logf(nil, "*** %s", text) }

// LoseKey: processes that start from now on have a key of their own.
func (w *World) LoseKey() {
	w.keyLost = true
	w.made++
	w.Config.Installation.Key = fmt.Appendf(nil, "%032d", w.made)
}

// SetClock sets the operator's clock to d from the true time, while time goes on as it does.
func (w *World) SetClock(d time.Duration) {
	w.jumped = w.jumped || d != w.skew
	w.skewed = w.skewed || d.Abs() > w.opts.Settings.ExpiryMargin
	w.skew = d
}

// Environment of the account that p would use now; empty: there is none.
func (w *World) Environment(p *v1alpha1.Payment) string {
	kind, name := account.KindNamespaced, p.Spec.Provider
	if ref := p.Spec.AccountRef; ref != nil {
		kind, name = ref.Kind, ref.Name
	}
	if a, ok := w.Store.Live(Key{Account, p.Namespace, name}).(*v1alpha1.MerchantAccount); ok && kind == account.KindNamespaced {
		return a.Spec.Environment
	}
	if a, ok := w.Store.Live(Key{Kind: ClusterAccount, Name: name}).(*v1alpha1.ClusterMerchantAccount); ok {
		return a.Spec.Environment
	}
	return ""
}

// OrangeSkewed: the clock of the operator was wrong by more than can be survived where
// only the clock tells when a page is over.
func (w *World) OrangeSkewed() bool { return w.opts.Provider == "orange" && w.skewed }

// KeyLost: the operator lost the key that it makes fingerprints with.
func (w *World) KeyLost() bool { return w.keyLost }

// InShop names an object of the shop.
func InShop(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: Shop, Name: name}
}

// Provider that the world is about.
func (w *World) Provider() string { return w.opts.Provider }

// Settings of all processes.
func (w *World) Settings() attempt.Settings { return w.opts.Settings }

func (w *World) committed(v Version) {
	w.publish(v.New)
	if w.opts.Trace {
		w.logf(nil, "%s", describe(v))
	}
	w.observer.Committed(v)
}

func (w *World) logf(p *Process, format string, args ...any) {
	if !w.opts.Trace {
		return
	}
	name := "-"
	if p != nil {
		name = p.Name
	}
	w.Trace = append(w.Trace, fmt.Sprintf("%-12s %-10s ", w.Elapsed().Round(time.Millisecond), name)+fmt.Sprintf(format, args...))
}

// credentials that the simulator takes.
func credentials() map[string]map[string]string {
	return map[string]map[string]string{
		"mtn": {
			"subscriptionKey": simulator.DefaultMTNSubscriptionKey, "userID": simulator.DefaultMTNUser, "apiSecret": simulator.DefaultMTNKey,
			"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
			"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
			"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
		},
		"orange": {
			"clientID": simulator.DefaultOrangeClientID, "clientSecret": simulator.DefaultOrangeClientSecret,
			"merchantKey": simulator.DefaultOrangeMerchantKey,
		},
		"wave": {"apiKey": simulator.DefaultWaveKey, "webhookSecret": waveSecret},
	}
}

func (w *World) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("world: %v", err))
	}
}

// Pay creates a Payment, as a user does.
func (w *World) Pay(name, amount string, change func(*v1alpha1.Payment)) {
	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: name},
		Spec: v1alpha1.PaymentSpec{
			Provider: w.opts.Provider, Amount: v1alpha1.NewAmount(amount), Phone: payer, TimeoutSeconds: 600,
		},
	}
	if change != nil {
		change(p)
	}
	w.declare(p)
}

// GiveBack creates a Refund; an empty amount: the whole.
func (w *World) GiveBack(name, paymentName, amount string) {
	r := &v1alpha1.Refund{
		ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: name},
		Spec:       v1alpha1.RefundSpec{PaymentRef: v1alpha1.PaymentReference{Name: paymentName}, Reason: "the customer gave it back"},
	}
	if amount != "" {
		a := v1alpha1.NewAmount(amount)
		r.Spec.Amount = &a
	}
	w.declare(r)
}

// After lets something happen at a time, between two steps.
func (w *World) After(d time.Duration, do func()) { w.after(d, do) }

func (w *World) after(d time.Duration, do func()) {
	w.timers = append(w.timers, timer{w.clock.Now().Add(d), do})
}

// hold keeps all caches where they are for a while.
func (w *World) hold() {
	for _, p := range w.processes {
		if !p.busy {
			p.pump()
		}
		p.view.held = w.clock.Now().Add(heldFor)
	}
}

// drop loses the event of a version for all who are there.
func (w *World) drop(at int) {
	for _, p := range w.processes {
		if p.view.pos <= at {
			p.view.dropped = append(p.view.dropped, at)
			p.view.relist = w.clock.Now().Add(relistAfter)
		}
	}
}

// advance lets time pass, and happen what is due at the providers.
func (w *World) advance(d time.Duration) {
	w.clock.Add(d)
	w.tick()
}

// tick does what is due: timers, payers, callbacks.
func (w *World) tick() {
	now := w.clock.Now()
	for i := 0; i < len(w.timers); i++ {
		if t := w.timers[i]; !t.at.After(now) {
			w.timers = slices.Delete(w.timers, i, i+1)
			i--
			t.do()
		}
	}
	// A receiver that works off a callback makes the next one about the same charge
	// wait for it, and there is one thread here: the tick that delivers goes on to it.
	if !w.delivering {
		w.delivering = true
		defer func() { w.delivering = false }()
		w.sim.Tick()
	}
}

// payers act on the pages that were published.
func (w *World) payers() {
	for _, o := range w.Store.objects {
		p, ok := o.(*v1alpha1.Payment)
		if !ok || p.Status.NextAction == nil || p.Status.NextAction.URL == "" || slices.Contains(w.urls, p.Status.NextAction.URL) {
			continue
		}
		url := p.Status.NextAction.URL
		w.urls = append(w.urls, url)
		act := w.sim.Open
		if w.opts.Pays {
			act = w.sim.Pay
		}
		// Whoever comes too late, or twice, is turned away.
		_ = act(url)
	}
}

const (
	// maxSteps is more than any run makes in a window of time: one that makes more is a hot loop.
	maxSteps = 2000
	window   = 10 * time.Minute
)

var (
	// ErrHot says that a run does not come to rest.
	ErrHot = fmt.Errorf("more than %d steps in %s: a hot loop", maxSteps, window)
	// ErrStopped says that Options.Stop ended the run.
	ErrStopped = errors.New("enough was seen")
)

// hot tells whether there were too many steps of late. ends says why a run goes no further; nil: it does.
func (w *World) ends() error {
	if w.Elapsed() >= w.since+window {
		w.steps, w.since = 0, w.Elapsed()
	}
	switch {
	case w.steps > maxSteps+w.crowd*100:
		return ErrHot
	case w.opts.Stop != nil && w.opts.Stop():
		return ErrStopped
	default:
		return nil
	}
}

// settling is how long a run goes on after the last fault at least: a payment that is
// looked at slowly, and starts over because of the fault, comes to its end.
const settling = 90 * time.Minute

// Run until the horizon, or longer if the last fault was late.
func (w *World) Run(horizon time.Duration) error {
	w.end = w.clock.Now().Add(horizon)
	for w.work(nil) {
		// What is ready is done also where no time passes.
		if err := w.ends(); err != nil {
			return err
		}
		w.payers()
	}
	for w.clock.Now().Before(w.end) {
		if err := w.ends(); err != nil {
			return err
		}
		if w.work(nil) {
			w.payers()
			continue
		}
		w.payers()
		w.clock.Add(w.next(w.end.Sub(w.clock.Now())))
		w.tick()
	}
	return nil
}

// work lets one process that is not paused do one job.
func (w *World) work(paused *Process) bool {
	for _, p := range slices.Clone(w.processes) {
		if p != paused && !p.busy && !p.dead && p.work() {
			// The next time, the others come first.
			if i := slices.Index(w.processes, p); i >= 0 {
				w.processes = append(slices.Delete(w.processes, i, i+1), p)
			}
			return true
		}
	}
	return false
}

// next is how far the clock can move before somebody has something to do.
func (w *World) next(limit time.Duration) time.Duration {
	step, now := limit, w.clock.Now()
	sooner := func(t time.Time) {
		if !t.IsZero() {
			step = min(step, max(time.Millisecond, t.Sub(now)))
		}
	}
	if at, ok := w.sim.Next(); ok {
		sooner(at)
	}
	for _, p := range w.processes {
		for _, at := range p.delayed {
			sooner(at)
		}
		if p.view.pos < len(w.Store.history) {
			sooner(p.view.held)
		}
		sooner(p.view.relist)
	}
	for _, t := range w.timers {
		sooner(t.at)
	}
	return step
}

// Quiet lets every process look once more at everything, with nothing new to see,
// and tells what is still asked for: the jobs that want to come back.
func (w *World) Quiet() (jobs []string) {
	for _, p := range slices.Clone(w.processes) {
		p.view.held, p.view.dropped = time.Time{}, nil
		p.list(len(w.Store.history))
		for len(p.ready) > 0 && !p.dead {
			j := p.ready[0]
			p.ready = p.ready[1:]
			p.busy = true
			result, err := p.reconcile(j)
			p.busy = false
			if err != nil || result.RequeueAfter > 0 {
				jobs = append(jobs, fmt.Sprintf("%s of %s: after %s, %v", j, p.Name, result.RequeueAfter, err))
			}
		}
	}
	return jobs
}
