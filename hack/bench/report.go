package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

// report is what a run found.
type report struct {
	// Figures by their key: those that have a budget.
	Figures map[string]float64
	// Raw figures by scenario.
	Raw map[string]map[string]any
	// Counts by provider.
	Counts  map[string]counted
	Machine string
	Scale   float64
	Seconds float64
}

func newReport(scale float64) report {
	return report{Figures: map[string]float64{}, Raw: map[string]map[string]any{}, Counts: map[string]counted{}, Machine: machine(), Scale: scale}
}

func (r *report) set(key string, value float64) { r.Figures[key] = value }

func (r *report) raw(scenario, key string, value any) {
	if r.Raw[scenario] == nil {
		r.Raw[scenario] = map[string]any{}
	}
	r.Raw[scenario][key] = value
}

// ratio of two raw figures.
func (r *report) ratio(scenario, over, under string) float64 {
	return r.Raw[scenario][over].(float64) / r.Raw[scenario][under].(float64)
}

// MarshalJSON puts the figures beside the rest.
func (r *report) MarshalJSON() ([]byte, error) {
	out := map[string]any{"raw": r.Raw, "counts": r.Counts, "machine": r.Machine, "scale": r.Scale, "seconds": r.Seconds}
	for key, value := range r.Figures {
		out[key] = value
	}
	return json.Marshal(out)
}

// figures with their budgets, those that the run measured.
func (r *report) figures() (out []figure) {
	for _, f := range budgets() {
		if value, ok := r.Figures[f.Key]; ok {
			f.Value = value
			out = append(out, f)
		}
	}
	return out
}

// tell writes the report and the picture, and shows the table.
func (r *report) tell(w io.Writer, o options) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.out, "report.json"), append(content, '\n'), 0o600); err != nil {
		return err
	}
	all := r.figures()
	f, err := os.Create(filepath.Join(o.out, "report.svg"))
	if err != nil {
		return err
	}
	if err := errors.Join(picture(f, "What a payment costs", r.Machine, all), f.Close()); err != nil {
		return err
	}
	table(w, all)
	if o.counts != "" {
		err = exceeds(o.counts, r.Counts)
	}
	var missed []string
	for _, f := range all {
		if !f.met() && (o.scale == 1 || f.Group == "Requests") {
			missed = append(missed, f.Key)
		}
	}
	if len(missed) > 0 {
		err = errors.Join(err, fmt.Errorf("not within the budget: %s", strings.Join(missed, ", ")))
	}
	return err
}

// machine is what the figures were measured on.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	version := runtime.Version()
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.GoVersion
	}
	return fmt.Sprintf("%d cores (%s), everything on one machine, %s", runtime.NumCPU(), model, version)
}

// budgets are what is asked of the figures (docs/performance.md).
func budgets() []figure {
	const (
		cost     = "Throughput and processor time"
		requests = "Requests"
		latency  = "Latency"
		memory   = "Memory and idling"
		still    = "Standstill"
		limits   = "Limits"
	)
	return []figure{
		{Key: "throughput_ratio", Title: "Payments a second, of the floor's", Unit: "×", Budget: 0.7, Aim: 0.8, AtLeast: true, Group: cost},
		{Key: "cpu_ratio", Title: "Processor time of a payment, of the floor's", Unit: "×", Budget: 1.5, Aim: 1.3, Group: cost},
		{Key: "requests_per_payment", Title: "Requests to the API server, events included (MTN)", Unit: "", Budget: 11, Group: requests},
		{Key: "writes_per_payment", Title: "Writes of Payment and Charge (MTN)", Unit: "", Budget: 7, Group: requests},
		{Key: "provider_calls_per_payment", Title: "Calls to the provider (MTN)", Unit: "", Budget: 2, Group: requests},
		{Key: "provider_calls_per_payment_orange", Title: "Calls to the provider (Orange)", Unit: "", Budget: 2, Group: requests},
		{Key: "provider_calls_per_payment_wave", Title: "Calls to the provider (Wave)", Unit: "", Budget: 3, Group: requests},
		{Key: "callback_p50_ratio", Title: "Callback to end, median, of the floor's", Unit: "×", NoBudget: true, Group: latency},
		{Key: "callback_p99_ratio", Title: "Callback to end, p99, of the floor's", Unit: "×", Budget: 3, Group: latency},
		{Key: "new_payment_p99_ratio_under_load", Title: "New payment to asked, p99, 10 000 open against none", Unit: "×", Budget: 2, Group: latency},
		{Key: "rss_bytes_per_finished_payment", Title: "Memory of a finished payment", Unit: "bytes", Budget: 4096, Group: memory},
		{Key: "rss_bytes_per_open_payment", Title: "Memory of an open payment", Unit: "bytes", Budget: 12288, Group: memory},
		{Key: "idle_cpu_ratio", Title: "Processor time at rest, 50 000 finished against none", Unit: "×", Budget: 1.2, Group: memory},
		{Key: "startup_ratio_50000", Title: "Start to first useful step, of a bare list's", Unit: "×", Budget: 3, Group: memory},
		{Key: "rollout_p99_seconds", Title: "Longest wait of a new payment at a rolling restart, p99", Unit: "s", Budget: 2, Group: still},
		{Key: "failover_seconds", Title: "Longest wait of a new payment after a crash", Unit: "s", Budget: 20, Group: still},
		{Key: "status_calls_max_in_any_second", Title: "Status calls in the busiest second (MTN)", Unit: "", Budget: 10, Group: limits},
		{Key: "callback_check_p99_seconds", Title: "Callback to check under 3 000 polls, p99", Unit: "s", Budget: 1, Group: limits},
	}
}
