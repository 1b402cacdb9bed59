//go:build !race

package payment

import (
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// rules are the safeguards that a mutant switches off. The zero value is the
// product as it is.
type rules struct {
	// At the API.
	noCEL      bool // the CRDs have no transition rules
	anyVersion bool // writes carry no resourceVersion
	anyUID     bool // answers are merged into any Charge of the name
	// Around a send.
	sendFirst          bool // send, then write it down
	sendUnacknowledged bool // send though the raise was not acknowledged
	oversleep          bool // send however late it is
	noLiveRead         bool // send on what the cache shows
	noSecondLook       bool // Cancelled without looking for the Charge again
	noProbe            bool // do not search before a send
	// About answers.
	timeOutFails     bool // no answer: Failed
	notFoundFails    bool // not found: Failed
	knownFails       bool // known already: Failed
	reissue          bool // Orange: another order id when one is taken
	dropOnConflict   bool // an answer that meets a conflict is dropped
	keepSurplus      bool // surplus sessions stay open
	discloseEarly    bool // publish a page before it is recorded
	noOthers         bool // a negative verdict asks about one session only
	believeCallbacks bool // what a callback claims is the outcome
	manyPages        bool // how many pages are published is not what this is about
	unsettled        bool // liveness is not what this is about
	// What the reference is made of.
	reference func(m *model, charge num, t *moment) string
	// The pure functions.
	decides func(facts) decision
	folds   func(*answer, providers.Traits) fold
}

// actMutantFail is what a mutant decides.
const actMutantFail action = "Fail"

func (r rules) decide(f facts) decision {
	if r.decides != nil {
		return r.decides(f)
	}
	return decide(f)
}

func (r rules) fold(a *answer, traits providers.Traits) fold {
	if r.folds != nil {
		return r.folds(a, traits)
	}
	return a.fold(traits)
}

// refOf is the reference that is sent, and asked for.
func (r rules) refOf(m *model, charge num, t *moment) uint8 {
	if r.reference != nil {
		return m.refNumber(r.reference(m, charge, t))
	}
	return m.chargeBrief[charge].ref
}

func (r rules) claim(*v1alpha1.Charge, *v1alpha1.Payment) {}
