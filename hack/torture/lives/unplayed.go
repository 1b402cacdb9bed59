package lives

import "slices"

// unplayed are the pairs that need not be played, by the reason.
var unplayed = []struct {
	why   string
	words []string
	// in these states, or in all but those.
	in, butIn []State
}{
	{why: "without a Charge there is none to lose", words: []string{"lose-charge"}, in: []State{None}},
	{why: "without a Charge nobody knows a reference to call back about", words: []string{"callback", "callback-paid"}, in: []State{None}},
	{
		why:   "a refusal stands for a moment, too short for what needs another word before",
		words: []string{"apply", "delete-refund", "gain-lease", "lose-refund-status", "refund-again", "refund-again-amount", "restore-refund"},
		in:    []State{Refused},
	},
	{why: "only an Unknown can be settled", words: []string{"settle-paid", "settle-unpaid"}, butIn: []State{Unknown}},
	{why: "only a refund that is open can be confirmed", words: []string{"confirm", "confirm-not"}, butIn: []State{Refunding}},
}

// whyUnplayed is why a pair need not be played; empty: it has to be.
func whyUnplayed(p Pair) string {
	for _, u := range unplayed {
		excepted := slices.Contains(u.in, p.State) || u.in == nil && !slices.Contains(u.butIn, p.State)
		if slices.Contains(u.words, p.Word) && excepted {
			return u.why
		}
	}
	return ""
}
