package judge

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// Book is what a provider has on a reference.
type Book struct {
	// Charges are the times that the payer paid, Refunds those that something was given back.
	Charges, Refunds []simulator.LedgerEntry
	// SaidSo: the provider reported a final failure before it was paid.
	SaidSo bool
	// Known: it has a session.
	Known bool
	// Open sessions at the provider; Payable: somebody can pay one of them.
	Open    int
	Payable bool
	// Newest is when the newest session was made.
	Newest time.Time
}

// BookOf reads what ledger and sessions have on a reference. payable tells whether
// somebody can pay a session that is open.
func BookOf(reference string, ledger []simulator.LedgerEntry, sessions []simulator.Session, payable func(simulator.Session) bool) Book {
	var b Book
	for _, e := range ledger {
		switch {
		case e.Reference != reference:
		case e.Event == simulator.Refunded:
			b.Refunds = append(b.Refunds, e)
		case e.Refund != "":
		case e.Event == simulator.Paid:
			b.Charges = append(b.Charges, e)
		case e.Event == simulator.Refused || e.Event == simulator.Expired:
			b.SaidSo = b.SaidSo || final(e) && len(b.Charges) == 0
		}
	}
	for _, s := range sessions {
		if s.Reference != reference {
			continue
		}
		b.Known = true
		if s.Created.After(b.Newest) {
			b.Newest = s.Created
		}
		if s.State == "open" || s.State == "confirming" {
			b.Open++
			b.Payable = b.Payable || payable(s)
		}
	}
	return b
}

// final tells whether the provider reports an entry as the end: a try at Wave is none,
// and Orange does not say that an order expired.
func final(e simulator.LedgerEntry) bool {
	return e.Provider != simulator.Wave && (e.Provider != simulator.Orange || e.Event != simulator.Expired)
}

func found(rule, format string, args ...any) []Violation {
	return []Violation{{rule, fmt.Sprintf(format, args...)}}
}

// Success is what is wrong if who says Succeeded about money.
func (b Book) Success(who string, money v1alpha1.Money) []Violation {
	if len(b.Charges) == 0 {
		return found(NoFalseSuccess, "%s says Succeeded, and the provider was paid nothing", who)
	}
	if paid := b.Charges[len(b.Charges)-1]; paid.Currency != money.Currency || !providers.EqualAmount(paid.Amount, money.Amount) {
		return found(NoFalseSuccess, "%s says Succeeded, and %s %s was paid", who, paid.Amount, paid.Currency)
	}
	return nil
}

// Failure is what is wrong if who says for good that it was not paid.
func (b Book) Failure(who string) []Violation {
	switch {
	case b.SaidSo:
		return nil // the provider contradicted itself
	case len(b.Charges) > 0:
		return found(NoFalseFailure, "%s says that it was not paid, and it was", who)
	case b.Payable:
		return found(NoFalseFailure, "%s says that it was not paid, and it can still be", who)
	default:
		return nil
	}
}

// GivenBack is how often the provider gave back under an entry.
func (b Book) GivenBack(e *v1alpha1.ChargeRefund) int {
	n := 0
	for _, l := range b.Refunds {
		if e.Reference == "" || l.Refund == e.Reference {
			n++
		}
	}
	return n
}

// Refund is what is wrong if who says how the refund of an entry ended.
func (b Book) Refund(who string, e *v1alpha1.ChargeRefund, succeeded bool) []Violation {
	switch n := b.GivenBack(e); {
	case n > 1:
		return found(NoOverRefund, "%s was given back %d times", who, n)
	case succeeded && n == 0:
		return found(NoFalseSuccess, "%s says Succeeded, and nothing was given back", who)
	case !succeeded && n > 0 && e.Reference != "":
		return found(NoFalseFailure, "%s says Failed, and it was given back", who)
	default:
		return nil
	}
}

// OverRefund: all refunds of a reference together give back no more than was paid.
func (b Book) OverRefund() []Violation {
	if paid, back := sum(b.Charges), sum(b.Refunds); back.Cmp(paid) > 0 {
		return found(NoOverRefund, "%s was given back of %s", back.FloatString(2), paid.FloatString(2))
	}
	return nil
}

func sum(entries []simulator.LedgerEntry) *big.Rat {
	total := new(big.Rat)
	for _, e := range entries {
		amount, _ := new(big.Rat).SetString(e.Amount)
		total.Add(total, amount)
	}
	return total
}

// ChargeChange is what is wrong with a new version of a Charge; old is nil for the first one.
func ChargeChange(old, c *v1alpha1.Charge) []Violation {
	if old == nil {
		old = &v1alpha1.Charge{Spec: c.Spec}
	}
	var out []Violation
	if !equality.Semantic.DeepEqual(old.Spec, c.Spec) && !attempt.NothingSent(&old.Record.Attempt) {
		out = found(Final, "the intent of the Charge changed")
	}
	a, b := &old.Record, &c.Record
	if a.Session != nil && !equality.Semantic.DeepEqual(a.Session, b.Session) {
		out = append(out, found(Final, "the session of the Charge changed")...)
	}
	out = append(out, attemptChange("the Charge", &a.Attempt, &b.Attempt)...)
	for i := range b.Refunds {
		e := &b.Refunds[i]
		out = append(out, attemptChange("refund "+e.Name, entryBefore(old, e.Name), &e.Attempt)...)
	}
	return out
}

// entryBefore is the attempt of a refund in old, the empty one where there is none.
func entryBefore(old *v1alpha1.Charge, name string) *v1alpha1.Attempt {
	if e := attempt.RefundOf(old, name); e != nil {
		return &e.Attempt
	}
	return &v1alpha1.Attempt{}
}

// attemptChange: what is recorded stays as it is.
func attemptChange(who string, a, b *v1alpha1.Attempt) []Violation {
	switch {
	case b.Sends < a.Sends:
		return found(Final, "sends of %s fell from %d to %d", who, a.Sends, b.Sends)
	case a.Outcome != nil && !equality.Semantic.DeepEqual(a.Outcome, b.Outcome):
		return found(Final, "the outcome of %s changed", who)
	case a.Taken != nil && !equality.Semantic.DeepEqual(a.Taken, b.Taken):
		return found(Final, "that the provider has the request of %s changed", who)
	}
	for _, s := range b.Open {
		if s.Number <= a.Sends && !isOpen(a, s.Number) {
			return found(Final, "an answered send of %s is open again", who)
		}
	}
	return nil
}

func isOpen(a *v1alpha1.Attempt, number int32) bool {
	return slices.ContainsFunc(a.Open, func(s v1alpha1.Send) bool { return s.Number == number })
}

// PaymentChange is what is wrong with a new version of a Payment. ours: the operator wrote it.
func PaymentChange(old, p *v1alpha1.Payment, ours bool) []Violation {
	if old == nil {
		return nil
	}
	switch a, b := &old.Status, &p.Status; {
	case a.Phase.Terminal() && a.Phase != b.Phase:
		return found(Final, "Payment %s went from %s to %q", p.Name, a.Phase, b.Phase)
	case !ours:
		return nil
	case a.ChargeName != "" && a.ChargeName != b.ChargeName:
		return found(Final, "Payment %s changed its Charge", p.Name)
	case a.TransactionID != "" && a.TransactionID != b.TransactionID:
		return found(Final, "the transaction of Payment %s was %s and became %q", p.Name, a.TransactionID, b.TransactionID)
	case a.Phase != "" && a.Phase != v1alpha1.PhasePending && b.Phase == v1alpha1.PhasePending:
		return found(Final, "Payment %s went back to Pending", p.Name)
	default:
		return nil
	}
}

// RefundChange is what is wrong with a new version of a Refund.
func RefundChange(old, r *v1alpha1.Refund) []Violation {
	if old != nil && old.Status.Phase.Terminal() && old.Status.Phase != r.Status.Phase {
		return found(Final, "Refund %s went from %s to %q", r.Name, old.Status.Phase, r.Status.Phase)
	}
	return nil
}

// ChargeEnd is what is wrong with a Charge for which nothing is under way any more.
func ChargeEnd(c *v1alpha1.Charge, b Book) []Violation {
	rec, outcome := &c.Record, c.Record.Outcome
	asked := attempt.MayHaveArrived(&rec.Attempt) || rec.Refusal != nil
	switch {
	case outcome == nil && rec.Unknown == nil && asked:
		return found(Schedule, "the Charge of %s was asked for, and is neither over nor Unknown", c.Spec.Payment.Name)
	case outcome != nil && outcome.SettledBy == "" && outcome.Phase != v1alpha1.PhaseSucceeded && len(b.Charges) > 0 && !b.SaidSo:
		return found(NoFalseFailure, "the Charge of %s ended %s, and was paid", c.Spec.Payment.Name, outcome.Phase)
	default:
		return nil
	}
}

// Unlearnt: a Charge without an outcome must not be what the provider knows more of.
func Unlearnt(c *v1alpha1.Charge, b Book) []Violation {
	switch {
	case c.Record.Outcome != nil:
		return nil
	case len(b.Charges) > 0:
		return found(Schedule, "%s was paid, and its Charge does not say so", c.Spec.Payment.Name)
	case b.Known && b.Open == 0 && b.SaidSo && c.Record.Taken != nil:
		return found(Schedule, "the provider knows that %s ended unpaid, and its Charge does not say so", c.Spec.Payment.Name)
	default:
		return nil
	}
}

// PaymentEnd is what is wrong with a Payment that is over or Unknown, and shows the Charge c.
func PaymentEnd(p *v1alpha1.Payment, c *v1alpha1.Charge) []Violation {
	rec, phase := &c.Record, p.Status.Phase
	switch {
	case rec.Outcome == nil, refusedItself(p):
		return nil
	case rec.Outcome.Phase != phase && phase != v1alpha1.PhaseUnknown:
		return found(Schedule, "Payment %s says %q, and its Charge %s", p.Name, phase, rec.Outcome.Phase)
	case rec.Later != nil && attempt.Contradicts(rec.Outcome, rec.Later) && phase.Terminal() && !late(p):
		return found(Final, "Payment %s does not show what contradicts it", p.Name)
	default:
		return nil
	}
}

// refusedItself: the Payment says nothing about the Charge of its sale, but that it is not its own.
func refusedItself(p *v1alpha1.Payment) bool {
	switch failureReason(p) {
	case v1alpha1.ReasonSaleConflict, v1alpha1.ReasonInvalidRequest, v1alpha1.ReasonNotAsked:
		return true
	default:
		return false
	}
}

func failureReason(p *v1alpha1.Payment) v1alpha1.Reason {
	if p.Status.Failure == nil {
		return ""
	}
	return p.Status.Failure.Reason
}

// late tells whether a Payment shows what contradicts it.
func late(p *v1alpha1.Payment) bool {
	return meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionLateSettlement)
}

// settled: over, or for a person to look at.
func settled(p v1alpha1.Phase) bool { return p.Terminal() || p == v1alpha1.PhaseUnknown }
