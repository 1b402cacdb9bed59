package refund

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// view is what a status is projected from.
type view struct {
	refund  *v1alpha1.Refund
	payment *v1alpha1.Payment
	charge  *v1alpha1.Charge
	// claim on the charge under the Refund's name; nil: none.
	claim *v1alpha1.ChargeRefund
	mode  providers.RefundMode
	// problem keeps a Refund without a claim waiting; refused ends it.
	problem *account.Problem
	refused *account.Problem
	// foreign: the charge is left alone, and problem says why.
	foreign bool
}

// standing is a phase and why.
type standing struct {
	phase   v1alpha1.RefundPhase
	reason  v1alpha1.Reason
	code    string
	message string
}

func stand(phase v1alpha1.RefundPhase, reason v1alpha1.Reason, code string) standing {
	return standing{phase: phase, reason: reason, code: code, message: message(reason, code)}
}

func said(phase v1alpha1.RefundPhase, p *account.Problem) standing {
	return standing{phase: phase, reason: p.Reason, message: p.Message}
}

// project is the status of a Refund. It is pure; now only dates transitions.
func project(v view, now time.Time) v1alpha1.RefundStatus {
	old := v.refund.Status
	if old.Phase.Terminal() {
		status := *old.DeepCopy()
		status.ObservedGeneration = v.refund.Generation
		return status
	}
	s := standingOf(v)
	if s.phase == v1alpha1.RefundUnknown && attempt.Restored(v.refund) {
		s.message += " " + unlabel(v.refund)
	}
	status := v1alpha1.RefundStatus{
		Phase:              s.phase,
		Conditions:         old.DeepCopy().Conditions,
		ObservedGeneration: v.refund.Generation,
		ChargeName:         old.ChargeName,
		// Kept, because it tells a Charge that is older than what was sent.
		InitiatedAt: old.InitiatedAt,
	}
	if v.claim != nil && sameRefund(v.refund, v.charge, v.claim) {
		showClaim(&status, v)
	}
	if s.phase == v1alpha1.RefundManualActionRequired {
		status.Instructions = instructions(v)
	}
	if s.phase == v1alpha1.RefundFailed {
		status.Failure = &v1alpha1.RefundFailure{Reason: s.reason, ProviderCode: s.code, Message: s.message}
	}
	if s.phase.Terminal() && status.CompletedAt == nil {
		status.CompletedAt = seconds(now)
	}
	setConditions(&status, v, s, now)
	return status
}

func standingOf(v view) standing {
	switch {
	case v.refused != nil:
		return said(v1alpha1.RefundFailed, v.refused)
	case v.claim == nil:
		return unclaimed(v)
	case !sameRefund(v.refund, v.charge, v.claim):
		return stand(v1alpha1.RefundFailed, v1alpha1.ReasonRefundConflict, "")
	case v.claim.Outcome == nil && v.claim.Hold == nil && v.foreign:
		return said(phaseOf(v.claim), v.problem)
	default:
		return ofClaim(v.claim, v.mode)
	}
}

// unclaimed: nothing is written down for this Refund yet.
func unclaimed(v view) standing {
	switch p := v.payment; {
	case p == nil:
		return stand(v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotFound, "")
	case unpaid(p):
		return stand(v1alpha1.RefundFailed, v1alpha1.ReasonPaymentNotSucceeded, "")
	case !refundable(p, v.charge):
		return stand(v1alpha1.RefundPending, v1alpha1.ReasonPaymentNotSucceeded, "")
	case v.problem != nil:
		return said(v1alpha1.RefundPending, v.problem)
	default:
		return stand(v1alpha1.RefundPending, v1alpha1.ReasonAccepted, "")
	}
}

// phaseOf a claim that is neither over nor with a person.
func phaseOf(c *v1alpha1.ChargeRefund) v1alpha1.RefundPhase {
	if openSends(c) > 0 || c.Taken != nil {
		return v1alpha1.RefundProcessing
	}
	return v1alpha1.RefundPending
}

// ofClaim is how a claim stands: the phase follows from what is recorded and
// from nothing else.
func ofClaim(c *v1alpha1.ChargeRefund, mode providers.RefundMode) standing {
	phase := phaseOf(c)
	switch {
	case c.Outcome != nil:
		return stand(c.Outcome.Phase, c.Outcome.Reason, c.Outcome.Code)
	case c.Hold != nil:
		return stand(v1alpha1.RefundUnknown, c.Hold.Reason, c.Hold.Code)
	case manual(mode):
		return stand(v1alpha1.RefundManualActionRequired, v1alpha1.ReasonManualActionRequired, "")
	case c.Notice != nil && c.Notice.Message != "":
		return standing{phase: phase, reason: c.Notice.Reason, message: c.Notice.Message}
	case c.Notice != nil:
		return stand(phase, c.Notice.Reason, c.Notice.Code)
	case c.Taken != nil:
		return stand(phase, v1alpha1.ReasonAwaitingProvider, "")
	case phase == v1alpha1.RefundProcessing:
		return stand(phase, v1alpha1.ReasonAwaitingAnswer, "")
	default:
		return stand(phase, v1alpha1.ReasonAccepted, "")
	}
}

func showClaim(status *v1alpha1.RefundStatus, v view) {
	spec, c := &v.charge.Spec, v.claim
	status.ChargeName = v.charge.Name
	status.Account = account.DisplayName(spec.Account)
	status.Environment = spec.Account.Environment
	status.Amount = c.Money.Amount
	status.Currency = c.Money.Currency
	status.ProviderReference = c.Reference
	switch {
	case c.Taken != nil:
		status.InitiatedAt = seconds(c.Taken.Time)
	case openSends(c) > 0:
		status.InitiatedAt = seconds(c.LastSend.At.Time)
	}
	if o := c.Outcome; o != nil {
		status.TransactionID = o.TransactionID
		status.CompletedAt = seconds(o.At.Time)
		if o.Confirmation != nil {
			status.ConfirmedBy = o.Confirmation.ConfirmedBy
		}
	}
}

// instructions for the person who has to give the money back.
func instructions(v view) string {
	spec, c := &v.charge.Spec, v.claim
	text := fmt.Sprintf("Give back %s %s in the provider's own portal, because its API has no refunds. The payment is order %s",
		c.Money.Amount, c.Money.Currency, spec.ProviderReference)
	if o := v.charge.Record.Outcome; o.TransactionID != "" {
		text += ", transaction " + o.TransactionID
	}
	if attempt.Restored(v.refund) {
		text += ". It may have been given back after the backup was made: look before you do. " + strings.TrimSuffix(unlabel(v.refund), ".")
	}
	return text + fmt.Sprintf(". Then confirm it, with the user name that `kubectl auth whoami` shows: "+
		`kubectl patch refund %s -n %s --type=merge -p '{"spec":{"confirmation":{"outcome":"Refunded","confirmedBy":"<user name>","transactionID":"<of the refund>"}}}'. `+
		"If it will not be given back, confirm the outcome NotRefunded.", v.refund.Name, v.refund.Namespace)
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
	set(status, v, now, v1alpha1.ConditionFinished, finished, s)
	set(status, v, now, v1alpha1.ConditionSucceeded, succeeded, s)
	set(status, v, now, v1alpha1.ConditionReady, succeeded, s)

	// kstatus: there only while true, and never both.
	kind := v1alpha1.ConditionReconciling
	switch s.phase {
	case v1alpha1.RefundFailed, v1alpha1.RefundUnknown, v1alpha1.RefundManualActionRequired:
		kind = v1alpha1.ConditionStalled
	case v1alpha1.RefundSucceeded:
		kind = ""
	default:
	}
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.ConditionStalled)
	if kind == "" {
		return
	}
	if old := meta.FindStatusCondition(v.refund.Status.Conditions, kind); old != nil {
		status.Conditions = append(status.Conditions, *old)
	}
	set(status, v, now, kind, metav1.ConditionTrue, s)
}

func set(status *v1alpha1.RefundStatus, v view, now time.Time, kind string, value metav1.ConditionStatus, s standing) {
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type:               kind,
		Status:             value,
		Reason:             s.reason,
		Message:            s.message,
		ObservedGeneration: v.refund.Generation,
		LastTransitionTime: *seconds(now),
	})
}

func seconds(t time.Time) *metav1.Time {
	s := metav1.NewTime(t.Truncate(time.Second))
	return &s
}

// sameStatus tells whether writing would change anything.
func sameStatus(a, b v1alpha1.RefundStatus) bool { return equality.Semantic.DeepEqual(a, b) }
