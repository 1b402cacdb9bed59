package refund

import (
	"fmt"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// messages say, for each reason that a Refund shows, what it means and what to
// do. They hold nothing that changes from one run to the next.
func messages() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonAccepted:            "The refund is about to be asked for.",
		v1alpha1.ReasonPaymentNotFound:     "There is no Payment of this name in this namespace. Create the Payment, or this Refund again with the right paymentRef.",
		v1alpha1.ReasonPaymentNotSucceeded: "The Payment has not succeeded, so there is nothing to give back.",
		v1alpha1.ReasonProviderUnreachable: "The provider cannot be reached, or is out of order. It is tried again by itself.",
		v1alpha1.ReasonProviderThrottled:   "The provider asks for fewer requests. It is tried again by itself.",
		v1alpha1.ReasonAccountMisconfigured: "The provider does not accept the account's credentials or settings for refunds. " +
			"Correct the account or its Secret, or have the provider enable refunds for it; it goes on by itself.",
		v1alpha1.ReasonAdoptOnly: "Nothing is sent for objects that may come from a backup, and the provider knows nothing of this refund. " +
			"If it still has to be given back, delete this one and create a new Refund with a new name.",

		v1alpha1.ReasonAwaitingProvider: "The provider took the refund; waiting until it is settled.",
		v1alpha1.ReasonAwaitingAnswer:   "The provider was or may have been asked, and its answer was lost. Finding out; nothing is given back twice.",
		v1alpha1.ReasonUnrecognizedStatus: "The provider used a status word that this version does not know. Still asking; " +
			"please report the word to the maintainers.",
		v1alpha1.ReasonManualActionRequired: "A person has to give the money back in the provider's portal and to confirm it here; status.instructions says how.",

		v1alpha1.ReasonOutcomeUnknown: "The provider did not decide in time. Nothing is sent again; the provider is still asked now and then. " +
			"Look the refund up in the provider's portal and confirm what you find in spec.confirmation.",
		v1alpha1.ReasonAmountMismatch: "The provider says that it gave back, but not this amount, currency or reference. " +
			"Look the refund up in the provider's portal and confirm what you find in spec.confirmation.",

		v1alpha1.ReasonRefunded:                  "The amount was given back.",
		v1alpha1.ReasonExceedsPayment:            "This is more than is left of the payment, so nothing was sent. Ask for less in a new Refund.",
		v1alpha1.ReasonPartialRefundNotSupported: "The provider gives back whole payments only, so nothing was sent. Leave amount out in a new Refund.",
		v1alpha1.ReasonRefundConflict:            "A Refund of this name claimed another amount before. Nothing was sent for this one. Use a new name.",
		v1alpha1.ReasonRefundWithdrawn:           "The Refund was deleted before anything was given back. Create a new one with a new name.",
		v1alpha1.ReasonNotRefunded:               "A person confirmed that nothing was given back.",
		v1alpha1.ReasonTooManyRefunds:            "This payment has as many refunds as one record holds. Give the rest back in the provider's portal.",
		v1alpha1.ReasonInvalidRequest:            "The refund cannot be asked for as it is written; nothing was sent. Correct it in a new Refund.",
		v1alpha1.ReasonRequestRejected:           "The provider rejected the request; nothing was given back.",
		v1alpha1.ReasonProviderRefused:           "The provider said that the refund failed; nothing was given back.",
		v1alpha1.ReasonPayerDeclined:             "The provider said that the refund was declined; nothing was given back.",
		v1alpha1.ReasonInsufficientFunds:         "The merchant's account has not enough money; nothing was given back. Fund it and create a new Refund.",
		v1alpha1.ReasonPayerNotFound:             "The payer's account is not found any more; nothing was given back.",
		v1alpha1.ReasonLimitReached:              "A limit of the payer's or the merchant's account is reached; nothing was given back.",
		v1alpha1.ReasonNotAllowed:                "The provider does not allow this refund; nothing was given back.",
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
