package attempt

import "time"

const (
	// silentFor is how long past its deadline a request without any usable answer is still Processing.
	silentFor = 24 * time.Hour
	// slowest is the longest interval between two checks.
	slowest = 24 * time.Hour
	// lateCallbacks are followed for so long after an outcome that is not "paid".
	lateCallbacks = 24 * time.Hour
	// requestGap is the least time between two checks that users ask for.
	requestGap = time.Minute
)

// nextCheck is when to ask the provider next. It is the one schedule: at once where this process never asked or newer
// evidence came, else the interval until the deadline, and from then on a tenth of the age of the newest evidence, at
// most a day. It is never later than one of the verdicts that nothing was asked since.
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
	if f.CalledBack() {
		since := f.Seen.Asked
		if f.noted(f.Callback).After(since) {
			since = f.Seen.ForCallback // a poll that came before it is in nobody's way
		}
		due = earliest(due, latest(last, since.Add(f.Settings.CallbackGap)))
	}
	if f.noted(f.Requested).After(f.Seen.Asked) {
		due = earliest(due, last.Add(requestGap))
	}
	for _, t := range verdicts {
		if !t.IsZero() && f.Seen.Asked.Before(t) {
			due = earliest(due, latest(t, last.Add(f.Settings.CallbackGap)))
		}
	}
	return due
}

// CalledBack tells whether a callback came that was not asked about since. The clock of
// who noted it may be a little behind.
func (f Facts) CalledBack() bool {
	return !f.Callback.IsZero() && f.noted(f.Callback).After(f.Seen.Asked.Add(-f.Settings.CallbackGap))
}

// noted bounds the time of a callback or a request: a clock that is a little ahead says
// "now"; what one far ahead says waits for its time.
func (f Facts) noted(t time.Time) time.Time {
	if ahead := t.Sub(f.Now); ahead > 0 && ahead <= f.Settings.ClockSkew {
		return f.Now
	}
	return f.clamp(t)
}

// pace is the wait between two checks that have a usable answer.
func (f Facts) pace() time.Duration {
	if a := f.Attempt; a.Outcome == nil && a.Unknown == nil && f.Now.Before(f.deadline()) {
		return f.Interval
	}
	return min(max(f.Interval, f.Now.Sub(f.newestEvidence())/10), slowest)
}

// newestEvidence is when something was last recorded of the request. A check that learnt nothing is none.
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
