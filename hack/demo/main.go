// Command demo shows the operator at work on this machine, without a cluster and without an account
// at a provider: a real API server, the manager as a process of its own with the rights that
// config/rbac gives it, and a simulator of the three providers whose ledger says who really paid.
//
// It applies config/samples, shows how each payment goes, and fails unless each ends as its sample says and the ledger
// agrees. With -run it sets up the same and leaves it to your kubectl until Ctrl-C. Either way nothing stays behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
)

func main() {
	// With SIGPIPE too: a reader who leaves early (| head) must not leave etcd behind.
	process.Main("demo", parse, play, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
}

type options struct {
	stay      bool
	speed     float64
	timeout   time.Duration
	byHand    bool   // payers do nothing by themselves, but for magic numbers
	readyFile string // says where everything is, once it is
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.stay, "run", false, "set everything up and leave it to your kubectl until Ctrl-C")
	f.Float64Var(&o.speed, "speed", 0, "how many times faster payers act and sessions end (default 25; with -run 1)")
	f.DurationVar(&o.timeout, "timeout", 90*time.Second, "longest that the payments may take to end")
	payer := f.String("payer", "auto", "with -run: auto, or manual for payers who wait for a person on the simulator's page")
	f.StringVar(&o.readyFile, "ready-file", "", "with -run: write here, as JSON, where everything is, once all of it runs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.byHand = *payer == "manual"
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case *payer != "auto" && *payer != "manual":
		return o, fmt.Errorf("-payer is auto or manual, not %q", *payer)
	case !o.stay && (o.byHand || o.readyFile != ""):
		return o, errors.New("-payer manual and -ready-file need -run")
	}
	if o.speed <= 0 {
		o.speed = 25
		if o.stay {
			o.speed = 1
		}
	}
	return o, nil
}

// play sets the stage, plays, and clears it away whatever happens, a panic included.
func play(ctx context.Context, o options, stdout *os.File) (err error) {
	out := newScreen(stdout)
	s := &stage{options: o, out: out, steps: 7, began: time.Now(),
		shop: shop.Shop{Namespace: "shop", Clerk: clerk, Refunder: refunder, PollEvery: pollEvery}}
	if o.stay {
		s.steps -= 2
	}
	defer func() {
		if ctx.Err() == nil {
			if err != nil {
				s.showLog()
			}
			out.printf("\nStopping what was started.\n")
		}
		err = errors.Join(err, s.Clear())
	}()
	if err := s.set(ctx); err != nil {
		return err
	}
	if o.stay {
		return s.wait(ctx)
	}
	return s.perform(ctx)
}
