package leadership

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/workqueue"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// server is an API server with one lease.
type server struct {
	mu      sync.Mutex
	record  *resourcelock.LeaderElectionRecord
	version int
}

// fakeLock is how one process sees the lease.
type fakeLock struct {
	server *server
	id     string

	mu      sync.Mutex
	version int
	down    bool
	// during, if set, is called before a write is acknowledged.
	during func()
	still  atomic.Int64 // how long the process stands still before its next update
}

func (l *fakeLock) setDown(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

var errDown = errors.New("the API server does not answer")

func (l *fakeLock) access(do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	return do()
}

func (l *fakeLock) Get(ctx context.Context) (r *resourcelock.LeaderElectionRecord, raw []byte, err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	err = l.access(func() error {
		if l.server.record == nil {
			return apierrors.NewNotFound(schema.GroupResource{}, "lease")
		}
		copied := *l.server.record
		r, l.version = &copied, l.server.version
		raw, err = json.Marshal(r)
		return err
	})
	return r, raw, err
}

func (l *fakeLock) Create(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	return l.access(func() error {
		if l.server.record != nil {
			return apierrors.NewAlreadyExists(schema.GroupResource{}, "lease")
		}
		return l.wrote(r)
	})
}

func (l *fakeLock) Update(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	if d := time.Duration(l.still.Swap(0)); d > 0 {
		time.Sleep(d)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return l.access(func() error {
		if l.version != l.server.version {
			return apierrors.NewConflict(schema.GroupResource{}, "lease", nil)
		}
		return l.wrote(r)
	})
}

func (l *fakeLock) wrote(r resourcelock.LeaderElectionRecord) error {
	l.server.record = &r
	l.server.version++
	l.version = l.server.version
	if l.during != nil {
		l.during()
	}
	return nil
}

func (l *fakeLock) RecordEvent(string) {}
func (l *fakeLock) Identity() string   { return l.id }
func (l *fakeLock) Describe() string   { return l.id }

// replica is a process with a gate, and a controller behind it.
type replica struct {
	*Gate
	lock  *fakeLock
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	stop  func()

	mu    sync.Mutex
	began []string
}

func (r *replica) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = append(r.began, what)
}

func (r *replica) did() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.began
}

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: name}}
}

// start a replica in the bubble of t; it is stopped at the end.
func start(t *testing.T, s *server, id string) *replica {
	t.Helper()
	r := &replica{lock: &fakeLock{server: s, id: id}}
	r.Gate = NewGate(r.lock, DefaultLease(), func() {
		if r.until.After(time.Now()) {
			t.Error("the gate was open before everything was prepared")
		}
		r.note("prepared")
	}, logr.Discard())
	r.queue = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	ctx, cancel := context.WithCancel(t.Context())
	failed := errors.New("the cache is not filled")
	source := r.Source(func(context.Context) (unbegun, rest []reconcile.Request, err error) {
		if err := failed; err != nil {
			failed = nil
			return nil, nil, err
		}
		r.note("listed")
		return []reconcile.Request{request("new")}, []reconcile.Request{request("open")}, nil
	})
	if err := source.Start(ctx, r.queue); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Start(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the election ended with %v", err)
			}
			r.queue.ShutDown()
		})
	}
	t.Cleanup(r.stop)
	return r
}

func after(d time.Duration) {
	time.Sleep(d) // in a bubble: the clock jumps
	synctest.Wait()
}

func leads(t *testing.T, want bool, r *replica, when string) {
	t.Helper()
	if r.Leads() != want {
		t.Fatalf("%s: %s leads: %t", when, r.lock.id, !want)
	}
}

// takesOver tells how long it takes until r leads.
func takesOver(t *testing.T, r *replica, within time.Duration) {
	t.Helper()
	for began := time.Now(); !r.Leads(); after(10 * time.Millisecond) {
		if time.Since(began) > within {
			t.Fatalf("%s does not lead after %v", r.lock.id, within)
		}
	}
}

func TestGate_OpensOnceTheLeaseIsHeldAndEverythingIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		first := start(t, s, "first")
		after(2 * time.Second)
		leads(t, true, first, "alone")
		if got := first.did(); len(got) != 2 || got[0] != "prepared" || got[1] != "listed" {
			t.Fatalf("the process did %v", got)
		}
		if first.queue.Len() != 2 {
			t.Fatalf("%d requests are in the queue", first.queue.Len())
		}
		second := start(t, s, "second")
		after(time.Minute)
		leads(t, true, first, "after a minute")
		leads(t, false, second, "beside a leader")
		if second.queue.Len() > 0 || len(first.did()) != 2 {
			t.Fatal("a standby began something, or the leader began anew")
		}
	})
}

func TestGate_NilIsOpen(t *testing.T) {
	var g *Gate
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer queue.ShutDown()
	if err := g.Source(nil).Start(t.Context(), queue); err != nil || !g.Leads() {
		t.Fatalf("leads: %t, %v", g.Leads(), err)
	}
}

func TestGate_PlannedRestartIsTakenOverWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		first := start(t, s, "first")
		after(time.Second)
		second := start(t, s, "second")
		after(time.Minute)
		first.lock.during = func() {
			if s.record.HolderIdentity == "" && first.Leads() {
				t.Error("the lease was released before the gate closed")
			}
		}
		first.stop()
		leads(t, false, first, "stopped")
		takesOver(t, second, time.Second)
	})
}

func TestGate_CrashIsTakenOverWithinSeventeenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		first := start(t, s, "first")
		after(time.Second)
		second := start(t, s, "second")
		after(time.Minute)
		first.lock.setDown(true) // to others, that is a crash
		takesOver(t, second, 17*time.Second)
		leads(t, false, first, "when another leads")
	})
}

func TestGate_WhoStoodStillLeavesTheLeaseToWhoTookItOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{}
		first := start(t, s, "first")
		after(time.Second)
		second := start(t, s, "second")
		after(time.Minute)
		first.lock.still.Store(int64(20 * time.Second)) // as SIGSTOP does
		takesOver(t, second, 17*time.Second)
		for range 40 {
			after(time.Second)
			leads(t, true, second, "after the takeover")
			leads(t, false, first, "when another leads")
		}
	})
}

func TestGate_ClosesWhenTheLeaseIsLostAndOpensAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only := start(t, &server{}, "only")
		after(2 * time.Second)
		only.lock.setDown(true)
		after(9 * time.Second)
		leads(t, true, only, "within the renew deadline")
		after(2 * time.Second)
		leads(t, false, only, "after the renew deadline")
		only.lock.setDown(false)
		after(2 * time.Second)
		leads(t, true, only, "after the API server came back")
		if got := only.did(); len(got) != 4 {
			t.Fatalf("what was dropped behind the closed gate is not looked at: %v", got)
		}
	})
}

func TestGate_RenewalThatEndsAfterTheShutdownOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		only := start(t, &server{}, "only")
		after(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		only.stop()
		cancel()
		record := resourcelock.LeaderElectionRecord{HolderIdentity: "only"}
		if err := (&watchedLock{Interface: only.lock, gate: only.Gate}).Update(ctx, record); err != nil {
			t.Fatal(err)
		}
		leads(t, false, only, "after the shutdown")
	})
}

func TestGate_AtMostOneLeads(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		outages := rapid.SliceOfN(rapid.IntRange(0, 7), 1, 12).Draw(rt, "which replicas are cut off")
		waits := rapid.SliceOfN(rapid.IntRange(1, 40), len(outages), len(outages)).Draw(rt, "for how many seconds")
		synctest.Test(t, func(t *testing.T) {
			s := &server{}
			replicas := []*replica{start(t, s, "a"), start(t, s, "b"), start(t, s, "c")}
			leaders := func() (n int) {
				for _, r := range replicas {
					if r.Leads() {
						n++
					}
				}
				return n
			}
			for i, cut := range outages {
				for j, r := range replicas {
					r.lock.setDown(cut&(1<<j) != 0)
				}
				for range waits[i] * 4 {
					after(250 * time.Millisecond)
					if n := leaders(); n > 1 {
						t.Fatalf("%d lead", n)
					}
				}
			}
			for _, r := range replicas {
				r.lock.setDown(false)
			}
			after(20 * time.Second)
			if leaders() != 1 {
				t.Fatal("nobody leads")
			}
		})
	})
}

func TestLease_Validate(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Lease)
		ok     bool
	}{
		"the default":             {func(*Lease) {}, true},
		"parts of a second":       {func(l *Lease) { l.Duration += time.Millisecond }, false},
		"none":                    {func(l *Lease) { l.Duration = 0 }, false},
		"renewed when it is over": {func(l *Lease) { l.Renew = l.Duration }, false},
		"renewed in a single try": {func(l *Lease) { l.Retry = l.Renew }, false},
		"tried without a pause":   {func(l *Lease) { l.Retry = 0 }, false},
	} {
		lease := DefaultLease()
		c.change(&lease)
		if err := lease.Validate(); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
