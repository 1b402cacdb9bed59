package judge

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

// Finish looks at how everything stands at the end of a run. waits: it is one in which a Payment may wait for ever.
func (j *Judge) Finish(waits bool) {
	j.overheard()
	for _, p := range j.w.Panics {
		j.violated(NoPanic, "%s", p)
	}
	for name, s := range j.sales {
		j.charged(name, s)
	}
	for kind, r := range j.requests {
		if kind[0] == 'p' && !j.Lies {
			j.found(j.books(r.reference).OverRefund())
		}
	}
	open := false
	for _, o := range j.w.Store.All(testworld.Charge) {
		open = j.finishCharge(o.(*v1alpha1.Charge), waits) || open
	}
	for _, o := range j.w.Store.All(testworld.Payment) {
		open = j.finishPayment(o.(*v1alpha1.Payment), waits) || open
	}
	for _, o := range j.w.Store.All(testworld.Refund) {
		open = j.finishRefund(o.(*v1alpha1.Refund), waits) || open
	}
	for _, q := range j.processes {
		for _, a := range q.answers {
			if !j.kept(a) {
				j.violated(AnswersKept, "the answer to %s was read and is not recorded", a.f.Op)
			}
		}
	}
	if !open {
		j.rest()
	}
}

// charged: the payer of a sale paid once. Sandbox money is none. Whoever loses the
// record, and changes what the provider knows the sale by, is beyond help.
func (j *Judge) charged(name types.NamespacedName, s *sale) {
	paid := map[string]int{}
	for _, r := range s.references {
		kind := r.environment
		if s.lost {
			kind += "|" + r.provider + "|" + r.installation
		}
		paid[kind] += len(j.books(r.reference).Charges)
	}
	for _, n := range paid {
		if n > 1 {
			j.violated(OneCharge, "the payer of %s was charged %d times", name.Name, n)
		}
	}
}

// finishCharge tells whether the Charge may still have something to do.
func (j *Judge) finishCharge(c *v1alpha1.Charge, waits bool) bool {
	rec, b := &c.Record, j.books(c.Spec.ProviderReference)
	outcome := rec.Outcome
	if c.Spec.InstallationID != j.w.Config.Installation.ID {
		return false // nobody's who is here
	}
	if outcome == nil || !j.w.OrangeSkewed() { // there the clock says when a page ends; what contradicts it is shown
		j.found(ChargeEnd(c, b))
	}
	if outcome == nil && !waits && !j.mayNotKnow(c) && !j.nobodys(c) {
		j.found(Unlearnt(c, b))
		j.unconcluded(c, b)
	}
	if !waits && !j.mayNotKnow(c) {
		j.settledWrongly(rec, b)
	}
	if c.Spec.Provider == string(simulator.Wave) && outcome != nil && b.Open > 0 && !j.sale(saleOf(c)).lost {
		j.violated(OnePage, "it is over, and a session can still be paid")
	}
	for i := range rec.Refunds {
		if rec.Refunds[i].Outcome == nil {
			return true
		}
	}
	// What a person said is followed on, and what a callback came about lately.
	return outcome == nil || outcome.SettledBy != "" || mayBeAsked(c, j.w.Payment(saleOf(c)), j.w.Now())
}

// settledWrongly: what contradicts a person is learnt.
func (j *Judge) settledWrongly(rec *v1alpha1.ChargeRecord, b Book) {
	o := rec.Outcome
	if o != nil && o.SettledBy != "" && o.Phase != v1alpha1.PhaseSucceeded && rec.Later == nil && len(b.Charges) > 0 {
		j.violated(Final, "a person said that it was not paid, and that it was is not learnt")
	}
}

// nobodys: somebody deleted the record of the sale, and an older cache made this one for a Payment that is gone, or over.
func (j *Judge) nobodys(c *v1alpha1.Charge) bool {
	p := j.w.Payment(saleOf(c))
	wanted := p != nil && string(p.UID) == c.Spec.Payment.UID && !p.Status.Phase.Terminal()
	return j.sale(saleOf(c)).lost && attempt.NothingSent(&c.Record.Attempt) && !wanted
}

// unconcluded: a refusal counts once it is confirmed. Without the key nobody knows whose credentials made the request.
func (j *Judge) unconcluded(c *v1alpha1.Charge, b Book) {
	rec, r := &c.Record, j.request("pay ", c.Spec.ProviderReference)
	if !b.Known && r.refusedOnly() && rec.Unknown != nil && len(rec.Open) == 0 && !j.sale(saleOf(c)).lost && !j.w.KeyLost() && !j.Pruned {
		j.violated(Recovered, "each send was refused, and the Charge does not say so")
	}
}

// mayNotKnow: what was answered was not what was asked for, or was known before it
// was asked for, or cannot be asked about, so a person has to look.
func (j *Judge) mayNotKnow(c *v1alpha1.Charge) bool {
	if forgotten := j.forgotten(c); j.Unreadable || forgotten || c.Record.Unknown == nil {
		return j.Unreadable || forgotten
	}
	switch c.Record.Unknown.Reason {
	case v1alpha1.ReasonAmountMismatch, v1alpha1.ReasonReusedName:
		return true
	default:
		return c.Spec.Provider == string(simulator.Orange) && (c.Record.Session == nil || c.Record.Session.Token == "")
	}
}

// finishPayment tells whether the Payment may still have something to do.
func (j *Judge) finishPayment(p *v1alpha1.Payment, waits bool) bool {
	phase := p.Status.Phase
	key := types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	c := j.w.Charge(key)
	if c != nil && c.Spec.InstallationID != j.w.Config.Installation.ID {
		return false
	}
	if !settled(phase) && !waits && !waitsForPerson(p.Status.Conditions) {
		j.violated(Schedule, "Payment %s is %q at the end", p.Name, phase)
	}
	if c != nil && p.Status.ChargeName == c.Name {
		j.found(PaymentEnd(p, c))
	}
	return !settled(phase)
}

// waitsForPerson tells whether an object says what somebody else has to do first.
func waitsForPerson(conditions []metav1.Condition) bool {
	c := meta.FindStatusCondition(conditions, v1alpha1.ConditionSucceeded)
	if c == nil {
		return false
	}
	switch c.Reason {
	case v1alpha1.ReasonAccountNotFound, v1alpha1.ReasonAccountNotAllowed, v1alpha1.ReasonAdoptOnly, v1alpha1.ReasonInstallationChanged:
		return true
	default:
		return false
	}
}

func (j *Judge) finishRefund(r *v1alpha1.Refund, waits bool) bool {
	c := j.w.Charge(types.NamespacedName{Namespace: r.Namespace, Name: r.Spec.PaymentRef.Name})
	foreign := c != nil && c.Spec.InstallationID != j.w.Config.Installation.ID
	switch phase := r.Status.Phase; {
	case phase == v1alpha1.RefundUnknown, !phase.Terminal() && foreign:
		return true
	case phase == v1alpha1.RefundManualActionRequired:
		return false
	case !phase.Terminal():
		p := j.w.Payment(types.NamespacedName{Namespace: r.Namespace, Name: r.Spec.PaymentRef.Name})
		if p != nil && p.Status.Phase.Terminal() && !waits && !j.Pruned && !waitsForPerson(r.Status.Conditions) && !attempt.Restored(r) && !j.sale(types.NamespacedName{Namespace: r.Namespace, Name: p.Name}).lost {
			j.violated(Schedule, "Refund %s is %q at the end", r.Name, phase)
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
		j.violated(Schedule, "%d calls after the end", j.CallCount-calls)
	case j.WriteCount > writes:
		j.violated(Schedule, "%d writes after the end", j.WriteCount-writes)
	case len(jobs) > 0:
		j.violated(Schedule, "comes back after the end: %s", jobs[0])
	}
}
