// Command simulator plays Orange Money WebPay, MTN MoMo and Wave Checkout, and their payers, on one address.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/template"
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

// program is what the flags ask for.
type program struct {
	simulator.Options
	payer   string
	autoPay time.Duration
}

// Conducts of the payers that the flag -payer knows.
const (
	payerAuto   = "auto"
	payerManual = "manual"
)

func run(ctx context.Context, args []string, out io.Writer) error {
	p, err := parse(args)
	if err != nil {
		return err
	}
	sim, err := simulator.New(p.Options)
	if err != nil {
		return err
	}
	for provider, scenario := range p.defaults() {
		sim.SetDefault(provider, scenario)
	}
	if _, err = sim.Start(); err == nil {
		err = p.announce(out, sim)
	}
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, sim.Close())
}

func parse(args []string) (program, error) {
	var p program
	var callbacks, secrets string
	f := p.flags(&callbacks, &secrets)
	if err := f.Parse(args); err != nil {
		return p, err
	}
	switch {
	case f.NArg() > 0:
		return p, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case p.payer != payerAuto && p.payer != payerManual:
		return p, fmt.Errorf("-payer is %s or %s, not %q", payerAuto, payerManual, p.payer)
	case p.payer == payerManual && p.autoPay > 0:
		return p, errors.New("-auto-pay needs -payer auto")
	}
	for _, url := range split(callbacks) {
		p.Wave.Callbacks = append(p.Wave.Callbacks, simulator.WaveCallback{URL: url, SigningSecrets: split(secrets)})
	}
	return p, nil
}

func (p *program) flags(callbacks, secrets *string) *flag.FlagSet {
	f := flag.NewFlagSet("simulator", flag.ContinueOnError)
	f.StringVar(&p.Listen, "listen", "127.0.0.1:8480", "address to listen on; who reaches it plays payer and provider")
	f.StringVar(&p.PublicURL, "public-url", "", "base URL that payers and clients reach it by, if not the listen address")
	f.Float64Var(&p.Speed, "speed", 1, "how many times faster simulated durations pass")
	f.StringVar(&p.payer, "payer", payerAuto, "auto: an MTN payer approves after 5 s; manual: nobody pays but you; magic numbers act by themselves either way")
	f.DurationVar(&p.autoPay, "auto-pay", 0, "payers of Orange and Wave pay after this long; 0: they wait for a person")
	f.BoolVar(&p.NoMagic, "no-magic", false, "treat magic phones and amounts as any others")
	f.BoolVar(&p.PayerOpens, "payer-opens", false, "scenarios of Orange and Wave begin when the payment page is opened")
	f.StringVar(callbacks, "wave-callback", "", "URLs that Wave's events go to, comma separated")
	f.StringVar(secrets, "wave-secret", "wave_ci_WHS_simulator", "secrets that sign Wave's events, comma separated")
	p.providerFlags(f)
	return f
}

func (p *program) providerFlags(f *flag.FlagSet) {
	f.StringVar(&p.MTN.TargetEnvironment, "mtn-environment", "sandbox", "X-Target-Environment of MTN")
	f.StringVar(&p.MTN.CallbackHost, "mtn-callback-host", "", "registered callback host of MTN; empty allows all")
	f.BoolVar(&p.MTN.RefuseAtPost, "mtn-refuse-at-post", false, "MTN refuses its published payers 455 to 464 at once, and refunds of 7 to 13")
	f.BoolVar(&p.MTN.UncappedRefunds, "mtn-uncapped-refunds", false, "MTN gives back more than was paid")
	f.BoolVar(&p.Orange.StrictAccept, "orange-strict-accept", false, "Orange answers 406 to token requests that do not accept application/json by name")
	f.BoolVar(&p.Orange.ExpiresInString, "orange-expires-in-string", false, "Orange sends expires_in of a token as a string")
	f.DurationVar(&p.Orange.TokenLife, "orange-token-life", time.Hour, "life of Orange's access tokens")
	f.StringVar(&p.Wave.APIKey, "wave-key", simulator.DefaultWaveKey, "API key for Wave")
	f.StringVar(&p.Wave.Currency, "wave-currency", "XOF", "currency of Wave's wallet")
	f.DurationVar(&p.Wave.SessionLife, "wave-session-life", 30*time.Minute, "how long a session of Wave can be paid")
	f.BoolVar(&p.Wave.AllowHTTPReturnURLs, "wave-http", false, "allow return URLs at Wave that are not https")
	f.StringVar(&p.Wave.SigningSecret, "wave-signing-secret", "", "requests to Wave must be signed with it; empty: they need not")
	f.StringVar(&p.Wave.AggregatedMerchantID, "wave-aggregated-merchant", "", "aggregated_merchant_id that sessions must have; empty: none may")
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// defaults are how payers act without a magic number, where the simulator's own defaults are not wanted.
func (p program) defaults() map[simulator.Provider]simulator.Scenario {
	switch {
	case p.payer == payerManual:
		return map[simulator.Provider]simulator.Scenario{simulator.MTN: {}, simulator.Orange: {}, simulator.Wave: {}}
	case p.autoPay > 0:
		pays := simulator.Scenario{Payer: simulator.Pays, After: p.autoPay}
		return map[simulator.Provider]simulator.Scenario{simulator.Orange: pays, simulator.Wave: pays}
	default:
		return nil
	}
}

const guide = `Simulator of MTN MoMo, Orange Money and Wave. No real money moves.

Play the payer   {{.Sim.URL}}/
{{if eq .Payer "manual"}}                 nobody pays but you, unless an amount or a phone is magic
{{else}}                 without you an MTN payer approves after 5 s{{with .AutoPay}}, the others after {{.}}{{end}}; -payer manual waits for you
{{end}}
MTN              {{.Sim.MTNURL}}
                 subscription key ` + simulator.DefaultMTNSubscriptionKey + `
                 API user         ` + simulator.DefaultMTNUser + `
                 API key          ` + simulator.DefaultMTNKey + `
                 environment      {{.MTNEnvironment}}
   for refunds   subscription key ` + simulator.DefaultMTNDisbursementSubscriptionKey + `
                 API user         ` + simulator.DefaultMTNDisbursementUser + `
                 API key          ` + simulator.DefaultMTNDisbursementKey + `
Orange           {{.Sim.OrangeURL "dev"}} (or ci, sn, … for dev)
                 tokens at        {{.Sim.OrangeTokenURL}}
                 client id        ` + simulator.DefaultOrangeClientID + `
                 client secret    ` + simulator.DefaultOrangeClientSecret + `
                 merchant key     ` + simulator.DefaultOrangeMerchantKey + `
Wave             {{.Sim.WaveURL}}
                 API key          {{.WaveKey}}

Magic amounts    {{.Sim.URL}}/admin/magic
Who paid what    {{.Sim.URL}}/admin/ledger
{{if .Exposed}}
WARNING: it listens on more than loopback. Whoever reaches it plays payer and provider.
{{end}}
Ctrl-C stops it.
`

// announce tells a person how to use it. The credentials open nothing but this simulator.
func (p program) announce(out io.Writer, sim *simulator.Simulator) error {
	t, err := template.New("guide").Parse(guide)
	if err != nil {
		return fmt.Errorf("the guide: %w", err)
	}
	return t.Execute(out, map[string]any{
		"Sim": sim, "Payer": p.payer, "AutoPay": p.autoPay, "Exposed": exposed(p.Listen),
		"MTNEnvironment": p.MTN.TargetEnvironment, "WaveKey": p.Wave.APIKey,
	})
}

func exposed(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true
	}
	ip := net.ParseIP(host)
	return host != "localhost" && (ip == nil || !ip.IsLoopback())
}
