package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	readyWithin   = 2 * time.Minute
	collectWithin = time.Hour
	// watched is how long a manager is looked at that has nothing to collect.
	watched = 30 * time.Second
)

// buildManager builds the manager as the tests of main run it: no flag of the real
// one allows a retention that is as short as a measurement.
func buildManager(ctx context.Context, root, dir string) (string, error) {
	path := filepath.Join(dir, "manager")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", path, ".")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the manager: %w\n%s", err, out)
	}
	return path, nil
}

// measure runs a manager until it has collected what is due, and prints what that
// took.
func measure(ctx context.Context, env *testenv.Env, o options, dir, name string, keep time.Duration, due int) (err error) {
	m, err := startManager(ctx, env, o, dir, keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.stop()) }()
	first, err := m.ready(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	last := first
	done := func() bool {
		return (due > 0 && last.sum("mobilemoney_charges_collected_total") >= float64(due)) || (due == 0 && time.Since(began) > watched)
	}
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.done:
			return errors.New("the manager ended by itself")
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(began) > collectWithin {
			return errors.New("it takes too long")
		}
		if last, err = m.scrape(ctx); err != nil {
			return err
		}
	}
	took := time.Since(began)
	fmt.Printf("\n%s: %.0f s", name, took.Seconds())
	if due > 0 {
		fmt.Printf(", %d collected, %.0f a second", due, float64(due)/took.Seconds())
	}
	fmt.Printf("\n  processor  %.1f s since the start, %.1f s of it meanwhile\n",
		last.sum("process_cpu_seconds_total"), last.sum("process_cpu_seconds_total")-first.sum("process_cpu_seconds_total"))
	fmt.Printf("  memory     %s resident at the end, %s at most; heap in use %s\n",
		mega(last.sum("process_resident_memory_bytes")), m.peak(), mega(last.sum("go_memstats_heap_inuse_bytes")))
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if n := last.sum("rest_client_requests_total", `method="`+method+`"`); n > 0 {
			fmt.Printf("  requests   %-6s %.0f\n", method, n)
		}
	}
	return nil
}

func mega(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// manager is one that runs.
type manager struct {
	cmd            *exec.Cmd
	done           chan struct{}
	metrics, probe string
}

func startManager(ctx context.Context, env *testenv.Env, o options, dir string, keep time.Duration) (*manager, error) {
	cfg, err := env.ServiceAccountConfig(ctx, operatorNamespace, "mobile-money-operator")
	if err != nil {
		return nil, err
	}
	content, err := testenv.Kubeconfig(cfg)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(kubeconfig, content, 0o600); err != nil {
		return nil, fmt.Errorf("writing the kubeconfig: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "manager.log"))
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	defer log.Close()
	free, err := testenv.FreePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	m := &manager{done: make(chan struct{}), metrics: free[0], probe: free[1]}
	//nolint:noctx // A context would kill it; stop asks it first.
	m.cmd = exec.Command(o.manager,
		"--namespace="+operatorNamespace, "--installation-id="+installationID, "--leader-elect=false", "--charge-retention=0",
		"--callback-bind-address="+free[2], "--health-probe-bind-address="+m.probe,
		"--metrics-bind-address="+m.metrics, "--metrics-insecure")
	m.cmd.Env = append(os.Environ(), "TEST_RUN_AS_MANAGER=1", "KUBECONFIG="+kubeconfig)
	if keep > 0 {
		m.cmd.Env = append(m.cmd.Env, "TEST_CHARGE_RETENTION="+keep.String())
	}
	m.cmd.Stdout, m.cmd.Stderr = log, log
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the manager: %w", err)
	}
	go func() { _ = m.cmd.Wait(); close(m.done) }()
	return m, nil
}

func (m *manager) stop() error {
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the manager: %w", err)
	}
	select {
	case <-m.done:
		return nil
	case <-time.After(time.Minute):
		err := m.cmd.Process.Kill()
		<-m.done
		return errors.Join(errors.New("the manager had to be killed"), err)
	}
}

// ready waits until the manager is, and returns its metrics.
func (m *manager) ready(ctx context.Context) (samples, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		if body, err := get(ctx, "http://"+m.probe+"/readyz"); err == nil {
			body.Close()
			return m.scrape(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("the manager was not ready in time")
		case <-m.done:
			return nil, errors.New("the manager ended by itself")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// peak is the most memory that was resident, as Linux tells.
func (m *manager) peak() string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(content)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kilobytes, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return mega(kilobytes * 1024)
		}
	}
	return "unknown"
}

// samples are metrics, by name with labels.
type samples map[string]float64

// sum adds the samples of a metric that have a label.
func (s samples) sum(name string, label ...string) float64 {
	total := 0.0
	for key, value := range s {
		metric, labels, _ := strings.Cut(key, "{")
		if metric == name && (len(label) == 0 || strings.Contains(labels, label[0])) {
			total += value
		}
	}
	return total
}

func (m *manager) scrape(ctx context.Context) (samples, error) {
	body, err := get(ctx, "http://"+m.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	out := samples{}
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the metrics: %w", err)
		}
		out[line[:i]] = value
	}
	return out, lines.Err()
}

func get(ctx context.Context, url string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return response.Body, nil
}
