package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
	base "mobilemoney.dev/operator/hack/internal/stage"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	installationID = "bench"
	readyWithin    = 2 * time.Minute
	stopWithin     = 30 * time.Second
	// workers of the manager and of the floor alike.
	workers = 10
)

// stage is a control plane with shops, a simulator, and who works for them.
type stage struct {
	base.Stage
	trial  *trial
	shops  []shop.Shop
	market *market
	// public is where callbacks come: host:port, of the manager or of the floor.
	public     string
	kubeconfig string
	managers   int // that were started so far
}

// with runs do on a stage of its own with n shops, whose open payments are polled every so often.
func (t *trial) with(ctx context.Context, n int, pollEvery time.Duration, do func(context.Context, *stage) error, options ...testenv.Option) (err error) {
	s := &stage{trial: t}
	defer func() { err = errors.Join(err, s.Clear()) }()
	for i := range n {
		s.shops = append(s.shops, shop.Shop{
			Namespace: "shop-" + strconv.Itoa(i), Clerk: "clerk", Refunder: "refunder", PollEvery: pollEvery,
			Prompts: v1alpha1.Prompts{PerPhone: 1_000_000, PerNamespace: 1_000_000},
		})
	}
	if err := s.set(ctx, options); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	s.market = newMarket(s)
	watched := make(chan error, 1)
	go func() { watched <- s.market.watch(working) }()
	err = do(working, s)
	stop()
	return errors.Join(err, <-watched)
}

func (s *stage) set(ctx context.Context, options []testenv.Option) (err error) {
	if err := s.Begin("bench"); err != nil {
		return err
	}
	if s.Env, err = testenv.Start(ctx, options...); err != nil {
		return err
	}
	s.Later(s.Env.Stop)
	ports, err := testenv.FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	s.public = ports[0]
	var callbacks []simulator.WaveCallback
	for _, one := range s.shops {
		callbacks = append(callbacks, simulator.WaveCallback{URL: "http://" + s.public + one.WavePath(), SigningSecrets: []string{shop.WaveWebhookSecret}})
	}
	if err := s.StartSimulator(simulator.Options{Wave: simulator.WaveOptions{Callbacks: callbacks}}); err != nil {
		return err
	}
	if err := s.Install(ctx, s.shops...); err != nil {
		return err
	}
	s.kubeconfig, err = s.OperatorKubeconfig(ctx)
	return err
}

// paid lets MTN's payers pay after a while; never: negative.
func (s *stage) paid(after time.Duration) {
	story := simulator.Scenario{Name: "bench", Payer: simulator.Pays, After: after}
	if after < 0 {
		story = simulator.Scenario{Name: "bench", Payer: simulator.Ignores}
	}
	for _, p := range []simulator.Provider{simulator.MTN, simulator.Orange, simulator.Wave} {
		s.Sim.SetDefault(p, story)
	}
}

// manager is one that runs.
type manager struct {
	*process.Process
	probe string
}

// startManager starts one; callbacks are where it receives, empty: the stage's public address.
func (s *stage) startManager(ctx context.Context, callbacks string, more ...string) (*manager, error) {
	ports, err := testenv.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	if callbacks == "" {
		callbacks = s.public
	}
	flags := s.ManagerFlags(s.kubeconfig, installationID, s.public, callbacks, ports[0],
		append([]string{"--workers=" + strconv.Itoa(workers), "--callback-source-rate=100000", "--callback-source-burst=100000",
			"--callback-max-connections-per-source=1000"}, more...)...)
	s.managers++
	log := filepath.Join(s.trial.out, fmt.Sprintf("manager-%s-%d.log", s.trial.scenario, s.managers))
	if err := os.RemoveAll(log); err != nil {
		return nil, err
	}
	// An environment of its own: variables such as WAVE_API_KEY would describe accounts.
	p, err := process.Start(s.trial.manager, flags, []string{"HOME=" + s.Dir}, log)
	if err != nil {
		return nil, err
	}
	s.Later(func() error { return p.Stop(stopWithin) })
	return &manager{Process: p, probe: ports[0]}, nil
}

// ready waits until it is.
func (m *manager) ready(ctx context.Context) error {
	return m.Ready(ctx, "http://"+m.probe+"/readyz", readyWithin)
}

// managed runs do while one manager works.
func (s *stage) managed(ctx context.Context, do func(context.Context, *manager) error) error {
	m, err := s.startManager(ctx, "")
	if err != nil {
		return err
	}
	if err := m.ready(ctx); err != nil {
		return err
	}
	if err := while(ctx, m.Process, func(ctx context.Context) error {
		if err := s.warm(ctx, ended); err != nil {
			return err
		}
		return do(ctx, m)
	}); err != nil {
		return err
	}
	return m.Stop(stopWithin)
}

// while a process runs, something is done; it ends with the process.
func while(ctx context.Context, p *process.Process, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-ctx.Done():
		case <-p.Done():
			cancel(fmt.Errorf("%w: %s", p.Ended(), p.Tail(3)))
		}
	}()
	if err := do(ctx); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// warm pays once in each shop, so that accounts are judged, tokens fetched and connections there.
func (s *stage) warm(ctx context.Context, far func(*sale) bool) error {
	s.paid(0)
	sales := s.market.plan("warm"+strconv.Itoa(s.managers), len(s.shops))
	if err := s.market.sell(ctx, sales, 0); err != nil {
		return err
	}
	return s.market.wait(ctx, sales, far, readyWithin)
}

// floored runs do while the floor works in place of a manager, and removes what it left.
func (s *stage) floored(ctx context.Context, do func(context.Context, *process.Process) error) error {
	p, err := s.startFloor()
	if err != nil {
		return err
	}
	if err := p.Ready(ctx, "http://"+s.public+"/readyz", readyWithin); err != nil {
		return err
	}
	if err := while(ctx, p, func(ctx context.Context) error {
		if err := s.warm(ctx, ended); err != nil {
			return err
		}
		return do(ctx, p)
	}); err != nil {
		return err
	}
	if err := p.Stop(stopWithin); err != nil {
		return err
	}
	return s.empty(ctx)
}

// empty removes all payments and their records, so that each round begins with none.
func (s *stage) empty(ctx context.Context) error {
	for _, one := range s.shops {
		if err := s.Env.Client().DeleteAllOf(ctx, &v1alpha1.Payment{}, client.InNamespace(one.Namespace)); err != nil {
			return err
		}
	}
	return s.Env.Client().DeleteAllOf(ctx, &v1alpha1.Charge{}, &client.DeleteAllOfOptions{})
}

// startFloor starts the floor as a process of its own, so that its processor time can be told apart.
func (s *stage) startFloor() (*process.Process, error) {
	credentials := map[string]simulator.Keys{}
	for _, one := range s.shops {
		credentials[one.Namespace] = one.Keys()[simulator.MTN]
	}
	p, err := s.startClient("floor", floorOptions{
		Kubeconfig: s.kubeconfig, Listen: s.public, MTN: s.Sim.MTNURL(), Credentials: credentials, Workers: workers,
	})
	if err == nil {
		s.Later(func() error { return p.Stop(stopWithin) })
	}
	return p, err
}

// pids of what the bench accounts for, by name.
func (s *stage) pids(p *process.Process) map[string]int {
	out := map[string]int{"client": p.PID()}
	for part, program := range map[string]string{"etcd": "etcd", "api_server": "kube-apiserver"} {
		for _, pid := range process.StartedFor(s.Dir, program) {
			out[part] = pid
		}
	}
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func named(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// term ends a process as a rolling update does.
func term(m *manager) error { return m.Signal(syscall.SIGTERM) }
