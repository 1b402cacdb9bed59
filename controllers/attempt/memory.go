package attempt

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

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

// maxTold bounds what is remembered; an evicted uid is told once more.
const maxTold = 10_000

// Told remembers which objects this process told that their Charge is none of its own: two
// operators of different ids must not write one status in turns. The zero value is empty.
type Told struct {
	mu   sync.Mutex
	uids map[types.UID]bool
}

// Once tells whether the object of that uid may be told: not yet by this process, and
// never over a status that shows the Charge.
func (t *Told) Once(uid types.UID, shown bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uids[uid] || shown {
		return false
	}
	if t.uids == nil || len(t.uids) >= maxTold {
		t.uids = map[types.UID]bool{}
	}
	t.uids[uid] = true
	return true
}

// Failed takes back that an object was told: the write was not made.
func (t *Told) Failed(uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.uids, uid)
}
