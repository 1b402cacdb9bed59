package payment

import (
	"fmt"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// messages say, for each reason that a Charge records, what it means and what
// to do. They hold nothing that changes from one run to the next, or every
// check would be a write.
func messages() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonAccepted:            "The payment is about to be asked for.",
		v1alpha1.ReasonProviderUnreachable: "The provider cannot be reached, or is out of order. It is tried again by itself.",
		v1alpha1.ReasonProviderThrottled:   "The provider asks for fewer requests. It is tried again by itself.",
		v1alpha1.ReasonAccountMisconfigured: "The provider does not accept the account's credentials or settings. " +
			"Correct the account or its Secret; it goes on by itself.",
		v1alpha1.ReasonPromptsLimited: "Payers were rung too often within an hour. It goes on by itself when the limit allows; " +
			"the account's prompts say what the limit is.",
		v1alpha1.ReasonAdoptOnly: "Nothing is sent for objects that may come from a backup, and the provider knows no payment under this reference. " +
			"If it is a new sale, create a new Payment with a new name.",

		v1alpha1.ReasonAwaitingPayer:  "The provider was asked; waiting for the payer.",
		v1alpha1.ReasonAwaitingAnswer: "The provider was or may have been asked, and its answer was lost. Finding out; nobody is charged twice.",
		v1alpha1.ReasonUnrecognizedStatus: "The provider used a status word that this version does not know. Still asking; " +
			"please report the word to the maintainers.",

		v1alpha1.ReasonOutcomeUnknown: "The provider did not decide in time. Nobody is asked for money again; the provider is still asked now and then. " +
			"Look the payment up in the provider's portal before you charge again, and settle it in spec.settlement.",
		v1alpha1.ReasonLostInitiation: "The provider has the request, and the answer that is needed to ask about it was lost. " +
			"Look the payment up in the provider's portal and settle it in spec.settlement; to charge again, use a new reference.",
		v1alpha1.ReasonAmountMismatch: "The provider says that it was paid, but not this amount, currency or reference. " +
			"Look the payment up in the provider's portal and settle it in spec.settlement.",
		v1alpha1.ReasonReusedReference: "This reference was charged before this Payment asked for anything, so this is taken for a new sale under an old name. " +
			"Nothing was charged. Use a new name or reference; if you mean the old sale, annotate the Payment with " + v1alpha1.AnnotationAdopt + "=true.",
		v1alpha1.ReasonInstallationChanged: "This Payment was charged, or about to be, under another installation id, and its record is not found under this one. " +
			"Nothing is sent. Start the operator with the --installation-id that it had.",

		v1alpha1.ReasonPaid:               "The provider confirmed that the amount was paid.",
		v1alpha1.ReasonPayerDeclined:      "The payer declined.",
		v1alpha1.ReasonInsufficientFunds:  "The payer has not enough money.",
		v1alpha1.ReasonPayerNotFound:      "The phone has no account at the provider; check the number.",
		v1alpha1.ReasonLimitReached:       "A limit of the payer's or the merchant's account is reached.",
		v1alpha1.ReasonNotAllowed:         "The payer's or the merchant's account does not allow this payment.",
		v1alpha1.ReasonProviderRefused:    "The provider said that the payment failed.",
		v1alpha1.ReasonRequestRejected:    "The provider rejected the request; nothing was charged. Check the fields and create a new Payment.",
		v1alpha1.ReasonInvalidRequest:     "The payment cannot be asked for as it is written; nothing was sent. Correct it in a new Payment.",
		v1alpha1.ReasonReferenceConflict:  "This reference belongs to a charge with another amount, currency, provider or phone. Nothing was sent. Use a new name or reference.",
		v1alpha1.ReasonDuplicateReference: "Another Payment has this reference. Nothing was sent for this one. Use a new reference.",
		v1alpha1.ReasonPayerTimeout:       "The payer did not pay in time.",
		v1alpha1.ReasonCancelled:          "The payment was called off before it was paid.",

		v1alpha1.ReasonSettledPaid:    "A person found out that it was paid, and said so.",
		v1alpha1.ReasonSettledNotPaid: "A person found out that it was not paid, and said so.",

		v1alpha1.ReasonCancelPending: "The payment was called off; it is being ended.",
		v1alpha1.ReasonCancelNotSupported: "The payment was called off, but the provider cannot cancel what it was asked. The payer can still pay; " +
			"it is followed to its end. If it is paid, give the money back with a Refund.",
		v1alpha1.ReasonCancelTooLate: "The payment had ended before it could be called off. If it was paid, give the money back with a Refund.",
		v1alpha1.ReasonCancelDone:    "The payment was called off before it was paid.",

		v1alpha1.ReasonChargeAdopted: "Took up the charge that was made for this reference earlier; nobody is charged again.",
		v1alpha1.ReasonContradicted:  "The provider said something else after this Payment was finished. Look the payment up in the provider's portal.",
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
