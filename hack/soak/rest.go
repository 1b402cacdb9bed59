package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// resting is what the managers need while there is nothing to do.
type resting struct {
	Leader  needs `json:"leader"`
	Standby needs `json:"standby"`
}

type needs struct {
	Goroutines int   `json:"goroutines"`
	Heap       int64 `json:"heap"`
}

func (r resting) String() string {
	return fmt.Sprintf("the leader has %d goroutines and %d kB, the other one %d and %d kB",
		r.Leader.Goroutines, r.Leader.Heap/1024, r.Standby.Goroutines, r.Standby.Heap/1024)
}

// rest measures once the managers have come to rest: for a few seconds, no goroutine
// has come or gone to speak of. Of the heap it takes the least, because what is more is
// not collected yet. A manager that never rests is measured as it is in the end.
func (c *crew) rest(ctx context.Context) (r resting, err error) {
	const looks, enough, between = 40, 10, 300 * time.Millisecond
	for look, quiet := 0, 0; look < looks && quiet < enough; look++ {
		now, err := c.look(ctx)
		if err != nil {
			return r, err
		}
		quiet++
		if !now.Leader.near(r.Leader) || !now.Standby.near(r.Standby) {
			r, quiet = now, 0
		}
		r.Leader.Heap, r.Standby.Heap = min(r.Leader.Heap, now.Leader.Heap), min(r.Standby.Heap, now.Standby.Heap)
		pause(ctx, between)
	}
	return r, ctx.Err()
}

func (c *crew) look(ctx context.Context) (r resting, err error) {
	for _, m := range c.members {
		values, err := c.scrape(ctx, m)
		if err != nil {
			return r, fmt.Errorf("reading the metrics of a manager: %w", err)
		}
		place := &r.Standby
		if values[gaugeLeads] == 1 {
			place = &r.Leader
		}
		*place = needs{int(values[gaugeGoroutines]), int64(values[gaugeHeap])}
	}
	return r, nil
}

// near: some goroutines always come and go, such as those of this question.
func (n needs) near(other needs) bool {
	return n.Goroutines-other.Goroutines <= 5 && other.Goroutines-n.Goroutines <= 5
}

// How much more a manager may need at rest after the load. Every Payment and its Charge
// stay in the cache, twice as much until the garbage is collected; goroutines depend on
// nothing that stays.
const (
	moreGoroutines = 40
	moreHeap       = 64 << 20
	heapPerPayment = 64 << 10
)

// compare complains about what did not come back to rest.
func (r *report) compare() {
	r.GoroutinesBefore, r.GoroutinesAfter = r.Before.Leader.Goroutines, r.After.Leader.Goroutines
	r.HeapBefore, r.HeapAfter = r.Before.Leader.Heap, r.After.Leader.Heap
	for _, m := range []struct {
		who           string
		before, after needs
	}{
		{"leader", r.Before.Leader, r.After.Leader}, {"standby", r.Before.Standby, r.After.Standby},
	} {
		if m.after.Goroutines > m.before.Goroutines+moreGoroutines {
			r.Violations = append(r.Violations, fmt.Sprintf("the %s has %d goroutines at rest, and had %d", m.who, m.after.Goroutines, m.before.Goroutines))
		}
		if m.after.Heap > m.before.Heap+moreHeap+int64(r.Payments)*heapPerPayment {
			r.Violations = append(r.Violations, fmt.Sprintf("the %s has %d kB of heap at rest, and had %d", m.who, m.after.Heap/1024, m.before.Heap/1024))
		}
	}
}

func sorted(m map[string]int) []string { return slices.Sorted(maps.Keys(m)) }
