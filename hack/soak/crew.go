package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

// crew is the two managers: each is started again whenever it has ended.
type crew struct {
	members [2]*member
	running sync.WaitGroup
}

// member is one manager after the other at the same addresses.
type member struct {
	path     string
	args     []string
	environ  []string
	log      string
	metrics  string // address
	probe    string
	callback string

	mu     sync.Mutex // guards everything below
	now    *process.Process
	starts int
	kills  int  // by SIGKILL
	done   bool // no more starts
}

// A manager that ended soon after its start, as without an API server, is started
// again less soon.
const (
	startAgainAfter = 200 * time.Millisecond
	crashLoop       = 1500 * time.Millisecond
)

// start starts both, and whatever follows them until stop.
func (c *crew) start() error {
	for _, m := range c.members {
		if _, err := m.start(); err != nil {
			return errors.Join(err, c.stop())
		}
		c.running.Go(m.follow)
	}
	return nil
}

// follow starts the next manager when one has ended.
func (m *member) follow() {
	for {
		began := time.Now()
		<-m.process().Done()
		time.Sleep(max(startAgainAfter, crashLoop-time.Since(began)))
		if more, err := m.start(); err != nil || !more {
			return
		}
	}
}

func (m *member) start() (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return false, nil
	}
	p, err := process.Start(m.path, m.args, m.environ, m.log)
	if err == nil {
		m.now = p
		m.starts++
	}
	return err == nil, err
}

func (m *member) process() *process.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// kill ends the manager that runs now with SIGKILL, and waits until it is gone.
func (m *member) kill() (bool, error) {
	killed, err := m.process().Kill()
	m.mu.Lock()
	defer m.mu.Unlock()
	if killed {
		m.kills++
	}
	return killed, err
}

// ownEnds counts the ends that nobody here caused, as where there was no API server to
// start with. All but the last of those that were started have ended.
func (m *member) ownEnds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.starts - 1 - m.kills
}

// stop ends both for good.
func (c *crew) stop() error {
	var errs []error
	for _, m := range c.members {
		m.mu.Lock()
		m.done = true
		p := m.now
		m.mu.Unlock()
		if p == nil {
			continue
		}
		errs = append(errs, p.Signal(syscall.SIGCONT), p.Stop(stopWithin))
	}
	c.running.Wait()
	return errors.Join(errs...)
}

func (c *crew) kills() (n int) {
	for _, m := range c.members {
		m.mu.Lock()
		n += m.kills
		m.mu.Unlock()
	}
	return n
}

// ready tells whether the member's probe says so.
func (m *member) ready(ctx context.Context) bool {
	return process.Answers(ctx, "http://"+m.probe+"/readyz")
}

// leads tells whether the manager says that it leads.
func (m *member) leads(ctx context.Context) bool {
	values, err := process.Scrape(ctx, m.metrics)
	return err == nil && values.Sum("leader_election_master_status") == 1
}

// leader is the member that says so; nil if none does.
func (c *crew) leader(ctx context.Context) *member {
	for _, m := range c.members {
		if m.leads(ctx) {
			return m
		}
	}
	return nil
}

func (c *crew) other(m *member) *member {
	if c.members[0] == m {
		return c.members[1]
	}
	return c.members[0]
}

// needs of a manager while there is nothing to do.
type needs struct {
	goroutines int
	heap       int64
}

// rest measures once the managers have come to rest: for a few seconds, no goroutine
// has come or gone to speak of. It returns the needs of the one that needs more; of the
// heap the least that was seen, because what is more is not collected yet. A manager
// that never rests is measured as it is in the end.
func (c *crew) rest(ctx context.Context) (n needs, err error) {
	const looks, enough, between, near = 40, 10, 300 * time.Millisecond, 5
	for look, still := 0, 0; look < looks && still < enough; look++ {
		var now needs
		for _, m := range c.members {
			values, err := process.Scrape(ctx, m.metrics)
			if err != nil {
				return n, fmt.Errorf("reading the metrics of a manager: %w", err)
			}
			now.goroutines = max(now.goroutines, int(values.Sum("go_goroutines")))
			now.heap = max(now.heap, int64(values.Sum("go_memstats_heap_alloc_bytes")))
		}
		still++
		// Some always come and go, such as those of this question.
		if now.goroutines > n.goroutines+near || now.goroutines < n.goroutines-near {
			n, still = now, 0
		}
		n.heap = min(n.heap, now.heap)
		pause(ctx, between)
	}
	return n, ctx.Err()
}

// until waits for what is true some time.
func until(ctx context.Context, within time.Duration, what string, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("not within %v: %s", within, what))
	defer cancel()
	for !holds() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}
