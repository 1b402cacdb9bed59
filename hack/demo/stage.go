package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	operatorNamespace = "mobile-money-system"
	operatorAccount   = "mobile-money-operator"
	shop              = "shop"

	loopback    = "127.0.0.1"
	tickEvery   = 10 * time.Second
	readyWithin = 60 * time.Second
	// Longer than a call and its record may take, see flags.
	stopWithin = 20 * time.Second
)

// stage is all that runs, and how to clear it away.
type stage struct {
	options
	out   *screen
	step  int
	steps int
	began time.Time

	env      *testenv.Env
	sim      *simulator.Simulator
	manager  *process
	dir      string // temporary: kubeconfigs and the manager's log
	callback string // host:port of the manager's callback receiver
	probe    string // host:port of its probes

	clearing []func() error
}

// set brings everything up.
func (s *stage) set(ctx context.Context) error {
	root, err := testenv.ModuleRoot()
	if err != nil {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}

	manager := filepath.Join(root, "bin", "manager")
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"building the manager into bin/manager", func(ctx context.Context) error { return build(ctx, root, manager) }},
		{"starting etcd and kube-apiserver, with the CRDs", s.startControlPlane},
		{"starting the simulator of MTN, Orange and Wave", s.startSimulator},
		{"installing the operator's RBAC, and a shop with three merchant accounts", s.install},
		{"starting the manager as its ServiceAccount", func(ctx context.Context) error { return s.startManager(ctx, manager) }},
	} {
		if err := s.doing(ctx, step.what, step.do); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes the temporary folder, which all that we start has its own in.
func (s *stage) makeDir() (err error) {
	if s.dir, err = os.MkdirTemp("", "mobile-money-demo-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	dismiss, err := startGuard(s.dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(s.dir))
	}
	s.later(dismiss)
	s.later(func() error { return os.RemoveAll(s.dir) })
	return os.Setenv("TMPDIR", s.dir)
}

// doing says what is being done, and every while that it still is.
func (s *stage) doing(ctx context.Context, what string, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.announce(what)
	began := time.Now()
	done := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(tickEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				s.out.printf("    ... still %s (%.0f s)\n", what, time.Since(began).Seconds())
			}
		}
	})
	err := do(ctx)
	close(done)
	ticking.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	s.out.printf("    done (%.1f s)\n", time.Since(began).Seconds())
	return nil
}

func (s *stage) announce(what string) {
	s.step++
	s.out.printf("%d/%d %s\n", s.step, s.steps, what)
}

// later adds to what clear does, in reverse order.
func (s *stage) later(f func() error) { s.clearing = append(s.clearing, f) }

// clear takes everything down again. It takes its time even after Ctrl-C: who stops
// half-way leaves processes behind.
func (s *stage) clear() error {
	var errs []error
	for i := len(s.clearing) - 1; i >= 0; i-- {
		errs = append(errs, s.clearing[i]())
	}
	s.clearing = nil
	return errors.Join(errs...)
}

// showLog shows the end of the manager's log, where there is one.
func (s *stage) showLog() {
	if s.manager != nil {
		s.out.printf("\nThe manager's last words:\n\n%s\n", s.manager.tail(30))
	}
}

func (s *stage) startControlPlane(ctx context.Context) (err error) {
	if s.env, err = testenv.Start(ctx); err != nil {
		return err
	}
	s.later(s.env.Stop)
	return nil
}

func (s *stage) startSimulator(ctx context.Context) error {
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	s.callback, s.probe = ports[0], ports[1]
	s.sim, err = simulator.New(simulator.Options{
		Speed: s.speed,
		Wave: simulator.WaveOptions{
			// So that no session of the three outlives the others by much.
			SessionLife: 10 * time.Minute,
			Callbacks: []simulator.WaveCallback{{
				URL:            "http://" + s.callback + "/callbacks/wave/account/" + shop + "/wave",
				SigningSecrets: []string{waveWebhookSecret},
			}},
		},
	})
	if err != nil {
		return err
	}
	s.later(s.sim.Close)
	if s.byHand {
		for _, p := range []simulator.Provider{simulator.MTN, simulator.Orange, simulator.Wave} {
			s.sim.SetDefault(p, simulator.Scenario{})
		}
	}
	_, err = s.sim.Start()
	return err
}

// freePorts are below those that systems hand out for outgoing connections, one of
// which could else take a port before the manager does.
func freePorts(ctx context.Context, n int) ([]string, error) {
	const first, last, tries = 20000, 30000, 100
	var ports []string
	for range tries {
		addr := net.JoinHostPort(loopback, strconv.Itoa(first+rand.IntN(last-first)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			continue
		}
		defer l.Close() // when all are chosen, so that none is chosen twice
		if ports = append(ports, l.Addr().String()); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.New("no free port")
}

func (s *stage) startManager(ctx context.Context, path string) error {
	cfg, err := s.env.ServiceAccountConfig(ctx, operatorNamespace, operatorAccount)
	if err != nil {
		return err
	}
	kubeconfig, err := s.writeKubeconfig("manager.kubeconfig", cfg)
	if err != nil {
		return err
	}
	// An environment of its own: variables such as WAVE_API_KEY would describe accounts.
	environment := []string{"HOME=" + s.dir}
	s.manager, err = start(path, s.flags(kubeconfig), environment, filepath.Join(s.dir, "manager.log"))
	if err != nil {
		return err
	}
	s.later(func() error { return s.manager.stop(stopWithin) })
	return s.manager.ready(ctx, "http://"+s.probe+"/readyz", readyWithin)
}

// flags of the manager. The windows are short so that nobody has to wait for them:
// nothing is late here.
func (s *stage) flags(kubeconfig string) []string {
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + operatorNamespace,
		"--leader-elect=true",
		"--public-url=http://" + s.callback,
		"--callback-bind-address=" + s.callback,
		"--health-probe-bind-address=" + s.probe,
		"--allowed-endpoints=" + strings.TrimPrefix(s.sim.URL(), "http://"),
		"--call-timeout=5s",
		"--record-timeout=5s",
		"--late-window=5s",
		"--clock-skew=1s",
		"--retry-min=500ms",
		"--retry-max=5s",
		"--callback-gap=500ms",
		"--closer-interval=1s",
		"--expiry-margin=2s",
		"--slow-interval=10s",
		"--zap-encoder=console",
		"--zap-time-encoding=rfc3339",
	}
}

func (s *stage) writeKubeconfig(name string, cfg *rest.Config) (string, error) {
	content, err := testenv.Kubeconfig(cfg)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, content, 0o600)
}

func onlyKind(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	var some []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind {
			some = append(some, o)
		}
	}
	return some
}
