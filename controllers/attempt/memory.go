package attempt

import "sync"

// Memory is what this process remembers of its calls, by a key. It spaces them
// and is safe to lose. The zero value is empty.
type Memory[T any] struct {
	mu   sync.Mutex
	seen map[string]T
}

// Recall returns what is remembered, or the zero value.
func (m *Memory[T]) Recall(key string) T {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[key]
}

// Keep remembers v.
func (m *Memory[T]) Keep(key string, v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = map[string]T{}
	}
	m.seen[key] = v
}

// Forget drops what is remembered.
func (m *Memory[T]) Forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.seen, key)
}
