package account

import (
	"context"
	"errors"
	"sync"
	"time"

	"mobilemoney.dev/operator/providers"
)

const (
	// second is a little more than one, so that clocks may differ a little.
	second = time.Second + time.Millisecond
	// permitLife is how long after its Reserve a call may leave; it may need a token, a search or a write before.
	permitLife = 10 * time.Second
	// maxWait until a caller comes again, to see whether the queue has become shorter.
	maxWait = time.Minute
	// grace is how late a caller may come and keep its place in the queue.
	grace = 5 * time.Second
	// maxWaiting bounds the callers of one limiter that are remembered.
	maxWaiting = 10_000
	// maxBlocked is how long a call without a permit is kept waiting.
	maxBlocked = 5 * time.Second

	minPause = time.Second
	maxPause = 15 * time.Minute
)

// window is the pure core of a Limiter: what left within the last second, and who may
// call next. Every method is told the time.
type window struct {
	// limit of calls in each second; 0: none.
	limit int
	// left is when the calls of the last second left, in order.
	left []time.Time
	// permits are of those who may call now and did not yet, with their end.
	permits map[string]time.Time
	// paused until then.
	paused  time.Time
	waiting queue
	// last is when somebody was permitted last.
	last    time.Time
	expired time.Time
}

// reserve returns 0, and keeps room for one call, if who may call now; else how long who waits before it asks again.
func (w *window) reserve(who Caller, now time.Time) time.Duration {
	w.expire(now)
	pause := max(0, w.paused.Sub(now))
	if _, ok := w.permits[who.Name]; ok || w.limit == 0 {
		return pause
	}
	if len(w.waiting.waiters) >= maxWaiting && w.waiting.waiters[who.Name] == nil {
		return pause + maxWait
	}
	waiter := w.waiting.join(who, now)
	rank := w.waiting.rank(waiter)
	early := w.early(rank, now)
	if pause == 0 && rank < w.free() && early <= 0 {
		w.waiting.serve(waiter)
		w.permits[who.Name], w.last = now.Add(permitLife), now
		return 0
	}
	wait := pause + min(maxWait, max(early, w.room(rank, now)))
	waiter.due = now.Add(wait)
	return wait
}

// admit returns 0 if the call of name leaves now, and counts it; else how long until there may be room for it.
func (w *window) admit(name string, now time.Time) time.Duration {
	w.expire(now)
	if pause := w.paused.Sub(now); pause > 0 {
		return pause
	}
	_, permitted := w.permits[name]
	switch {
	case w.limit == 0:
		return 0
	case permitted && len(w.left) < w.limit, w.free() > 0:
		delete(w.permits, name)
		w.left = append(w.left, now)
		return 0
	default:
		return max(w.room(0, now), time.Millisecond)
	}
}

// pause all calls for d, within bounds.
func (w *window) pause(d time.Duration, now time.Time) {
	if until := now.Add(min(max(d, minPause), maxPause)); until.After(w.paused) {
		w.paused = until
		clear(w.permits)
	}
}

// free is how many may be permitted now.
func (w *window) free() int { return w.limit - len(w.left) - len(w.permits) }

// room is how long it takes until there is room for who is number rank of those that wait, from 0: first what is free,
// then what left a second ago, then what is permitted and leaves about now, and so on in each second.
func (w *window) room(rank int, now time.Time) time.Duration {
	wait := time.Duration(rank/w.limit) * second
	switch i := rank%w.limit - w.free(); {
	case i < 0:
		return wait
	case i < len(w.left):
		return wait + second - now.Sub(w.left[i])
	default:
		return wait + second
	}
}

// early is how much later the caller of a rank should come. While several wait, calls do
// not leave in bursts, so that there is room for a callback at any moment of a second.
func (w *window) early(rank int, now time.Time) time.Duration {
	if len(w.waiting.waiters) == 1 {
		return 0
	}
	gap := second / time.Duration(2*w.limit)
	return time.Duration(rank+1)*gap - now.Sub(w.last)
}

// expire forgets what is over, and mends what a clock that was set back left behind.
func (w *window) expire(now time.Time) {
	gone := 0
	for i, at := range w.left {
		if at.After(now) {
			w.left[i] = now
		} else if now.Sub(at) >= second {
			gone++
		}
	}
	w.left = append(w.left[:0], w.left[gone:]...)
	for name, end := range w.permits {
		if !now.Before(end) || end.Sub(now) > permitLife {
			delete(w.permits, name)
		}
	}
	if last := now.Add(maxPause); w.paused.After(last) {
		w.paused = last
	}
	if w.last.After(now) {
		w.last = now
	}
	if since := now.Sub(w.expired); since >= time.Second || since < 0 {
		w.expired = now
		w.waiting.expire(now, grace)
	}
}

// idle: nothing of what w knows is of use any more.
func (w *window) idle(now time.Time) bool {
	w.expire(now)
	return len(w.left)+len(w.permits)+len(w.waiting.waiters) == 0 && !w.paused.After(now)
}

// Limiter admits the calls that one provider counts together, whatever account they
// are of, so that in no second more leave than it allows.
type Limiter struct {
	now   func() time.Time
	sleep func(context.Context, time.Duration) error

	mu     sync.Mutex
	window window
}

func newLimiter(limit int, now func() time.Time, sleep func(context.Context, time.Duration) error) *Limiter {
	return &Limiter{now: now, sleep: sleep, window: window{limit: limit, permits: map[string]time.Time{}}}
}

func (l *Limiter) reserve(who Caller) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window.reserve(who, l.now())
}

// release gives back what reserve kept for who, if no call took it.
func (l *Limiter) release(who Caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.window.permits, who.Name)
}

// Admit waits until a call may leave, and counts it. Without a permit (see Reserve) of the Caller in ctx, the call
// waits for a few seconds at most. The error is of class NotSent, and says how long to wait.
func (l *Limiter) Admit(ctx context.Context) error {
	who, _ := ctx.Value(callerKey{}).(Caller)
	for waited := time.Duration(0); ; {
		l.mu.Lock()
		wait := l.window.admit(who.Name, l.now())
		l.mu.Unlock()
		if wait <= 0 {
			return nil
		}
		if waited += wait; waited > maxBlocked {
			return limited(wait)
		}
		if err := l.sleep(ctx, wait); err != nil {
			return &providers.Error{Class: providers.ClassNotSent, Err: err}
		}
	}
}

// admitCall is Admit for a request. One for a token is not counted, but kept back like all
// while the provider asked to be left alone.
func (l *Limiter) admitCall(ctx context.Context, call providers.Call) error {
	switch call.Operation {
	case providers.OpToken:
		if wait := l.pausedFor(); wait > 0 {
			return limited(wait)
		}
		return nil
	default:
		return l.Admit(ctx)
	}
}

func limited(wait time.Duration) error {
	return &providers.Error{Class: providers.ClassNotSent, RetryAfter: wait, Detail: "the account's limit of calls is reached", Err: errLimited}
}

var errLimited = errors.New("not sent")

// LimitedFor says that err is the operator's own limit, and how long to wait. It is no word of the provider's.
func LimitedFor(err error) (time.Duration, bool) {
	if !errors.Is(err, errLimited) {
		return 0, false
	}
	return providers.AsError(err).RetryAfter, true
}

func (l *Limiter) pause(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window.pause(d, l.now())
}

func (l *Limiter) pausedFor() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.window.paused.Sub(l.now()))
}

func (l *Limiter) limit(perSecond int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window.limit = perSecond
}

func (l *Limiter) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.window.idle(l.now())
}

type callerKey struct{}

// WithCaller returns a context in which the calls to a provider are those of who.
func WithCaller(ctx context.Context, who Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, who)
}

// sleep for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
