//go:build !race

package payment

import (
	"fmt"
	"math/bits"
	"slices"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// state is everything that there is at one moment: the API server, two
// processes, requests on their way, the provider's books, and how much may
// still go wrong. It holds no pointer: copying it is cheap, and equal states
// are equal values.
type moment struct {
	charge, payment num
	// before are earlier versions, which a cache may still show.
	before [maxBehind]objects
	// saved is the backup of etcd that a rewind goes back to.
	saved objects
	procs [2]process

	sessions [maxSessions]session
	requests [maxRequests]onWire
	version  versions // of charge and payment

	left budget
	// paymentUIDs and chargeUIDs were given out; they never come back.
	paymentUIDs, chargeUIDs uint8
	isSaved                 bool
	_                       uint8
}

const (
	maxBehind   = 3
	maxSessions = 4
	maxRequests = 4
)

// versions stand for resourceVersions: only whether they are equal matters.
type versions struct{ charge, payment uint8 }

type objects struct {
	charge, payment num
	version         versions
	kept            uint16 // 1: this is an earlier version, and not nothing
}

// process is one manager: what it does now, and what it knows.
type process struct {
	// charge and payment as this run knows them, in these versions.
	charge, payment num
	seen, answer    num
	status          num // to be written
	version         versions
	at              point
	then            sequel
	// todo are sessions to end.
	todo uint8
	mark flags
	_    uint16
}

// point is where in a run a process is: right before the step of this name.
type point uint8

const (
	idle point = iota
	readingPayment
	lookingAgain // called off, and no Charge
	creating
	readingCharge // after AlreadyExists
	raising
	sending // the send is written down and acknowledged
	awaiting
	searching
	committing
	rereading
	ending
	lookingAtOthers
	projecting
)

// sequel is what follows a record or the end of a session.
type sequel uint8

const (
	thenProject sequel = iota
	// thenSurplus: if another session is recorded, end ours.
	thenSurplus
	// thenLookAgain: surplus was ended; look again before choosing.
	thenLookAgain
	// thenCheck: we ended the session that counts.
	thenCheck
)

type flags uint8

const (
	// failed: the run returns an error.
	failed flags = 1 << iota
	// wasIdle and wasWaiting are what was decided.
	wasIdle
	wasWaiting
	// settled: called off without a Charge.
	settled
	// permitted: an acknowledged raise allows one send.
	permitted
	// paused: suspended in the middle of a run, for as long as it may be.
	paused
)

func (p *process) is(m flags) bool { return p.mark&m != 0 }

// session is one entry in the provider's books.
type session struct {
	is   standingAt
	ref  uint8
	flag sessionFlag
	age  uint8 // at Orange; later than its life counts as its end
	mark uint8 // of the Charge that it was opened for
	_    [3]uint8
}

type standingAt uint8

const (
	noSession standingAt = iota
	isOpen
	isStarted // Orange: the payer has confirmed, and it is being decided
	isPaid
	isOver
)

type sessionFlag uint8

const (
	// disclosed: its page was published once.
	disclosed sessionFlag = 1 << iota
	// durable: it was recorded on a Charge once.
	durable
	// hidden: not visible to questions yet.
	hidden
	// odd: it was made for another amount.
	odd
)

// request for money on its way.
type onWire struct {
	// from is 1 + the process that waits for the answer, or nobody.
	from uint8
	ref  uint8
	age  uint8
	mark uint8
}

const nobody = 3

// budget is how often each thing may still happen.
type budget struct {
	Crash, TimeOut, AnswerLost, Refused         uint8
	Delete, Recreate, Restore, Rewind           uint8
	Callback, CallOff, Duplicate, Hidden        uint8
	Rejected, RejectedButTaken, Void, OddAmount uint8
	// Pause is how often a process may be suspended in the middle of a run, and
	// Stale how often it may read a cache that is behind.
	Pause, Stale uint8
	_            [2]uint8
}

// happening is the kind of an event.
type happening uint8

const (
	steps happening = iota // a process goes on
	dies
	answers  // the provider takes a request, and the sender reads the answer
	givesUp  // the sender gives up, or its request was lost
	doubles  // a request is doubled on the wire
	pays     // the payer
	starts   // the payer confirms at Orange
	declines // or lets it expire
	ticks
	calledBackBy
	callsOff
	deletes
	recreates
	restores
	backsUp
	rewinds
)

var happenings = [...]string{"", "dies", "answers", "is given up on", "is doubled on the wire", "pays", "confirms",
	"does not pay", "time passes", "callback", "the merchant calls it off", "the Payment is deleted", "the Payment is applied again",
	"the Payment is restored from a backup, labelled", "etcd is backed up", "etcd goes back to the backup"}

// fault is what befalls one call.
type fault uint8

const (
	fine fault = iota
	// answerLost: it was done, and the caller is told of an error.
	answerLost
	// notDone: it was not done, and the caller is told of an error.
	notDone
	hiddenAtFirst
	rejected
	rejectedButTaken
	void
	oddAmount
)

var faults = [...]string{"", ", its answer is lost", ", it fails", ", not visible yet", ", rejected", ", rejected but taken",
	", not taken this time", ", for another amount"}

// event is one edge: what happens, to whom, in which variant.
type event struct {
	what    happening
	who     uint8
	variant uint8
	fault   fault
}

func (m *model) describe(s *moment, e event, names [2]string) string {
	who := names[e.who&1]
	switch e.what {
	case steps:
		p := &s.procs[e.who]
		what := pointNames[p.at]
		if p.at == idle {
			what = m.decisionAt(s, int(e.who), e.variant)
		}
		if p.at == committing || p.at == rereading {
			what += " (" + m.answers.at(p.answer).Kind + ")"
		}
		return who + ": " + what + faults[e.fault]
	case dies:
		return who + " dies " + dyingAt(s.procs[e.who].at)
	case answers, givesUp, doubles:
		r := s.requests[e.who]
		from := "a request of nobody's"
		if r.from != nobody {
			from = "the request of " + names[r.from-1]
		}
		if e.what == answers {
			return "the provider takes " + from + faults[e.fault]
		}
		return from + " " + happenings[e.what]
	case pays, starts, declines:
		return fmt.Sprintf("the payer %s (session %d)", happenings[e.what], e.who)
	default:
		return happenings[e.what]
	}
}

func dyingAt(at point) string {
	if at == idle {
		return "between two runs"
	}
	return "before: " + pointNames[at]
}

var pointNames = [...]string{"idle", "reads the Payment live and decides", "looks for the Charge again", "create Charge", "reads the Charge that exists",
	"update Charge (send)", "sends", "waits", "search", "update Charge", "reads the Charge again", "ends a session",
	"looks at the other sessions", "update Payment status"}

// tidy brings a state into its one form: what a step no longer needs is
// forgotten, versions are counted from where they can still matter, a write that
// is bound to be refused is refused already, requests and processes are in
// order. It tells whether the processes changed places.
func (m *model) tidy(s *moment) (swapped bool) {
	s.rebase(m.behind)
	for i := range s.procs {
		m.hasten(s, i)
	}
	m.undate(s)
	if m.outOfOrder(s) {
		m.swap(s)
		swapped = true
	}
	slices.SortFunc(s.requests[:], compareRequests)
	return swapped
}

// rebase counts versions from the oldest that can still become current.
func (s *moment) rebase(behind int) {
	base := s.version
	if s.isSaved {
		base = s.saved.version
	} else {
		s.saved = objects{}
	}
	rebase := func(v *versions) {
		v.charge, v.payment = rebased(v.charge, base.charge), rebased(v.payment, base.payment)
	}
	rebase(&s.version)
	rebase(&s.saved.version)
	for i := range s.before {
		if i >= behind || s.left.Stale == 0 {
			s.before[i] = objects{}
		}
		rebase(&s.before[i].version)
	}
	for i := range s.procs {
		p := &s.procs[i]
		if p.payment == 0 {
			p.version.payment = 0
		}
		if p.charge == 0 {
			p.version.charge = 0
		}
		rebase(&p.version)
	}
}

// hasten takes the steps of a process that depend on nobody, and forgets what it
// has no use for any more. A write on top of a version that can never be current
// again is refused, whenever it is made.
func (m *model) hasten(s *moment, i int) {
	p := &s.procs[i]
	if !m.rules.anyVersion && s.left.Rewind == 0 {
		m.hastenLosers(s, p, i)
	}
	if p.at == idle {
		*p = process{seen: p.seen}
	}
}

func (m *model) hastenLosers(s *moment, p *process, i int) {
	if p.at >= raising && p.payment != 0 && p.version.payment == 0 {
		// Its status will not be written, which ends the run with an error.
		p.payment = 0
		p.mark |= failed
		if p.at == projecting {
			p.at = idle
		}
	}
	if p.at >= raising && p.charge != 0 && p.version.charge == 0 && s.charge != 0 {
		if p.at == raising {
			m.fail(s, i)
		}
		if p.at == committing && !m.rules.dropOnConflict {
			p.at = rereading
		}
		if p.at == rereading && m.chargeBrief[p.charge].uid == m.chargeBrief[s.charge].uid {
			p.charge = s.charge // whatever it is when it is read
		}
	}
}

// undate drops the times that nothing reads any more.
func (m *model) undate(s *moment) {
	s.charge, s.saved.charge = m.undated(s.charge), m.undated(s.saved.charge)
	for i := range s.before {
		s.before[i].charge = m.undated(s.before[i].charge)
	}
	for i := range s.procs {
		s.procs[i].charge = m.undated(s.procs[i].charge)
	}
}

// outOfOrder: the processes are alike but for their names, so that of two states
// that differ only in who is who, one is enough.
func (m *model) outOfOrder(s *moment) bool {
	key := func(p *process) [3]uint64 {
		return [3]uint64{
			uint64(p.at)<<56 | uint64(p.then)<<48 | uint64(p.todo)<<40 | uint64(p.mark)<<32 | uint64(p.seen),
			uint64(p.answer)<<32 | uint64(p.payment),
			uint64(p.status)<<16 | uint64(p.version.charge)<<8 | uint64(p.version.payment),
		}
	}
	a, b := key(&s.procs[0]), key(&s.procs[1])
	return slices.Compare(a[:], b[:]) > 0
}

func (m *model) swap(s *moment) {
	s.procs[0], s.procs[1] = s.procs[1], s.procs[0]
	for k := range s.requests {
		if r := &s.requests[k]; r.from == 1 || r.from == 2 {
			r.from = 3 - r.from
		}
	}
	s.charge, s.saved.charge = m.swapped(s.charge), m.swapped(s.saved.charge)
	for i := range s.before {
		s.before[i].charge = m.swapped(s.before[i].charge)
	}
	for i := range s.procs {
		s.procs[i].charge = m.swapped(s.procs[i].charge)
	}
}

func compareRequests(a, b onWire) int {
	key := func(r onWire) int {
		if r.from == 0 {
			return 1 << 30
		}
		return int(r.from)<<16 | int(r.ref)<<8 | int(r.age)
	}
	return key(a) - key(b)
}

// rebased counts a version from base; what is older can never be current again.
func rebased(v, base uint8) uint8 {
	if v < base {
		return 0
	}
	return v - base + 1
}

// sender is the name of a process. One that died leaves its name behind.
func sender(i int) string { return string(rune('a' + i)) }

const departed = "gone"

// sessionIndex is the session that a Charge or a URL is about; -1: none.
func sessionIndex(name string) int {
	if name == "" {
		return -1
	}
	return int(name[len(name)-1] - '0')
}

func sessionName(i int) string { return "session-" + string(rune('0'+i)) }

// facts about a Charge or a Payment that are looked at often.
type brief struct {
	phase     v1alpha1.Phase // of the outcome, or of the status
	session   int            // recorded, or published; -1: none
	opened    bool           // a session is recorded, whichever
	sends     int32
	ref, mark uint8
	uid       string
	adoptOnly bool
	called    bool // called back now
}

func briefCharge(c *v1alpha1.Charge, ref, mark uint8) brief {
	b := brief{session: -1, sends: c.Record.Sends, ref: ref, mark: mark, uid: string(c.UID)}
	if o := c.Record.Outcome; o != nil {
		b.phase = o.Phase
	}
	if s := c.Record.Session; s != nil {
		b.opened = true
		b.session = sessionIndex(s.ID + s.Token)
	}
	return b
}

func briefPayment(p *v1alpha1.Payment) brief {
	b := brief{session: -1, phase: p.Status.Phase, uid: string(p.UID)}
	if a := p.Status.NextAction; a != nil {
		b.session = sessionIndex(a.URL)
	}
	for _, c := range p.Status.Conditions {
		if c.Type == v1alpha1.ConditionSucceeded {
			b.adoptOnly = c.Reason == v1alpha1.ReasonAdoptOnly
		}
	}
	if n := p.Status.LastCallback; n != nil && n.ReceivedAt.Time.Equal(epoch) {
		b.called = true
	}
	return b
}

func bitOf(i int) uint8 { return 1 << i }

func lowest(bitsLeft uint8) int { return bits.TrailingZeros8(bitsLeft) }

// wordFor is how a provider says how a session stands.
func wordFor(kind string, s session) providers.State {
	switch s.is {
	case isPaid:
		return providers.StateSucceeded
	case isStarted:
		return providers.StatePending
	case isOver:
		if kind == "wave" {
			return providers.StateExpired
		}
		return providers.StateFailed
	default:
		if kind == "orange" {
			return providers.StateNotStarted
		}
		return providers.StatePending
	}
}
