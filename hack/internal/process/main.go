package process

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Exit codes of the programs that use this package.
const (
	ExitFailed      = 1
	ExitUsage       = 2
	ExitInterrupted = 130
)

// Main is that of a program which starts processes, unless this process is the guard of one: it parses the arguments
// and runs until it is done, or one of the signals came. It does not return but in the guard.
func Main[T any](name string, parse func(args []string, stderr io.Writer) (T, error), run func(ctx context.Context, o T, stdout *os.File) error, signals ...os.Signal) {
	guard, err := AsGuard()
	switch {
	case guard && err != nil:
		os.Exit(ExitFailed)
	case guard:
		return
	}
	// The libraries would log what is meant to happen.
	ctrl.SetLogger(logr.Discard())
	o, err := parse(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(ExitUsage)
	}
	os.Exit(until(name, func(ctx context.Context) error { return run(ctx, o, os.Stdout) }, signals))
}

// until runs it until a signal comes, and returns the exit code.
func until(name string, run func(context.Context) error, signals []os.Signal) int {
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	defer context.AfterFunc(ctx, func() { fmt.Print("\nInterrupted: stopping, which takes a few seconds.\n") })()
	err := run(ctx)
	if err == nil {
		return 0
	}
	interrupted := ctx.Err() != nil
	if !interrupted || !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	if interrupted {
		fmt.Fprintf(os.Stderr, "%s: interrupted\n", name)
		return ExitInterrupted
	}
	return ExitFailed
}
