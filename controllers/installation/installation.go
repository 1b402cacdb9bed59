// Package installation derives what must never change while money is open: the names
// of Charges, the references that providers are told, and the paths of callbacks.
package installation

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// KeySecretName is the Secret in the operator's namespace with the operator's own key.
const KeySecretName = "mobile-money-operator-key"

const (
	keySecretKey = "key"
	keyBytes     = 32
)

// +kubebuilder:rbac:groups="",namespace=mobile-money-system,resources=secrets,verbs=create

// Load finds out who this installation is. id is the setting; where it is empty, one that is kept with the operator's
// key stands in. The key is kept in a Secret of the operator's namespace, made on the first start from random. made
// reports that it was made just now: fingerprints of older Charges cannot be compared with it.
func Load(ctx context.Context, c client.Client, namespace, id string, random io.Reader) (inst Installation, made bool, err error) {
	key, made, err := loadKey(ctx, c, namespace, random)
	if err != nil {
		return Installation{}, false, err
	}
	inst = Installation{ID: id, Given: id != "", Key: key}
	if id == "" {
		inst.ID = "made-" + hex.EncodeToString(inst.keyed("installation-id/v2")[:8])
	}
	return inst, made, nil
}

func loadKey(ctx context.Context, c client.Client, namespace string, random io.Reader) (key []byte, made bool, err error) {
	name := types.NamespacedName{Namespace: namespace, Name: KeySecretName}
	var s corev1.Secret
	err = c.Get(ctx, name, &s)
	if apierrors.IsNotFound(err) {
		if made, err = createKey(ctx, c, name, random); err != nil {
			return nil, false, err
		}
		err = c.Get(ctx, name, &s)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	if len(s.Data[keySecretKey]) < keyBytes {
		return nil, false, fmt.Errorf("key %q of Secret %s is shorter than %d bytes; restore it from a backup", keySecretKey, name, keyBytes)
	}
	return s.Data[keySecretKey], made, nil
}

// createKey lets one of several replicas win, and reports whether it was this one.
func createKey(ctx context.Context, c client.Client, name types.NamespacedName, random io.Reader) (bool, error) {
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return false, fmt.Errorf("making a key: %w", err)
	}
	immutable := true
	err := c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Immutable:  &immutable,
		Data:       map[string][]byte{keySecretKey: key},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return false, fmt.Errorf("creating Secret %s: %w", name, err)
	}
	return err == nil, nil
}
