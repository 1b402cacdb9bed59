package payment

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// told remembers which Payments this process told that their Charge is another
// installation's: two operators of different ids must not write one status in turns.
type told struct {
	mu   sync.Mutex
	uids map[types.UID]bool
}

// once tells whether p may be told: not yet by this process, and never over a status
// that shows the Charge.
func (t *told) once(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.uids[p.UID] || p.Status.ChargeName == c.Name {
		return false
	}
	if t.uids == nil {
		t.uids = map[types.UID]bool{}
	}
	t.uids[p.UID] = true
	return true
}
