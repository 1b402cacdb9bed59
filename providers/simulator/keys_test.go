package simulator

import "testing"

// Credentials can be changed: the new ones are good beside the old ones, until the
// old ones are taken back.
func TestKeysRotate(t *testing.T) {
	b := setUp(t)
	s := b.sim
	s.RevokeKeys(Wave, Keys{Key: "none"})
	for p, old := range s.opts.keys() {
		c := b.client(p)
		fresh := Keys{ID: old[0].ID + "-2", Secret: "new secret", Key: "new key"}
		hasBoth := func() (bool, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.has(p, func(k Keys) bool { return k == old[0] }), s.has(p, func(k Keys) bool { return k == fresh })
		}
		s.AddKeys(p, fresh)
		if first, second := hasBoth(); !first || !second {
			t.Errorf("%s: %t %t", p, first, second)
		}
		s.RevokeKeys(p, old[0])
		if first, second := hasBoth(); first || !second {
			t.Errorf("%s: %t %t", p, first, second)
		}
		b.want(c.create(b.ref(p), "100"), 401)
	}
}
