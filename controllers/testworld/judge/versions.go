package judge

import (
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
)

func (j *Judge) chargeVersion(old, c *v1alpha1.Charge) {
	if old == nil {
		old = &v1alpha1.Charge{Spec: c.Spec}
	}
	if j.Pruned {
		return // what a CRD loses nobody can hold
	}
	if !equality.Semantic.DeepEqual(old.Spec, c.Spec) {
		j.violated(Final, "the intent of the Charge changed")
	}
	a, b := &old.Record, &c.Record
	if a.Session != nil && !equality.Semantic.DeepEqual(a.Session, b.Session) {
		j.violated(Final, "the session of the Charge changed")
	}
	j.onlyForward("the Charge", &a.Attempt, &b.Attempt)
	switch {
	case a.Outcome != nil || b.Outcome == nil:
	case b.Outcome.SettledBy == "":
		j.chargeVerdict(c)
	default:
		j.settlement(j.w.Payment(saleOf(c)))
	}
	for i := range b.Refunds {
		before := v1alpha1.Attempt{}
		for k := range a.Refunds {
			if a.Refunds[k].Name == b.Refunds[i].Name {
				before = a.Refunds[k].Attempt
			}
		}
		j.entryVersion(c, &before, &b.Refunds[i])
	}
}

// onlyForward: what is recorded stays as it is.
func (j *Judge) onlyForward(who string, a, b *v1alpha1.Attempt) {
	switch {
	case b.Sends < a.Sends:
		j.violated(Final, "sends of %s fell from %d to %d", who, a.Sends, b.Sends)
	case a.Outcome != nil && !equality.Semantic.DeepEqual(a.Outcome, b.Outcome):
		j.violated(Final, "the outcome of %s changed", who)
	case a.Taken != nil && !equality.Semantic.DeepEqual(a.Taken, b.Taken):
		j.violated(Final, "that the provider has the request of %s changed", who)
	}
	for _, s := range b.Open {
		if s.Number <= a.Sends && !isOpen(a, s.Number) {
			j.violated(Final, "an answered send of %s is open again", who)
		}
	}
}

func (j *Judge) paymentVersion(old, p *v1alpha1.Payment, by *testworld.Process) {
	key := types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	if old == nil {
		j.environments[p.UID] = j.w.Environment(p)
		old = &v1alpha1.Payment{}
	}
	a, b := &old.Status, &p.Status
	if u := b.Unknown; u != nil && p.Spec.Settlement == nil {
		j.shown[string(p.UID)+u.ID] = true
	}
	if said := p.Spec.Settlement; said != nil && old.Spec.Settlement == nil && old.UID != "" && a.Unknown != nil && a.Unknown.ID == said.UnknownID {
		j.shown[string(p.UID)+said.UnknownID] = true
	}
	switch {
	case a.Phase.Terminal() && a.Phase != b.Phase:
		j.violated(Final, "Payment %s went from %s to %q", p.Name, a.Phase, b.Phase)
	case a.ChargeName != "" && a.ChargeName != b.ChargeName && by != nil:
		j.violated(Final, "Payment %s changed its Charge", p.Name)
	case a.Phase != "" && a.Phase != v1alpha1.PhasePending && b.Phase == v1alpha1.PhasePending && by != nil:
		j.violated(Final, "Payment %s went back to Pending", p.Name)
	}
	if j.SettledAt.IsZero() && p.Name == testworld.Sale && settled(b.Phase) {
		j.SettledAt = j.w.Now()
	}
	if by == nil {
		return
	}
	j.statusWritten(key, by)
	if a.Phase != b.Phase && b.Phase.Terminal() {
		j.paymentVerdict(p, by)
	}
	if next := b.NextAction; next != nil && next.URL != "" && (a.NextAction == nil || a.NextAction.URL != next.URL) {
		j.disclosure(key, next.URL)
	}
}

// settled: over, or for a person to look at.
func settled(p v1alpha1.Phase) bool { return p.Terminal() || p == v1alpha1.PhaseUnknown }

func (j *Judge) disclosure(key types.NamespacedName, url string) {
	c, s := j.w.Charge(key), j.sale(key)
	if c != nil && (c.Record.Session == nil || c.Record.Session.PaymentURL != url) && !s.lost {
		j.violated(OnePage, "a URL is published that no Charge holds")
	}
	for _, known := range s.disclosed {
		if known == url {
			return
		}
	}
	s.disclosed = append(s.disclosed, url)
	if len(s.disclosed) > 1 && !s.lost {
		j.violated(OnePage, "two sessions of one sale are published")
	}
}

// late tells whether a Payment shows what contradicts it.
func late(p *v1alpha1.Payment) bool {
	return meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionLateSettlement)
}
