package judge

import (
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
)

// Finish looks at how everything stands at the end of a run.
func (j *Judge) Finish(waits bool) {
	// All sessions are of one sale, whatever references they were opened under.
	if n := j.books("").paid; n > 1 {
		j.violated(OneCharge, "the payer was charged %d times", n)
	}
	for _, ref := range j.references {
		j.cap(ref)
	}
	open := false
	for name := range j.references {
		c, _ := j.w.Store.Live(testworld.Key{Kind: testworld.Charge, Name: name}).(*v1alpha1.Charge)
		if c != nil {
			open = j.finishCharge(c) || open
		}
	}
	for _, o := range j.w.Store.All(testworld.Payment) {
		open = j.finishPayment(o.(*v1alpha1.Payment), waits) || open
	}
	for _, o := range j.w.Store.All(testworld.Refund) {
		open = j.finishRefund(o.(*v1alpha1.Refund)) || open
	}
	if !open {
		j.rest()
	}
}

// finishCharge tells whether the Charge may still have something to do.
func (j *Judge) finishCharge(c *v1alpha1.Charge) bool {
	rec, b := &c.Record, j.books(c.Spec.ProviderReference)
	held, outcome := rec.Hold != nil, rec.Outcome
	asked := rec.Sends > rec.VoidSends || rec.Session != nil
	switch {
	case outcome == nil && !held && asked:
		j.violated(Settles, "a Charge that was asked for is neither over nor held")
		if !j.mayNotKnow(c) {
			j.unlearnt(rec, b)
		}
	case outcome != nil && outcome.Settlement != nil:
		// A person said so.
	case outcome != nil && outcome.Phase != v1alpha1.PhaseSucceeded && b.paid > 0 && !b.saidSo && !j.deleted:
		j.violated(NoFalseFailure, "the Charge ended %s, and was paid", outcome.Phase)
	case outcome == nil && !j.mayNotKnow(c):
		j.unlearnt(rec, b)
	}
	for i := range rec.Refunds {
		if rec.Refunds[i].Outcome == nil {
			return true
		}
	}
	return outcome == nil || outcome.Settlement != nil // that is watched for a while
}

// unlearnt: a Charge without an outcome must not be what the provider knows more of.
func (j *Judge) unlearnt(rec *v1alpha1.ChargeRecord, b book) {
	switch {
	case b.paid > 0 && j.w.Payment(testworld.Sale) == nil:
		j.violated(DeletionKept, "it was paid, its Payment is gone, and the Charge does not say so")
	case b.paid > 0:
		j.violated(Learns, "it was paid, and the Charge does not say so")
	case b.known && b.open == 0 && b.saidSo && rec.Session != nil:
		j.violated(Learns, "the provider knows that it ended unpaid, and the Charge does not say so")
	}
}

// mayNotKnow: what was answered was not what was asked for, or was known before it
// was asked for, so a person has to look; or an administrator deleted the record.
func (j *Judge) mayNotKnow(c *v1alpha1.Charge) bool {
	h := c.Record.Hold
	return j.deleted || j.Unreadable ||
		h != nil && (h.Reason == v1alpha1.ReasonAmountMismatch || h.Reason == v1alpha1.ReasonReusedReference)
}

// finishPayment tells whether the Payment may still have something to do. waits:
// the run is one in which a Payment may wait for ever.
func (j *Judge) finishPayment(p *v1alpha1.Payment, waits bool) bool {
	phase := p.Status.Phase
	c := j.chargeOf(p)
	switch {
	case !settled(phase) && !waits && !j.deleted:
		j.violated(Settles, "Payment %s is %q at the end", p.Name, phase)
	case c == nil || p.Status.ChargeName != c.Name:
	case c.Record.Outcome != nil && c.Record.Outcome.Phase != phase && !refusedItself(p):
		j.violated(Learns, "Payment %s says %q, and its Charge %s", p.Name, phase, c.Record.Outcome.Phase)
	}
	return !settled(phase)
}

func (j *Judge) finishRefund(r *v1alpha1.Refund) bool {
	switch phase := r.Status.Phase; {
	case phase == v1alpha1.RefundUnknown:
		return true
	case phase == v1alpha1.RefundManualActionRequired:
		return false
	case !phase.Terminal():
		p := j.w.Payment(r.Spec.PaymentRef.Name)
		if p != nil && p.Status.Phase.Terminal() && !j.deleted {
			j.violated(Settles, "Refund %s is %q at the end", r.Name, phase)
		}
		return true
	default:
		return false
	}
}

// rest: who looks once more finds nothing to do.
func (j *Judge) rest() {
	calls, writes := j.CallCount, j.WriteCount
	jobs := j.w.Quiet()
	switch {
	case j.CallCount > calls:
		j.violated(Rests, "%d calls after the end", j.CallCount-calls)
	case j.WriteCount > writes:
		j.violated(Rests, "%d writes after the end", j.WriteCount-writes)
	case len(jobs) > 0:
		j.violated(Rests, "comes back after the end: %s", jobs[0])
	}
}
