package account

import (
	"cmp"
	"slices"
	"time"
)

// Purpose of a call to a provider.
type Purpose int

// Purposes, the most urgent one first.
const (
	// AfterCallback asks about a payment or refund that a callback arrived for.
	AfterCallback Purpose = iota
	// ToSend asks for money, or gives it back, with what has to be asked before.
	ToSend
	// Scheduled asks because it is time.
	Scheduled
	purposes
)

// cost of one call in virtual time: of five calls, while all purposes wait, two are
// after callbacks, two send and one is scheduled. So callbacks and the schedule each
// have a fifth at least, and whatever one does not use is lent to the others.
func (p Purpose) cost() int64 {
	if p == Scheduled {
		return 2
	}
	return 1
}

// Caller is who calls a provider, and what for.
type Caller struct {
	// Name is that of the object, unique among the callers of one process.
	Name string
	// Namespace of the Payment. Those that share an account take turns.
	Namespace string
	Purpose   Purpose
	// Since is when the object was created: younger ones go first.
	Since time.Time
}

// flow is one of several that are served in turns: last is the virtual time at which
// it was served last, or at which it began to wait.
type flow struct{ last int64 }

// begin to wait: a flow that was idle saved nothing up.
func (f *flow) begin(virtual int64) { f.last = max(f.last, virtual) }

// before counts how many of the n that wait in f, each of which takes cost, are served
// before what is served at tag; ties says whether one at the same time counts.
func (f flow) before(cost, tag int64, n int, ties bool) int {
	if !ties {
		tag--
	}
	return int(min(int64(n), max(0, tag-f.last)/cost))
}

// serve one that takes cost, and return the virtual time at which it began.
func (f *flow) serve(cost int64) int64 {
	f.last += cost
	return f.last - cost
}

type waiter struct {
	Caller
	// order within the namespace; smaller is first.
	order time.Time
	// due is when its call can be made, as it was told last.
	due time.Time
}

func compare(a, b *waiter) int {
	return cmp.Or(a.order.Compare(b.order), cmp.Compare(a.Name, b.Name))
}

type tenant struct {
	flow
	waiting []*waiter // sorted by compare
}

type lane struct {
	flow
	virtual int64
	tenants map[string]*tenant
	n       int
}

// queue holds who waits for a call. It is fair between purposes by their cost, and within each between namespaces.
type queue struct {
	waiters map[string]*waiter // by Name
	lanes   [purposes]lane
	virtual int64
}

// maxHeadStart is how much later an old one may come that a younger one of its namespace still goes
// first; without a bound, old ones would never be asked about while there are enough young ones.
const maxHeadStart = 10 * time.Minute

// join returns the waiter of who, which keeps its place, and its purpose unless it comes for a more urgent one.
func (q *queue) join(who Caller, now time.Time) *waiter {
	if w, ok := q.waiters[who.Name]; ok {
		if w.Purpose <= who.Purpose && w.Namespace == who.Namespace {
			return w
		}
		q.leave(w)
	}
	age := min(max(now.Sub(who.Since), 0), maxHeadStart)
	w := &waiter{Caller: who, order: now.Add(age), due: now}
	if q.waiters == nil {
		q.waiters = map[string]*waiter{}
	}
	q.waiters[who.Name] = w
	l := &q.lanes[who.Purpose]
	if l.tenants == nil {
		l.tenants = map[string]*tenant{}
	}
	t := l.tenants[who.Namespace]
	if t == nil {
		t = &tenant{}
		l.tenants[who.Namespace] = t
	}
	if len(t.waiting) == 0 {
		t.begin(l.virtual)
	}
	if l.n == 0 {
		l.begin(q.virtual)
	}
	at, _ := slices.BinarySearchFunc(t.waiting, w, compare)
	t.waiting = slices.Insert(t.waiting, at, w)
	l.n++
	return w
}

// leave takes w out of the queue.
func (q *queue) leave(w *waiter) {
	l := &q.lanes[w.Purpose]
	t := l.tenants[w.Namespace]
	if at, ok := slices.BinarySearchFunc(t.waiting, w, compare); ok {
		t.waiting = slices.Delete(t.waiting, at, at+1)
		l.n--
	}
	delete(q.waiters, w.Name)
	switch {
	case l.n == 0: // nobody is left to be fair to
		l.tenants, l.virtual = nil, 0
	case len(t.waiting) == 0 && t.last <= l.virtual:
		delete(l.tenants, w.Namespace)
	}
}

// rank is how many are served before w.
func (q *queue) rank(w *waiter) int {
	l := &q.lanes[w.Purpose]
	own := l.tenants[w.Namespace]
	rank, _ := slices.BinarySearchFunc(own.waiting, w, compare)
	tag := own.last + int64(rank) + 1
	for name, t := range l.tenants {
		if t != own {
			rank += t.before(1, tag, len(t.waiting), name < w.Namespace)
		}
	}
	tag = l.last + int64(rank+1)*w.Purpose.cost()
	for p := range purposes {
		if other := &q.lanes[p]; p != w.Purpose {
			rank += other.before(p.cost(), tag, other.n, p < w.Purpose)
		}
	}
	return rank
}

// serve takes w out of the queue, and counts its call for its namespace and purpose.
func (q *queue) serve(w *waiter) {
	l := &q.lanes[w.Purpose]
	q.virtual = max(q.virtual, l.serve(w.Purpose.cost()))
	l.virtual = max(l.virtual, l.tenants[w.Namespace].serve(1))
	q.leave(w)
}

// expire takes out who did not come for long after it was due.
func (q *queue) expire(now time.Time, grace time.Duration) {
	for _, w := range q.waiters {
		if now.Sub(w.due) > grace {
			q.leave(w)
		}
	}
}
