// Package stub keeps the caches small: of an object that is over, they hold a stub, which is what indexes, lists and
// watches still need of it. Whoever needs the whole object reads it from the API server.
//
//	stub.go       what is left of an object
//	transform.go  what a cache holds
//	client.go     a client that reads whole objects
package stub

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// mark is the number of sends of a stub. The CRDs refuse it: no object that is stored can
// look like a stub, and no stub can be stored.
const mark int32 = -1

// Is tells whether o is a stub.
func Is(o client.Object) bool {
	switch o := o.(type) {
	case *v1alpha1.Payment:
		return o != nil && o.Status.Sends == mark
	case *v1alpha1.Charge:
		return o != nil && o.Record.Sends == mark
	default:
		return false
	}
}

// payment returns the stub of p, which is over. A callback that may have come after the end is kept: where the end is
// not "paid", the provider is asked because of it.
func (t *Transform) payment(p *v1alpha1.Payment) *v1alpha1.Payment {
	out := &v1alpha1.Payment{ObjectMeta: t.meta(p)}
	out.Status.Sends, out.Status.Phase = mark, shared(t, p.Status.Phase)
	note, end := p.Status.LastCallback, p.Status.CompletedAt
	// What the status shows is in whole seconds.
	if note != nil && p.Status.Phase != v1alpha1.PhaseSucceeded && (end == nil || !note.ReceivedAt.Time.Before(end.Time)) {
		out.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: note.ReceivedAt}
	}
	return out
}

// charge returns the stub of c, which is over. What was not paid is still found by its late callbacks, and what rang a
// phone a short time ago still counts against the prompt limit.
func (t *Transform) charge(c *v1alpha1.Charge) *v1alpha1.Charge {
	out := &v1alpha1.Charge{ObjectMeta: t.meta(c)}
	spec, end := &out.Spec, c.Record.Outcome
	spec.InstallationID, spec.ReferenceVersion = shared(t, c.Spec.InstallationID), shared(t, c.Spec.ReferenceVersion)
	spec.Provider, spec.Account = shared(t, c.Spec.Provider), t.pin(c.Spec.Account)
	spec.Payment.Namespace, spec.Payment.Name = shared(t, c.Spec.Payment.Namespace), c.Spec.Payment.Name
	out.Record.Sends, out.Record.Outcome = mark, &t.paid
	if end.Phase != v1alpha1.PhaseSucceeded {
		out.Record.Outcome = &v1alpha1.Outcome{Phase: shared(t, end.Phase), At: end.At}
		t.findable(out, c)
	}
	if at := t.Prompted(c); !at.IsZero() {
		spec.Payer, out.Record.Taken = c.Spec.Payer, &v1alpha1.Taken{At: metav1.NewMicroTime(at)}
	}
	return out
}

// findable keeps what late callbacks find c by that do not name it.
func (t *Transform) findable(out, c *v1alpha1.Charge) {
	if c.Spec.CallbackID != "" {
		return
	}
	out.Spec.ProviderReference = c.Spec.ProviderReference
	if s := c.Record.Session; s != nil && s.ID != "" {
		out.Record.Session = &v1alpha1.Session{ID: s.ID}
	}
}

// meta is what caches and the restore guard go by.
func (t *Transform) meta(o client.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace: shared(t, o.GetNamespace()), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
		Generation: o.GetGeneration(), CreationTimestamp: o.GetCreationTimestamp(),
	}
}
