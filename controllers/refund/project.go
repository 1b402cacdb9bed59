package refund

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
)

// standing is a phase and why.
type standing struct {
	phase   v1alpha1.RefundPhase
	reason  v1alpha1.Reason
	code    string
	message string
	// settled by a person, where no Charge records it.
	settled *v1alpha1.Outcome
}

func stand(phase v1alpha1.RefundPhase, reason v1alpha1.Reason, code string) standing {
	return standing{phase: phase, reason: reason, code: code, message: reasons.Refund().Of(reason, code)}
}

func said(phase v1alpha1.RefundPhase, p *attempt.Problem) standing {
	return standing{phase: phase, reason: p.Reason, message: p.Message}
}

// publish writes the status of the Refund, where it is not what it should be.
func (r *Reconciler) publish(ctx context.Context, v view) (view, error) {
	if v.refund == nil || v.foreign && !r.Installation.Made(v.charge) && !r.told.Once(v.refund.UID, v.refund.Status.ChargeName == v.chargeName) {
		return v, nil
	}
	next := v.refund.DeepCopy()
	next.Status = r.project(v, false)
	if sameStatus(next.Status, v.refund.Status) {
		return v, nil
	}
	// Update carries resourceVersion and uid: a stale view cannot overwrite.
	if err := r.Client.Status().Update(ctx, next); err != nil {
		r.told.Failed(v.refund.UID)
		return v, err
	}
	r.announce(v, next)
	v.refund = next
	return v, nil
}

// project is the status of a Refund: a pure function of what is there, and of the time, which only
// dates transitions. fencing: the send that the Charge shows was not made yet.
func (r *Reconciler) project(v view, fencing bool) v1alpha1.RefundStatus {
	old, now := v.refund.Status, r.Now().Truncate(time.Second)
	if old.Phase.Terminal() {
		return afterEnd(v, *old.DeepCopy(), now)
	}
	status := *old.DeepCopy()
	status.ObservedGeneration, status.Unknown, status.Instructions, status.Failure = v.refund.Generation, nil, "", nil
	s, u := r.standingOf(v), r.unknown(v)
	if e := v.entry(); e != nil && !v.foreign && sameRefund(v.refund, v.charge, e) {
		showEntry(&status, v, fencing)
	}
	if s.phase == v1alpha1.RefundPending && old.Phase != "" && old.Phase != v1alpha1.RefundPending {
		s.phase = v1alpha1.RefundProcessing // the phase does not go back
	}
	switch s.phase {
	case v1alpha1.RefundUnknown, v1alpha1.RefundManualActionRequired:
		id := r.unknownID(v, u)
		status.Unknown = &v1alpha1.UnknownStatus{ID: id, Since: metav1.NewTime(u.Since.Truncate(time.Second)), Reason: u.Reason, Reported: u.Reported}
		switch {
		case s.phase == v1alpha1.RefundManualActionRequired:
			status.Instructions = instructions(v, id, r.Protocol.AdoptOnly())
		case attempt.Restored(v.refund):
			s.message += " " + unlabel(v.refund)
		}
	case v1alpha1.RefundFailed:
		status.Failure = &v1alpha1.RefundFailure{Reason: s.reason, ProviderCode: s.code, Message: s.message}
	default:
	}
	if o := s.settled; o != nil {
		status.ConfirmedBy, status.TransactionID = o.SettledBy, o.TransactionID
	}
	if status.Phase = s.phase; s.phase.Terminal() && status.CompletedAt == nil {
		status.CompletedAt = seconds(now)
	}
	setConditions(&status, v, s, now)
	if s.phase.Terminal() {
		return afterEnd(v, status, now)
	}
	return status
}

// afterEnd: a finished Refund stays as it ended; only what contradicts it is added.
func afterEnd(v view, status v1alpha1.RefundStatus, now time.Time) v1alpha1.RefundStatus {
	status.ObservedGeneration = v.refund.Generation
	e := v.entry()
	if v.foreign || e == nil || e.Outcome == nil || e.Later == nil || !attempt.Contradicts(e.Outcome, e.Later) || status.ChargeName != v.chargeName {
		return status
	}
	attempt.SetCondition(&status.Conditions, v1alpha1.ConditionLateSettlement, metav1.ConditionTrue, v1alpha1.ReasonContradicted,
		reasons.Refund().Of(v1alpha1.ReasonContradicted, e.Later.Code), v.refund.Generation, now)
	return status
}

// standingOf a Refund that is not over.
func (r *Reconciler) standingOf(v view) standing {
	e := v.entry()
	switch {
	case v.refused != nil:
		return said(v1alpha1.RefundFailed, v.refused)
	case v.foreign:
		return said(v1alpha1.RefundPending, v.problem)
	case r.lost(v):
		if r.confirmation(v) != nil {
			// There is no record of this Refund to settle, so it is settled here.
			o := r.confirmed(v, metav1.NewMicroTime(r.Now()))
			s := ended(&o)
			s.settled = &o
			return s
		}
		return stand(v1alpha1.RefundUnknown, v1alpha1.ReasonLostInitiation, "")
	case e == nil, !sameRefund(v.refund, v.charge, e):
		return unreserved(v)
	case e.Outcome == nil && v.byHand:
		return stand(v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired, "")
	case e.Outcome == nil && e.Unknown == nil && v.problem != nil:
		return said(phaseOf(e), v.problem)
	case e.Outcome == nil && e.Unknown == nil && attempt.NothingSent(&e.Attempt) && v.account != nil && v.account.Closed != nil:
		return said(phaseOf(e), v.account.Closed)
	default:
		return ofEntry(e)
	}
}

// unreserved: nothing is recorded for this Refund yet.
func unreserved(v view) standing {
	switch p := v.payment; {
	case p == nil:
		return stand(v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound, "")
	case !paid(p, v.charge):
		return stand(v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotSucceeded, "")
	case v.problem != nil:
		return said(v1alpha1.RefundPending, v.problem)
	case v.account != nil && v.account.Closed != nil:
		return said(v1alpha1.RefundPending, v.account.Closed)
	}
	if told := v.seen.Told(v.failed, v.refund.Status.Conditions, reasons.Refund().OfNotice); told != nil {
		return said(v1alpha1.RefundPending, told)
	}
	return stand(v1alpha1.RefundPending, v1alpha1.ReasonAccepted, "")
}

// phaseOf an entry that is neither over nor with a person.
func phaseOf(e *v1alpha1.ChargeRefund) v1alpha1.RefundPhase {
	if attempt.MayHaveArrived(&e.Attempt) || e.Refusal != nil {
		return v1alpha1.RefundProcessing
	}
	return v1alpha1.RefundPending
}

// ofEntry is how an entry stands: the phase follows from what is recorded and from nothing else.
func ofEntry(e *v1alpha1.ChargeRefund) standing {
	phase := phaseOf(e)
	switch {
	case e.Outcome != nil:
		return ended(e.Outcome)
	case e.Unknown != nil:
		return stand(v1alpha1.RefundUnknown, e.Unknown.Reason, "")
	case e.Notice != nil:
		return standing{phase: phase, reason: e.Notice.Reason, code: e.Notice.Code, message: reasons.Refund().OfNotice(*e.Notice)}
	case e.Taken != nil:
		return stand(phase, v1alpha1.ReasonAwaitingProvider, "")
	case phase == v1alpha1.RefundProcessing:
		return stand(phase, v1alpha1.ReasonAwaitingAnswer, "")
	default:
		return stand(phase, v1alpha1.ReasonAccepted, "")
	}
}

func showEntry(status *v1alpha1.RefundStatus, v view, fencing bool) {
	spec, e := &v.charge.Spec, v.entry()
	status.ChargeName = v.charge.Name
	status.Account = account.DisplayName(spec.Account)
	status.Environment = spec.Account.Environment
	status.Amount, status.Currency = e.Money.Amount, e.Money.Currency
	status.ProviderReference = e.Reference
	status.Sends = max(status.Sends, e.Sends)
	if fencing {
		status.Sends = max(v.refund.Status.Sends+1, e.Sends)
	}
	if t := attempt.InitiatedAt(&e.Attempt); t != nil && !fencing && status.InitiatedAt == nil {
		status.InitiatedAt = t
	}
	if o := e.Outcome; o != nil {
		status.TransactionID, status.ConfirmedBy, status.CompletedAt = o.TransactionID, o.SettledBy, seconds(o.At.Time)
	}
}

// instructions for the person who has to give the money back.
func instructions(v view, id string, adoptOnly bool) string {
	spec, e := &v.charge.Spec, v.entry()
	text := fmt.Sprintf("Give back %s %s in the provider's own portal, because the operator cannot. The payment is order %s",
		e.Money.Amount, e.Money.Currency, spec.ProviderReference)
	if o := v.charge.Record.Outcome; o.TransactionID != "" {
		text += ", transaction " + o.TransactionID
	}
	if restored := attempt.Restored(v.refund); restored || adoptOnly {
		text += ". It may have been given back after the backup was made: check before you do"
		if restored {
			text += ". " + strings.TrimSuffix(unlabel(v.refund), ".")
		}
	}
	return text + fmt.Sprintf(". Then confirm it, with the user name that `kubectl auth whoami` shows: "+
		`kubectl patch refund %s -n %s --type=merge -p '{"spec":{"confirmation":{"unknownID":"%s","outcome":"Refunded","confirmedBy":"<user name>","transactionID":"<of the refund>"}}}'. `+
		"If it will not be given back, confirm the outcome NotRefunded.", v.refund.Name, v.refund.Namespace, id)
}

// unlabel: what a restored Refund says was not checked when it was written.
func unlabel(r *v1alpha1.Refund) string {
	return fmt.Sprintf("A confirmation counts only without the label of the restore: `kubectl label refund %s -n %s %s-`.",
		r.Name, r.Namespace, v1alpha1.LabelRestore)
}

func setConditions(status *v1alpha1.RefundStatus, v view, s standing, now time.Time) {
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	switch s.phase {
	case v1alpha1.RefundSucceeded:
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionTrue
	case v1alpha1.RefundFailed:
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	default:
	}
	stalled := s.phase == v1alpha1.RefundFailed || s.phase == v1alpha1.RefundUnknown || s.phase == v1alpha1.RefundManualActionRequired ||
		s.reason == v1alpha1.ReasonRecordRefused || s.reason == v1alpha1.ReasonInstallationChanged || s.reason == v1alpha1.ReasonProviderNotSupported
	attempt.SetConditions(&status.Conditions, attempt.Standing{
		Finished: finished, Succeeded: succeeded, Reason: s.reason, Message: s.message, Stalled: stalled,
	}, v.refund.Generation, now)
}

// ended is how a refund with that outcome stands.
func ended(o *v1alpha1.Outcome) standing {
	if o.Phase == v1alpha1.PhaseSucceeded {
		return stand(v1alpha1.RefundSucceeded, o.Reason, "")
	}
	s := stand(v1alpha1.RefundFailed, o.Reason, o.Code)
	s.message = cmp.Or(o.Message, s.message)
	return s
}

func seconds(t time.Time) *metav1.Time {
	s := metav1.NewTime(t.Truncate(time.Second))
	return &s
}

// sameStatus tells whether writing would change anything.
func sameStatus(a, b v1alpha1.RefundStatus) bool { return equality.Semantic.DeepEqual(a, b) }
