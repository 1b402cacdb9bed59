package testworld

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/refund"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers/transport"
)

// Process is one manager: the real reconcilers with a memory, a cache and a queue of their own.
type Process struct {
	Name string

	w    *World
	seat int
	skew time.Duration
	// dead: it does nothing any more, whatever its code still runs into.
	dead bool
	// stale is how far behind the cache of its successor is, which comes after down.
	stale int
	down  time.Duration
	busy  bool
	// lostLead is the point at which it lost its lease; 0: it leads.
	lostLead int

	payments  *payment.Reconciler
	refunds   *refund.Reconciler
	paced     map[bool]reconcile.Reconciler // by Job.Refund
	callbacks http.Handler
	collector *retention.Collector

	pausing  pausing
	view     view
	stubs    *stub.Transform
	ready    []Job
	delayed  map[Job]time.Time
	failures map[Job]int
}

// Job is a key in the queue of a controller.
type Job struct {
	Refund bool
	Name   types.NamespacedName
}

func (j Job) String() string {
	if j.Refund {
		return "refund " + j.Name.Name
	}
	return "payment " + j.Name.Name
}

// view is the cache of a process.
type view struct {
	objects table
	// pos is how much of the history it has seen, but for what was dropped.
	pos     int
	held    time.Time
	dropped []int
	relist  time.Time
	// again are the kinds whose newest events are yet to come, because a read showed what was before them.
	again []Kind
}

// crash unwinds the stack of a process that died.
type crash struct{ p *Process }

// alive ends the run of a process that has died.
func (p *Process) alive() {
	if p.dead {
		panic(crash{p})
	}
}

// die lets a process die here. Its successor's cache is some events behind.
func (p *Process) die(stale int) {
	p.kill(stale)
	panic(crash{p})
}

func (p *Process) kill(stale int) {
	p.dead, p.stale, p.down = true, stale, downFor
	p.w.logf(p, "dies")
	p.w.observer.Died(p)
}

// boot starts a process on a seat: it remembers nothing. Its cache is filled from
// an API server that is stale events behind.
func (w *World) boot(seat, stale int) *Process {
	w.boots++
	p := &Process{
		Name: fmt.Sprintf("process-%d", w.boots), w: w, seat: seat,
		delayed: map[Job]time.Time{}, failures: map[Job]int{},
	}
	if p.skew = w.Config.Skew; seat > 0 {
		p.skew += w.opts.Skew
	}
	p.stubs = payment.NewTransform(p.now)
	live := &api{p: p, live: true}
	cached := stub.NewClient(&api{p: p}, live)
	clients := account.NewClients(&calls{p, transport.New(transport.Options{RoundTripper: &network{w}})}, p.now)
	clients.Sleep = p.sleep
	inst, settings := w.Config.Installation, w.opts.Settings
	settings.AdoptOnly = w.Config.AdoptOnly
	resolver := &account.Resolver{
		Reader: cached, Live: live, Registry: w.opts.Shared.Registry, OperatorNamespace: "mobile-money-system",
		AllowedEndpoints: w.Config.Allowed,
		Clients:          clients, InstallationIDGiven: inst.Given,
	}
	protocol := &attempt.Protocol{Client: cached, Live: live, Settings: settings, Now: p.now, Process: p.Name, Pause: p.pause, Leads: p.Leads}
	p.payments = &payment.Reconciler{
		Protocol: protocol, Client: cached, Live: live, Accounts: resolver, Installation: inst, Settings: settings,
		URLs: callback.NewURLs(publicURL, inst.PathKeys()), Prompts: &promptlimit.Limiter{}, Metrics: w.opts.Shared.Payments, Now: p.now,
	}
	p.refunds = &refund.Reconciler{
		Protocol: protocol, Client: cached, Live: live, Accounts: resolver, Installation: inst, Settings: settings,
		Metrics: w.opts.Shared.Refunds, Called: w.opts.Shared.Payments.Called, Now: p.now,
	}
	p.paced = map[bool]reconcile.Reconciler{false: attempt.Paced(p.payments, p.now), true: attempt.Paced(p.refunds, p.now)}
	p.callbacks = (&callback.Receiver{
		Client: cached, Live: live, Paths: p.payments.URLs.Paths, Keyring: w.keyring(resolver), Registry: resolver.Registry,
		Digest: inst.CallbackDigest, Now: p.now, NoteGap: w.opts.Settings.CallbackGap,
		Log: w.said.Logger(),
	}).Handler()
	p.collector = w.collector(p)
	seen := max(0, len(w.Store.history)-stale)
	p.list(seen)
	if stale > 0 {
		p.view.held = w.clock.Now().Add(heldFor)
	}
	return p
}

// Now is its clock.
func (p *Process) Now() time.Time { return p.now() }

// Installation that it runs as.
func (p *Process) Installation() installation.Installation { return p.payments.Installation }

// AdoptsOnly tells whether it was started to send nothing.
func (p *Process) AdoptsOnly() bool { return p.payments.Settings.AdoptOnly }

// Trusts tells whether it was started with permission to send to a host.
func (p *Process) Trusts(host string) bool {
	return slices.Contains(p.payments.Accounts.AllowedEndpoints, host)
}

// Leads tells whether it may begin anything.
func (p *Process) Leads() bool { return p.lostLead == 0 }

// LostLead is the point of the run at which it lost its lease; 0: it leads.
func (p *Process) LostLead() int { return p.lostLead }

func (p *Process) now() time.Time { return p.w.clock.Now().Add(p.skew + p.w.skew) }

// pause between two tries to record. Contexts end by the real clock, so that the end of the tries is told here.
func (p *Process) pause(ctx context.Context, _ time.Duration) error {
	p.alive()
	if p.pausing.ctx != ctx {
		p.pausing = pausing{ctx: ctx, since: p.w.clock.Now()}
	}
	if p.w.clock.Now().Sub(p.pausing.since) >= p.w.opts.Settings.RecordTimeout {
		return context.DeadlineExceeded
	}
	// The loop's own durations are random by a little.
	p.pausing.tries++
	p.w.clock.Add(min(50*time.Millisecond<<p.pausing.tries, 2*time.Second))
	return nil
}

// pausing is who pauses between two tries to record.
type pausing struct {
	ctx   context.Context
	since time.Time
	tries int
}

// sleep until the limit of an account allows a call.
func (p *Process) sleep(_ context.Context, d time.Duration) error {
	p.alive()
	p.w.advance(d)
	return nil
}

// list fills the cache with what there was after the first n versions, and wakes everything.
func (p *Process) list(n int) {
	p.view.objects, p.view.pos = replay(p.w.Store.history[:n]), n
	p.view.dropped, p.view.relist = nil, time.Time{}
	for _, o := range p.view.objects {
		p.wake(Version{Key: keyOf(o), New: o})
	}
}

func replay(history []Version) table {
	var t table
	for _, v := range history {
		t.apply(v)
	}
	return t
}

// behind: a read showed an older state than the cache has. Its events come after the run that read it.
func (p *Process) behind(k Kind) { p.view.again = append(p.view.again, k) }

// cached is what the cache holds of an object.
func (p *Process) cached(o client.Object) client.Object {
	return p.stubs.Held(o)
}

// cache is what the cache holds of these objects.
func (p *Process) cache(of table) table {
	out := make(table, 0, len(of))
	for _, o := range of {
		out = append(out, p.cached(o))
	}
	return out
}

// viewBefore is the version before the one that the cache shows.
func (p *Process) viewBefore(k Key) client.Object {
	for i := p.view.pos - 1; i >= 0; i-- {
		if v := p.w.Store.history[i]; v.Key == k {
			return v.Old
		}
	}
	return nil
}

// viewOneBehind is the cache without the newest event of a kind.
func (p *Process) viewOneBehind(k Kind) table {
	for i := p.view.pos - 1; i >= 0; i-- {
		if v := p.w.Store.history[i]; v.Key.Kind == k {
			t := slices.Clone(p.view.objects)
			t.apply(Version{Key: v.Key, Old: v.New, New: v.Old})
			return t
		}
	}
	return p.view.objects
}

// pump lets the events that are due come to the cache, and wakes what they concern.
func (p *Process) pump() {
	now := p.w.clock.Now()
	if now.Before(p.view.held) {
		return
	}
	if !p.view.relist.IsZero() && !now.Before(p.view.relist) {
		p.list(len(p.w.Store.history))
	}
	for _, o := range p.view.objects {
		if slices.Contains(p.view.again, kindOf(o)) {
			p.wake(Version{Key: keyOf(o), New: o})
		}
	}
	p.view.again = nil
	for ; p.view.pos < len(p.w.Store.history); p.view.pos++ {
		if slices.Contains(p.view.dropped, p.view.pos) {
			continue
		}
		v := p.w.Store.history[p.view.pos]
		p.view.objects.apply(v)
		p.wake(v)
	}
}

// wake queues what an event concerns, as the controllers are set up to.
func (p *Process) wake(v Version) {
	o := v.New
	if o == nil {
		o = v.Old
	}
	switch x := p.cached(o).(type) {
	case *v1alpha1.Payment:
		p.enqueue(jobOf(x))
		for _, other := range p.view.objects {
			if r, ok := other.(*v1alpha1.Refund); ok && r.Namespace == x.Namespace && r.Spec.PaymentRef.Name == x.Name && !r.Status.Phase.Terminal() {
				p.enqueue(refundJob(r))
			}
		}
	case *v1alpha1.Charge:
		p.enqueue(Job{Name: types.NamespacedName{Namespace: x.Spec.Payment.Namespace, Name: x.Spec.Payment.Name}})
		for i := range x.Record.Refunds {
			p.enqueue(Job{Refund: true, Name: types.NamespacedName{Namespace: x.Spec.Payment.Namespace, Name: x.Record.Refunds[i].Name}})
		}
	case *v1alpha1.Refund:
		p.enqueue(refundJob(x))
	case *v1alpha1.MerchantAccount, *v1alpha1.ClusterMerchantAccount:
		p.wakeWaiting()
	}
}

// wakeWaiting queues what may wait for an account.
func (p *Process) wakeWaiting() {
	for _, other := range p.view.objects {
		switch x := other.(type) {
		case *v1alpha1.Payment:
			if x.Status.Phase == "" || x.Status.Phase == v1alpha1.PhasePending {
				p.enqueue(jobOf(x))
			}
		case *v1alpha1.Refund:
			if x.Status.Phase == "" || x.Status.Phase == v1alpha1.RefundPending {
				p.enqueue(refundJob(x))
			}
		}
	}
}

func refundJob(r *v1alpha1.Refund) Job {
	return Job{Refund: true, Name: client.ObjectKeyFromObject(r)}
}

func jobOf(p *v1alpha1.Payment) Job { return Job{Name: client.ObjectKeyFromObject(p)} }

func (p *Process) enqueue(j Job) {
	if !slices.Contains(p.ready, j) {
		p.ready = append(p.ready, j)
	}
}

// due moves what has waited long enough into the queue.
func (p *Process) due() {
	for _, j := range p.waiting() {
		if !p.delayed[j].After(p.w.clock.Now()) {
			delete(p.delayed, j)
			p.enqueue(j)
		}
	}
}

// waiting jobs, in the order of their time.
func (p *Process) waiting() []Job {
	jobs := make([]Job, 0, len(p.delayed))
	for j := range p.delayed {
		jobs = append(jobs, j)
	}
	slices.SortFunc(jobs, func(a, b Job) int {
		if c := p.delayed[a].Compare(p.delayed[b]); c != 0 {
			return c
		}
		if a.String() < b.String() {
			return -1
		}
		return 1
	})
	return jobs
}

// work does one job that is ready; false: there was none.
func (p *Process) work() bool {
	p.pump()
	p.due()
	if len(p.ready) == 0 {
		return false
	}
	j := p.ready[0]
	p.ready = p.ready[1:]
	p.run(j)
	return true
}

// run does one job, and what its result asks for.
func (p *Process) run(j Job) {
	p.w.steps++
	p.w.observer.Begins(p, j)
	p.busy = true
	result, err := p.reconcile(j)
	p.busy = false
	if p.dead {
		p.w.succeed(p)
		return
	}
	switch {
	case err != nil:
		p.w.said.Say(err)
		p.w.logf(p, "%s: %v", j, err)
		p.delay(j, min(time.Second<<min(p.failures[j], 9), 5*time.Minute))
		p.failures[j]++
	case result.RequeueAfter > 0:
		delete(p.failures, j)
		p.delay(j, result.RequeueAfter)
	default:
		delete(p.failures, j)
	}
	p.w.observer.Ends(p, j, result, err)
}

// WillWake tells whether anything brings a job back.
func (p *Process) WillWake(j Job) bool {
	_, delayed := p.delayed[j]
	return delayed || slices.Contains(p.ready, j) || p.view.pos < len(p.w.Store.history) ||
		!p.view.relist.IsZero() || len(p.view.again) > 0
}

func (p *Process) delay(j Job, d time.Duration) {
	at := p.w.clock.Now().Add(d)
	if old, ok := p.delayed[j]; !ok || at.Before(old) {
		p.delayed[j] = at
	}
}

func (p *Process) reconcile(j Job) (result ctrl.Result, err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case crash:
			if r.p != p {
				panic(r)
			}
		default:
			p.w.Panics = append(p.w.Panics, fmt.Sprintf("%v in %s", r, origin(debug.Stack())))
			err = errPanic
		}
	}()
	req := ctrl.Request{NamespacedName: j.Name}
	return p.paced[j.Refund].Reconcile(p.w.ctx, req)
}

var errPanic = errors.New("the loop panicked")

// origin of a panic: the first lines of the stack that are the product's.
func origin(stack []byte) string {
	var at []string
	for line := range strings.Lines(string(stack)) {
		if _, where, ok := strings.Cut(line, "/controllers/"); ok && strings.HasPrefix(line, "\t") && !strings.HasPrefix(where, "testworld/") && len(at) < 3 {
			at = append(at, strings.Fields(where)[0])
		}
	}
	return strings.Join(at, ", ")
}

// succeed starts another process in place of one that died.
func (w *World) succeed(dead *Process) {
	at := slices.Index(w.processes, dead)
	if at < 0 {
		return
	}
	w.processes = slices.Delete(w.processes, at, at+1)
	w.away = append(w.away, dead)
	w.after(dead.down, func() { w.up(dead) })
}

// up starts the successor of a process, if it is not there yet.
func (w *World) up(dead *Process) {
	if at := slices.Index(w.away, dead); at >= 0 {
		w.away = slices.Delete(w.away, at, at+1)
		w.processes = append(w.processes, w.boot(dead.seat, dead.stale))
	}
}

// Up starts the processes that are away.
func (w *World) Up() {
	for _, dead := range slices.Clone(w.away) {
		w.up(dead)
	}
}

// Down ends all processes. Others come after d, and are started with the Config that there is then.
func (w *World) Down(d time.Duration) {
	w.Up()
	for _, p := range slices.Clone(w.processes) {
		if p.dead {
			continue
		}
		p.kill(0)
		p.down = d
		if !p.busy {
			w.succeed(p)
		}
	}
}

// LoseLease lets the first process that leads lose its lease, or all of them.
func (w *World) LoseLease(all bool) bool {
	lost := false
	for _, p := range w.processes {
		if p.Leads() && (all || !lost) {
			p.lostLead, lost = max(1, len(w.Points)), true
		}
	}
	return lost
}

// GainLease lets all processes lead: they look at everything.
func (w *World) GainLease() bool {
	gained := false
	for _, p := range w.processes {
		if !p.Leads() && !p.dead {
			p.lostLead, gained = 0, true
			for _, o := range p.view.objects {
				p.wake(Version{Key: keyOf(o), New: o})
			}
		}
	}
	return gained
}

// Processes that are there.
func (w *World) Processes() []*Process { return w.processes }
