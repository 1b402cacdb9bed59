package judge

import (
	"math/big"

	"k8s.io/apimachinery/pkg/api/equality"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

func (j *Judge) claimVersion(c *v1alpha1.Charge, a, b *v1alpha1.ChargeRefund) {
	switch {
	case b.Sends < a.Sends, b.VoidSends < a.VoidSends:
		j.violated(Monotone, "sends of refund %s fell", b.Name)
	case a.Outcome != nil && !equality.Semantic.DeepEqual(a.Outcome, b.Outcome):
		j.violated(Monotone, "the outcome of refund %s changed", b.Name)
	}
	if a.Outcome == nil && b.Outcome != nil && b.Outcome.Confirmation == nil {
		j.refundVerdict("the claim of "+b.Name, c, b, b.Outcome.Phase)
	}
}

func (j *Judge) refundVersion(old, r *v1alpha1.Refund) {
	if old == nil {
		return
	}
	if old.Status.Phase.Terminal() && old.Status.Phase != r.Status.Phase {
		j.violated(Monotone, "Refund %s went from %s to %q", r.Name, old.Status.Phase, r.Status.Phase)
	}
	if r.Status.Phase != v1alpha1.RefundSucceeded || old.Status.Phase == r.Status.Phase {
		return
	}
	for name := range j.references {
		c, _ := j.w.Store.Live(testworld.Key{Kind: testworld.Charge, Name: name}).(*v1alpha1.Charge)
		if c == nil {
			return
		}
		if claim := claimOf(&c.Record, r.Name); claim.Name != "" && (claim.Outcome == nil || claim.Outcome.Confirmation == nil) {
			j.refundVerdict("Refund "+r.Name, c, claim, r.Status.Phase)
			return
		}
	}
}

// givenBack is how often the provider gave back under a claim.
func (j *Judge) givenBack(c *v1alpha1.Charge, claim *v1alpha1.ChargeRefund) int {
	n := 0
	for _, e := range j.w.Sim().Refunds(c.Spec.ProviderReference) {
		if claim.Reference == "" || e.Refund == claim.Reference {
			n++
		}
	}
	return n
}

func (j *Judge) refundVerdict(who string, c *v1alpha1.Charge, claim *v1alpha1.ChargeRefund, phase v1alpha1.RefundPhase) {
	n := j.givenBack(c, claim)
	if n > 1 {
		j.violated(OneCharge, "%s was given back %d times", who, n)
	}
	switch {
	case phase == v1alpha1.RefundSucceeded && n == 0:
		j.violated(NoFalseSuccess, "%s says Succeeded, and nothing was given back", who)
	case phase == v1alpha1.RefundFailed && n > 0 && claim.Reference != "":
		j.violated(NoFalseFailure, "%s says Failed, and it was given back", who)
	case phase == v1alpha1.RefundFailed && claim.Reference != "" && j.refundUnderWay(claim.Reference):
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

// cap: all refunds together give back no more than was paid.
func (j *Judge) cap(ref string) {
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
		j.violated(OneCharge, "%s was given back of %s", back.FloatString(2), paid.FloatString(2))
	}
}
