// Command bench measures how the manager collects old Charges out of many: it fills
// a real API server, starts the manager as a process of its own with the shipped
// rights, and says how long it took, what it asked of the API server, and what
// memory it used. It fails if anything is collected that should not be.
//
//	go run ./hack/bench -charges 50000 -due 20000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"mobilemoney.dev/operator/controllers/testenv"
)

type options struct {
	charges, due, declared, held int
	workers                      int
	keep                         time.Duration
	manager                      string
}

func main() {
	var o options
	flag.IntVar(&o.charges, "charges", 50000, "Charges in the API server")
	flag.IntVar(&o.due, "due", 20000, "how many of them are to be collected")
	flag.IntVar(&o.declared, "declared", 1000, "how many others are old, too, but have a Payment")
	flag.IntVar(&o.held, "held", 1000, "how many others are old, too, but without an outcome")
	flag.IntVar(&o.workers, "workers", 16, "how many are created at a time")
	flag.DurationVar(&o.keep, "keep", time.Minute, "the retention; no Charge is older than this program")
	flag.StringVar(&o.manager, "manager", "", "test binary of the module's root to run as the manager; built if empty")
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) (err error) {
	if o.due+o.declared+o.held > o.charges {
		return errors.New("more kinds of Charges than Charges")
	}
	env, err := testenv.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, env.Stop()) }()
	dir, err := os.MkdirTemp("", "mobile-money-bench-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("%s, %d processors, %d Charges: %d due, %d with a Payment, %d held, the others young\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), o.charges, o.due, o.declared, o.held)

	began := time.Now()
	if err := fill(ctx, env, o); err != nil {
		return err
	}
	filled := time.Since(began)
	fmt.Printf("filled in %.0f s, %.0f objects a second\n", filled.Seconds(), float64(o.charges+o.declared)/filled.Seconds())
	if o.manager == "" {
		if o.manager, err = buildManager(ctx, env.Root, dir); err != nil {
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
		if err := measure(ctx, env, o, dir, run.name, run.keep, run.due); err != nil {
			return fmt.Errorf("%s: %w", run.name, err)
		}
	}
	return check(ctx, env, o)
}
