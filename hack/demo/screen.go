package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// screen is where the demo writes to. On a terminal it has colors.
type screen struct {
	color bool

	mu sync.Mutex // guards w
	w  io.Writer
}

func newScreen(f *os.File) *screen {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &screen{w: f, color: terminal && os.Getenv("NO_COLOR") == ""}
}

func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, format, args...)
}

func (s *screen) paint(color, text string) string {
	if !s.color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

func colorOf(phase string) string {
	switch v1alpha1.Phase(phase) {
	case v1alpha1.PhaseSucceeded:
		return green
	case v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled:
		return red
	case v1alpha1.PhaseProcessing, v1alpha1.PhaseUnknown:
		return yellow
	default:
		return ""
	}
}

type row struct{ provider, name, amount, phase, reason string }

// table shows payments as they go: each change is a line of its own.
type table struct {
	out  *screen
	last map[string]row
}

func newTable(out *screen) *table {
	t := &table{out: out, last: map[string]row{}}
	out.printf("   TIME  %s\n", t.line(row{"PROVIDER", "NAME", "AMOUNT", "PHASE", "REASON"}))
	return t
}

func (t *table) show(elapsed time.Duration, rows []row) {
	for _, r := range rows {
		if r.phase != "" && t.last[r.name] != r {
			t.last[r.name] = r
			t.out.printf("%5.1f s  %s\n", elapsed.Seconds(), t.line(r))
		}
	}
}

func (t *table) line(r row) string {
	phase := t.out.paint(colorOf(r.phase), fmt.Sprintf("%-10s", r.phase))
	return fmt.Sprintf("%-8s  %-20s  %7s  %s  %s", r.provider, r.name, r.amount, phase, r.reason)
}
