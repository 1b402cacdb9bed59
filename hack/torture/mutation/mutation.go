// Package mutation chooses, in a build made for it, which safeguard is taken away. Only mutated copies of the sources
// ask it, and no source in the repository does: what is released has no switch to turn.
package mutation

import "sync/atomic"

// chosen outlives everything in the process, because the mutated copies have nowhere to be handed it.
//
//nolint:gochecknoglobals // see above; it is set once, before anything runs
var chosen atomic.Pointer[string]

// Use takes away the safeguard of the mutant of that name; "" none.
func Use(name string) { chosen.Store(&name) }

// On tells whether the safeguard of that mutant is taken away.
func On(name string) bool {
	c := chosen.Load()
	return c != nil && *c == name
}
