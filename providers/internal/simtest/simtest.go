// Package simtest lets the conformance suite of providers run against the simulator. What is told here of a provider
// comes from its documentation. The sections (§) are those of the project's protocol notes, which docs/providers.md
// reproduces: each row of their tables is a Word or a Refusal here.
package simtest

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

// Fixture is one provider of a simulator, whose payers wait to be told.
type Fixture struct {
	sim       *simulator.Simulator
	provider  simulator.Provider
	clock     *simulator.Clock
	transport providers.Transport
	facts     providertest.Facts
}

var _ providertest.Fixture = (*Fixture)(nil)

// Start a simulator until the test ends. Facts are told with the URLs of the simulator, which they need.
func Start(t providertest.T, p simulator.Provider, o simulator.Options, facts func(*simulator.Simulator) providertest.Facts) *Fixture {
	t.Helper()
	clock := simulator.NewClock(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	o.Now, o.Rand, o.NoMagic = clock.Now, simulator.Seeded(1), true
	sim := Simulator(t, o)
	sim.SetDefault(p, simulator.Scenario{Payer: simulator.Waits})
	return &Fixture{
		sim: sim, provider: p, clock: clock, facts: facts(sim), transport: trusting(),
	}
}

// Simulator that serves until the test ends.
func Simulator(t providertest.T, o simulator.Options) *simulator.Simulator {
	t.Helper()
	sim, err := simulator.New(o)
	if err != nil {
		t.Fatalf("simulator: %v", err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Errorf("simulator: %v", err)
		}
	})
	if _, err := sim.Start(); err != nil {
		t.Fatalf("simulator: %v", err)
	}
	return sim
}

// Client of an account at the simulator.
func Client(t providertest.T, k providers.Kind, a providers.Account, now func() time.Time) providers.Provider {
	t.Helper()
	p, err := k.New(a, trusting(), now)
	if err != nil {
		t.Fatalf("a client: %v", err)
	}
	return p
}

// trusting is the real transport, which may reach this machine.
func trusting() providers.Transport {
	return transport.New(transport.Options{Trusted: []string{"127.0.0.1"}})
}

// Facts of the provider.
func (f *Fixture) Facts() providertest.Facts { return f.facts }

// Transport is the real one.
func (f *Fixture) Transport() providers.Transport { return f.transport }

// Now of the simulator's clock.
func (f *Fixture) Now() time.Time { return f.clock.Now() }

// Advance the simulator's clock.
func (f *Fixture) Advance(d time.Duration) {
	f.clock.Add(d)
	f.sim.Tick()
}

// session is how the simulator knows what a payer has in hand.
func (f *Fixture) session(h providers.Handle) string {
	switch f.provider {
	case simulator.Orange:
		return h.Token.Reveal()
	case simulator.Wave:
		return h.SessionID
	default:
		return h.Reference
	}
}

// Pay as the payer.
func (f *Fixture) Pay(h providers.Handle) error { return f.sim.Pay(f.session(h)) }

// Refuse as the payer.
func (f *Fixture) Refuse(h providers.Handle) error { return f.sim.Refuse(f.session(h)) }

// Expire waits until no session of now can be paid any more.
func (f *Fixture) Expire(providers.Handle) error {
	f.Advance(31 * time.Minute)
	return nil
}

// RevokeTokens of all clients.
func (f *Fixture) RevokeTokens() { f.sim.ExpireTokens() }

// Ledger of a reference, from the simulator's.
func (f *Fixture) Ledger(reference string) providertest.Ledger {
	var out providertest.Ledger
	for _, digits := range f.sim.Payers(reference) {
		out.Payers = append(out.Payers, providers.Phone("+"+digits))
	}
	for _, e := range f.sim.Ledger() {
		if e.Provider != f.provider || e.Reference != reference {
			continue
		}
		money := providers.Money{Amount: e.Amount, Currency: e.Currency}
		switch e.Event {
		case simulator.Opened:
			out.Opened = append(out.Opened, money)
		case simulator.Paid:
			out.Paid++
		case simulator.Refunded:
			out.Refunded = append(out.Refunded, money)
		default:
		}
	}
	return out
}

// roles tells the role of a POST by the end of its path; everything else asks a question or ends a session.
func roles(byEnd map[string]providertest.Role) func(providers.Call) providertest.Role {
	return func(c providers.Call) providertest.Role {
		if c.Method == http.MethodPost {
			for end, role := range byEnd {
				if strings.HasSuffix(c.URL, end) {
					return role
				}
			}
		}
		return providertest.RoleOther
	}
}

// Fields is an answer with some fields replaced.
func Fields(pairs ...any) providertest.Edit {
	fields := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			fields[name] = pairs[i+1]
		}
	}
	return providertest.Set(fields)
}

func word(name string, want providers.Status, pairs ...any) providertest.Word {
	return providertest.Word{Name: name, Answer: Fields(pairs...), Want: want}
}

func is(state providers.State, code string) providers.Status {
	return providers.Status{State: state, Code: code}
}

func odd(code string) providers.Status {
	return providers.Status{State: providers.StatePending, Code: code, Unrecognized: true}
}

// The classes that the tables of refusals are about.
const (
	rejected, misconfigured, unknown = providers.ClassRejected, providers.ClassMisconfigured, providers.ClassUnknown
	exists, throttled                = providers.ClassAlreadyExists, providers.ClassThrottled
)

// with are the rows as answers to an operation.
func with(op providertest.Op, rows []providertest.Refusal) []providertest.Refusal {
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Op = op
	}
	return rows
}

// asQuestion is how the answer to an order is taken where it answers a question: that is not rejected.
func asQuestion(r providertest.Refusal) providertest.Refusal {
	if r.Class == rejected || r.Class == exists {
		return providertest.Refusal{Op: r.Op, Answer: r.Answer, Code: r.Code, Class: unknown}
	}
	return r
}

func empty(status int) providers.Answer { return providers.Answer{Status: status} }
