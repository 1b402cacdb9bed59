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

// The test's own program plays the mutated torture, when it is started as that.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-first" {
		os.Exit(playTorture())
	}
	os.Exit(m.Run())
}

// playTorture behaves as the mutant's name says.
func playTorture() int {
	fs := flag.NewFlagSet("torture", flag.ExitOnError)
	mutant, report := fs.String("mutant", "", ""), fs.String("report", "", "")
	fs.Bool("first", false, "")
	for _, number := range []string{"singles", "lives", "seed", "workers"} {
		fs.Int(number, 0, "")
	}
	_ = fs.Parse(os.Args[1:])
	kind, rule, _ := strings.Cut(*mutant, "-")
	found := []map[string]string{}
	switch kind {
	case "breaks":
		found = append(found, map[string]string{"rule": rule, "replay": "mtn 1909: apply"})
	case "hangs":
		select {} // until it is killed
	case "panics":
		fmt.Fprintln(os.Stderr, "panic: no life ends")
		return 2
	}
	data, _ := json.Marshal(map[string]any{"lives": 10, "found": found})
	if err := os.WriteFile(*report, data, 0o600); err != nil {
		return 3
	}
	return len(found)
}

func run(t *testing.T, names ...string) (Report, error) {
	t.Helper()
	o := Options{Root: t.TempDir(), build: func(context.Context, string) (string, error) { return os.Executable() }}
	for _, name := range names {
		if strings.HasPrefix(name, "hangs") {
			o.Timeout = time.Second
		}
		o.Table = append(o.Table, Mutant{Name: name, Rule: "a rule", Breaks: []string{"R2", "R4"}})
	}
	return Run(t.Context(), o)
}

func TestRun_TellsTheKilledFromTheSurvivors(t *testing.T) {
	r, err := run(t, "breaks-R4", "survives", "breaks-R1")
	if err != nil {
		t.Fatal(err)
	}
	if r.Killed != 2 || len(r.Results) != 3 || !slices.Equal(r.Survivors, []string{"survives"}) {
		t.Errorf("%+v", r)
	}
	if r.Results[0].Elsewhere || !r.Results[2].Elsewhere {
		t.Errorf("which were found out by what was not expected: %+v", r.Results)
	}
	if !slices.Equal(r.Results[0].Violated, []string{"R4"}) || r.Results[0].Life == "" || r.Results[1].Lives != 10 {
		t.Errorf("%+v", r.Results)
	}
}

func TestRun_WithoutAVerdictIsAnErrorAndNoKill(t *testing.T) {
	for _, name := range []string{"panics", "hangs"} {
		r, err := run(t, name, "breaks-R4")
		if err == nil || !strings.Contains(err.Error(), `mutant "`+name+`": no verdict`) {
			t.Errorf("%s: %v", name, err)
		}
		if r.Killed != 1 || !slices.Equal(r.Survivors, []string{name}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRun_ThatDoesNotBuildIsAnError(t *testing.T) {
	broken := errors.New("it does not build")
	_, err := Run(t.Context(), Options{Root: t.TempDir(), build: func(context.Context, string) (string, error) { return "", broken }})
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
