package sweep

import (
	"fmt"
	"slices"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Result of one run.
type Result struct {
	Schedule   Schedule
	Points     []testworld.Point
	FiredAt    int
	Fired      bool
	Violations []judge.Violation
	Trace      []string
	// Phase in which the sale ended; empty: it is gone.
	Phase  v1alpha1.Phase
	Calls  int
	Writes int
	// Settled is how long after the beginning the sale was over or Unknown.
	Settled time.Duration
}

// runner makes runs. One worker has one.
type runner struct {
	shared    *testworld.Shared
	scenarios map[string]Scenario
}

// hung is how long a run, which takes milliseconds, may take before it is known to
// wait for what will never be: nobody else is there to wake it.
const hung = time.Minute

// how to run.
type how struct {
	checked, trace bool
	// clean is the run without faults to compare with; nil: none.
	clean *Result
}

func (r *runner) run(s Schedule, h how) (Result, error) {
	sc, ok := r.scenarios[s.Scenario]
	if !ok || !slices.Contains(sc.providers(), s.Provider) {
		return Result{}, fmt.Errorf("there is no scenario %s/%s", s.Scenario, s.Provider)
	}
	j := judge.New()
	o := testworld.Options{
		Shared: r.shared, Observer: j, Provider: s.Provider, Settings: attempt.DefaultSettings(),
		Checked: h.checked, Trace: h.trace, Plan: sc.plan(s),
	}
	if sc.Options != nil {
		sc.Options(&o)
	}
	w, err := testworld.New(o)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = w.Close() }()
	defer time.AfterFunc(hung, func() { panic("a run does not come to its end: " + s.String()) }).Stop()
	j.Watch(w)
	w.Pay(testworld.Sale, sc.Amount, sc.Payment)
	if sc.Arrange != nil {
		sc.Arrange(w, j)
	}
	err = w.Run(max(sc.Horizon, horizon))
	res := Result{
		Schedule: s, Points: w.Points, FiredAt: w.FiredAt, Fired: w.Fired(len(s.Faults)),
		Calls: j.CallCount, Writes: j.WriteCount, Trace: w.Trace,
	}
	if p := w.Payment(testworld.InShop(testworld.Sale)); p != nil {
		res.Phase = p.Status.Phase
	}
	if !j.SettledAt.IsZero() {
		res.Settled = w.Elapsed() - w.Now().Sub(j.SettledAt)
	}
	if err != nil {
		j.Violations = append(j.Violations, judge.Violation{Rule: judge.Bounds, Text: err.Error()})
	} else {
		j.Finish(sc.Waits)
	}
	for _, leak := range w.Leaks() {
		j.Violations = append(j.Violations, judge.Violation{Rule: judge.Privacy, Text: leak.Name + " is told (" + leak.Form + ")"})
	}
	res.Violations, res.Trace = j.Violations, w.Trace
	if h.clean != nil && !w.Jumped() && !j.Lost() {
		res.Violations = append(res.Violations, h.compare(res, w)...)
	}
	return res, nil
}

// plan is what befalls a run: what the scenario begins with, where the schedule
// does not put that elsewhere, and the schedule.
func (sc Scenario) plan(s Schedule) []testworld.Planned {
	plan := slices.Clone(s.Faults)
	moved := slices.ContainsFunc(s.Faults, func(f testworld.Planned) bool { return slices.Contains(sc.Event, f.Kind) })
	for _, provider := range []string{"", s.Provider} {
		for _, f := range sc.Base[provider] {
			if !moved || !slices.Contains(sc.Event, f.Kind) {
				plan = append(plan, f)
			}
		}
	}
	return plan
}

// What a fault may cost more than the clean run: questions at closer intervals
// until no request can arrive any more, and the notices of what went wrong.
const (
	callsPerFault  = 70
	writesPerFault = 14
	// patience until the sale is over or Unknown, after the last fault: without any
	// usable answer that takes a day from the deadline on.
	patience = 26 * time.Hour
)

func (h how) compare(r Result, w *testworld.World) []judge.Violation {
	faults := len(r.Schedule.Faults)
	for _, f := range r.Schedule.Faults {
		if f.Kind == testworld.Dropped {
			faults += 3 // until the cache is filled anew, the status goes back and forth
		}
	}
	faults *= w.Replicas() // two that lead undo each other's notices while they see different things
	var out []judge.Violation
	if limit := h.clean.Calls + callsPerFault*faults; r.Calls > limit {
		out = append(out, judge.Violation{Rule: judge.Bounds, Text: fmt.Sprintf("%d calls, %d without the fault", r.Calls, h.clean.Calls)})
	}
	if late := r.Settled - w.LastFault(); h.clean.Settled > 0 && late > h.clean.Settled+patience {
		out = append(out, judge.Violation{Rule: judge.Schedule, Text: "it takes too long after the fault until the sale is over or Unknown"})
	}
	if limit := h.clean.Writes + writesPerFault*faults; r.Writes > limit {
		out = append(out, judge.Violation{Rule: judge.Bounds, Text: fmt.Sprintf("%d writes, %d without the fault", r.Writes, h.clean.Writes)})
	}
	return out
}
