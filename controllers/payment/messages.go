package payment

import (
	"fmt"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// messages say, for each reason that a Charge records, what it means and what to do. They hold
// nothing that changes from one run to the next, or every check would be a write.
func messages() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonNotAsked:             "The payment could not be requested in time; nobody was asked. Create a new Payment.",
		v1alpha1.ReasonSaleConflict:         "A payment of this name was requested with another provider, amount, currency, phone or reference. Nothing was sent for this one. Use a new name.",
		v1alpha1.ReasonRecordRefused:        "The API server refuses to let the operator write its record, so nothing is sent. Ask the platform team to check admission policies and the installed CRDs.",
		v1alpha1.ReasonReusedName:           "This name belongs to an earlier sale. Nothing was charged. For a new sale, use a new name; if you mean the earlier sale, annotate the Payment with " + v1alpha1.AnnotationAdopt + "=true.",
		v1alpha1.ReasonUnsentChargesLimited: "Limit reached: this namespace has too many Charges of which nothing was sent. Correct or delete the Payments that the provider does not accept; the operator removes such Charges after a day.",
		v1alpha1.ReasonAccepted:             "Accepted; the provider will be asked next.",
		v1alpha1.ReasonProviderUnreachable:  "The provider cannot be reached or reports an error of its own. The operator retries automatically.",
		v1alpha1.ReasonProviderThrottled:    "The provider limits requests. The operator retries automatically.",
		v1alpha1.ReasonAccountMisconfigured: "The provider does not accept the account's credentials or settings. Correct the account or its Secret; the operator retries automatically.",
		v1alpha1.ReasonPromptsLimited:       "Prompt limit reached: too many prompts in the last hour. The operator continues automatically when the limit allows; the account's prompts set the limit.",
		v1alpha1.ReasonAdoptOnly:            "Nothing is sent for objects that may come from a backup, and the provider knows no such payment. If this is a new sale, create a Payment with a new name.",

		v1alpha1.ReasonAwaitingPayer:      "Waiting for the payer to approve on the phone.",
		v1alpha1.ReasonAwaitingAnswer:     "Waiting for the provider's answer. The same request is followed until its outcome is known; nobody is charged twice.",
		v1alpha1.ReasonUnrecognizedStatus: "The provider uses a status word that this version does not know. The operator keeps asking; please report the word to the maintainers.",

		v1alpha1.ReasonOutcomeUnknown:      "The provider did not decide in time. Nobody is asked for money again; the operator keeps asking for the outcome. Look the payment up in the provider's portal, and settle it in spec.settlement.",
		v1alpha1.ReasonLostInitiation:      "The provider may have the request, and the record needed to ask about it is lost. Look the payment up in the provider's portal and settle it in spec.settlement; to charge again, use a new name.",
		v1alpha1.ReasonAmountMismatch:      "The provider reports a payment of another amount, currency or reference; see status.unknown.reported. Look it up in the provider's portal and settle it in spec.settlement.",
		v1alpha1.ReasonInstallationChanged: "The Charge of this name was made under another installation id, and is not touched. Nothing is sent. Start the operator with the --installation-id that it had.",

		v1alpha1.ReasonPaid:              "The provider confirmed the payment.",
		v1alpha1.ReasonPayerDeclined:     "The payer declined.",
		v1alpha1.ReasonInsufficientFunds: "The payer's balance is too low.",
		v1alpha1.ReasonPayerNotFound:     "The phone has no account at the provider; check the number.",
		v1alpha1.ReasonLimitReached:      "A limit of the payer's or the merchant's account is reached.",
		v1alpha1.ReasonNotAllowed:        "The payer's or the merchant's account does not allow this payment.",
		v1alpha1.ReasonProviderRefused:   "The provider reports that the payment failed.",
		v1alpha1.ReasonRequestRejected:   "The provider rejected the request; nothing was charged. Check the fields and create a new Payment.",
		v1alpha1.ReasonInvalidRequest:    "The payment cannot be requested as written; nothing was sent. Correct it in a new Payment.",
		v1alpha1.ReasonPayerTimeout:      "The payer did not pay in time.",
		v1alpha1.ReasonCancelled:         "The payment was cancelled before it was paid.",

		v1alpha1.ReasonSettledPaid:    "A person settled the payment as paid.",
		v1alpha1.ReasonSettledNotPaid: "A person settled the payment as not paid.",

		v1alpha1.ReasonCancelPending:      "Cancelling the payment.",
		v1alpha1.ReasonCancelNotSupported: "The provider cannot cancel what it was asked. The payer can still pay; the payment is followed to its end. If it is paid, give the money back with a Refund.",
		v1alpha1.ReasonCancelTooLate:      "The payment ended before it could be cancelled. If it was paid, give the money back with a Refund.",
		v1alpha1.ReasonCancelDone:         "The payment was cancelled before it was paid.",

		v1alpha1.ReasonChargeAdopted: "Adopted the charge that was made for this name earlier; nobody is charged again.",
		v1alpha1.ReasonContradicted:  "The provider reported something else after this Payment finished. Look the payment up in the provider's portal.",
	}
}

// message for a reason, with the provider's own code where there is one.
func message(reason v1alpha1.Reason, code string) string {
	text, ok := messages()[reason]
	if !ok {
		text = "See the documentation of this reason."
	}
	if code != "" {
		return fmt.Sprintf("%s (provider code %s)", text, code)
	}
	return text
}
