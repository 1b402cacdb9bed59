package attempt

import "time"

const (
	// silentFor is how long past its deadline a request without any usable
	// answer is still Processing.
	silentFor = 24 * time.Hour
	// slowest is the longest interval between two checks.
	slowest = 24 * time.Hour
	// lateCallbacks are followed for so long after an outcome that is not "paid".
	lateCallbacks = 24 * time.Hour
	// requestGap is the least time between two checks that users ask for.
	requestGap = time.Minute
)

// nextCheck is when to ask the provider next. It is the one schedule: at once
// where this process never asked or newer evidence came, else the interval until
// the deadline, and from then on a tenth of the age of the newest evidence, at
// most a day. It is never later than one of the verdicts that nothing was asked
// since.
func (f Facts) nextCheck(verdicts ...time.Time) time.Time {
	last := f.Seen.At
	if last.IsZero() {
		return f.Now
	}
	if f.Seen.Failures > 0 {
		return last.Add(max(f.Settings.Retry(f.Seen.Failures), min(f.pace(), slowest)/20))
	}
	due := last.Add(f.jittered(f.pace()))
	if f.Rules.Prompt && f.Attempt.Taken != nil {
		due = earliest(due, last.Add(max(f.Settings.RetryMin, last.Sub(f.clamp(f.Attempt.Taken.At.Time)))))
	}
	if f.clamp(f.Callback).After(last) {
		gap := f.Settings.CallbackGap
		if !f.Seen.Asked {
			gap = 0 // it is about checks
		}
		due = earliest(due, last.Add(gap))
	}
	if f.clamp(f.Requested).After(last) {
		due = earliest(due, last.Add(requestGap))
	}
	for _, t := range verdicts {
		if !t.IsZero() && last.Before(t) {
			due = earliest(due, latest(t, last.Add(f.Settings.CallbackGap)))
		}
	}
	return due
}

// pace is the wait between two checks that have a usable answer.
func (f Facts) pace() time.Duration {
	if a := f.Attempt; a.Outcome == nil && a.Unknown == nil && f.Now.Before(f.deadline()) {
		return f.Interval
	}
	return min(max(f.Interval, f.Now.Sub(f.newestEvidence())/10), slowest)
}

// newestEvidence is when something was last recorded of the request. A check that
// learnt nothing is none.
func (f Facts) newestEvidence() time.Time {
	a := f.Attempt
	at := f.began()
	if !f.Callback.IsZero() {
		at = latest(at, f.clamp(f.Callback))
	}
	if !f.Requested.IsZero() {
		at = latest(at, f.clamp(f.Requested))
	}
	if a.Unknown != nil {
		at = latest(at, f.clamp(a.Unknown.Since.Time))
	}
	if a.Outcome != nil {
		at = latest(at, f.clamp(a.Outcome.At.Time))
	}
	return at
}

// jittered spreads d by ten per cent either way.
func (f Facts) jittered(d time.Duration) time.Duration {
	return d + time.Duration((f.fraction()-0.5)*0.2*float64(d))
}
