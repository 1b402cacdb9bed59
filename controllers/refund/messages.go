package refund

import (
	"fmt"
	"maps"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// messages say, for each reason that a Refund shows, what it means and what to
// do. They hold nothing that changes from one run to the next.
func messages() map[v1alpha1.Reason]string {
	all := map[v1alpha1.Reason]string{}
	for _, some := range []map[v1alpha1.Reason]string{waiting(), followed(), refused(), failed()} {
		maps.Copy(all, some)
	}
	return all
}

// waiting: nothing was sent yet.
func waiting() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonRecordRefused:        "The API server refuses to let the operator write its record, so nothing is sent. Ask the platform team to check admission policies and the installed CRDs.",
		v1alpha1.ReasonInstallationChanged:  "The Charge of this payment was made under another installation id, and is not touched. Nothing is sent. Start the operator with the --installation-id that it had.",
		v1alpha1.ReasonProviderNotSupported: "This operator does not know the provider of the payment. Nothing is sent. Start one that does.",
		v1alpha1.ReasonAccepted:             "Accepted; the provider will be asked next.",
		v1alpha1.ReasonPaymentNotFound:      "There is no Payment of this name in this namespace. Create the Payment, or this Refund again with the right paymentRef.",
		v1alpha1.ReasonPaymentNotSucceeded:  "The Payment has not succeeded, so there is nothing to give back.",
		v1alpha1.ReasonProviderUnreachable:  "The provider cannot be reached or reports an error of its own. The operator retries automatically.",
		v1alpha1.ReasonProviderThrottled:    "The provider limits requests. The operator retries automatically.",
		v1alpha1.ReasonAccountMisconfigured: "The provider does not accept the account's credentials or settings for refunds. Correct the account or its Secret, or have the provider enable refunds for it; the operator retries automatically.",
		v1alpha1.ReasonAdoptOnly:            "Nothing is sent for objects that may come from a backup, and the provider knows no such refund. If it still has to be given back, delete this Refund and create one with a new name.",
	}
}

// followed: it was sent, or is with a person.
func followed() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonContradicted:         "The provider reported something else after this Refund finished. Look the refund up in the provider's portal.",
		v1alpha1.ReasonLostInitiation:       "The provider may have the request, and the record of it is lost. Look the refund up in the provider's portal and confirm what you find in spec.confirmation.",
		v1alpha1.ReasonAwaitingProvider:     "The provider took the refund; waiting until it is settled.",
		v1alpha1.ReasonAwaitingAnswer:       "Waiting for the provider's answer. The same request is followed until its outcome is known; nothing is given back twice.",
		v1alpha1.ReasonUnrecognizedStatus:   "The provider uses a status word that this version does not know. The operator keeps asking; please report the word to the maintainers.",
		v1alpha1.ReasonManualActionRequired: "A person has to give the money back in the provider's portal and confirm it here; status.instructions says how.",
		v1alpha1.ReasonOutcomeUnknown:       "The provider did not decide in time. Nothing is sent again; the operator keeps asking. Look the refund up in the provider's portal and confirm what you find in spec.confirmation.",
		v1alpha1.ReasonAmountMismatch:       "The provider reports a refund of another amount, currency or reference; see status.unknown.reported. Look it up in the provider's portal and confirm what you find in spec.confirmation.",
		v1alpha1.ReasonRefunded:             "The amount was given back.",
		v1alpha1.ReasonNotRefunded:          "A person confirmed that nothing was given back.",
	}
}

// refused: nothing was sent, and nothing will be.
func refused() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonRefundHistoryUnknown:      "The record of this payment may lack refunds: it was found at the provider, restored from a backup, or is gone. Nothing was sent. Check the provider's portal, and give the money back there.",
		v1alpha1.ReasonReusedName:                "This name belongs to an earlier sale, whose refunds are not known. Nothing was sent. Give the money back in the provider's portal.",
		v1alpha1.ReasonExceedsPayment:            "This is more than is left of the payment; nothing was sent. Ask for less in a new Refund.",
		v1alpha1.ReasonPartialRefundNotSupported: "The provider gives back whole payments only; nothing was sent. Leave amount out in a new Refund.",
		v1alpha1.ReasonRefundConflict:            "A Refund of this name asked for another amount before. Nothing was sent for this one. Use a new name.",
		v1alpha1.ReasonTooManyRefunds:            "This payment has as many refunds as one record holds. Give the rest back in the provider's portal.",
		v1alpha1.ReasonInvalidRequest:            "The refund cannot be requested as written; nothing was sent. Correct it in a new Refund.",
	}
}

// failed: by the word of the provider.
func failed() map[v1alpha1.Reason]string {
	return map[v1alpha1.Reason]string{
		v1alpha1.ReasonRequestRejected:   "The provider rejected the request; nothing was given back.",
		v1alpha1.ReasonProviderRefused:   "The provider said that the refund failed; nothing was given back.",
		v1alpha1.ReasonPayerDeclined:     "The provider said that the refund was declined; nothing was given back.",
		v1alpha1.ReasonInsufficientFunds: "The merchant's balance is too low; nothing was given back. Fund it and create a new Refund.",
		v1alpha1.ReasonPayerNotFound:     "The payer's account is not found any more; nothing was given back.",
		v1alpha1.ReasonLimitReached:      "A limit of the payer's or the merchant's account is reached; nothing was given back.",
		v1alpha1.ReasonNotAllowed:        "The provider does not allow this refund; nothing was given back.",
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
