// Command bench measures what payments cost, against the floor: a bare client that makes the same
// requests and calls, on the same API server, in the same run (docs/performance.md).
//
//	main.go      flags
//	bench.go     the scenarios, one after the other
//	burst.go paced.go shared.go open.go finished.go restart.go refunds.go counts.go   one each
//	floor.go     the bare client; it never changes with the manager
//	stage.go     what runs: control plane, simulator, managers
//	market.go    who buys, and when each payment got how far
//	seed.go      payments that are written, not made
//	usage.go     processor time and memory
//	report.go table.go picture.go   what is told
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mobilemoney.dev/operator/hack/internal/process"
)

func main() {
	if done := asClient(); done {
		return
	}
	process.Main("bench", parse, run, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

type options struct {
	// only names the scenarios to run; empty: all.
	only []string
	// counts is the file of the figures that the counts are held against.
	counts  string
	scale   float64
	manager string
	out     string // folder of the report
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	only := f.String("only", "", "scenarios to run, comma-separated: "+strings.Join(scenarioNames(), ", ")+"; empty: all")
	f.StringVar(&o.counts, "counts", "", "file of the counts that a payment must not exceed")
	f.Float64Var(&o.scale, "scale", 1, "share of the payments and times; figures are only comparable at 1")
	f.StringVar(&o.manager, "manager", filepath.Join("bin", "manager"), "the manager's program")
	f.StringVar(&o.out, "out", filepath.Join("bin", "bench"), "folder for report.json, report.svg and the managers' logs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.scale <= 0 || o.scale > 1 {
		return o, fmt.Errorf("-scale must be above 0, and 1 at most")
	}
	o.only = strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	return o, checkNames(o.only)
}

func run(ctx context.Context, o options, stdout *os.File) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	t := &trial{options: o, logf: func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }}
	// What one scenario found is told, whatever becomes of another.
	return errors.Join(t.play(ctx), t.report.tell(stdout, o))
}
