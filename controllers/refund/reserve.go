package refund

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

// errReserved says that the Charge changed, and that the Refund has to be looked at anew.
var errReserved = errors.New("the Charge holds another reservation of this name")

// manual tells whether a person has to give back: the provider's API has no refunds, or what was
// paid is in another currency than was asked for. It never changes once something was paid.
func manual(c *v1alpha1.Charge, mode providers.RefundMode) bool {
	o := c.Record.Outcome
	foreign := o != nil && o.Paid != nil && o.Paid.Currency != c.Spec.Money.Currency
	return mode == providers.RefundManual || mode == "" || foreign
}

// wanted is the amount that a Refund asks for: its own, or all that was paid.
func wanted(r *v1alpha1.Refund, c *v1alpha1.Charge) string {
	switch {
	case r.Spec.Amount != nil:
		return r.Spec.Amount.Canonical()
	case c.Record.Outcome != nil && c.Record.Outcome.Paid != nil:
		return c.Record.Outcome.Paid.Amount
	default:
		return c.Spec.Money.Amount
	}
}

// sameRefund tells whether r asks for what the entry reserved.
func sameRefund(r *v1alpha1.Refund, c *v1alpha1.Charge, e *v1alpha1.ChargeRefund) bool {
	return providers.EqualAmount(wanted(r, c), e.Money.Amount)
}

// payable tells whether something was paid that can be given back.
func payable(c *v1alpha1.Charge) bool {
	return c != nil && c.Record.Outcome != nil && c.Record.Outcome.Phase == v1alpha1.PhaseSucceeded && c.Record.Outcome.Paid != nil
}

func succeeded(p *v1alpha1.Payment) bool {
	return p != nil && p.Status.Phase == v1alpha1.PhaseSucceeded
}

// paid tells whether the Payment succeeded, and shows this Charge.
func paid(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	return succeeded(p) && payable(c) && p.Status.ChargeName == c.Name
}

// unpaid tells whether the Payment ended, and nothing was paid.
func unpaid(p *v1alpha1.Payment) bool {
	return p != nil && p.Status.Phase.Terminal() && p.Status.Phase != v1alpha1.PhaseSucceeded
}

// historyUnknown tells whether the payment may have had refunds that this record does not tell of: no send of it made
// the payment, the provider knew the reference before, or it was restored from a backup.
func historyUnknown(c *v1alpha1.Charge) bool {
	return attempt.Restored(c) || c.Record.ReferenceKnown || attempt.MadeElsewhere(&c.Record.Attempt)
}

// newEntry is what r may reserve of c, or why it may not, for good. It is pure, and the only place where it is decided
// how much can be given back: all entries that have not failed count, whether the provider was asked yet or not.
func newEntry(r *v1alpha1.Refund, c *v1alpha1.Charge, kind providers.Kind, inst installation.Installation, now time.Time) (v1alpha1.ChargeRefund, *attempt.Problem) {
	none, had := v1alpha1.ChargeRefund{}, c.Record.Outcome.Paid
	amount, byHand := wanted(r, c), manual(c, kind.Traits.Refund)
	money := v1alpha1.Money{Amount: amount, Currency: had.Currency}
	if had.Currency == c.Spec.Money.Currency {
		asked := providers.Money{Amount: amount, Currency: c.Spec.Requested.Currency}
		wire, err := kind.WireMoney(providers.Account{
			Environment: providers.Environment(c.Spec.Account.Environment), BaseURL: c.Spec.Account.BaseURL, TargetEnvironment: c.Spec.Account.TargetEnvironment,
		}, asked)
		if err != nil {
			return none, refuse(v1alpha1.ReasonInvalidRequest, providers.AsError(err).Detail)
		}
		money = v1alpha1.Money(wire)
	}
	switch left := remaining(c, r.Name); {
	case kind.Traits.Refund == providers.RefundWhole && !byHand && !providers.EqualAmount(amount, had.Amount):
		return none, refuse(v1alpha1.ReasonPartialRefundNotSupported, "")
	case providers.CompareAmounts(amount, left) > 0:
		return none, refuse(v1alpha1.ReasonExceedsPayment, fmt.Sprintf("Not yet reserved: %s %s.", left, had.Currency))
	case attempt.RefundOf(c, r.Name) == nil && len(c.Record.Refunds) >= v1alpha1.MaxRefunds:
		return none, refuse(v1alpha1.ReasonTooManyRefunds, "")
	}
	e := v1alpha1.ChargeRefund{Name: r.Name, UID: string(r.UID), Money: money, ReservedAt: metav1.NewMicroTime(now.Truncate(time.Microsecond))}
	if kind.RefundReference != nil && !byHand {
		e.Reference = kind.RefundReference(inst.RefundDigest(c.Spec.ProviderReference, r.Name))
	}
	return e, nil
}

func refuse(reason v1alpha1.Reason, more string) *attempt.Problem {
	text := reasons.OfRefunds().Of(reason, "")
	if more != "" {
		text += " " + more
	}
	return &attempt.Problem{Reason: reason, Message: text}
}

// counts tells whether an entry counts against what was paid: it has not failed, or
// the provider said later that it has not.
func counts(e *v1alpha1.ChargeRefund) bool {
	switch o := e.Outcome; {
	case o == nil || o.Phase == v1alpha1.PhaseSucceeded:
		return true
	default:
		return e.Later != nil && attempt.Contradicts(o, e.Later)
	}
}

// weight is how much of what was paid an entry stands on: what it reserved or, where the provider reported more, that.
func weight(e *v1alpha1.ChargeRefund) string {
	heaviest := e.Money.Amount
	reported := func(amount, currency string) {
		if currency == e.Money.Currency && providers.CompareAmounts(amount, heaviest) > 0 {
			heaviest = amount
		}
	}
	if e.Unknown != nil && e.Unknown.Reported != nil {
		reported(e.Unknown.Reported.Amount, cmp.Or(e.Unknown.Reported.Currency, e.Money.Currency))
	}
	if e.Later != nil && e.Later.Paid != nil {
		reported(e.Later.Paid.Amount, e.Later.Paid.Currency)
	}
	return heaviest
}

// remaining is what of the paid amount no entry but that of the name stands on.
func remaining(c *v1alpha1.Charge, name string) string {
	var reserved []string
	for i := range c.Record.Refunds {
		if e := &c.Record.Refunds[i]; e.Name != name && counts(e) {
			reserved = append(reserved, weight(e))
		}
	}
	return providers.SubtractAmounts(believed(c), reserved...)
}

// believed is how much was paid: the recorded amount or, where the provider contradicts
// what a person settled, no more than the provider says.
func believed(c *v1alpha1.Charge) string {
	o, later := c.Record.Outcome, c.Record.Later
	switch {
	case later == nil || !attempt.Contradicts(o, later):
		return o.Paid.Amount
	case later.Paid == nil || later.Paid.Currency != o.Paid.Currency:
		return "0"
	case providers.CompareAmounts(later.Paid.Amount, o.Paid.Amount) < 0:
		return later.Paid.Amount
	default:
		return o.Paid.Amount
	}
}

// unverified are the failed entries whose amounts would be reserved again by e, and
// about which the provider was not asked since they failed.
func unverified(c *v1alpha1.Charge, e v1alpha1.ChargeRefund) []string {
	left, names := remaining(c, e.Name), []string(nil)
	for i := range c.Record.Refunds {
		if f := &c.Record.Refunds[i]; f.Name != e.Name && !counts(f) && f.Sends > 0 && f.Later == nil {
			left = providers.SubtractAmounts(left, weight(f))
			names = append(names, f.Name)
		}
	}
	if providers.CompareAmounts(e.Money.Amount, left) <= 0 {
		return nil
	}
	return names
}

// superseded tells whether an answer about e, which ended, would be about another
// entry: where refunds have no reference, it is about the payment as a whole.
func superseded(c *v1alpha1.Charge, e *v1alpha1.ChargeRefund, mode providers.RefundMode) bool {
	return mode == providers.RefundWhole && e.Outcome != nil && remaining(c, e.Name) == "0"
}

// vacant tells whether what a Charge holds under a Refund's name is in nobody's way:
// nothing was sent for it, and nobody was told to give it back by hand.
func vacant(e *v1alpha1.ChargeRefund, byHand bool) bool {
	return e == nil || attempt.NothingSent(&e.Attempt) && !byHand
}

// reserve puts an entry on the Charge, in the place of a vacant one.
func reserve(c *v1alpha1.Charge, e v1alpha1.ChargeRefund, byHand bool) error {
	old := attempt.RefundOf(c, e.Name)
	switch {
	case old == nil:
		c.Record.Refunds = append(c.Record.Refunds, e)
	case !vacant(old, byHand):
		return errReserved
	default:
		e.Sends = old.Sends
		*old = e
	}
	return nil
}

// at is where the attempt of a reservation is: of this one, and of no other under its name.
func at(e *v1alpha1.ChargeRefund) attempt.Where {
	name, uid, reserved := e.Name, e.UID, e.ReservedAt
	return func(c *v1alpha1.Charge) *v1alpha1.Attempt {
		if now := attempt.RefundOf(c, name); now != nil && now.UID == uid && now.ReservedAt.Equal(&reserved) {
			return &now.Attempt
		}
		return nil
	}
}

// release takes an entry of which nothing was sent off the Charge.
func release(e *v1alpha1.ChargeRefund) attempt.Change {
	where := at(e)
	return func(c *v1alpha1.Charge) bool {
		a := where(c)
		if a == nil || !attempt.NothingSent(a) {
			return false
		}
		c.Record.Refunds = slices.DeleteFunc(c.Record.Refunds, func(o v1alpha1.ChargeRefund) bool { return o.Name == e.Name })
		return true
	}
}
