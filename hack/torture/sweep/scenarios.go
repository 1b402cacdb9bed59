package sweep

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// Scenario is a story that faults are put into.
type Scenario struct {
	Name string
	// Providers that it makes sense at; all if empty.
	Providers []string
	// Amount chooses the payer's story by its last three digits.
	Amount string
	// Want is the phase in which the clean run has to end, by provider or for all (""), so that a
	// scenario does not quietly come to be about something else.
	Want map[string]v1alpha1.Phase
	// Options of the world.
	Options func(*testworld.Options)
	// Base is what happens in every run of it, by provider or for all.
	Base map[string][]testworld.Planned
	// Event happens once, at every point in turn; where no schedule says where, at the place that Base has it.
	Event []string
	// Payment changes the Payment before it is created.
	Payment func(*v1alpha1.Payment)
	// Arrange does what a scenario needs besides.
	Arrange func(*testworld.World, *judge.Judge)
	// Waits: a Payment may wait for a person for ever.
	Waits bool
	// Horizon of a run; the usual one if 0.
	Horizon time.Duration
}

const horizon = 3 * time.Hour

func (s Scenario) providers() []string {
	if len(s.Providers) == 0 {
		return []string{"mtn", "orange", "wave"}
	}
	return s.Providers
}

type phases = map[string]v1alpha1.Phase

func always(p v1alpha1.Phase) phases { return phases{"": p} }

func at(label string, n int, kind string) testworld.Planned {
	return testworld.Planned{Place: testworld.Place{Label: label, N: n}, Kind: kind}
}

// opener is the call that asks for money.
const opener = "call initiate"

// opening is what befalls the first request for money.
func opening(kind string, providers ...string) map[string][]testworld.Planned {
	if len(providers) == 0 {
		providers = []string{"mtn", "orange", "wave"}
	}
	out := map[string][]testworld.Planned{}
	for _, p := range providers {
		out[p] = []testworld.Planned{at(opener, 1, kind)}
	}
	return out
}

func settings(change func(*attempt.Settings)) func(*testworld.Options) {
	return func(o *testworld.Options) { change(&o.Settings) }
}

func pays(o *testworld.Options) { o.Pays = true }

// Scenarios of the sweep.
func Scenarios() []Scenario {
	var all []Scenario
	for _, some := range [][]Scenario{usual(), wires(), events(), refunds(), replicas()} {
		all = append(all, some...)
	}
	return all
}

// usual stories, told by the payer and the provider.
func usual() []Scenario {
	unknown := func(others v1alpha1.Phase) phases { return phases{"mtn": v1alpha1.PhaseUnknown, "": others} }
	return []Scenario{
		{Name: "paid", Amount: "1902", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "refused", Amount: "1903", Want: phases{"": v1alpha1.PhaseFailed, "wave": v1alpha1.PhaseExpired}},
		{Name: "second-try", Providers: []string{"wave"}, Amount: "1911", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "expired", Amount: "1906", Want: always(v1alpha1.PhaseExpired)},
		{Name: "stuck", Amount: "1907", Want: unknown(v1alpha1.PhaseExpired)},
		{Name: "confirmed-only", Amount: "1908", Want: phases{"": v1alpha1.PhaseUnknown, "wave": v1alpha1.PhaseExpired}},
		{Name: "late-success", Providers: []string{"mtn", "orange"}, Amount: "1912", Want: always(v1alpha1.PhaseFailed)},
		{Name: "callback-first", Amount: "1901", Want: always(v1alpha1.PhaseSucceeded), Options: func(o *testworld.Options) { o.Eager = true }},
		{Name: "callback-ahead", Amount: "1963", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "callback-doubled", Amount: "1962", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "callback-reordered", Amount: "1967", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "callback-never", Amount: "1902", Want: always(v1alpha1.PhaseSucceeded), Options: func(o *testworld.Options) { o.NoCallbacks = true }},
		{Name: "last-minute", Amount: "1909", Want: always(v1alpha1.PhaseSucceeded), Options: func(o *testworld.Options) { o.NoCallbacks = true },
			Arrange: func(w *testworld.World, _ *judge.Judge) {
				// MTN's prompt is over sooner.
				w.After(290*time.Second, w.Approve)
				w.After(595*time.Second, w.PayNow)
			}},
		{Name: "settled-paid", Providers: []string{"mtn", "orange"}, Amount: "1908", Want: always(v1alpha1.PhaseSucceeded), Arrange: settles(v1alpha1.SettledPaid)},
		{Name: "settled-unpaid", Providers: []string{"mtn", "orange"}, Amount: "1908", Want: always(v1alpha1.PhaseFailed), Arrange: settles(v1alpha1.SettledNotPaid)},
		{Name: "callback-forged", Amount: "1964", Want: unknown(v1alpha1.PhaseExpired)},
	}
}

// settles: a person who looked it up says how it ended.
func settles(outcome v1alpha1.SettledOutcome) func(*testworld.World, *judge.Judge) {
	return func(w *testworld.World, _ *judge.Judge) {
		w.After(80*time.Minute, func() { w.Settle(testworld.Sale, outcome) })
	}
}

// wires: what goes wrong on the way, in every run.
func wires() []Scenario {
	lost := phases{"": v1alpha1.PhaseSucceeded, "orange": v1alpha1.PhaseUnknown}
	return []Scenario{
		{Name: "rejected", Amount: "1902", Want: always(v1alpha1.PhaseFailed), Base: opening(testworld.Rejects)},
		{Name: "rejected-and-rings", Providers: []string{"mtn"}, Amount: "1902", Want: always(v1alpha1.PhaseSucceeded), Base: opening(testworld.RejectsRings)},
		{Name: "lost-answer", Amount: "1902", Want: lost, Base: opening(testworld.Lost)},
		{Name: "dropped", Amount: "1902", Want: always(v1alpha1.PhaseSucceeded), Base: opening(testworld.Dropped)},
		{Name: "late", Amount: "1902", Want: lost, Base: opening(testworld.LateArrival)},
		{Name: "later", Amount: "1902", Want: lost, Base: opening(testworld.LaterArrival)},
		{Name: "exists", Providers: []string{"mtn", "orange"}, Amount: "1902", Want: lost, Base: opening(testworld.Exists)},
		{Name: "hidden", Amount: "1941", Want: always(v1alpha1.PhaseSucceeded)},
		{Name: "surplus", Providers: []string{"wave"}, Amount: "1909", Want: always(v1alpha1.PhaseSucceeded), Base: opening(testworld.TwiceLost), Options: pays},
		{Name: "surplus-stuck", Providers: []string{"wave"}, Amount: "1907", Want: always(v1alpha1.PhaseExpired), Base: opening(testworld.Twice)},
		{Name: "other-amount", Amount: "1943", Want: always(v1alpha1.PhaseUnknown)},
		{Name: "other-currency", Providers: []string{"mtn", "wave"}, Amount: "1944", Want: always(v1alpha1.PhaseUnknown)},
		{Name: "unknown-word", Horizon: 30 * time.Hour, Amount: "1942", Want: always(v1alpha1.PhaseUnknown), Arrange: unreadable},
	}
}

// unreadable: nobody can be told what the provider's answers do not say.
func unreadable(_ *testworld.World, j *judge.Judge) { j.Unreadable = true }

// events happen at every point in turn; without a fault, where the payer is asked.
func events() []Scenario {
	asked := func(kind string) map[string][]testworld.Planned {
		return map[string][]testworld.Planned{"": {at("update Payment/status", 2, kind)}}
	}
	on := func(name, amount, kind string, want phases) Scenario {
		return Scenario{Name: name, Amount: amount, Want: want, Event: []string{kind}, Base: asked(kind)}
	}
	with := func(sc Scenario, change func(*Scenario)) Scenario { change(&sc); return sc }
	paid := always(v1alpha1.PhaseSucceeded)
	waits := func(sc *Scenario) { sc.Waits = true }
	and := func(kind string) func(*Scenario) {
		return func(sc *Scenario) {
			base := opening(kind)
			base[""] = sc.Base[""]
			sc.Base, sc.Want = base, nil
		}
	}
	return []Scenario{
		on("cancel", "1902", testworld.CancelSale, nil),
		on("cancel-stuck", "1907", testworld.CancelSale, nil),
		with(on("cancel-late", "1902", testworld.CancelSale, nil), and(testworld.LateArrival)),
		with(on("cancel-dropped", "1902", testworld.CancelSale, nil), and(testworld.Dropped)),
		on("delete", "1902", testworld.DeleteSale, nil),
		with(on("delete-late", "1902", testworld.DeleteSale, nil), and(testworld.LateArrival)),
		on("recreate", "1902", testworld.Recreate, paid),
		with(on("recreate-lost", "1902", testworld.Recreate, nil), and(testworld.Lost)),
		on("recreate-other", "1902", testworld.RecreateOther, always(v1alpha1.PhaseFailed)),
		with(on("restore", "1902", testworld.Restore, paid), waits),
		with(on("restore-nothing", "1902", testworld.RestoreNothing, nil), waits),
		on("edit-account", "1902", testworld.EditAccount, paid),
		on("remove-account", "1902", testworld.RemoveAccount, paid),
		on("remove-secret", "1902", testworld.RemoveSecret, paid),
		on("rotate", "1902", testworld.Rotate, paid),
		with(on("rotate-dropped", "1902", testworld.Rotate, nil), and(testworld.Dropped)),
		on("wrong-keys", "1902", testworld.WrongKeys, paid),
		// At Orange only the clock tells when a page is over: one that is hours ahead
		// is beyond what can be survived there.
		with(on("ahead", "1902", testworld.Ahead, nil), func(sc *Scenario) { sc.Providers = []string{"mtn", "wave"} }),
		on("ahead-a-little", "1902", testworld.AheadALittle, paid),
		with(on("behind", "1902", testworld.Behind, paid), func(sc *Scenario) { sc.Horizon = 10 * time.Hour }),
		{
			Name: "adopt-only", Amount: "1902", Waits: true, Want: always(v1alpha1.PhasePending),
			Options: settings(func(s *attempt.Settings) { s.AdoptOnly = true }),
		},
		{
			Name: "reused", Amount: "1901", Want: always(v1alpha1.PhaseUnknown),
			Options: settings(func(s *attempt.Settings) { s.AdoptionWindow = 10 * time.Minute }),
			Arrange: func(w *testworld.World, _ *judge.Judge) { w.After(40*time.Minute, w.Again) },
		},
	}
}

// refunds of a sale that was paid at once.
func refunds() []Scenario {
	giveBack := func(amounts ...string) func(*testworld.World, *judge.Judge) {
		return func(w *testworld.World, _ *judge.Judge) {
			w.After(3*time.Minute, func() {
				w.GiveBack(testworld.GiveBackName, testworld.Sale, amounts[0])
				for i, amount := range amounts[1:] {
					w.GiveBack(testworld.GiveBackName+string(rune('b'+i)), testworld.Sale, amount)
				}
			})
		}
	}
	both := []string{"mtn", "wave"}
	refunding := func(kind string) map[string][]testworld.Planned {
		return map[string][]testworld.Planned{"mtn": {at("call refund", 1, kind)}, "wave": {at("call refund", 1, kind)}}
	}
	claimed := func(kind string) map[string][]testworld.Planned {
		return map[string][]testworld.Planned{"": {at("update Refund/status", 2, kind)}}
	}
	paid := always(v1alpha1.PhaseSucceeded)
	return []Scenario{
		{Name: "refund", Amount: "2901", Want: paid, Arrange: giveBack("")},
		{Name: "refund-race", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack("", "")},
		{Name: "refund-parts", Providers: []string{"mtn"}, Amount: "2901", Want: paid, Arrange: giveBack("1000", "1500", "901")},
		{Name: "refund-first", Amount: "1902", Want: paid, Arrange: func(w *testworld.World, _ *judge.Judge) {
			w.GiveBack(testworld.GiveBackName, testworld.Sale, "")
		}},
		{Name: "refund-unpaid", Amount: "1903", Arrange: giveBack("")},
		{Name: "refund-lost", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack(""), Base: refunding(testworld.Lost)},
		{Name: "refund-late", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack(""), Base: refunding(testworld.LateArrival)},
		{Name: "refund-dropped", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack("", ""), Base: refunding(testworld.Dropped)},
		{Name: "refund-refused", Providers: []string{"mtn"}, Amount: "2901", Want: paid, Arrange: giveBack("1903", "2000")},
		{Name: "refund-rejected", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack(""), Base: refunding(testworld.Rejects)},
		{Name: "refund-stuck", Providers: []string{"mtn"}, Amount: "2901", Want: paid, Arrange: giveBack("1907", "2000")},
		{
			Name: "refund-deleted", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack("", ""),
			Event: []string{testworld.DeleteRefund}, Base: claimed(testworld.DeleteRefund),
		},
		{
			Name: "refund-again", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack(""),
			Event: []string{testworld.RecreateRefund}, Base: claimed(testworld.RecreateRefund),
		},
		{
			Name: "refund-rotate", Providers: both, Amount: "2901", Want: paid, Arrange: giveBack(""),
			Event: []string{testworld.Rotate}, Base: claimed(testworld.Rotate),
		},
	}
}

// replicas: two processes for ever, each of which believes that it is alone.
func replicas() []Scenario {
	two := func(skew time.Duration) func(*testworld.Options) {
		return func(o *testworld.Options) { o.Processes, o.Skew = 2, skew }
	}
	meanwhile := []string{testworld.Other, testworld.PausedShort, testworld.PausedLong}
	paid := always(v1alpha1.PhaseSucceeded)
	calledOff := func(p *v1alpha1.Payment) { p.Spec.Cancel = true }
	return []Scenario{
		{Name: "replicas", Amount: "1902", Want: paid, Options: two(0), Event: meanwhile},
		{Name: "replicas-ahead", Amount: "1902", Want: paid, Options: two(50 * time.Second), Event: meanwhile},
		{Name: "replicas-behind", Amount: "1902", Want: paid, Options: two(-50 * time.Second), Event: meanwhile},
		{Name: "replicas-stuck", Amount: "1907", Options: two(0), Event: meanwhile},
		{Name: "replicas-late", Amount: "1902", Options: two(0), Event: meanwhile, Base: opening(testworld.LateArrival)},
		{Name: "replicas-cancelled", Amount: "1902", Want: phases{"": v1alpha1.PhaseCancelled, "orange": v1alpha1.PhaseUnknown}, Options: two(0), Event: meanwhile, Payment: calledOff},
		{
			Name: "replicas-refund", Providers: []string{"mtn", "wave"}, Amount: "2901", Want: paid, Options: two(0), Event: meanwhile,
			Arrange: func(w *testworld.World, _ *judge.Judge) {
				w.After(3*time.Minute, func() {
					w.GiveBack(testworld.GiveBackName, testworld.Sale, "")
					w.GiveBack(testworld.GiveBackName+"b", testworld.Sale, "")
				})
			},
		},
	}
}
