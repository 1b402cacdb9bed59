// Command bench measures how the manager collects old Charges out of many: it fills
// a real API server, starts the manager as a process of its own with the shipped
// rights, and says how long it took, what it asked of the API server, and what
// memory it used. What may be collected is for the tests of controllers/retention.
//
//	go run ./hack/bench -charges 50000 -due 20000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/stage"
)

type options struct {
	charges, due, workers int
	keep                  time.Duration
	manager               string
}

func main() { process.Main("bench", parse, bench, os.Interrupt, syscall.SIGTERM) }

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.charges, "charges", 50000, "Charges in the API server")
	f.IntVar(&o.due, "due", 20000, "how many of them are to be collected")
	f.IntVar(&o.workers, "workers", 16, "how many are created at a time")
	f.DurationVar(&o.keep, "keep", time.Minute, "the retention; no Charge is older than this program")
	f.StringVar(&o.manager, "manager", "", "test binary of controllers/manager to run as the manager; built if empty")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.due > o.charges {
		return o, errors.New("more Charges are due than there are")
	}
	return o, nil
}

func bench(ctx context.Context, o options, _ *os.File) (err error) {
	s := &stage.Stage{}
	defer func() { err = errors.Join(err, s.Clear()) }()
	if err := s.Begin("bench"); err != nil {
		return err
	}
	if err := s.StartControlPlane(ctx); err != nil {
		return err
	}
	fmt.Printf("%s, %d processors, %d Charges, %d of them due\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), o.charges, o.due)

	began := time.Now()
	if err := fill(ctx, s.Env, o); err != nil {
		return err
	}
	filled := time.Since(began)
	fmt.Printf("filled in %.0f s, %.0f objects a second\n", filled.Seconds(), float64(o.charges)/filled.Seconds())
	if o.manager == "" {
		if o.manager, err = buildManager(ctx, s.Env.Root, s.Dir); err != nil {
			return err
		}
	}
	for _, run := range []struct {
		name string
		keep time.Duration
		due  int
	}{
		{"without retention", 0, 0},
		{"collecting", o.keep, o.due},
		{"with nothing due", o.keep, 0},
	} {
		if err := measure(ctx, s, o, run.name, run.keep, run.due); err != nil {
			return fmt.Errorf("%s: %w", run.name, err)
		}
	}
	return nil
}
