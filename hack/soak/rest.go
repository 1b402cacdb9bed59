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

// rest measures for a few seconds and takes the least: what is more is being done, or
// is not collected yet.
func (c *crew) rest(ctx context.Context) (r resting, err error) {
	const looks, pauseBetween = 10, 300 * time.Millisecond
	for range looks {
		for _, m := range c.members {
			values, err := c.scrape(ctx, m)
			if err != nil {
				return r, fmt.Errorf("reading the metrics of a manager: %w", err)
			}
			place := &r.Standby
			if values[gaugeLeads] == 1 {
				place = &r.Leader
			}
			place.least(needs{int(values[gaugeGoroutines]), int64(values[gaugeHeap])})
		}
		pause(ctx, pauseBetween)
	}
	return r, ctx.Err()
}

func (n *needs) least(other needs) {
	if n.Goroutines == 0 {
		*n = other
		return
	}
	n.Goroutines, n.Heap = min(n.Goroutines, other.Goroutines), min(n.Heap, other.Heap)
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
