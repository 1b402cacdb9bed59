package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/hack/internal/stage"
)

const (
	readyWithin   = 2 * time.Minute
	stopWithin    = time.Minute
	collectWithin = time.Hour
	// watched is how long a manager is looked at that has nothing to collect.
	watched = 30 * time.Second
)

// buildManager builds the manager as its own tests run it: no flag of the real one
// allows a retention that is as short as a measurement.
func buildManager(ctx context.Context, root, dir string) (string, error) {
	path := filepath.Join(dir, "manager")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", path, "./controllers/manager")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the manager: %w\n%s", err, out)
	}
	return path, nil
}

// measure runs a manager until it has collected what is due, and prints what that
// took.
func measure(ctx context.Context, s *stage.Stage, o options, name string, keep time.Duration, due int) (err error) {
	ports, err := testenv.FreePorts(ctx, 3)
	if err != nil {
		return err
	}
	m, err := startManager(ctx, s, o, ports, keep)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Stop(stopWithin)) }()
	if err := m.Ready(ctx, "http://"+ports[1]+"/readyz", readyWithin); err != nil {
		return err
	}
	first, err := process.Scrape(ctx, ports[0])
	if err != nil {
		return err
	}
	began, last := time.Now(), first
	done := func() bool {
		return (due > 0 && last.Sum("mobilemoney_charges_collected_total") >= float64(due)) || (due == 0 && time.Since(began) > watched)
	}
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.Done():
			return m.Ended()
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(began) > collectWithin {
			return errors.New("it takes too long")
		}
		if last, err = process.Scrape(ctx, ports[0]); err != nil {
			return err
		}
	}
	took := time.Since(began)
	fmt.Printf("\n%s: %.0f s", name, took.Seconds())
	if due > 0 {
		fmt.Printf(", %d collected, %.0f a second", due, float64(due)/took.Seconds())
	}
	cpu := last.Sum("process_cpu_seconds_total")
	fmt.Printf("\n  processor  %.1f s since the start, %.1f s of it meanwhile\n", cpu, cpu-first.Sum("process_cpu_seconds_total"))
	fmt.Printf("  memory     %s resident at the end, %s at most; heap in use %s\n",
		mega(last.Sum("process_resident_memory_bytes")), mega(m.Peak()), mega(last.Sum("go_memstats_heap_inuse_bytes")))
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if n := last.Sum("rest_client_requests_total", `method="`+method+`"`); n > 0 {
			fmt.Printf("  requests   %-6s %.0f\n", method, n)
		}
	}
	return nil
}

func mega(bytes float64) string { return fmt.Sprintf("%.0f MiB", bytes/(1<<20)) }

// startManager starts one with its metrics, probe and callbacks at ports.
func startManager(ctx context.Context, s *stage.Stage, o options, ports []string, keep time.Duration) (*process.Process, error) {
	kubeconfig, err := s.OperatorKubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	environment := append(os.Environ(), "TEST_RUN_AS_MANAGER=1")
	if keep > 0 {
		environment = append(environment, "TEST_CHARGE_RETENTION="+keep.String())
	}
	return process.Start(o.manager, []string{
		"--kubeconfig=" + kubeconfig, "--namespace=" + shop.OperatorNamespace, "--installation-id=" + installationID,
		"--leader-elect=false", "--charge-retention=0", "--metrics-insecure", "--metrics-bind-address=" + ports[0],
		"--health-probe-bind-address=" + ports[1], "--callback-bind-address=" + ports[2],
	}, environment, filepath.Join(s.Dir, "manager.log"))
}
