package mutants

import (
	"slices"
	"strings"
)

// Table of the mutants: each takes a safeguard away, and many are what an earlier version of the product did.
func Table() []Mutant {
	all := slices.Concat(sending(), answers(), lost(), verdicts(), identity(), settling(), schedule(), refunds(), wires(), bounds())
	for i := range all {
		all[i].Seed = seeds()[all[i].Name]
	}
	return all
}

const (
	decideFile   = "controllers/attempt/decide.go"
	factsFile    = "controllers/attempt/facts.go"
	foldFile     = "controllers/attempt/fold.go"
	protocolFile = "controllers/attempt/protocol.go"
	recordFile   = "controllers/attempt/record.go"
	scheduleFile = "controllers/attempt/schedule.go"
	actFile      = "controllers/payment/act.go"
	askFile      = "controllers/payment/ask.go"
	loopFile     = "controllers/payment/controller.go"
	payFacts     = "controllers/payment/facts.go"
	projectFile  = "controllers/payment/project.go"
	saleFile     = "controllers/payment/sale.go"
	sendFile     = "controllers/payment/send.go"
	refundFacts  = "controllers/refund/facts.go"
	refundSend   = "controllers/refund/send.go"
	reserveFile  = "controllers/refund/reserve.go"
	accountFile  = "controllers/account/account.go"
	limiterFile  = "controllers/account/limiter.go"
	queueFile    = "controllers/account/queue.go"
	secretsFile  = "controllers/account/credentials.go"
	noteFile     = "controllers/callback/note.go"
	nameFile     = "controllers/installation/reference.go"
	orangeFile   = "providers/orange/orange.go"
	mtnAnswers   = "providers/mtn/answers.go"
	waveAnswers  = "providers/wave/answers.go"
	wireFile     = "providers/transport/transport.go"
)

// one is a mutant with a single edit, in which MUTATED asks whether it is on.
func one(name, rule, breaks, file, find, replace string) Mutant {
	return Mutant{Name: name, Rule: rule, Breaks: strings.Fields(breaks), Edits: []Edit{edit(name, file, find, replace)}}
}

func edit(name, file, find, replace string) Edit {
	return Edit{File: file, Find: find, Replace: strings.ReplaceAll(replace, "MUTATED", `mutation.On("`+name+`")`)}
}

// unless is a mutant in which a condition never holds: find is the end of it, before the colon or the brace.
func unless(name, rule, breaks, file, find string) Mutant {
	return one(name, rule, breaks, file, find, withGuard(find, " && !MUTATED"))
}

func withGuard(find, guard string) string {
	for _, end := range []string{" {", ":"} {
		if rest, ok := strings.CutSuffix(find, end); ok {
			return rest + guard + end
		}
	}
	return find + guard
}
