package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stage is the demo that runs, and where everything of it is.
type stage struct {
	ctx  context.Context
	demo *exec.Cmd
	out  string
	done chan error

	Kubeconfig   string `json:"kubeconfig"`
	Kubectl      string `json:"kubectl"`
	Namespace    string `json:"namespace"`
	SimulatorURL string `json:"simulatorURL"`
	Log          string `json:"log"`
}

// Longer than the demo gives the manager.
const stopWithin = 40 * time.Second

func start(ctx context.Context, demo, dir string) (*stage, error) {
	ready, out := filepath.Join(dir, "ready.json"), filepath.Join(dir, "demo.log")
	f, err := os.Create(out)
	if err != nil {
		return nil, fmt.Errorf("making the demo's log: %w", err)
	}
	defer f.Close()
	s := &stage{ctx: ctx, out: out, done: make(chan error, 1)}
	//nolint:noctx // A context would kill it; the demo ends what it has started.
	s.demo = exec.Command(demo, "-run", "-payer", "manual", "-ready-file", ready)
	s.demo.Stdout, s.demo.Stderr = f, f
	s.demo.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := s.demo.Start(); err != nil {
		return nil, fmt.Errorf("starting the demo: %w", err)
	}
	go func() { s.done <- s.demo.Wait() }()
	err = until(ctx, "the demo to be ready", func() (bool, error) {
		select {
		case err := <-s.done:
			s.done <- err
			return false, fmt.Errorf("the demo ended by itself: %w", err)
		default:
		}
		content, err := os.ReadFile(ready)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		return err == nil, errors.Join(err, json.Unmarshal(content, s))
	})
	if err != nil {
		s.showLog()
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop asks the demo to end, and after a while makes it; its own guard then ends the rest.
func (s *stage) stop() error {
	if err := s.demo.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the demo: %w", err)
	}
	select {
	case err := <-s.done:
		return err
	case <-time.After(stopWithin):
		return errors.Join(fmt.Errorf("the demo did not stop within %v and was killed", stopWithin), s.demo.Process.Kill())
	}
}

func (s *stage) showLog() {
	for _, path := range []string{s.out, s.Log} {
		if content, err := os.ReadFile(path); err == nil {
			lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
			fmt.Fprintf(os.Stderr, "\nThe end of %s:\n\n%s\n", filepath.Base(path), bytes.Join(lines[max(0, len(lines)-25):], []byte("\n")))
		}
	}
}

// kubectl runs it in the shop, as a person would.
func (s *stage) kubectl(input string, args ...string) (string, error) {
	cmd := exec.CommandContext(s.ctx, s.Kubectl, append([]string{"--kubeconfig", s.Kubeconfig, "-n", s.Namespace}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, complaint.String())
	}
	return strings.TrimSpace(string(out)), nil
}

type payment struct {
	provider, name string
	amount         int
	phase, reason  string
}

func (s *stage) apply(p payment) error {
	phone := ""
	if p.provider == "mtn" {
		phone = "\n  phone: \"+2250501020304\""
	}
	_, err := s.kubectl(fmt.Sprintf(`apiVersion: mobilemoney.dev/v1alpha1
kind: Payment
metadata: {name: %s}
spec:
  provider: %s
  amount: %d%s
`, p.name, p.provider, p.amount, phone), "apply", "-f", "-")
	return err
}

// page waits for the URL that the payment's status publishes.
func (s *stage) page(p payment) (url string, err error) {
	err = until(s.ctx, "the payment page of "+p.name, func() (bool, error) {
		url, err = s.kubectl("", "get", "pay", p.name, "-o", "jsonpath={.status.nextAction.url}")
		return url != "", err
	})
	return url, err
}

func (s *stage) ends(p payment) error {
	if _, err := s.kubectl("", "wait", "pay/"+p.name, "--for=condition=Finished", "--timeout=60s"); err != nil {
		return err
	}
	got, err := s.kubectl("", "get", "pay", p.name, "-o",
		`jsonpath={.status.phase} {.status.conditions[?(@.type=="Succeeded")].reason}`)
	if err != nil {
		return err
	}
	if want := p.phase + " " + p.reason; got != want {
		return fmt.Errorf("%s ended as %q, want %q", p.name, got, want)
	}
	return nil
}

func (s *stage) charges() (int, error) {
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, s.SimulatorURL+"/admin/ledger", nil)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return 0, fmt.Errorf("reading the ledger: %w", err)
	}
	defer resp.Body.Close()
	ledger, err := io.ReadAll(resp.Body)
	return bytes.Count(ledger, []byte(`"event":"paid"`)), err
}
