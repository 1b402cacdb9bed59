package main

import (
	"math/rand/v2"
	"sync"
	"time"

	"mobilemoney.dev/operator/providers/simulator"
)

// trap holds every request to a provider up a little, as a network does, and springs
// when one comes that it was set for: a manager dies, or freezes, in the middle of it.
type trap struct {
	mu  sync.Mutex // guards everything below
	rng *rand.Rand
	set *snare
}

// snare springs on one request.
type snare struct {
	op simulator.Op
	// after: the provider has processed it and has not answered.
	after  bool
	spring func()
	sprung chan struct{}
}

const latency = 40 * time.Millisecond

func newTrap(seed uint64, sim *simulator.Simulator) *trap {
	t := &trap{rng: rand.New(rand.NewPCG(seed, 2))}
	sim.BeforeProcess(func(r simulator.Request) {
		select {
		case <-r.Gone:
		case <-time.After(t.delay()):
		}
		t.catch(r, false)
	})
	sim.AfterProcess(func(r simulator.Request) { t.catch(r, true) })
	return t
}

func (t *trap) delay() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Duration(t.rng.Int64N(int64(latency)))
}

// arm sets the trap; only one is set at a time.
func (t *trap) arm(s *snare) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.sprung = make(chan struct{})
	t.set = s
}

// disarm tells whether it has not sprung.
func (t *trap) disarm(s *snare) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.set != s {
		return false
	}
	t.set = nil
	return true
}

func (t *trap) catch(r simulator.Request, after bool) {
	t.mu.Lock()
	s := t.set
	if s == nil || s.op != r.Op || s.after != after {
		t.mu.Unlock()
		return
	}
	t.set = nil
	t.mu.Unlock()
	s.spring()
	close(s.sprung)
}
