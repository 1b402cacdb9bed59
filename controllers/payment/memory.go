package payment

// recall what was learnt. Where the clock was set back since, it counts from now:
// a wait must not last until the clock is there again.
func (r *Reconciler) recall(name string) observation {
	seen, now := r.memory.Recall(name), r.Now()
	if seen.at.After(now) || seen.cancelledAt.After(now) {
		seen.at, seen.cancelledAt = earliest(seen.at, now), earliest(seen.cancelledAt, now)
		r.memory.Keep(name, seen)
	}
	return seen
}

func (r *Reconciler) remember(o *observed, change func(*observation)) {
	change(&o.seen)
	r.memory.Keep(o.name, o.seen)
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
