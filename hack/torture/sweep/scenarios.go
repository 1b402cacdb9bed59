package sweep

import (
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/hack/torture/judge"
	"mobilemoney.dev/operator/hack/torture/world"
)

// Scenario is a story that faults are put into.
type Scenario struct {
	Name string
	// Providers that it makes sense at; all if empty.
	Providers []string
	// Amount chooses the payer's story by its last three digits.
	Amount string
	// Want is the phase in which the clean run has to end, by provider or for
	// all (""), so that a scenario does not quietly come to be about something
	// else.
	Want map[string]v1alpha1.Phase
	// Options of the world.
	Options func(*world.Options)
	// Base is what happens in every run of it, by provider or for all.
	Base map[string][]world.Planned
	// Event happens once, at every point in turn; where no schedule says where,
	// at the place that Base has it.
	Event []string
	// Payment changes the Payment before it is created.
	Payment func(*v1alpha1.Payment)
	// Arrange does what a scenario needs besides.
	Arrange func(*world.World, *judge.Judge)
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

func at(label string, n int, kind string) world.Planned {
	return world.Planned{Place: world.Place{Label: label, N: n}, Kind: kind}
}

// opener is the call that asks for money.
func opener(provider string) string {
	return map[string]string{"mtn": "call requesttopay", "orange": "call webpayment", "wave": "call checkout session create"}[provider]
}

// opening is what befalls the first request for money.
func opening(kind string, providers ...string) map[string][]world.Planned {
	if len(providers) == 0 {
		providers = []string{"mtn", "orange", "wave"}
	}
	out := map[string][]world.Planned{}
	for _, p := range providers {
		out[p] = []world.Planned{at(opener(p), 1, kind)}
	}
	return out
}

func settings(change func(*payment.Settings)) func(*world.Options) {
	return func(o *world.Options) { change(&o.Settings) }
}

func pays(o *world.Options) { o.Pays = true }

// Scenarios of the sweep.
func Scenarios() []Scenario {
	var all []Scenario
	for _, some := range [][]Scenario{usual(), wires(), events(), refunds(), replicas()} {
		all = append(all, some...)
	}
	return all
}

func usual() []Scenario {
	return []Scenario{
		{Name: "paid", Amount: "1902", Want: always(v1alpha1.PhaseSucceeded)},
	}
}

func wires() []Scenario { return nil }

func events() []Scenario { return nil }

func refunds() []Scenario { return nil }

func replicas() []Scenario { return nil }
