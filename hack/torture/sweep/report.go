package sweep

import (
	"fmt"
	"slices"
	"strings"

	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Report of a sweep.
type Report struct {
	Seed      uint64   `json:"seed"`
	Schedules int      `json:"schedules"`
	Singles   int      `json:"singles"`
	Pairs     int      `json:"pairs"`
	Scenarios []string `json:"scenarios"`
	// Points is how often each label was perturbed.
	Points map[string]int `json:"points"`
	// Faults is how often each kind happened.
	Faults map[string]int `json:"faults"`
	// Unfired schedules did not happen as planned, and are not counted.
	Unfired int `json:"unfired"`
	// Unperturbed is what was found and not perturbed in every way.
	Unperturbed []string `json:"unperturbed"`
	Violations  []Found  `json:"violations,omitempty"`
}

// Found is a violation and the run that it was found in.
type Found struct {
	judge.Violation
	Schedule string   `json:"schedule"`
	Trace    []string `json:"trace,omitempty"`

	of Schedule
}

// Replay is the command that shows it again.
func (f Found) Replay() string { return fmt.Sprintf("go run ./hack/torture -replay '%s'", f.Schedule) }

// explained is how many violations are shrunk and told in full.
const explained = 10

// explain completes the report: names, and the shortest traces.
func (s *Sweep) explain() error {
	for _, st := range s.stories {
		s.report.Scenarios = append(s.report.Scenarios, st.scenario.Name+"/"+st.provider)
	}
	slices.SortStableFunc(s.report.Violations, func(a, b Found) int { return len(a.of.Faults) - len(b.of.Faults) })
	told := map[string]bool{}
	r := s.runner()
	for i := range s.report.Violations {
		f := &s.report.Violations[i]
		if kind := f.Rule + f.Text; told[kind] || len(told) >= explained {
			continue
		}
		told[f.Rule+f.Text] = true
		small, err := s.shrink(r, f.of, f.Rule)
		if err != nil {
			return err
		}
		f.of, f.Schedule = small, small.String()
		res, err := s.Replay(small)
		if err != nil {
			return err
		}
		f.Trace = res.Trace
	}
	return nil
}

// shrink drops what is not needed for a violation.
func (s *Sweep) shrink(r *runner, schedule Schedule, rule string) (Schedule, error) {
	clean, err := r.run(Schedule{Scenario: schedule.Scenario, Provider: schedule.Provider}, how{})
	if err != nil {
		return schedule, err
	}
	for _, smaller := range smallerThan(schedule) {
		res, err := r.run(smaller, how{checked: len(smaller.Faults) < 2, clean: &clean})
		if err != nil {
			return schedule, err
		}
		same := func(v judge.Violation) bool { return v.Rule == rule }
		if res.Fired && slices.ContainsFunc(res.Violations, same) {
			return s.shrink(r, smaller, rule)
		}
	}
	return schedule, nil
}

// smallerThan lists schedules with one thing less.
func smallerThan(s Schedule) []Schedule {
	var out []Schedule
	for i, f := range s.Faults {
		without := s
		without.Faults = slices.Delete(slices.Clone(s.Faults), i, i+1)
		out = append(out, without)
		if f.Stale > 0 {
			fresh := s
			fresh.Faults = slices.Clone(s.Faults)
			fresh.Faults[i] = testworld.Planned{Place: f.Place, Kind: f.Kind}
			out = append(out, fresh)
		}
	}
	return out
}

// Schedule is one run: a scenario at a provider, and what befalls which point.
type Schedule struct {
	Scenario string
	Provider string
	Faults   []testworld.Planned
}

// String is what ParseSchedule reads, and -replay takes.
func (s Schedule) String() string {
	parts := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		parts[i] = f.String()
	}
	return s.Scenario + "/" + s.Provider + ": " + strings.Join(parts, "; ")
}

// ParseSchedule reads "scenario/provider: label#n=kind; label#n=kind".
func ParseSchedule(text string) (Schedule, error) {
	head, rest, _ := strings.Cut(text, ":")
	scenario, provider, ok := strings.Cut(strings.TrimSpace(head), "/")
	if !ok {
		return Schedule{}, fmt.Errorf("%q does not begin with scenario/provider", text)
	}
	s := Schedule{Scenario: scenario, Provider: provider}
	for _, part := range strings.Split(rest, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		f, err := testworld.ParsePlanned(part)
		if err != nil {
			return Schedule{}, err
		}
		s.Faults = append(s.Faults, f)
	}
	return s, nil
}
