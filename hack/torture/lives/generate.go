package lives

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"mobilemoney.dev/operator/controllers/testworld"
)

// Pair of a word and a state that it is played in.
type Pair struct {
	Word  string `json:"word"`
	State State  `json:"state"`
}

func (p Pair) String() string { return p.Word + " in " + string(p.State) }

// Pairs that there are, in order.
//
//nolint:gochecknoglobals // Made once, and only read.
var Pairs = sync.OnceValue(func() []Pair {
	var out []Pair
	for _, w := range slices.Sorted(maps.Keys(table())) {
		for _, s := range States() {
			out = append(out, Pair{w, s})
		}
	}
	return out
})

var providers = []string{"mtn", "orange", "wave"}

// labels of points that steps can wait for; those around a send more often.
//
//nolint:gochecknoglobals // Made once, and only read.
var labels = sync.OnceValue(func() []string {
	return slices.Concat(
		[]string{
			"live get Payment", "live get Charge", "live get Refund", "live get MerchantAccount", "live get Secret", "get Payment", "get Charge",
			"get MerchantAccount", "patch Payment/status", "call token", "call search", "call cancel", "call refund-status",
		},
		slices.Repeat([]string{"create Charge", "update Payment/status", "call initiate", "call status", "update Refund/status", "call refund"}, 2),
		slices.Repeat([]string{"update Charge"}, 4),
	)
})

// generator of one life. near are words that come more often: they go on with what is there.
type generator struct {
	*rand.Rand
	near []string
}

// stride between the pairs of two lives: a prime, so that all come, and words that are
// near each other in the alphabet do not.
const stride = 631

// target of a seed's life: where it is led, and at which provider.
func target(seed uint64) (string, Pair) {
	n, pairs := seed/2, Pairs()
	round, i := n/uint64(len(pairs)), n*stride%uint64(len(pairs))
	return providers[(round+i)%3], pairs[i]
}

// Generate the life of a seed. Every second one is led to a state of a Charge, so that
// each word is played in each state; the other ones go where chance takes them.
func Generate(seed uint64) Program {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 11))}
	provider, target := target(seed)
	p := Program{Provider: provider, Amount: g.amount()}
	if seed%2 == 1 {
		p.Provider = providers[g.IntN(3)]
	}
	p.Options = g.options()
	switch {
	case seed%2 == 1:
		p.Steps = g.begin(p)
	case (target.State == None || target.State == Open) && g.IntN(3) == 0:
		p.Steps = g.amidFirstSend(target)
	default:
		p, g.near = g.lead(p, target.State), near(target.State)
		if g.IntN(25) == 0 {
			p.Steps = slices.Concat([]Step{{Word: "clock+1y"}}, p.Steps, []Step{{Word: "clock-right"}})
		}
		last := Step{Word: target.Word}
		if g.IntN(3) == 0 {
			last.After = g.wait()
		}
		p.Steps = append(p.Steps, g.follow(p, target, last)...)
	}
	for range g.IntN(6) {
		p.Steps = append(p.Steps, g.steps(p)...)
	}
	return p
}

// near are the words that go on with a sale in a state.
func near(s State) []string {
	words := map[State]func() map[string]word{
		None: users, Open: users, Taken: platform, Unknown: settlers, Settled: settlers, Paid: refunders, Refunding: refunders, Refunded: refunders,
	}[s]
	if words == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(words()))
}

// begin a life anywhere. What befalls the first send has to be planned before it.
func (g generator) begin(p Program) []Step {
	var out []Step
	for range g.IntN(3) {
		out = append(out, g.atPoint(p))
	}
	if g.IntN(8) > 0 {
		out = append(out, Step{Word: "apply"})
	}
	return out
}

// amidFirstSend plays the word in the middle of the first send: before it is raised, or after.
func (g generator) amidFirstSend(target Pair) []Step {
	at := map[State][]string{None: {"create Charge", "call token"}, Open: {"update Payment/status", "call initiate"}}[target.State]
	return []Step{{At: at[g.IntN(2)], Word: target.Word}, {Word: "apply"}}
}

// before a word means something, another one has to be played; empty: none.
func before(word string) string {
	return map[string]string{
		"gain-lease": "lose-lease", "delete-refund": "refund", "refund-again": "refund", "refund-again-amount": "refund-part",
		"restore-refund": "refund", "lose-refund-status": "refund-part",
	}[word]
}

// follow is the word that a life was led to a state for.
func (g generator) follow(p Program, target Pair, last Step) []Step {
	if (strings.HasPrefix(target.Word, "paused-") || target.Word == "other") && target.State != None && (target.State != Refused || p.Provider == "mtn") {
		// In the middle of what somebody does: who does nothing at all cannot pause.
		return []Step{{At: "get Payment", Word: target.Word}, {Word: "touch"}}
	}
	if word := before(target.Word); word != "" && target.State != Refused {
		return []Step{{After: last.After, Word: word}, {Word: target.Word}}
	}
	if target.State == Refused && p.Provider != "mtn" {
		// It is over at once: only between two writes.
		return []Step{{At: "update Charge", Skip: 1, Word: target.Word}, {Word: "apply"}}
	}
	if target.State == Unsent && last.After > 3*time.Second {
		last.After = time.Second
	}
	return []Step{last}
}

func (g generator) options() []string {
	var out []string
	for _, o := range []struct {
		name    string
		percent int
	}{{"two", 25}, {"eager", 10}, {"never", 15}, {"broken", 12}, {"checked", 6}, {"production", 20}, {"crowd", 1}} {
		if g.IntN(100) < o.percent {
			out = append(out, o.name)
		}
	}
	return out
}

// amount of a story: most payers wait for what the life has them do.
func (g generator) amount() string {
	stories := []string{"1909", "1909", "2901", "2901", "1902", "1902", "1903", "1906", "1907", "1908", "1911", "1912", "1941", "1942", "1943", "1944", "1962", "1963", "1964", "1966", "1967", "1904"}
	return stories[g.IntN(len(stories))]
}

func (g generator) wait() time.Duration {
	switch n := g.IntN(100); {
	case n < 30:
		return 0
	case n < 50:
		return time.Duration(1+g.IntN(20)) * time.Second
	case n < 68:
		return time.Duration(20+g.IntN(160)) * time.Second
	case n < 84:
		return time.Duration(3+g.IntN(25)) * time.Minute
	case n < 93:
		return time.Duration(1+g.IntN(12)) * time.Hour
	case n < 98:
		return time.Duration(20+g.IntN(80)) * time.Hour
	default:
		return time.Duration(7+g.IntN(21)) * 24 * time.Hour
	}
}

// steps of any kind: a word after a while, or something at a point, and often a word that leads to that point.
func (g generator) steps(p Program) []Step {
	if g.IntN(100) < 55 {
		out := []Step{{After: g.wait(), Word: g.word()}}
		if g.IntN(6) == 0 {
			out = append(out, Step{Word: "restart"}) // whoever did that is remembered by nobody
		}
		return out
	}
	out := []Step{g.atPoint(p)}
	if g.IntN(3) == 0 {
		return out
	}
	wakers := []string{"apply", "again", "touch", "callback", "cancel", "other", "mend-account", "settle-paid"}
	if strings.Contains(out[0].At, "efund") {
		wakers = []string{"refund", "refund-part", "refunds", "refund-again", "restore-refund"}
	}
	return append(out, Step{After: g.wait(), Word: wakers[g.IntN(len(wakers))]})
}

// atPoint is a word or a fault at a point.
func (g generator) atPoint(p Program) Step {
	s := Step{At: labels()[g.IntN(len(labels()))], Skip: max(0, g.IntN(6)-2)}
	if g.IntN(100) < 35 {
		s.Word = g.word()
		return s
	}
	ways := testworld.Ways(p.Provider, testworld.Point{Place: testworld.Place{Label: s.At}, Class: classOf(s.At)})
	s.Word = ways[g.IntN(len(ways))]
	return s
}

// word of the table; what leads on is played more often.
func (g generator) word() string {
	often := []string{"apply", "again", "delete", "cancel", "pay", "decline", "refund", "refund-part", "settle-paid", "lose-charge", "mend-account", "other", "other"}
	switch g.IntN(4) {
	case 0:
		return often[g.IntN(len(often))]
	case 1:
		if len(g.near) > 0 {
			return g.near[g.IntN(len(g.near))]
		}
		return often[g.IntN(len(often))]
	}
	all := words()
	return all[g.IntN(len(all))]
}

//nolint:gochecknoglobals // Made once, and only read.
var words = sync.OnceValue(func() []string { return slices.Sorted(maps.Keys(table())) })

// lead a life to a state, as far as its provider comes there.
func (g generator) lead(p Program, to State) Program {
	apply := Step{Word: "apply"}
	fault := func(label, kind string) Step { return Step{At: label, Word: kind} }
	then := func(word string, after time.Duration) Step { return Step{After: after, Word: word} }
	pick := func(kinds ...string) string { return kinds[g.IntN(len(kinds))] }
	switch to {
	case None:
		switch g.IntN(6) {
		case 0:
		case 1, 2:
			p = g.lead(p, []State{Taken, Paid, Paid, Refunded, Settled}[g.IntN(5)])
			p.Steps = append(p.Steps, Step{Word: "delete"}, Step{Word: "lose-charge"})
		default:
			p.Steps = []Step{{Word: pick("suspend", "break-keys", "delete-secret", "delete-account", "distrust", "no-leader", "unreachable-10m", "other-country")}, apply, then("touch", time.Second)}
			p = g.cross(p, "update Payment/status", "paused-mended")
		}
	case Unsent:
		p.Steps = []Step{fault("call initiate", pick(testworld.Throttled, testworld.Unauthorized, testworld.Unsent, testworld.Forbidden)), apply, then("touch", time.Second)}
		p = g.cross(p, "update Charge", "paused-5m")
	case Open:
		p.Steps = []Step{fault("call initiate", pick(testworld.Lost, testworld.Dropped, testworld.Error500, testworld.LaterArrival)), apply, then("touch", time.Second)}
		p = g.cross(p, pick("update Charge", "update Payment/status"), "paused-5m")
	case Taken:
		p.Amount = pick("1909", "1907")
		p.Steps = []Step{apply, then("touch", time.Duration(g.IntN(100))*time.Second)}
	case Refused:
		p.Steps = []Step{fault("call initiate", testworld.Rejects)}
		if p.Provider == "mtn" {
			p.Steps = append(p.Steps, apply, then("touch", time.Second))
		}
	case Foreign:
		p.Steps = []Step{apply, then("other-installation", g.wait()), then("touch", 3*time.Second)}
	case Paid, Refunded:
		if p.Provider != "orange" && g.IntN(4) == 0 {
			// Found at the provider, which alone remembers it.
			p = g.leadToEnd(p, []State{Paid, Refunded}[g.IntN(2)])
			p.Steps = append(p.Steps, Step{Word: "delete"}, Step{Word: "lose-charge"}, Step{Word: "again-consent"}, then("touch", 30*time.Second))
			return p
		}
		fallthrough
	default:
		return g.leadToEnd(p, to)
	}
	return p
}

// cross lets another process go on, now and then, while the first one is about to write.
func (g generator) cross(p Program, label, how string) Program {
	if g.IntN(3) == 0 {
		p.Steps = append([]Step{{At: label, Word: how}}, p.Steps...)
		p.Options = slices.Compact(slices.Sorted(slices.Values(append(p.Options, "two"))))
	}
	return p
}

// leadToEnd leads to a state in which the request is decided, or cannot be.
func (g generator) leadToEnd(p Program, to State) Program {
	apply := Step{Word: "apply"}
	then := func(word string, after time.Duration) Step { return Step{After: after, Word: word} }
	later := func(d time.Duration) Step { return then("touch", d) }
	switch to {
	case Unknown:
		p = g.leadToUnknown(p)
	case Settled:
		p = g.leadToUnknown(p)
		p.Steps = append(p.Steps, Step{Word: []string{"settle-paid", "settle-unpaid"}[g.IntN(2)]}, later(5*time.Second))
	case Paid:
		p.Amount, p.Steps = "2901", []Step{apply, later(2 * time.Minute)}
	case Failed:
		p.Amount, p.Steps = "1903", []Step{apply, later(2 * time.Minute)}
		if p.Provider == "wave" {
			p.Steps = append([]Step{{At: "call initiate", Word: testworld.Rejects}}, p.Steps...)
		}
	case Expired:
		p.Amount, p.Steps = "1906", []Step{apply, later(40 * time.Minute)}
	case Cancelled:
		p.Amount, p.Steps = "1909", []Step{apply, then("cancel", 5*time.Second), later(4 * time.Minute)}
		if p.Provider == "orange" {
			p.Steps = append([]Step{{At: "call initiate", Word: testworld.Dropped}}, p.Steps...)
		}
	case Refunding, Refunded:
		p = g.leadToRefund(p, to)
	default:
	}
	return p
}

// leadToUnknown leads to an outcome that cannot be told: undecided, other money, silence or a lost record.
func (g generator) leadToUnknown(p Program) Program {
	then := func(word string, after time.Duration) Step { return Step{After: after, Word: word} }
	apply, later := Step{Word: "apply"}, func(d time.Duration) Step { return then("touch", d) }
	p.Amount, p.Steps = "1908", []Step{apply, later(16 * time.Minute)}
	if p.Provider == "wave" || g.IntN(4) == 0 {
		p.Amount = "1943" // paid, with other money
		return p
	}
	if g.IntN(3) == 0 {
		// Nobody answers until it is given up, and perhaps then.
		p.Amount = []string{"1943", "1943", "1909", "2901"}[g.IntN(4)]
		p.Steps = []Step{apply, then("refused-4d", time.Second), later(30 * time.Hour), later(time.Duration(g.IntN(2)) * 90 * time.Hour)}
		return p
	}
	if g.IntN(3) == 0 {
		p.Amount, p.Steps = "2901", []Step{apply, then("lose-charge", 2*time.Minute), then("again", time.Second), later(30 * time.Second)}
	}
	return p
}

// leadToRefund leads to a refund that is under way, or made.
func (g generator) leadToRefund(p Program, to State) Program {
	then := func(word string, after time.Duration) Step { return Step{After: after, Word: word} }
	p.Amount, p.Steps = "2901", []Step{{Word: "apply"}, then("refund", 2*time.Minute), then("touch", 5*time.Second)}
	if to == Refunding && p.Provider != "orange" {
		kinds := []string{testworld.Lost, testworld.Dropped, testworld.LaterArrival, testworld.Error500Done}
		if p.Provider == "mtn" {
			kinds = append(kinds, testworld.RejectsRings)
		}
		p.Steps = append([]Step{{At: "call refund", Word: kinds[g.IntN(len(kinds))]}}, p.Steps...)
		if g.IntN(3) == 0 {
			p.Steps = append(p.Steps, then("delete-refund", time.Duration(g.IntN(100))*time.Second), then("refund", g.wait()))
		}
	}
	if to == Refunded {
		p.Steps = append(p.Steps, then("touch", 2*time.Minute))
		if p.Provider == "orange" {
			p.Steps = append(p.Steps, Step{Word: "confirm"}, then("touch", 5*time.Second))
		}
	}
	return p
}
