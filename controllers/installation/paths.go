package installation

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// PathKeys sign the part of a callback's path that names a Charge, and verify it
// before anything is looked up: the first key signs, each of them verifies.
type PathKeys struct {
	derived []byte

	mu sync.RWMutex
	// keys verify; signer is one of them.
	keys   [][]byte
	signer []byte
}

// PathKeys of an installation that has no key of its own for paths: one that is derived from the operator's key.
func (i Installation) PathKeys() *PathKeys {
	key := i.keyed("callback-path-key/v1")
	return &PathKeys{derived: key, keys: [][]byte{key}, signer: key}
}

const (
	// chargeBytes of a Charge's name, which are its digest; the MAC has 128 bits.
	chargeBytes = 25
	macBytes    = 16
	// PathIDLength is that of an ID: URLs that providers are told are short (Orange
	// takes 120 characters), so it is base64 and not the base32 of names.
	PathIDLength = (8*(chargeBytes+macBytes) + 5) / 6
	chargePrefix = "charge-"
)

func idEncoding() *base64.Encoding { return base64.RawURLEncoding.Strict() }

func nameEncoding() *base32.Encoding {
	return base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
}

// ID names a Charge in a path: its digest, and a MAC that nobody can make without
// the key. A name that ChargeName does not make has none.
func (k *PathKeys) ID(provider, chargeName string) string {
	digest, err := nameEncoding().DecodeString(strings.TrimPrefix(chargeName, chargePrefix))
	if err != nil || len(digest) != chargeBytes || chargePrefix+nameEncoding().EncodeToString(digest) != chargeName {
		return ""
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return idEncoding().EncodeToString(append(digest, pathMAC(k.signer, provider, chargeName)...))
}

// Verify returns the name of the Charge that an ID names, and the position of the key that signed
// it; -1: none did. It reads nothing, and does the same work whatever it is given.
func (k *PathKeys) Verify(provider, id string) (chargeName string, position int) {
	raw, err := idEncoding().DecodeString(id)
	// The length, too: the decoder passes over line breaks.
	wellFormed := err == nil && len(id) == PathIDLength && len(raw) == chargeBytes+macBytes
	if !wellFormed {
		raw = make([]byte, chargeBytes+macBytes)
	}
	name := chargePrefix + nameEncoding().EncodeToString(raw[:chargeBytes])
	position = -1
	k.mu.RLock()
	defer k.mu.RUnlock()
	for i, key := range k.keys { // all of them: no early exit
		if hmac.Equal(pathMAC(key, provider, name), raw[chargeBytes:]) && wellFormed && position < 0 {
			position = i
		}
	}
	if position < 0 {
		return "", -1
	}
	return name, position
}

func pathMAC(key []byte, provider, chargeName string) []byte {
	sum := digest("callback/v2", provider, chargeName)
	mac := hmac.New(sha256.New, key)
	mac.Write(sum[:])
	return mac.Sum(nil)[:macBytes]
}

// set takes the keys as they are now. A new one verifies at once, and signs from
// the next time on: by then every replica knows it.
func (k *PathKeys) set(keys [][]byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := func(key []byte) bool {
		return slices.ContainsFunc(k.keys, func(old []byte) bool { return hmac.Equal(old, key) })
	}
	if known(keys[0]) || !slices.ContainsFunc(keys, func(key []byte) bool { return hmac.Equal(key, k.signer) }) {
		k.signer = keys[0]
	}
	k.keys = keys
}

// The optional Secret with keys for paths.
const (
	pathKeySecretName = "mobile-money-callback-keys"
	pathKeyCurrent    = "current"
	pathKeyPrevious   = "previous"
)

// Load reads the Secret with the path keys. Without it, the key that is derived from the operator's
// key is the only one. The derived key also stands in for a missing previous key, so that the first
// rotation is none for open payments; an empty previous key says that there is none any more.
func (k *PathKeys) Load(ctx context.Context, c client.Reader, namespace string) error {
	var s corev1.Secret
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: pathKeySecretName}, &s)
	if apierrors.IsNotFound(err) {
		k.set([][]byte{k.derived})
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading Secret %s: %w", pathKeySecretName, err)
	}
	previous, given := s.Data[pathKeyPrevious]
	if !given {
		previous = k.derived
	}
	keys := [][]byte{s.Data[pathKeyCurrent]}
	if len(previous) > 0 {
		keys = append(keys, previous)
	}
	for _, key := range keys {
		if len(key) < keyBytes {
			return errors.New("a key in Secret " + pathKeySecretName + " is missing or shorter than 32 bytes; the keys that were read before stay in force")
		}
	}
	k.set(keys)
	return nil
}

// PathKeyLoader reads the path keys every interval, on every replica.
type PathKeyLoader struct {
	Keys      *PathKeys
	Live      client.Reader
	Namespace string
	Every     time.Duration
	Log       logr.Logger
}

// NeedLeaderElection is false: every replica verifies.
func (l *PathKeyLoader) NeedLeaderElection() bool { return false }

// Start reads the keys until ctx is over.
func (l *PathKeyLoader) Start(ctx context.Context) error {
	ticks := time.NewTicker(l.Every)
	defer ticks.Stop()
	for {
		if err := l.Keys.Load(ctx, l.Live, l.Namespace); err != nil && ctx.Err() == nil {
			l.Log.Error(err, "Failed to read the keys of callback paths")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}
