package lives

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Options of many lives.
type Options struct {
	// Seed of the first life; the others follow.
	Seed uint64
	// Lives to live.
	Lives int
	// First: stop at the first violation.
	First   bool
	Workers int
	// Briefly: a life ends with its first violation, which is not shrunk and not told in full.
	Briefly bool
	// Validate is what the CRDs refuse; nil: nothing is refused.
	Validate func(kind testworld.Kind, status bool, old, written []byte) error
}

// Report of many lives.
type Report struct {
	Lives int     `json:"lives"`
	Days  float64 `json:"simulated_days"`
	// Pairs that were played, of those that there are, and those that were not.
	Pairs   int      `json:"action_state_pairs"`
	Missing []Pair   `json:"action_state_pairs_missing"`
	Played  []Played `json:"played"`
	// Violations, each with its life, shrunk.
	Violations []Found `json:"violations"`
}

// Played is how often a word was played in a state.
type Played struct {
	Pair
	Times int `json:"times"`
}

// Found is a violation and the life that it was found in.
type Found struct {
	judge.Violation
	Seed    uint64   `json:"seed"`
	Program string   `json:"program"`
	Trace   []string `json:"trace,omitempty"`
}

// worker is one of those who run lives.
type worker struct {
	shared *testworld.Shared
	played map[Pair]int
	lived  time.Duration
	lives  int
	found  []Found
	// briefly: a life ends with its first violation.
	briefly bool
}

// hung is how long a life, which takes milliseconds, may take before it is known to wait for what will never be.
const hung = 5 * time.Minute

// Live lives.
func Live(ctx context.Context, o Options) (Report, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	workers := make([]*worker, max(1, o.Workers))
	errs := make([]error, len(workers))
	var group sync.WaitGroup
	seeds := make(chan uint64)
	for i := range workers {
		workers[i] = &worker{shared: testworld.NewShared(), played: map[Pair]int{}, briefly: o.Briefly}
		workers[i].shared.Validate = o.Validate
		group.Go(func() {
			for seed := range seeds {
				if errs[i] == nil && ctx.Err() == nil {
					errs[i] = workers[i].live(seed)
				}
				if o.First && len(workers[i].found) > 0 {
					stop()
				}
			}
		})
	}
	for i := range o.Lives {
		if ctx.Err() != nil {
			break
		}
		seeds <- o.Seed + uint64(i)
	}
	close(seeds)
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return Report{}, err
		}
	}
	r := sum(workers)
	if o.Briefly {
		return r, nil
	}
	return explain(r)
}

// explained is how many kinds of violations are shrunk and told in full.
const explained = 10

// explain shrinks the first violation of each kind, and tells what happens in it.
func explain(r Report) (Report, error) {
	shared, told := testworld.NewShared(), map[string]bool{}
	for i := range r.Violations {
		f := &r.Violations[i]
		if told[f.Kind()] || len(told) >= explained {
			continue
		}
		told[f.Kind()] = true
		p, err := Parse(f.Program)
		if err != nil {
			return r, err
		}
		small, res, err := Shrink(shared, p, f.Violation)
		if err != nil {
			return r, err
		}
		f.Program, f.Trace = small.String(), res.Trace
	}
	return r, nil
}

// Replay is the command that shows it again.
func (f Found) Replay() string { return fmt.Sprintf("go run ./hack/torture -life '%s'", f.Program) }

func (k *worker) live(seed uint64) error {
	p := Generate(seed)
	defer time.AfterFunc(hung, func() { panic(fmt.Sprintf("life %d does not come to its end: %s", seed, p)) }).Stop()
	r, err := Run(k.shared, p, false, k.briefly)
	if err != nil {
		return err
	}
	k.lives++
	k.lived += r.Lived
	for _, pair := range r.Played {
		k.played[pair]++
	}
	for _, v := range r.Violations {
		k.found = append(k.found, Found{Violation: v, Seed: seed, Program: p.String()})
	}
	return nil
}

func sum(workers []*worker) Report {
	var r Report
	played := map[Pair]int{}
	for _, k := range workers {
		r.Lives += k.lives
		r.Days += k.lived.Hours() / 24
		r.Violations = append(r.Violations, k.found...)
		for pair, n := range k.played {
			played[pair] += n
		}
	}
	for _, pair := range Pairs() {
		if n := played[pair]; n > 0 {
			r.Played = append(r.Played, Played{pair, n})
			continue
		}
		if whyUnplayed(pair) == "" {
			r.Missing = append(r.Missing, pair)
		}
	}
	r.Pairs = len(r.Played)
	slices.SortFunc(r.Violations, func(a, b Found) int { return int(min(a.Seed, b.Seed)) - int(min(b.Seed, a.Seed)) })
	return r
}

// Shrink drops steps and options for as long as the rule stays violated.
func Shrink(shared *testworld.Shared, p Program, v judge.Violation) (Program, Result, error) {
	violates := func(p Program) (Result, bool, error) {
		r, err := Run(shared, p, true, false)
		return r, slices.ContainsFunc(r.Violations, v.Alike), err
	}
	best, _, err := violates(p)
	for shrunk := err == nil; shrunk; {
		shrunk = false
		for _, smaller := range smallerThan(p) {
			r, still, err := violates(smaller)
			if err != nil {
				return p, best, err
			}
			if still {
				p, best, shrunk = smaller, r, true
				break
			}
		}
	}
	return p, best, err
}

// smallerThan lists lives with one thing less.
func smallerThan(p Program) []Program {
	var out []Program
	for i := range p.Steps {
		q := p
		q.Steps = slices.Delete(slices.Clone(p.Steps), i, i+1)
		out = append(out, q)
	}
	for i := range p.Options {
		q := p
		q.Options = slices.Delete(slices.Clone(p.Options), i, i+1)
		out = append(out, q)
	}
	for i, s := range p.Steps {
		if s.After == 0 && s.Skip == 0 {
			continue
		}
		q := p
		q.Steps = slices.Clone(p.Steps)
		q.Steps[i].After, q.Steps[i].Skip = 0, 0
		out = append(out, q)
	}
	return out
}
