// Package sweep puts every fault at every point of every scenario, one at a time and in pairs, and has each run judged.
package sweep

import (
	"fmt"
	"strings"

	"mobilemoney.dev/operator/controllers/testworld"
)

// Schedule is one run: a scenario at a provider, and what befalls which point.
type Schedule struct {
	Scenario string
	Provider string
	Faults   []testworld.Planned
}

// String is what ParseSchedule reads, and -replay takes.
func (s Schedule) String() string {
	parts := make([]string, len(s.Faults))
	for i, f := range s.Faults {
		parts[i] = f.String()
	}
	return s.Scenario + "/" + s.Provider + ": " + strings.Join(parts, "; ")
}

// ParseSchedule reads "scenario/provider: label#n=kind; label#n=kind".
func ParseSchedule(text string) (Schedule, error) {
	head, rest, _ := strings.Cut(text, ":")
	scenario, provider, ok := strings.Cut(strings.TrimSpace(head), "/")
	if !ok {
		return Schedule{}, fmt.Errorf("%q does not begin with scenario/provider", text)
	}
	s := Schedule{Scenario: scenario, Provider: provider}
	for _, part := range strings.Split(rest, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		f, err := testworld.ParsePlanned(part)
		if err != nil {
			return Schedule{}, err
		}
		s.Faults = append(s.Faults, f)
	}
	return s, nil
}
