package crd_test

const chargeBase = `{"spec": {
	"installationID": "prod-ci", "referenceVersion": "v1", "reference": "order-1042", "provider": "orange",
	"payment": {"namespace": "shop", "name": "order-1042", "uid": "7f0c"},
	"account": {"kind": "MerchantAccount", "namespace": "shop", "name": "orange", "environment": "sandbox", "baseURL": "https://api.example"},
	"requested": {"amount": "5000", "currency": "XOF"}, "money": {"amount": "5000", "currency": "OUV"},
	"fingerprint": "f", "providerReference": "r", "timeoutSeconds": 3600}}`

const (
	intentKept        = `spec: Invalid value: the intent of a Charge cannot change`
	sendsFall         = `record: Invalid value: sends cannot fall`
	voidsFall         = `record: Invalid value: voidSends cannot fall`
	voidsExceed       = `record: Invalid value: voidSends cannot exceed sends`
	sendKept          = `record: Invalid value: a send that is written down cannot change`
	contradictionKept = `record: Invalid value: the contradiction cannot change once it is recorded`
	lastSend          = `record: Invalid value: lastSend must describe the newest send`
	sessionKept       = `record: Invalid value: the session cannot change once it is recorded`
	refusalKept       = `record: Invalid value: the refusal cannot change once it is recorded`
	outcomeKept       = `record: Invalid value: the outcome cannot change once it is recorded`
	nothingSent       = `record: Invalid value: nothing is sent after the outcome`
	recordKept        = `<nil>: Invalid value: the record of a Charge cannot be removed`
)

const at = `"at": "2026-07-01T10:00:00.000000Z"`

const (
	contradiction = `record.contradiction={"phase": "Failed", "reason": "PayerDeclined", ` + at + `}`
	sent1         = `record.sends=1; record.lastSend={"number": 1, "sender": "a", ` + at + `}`
	sent2         = `record.sends=2; record.lastSend={"number": 2, "sender": "b", ` + at + `}`
	session       = `record.session={"send": 1, "token": "t", ` + at + `}`
	refusal       = `record.refusal={"send": 1, "reason": "RequestRejected", ` + at + `}`
	outcome       = `record.outcome={"phase": "Succeeded", "reason": "Paid", ` + at + `}`
)

var chargeCases = []testCase{
	creates(``),
	creates(sent1),
	creates(`-spec`, `spec: Required value`),
	creates(`-spec.installationID`, `spec.installationID: Required value`),
	creates(`spec.installationID=""`, `spec.installationID: Invalid value: "": spec.installationID in body should be at least 1 chars long`),
	creates(`-spec.fingerprint`, `spec.fingerprint: Required value`),
	creates(`spec.account.kind="Operator"; -spec.account.namespace`),
	creates(`spec.account.kind="Secret"`, `spec.account.kind: Unsupported value: "Secret": supported values: "MerchantAccount", "ClusterMerchantAccount", "Operator"`),

	// The intent.
	changes(``, `metadata.labels={"a": "b"}`),
	changes(``, `spec.money.amount="5001"`, intentKept),
	changes(``, `spec.money.currency="XOF"`, intentKept),
	changes(``, `spec.requested.amount="5001"`, intentKept),
	changes(``, `spec.providerReference="r2"`, intentKept),
	changes(``, `spec.account.baseURL="https://evil.example"`, intentKept),
	changes(``, `spec.account.tokenURL="https://evil.example"`, intentKept),
	changes(``, `-spec.account.namespace`, intentKept),
	changes(``, `spec.fingerprint="g"`, intentKept),
	changes(``, `spec.payment.uid="8a1d"`, intentKept),
	changes(``, `spec.timeoutSeconds=1`, intentKept),
	changes(``, `-spec`, `spec: Required value`),

	// Sends.
	changes(``, sent1),
	changes(sent1, sent2),
	changes(sent1, `record.voidSends=1`),
	changes(sent2, sent1, sendsFall),
	changes(sent2, `-record.sends`, sendsFall),
	changes(sent2, `record.sends=0`, sendsFall),
	changes(sent2+`; record.voidSends=1`, `record.voidSends=0`, voidsFall),
	changes(sent2+`; record.voidSends=1`, `-record.voidSends`, voidsFall),
	changes(sent2, `record.voidSends=3`, voidsExceed),
	creates(`record.voidSends=1`, voidsExceed),
	creates(`record.sends=-1`, `record.sends: Invalid value: -1: record.sends in body should be greater than or equal to 0`, voidsExceed, lastSend),
	refuses(`record.voidSends=-1`, `record.voidSends in body should be greater than or equal to 0`),
	creates(`record.sends=1`, lastSend),
	changes(sent1, `record.sends=2`, lastSend),
	changes(sent1, `record.lastSend.number=2`, lastSend, sendKept),
	changes(sent1, `-record.lastSend`, lastSend, sendKept),
	changes(sent1, `record.lastSend.sender="b"`, sendKept),

	// Facts are added, never taken back.
	changes(sent1, session),
	changes(sent1+"; "+session, sent2),
	changes(sent1+"; "+session, `record.session.token="u"`, sessionKept),
	changes(sent1+"; "+session, `record.session.paymentURL="https://evil.example"`, sessionKept),
	changes(sent1+"; "+session, `-record.session`, sessionKept),
	changes(sent1, refusal),
	changes(sent1+"; "+refusal, `record.refusal.reason="LimitReached"`, refusalKept),
	changes(sent1+"; "+refusal, `-record.refusal`, refusalKept),
	changes(sent1, outcome),
	changes(sent1+"; "+outcome, contradiction),
	changes(sent1+"; "+outcome+"; "+contradiction, `record.contradiction.phase="Expired"`, contradictionKept),
	changes(sent1+"; "+outcome+"; "+contradiction, `-record.contradiction`, contradictionKept),
	changes(sent1+"; "+outcome, `record.outcome.phase="Failed"`, outcomeKept),
	changes(sent1+"; "+outcome, `record.outcome.transactionID="T2"`, outcomeKept),
	changes(sent1+"; "+outcome, `-record.outcome`, outcomeKept),
	changes(sent1+"; "+outcome, sent2, nothingSent),
	creates(`record.outcome={"phase": "Unknown", "reason": "OutcomeUnknown", `+at+`}`, `record.outcome.phase: Invalid value: "Unknown": an outcome is Succeeded, Failed, Expired or Cancelled`),
	creates(`record.contradiction={"phase": "Processing", "reason": "Paid", `+at+`}`, `record.contradiction.phase: Invalid value: "Processing": an outcome is Succeeded, Failed, Expired or Cancelled`),
	changes(sent1, `-record`, recordKept),
	changes(sent1, `record=null`, recordKept),
	changes(sent1, `record={}`, sendsFall),
	changes(sent1+"; "+session+"; "+outcome, `record={}`, sendsFall, sessionKept, outcomeKept, nothingSent),

	// That it was called off.
	changes(``, cancelled),
	changes(cancelled, `-record.cancel`, cancelKept),
	changes(`record.referenceKnown=true`, `-record.referenceKnown`, referenceKept),
	changes(`record.referenceKnown=true`, `record.referenceKnown=false`, referenceKept),
	changes(sent1, `record.referenceKnown=true`),
	changes(cancelled, `record.cancel={"at": "2026-07-02T10:00:00.000000Z"}`, cancelKept),

	// Refunds.
	changes(sent1+"; "+outcome, refund1),
	changes(sent1+"; "+outcome+"; "+refund1, refund12),
	changes(sent1, refund1, onlyPaid),
	changes(sent1+"; "+failed, refund1, onlyPaid),
	changes(sent1+"; "+outcome+"; "+refund12, refund1, refundListed),
	changes(sent1+"; "+outcome+"; "+refund1, `-record.refunds`, refundListed),
	changes(sent1+"; "+outcome+"; "+refund1, refundOf(`"5001"`, ``), claimKept),
	changes(sent1+"; "+outcome+"; "+refund1, refundOf(`"5000"`, refundSent)),
	changes(sent1+"; "+outcome+"; "+refundOf(`"5000"`, refundSent), refund1, refundSends),
	changes(sent1+"; "+outcome+"; "+refund1, refundOf(`"5000"`, `, "sends": 1`), refundLast),
	changes(sent1+"; "+outcome+"; "+refundOf(`"5000"`, refundSent+refundDone), refundOf(`"5000"`, refundSent), refundOutcome),
	changes(sent1+"; "+outcome+"; "+refundOf(`"5000"`, refundSent+`, "taken": "2026-07-01T10:00:00.000000Z"`), refundOf(`"5000"`, refundSent), refundTaken),
	changes(sent1+"; "+outcome+"; "+refundOf(`"5000"`, refundDone), refundOf(`"5000"`, refundDone+refundSent), refundOver),
}

const (
	cancelled     = `record.cancel={` + at + `}`
	failed        = `record.outcome={"phase": "Failed", "reason": "PayerDeclined", ` + at + `}`
	claim         = `"uid": "u1", "claimedAt": "2026-07-01T10:00:00.000000Z"`
	refund1       = `record.refunds=[{"name": "back", "money": {"amount": "5000", "currency": "OUV"}, ` + claim + `}]`
	refund12      = `record.refunds=[{"name": "back", "money": {"amount": "5000", "currency": "OUV"}, ` + claim + `}, {"name": "b2", "money": {"amount": "1", "currency": "OUV"}, ` + claim + `}]`
	refundSent    = `, "sends": 1, "lastSend": {"number": 1, "sender": "a", ` + at + `}`
	refundDone    = `, "outcome": {"phase": "Succeeded", "reason": "Refunded", ` + at + `}`
	referenceKept = `record: Invalid value: that the reference was known cannot be taken back`
	cancelKept    = `record: Invalid value: that it was called off cannot be taken back`
	onlyPaid      = `record: Invalid value: only what was paid can be given back`
	refundListed  = `record: Invalid value: a refund that is written down cannot be removed`

	claimKept     = `record.refunds[0]: Invalid value: the claim of a refund cannot change`
	refundSends   = `record.refunds[0]: Invalid value: sends cannot fall, nor voidSends exceed them`
	refundLast    = `record.refunds[0]: Invalid value: lastSend must describe the newest send`
	refundOutcome = `record.refunds[0]: Invalid value: the outcome cannot change once it is recorded`
	refundTaken   = `record.refunds[0]: Invalid value: that the provider took the refund cannot change`
	refundOver    = `record.refunds[0]: Invalid value: nothing is sent after the outcome`
)

// refundOf is one refund of an amount, with more fields.
func refundOf(amount, more string) string {
	return `record.refunds=[{"name": "back", "money": {"amount": ` + amount + `, "currency": "OUV"}, ` + claim + more + `}]`
}
