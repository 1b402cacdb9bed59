package attempt

import (
	"context"
	"errors"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Whatever wakes a key, its own writes included, it is not run more often than this.
const (
	// firstRetry is the wait after a run that failed; it doubles up to lastRetry.
	firstRetry = time.Second
	lastRetry  = time.Minute
	// firstConflict and lastConflict are the waits after one that somebody else was faster than,
	// such as the note of a callback: once the cache has caught up, there is nothing to wait for.
	firstConflict = 50 * time.Millisecond
	lastConflict  = 4 * time.Second
	// burst of runs that follow each other at once, and how many there may be a second
	// in the long run. A payment takes less than ten from its creation to its end.
	burst         = 20
	runsPerSecond = 2
)

// Paced is next with a limit on how often a key is run, which holds against every wake-up:
// a write of the operator's own wakes its loop, and the queue's own back-off does not
// hold against that. A run that somebody else was faster than is repeated without an error.
func Paced(next reconcile.Reconciler, now func() time.Time) reconcile.Reconciler {
	p := &pacer{now: now, keys: map[ctrl.Request]pace{}}
	return reconcile.Func(func(ctx context.Context, key ctrl.Request) (ctrl.Result, error) {
		if wait := p.begin(key); wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
		result, err := next.Reconcile(ctx, key)
		if wait := p.end(key, err); Outpaced(err) {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
		return result, err
	})
}

type pacer struct {
	now func() time.Time

	mu     sync.Mutex
	keys   map[ctrl.Request]pace
	pruned time.Time
}

// pace of one key.
type pace struct {
	// last run, and how much of the burst was used up then.
	last time.Time
	used float64
	// failures in a row, and the waits after the last one: the first doubles up to the longest.
	failures       int
	first, longest time.Duration
}

// usedAt is how much of the burst is used up at a time.
func (p pace) usedAt(now time.Time) float64 {
	return max(0, p.used-runsPerSecond*max(0, now.Sub(p.last).Seconds()))
}

// wait until the key may be run again.
func (p pace) wait(now time.Time) time.Duration {
	var wait time.Duration
	if over := p.usedAt(now) + 1 - burst; over > 0 {
		wait = time.Duration(over / runsPerSecond * float64(time.Second))
	}
	if p.failures == 0 {
		return wait
	}
	retry := p.first
	for i := 1; i < p.failures && retry < p.longest; i++ {
		retry *= 2
	}
	return max(wait, min(retry, p.longest)-max(0, now.Sub(p.last)))
}

// begin counts a run, unless it is too early for one.
func (p *pacer) begin(key ctrl.Request) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.prune(now)
	k := p.keys[key]
	if wait := k.wait(now); wait > 0 {
		return wait
	}
	k.used, k.last = k.usedAt(now)+1, now
	p.keys[key] = k
	return 0
}

// end returns how long the key has to wait.
func (p *pacer) end(key ctrl.Request, err error) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.keys[key]
	if k.failures++; err == nil {
		k.failures = 0
	}
	// What is recorded already is no haste, however long the cache does not show it.
	if k.first, k.longest = firstRetry, lastRetry; Outpaced(err) && !errors.Is(err, ErrBehind) {
		k.first, k.longest = firstConflict, lastConflict
	}
	k.last, k.used = p.now(), k.usedAt(p.now())
	p.keys[key] = k
	return k.wait(k.last)
}

// prune forgets, once a minute, the keys that were not run for long.
func (p *pacer) prune(now time.Time) {
	if now.Sub(p.pruned).Abs() < lastRetry {
		return
	}
	p.pruned = now
	kept := map[ctrl.Request]pace{} // another map: what one grew to, it keeps
	for key, k := range p.keys {
		if now.Sub(k.last).Abs() <= 2*lastRetry {
			kept[key] = k
		}
	}
	p.keys = kept
}
