package payment

import "sync"

// memory is what this process remembers of its calls, by Charge. It spaces
// them and is safe to lose.
type memory struct {
	mu   sync.Mutex
	seen map[string]observation
}

func (m *memory) recall(name string) observation {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[name]
}

func (m *memory) keep(name string, o observation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[string]observation{}
	}
	m.seen[name] = o
}

func (m *memory) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, name)
}

func (r *Reconciler) remember(o *observed, change func(*observation)) {
	change(&o.seen)
	r.memory.keep(o.name, o.seen)
}

// rememberFailure: the last call did not get through, or told nothing.
func (r *Reconciler) rememberFailure(o *observed) {
	r.remember(o, func(seen *observation) {
		seen.at = r.Now()
		seen.failures++
		seen.notFound = false
	})
}

func (r *Reconciler) rememberNotFound(o *observed) {
	r.remember(o, func(seen *observation) { *seen = observation{at: r.Now(), notFound: true} })
}
