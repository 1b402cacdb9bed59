package crd_test

import "fmt"

const refundBase = `{"spec": {"paymentRef": {"name": "order-1042"}, "reason": "goods came back"}}`

const (
	isManual        = `status.phase="ManualActionRequired"; status.unknown={"id": "u1", "reason": "ManualActionRequired", "since": "2026-07-01T10:00:00Z"}`
	confirmation    = `spec.confirmation={"unknownID": "u1", "outcome": "Refunded", "confirmedBy": "awa@example.com", "transactionID": "RC2611.1", "note": "seen in the portal"}`
	confirmationNow = `spec.confirmation={"unknownID": "u2", "outcome": "NotRefunded", "confirmedBy": "awa@example.com"}`

	confirmationKept = `<nil>: Invalid value: a confirmation that counts cannot change or be taken back`
	manualOnly       = `<nil>: Invalid value: only a Refund in phase Unknown or ManualActionRequired can be confirmed by a person; the operator finds the outcome of any other`
	confirmationID   = `<nil>: Invalid value: confirmation.unknownID must be the present status.unknown.id; read the Refund again and confirm what it shows`
	refundPhaseKept  = `status: Invalid value: phase cannot be removed or become Pending again: it says whether the money was given back`
	confirmableKept  = `status: Invalid value: unknown cannot be removed while a person has to confirm`
	refundFinished   = `status: Invalid value: a finished Refund stays as it ended`
)

// settled is the message for a changed field of a Refund.
func settled(field string) string {
	return fmt.Sprintf("spec: Invalid value: %s cannot change after creation; create a new Refund", field)
}

var refundCases = []testCase{
	creates(``),
	creates(`spec.amount=1500`),
	creates(`spec.amount="10.50"`),
	creates(confirmation),
	refuses(`spec.amount=0`, amountZero),
	refuses(`spec.amount="1e3"`, amountShape),
	refuses(`spec.amount=-1`, amountShape),
	creates(`-spec.reason`, `spec.reason: Required value`),
	creates(`spec.reason=""`, `spec.reason: Invalid value: "": spec.reason in body should be at least 1 chars long`),
	refuses(`spec.reason="two\nlines"`, `reason must be plain text on one line, without control characters`),
	creates(`-spec.paymentRef`, `spec.paymentRef: Required value`),
	creates(`spec.paymentRef={}`, `spec.paymentRef.name: Required value`),
	creates(`spec.confirmation={"unknownID": "u1", "outcome": "Done", "confirmedBy": "awa"}`,
		`spec.confirmation.outcome: Unsupported value: "Done": supported values: "Refunded", "NotRefunded"`),
	creates(`spec.confirmation={"outcome": "Refunded"}`, `spec.confirmation.confirmedBy: Required value`, `spec.confirmation.unknownID: Required value`),
	creates(confirmation+`; spec.confirmation.transactionID="a b"`,
		`spec.confirmation.transactionID: Invalid value: "a b": transactionID must be letters, digits and . _ : / - only`),

	// It cannot change after creation, but for the confirmation of what it shows.
	changes(``, `metadata.labels={"a": "b"}`),
	changes(isManual, confirmation),
	changes(isManual+`; status.phase="Unknown"`, confirmation),
	changes(``, confirmation, manualOnly),
	changes(`status.phase="Processing"`, confirmation, manualOnly),
	changes(`status.phase="Failed"`, confirmation, manualOnly),
	changes(isManual, confirmationNow, confirmationID),
	changes(`status.phase="Unknown"`, confirmation, confirmationID),
	changes(isManual+"; "+confirmation, `metadata.labels={"a": "b"}`),
	changes(isManual+"; "+confirmation, `-spec.confirmation`, confirmationKept),
	changes(isManual+"; "+confirmation, `spec.confirmation.outcome="NotRefunded"`, confirmationKept),
	changes(isManual+"; "+confirmation, `spec.confirmation.confirmedBy="moussa"`, confirmationKept),
	changes(isManual+"; "+confirmation, `-spec.confirmation.note`, confirmationKept),
	changes(isManual+"; "+confirmation, confirmationNow, confirmationID, confirmationKept),
	changes(`status.phase="Succeeded"; status.confirmedBy="awa@example.com"; `+confirmation, `-spec.confirmation`, confirmationKept),
	changes(isManual+`; status.unknown.id="u2"; `+confirmation, confirmationNow),
	changes(isManual+`; status.unknown.id="u2"; `+confirmation, `-spec.confirmation`),
	changes(`status.phase="Processing"; `+confirmation, `-spec.confirmation`),
	changes(``, `spec.paymentRef.name="order-1043"`, settled("paymentRef")),
	changes(``, `spec.amount=1500`, settled("amount")),
	changes(`spec.amount=1500`, `spec.amount=1501`, settled("amount")),
	changes(`spec.amount=1500`, `-spec.amount`, settled("amount")),
	changes(`spec.amount=1500`, `spec.amount="1500"`),
	changes(``, `spec.reason="another"`, settled("reason")),
	changes(``, `-spec`, `spec: Required value`),

	// Status.
	changes(``, `status.phase="ManualActionRequired"`),
	changes(``, `status.phase="Expired"`, `status.phase: Unsupported value: "Expired": supported values: "Pending", "Processing", "ManualActionRequired", "Unknown", "Succeeded", "Failed"`),
	changes(`status.phase="Unknown"`, `status.phase="Succeeded"`),
	changes(`status.phase="Succeeded"`, `status.phase="Failed"`, refundFinished),
	changes(`status.phase="Failed"`, `status.phase="Processing"`, refundFinished),
	changes(`status.phase="Succeeded"`, `status={}`, refundFinished, refundPhaseKept),
	changes(`status.phase="Processing"`, `-status`, refundPhaseKept),
	changes(`status.phase="Processing"`, `status.phase="Pending"`, refundPhaseKept),
	changes(`status.chargeName="c1"`, `status.chargeName="c2"`, chargeKept),
	changes(`status.chargeName="c1"`, `-status`, chargeKept),
	changes(isManual, `-status.unknown`, confirmableKept),
	changes(isManual, `status.phase="Succeeded"; -status.unknown`),
	changes(`status.initiatedAt="2026-07-01T10:00:00Z"`, `-status.initiatedAt`, initiatedKept),
	changes(`status.phase="Pending"`, `-status`),
}
