package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// figure is one number of the report, and what is asked of it.
type figure struct {
	// Key as in the report, such as throughput_ratio.
	Key string
	// Title for people.
	Title string
	// Unit such as × or bytes; it may be empty.
	Unit string
	// Value that was measured; NaN: it was not.
	Value float64
	// Budget that the value is held against. There is none where it is NaN, or NoBudget says so.
	Budget   float64
	NoBudget bool
	// Aim beyond the budget; 0 or NaN: none.
	Aim float64
	// AtLeast: the value must not be below the budget; else it must not be above.
	AtLeast bool
	// Group that it is shown in.
	Group string
}

func (f figure) budgeted() bool { return !f.NoBudget && !math.IsNaN(f.Budget) }

// met reports whether the value keeps the budget. One that was not measured keeps none.
func (f figure) met() bool { return !f.budgeted() || f.reaches(f.Budget) }

func (f figure) aimed() bool { return f.budgeted() && f.Aim != 0 && !math.IsNaN(f.Aim) }

func (f figure) aimMet() bool { return f.aimed() && f.met() && f.reaches(f.Aim) }

func (f figure) reaches(goal float64) bool {
	if f.AtLeast {
		return f.Value >= goal
	}
	return f.Value <= goal
}

// verdict in a word or two; empty where nothing is asked.
func (f figure) verdict() string {
	switch {
	case !f.budgeted():
		return ""
	case f.aimMet():
		return "aim met"
	case f.met():
		return "met"
	default:
		return "missed"
	}
}

// value is a number in as few digits as show on which side of the budget it is, and its unit.
func (f figure) value() (text, unit string) {
	if math.IsNaN(f.Value) {
		return "not measured", ""
	}
	text = digits(f.Value, 0)
	for more := 1; more < 8 && !f.met() && text == digits(f.Budget, 0); more++ {
		text = digits(f.Value, more)
	}
	return text, f.Unit
}

// digits are about three digits, or so many more.
func digits(v float64, more int) string {
	decimals := 2
	switch size := math.Abs(v); {
	case math.IsInf(v, 0):
		return strconv.FormatFloat(v, 'f', -1, 64)
	case size >= 100:
		decimals = 0
	case size >= 10:
		decimals = 1
	}
	text := strconv.FormatFloat(v, 'f', decimals+more, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	whole, _, _ := strings.Cut(text, ".")
	// No break between thousands: 12 345.
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		text = text[:i] + "\u00a0" + text[i:]
	}
	return text
}

// goal is what is asked: in signs, for a table.
func (f figure) goal() string {
	if !f.budgeted() {
		return ""
	}
	sign := "≤ "
	if f.AtLeast {
		sign = "≥ "
	}
	text := sign + digits(f.Budget, 0)
	if f.aimed() {
		text += ", aim " + digits(f.Aim, 0)
	}
	return text
}

// section is figures that are shown together.
type section struct {
	name    string
	figures []figure
}

// sections in the order in which they are named first.
func sections(figures []figure) []section {
	var out []section
	at := map[string]int{}
	for _, f := range figures {
		i, known := at[f.Group]
		if !known {
			i = len(out)
			at[f.Group], out = i, append(out, section{name: f.Group})
		}
		out[i].figures = append(out[i].figures, f)
	}
	return out
}

// budgetsMet sums the verdicts up.
func budgetsMet(figures []figure) string {
	budgets, met := 0, 0
	for _, f := range figures {
		if !f.budgeted() {
			continue
		}
		budgets++
		if f.met() {
			met++
		}
	}
	switch {
	case budgets == 0:
		return "no budgets"
	case met == budgets:
		return fmt.Sprintf("%d of %d budgets met", met, budgets)
	default:
		return fmt.Sprintf("%d of %d budgets missed", budgets-met, budgets)
	}
}

// table writes the figures in columns: what, value, budget, verdict. It is plain ASCII where w is no terminal.
func table(w io.Writer, figures []figure) {
	show := ascii
	if isTerminal(w) {
		show = func(s string) string { return s }
	}
	row := func(f figure) [5]string {
		text, unit := f.value()
		return [5]string{show(f.Title), show(text), show(unit), show(f.goal()), strings.Replace(f.verdict(), "missed", "MISSED", 1)}
	}
	var widths [5]int
	for _, f := range figures {
		for i, cell := range row(f) {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, g := range sections(figures) {
		if g.name != "" {
			fmt.Fprintln(w, show(g.name))
		}
		for _, f := range g.figures {
			c := row(f)
			line := fmt.Sprintf("  %-*s  %*s %-*s  %-*s  %s", widths[0], c[0], widths[1], c[1], widths[2], c[2], widths[3], c[3], c[4])
			fmt.Fprintln(w, strings.TrimRight(line, " "))
		}
	}
	if len(figures) > 0 {
		fmt.Fprintf(w, "\n%s\n", budgetsMet(figures))
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ascii writes the signs of a report so that every log and pipe can show them.
func ascii(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			out.WriteRune(r)
		case r == '×':
			out.WriteByte('x')
		case r == '≤':
			out.WriteString("<=")
		case r == '≥':
			out.WriteString(">=")
		case r == '→':
			out.WriteString("->")
		case r == '–', r == '—':
			out.WriteByte('-')
		case r == '’':
			out.WriteByte('\'')
		case r == '\u00a0':
			out.WriteByte(' ')
		case r == 'µ', r == 'μ':
			out.WriteByte('u')
		default:
			out.WriteByte('?')
		}
	}
	return out.String()
}
