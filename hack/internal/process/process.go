// Package process runs programs beside ours on this machine, and sees to it that none stays behind.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// BuildManager compiles the manager as `make build` does.
func BuildManager(ctx context.Context, root, path string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, ".")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	// A group of its own: the compilers that it starts have to end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// Process is a program that runs beside us, in a process group of its own: Ctrl-C in
// the terminal reaches us only, and we decide in which order things stop.
type Process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // once done is closed
}

// Start starts the program at path; what it prints goes to the end of the file log.
func Start(path string, args, environment []string, log string) (*Process, error) {
	f, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	// The process has its own.
	defer f.Close()
	//nolint:noctx // A context would kill it; stop asks it first.
	cmd := exec.Command(path, args...)
	cmd.Env = environment
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{name: filepath.Base(path), cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// Log is the file that it prints to.
func (p *Process) Log() string { return p.log }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Running tells whether it has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends it a signal. That it has ended is no error: look at Done.
func (p *Process) Signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %v to the %s: %w", s, p.name, err)
	}
	return nil
}

// Kill ends it with SIGKILL, and tells whether that is what ended it.
func (p *Process) Kill() (bool, error) {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return false, err
	}
	<-p.done
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL, nil
}

// Ready waits until url answers 200.
func (p *Process) Ready(ctx context.Context, url string, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("the %s was not ready within %v", p.name, within))
	defer cancel()
	for !Answers(ctx, url) {
		select {
		case <-p.done:
			return p.Ended()
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// Ended is the error of a process that ended by itself.
func (p *Process) Ended() error {
	return fmt.Errorf("the %s ended by itself (%v)", p.name, p.cmd.ProcessState)
}

// Stop asks the process to end, and after a while makes it.
func (p *Process) Stop(patience time.Duration) error {
	if !p.Running() {
		return nil // whoever waited for something has said so
	}
	if err := p.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("stopping the %s: %w", p.name, p.err)
		}
		return nil
	case <-time.After(patience):
	}
	err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
	return errors.Join(fmt.Errorf("the %s did not stop within %v and was killed", p.name, patience), err)
}

// Tail is the end of the log.
func (p *Process) Tail(lines int) string {
	content, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// PID of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Succeeded tells whether it has ended with exit code 0.
func (p *Process) Succeeded() bool { return !p.Running() && p.err == nil }
