package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/providers/simulator"
)

// chaos does to the managers and to the API server what a bad night does, one thing
// after the other, in an order that follows from the seed.
type chaos struct {
	*stage
	trap *trap
	rng  *rand.Rand

	splits   atomic.Int32
	restarts atomic.Int32
}

const (
	// patience with an election, and with a leader that has to find out.
	patience = 20 * time.Second
	// setFor is how long a trap waits for its request.
	setFor = 1500 * time.Millisecond
)

type deed string

const (
	kill    deed = "kill managers"
	split   deed = "freeze the leader until the other one leads"
	restart deed = "restart the API server"
)

// longestShare keeps a run with few deeds short.
const longestShare = 4 * time.Second

// run spreads the deeds over the time until the end; what takes longer than its share
// makes the others wait for less. Nothing is begun after the end.
func (c *chaos) run(ctx context.Context, deeds []deed, end time.Time) error {
	do := map[deed]func(context.Context) error{kill: c.kill, split: c.split, restart: c.restart}
	for i, d := range deeds {
		share := min(longestShare, time.Until(end)/time.Duration(len(deeds)-i))
		began := time.Now()
		if ctx.Err() != nil || began.After(end) {
			return ctx.Err()
		}
		if err := do[d](ctx); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
		pause(ctx, share-time.Since(began))
	}
	return ctx.Err()
}

// kill one, both, or the leader in the middle of a request.
func (c *chaos) kill(ctx context.Context) (err error) {
	one, leader := c.crew.members[c.rng.IntN(2)], c.crew.leader(ctx)
	switch r := c.rng.IntN(10); {
	case r < 2:
		return errors.Join(one.kill(), c.crew.other(one).kill())
	case r < 6 && leader != nil:
		c.spring(ctx, c.snare(func() { err = leader.kill() }))
		return err
	default:
		return one.kill()
	}
}

// snare is a random moment of a request to a provider, mostly of one for money.
func (c *chaos) snare(spring func()) *snare {
	op := []simulator.Op{simulator.OpInitiate, simulator.OpInitiate, simulator.OpInitiate, simulator.OpStatus, simulator.OpRefund}[c.rng.IntN(5)]
	return &snare{op: op, after: c.rng.IntN(2) == 0, spring: spring, sprung: make(chan struct{})}
}

// spring waits for the request that s is set for, and does it without one if none comes.
func (c *chaos) spring(ctx context.Context, s *snare) {
	c.trap.set.Store(s)
	select {
	case <-s.sprung:
	case <-ctx.Done():
	case <-time.After(setFor):
	}
	if c.trap.disarm(s) {
		s.spring()
		return
	}
	<-s.sprung
}

// split freezes the leader, mostly in the middle of a request, until the other one has the lease and leads, and lets it
// go on then. It counts if the frozen one was the leader to its own knowledge when it went on: the same process, which
// finds out only after that. What does not count is no error: a manager may end at any time.
func (c *chaos) split(ctx context.Context) error {
	old := c.elected(ctx)
	if old == nil {
		c.logf("no split: nobody leads, or the other manager is not ready")
		return ctx.Err()
	}
	next, p := c.crew.other(old), old.process()
	var err error
	c.spring(ctx, c.snare(func() { err = p.Signal(syscall.SIGSTOP) }))
	if err != nil {
		return err
	}
	taken := c.wait(ctx, func() bool { return next.leads(ctx) })
	// Some go on at once, some when what they sent must have been given up.
	pause(ctx, time.Duration(c.rng.Int64N(int64(frozenAtMost))))
	thought := p.Running() && taken
	if err := p.Signal(syscall.SIGCONT); err != nil || !thought {
		c.logf("no split: nobody took the lease of who was frozen, or that one ended")
		return err
	}
	said := old.leads(ctx) // if it is quick enough to be asked
	if !c.wait(ctx, func() bool { return !p.Running() || old.ready(ctx) && !old.leads(ctx) }) {
		c.logf("no split: who was frozen did not find out")
		return ctx.Err()
	}
	c.splits.Add(1)
	c.logf("split: %s went on while %s led, and was heard to say that it led: %v", old.probe, next.probe, said)
	return nil
}

// elected is the leader, once there is one and the other manager is ready to follow.
func (c *chaos) elected(ctx context.Context) (leader *member) {
	if !c.wait(ctx, func() bool {
		leader = c.crew.leader(ctx)
		return leader != nil && c.crew.other(leader).ready(ctx)
	}) {
		return nil
	}
	return leader
}

func (c *chaos) wait(ctx context.Context, is func() bool) bool {
	return until(ctx, patience, "", is) == nil
}

// restart kills the API server and starts it again, at the same address and with what
// etcd has. To stop it politely takes as long as somebody watches.
func (c *chaos) restart(ctx context.Context) error {
	began := time.Now()
	for _, pid := range process.StartedFor(c.Dir, "kube-apiserver") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing the API server: %w", err)
		}
	}
	// What started it has to notice, too.
	if err := until(ctx, stopWithin, "the end of the API server", func() bool { return c.Env.StopAPIServer() == nil }); err != nil {
		return err
	}
	if err := c.Env.StartAPIServer(); err != nil {
		return err
	}
	c.restarts.Add(1)
	c.logf("the API server was away for %.1f s", time.Since(began).Seconds())
	return nil
}

// weather lets faults befall requests, until ctx is over: some now, some in a row,
// anywhere. What an amount says befalls its own payment only.
func (c *chaos) weather(ctx context.Context, rng *rand.Rand) {
	ops := []simulator.Op{
		simulator.OpInitiate, simulator.OpStatus, simulator.OpStatus, simulator.OpToken, simulator.OpSearch,
		simulator.OpExpire, simulator.OpRefund,
	}
	faults := []string{
		"lost-answer", "dropped", "error-500-processed", "error-500", "error-503", "error-403", "slow", "dribble", "html",
		"html-error", "wrong-type", "truncated", "empty", "late", "twice", "token-expired", "token-revoked",
	}
	places := []simulator.Provider{simulator.MTN, simulator.Orange, simulator.Wave}
	for ctx.Err() == nil {
		pause(ctx, time.Duration(500+rng.IntN(2000))*time.Millisecond)
		m := simulator.Match{Provider: places[rng.IntN(len(places))], Op: ops[rng.IntN(len(ops))]}
		c.Sim.Script(m, simulator.Behaviour{Fault: faults[rng.IntN(len(faults))], Times: 1 + rng.IntN(4)})
		switch rng.IntN(20) {
		case 0:
			c.Sim.ExpireTokens()
		case 1:
			c.Sim.RevokeTokens()
		}
	}
}

// trap delays every request to a provider a little, as a network does, and springs when
// one comes that it was set for: a manager dies, or freezes, in the middle of it.
type trap struct{ set atomic.Pointer[snare] }

type snare struct {
	op simulator.Op
	// after: the provider has processed it and has not answered.
	after  bool
	spring func()
	sprung chan struct{}
}

const latency = 40 * time.Millisecond

func newTrap(sim *simulator.Simulator) *trap {
	t := &trap{}
	sim.BeforeProcess(func(r simulator.Request) {
		select {
		case <-r.Gone:
		case <-time.After(rand.N(latency)):
		}
		t.catch(r, false)
	})
	sim.AfterProcess(func(r simulator.Request) { t.catch(r, true) })
	return t
}

// disarm tells whether s has not sprung.
func (t *trap) disarm(s *snare) bool { return t.set.CompareAndSwap(s, nil) }

func (t *trap) catch(r simulator.Request, after bool) {
	if s := t.set.Load(); s != nil && s.op == r.Op && s.after == after && t.disarm(s) {
		s.spring()
		close(s.sprung)
	}
}
