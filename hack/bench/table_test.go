package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// example has one figure of each sort.
func example() []figure {
	return []figure{
		{Key: "throughput_ratio", Title: "Throughput, of the floor's", Unit: "×", Value: 0.74, Budget: 0.7, Aim: 0.8, AtLeast: true, Group: "Throughput and processor time"},
		{Key: "processor_ratio", Title: "Processor time per payment, of the floor's", Unit: "×", Value: 1.62, Budget: 1.5, Aim: 1.3, Group: "Throughput and processor time"},
		{Key: "throughput", Title: "Throughput", Unit: "payments/s", Value: 61.3, NoBudget: true, Group: "Throughput and processor time"},
		{Key: "requests", Title: "Requests to the API server per payment", Unit: "requests", Value: 10, Budget: 11, Group: "Requests"},
		{Key: "writes", Title: "Writes of Payment and Charge", Unit: "requests", Value: 7, Budget: 7, Group: "Requests"},
		{Key: "conflicts", Title: "Conflicts", Unit: "requests", Value: 0, Budget: 0, Group: "Requests"},
		{Key: "provider_calls_wave", Title: "Calls to Wave", Unit: "requests", Value: 3.2, Budget: 3, Group: "Requests"},
		{Key: "callback_p99_ratio", Title: "Callback → terminal, p99, of the bare sequence's", Unit: "×", Value: 9.4, Budget: 3, Group: "Latency"},
		{Key: "callback_p99", Title: "Callback → terminal, p99", Unit: "ms", Value: 41.2, Budget: math.NaN(), Group: "Latency"},
		{Key: "memory_per_payment", Title: "Memory per finished payment", Unit: "bytes", Value: 3402, Budget: 4096, Group: "Memory"},
		{Key: "standstill_update", Title: "A rolling update", Unit: "s", Value: 0.04, Budget: 2, Aim: 1, Group: "Standstill"},
		{Key: "standstill_crash", Title: "A crash", Unit: "s", Value: math.NaN(), Budget: 20, Group: "Standstill"},
	}
}

func TestFigure_Met(t *testing.T) {
	for name, c := range map[string]struct {
		figure  figure
		verdict string
	}{
		"below":              {figure{Value: 1, Budget: 2}, "met"},
		"exactly":            {figure{Value: 2, Budget: 2}, "met"},
		"above":              {figure{Value: 2.001, Budget: 2}, "missed"},
		"at least, above":    {figure{Value: 3, Budget: 2, AtLeast: true}, "met"},
		"at least, exactly":  {figure{Value: 2, Budget: 2, AtLeast: true}, "met"},
		"at least, below":    {figure{Value: 1.999, Budget: 2, AtLeast: true}, "missed"},
		"the aim":            {figure{Value: 1, Budget: 2, Aim: 1}, "aim met"},
		"not the aim":        {figure{Value: 1.1, Budget: 2, Aim: 1}, "met"},
		"an aim of NaN":      {figure{Value: 1, Budget: 2, Aim: math.NaN()}, "met"},
		"at least, the aim":  {figure{Value: 4, Budget: 2, Aim: 3, AtLeast: true}, "aim met"},
		"none at all":        {figure{Value: 0, Budget: 0}, "met"},
		"one too many":       {figure{Value: 1, Budget: 0}, "missed"},
		"not measured":       {figure{Value: math.NaN(), Budget: 2}, "missed"},
		"neither, at least":  {figure{Value: math.NaN(), Budget: 2, AtLeast: true}, "missed"},
		"without a budget":   {figure{Value: 5, NoBudget: true, Aim: 1}, ""},
		"with a NaN for one": {figure{Value: 5, Budget: math.NaN()}, ""},
	} {
		if got := c.figure.verdict(); got != c.verdict || c.figure.met() != (c.verdict != "missed") {
			t.Errorf("%s: %q, met: %t", name, got, c.figure.met())
		}
	}
}

func TestFigure_Numbers(t *testing.T) {
	for want, f := range map[string]figure{
		"0.74 ×":              {Value: 0.74, Unit: "×", NoBudget: true},
		"7 requests":          {Value: 7, Unit: "requests", NoBudget: true},
		"61.3":                {Value: 61.29, NoBudget: true},
		"1\u00a0234\u00a0568": {Value: 1234567.8, NoBudget: true},
		"999":                 {Value: 999.4, NoBudget: true},
		"-1\u00a0000":         {Value: -1000, NoBudget: true},
		"-100":                {Value: -100, NoBudget: true},
		"1.502 ×":             {Value: 1.502, Unit: "×", Budget: 1.5},
		"1.5 ×":               {Value: 1.498, Unit: "×", Budget: 1.5},
		"4\u00a0096.4":        {Value: 4096.4, Budget: 4096},
		"0.6996":              {Value: 0.6996, Budget: 0.7, AtLeast: true},
		"not measured":        {Value: math.NaN(), Unit: "s", Budget: 1},
	} {
		number, unit := f.value()
		if got := strings.TrimSpace(number + " " + unit); got != want {
			t.Errorf("%v is %q, want %q", f.Value, got, want)
		}
	}
}

func TestTable(t *testing.T) {
	var out strings.Builder
	table(&out, example())
	want := strings.TrimPrefix(`
Throughput and processor time
  Throughput, of the floor's                                 0.74 x           >= 0.7, aim 0.8  met
  Processor time per payment, of the floor's                 1.62 x           <= 1.5, aim 1.3  MISSED
  Throughput                                                 61.3 payments/s
Requests
  Requests to the API server per payment                       10 requests    <= 11            met
  Writes of Payment and Charge                                  7 requests    <= 7             met
  Conflicts                                                     0 requests    <= 0             met
  Calls to Wave                                               3.2 requests    <= 3             MISSED
Latency
  Callback -> terminal, p99, of the bare sequence's           9.4 x           <= 3             MISSED
  Callback -> terminal, p99                                  41.2 ms
Memory
  Memory per finished payment                               3 402 bytes       <= 4 096         met
Standstill
  A rolling update                                           0.04 s           <= 2, aim 1      aim met
  A crash                                            not measured             <= 20            MISSED

4 of 10 budgets missed
`, "\n")
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, r := range out.String() {
		if r > '~' {
			t.Fatalf("%q is not ASCII", r)
		}
	}
}

func TestTable_OfNothing(t *testing.T) {
	var out strings.Builder
	if table(&out, nil); out.String() != "" {
		t.Errorf("%q", out.String())
	}
}

// What comes in several places is shown in one.
func TestSections(t *testing.T) {
	got := sections([]figure{{Key: "a", Group: "1"}, {Key: "b", Group: "2"}, {Key: "c", Group: "1"}})
	if len(got) != 2 || got[0].name != "1" || len(got[0].figures) != 2 || got[0].figures[1].Key != "c" {
		t.Errorf("%+v", got)
	}
}

func TestExceeds_NamesWhatAPaymentTakesMore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counts.json")
	if err := os.WriteFile(file, []byte(`{"mtn": {"requests": 10, "writes": 7, "provider_calls": 2}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		got  counted
		want string
	}{
		{counted{10.1, 7, 2}, ""}, {counted{9, 6, 2}, ""},
		{counted{11, 7, 2}, "11.00 requests"}, {counted{10, 8, 2}, "8.00 writes"}, {counted{10, 7, 3}, "3.00 provider calls"},
	} {
		err := exceeds(file, map[string]counted{"mtn": c.got})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.got, err)
		}
	}
	if exceeds(file, nil) == nil {
		t.Error("nothing was counted, and nothing is said")
	}
}
