package main

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"mobilemoney.dev/operator/providers/simulator"
)

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
