package callback

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

// Keyring has the callback secrets of every account in memory, so that a callback with a wrong signature causes no
// read. The operator may get Secrets and not watch them, so it is filled when an account changes, and every Refresh.
type Keyring struct {
	// Reader reads accounts; a cache will do.
	Reader   client.Reader
	Accounts *account.Resolver
	// Refresh is how long a Secret that was changed may verify as it was.
	Refresh time.Duration

	mu   sync.RWMutex
	keys map[accountKey][]providers.Secret

	once  sync.Once
	dummy providers.Secret
}

// padding is how many secrets are tried for every callback, whether the account has
// as many or not, so that the time of an answer reveals nothing.
const padding = account.MaxCallbackSecrets

// secrets of an account, and whether they are loaded.
func (k *Keyring) secrets(key accountKey) (own []providers.Secret, loaded bool) {
	if key.kind == account.KindOperator {
		// From the environment: no I/O.
		own, _ = k.read(context.Background(), key)
		return own, true
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	own, loaded = k.keys[key]
	return own, loaded
}

// padded adds secrets that nobody has.
func (k *Keyring) padded(own []providers.Secret) []providers.Secret {
	k.once.Do(func() { k.dummy = providers.Secret(rand.Text() + rand.Text()) })
	out := append(make([]providers.Secret, 0, padding), own...)
	for len(out) < padding {
		out = append(out, k.dummy)
	}
	return out
}

// Load reads what verifies the callbacks of an account. An account that is gone, or whose Secret
// is, verifies nothing; where the API gives no answer, what was loaded stays.
func (k *Keyring) Load(ctx context.Context, kind string, name types.NamespacedName) error {
	provider, err := k.providerOf(ctx, kind, name)
	if apierrors.IsNotFound(err) {
		k.put(kind, name, "", nil)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the account: %w", err)
	}
	secrets, err := k.read(ctx, accountKey{provider, kind, name.Namespace, name.Name})
	// A Secret that may not be read does not exist, for good: no reason to answer 503.
	if err != nil && !apierrors.IsForbidden(err) {
		return err
	}
	k.put(kind, name, provider, secrets)
	return nil
}

func (k *Keyring) read(ctx context.Context, key accountKey) ([]providers.Secret, error) {
	acct, err := k.Accounts.ForCallbacks(ctx, key.provider, key.kind, key.namespace, key.name)
	if err == nil && len(acct.Kind.CallbackSecretKeys) > 0 {
		var secrets []providers.Secret
		if secrets, err = k.Accounts.CallbackSecrets(ctx, acct); err == nil {
			return secrets, nil
		}
	}
	var p *account.Problem
	if errors.As(err, &p) {
		return nil, nil
	}
	return nil, err
}

func (k *Keyring) providerOf(ctx context.Context, kind string, name types.NamespacedName) (string, error) {
	if kind == account.KindCluster {
		var a v1alpha1.ClusterMerchantAccount
		err := k.Reader.Get(ctx, name, &a)
		return a.Spec.Provider, err
	}
	var a v1alpha1.MerchantAccount
	err := k.Reader.Get(ctx, name, &a)
	return a.Spec.Provider, err
}

// put replaces the secrets of an account; no provider: it is gone.
func (k *Keyring) put(kind string, name types.NamespacedName, provider string, secrets []providers.Secret) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key := range k.keys {
		if key.kind == kind && key.namespace == name.Namespace && key.name == name.Name {
			delete(k.keys, key)
		}
	}
	if provider == "" {
		return
	}
	if k.keys == nil {
		k.keys = map[accountKey][]providers.Secret{}
	}
	k.keys[accountKey{provider, kind, name.Namespace, name.Name}] = secrets
}

// exists reports whether the cache has such an account.
func (r *Receiver) exists(ctx context.Context, key accountKey) bool {
	provider, err := r.Keyring.providerOf(ctx, key.kind, types.NamespacedName{Namespace: key.namespace, Name: key.name})
	return err == nil && provider == key.provider
}

// SetupWithManager keeps the keyring filled, on every replica.
func (k *Keyring) SetupWithManager(mgr ctrl.Manager) error {
	everywhere := false
	for kind, object := range map[string]client.Object{
		account.KindNamespaced: &v1alpha1.MerchantAccount{}, account.KindCluster: &v1alpha1.ClusterMerchantAccount{},
	} {
		err := ctrl.NewControllerManagedBy(mgr).
			Named("callback-keys-"+kind).
			For(object, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
			WithOptions(controller.Options{
				NeedLeaderElection: &everywhere,
				// After a start, all of them wait for a read each.
				MaxConcurrentReconciles: 8,
				RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[ctrl.Request](time.Second, k.Refresh),
			}).
			Complete(k.reconciler(kind))
		if err != nil {
			return fmt.Errorf("setting the keyring of callbacks up: %w", err)
		}
	}
	return nil
}

func (k *Keyring) reconciler(kind string) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
		if err := k.Load(ctx, kind, req.NamespacedName); err != nil {
			return ctrl.Result{}, err
		}
		if !k.has(kind, req.NamespacedName) {
			return ctrl.Result{}, nil
		}
		return ctrl.Result{RequeueAfter: k.Refresh}, nil
	})
}

// has reports whether the account is known and its provider signs callbacks.
func (k *Keyring) has(kind string, name types.NamespacedName) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for provider, known := range k.Accounts.Registry {
		if _, ok := k.keys[accountKey{provider, kind, name.Namespace, name.Name}]; ok {
			return len(known.CallbackSecretKeys) > 0
		}
	}
	return false
}
