package lives

import (
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
