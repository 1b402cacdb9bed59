package crd_test

import "fmt"

const refundBase = `{"spec": {"paymentRef": {"name": "order-1042"}, "reason": "goods came back"}}`

const (
	confirmation     = `spec.confirmation={"outcome": "Refunded", "confirmedBy": "awa@example.com", "transactionID": "RC2611.1", "note": "seen in the portal"}`
	confirmationKept = `spec: Invalid value: a confirmation cannot change or be taken back once it is given`
	refundKept       = `<nil>: Invalid value: status cannot be removed: it says whether the money was given back`
	refundFinished   = `status: Invalid value: a finished Refund stays as it ended`
)

// settled is what somebody who changes a field of a Refund is told.
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
	creates(`spec.confirmation={"outcome": "Done", "confirmedBy": "awa"}`,
		`spec.confirmation.outcome: Unsupported value: "Done": supported values: "Refunded", "NotRefunded"`),
	creates(`spec.confirmation={"outcome": "Refunded"}`, `spec.confirmation.confirmedBy: Required value`),
	creates(`spec.confirmation={"outcome": "Refunded", "confirmedBy": "awa", "transactionID": "a b"}`,
		`spec.confirmation.transactionID: Invalid value: "a b": transactionID must be letters, digits and . _ : / - only`),

	// It cannot change after creation, but for the confirmation, once.
	changes(``, `metadata.labels={"a": "b"}`),
	changes(``, confirmation),
	changes(confirmation, `metadata.labels={"a": "b"}`),
	changes(confirmation, `-spec.confirmation`, confirmationKept),
	changes(confirmation, `spec.confirmation.outcome="NotRefunded"`, confirmationKept),
	changes(confirmation, `spec.confirmation.confirmedBy="moussa"`, confirmationKept),
	changes(confirmation, `-spec.confirmation.note`, confirmationKept),
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
	changes(`status.phase="Succeeded"`, `status={}`, refundFinished),
	changes(`status.chargeName="c1"`, `status.chargeName="c2"`, chargeKept),
	changes(`status.phase="Pending"`, `-status`, refundKept),
}
