// Command browser plays the payer with a real browser against a real API server, the
// manager and the simulator: it applies Payments, sees them appear on the payer's
// page, presses the buttons, and fails unless each Payment ends as its payer chose.
//
// It also fails if a page wrote an error to the console, broke its own policy, asked another host for anything, or is
// hard to read or to hit on a phone. Screenshots of each stage stay in a folder, and nothing else stays behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.demo, "demo", "bin/demo", "the program that starts API server, simulator and manager")
	flag.StringVar(&o.chromium, "chromium", "chromium", "the browser")
	flag.StringVar(&o.shots, "screenshots", "bin/browser", "folder for the screenshots")
	flag.DurationVar(&o.patience, "timeout", 3*time.Minute, "longest that all of it may take")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithTimeoutCause(ctx, o.patience, fmt.Errorf("it took longer than %v", o.patience))
	began := time.Now()
	err := run(ctx, o)
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		fmt.Fprintf(os.Stderr, "FAILED after %.0f s; screenshots are in %s\n", time.Since(began).Seconds(), o.shots)
		os.Exit(1)
	}
	fmt.Printf("PASSED in %.0f s; screenshots are in %s\n", time.Since(began).Seconds(), o.shots)
}

type options struct {
	demo, chromium, shots string
	patience              time.Duration
}

// run starts everything, plays, and ends everything whatever happens.
func run(ctx context.Context, o options) (err error) {
	dir, err := os.MkdirTemp("", "mobile-money-browser-")
	if err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := clearShots(o.shots); err != nil {
		return err
	}

	say("starting API server, simulator and manager")
	s, err := start(ctx, o.demo, dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			s.showLog()
		}
		err = errors.Join(err, s.stop())
	}()

	say("starting the browser")
	b, err := open(ctx, o, dir)
	if err != nil {
		return err
	}
	defer b.close()
	if err := play(s, b); err != nil {
		return errors.Join(err, b.shot("failed"))
	}
	return b.verdict()
}

func say(format string, args ...any) { fmt.Printf("-- "+format+"\n", args...) }

func until(ctx context.Context, what string, ask func() (bool, error)) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		done, err := ask()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
		}
	}
}
