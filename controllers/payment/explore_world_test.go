//go:build !race

package payment

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

// scope is what one exploration is about.
type scope struct {
	name     string
	provider string
	left     budget
	// behind is how many versions a cache may be behind.
	behind int
	sends  int32
	// unnoticed: no process notices that etcd went back.
	unnoticed bool
	// newestFirst is the order of Wave's search.
	newestFirst bool
}

// model is the shell of the loop in the abstract: what act.go does around the
// pure functions, one step at a time, with everything that can come between.
type model struct {
	scope
	rules    rules
	settings Settings
	traits   providers.Traits
	account  *account.Account
	api      *apiRules

	charges  *table[v1alpha1.Charge]
	payments *table[v1alpha1.Payment]
	memories *table[memory]
	answers  *table[answer]

	chargeBrief  []brief
	paymentBrief []brief
	refs         []string
	memos        memos

	edges  []edge
	broken string
	// calm: nothing goes wrong any more.
	calm bool
	// wentBack: the processes know that etcd went back.
	wentBack bool
}

// edge leads to a state. broken says which invariant it breaks.
type edge struct {
	event  event
	to     moment
	broken string
	// swapped: the processes have changed places.
	swapped bool
}

// memos spare calling a pure function twice with the same arguments.
type memos struct {
	decisions map[[4]num]decision
	folds     map[[2]num]num
	raises    map[[2]num]num
	statuses  map[[3]num]num
	renamed   map[[2]num]num
	writes    map[[2]num]string
	statusOK  map[[2]num]bool
	intents   map[[3]num]num
	relations map[[2]num]bool
	swaps     map[num]num
	undated   map[num]num
}

func newModel(sc scope, r rules, api *apiRules) *model {
	settings := DefaultSettings()
	settings.LateWindow, settings.ClockSkew, settings.CallTimeout = 2*tick, 0, tick/2
	settings.ExpiryMargin, settings.SlowInterval, settings.SlowFor = tick, tick/2, tick
	settings.CloserFor = tick
	settings.MaxSends = max(sc.sends, 2)
	kind := testRegistry()[sc.provider]
	traits := kind.Traits
	if traits.SessionLife > 0 {
		traits.SessionLife = tick
	}
	m := &model{
		scope: sc, rules: r, settings: settings, traits: traits, account: exploredAccount(sc.provider), api: api,
		charges:  newTable(asJSON[v1alpha1.Charge]),
		payments: newTable(asJSON[v1alpha1.Payment]),
		memories: newTable(asJSON[memory]),
		answers:  newTable(asJSON[answer]),
		memos: memos{map[[4]num]decision{}, map[[2]num]num{}, map[[2]num]num{}, map[[3]num]num{}, map[[2]num]num{},
			map[[2]num]string{}, map[[2]num]bool{}, map[[3]num]num{}, map[[2]num]bool{}, map[num]num{}, map[num]num{}},
		refs: []string{""},
	}
	m.numberBriefs()
	return m
}

// exploredInterval makes checks due at every tick, ten per cent more or less.
const exploredInterval = tick / 2

func exploredAccount(provider string) *account.Account {
	return &account.Account{
		Provider: provider, Currency: "XOF", Interval: exploredInterval, Kind: testRegistry()[provider],
		Pin: v1alpha1.AccountPin{Kind: account.KindNamespaced, Namespace: testNamespace, Name: provider, Environment: "sandbox",
			BaseURL: "https://sim.example", TokenURL: "https://sim.example/t", TargetEnvironment: "sandbox"},
	}
}

func (m *model) initial() moment {
	s := moment{left: m.left, version: versions{1, 1}}
	s.payment = m.newPayment(&s, false)
	m.tidy(&s)
	return s
}

func (m *model) newPayment(s *moment, labelled bool) num {
	p := newPayment("sale", m.provider, "5000")
	p.UID = types.UID(fmt.Sprintf("payment-%d", s.paymentUIDs))
	p.Spec.TimeoutSeconds = int32(tick / time.Second)
	if labelled {
		p.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"}
	}
	s.paymentUIDs++
	return m.numberPayment(p)
}

func (m *model) numberCharge(c *v1alpha1.Charge) num {
	undateCharge(c)
	n := m.charges.number(c)
	m.numberBriefs()
	return n
}

// numberBriefs keeps the briefs in step with the tables.
func (m *model) numberBriefs() {
	for len(m.chargeBrief) < len(m.charges.values) {
		c := m.charges.values[len(m.chargeBrief)]
		if c == nil {
			m.chargeBrief = append(m.chargeBrief, brief{session: -1})
			continue
		}
		m.chargeBrief = append(m.chargeBrief, briefCharge(c, m.refNumber(c.Spec.ProviderReference), m.refNumber(mark(c))))
	}
	for len(m.paymentBrief) < len(m.payments.values) {
		p := m.payments.values[len(m.paymentBrief)]
		if p == nil {
			m.paymentBrief = append(m.paymentBrief, brief{session: -1})
			continue
		}
		m.paymentBrief = append(m.paymentBrief, briefPayment(p))
	}
}

func (m *model) numberPayment(p *v1alpha1.Payment) num {
	undatePayment(p)
	n := m.payments.number(p)
	m.numberBriefs()
	return n
}

func (m *model) refNumber(ref string) uint8 {
	for i, r := range m.refs {
		if r == ref {
			return uint8(i)
		}
	}
	m.refs = append(m.refs, ref)
	return uint8(len(m.refs) - 1)
}

// ---- the pure functions, called on what the numbers stand for

func (m *model) decide(charge, payment, seen num, i int) decision {
	key := [4]num{charge, payment, seen, num(i)}
	if m.wentBack {
		key[3] += 2
	}
	d, ok := m.memos.decisions[key]
	if !ok {
		d = m.rules.decide(m.facts(charge, payment, seen, i))
		d.after = 0
		m.memos.decisions[key] = d
	}
	return d
}

// facts follow Reconciler.facts.
func (m *model) facts(charge, payment, seen num, i int) facts {
	f := facts{now: epoch, settings: m.settings, process: sender(i), processStart: undated,
		payment: m.payments.at(payment), interval: exploredInterval}
	f.settings.AdoptOnly = m.wentBack
	if seen != 0 {
		f.seen = m.memories.at(seen).observation()
	}
	if charge != 0 {
		f.charge = m.charges.at(charge).DeepCopy()
		f.traits = m.traits
		if payment != 0 && !m.holds(payment, charge) {
			f.payment = nil
		}
	}
	if f.payment != nil {
		f.payment = f.payment.DeepCopy()
	}
	return f
}

func (m *model) relation(payment, charge num) relation {
	p, c := m.payments.at(payment), m.charges.at(charge)
	return relate(p, claimant([]*v1alpha1.Payment{p}, c), c, testInstallation, m.settings.AdoptionWindow)
}

func (m *model) holds(payment, charge num) bool {
	key := [2]num{payment, charge}
	h, ok := m.memos.relations[key]
	if !ok {
		h = m.relation(payment, charge).holds()
		m.memos.relations[key] = h
	}
	return h
}

func (m *model) folded(charge, a num) num {
	key := [2]num{charge, a}
	n, ok := m.memos.folds[key]
	if !ok {
		c := m.charges.at(charge).DeepCopy()
		n = charge
		if m.rules.fold(m.answers.at(a), m.traits)(c) {
			n = m.numberCharge(c)
		}
		m.memos.folds[key] = n
	}
	return n
}

func (m *model) raised(charge num, i int) num {
	key := [2]num{charge, num(i)}
	n, ok := m.memos.raises[key]
	if !ok {
		c := m.charges.at(charge).DeepCopy()
		raise(c, sender(i), "credentials", epoch)
		n = m.numberCharge(c)
		m.memos.raises[key] = n
	}
	return n
}

// status is the Payment with the status that it should have; itself if it has.
func (m *model) status(payment, charge num, isSettled bool) num {
	key := [3]num{payment, charge}
	if isSettled {
		key[2] = 1
	}
	n, ok := m.memos.statuses[key]
	if !ok {
		v := view{payment: m.payments.at(payment).DeepCopy()}
		if charge != 0 {
			v.charge, v.relation, v.traits = m.charges.at(charge).DeepCopy(), m.relation(payment, charge), m.traits
		}
		if isSettled {
			v.settled = v1alpha1.PhaseCancelled
			v.problem = &account.Problem{Reason: v1alpha1.ReasonCancelled, Message: message(v1alpha1.ReasonCancelled, "")}
		}
		next := v.payment.DeepCopy()
		next.Status = project(v, epoch)
		n = m.numberPayment(next)
		m.memos.statuses[key] = n
	}
	return n
}

func (m *model) claimed(payment num, uid uint8, send uint8) num {
	key := [3]num{payment, num(uid), num(send)}
	n, ok := m.memos.intents[key]
	if !ok {
		c, err := intent(m.payments.at(payment), m.account, testInstallation)
		if err != nil {
			panic(err)
		}
		c.UID = types.UID(fmt.Sprintf("charge-%d", uid))
		if m.payments.at(payment).Status.Phase == v1alpha1.PhaseUnknown {
			foldHold(v1alpha1.ReasonLostInitiation, "", epoch)(c)
		}
		m.rules.claim(c, m.payments.at(payment))
		n = m.numberCharge(c)
		m.memos.intents[key] = n
	}
	return n
}

// swapped is a Charge with the names of the senders exchanged.
func (m *model) swapped(charge num) num {
	if charge == 0 {
		return 0
	}
	n, known := m.memos.swaps[charge]
	if !known {
		n = charge
		if last := m.charges.at(charge).Record.LastSend; last != nil && last.Sender != departed {
			c := m.charges.at(charge).DeepCopy()
			c.Record.LastSend.Sender = map[string]string{sender(0): sender(1), sender(1): sender(0)}[last.Sender]
			n = m.numberCharge(c)
		}
		m.memos.swaps[charge] = n
	}
	return n
}

// undated is a Charge without the times that nothing reads in its situation.
func (m *model) undated(charge num) num {
	if charge == 0 {
		return 0
	}
	n, known := m.memos.undated[charge]
	if !known {
		c := m.charges.at(charge).DeepCopy()
		undateRecord(&c.Record)
		n = m.numberCharge(c)
		m.memos.undated[charge] = n
	}
	return n
}

// withoutSender is a Charge on which a process that died was the sender.
func (m *model) withoutSender(charge num, i int) num {
	if charge == 0 {
		return 0
	}
	key := [2]num{charge, num(i)}
	n, ok := m.memos.renamed[key]
	if !ok {
		n = charge
		if last := m.charges.at(charge).Record.LastSend; last != nil && last.Sender == sender(i) {
			c := m.charges.at(charge).DeepCopy()
			c.Record.LastSend.Sender = departed
			n = m.numberCharge(c)
		}
		m.memos.renamed[key] = n
	}
	return n
}

func (m *model) remember(p *process, change func(*observation)) {
	var o observation
	if p.seen != 0 {
		o = m.memories.at(p.seen).observation()
	}
	change(&o)
	p.seen = 0
	o.failures = min(o.failures, 1) // more of them only wait longer, and all less than a tick
	if o != (observation{}) {
		v := remembered(o)
		p.seen = m.memories.number(&v)
	}
}

// ---- the API server

// told is what a writer hears.
type told uint8

const (
	toldOK told = iota
	toldConflict
	toldGone
	toldInvalid
	toldNothing // an error that does not say whether it was done
)

func (m *model) updateCharge(t *moment, seen versions, old, next num, f fault) told {
	switch {
	case f == notDone:
		return toldNothing
	case t.charge == 0:
		return toldGone
	case m.rules.anyVersion && m.chargeBrief[next].uid == m.chargeBrief[t.charge].uid:
	case t.version.charge != seen.charge || (!m.rules.anyUID && m.chargeBrief[next].uid != m.chargeBrief[t.charge].uid):
		return toldConflict
	}
	if m.rules.anyUID && m.chargeBrief[next].uid != m.chargeBrief[t.charge].uid {
		return toldConflict
	}
	if !m.rules.noCEL && !m.allowed(m.memos.writes, t.charge, next) {
		return toldInvalid
	}
	m.checkWrite(t, old, next)
	m.commit(t)
	t.charge, t.version.charge = next, t.version.charge+1
	if i := m.chargeBrief[next].session; i >= 0 && m.provider != "mtn" {
		t.sessions[i].flag |= durable
	}
	if f == answerLost {
		return toldNothing
	}
	return toldOK
}

// commit keeps what a cache may still show.
func (m *model) commit(t *moment) {
	for i := maxBehind - 1; i > 0; i-- {
		t.before[i] = t.before[i-1]
	}
	t.before[0] = objects{charge: t.charge, payment: t.payment, version: t.version, kept: 1}
}

func (m *model) allowed(memo map[[2]num]string, old, next num) bool {
	key := [2]num{old, next}
	why, known := memo[key]
	if !known {
		why = m.api.charges.refuses(m.charges.at(old), m.charges.at(next))
		memo[key] = why
	}
	return why == ""
}

func (m *model) statusAllowed(old, next num) bool {
	key := [2]num{old, next}
	good, known := m.memos.statusOK[key]
	if !known {
		good = m.api.payments.refuses(m.payments.at(old), m.payments.at(next)) == ""
		m.memos.statusOK[key] = good
	}
	return good
}

func (m *model) updatePayment(t *moment, seen versions, next num, f fault) told {
	switch {
	case f == notDone:
		return toldNothing
	case t.payment == 0:
		return toldGone
	case m.paymentBrief[next].uid != m.paymentBrief[t.payment].uid, t.version.payment != seen.payment && !m.rules.anyVersion:
		return toldConflict
	case !m.rules.noCEL && !m.statusAllowed(t.payment, next):
		return toldInvalid
	}
	m.checkStatusWrite(t, next)
	m.putPayment(t, next)
	if i := m.paymentBrief[next].session; i >= 0 {
		m.checkDisclosure(t, i)
		t.sessions[i].flag |= disclosed
	}
	if f == answerLost {
		return toldNothing
	}
	return toldOK
}

// putPayment replaces the Payment, as any writer does.
func (m *model) putPayment(t *moment, next num) {
	m.commit(t)
	t.payment, t.version.payment = next, t.version.payment+1
}

// ---- a run of the loop, following Reconcile and act

func (m *model) emit(e event, t *moment) {
	broken := m.broken
	swapped := m.tidy(t)
	m.edges = append(m.edges, edge{e, *t, broken, swapped})
	m.broken = ""
}

// views are the versions that a cached read may show.
func (m *model) views(s *moment) []objects {
	now := objects{charge: s.charge, payment: s.payment, version: s.version}
	out := append(make([]objects, 0, 9), now)
	if m.calm || s.left.Stale == 0 {
		return out
	}
	add := func(o objects) {
		for _, have := range out {
			if have == o {
				return
			}
		}
		out = append(out, o)
	}
	// The cache of Charges and that of Payments are behind independently.
	for i := -1; i < m.behind; i++ {
		for j := -1; j < m.behind; j++ {
			o := now
			if i >= 0 && s.before[i].kept == 1 {
				o.charge, o.version.charge = s.before[i].charge, s.before[i].version.charge
			}
			if j >= 0 && s.before[j].kept == 1 {
				o.payment, o.version.payment = s.before[j].payment, s.before[j].version.payment
			}
			add(o)
		}
	}
	return out
}

func (m *model) decisionAt(s *moment, i int, variant uint8) string {
	v := m.views(s)[variant]
	d := m.decide(v.charge, v.payment, s.procs[i].seen, i)
	if variant > 0 {
		return fmt.Sprintf("%s (from a cache that is behind)", d.action)
	}
	return string(d.action)
}

// begin is a run up to its first call.
func (m *model) begin(s *moment, i int) {
	for n, v := range m.views(s) {
		d := m.decide(v.charge, v.payment, s.procs[i].seen, i)
		t := *s
		if n > 0 {
			t.left.Stale--
		}
		p := &t.procs[i]
		e := event{what: steps, who: uint8(i), variant: uint8(n)}
		if d.action != actIdle && d.action != actWait && d.action != actCheck && !m.rules.noLiveRead {
			// The Charge is read live here, the Payment in the next step. Which
			// Payments there are is known from the cache: see payments.
			if v.payment == 0 && t.payment != 0 {
				continue
			}
			p.charge, p.version.charge = t.charge, t.version.charge
			p.at = readingPayment
			m.emit(e, &t)
			continue
		}
		p.charge, p.payment, p.version = v.charge, v.payment, v.version
		m.act(t, i, e, d)
	}
}

// act does what was decided.
func (m *model) act(t moment, i int, e event, d decision) {
	p := &t.procs[i]
	switch d.action {
	case actIdle, actWait:
		p.mark |= map[action]flags{actIdle: wasIdle, actWait: wasWaiting}[d.action]
		m.project(&t, i)
	case actClaim:
		p.at = creating
	case actSend:
		p.at = raising
		if m.traits.Recovery == providers.RecoverBySearch && !m.rules.noProbe {
			p.at, p.then = searching, thenProject
		}
		if m.rules.sendFirst {
			p.at = sending
		}
	case actCancelled:
		if p.charge == 0 {
			p.at = lookingAgain
			if m.rules.noSecondLook {
				p.mark |= settled
				m.project(&t, i)
			}
			break
		}
		m.record(&t, i, answer{Kind: foldsCancelled, Send: m.chargeBrief[p.charge].sends, At: epoch}, thenProject)
	case actHold:
		m.record(&t, i, answer{Kind: foldsHold, Reason: d.reason, At: epoch}, thenProject)
	case actNote:
		m.record(&t, i, answer{Kind: foldsNotice, Reason: d.reason, At: epoch}, thenProject)
	case actExpire:
		m.record(&t, i, answer{Kind: foldsExpired, At: epoch}, thenProject)
	case actCallOff:
		m.record(&t, i, answer{Kind: foldsCallOff, At: epoch}, thenProject)
	case actAsk, actCheck:
		m.question(t, i, e, d.action)
		return
	case actCancel:
		p.todo = bitOf(m.chargeBrief[p.charge].session)
		p.at, p.then = ending, thenCheck
	case actMutantFail:
		m.record(&t, i, answer{Kind: foldsFailed, At: epoch}, thenProject)
	default:
		panic("the explorer does not know the action " + string(d.action))
	}
	m.emit(e, &t)
}

// step is everything that process i may do next.
func (m *model) step(s *moment, i int) {
	p := &s.procs[i]
	switch p.at {
	case idle:
		m.begin(s, i)
	case readingPayment:
		t := *s
		q := &t.procs[i]
		q.payment, q.version.payment = t.payment, t.version.payment
		m.act(t, i, event{what: steps, who: uint8(i)}, m.decide(q.charge, q.payment, q.seen, i))
	case creating:
		m.write(s, i, (*model).create)
	case readingCharge, rereading, lookingAgain:
		m.read(s, i)
	case raising:
		m.write(s, i, (*model).raise)
	case sending:
		m.send(s, i)
	case awaiting:
		m.waitInVain(s, i)
	case searching:
		m.question(*s, i, event{what: steps, who: uint8(i)}, actAsk)
	case committing:
		m.write(s, i, (*model).update)
	case ending:
		m.end(s, i)
	case lookingAtOthers:
		m.lookAtOthers(s, i)
	case projecting:
		m.write(s, i, (*model).updateStatus)
	}
}

// write makes a write to the API in every variant.
func (m *model) write(s *moment, i int, do func(m *model, t *moment, i int, f fault)) {
	for _, f := range [...]fault{fine, answerLost, notDone} {
		t := *s
		if !spend(f, answerLost, &t.left.AnswerLost) || !spend(f, notDone, &t.left.Refused) {
			continue
		}
		do(m, &t, i, f)
		m.emit(event{what: steps, who: uint8(i), fault: f}, &t)
	}
}

// spend pays for f if it is of this kind, and tells whether it can be afforded.
func spend(f, kind fault, left *uint8) bool {
	if f != kind {
		return true
	}
	if *left == 0 {
		return false
	}
	*left--
	return true
}

func (m *model) create(t *moment, i int, f fault) {
	p := &t.procs[i]
	switch {
	case f == notDone:
		m.fail(t, i)
	case t.charge != 0:
		p.at = readingCharge
		if f == answerLost {
			m.fail(t, i)
		}
	default:
		m.commit(t)
		t.charge, t.version.charge = m.claimed(p.payment, t.chargeUIDs, 0), t.version.charge+1
		t.chargeUIDs++
		if f == answerLost {
			m.fail(t, i)
			return
		}
		p.charge, p.version.charge = t.charge, t.version.charge
		m.project(t, i)
	}
}

// fail ends the run with an error, after the status is projected.
func (m *model) fail(t *moment, i int) {
	t.procs[i].mark |= failed
	m.project(t, i)
}

// read reads the Charge live.
func (m *model) read(s *moment, i int) {
	t := *s
	p := &t.procs[i]
	switch {
	case p.at == lookingAgain && t.charge == 0:
		p.mark |= settled
		m.project(&t, i)
	case p.at == lookingAgain:
		p.charge, p.version.charge = t.charge, t.version.charge
		m.project(&t, i)
	case p.at == readingCharge && t.charge == 0:
		m.fail(&t, i)
	case p.at == readingCharge:
		p.charge, p.version.charge = t.charge, t.version.charge
		m.project(&t, i)
	case t.charge == 0 || (!m.rules.anyUID && m.chargeBrief[t.charge].uid != m.chargeBrief[p.charge].uid):
		m.fail(&t, i)
	default:
		p.charge, p.version.charge, p.at = t.charge, t.version.charge, committing
	}
	m.emit(event{what: steps, who: uint8(i)}, &t)
}

// record begins to commit an answer.
func (m *model) record(t *moment, i int, a answer, then sequel) {
	p := &t.procs[i]
	undateAnswer(&a)
	p.answer, p.then, p.at, p.todo = m.answers.number(&a), then, committing, 0
	if p.charge == 0 || m.folded(p.charge, p.answer) == p.charge {
		m.recorded(t, i)
	}
}

// update is one try of attempt.Recorder.Commit.
func (m *model) update(t *moment, i int, f fault) {
	p := &t.procs[i]
	next := m.folded(p.charge, p.answer)
	if next == p.charge {
		m.recorded(t, i)
		return
	}
	switch m.updateCharge(t, p.version, p.charge, next, f) {
	case toldOK:
		p.charge, p.version.charge = t.charge, t.version.charge
		m.recorded(t, i)
	case toldGone, toldInvalid:
		m.fail(t, i)
	case toldConflict:
		p.at = rereading
		if m.rules.dropOnConflict {
			m.dropped(t, i)
			m.fail(t, i)
		}
	default:
		p.at = rereading
	}
}

// recorded is what follows a record that got through.
func (m *model) recorded(t *moment, i int) {
	p := &t.procs[i]
	if p.then == thenSurplus {
		m.checkKept(t, i)
		p.seen = 0
		mine := m.answers.at(p.answer).Session
		if at := m.chargeBrief[p.charge]; at.opened && mine.ID != "" && at.session != sessionIndex(mine.ID) && !m.rules.keepSurplus {
			p.todo, p.at, p.then = bitOf(sessionIndex(mine.ID)), ending, thenProject
			return
		}
	}
	m.project(t, i)
}

// raise writes a send down.
func (m *model) raise(t *moment, i int, f fault) {
	p := &t.procs[i]
	next := m.raised(p.charge, i)
	told := m.updateCharge(t, p.version, p.charge, next, f)
	if told == toldOK || (told == toldNothing && f == answerLost && m.rules.sendUnacknowledged) {
		p.charge, p.version.charge, p.at = next, t.version.charge, sending
		if told == toldOK {
			p.mark |= permitted
		}
		return
	}
	m.fail(t, i)
}

// send puts the request on the wire, unless the process overslept.
func (m *model) send(s *moment, i int) {
	t := *s
	p := &t.procs[i]
	c := m.charges.at(p.charge)
	e := event{what: steps, who: uint8(i)}
	if m.wentBack && p.is(permitted) {
		m.record(&t, i, answer{Kind: foldsVoid, Send: c.Record.Sends, Reason: v1alpha1.ReasonAdoptOnly, At: epoch}, thenProject)
		m.emit(e, &t)
		return
	}
	if last := c.Record.LastSend; !m.rules.oversleep && !m.rules.sendFirst && epoch.Sub(last.At.Time) > m.settings.CallTimeout {
		m.record(&t, i, answer{Kind: foldsVoid, Send: c.Record.Sends, Reason: v1alpha1.ReasonProviderUnreachable, At: epoch}, thenProject)
		m.emit(e, &t)
		return
	}
	for k := range t.requests {
		if t.requests[k].from == 0 {
			m.checkSend(&t, i)
			t.requests[k] = onWire{from: uint8(i) + 1, ref: m.rules.refOf(m, p.charge, &t), mark: m.chargeBrief[p.charge].mark}
			p.mark &^= permitted
			p.at = awaiting
			m.emit(e, &t)
			return
		}
	}
}

// waitInVain: the request was lost on the way.
func (m *model) waitInVain(s *moment, i int) {
	for _, r := range s.requests {
		if r.from == uint8(i)+1 {
			return
		}
	}
	t := *s
	m.noAnswer(&t, i)
	m.emit(event{what: steps, who: uint8(i)}, &t)
}

// noAnswer follows recordInitiation for an error of class Unknown.
func (m *model) noAnswer(t *moment, i int) {
	m.rememberFailure(&t.procs[i])
	if m.rules.timeOutFails {
		m.record(t, i, answer{Kind: foldsFailed, At: epoch}, thenProject)
		return
	}
	m.project(t, i)
}

func (m *model) rememberFailure(p *process) {
	m.remember(p, func(o *observation) { o.at, o.notFound = epoch, false; o.failures++ })
}

// unreachable follows failed for a provider that did not answer a question.
func (m *model) unreachable(t *moment, i int) {
	m.rememberFailure(&t.procs[i])
	m.record(t, i, answer{Kind: foldsNotice, Reason: v1alpha1.ReasonProviderUnreachable, At: epoch}, thenProject)
}

// project begins to write the status, if it is not what it should be.
func (m *model) project(t *moment, i int) {
	p := &t.procs[i]
	p.answer, p.todo, p.then = 0, 0, thenProject
	p.mark &^= permitted
	m.lookAhead(p, i)
	status := p.payment
	if p.payment != 0 {
		status = m.status(p.payment, p.charge, p.is(settled))
	}
	p.mark &^= settled
	p.charge, p.version.charge = 0, 0
	if status != p.payment {
		p.at, p.status = projecting, status
		return
	}
	m.over(t, i)
}

// lookAhead follows next: what was decided to be idle is forgotten.
func (m *model) lookAhead(p *process, i int) {
	if !p.is(wasIdle|wasWaiting|failed) && m.decide(p.charge, p.payment, p.seen, i).action == actIdle {
		p.mark |= wasIdle
	}
	p.mark &^= wasWaiting
	if p.charge == 0 || p.is(failed) {
		p.mark &^= wasIdle
	}
}

func (m *model) updateStatus(t *moment, i int, f fault) {
	p := &t.procs[i]
	told := m.updatePayment(t, p.version, p.status, f)
	if told != toldOK && told != toldGone {
		p.mark |= failed
	}
	m.over(t, i)
}

// over ends a run.
func (m *model) over(t *moment, i int) {
	p := &t.procs[i]
	if p.is(wasIdle) && !p.is(failed) {
		p.seen = 0
	}
	p.at = idle
}

func micros(at time.Time) metav1.MicroTime { return metav1.NewMicroTime(at) }
