// Command soak lets the operator live through a bad night, on this machine, in five minutes: two
// managers that are killed, frozen and started again, an API server that goes away, providers that
// lie about what they did, and shops that delete and apply again. In the end the providers' books
// say whether every payment was charged at most once, and whether each says what became of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

// Not SIGPIPE: who listens for it gets it for sockets as well, of which many break here.
// A reader who leaves early (| head) ends us, and the guard clears up.
func main() { process.Main("soak", parse, run, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP) }

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.payments, "payments", 2000, "Payments to open, at least")
	f.IntVar(&o.kills, "kills", 50, "managers to kill with SIGKILL, at least")
	f.IntVar(&o.splits, "splits", 5, "leaders to freeze until another one leads, at least")
	f.IntVar(&o.restarts, "restarts", 2, "restarts of the API server, at least")
	f.DurationVar(&o.duration, "duration", 5*time.Minute, "longest that all of it may take")
	f.Float64Var(&o.speed, "speed", 20, "how many times faster payers act and sessions end")
	f.Uint64Var(&o.seed, "seed", 0, "what is random follows from this; 0: another one each time")
	f.StringVar(&o.manager, "manager", filepath.Join("bin", "manager"), "the manager's program")
	f.StringVar(&o.out, "out", filepath.Join("bin", "soak"), "folder for report.json and the managers' logs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.slow = o.payments * 4 / 5
	if o.seed == 0 {
		o.seed = rand.Uint64() >> 1 // so that every reader of JSON can hold it
	}
	return o, nil
}

func run(ctx context.Context, o options, stdout *os.File) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	r, err := soak(ctx, o, func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) })
	if err != nil {
		return err
	}
	if err := r.write(o.out); err != nil {
		return err
	}
	fmt.Fprint(stdout, "\n", r.summary(o))
	if wrong := r.wrong(o); len(wrong) > 0 {
		return fmt.Errorf("%d things are wrong", len(wrong))
	}
	return nil
}
