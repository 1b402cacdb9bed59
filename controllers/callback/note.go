package callback

import (
	"net/http"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	applyv1alpha1 "mobilemoney.dev/operator/api/applyconfiguration/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// FieldManager owns status.lastCallback and nothing else.
const FieldManager = "mobile-money-callback"

// lastCallback is what a callback changes on a Payment: nothing but a note. It
// names no uid, because the API server would ignore it in a status: on a Payment
// of the same name that was created since, the note costs one check.
func lastCallback(name types.NamespacedName, cb providers.Callback, now time.Time) *applyv1alpha1.PaymentApplyConfiguration {
	note := applyv1alpha1.CallbackNote().WithReceivedAt(metav1.NewMicroTime(now))
	if claim := providers.SafeCode(cb.Claim); claim != "" {
		note = note.WithClaim(claim)
	}
	return applyv1alpha1.Payment(name.Name, name.Namespace).
		WithStatus(applyv1alpha1.PaymentStatus().WithLastCallback(note))
}

const landingPage = `<!doctype html>
<html lang="fr"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Paiement / Payment</title>
<body style="font-family:sans-serif;max-width:30em;margin:3em auto;padding:0 1em">
<p>Vous pouvez maintenant revenir chez le marchand. Il vous dira si le paiement est arrivé.</p>
<p lang="en">You can go back to the merchant now, who will tell you whether the payment arrived.</p>
`

// landing is where a payer comes back to whose merchant named no page. It
// promises nothing about the outcome.
func landing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write([]byte(landingPage))
}
