// Package stage starts what demo and soak play on, a control plane of their own, and clears it away.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

// Stage is all that runs, and how to clear it away.
type Stage struct {
	// Dir is temporary: all that is started has its own files in it.
	Dir string
	Env *testenv.Env
	Sim *simulator.Simulator

	clearing []func() error
}

// Begin makes the temporary folder, and starts the guard that clears up if we cannot.
func (s *Stage) Begin(name string) (err error) {
	if s.Dir, err = os.MkdirTemp("", "mobile-money-"+name+"-"); err != nil {
		return fmt.Errorf("making a temporary folder: %w", err)
	}
	dismiss, err := process.StartGuard(s.Dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(s.Dir))
	}
	s.Later(dismiss)
	s.Later(func() error { return os.RemoveAll(s.Dir) })
	before, had := os.LookupEnv("TMPDIR")
	s.Later(func() error {
		if had {
			return os.Setenv("TMPDIR", before)
		}
		return os.Unsetenv("TMPDIR")
	})
	return os.Setenv("TMPDIR", s.Dir)
}

// Later adds to what Clear does, in reverse order.
func (s *Stage) Later(f func() error) { s.clearing = append(s.clearing, f) }

// Clear takes everything down again. It takes its time even after Ctrl-C: who stops half-way leaves processes behind.
func (s *Stage) Clear() error {
	var errs []error
	for i := len(s.clearing) - 1; i >= 0; i-- {
		errs = append(errs, s.clearing[i]())
	}
	s.clearing = nil
	return errors.Join(errs...)
}

// StartControlPlane starts etcd and kube-apiserver, with the CRDs.
func (s *Stage) StartControlPlane(ctx context.Context) (err error) {
	if s.Env, err = testenv.Start(ctx); err != nil {
		return err
	}
	s.Later(s.Env.Stop)
	return nil
}

// StartSimulator starts one.
func (s *Stage) StartSimulator(o simulator.Options) (err error) {
	if s.Sim, err = simulator.New(o); err != nil {
		return err
	}
	s.Later(s.Sim.Close)
	_, err = s.Sim.Start()
	return err
}

// Install the operator and the shops, which sell through the simulator.
func (s *Stage) Install(ctx context.Context, shops ...shop.Shop) error {
	if err := shop.InstallOperator(ctx, s.Env); err != nil {
		return err
	}
	for _, one := range shops {
		if err := one.Open(ctx, s.Env.Client(), s.Sim); err != nil {
			return err
		}
	}
	return nil
}

// ManagerFlags of a manager that is reached at public, and listens on the other two (host:port).
func (s *Stage) ManagerFlags(kubeconfig, installation, public, callbacks, probes string, more ...string) []string {
	return append([]string{
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + shop.OperatorNamespace,
		"--installation-id=" + installation,
		"--public-url=http://" + public,
		"--callback-bind-address=" + callbacks,
		"--health-probe-bind-address=" + probes,
		"--allowed-endpoints=" + strings.TrimPrefix(s.Sim.URL(), "http://"),
		"--expiry-margin=2s",
	}, more...)
}

// Kubeconfig writes one for cfg into Dir, and returns where it is.
func (s *Stage) Kubeconfig(name string, cfg *rest.Config) (string, error) {
	content, err := testenv.Kubeconfig(cfg)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	path := filepath.Join(s.Dir, name)
	return path, os.WriteFile(path, content, 0o600)
}

// OperatorKubeconfig writes one for the operator's ServiceAccount.
func (s *Stage) OperatorKubeconfig(ctx context.Context) (string, error) {
	cfg, err := s.Env.ServiceAccountConfig(ctx, shop.OperatorNamespace, shop.OperatorAccount)
	if err != nil {
		return "", err
	}
	return s.Kubeconfig("manager.kubeconfig", cfg)
}
