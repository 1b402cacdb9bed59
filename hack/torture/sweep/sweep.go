// Package sweep puts every fault at every point of every scenario, one at a time and in pairs, and has each run judged.
package sweep

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"

	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Options of a sweep.
type Options struct {
	// Seed chooses pairs.
	Seed uint64
	// Singles to make, chosen by Seed; 0: all.
	Singles int
	// Pairs of faults to try; 0: none, -1: all.
	Pairs int
	// Scenarios by scenario/provider; nil: all.
	Scenarios *regexp.Regexp
	// First: stop at the first violation.
	First   bool
	Workers int
	// Log says how far it is; nil: nobody wants to know.
	Log func(format string, args ...any)
}

// Sweep makes all the runs that it is asked for.
type Sweep struct {
	opts      Options
	scenarios map[string]Scenario
	validate  func(testworld.Kind, bool, []byte, []byte) error
	stories   []*story

	stop   context.CancelFunc
	mu     sync.Mutex
	report Report
	// ways in which each label was perturbed, by provider.
	ways map[string]map[string]bool
}

// story is a scenario at a provider, with its run without faults.
type story struct {
	scenario Scenario
	provider string
	clean    Result
	singles  []testworld.Planned
}

func (s *story) schedule(faults ...testworld.Planned) Schedule {
	return Schedule{Scenario: s.scenario.Name, Provider: s.provider, Faults: faults}
}

// New sweep over scenarios.
func New(scenarios []Scenario, o Options) (*Sweep, error) {
	validate, err := NewValidator()
	if err != nil {
		return nil, err
	}
	s := &Sweep{
		opts: o, scenarios: map[string]Scenario{}, validate: validate, ways: map[string]map[string]bool{},
		report: Report{Seed: o.Seed, Points: map[string]int{}, Faults: map[string]int{}},
	}
	for _, sc := range scenarios {
		s.scenarios[sc.Name] = sc
		for _, provider := range sc.providers() {
			if o.Scenarios == nil || o.Scenarios.MatchString(sc.Name+"/"+provider) {
				s.stories = append(s.stories, &story{scenario: sc, provider: provider})
			}
		}
	}
	if len(s.stories) == 0 {
		return nil, fmt.Errorf("no scenario matches %s", o.Scenarios)
	}
	return s, nil
}

func (s *Sweep) logf(format string, args ...any) {
	if s.opts.Log != nil {
		s.opts.Log(format, args...)
	}
}

func (s *Sweep) runner() *runner {
	shared := testworld.NewShared()
	shared.Validate = s.validate
	return &runner{shared: shared, scenarios: s.scenarios}
}

// Run the sweep.
func (s *Sweep) Run(ctx context.Context) (Report, error) {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	if err := s.learn(ctx); err != nil {
		return s.report, err
	}
	if err := s.singles(ctx); err != nil {
		return s.report, err
	}
	if s.opts.Pairs != 0 {
		if err := s.pairs(ctx); err != nil {
			return s.report, err
		}
	}
	if ctx.Err() == nil && s.opts.Singles == 0 {
		s.report.Unperturbed = s.unperturbed()
	}
	return s.report, s.explain()
}

// each hands jobs to the workers until there are none, or the context is over.
func (s *Sweep) each(ctx context.Context, n int, do func(r *runner, i int) error) error {
	var group sync.WaitGroup
	jobs := make(chan int)
	errs := make([]error, max(1, s.opts.Workers))
	for worker := range errs {
		group.Go(func() {
			r := s.runner()
			for i := range jobs {
				if errs[worker] == nil {
					errs[worker] = do(r, i)
				}
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		jobs <- i
	}
	close(jobs)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// learn makes the runs without faults, which find the points.
func (s *Sweep) learn(ctx context.Context) error {
	err := s.each(ctx, len(s.stories), func(r *runner, i int) error {
		st := s.stories[i]
		var err error
		if st.clean, err = r.run(st.schedule(), how{checked: true}); err != nil {
			return err
		}
		st.singles = st.scenario.singles(st.provider, st.clean.Points)
		want, ok := st.scenario.Want[st.provider]
		if !ok {
			want, ok = st.scenario.Want[""]
		}
		if ok && st.clean.Phase != want {
			st.clean.Violations = append(st.clean.Violations, judge.Violation{
				Rule: judge.Schedule, Text: fmt.Sprintf("without a fault it ends %q, and should %q", st.clean.Phase, want),
			})
		}
		s.count(st, st.clean)
		return nil
	})
	points := 0
	for _, st := range s.stories {
		points += len(st.clean.Points)
	}
	singles := 0
	for _, st := range s.stories {
		singles += len(st.singles)
	}
	s.logf("%d scenarios by provider, %d points, %d single faults", len(s.stories), points, singles)
	return err
}

// singles makes every single fault, in an order that the seed chooses, so that the first of them are a fair sample.
func (s *Sweep) singles(ctx context.Context) error {
	var jobs []job
	for _, st := range s.stories {
		for i := range st.singles {
			jobs = append(jobs, job{st, i})
		}
	}
	random := rand.New(rand.NewPCG(s.opts.Seed, 1))
	random.Shuffle(len(jobs), func(a, b int) { jobs[a], jobs[b] = jobs[b], jobs[a] })
	if n := s.opts.Singles; n > 0 && n < len(jobs) {
		jobs = jobs[:n]
	}
	err := s.each(ctx, len(jobs), func(r *runner, i int) error {
		st := jobs[i].story
		res, err := r.run(st.schedule(st.singles[jobs[i].i]), how{checked: true, clean: &st.clean})
		if err == nil {
			s.count(st, res)
		}
		return err
	})
	s.logf("%d single faults, %d violations", s.report.Singles, len(s.report.Violations))
	return err
}

type job struct {
	story *story
	i     int
}

// inRow: of a long row of points with the same label the first ones and the last stand for all.
const inRow = 3

// singles lists every way to perturb every point, and every place for the scenario's own event.
func (sc Scenario) singles(provider string, points []testworld.Point) []testworld.Planned {
	var out []testworld.Planned
	last := map[string]int{}
	for _, p := range points {
		last[p.Label] = p.N
	}
	for _, p := range points {
		if p.N > inRow && p.N < last[p.Label] {
			continue
		}
		for _, kind := range testworld.Ways(provider, p) {
			out = append(out, testworld.Planned{Place: p.Place, Kind: kind})
			if testworld.Crashes(kind) {
				for _, stale := range []int{1, 3} {
					out = append(out, testworld.Planned{Place: p.Place, Kind: kind, Stale: stale})
				}
			}
		}
		for _, event := range sc.Event {
			out = append(out, testworld.Planned{Place: p.Place, Kind: event})
		}
	}
	return out
}

// perJob is how many second faults are tried after each first one.
const perJob = 8

// pairs makes ordered pairs: a second fault at a point that the run with the first one comes to after it.
func (s *Sweep) pairs(ctx context.Context) error {
	random := rand.New(rand.NewPCG(s.opts.Seed, 0))
	var jobs []job
	all := s.opts.Pairs < 0
	if all {
		for _, st := range s.stories {
			for i := range st.singles {
				jobs = append(jobs, job{st, i})
			}
		}
	}
	for n := 0; n < s.opts.Pairs; n += perJob {
		st := s.stories[random.IntN(len(s.stories))]
		jobs = append(jobs, job{st, random.IntN(len(st.singles))})
	}
	err := s.each(ctx, len(jobs), func(r *runner, i int) error {
		return s.after(ctx, r, jobs[i], rand.New(rand.NewPCG(s.opts.Seed, uint64(i)+1)), all)
	})
	s.logf("%d pairs, %d violations", s.report.Pairs, len(s.report.Violations))
	return err
}

// after tries second faults after a first one.
func (s *Sweep) after(ctx context.Context, r *runner, j job, random *rand.Rand, all bool) error {
	st, first := j.story, j.story.singles[j.i]
	res, err := r.run(st.schedule(first), how{})
	if err != nil {
		return err
	}
	seconds := st.scenario.singles(st.provider, res.Points[min(res.FiredAt, len(res.Points)):])
	if !all {
		random.Shuffle(len(seconds), func(a, b int) { seconds[a], seconds[b] = seconds[b], seconds[a] })
		seconds = seconds[:min(perJob, len(seconds))]
	}
	for _, second := range seconds {
		if over(ctx) {
			break
		}
		res, err := r.run(st.schedule(first, second), how{clean: &st.clean})
		if err != nil {
			return err
		}
		s.count(st, res)
	}
	return nil
}

func over(ctx context.Context) bool { return ctx.Err() != nil }

// count a run. A fault that did not fire does not count.
func (s *Sweep) count(st *story, res Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !res.Fired {
		s.report.Unfired++
		return
	}
	s.report.Schedules++
	switch len(res.Schedule.Faults) {
	case 0:
	case 1:
		s.report.Singles++
	default:
		s.report.Pairs++
	}
	for _, f := range res.Schedule.Faults {
		s.report.Points[f.Label]++
		s.report.Faults[f.Kind]++
		key := st.provider + " " + f.Label
		if s.ways[key] == nil {
			s.ways[key] = map[string]bool{}
		}
		s.ways[key][f.Kind] = true
	}
	for _, v := range res.Violations {
		s.report.Violations = append(s.report.Violations, Found{Violation: v, Schedule: res.Schedule.String(), of: res.Schedule})
	}
	if len(res.Violations) > 0 && s.opts.First {
		s.stop()
	}
}

// unperturbed lists what was found and not perturbed in every way that fits.
func (s *Sweep) unperturbed() []string {
	missing := map[string]bool{}
	for _, st := range s.stories {
		for _, p := range st.clean.Points {
			for _, kind := range testworld.Ways(st.provider, p) {
				if !s.ways[st.provider+" "+p.Label][kind] {
					missing[st.provider+" "+p.Label+"="+kind] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// Labels makes the runs without faults, and counts the points of each story by label.
func (s *Sweep) Labels(ctx context.Context) (map[string]map[string]int, error) {
	if err := s.learn(ctx); err != nil {
		return nil, err
	}
	out := map[string]map[string]int{}
	for _, st := range s.stories {
		labels := map[string]int{}
		for _, p := range st.clean.Points {
			labels[p.Label]++
		}
		out[st.scenario.Name+"/"+st.provider] = labels
	}
	return out, nil
}

// Replay makes one run, with its trace in words.
func (s *Sweep) Replay(schedule Schedule) (Result, error) {
	r := s.runner()
	clean, err := r.run(Schedule{Scenario: schedule.Scenario, Provider: schedule.Provider}, how{})
	if err != nil {
		return clean, err
	}
	return r.run(schedule, how{checked: true, trace: true, clean: &clean})
}
