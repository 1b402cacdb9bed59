package lives

import (
	"errors"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Result of a life.
type Result struct {
	Program    Program
	Violations []judge.Violation
	// Played pairs.
	Played []Pair
	// Lived is the simulated time.
	Lived time.Duration
	Trace []string
}

// calm is how long a life goes on once nothing is wrong any more: longer than the
// longest interval between two checks, and than an unanswered request is followed.
const calm = 27 * time.Hour

// isFault tells whether a word is a kind of fault rather than something that somebody does.
func isFault(word string) bool {
	for _, label := range labels() {
		for _, provider := range providers {
			if slices.Contains(testworld.Ways(provider, testworld.Point{Place: testworld.Place{Label: label}, Class: classOf(label)}), word) {
				return true
			}
		}
	}
	return word == testworld.Rejects || word == testworld.RejectsRings || word == testworld.TwiceLost
}

func classOf(label string) testworld.Class {
	switch {
	case strings.HasPrefix(label, "call "):
		return testworld.Call
	case strings.HasPrefix(label, "live "):
		return testworld.LiveRead
	case strings.HasPrefix(label, "get "), strings.HasPrefix(label, "list "):
		return testworld.Read
	default:
		return testworld.Write
	}
}

// Run a life. first: it ends with the first violation.
func Run(shared *testworld.Shared, p Program, trace, first bool) (Result, error) {
	j := judge.New()
	o := testworld.Options{
		Shared: shared, Observer: j, Provider: p.Provider, Settings: attempt.DefaultSettings(), Trace: trace,
		Eager: p.has("eager"), NoCallbacks: p.has("never"), Checked: p.has("checked"),
	}
	if p.has("two") {
		o.Processes = 2
	}
	if first {
		o.Stop = func() bool { return len(j.Violations) > 0 }
	}
	w, err := testworld.New(o)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = w.Close() }()
	j.Watch(w)
	l := &life{program: p, w: w, judge: j}
	r := Result{Program: p}
	err = l.live(&r)
	if err == nil {
		err = l.mend()
	}
	switch {
	case errors.Is(err, testworld.ErrStopped):
	case err != nil:
		j.Violations = append(j.Violations, judge.Violation{Rule: judge.Bounds, Text: err.Error()})
	default:
		j.Lies = strings.HasSuffix(p.Amount, "967")
		// At Orange 943 answers with another order's id.
		j.Unreadable = strings.HasSuffix(p.Amount, "942") || strings.HasSuffix(p.Amount, "943") && p.Provider == "orange"
		j.Finish(p.has("broken"))
	}
	for _, leak := range w.Leaks() {
		j.Violations = append(j.Violations, judge.Violation{Rule: judge.Privacy, Text: leak.Name + " is told (" + leak.Form + ")"})
	}
	r.Violations, r.Lived, r.Trace = j.Violations, w.Elapsed(), w.Trace
	return r, nil
}

// live plays the steps.
func (l *life) live(r *Result) error {
	if l.program.has("production") {
		l.w.SwitchEnvironment()
	}
	for _, s := range l.program.Steps {
		if err := l.w.Run(s.After); err != nil {
			return err
		}
		l.look()
		do, isWord := table()[s.Word]
		switch {
		case s.At == "" && isWord:
			l.play(r, s.Word, do)
		case s.At != "" && isWord:
			l.w.ArmEvent(s.At, s.Skip, s.Word, func(p *testworld.Process) {
				l.w.Meanwhile(p, func() { l.play(r, s.Word, do) })
			})
		default:
			l.w.Arm(s.At, s.Skip, s.Word, 0)
		}
	}
	return l.w.Run(time.Second) // the last word has its effect
}

// play a word, and note in which state of the Charge.
func (l *life) play(r *Result, name string, do word) {
	l.look()
	state := stateOf(l.w)
	l.w.Say(name + " in " + string(state))
	if do(l) {
		r.Played = append(r.Played, Pair{name, state})
	}
}

// look at the sale as people do, who note what they see.
func (l *life) look() {
	if p := l.payment(); p != nil && p.Status.Unknown != nil && !slices.Contains(l.seen, p.Status.Unknown.ID) {
		l.seen = append(l.seen, p.Status.Unknown.ID)
	}
}

// mend all that was broken, but for the account where the life leaves that broken, and let time pass.
func (l *life) mend() error {
	l.w.Disarm()
	l.w.Store.Prune = nil
	l.w.Say("mend")
	first := l.w.FirstConfig()
	installation := l.w.Config.Installation
	installation.ID, installation.Given = first.Installation.ID, first.Installation.Given
	if !l.program.has("broken") {
		l.w.MendAccount()
		l.w.Config.Allowed = first.Allowed
	}
	l.w.SetClock(0)
	l.w.Config.AdoptOnly, l.w.Config.Installation = false, installation
	l.w.Down(2 * time.Second)
	l.w.GainLease()
	if !l.program.has("broken") {
		l.judge.Calm = l.w.Now()
	}
	l.crowd()
	if err := l.w.Run(calm); err != nil {
		return err
	}
	l.w.Collect()
	return l.w.Run(time.Minute)
}

// crowd: where the life says so, another tenant asks for much at once, and meanwhile a callback comes.
func (l *life) crowd() {
	if !l.program.has("crowd") {
		return
	}
	l.w.After(2*time.Minute, func() { l.w.Crowd(40) })
	l.w.After(2*time.Minute+5*time.Second, func() { table()["callback"](l) })
}
