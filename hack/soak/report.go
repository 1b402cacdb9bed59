package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

type report struct {
	Payments       int `json:"payments"`
	Kills          int `json:"kills"`
	Splits         int `json:"splits"`
	Restarts       int `json:"restarts"` // of the API server
	DoubleCharges  int `json:"double_charges"`
	LostOutcomes   int `json:"lost_outcomes"`
	FalseSuccesses int `json:"false_successes"`
	OverRefunds    int `json:"over_refunds"`

	// Unpayable payments of Orange, and those that the provider has not decided.
	Unpayable int `json:"unpayable"`
	Undecided int `json:"undecided"`
	// Outcomes by phase and reason.
	Outcomes map[string]int `json:"outcomes"`
	// Faults by kind, as they befell requests and callbacks.
	Faults  map[string]int `json:"faults"`
	Refunds refundCounts   `json:"refunds"`

	// Charges that the provider made, and versions of objects that were judged.
	Charges  int `json:"charges"`
	Versions int `json:"versions"`

	// The manager that needs more of it at rest, before the load and after it.
	GoroutinesBefore int   `json:"goroutines_before"`
	GoroutinesAfter  int   `json:"goroutines_after"`
	HeapBefore       int64 `json:"heap_before"`
	HeapAfter        int64 `json:"heap_after"`

	// Cut: the time was over before everything had come to its end.
	Cut        bool     `json:"cut"`
	Seconds    float64  `json:"seconds"`
	Seed       uint64   `json:"seed"`
	Violations []string `json:"violations"`
}

type refundCounts struct {
	Made   int `json:"made"`
	Failed int `json:"failed"`
	ByHand int `json:"by_hand"`
	Open   int `json:"open"`
}

// fill puts in what was judged: at the end, and version by version.
func (r *report) fill(e evidence, v verdict, versions []fault) {
	faults := slices.Concat(v.faults, versions)
	r.DoubleCharges, r.FalseSuccesses, r.OverRefunds, r.LostOutcomes = count(faults)
	r.Unpayable, r.Undecided, r.Refunds = v.unpayable, v.undecided, v.refunds
	for _, f := range faults {
		r.Violations = append(r.Violations, f.String())
	}
	for _, l := range e.ledger {
		if l.Event == simulator.Paid {
			r.Charges++
		}
	}
	r.Outcomes = map[string]int{}
	for i := range e.payments.Items {
		p := &e.payments.Items[i]
		r.Outcomes[fmt.Sprintf("%s %s", p.Status.Phase, shop.ReasonOf(p))]++
	}
}

// countFaults counts what befell requests, by the simulator's journal, and callbacks, by what it sent.
func (r *report) countFaults(sim *simulator.Simulator) {
	r.Faults = map[string]int{}
	for _, e := range sim.Journal() {
		if e.Fault != "" {
			r.Faults[e.Fault]++
		}
	}
	for _, c := range sim.Callbacks() {
		switch {
		case strings.HasSuffix(c.Event, "(forged)"):
			r.Faults["callback forged"]++
		case c.Status == 0:
			r.Faults["callback not answered"]++
		case c.Status/100 != 2:
			r.Faults["callback not taken"]++
		}
	}
}

// How much more a manager may need at rest after the load. Every Payment and its Charge stay in the
// cache, twice as much until the garbage is collected; goroutines depend on nothing that stays.
const (
	moreGoroutines = 40
	moreHeap       = 64 << 20
	heapPerPayment = 64 << 10
)

// compare complains about what did not come back to rest.
func (r *report) compare(before, after needs) {
	r.GoroutinesBefore, r.GoroutinesAfter = before.goroutines, after.goroutines
	r.HeapBefore, r.HeapAfter = before.heap, after.heap
	if after.goroutines > before.goroutines+moreGoroutines {
		r.Violations = append(r.Violations, fmt.Sprintf("a manager has %d goroutines at rest, and had %d", after.goroutines, before.goroutines))
	}
	if after.heap > before.heap+moreHeap+int64(r.Payments)*heapPerPayment {
		r.Violations = append(r.Violations, fmt.Sprintf("a manager has %d kB of heap at rest, and had %d", after.heap/1024, before.heap/1024))
	}
}

// wrong is everything for which the run fails: it has to reach its floors to prove anything.
func (r *report) wrong(o options) (wrong []string) {
	for _, f := range []struct {
		what      string
		got, want int
	}{
		{"payments", r.Payments, o.payments}, {"kills", r.Kills, o.kills},
		{"splits", r.Splits, o.splits}, {"restarts", r.Restarts, o.restarts},
	} {
		if f.got < f.want {
			wrong = append(wrong, fmt.Sprintf("%d %s, and not %d", f.got, f.what, f.want))
		}
	}
	wrong = append(wrong, r.Violations...)
	if r.Cut {
		wrong = append(wrong, "the time was over before everything had come to its end")
	}
	return wrong
}

// write writes report.json, which is never there half.
func (r *report) write(dir string) error {
	if r.Violations == nil {
		r.Violations = []string{}
	}
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "report.json")
	if err := os.WriteFile(path+".new", append(content, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// summary for a person; its last line has the counts.
func (r *report) summary(o options) string {
	var b strings.Builder
	list := func(m map[string]int) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			fmt.Fprintf(&b, "%6d  %s\n", m[name], name)
		}
	}
	list(r.Outcomes)
	fmt.Fprintf(&b, "\nFaults:\n")
	list(r.Faults)
	fmt.Fprintf(&b, "\nThe provider made %d charges; %d versions of objects agree with that, or are listed below.\n", r.Charges, r.Versions)
	fmt.Fprintf(&b, "Refunds: %d made, %d failed, %d by hand, %d open.\n", r.Refunds.Made, r.Refunds.Failed, r.Refunds.ByHand, r.Refunds.Open)
	fmt.Fprintf(&b, "A manager at rest: %d goroutines and %d kB before, %d and %d kB after.\n",
		r.GoroutinesBefore, r.HeapBefore/1024, r.GoroutinesAfter, r.HeapAfter/1024)
	for _, w := range r.wrong(o) {
		fmt.Fprintf(&b, "WRONG: %s\n", w)
	}
	fmt.Fprintf(&b, "payments=%d kills=%d splits=%d restarts=%d unpayable=%d undecided=%d seconds=%.0f seed=%d double_charges=%d lost_outcomes=%d false_successes=%d over_refunds=%d\n",
		r.Payments, r.Kills, r.Splits, r.Restarts, r.Unpayable, r.Undecided, r.Seconds, r.Seed, r.DoubleCharges, r.LostOutcomes, r.FalseSuccesses, r.OverRefunds)
	return b.String()
}
