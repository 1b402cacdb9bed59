package mutants

import "slices"

// Table of the mutants that count.
func Table() []Mutant {
	uncounted := Uncounted()
	return slices.DeleteFunc(All(), func(m Mutant) bool { return slices.Contains(uncounted, m.Name) })
}

// Uncounted mutants are those that the scenarios of the sweep do not tell from the
// product. For some another wall stands behind the one that is taken away, for others
// a scenario is wanted. Which is which is not known, so none is claimed: what they
// break is guarded by the tests of their packages.
func Uncounted() []string {
	return []string{
		"send-on-cached-read", "paused-sender-sends", "hurried-verdict", "wave-unsearched", "called-off-yet-sent", "sends-unlimited",
		"merged-into-another", "void-uncounted", "not-found-fails", "url-before-record", "surplus-kept", "record-lost-ignored",
		"duplicate-adopted", "held-unwatched", "refund-cap-ignored", "open-refunds-uncounted", "refund-amount-unchecked",
		"mtn-error-rejected", "mtn-conflict-rejected", "orange-error-rejected", "wave-open-taken-for-over",
	}
}

// All mutants.
func All() []Mutant {
	table := slices.Concat(sendMutants(), againMutants(), answerMutants(), lossMutants(), verdictMutants(), adoptionMutants(), followMutants(),
		refundMutants(), providerMutants(), quietMutants())
	shown := stories()
	for i := range table {
		table[i].Stories = shown[table[i].Name]
	}
	return table
}

// Invariants that the sweep checks. Each has a mutant that breaks it.
func Invariants() []string {
	return []string{
		"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I14",
		"L1", "L2", "L3", "L4", "O7", "O8",
	}
}

const (
	actFile        = "controllers/payment/act.go"
	loopFile       = "controllers/payment/controller.go"
	decideFile     = "controllers/payment/decide.go"
	recordFile     = "controllers/payment/record.go"
	projectFile    = "controllers/payment/project.go"
	claimFile      = "controllers/payment/claim.go"
	recorderFile   = "controllers/attempt/recorder.go"
	refundAct      = "controllers/refund/act.go"
	refundDecide   = "controllers/refund/decide.go"
	refundRecord   = "controllers/refund/record.go"
	mtnAnswers     = "providers/mtn/answers.go"
	waveAnswers    = "providers/wave/answers.go"
	mtnRefusals    = "providers/mtn/refusals.go"
	orangeRefusals = "providers/orange/refusals.go"
	statusFile     = "providers/provider.go"
	transportFile  = "providers/transport/transport.go"
	typesFile      = "api/v1alpha1/payment_types.go"
)

// one is a mutant with a single edit.
func one(name, rule string, breaks []string, file, find, replace string) Mutant {
	return Mutant{Name: name, Rule: rule, Breaks: breaks, Edits: []Edit{{File: file, Find: find, Replace: replace}}}
}

func ids(s ...string) []string { return s }
