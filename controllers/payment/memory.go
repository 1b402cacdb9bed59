package payment

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
