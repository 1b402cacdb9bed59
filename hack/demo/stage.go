package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
	base "mobilemoney.dev/operator/hack/internal/stage"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	pollEvery = 2 * time.Second
	// clerk is a user who may create Payments in the shop and nothing else, and refunder one who may create Refunds.
	clerk    = "clerk"
	refunder = "refunder"

	patience    = 10 * time.Second
	readyWithin = 60 * time.Second
	// Longer than a call and its record may take, see flags.
	stopWithin = 20 * time.Second
)

// stage is all that runs, and what is said about it.
type stage struct {
	options
	out   *screen
	step  int
	steps int
	began time.Time

	base.Stage
	shop     shop.Shop
	manager  *process.Process
	callback string // host:port of the manager's callback receiver
	probe    string // host:port of its probes
}

func (s *stage) set(ctx context.Context) error {
	root, err := testenv.ModuleRoot()
	if err != nil {
		return err
	}
	if err := s.Begin("demo"); err != nil {
		return err
	}

	manager := filepath.Join(root, "bin", "manager")
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"building the manager into bin/manager", func(ctx context.Context) error { return process.BuildManager(ctx, root, manager) }},
		{"starting etcd and kube-apiserver, with the CRDs", s.StartControlPlane},
		{"starting the simulator of MTN, Orange and Wave", s.startSimulator},
		{"installing the operator's RBAC, and a shop with three merchant accounts", func(ctx context.Context) error { return s.Install(ctx, s.shop) }},
		{"starting the manager as its ServiceAccount", func(ctx context.Context) error { return s.startManager(ctx, manager) }},
	} {
		if err := s.doing(ctx, step.what, step.do); err != nil {
			return err
		}
	}
	return nil
}

// doing says what is being done, and once more where it takes long.
func (s *stage) doing(ctx context.Context, what string, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.announce(what)
	began := time.Now()
	still := time.AfterFunc(patience, func() { s.out.printf("    ... still %s\n", what) })
	err := do(ctx)
	still.Stop()
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

func (s *stage) showLog() {
	if s.manager != nil {
		s.out.printf("\nThe manager's last words:\n\n%s\n", s.manager.Tail(30))
	}
}

func (s *stage) startSimulator(ctx context.Context) error {
	ports, err := testenv.FreePorts(ctx, 2)
	if err != nil {
		return err
	}
	s.callback, s.probe = ports[0], ports[1]
	err = s.StartSimulator(simulator.Options{
		Speed: s.speed,
		Wave: simulator.WaveOptions{
			// So that no session of the three outlives the others by much.
			SessionLife: 10 * time.Minute,
			Callbacks: []simulator.WaveCallback{{
				URL:            "http://" + s.callback + s.shop.WavePath(),
				SigningSecrets: []string{shop.WaveWebhookSecret},
			}},
		},
	})
	if err == nil && s.byHand {
		for _, p := range []simulator.Provider{simulator.MTN, simulator.Orange, simulator.Wave} {
			s.Sim.SetDefault(p, simulator.Scenario{})
		}
	}
	return err
}

func (s *stage) startManager(ctx context.Context, path string) error {
	kubeconfig, err := s.OperatorKubeconfig(ctx)
	if err != nil {
		return err
	}
	// An environment of its own: variables such as WAVE_API_KEY would describe accounts.
	environment := []string{"HOME=" + s.Dir}
	s.manager, err = process.Start(path, s.flags(kubeconfig), environment, filepath.Join(s.Dir, "manager.log"))
	if err != nil {
		return err
	}
	s.Later(func() error { return s.manager.Stop(stopWithin) })
	return s.manager.Ready(ctx, "http://"+s.probe+"/readyz", readyWithin)
}

// flags of the manager. The windows are short so that nobody has to wait for them: nothing is late here.
func (s *stage) flags(kubeconfig string) []string {
	return s.ManagerFlags(kubeconfig, "demo", s.callback, s.callback, s.probe,
		"--call-timeout=5s",
		"--record-timeout=5s",
		"--late-window=5s",
		"--clock-skew=1s",
		"--retry-min=500ms",
		"--retry-max=5s",
		"--callback-gap=500ms",
		"--zap-encoder=console",
		"--zap-time-encoding=rfc3339",
	)
}
