package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

func drawn(t *testing.T, figures []figure) string {
	t.Helper()
	var out bytes.Buffer
	if err := picture(&out, "Budgets & <figures>", "2 × \"CPU\", 1 < 2 GiB", figures); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// svgTexts of an SVG, after checking that it is well-formed and complete in itself.
func svgTexts(t *testing.T, svg string) (all []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatalf("%v in\n%s", err, svg)
		}
		switch e := token.(type) {
		case xml.StartElement:
			for _, a := range e.Attr {
				if a.Name.Local == "href" || a.Name.Local == "src" || strings.Contains(a.Value, "url(") {
					t.Errorf("<%s> refers to %s", e.Name.Local, a.Value)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("<%s %s=%q>", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			if text := strings.TrimSpace(string(e)); text != "" {
				all = append(all, text)
			}
		}
	}
}

func TestPicture_ShowsEveryFigure(t *testing.T) {
	svg := drawn(t, example())
	all := svgTexts(t, svg)
	shown := strings.Join(all, "\n")
	for _, f := range example() {
		for _, line := range wrapped(f.Title, titleChars) {
			if !strings.Contains(shown, "\n"+line) {
				t.Errorf("%s: %q is not shown", f.Key, line)
			}
		}
		value, unit := f.value()
		want := []string{value, unit, f.Group}
		if f.budgeted() {
			want = append(want, digits(f.Budget, 0), f.verdict())
		}
		for _, w := range want {
			if !strings.Contains(shown, w) {
				t.Errorf("%s: %q is not shown", f.Key, w)
			}
		}
	}
	for _, w := range []string{"Budgets & <figures>", `2 × "CPU", 1 < 2 GiB`, "at least 0.7", "at most 1.5", "aim 1.3", "4 of 10 budgets missed", "no budget"} {
		if !strings.Contains(shown, w) {
			t.Errorf("%q is not shown", w)
		}
	}
	if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
		t.Error("a number is none")
	}
}

// Never by colour alone.
func TestPicture_MarksTheMissed(t *testing.T) {
	count := strings.Count
	svg := drawn(t, example())
	if words, marks := count(svg, ">missed</text>"), count(svg, `"mark missed"`); words != 4 || marks != 4 {
		t.Errorf("%d words and %d marks for 4", words, marks)
	}
	if words, marks := count(svg, ">met</text>")+count(svg, ">aim met</text>"), count(svg, `"mark met"`); words != 6 || marks != 6 {
		t.Errorf("%d words and %d marks for 6", words, marks)
	}
	svg = drawn(t, []figure{{Title: "a", Value: 1, Budget: 2}})
	if count(svg, "missed</text>") != 1 || !strings.Contains(svg, "1 of 1 budgets met") { // that of the legend
		t.Errorf("nothing is missed in\n%s", svg)
	}
}

// The bar ends before the budget, at it, or behind it, as the value does.
func TestPicture_Scale(t *testing.T) {
	const budget = budgetAt - plotLeft
	for _, c := range []struct{ value, budget, want float64 }{
		{1, 2, budget / 2.0}, {2, 2, budget}, {3, 2, budget * 1.5}, {0, 2, 0}, {-1, 2, 0}, {math.NaN(), 2, 0}, {0, 0, 0}, {1, 0, math.Inf(1)},
	} {
		if got := scaled(c.value, c.budget); got != c.want {
			t.Errorf("%v of %v is drawn at %v, want %v", c.value, c.budget, got, c.want)
		}
	}
}

func TestPicture_IsTheSameAgain(t *testing.T) {
	if first, second := drawn(t, example()), drawn(t, example()); first != second {
		t.Error("two pictures of the same figures differ")
	}
	svgTexts(t, drawn(t, nil))
}

func TestPicture_CannotBeWritten(t *testing.T) {
	if err := picture(fullDisk{}, "", "", example()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("%v", err)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, os.ErrClosed }

func TestWrapped(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "short": "short", "one two three": "one two|three", "onetwothreefourfive": "onetwoth…", "one two three four five": "one two|three fo…",
	} {
		if got := strings.Join(wrapped(text, 8), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
