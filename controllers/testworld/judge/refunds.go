package judge

import (
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

func (j *Judge) refundVersion(old, r *v1alpha1.Refund, by *testworld.Process) {
	if by != nil {
		j.found(RefundChange(old, r))
	}
	if old == nil {
		old = &v1alpha1.Refund{}
	}
	j.shows(r.UID, r.Status.Unknown)
	if r.Status.Phase != v1alpha1.RefundSucceeded || old.Status.Phase == r.Status.Phase {
		return
	}
	if r.Status.ConfirmedBy != "" {
		return // see confirmation
	}
	c := j.w.Charge(types.NamespacedName{Namespace: r.Namespace, Name: r.Spec.PaymentRef.Name})
	if c == nil {
		return
	}
	if e := attempt.RefundOf(c, r.Name); e != nil {
		j.refundVerdict("Refund "+r.Name, c, e, true)
	}
}

// confirmation: a person who saw what the Refund of that name shows said so.
func (j *Judge) confirmation(c *v1alpha1.Charge, name string) {
	r := j.w.Refund(types.NamespacedName{Namespace: c.Spec.Payment.Namespace, Name: name})
	if r == nil || r.Spec.Confirmation == nil {
		return // whoever said so is gone
	}
	if j.shown[string(r.UID)+r.Spec.Confirmation.UnknownID] == nil {
		j.violated(RightObject, "Refund %s is settled by what was said about something else", r.Name)
	}
}

func (j *Judge) refundVerdict(who string, c *v1alpha1.Charge, e *v1alpha1.ChargeRefund, succeeded bool) {
	j.found(j.books(c.Spec.ProviderReference).Refund(who, e, succeeded))
	if !succeeded && e.Reference != "" && j.refundUnderWay(e.Reference) {
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
