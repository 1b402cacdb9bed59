package judge

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// books of a reference.
func (j *Judge) books(ref string) Book {
	b := BookOf(ref, j.w.Sim().Ledger(), j.w.Sim().Sessions(), func(s simulator.Session) bool {
		return s.Provider != simulator.Orange || j.isDisclosed(s.URL)
	})
	b.Payable = b.Payable && !j.w.OrangeSkewed()
	return b
}

func (j *Judge) isDisclosed(url string) bool {
	for _, s := range j.sales {
		for _, u := range s.disclosed {
			if u == url {
				return true
			}
		}
	}
	return false
}

// consents tells whether p says, or its restore shows, that it means the old sale.
func consents(p *v1alpha1.Payment) bool {
	return p.Annotations[v1alpha1.AnnotationAdopt] == "true" || attempt.Restored(p)
}

// chargeVerdict: a Charge says for good how it ended.
func (j *Judge) chargeVerdict(c *v1alpha1.Charge) {
	o := c.Record.Outcome
	b := j.books(c.Spec.ProviderReference)
	if o.Phase == v1alpha1.PhaseSucceeded {
		j.success("the Charge", c, b)
		if o.Paid != nil && !sameMoney(*o.Paid, c.Spec.Money) {
			j.violated(NoFalseSuccess, "the Charge says Succeeded of other money than was asked for")
		}
		return
	}
	j.failure("the Charge", b, c.Spec.ProviderReference)
	// Who is told that the payer did not pay has a payer who could.
	p := j.w.Payment(saleOf(c))
	own := p != nil && c.Spec.Payment.UID == string(p.UID) && !j.sale(saleOf(c)).had[p.UID] && !consents(p)
	if o.Reason == v1alpha1.ReasonPayerTimeout && own && len(c.Record.Open) == 0 && b.Newest.Before(p.CreationTimestamp.Time) {
		j.violated(NoFalseFailure, "the Charge says that the payer did not pay in time, and nobody was asked")
	}
}

func (j *Judge) success(who string, c *v1alpha1.Charge, b Book) {
	wrong := b.Success(who, c.Spec.Money)
	j.found(wrong)
	if len(wrong) == 0 && !j.request("pay ", c.Spec.ProviderReference).confirmed {
		j.violated(NoFalseSuccess, "%s says Succeeded, and no question of ours was answered so", who)
	}
}

func (j *Judge) failure(who string, b Book, ref string) {
	j.found(b.Failure(who))
	if !b.Known && j.underWay(ref) {
		j.violated(NoFalseFailure, "%s says that it was not paid, and a request can still arrive", who)
	}
}

// underWay: a request of a push provider may arrive and ring a phone.
func (j *Judge) underWay(ref string) bool {
	for _, late := range j.w.Late {
		f := late.Flight
		if f.Provider == simulator.MTN && f.Asks == simulator.OpInitiate && f.Reference == ref && late.At.After(j.w.Now()) {
			return true
		}
	}
	return false
}

// paymentVerdict: a Payment says for good how it ended.
func (j *Judge) paymentVerdict(p *v1alpha1.Payment, by *testworld.Process) {
	key := types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	c := j.w.Charge(key)
	who := "Payment " + p.Name
	if p.Status.SettledBy != "" {
		unrecorded := c == nil || c.Record.Outcome == nil || c.Record.Outcome.SettledBy == ""
		if unrecorded && (p.Spec.Settlement != nil || !j.sale(key).lost) { // else its record was just lost
			j.settlement(p, nil, nil)
		}
		return
	}
	if p.Status.Phase == v1alpha1.PhaseSucceeded {
		j.succeeded(who, p, c)
		return
	}
	switch reason := failureReason(p); reason {
	case v1alpha1.ReasonSaleConflict:
		if c != nil && attempt.NothingSent(&c.Record.Attempt) {
			j.violated(RightObject, "%s is refused for a Charge of which nothing was sent", who)
		}
		return
	case v1alpha1.ReasonInvalidRequest:
		j.neverAsked(who, key, p, by)
		return
	}
	if c != nil && j.forgotten(c) {
		return
	}
	if c != nil && p.Status.ChargeName == c.Name {
		j.failure(who, j.books(c.Spec.ProviderReference), c.Spec.ProviderReference)
		return
	}
	j.unasked(who, key, p, by)
}

// sawThis tells whether what a person saw is what is recorded.
func sawThis(saw *v1alpha1.UnknownStatus, u *v1alpha1.Unknown) bool {
	switch {
	case saw == nil || u == nil:
		return saw != nil
	default:
		return saw.Reason == u.Reason && saw.Since.Unix() == u.Since.Unix() && equality.Semantic.DeepEqual(saw.Reported, u.Reported)
	}
}

// neverAsked: whoever is refused as written was not asked for.
func (j *Judge) neverAsked(who string, key types.NamespacedName, p *v1alpha1.Payment, by *testworld.Process) {
	s := j.sale(key)
	for _, r := range s.references {
		if r.installation != by.Installation().ID || r.undecided == 0 && !j.books(r.reference).Known {
			continue // each request was refused, or did not arrive
		}
		if s.blank[p.UID] && s.lost && r.provider == string(simulator.Orange) {
			continue // nothing is left that tells of it, and Orange cannot be asked
		}
		for _, i := range r.intents {
			if i.uid == p.UID {
				j.violated(NoFalseFailure, "%s says that nothing was sent, and it was", who)
			}
		}
	}
}

// forgotten: an earlier Charge was lost, nothing was sent for this one, and Orange cannot be asked.
func (j *Judge) forgotten(c *v1alpha1.Charge) bool {
	return c.Spec.Provider == string(simulator.Orange) && j.sale(saleOf(c)).lost && attempt.NothingSent(&c.Record.Attempt)
}

// unasked: a Payment without a Charge says that it ended. What the provider knows of
// the sale, where it could be asked, it must not deny.
func (j *Judge) unasked(who string, key types.NamespacedName, p *v1alpha1.Payment, by *testworld.Process) {
	if by == nil || p.Status.InitiatedAt != nil && j.sale(key).lost {
		return // its Charge was deleted as it ended
	}
	for _, r := range j.sale(key).references {
		if r.installation != by.Installation().ID || r.provider != p.Spec.Provider || !j.askedNow(r, p) {
			continue
		}
		if b := j.books(r.reference); !b.SaidSo || b.Payable {
			j.failure(who, b, r.reference)
		}
	}
	j.neverAsked(who, key, p, by)
}

// askedNow: the operator has what it takes to ask about r. At Orange only signs of an
// earlier life tell that there was one.
func (j *Judge) askedNow(r *request, p *v1alpha1.Payment) bool {
	if r.environment != j.w.Environment(p) {
		return false
	}
	signs := p.Status.ChargeName != "" || attempt.Restored(p) || p.Spec.Cancel && p.Generation == 1
	return r.provider != string(simulator.Orange) || signs
}

// succeeded: what was paid is what this very Payment asks for.
func (j *Judge) succeeded(who string, p *v1alpha1.Payment, c *v1alpha1.Charge) {
	if c == nil {
		j.ghost(who, p)
		return
	}
	r := j.request("pay ", c.Spec.ProviderReference)
	b := j.books(c.Spec.ProviderReference)
	j.success(who, c, b)
	mine := false
	for _, i := range r.intents {
		mine = mine || i.same(intentOf(p))
	}
	outcome := c.Record.Outcome
	switch {
	case !mine && !(consents(p) && (j.w.KeyLost() || j.sale(saleOf(c)).lost)): // else nothing is left to compare with
		j.violated(RightObject, "%s says Succeeded by a payment that it did not ask for", who)
	case consents(p), p.Status.ChargeName == "":
	case outcome != nil && p.CreationTimestamp.Sub(outcome.At.Time) > j.w.Settings().AdoptionWindow+time.Minute && j.w.Settings().AdoptionWindow > 0:
		j.violated(RightObject, "%s says Succeeded by a sale that was over long before it", who)
	case outcome != nil && outcome.At.Time.Before(p.CreationTimestamp.Time) && j.environments[p.UID] != "" && j.environments[p.UID] != c.Spec.Account.Environment && j.w.Environment(p) != c.Spec.Account.Environment && c.Spec.Payment.UID != string(p.UID):
		j.violated(RightObject, "%s says Succeeded by money of another environment", who)
	}
}

// ghost: an administrator deleted the record meanwhile; it may be true all the same.
func (j *Judge) ghost(who string, p *v1alpha1.Payment) {
	s := j.sale(types.NamespacedName{Namespace: p.Namespace, Name: p.Name})
	for _, r := range s.references {
		if s.lost && len(j.books(r.reference).Charges) > 0 {
			return
		}
	}
	j.violated(NoFalseSuccess, "%s says Succeeded, and there is no record of it", who)
}

func sameMoney(a, b v1alpha1.Money) bool {
	return a.Currency == b.Currency && providers.EqualAmount(a.Amount, b.Amount)
}

// settlement: a person who saw the present Unknown said so, and how much was paid. u and
// booked are what the Charge records of them; nil: nothing.
func (j *Judge) settlement(p *v1alpha1.Payment, u *v1alpha1.Unknown, booked *v1alpha1.Money) {
	said := p.Spec.Settlement
	if said != nil && said.Amount != nil && booked != nil && !sameMoney(*booked, v1alpha1.Money{Amount: said.Amount.Canonical(), Currency: said.Currency}) {
		j.violated(RightObject, "Payment %s is settled with other money than was said", p.Name)
	}
	if said == nil || !sawThis(j.shown[string(p.UID)+said.UnknownID], u) {
		j.violated(RightObject, "Payment %s is settled by what was said about something else", p.Name)
	}
}
