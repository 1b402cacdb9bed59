// Package promptlimit limits how often phones are rung: the right to create Payments is not the right to ring
// strangers. Each Charge that is sent to a provider that rings a phone is one prompt, and prompts are counted within a
// namespace: what a neighbour does neither delays nor tells anything about the payers of others.
package promptlimit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Limits are how often payers may be rung in an hour by the Payments of one namespace: the same phone, and any.
type Limits struct{ PerPhone, PerNamespace int }

// Or what an account says.
func (l Limits) Or(own v1alpha1.Prompts) Limits {
	return Limits{
		PerPhone:     cmp.Or(int(own.PerPhone), l.PerPhone),
		PerNamespace: cmp.Or(int(own.PerNamespace), l.PerNamespace),
	}
}

// window that prompts are counted in. The indexes are cut into pieces of it.
const window = time.Hour

// Prompt is one time that a phone rings, or may have rung.
type Prompt struct {
	Namespace string
	// Payer stands for the phone: Installation.Payer.
	Payer string
	At    time.Time
}

// Exceeded says which limit a prompt would exceed.
type Exceeded struct {
	// Message for the user: one sentence and a blank.
	Message string
	// Wait until it is worth asking again.
	Wait time.Duration
}

// Limiter remembers what this process admitted and its cache may not show yet, and who waits. The Charges themselves
// are the lasting count, which a restart does not clear. The zero value is ready.
type Limiter struct {
	mu       sync.Mutex
	admitted map[string]Prompt // by the name of the Charge
	queues   queues
}

// keepAdmitted is how long a send may take to come into the cache.
const keepAdmitted = time.Minute

// Check tells whether the prompt of a Charge would exceed a limit now; nil: it would not. A Charge
// that would gets a position in the queue. r must have the indexes of SetupIndexes.
func (l *Limiter) Check(ctx context.Context, r client.Reader, charge string, next Prompt, limits Limits) (*Exceeded, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.check(ctx, r, charge, next, limits)
}

// Admit is Check, and counts the prompt from then on if it exceeds no limit.
func (l *Limiter) Admit(ctx context.Context, r client.Reader, charge string, next Prompt, limits Limits) (*Exceeded, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	exceeded, err := l.check(ctx, r, charge, next, limits)
	if exceeded == nil && err == nil {
		l.remember(charge, next)
	}
	return exceeded, err
}

// Forget a Charge: it waits for nothing any more.
func (l *Limiter) Forget(charge string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queues.leave(charge)
}

// Waiting is how many Charges are in a queue.
func (l *Limiter) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queues.of)
}

func (l *Limiter) check(ctx context.Context, r client.Reader, charge string, next Prompt, limits Limits) (*Exceeded, error) {
	prompts, err := l.prompts(ctx, r, charge, next)
	if err != nil {
		return nil, err
	}
	for _, c := range []struct {
		value   string
		limit   int
		like    func(Prompt) bool
		message string
	}{
		{next.Namespace + "/" + next.Payer, limits.PerPhone, func(p Prompt) bool { return p.Payer == next.Payer },
			"Prompt limit reached: %d prompts to this phone in the last hour, the account's prompts.perPhone, which can be raised. "},
		{next.Namespace, limits.PerNamespace, func(Prompt) bool { return true },
			"Prompt limit reached: %d prompts from this namespace in the last hour, the account's prompts.perNamespace, which can be raised. "},
	} {
		var earlier []time.Time
		for _, p := range prompts {
			if c.like(p) {
				earlier = append(earlier, p.At)
			}
		}
		if !nextAt(next.At, c.limit, 0, earlier).After(next.At) {
			continue
		}
		at := nextAt(next.At, c.limit, l.queues.position(charge, c.value), earlier)
		return &Exceeded{Message: fmt.Sprintf(c.message, c.limit), Wait: at.Sub(next.At)}, nil
	}
	l.queues.leave(charge)
	return nil, nil
}

func (l *Limiter) remember(charge string, p Prompt) {
	if l.admitted == nil {
		l.admitted = map[string]Prompt{}
	}
	for name, old := range l.admitted {
		if p.At.Sub(old.At) > keepAdmitted {
			delete(l.admitted, name)
		}
	}
	l.admitted[charge] = p
}

// prompts of the namespace in the last hour, or before it, but for the Charge of that name: by the Charges in the
// cache, and by what was admitted since.
func (l *Limiter) prompts(ctx context.Context, r client.Reader, own string, next Prompt) (map[string]Prompt, error) {
	all := map[string]Prompt{}
	for name, p := range l.admitted {
		if p.Namespace == next.Namespace {
			all[name] = p
		}
	}
	for _, hour := range []time.Time{next.At.Add(-window), next.At} {
		var list v1alpha1.ChargeList
		err := r.List(ctx, &list, client.MatchingFields{IndexNamespace: indexKey(next.Namespace, hour)}, client.UnsafeDisableDeepCopy)
		if err != nil {
			return nil, fmt.Errorf("counting prompts: %w", err)
		}
		for i := range list.Items {
			c := &list.Items[i]
			if at, ok := promptedAt(c); ok {
				all[c.Name] = Prompt{Namespace: next.Namespace, Payer: c.Spec.Payer, At: at}
			}
		}
	}
	delete(all, own)
	return all, nil
}

// nextAt is when the limit allows one more prompt to who has a position in the queue, given when the earlier prompts
// were; it is not after now if that is at once. Each position has a time of its own, so that they do not all come for
// the same prompt; far back in the queue, they come to see whether it has moved.
func nextAt(now time.Time, limit, position int, at []time.Time) time.Time {
	recent := slices.DeleteFunc(slices.Clone(at), func(t time.Time) bool { return now.Sub(t) >= window })
	switch {
	case len(recent) < limit:
		return now
	case position >= limit:
		return now.Add(window)
	}
	slices.SortFunc(recent, time.Time.Compare)
	return recent[len(recent)-limit+position].Add(window)
}

// IndexNamespace of the cache finds the Charges of a namespace that rang a phone, by the hour. There is none by phone:
// a value of its own for each Charge would cost more than the Charge.
const IndexNamespace = "promptNamespace"

// SetupIndexes adds the index that prompts are counted by.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	if err := indexer.IndexField(ctx, &v1alpha1.Charge{}, IndexNamespace, namespaceKeys); err != nil {
		return fmt.Errorf("indexing Charges by %s: %w", IndexNamespace, err)
	}
	return nil
}

// indexKey is whose prompts, and in which hour, so that however many Charges are kept
// only those of two hours are looked at.
func indexKey(value string, at time.Time) string {
	return value + "@" + at.UTC().Truncate(window).Format(time.RFC3339)
}

// promptedAt is when a phone rang last, or may have; false if none did.
func promptedAt(c *v1alpha1.Charge) (time.Time, bool) {
	if c.Spec.Payer == "" {
		return time.Time{}, false
	}
	var last time.Time
	for _, send := range c.Record.Open {
		last = later(last, send.At.Time)
	}
	if taken := c.Record.Taken; taken != nil {
		last = later(last, taken.At.Time)
	}
	if refusal := c.Record.Refusal; refusal != nil {
		last = later(last, refusal.Send.At.Time)
	}
	return last, !last.IsZero()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Counted is when c rang a phone, if that may count still: the clock may be set back by an hour. Zero: it does not.
func Counted(c *v1alpha1.Charge, now time.Time) time.Time {
	if at, ok := promptedAt(c); ok && now.Sub(at) < 2*window {
		return at
	}
	return time.Time{}
}

func namespaceKeys(o client.Object) []string {
	c := o.(*v1alpha1.Charge)
	at, ok := promptedAt(c)
	if !ok {
		return nil
	}
	return []string{indexKey(c.Spec.Payment.Namespace, at)}
}

// queues are who waits for each limit, in the order in which they came. They only say
// when to look again: who is missed, or stays on for nothing, costs others an hour.
type queues struct {
	of     map[string]string // the value that a Charge waits for
	values map[string]*queue
}

type queue struct {
	numbers    map[string]int // by the name of the Charge
	next, left int
}

// position of a Charge in the queue for a value, from 0; it joins at the end.
func (q *queues) position(charge, value string) int {
	if q.of[charge] != value {
		q.leave(charge)
		q.join(charge, value)
	}
	at := q.values[value]
	return max(0, at.numbers[charge]-at.left)
}

func (q *queues) join(charge, value string) {
	if q.of == nil {
		q.of, q.values = map[string]string{}, map[string]*queue{}
	}
	if q.values[value] == nil {
		q.values[value] = &queue{numbers: map[string]int{}}
	}
	at := q.values[value]
	at.numbers[charge] = at.next
	at.next++
	q.of[charge] = value
}

func (q *queues) leave(charge string) {
	value, waits := q.of[charge]
	if !waits {
		return
	}
	delete(q.of, charge)
	at := q.values[value]
	delete(at.numbers, charge)
	at.left++
	if len(at.numbers) == 0 {
		delete(q.values, value)
	}
}
