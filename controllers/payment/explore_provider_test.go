//go:build !race

package payment

import (
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// question asks the provider, following ask, check and search. The question and
// its answer are one step: what comes between the answer and its record is what
// can matter.
func (m *model) question(s moment, i int, e event, a action) {
	if s.left.TimeOut > 0 {
		t := s
		t.left.TimeOut--
		lost := e
		lost.fault = notDone
		m.unreachable(&t, i)
		m.emit(lost, &t)
	}
	t := s
	switch {
	case a == actAsk && m.traits.Recovery == providers.RecoverBySearch:
		m.search(&t, i)
	case a == actAsk:
		m.ask(&t, i)
	default:
		m.check(&t, i)
	}
	m.emit(e, &t)
}

// found are the sessions of a reference that a question shows, in the order of
// the provider's list.
func (m *model) found(t *moment, ref uint8) []int {
	var out []int
	for i := range t.sessions {
		if s := &t.sessions[i]; s.is != noSession && s.ref == ref && s.flag&hidden == 0 {
			out = append(out, i)
		}
	}
	if m.newestFirst {
		for a, b := 0, len(out)-1; a < b; a, b = a+1, b-1 {
			out[a], out[b] = out[b], out[a]
		}
	}
	return out
}

// says is the provider's answer about a session.
func (m *model) says(t *moment, charge num, i int) providers.Status {
	spec := &m.charges.at(charge).Spec
	st := providers.Status{State: wordFor(m.provider, t.sessions[i]), Money: providers.Money(spec.Money), Reference: m.refs[t.sessions[i].ref]}
	if m.provider == "mtn" {
		st.CorrelationTag = m.refs[t.sessions[i].mark]
	}
	if t.sessions[i].flag&odd != 0 {
		st.Money.Amount = "1"
	}
	if st.State == providers.StateFailed {
		st.Failure = providers.FailureProviderRefused
	}
	return st
}

func (m *model) notFound(t *moment, i int) {
	m.remember(&t.procs[i], func(o *observation) { *o = observation{at: epoch, notFound: true} })
}

// ask follows ask for a provider that is asked by reference.
func (m *model) ask(t *moment, i int) {
	p := &t.procs[i]
	found := m.found(t, m.rules.refOf(m, p.charge, t))
	if len(found) == 0 {
		m.notFound(t, i)
		if m.rules.notFoundFails {
			m.record(t, i, answer{Kind: foldsFailed, At: epoch}, thenProject)
			return
		}
		m.record(t, i, answer{Kind: foldsRefusalConfirmed, At: epoch}, thenProject)
		return
	}
	st := m.says(t, p.charge, found[0])
	c := m.charges.at(p.charge)
	reused := m.reused(p, st)
	m.rememberState(p, st.State)
	if reused {
		m.record(t, i, answer{Kind: foldsHold, Reason: v1alpha1.ReasonReusedReference, At: epoch}, thenProject)
		return
	}
	m.record(t, i, answer{Kind: foldsAsked, At: epoch, Status: &st, Session: &v1alpha1.ChargeSession{
		Send: c.Record.Sends, At: micros(epoch), Known: c.Record.Sends == 0 || strange(c, st)}}, thenProject)
}

// reused follows reused.
func (m *model) reused(p *process, st providers.Status) bool {
	c := m.charges.at(p.charge)
	rec := &c.Record
	if rec.Session != nil || rec.Outcome != nil || !st.State.Final() || m.consented(p) {
		return false
	}
	held := rec.Hold != nil && rec.Hold.Reason == v1alpha1.ReasonReusedReference
	return strange(c, st) || st.CorrelationTag == "" && (held || rec.ReferenceKnown)
}

func (m *model) consented(p *process) bool {
	return m.facts(p.charge, p.payment, p.seen, 0).consented()
}

func (m *model) rememberState(p *process, st providers.State) {
	m.remember(p, func(o *observation) { *o = observation{at: epoch, state: st, cancelledAt: o.cancelledAt} })
}

// search follows search. What it is for shows in what was decided: a send goes
// on if nothing was found.
func (m *model) search(t *moment, i int) {
	p := &t.procs[i]
	forSend := p.at == searching
	found := m.found(t, m.rules.refOf(m, p.charge, t))
	if len(found) == 0 {
		m.notFoundBy(t, i, forSend)
		return
	}
	chosen, surplus := m.choose(t, p.charge, found)
	if surplus != 0 && !m.rules.keepSurplus {
		p.todo, p.at, p.then = surplus, ending, thenLookAgain
		return
	}
	c, st := m.charges.at(p.charge), m.says(t, p.charge, chosen)
	switch earlier := c.Record.Sends == 0 && !m.consented(p); {
	case c.Record.Outcome != nil:
		m.rememberState(p, st.State)
		m.record(t, i, answer{Kind: foldsStatus, At: epoch, Status: &st}, thenProject)
		return
	case earlier && rank(providers.Session{Status: &st}) == paid:
		m.rememberState(p, st.State)
		m.record(t, i, answer{Kind: foldsHold, Reason: v1alpha1.ReasonReusedReference, At: epoch}, thenProject)
		return
	case earlier && rank(providers.Session{Status: &st}) == over:
		m.notFoundBy(t, i, forSend)
		return
	}
	s := m.opened(chosen)
	s.Known = c.Record.Sends == 0
	m.record(t, i, answer{Kind: foldsSession, Session: &s}, thenSurplus)
}

// notFoundBy: nothing is in the way of a send.
func (m *model) notFoundBy(t *moment, i int, forSend bool) {
	m.notFound(t, i)
	if forSend {
		t.procs[i].at = raising
		return
	}
	m.project(t, i)
}

// choose is the real chooseSession.
func (m *model) choose(t *moment, charge num, found []int) (chosen int, surplus uint8) {
	sessions := make([]providers.Session, len(found))
	for k, i := range found {
		st := m.says(t, charge, i)
		sessions[k] = providers.Session{ID: sessionName(i), Status: &st}
	}
	best, others := chooseSession(sessions)
	for _, o := range others {
		surplus |= bitOf(sessionIndex(o.ID))
	}
	return sessionIndex(best.ID), surplus
}

// opened is what an answer with a session leaves on the Charge.
func (m *model) opened(i int) v1alpha1.ChargeSession {
	s := v1alpha1.ChargeSession{At: micros(epoch), PaymentURL: "https://pay.example/" + sessionName(i)}
	if m.provider == "orange" {
		s.Token = sessionName(i)
	} else {
		s.ID = sessionName(i)
	}
	return s
}

// check follows check.
func (m *model) check(t *moment, i int) {
	p := &t.procs[i]
	at := m.chargeBrief[p.charge].session
	if m.provider == "mtn" {
		found := m.found(t, m.rules.refOf(m, p.charge, t))
		if len(found) == 0 {
			m.notFound(t, i)
			m.project(t, i)
			return
		}
		at = found[0]
	}
	st := m.says(t, p.charge, at)
	if m.traits.Recovery == providers.RecoverBySearch && st.State.Final() && st.State != providers.StateSucceeded && !m.rules.noOthers {
		p.at = lookingAtOthers
		return
	}
	m.learn(t, i, st)
}

func (m *model) learn(t *moment, i int, st providers.Status) {
	p := &t.procs[i]
	st = endedByUs(m.charges.at(p.charge), m.traits, st)
	m.rememberState(p, st.State)
	m.record(t, i, answer{Kind: foldsStatus, At: epoch, Status: &st}, thenProject)
}

// lookAtOthers follows others.
func (m *model) lookAtOthers(s *moment, i int) {
	t := *s
	p := &t.procs[i]
	e := event{what: steps, who: uint8(i)}
	if t.left.TimeOut > 0 {
		lost := t
		lost.left.TimeOut--
		m.unreachable(&lost, i)
		m.emit(event{what: steps, who: uint8(i), fault: notDone}, &lost)
	}
	st := m.says(&t, p.charge, m.chargeBrief[p.charge].session)
	found := m.found(&t, m.rules.refOf(m, p.charge, &t))
	if len(found) == 0 {
		m.learn(&t, i, st)
		m.emit(e, &t)
		return
	}
	best, surplus := m.choose(&t, p.charge, found)
	said := m.says(&t, p.charge, best)
	switch rank(providers.Session{Status: &said}) {
	case paid:
		m.learn(&t, i, said)
	case over:
		m.learn(&t, i, st)
	default:
		p.todo, p.at, p.then = surplus|bitOf(best), ending, thenLookAgain
	}
	m.emit(e, &t)
}

// end ends the sessions in todo, one a step.
func (m *model) end(s *moment, i int) {
	for _, f := range [...]fault{fine, answerLost, notDone} {
		t := *s
		if !spend(f, answerLost, &t.left.TimeOut) || !spend(f, notDone, &t.left.TimeOut) {
			continue
		}
		p := &t.procs[i]
		k := lowest(p.todo)
		if f != notDone && t.sessions[k].is == isOpen {
			t.sessions[k].is = isOver
		}
		p.todo &^= bitOf(k)
		m.ended(&t, i, f)
		m.emit(event{what: steps, who: uint8(i), fault: f}, &t)
	}
}

func (m *model) ended(t *moment, i int, f fault) {
	p := &t.procs[i]
	switch {
	case f != fine && p.then == thenProject:
		m.fail(t, i) // a surplus session that recordSession could not end
	case f != fine:
		m.unreachable(t, i)
	case p.todo != 0:
	case p.then == thenCheck:
		m.remember(p, func(o *observation) { *o = observation{cancelledAt: epoch} })
		m.project(t, i)
	case p.then == thenLookAgain:
		m.rememberFailure(p)
		m.project(t, i)
	default:
		m.project(t, i)
	}
}

// takes is the provider taking (or not) the k-th request on its way. The answer
// reaches whoever still waits for it.
func (m *model) takes(s *moment, k int) {
	for f := range fault(len(faults)) {
		t := *s
		l := &t.left
		if f == answerLost || f == notDone || (f == hiddenAtFirst || f == rejectedButTaken) && m.provider != "mtn" {
			continue
		}
		if !spend(f, hiddenAtFirst, &l.Hidden) || !spend(f, rejected, &l.Rejected) || !spend(f, rejectedButTaken, &l.RejectedButTaken) ||
			!spend(f, void, &l.Void) || !spend(f, oddAmount, &l.OddAmount) {
			continue
		}
		r := t.requests[k]
		t.requests[k] = onWire{}
		known, i := false, -1
		if f != rejected && f != void {
			known, i = m.open(&t, r)
			if i < 0 {
				continue // more sessions than the model holds
			}
		}
		if known && f != fine {
			continue
		}
		if i >= 0 && !known {
			t.sessions[i].flag |= map[fault]sessionFlag{hiddenAtFirst: hidden, oddAmount: odd}[f]
		}
		if r.from != nobody {
			m.answered(&t, int(r.from)-1, known, i, f)
		}
		m.emit(event{what: answers, who: uint8(k), fault: f}, &t)
	}
}

// open enters a request in the books. MTN and Orange take a reference once.
func (m *model) open(t *moment, r onWire) (known bool, index int) {
	for i := range t.sessions {
		s := &t.sessions[i]
		if s.is != noSession && s.ref == r.ref && m.provider != "wave" {
			return true, i
		}
		if s.is == noSession {
			*s = session{is: isOpen, ref: r.ref, mark: r.mark}
			return false, i
		}
	}
	return false, -1
}

// answered follows recordInitiation.
func (m *model) answered(t *moment, i int, known bool, k int, f fault) {
	p := &t.procs[i]
	c := m.charges.at(p.charge)
	send, earlier := c.Record.Sends, openSends(&c.Record) == 1 || c.Record.ReferenceKnown
	switch {
	case f == rejected || f == rejectedButTaken:
		m.record(t, i, answer{Kind: foldsRefusal, Send: send, Reason: v1alpha1.ReasonRequestRejected, At: epoch}, thenProject)
	case f == void:
		m.rememberFailure(p)
		m.record(t, i, answer{Kind: foldsVoid, Send: send, Reason: v1alpha1.ReasonProviderThrottled, At: epoch}, thenProject)
	case known && m.rules.knownFails:
		m.record(t, i, answer{Kind: foldsFailed, At: epoch}, thenProject)
	case known && m.traits.Recovery == providers.RecoverByReference && earlier && !m.consented(p):
		m.remember(p, func(o *observation) { *o = observation{} })
		m.record(t, i, answer{Kind: foldsKnown}, thenProject)
	case known && m.traits.Recovery == providers.RecoverByReference:
		m.record(t, i, answer{Kind: foldsSession, Session: &v1alpha1.ChargeSession{
			Send: send, At: micros(epoch), Known: earlier}}, thenSurplus)
	case known && m.rules.reissue:
		m.noAnswer(t, i)
	case known:
		m.record(t, i, answer{Kind: foldsHold, Reason: v1alpha1.ReasonLostInitiation, At: epoch}, thenProject)
	default:
		s := v1alpha1.ChargeSession{At: micros(epoch)}
		if m.provider != "mtn" {
			s = m.opened(k)
		}
		s.Send = send
		if m.rules.discloseEarly {
			m.checkDisclosure(t, k)
			t.sessions[k].flag |= disclosed
		}
		m.record(t, i, answer{Kind: foldsSession, Session: &s}, thenSurplus)
	}
}

// ---- what happens by itself

func (m *model) world(s *moment) {
	m.network(s)
	m.payer(s)
	m.user(s)
	for i := range s.procs {
		if s.left.Crash > 0 {
			t := *s
			t.left.Crash--
			m.crash(&t, i)
			m.emit(event{what: dies, who: uint8(i)}, &t)
		}
	}
	m.tick(s)
}

func (m *model) network(s *moment) {
	for k, r := range s.requests {
		if r.from == 0 {
			continue
		}
		m.takes(s, k)
		if r.from != nobody && s.left.TimeOut > 0 {
			t := *s
			t.left.TimeOut--
			t.requests[k].from = nobody
			m.noAnswer(&t, int(r.from)-1)
			m.emit(event{what: givesUp, who: uint8(k)}, &t)
		}
		if free := m.freeRequest(s); s.left.Duplicate > 0 && free >= 0 {
			t := *s
			t.left.Duplicate--
			t.requests[free] = onWire{from: nobody, ref: r.ref, age: r.age, mark: r.mark}
			m.emit(event{what: doubles, who: uint8(k)}, &t)
		}
	}
}

func (m *model) freeRequest(s *moment) int {
	for k, r := range s.requests {
		if r.from == 0 {
			return k
		}
	}
	return -1
}

// payable: at MTN the phone has rung; elsewhere a page can be paid on by
// whoever has its URL.
func (m *model) payable(s session) bool {
	switch m.provider {
	case "mtn":
		return s.is == isOpen
	case "wave":
		return s.is == isOpen && s.flag&disclosed != 0
	default:
		return s.is == isStarted
	}
}

func (m *model) payer(s *moment) {
	move := func(i int, e happening, to standingAt) {
		t := *s
		t.sessions[i].is = to
		m.emit(event{what: e, who: uint8(i)}, &t)
	}
	for i, x := range s.sessions {
		if m.payable(x) {
			move(i, pays, isPaid)
		}
		if m.payable(x) || (m.provider == "wave" && x.is == isOpen) {
			move(i, declines, isOver)
		}
		if m.provider == "orange" && x.is == isOpen && x.flag&disclosed != 0 && x.age <= orangeLife {
			move(i, starts, isStarted)
		}
	}
}

// orangeLife is how many ticks a page of Orange lives.
const orangeLife = 1

// lateBy is how many ticks after it was sent a request can still arrive.
const lateBy = 1

func (m *model) user(s *moment) {
	change := func(e happening, left func(*budget) *uint8, now bool, do func(*moment)) {
		t := *s
		if !now || *left(&t.left) == 0 {
			return
		}
		*left(&t.left)--
		do(&t)
		m.emit(event{what: e}, &t)
	}
	there := s.payment != 0
	change(calledBackBy, func(b *budget) *uint8 { return &b.Callback }, there && s.charge != 0, m.callBack)
	change(callsOff, func(b *budget) *uint8 { return &b.CallOff }, there && !m.payments.at(s.payment).Spec.Cancel, func(t *moment) {
		p := m.payments.at(t.payment).DeepCopy()
		p.Spec.Cancel = true
		m.putPayment(t, m.numberPayment(p))
	})
	change(deletes, func(b *budget) *uint8 { return &b.Delete }, there, func(t *moment) { m.putPayment(t, 0) })
	change(recreates, func(b *budget) *uint8 { return &b.Recreate }, !there, func(t *moment) { m.putPayment(t, m.newPayment(t, false)) })
	change(restores, func(b *budget) *uint8 { return &b.Restore }, !there, func(t *moment) { m.putPayment(t, m.newPayment(t, true)) })
	if s.left.Rewind == 0 {
		return
	}
	t := *s
	if !s.isSaved {
		t.isSaved, t.saved = true, objects{charge: s.charge, payment: s.payment, version: s.version}
		m.emit(event{what: backsUp}, &t)
		return
	}
	t.left.Rewind--
	m.commit(&t)
	t.charge, t.payment, t.version = s.saved.charge, s.saved.payment, s.saved.version
	t.isSaved = false
	m.emit(event{what: rewinds}, &t)
}

// callBack notes a callback, true or forged: the loop cannot tell.
func (m *model) callBack(t *moment) {
	p := m.payments.at(t.payment).DeepCopy()
	p.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: micros(epoch)}
	m.putPayment(t, m.numberPayment(p))
	if m.rules.believeCallbacks && t.charge != 0 {
		c := m.charges.at(t.charge).DeepCopy()
		foldOutcome(v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, At: micros(epoch)})(c)
		t.charge, t.version.charge = m.numberCharge(c), t.version.charge+1
	}
}

// crash: another process takes the place, and remembers nothing.
func (m *model) crash(t *moment, i int) {
	for k := range t.requests {
		if t.requests[k].from == uint8(i)+1 {
			t.requests[k].from = nobody
		}
	}
	t.procs[i] = process{}
	rename := func(n *num) { *n = m.withoutSender(*n, i) }
	rename(&t.charge)
	rename(&t.saved.charge)
	for k := range t.before {
		rename(&t.before[k].charge)
	}
	for k := range t.procs {
		rename(&t.procs[k].charge)
	}
}

// sleepers: every call and every record of a run has a time-out that is shorter
// than a tick. For a process to be in the middle of a run for longer, it has to be
// suspended, which is a fault.
func (m *model) sleepers(t *moment) bool {
	for i := range t.procs {
		p := &t.procs[i]
		if p.at == idle || p.at == awaiting || p.is(paused) {
			continue
		}
		if t.left.Pause == 0 {
			return false
		}
		t.left.Pause--
		p.mark |= paused
	}
	return true
}

// tick lets time pass.
func (m *model) tick(s *moment) {
	t := *s
	if !m.sleepers(&t) {
		return
	}
	for k := range t.requests {
		r := &t.requests[k]
		switch {
		case r.from == 0:
		case r.age < lateBy:
			r.age++
		case r.from == nobody:
			*r = onWire{}
		case t.left.TimeOut == 0:
			return // an answer is due before that
		default:
			t.left.TimeOut--
			*r = onWire{}
		}
	}
	for k := range t.sessions {
		x := &t.sessions[k]
		x.flag &^= hidden
		if m.provider == "orange" && x.is != noSession && x.age <= orangeLife {
			x.age++
		}
	}
	t.before = [maxBehind]objects{} // a cache is behind by less than a tick
	m.getOlder(&t)
	m.emit(event{what: ticks}, &t)
}

// longestWindow of the settings, in ticks, and one more.
const longestWindow = 3

// getOlder moves every time in every object. Gaps between times that no window
// reaches over do not grow: so there are only so many states.
func (m *model) getOlder(t *moment) {
	ages := m.charges.ages[t.charge] | m.payments.ages[t.payment] | m.charges.ages[t.saved.charge] | m.payments.ages[t.saved.payment]
	for i := range t.before {
		ages |= m.charges.ages[t.before[i].charge] | m.payments.ages[t.before[i].payment]
	}
	for i := range t.procs {
		p := &t.procs[i]
		ages |= m.charges.ages[p.charge] | m.payments.ages[p.payment] | m.memories.ages[p.seen] | m.payments.ages[p.status] | m.answers.ages[p.answer]
	}
	gap := oldestGap(ages, longestWindow)
	charge := func(n *num) {
		*n = m.charges.move(*n, gap, (*v1alpha1.Charge).DeepCopy)
		m.numberBriefs()
	}
	payment := func(n *num) {
		*n = m.payments.move(*n, gap, (*v1alpha1.Payment).DeepCopy)
		m.numberBriefs()
	}
	charge(&t.charge)
	payment(&t.payment)
	charge(&t.saved.charge)
	payment(&t.saved.payment)
	for i := range t.before {
		charge(&t.before[i].charge)
		payment(&t.before[i].payment)
	}
	for i := range t.procs {
		p := &t.procs[i]
		charge(&p.charge)
		payment(&p.payment)
		payment(&p.status)
		p.seen = m.memories.move(p.seen, gap, copyMemory)
		p.answer = m.answers.move(p.answer, gap, copyAnswer)
	}
}

func copyMemory(v *memory) *memory { c := *v; return &c }

func copyAnswer(a *answer) *answer {
	c := *a
	c.Session = a.Session.DeepCopy()
	return &c
}
