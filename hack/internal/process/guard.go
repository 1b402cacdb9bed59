package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// guardVariable tells a copy of this program that it is the guard, and of what folder.
const guardVariable = "MOBILE_MONEY_GUARDS"

// AsGuard plays the guard if this copy of the program was started as one, and tells
// so. A program that calls StartGuard calls it first of all, and ends if it is true.
func AsGuard() (bool, error) {
	dir := os.Getenv(guardVariable)
	if dir == "" {
		return false, nil
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	return true, guard(dir, os.Stdin)
}

// StartGuard starts a copy of this program that outlives us: nothing that we defer runs when we are killed, or when a
// goroutine of a library panics. The guard then ends what we started and removes dir. dismiss ends it.
func StartGuard(dir string) (dismiss func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	//nolint:noctx // It has to outlive us.
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), guardVariable+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe to the guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the guard: %w", err)
	}
	return func() error {
		_, err := lifeline.Write([]byte("all is done"))
		return errors.Join(err, lifeline.Close(), cmd.Wait())
	}, nil
}

// guard waits until lifeline ends. If that came without a word, it clears up.
func guard(dir string, lifeline io.Reader) error {
	if word, err := io.ReadAll(lifeline); err != nil || len(word) > 0 {
		return err
	}
	for range 50 {
		left := StartedFor(dir, "etcd", "kube-apiserver", "manager")
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
		time.Sleep(100 * time.Millisecond)
	}
	return os.RemoveAll(dir)
}

// StartedFor finds the programs of these names that run with dir in their arguments.
// Others, such as a pager on a log, are none of our business.
func StartedFor(dir string, names ...string) []int {
	var pids []int
	for pid, args := range processes() {
		if slices.Contains(names, filepath.Base(args[0])) && strings.Contains(strings.Join(args[1:], " "), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processes and their arguments, from /proc or else from ps.
func processes() map[int][]string {
	found := map[int][]string{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is right
	for _, file := range files {
		content, err := os.ReadFile(file)
		pid, notNumber := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && notNumber == nil && len(content) > 0 {
			found[pid] = strings.Split(string(content), "\x00")
		}
	}
	if len(files) > 0 {
		return found
	}
	//nolint:noctx // The guard has no end of its own.
	out, _ := exec.Command("ps", "-axo", "pid=,command=").Output() // without ps there is nothing to do
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(fields[0]); err == nil {
			found[pid] = fields[1:]
		}
	}
	return found
}
