// Package judge watches a world and says which rules of the protocol were broken. It believes the provider's books and
// the versions of the objects, as each was written; never only how a payment says that it ended.
//
//	judge.go     what it is told, and what it remembers
//	rules.go     what needs no world: objects, their versions and the books
//	sends.go     requests for money and what they stand on
//	verdicts.go  what is said about an end, against the books
//	versions.go  what may not change
//	refunds.go   money that is given back
//	bounds.go    how much is done in how much time
//	evidence.go  what callbacks lead to
//	finish.go    how everything stands at the end
package judge

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

// The rules, by the ids of docs/promise.md, and what all of them are for.
const (
	// OneCharge: the payer of one sale pays once at most.
	OneCharge = "one-charge"
	// NoOverRefund: no more is given back than was paid, and each Refund once.
	NoOverRefund = "over-refund"
	// Sending: written ahead, fenced, once on the wire, under a version.
	Sending = "R1"
	// RightObject: what is shown or settled is of this sale and this object.
	RightObject = "R2"
	// AnswersKept: an answer that was read is recorded.
	AnswersKept = "R3"
	// OnePage: one session is published, from its record, and no other stays open.
	OnePage = "R4"
	// Recovered: a request whose answer was lost is found out about.
	Recovered = "R5"
	// NoFalseFailure: who says that it ended unpaid is right, and stays right.
	NoFalseFailure = "R6"
	// NoFalseSuccess: who says Succeeded asked, and was told so of this money.
	NoFalseSuccess = "R7"
	// Evidence: a callback makes the operator ask, and changes no phase itself.
	Evidence = "R8"
	// Schedule: what is open is asked about, in bounded time and not too often, and what is over is left alone.
	Schedule = "R9"
	// Limits: no more calls in a second than the provider allows.
	Limits = "R10"
	// Leadership: a process that does not lead begins nothing.
	Leadership = "R11"
	// Restored: nothing is sent for what may have been sent before a restore.
	Restored = "R12"
	// Final: what is over stays as it is, and what contradicts it is shown.
	Final = "R13"
	// Trusted: an endpoint that is not trusted gets nothing.
	Trusted = "R14"
	// Bounds: no input makes the operator write, call or store without bound.
	Bounds = "bounds"
	// NoPanic: no loop panics.
	NoPanic = "panic"
	// Privacy: no log, error or status holds a secret or a phone.
	Privacy = "privacy"
)

// Rules that a Judge can find broken.
func Rules() []string {
	return []string{
		OneCharge, NoOverRefund, Sending, RightObject, AnswersKept, OnePage, Recovered, NoFalseFailure, NoFalseSuccess,
		Evidence, Schedule, Limits, Leadership, Restored, Final, Trusted, Bounds, NoPanic, Privacy,
	}
}

// Violation of a rule.
type Violation struct {
	Rule string `json:"rule"`
	Text string `json:"text"`
}

func (v Violation) String() string { return v.Rule + ": " + v.Text }

// Alike tells whether o is the same violation, whatever numbers it names.
func (v Violation) Alike(o Violation) bool { return v.Rule == o.Rule && words(v.Text) == words(o.Text) }

// Kind is the violation without numbers and names.
func (v Violation) Kind() string { return v.Rule + ": " + words(v.Text) }

// words of a text that have no digit in them.
func words(text string) string {
	var out []string
	for w := range strings.FieldsSeq(text) {
		if !strings.ContainsAny(w, "0123456789") && !strings.HasPrefix(w, "back") {
			out = append(out, w)
		}
	}
	return strings.Join(out, " ")
}

// Judge is a testworld.Observer.
type Judge struct {
	Violations []Violation
	// Calls and Writes of the operator.
	CallCount, WriteCount int
	// SettledAt is when the sale was first over, or Unknown.
	SettledAt time.Time
	// NoSends: from now on nothing may be sent.
	NoSends bool
	// Pruned: a CRD lost a field for a while, and objects with it.
	Pruned bool
	// Unreadable: the provider's answers do not say how it ended.
	Unreadable bool
	// Lies: the provider makes refunds that it reported as failed.
	Lies bool
	// Calm is when the last thing that was wrong was mended; zero: not yet.
	Calm time.Time

	// called is when a callback came that has to be asked about; zero: none did.
	called, lastCalled time.Time

	w         *testworld.World
	sales     map[types.NamespacedName]*sale
	processes map[*testworld.Process]*process
	// requests for money that arrived, by what asked for them and their reference.
	requests map[string]*request
	// shown is what each object showed of an Unknown, by uid and id, when it first did.
	shown map[string]*v1alpha1.UnknownStatus
	// environments of the account that each Payment would have used when it was made.
	environments map[types.UID]string
}

// sale is what is known of all Payments of one name.
type sale struct {
	// references that were sent for it.
	references []*request
	// lost: somebody deleted its Charge, and with it what was known.
	lost bool
	// had are the Payments that showed a Charge when it was lost, and gone those Charges.
	had, gone map[types.UID]bool
	// blind are the Charges that were made by a cache that did not show yet that there had been one: see the limits.
	blind map[types.UID]bool
	// blank are the Payments that lost their status too.
	blank map[types.UID]bool
	// said: a person who saw the Unknown said how it ended.
	said bool
	// disclosed pages.
	disclosed []string
	bounds    bounds
}

// request is all that was sent under one reference.
type request struct {
	reference string
	sale      types.NamespacedName
	refund    string
	provider  string
	// environment and installation that it was first sent in.
	environment, installation string
	// intents that it was sent for.
	intents []intent
	// confirmed: a question of ours was answered that it was paid.
	confirmed bool
	// open are answers that would leave it open, or have not come.
	undecided, refused int
}

// intent is what a Payment wants.
type intent struct {
	amount, phone, reference string
	uid                      types.UID
	environment              string
}

func intentOf(p *v1alpha1.Payment) intent {
	return intent{amount: p.Spec.Amount.Canonical(), phone: p.Spec.Phone, reference: p.Spec.Reference, uid: p.UID}
}

// same intent, whichever object has it.
func (i intent) same(o intent) bool {
	return i.amount == o.amount && i.phone == o.phone && i.reference == o.reference
}

// process is what the judge knows of one.
type process struct {
	job testworld.Job
	led bool
	// payment that it last looked at.
	payment *v1alpha1.Payment
	// looked at an object since the job began.
	looked bool
	// knew an account, so that it may still have its credentials.
	knew   bool
	grants map[string]*grant
	by     map[*testworld.Flight]*grant
	// answers that it read and that may not be recorded yet.
	answers []answer
	// fenced is the object that was last written, or read live, by its key.
	fenced map[testworld.Key]fenced
	over   bool
	left   []time.Time
}

// grant is the permission to send once.
type grant struct {
	at     time.Time
	used   bool
	charge testworld.Key
	uid    types.UID
	refund string
	number int32
}

type fenced struct {
	at     time.Time
	object client.Object
}

// answer that a process has read.
type answer struct {
	f *testworld.Flight
	g *grant
	// missed is when a run that ended well had not recorded it.
	missed time.Time
}

// lastConflict is longer than a run waits that somebody else was faster than: it ends well, and records with the next one.
const lastConflict = 5 * time.Second

// New judge; Watch tells it what.
func New() *Judge {
	return &Judge{
		sales: map[types.NamespacedName]*sale{}, processes: map[*testworld.Process]*process{}, requests: map[string]*request{},
		shown: map[string]*v1alpha1.UnknownStatus{}, environments: map[types.UID]string{},
	}
}

// Watch a world.
func (j *Judge) Watch(w *testworld.World) { j.w = w }

func (j *Judge) violated(rule, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, v := range j.Violations {
		if v.Rule == rule && v.Text == text {
			return
		}
	}
	j.Violations = append(j.Violations, Violation{rule, text})
}

// found notes what a rule found.
func (j *Judge) found(violations []Violation) {
	for _, v := range violations {
		j.violated(v.Rule, "%s", v.Text)
	}
}

func (j *Judge) sale(name types.NamespacedName) *sale {
	s := j.sales[name]
	if s == nil {
		s = &sale{had: map[types.UID]bool{}, gone: map[types.UID]bool{}, blank: map[types.UID]bool{}, blind: map[types.UID]bool{}}
		j.sales[name] = s
	}
	return s
}

func saleOf(c *v1alpha1.Charge) types.NamespacedName {
	return types.NamespacedName{Namespace: c.Spec.Payment.Namespace, Name: c.Spec.Payment.Name}
}

func (j *Judge) process(p *testworld.Process) *process {
	q := j.processes[p]
	if q == nil {
		q = &process{grants: map[string]*grant{}, by: map[*testworld.Flight]*grant{}, fenced: map[testworld.Key]fenced{}}
		j.processes[p] = q
	}
	return q
}

// Lost tells whether an administrator deleted a Charge: some promises rest on it.
func (j *Judge) Lost() bool {
	for _, s := range j.sales {
		if s.lost {
			return true
		}
	}
	return false
}

// Committed looks at each version as it comes.
func (j *Judge) Committed(v testworld.Version) {
	if j.w == nil {
		return
	}
	switch n := v.New.(type) {
	case *v1alpha1.Charge:
		o, _ := v.Old.(*v1alpha1.Charge)
		j.chargeVersion(o, n, v.By)
	case *v1alpha1.Payment:
		o, _ := v.Old.(*v1alpha1.Payment)
		j.paymentVersion(o, n, v.By)
	case *v1alpha1.Refund:
		o, _ := v.Old.(*v1alpha1.Refund)
		j.refundVersion(o, n, v.By)
	case nil:
		j.removed(v)
	}
}

// removed: what somebody else deletes is lost; what the operator deletes held nothing.
func (j *Judge) removed(v testworld.Version) {
	c, ok := v.Old.(*v1alpha1.Charge)
	if !ok {
		return
	}
	if v.By != nil {
		j.deletedByUs(c)
		return
	}
	s := j.sale(saleOf(c))
	s.lost, s.gone[c.UID] = true, true
	if attempt.NothingSent(&c.Record.Attempt) {
		return
	}
	for _, o := range j.w.Store.All(testworld.Payment) {
		if p := o.(*v1alpha1.Payment); p.Status.ChargeName == c.Name {
			s.had[p.UID] = true
		}
	}
}

// deletedByUs: only a Charge of which nothing was sent stands in nobody's way, or one that was over long ago.
func (j *Judge) deletedByUs(c *v1alpha1.Charge) {
	rec := &c.Record
	if attempt.NothingSent(&rec.Attempt) {
		return
	}
	if rec.Outcome == nil || j.w.Now().Sub(rec.Outcome.At.Time) < 90*24*time.Hour {
		j.violated(RightObject, "a Charge was deleted that was, or may have been, sent")
	}
}

// Refused: the rules of the CRDs are a second wall, and nothing of ours may run into it.
func (j *Judge) Refused(_ *testworld.Process, k testworld.Key, err error) {
	if j.Pruned {
		return // what is left does not fit together
	}
	j.violated(Final, "the API server refused our own write of %s: %v", k, err)
}

// Careless writes overwrite what they have not seen.
func (j *Judge) Careless(k testworld.Key) {
	j.violated(Sending, "%s was written without a resourceVersion", k)
}

// Begins one job.
func (j *Judge) Begins(p *testworld.Process, job testworld.Job) {
	q := j.process(p)
	q.job, q.over, q.led, q.looked = job, false, p.Leads(), false
	clear(q.fenced)
	q.knew = q.knew || len(j.w.Store.All(testworld.Account))+len(j.w.Store.All(testworld.ClusterAccount)) > 0
	j.runs(job.Name)
	j.overheard()
}

// Shown notes what a process knows of the end, and what it read live.
func (j *Judge) Shown(p *testworld.Process, k testworld.Key, o client.Object, live bool) {
	q := j.process(p)
	q.looked = true
	if shown, ok := o.(*v1alpha1.Payment); ok && shown.Name == q.job.Name.Name {
		q.payment = shown
	}
	if live && o != nil {
		q.fenced[k] = fenced{j.w.Now(), o}
	}
	// A live look while something is recorded is not what a run decides by.
	if c, ok := o.(*v1alpha1.Charge); ok && !live && saleOf(c) == q.job.Name {
		q.over = c.Record.Outcome != nil && !q.job.Refund && !mayBeAsked(c, cmp.Or(q.payment, j.w.Payment(q.job.Name)), p.Now())
	}
}

// mayBeAsked: what ended unpaid is asked about again if a callback came since, and what a person settled is followed.
func mayBeAsked(c *v1alpha1.Charge, p *v1alpha1.Payment, now time.Time) bool {
	outcome := c.Record.Outcome
	// An outcome of the future is one of a clock that was ahead.
	called := func(n *v1alpha1.CallbackNote) bool {
		return n != nil && (n.ReceivedAt.After(outcome.At.Time) || outcome.At.After(now))
	}
	return outcome.SettledBy != "" ||
		outcome.Phase != v1alpha1.PhaseSucceeded && (called(c.Record.LastCallback) || p != nil && (called(p.Status.LastCallback) || p.Status.ChargeName == ""))
}

// Ends looks for answers that were dropped, and for who will never come back.
func (j *Judge) Ends(p *testworld.Process, job testworld.Job, _ ctrl.Result, err error) {
	q := j.process(p)
	q.over = false
	if c := j.waiting(job); c != nil && c.Spec.InstallationID == p.Installation().ID && p.Leads() && !p.WillWake(job) {
		j.violated(Schedule, "a Charge that was asked for is left alone, with nothing to wake it")
	}
	if err != nil || !q.looked { // a run that was put off looks at nothing
		return
	}
	j.unkept(q)
	if c := j.waiting(job); c != nil && c.Spec.InstallationID == p.Installation().ID && p.Leads() && !q.knew && q.payment == nil && j.w.Payment(job.Name) == nil && c.Record.Notice == nil {
		j.violated(Schedule, "a Charge without a Payment cannot be followed, and does not say so")
	}
}

// waiting is the Charge of a job if its provider was asked, and has not decided.
func (j *Judge) waiting(job testworld.Job) *v1alpha1.Charge {
	c := j.w.Charge(job.Name)
	if job.Refund || c == nil || c.Record.Outcome != nil || c.Record.Unknown != nil || !attempt.MayHaveArrived(&c.Record.Attempt) {
		return nil
	}
	return c
}

// Died: its answers are lost, and that is nobody's fault.
func (j *Judge) Died(p *testworld.Process) { delete(j.processes, p) }

// moves tells whether a request asks for money to move.
func moves(f *testworld.Flight) (kind string, ok bool) {
	switch {
	case f.Asks == simulator.OpInitiate:
		return "pay ", true
	case f.Asks == simulator.OpRefund && f.Method == "POST":
		return "refund ", true
	default:
		return "", false
	}
}
