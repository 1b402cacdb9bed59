package attempt

import "sync"

// Busy keeps the workers of one process from racing each other for the same
// Charge. It spares conflicts; what is safe does not rest on it. The zero value
// is free.
type Busy struct {
	mu    sync.Mutex
	names map[string]bool
}

// Enter tells whether the Charge was free, and is the caller's now until Leave.
func (b *Busy) Enter(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.names[name] {
		return false
	}
	if b.names == nil {
		b.names = map[string]bool{}
	}
	b.names[name] = true
	return true
}

// Leave frees the Charge.
func (b *Busy) Leave(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.names, name)
}
