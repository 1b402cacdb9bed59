package testworld

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Class of a point: what can befall it.
type Class int

const (
	// Write to the API.
	Write Class = iota
	// Read of the cache.
	Read
	// LiveRead past the cache.
	LiveRead
	// Call to a provider.
	Call
)

// Place names one point of a run: the n-th with a label, from 1. Points are
// discovered: whatever goes through a process's clients is one.
type Place struct {
	Label string
	N     int
}

func (p Place) String() string { return p.Label + "#" + strconv.Itoa(p.N) }

// Point is a place that a run came to.
type Point struct {
	Place
	Class Class
}

// Planned is something that befalls a place.
type Planned struct {
	Place
	// Kind of the fault or event; see kinds.go.
	Kind string
	// Stale is how many events the cache is behind of the process that comes after a crash.
	Stale int
}

func (p Planned) String() string {
	s := p.Place.String() + "=" + p.Kind
	if p.Stale > 0 {
		s += "~" + strconv.Itoa(p.Stale)
	}
	return s
}

// ParsePlanned reads what String wrote.
func ParsePlanned(s string) (Planned, error) {
	place, kind, found := strings.Cut(s, "=")
	at := strings.LastIndexByte(place, '#')
	if !found || at < 0 {
		return Planned{}, fmt.Errorf("%q is not label#n=kind", s)
	}
	n, err := strconv.Atoi(place[at+1:])
	if err != nil {
		return Planned{}, fmt.Errorf("%q has no number: %w", s, err)
	}
	p := Planned{Place: Place{Label: strings.TrimSpace(place[:at]), N: n}, Kind: kind}
	if k, stale, ok := strings.Cut(kind, "~"); ok {
		if p.Stale, err = strconv.Atoi(stale); err != nil {
			return Planned{}, fmt.Errorf("%q: how stale: %w", s, err)
		}
		p.Kind = k
	}
	return p, nil
}

// hit is what a point is about to be befallen by; the zero value: nothing.
type hit struct {
	kind  string
	stale int
}

// arrive comes to a point: it counts, lets happen what was planned to happen in the world before
// it, and returns what was planned to befall the point itself.
func (w *World) arrive(p *Process, class Class, label string) hit {
	w.counts[label]++
	place := Place{label, w.counts[label]}
	w.Points = append(w.Points, Point{place, class})
	var h hit
	if o := w.outages[class]; w.clock.Now().Before(o.until) {
		h.kind = o.kind
	}
	if a := w.disarm(label); a != nil {
		w.lastFault = w.clock.Now()
		w.logf(p, "*** %s", a.name)
		if a.do != nil {
			a.do(p)
		} else {
			h = a.hit
		}
	}
	for i := range w.plan {
		f := &w.plan[i]
		if w.fired[i] || f.N != place.N || f.Label != place.Label {
			continue
		}
		w.fired[i] = true
		w.lastFault = w.clock.Now()
		if late := w.lastFault.Add(settling); late.After(w.end) {
			w.end = late
		}
		if i == 0 {
			w.FiredAt = len(w.Points)
		}
		w.logf(p, "*** %s", f)
		if event, ok := w.event(f.Kind); ok {
			event(w, p)
			continue
		}
		if h.kind == "" {
			h = hit{f.Kind, f.Stale}
		}
	}
	return h
}

// outage is what befalls all points of a class for a while.
type outage struct {
	kind  string
	until time.Time
}

// Outage lets a kind of fault befall all points of a class for a while.
func (w *World) Outage(class Class, kind string, d time.Duration) {
	w.outages[class] = outage{kind, w.clock.Now().Add(d)}
}

// armed is what befalls a point that comes.
type armed struct {
	label string
	skip  int
	name  string
	hit   hit
	do    func(*Process)
}

// Arm a fault for the point of a label that comes after skip others.
func (w *World) Arm(label string, skip int, kind string, stale int) {
	w.armed = append(w.armed, armed{label: label, skip: skip, name: kind, hit: hit{kind, stale}})
}

// ArmEvent lets something happen just before a point.
func (w *World) ArmEvent(label string, skip int, name string, do func(*Process)) {
	w.armed = append(w.armed, armed{label: label, skip: skip, name: name, do: do})
}

// Disarm drops what has not happened.
func (w *World) Disarm() { w.armed, w.outages = nil, map[Class]outage{} }

// disarm takes out what is armed for a point.
func (w *World) disarm(label string) *armed {
	for i := range w.armed {
		if a := w.armed[i]; a.label == label {
			if w.armed[i].skip--; a.skip > 0 {
				return nil
			}
			w.armed = slices.Delete(w.armed, i, i+1)
			return &a
		}
	}
	return nil
}

// Fired tells whether the first n of the plan happened.
func (w *World) Fired(n int) bool { return !slices.Contains(w.fired[:n], false) }
