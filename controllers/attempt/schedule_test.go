package attempt

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// R9, and what broke the schedule of before: when the next question is due, from noon.
func TestNextCheck(t *testing.T) {
	const second, minute, hour, day = time.Second, time.Minute, time.Hour, 24 * time.Hour
	outcomeUnknown := func(ago time.Duration) change { return unknown(v1alpha1.ReasonOutcomeUnknown, ago) }
	requested := func(ago time.Duration) change { return func(f *Facts) { f.Requested = noon.Add(-ago) } }
	open := taken
	for _, c := range []struct {
		name     string
		facts    []change
		min, max time.Duration
	}{
		{"never asked by this process", []change{open(10 * minute)}, 0, 0},
		{"K2a unknown, and away for 73 h", []change{open(80 * hour), outcomeUnknown(75 * hour)}, 0, 0},
		{"the interval", []change{open(10 * minute), asked(0)}, 108 * second, 132 * second},
		{"not later than the deadline", []change{open(59 * minute), asked(0)}, minute, minute},
		{"a failure", []change{open(10 * minute), asked(0, failures(1))}, 5 * second, 6 * second},
		{"many failures", []change{open(10 * minute), asked(0, failures(9))}, minute, minute},
		{"K2b refused for four days", []change{open(5 * day), outcomeUnknown(4 * day), asked(0, failures(99))}, minute, 30 * minute},
		{"K2b refused for a year", []change{open(365 * day), outcomeUnknown(364 * day), asked(0, failures(999))}, minute, 2 * hour},
		{"a tenth of the age", []change{open(21 * hour), outcomeUnknown(20 * hour), asked(0)}, 108 * minute, 132 * minute},
		{"at most a day", []change{open(300 * day), outcomeUnknown(300 * day), asked(0)}, 21 * hour, 27 * hour},
		{"a callback starts it again", []change{open(300 * day), outcomeUnknown(300 * day), asked(0), calledBack(hour)}, 5 * minute, 7 * minute},
		{"K2g a callback since the last question", []change{open(10 * minute), asked(minute), calledBack(0)}, 0, 0},
		{"K2g a callback, polled a moment ago", []change{open(10 * minute), asked(4 * second), calledBack(0)}, 0, 0},
		{"K2g a callback, asked for another one a moment ago", []change{open(10 * minute), asked(4 * second), forCallback(4 * second), calledBack(0)}, 6 * second, 6 * second},
		{"K2g a callback, polled since another one was asked for", []change{open(10 * minute), asked(second), forCallback(4 * second), calledBack(0)}, 6 * second, 6 * second},
		{"K2g a callback while the question was under way", []change{open(10 * minute), asked(minute), func(f *Facts) { f.Seen.At = noon.Add(-second) }, calledBack(30 * second)}, 0, 0},
		{"K2g a callback before the answer to the send", []change{open(0), calledBack(second), func(f *Facts) { f.Seen.At = noon }}, 0, 0},
		{"K2g a callback by a clock a little behind", []change{open(10 * minute), asked(9 * second), calledBack(10 * second)}, second, second},
		{"K2g a callback long before the last question", []change{open(10 * minute), asked(0), calledBack(minute)}, 108 * second, 132 * second},
		{"K2g a callback by a clock that is ahead", []change{open(10 * minute), asked(minute), calledBack(-20 * second)}, 0, 0},
		{"K2e a callback a year ahead", []change{open(10 * minute), asked(0), calledBack(-365 * day)}, 108 * second, 132 * second},
		{"K2e sent a year ahead", []change{sent(-365*day, "other"), asked(0)}, 0, 27 * hour},
		{"K2e taken a year ahead", []change{open(-365 * day), asked(0), func(f *Facts) { f.Created = noon.Add(-hour / 2) }}, 108 * second, 132 * second},
		{"K2e unknown since a year ahead", []change{open(2 * hour), outcomeUnknown(-365 * day), asked(0), func(f *Facts) { f.Created = noon.Add(-2 * hour) }}, minute, hour},
		{"requested", []change{open(10 * minute), asked(90 * second), requested(0)}, 0, 0},
		{"requested, at most once a minute", []change{open(10 * minute), asked(20 * second), requested(0)}, 40 * second, 40 * second},
		{"requested before the last question", []change{open(10 * minute), asked(0), requested(second)}, 108 * second, 132 * second},
		{"requested a year ahead", []change{open(10 * minute), asked(0), requested(-365 * day)}, 108 * second, 132 * second},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			f := situation("mtn", c.facts...)
			if due := max(0, f.nextCheck(f.deadline()).Sub(noon)); due < c.min || due > c.max {
				t.Errorf("due in %s, want %s to %s", due, c.min, c.max)
			}
		})
	}
}

func TestK2e_OrangeIsAskedWithinAnInterval(t *testing.T) {
	f := situation("orange", taken(-365*24*time.Hour), asked(3*time.Minute), func(f *Facts) { f.Created = noon.Add(-5 * time.Minute) })
	if d := Decide(f); d.Action != Ask {
		t.Errorf("%+v", d)
	}
}

// The whole life of a question that is never answered well, or never usefully: how often
// it is asked, and that it never stops nor runs hot.
func TestNextCheck_OverALife(t *testing.T) {
	for name, c := range map[string]struct {
		failures int
		life     time.Duration
		min, max int
	}{
		"answered, for an hour":  {0, time.Hour, 28, 33},
		"answered, for a day":    {0, 24 * time.Hour, 75, 100},
		"answered, for a year":   {0, 365 * 24 * time.Hour, 380, 480},
		"refused, for four days": {1, 4 * 24 * time.Hour, 100, 2000},
	} {
		f := situation("mtn", taken(0))
		asks := 0
		for end := noon.Add(c.life); f.Now.Before(end); {
			due := latest(f.nextCheck(f.deadline()), f.Now)
			if wait := due.Sub(f.Now); wait > 27*time.Hour || f.Seen.At.Equal(due) {
				t.Fatalf("%s: asked at %s, again at %s", name, f.Now, due)
			}
			f.Now = due
			asks++
			f.Seen.At, f.Seen.Asked, f.Seen.Failures = due, due, asks*c.failures
			if f.Now.After(f.deadline()) && f.Attempt.Unknown == nil {
				unknown(v1alpha1.ReasonOutcomeUnknown, noon.Sub(f.Now))(&f)
			}
		}
		if asks < c.min || asks > c.max {
			t.Errorf("%s: asked %d times, want %d to %d", name, asks, c.min, c.max)
		}
	}
}

func TestNextCheck_Always(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if f.Attempt == nil {
			return
		}
		due := f.nextCheck(f.lateUntil(), f.deadline())
		fresh := f.noted(f.Callback).After(f.Seen.Asked) && !due.Before(f.Seen.ForCallback.Add(f.Settings.CallbackGap))
		switch {
		case fresh && !due.Before(f.Seen.At): // a callback since the last question
		case due.Sub(noon) > 27*time.Hour:
			t.Fatalf("due in %s", due.Sub(noon))
		case !f.Seen.At.IsZero() && due.Sub(f.Seen.At) < f.Settings.RetryMin*9/10:
			t.Fatalf("%s after the last call", due.Sub(f.Seen.At))
		}
	})
}
