package lives

import (
	"slices"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
)

// State of a Charge, as it is recorded.
type State string

// The states in which each word has to be played.
const (
	None      State = "none"
	Unsent    State = "unsent"
	Open      State = "open"
	Taken     State = "taken"
	Refused   State = "refused"
	Unknown   State = "unknown"
	Paid      State = "paid"
	Failed    State = "failed"
	Expired   State = "expired"
	Cancelled State = "cancelled"
	Settled   State = "settled"
	Refunding State = "refunding"
	Refunded  State = "refunded"
	Foreign   State = "foreign"
)

// States in their order.
func States() []State {
	return []State{None, Unsent, Open, Taken, Refused, Unknown, Paid, Failed, Expired, Cancelled, Settled, Refunding, Refunded, Foreign}
}

// stateOf the Charge of the sale.
func stateOf(w *testworld.World) State {
	c := w.Charge(testworld.InShop(testworld.Sale))
	switch {
	case c == nil:
		return None
	case c.Spec.InstallationID != w.Config.Installation.ID:
		return Foreign
	}
	rec := &c.Record
	switch {
	case rec.Outcome != nil:
		return ended(rec)
	case rec.Unknown != nil:
		return Unknown
	case rec.Taken != nil:
		return Taken
	case len(rec.Open) > 0 || rec.ReferenceKnown:
		return Open
	case attempt.NothingSent(&rec.Attempt):
		return Unsent
	default:
		return Refused
	}
}

func ended(rec *v1alpha1.ChargeRecord) State {
	back := false
	for i := range rec.Refunds {
		if rec.Refunds[i].Outcome == nil {
			return Refunding
		}
		back = back || rec.Refunds[i].Outcome.Phase == v1alpha1.PhaseSucceeded
	}
	switch {
	case back:
		return Refunded
	case rec.Outcome.SettledBy != "":
		return Settled
	default:
		return map[v1alpha1.Phase]State{
			v1alpha1.PhaseSucceeded: Paid, v1alpha1.PhaseFailed: Failed, v1alpha1.PhaseExpired: Expired, v1alpha1.PhaseCancelled: Cancelled,
		}[rec.Outcome.Phase]
	}
}

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
