package judge

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
)

func (j *Judge) chargeVersion(old, c *v1alpha1.Charge, by *testworld.Process) {
	if !j.Pruned { // what a CRD loses nobody can hold
		j.found(ChargeChange(old, c))
	}
	if old == nil {
		old = &v1alpha1.Charge{}
	}
	switch {
	case old.Record.Outcome != nil || c.Record.Outcome == nil:
	case newOutcome(&c.Record.Attempt):
		j.chargeVerdict(c)
	default:
		p := j.w.Payment(saleOf(c))
		if by != nil && j.process(by).payment != nil {
			p = j.process(by).payment // it may be gone by now
		}
		if p != nil && p.Spec.Settlement != nil {
			j.settlement(p, old.Record.Unknown, c.Record.Outcome.Paid)
		} else if !j.sale(saleOf(c)).said {
			j.violated(RightObject, "a Charge is settled, and nobody said so")
		}
	}
	for i := range c.Record.Refunds {
		e := &c.Record.Refunds[i]
		switch {
		case e.Outcome == nil || entryBefore(old, e.Name).Outcome != nil:
		case newOutcome(&e.Attempt):
			j.refundVerdict("the entry of "+e.Name, c, e, e.Outcome.Phase == v1alpha1.PhaseSucceeded)
		default:
			j.confirmation(c, e.Name)
		}
	}
}

// shows notes what an object shows of an Unknown.
func (j *Judge) shows(uid types.UID, u *v1alpha1.UnknownStatus) {
	if u != nil && j.shown[string(uid)+u.ID] == nil {
		j.shown[string(uid)+u.ID] = u
	}
}

// newOutcome: the provider's word, and no person's.
func newOutcome(a *v1alpha1.Attempt) bool { return a.Outcome != nil && a.Outcome.SettledBy == "" }

func (j *Judge) paymentVersion(old, p *v1alpha1.Payment, by *testworld.Process) {
	key := types.NamespacedName{Namespace: p.Namespace, Name: p.Name}
	if by != nil {
		j.found(PaymentChange(old, p, true))
	}
	if old == nil {
		j.environments[p.UID] = j.w.Environment(p)
		old = &v1alpha1.Payment{}
	}
	a, b := &old.Status, &p.Status
	j.shows(p.UID, b.Unknown)
	if said := p.Spec.Settlement; said != nil && old.UID != "" && j.shown[string(p.UID)+said.UnknownID] != nil {
		j.sale(key).said = true
	}
	if j.SettledAt.IsZero() && p.Name == testworld.Sale && settled(b.Phase) {
		j.SettledAt = j.w.Now()
	}
	if by == nil {
		if a.ChargeName != "" && b.ChargeName == "" {
			s := j.sale(key)
			delete(s.had, p.UID) // whoever loses both is new
			s.blank[p.UID] = true
		}
		return
	}
	if b.ChargeName != "" {
		delete(j.sale(key).blank, p.UID)
	}
	if a.Phase != b.Phase && b.Phase.Terminal() {
		j.paymentVerdict(p, by)
	}
	j.disclosure(key, ptr.Deref(a.NextAction, v1alpha1.NextAction{}).URL, ptr.Deref(b.NextAction, v1alpha1.NextAction{}).URL)
}

func (j *Judge) disclosure(key types.NamespacedName, before, url string) {
	if url == "" || url == before {
		return
	}
	c, s := j.w.Charge(key), j.sale(key)
	if c != nil && (c.Record.Session == nil || c.Record.Session.PaymentURL != url) && !s.lost {
		j.violated(OnePage, "a URL is published that no Charge holds")
	}
	if slices.Contains(s.disclosed, url) {
		return
	}
	s.disclosed = append(s.disclosed, url)
	if len(s.disclosed) > 1 && !s.lost {
		j.violated(OnePage, "two sessions of one sale are published")
	}
}
