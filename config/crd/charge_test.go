package crd_test

const chargeBase = `{"spec": {
	"installationID": "prod-ci", "referenceVersion": "v2", "merchantReference": "order-1042", "provider": "orange",
	"payment": {"namespace": "shop", "name": "order-1042", "uid": "7f0c"},
	"account": {"kind": "MerchantAccount", "namespace": "shop", "name": "orange", "environment": "sandbox", "baseURL": "https://api.example"},
	"requested": {"amount": "5000", "currency": "XOF"}, "money": {"amount": "5000", "currency": "OUV"},
	"fingerprint": "f", "providerReference": "r", "timeoutSeconds": 3600}}`

const (
	intentKept     = `spec: Invalid value: the intent of a Charge cannot change`
	recordKept     = `<nil>: Invalid value: the record of a Charge cannot be removed`
	sendsFall      = `sends cannot fall`
	openRaised     = `open lists sends that were raised`
	openAnswered   = `a send that has a definite answer stays answered, and one that is raised cannot change`
	referenceKept  = `that the reference was known cannot be taken back`
	takenKept      = `that the provider has the request cannot change`
	refusalKept    = `a refusal cannot be taken back`
	outcomeKept    = `the outcome cannot change once it is recorded`
	overSends      = `nothing is sent after the outcome`
	laterKept      = `what the provider said later cannot be taken back`
	sessionKept    = `record: Invalid value: the session cannot change once it is recorded`
	onlyPaid       = `record: Invalid value: only what was paid can be given back`
	refundKeptSent = `record: Invalid value: a refund that was sent cannot be removed`
	reservedKept   = `record.refunds[0]: Invalid value: the reservation of a refund that was sent cannot change`
)

const at = `"at": "2026-07-01T10:00:00.000000Z"`

// What an attempt says, as members of its JSON.
const (
	send1    = `{"number": 1, "sender": "a", ` + at + `}`
	send2    = `{"number": 2, "sender": "b", ` + at + `}`
	raised1  = `"sends": 1, "open": [` + send1 + `]`
	raised2  = `"sends": 2, "open": [` + send1 + `, ` + send2 + `]`
	second   = `"sends": 2, "open": [` + send2 + `]`
	void1    = `"sends": 1, "notice": {"reason": "ProviderThrottled", ` + at + `}`
	taken1   = `"sends": 1, "taken": {"send": 1, ` + at + `}`
	refused1 = `"sends": 1, "refusal": {"send": ` + send1 + `, "reason": "RequestRejected", ` + at + `}`
	refused2 = `"sends": 2, "refusal": {"send": ` + send2 + `, "reason": "LimitReached", ` + at + `}`
	known1   = `"sends": 1, "referenceKnown": true`
	unknown1 = `"sends": 1, "unknown": {"reason": "LostInitiation", "since": "2026-07-01T10:00:00.000000Z"}`
	paid1    = `"sends": 1, "outcome": {"phase": "Succeeded", "reason": "Paid", ` + at + `}`
	later1   = paid1 + `, "later": {"phase": "Failed", "reason": "PayerDeclined", ` + at + `}`
	session  = `, "session": {"token": "t"}`
)

// record is a Charge with that record, and entry one whose only refund says that.
func record(members string) string { return `record={` + members + `}` }

func entry(members string) string { return entryOf(`"5000"`, members) }

func entryOf(amount, members string) string {
	if members != "" {
		members = ", " + members
	}
	return record(paid1 + `, "refunds": [{"name": "back", "money": {"amount": ` + amount + `, "currency": "OUV"}, "uid": "u1", "reservedAt": "2026-07-01T10:00:00.000000Z"` + members + `}]`)
}

// attemptCases hold for every attempt, that of the payment and those of refunds.
var attemptCases = []struct {
	before, after string
	want          []string
}{
	{`"sends": 0`, raised1, nil},
	{raised1, raised2, nil},
	{raised2, second, nil},
	{raised1, void1, nil},
	{void1, second, nil},
	{raised1, taken1, nil},
	{raised1, refused1, nil},
	{refused1, `"sends": 2, "open": [` + send2 + `], "refusal": {"send": ` + send1 + `, "reason": "RequestRejected", ` + at + `}`, nil},
	{refused1, refused2, nil},
	{raised1, `"sends": 1, "open": [` + send1 + `], "referenceKnown": true`, nil},
	{unknown1, taken1, nil}, // an answer that was given up
	{taken1, paid1 + `, "taken": {"send": 1, ` + at + `}`, nil},
	{paid1, later1, nil},

	{raised2, raised1, []string{sendsFall}},
	{raised1, `"sends": 0`, []string{sendsFall}},
	{raised1, ``, []string{sendsFall}},
	{`"sends": 1`, `"sends": 1, "open": [` + send2 + `]`, []string{openRaised}},
	{taken1, taken1 + `, "open": [` + send1 + `]`, []string{openAnswered}},
	{void1, raised1, []string{openAnswered}},
	{raised1, `"sends": 1, "open": [{"number": 1, "sender": "b", ` + at + `}]`, []string{openAnswered}},
	{raised1, `"sends": 1, "open": [{"number": 1, "sender": "a", "at": "2026-07-02T10:00:00.000000Z"}]`, []string{openAnswered}},
	{known1, `"sends": 1`, []string{referenceKept}},
	{known1, `"sends": 1, "referenceKnown": false`, []string{referenceKept}},
	{taken1, `"sends": 1`, []string{takenKept}},
	{taken1, `"sends": 1, "taken": {"send": 2, ` + at + `}`, []string{takenKept}},
	{refused1, `"sends": 1`, []string{refusalKept}},
	{refused2, `"sends": 2, "refusal": {"send": ` + send1 + `, "reason": "RequestRejected", ` + at + `}`, []string{refusalKept}},
	{later1, paid1, []string{laterKept}},
}

var chargeCases = append([]testCase{
	creates(``),
	creates(record(raised1)),
	creates(`-spec`, `spec: Required value`),
	creates(`-spec.installationID`, `spec.installationID: Required value`),
	creates(`spec.installationID=""`, `spec.installationID: Invalid value: "": spec.installationID in body should be at least 1 chars long`),
	creates(`-spec.fingerprint`, `spec.fingerprint: Required value`),
	creates(`-spec.merchantReference`, `spec.merchantReference: Required value`),
	creates(`spec.account.kind="Operator"; -spec.account.namespace`),
	creates(`spec.account.kind="Secret"`, `spec.account.kind: Unsupported value: "Secret": supported values: "MerchantAccount", "ClusterMerchantAccount", "Operator"`),
	creates(record(`"sends": -1`), `record.sends: Invalid value: -1: record.sends in body should be greater than or equal to 0`),
	creates(record(`"open": [`+send1+`]`), `record: Invalid value: `+openRaised),
	creates(record(`"sends": 2, "open": [`+send1+`, `+send1+`]`), `record.open[1]: Duplicate value: {"number":1}`),
	creates(record(`"sends": 9, "open": [`+sends(6)+`]`), `record.open: Too many: 6: must have at most 5 items`),
	creates(record(`"outcome": {"phase": "Unknown", "reason": "OutcomeUnknown", `+at+`}`), `record.outcome.phase: Invalid value: "Unknown": an outcome is Succeeded, Failed, Expired or Cancelled`),
	creates(record(`"later": {"phase": "Processing", "reason": "Paid", `+at+`}`), `record.later.phase: Invalid value: "Processing": an outcome is Succeeded, Failed, Expired or Cancelled`),

	// The intent.
	changes(``, `metadata.labels={"a": "b"}`),
	changes(``, `spec.money.amount="5001"`, intentKept),
	changes(``, `spec.money.currency="XOF"`, intentKept),
	changes(``, `spec.requested.amount="5001"`, intentKept),
	changes(``, `spec.providerReference="r2"`, intentKept),
	changes(``, `spec.merchantReference="r2"`, intentKept),
	changes(``, `spec.account.baseURL="https://evil.example"`, intentKept),
	changes(``, `spec.account.tokenURL="https://evil.example"`, intentKept),
	changes(``, `-spec.account.namespace`, intentKept),
	changes(``, `spec.fingerprint="g"`, intentKept),
	changes(``, `spec.payment.uid="8a1d"`, intentKept),
	changes(``, `spec.timeoutSeconds=1`, intentKept),
	changes(``, `-spec`, `spec: Required value`),

	// The record.
	changes(record(raised1), `-record`, recordKept),
	changes(record(raised1), `record=null`, recordKept),
	changes(record(taken1), record(taken1+session)),
	changes(record(taken1+session), record(taken1+`, "session": {"token": "u"}`), sessionKept),
	changes(record(taken1+session), record(taken1+`, "session": {"token": "t", "paymentURL": "https://evil.example"}`), sessionKept),
	changes(record(taken1+session), record(taken1), sessionKept),
	changes(record(paid1), record(`"sends": 1, "outcome": {"phase": "Failed", "reason": "Paid", `+at+`}`), `record: Invalid value: `+outcomeKept),
	changes(record(paid1), record(`"sends": 1`), `record: Invalid value: `+outcomeKept),
	changes(record(paid1), record(`"sends": 2, "outcome": {"phase": "Succeeded", "reason": "Paid", `+at+`}`), `record: Invalid value: `+overSends),
	changes(record(raised1), record(raised1+`, "lastCallback": {"receivedAt": "2026-07-01T10:00:00.000000Z", "claim": "SUCCESSFUL"}`)),

	// Refunds.
	changes(record(paid1), entry(``)),
	changes(record(taken1), record(taken1+`, "refunds": [`+reserved+`]`), onlyPaid),
	changes(record(paid1), record(`"sends": 1, "outcome": {"phase": "Failed", "reason": "PayerDeclined", `+at+`}, "refunds": [`+reserved+`]`), onlyPaid, `record: Invalid value: `+outcomeKept),
	changes(entry(paid1), entry(`"sends": 1, "outcome": {"phase": "Failed", "reason": "Paid", `+at+`}`), `record.refunds[0]: Invalid value: `+outcomeKept),
	changes(entry(paid1), entry(`"sends": 2, "outcome": {"phase": "Succeeded", "reason": "Paid", `+at+`}`), `record.refunds[0]: Invalid value: `+overSends),
}, append(attempts(), entries()...)...)

const reserved = `{"name": "back", "money": {"amount": "5000", "currency": "OUV"}, "uid": "u1", "reservedAt": "2026-07-01T10:00:00.000000Z"}`

// attempts are the attemptCases of the payment and of a refund.
func attempts() (cases []testCase) {
	refused := func(where string, messages []string) (out []string) {
		for _, m := range messages {
			out = append(out, where+": Invalid value: "+m)
		}
		return out
	}
	for _, c := range attemptCases {
		cases = append(cases,
			changes(record(c.before), record(c.after), refused("record", c.want)...),
			changes(entry(c.before), entry(c.after), refused("record.refunds[0]", c.want)...))
	}
	return cases
}

// entries: a reservation changes and goes only while nothing was sent for it.
func entries() (cases []testCase) {
	for _, nothing := range []string{``, `"sends": 0`, void1} {
		cases = append(cases,
			changes(entry(nothing), record(paid1)),
			changes(entry(nothing), record(paid1+`, "refunds": []`)),
			changes(entry(nothing), entryOf(`"1"`, nothing)))
	}
	for _, sent := range []string{raised1, taken1, refused1, known1, unknown1, paid1, `"unknown": {"reason": "ReusedName", "since": "2026-07-01T10:00:00.000000Z"}`} {
		cases = append(cases,
			changes(entry(sent), record(paid1), refundKeptSent),
			changes(entry(sent), record(paid1+`, "refunds": []`), refundKeptSent),
			changes(entry(sent), entryOf(`"1"`, sent), reservedKept))
	}
	return cases
}

// sends are n sends, newest last.
func sends(n int) string {
	out := ""
	for i := range n {
		if i > 0 {
			out += ", "
		}
		out += `{"number": ` + string(rune('1'+i)) + `, "sender": "a", ` + at + `}`
	}
	return out
}
