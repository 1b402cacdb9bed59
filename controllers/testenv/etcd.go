package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// SnapshotEtcd stores a snapshot of all that the API server knows in a file, as a
// backup of a cluster would. Nothing stops for it.
func (e *Env) SnapshotEtcd(ctx context.Context, file string) error {
	return e.etcdutl(ctx, "save", file, "--endpoint", e.etcdURL().String())
}

// RestoreEtcd takes the cluster back to a snapshot: API server and etcd are stopped, the data is
// restored by etcdutl, and both start again at their addresses. With a bump of more than 0, new
// revisions begin that much above those of the snapshot (--bump-revision, with --mark-compacted),
// as etcd advises; with 0, revisions that were given out already are given out again.
func (e *Env) RestoreEtcd(ctx context.Context, file string, bump uint64) error {
	etcd := e.plane.ControlPlane.Etcd
	dir, err := os.MkdirTemp("", "testenv-etcd-")
	if err != nil {
		return err
	}
	before := e.restoredDir
	e.restoredDir = dir
	data := filepath.Join(dir, "data") // etcdutl wants to make it itself
	args := []string{"restore", file, "--data-dir", data}
	if bump > 0 {
		args = append(args, "--bump-revision", strconv.FormatUint(bump, 10), "--mark-compacted")
	}
	if err := errors.Join(e.StopAPIServer(), etcd.Stop(), os.RemoveAll(before), e.etcdutl(ctx, args...)); err != nil {
		return err
	}
	etcd.DataDir = data
	if err := etcd.Start(); err != nil {
		return fmt.Errorf("starting the restored etcd: %w", err)
	}
	return e.StartAPIServer()
}

func (e *Env) etcdURL() *url.URL { return e.plane.ControlPlane.Etcd.URL }

func (e *Env) etcdutl(ctx context.Context, args ...string) error {
	path := filepath.Join(filepath.Dir(e.plane.ControlPlane.Etcd.Path), "etcdutl")
	out, err := exec.CommandContext(ctx, path, append([]string{"snapshot"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("etcdutl snapshot %s (is it missing? run `make controlplane`): %w\n%s", args[0], err, out)
	}
	return nil
}
