package payment

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

// view is what a status is projected from.
type view struct {
	payment *v1alpha1.Payment
	// charge of the sale; nil: none yet.
	charge   *v1alpha1.Charge
	relation relation
	traits   providers.Traits
	// problem keeps a Payment without a Charge waiting, or refuses it.
	problem *account.Problem
	// settled is the phase that a problem which cannot be mended leads to.
	settled v1alpha1.Phase
}

// standing is a phase and why.
type standing struct {
	phase   v1alpha1.Phase
	reason  v1alpha1.Reason
	code    string
	message string
}

// project is the status of a Payment. It is pure; now only dates transitions
// of conditions, so that equal facts give an equal status.
func project(v view, now time.Time) v1alpha1.PaymentStatus {
	old := v.payment.Status
	if old.Phase.Terminal() {
		return lateNews(v, old, now)
	}
	s := standingOf(v)
	if said := settlement(v.payment); said != nil && s.phase == v1alpha1.PhaseUnknown && (v.charge == nil || !v.relation.holds()) {
		// There is no record of this Payment to settle, so it is settled here.
		phase, reason := settledAs(*said)
		s = stand(phase, reason, "")
	}
	status := v1alpha1.PaymentStatus{
		Phase:              s.phase,
		Conditions:         old.DeepCopy().Conditions,
		ObservedGeneration: v.payment.Generation,
		Reference:          v.payment.SaleReference(),
		ChargeName:         old.ChargeName,
		LastCallback:       old.LastCallback,
		// Kept, because it tells a Charge that is older than what was sent.
		InitiatedAt: old.InitiatedAt,
	}
	if v.charge != nil && v.relation.holds() {
		showCharge(&status, v)
	}
	showSettlement(&status, v, s.reason)
	if s.phase.Terminal() && s.phase != v1alpha1.PhaseSucceeded {
		status.Failure = &v1alpha1.PaymentFailure{Reason: s.reason, ProviderCode: s.code, Message: s.message}
	}
	if s.phase.Terminal() && status.CompletedAt == nil {
		// Refused without a charge: nobody but this run knows when.
		t := metav1.NewTime(now.Truncate(time.Second))
		status.CompletedAt = &t
	}
	showCancel(&status, v, s.phase, now)
	setConditions(&status, v, s, now)
	return status
}

// showSettlement says who settled what the provider did not tell.
func showSettlement(status *v1alpha1.PaymentStatus, v view, reason v1alpha1.Reason) {
	if reason != v1alpha1.ReasonSettledPaid && reason != v1alpha1.ReasonSettledNotPaid {
		return
	}
	said := settlement(v.payment)
	if v.charge != nil && v.relation.holds() {
		said = v.charge.Record.Outcome.Settlement
	}
	status.SettledBy, status.TransactionID = said.SettledBy, said.TransactionID
}

// lateNews: a finished Payment stays as it ended; only what contradicts it is
// added.
func lateNews(v view, status v1alpha1.PaymentStatus, now time.Time) v1alpha1.PaymentStatus {
	status = *status.DeepCopy()
	status.ObservedGeneration = v.payment.Generation
	showCancel(&status, v, status.Phase, now)
	if v.charge == nil || !v.relation.holds() {
		return status
	}
	status.Refunded = refunded(&v.charge.Record)
	if c := v.charge.Record.Contradiction; c != nil {
		set(&status, v, now, v1alpha1.ConditionLateSettlement, metav1.ConditionTrue, v1alpha1.ReasonContradicted,
			message(v1alpha1.ReasonContradicted, c.Code))
	}
	return status
}

// showCancel says what came of calling the payment off.
func showCancel(status *v1alpha1.PaymentStatus, v view, phase v1alpha1.Phase, now time.Time) {
	if !v.payment.Spec.Cancel {
		return
	}
	reason := v1alpha1.ReasonCancelPending
	switch {
	case phase == v1alpha1.PhaseCancelled:
		reason = v1alpha1.ReasonCancelDone
	case phase.Terminal():
		reason = v1alpha1.ReasonCancelTooLate
	case phase == v1alpha1.PhaseUnknown, v.charge != nil && v.charge.Record.Session != nil && !v.traits.CanCancel:
		reason = v1alpha1.ReasonCancelNotSupported
	}
	set(status, v, now, v1alpha1.ConditionCancelRequested, metav1.ConditionTrue, reason, message(reason, ""))
}

// refunded is how much was given back; empty: nothing.
func refunded(rec *v1alpha1.ChargeRecord) string {
	var amounts []string
	for i := range rec.Refunds {
		if o := rec.Refunds[i].Outcome; o != nil && o.Phase == v1alpha1.RefundSucceeded {
			amounts = append(amounts, rec.Refunds[i].Money.Amount)
		}
	}
	if len(amounts) == 0 {
		return ""
	}
	return providers.SumAmounts(amounts...)
}

func standingOf(v view) standing {
	if v.charge == nil {
		return withoutCharge(v)
	}
	switch v.relation {
	case relationConflict:
		return stand(v1alpha1.PhaseFailed, v1alpha1.ReasonReferenceConflict, "")
	case relationDuplicate:
		return stand(v1alpha1.PhaseFailed, v1alpha1.ReasonDuplicateReference, "")
	case relationReused:
		return stand(v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedReference, "")
	default:
		return ofCharge(&v.charge.Record)
	}
}

func stand(phase v1alpha1.Phase, reason v1alpha1.Reason, code string) standing {
	return standing{phase: phase, reason: reason, code: code, message: message(reason, code)}
}

func noticed(phase v1alpha1.Phase, n *v1alpha1.ChargeNotice) standing {
	s := stand(phase, n.Reason, n.Code)
	if n.Message != "" {
		s.message = n.Message
	}
	return s
}

func withoutCharge(v view) standing {
	s := stand(v1alpha1.PhasePending, v1alpha1.ReasonAccepted, "")
	if v.problem != nil {
		s.reason, s.message = v.problem.Reason, v.problem.Message
	}
	if v.settled != "" {
		s.phase = v.settled
	}
	return s
}

// ofCharge is how a Charge stands: the phase follows from what is recorded and
// from nothing else.
func ofCharge(rec *v1alpha1.ChargeRecord) standing {
	asked := openSends(rec) > 0 || rec.Session != nil
	switch {
	case rec.Outcome != nil:
		return stand(rec.Outcome.Phase, rec.Outcome.Reason, rec.Outcome.Code)
	case rec.Hold != nil:
		return stand(v1alpha1.PhaseUnknown, rec.Hold.Reason, rec.Hold.Code)
	case rec.Notice != nil && asked:
		return noticed(v1alpha1.PhaseProcessing, rec.Notice)
	case rec.Notice != nil:
		return noticed(v1alpha1.PhasePending, rec.Notice)
	case rec.Session != nil:
		return stand(v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer, "")
	case asked && rec.Refusal != nil:
		s := stand(v1alpha1.PhaseProcessing, rec.Refusal.Reason, rec.Refusal.Code)
		s.message += " Making sure that the payer was not asked all the same."
		return s
	case asked:
		return stand(v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingAnswer, "")
	default:
		return stand(v1alpha1.PhasePending, v1alpha1.ReasonAccepted, "")
	}
}

func showCharge(status *v1alpha1.PaymentStatus, v view) {
	spec, rec := &v.charge.Spec, &v.charge.Record
	status.ChargeName = v.charge.Name
	status.Account = account.DisplayName(spec.Account)
	status.Environment = spec.Account.Environment
	status.Amount = spec.Money.Amount
	status.Currency = spec.Money.Currency
	status.ProviderReference = spec.ProviderReference
	if t := initiatedAt(rec); t != nil {
		status.InitiatedAt = t
	}
	status.NextAction = nextAction(rec, v.traits.Flow)
	if o := rec.Outcome; o != nil {
		status.TransactionID = o.TransactionID
		status.CompletedAt = toSecond(o.At)
	}
}

func initiatedAt(rec *v1alpha1.ChargeRecord) *metav1.Time {
	switch {
	case rec.Session != nil:
		return toSecond(rec.Session.At)
	case openSends(rec) > 0:
		return toSecond(rec.LastSend.At)
	default:
		return nil
	}
}

func toSecond(t metav1.MicroTime) *metav1.Time {
	s := metav1.NewTime(t.Truncate(time.Second))
	return &s
}

// nextAction publishes a payment URL, and does so only from a recorded session
// that nobody called off.
func nextAction(rec *v1alpha1.ChargeRecord, flow providers.Flow) *v1alpha1.NextAction {
	s := rec.Session
	if s == nil || rec.Outcome != nil || rec.Hold != nil || rec.Cancel != nil {
		return nil
	}
	if s.PaymentURL != "" {
		return &v1alpha1.NextAction{Type: v1alpha1.NextActionOpenURL, URL: s.PaymentURL, ExpiresAt: s.ExpiresAt}
	}
	if flow == providers.FlowPush {
		return &v1alpha1.NextAction{Type: v1alpha1.NextActionApproveOnPhone}
	}
	return nil
}

func setConditions(status *v1alpha1.PaymentStatus, v view, s standing, now time.Time) {
	finished, succeeded := metav1.ConditionFalse, metav1.ConditionUnknown
	switch {
	case s.phase == v1alpha1.PhaseSucceeded:
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionTrue
	case s.phase.Terminal():
		finished, succeeded = metav1.ConditionTrue, metav1.ConditionFalse
	}
	set(status, v, now, v1alpha1.ConditionFinished, finished, s.reason, s.message)
	set(status, v, now, v1alpha1.ConditionSucceeded, succeeded, s.reason, s.message)
	set(status, v, now, v1alpha1.ConditionReady, succeeded, s.reason, s.message)
	if adopted(v) {
		set(status, v, now, v1alpha1.ConditionAdopted, metav1.ConditionTrue, v1alpha1.ReasonChargeAdopted,
			message(v1alpha1.ReasonChargeAdopted, "")+" It dates from "+v.charge.CreationTimestamp.UTC().Format(time.RFC3339)+".")
	}

	// kstatus: there only while true, and never both. Stalled is how tools that
	// wait for Ready learn that it will not come.
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
	switch {
	case s.phase == v1alpha1.PhaseSucceeded:
	case s.phase.Terminal(), s.phase == v1alpha1.PhaseUnknown:
		keep(status, v, now, v1alpha1.ConditionStalled, s)
	default:
		keep(status, v, now, v1alpha1.ConditionReconciling, s)
	}
}

// keep sets a condition that is there only while true, with the time at which
// it became so.
func keep(status *v1alpha1.PaymentStatus, v view, now time.Time, kind string, s standing) {
	if old := meta.FindStatusCondition(v.payment.Status.Conditions, kind); old != nil {
		status.Conditions = append(status.Conditions, *old)
	}
	set(status, v, now, kind, metav1.ConditionTrue, s.reason, s.message)
}

func adopted(v view) bool {
	if v.charge == nil {
		return false
	}
	known := v.charge.Record.Session != nil && v.charge.Record.Session.Known
	return v.relation == relationAdopted || (v.relation == relationOwn && known)
}

func set(status *v1alpha1.PaymentStatus, v view, now time.Time, kind string, value metav1.ConditionStatus, reason, text string) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             value,
		Reason:             reason,
		Message:            text,
		ObservedGeneration: v.payment.Generation,
		LastTransitionTime: metav1.NewTime(now.Truncate(time.Second)),
	})
}

// sameStatus tells whether writing would change anything.
func sameStatus(a, b v1alpha1.PaymentStatus) bool { return equality.Semantic.DeepEqual(a, b) }
