package mutants

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// The test's own program plays the sweep, when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-first" {
		os.Exit(playSweep())
	}
	os.Exit(m.Run())
}

// playSweep behaves as the mutant's name says.
func playSweep() int {
	fs := flag.NewFlagSet("sweep", flag.ExitOnError)
	mutant, report := fs.String("mutant", "", ""), fs.String("report", "", "")
	fs.Bool("first", false, "")
	fs.Int("pairs", -1, "")
	fs.Int64("seed", 0, "")
	fs.Int("workers", 0, "")
	fs.String("scenarios", "", "")
	_ = fs.Parse(os.Args[1:])
	kind, detail, _ := strings.Cut(*mutant, "-")
	violations := []map[string]string{}
	switch {
	case kind == "breaks", kind == "" && os.Getenv("CONTROL") == "broken":
		violations = append(violations, map[string]string{"invariant": detail, "schedule": "paid/mtn call initiate#1=lost"})
	case kind == "hangs":
		select {} // until it is killed
	case kind == "panics":
		fmt.Fprintln(os.Stderr, "panic: the sweep is broken")
		return 2
	case kind == "exits":
		return 1
	}
	schedules := 10
	if os.Getenv("CONTROL") == "empty" {
		schedules = 0
	}
	data, _ := json.Marshal(map[string]any{"schedules": schedules, "violations": violations})
	if err := os.WriteFile(*report, data, 0o600); err != nil {
		return 3
	}
	return len(violations)
}

func run(t *testing.T, invariants []string, names ...string) (Report, error) {
	t.Helper()
	o := Options{Root: t.TempDir(), Invariants: invariants, Timeout: 2 * time.Minute, build: func(context.Context, string) (string, error) {
		return os.Executable()
	}}
	for _, name := range names {
		if strings.HasPrefix(name, "hangs") {
			o.Timeout = time.Second
		}
		o.Table = append(o.Table, Mutant{Name: name, Rule: "a rule", Breaks: ids("I2", "I4")})
	}
	return Run(t.Context(), o)
}

func TestRunTellsTheKilledFromTheSurvivors(t *testing.T) {
	r, err := run(t, ids("I4", "L1"), "breaks-I4", "survives", "breaks-L1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Killed != 2 || r.Total != 3 || !slices.Equal(r.Survivors, []string{"survives"}) {
		t.Errorf("%+v", r)
	}
	if r.Results[0].Elsewhere || !r.Results[2].Elsewhere {
		t.Errorf("which were caught by what was not expected: %+v", r.Results)
	}
	if !slices.Equal(r.Results[0].Violated, []string{"I4"}) || r.Results[0].Schedule == "" || r.Results[1].Schedules != 10 {
		t.Errorf("%+v", r.Results)
	}
}

func TestRunWantsEveryInvariantSeen(t *testing.T) {
	r, err := run(t, ids("I2", "I4"), "breaks-I4")
	if err == nil || !slices.Equal(r.Unseen, []string{"I2"}) {
		t.Errorf("%v, %v", r.Unseen, err)
	}
}

func TestWhatBringsNoVerdictIsNoKill(t *testing.T) {
	for _, name := range []string{"panics", "exits", "hangs"} {
		r, err := run(t, nil, name, "breaks-I4")
		if err == nil || !strings.Contains(err.Error(), `mutant "`+name+`": no verdict`) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Killed != 1 || !slices.Equal(r.Survivors, []string{name}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestWithoutAMutantTheSweepHasToBeClean(t *testing.T) {
	for _, control := range []string{"broken", "empty"} {
		t.Setenv("CONTROL", control)
		if r, err := run(t, nil, "breaks-I4"); err == nil || r.Total != 0 {
			t.Errorf("%s: %+v, %v", control, r, err)
		}
	}
}

func TestTheControlCoversWhatTheMutantsAreSweptBy(t *testing.T) {
	narrow := []Mutant{{Stories: "^stuck/mtn"}, {Stories: "^paid/"}, {Stories: "^stuck/mtn"}}
	if got := union(narrow); got != "^paid/|^stuck/mtn" {
		t.Error(got)
	}
	if got := union(append(narrow, Mutant{})); got != "" {
		t.Errorf("a mutant is swept by everything, the control by %q only", got)
	}
}

func TestASweepThatDoesNotBuildIsAnError(t *testing.T) {
	broken := errors.New("it does not build")
	_, err := Run(t.Context(), Options{Root: t.TempDir(), build: func(context.Context, string) (string, error) { return "", broken }})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
