// Package stage starts what demo and soak play on, a control plane of their own,
// and clears it away.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
)

// Stage is all that runs, and how to clear it away.
type Stage struct {
	// Dir is temporary: all that is started has its own files in it.
	Dir string
	Env *testenv.Env

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

// Clear takes everything down again. It takes its time even after Ctrl-C: who stops
// half-way leaves processes behind.
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
