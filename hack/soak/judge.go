package main

import (
	"fmt"
	"math/big"
	"slices"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/judge"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

// evidence is all that is judged at the end: what was asked, what the providers' books say, and what the operator says.
type evidence struct {
	sales    []sale
	ledger   []simulator.LedgerEntry
	sessions []simulator.Session
	payments v1alpha1.PaymentList
	charges  v1alpha1.ChargeList
	refunds  v1alpha1.RefundList
}

// key of a sale: namespace and name of its Payment.
type key struct{ namespace, name string }

type fault struct {
	sale key
	judge.Violation
}

// verdict is what is wrong, and what waits for others.
type verdict struct {
	faults []fault
	// unpayable payments of Orange, because the answer with their page was lost;
	// undecided by their provider, or not known to it.
	unpayable, undecided int
	refunds              refundCounts
}

func (v *verdict) add(k key, broken []judge.Violation) {
	for _, b := range broken {
		v.faults = append(v.faults, fault{k, b})
	}
}

func (v *verdict) blame(k key, rule, format string, args ...any) {
	v.add(k, []judge.Violation{{Rule: rule, Text: fmt.Sprintf(format, args...)}})
}

// count the sales for which a rule was broken; what is no other count's is the last's.
func count(faults []fault) (doubleCharges, falseSuccesses, overRefunds, lostOutcomes int) {
	sales := map[string]map[key]bool{judge.OneCharge: {}, judge.NoFalseSuccess: {}, judge.NoOverRefund: {}, "": {}}
	for _, f := range faults {
		of := sales[f.Rule]
		if of == nil {
			of = sales[""]
		}
		of[f.sale] = true
	}
	return len(sales[judge.OneCharge]), len(sales[judge.NoFalseSuccess]), len(sales[judge.NoOverRefund]), len(sales[""])
}

type file struct {
	*sale
	ledger   []simulator.LedgerEntry
	sessions []simulator.Session
	payment  *v1alpha1.Payment
	charge   *v1alpha1.Charge
	refunds  []*v1alpha1.Refund
}

// lapsed: nobody can pay at Orange any more, which does not say so and counts as open for longer than a run lasts.
func (f *file) lapsed() bool {
	return slices.ContainsFunc(f.sessions, func(s simulator.Session) bool { return s.State == "lapsed" })
}

// assess compares what the operator says with the providers' books. It is pure.
func assess(e evidence) verdict {
	v := verdict{}
	for _, f := range v.sort(e) {
		v.assess(f)
	}
	return v
}

// sort puts everything to the sale that it belongs to: the provider's books by the
// amount, which is the sale's own, and objects by their names.
func (v *verdict) sort(e evidence) []*file {
	files, byAmount, byKey, byReference := make([]*file, len(e.sales)), map[string]*file{}, map[key]*file{}, map[string]*file{}
	for i := range e.sales {
		f := &file{sale: &e.sales[i]}
		files[i], byKey[f.key()] = f, f
		byAmount[amountKey(f.provider, fmt.Sprint(f.amount))] = f
	}
	for _, l := range e.ledger {
		f := byReference[l.Reference]
		if f == nil && l.Event != simulator.Refunded {
			f = byAmount[amountKey(string(l.Provider), l.Amount)]
			byReference[l.Reference] = f
		}
		if f == nil {
			v.blame(key{name: l.Reference}, judge.OneCharge, "%s: %s %s %s, which nobody asked for", l.Reference, l.Event, l.Amount, l.Currency)
			continue
		}
		f.ledger = append(f.ledger, l)
	}
	at := func(f *file) *file {
		if f == nil {
			return &file{} // of nobody
		}
		return f
	}
	for _, s := range e.sessions {
		f := at(byReference[s.Reference])
		f.sessions = append(f.sessions, s)
	}
	for i := range e.payments.Items {
		p := &e.payments.Items[i]
		at(byKey[key{p.Namespace, p.Name}]).payment = p
	}
	for i := range e.charges.Items {
		c := &e.charges.Items[i]
		at(byKey[saleOf(c)]).charge = c
	}
	for i := range e.refunds.Items {
		r := &e.refunds.Items[i]
		f := at(byKey[key{r.Namespace, r.Spec.PaymentRef.Name}])
		f.refunds = append(f.refunds, r)
	}
	return files
}

func saleOf(c *v1alpha1.Charge) key { return key{c.Spec.Payment.Namespace, c.Spec.Payment.Name} }

// amountKey is the same for 1000 and 1000.00.
func amountKey(provider, amount string) string {
	n, _ := new(big.Rat).SetString(amount)
	return provider + " " + n.RatString()
}

// assess one sale.
func (v *verdict) assess(f *file) {
	reference, paid := "", 0
	if f.charge != nil {
		reference = f.charge.Spec.ProviderReference
	}
	for _, l := range f.ledger {
		if l.Event == simulator.Paid {
			paid++
		}
		if l.Reference != reference {
			v.blame(f.key(), judge.Schedule, "%s: the provider was asked for %s, which no Charge tells of", f.name, l.Reference)
		}
	}
	if paid > 1 {
		v.blame(f.key(), judge.OneCharge, "%s was charged %d times", f.name, paid)
	}
	book := judge.BookOf(reference, f.ledger, f.sessions, func(s simulator.Session) bool { return s.Seen })
	v.add(f.key(), book.OverRefund())
	v.chargeOf(f, book)
	v.paymentOf(f, book)
	for _, r := range f.refunds {
		v.refundOf(f, book, r)
	}
}

// chargeOf the sale, which outlives its Payment.
func (v *verdict) chargeOf(f *file, book judge.Book) {
	if f.charge == nil {
		return
	}
	who, rec := "the Charge of "+f.name, &f.charge.Record
	if !f.lapsed() {
		v.add(f.key(), judge.ChargeEnd(f.charge, book))
	}
	v.add(f.key(), judge.Unlearnt(f.charge, book))
	switch {
	case rec.Outcome != nil:
		v.says(f, who, rec.Outcome.Phase, f.charge.Spec.Money, book)
	case rec.Unknown != nil && rec.Unknown.Reason == v1alpha1.ReasonLostInitiation && f.provider == "orange":
		v.unpayable++
	case len(f.sessions) > 0 && !slices.ContainsFunc(f.sessions, func(s simulator.Session) bool { return s.State != "failed" && s.State != "expired" }):
		v.blame(f.key(), judge.Schedule, "%s does not say that it ended as %s (%s)", who, f.sessions[0].State, f.sessions[0].Reason)
	default:
		v.undecided++
	}
}

// says: what is told about an end is what the provider tells.
func (v *verdict) says(f *file, who string, phase v1alpha1.Phase, money v1alpha1.Money, book judge.Book) {
	switch {
	case phase == v1alpha1.PhaseSucceeded:
		v.add(f.key(), book.Success(who, money))
	case phase.Terminal():
		v.add(f.key(), book.Failure(who))
	}
}

func (v *verdict) paymentOf(f *file, book judge.Book) {
	p := f.payment
	if p == nil {
		if f.acknowledged && !f.gone {
			v.blame(f.key(), judge.Final, "%s: its Payment is gone", f.name)
		}
		return
	}
	who, st, c := "Payment "+p.Name, &p.Status, f.charge
	v.says(f, who, st.Phase, v1alpha1.Money{Amount: st.Amount, Currency: st.Currency}, book)
	switch {
	case !st.Phase.Terminal() && st.Phase != v1alpha1.PhaseUnknown && !f.lapsed():
		v.blame(f.key(), judge.Schedule, "%s says %q (%s) at the end", who, st.Phase, shop.ReasonOf(p))
	case c == nil:
		return // it was never sent, or assess has said so
	case c.Record.Outcome != nil && st.Phase == v1alpha1.PhaseUnknown:
		v.blame(f.key(), judge.Schedule, "%s says Unknown, and its Charge %s", who, c.Record.Outcome.Phase)
	case st.Phase == v1alpha1.PhaseSucceeded && (st.ProviderReference != c.Spec.ProviderReference || st.TransactionID == ""):
		v.blame(f.key(), judge.RightObject, "%s says that %q was paid by %q", who, st.ProviderReference, st.TransactionID)
	default:
		v.add(f.key(), judge.PaymentEnd(p, c))
	}
}

// refundOf the sale: what was made is shown as made, and nothing else is.
func (v *verdict) refundOf(f *file, book judge.Book, r *v1alpha1.Refund) {
	who, e := "Refund "+r.Name, &v1alpha1.ChargeRefund{Reference: "none"}
	if f.charge != nil && attempt.RefundOf(f.charge, r.Name) != nil {
		e = attempt.RefundOf(f.charge, r.Name)
	}
	switch phase := r.Status.Phase; phase {
	case v1alpha1.RefundSucceeded:
		v.refunds.Made++
		v.add(f.key(), book.Refund(who, e, true))
	case v1alpha1.RefundFailed:
		v.refunds.Failed++
		v.add(f.key(), book.Refund(who, e, false))
	default:
		if phase == v1alpha1.RefundManualActionRequired {
			v.refunds.ByHand++
		} else {
			v.refunds.Open++
		}
		if book.GivenBack(e) > 0 {
			v.blame(f.key(), judge.Schedule, "%s was made, and says %s", who, phase)
		}
	}
}
