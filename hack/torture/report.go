package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/hack/torture/lives"
	"mobilemoney.dev/operator/hack/torture/mutants"
	"mobilemoney.dev/operator/hack/torture/sweep"
)

// report of all that was done. Its numbers are what the last line tells.
type report struct {
	Seed      uint64  `json:"seed"`
	Schedules int     `json:"schedules"`
	Lives     int     `json:"lives"`
	Days      float64 `json:"simulated_days"`
	// Mutants of the product, and how many of them random lives found out.
	Mutants int `json:"mutants"`
	Killed  int `json:"mutants_killed"`
	// Violations, each told in Found.
	Violations int `json:"violations"`
	// Pairs of an action and a state of a Charge that were played; Missing ones were not, and should.
	Pairs        int      `json:"action_state_pairs"`
	PairsMissing int      `json:"action_state_pairs_missing"`
	Missing      []string `json:"missing,omitempty"`
	Found        []found  `json:"found"`
	Survivors    []string `json:"mutants_survived"`
	Seconds      float64  `json:"seconds"`

	Sweep  sweep.Report     `json:"sweep"`
	Played []lives.Played   `json:"played"`
	Kills  []mutants.Result `json:"kills"`
}

// found is a violation, and how to see it again.
type found struct {
	judge.Violation
	// Seed of the life.
	Seed   uint64   `json:"seed,omitempty"`
	Replay string   `json:"replay"`
	Trace  []string `json:"trace,omitempty"`
}

func (r *report) addSweep(s sweep.Report) {
	r.Schedules, r.Sweep = s.Schedules, s
	for _, f := range s.Violations {
		r.Found = append(r.Found, found{Violation: f.Violation, Replay: f.Replay(), Trace: f.Trace})
	}
	r.Sweep.Violations = nil
	r.Violations = len(r.Found)
}

// enough lives to play every word in every state: with fewer, none has to be.
const enough = 20000

func (r *report) addLives(l lives.Report) {
	r.Lives, r.Days, r.Played = l.Lives, l.Days, l.Played
	r.Pairs, r.PairsMissing = l.Pairs, len(l.Missing)
	for _, p := range l.Missing {
		if l.Lives >= enough {
			r.Missing = append(r.Missing, p.String())
		}
	}
	for _, f := range l.Violations {
		r.Found = append(r.Found, found{f.Violation, f.Seed, f.Replay(), f.Trace})
	}
	r.Violations = len(r.Found)
}

func (r *report) addMutants(m mutants.Report) {
	r.Mutants, r.Killed, r.Survivors, r.Kills = len(m.Results), m.Killed, m.Survivors, m.Results
}

func (r *report) write(file string) error {
	if file == "" {
		return nil
	}
	body, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(file, append(body, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// tell the outcome; the last line is for machines, too.
func (r *report) tell(out io.Writer) (code int) {
	for _, f := range r.Found {
		if f.Trace != nil {
			fmt.Fprintf(out, "\n%s\n  %s\n\n    %s\n", f.Violation, f.Replay, strings.Join(f.Trace, "\n    "))
		}
	}
	for what, list := range map[string][]string{"mutant not found out": r.Survivors, "never perturbed": r.Sweep.Unperturbed, "never played": r.Missing} {
		for _, one := range list {
			fmt.Fprintf(out, "%s: %s\n", what, one)
			code = 1
		}
	}
	if r.Violations > 0 {
		code = 1
	}
	fmt.Fprintf(out, "%d schedules, %d lives, %.0f simulated days, %d mutants killed of %d, %d violations\n",
		r.Schedules, r.Lives, r.Days, r.Killed, r.Mutants, r.Violations)
	return code
}
