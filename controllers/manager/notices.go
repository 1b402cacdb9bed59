package manager

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/redact"
)

// notices tells, once the caches are filled, what a start found that people have to
// know: Charges of another installation id, and a key that is new though Charges are
// not.
type notices struct {
	parts
	// keyMade: this start made the operator's own key.
	keyMade bool
}

// NeedLeaderElection is false: each process tells of its own start.
func (n *notices) NeedLeaderElection() bool { return false }

// Start tells once.
func (n *notices) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	var charges v1alpha1.ChargeList
	if err := n.mgr.GetClient().List(ctx, &charges, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing the Charges that are there at the start: %w", err)
	}
	n.otherInstallations(charges.Items)
	n.newKey(charges.Items)
	return nil
}

func (n *notices) otherInstallations(charges []v1alpha1.Charge) {
	count := map[string]int{}
	for i := range charges {
		if id := charges[i].Spec.InstallationID; id != n.inst.ID {
			count[id]++
		}
	}
	for id, charges := range count {
		n.mgr.GetLogger().Error(nil, "Charges of another installation id: they are not followed, and their Payments are Stalled. "+
			"Start the operator with that --installation-id to go on with them", "id", id, "charges", charges, "ours", n.inst.ID)
	}
}

func (n *notices) newKey(charges []v1alpha1.Charge) {
	if !n.keyMade || len(charges) == 0 {
		return
	}
	const text = "The operator's own key is new, but there are Charges that were made with another one: " +
		"a Payment that is applied again does not adopt them without consent. Restore the Secret from a backup"
	n.mgr.GetLogger().Error(nil, text, "secret", installation.KeySecretName, "charges", len(charges))
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n.opts.namespace, Name: installation.KeySecretName}}
	n.recorder.Eventf(secret, nil, corev1.EventTypeWarning, "OperatorKeyMade", "Start", "%s. Charges: %d.", text, len(charges))
}
