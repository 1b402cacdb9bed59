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
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options of Run.
type Options struct {
	// Root of the module; default: the working directory.
	Root string
	// Table of mutants; default Table().
	Table []Mutant
	// Lives that may pass until a mutant is found out; default 3000.
	Lives int
	// Parallel is how many mutants live at once; default 2.
	Parallel int
	// Timeout of one mutant; default two minutes.
	Timeout time.Duration
	// Log is told about each mutant; default nowhere.
	Log io.Writer

	// build makes the mutated program, and returns its name.
	build func(ctx context.Context, dir string) (string, error)
}

// Report of a run.
type Report struct {
	Killed int
	// Survivors are the mutants with which no life showed a violation.
	Survivors []string
	Results   []Result
}

// Result of one mutant.
type Result struct {
	Mutant string `json:"mutant"`
	Rule   string `json:"rule"`
	Killed bool   `json:"killed"`
	// Violated rules, and the life that showed it.
	Violated []string `json:"violated"`
	Life     string   `json:"life,omitempty"`
	// Elsewhere: found out, but by none of the rules that were expected.
	Elsewhere bool    `json:"elsewhere,omitempty"`
	Lives     int     `json:"lives"`
	Seconds   float64 `json:"seconds"`
}

// lived is what is read of a program's report.
type lived struct {
	Lives int `json:"lives"`
	Found []struct {
		Rule   string `json:"rule"`
		Seed   uint64 `json:"seed"`
		Replay string `json:"replay"`
	} `json:"found"`
}

// Run builds the torture with all mutants in it, and has each live random lives up to the first
// violation. An error says that a mutant brought no verdict; survivors are no error. That the lives
// are clean without a mutant is for the caller to know.
func Run(ctx context.Context, o Options) (Report, error) {
	o = o.withDefaults()
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return Report{}, fmt.Errorf("a place for the mutants: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program, err := o.build(ctx, dir)
	if err != nil {
		return Report{}, err
	}
	results, err := o.liveAll(ctx, dir, program)
	return sum(results), err
}

func (o Options) withDefaults() Options {
	o.Root, o.Lives = cmp.Or(o.Root, "."), cmp.Or(o.Lives, 3000)
	o.Parallel, o.Timeout = cmp.Or(o.Parallel, 2), cmp.Or(o.Timeout, 2*time.Minute)
	if o.Table == nil {
		o.Table = Table()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.build == nil {
		o.build = o.buildTorture
	}
	return o
}

// buildTorture builds the torture from the mutated sources. Flags that packages are
// cached by come from the environment, as for every other build.
func (o Options) buildTorture(ctx context.Context, dir string) (string, error) {
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

// liveAll lives with each mutant, a few at a time. What one brings stops none of the others.
func (o Options) liveAll(ctx context.Context, dir, program string) ([]Result, error) {
	results, errs := make([]Result, len(o.Table)), make([]error, len(o.Table))
	var log sync.Mutex
	var running errgroup.Group
	running.SetLimit(o.Parallel)
	for i, m := range o.Table {
		running.Go(func() error {
			results[i], errs[i] = o.live(ctx, dir, program, m)
			log.Lock()
			defer log.Unlock()
			fmt.Fprintln(o.Log, results[i].line(errs[i]))
			return nil
		})
	}
	_ = running.Wait() // they return none
	return results, errors.Join(errs...)
}

// live with one mutant, up to the first violation. The life that showed it has to be clean without the mutant.
func (o Options) live(ctx context.Context, dir, program string, m Mutant) (Result, error) {
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	l, err := o.run(ctx, dir, program, m.Name, cmp.Or(m.Seed, 1), o.Lives)
	if err == nil && len(l.Found) > 0 {
		var control lived
		control, err = o.run(ctx, dir, program, "", l.Found[0].Seed, 1)
		if err == nil && len(control.Found) > 0 {
			err = fmt.Errorf("mutant %q: no verdict: without it the life violates %s too", m.Name, control.Found[0].Rule)
		}
	}
	r := Result{Mutant: m.Name, Rule: m.Rule, Seconds: time.Since(started).Seconds()}
	if err != nil {
		return r, err
	}
	return r.judge(m, l), nil
}

// run lives from a seed on with a mutant, or with none.
func (o Options) run(ctx context.Context, dir, program, mutant string, seed uint64, lives int) (lived, error) {
	report := filepath.Join(dir, fmt.Sprintf("report-%s-%d.json", mutant, seed))
	run := exec.CommandContext(ctx, program, "-first", "-singles", "0", "-lives", strconv.Itoa(lives),
		"-seed", strconv.FormatUint(seed, 10), "-workers", "1", "-mutant", mutant, "-report", report)
	run.Dir, run.WaitDelay = o.Root, time.Second
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	runErr := run.Run()
	var l lived
	data, err := os.ReadFile(report)
	if err == nil {
		err = json.Unmarshal(data, &l)
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return l, fmt.Errorf("mutant %q: no verdict: %w\n%s", mutant, errors.Join(err, runErr), tail(out.String()))
	}
	return l, nil
}

// judge says what became of a mutant.
func (r Result) judge(m Mutant, l lived) Result {
	r.Lives, r.Killed = l.Lives, len(l.Found) > 0
	expected := false
	for _, v := range l.Found {
		if !slices.Contains(r.Violated, v.Rule) {
			r.Violated = append(r.Violated, v.Rule)
		}
		r.Life = cmp.Or(r.Life, v.Replay)
		expected = expected || slices.Contains(m.Breaks, v.Rule)
	}
	r.Elsewhere = r.Killed && !expected
	return r
}

func (r Result) line(err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("NO VERDICT %s: %v", r.Mutant, err)
	case !r.Killed:
		return fmt.Sprintf("SURVIVED   %s (%s), %d lives, %.1f s", r.Mutant, r.Rule, r.Lives, r.Seconds)
	case r.Elsewhere:
		return fmt.Sprintf("killed     %s by %v, which was not expected, in life %d, %.1f s", r.Mutant, r.Violated, r.Lives, r.Seconds)
	default:
		return fmt.Sprintf("killed     %s by %v in life %d, %.1f s", r.Mutant, r.Violated, r.Lives, r.Seconds)
	}
}

// sum of the results.
func sum(results []Result) Report {
	r := Report{Results: results, Survivors: []string{}}
	for _, one := range results {
		if one.Killed {
			r.Killed++
		} else {
			r.Survivors = append(r.Survivors, one.Mutant)
		}
	}
	return r
}

// tail of what a program printed.
func tail(s string) string {
	const limit = 2000
	return s[max(0, len(s)-limit):]
}
