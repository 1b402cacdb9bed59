//go:build !race

package payment

import (
	"slices"
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// mutant is the product without one safeguard.
type mutant struct {
	name     string
	provider string
	left     budget
	rules    rules
	// unnoticed: nobody notices that etcd went back.
	unnoticed bool
	// breaks are the invariants, any of which it has to break; none: there is a
	// second wall, which why names, and every state is visited to show that.
	breaks []string
	why    string
}

// instead decides as a mutant does in the situations that when tells.
func instead(when func(facts) bool, what action) func(facts) decision {
	return func(f facts) decision {
		if d := decide(f); f.charge == nil || !when(f) {
			return d
		}
		return decision{action: what}
	}
}

func isUnanswered(f facts) bool {
	r := &f.charge.Record
	return r.Session == nil && r.Outcome == nil && r.Hold == nil && r.Refusal == nil && openSends(r) > 0
}

// eagerly decides as if no request could arrive late.
func eagerly(f facts) decision {
	f.settings.LateWindow = 0
	return decide(f)
}

// perSend is a reference with something in it that changes from send to send.
func perSend(m *model, charge num, _ *moment) string {
	c := m.charges.at(charge)
	return c.Spec.ProviderReference + string('0'+c.Record.Sends)
}

// anyAmount takes a success for a success.
func anyAmount(a *answer, traits providers.Traits) fold {
	if a.Status == nil || a.Status.State != providers.StateSucceeded {
		return a.fold(traits)
	}
	return func(c *v1alpha1.Charge) bool {
		st := *a.Status
		st.Money = providers.Money(c.Spec.Money)
		b := *a
		b.Status = &st
		return b.fold(traits)(c)
	}
}

func mutants() []mutant {
	lost := budget{TimeOut: 1}
	return []mutant{
		{name: "send before the write-ahead", provider: "mtn", left: lost, rules: rules{sendFirst: true}, breaks: []string{writtenFirst}},
		{name: "send on a raise that was not acknowledged", provider: "mtn", left: budget{AnswerLost: 1},
			rules: rules{sendUnacknowledged: true}, breaks: []string{writtenFirst}},
		{name: "send however late", provider: "mtn", left: budget{Pause: 1}, rules: rules{oversleep: true}, breaks: []string{inTime}},
		{name: "no answer is Failed", provider: "mtn", left: lost, rules: rules{timeOutFails: true, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "not found is Failed", provider: "mtn", left: lost, rules: rules{notFoundFails: true, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "known already is Failed", provider: "mtn", left: budget{Duplicate: 1}, rules: rules{knownFails: true, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "a used-up budget of sends is Failed", provider: "mtn", left: lost,
			rules:  rules{decides: instead(func(f facts) bool { return isUnanswered(f) && f.charge.Record.Sends >= 1 }, actMutantFail), unsettled: true},
			breaks: []string{noFalseFailure}},
		{name: "a callback is believed", provider: "mtn", left: budget{Callback: 1}, rules: rules{believeCallbacks: true}, breaks: []string{noFalseSuccess}},
		{name: "another reference for each send", provider: "mtn", left: lost,
			rules: rules{reference: perSend, unsettled: true}, breaks: []string{oneCharge, writtenFirst}},
		{name: "a send does not wait for what may still arrive", provider: "mtn", left: budget{TimeOut: 1, CallOff: 1},
			rules: rules{decides: eagerly, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "success without comparing amounts", provider: "mtn", left: budget{OddAmount: 1}, rules: rules{folds: anyAmount}, breaks: []string{noFalseSuccess}},
		{name: "answers that meet a conflict are dropped", provider: "mtn", left: budget{TimeOut: 1, Delete: 0},
			rules: rules{dropOnConflict: true}, breaks: []string{answersKept}},
		{name: "a page is published before it is recorded", provider: "orange", left: budget{}, rules: rules{discloseEarly: true}, breaks: []string{disclosedOnce}},
		{name: "Cancelled after one look for the Charge", provider: "mtn", left: budget{AnswerLost: 1, Refused: 1, CallOff: 1},
			rules: rules{noSecondLook: true, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "no live read before a send", provider: "mtn", left: budget{CallOff: 1, Stale: 1},
			rules: rules{noLiveRead: true, unsettled: true}, breaks: []string{noFalseFailure}},
		{name: "writes without resourceVersion, CRDs without rules", provider: "mtn", left: budget{},
			rules: rules{noCEL: true, anyVersion: true, unsettled: true}, breaks: []string{monotone}},
		{name: "surplus sessions stay open and pages are published early", provider: "wave", left: budget{Duplicate: 1, TimeOut: 1},
			rules: rules{keepSurplus: true, discloseEarly: true, unsettled: true}, breaks: []string{disclosedOnce}},
		{name: "nobody notices that etcd went back", provider: "wave", left: budget{Rewind: 1}, unnoticed: true,
			rules: rules{manyPages: true, unsettled: true}, breaks: []string{oneCharge}},
		{name: "Wave is not searched before a send, and etcd goes back", provider: "wave", left: budget{Rewind: 1}, unnoticed: true,
			rules: rules{noProbe: true, unsettled: true}, breaks: []string{oneCharge, disclosedOnce}},

		{name: "writes without resourceVersion", provider: "mtn", left: budget{}, rules: rules{anyVersion: true, unsettled: true},
			why: "the rules of the CRDs refuse to take back what is recorded"},
		{name: "surplus sessions stay open", provider: "wave", left: budget{Duplicate: 1}, rules: rules{keepSurplus: true},
			why: "only the page that is recorded is published, and nobody pays on another"},
		{name: "Wave is not searched before a send", provider: "wave", left: budget{}, rules: rules{noProbe: true},
			why: "an unanswered send is searched for before it is repeated, and only a recorded page is published"},
	}
}

// Each safeguard that is switched off makes some invariant break: else the
// safeguard, or this model, would be wrong.
func TestExploreMutants(t *testing.T) {
	api := newAPIRules(t)
	for _, mu := range mutants() {
		t.Run(strings.ReplaceAll(mu.name, " ", "_"), func(t *testing.T) {
			m := newModel(scope{name: mu.name, provider: mu.provider, behind: maxBehind, left: mu.left, unnoticed: mu.unnoticed}, mu.rules, api)
			got := m.explore(1_000_000)
			t.Logf("%s\n\t%s", got, strings.Join(got.trace, "\n\t"))
			switch {
			case len(mu.breaks) == 0 && !got.complete:
				t.Errorf("the second wall (%s) does not stand: %s", mu.why, got.broken)
			case len(mu.breaks) > 0 && !slices.Contains(mu.breaks, got.broken):
				t.Errorf("broke %q, want one of %v", got.broken, mu.breaks)
			}
		})
	}
}
