package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Geometry of the picture, in pixels.
const (
	pictureWidth  = 900
	pictureMargin = 28
	plotLeft      = 274
	plotRight     = 550
	// budgetAt is where every budget is drawn: each bar has a scale of its own.
	budgetAt    = plotLeft + (plotRight-plotLeft)*2/3
	valueRight  = 622
	goalLeft    = 708
	verdictLeft = 806
	headHeight  = 112
	groupHeight = 38
	rowHeight   = 34
	barHeight   = 12
	trackHeight = 20
	// titleChars are about as many as there is room for.
	titleChars = 36
)

// picture writes one SVG that shows each figure as a bar against its budget: met ones and missed ones differ by
// colour, by a mark and by a word. The same figures are the same bytes.
func picture(w io.Writer, title, machine string, figures []figure) error {
	height := headHeight + pictureMargin
	for _, g := range sections(figures) {
		if g.name != "" {
			height += groupHeight
		}
		height += rowHeight * len(g.figures)
	}
	c := &canvas{}
	c.printf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title desc">`, pictureWidth, height)
	c.printf(`<title id="title">%s</title>`, xmlText(title))
	c.printf(`<desc id="desc">%s</desc>`, xmlText(inWords(machine, figures)))
	c.printf("<style>%s</style>", pictureStyle)
	c.printf(`<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="10"/>`, pictureWidth-1, height-1)
	c.head(title, machine, figures)
	y := float64(headHeight)
	for _, g := range sections(figures) {
		if g.name != "" {
			c.text(pictureMargin, y+25, "group", g.name)
			c.printf(`<path class="rule" d="M%d %sH%d"/>`, pictureMargin, px(y+33), pictureWidth-pictureMargin)
			y += groupHeight
		}
		for _, f := range g.figures {
			c.row(y+rowHeight/2, f)
			y += rowHeight
		}
	}
	c.printf("</svg>")
	_, err := c.WriteTo(w)
	return err
}

// pictureStyle in the colours of Okabe and Ito, which the colour-blind can tell apart, and the greys of GitHub.
const pictureStyle = `
.card{fill:#fff;stroke:#d1d9e0}
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;fill:#1f2328}
text.head{font-size:20px;font-weight:600}
text.small{font-size:12px;fill:#59636e}
text.group{font-weight:600}
text.value{font-weight:600;text-anchor:end}
text.end{text-anchor:end}
text.ok{font-size:12px;fill:#005a8d}
text.bad{font-size:12px;font-weight:700;fill:#a84300}
.rule{stroke:#d1d9e0}
.track{fill:#f0f2f5}
.good{fill:#d3e6f2}
.met{fill:#0072b2}
.missed{fill:#d55e00}
.gap{stroke:#fff;stroke-width:2}
.budget{stroke:#1f2328;stroke-width:2}
.side{fill:#1f2328}
.aim{stroke:#1f2328;stroke-opacity:.75;stroke-width:1.5;stroke-dasharray:3 2}
.mark{stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.mark.met{fill:none;stroke:#0072b2}
.mark.missed{fill:none;stroke:#d55e00}
@media (prefers-color-scheme:dark){
.card{fill:#0d1117;stroke:#3d444d}
text{fill:#f0f6fc}
text.small{fill:#9198a1}
text.ok{fill:#79c4f0}
text.bad{fill:#f5ab35}
.rule{stroke:#3d444d}
.track{fill:#1c2129}
.good{fill:#173349}
.met{fill:#56b4e9}
.missed{fill:#e69f00}
.gap{stroke:#0d1117}
.budget{stroke:#f0f6fc}
.side{fill:#f0f6fc}
.aim{stroke:#f0f6fc}
.mark.met{stroke:#56b4e9}
.mark.missed{stroke:#e69f00}
}
`

type canvas struct{ bytes.Buffer }

func (c *canvas) printf(format string, args ...any) {
	fmt.Fprintf(&c.Buffer, format+"\n", args...)
}

func (c *canvas) text(x, y float64, class, text string) {
	if text == "" {
		return
	}
	if class != "" {
		class = ` class="` + class + `"`
	}
	c.printf(`<text%s x="%s" y="%s">%s</text>`, class, px(x), px(y), xmlText(text))
}

func (c *canvas) rect(class string, x, y, width, height float64) {
	c.printf(`<rect class="%s" x="%s" y="%s" width="%s" height="%s" rx="2"/>`, class, px(x), px(y), px(width), px(height))
}

// mark is drawn, so that no font has to have it: a tick or a cross, around a middle.
func (c *canvas) mark(x, y float64, met bool) {
	class, path := "mark met", "l3 3.5l5.5 -7"
	if !met {
		class, path, y = "mark missed", "l7 7m0 -7l-7 7", y-4
	}
	c.printf(`<path class="%s" d="M%s %s%s"/>`, class, px(x), px(y), path)
}

// head tells what is shown, and how to read it.
func (c *canvas) head(title, machine string, figures []figure) {
	c.text(pictureMargin, 40, "head", title)
	c.text(pictureMargin, 61, "small", machine)
	class := "end ok"
	if strings.HasSuffix(budgetsMet(figures), "missed") {
		class = "end bad"
	}
	c.text(pictureWidth-pictureMargin, 40, class, budgetsMet(figures))
	const y = 92
	x := float64(pictureMargin)
	next := func(text string) {
		c.text(x, y, "small", text)
		x += 7*float64(utf8.RuneCountInString(text)) + 18
	}
	swatch := func(class string, text string) {
		c.rect(class, x, y-9, 18, 10)
		x += 24
		next(text)
	}
	swatch("met", "budget met")
	swatch("missed", "budget missed")
	swatch("good", "where the value should end")
	c.printf(`<path class="budget" d="M%s %dv14"/>`, px(x+1), y-11)
	x += 9
	next("budget")
	c.printf(`<path class="aim" d="M%s %dv14"/>`, px(x+1), y-11)
	x += 9
	next("aim")
	c.text(pictureWidth-pictureMargin, y, "small end", "each bar has its own scale")
}

// row is one figure; y is its middle.
func (c *canvas) row(y float64, f figure) {
	lines := wrapped(f.Title, titleChars)
	for i, line := range lines {
		c.text(pictureMargin, y+4.5+15*(float64(i)-float64(len(lines)-1)/2), "", line)
	}
	value, unit := f.value()
	if math.IsNaN(f.Value) {
		c.text(plotRight+14, y+4, "small", value)
	} else {
		c.text(valueRight, y+4.5, "value", value)
		c.text(valueRight+5, y+4.5, "small", unit)
	}
	if !f.budgeted() {
		c.text(goalLeft, y+4, "small", "no budget")
		return
	}
	c.bar(y, f)
	budget := "at most "
	if f.AtLeast {
		budget = "at least "
	}
	if budget += digits(f.Budget, 0); !f.aimed() {
		c.text(goalLeft, y+4, "small", budget)
	} else {
		c.text(goalLeft, y-3, "small", budget)
		c.text(goalLeft, y+12, "small", "aim "+digits(f.Aim, 0))
	}
	class := "ok"
	if !f.met() {
		class = "bad"
	}
	c.mark(verdictLeft, y, f.met())
	c.text(verdictLeft+15, y+4, class, f.verdict())
}

// bar against the budget. On which side of it the value should end is shaded, and a small arrow points there.
func (c *canvas) bar(y float64, f figure) {
	const width = plotRight - plotLeft
	top := y - trackHeight/2
	c.rect("track", plotLeft, top, width, trackHeight)
	side := -1.0
	if f.AtLeast {
		side = 1
		c.rect("good", budgetAt, top, plotRight-budgetAt, trackHeight)
	} else {
		c.rect("good", plotLeft, top, budgetAt-plotLeft, trackHeight)
	}
	class := "met"
	if !f.met() {
		class = "missed"
	}
	if long := scaled(f.Value, f.Budget); long > 0 {
		c.rect(class, plotLeft, y-barHeight/2, min(max(long, 2), width), barHeight)
		if long > width { // the bar goes on
			c.printf(`<path class="gap" d="M%d %sl-5 %d"/>`, plotRight-14, px(top), trackHeight)
			c.printf(`<path class="gap" d="M%d %sl-5 %d"/>`, plotRight-9, px(top), trackHeight)
		}
	}
	if at := scaled(f.Aim, f.Budget); f.aimed() && at <= width {
		c.printf(`<path class="aim" d="M%s %sv%d"/>`, px(plotLeft+at), px(top), trackHeight)
	}
	c.printf(`<path class="budget" d="M%d %sv%d"/>`, budgetAt, px(top-6), trackHeight+9)
	c.printf(`<path class="side" d="M%s %sv8l%s -4z"/>`, px(budgetAt+side), px(top-6), px(7*side))
}

// scaled is how far from the left a value is drawn, so that the budget is where all budgets are.
func scaled(v, budget float64) float64 {
	switch {
	case math.IsNaN(v) || v <= 0:
		return 0
	case budget <= 0: // anything is more
		return math.Inf(1)
	default:
		return v / budget * (budgetAt - plotLeft)
	}
}

// inWords is the picture for who cannot see it.
func inWords(machine string, figures []figure) string {
	parts := []string{strings.TrimSpace(machine), budgetsMet(figures)}
	for _, f := range figures {
		value, unit := f.value()
		text := strings.TrimSpace(f.Title + ": " + value + " " + unit)
		if f.budgeted() {
			text += " (" + f.goal() + "): " + f.verdict()
		}
		parts = append(parts, text)
	}
	return strings.TrimPrefix(strings.Join(parts, ". "), ". ") + "."
}

// wrapped text is of at most two lines; what has no room ends in an ellipsis.
func wrapped(text string, chars int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		if *last != "" && utf8.RuneCountInString(*last+" "+word) > chars && len(lines) < 2 {
			lines = append(lines, word)
			continue
		}
		*last = strings.TrimSpace(*last + " " + word)
	}
	for i, line := range lines {
		if r := []rune(line); len(r) > chars+2 {
			lines[i] = string(r[:chars]) + "…"
		}
	}
	return lines
}

// px writes a coordinate to a tenth of a pixel.
func px(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

func xmlText(s string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(s)) // a Buffer takes everything
	return out.String()
}
