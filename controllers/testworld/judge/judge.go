// Package judge watches a world and says which promises were broken. It believes
// the provider's books and the versions of the objects, as each was written; never
// only how a payment says that it ended.
package judge

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/providers/simulator"
)

// The promises, by the names that reports use.
const (
	// IntentFirst: every request for money joins an acknowledged write-ahead.
	IntentFirst = "I1"
	// OneCharge: at most one paid session a reference, and no more given back
	// than was paid.
	OneCharge = "I2"
	// NoFalseSuccess: who says Succeeded asked, and was told so of this money.
	NoFalseSuccess = "I3"
	// NoFalseFailure: who says that it ended unpaid is right, and stays right.
	NoFalseFailure = "I4"
	// Monotone: what is final does not change, and counters do not fall.
	Monotone = "I5"
	// CompareAndSwap: no write that stands on no version.
	CompareAndSwap = "I6"
	// AnswersKept: an answer that was read is recorded.
	AnswersKept = "I7"
	// OneDisclosed: one session is disclosed, once it is durable.
	OneDisclosed = "I8"
	// OneAttempt: one send is one attempt, made at once.
	OneAttempt = "I9"
	// DeletionKept: an outcome is learnt though its Payment is gone.
	DeletionKept = "I10"
	// AdoptOnly: nothing is sent for what was restored.
	AdoptOnly = "I14"
	// Settles: in bounded time every payment is over, or Unknown.
	Settles = "L1"
	// Learns: what the provider knows, the Payment learns.
	Learns = "L2"
	// Rests: nothing happens after the end.
	Rests = "L3"
	// Wakes: whatever is not over comes back.
	Wakes = "L4"
	// Bounded: a fault costs a few calls and writes, and no more.
	Bounded = "O7"
	// Quiet: no log, error or status holds a secret or a phone.
	Quiet = "O8"
)

// Violation of a promise.
type Violation struct {
	Invariant string `json:"invariant"`
	Text      string `json:"text"`
}

func (v Violation) String() string { return v.Invariant + ": " + v.Text }

// Deleted tells whether an administrator deleted a Charge: some promises rest on it.
func (j *Judge) Deleted() bool { return j.deleted }

// Judge is a world.Observer.
type Judge struct {
	Violations []Violation
	// Calls and Writes of the operator.
	CallCount, WriteCount int
	// SettledAt is when the sale was first over, or Unknown.
	SettledAt time.Time
	// NoSends: from now on nothing may be sent.
	NoSends bool
	// Unreadable: the provider's answers do not say how it ended.
	Unreadable bool
	// Alone: one process at a time.
	Alone bool

	w          *testworld.World
	grants     map[string]map[*testworld.Process]*grant
	pending    map[*testworld.Process][]answer
	confirmed  map[string]bool
	disclosed  map[string][]string
	references map[string]string
	over       map[*testworld.Process]bool
	refunding  map[*testworld.Process]bool
	// deleted: an administrator deleted a Charge.
	deleted bool
	// restored is when, in the order of things, a Payment came from a backup, and
	// began when a process began what it does.
	order    int
	restored int
	began    map[*testworld.Process]int
}

// grant is the leave to send once.
type grant struct {
	at   time.Time
	used bool
}

// answer that a process has in its hands.
type answer struct {
	f   *testworld.Flight
	uid string
}

// New judge; Watch tells it what.
func New() *Judge {
	return &Judge{
		grants: map[string]map[*testworld.Process]*grant{}, pending: map[*testworld.Process][]answer{}, confirmed: map[string]bool{},
		disclosed: map[string][]string{}, references: map[string]string{}, over: map[*testworld.Process]bool{}, refunding: map[*testworld.Process]bool{},
		began: map[*testworld.Process]int{},
	}
}

// Watch a world.
func (j *Judge) Watch(w *testworld.World) { j.w = w }

func (j *Judge) violated(invariant, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	for _, v := range j.Violations {
		if v.Invariant == invariant && v.Text == text {
			return
		}
	}
	j.Violations = append(j.Violations, Violation{invariant, text})
}

// Committed looks at each version as it comes.
func (j *Judge) Committed(v testworld.Version) {
	if j.w == nil {
		return
	}
	switch n := v.New.(type) {
	case *v1alpha1.Charge:
		o, _ := v.Old.(*v1alpha1.Charge)
		j.chargeVersion(o, n)
	case *v1alpha1.Payment:
		o, _ := v.Old.(*v1alpha1.Payment)
		j.paymentVersion(o, n)
	case *v1alpha1.Refund:
		o, _ := v.Old.(*v1alpha1.Refund)
		j.refundVersion(o, n)
	case nil:
		j.deleted = j.deleted || v.Key.Kind == testworld.Charge
	}
}

func (j *Judge) chargeVersion(old, c *v1alpha1.Charge) {
	ref := c.Spec.ProviderReference
	if first, ok := j.references[c.Name]; ok && first != ref {
		j.violated(OneCharge, "the reference of %s changed", c.Name)
	}
	j.references[c.Name] = ref
	if old == nil {
		old = &v1alpha1.Charge{Spec: c.Spec}
	}
	j.onlyForward(old, c)
	a, b := &old.Record, &c.Record
	if b.Session != nil && a.Session == nil && b.Session.Send == 0 && j.Alone && j.books(ref).open > 1 {
		j.violated(OneDisclosed, "a session was taken up, and another one can still be paid")
	}
	if a.Outcome == nil && b.Outcome != nil && b.Outcome.Settlement == nil {
		j.verdict("the Charge", c, b.Outcome.Phase)
	}
	for i := range b.Refunds {
		j.claimVersion(c, claimOf(a, b.Refunds[i].Name), &b.Refunds[i])
	}
}

// onlyForward: what is recorded stays as it is.
func (j *Judge) onlyForward(old, c *v1alpha1.Charge) {
	a, b := &old.Record, &c.Record
	switch {
	case !equality.Semantic.DeepEqual(old.Spec, c.Spec):
		j.violated(Monotone, "the intent of the Charge changed")
	case b.Sends < a.Sends, b.VoidSends < a.VoidSends:
		j.violated(Monotone, "sends fell from %d (%d void) to %d (%d)", a.Sends, a.VoidSends, b.Sends, b.VoidSends)
	case a.Outcome != nil && !equality.Semantic.DeepEqual(a.Outcome, b.Outcome):
		j.violated(Monotone, "the outcome of the Charge changed")
	case a.Session != nil && !equality.Semantic.DeepEqual(a.Session, b.Session):
		j.violated(Monotone, "the session of the Charge changed")
	case len(b.Refunds) < len(a.Refunds):
		j.violated(Monotone, "a claim of a refund vanished")
	}
}

func claimOf(r *v1alpha1.ChargeRecord, name string) *v1alpha1.ChargeRefund {
	for i := range r.Refunds {
		if r.Refunds[i].Name == name {
			return &r.Refunds[i]
		}
	}
	return &v1alpha1.ChargeRefund{}
}

func (j *Judge) paymentVersion(old, p *v1alpha1.Payment) {
	if old == nil {
		old = &v1alpha1.Payment{}
		if _, ok := p.Labels[v1alpha1.LabelRestore]; ok {
			j.restored = j.order
		}
	}
	a, b := &old.Status, &p.Status
	switch {
	case a.Phase.Terminal() && a.Phase != b.Phase:
		j.violated(Monotone, "Payment %s went from %s to %q", p.Name, a.Phase, b.Phase)
	case a.ChargeName != "" && a.ChargeName != b.ChargeName:
		j.violated(Monotone, "Payment %s changed its Charge", p.Name)
	}
	if j.SettledAt.IsZero() && p.Name == testworld.Sale && settled(b.Phase) {
		j.SettledAt = j.w.Now()
	}
	c := j.chargeOf(p)
	if a.Phase != b.Phase && b.Phase.Terminal() && !refusedItself(p) && b.SettledBy == "" {
		j.verdict("Payment "+p.Name, c, b.Phase)
	}
	if next := b.NextAction; next != nil && next.URL != "" && (a.NextAction == nil || a.NextAction.URL != next.URL) {
		j.disclosure(c, next.URL)
	}
}

// settled: over, or for a person to look at.
func settled(p v1alpha1.Phase) bool { return p.Terminal() || p == v1alpha1.PhaseUnknown }

// refusedItself: the Payment says nothing about the Charge of its sale, but that
// it is not its own.
func refusedItself(p *v1alpha1.Payment) bool {
	f := p.Status.Failure
	if f == nil {
		return false
	}
	switch f.Reason {
	case v1alpha1.ReasonReferenceConflict, v1alpha1.ReasonDuplicateReference, v1alpha1.ReasonInvalidRequest:
		return true
	default:
		return false
	}
}

func (j *Judge) chargeOf(p *v1alpha1.Payment) *v1alpha1.Charge {
	return j.w.Charge(p.SaleReference())
}

func (j *Judge) disclosure(c *v1alpha1.Charge, url string) {
	if c == nil {
		return // an administrator deleted it since
	}
	if s := c.Record.Session; s == nil || s.PaymentURL != url {
		j.violated(OneDisclosed, "a URL is published that no Charge holds")
	}
	ref := c.Spec.ProviderReference
	for _, known := range j.disclosed[ref] {
		if known == url {
			return
		}
	}
	j.disclosed[ref] = append(j.disclosed[ref], url)
	if len(j.disclosed[ref]) > 1 && !j.deleted {
		j.violated(OneDisclosed, "two sessions of one reference are published")
	}
}

// verdict: somebody says for good how it ended. c may be nil: then nothing was
// ever asked for.
func (j *Judge) verdict(who string, c *v1alpha1.Charge, phase v1alpha1.Phase) {
	ref := ""
	if c != nil {
		ref = c.Spec.ProviderReference
	}
	b := j.books(ref)
	if phase == v1alpha1.PhaseSucceeded {
		switch {
		case c == nil && j.deleted && b.paid > 0:
			// An administrator deleted the record meanwhile. It is true all the same.
		case c == nil || b.paid == 0:
			j.violated(NoFalseSuccess, "%s says Succeeded, and the provider was paid nothing", who)
		case b.money != c.Spec.Money:
			j.violated(NoFalseSuccess, "%s says Succeeded, and %s %s was paid", who, b.money.Amount, b.money.Currency)
		case !j.confirmed[ref]:
			j.violated(NoFalseSuccess, "%s says Succeeded, and no question of ours was answered so", who)
		}
		return
	}
	switch {
	case b.saidSo:
		// The provider said first that it failed, and contradicted itself.
	case j.deleted:
		// So was the write-ahead that could have told that it was asked for.
	case b.paid > 0:
		j.violated(NoFalseFailure, "%s says %s, and it was paid", who, phase)
	case b.payable:
		j.violated(NoFalseFailure, "%s says %s, and it can still be paid", who, phase)
	case !b.known && j.underWay(ref):
		j.violated(NoFalseFailure, "%s says %s, and a request can still arrive", who, phase)
	}
}

// underWay: a request of a push provider may arrive and ring a phone.
func (j *Judge) underWay(ref string) bool {
	for _, late := range j.w.Late {
		f := late.Flight
		if f.Provider == simulator.MTN && f.Asks == simulator.OpInitiate && (ref == "" || f.Reference == ref) && late.At.After(j.w.Now()) {
			return true
		}
	}
	return false
}

// book is what the provider has on a reference.
type book struct {
	paid    int
	money   v1alpha1.Money
	known   bool
	payable bool
	// saidSo: it reported a final failure before it was paid.
	saidSo bool
	// open sessions at the provider, whether or not anybody can pay them.
	open int
}

// books of a reference; of all, if it is empty.
func (j *Judge) books(ref string) book {
	var b book
	for _, e := range j.w.Sim().Ledger() {
		if ref != "" && e.Reference != ref {
			continue
		}
		switch e.Event {
		case simulator.Paid:
			b.paid++
			b.money = v1alpha1.Money{Amount: e.Amount, Currency: e.Currency}
		case simulator.Refused, simulator.Expired:
			b.saidSo = b.saidSo || e.Provider != simulator.Wave && b.paid == 0 && !(e.Provider == simulator.Orange && e.Event == simulator.Expired)
		default:
		}
	}
	for _, s := range j.w.Sim().Sessions() {
		if ref != "" && s.Reference != ref {
			continue
		}
		b.known = true
		if s.State != "open" && s.State != "confirming" {
			continue
		}
		b.open++
		b.payable = b.payable || s.Provider != simulator.Orange || j.isDisclosed(s.URL)
	}
	return b
}

func (j *Judge) isDisclosed(url string) bool {
	for _, urls := range j.disclosed {
		for _, u := range urls {
			if u == url {
				return true
			}
		}
	}
	return false
}

// Acknowledged gives leave to send once, if that is what was written.
func (j *Judge) Acknowledged(p *testworld.Process, v testworld.Version) {
	j.WriteCount++
	c, ok := v.New.(*v1alpha1.Charge)
	if !ok {
		return
	}
	old, _ := v.Old.(*v1alpha1.Charge)
	if old == nil {
		old = &v1alpha1.Charge{}
	}
	if last := c.Record.LastSend; c.Record.Sends > old.Record.Sends && last != nil && last.Sender == p.Name {
		j.grant(p, "pay "+c.Spec.ProviderReference)
	}
	for i := range c.Record.Refunds {
		claim := &c.Record.Refunds[i]
		if last := claim.LastSend; claim.Sends > claimOf(&old.Record, claim.Name).Sends && last != nil && last.Sender == p.Name {
			j.grant(p, "refund "+refundReference(c, claim))
		}
	}
}

// grant takes the leave from whoever had it, but where an administrator deleted the
// Charge that said so: then nobody can know of the other.
func (j *Judge) grant(p *testworld.Process, what string) {
	if !j.deleted || j.grants[what] == nil {
		j.grants[what] = map[*testworld.Process]*grant{}
	}
	j.grants[what][p] = &grant{at: j.w.Now()}
}

// refundReference is what the provider knows a refund by.
func refundReference(c *v1alpha1.Charge, claim *v1alpha1.ChargeRefund) string {
	if claim.Reference != "" {
		return claim.Reference
	}
	return c.Spec.ProviderReference
}

// Refused: the rules of the CRDs are a second wall, and nothing of ours may run
// into it.
func (j *Judge) Refused(_ *testworld.Process, k testworld.Key, err error) {
	j.violated(Monotone, "the API server refused our own write of %s: %v", k, err)
}

// Careless writes overwrite what they have not seen.
func (j *Judge) Careless(k testworld.Key) {
	j.violated(CompareAndSwap, "%s was written without a resourceVersion", k)
}

// Calls counts, and finds those that nobody needs.
func (j *Judge) Calls(f *testworld.Flight) {
	j.CallCount++
	// Ending one that nobody may pay any more is always right.
	if j.over[f.Process] && f.Op != "cancel" {
		j.violated(Rests, "%s is asked though the process knows how it ended", f.Op)
	}
}

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

// Arrives joins each request for money to its write-ahead.
func (j *Judge) Arrives(f *testworld.Flight) {
	kind, ok := moves(f)
	if !ok {
		return
	}
	if j.NoSends || j.restored > 0 && j.began[f.Process] > j.restored && kind == "pay " {
		j.violated(AdoptOnly, "%s was sent for what may have been sent before a restore", f.Op)
	}
	if f.Replayable {
		j.violated(OneAttempt, "the body of %s can be sent again", f.Op)
	}
	g := j.grants[kind+f.Reference][f.Process]
	switch {
	case g == nil:
		j.violated(IntentFirst, "%s was sent without an acknowledged write-ahead of its reference", f.Op)
	case g.used:
		j.violated(OneAttempt, "%s was sent twice for one write-ahead", f.Op)
	case j.w.Now().Sub(g.at) > time.Minute:
		j.violated(OneAttempt, "%s was sent %s after its write-ahead", f.Op, j.w.Now().Sub(g.at))
	default:
		g.used = true
	}
}

// accepted: the provider took the request, and said so.
func accepted(f *testworld.Flight) bool {
	return f.Err == nil && f.Status/100 == 2 && !f.Garbled()
}

// Answered notes what a process has read.
func (j *Judge) Answered(f *testworld.Flight) {
	kind, moving := moves(f)
	switch {
	case moving && f.Err == nil && f.Status == 401:
		// Refused at the door: it may knock again with another token.
		if g := j.grants[kind+f.Reference][f.Process]; g != nil {
			g.used = false
		}
	case moving && accepted(f):
		j.pending[f.Process] = append(j.pending[f.Process], answer{f, ""})
	case (f.Asks == simulator.OpStatus || f.Asks == simulator.OpSearch) && accepted(f) && j.books(f.Reference).paid > 0:
		j.confirmed[f.Reference] = true
	}
}

// Begins one job.
func (j *Judge) Begins(p *testworld.Process, job testworld.Job) {
	j.over[p] = false
	j.refunding[p] = job.Refund
	j.order++
	j.began[p] = j.order
}

// Shown notes what a process knows of the end.
func (j *Judge) Shown(p *testworld.Process, k testworld.Key, o client.Object) {
	if k.Kind == testworld.Charge {
		c, _ := o.(*v1alpha1.Charge)
		j.over[p] = c != nil && c.Record.Outcome != nil && !j.refunding[p] && !j.lateNews(c)
	}
}

// lateNews: what ended unpaid is asked about once more if a callback came since,
// and what a person settled is watched for a while.
func (j *Judge) lateNews(c *v1alpha1.Charge) bool {
	outcome := c.Record.Outcome
	if outcome.Settlement != nil {
		return true
	}
	p := j.w.Payment(testworld.Sale)
	return outcome.Phase != v1alpha1.PhaseSucceeded && p != nil && p.Status.LastCallback != nil &&
		p.Status.LastCallback.ReceivedAt.After(outcome.At.Time)
}

// Ends looks for answers that were dropped, and for who will never come back.
func (j *Judge) Ends(p *testworld.Process, job testworld.Job, _ ctrl.Result, _ error) {
	j.over[p] = false
	if c := j.waiting(job); c != nil && !p.WillWake(job) {
		j.violated(Wakes, "a Charge that was asked for is left alone, with nothing to wake it")
	}
	for _, a := range j.pending[p] {
		if !j.kept(a) {
			j.violated(AnswersKept, "the answer to %s was read and not recorded", a.f.Op)
		}
	}
	delete(j.pending, p)
}

// waiting is the Charge of a job if its provider was asked, and has not decided.
func (j *Judge) waiting(job testworld.Job) *v1alpha1.Charge {
	c, _ := j.w.Store.Live(testworld.Key{Kind: testworld.Charge, Name: job.Name.Name}).(*v1alpha1.Charge)
	if job.Refund || c == nil || c.Record.Outcome != nil || c.Record.Hold != nil {
		return nil
	}
	if c.Record.Session == nil && c.Record.Sends == c.Record.VoidSends {
		return nil
	}
	return c
}

func (j *Judge) kept(a answer) bool {
	for name, ref := range j.references {
		c, _ := j.w.Store.Live(testworld.Key{Kind: testworld.Charge, Name: name}).(*v1alpha1.Charge)
		if c == nil {
			continue // deleted: there is nothing to record it on
		}
		if ref == a.f.Reference && a.f.Asks == simulator.OpInitiate {
			return c.Record.Session != nil || c.Record.Outcome != nil || j.deleted
		}
		for i := range c.Record.Refunds {
			claim := &c.Record.Refunds[i]
			if refundReference(c, claim) == a.f.Reference && a.f.Asks == simulator.OpRefund {
				return claim.Taken != nil || claim.Outcome != nil || j.deleted
			}
		}
	}
	return true
}

// Died: its answers are lost, and that is nobody's fault.
func (j *Judge) Died(p *testworld.Process) { delete(j.pending, p) }

// Noted: a callback came.
func (j *Judge) Noted(*testworld.Process) {}
