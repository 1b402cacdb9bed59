package mutants

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// controlTimeouts is how much longer the run without a mutant may take, which
// makes all the schedules of all mutants.
const controlTimeouts = 5

// Options of Run. The zero value runs the whole table on this module.
type Options struct {
	// Root of the module; default: the one that the working directory is in.
	Root string
	// Table of mutants; default Table().
	Table []Mutant
	// Rules of which each needs a mutant that was caught by it; default
	// Rules().
	Rules []string
	// Parallel is how many mutants run at once; default 2.
	Parallel int
	// Timeout of one mutant; default a minute.
	Timeout time.Duration
	// Log is told about each mutant; default nowhere.
	Log io.Writer

	// build makes the mutated sweep, and returns its name.
	build func(ctx context.Context, dir string) (string, error)
}

// Report of a run.
type Report struct {
	Killed int `json:"killed"`
	Total  int `json:"total"`
	// Survivors are the mutants with which the sweep stayed clean.
	Survivors []string `json:"survivors"`
	// Unseen are the invariants by which no mutant was caught.
	Unseen  []string `json:"unseen"`
	Results []Result `json:"results"`
	Seconds float64  `json:"seconds"`
}

// Result of one mutant.
type Result struct {
	Mutant string `json:"mutant"`
	Rule   string `json:"rule"`
	Killed bool   `json:"killed"`
	// Violated invariants, and the schedule that showed it.
	Violated []string `json:"violated"`
	Schedule string   `json:"schedule,omitempty"`
	// Elsewhere: caught, but by none of the invariants that were expected.
	Elsewhere bool    `json:"elsewhere,omitempty"`
	Schedules int     `json:"schedules"`
	Seconds   float64 `json:"seconds"`
}

// swept is what is read of the report of a sweep.
type swept struct {
	Schedules  int `json:"schedules"`
	Violations []struct {
		Invariant string `json:"invariant"`
		Schedule  string `json:"schedule"`
	} `json:"violations"`
}

// Run builds the sweep with all mutants in it, and runs it once for each. The
// report is complete without an error only: an error says that the sweep is not
// clean by itself, that a mutant brought no verdict, or that no mutant was
// caught by some invariant. Survivors are no error; they are in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	started := time.Now()
	o, err := o.withDefaults(ctx)
	if err != nil {
		return Report{}, err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return Report{}, fmt.Errorf("a place for the mutants: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := o.build(ctx, dir)
	if err != nil {
		return Report{}, err
	}
	if err := o.control(ctx, dir, program); err != nil {
		return Report{}, err
	}
	results, err := o.sweepAll(ctx, dir, program)
	r := sum(results, o.Rules)
	r.Seconds = time.Since(started).Seconds()
	if err == nil && len(r.Unseen) > 0 {
		err = fmt.Errorf("no mutant was caught by %s", strings.Join(r.Unseen, ", "))
	}
	return r, err
}

func (o Options) withDefaults(ctx context.Context) (Options, error) {
	o.Parallel, o.Timeout = cmp.Or(o.Parallel, 2), cmp.Or(o.Timeout, time.Minute)
	if o.Table == nil {
		o.Table = Table()
	}
	if o.Rules == nil {
		o.Rules = Rules()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Root == "" {
		list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}")
		out, err := list.Output()
		if err != nil {
			return o, fmt.Errorf("finding the module: %w", err)
		}
		o.Root = strings.TrimSpace(string(out))
	}
	if o.build == nil {
		o.build = o.buildSweep
	}
	return o, nil
}

// buildSweep builds the sweep from the mutated sources. Flags that packages
// are cached by come from the environment, as for every other build.
func (o Options) buildSweep(ctx context.Context, dir string) (string, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	overlay, err := prepare(dir, root, o.Table)
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "torture")
	build := exec.CommandContext(ctx, "go", "build", "-tags", "mutants", "-overlay", overlay, "-o", program, "./hack/torture")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the mutants: %w\n%s", err, out)
	}
	return program, nil
}

// control runs all that the mutants are swept by, without a mutant. A violation
// there would pass for the kill of every mutant, so then none counts.
func (o Options) control(ctx context.Context, dir, program string) error {
	o.Timeout *= controlTimeouts
	c, err := o.sweep(ctx, dir, program, Mutant{Focus: union(o.Table)})
	switch {
	case err != nil:
		return err
	case len(c.Violated) > 0 || c.Schedules == 0:
		return fmt.Errorf("without a mutant the sweep is not clean: %d schedules, violated %v by %s", c.Schedules, c.Violated, c.Schedule)
	}
	fmt.Fprintf(o.Log, "clean      without a mutant, %d schedules, %.1f s\n", c.Schedules, c.Seconds)
	return nil
}

// union of the scenarios of all mutants; empty: all there are.
func union(table []Mutant) string {
	var stories []string
	for _, m := range table {
		if m.Focus == "" {
			return ""
		}
		stories = append(stories, m.Focus)
	}
	slices.Sort(stories)
	return strings.Join(slices.Compact(stories), "|")
}

// sweepAll runs the sweep with each mutant, a few at a time. What one brings
// stops none of the others.
func (o Options) sweepAll(ctx context.Context, dir, program string) ([]Result, error) {
	results, errs := make([]Result, len(o.Table)), make([]error, len(o.Table))
	var log sync.Mutex
	var running errgroup.Group
	running.SetLimit(o.Parallel)
	for i, m := range o.Table {
		running.Go(func() error {
			results[i], errs[i] = o.sweep(ctx, dir, program, m)
			log.Lock()
			defer log.Unlock()
			fmt.Fprintln(o.Log, results[i].line(errs[i]))
			return nil
		})
	}
	_ = running.Wait() // they return none
	return results, errors.Join(errs...)
}

// sweep runs the sweep with one mutant, or with none, up to the first violation.
func (o Options) sweep(ctx context.Context, dir, program string, m Mutant) (Result, error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	report := filepath.Join(dir, "report-"+m.Name+".json")
	workers := 1
	if m.Name == "" {
		workers = o.Parallel
	}
	run := exec.CommandContext(ctx, program, "-first", "-pairs", "0", "-seed", "1", "-workers", strconv.Itoa(workers),
		"-scenarios", m.Focus, "-mutant", m.Name, "-report", report)
	run.Dir, run.WaitDelay = o.Root, time.Second
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	runErr := run.Run()
	r := Result{Mutant: m.Name, Rule: m.Rule, Seconds: time.Since(started).Seconds()}
	if err := ctx.Err(); err != nil {
		return r, fmt.Errorf("mutant %q: no verdict: %w", m.Name, err)
	}
	s, err := readReport(report)
	if err != nil {
		return r, fmt.Errorf("mutant %q: no verdict: %w", m.Name, errors.Join(err, runErr, errors.New(tail(out.String()))))
	}
	if exited := new(exec.ExitError); runErr != nil && (!errors.As(runErr, &exited) || exited.ExitCode() != 1 || len(s.Violations) == 0) {
		return r, fmt.Errorf("mutant %q: no verdict: %w\n%s", m.Name, runErr, tail(out.String()))
	}
	return r.judge(m, s), nil
}

// judge says what became of a mutant.
func (r Result) judge(m Mutant, s swept) Result {
	r.Schedules, r.Killed = s.Schedules, m.Name != "" && len(s.Violations) > 0
	expected := false
	for _, v := range s.Violations {
		if !slices.Contains(r.Violated, v.Invariant) {
			r.Violated = append(r.Violated, v.Invariant)
		}
		r.Schedule = cmp.Or(r.Schedule, v.Schedule)
		expected = expected || slices.Contains(m.Breaks, v.Invariant)
	}
	r.Elsewhere = r.Killed && !expected
	return r
}

func (r Result) line(err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("NO VERDICT %s: %v", r.Mutant, err)
	case !r.Killed:
		return fmt.Sprintf("SURVIVED   %s (%s), %d schedules, %.1f s", r.Mutant, r.Rule, r.Schedules, r.Seconds)
	case r.Elsewhere:
		return fmt.Sprintf("killed     %s by %v, which was not expected, %.1f s", r.Mutant, r.Violated, r.Seconds)
	default:
		return fmt.Sprintf("killed     %s by %v, %.1f s", r.Mutant, r.Violated, r.Seconds)
	}
}

// sum of the results.
func sum(results []Result, invariants []string) Report {
	r := Report{Total: len(results), Results: results, Survivors: []string{}, Unseen: []string{}}
	seen := map[string]bool{}
	for _, one := range results {
		if !one.Killed {
			r.Survivors = append(r.Survivors, one.Mutant)
			continue
		}
		r.Killed++
		for _, id := range one.Violated {
			seen[id] = true
		}
	}
	for _, id := range invariants {
		if !seen[id] {
			r.Unseen = append(r.Unseen, id)
		}
	}
	return r
}

func readReport(name string) (swept, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return swept{}, fmt.Errorf("the sweep left no report: %w", err)
	}
	var s swept
	if err := json.Unmarshal(data, &s); err != nil {
		return swept{}, fmt.Errorf("the report of the sweep: %w", err)
	}
	return s, nil
}

// tail of what a program printed.
func tail(s string) string {
	const limit = 2000
	return s[max(0, len(s)-limit):]
}
