// Package leadership decides which of several replicas begins work. It is a gate in front of what begins, not what
// keeps payments safe: all of that holds with two leaders for ever. Every replica runs the same controllers; behind a
// closed gate they return at once. What was begun is never ended.
package leadership

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"mobilemoney.dev/operator/controllers/redact"
)

// Lease is how long leadership lasts: a leader that is heard of no more is respected for Duration, tries for Renew to
// renew before its gate closes, and Retry is the pause between two tries of anybody.
type Lease struct{ Duration, Renew, Retry time.Duration }

// DefaultLease is taken over within a second when it is released, and within 17 s when its holder crashed.
func DefaultLease() Lease {
	return Lease{Duration: 13 * time.Second, Renew: 10 * time.Second, Retry: 400 * time.Millisecond}
}

// Validate refuses leases with which two replicas would lead as a matter of course, and
// those that no client of the API server can express.
func (l Lease) Validate() error {
	switch {
	case l.Duration < time.Second, l.Duration%time.Second != 0:
		return errors.New("--leader-elect-lease-duration must be a number of whole seconds")
	case l.Renew >= l.Duration:
		return errors.New("--leader-elect-renew-deadline must be shorter than --leader-elect-lease-duration")
	case l.Retry <= 0, float64(l.Renew) <= leaderelection.JitterFactor*float64(l.Retry):
		return fmt.Errorf("--leader-elect-retry-period must be more than 0, and %v times it less than --leader-elect-renew-deadline",
			leaderelection.JitterFactor)
	default:
		return nil
	}
}

// Gate is open while this process holds the lease. It is a manager.Runnable; a nil Gate is always open.
type Gate struct {
	lock  resourcelock.Interface
	lease Lease
	// prepare is called right before the gate opens.
	prepare func()
	now     func() time.Time
	log     logr.Logger

	mu sync.Mutex
	// until is when the gate closes unless the lease is renewed; open: it was opened,
	// and is not closed by anything but that.
	until time.Time
	open  bool
	// followers list what there is to do whenever the gate opens.
	followers []func(context.Context)
	opened    chan struct{}
}

// NewGate returns a closed gate, which opens once Start took the lease; prepare is called right before it opens.
func NewGate(lock resourcelock.Interface, lease Lease, prepare func(), log logr.Logger) *Gate {
	return &Gate{lock: lock, lease: lease, prepare: prepare, now: time.Now, log: log, opened: make(chan struct{}, 1)}
}

// Leads tells whether this process may begin anything.
func (g *Gate) Leads() bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now().Before(g.until)
}

// NeedLeaderElection is false: it is the election.
func (g *Gate) NeedLeaderElection() bool { return false }

// Start competes for the lease until ctx is over, and then closes the gate before it
// releases the lease. A lease that was lost is competed for again.
func (g *Gate) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &watchedLock{Interface: g.lock, gate: g}, Name: "mobile-money-operator", ReleaseOnCancel: true,
		LeaseDuration: g.lease.Duration, RenewDeadline: g.lease.Renew, RetryPeriod: g.lease.Retry,
		// The gate follows the writes of the lease, which say more exactly what is held.
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) {}, OnStoppedLeading: g.close},
	})
	if err != nil {
		return fmt.Errorf("setting up the leader election: %w", err)
	}
	defer context.AfterFunc(ctx, g.close)()
	var telling sync.WaitGroup
	telling.Go(func() { g.tell(ctx) })
	defer telling.Wait()
	for ctx.Err() == nil {
		elector.Run(logr.NewContext(ctx, g.log))
	}
	return nil
}

// tell has the followers list what there is to do, whenever the gate opened.
func (g *Gate) tell(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.opened:
		}
		g.mu.Lock()
		followers := g.followers
		g.mu.Unlock()
		for _, follow := range followers {
			follow(ctx)
		}
	}
}

// close the gate; what was begun goes on.
func (g *Gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		g.log.Info("This process leads no more, and begins nothing")
	}
	g.until, g.open = time.Time{}, false
}

// hold keeps the gate open until the time given.
func (g *Gate) hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now().Before(g.until) {
		g.until = until
		return
	}
	g.prepare()
	g.until, g.open = until, true
	g.log.Info("This process leads")
	select {
	case g.opened <- struct{}{}:
	default:
	}
}

// List lists what there is to do when a gate opens, from a cache: what nobody has begun,
// such as new payments, and the rest, which comes after it.
type List func(context.Context) (unbegun, rest []reconcile.Request, err error)

// Source enqueues what list returns whenever the gate opens: whatever came to the
// controller behind the closed gate was dropped.
func (g *Gate) Source(list List) source.Source {
	return source.Func(func(controller context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		if g == nil {
			return nil // never closed
		}
		follow := func(ctx context.Context) {
			_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
				unbegun, rest, err := list(ctx)
				if err != nil {
					g.log.Error(err, "Failed to list what there is to do; the operator retries automatically")
					return controller.Err() != nil, nil
				}
				enqueue(queue, unbegun, rest)
				return true, nil
			})
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.followers = append(g.followers, follow)
		return nil
	})
}

// priorityRest is that of checks: they are never in the way of what is new.
const priorityRest = -100

func enqueue(queue workqueue.TypedRateLimitingInterface[reconcile.Request], unbegun, rest []reconcile.Request) {
	for _, r := range unbegun {
		queue.Add(r)
	}
	q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(priorityRest)}, rest...)
		return
	}
	for _, r := range rest {
		queue.Add(r)
	}
}

// watchedLock has the gate follow what is written to the lease.
type watchedLock struct {
	resourcelock.Interface
	gate *Gate
	// holder of the lease as it was read or written last.
	holder string
}

// errNotHeld: client-go releases what it believes to hold, also where another process took it
// over while this one stood still.
var errNotHeld = errors.New("another process holds the lease")

// Get implements resourcelock.Interface.
func (l *watchedLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	r, raw, err := l.Interface.Get(ctx)
	if err == nil {
		l.holder = r.HolderIdentity
	}
	return r, raw, err //nolint:wrapcheck // client-go looks at it
}

// Create implements resourcelock.Interface.
func (l *watchedLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, r, l.Interface.Create)
}

// Update implements resourcelock.Interface.
func (l *watchedLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, r, l.Interface.Update)
}

// write holds the gate open for as long after a write of our own as others respect it,
// with a margin, and closes it before the lease is released.
func (l *watchedLock) write(ctx context.Context, r resourcelock.LeaderElectionRecord, write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	ours := r.HolderIdentity == l.Identity()
	if !ours {
		l.gate.close()
		if l.holder != l.Identity() {
			return errNotHeld
		}
	}
	until := l.gate.now().Add(l.gate.lease.Renew)
	if err := write(ctx, r); err != nil {
		return err //nolint:wrapcheck // client-go looks at it
	}
	if l.holder = r.HolderIdentity; ours && ctx.Err() == nil {
		l.gate.hold(until)
	}
	return nil
}
