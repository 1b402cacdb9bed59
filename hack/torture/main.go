// Command torture puts every fault that there is at every point of every story of
// a payment, one at a time and in pairs, then lives thousands of random lives, and lets
// the providers' own books judge what became of the money. See docs/torture.md.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/hack/torture/lives"
	"mobilemoney.dev/operator/hack/torture/mutants"
	"mobilemoney.dev/operator/hack/torture/mutation"
	"mobilemoney.dev/operator/hack/torture/sweep"
)

func main() {
	// Runs are short and leave much behind; a heap of a few hundred MB stays in the processor's caches.
	debug.SetGCPercent(800)
	debug.SetMemoryLimit(3 << 30)
	// A run that hangs is ended by a panic: where it hangs is what one wants to know.
	debug.SetTraceback("all")
	// A crash of a process is a panic here, which libraries on its way would report.
	utilruntime.PanicHandlers = nil
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
	singles   int
	pairs     int
	scenarios string
	lives     int
	mutants   bool
	first     bool
	replay    string
	life      string
	report    string
	workers   int
}

func parse(args []string) (o options, err error) {
	fs := flag.NewFlagSet("torture", flag.ContinueOnError)
	fs.Uint64Var(&o.seed, "seed", randomSeed(), "What is chosen by. Default: random, and printed.")
	fs.IntVar(&o.singles, "singles", -1, "How many single faults, chosen by the seed; -1: all there are, 0: none, and no pairs.")
	fs.IntVar(&o.pairs, "pairs", 20000, "How many pairs of faults; 0: none, -1: all there are.")
	fs.StringVar(&o.scenarios, "scenarios", "", "Regular expression for scenario/provider. Default: all.")
	fs.IntVar(&o.lives, "lives", 0, "How many random lives.")
	fs.BoolVar(&o.first, "first", false, "Stop at the first violation.")
	fs.StringVar(&o.replay, "replay", "", "Make one run, and tell what happens in it.")
	fs.StringVar(&o.life, "life", "", "Live one life, given as a program, and tell what happens in it.")
	fs.StringVar(&o.report, "report", "", "File for the report in JSON.")
	fs.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "Runs at the same time.")
	if !mutation.Built {
		fs.BoolVar(&o.mutants, "mutants", false, "Take the safeguards away, one at a time: random lives have to find out each time.")
	}
	mutation.Flag(fs)
	return o, fs.Parse(args)
}

func run(ctx context.Context, args []string, out io.Writer, now func() time.Time) (code int, err error) {
	o, err := parse(args)
	if err != nil {
		return 2, err
	}
	started := now()
	log := func(format string, args ...any) {
		fmt.Fprintf(out, "%6.1f s  "+format+"\n", append([]any{now().Sub(started).Seconds()}, args...)...)
	}
	if o.life != "" {
		return relive(o.life, out)
	}
	s, err := newSweep(o, log)
	if err != nil {
		return 2, err
	}
	if o.replay != "" {
		return replay(s, o.replay, out)
	}
	fmt.Fprintf(out, "seed %d\n", o.seed)
	report := report{Seed: o.seed}
	if o.singles != 0 {
		swept, err := s.Run(ctx)
		if err != nil {
			return 2, err
		}
		report.addSweep(swept)
	}
	if o.lives > 0 {
		lived, err := live(ctx, o, log)
		if err != nil {
			return 2, err
		}
		report.addLives(lived)
	}
	if o.mutants {
		m, err := mutants.Run(ctx, mutants.Options{Log: out})
		if err != nil {
			return 2, fmt.Errorf("mutants: %w", err)
		}
		report.addMutants(m)
	}
	report.Seconds = now().Sub(started).Seconds()
	if err := report.write(o.report); err != nil {
		return 2, err
	}
	return report.tell(out), nil
}

func newSweep(o options, log func(string, ...any)) (*sweep.Sweep, error) {
	so := sweep.Options{Seed: o.seed, Pairs: o.pairs, Singles: max(0, o.singles), First: o.first, Workers: o.workers, Log: log}
	var err error
	if o.scenarios != "" {
		if so.Scenarios, err = regexp.Compile(o.scenarios); err != nil {
			return nil, fmt.Errorf("-scenarios: %w", err)
		}
	}
	return sweep.New(sweep.Scenarios(), so)
}

func live(ctx context.Context, o options, log func(string, ...any)) (lives.Report, error) {
	validate, err := sweep.NewValidator()
	if err != nil {
		return lives.Report{}, err
	}
	lo := lives.Options{Seed: o.seed, Lives: o.lives, First: o.first, Workers: o.workers, Validate: validate, Briefly: mutation.Built}
	r, err := lives.Live(ctx, lo)
	log("%d lives, %.0f days, %d violations", r.Lives, r.Days, len(r.Violations))
	return r, err
}

func randomSeed() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) >> 1
}

func relive(text string, out io.Writer) (int, error) {
	p, err := lives.Parse(text)
	if err != nil {
		return 2, err
	}
	r, err := lives.Run(testworld.NewShared(), p, true, false)
	if err != nil {
		return 2, err
	}
	fmt.Fprintln(out, strings.Join(r.Trace, "\n"))
	for _, v := range r.Violations {
		fmt.Fprintln(out, v)
	}
	return min(1, len(r.Violations)), nil
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
