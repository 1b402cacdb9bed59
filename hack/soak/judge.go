package main

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// evidence is all that the judge sees: what was asked, what the providers' books say,
// and what the operator says, at the end and at every moment.
type evidence struct {
	sales []sale

	ledger   []simulator.LedgerEntry
	sessions []simulator.Session

	payments []v1alpha1.Payment
	charges  []v1alpha1.Charge
	refunds  []v1alpha1.Refund
	// versions of Payments, in the order in which a watch saw them.
	versions []version
}

// version is what one version of a Payment says.
type version struct {
	uid       types.UID
	namespace string
	name      string
	// sale is the reference of the sale.
	sale    string
	seen    time.Time
	deleted bool

	phase v1alpha1.Phase
	// succeeded: phase or a condition says that it was paid.
	succeeded   bool
	transaction string
	reference   string
}

// verdict is what is wrong. The first three are what must never be.
type verdict struct {
	doubleCharges  int
	lostOutcomes   int
	falseSuccesses int
	// doubleRefunds are sales of which more was given back than was paid, and refunds
	// that were made twice; wrongRefunds those that say something else than the books.
	doubleRefunds int
	wrongRefunds  int

	// held are payments of Orange that nobody can pay, because the answer with their
	// page was lost. They wait for a person.
	held int
	// undecided by the provider.
	undecided int
	// openRefunds are neither made nor failed; those by hand wait for a person.
	openRefunds, manualRefunds, madeRefunds, failedRefunds int

	violations []string
}

func (v *verdict) blame(count *int, format string, args ...any) {
	*count++
	v.note(format, args...)
}

func (v *verdict) note(format string, args ...any) {
	v.violations = append(v.violations, fmt.Sprintf(format, args...))
}

// books is all that there is about one sale.
type books struct {
	sale     *sale
	opened   []simulator.LedgerEntry
	paid     []simulator.LedgerEntry
	returned []simulator.LedgerEntry
	sessions []simulator.Session
	payments []*v1alpha1.Payment
	charges  []*v1alpha1.Charge
	refunds  []*v1alpha1.Refund
}

// key of a sale, as its shop names it.
type key struct{ namespace, reference string }

// judge compares what the operator says with the providers' books. It is pure.
func judge(e evidence) verdict {
	v := verdict{}
	all, byKey := v.sort(e)
	for _, b := range all {
		one := verdict{}
		one.money(b)
		one.outcome(b)
		one.refundsOf(b)
		v.add(one)
	}
	v.history(e.versions, byKey)
	return v
}

// add the verdict on one sale, in which a fault counts once however often it shows.
func (v *verdict) add(one verdict) {
	v.doubleCharges += min(1, one.doubleCharges)
	v.lostOutcomes += min(1, one.lostOutcomes)
	v.falseSuccesses += min(1, one.falseSuccesses)
	v.doubleRefunds += min(1, one.doubleRefunds)
	v.held += min(1, one.held)
	v.undecided += min(1, one.undecided)
	v.wrongRefunds += one.wrongRefunds
	v.openRefunds += one.openRefunds
	v.manualRefunds += one.manualRefunds
	v.madeRefunds += one.madeRefunds
	v.failedRefunds += one.failedRefunds
	v.violations = append(v.violations, one.violations...)
}

// sort puts everything to the sale that it belongs to: the provider's books by the
// amount, which is the sale's own, and objects by the name that the shop gave it.
func (v *verdict) sort(e evidence) ([]*books, map[key]*books) {
	all := make([]*books, 0, len(e.sales))
	byAmount, byKey, byReference := map[string]*books{}, map[key]*books{}, map[string]*books{}
	for i := range e.sales {
		s := &e.sales[i]
		b := &books{sale: s}
		all = append(all, b)
		byAmount[amountKey(s.provider, fmt.Sprint(s.amount))] = b
		byKey[key{s.namespace, s.reference()}] = b
	}
	for _, l := range e.ledger {
		if l.Event == simulator.Refunded {
			continue // by reference, below
		}
		b := byAmount[amountKey(string(l.Provider), l.Amount)]
		if b == nil {
			v.blame(&v.doubleCharges, "%s: %s %s %s, which nobody asked for", l.Reference, l.Event, l.Amount, l.Currency)
			continue
		}
		byReference[l.Reference] = b
		switch l.Event {
		case simulator.Opened:
			b.opened = append(b.opened, l)
		case simulator.Paid:
			b.paid = append(b.paid, l)
		default: // how it ended without money is told by its session
		}
	}
	for _, l := range e.ledger {
		if b := byReference[l.Reference]; b != nil && l.Event == simulator.Refunded {
			b.returned = append(b.returned, l)
		}
	}
	for _, s := range e.sessions {
		if b := byReference[s.Reference]; b != nil {
			b.sessions = append(b.sessions, s)
		}
	}
	v.sortObjects(e, byKey)
	return all, byKey
}

func (v *verdict) sortObjects(e evidence, byKey map[key]*books) {
	byPayment := map[key]*books{}
	for i := range e.payments {
		p := &e.payments[i]
		if b := byKey[key{p.Namespace, p.SaleReference()}]; b != nil {
			b.payments = append(b.payments, p)
			byPayment[key{p.Namespace, p.Name}] = b
		}
	}
	for i := range e.charges {
		c := &e.charges[i]
		if b := byKey[key{c.Spec.Payment.Namespace, c.Spec.Reference}]; b != nil {
			b.charges = append(b.charges, c)
		}
	}
	for i := range e.refunds {
		r := &e.refunds[i]
		if b := byPayment[key{r.Namespace, r.Spec.PaymentRef.Name}]; b != nil {
			b.refunds = append(b.refunds, r)
		}
	}
}

// amountKey is the same for 1000 and 1000.00.
func amountKey(provider, amount string) string {
	n, ok := new(big.Rat).SetString(amount)
	if !ok {
		return provider + " no amount " + amount
	}
	return provider + " " + n.RatString()
}

// money: a sale is charged at most once, under one reference.
func (v *verdict) money(b *books) {
	if n := len(b.paid); n > 1 {
		v.blame(&v.doubleCharges, "%s was charged %d times: %s", b.sale.name, n, times(b.paid))
	}
	for _, l := range b.opened {
		if l.Reference != b.opened[0].Reference {
			v.note("%s was asked for under two references, %s and %s", b.sale.name, b.opened[0].Reference, l.Reference)
			return
		}
	}
}

func times(entries []simulator.LedgerEntry) (list []string) {
	for _, l := range entries {
		list = append(list, l.Session+" at "+l.At.Format(time.RFC3339Nano))
	}
	return list
}

// outcome: what is paid is shown as paid, and nothing else is.
func (v *verdict) outcome(b *books) {
	v.missing(b)
	v.refused(b)
	paid, succeeded := len(b.paid) > 0, 0
	for _, p := range b.payments {
		if p.Status.Phase == v1alpha1.PhaseSucceeded {
			succeeded++
			v.success(b, p)
		}
	}
	if succeeded > 1 {
		v.blame(&v.falseSuccesses, "%s: %d Payments say that they were paid by one charge", b.sale.name, succeeded)
	}
	v.recorded(b)
	switch {
	case !paid:
		v.unpaid(b)
	case succeeded > 0:
	case len(b.payments) > 0:
		v.blame(&v.lostOutcomes, "%s was paid, and says %s", b.sale.name, says(b.payments))
	}
}

// missing: what was there once is there in the end.
func (v *verdict) missing(b *books) {
	name := b.sale.name
	switch {
	case len(b.opened) > 0 && len(b.charges) == 0:
		v.blame(&v.lostOutcomes, "%s has no Charge, and the provider was asked", name)
	case len(b.charges) > 1:
		v.note("%s has %d Charges", name, len(b.charges))
	}
	if b.sale.acknowledged && !b.sale.gone && b.find(name) == nil {
		v.blame(&v.lostOutcomes, "%s: its Payment is gone", name)
	}
	if b.sale.acknowledged && b.sale.twin && b.find(b.sale.twinName()) == nil {
		v.blame(&v.lostOutcomes, "%s: the twin of its Payment is gone", name)
	}
}

// refused: nobody asked for another amount under the same reference, and for the same
// one only where the sale has a twin.
func (v *verdict) refused(b *books) {
	for _, p := range b.payments {
		reason := reasonOf(p)
		if reason == v1alpha1.ReasonReferenceConflict || reason == v1alpha1.ReasonDuplicateReference && !b.sale.twin {
			v.note("%s says %s (%s), and is the only one", p.Name, p.Status.Phase, reason)
		}
	}
}

func (b *books) find(name string) *v1alpha1.Payment {
	i := slices.IndexFunc(b.payments, func(p *v1alpha1.Payment) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return b.payments[i]
}

func says(payments []*v1alpha1.Payment) (list []string) {
	for _, p := range payments {
		list = append(list, fmt.Sprintf("%s (%s)", p.Status.Phase, reasonOf(p)))
	}
	return list
}

// reasonOf is the reason that kubectl's column shows too.
func reasonOf(p *v1alpha1.Payment) string {
	for _, c := range p.Status.Conditions {
		if c.Type == v1alpha1.ConditionSucceeded {
			return c.Reason
		}
	}
	return ""
}

// success: the provider says the same of it.
func (v *verdict) success(b *books, p *v1alpha1.Payment) {
	if len(b.paid) == 0 {
		v.blame(&v.falseSuccesses, "%s says that it was paid, and was not", p.Name)
		return
	}
	l, st := b.paid[0], &p.Status
	if l.Reference != st.ProviderReference || l.Currency != st.Currency || !providers.EqualAmount(l.Amount, st.Amount) || st.TransactionID == "" {
		v.blame(&v.falseSuccesses, "%s says that %s %s were paid for %q by %q, the provider %s %s for %q",
			p.Name, st.Amount, st.Currency, st.ProviderReference, st.TransactionID, l.Amount, l.Currency, l.Reference)
	}
}

// recorded: the Charge, which outlives the Payment, says the same.
func (v *verdict) recorded(b *books) {
	for _, c := range b.charges {
		o := c.Record.Outcome
		said := o != nil && o.Phase == v1alpha1.PhaseSucceeded
		switch paid := len(b.paid) > 0; {
		case said && !paid:
			v.blame(&v.falseSuccesses, "the Charge of %s says that it was paid, and was not", b.sale.name)
		case paid && !said:
			v.blame(&v.lostOutcomes, "%s was paid, and its Charge says %s", b.sale.name, outcomeOf(c))
		case !paid && o == nil && len(b.payments) == 0:
			v.open(b, isHeld(c), "its Charge says "+outcomeOf(c))
		}
	}
}

func outcomeOf(c *v1alpha1.Charge) string {
	switch rec := &c.Record; {
	case rec.Outcome != nil:
		return string(rec.Outcome.Phase)
	case rec.Hold != nil:
		return "that it is held: " + rec.Hold.Reason
	default:
		return "nothing"
	}
}

// isHeld: the one end that is none, see verdict.held.
func isHeld(c *v1alpha1.Charge) bool {
	h := c.Record.Hold
	return c.Spec.Provider == "orange" && h != nil && h.Reason == v1alpha1.ReasonLostInitiation
}

// unpaid: each of its Payments says how it ended, if the provider has decided.
func (v *verdict) unpaid(b *books) {
	payable := slices.ContainsFunc(b.sessions, func(s simulator.Session) bool {
		return s.Seen && (s.State == "open" || s.State == "confirming")
	})
	for _, p := range b.payments {
		switch phase := p.Status.Phase; {
		case phase == v1alpha1.PhaseSucceeded: // success has judged it
		case phase.Terminal():
			if payable && reasonOf(p) != v1alpha1.ReasonDuplicateReference {
				v.blame(&v.lostOutcomes, "%s says %s, and the payer can still pay", p.Name, phase)
			}
		default:
			held := b.sale.provider == "orange" && phase == v1alpha1.PhaseUnknown && reasonOf(p) == v1alpha1.ReasonLostInitiation
			v.open(b, held, fmt.Sprintf("%s says %s (%s)", p.Name, phase, reasonOf(p)))
		}
	}
}

// open judges a sale of which nobody says how it ended.
func (v *verdict) open(b *books, held bool, says string) {
	decided := !slices.ContainsFunc(b.sessions, func(s simulator.Session) bool {
		return s.State != "failed" && s.State != "expired"
	})
	switch {
	case held:
		v.held++
	case len(b.sessions) == 0 && len(b.payments) == 0:
		// Deleted before the provider took anything: nothing is sent any more.
	case len(b.sessions) == 0:
		v.blame(&v.lostOutcomes, "%s: the provider was never asked, and %s", b.sale.name, says)
	case decided:
		v.blame(&v.lostOutcomes, "%s: the provider has decided (%s %s), and %s", b.sale.name, b.sessions[0].State, b.sessions[0].Reason, says)
	default:
		v.undecided++
	}
}

// history: what was ever said was true at the time, and stayed so.
func (v *verdict) history(versions []version, byKey map[key]*books) {
	last, lied := map[types.UID]version{}, map[types.UID]bool{}
	for _, now := range versions {
		b := byKey[key{now.namespace, now.sale}]
		if b == nil {
			continue
		}
		if now.succeeded && !lied[now.uid] && !b.paidBy(now.seen) {
			lied[now.uid] = true
			v.blame(&v.falseSuccesses, "%s said at %s that it was paid, and was not yet", now.name, now.seen.Format(time.RFC3339Nano))
		}
		before, known := last[now.uid]
		last[now.uid] = now
		if known {
			v.change(before, now)
		}
	}
}

func (v *verdict) change(before, now version) {
	wasPaid, isPaid := before.phase == v1alpha1.PhaseSucceeded, now.phase == v1alpha1.PhaseSucceeded
	switch {
	case before.phase == now.phase || !before.phase.Terminal():
	case wasPaid || isPaid:
		v.blame(&v.falseSuccesses, "%s went from %s to %s", now.name, before.phase, now.phase)
	default:
		v.blame(&v.lostOutcomes, "%s went from %s to %s", now.name, before.phase, now.phase)
	}
	if before.transaction != "" && before.transaction != now.transaction {
		v.note("%s: its transaction was %s and became %q", now.name, before.transaction, now.transaction)
	}
	if before.reference != "" && before.reference != now.reference {
		v.note("%s: its reference was %s and became %q", now.name, before.reference, now.reference)
	}
}

func (b *books) paidBy(t time.Time) bool {
	return slices.ContainsFunc(b.paid, func(l simulator.LedgerEntry) bool { return !l.At.After(t) })
}

// refundsOf: never more is given back than was paid, each Refund at most once, and
// exactly those that say so.
func (v *verdict) refundsOf(b *books) {
	total, count := new(big.Rat), map[string]int{}
	for _, l := range b.returned {
		n, _ := new(big.Rat).SetString(l.Amount)
		total.Add(total, n)
		count[l.Refund]++
	}
	paid := new(big.Rat)
	if len(b.paid) > 0 {
		paid.SetString(b.paid[0].Amount)
	}
	if total.Cmp(paid) > 0 {
		v.blame(&v.doubleRefunds, "%s: %s were given back of %s", b.sale.name, total.RatString(), paid.RatString())
	}
	for reference, n := range count {
		if n > 1 {
			v.blame(&v.doubleRefunds, "%s: refund %q was made %d times", b.sale.name, reference, n)
		}
	}
	for _, r := range b.refunds {
		v.refund(b, r, count)
	}
}

func (v *verdict) refund(b *books, r *v1alpha1.Refund, made map[string]int) {
	reference, claimed := "", false
	for _, c := range b.charges {
		for _, claim := range c.Record.Refunds {
			if claim.Name == r.Name {
				reference, claimed = claim.Reference, true
			}
		}
	}
	if b.sale.provider != "mtn" {
		reference = "" // Wave's refunds have none
	}
	isMade := claimed && made[reference] > 0
	switch phase := r.Status.Phase; {
	case phase == v1alpha1.RefundSucceeded && isMade:
		v.madeRefunds++
	case phase == v1alpha1.RefundSucceeded:
		v.blame(&v.wrongRefunds, "Refund %s says that it was made, and was not", r.Name)
	case isMade:
		v.blame(&v.wrongRefunds, "Refund %s was made, and says %s", r.Name, phase)
	case phase == v1alpha1.RefundFailed:
		v.failedRefunds++
	case phase == v1alpha1.RefundManualActionRequired:
		v.manualRefunds++
	default:
		v.openRefunds++
	}
}
