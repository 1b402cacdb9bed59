// Package installation derives what must never change while money is open: the names
// of Charges, the references that providers are told, and the paths of callbacks.
package installation

import (
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	keySecretName = "mobile-money-operator-key"
	keySecretKey  = "key"
	keyBytes      = 32
)

// +kubebuilder:rbac:groups="",namespace=mobile-money-system,resources=secrets,verbs=create

// Load finds out who this installation is. id is the setting; if it
// is empty, the uid of the kube-system namespace stands in. The key is kept in a
// Secret of the operator's namespace, made on the first start from random.
func Load(ctx context.Context, c client.Client, namespace, id string, random io.Reader) (Installation, error) {
	if id == "" {
		var ns corev1.Namespace
		if err := c.Get(ctx, types.NamespacedName{Name: metav1.NamespaceSystem}, &ns); err != nil {
			return Installation{}, fmt.Errorf("reading the kube-system namespace for the installation id: %w", err)
		}
		id = string(ns.UID)
	}
	if id == "" {
		return Installation{}, errors.New("the installation has no id; set --installation-id")
	}
	key, err := loadKey(ctx, c, namespace, random)
	if err != nil {
		return Installation{}, err
	}
	return Installation{ID: id, Key: key}, nil
}

func loadKey(ctx context.Context, c client.Client, namespace string, random io.Reader) ([]byte, error) {
	name := types.NamespacedName{Namespace: namespace, Name: keySecretName}
	var s corev1.Secret
	err := c.Get(ctx, name, &s)
	if apierrors.IsNotFound(err) {
		if err := createKey(ctx, c, name, random); err != nil {
			return nil, err
		}
		err = c.Get(ctx, name, &s)
	}
	if err != nil {
		return nil, fmt.Errorf("reading Secret %s: %w", name, err)
	}
	if len(s.Data[keySecretKey]) < keyBytes {
		return nil, fmt.Errorf("key %q of Secret %s is shorter than %d bytes; restore it from a backup", keySecretKey, name, keyBytes)
	}
	return s.Data[keySecretKey], nil
}

// createKey lets one of several replicas win.
func createKey(ctx context.Context, c client.Client, name types.NamespacedName, random io.Reader) error {
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(random, key); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	immutable := true
	err := c.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name},
		Immutable:  &immutable,
		Data:       map[string][]byte{keySecretKey: key},
	})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("creating Secret %s: %w", name, err)
	}
	return nil
}
