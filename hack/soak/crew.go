package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

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

	kills atomic.Int32 // by SIGKILL

	mu   sync.Mutex // guards everything below
	now  *process.Process
	done bool // no more starts
}

// A manager that ended soon after its start, as without an API server, is started again less soon.
const (
	startAgainAfter = 200 * time.Millisecond
	crashLoop       = 1500 * time.Millisecond
)

func (c *crew) start() error {
	for _, m := range c.members {
		if _, err := m.start(); err != nil {
			return errors.Join(err, c.stop())
		}
		c.running.Go(m.follow)
	}
	return nil
}

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
	}
	return err == nil, err
}

func (m *member) process() *process.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *member) kill() error {
	killed, err := m.process().Kill()
	if killed {
		m.kills.Add(1)
	}
	return err
}

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

func (c *crew) kills() int { return int(c.members[0].kills.Load() + c.members[1].kills.Load()) }

func (m *member) ready(ctx context.Context) bool {
	return process.Answers(ctx, "http://"+m.probe+"/readyz")
}

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

// rest measures what the manager needs that needs more of it, once for a few seconds no
// goroutine has come or gone to speak of; of the heap the least, because what is more is
// not collected yet. A manager that never rests is measured as it is in the end.
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
		if still++; now.goroutines > n.goroutines+near || now.goroutines < n.goroutines-near {
			n, still = now, 0
		}
		n.heap = min(n.heap, now.heap)
		pause(ctx, between)
	}
	return n, ctx.Err()
}

func until(ctx context.Context, within time.Duration, what string, is func() bool) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, within, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}
