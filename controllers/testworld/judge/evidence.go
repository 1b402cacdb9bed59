package judge

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	// askWithin is how soon a callback leads to a question, where nothing is wrong.
	askWithin = 30 * time.Second
	// repeated callbacks are one note.
	repeated = 5 * time.Minute
)

// Noted: a callback was taken.
func (j *Judge) Noted(p *testworld.Process) {
	now, c := j.w.Now(), j.w.Charge(testworld.InShop(testworld.Sale))
	if len(j.w.Store.All(testworld.Charge)) > 1 && !j.noted(c, p.Now()) {
		return // about another sale
	}
	again := now.Sub(j.lastCalled) < repeated
	j.lastCalled = now
	if j.Calm.IsZero() || now.Sub(j.Calm) < time.Minute || again || c == nil || c.Spec.InstallationID != p.Installation().ID {
		return
	}
	rec := &c.Record
	unasked := !attempt.MayHaveArrived(&rec.Attempt) || c.Spec.Provider == string(simulator.Orange) && rec.Session == nil
	over := rec.Outcome != nil && (rec.Outcome.Phase == v1alpha1.PhaseSucceeded || rec.Later != nil)
	if !unasked && !over {
		j.called = now
	}
}

// noted tells whether what the sale shows of a callback came now.
func (j *Judge) noted(c *v1alpha1.Charge, now time.Time) bool {
	fresh := func(n *v1alpha1.CallbackNote) bool {
		return n != nil && now.Sub(n.ReceivedAt.Time).Abs() <= time.Second
	}
	p := j.w.Payment(testworld.InShop(testworld.Sale))
	return c != nil && fresh(c.Record.LastCallback) || p != nil && fresh(p.Status.LastCallback)
}

// overheard: nobody asked about a callback in time.
func (j *Judge) overheard() {
	if !j.called.IsZero() && j.w.Now().Sub(j.called) > askWithin {
		j.violated(Evidence, "a callback came, and the provider was not asked within %s", askWithin)
	}
}
