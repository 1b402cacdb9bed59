package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// screen is where the demo writes to: a terminal, or something that keeps every line.
type screen struct {
	terminal bool
	color    bool

	mu sync.Mutex // guards w
	w  io.Writer
}

func newScreen(f *os.File) *screen {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &screen{w: f, terminal: terminal, color: terminal && os.Getenv("NO_COLOR") == ""}
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

// row is a payment in the table.
type row struct{ provider, name, amount, phase, reason string }

// table shows payments as they go: drawn again in place on a terminal, else each
// change as a line of its own, so that a log of it can be read.
type table struct {
	out   *screen
	drawn int
	last  map[string]row
}

func newTable(out *screen) *table { return &table{out: out, last: map[string]row{}} }

func (t *table) show(elapsed time.Duration, rows []row) {
	if t.out.terminal {
		t.draw(elapsed, rows)
		return
	}
	if t.drawn == 0 {
		t.out.printf("   TIME  %s\n", t.line(row{"PROVIDER", "NAME", "AMOUNT", "PHASE", "REASON"}))
		t.drawn = 1
	}
	for _, r := range rows {
		if r.phase != "" && t.last[r.name] != r {
			t.last[r.name] = r
			t.out.printf("%5.1f s  %s\n", elapsed.Seconds(), t.line(r))
		}
	}
}

// draw writes all of it at once, over what was there. Lines are not wrapped
// meanwhile: a narrow terminal would have more of them than we count.
func (t *table) draw(elapsed time.Duration, rows []row) {
	const keepLines, wrapLines, clearLine = "\x1b[?7l", "\x1b[?7h", "\x1b[2K"
	var b strings.Builder
	b.WriteString(keepLines)
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", t.drawn)
	}
	lines := []string{t.line(row{"PROVIDER", "NAME", "AMOUNT", "PHASE", "REASON"})}
	for _, r := range rows {
		lines = append(lines, t.line(r))
	}
	lines = append(lines, fmt.Sprintf("%.0f s", elapsed.Seconds()))
	for _, line := range lines {
		b.WriteString(clearLine + line + "\n")
	}
	b.WriteString(wrapLines)
	t.drawn = len(lines)
	t.out.printf("%s", b.String())
}

func (t *table) line(r row) string {
	phase := t.out.paint(colorOf(r.phase), fmt.Sprintf("%-10s", r.phase))
	return fmt.Sprintf("%-8s  %-20s  %7s  %s  %s", r.provider, r.name, r.amount, phase, r.reason)
}
