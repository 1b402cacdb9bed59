package testworld

import (
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/providertest/canary"
)

// publish adds to the transcript what others may read of an object: all of a status but where nextAction leads.
func (w *World) publish(o client.Object) {
	switch x := o.(type) {
	case *v1alpha1.Payment:
		status := x.Status
		status.NextAction = nil
		w.said.Say(status.Conditions, status.Failure, status.LastCallback, status.TransactionID, status.ProviderReference, status.Account)
	case *v1alpha1.Refund:
		w.said.Say(x.Status)
	case *v1alpha1.MerchantAccount:
		w.said.Say(x.Status)
	}
}

// Leaks are the credentials, tokens, pages and phones in what was said.
func (w *World) Leaks() []canary.Leak {
	// Those of other runs of the worker are looked for, too: most are the same.
	secrets := w.opts.Shared.secrets
	for key, value := range credentials()[w.opts.Provider] {
		secrets.Secret(key, value)
	}
	for _, secret := range w.sim.Secrets() {
		secrets.Secret("a token, a session or its page", secret)
	}
	secrets.Phone("the payer", payer)
	return w.said.Leaks(secrets)
}
