package crd_test

import (
	"fmt"
	"strings"
)

const paymentBase = `{"spec": {"provider": "orange", "amount": 5000}}`

const (
	amountShape    = `amount must be a plain positive number such as 5000 or "10.50": no sign, blank, exponent, thousands separator or leading zero`
	amountZero     = `amount must be more than 0`
	amountDigits   = `amount has too many digits: write at most 12 before the decimal point`
	amountDecimals = `amount has too many decimals: write at most 2`
	// Of a number that is no integer. The API server's own, before any rule of ours.
	amountNumber = `spec.amount: Invalid value: "number": spec.amount in body must be of type integer,string: "number"`
	noDecimals   = `spec: Invalid value: this currency has no decimals; write a whole number, such as 5000`

	providerShape  = `provider must be a lower-case name, such as mtn, orange or wave`
	currencyShape  = `currency must be a three-letter ISO 4217 code in capitals, such as XOF (the FCFA of West Africa) or XAF (that of Central Africa)`
	phoneShape     = `phone must be in international form: +, country code and number, digits only, such as +2250501020304`
	phoneRequired  = `spec: Invalid value: phone is required for provider mtn, which asks the payer on that phone; add phone, such as +2250501020304`
	referenceShape = `reference must be letters, digits and . _ : / # - only, and begin and end with a letter or digit`
	oneLine        = `must be plain text on one line, without control characters`
	urlShape       = `must be an https URL with a host name, without user, password or fragment, such as https://shop.example/thanks`

	settlementKept   = `<nil>: Invalid value: a settlement that counts cannot change or be taken back`
	unknownOnly      = `<nil>: Invalid value: only a Payment in phase Unknown can be settled by a person; the operator finds the outcome of any other`
	settlementID     = `<nil>: Invalid value: settlement.unknownID must be the present status.unknown.id; read the Payment again and settle what it shows`
	settlementAmount = `<nil>: Invalid value: the provider reported another amount or currency; settlement.amount and settlement.currency must say what was really paid, in the currency of status.unknown.reported`
	amountPaid       = `spec.settlement: Invalid value: amount is what was paid; take it out where the outcome is NotPaid`
	amountCurrency   = `spec.settlement: Invalid value: amount and currency go together: write both or neither`

	phaseKept     = `status: Invalid value: phase cannot be removed or become Pending again: it says whether the payer was charged`
	initiatedKept = `status: Invalid value: initiatedAt cannot be removed`
	unknownKept   = `status: Invalid value: unknown cannot be removed while the phase is Unknown`
	finishedKept  = `status: Invalid value: a finished Payment stays as it ended`
	paidKept      = `status: Invalid value: what was paid cannot change`
	chargeKept    = `status: Invalid value: chargeName cannot change`
)

// What a Payment shows while it is Unknown, and what a person says about it.
const (
	isUnknown     = `status.phase="Unknown"; status.unknown={"id": "u1", "reason": "OutcomeUnknown", "since": "2026-07-01T10:00:00Z"}`
	isMismatch    = isUnknown + `; status.unknown.reported={"amount": "1", "currency": "EUR"}`
	isNewUnknown  = `status.unknown.id="u2"; status.unknown.reason="AmountMismatch"`
	settlement    = `spec.settlement={"unknownID": "u1", "outcome": "Paid", "settledBy": "awa@example.com", "reason": "seen in the portal", "transactionID": "T.1"}`
	settlementNow = `spec.settlement={"unknownID": "u2", "outcome": "NotPaid", "settledBy": "awa@example.com", "reason": "seen in the portal"}`
)

// fixed is the message for a changed field of a Payment.
func fixed(field string) string {
	return fmt.Sprintf("spec: Invalid value: %s cannot change after creation; create a new Payment", field)
}

// float are the messages for a whole number that is written as a float
// (100.0, 1e3) as raw JSON: refused, if not prettily. From YAML such a number
// arrives as the integer that it is.
func float() (want []string) {
	for _, message := range []string{amountShape, amountZero, amountDigits, amountDecimals} {
		want = append(want, `spec.amount: Invalid value: "": invalid data, expected XIntOrString value to be either a string or integer evaluating rule: `+message)
	}
	return want
}

// full has every optional field.
const full = `spec.currency="XOF"; spec.phone="+2250501020304"; spec.reference="order-1042"; spec.description="Two books"; ` +
	`spec.accountRef={"name": "shop"}; spec.returnURL="https://shop.example/thanks"; spec.cancelURL="https://shop.example/back"; spec.timeoutSeconds=600`

const succeeded = `status.phase="Succeeded"; status.transactionID="T1"; status.amount="5000"; status.currency="XOF"; status.chargeName="c1"`

var paymentCases = []testCase{
	creates(``),
	creates(full),

	// Amount.
	creates(`spec.amount=1`),
	creates(`spec.amount="5000"`),
	creates(`spec.amount=999999999999`),
	creates(`spec.amount="999999999999.99"`),
	creates(`spec.amount="10.50"; spec.currency="EUR"`),
	creates(`spec.amount="0.5"; spec.currency="EUR"`),
	creates(`spec.amount="10.50"`), // the currency is the account's; the operator looks
	creates(`spec.amount="10.50"; spec.currency="XOF"`, noDecimals),
	creates(`spec.amount="1500.00"; spec.currency="XOF"`),
	creates(`spec.amount="10.0"; spec.currency="XAF"`),
	creates(`spec.amount="1500.50"; spec.currency="XOF"`, noDecimals),
	creates(`spec.amount="1500.05"; spec.currency="XOF"`, noDecimals),
	creates(`spec.amount="0.5"; spec.currency="GNF"`, noDecimals),
	refuses(`spec.amount=0`, amountZero),
	refuses(`spec.amount="0"`, amountZero),
	refuses(`spec.amount="0.00"`, amountZero),
	refuses(`spec.amount=-5`, amountShape),
	refuses(`spec.amount="-5"`, amountShape),
	refuses(`spec.amount="+5"`, amountShape),
	refuses(`spec.amount="1e3"`, amountShape),
	refuses(`spec.amount="0x10"`, amountShape),
	refuses(`spec.amount="5 000"`, amountShape),
	refuses(`spec.amount=" 5000"`, amountShape),
	refuses(`spec.amount="5000\n"`, amountShape),
	refuses(`spec.amount="5,000"`, amountShape),
	refuses(`spec.amount="5'000"`, amountShape),
	refuses(`spec.amount="0100"`, amountShape),
	refuses(`spec.amount="٥٠٠٠"`, amountShape),
	refuses(`spec.amount=""`, amountShape),
	refuses(`spec.amount=".5"`, amountShape),
	refuses(`spec.amount="5000 XOF"`, amountShape),
	refuses(`spec.amount="10.505"`, amountDecimals),
	refuses(`spec.amount="1000000000000"`, amountDigits),
	refuses(`spec.amount=1000000000000`, amountDigits),
	refuses(`spec.amount="12345678901234567890"`, amountDigits),
	refuses(`spec.amount=9223372036854775807`, amountDigits),
	creates(`spec.amount="`+strings.Repeat("1", 41)+`"`, `spec.amount: Too long: may not be more than 40 bytes`),
	creates(`spec.amount=12345678901234567890`, amountNumber), // more than an int64 is a float to the API server
	creates(`spec.amount=10.5`, amountNumber),
	creates(`spec.amount=100.0`, float()...),
	creates(`spec.amount=1e3`, float()...),
	creates(`spec.amount=true`, strings.ReplaceAll(amountNumber, `"number"`, `"boolean"`)),
	creates(`spec.amount=null`, `spec.amount: Required value`),
	creates(`-spec.amount`, `spec.amount: Required value`),

	// Provider.
	creates(`spec.provider="wave"`),
	creates(`spec.provider="moov-2"`),
	creates(`spec.provider="` + strings.Repeat("a", 63) + `"`),
	refuses(`spec.provider="MTN"`, providerShape),
	refuses(`spec.provider="mtn_1"`, providerShape),
	refuses(`spec.provider="mtn-"`, providerShape),
	refuses(`spec.provider="1mtn"`, providerShape),
	refuses(`spec.provider=""`, providerShape),
	creates(`spec.provider="`+strings.Repeat("a", 70)+`"`, `spec.provider: Too long: may not be more than 63 bytes`),
	creates(`-spec.provider`, `spec.provider: Required value`),

	// Phone.
	creates(`spec.provider="mtn"; spec.phone="+2250501020304"`),
	creates(`spec.phone="+1234567"`),
	creates(`spec.phone="+123456789012345"`),
	creates(`spec.provider="mtn"`, phoneRequired),
	refuses(`spec.phone="2250501020304"`, phoneShape),
	refuses(`spec.phone="0501020304"`, phoneShape),
	refuses(`spec.phone="+0501020304"`, phoneShape),
	refuses(`spec.phone="00225501020304"`, phoneShape),
	refuses(`spec.phone="+225 05 01 02 03 04"`, phoneShape),
	refuses(`spec.phone="+22505010203O4"`, phoneShape),
	refuses(`spec.phone="+1234567890123456"`, phoneShape),
	refuses(`spec.phone="+123456"`, phoneShape),
	refuses(`spec.phone="+٢٢٥٠٥٠١٠٢٠٣٠٤"`, phoneShape),
	refuses(`spec.phone=""`, phoneShape),
	// YAML makes this of a phone without quotes.
	creates(`spec.phone=2250501020304`, `spec.phone: Invalid value: "integer": spec.phone in body must be of type string: "integer"`),
	creates(`spec.phone="+`+strings.Repeat("1", 40)+`"`, `spec.phone: Too long: may not be more than 40 bytes`),

	// Currency.
	creates(`spec.currency="XAF"`),
	refuses(`spec.currency="FCFA"`, currencyShape),
	refuses(`spec.currency="xof"`, currencyShape),
	refuses(`spec.currency="XO"`, currencyShape),
	refuses(`spec.currency=""`, currencyShape),
	creates(`spec.currency="West African CFA franc"`, `spec.currency: Too long: may not be more than 16 bytes`),

	// Reference.
	creates(`spec.reference="a"`),
	creates(`spec.reference="INV-2026/07#1042.a_b:c"`),
	creates(`spec.reference="` + strings.Repeat("a", 128) + `"`),
	creates(`spec.reference="`+strings.Repeat("a", 129)+`"`, `spec.reference: Too long: may not be more than 128 bytes`),
	refuses(`spec.reference=""`, referenceShape),
	refuses(`spec.reference="order 1042"`, referenceShape),
	refuses(`spec.reference="-order"`, referenceShape),
	refuses(`spec.reference="order/"`, referenceShape),
	refuses(`spec.reference="órder"`, referenceShape),
	refuses(`spec.reference="order\n"`, referenceShape),

	// Description.
	creates(`spec.description=""`),
	creates(`spec.description="Café n° 5 – ½ kg, شكرا 🙏"`),
	creates(`spec.description="` + strings.Repeat("é", 140) + `"`),
	creates(`spec.description="`+strings.Repeat("é", 141)+`"`, `spec.description: Too long: may not be more than 140 bytes`),
	creates(`spec.description="a\nb"`, `spec.description: Invalid value: "a\nb": description `+oneLine),
	creates(`spec.description="a\tb"`, `spec.description: Invalid value: "a\tb": description `+oneLine),
	creates(`spec.description="a\u0000b"`, `spec.description: Invalid value: "a\x00b": description `+oneLine),
	creates(`spec.description="a\u007fb"`, `spec.description: Invalid value: "a\x7fb": description `+oneLine),
	creates(`spec.description="a\u202eb"`, `spec.description: Invalid value: "a\u202eb": description `+oneLine), // text runs backwards
	creates(`spec.description="a\u2066b"`, `spec.description: Invalid value: "a\u2066b": description `+oneLine),
	creates(`spec.description="a\u200bb"`, `spec.description: Invalid value: "a\u200bb": description `+oneLine), // cannot be seen
	creates(`spec.description="a\u2028b"`, `spec.description: Invalid value: "a\u2028b": description `+oneLine), // a line of its own

	// URLs.
	creates(`spec.returnURL="https://shop.example"`),
	creates(`spec.returnURL="https://shop.example:8443/a/b?order=1042&x=%20"`),
	creates(`spec.returnURL="https://shop.example?order=1042"`),
	creates(`spec.returnURL="https://shop.example/` + strings.Repeat("a", 99) + `"`),
	creates(`spec.returnURL="https://shop.example/`+strings.Repeat("a", 100)+`"`, `spec.returnURL: Too long: may not be more than 120 bytes`),
	refuses(`spec.returnURL="http://shop.example/"`, urlShape),
	refuses(`spec.returnURL="javascript:alert(1)"`, urlShape),
	refuses(`spec.returnURL="//shop.example/"`, urlShape),
	refuses(`spec.returnURL="/thanks"`, urlShape),
	refuses(`spec.returnURL="https://"`, urlShape),
	refuses(`spec.returnURL="https:///thanks"`, urlShape),
	refuses(`spec.returnURL="https://shop.example@evil.example/"`, urlShape),
	refuses(`spec.returnURL="https://user:pass@shop.example/"`, urlShape),
	refuses(`spec.returnURL="https://shop.example/#done"`, urlShape),
	refuses(`spec.returnURL="https://shop.example/a b"`, urlShape),
	refuses(`spec.returnURL="https://shop.example/%zz"`, urlShape),
	refuses(`spec.returnURL="https://shop.example:99999999/"`, urlShape),
	refuses(`spec.returnURL=""`, urlShape),
	creates(`spec.returnURL="https://shop.example/\n"`, `spec.returnURL: Invalid value: "https://shop.example/\n": `+urlShape),
	creates(`spec.returnURL="https://shop.example/\u202e"`, `spec.returnURL: Invalid value: "https://shop.example/\u202e": `+urlShape),
	creates(`spec.cancelURL="https://shop.example/back"`),
	refuses(`spec.cancelURL="http://shop.example/back"`, urlShape),
	creates(`spec.cancelURL="https://shop.example/`+strings.Repeat("a", 100)+`"`, `spec.cancelURL: Too long: may not be more than 120 bytes`),

	// Time-out.
	creates(`spec.timeoutSeconds=30`),
	creates(`spec.timeoutSeconds=604800`),
	refuses(`spec.timeoutSeconds=29`, `spec.timeoutSeconds in body should be greater than or equal to 30`),
	refuses(`spec.timeoutSeconds=0`, `spec.timeoutSeconds in body should be greater than or equal to 30`),
	refuses(`spec.timeoutSeconds=604801`, `spec.timeoutSeconds in body should be less than or equal to 604800`),
	creates(`spec.timeoutSeconds="1h"`, `spec.timeoutSeconds: Invalid value: "string": spec.timeoutSeconds in body must be of type integer: "string"`),

	// Account.
	creates(`spec.accountRef={"kind": "ClusterMerchantAccount", "name": "shop"}`),
	creates(`spec.accountRef={}`, `spec.accountRef.name: Required value`),
	creates(`spec.accountRef.name=""`, `spec.accountRef.name: Invalid value: "": spec.accountRef.name in body should be at least 1 chars long`),
	creates(`spec.accountRef.name="`+strings.Repeat("a", 254)+`"`, `spec.accountRef.name: Too long: may not be more than 253 bytes`),
	creates(`spec.accountRef={"kind": "Secret", "name": "shop"}`, `spec.accountRef.kind: Unsupported value: "Secret": supported values: "MerchantAccount", "ClusterMerchantAccount"`),
	creates(`-spec`, `spec: Required value`),

	// A Payment does not change.
	changes(full, `metadata.labels={"a": "b"}`),
	changes(full, `spec.amount="5000"`), // K7c: the same amount, written otherwise
	changes(``, `spec.amount="5000.00"`),
	changes(`spec.amount="1500.00"`, `spec.amount=1500`),
	changes(`spec.amount=1500; spec.currency="XOF"`, `spec.amount="1500.00"`),
	changes(`spec.amount="10.5"`, `spec.amount="10.50"`),
	changes(`spec.amount="10.5"`, `spec.amount="10.05"`, fixed("amount")),
	changes(`spec.amount=1500`, `spec.amount=1501`, fixed("amount")),
	changes(`spec.amount=1500`, `spec.amount="1500.01"`, fixed("amount")),
	changes(`spec.amount=1500`, `spec.amount="1,500"`, `spec.amount: Invalid value: "1,500": `+amountShape),
	changes(``, `spec.timeoutSeconds=3600`, fixed("timeoutSeconds")),
	changes(``, `spec.description=""`),
	changes(`spec.accountRef.name="shop"`, `spec.accountRef.kind="MerchantAccount"`),
	changes(full, `spec.provider="wave"`, fixed("provider")),
	changes(full, `spec.amount=5001`, fixed("amount")),
	changes(full, `spec.amount="5001"`, fixed("amount")),
	changes(full, `spec.currency="XAF"`, fixed("currency")),
	changes(full, `-spec.currency`, fixed("currency")),
	changes(``, `spec.currency="XOF"`, fixed("currency")),
	changes(full, `spec.phone="+2250501020305"`, fixed("phone")),
	changes(full, `-spec.phone`, fixed("phone")),
	changes(``, `spec.phone="+2250501020304"`, fixed("phone")),
	changes(full, `spec.reference="order-1043"`, fixed("reference")),
	changes(full, `-spec.reference`, fixed("reference")),
	changes(``, `spec.reference="order-1042"`, fixed("reference")),
	changes(full, `spec.description="Three books"`, fixed("description")),
	changes(full, `-spec.description`, fixed("description")),
	changes(``, `spec.description="Two books"`, fixed("description")),
	changes(full, `spec.accountRef.name="other"`, fixed("accountRef")),
	changes(full, `spec.accountRef.kind="ClusterMerchantAccount"`, fixed("accountRef")),
	changes(full, `-spec.accountRef`, fixed("accountRef")),
	changes(``, `spec.accountRef.name="shop"`, fixed("accountRef")),
	changes(full, `spec.returnURL="https://evil.example/"`, fixed("returnURL")),
	changes(full, `-spec.returnURL`, fixed("returnURL")),
	changes(``, `spec.returnURL="https://shop.example/thanks"`, fixed("returnURL")),
	changes(full, `spec.cancelURL="https://evil.example/"`, fixed("cancelURL")),
	changes(full, `-spec.cancelURL`, fixed("cancelURL")),
	changes(``, `spec.cancelURL="https://shop.example/back"`, fixed("cancelURL")),
	changes(full, `spec.timeoutSeconds=601`, fixed("timeoutSeconds")),
	changes(full, `-spec.timeoutSeconds`, fixed("timeoutSeconds")),
	changes(``, `spec.timeoutSeconds=600`, fixed("timeoutSeconds")),
	// Calling it off is a switch that goes one way.
	creates(`spec.cancel=true`),
	changes(``, `spec.cancel=true`),
	changes(`spec.cancel=false`, `spec.cancel=true`),
	changes(`spec.cancel=true`, `metadata.labels={"a": "b"}`),
	changes(`spec.cancel=true`, `spec.cancel=false`, `spec: Invalid value: cancel cannot be taken back; create a new Payment`),
	changes(`spec.cancel=true`, `-spec.cancel`, `spec: Invalid value: cancel cannot be taken back; create a new Payment`),
	// A person settles the Unknown that the Payment shows. A restore may create a
	// Payment with a settlement: it names the id of another object.
	creates(settlement),
	changes(isUnknown, settlement),
	changes(isUnknown, settlement+`; spec.settlement.amount="10.50"; spec.settlement.currency="EUR"`),
	changes(isUnknown+"; "+settlement, `status.phase="Succeeded"; status.settledBy="awa@example.com"; -status.unknown`),
	changes(isUnknown+"; "+settlement, `metadata.labels={"a": "b"}`),
	changes(isUnknown+"; "+settlement, isNewUnknown),
	changes(``, settlement, unknownOnly),
	changes(`status.phase="Processing"`, settlement, unknownOnly),
	changes(`status.phase="Failed"`, settlement, unknownOnly),
	changes(isUnknown, settlementNow, settlementID),
	changes(`status.phase="Unknown"`, settlement, settlementID),
	changes(isUnknown, settlement+`; -spec.settlement.unknownID`, `spec.settlement.unknownID: Required value`),
	changes(isUnknown, settlement+`; spec.settlement.unknownID=""`, `spec.settlement.unknownID: Invalid value: "": spec.settlement.unknownID in body should be at least 1 chars long`, settlementID),
	// One that counts stays; K4c: any other may be replaced or taken back.
	changes(isUnknown+"; "+settlement, `-spec.settlement`, settlementKept),
	changes(isUnknown+"; "+settlement, `spec.settlement.outcome="NotPaid"`, settlementKept),
	changes(isUnknown+"; "+settlement, `spec.settlement.settledBy="moussa"`, settlementKept),
	changes(isUnknown+"; "+settlement, `-spec.settlement.transactionID`, settlementKept),
	changes(isUnknown+"; "+settlement, settlementNow, settlementID, settlementKept),
	changes(`status.phase="Succeeded"; status.settledBy="awa@example.com"; `+settlement, `-spec.settlement`, settlementKept),
	changes(isUnknown+"; "+isNewUnknown+"; "+settlement, settlementNow),
	changes(isUnknown+"; "+isNewUnknown+"; "+settlement, `-spec.settlement`),
	changes(isUnknown+"; "+isNewUnknown+"; "+settlement, `spec.settlement.outcome="NotPaid"`, settlementID),
	changes(`status.phase="Processing"; `+settlement, `-spec.settlement`),
	changes(`status.phase="Processing"; `+settlement, settlementNow, unknownOnly),
	// K4a: where another amount was reported, the person says what was really paid.
	changes(isMismatch, settlement, settlementAmount),
	changes(isMismatch, settlement+`; spec.settlement.amount=1; spec.settlement.currency="XOF"`, settlementAmount),
	changes(isMismatch, settlement+`; spec.settlement.amount=1; spec.settlement.currency="EUR"`),
	changes(isMismatch, settlement+`; spec.settlement.outcome="NotPaid"`),
	changes(isMismatch+`; status.unknown.reported.currency="euro"`, settlement+`; spec.settlement.amount=1; spec.settlement.currency="EUR"`),
	changes(isMismatch+`; -status.unknown.reported.currency`, settlement+`; spec.settlement.amount=1; spec.settlement.currency="EUR"`),
	changes(isMismatch+`; -status.unknown.reported.currency`, settlement, settlementAmount),
	changes(isUnknown, settlement+`; spec.settlement.amount=1`, amountCurrency),
	changes(isUnknown, settlement+`; spec.settlement.currency="XOF"`, amountCurrency),
	changes(isUnknown, settlement+`; spec.settlement.amount=1; spec.settlement.currency="XOF"; spec.settlement.outcome="NotPaid"`, amountPaid),
	changes(isUnknown, settlement+`; spec.settlement.amount=0; spec.settlement.currency="XOF"`, `spec.settlement.amount: Invalid value: 0: `+amountZero),
	changes(isUnknown, settlement+`; spec.settlement.amount=1; spec.settlement.currency="xof"`, `spec.settlement.currency: Invalid value: "xof": currency must be a three-letter ISO 4217 code in capitals`),
	changes(isUnknown, settlement+`; spec.settlement.outcome="Done"`,
		`spec.settlement.outcome: Unsupported value: "Done": supported values: "Paid", "NotPaid"`),
	changes(isUnknown, `spec.settlement={"unknownID": "u1", "outcome": "Paid"}`,
		`spec.settlement.reason: Required value`, `spec.settlement.settledBy: Required value`),
	changes(isUnknown, settlement+`; spec.settlement.settledBy="a\nb"`,
		`spec.settlement.settledBy: Invalid value: "a\nb": settledBy must be plain text on one line`),
	changes(isUnknown, settlement+`; spec.settlement.reason="x\ny"`,
		`spec.settlement.reason: Invalid value: "x\ny": reason must be plain text on one line`),
	changes(isUnknown, settlement+`; spec.settlement.transactionID="a b"`,
		`spec.settlement.transactionID: Invalid value: "a b": transactionID must be letters, digits and . _ : / - only`),
	changes(full, `-spec.amount`, `spec.amount: Required value`),
	changes(full, `spec=null`, `spec: Required value`),
	// Nor in two steps: it would come back with another amount.
	changes(full, `-spec`, `spec: Required value`),
	changes(full, `spec={}`, `spec.amount: Required value`, `spec.provider: Required value`),

	// Status.
	changes(``, `status.phase="Pending"`),
	changes(`status.phase="Pending"`, `status.phase="Processing"; status.chargeName="c1"`),
	changes(`status.phase="Processing"; status.chargeName="c1"`, `status.phase="Unknown"`),
	changes(`status.phase="Unknown"; status.chargeName="c1"`, `status.phase="Succeeded"; status.transactionID="T1"; status.amount="5000"`),
	changes(succeeded, `status.observedGeneration=2; status.providerReference="R1"`),
	changes(``, `status.phase="Paid"`, `status.phase: Unsupported value: "Paid": supported values: "Pending", "Processing", "Unknown", "Succeeded", "Failed", "Expired", "Cancelled"`),
	changes(``, `status.nextAction.type="Call"`, `status.nextAction.type: Unsupported value: "Call": supported values: "ApproveOnPhone", "OpenURL"`),
	changes(`status.phase="Succeeded"`, `status.phase="Failed"`, finishedKept),
	changes(`status.phase="Succeeded"`, `-status.phase`, finishedKept, phaseKept),
	changes(`status.phase="Succeeded"`, `status={}`, finishedKept, phaseKept),
	changes(`status.phase="Failed"`, `status.phase="Succeeded"`, finishedKept),
	changes(`status.phase="Failed"`, `status.phase="Processing"`, finishedKept),
	changes(`status.phase="Expired"`, `status.phase="Succeeded"`, finishedKept),
	changes(`status.phase="Cancelled"`, `status.phase="Unknown"`, finishedKept),
	changes(succeeded, `status.transactionID="T2"`, paidKept),
	changes(succeeded, `-status.transactionID`, paidKept),
	changes(succeeded, `status.amount="1"`, paidKept),
	changes(succeeded, `-status.amount`, paidKept),
	changes(succeeded, `status.currency="EUR"`, paidKept),
	changes(succeeded, `-status.currency`, paidKept),
	changes(`status.phase="Succeeded"`, `status.amount="5000"`, paidKept),
	changes(succeeded, `status.chargeName="c2"`, chargeKept),
	changes(succeeded, `-status.chargeName`, chargeKept),
	changes(`status.chargeName="c1"; status.phase="Processing"`, `status={}`, chargeKept, phaseKept),
	changes(succeeded, `-status`, finishedKept, paidKept, chargeKept, phaseKept),
	changes(succeeded, `status=null`, finishedKept, paidKept, chargeKept, phaseKept),
	changes(succeeded, `status={}`, finishedKept, paidKept, chargeKept, phaseKept),

	// What must not be lost, while it is not over either.
	changes(`status.phase="Pending"`, `-status`),
	changes(`status.phase="Pending"`, `status={}`),
	changes(`status.phase="Processing"`, `-status.phase`, phaseKept),
	changes(`status.phase="Processing"`, `status.phase="Pending"`, phaseKept),
	changes(`status.phase="Processing"`, `-status`, phaseKept),
	changes(isUnknown, `status.phase="Pending"`, phaseKept),
	changes(isUnknown, `status.phase="Processing"; -status.unknown`),
	changes(isUnknown, `-status.unknown`, unknownKept),
	changes(`status.phase="Processing"; status.initiatedAt="2026-07-01T10:00:00Z"`, `-status.initiatedAt`, initiatedKept),
}
