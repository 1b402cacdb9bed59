package sweep

import (
	"context"
	"slices"
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

func small(t *testing.T, o Options, scenarios ...Scenario) *Sweep {
	t.Helper()
	o.Workers = 2
	s, err := New(scenarios, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mtnPaid() Scenario {
	return Scenario{Name: "paid", Providers: []string{"mtn"}, Amount: "1902", Want: always(v1alpha1.PhaseSucceeded)}
}

func TestScheduleReadsWhatItWrites(t *testing.T) {
	for _, text := range []string{
		"paid/mtn: ",
		"paid/mtn: update Charge#2=lost-crash~3",
		"refund/wave: update Payment/status#1=crash-before; call initiate#1=twice-lost",
	} {
		s, err := ParseSchedule(text)
		if err != nil || s.String() != text {
			t.Errorf("%q became %q, %v", text, s, err)
		}
	}
	for _, bad := range []string{"paid", "paid/mtn: Charge=lost", "paid/mtn: Charge#x=lost", "paid/mtn: Charge#1", "paid/mtn: Charge#1=lost~x"} {
		if _, err := ParseSchedule(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, sc := range Scenarios() {
		if seen[sc.Name] {
			t.Errorf("two scenarios are called %s", sc.Name)
		}
		seen[sc.Name] = true
	}
}

// What was planned and did not happen proves nothing.
func TestAFaultThatDoesNotFireDoesNotCount(t *testing.T) {
	s := small(t, Options{}, mtnPaid())
	if err := s.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := s.report.Schedules
	for _, label := range []string{"update Charge#99=lost", "update Charge#1=lost"} {
		schedule, err := ParseSchedule("paid/mtn: " + label)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.runner().run(schedule, how{})
		if err != nil {
			t.Fatal(err)
		}
		s.count(s.stories[0], res)
	}
	if s.report.Schedules != before+1 || s.report.Unfired != 1 || s.report.Faults[testworld.Lost] != 1 {
		t.Errorf("%+v", s.report)
	}
}

// What was wrong with the world or its judge, and not with what they look at.
func TestSchedulesThatOnceWereFalseAlarms(t *testing.T) {
	s := small(t, Options{}, Scenarios()...)
	for name, text := range map[string]string{
		"a late fault has time to be mended":              "unknown-word/wave: call status#59=lost; update Charge#5=deleted",
		"a surplus session is ended after the end, too":   "replicas/wave: call initiate#1=twice; update Charge#2=paused-5m",
		"the right keys come into a Secret that was away": "wrong-keys/orange: get Charge#1=wrong-keys; live get Secret#3=gone",
	} {
		t.Run(name, func(t *testing.T) {
			schedule, err := ParseSchedule(text)
			if err != nil {
				t.Fatal(err)
			}
			if res, err := s.Replay(schedule); err != nil || !res.Fired || len(res.Violations) > 0 {
				t.Errorf("%v, %v", res.Violations, err)
			}
		})
	}
}

func TestRunsAreDeterministic(t *testing.T) {
	s := small(t, Options{}, Scenarios()...)
	for _, text := range []string{
		"replicas-ahead/wave: update Charge#1=paused-5m; call initiate#1=lost",
		"refund-race/mtn: call refund#1=crash-read~1",
		"late/orange: update Charge#1=lost-crash",
	} {
		schedule, err := ParseSchedule(text)
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.Replay(schedule)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Replay(schedule)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first.Trace, again.Trace) || len(first.Trace) < 5 {
			t.Errorf("%s is told in two ways:\n%s\n\n%s", text, strings.Join(first.Trace, "\n"), strings.Join(again.Trace, "\n"))
		}
	}
}

// impatient is a scenario in which the judge is told that nothing may be sent, so that the clean loop breaks a promise.
func impatient() Scenario {
	sc := mtnPaid()
	sc.Name = "impatient"
	sc.Arrange = func(_ *testworld.World, j *judge.Judge) { j.NoSends = true }
	return sc
}

func TestShrinkDropsWhatIsNotNeeded(t *testing.T) {
	s := small(t, Options{}, impatient())
	schedule, err := ParseSchedule("impatient/mtn: get Charge#1=error; update Payment/status#1=crash-before~3")
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.shrink(s.runner(), schedule, judge.Restored)
	if err != nil || len(got.Faults) != 0 {
		t.Errorf("shrunk to %s, %v", got, err)
	}
	// What is not violated at all is left as it is.
	got, err = s.shrink(s.runner(), schedule, judge.Sending)
	if err != nil || got.String() != schedule.String() {
		t.Errorf("shrunk to %s, %v", got, err)
	}
}

func TestViolationsAreToldAndReplayed(t *testing.T) {
	s := small(t, Options{First: true, Singles: 50}, impatient())
	report, err := s.Run(context.Background())
	if err != nil || len(report.Violations) == 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	f := report.Violations[0]
	if f.Rule != judge.Restored || len(f.Trace) == 0 || f.Replay() != "go run ./hack/torture -replay 'impatient/mtn: '" {
		t.Errorf("%+v", f)
	}
	schedule, err := ParseSchedule(f.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Replay(schedule)
	if err != nil || !slices.Equal(res.Trace, f.Trace) {
		t.Errorf("replayed %v, %v", res.Trace, err)
	}
}

// A scenario that comes to be about something else is a violation, too.
func TestTheCleanRunHasToEndAsMeant(t *testing.T) {
	sc := mtnPaid()
	sc.Want = always(v1alpha1.PhaseFailed)
	report, err := small(t, Options{First: true}, sc).Run(t.Context())
	if err != nil || len(report.Violations) == 0 || report.Violations[0].Rule != judge.Schedule {
		t.Errorf("%+v, %v", report.Violations, err)
	}
}

// What was found and not perturbed in every way fails the sweep.
func TestUnperturbedPointsAreListed(t *testing.T) {
	s := small(t, Options{}, mtnPaid())
	if err := s.learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(s.unperturbed()) < 50 || !slices.Contains(s.unperturbed(), "mtn update Charge=lost-crash") {
		t.Errorf("%v", s.unperturbed())
	}
	report, err := s.Run(t.Context())
	if err != nil || len(report.Unperturbed) != 0 || len(report.Violations) != 0 {
		t.Errorf("%v, %v, %v", report.Unperturbed, report.Violations, err)
	}
}
