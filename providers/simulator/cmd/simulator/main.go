// Command simulator plays Orange Money WebPay, MTN MoMo and Wave Checkout,
// and their payers, on one address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mobilemoney.dev/operator/providers/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	opts, autoPay, err := options(args)
	if err != nil {
		return err
	}
	sim, err := simulator.New(opts)
	if err != nil {
		return err
	}
	if autoPay > 0 {
		for _, p := range []simulator.Provider{simulator.Orange, simulator.Wave} {
			sim.SetDefault(p, simulator.Scenario{Payer: simulator.Pays, After: autoPay})
		}
	}
	if _, err = sim.Start(); err == nil {
		announce(out, sim)
		<-ctx.Done()
	}
	return errors.Join(err, sim.Close())
}

func options(args []string) (simulator.Options, time.Duration, error) {
	var o simulator.Options
	var callbacks, secrets string
	var autoPay time.Duration
	f := flag.NewFlagSet("simulator", flag.ContinueOnError)
	f.StringVar(&o.Listen, "listen", "127.0.0.1:8480", "address to listen on; /admin is open to who can reach it")
	f.StringVar(&o.PublicURL, "public-url", "", "base URL of the payment pages, if not the listen address")
	f.Float64Var(&o.Speed, "speed", 1, "how many times faster simulated durations pass")
	f.StringVar(&o.LedgerFile, "ledger", "", "append the ledger to this file, as JSON lines synced to disk")
	f.BoolVar(&o.NoMagic, "no-magic", false, "treat magic phones and amounts as any others")
	f.BoolVar(&o.PayerOpens, "payer-opens", false, "scenarios of Orange and Wave begin when the payment page is opened")
	f.DurationVar(&autoPay, "auto-pay", 0, "payers of Orange and Wave pay after this long; 0: they wait for a person")
	f.StringVar(&callbacks, "wave-callback", "", "URLs that Wave's events go to, comma separated")
	f.StringVar(&secrets, "wave-secret", "wave_ci_WHS_simulator", "secrets that sign Wave's events, comma separated")
	f.BoolVar(&o.Wave.AllowHTTPReturnURLs, "wave-http", false, "allow return URLs at Wave that are not https")
	f.StringVar(&o.Wave.APIKey, "wave-key", "", "API key for Wave")
	f.StringVar(&o.MTN.TargetEnvironment, "mtn-environment", "sandbox", "X-Target-Environment of MTN")
	f.StringVar(&o.MTN.CallbackHost, "mtn-callback-host", "", "registered callback host of MTN; empty allows all")
	if err := f.Parse(args); err != nil {
		return o, 0, err
	}
	for _, url := range split(callbacks) {
		o.Wave.Callbacks = append(o.Wave.Callbacks, simulator.WaveCallback{URL: url, SigningSecrets: split(secrets)})
	}
	return o, autoPay, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func announce(out io.Writer, sim *simulator.Simulator) {
	fmt.Fprintf(out, "MTN           %s\n", sim.MTNURL())
	fmt.Fprintf(out, "Orange        %s (or ci, sn, … for dev)\n", sim.OrangeURL("dev"))
	fmt.Fprintf(out, "Orange token  %s\n", sim.OrangeTokenURL())
	fmt.Fprintf(out, "Wave          %s\n", sim.WaveURL())
	fmt.Fprintf(out, "admin         %s/admin/{ledger,journal,sessions,callbacks,magic}\n", sim.URL())
}
