package judge

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

// Bounds of one sale in a window of time, for each process: two that lead at the same time do everything twice. The
// closest schedule asks every few seconds for a minute; each answer is a write or two.
const (
	span           = 10 * time.Minute
	callsPerSpan   = 150
	writesPerSpan  = 150
	runsPerSpan    = 300
	callsPerSecond = 8
)

// bounds counts in the present window.
type bounds struct {
	since               time.Time
	calls, writes, runs int
}

func (b *bounds) roll(now time.Time) {
	if now.Sub(b.since) >= span || now.Before(b.since) {
		*b = bounds{since: now}
	}
}

// calls of a job count for its name; all but those for tokens count in each second.
func (j *Judge) calls(f *testworld.Flight, q *process) {
	now := j.w.Now()
	b := &j.sale(q.job.Name).bounds
	b.roll(now)
	if b.calls++; b.calls > callsPerSpan*j.w.Replicas() {
		j.violated(Bounds, "more than %d calls for one object in %s", callsPerSpan, span)
	}
	if f.Op == "token" || j.w.Provider() != "mtn" {
		return
	}
	left := q.left[:0]
	for _, t := range q.left {
		if now.Sub(t) < time.Second {
			left = append(left, t)
		}
	}
	left = append(left, now)
	q.left = left
	if len(q.left) > callsPerSecond {
		j.violated(Limits, "%d calls left in one second", len(q.left))
	}
}

// runs of a job count for its name, whether they find something to do or not.
func (j *Judge) runs(name types.NamespacedName) {
	b := &j.sale(name).bounds
	b.roll(j.w.Now())
	if b.runs++; b.runs > runsPerSpan*j.w.Replicas() {
		j.violated(Bounds, "more than %d runs for one object in %s", runsPerSpan, span)
	}
}

// writes of a job, of whichever object, count for its name.
func (j *Judge) writes(name types.NamespacedName) {
	b := &j.sale(name).bounds
	b.roll(j.w.Now())
	if b.writes++; b.writes > writesPerSpan*j.w.Replicas() {
		j.violated(Bounds, "more than %d writes for one object in %s", writesPerSpan, span)
	}
}

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
