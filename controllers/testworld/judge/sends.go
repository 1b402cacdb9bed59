package judge

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// maxAge of a raise when its request leaves.
const maxAge = time.Minute

// Acknowledged permits exactly one send, if that is what was written, and takes it
// where the sender says that it did not.
func (j *Judge) Acknowledged(p *testworld.Process, v testworld.Version) {
	j.WriteCount++
	q := j.process(p)
	j.writes(q.job.Name)
	if v.New == nil {
		return
	}
	q.fenced[v.Key] = fenced{j.w.Now(), v.New}
	c, ok := v.New.(*v1alpha1.Charge)
	if !ok {
		return
	}
	old, _ := v.Old.(*v1alpha1.Charge)
	if old == nil {
		old = &v1alpha1.Charge{}
		j.sale(saleOf(c)).blind[c.UID] = q.payment != nil && q.payment.Status.ChargeName == ""
	}
	j.raised(p, "pay "+c.Spec.ProviderReference, "", c, &old.Record.Attempt, &c.Record.Attempt)
	for i := range c.Record.Refunds {
		e := &c.Record.Refunds[i]
		before := &v1alpha1.Attempt{}
		if was := attempt.RefundOf(old, e.Name); was != nil {
			before = &was.Attempt
		}
		j.raised(p, "refund "+refundReference(c, e), e.Name, c, before, &e.Attempt)
	}
}

// raised compares an attempt before and after a write of p.
func (j *Judge) raised(p *testworld.Process, what, refund string, c *v1alpha1.Charge, before, after *v1alpha1.Attempt) {
	q := j.process(p)
	for _, s := range after.Open {
		if s.Sender == p.Name && s.Number > before.Sends {
			q.grants[what] = &grant{at: j.w.Now(), charge: testworld.KeyOf(c), uid: c.UID, refund: refund, number: s.Number}
		}
	}
	if g := q.grants[what]; g != nil && !g.used && g.uid == c.UID && !isOpen(after, g.number) {
		delete(q.grants, what)
	}
	if (refund == "") == (after == &c.Record.Attempt) {
		j.voids(p, before, after)
	}
}

// voids: only the sender may say that its send did nothing.
func (j *Judge) voids(p *testworld.Process, before, after *v1alpha1.Attempt) {
	for _, s := range before.Open {
		answered := after.Taken != nil || after.Outcome != nil || after.Unknown != nil || after.Refusal != nil
		if s.Sender != p.Name && !isOpen(after, s.Number) && !answered && !j.Pruned {
			j.violated(Sending, "a send was voided by another process than its sender")
		}
	}
}

// refundReference is what the provider knows a refund by.
func refundReference(c *v1alpha1.Charge, e *v1alpha1.ChargeRefund) string {
	if e.Reference != "" {
		return e.Reference
	}
	return c.Spec.ProviderReference
}

// Calls counts, and finds those that nobody needs or may make.
func (j *Judge) Calls(f *testworld.Flight) {
	j.CallCount++
	q := j.process(f.Process)
	// Ending a session that nobody may pay any more is always right.
	if q.over && f.Op != "cancel" {
		j.violated(Schedule, "%s is asked though the process knows how it ended", f.Op)
	}
	if !f.Process.Leads() && !q.led {
		j.violated(Leadership, "%s is asked by a process that does not lead", f.Op)
	}
	if q.job.Name.Name == testworld.Sale {
		j.called = time.Time{}
	}
	j.calls(f, q)
}

// Leaves: a request is about to go to a host.
func (j *Judge) Leaves(f *testworld.Flight) {
	if !f.Process.Trusts(f.Host) {
		j.violated(Trusted, "%s goes to %s, which is not trusted", f.Op, f.Host)
	}
}

// Arrives joins each request for money to its write-ahead.
func (j *Judge) Arrives(f *testworld.Flight) {
	kind, ok := moves(f)
	if !ok {
		return
	}
	if f.Replayable {
		j.violated(Sending, "the body of %s can be sent again", f.Op)
	}
	q := j.process(f.Process)
	g := q.grants[kind+f.Reference]
	switch {
	case g == nil:
		j.violated(Sending, "%s was sent without an acknowledged write-ahead of its reference", f.Op)
		return
	case g.used:
		j.violated(Sending, "%s was sent twice for one write-ahead", f.Op)
	case j.w.Now().Sub(g.at) > maxAge:
		j.violated(Sending, "%s was sent %s after its write-ahead", f.Op, j.w.Now().Sub(g.at))
	case !f.Process.Leads() && f.Process.LostLead() < f.Point:
		j.violated(Leadership, "%s was sent by a process that does not lead", f.Op)
	}
	g.used = true
	q.by[f] = g
	if j.NoSends || f.Process.AdoptsOnly() {
		j.violated(Restored, "%s was sent by an operator that adopts only", f.Op)
	}
	if kind == "refund " {
		j.refundArrives(f, q, g)
		return
	}
	j.paymentArrives(f, q, g)
}

// recordLost tells whether p showed a Charge that was lost before the write-ahead, as far as its sender could see.
func (s *sale) recordLost(p *v1alpha1.Payment, g *grant) bool {
	return s.had[p.UID] && !s.gone[g.uid] && !s.blind[g.uid]
}

// paymentArrives: the object that the fence saw wants exactly this.
func (j *Judge) paymentArrives(f *testworld.Flight, q *process, g *grant) {
	key := testworld.Key{Kind: testworld.Payment, Namespace: q.job.Name.Namespace, Name: q.job.Name.Name}
	seen := q.fenced[key]
	p, _ := seen.object.(*v1alpha1.Payment)
	s := j.sale(q.job.Name)
	switch {
	case p == nil || seen.at.Before(g.at):
		j.violated(Sending, "a payment was requested without a write or a live read of its object after the write-ahead")
		return
	case p.Spec.Cancel, p.DeletionTimestamp != nil, p.Status.Phase.Terminal():
		j.violated(Sending, "a payment was requested for an object that does not want it any more")
	case p.Status.ChargeName != g.charge.Name || p.Status.Phase == v1alpha1.PhasePending:
		j.violated(Sending, "a payment was requested before its object said so")
	case attempt.Restored(p):
		j.violated(Restored, "a payment was requested for an object that was restored")
	case s.recordLost(p, g):
		j.violated(Restored, "a payment was requested for an object whose record was lost")
	case f.Process.Now().Sub(p.CreationTimestamp.Time) > startDeadline && g.number == 1 && !j.w.Jumped():
		j.violated(Schedule, "a payment was first requested long after it was created")
	}
	if !f.Process.Installation().Given && j.production(q.job.Name) {
		j.violated(RightObject, "a payment was requested in production under an installation id that was not given")
	}
	r := j.request("pay ", f.Reference)
	if r.sale.Name == "" {
		r.sale, r.provider = q.job.Name, p.Spec.Provider
		r.environment, r.installation = j.environment(g), f.Process.Installation().ID
		s.references = append(s.references, r)
	}
	if r.sale != q.job.Name {
		j.violated(RightObject, "two sales have one reference")
	}
	i := intentOf(p)
	i.environment = r.environment
	r.intents = append(r.intents, i)
	if c := j.charge(g); c != nil && !moneyOf(p, c) {
		j.violated(RightObject, "a payment was requested for money that its object does not ask for")
	}
}

// startDeadline is attempt.Settings.StartDeadline and some.
const startDeadline = 25 * time.Hour

// moneyOf p is what c asks for.
func moneyOf(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	return p.Spec.Amount.Canonical() == c.Spec.Requested.Amount && (p.Spec.Currency == "" || p.Spec.Currency == c.Spec.Requested.Currency)
}

func (j *Judge) charge(g *grant) *v1alpha1.Charge {
	c, _ := j.w.Store.Live(g.charge).(*v1alpha1.Charge)
	if c == nil || c.UID != g.uid {
		return nil
	}
	return c
}

func (j *Judge) environment(g *grant) string {
	if c := j.charge(g); c != nil {
		return c.Spec.Account.Environment
	}
	return ""
}

func (j *Judge) request(kind, reference string) *request {
	r := j.requests[kind+reference]
	if r == nil {
		r = &request{reference: reference}
		j.requests[kind+reference] = r
	}
	return r
}

// accepted: the provider took the request, and said so.
func accepted(f *testworld.Flight) bool {
	return f.Err == nil && f.Status/100 == 2 && !f.Garbled()
}

// Answered notes what a process has read.
func (j *Judge) Answered(f *testworld.Flight) {
	q := j.process(f.Process)
	g := q.by[f]
	delete(q.by, f)
	kind, moving := moves(f)
	switch {
	case moving && g != nil:
		r := j.request(kind, f.Reference)
		switch {
		case accepted(f):
			q.answers = append(q.answers, answer{f: f, g: g})
			r.undecided++
		case f.Refuses():
			if r.refused++; f.Denied() {
				q.answers = append(q.answers, answer{f: f, g: g})
			}
		default:
			r.undecided++
		}
	case (f.Asks == simulator.OpStatus || f.Asks == simulator.OpSearch) && accepted(f) && len(j.books(f.Reference).Charges) > 0:
		j.request("pay ", f.Reference).confirmed = true
	}
}

// unkept finds the answers that a process read and did not record, though a run of it ended well.
func (j *Judge) unkept(q *process) {
	kept := q.answers[:0]
	for _, a := range q.answers {
		if a.missed.IsZero() {
			a.missed = j.w.Now()
		}
		mine := q.job.Name.Namespace == a.g.charge.Namespace || j.charge(a.g) != nil && saleOf(j.charge(a.g)) == q.job.Name || q.job.Refund
		switch {
		case j.kept(a):
		case mine && j.w.Now().Sub(a.missed) > lastConflict:
			j.violated(AnswersKept, "the answer to %s was read and not recorded", a.f.Op)
		default:
			kept = append(kept, a)
		}
	}
	q.answers = kept
}

// kept: it is recorded, or there is nothing to record it on.
func (j *Judge) kept(a answer) bool {
	c := j.charge(a.g)
	if c == nil || j.Pruned {
		return true
	}
	e := attempt.RefundOf(c, a.g.refund)
	switch {
	case !a.f.Denied():
	case a.g.refund == "":
		return !isOpen(&c.Record.Attempt, a.g.number)
	default:
		return e == nil || !isOpen(&e.Attempt, a.g.number)
	}
	if a.g.refund != "" {
		return e != nil && !isOpen(&e.Attempt, a.g.number) && (e.Taken != nil || e.Outcome != nil)
	}
	rec := &c.Record
	if rec.Session == nil && rec.Outcome == nil && a.f.Provider != simulator.MTN {
		return false
	}
	return !isOpen(&rec.Attempt, a.g.number) && (rec.Taken != nil || rec.Outcome != nil)
}

// refusedOnly tells whether the provider refused every send that left.
func (r *request) refusedOnly() bool { return r.undecided == 0 && r.refused > 0 }

// production tells whether the Charge of a sale moves real money.
func (j *Judge) production(sale types.NamespacedName) bool {
	c := j.w.Charge(sale)
	return c != nil && c.Spec.Account.Environment == string(providers.Production)
}

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
