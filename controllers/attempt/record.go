package attempt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// ErrGone says that the Charge that an answer belongs to is gone, or was replaced.
var ErrGone = errors.New("the Charge is not the one that was asked for")

// ErrBehind says that the Charge says already what was to be written on an older version
// of it. Whoever decided by that version waits for the cache.
var ErrBehind = errors.New("the Charge says so already")

// errDropped says that the API server took a write, but not all that it said: an old CRD, or a
// policy, drops a part of it.
var errDropped = errors.New("something in the cluster changed what was written")

// Write creates or updates a Charge, and makes sure that all of it was taken: else the next
// run would do once more what this one did.
func (p *Protocol) Write(ctx context.Context, c *v1alpha1.Charge) error {
	spec, record := c.Spec, text(c)
	write := func() error { return p.Client.Update(ctx, c) }
	if c.ResourceVersion == "" {
		write = func() error { return p.Client.Create(ctx, c) }
	}
	if err := write(); err != nil {
		return err
	}
	if c.Spec != spec || text(c) != record {
		return fmt.Errorf("writing Charge %s: %w", c.Name, errDropped)
	}
	return nil
}

// text is the record as it is stored.
func text(c *v1alpha1.Charge) string {
	b, _ := json.Marshal(c.Record) // it has no type that cannot be written
	return string(b)
}

// unwritten tells whether err leaves an answer that is still to be written.
func unwritten(err error) bool {
	return err != nil && !errors.Is(err, ErrGone) && !errors.Is(err, ErrBehind)
}

// pending holds the answers that are not written yet, by the name of their Charge:
// each is kept for as long as the process lives.
type pending struct {
	mu      sync.Mutex
	answers map[string][]pendingAnswer
}

type pendingAnswer struct {
	// charge that it belongs to; empty: the change itself tells.
	charge types.UID
	change Change
}

func (p *pending) add(name string, a pendingAnswer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answers == nil {
		p.answers = map[string][]pendingAnswer{}
	}
	p.answers[name] = append(p.answers[name], a)
}

func (p *pending) take(name string) []pendingAnswer {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.answers[name]
	delete(p.answers, name)
	return out
}

func (p *pending) names() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for name := range p.answers {
		out = append(out, name)
	}
	return out
}

// Record writes a change to a Charge under its resourceVersion. On conflict, it re-reads the Charge from the API server
// and reapplies. What cannot be written now is kept, and written before anything else is decided about this Charge.
func (p *Protocol) Record(ctx context.Context, c *v1alpha1.Charge, change Change) (*v1alpha1.Charge, error) {
	after, err := p.commit(ctx, c, change)
	if unwritten(err) {
		p.pending.add(c.Name, pendingAnswer{c.UID, change})
	}
	return after, err
}

// Flush writes the answers about a Charge that are not written yet.
func (p *Protocol) Flush(ctx context.Context, name string) error {
	answers := p.pending.take(name)
	for i, a := range answers {
		var c v1alpha1.Charge
		err := p.Live.Get(ctx, types.NamespacedName{Name: name}, &c)
		switch {
		case IsGone(err), err == nil && a.charge != "" && c.UID != a.charge:
			continue // nobody can be told any more
		case err == nil:
			_, err = p.commit(ctx, &c, a.change)
		}
		if unwritten(err) {
			for _, rest := range answers[i:] {
				p.pending.add(name, rest)
			}
			return fmt.Errorf("writing an answer that is due: %w", err)
		}
	}
	return nil
}

// Drain writes what is not written yet, until ctx is over. It is for the end of the process.
func (p *Protocol) Drain(ctx context.Context) error {
	for backoff := newBackoff(); ; {
		var errs []error
		for _, name := range p.pending.names() {
			errs = append(errs, p.Flush(ctx, name))
		}
		err := errors.Join(errs...)
		if err == nil {
			return nil
		}
		if waitErr := p.pause(ctx, backoff.Step()); waitErr != nil {
			return err
		}
	}
}

func newBackoff() wait.Backoff {
	return wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 2 * time.Second}
}

// commit writes a change, with retries for as long as Settings.RecordTimeout. It is not cut short by a shutdown.
func (p *Protocol) commit(ctx context.Context, c *v1alpha1.Charge, change Change) (*v1alpha1.Charge, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Settings.RecordTimeout)
	defer cancel()
	backoff := newBackoff()
	for tries := 0; ; tries++ {
		next := c.DeepCopy()
		switch {
		case change(next):
		case tries > 0:
			return c, ErrBehind
		default:
			return c, nil
		}
		err := p.Write(ctx, next)
		switch {
		case err == nil, errors.Is(err, errDropped):
			return next, err
		case IsGone(err):
			return c, ErrGone
		case apierrors.IsInvalid(err):
			return c, fmt.Errorf("recording on Charge %s: %w", c.Name, err)
		}
		// A view that was behind is mended by reading again; whoever is in a race waits a little.
		if !apierrors.IsConflict(err) || tries > 0 {
			if waitErr := p.pause(ctx, backoff.Step()); waitErr != nil {
				return c, fmt.Errorf("recording on Charge %s: %w", c.Name, err)
			}
		}
		live, liveErr := p.reread(ctx, c)
		if errors.Is(liveErr, ErrGone) {
			return c, liveErr
		}
		if liveErr == nil {
			c = live
		}
	}
}

// reread returns the Charge as it is now, if it still is the same one.
func (p *Protocol) reread(ctx context.Context, c *v1alpha1.Charge) (*v1alpha1.Charge, error) {
	var live v1alpha1.Charge
	if err := p.Live.Get(ctx, types.NamespacedName{Name: c.Name}, &live); err != nil {
		if IsGone(err) {
			return nil, ErrGone
		}
		return nil, fmt.Errorf("reading Charge %s: %w", c.Name, err)
	}
	if live.UID != c.UID {
		return nil, ErrGone
	}
	return &live, nil
}

// IsGone: what was asked for is not there. An API server that has just started may know neither our
// rights nor the kind yet, and says 403 or another 404: then it is worth a retry.
func IsGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// Get returns an object, or nil if there is none.
func Get[T any, P interface {
	*T
	client.Object
}](ctx context.Context, reader client.Reader, key types.NamespacedName, opts ...client.GetOption) (P, error) {
	o := P(new(T))
	switch err := reader.Get(ctx, key, o, opts...); {
	case IsGone(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %T %s: %w", o, key, err)
	default:
		return o, nil
	}
}

func (p *Protocol) pause(ctx context.Context, d time.Duration) error {
	if p.Pause != nil {
		return p.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

const (
	// catchUp is how long a run waits for a cache to show our own writes, which wake it
	// when they come, and maxBehind after how long it goes on with what there is.
	catchUp   = 100 * time.Millisecond
	maxBehind = 2 * time.Second
)

// CatchUp tells how long a run should wait that has read objects from a cache; 0: it may
// go on. What was read before our own write would only be written once more, in vain.
func (p *Protocol) CatchUp(key string, read ...client.Object) time.Duration {
	since := p.behind.Recall(key)
	p.behind.Forget(key)
	if p.Behind == nil || !slices.ContainsFunc(read, p.Behind) {
		return 0
	}
	if since.IsZero() {
		since = p.Now()
	}
	p.behind.Keep(key, since)
	if p.Now().Sub(since).Abs() >= maxBehind {
		return 0
	}
	return catchUp
}

// Recall is what this process remembers of an attempt, as of now.
func (p *Protocol) Recall(key string, a *v1alpha1.Attempt) Observation {
	o := p.seen.Recall(key).See(a, p.Now())
	p.seen.Keep(key, o)
	return o
}

// Remember that a call ended with a usable answer.
func (p *Protocol) Remember(key string, change func(*Observation)) Observation {
	o := p.seen.Recall(key)
	change(&o)
	p.seen.Keep(key, o)
	return o
}

// Forget drops what is remembered of an attempt.
func (p *Protocol) Forget(key string) {
	p.seen.Forget(key)
	p.behind.Forget(key)
}

// Answered remembers a usable answer to a question that began at asked: the state that
// the provider told, or that it does not know the reference.
func (p *Protocol) Answered(key string, asked time.Time, state providers.State, notFound bool) Observation {
	return p.Remember(key, func(o *Observation) {
		o.Asked = asked
		o.At, o.Failures, o.NotFound, o.State, o.Notice = p.Now(), 0, notFound, state, nil
	})
}

// OtherCredentials forgets that the reference was not found: those at hand are not those
// that it was sent with. Nothing is repeated, and the schedule goes on with questions.
func (p *Protocol) OtherCredentials(key string) Observation {
	return p.Remember(key, func(o *Observation) { o.NotFound = false })
}

// sent remembers what came of a send. What the provider took was asked just now: the
// next check is an interval away. An answer that was lost is asked about at once.
func (p *Protocol) sent(key string, err error) {
	p.Remember(key, func(o *Observation) {
		had := *o
		*o = Observation{Newest: o.Newest, FirstSeen: o.FirstSeen}
		switch {
		case err == nil:
			o.At = p.Now()
		case neverArrived(providers.ClassOf(err)): // questions that succeed meanwhile do not shorten the next wait
			o.At, o.Failures, o.UnsentAt, o.Unsent = p.Now(), had.Failures+1, p.Now(), had.Unsent+1
		}
	})
}

func neverArrived(c providers.Class) bool {
	return c == providers.ClassMisconfigured || c == providers.ClassThrottled || c == providers.ClassNotSent
}
