package judge

import (
	"math/big"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// refundArrives: the Refund that the fence saw wants exactly this.
func (j *Judge) refundArrives(f *testworld.Flight, q *process, g *grant) {
	key := testworld.Key{Kind: testworld.Refund, Namespace: q.job.Name.Namespace, Name: q.job.Name.Name}
	seen := q.fenced[key]
	r, _ := seen.object.(*v1alpha1.Refund)
	c := j.charge(g)
	switch {
	case r == nil || seen.at.Before(g.at):
		j.violated(Sending, "a refund was requested without a write or a live read of its object after the write-ahead")
		return
	case r.DeletionTimestamp != nil, r.Status.Phase.Terminal():
		j.violated(Sending, "a refund was requested for an object that does not want it any more")
	case attempt.Restored(r):
		j.violated(Restored, "a refund was requested for an object that was restored")
	}
	if c == nil {
		return
	}
	if e := attempt.RefundOf(c, g.refund); e == nil || r.Spec.Amount != nil && !providers.EqualAmount(r.Spec.Amount.Canonical(), e.Money.Amount) {
		j.violated(RightObject, "a refund was requested for money that its object does not ask for")
	}
	q2 := j.request("refund ", f.Reference)
	q2.sale, q2.refund = saleOf(c), g.refund
}

func (j *Judge) entryVersion(c *v1alpha1.Charge, before *v1alpha1.Attempt, e *v1alpha1.ChargeRefund) {
	j.onlyForward("refund "+e.Name, before, &e.Attempt)
	if before.Outcome == nil && e.Outcome != nil && e.Outcome.SettledBy == "" {
		j.refundVerdict("the entry of "+e.Name, c, e, e.Outcome.Phase == v1alpha1.PhaseSucceeded)
	}
}

func (j *Judge) refundVersion(old, r *v1alpha1.Refund) {
	if old == nil {
		old = &v1alpha1.Refund{}
	}
	if u := r.Status.Unknown; u != nil && r.Spec.Confirmation == nil {
		j.shown[string(r.UID)+u.ID] = true
	}
	if old.Status.Phase.Terminal() && old.Status.Phase != r.Status.Phase {
		j.violated(Final, "Refund %s went from %s to %q", r.Name, old.Status.Phase, r.Status.Phase)
	}
	if r.Status.Phase != v1alpha1.RefundSucceeded || old.Status.Phase == r.Status.Phase {
		return
	}
	if r.Status.ConfirmedBy != "" {
		if said := r.Spec.Confirmation; said == nil || !j.shown[string(r.UID)+said.UnknownID] {
			j.violated(RightObject, "Refund %s is settled by what was said about something else", r.Name)
		}
		return
	}
	c := j.w.Charge(types.NamespacedName{Namespace: r.Namespace, Name: r.Spec.PaymentRef.Name})
	if c == nil {
		return
	}
	if e := attempt.RefundOf(c, r.Name); e != nil {
		j.refundVerdict("Refund "+r.Name, c, e, true)
	}
}

// givenBack is how often the provider gave back under an entry.
func (j *Judge) givenBack(c *v1alpha1.Charge, e *v1alpha1.ChargeRefund) int {
	n := 0
	for _, entry := range j.w.Sim().Refunds(c.Spec.ProviderReference) {
		if e.Reference == "" || entry.Refund == e.Reference {
			n++
		}
	}
	return n
}

func (j *Judge) refundVerdict(who string, c *v1alpha1.Charge, e *v1alpha1.ChargeRefund, succeeded bool) {
	n := j.givenBack(c, e)
	if n > 1 {
		j.violated(NoOverRefund, "%s was given back %d times", who, n)
	}
	switch {
	case succeeded && n == 0:
		j.violated(NoFalseSuccess, "%s says Succeeded, and nothing was given back", who)
	case !succeeded && n > 0 && e.Reference != "":
		j.violated(NoFalseFailure, "%s says Failed, and it was given back", who)
	case !succeeded && e.Reference != "" && j.refundUnderWay(e.Reference):
		j.violated(NoFalseFailure, "%s says Failed, and the request can still arrive", who)
	}
}

func (j *Judge) refundUnderWay(ref string) bool {
	for _, late := range j.w.Late {
		if f := late.Flight; f.Asks == simulator.OpRefund && f.Method == "POST" && f.Reference == ref && late.At.After(j.w.Now()) {
			return true
		}
	}
	return false
}

// overRefund: all refunds of a reference together give back no more than was paid.
func (j *Judge) overRefund(ref string) {
	paid, back := new(big.Rat), new(big.Rat)
	for _, e := range j.w.Sim().Ledger() {
		if e.Reference != ref {
			continue
		}
		amount, _ := new(big.Rat).SetString(e.Amount)
		switch e.Event {
		case simulator.Paid:
			paid.Add(paid, amount)
		case simulator.Refunded:
			back.Add(back, amount)
		default:
		}
	}
	if back.Cmp(paid) > 0 {
		j.violated(NoOverRefund, "%s was given back of %s", back.FloatString(2), paid.FloatString(2))
	}
}
