// Command peers proves the wires against software of other people: clients of MTN and of OAuth 2.0 drive the simulator,
// a validator of OpenAPI stands between it and the adapters of Orange and Wave, and OpenSSL checks the signatures of
// simulator and Wave adapter. Nothing leaves the machine, but for npm and go to get what is not cached.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"mobilemoney.dev/operator/providers/simulator"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &peers{out: os.Stdout, dir: "hack/peers"}
	err := p.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	fmt.Printf("peers: %d checks passed\n", p.passed)
}

// peers runs the checks one after another; the first that fails ends it.
type peers struct {
	out    io.Writer
	dir    string
	passed int
}

// atMost is how long all checks may take, with a cold cache of modules too.
const atMost = 5 * time.Minute

func (p *peers) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	if err := p.needs(ctx); err != nil {
		return err
	}
	for _, check := range []func(context.Context) error{p.signatures, p.openAPI, p.oauth2, p.mtn} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *peers) ok(what string) {
	p.passed++
	fmt.Fprintln(p.out, "ok ", what)
}

// needs says what is missing on this machine.
func (p *peers) needs(ctx context.Context) error {
	for program, why := range map[string]string{
		"node": "Node.js 18 or newer runs MTN's client", "npm": "npm installs MTN's client",
		"openssl": "OpenSSL checks signatures",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is missing: %s", program, why)
		}
	}
	version, err := output(ctx, p.dir, "", "node", "-p", "process.versions.node")
	if err != nil {
		return err
	}
	var major int
	if _, err := fmt.Sscanf(version, "%d.", &major); err != nil || major < 18 {
		return fmt.Errorf("node is %s: 18 or newer is needed", strings.TrimSpace(version))
	}
	return nil
}

func (p *peers) mtn(ctx context.Context) error {
	dir := p.dir + "/mtn"
	// Nothing that a package brings along is run but its library.
	if _, err := output(ctx, dir, "", "npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	return simulating(simulator.Options{Speed: 50}, func(sim *simulator.Simulator) error {
		told, err := output(ctx, dir, "", "node", "peer.js", sim.MTNURL(),
			simulator.DefaultMTNSubscriptionKey, simulator.DefaultMTNDisbursementSubscriptionKey)
		for line := range strings.Lines(told) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
				p.ok("MTN, npm mtn-momo 2.0.0: " + name)
			}
		}
		return errors.Join(err, p.mtnBooks(sim.Ledger()))
	})
}

// mtnBooks: what the client was told is what the ledger says.
func (p *peers) mtnBooks(ledger []simulator.LedgerEntry) error {
	count := map[simulator.Event]int{}
	for _, e := range ledger {
		count[e.Event]++
	}
	if count[simulator.Paid] != 1 || count[simulator.Refused] != 2 {
		return fmt.Errorf("the ledger counts %v", count)
	}
	p.ok("MTN, npm mtn-momo 2.0.0: the ledger agrees")
	return nil
}

func simulating(options simulator.Options, f func(*simulator.Simulator) error) error {
	sim, err := simulator.New(options)
	if err != nil {
		return err
	}
	if _, err = sim.Start(); err == nil {
		err = f(sim)
	}
	return errors.Join(err, sim.Close())
}

func answers(client *http.Client, req *http.Request, status int) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != status {
		err = fmt.Errorf("%s was answered %s", req.URL, resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// output of a program, which is killed with all its children when ctx ends.
func output(ctx context.Context, dir, in, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(in)
	cmd.Env = append(os.Environ(), "NO_PROXY=127.0.0.1,localhost", "no_proxy=127.0.0.1,localhost")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("%w\n%s", err, failed.Stderr)
		}
		return string(out), fmt.Errorf("%s %s: %w", program, args[0], err)
	}
	return string(out), nil
}
