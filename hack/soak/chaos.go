package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/process"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

// chaos does to the managers and to the API server what a bad night does, one thing
// after the other, in an order that follows from the seed.
type chaos struct {
	dir  string // of all that was started
	env  *testenv.Env
	sim  *simulator.Simulator
	crew *crew
	trap *trap
	rng  *rand.Rand
	logf func(string, ...any)

	splits   atomic.Int32
	restarts atomic.Int32
}

const (
	// patience with an election, and with a leader that has to find out.
	patience = 20 * time.Second
	// setFor is how long a trap waits for its request.
	setFor = 1500 * time.Millisecond
)

// deed is one thing that chaos does.
type deed string

const (
	killAny    deed = "kill one"
	killLeader deed = "kill the leader in the middle of a request"
	killBoth   deed = "kill both"
	split      deed = "freeze the leader until the other one leads"
	restart    deed = "restart the API server"
)

// agenda has enough deeds for the floors, and some more.
func agenda(rng *rand.Rand, kills, splits, restarts int) []deed {
	var deeds []deed
	for n := 0; n < kills+kills/10+1; {
		switch r := rng.IntN(10); {
		case r < 4:
			deeds, n = append(deeds, killAny), n+1
		case r < 8:
			deeds, n = append(deeds, killLeader), n+1
		default:
			deeds, n = append(deeds, killBoth), n+2
		}
	}
	for range splits + splits/4 {
		deeds = append(deeds, split)
	}
	for range restarts {
		deeds = append(deeds, restart)
	}
	rng.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	return deeds
}

// longestShare keeps a run with few deeds short.
const longestShare = 4 * time.Second

// run spreads the deeds over the time until the end; what takes longer than its share
// makes the others wait for less. Nothing is begun after the end.
func (c *chaos) run(ctx context.Context, deeds []deed, end time.Time) error {
	for i, d := range deeds {
		share := min(longestShare, time.Until(end)/time.Duration(len(deeds)-i))
		began := time.Now()
		if ctx.Err() != nil || began.After(end) {
			return ctx.Err()
		}
		if err := c.do(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", d, err)
		}
		pause(ctx, share-time.Since(began))
	}
	return ctx.Err()
}

func (c *chaos) do(ctx context.Context, d deed) error {
	switch d {
	case killAny:
		return c.kill(c.crew.members[c.rng.IntN(2)])
	case killLeader:
		return c.killLeader(ctx)
	case killBoth:
		return errors.Join(c.kill(c.crew.members[0]), c.kill(c.crew.members[1]))
	case split:
		return c.split(ctx)
	default:
		return c.restart(ctx)
	}
}

func (c *chaos) kill(m *member) error {
	_, err := m.kill()
	return err
}

// snare is a random moment of a request to a provider, mostly of one for money.
func (c *chaos) snare(spring func()) *snare {
	op := []simulator.Op{simulator.OpInitiate, simulator.OpInitiate, simulator.OpInitiate, simulator.OpStatus, simulator.OpRefund}[c.rng.IntN(5)]
	return &snare{op: op, after: c.rng.IntN(2) == 0, spring: spring}
}

// spring waits for the request that s is set for, and does it without one if none comes.
func (c *chaos) spring(ctx context.Context, s *snare) {
	c.trap.arm(s)
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

func (c *chaos) killLeader(ctx context.Context) (err error) {
	victim := c.crew.leader(ctx)
	if victim == nil {
		return c.kill(c.crew.members[c.rng.IntN(2)])
	}
	c.spring(ctx, c.snare(func() { err = c.kill(victim) }))
	return err
}

// holder of the lease of the managers, or nobody.
func (c *chaos) holder(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var lease coordinationv1.Lease
	key := client.ObjectKey{Namespace: shop.OperatorNamespace, Name: "mobile-money-operator"}
	if c.env.Client().Get(ctx, key, &lease) != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// split freezes the leader, mostly in the middle of a request, until the other one has
// the lease and leads, and lets it go on then. It counts if the frozen one was the
// leader to its own knowledge when it went on: the same process, which finds out only
// after that. What does not count is no error: a manager may end at any time.
func (c *chaos) split(ctx context.Context) error {
	old := c.elected(ctx)
	if old == nil {
		c.logf("no split: nobody leads, or the other manager is not ready")
		return ctx.Err()
	}
	next, p, before := c.crew.other(old), old.process(), c.holder(ctx)
	var err error
	c.spring(ctx, c.snare(func() { err = p.Signal(syscall.SIGSTOP) }))
	if err != nil {
		return err
	}
	taken := c.wait(ctx, func() bool {
		after := c.holder(ctx)
		return after != "" && after != before && next.leads(ctx)
	})
	// Some go on at once, some when what they sent must have been given up.
	pause(ctx, time.Duration(c.rng.Int64N(int64(frozenAtMost))))
	thought := p.Running() && taken && before != ""
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

// wait tells whether it became true in time.
func (c *chaos) wait(ctx context.Context, holds func() bool) bool {
	return until(ctx, patience, "", holds) == nil
}

// restart kills the API server and starts it again, at the same address and with what
// etcd has. To stop it politely takes as long as somebody watches.
func (c *chaos) restart(ctx context.Context) error {
	began := time.Now()
	if err := c.crash(ctx); err != nil {
		return err
	}
	if err := c.env.StartAPIServer(); err != nil {
		return err
	}
	c.restarts.Add(1)
	c.logf("the API server was away for %.1f s", time.Since(began).Seconds())
	return nil
}

func (c *chaos) crash(ctx context.Context) error {
	for _, pid := range process.StartedFor(c.dir, "kube-apiserver") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing the API server: %w", err)
		}
	}
	// What started it has to notice, too.
	var stopped error
	return errors.Join(until(ctx, stopWithin, "the end of the API server", func() bool {
		stopped = c.env.StopAPIServer()
		return stopped == nil
	}), stopped)
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
		c.sim.Script(m, simulator.Behaviour{Fault: faults[rng.IntN(len(faults))], Times: 1 + rng.IntN(4)})
		switch rng.IntN(20) {
		case 0:
			c.sim.ExpireTokens()
		case 1:
			c.sim.RevokeTokens()
		}
	}
}
