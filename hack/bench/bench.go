package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// trial runs the scenarios and keeps what they found.
type trial struct {
	options
	logf     func(string, ...any)
	scenario string // that runs
	report   report
}

// scenarios in the order in which they run.
var scenarios = []struct {
	name string
	run  func(*trial, context.Context) error
}{
	{"counts", (*trial).countRequests},
	{"burst", (*trial).burst},
	{"paced", (*trial).paced},
	{"refunds", (*trial).refunds},
	{"shared", (*trial).shared},
	{"open", (*trial).open},
	{"restart", (*trial).restart},
	{"finished", (*trial).finished},
}

func scenarioNames() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

func checkNames(only []string) error {
	for _, name := range only {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("no scenario %q; there are %v", name, scenarioNames())
		}
	}
	return nil
}

func (t *trial) play(ctx context.Context) error {
	t.report = newReport(t.scale)
	began := time.Now()
	var failed error
	for _, s := range scenarios {
		if len(t.only) > 0 && !slices.Contains(t.only, s.name) {
			continue
		}
		t.scenario = s.name
		at := time.Now()
		t.logf("%4.0f s  %s", time.Since(began).Seconds(), s.name)
		if err := s.run(t, ctx); err != nil {
			t.logf("        %v", err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, err))
		}
		t.report.raw(s.name, "seconds", time.Since(at).Seconds())
	}
	t.report.Seconds = time.Since(began).Round(time.Second).Seconds()
	return failed
}

// of n, as many as the scale says, and min at the least.
func (t *trial) of(n, least int) int { return max(least, int(float64(n)*t.scale)) }

// during is a time of the scale, a few seconds at the least.
func (t *trial) during(d time.Duration) time.Duration {
	return max(5*time.Second, time.Duration(float64(d)*t.scale))
}
