package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

// crew is the two managers: each is started again whenever it has ended.
type crew struct {
	members [2]*member
	running sync.WaitGroup
	client  *http.Client
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

func newCrew(members [2]*member) *crew {
	return &crew{members: members, client: &http.Client{
		Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	}}
}

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

// ownEnds counts the ends that nobody here caused: a lease was lost, or there was no
// API server to start with. All but the last of those that were started have ended.
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
func (c *crew) ready(ctx context.Context, m *member) bool {
	resp, err := c.get(ctx, "http://"+m.probe+"/readyz")
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

func (c *crew) get(ctx context.Context, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return c.client.Do(req)
}

// gauges that are read from a manager.
const (
	gaugeLeads      = "leader_election_master_status"
	gaugeGoroutines = "go_goroutines"
	gaugeHeap       = "go_memstats_heap_alloc_bytes"
)

// scrape reads the metrics of a manager, those without labels or with any.
func (c *crew) scrape(ctx context.Context, m *member) (map[string]float64, error) {
	resp, err := c.get(ctx, "http://"+m.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	values := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 2 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		name, _, _ := strings.Cut(fields[0], "{")
		if value, err := strconv.ParseFloat(fields[1], 64); err == nil {
			values[name] = value
		}
	}
	return values, lines.Err()
}

// leads tells whether the manager says that it leads.
func (c *crew) leads(ctx context.Context, m *member) bool {
	values, err := c.scrape(ctx, m)
	return err == nil && values[gaugeLeads] == 1
}

// leader is the member that says so; nil if none does.
func (c *crew) leader(ctx context.Context) *member {
	for _, m := range c.members {
		if c.leads(ctx, m) {
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
