package payment

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// projection is what a status is projected from.
type projection struct {
	payment *v1alpha1.Payment
	// charge of the sale; nil: none yet.
	charge   *v1alpha1.Charge
	relation relation
	traits   providers.Traits
	// problem keeps a Payment without a Charge waiting, or refuses it.
	problem *attempt.Problem
	// settled is the phase that a problem which cannot be mended leads to.
	settled v1alpha1.Phase
	// unknownID is that of the Unknown that the Charge records.
	unknownID string
	// fencing: the send that the Charge shows was not made yet.
	fencing bool
}

// standing is a phase and why.
type standing struct {
	phase   v1alpha1.Phase
	reason  v1alpha1.Reason
	code    string
	message string
	// stalled: it cannot change by itself.
	stalled bool
	unknown *v1alpha1.Unknown
}

// briefly is how long a new Payment may wait for a limit without a status of its own.
const briefly = 5 * time.Second

// publish writes the status of the Payment, where it is not what it should be.
func (r *Reconciler) publish(ctx context.Context, v view) (view, error) {
	p := v.payment
	if p == nil || v.relation == relationForeign && !r.told.Once(p.UID, p.Status.ChargeName == v.charge.Name) {
		return v, nil
	}
	if asksInAMoment(v) || behind(v) {
		return v, nil
	}
	in := r.projection(v)
	next := p.DeepCopy()
	next.Status = r.project(in)
	if sameStatus(next.Status, p.Status) {
		return v, nil
	}
	// Update carries resourceVersion and uid: a stale view cannot overwrite.
	if err := r.Client.Status().Update(ctx, next); err != nil {
		r.told.Failed(p.UID)
		return v, err
	}
	r.announce(p, next)
	v.payment = next
	return v, nil
}

// asksInAMoment: a new Payment only waits for a limit, so there is nothing to say yet.
func asksInAMoment(v view) bool {
	fresh := v.payment.Status.Phase == "" && v.charge == nil && v.problem == nil && v.settled == ""
	return fresh && v.wait > 0 && v.wait <= briefly
}

// behind: the status shows more than the Charge as it was read, so that one is old. Two
// processes would overwrite each other's status for as long as one's cache is behind.
func behind(v view) bool {
	c := v.charge
	if c == nil || !v.relation.holds() || c.Record.Sends == 0 || c.Record.Unknown != nil {
		return false
	}
	unknown := v.payment.Status.Phase == v1alpha1.PhaseUnknown && v.payment.Status.ChargeName == c.Name
	return showsMore(v.payment, &c.Record) || unknown && untold(v.payment, &c.Record)
}

// projection is what v shows of its Payment.
func (r *Reconciler) projection(v view) projection {
	in := projection{
		payment: v.payment, charge: v.charge, relation: v.relation, traits: r.traits(v),
		problem: v.problem, settled: v.settled,
	}
	if in.problem == nil && tellsItself(v) {
		in.problem = v.seen.Told(v.failed, v.payment.Status.Conditions, reasons.OfPayments().OfNotice)
	}
	if v.relation == relationVacant {
		in.charge, in.relation = nil, relationNone
	}
	if in.charge != nil && v.relation.holds() {
		in.unknownID = r.unknownID(v.payment, v.charge)
	}
	return in
}

// tellsItself: what this process remembers is to be told, since no record does, or an older one:
// two processes that remember different failures must not overwrite each other's.
func tellsItself(v view) bool {
	if v.charge == nil || v.relation == relationVacant {
		return true
	}
	own, recorded := v.seen.Notice, v.charge.Record.Notice
	newer := own == nil || recorded == nil || recorded.Reason == v1alpha1.ReasonAccepted || recorded.At.Before(&own.At)
	return v.seen.Unsent > 0 && newer && attempt.NothingSent(&v.charge.Record.Attempt)
}

// project is the status of a Payment: a pure function of what is there, and of the time, which only dates transitions.
func (r *Reconciler) project(in projection) v1alpha1.PaymentStatus {
	return project(in, r.now(), r.localID)
}

func (r *Reconciler) now() time.Time { return r.Now().Truncate(time.Second) }

// localID is the id of an Unknown that no Charge records for this Payment.
func (r *Reconciler) localID(p *v1alpha1.Payment, c *v1alpha1.Charge, u *v1alpha1.Unknown) string {
	uid := ""
	if c != nil {
		uid = string(c.UID)
	}
	return r.Installation.UnknownID(uid, string(p.UID), u.Reason, u.Since.Time, u.Reported)
}

type idFunc func(*v1alpha1.Payment, *v1alpha1.Charge, *v1alpha1.Unknown) string

func project(in projection, now time.Time, id idFunc) v1alpha1.PaymentStatus {
	old := in.payment.Status
	if old.Phase.Terminal() {
		return afterEnd(in, old, now)
	}
	s := standingOf(in)
	status := v1alpha1.PaymentStatus{
		Phase:              s.phase,
		Conditions:         old.DeepCopy().Conditions,
		ObservedGeneration: in.payment.Generation,
		Reference:          in.payment.MerchantReference(),
		ChargeName:         old.ChargeName,
		LastCallback:       old.LastCallback,
		InitiatedAt:        old.InitiatedAt,
		Sends:              old.Sends,
	}
	held := in.charge != nil && in.relation.holds()
	if held {
		showCharge(&status, in)
	}
	if s.phase == v1alpha1.PhaseUnknown {
		status.Unknown = unknownStatus(in, s, now, id)
		if said := settlement(in.payment, status.Unknown.ID); said != nil && !held {
			// There is no record of this Payment to settle, so it is settled here.
			o := settled(*said, v1alpha1.Money{}, metav1.NewMicroTime(now))
			s = stand(o.Phase, o.Reason, "")
			status.Phase, status.Unknown, status.SettledBy, status.TransactionID = o.Phase, nil, o.SettledBy, o.TransactionID
		}
	}
	if s.phase == v1alpha1.PhasePending && old.Phase != "" && old.Phase != v1alpha1.PhasePending {
		// The send that made it Processing is void. The phase does not go back.
		s.phase, status.Phase = v1alpha1.PhaseProcessing, v1alpha1.PhaseProcessing
	}
	if s.phase.Terminal() && s.phase != v1alpha1.PhaseSucceeded {
		status.Failure = &v1alpha1.PaymentFailure{Reason: s.reason, ProviderCode: s.code, Message: s.message}
	}
	if s.phase.Terminal() && status.CompletedAt == nil {
		status.CompletedAt = &metav1.Time{Time: now}
	}
	showCancel(&status, in, s.phase, now)
	setConditions(&status, in, s, now)
	return status
}

// unknownStatus is what a person settles. Where no Charge records it, its time is
// that of the status which showed it first.
func unknownStatus(in projection, s standing, now time.Time, id idFunc) *v1alpha1.UnknownStatus {
	u := s.unknown
	if u == nil {
		u = &v1alpha1.Unknown{Reason: s.reason, Since: metav1.NewMicroTime(now)}
		if old := in.payment.Status.Unknown; old != nil && old.Reason == s.reason {
			u.Since = metav1.NewMicroTime(old.Since.Time)
		}
	}
	out := &v1alpha1.UnknownStatus{ID: in.unknownID, Since: metav1.NewTime(u.Since.Truncate(time.Second)), Reason: u.Reason, Reported: u.Reported}
	if out.ID == "" {
		out.ID = id(in.payment, in.charge, u)
	}
	return out
}

// afterEnd: a finished Payment stays as it ended; only what contradicts it is added.
func afterEnd(in projection, status v1alpha1.PaymentStatus, now time.Time) v1alpha1.PaymentStatus {
	status = *status.DeepCopy()
	status.ObservedGeneration = in.payment.Generation
	showCancel(&status, in, status.Phase, now)
	if in.charge == nil || !in.relation.holds() {
		return status
	}
	rec := &in.charge.Record
	status.Refunded = refunded(rec)
	if rec.Outcome != nil && rec.Later != nil && attempt.Contradicts(rec.Outcome, rec.Later) {
		set(&status, in, now, v1alpha1.ConditionLateSettlement, v1alpha1.ReasonContradicted,
			reasons.OfPayments().Of(v1alpha1.ReasonContradicted, rec.Later.Code))
	}
	return status
}

// showCancel says what came of calling the payment off.
func showCancel(status *v1alpha1.PaymentStatus, in projection, phase v1alpha1.Phase, now time.Time) {
	if !in.payment.Spec.Cancel {
		return
	}
	reason := v1alpha1.ReasonCancelPending
	switch {
	case phase == v1alpha1.PhaseCancelled:
		reason = v1alpha1.ReasonCancelDone
	case phase.Terminal():
		reason = v1alpha1.ReasonCancelTooLate
	case phase == v1alpha1.PhaseUnknown, in.charge != nil && in.charge.Record.Taken != nil && !in.traits.CanCancel:
		reason = v1alpha1.ReasonCancelNotSupported
	}
	set(status, in, now, v1alpha1.ConditionCancelRequested, reason, reasons.OfPayments().Of(reason, ""))
}

// refunded is how much was given back; empty: nothing.
func refunded(rec *v1alpha1.ChargeRecord) string {
	var amounts []string
	for i := range rec.Refunds {
		if o := rec.Refunds[i].Outcome; o != nil && o.Phase == v1alpha1.PhaseSucceeded {
			amounts = append(amounts, rec.Refunds[i].Money.Amount)
		}
	}
	if len(amounts) == 0 {
		return ""
	}
	return providers.SumAmounts(amounts...)
}

func standingOf(in projection) standing {
	switch {
	case in.settled != "":
		return standing{phase: in.settled, reason: in.problem.Reason, message: in.problem.Message}
	case in.charge == nil, in.relation == relationOpen, in.relation == relationUnsure:
		return waiting(in)
	}
	switch in.relation {
	case relationConflict:
		return stand(v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict, "")
	case relationReused:
		return stand(v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName, "")
	case relationForeign:
		s := stand(v1alpha1.PhasePending, v1alpha1.ReasonInstallationChanged, "")
		s.stalled = true
		return s
	default:
		return ofRecord(&in.charge.Record, in.problem)
	}
}

func stand(phase v1alpha1.Phase, reason v1alpha1.Reason, code string) standing {
	return standing{phase: phase, reason: reason, code: code, message: reasons.OfPayments().Of(reason, code)}
}

// waiting: there is no Charge yet.
func waiting(in projection) standing {
	s := stand(v1alpha1.PhasePending, v1alpha1.ReasonAccepted, "")
	if in.problem != nil {
		s.reason, s.message = in.problem.Reason, in.problem.Message
		s.stalled = s.reason == v1alpha1.ReasonProviderNotSupported || s.reason == v1alpha1.ReasonRecordRefused
	}
	return s
}

// ofRecord is how a Charge stands: the phase follows from what is recorded and from nothing else.
func ofRecord(rec *v1alpha1.ChargeRecord, problem *attempt.Problem) standing {
	phase := v1alpha1.PhasePending
	if attempt.MayHaveArrived(&rec.Attempt) || rec.Refusal != nil {
		phase = v1alpha1.PhaseProcessing
	}
	switch {
	case rec.Outcome != nil:
		s := stand(rec.Outcome.Phase, rec.Outcome.Reason, rec.Outcome.Code)
		if rec.Outcome.Message != "" {
			s.message = rec.Outcome.Message
		}
		return s
	case rec.Unknown != nil:
		s := stand(v1alpha1.PhaseUnknown, rec.Unknown.Reason, "")
		if rec.Unknown.Reported != nil {
			s.code = rec.Unknown.Reported.Code
		}
		s.unknown = rec.Unknown
		return s
	case problem != nil:
		return standing{phase: phase, reason: problem.Reason, message: problem.Message, stalled: problem.Reason == v1alpha1.ReasonRecordRefused}
	case rec.Notice != nil:
		return standing{phase: phase, reason: rec.Notice.Reason, code: rec.Notice.Code, message: reasons.OfPayments().OfNotice(*rec.Notice)}
	case rec.Taken != nil && rec.Session != nil && rec.Session.PaymentURL != "":
		s := stand(phase, v1alpha1.ReasonAwaitingPayer, "")
		s.message = "Waiting for the payer to open status.nextAction.url."
		return s
	case rec.Taken != nil:
		return stand(phase, v1alpha1.ReasonAwaitingPayer, "")
	case rec.Refusal != nil:
		s := stand(phase, rec.Refusal.Reason, rec.Refusal.Code)
		s.message += " Making sure that the payer was not asked all the same."
		return s
	case len(rec.Open) > 0:
		return stand(phase, v1alpha1.ReasonAwaitingAnswer, "")
	default:
		return stand(phase, v1alpha1.ReasonAccepted, "")
	}
}

func showCharge(status *v1alpha1.PaymentStatus, in projection) {
	spec, rec := &in.charge.Spec, &in.charge.Record
	status.ChargeName = in.charge.Name
	status.Account = account.DisplayName(spec.Account)
	status.Environment = spec.Account.Environment
	status.Amount = spec.Money.Amount
	status.Currency = spec.Money.Currency
	status.ProviderReference = spec.ProviderReference
	if t := attempt.InitiatedAt(&rec.Attempt); t != nil && !in.fencing && status.InitiatedAt == nil {
		status.InitiatedAt = t
	}
	status.Sends = max(status.Sends, rec.Sends)
	if in.fencing {
		status.Sends = max(in.payment.Status.Sends+1, rec.Sends)
	}
	status.NextAction = nextAction(in)
	if o := rec.Outcome; o != nil {
		status.TransactionID = o.TransactionID
		status.SettledBy = o.SettledBy
		status.CompletedAt = toSecond(o.At)
	}
}

func toSecond(t metav1.MicroTime) *metav1.Time {
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

// nextAction publishes a payment URL, and does so only from a recorded session of a payment that nobody called off.
func nextAction(in projection) *v1alpha1.NextAction {
	rec := &in.charge.Record
	if rec.Taken == nil || rec.Outcome != nil || rec.Unknown != nil || in.payment.Spec.Cancel {
		return nil
	}
	if s := rec.Session; s != nil && s.PaymentURL != "" {
		return &v1alpha1.NextAction{Type: v1alpha1.NextActionOpenURL, URL: s.PaymentURL, ExpiresAt: s.ExpiresAt}
	}
	if in.traits.Flow == providers.FlowPush {
		return &v1alpha1.NextAction{Type: v1alpha1.NextActionApproveOnPhone}
	}
	return nil
}

func setConditions(status *v1alpha1.PaymentStatus, in projection, s standing, now time.Time) {
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	switch {
	case s.phase == v1alpha1.PhaseSucceeded:
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionTrue
	case s.phase.Terminal():
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	}
	attempt.SetConditions(&status.Conditions, attempt.Standing{
		Finished: finished, Succeeded: succeeded, Reason: s.reason, Message: s.message,
		Stalled: s.stalled || s.phase.Terminal() || s.phase == v1alpha1.PhaseUnknown,
	}, in.payment.Generation, now)
	if adopted(in) {
		set(status, in, now, v1alpha1.ConditionAdopted, v1alpha1.ReasonChargeAdopted,
			fmt.Sprintf("%s It dates from %s.", reasons.OfPayments().Of(v1alpha1.ReasonChargeAdopted, ""), in.charge.CreationTimestamp.UTC().Format(time.RFC3339)))
	}
}

func adopted(in projection) bool {
	if in.charge == nil {
		return false
	}
	found := in.charge.Record.Taken != nil && in.charge.Record.Taken.Found
	return in.relation == relationAdopted || (in.relation == relationOwn && found)
}

func set(status *v1alpha1.PaymentStatus, in projection, now time.Time, kind, reason, text string) {
	attempt.SetCondition(&status.Conditions, kind, metav1.ConditionTrue, reason, text, in.payment.Generation, now)
}

// sameStatus tells whether writing would change anything.
func sameStatus(a, b v1alpha1.PaymentStatus) bool { return equality.Semantic.DeepEqual(a, b) }
