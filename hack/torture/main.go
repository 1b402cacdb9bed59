// Command torture puts every fault that there is at every point of every story of
// a payment, one at a time and in pairs, and lets the providers' own books judge
// what became of the money. See docs/torture.md.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"mobilemoney.dev/operator/hack/torture/mutants"
	"mobilemoney.dev/operator/hack/torture/mutation"
	"mobilemoney.dev/operator/hack/torture/sweep"
)

func main() {
	// Runs are short and leave much behind; memory is cheaper than collecting it.
	debug.SetGCPercent(400)
	// A run that hangs is ended by a panic: where it hangs is what one wants to know.
	debug.SetTraceback("all")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:], os.Stdout, time.Now)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		code = 2
	}
	os.Exit(code)
}

type options struct {
	seed      uint64
	pairs     int
	singles   int
	mutants   bool
	scenarios string
	first     bool
	replay    string
	report    string
	workers   int
}

func run(ctx context.Context, args []string, out io.Writer, now func() time.Time) (code int, err error) {
	var o options
	fs := flag.NewFlagSet("torture", flag.ContinueOnError)
	fs.Uint64Var(&o.seed, "seed", randomSeed(), "What pairs are chosen by. Default: random, and printed.")
	fs.IntVar(&o.pairs, "pairs", 20000, "How many pairs of faults; 0: none, -1: all there are.")
	fs.IntVar(&o.singles, "singles", 0, "How many single faults, chosen by the seed; 0: all there are.")
	fs.StringVar(&o.scenarios, "scenarios", "", "Regular expression for scenario/provider. Default: all.")
	fs.BoolVar(&o.first, "first", false, "Stop at the first violation.")
	fs.StringVar(&o.replay, "replay", "", "Make one run, and tell what happens in it.")
	fs.StringVar(&o.report, "report", "", "File for the report in JSON.")
	fs.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "Runs at the same time.")
	if !mutation.Built {
		fs.BoolVar(&o.mutants, "mutants", false, "Take the safeguards away, one at a time: the sweep has to find out each time.")
	}
	mutation.Flag(fs)
	if err := fs.Parse(args); err != nil {
		return 2, err
	}
	started := now()
	so := sweep.Options{
		Seed: o.seed, Pairs: o.pairs, Singles: o.singles, First: o.first, Workers: o.workers,
		Log: func(format string, args ...any) {
			fmt.Fprintf(out, "%6.1f s  "+format+"\n", append([]any{now().Sub(started).Seconds()}, args...)...)
		},
	}
	if o.scenarios != "" {
		if so.Scenarios, err = regexp.Compile(o.scenarios); err != nil {
			return 2, fmt.Errorf("-scenarios: %w", err)
		}
	}
	s, err := sweep.New(sweep.Scenarios(), so)
	if err != nil {
		return 2, err
	}
	if o.replay != "" {
		return replay(s, o.replay, out)
	}
	fmt.Fprintf(out, "seed %d\n", o.seed)
	report, err := s.Run(ctx)
	if err != nil {
		return 2, err
	}
	if o.mutants {
		m, err := mutants.Run(ctx, mutants.Options{Log: out})
		if err != nil {
			return 2, fmt.Errorf("mutants: %w", err)
		}
		report.Mutants = sweep.Mutants{Killed: m.Killed, Total: m.Total, Survivors: m.Survivors}
	}
	report.Seconds = now().Sub(started).Seconds()
	if err := write(o.report, report); err != nil {
		return 2, err
	}
	return tell(report, out), nil
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) >> 1
}

func replay(s *sweep.Sweep, text string, out io.Writer) (int, error) {
	schedule, err := sweep.ParseSchedule(text)
	if err != nil {
		return 2, err
	}
	res, err := s.Replay(schedule)
	if err != nil {
		return 2, err
	}
	fmt.Fprintln(out, strings.Join(res.Trace, "\n"))
	for _, v := range res.Violations {
		fmt.Fprintln(out, v)
	}
	switch {
	case !res.Fired:
		return 2, fmt.Errorf("not everything that was planned happened")
	case len(res.Violations) > 0:
		return 1, nil
	default:
		fmt.Fprintf(out, "no violation; the sale ended %q\n", res.Phase)
		return 0, nil
	}
}

func write(file string, report sweep.Report) error {
	if file == "" {
		return nil
	}
	body, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(file, append(body, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// tell the outcome; the last line is for machines, too.
func tell(r sweep.Report, out io.Writer) (code int) {
	for _, f := range r.Violations {
		if f.Trace == nil {
			continue
		}
		fmt.Fprintf(out, "\n%s\n  %s\n\n    %s\n", f.Violation, f.Replay(), strings.Join(f.Trace, "\n    "))
	}
	for _, name := range r.Mutants.Survivors {
		fmt.Fprintf(out, "mutant not found out: %s\n", name)
	}
	for _, label := range r.Unperturbed {
		fmt.Fprintf(out, "never perturbed: %s\n", label)
	}
	if len(r.Violations) > 0 || len(r.Mutants.Survivors) > 0 || len(r.Unperturbed) > 0 {
		code = 1
	}
	fmt.Fprintf(out, "%d schedules, %d mutants killed of %d, %d violations\n",
		r.Schedules, r.Mutants.Killed, r.Mutants.Total, len(r.Violations))
	return code
}
