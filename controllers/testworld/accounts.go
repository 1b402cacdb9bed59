package testworld

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// System is the operator's own namespace.
const System = "mobile-money-system"

// openAccounts makes the merchant's account and its Secret.
func (w *World) openAccounts() {
	w.declare(w.secret(Shop, credentials()[w.opts.Provider]))
	w.declare(w.accountOf(Account, w.accountSpec("sandbox")))
}

// Crowd lets another tenant with an account at the same merchant, which is asked once a
// second, create n Payments at once.
func (w *World) Crowd(n int) {
	const market = "market"
	spec := w.accountSpec("sandbox")
	spec.RateLimit.ChecksPerSecond = 1
	o := w.accountOf(Account, spec)
	o.SetNamespace(market)
	w.declare(w.secret(market, credentials()[w.opts.Provider]))
	w.declare(o)
	w.crowd += n
	for i := range n {
		w.Pay(fmt.Sprintf("crowd-%d", i), "2901", func(p *v1alpha1.Payment) {
			p.Namespace, p.Spec.Phone = market, fmt.Sprintf("+22505010302%02d", i)
		})
	}
}

// accountOf a kind: the shop's own, or one of the cluster that it may use.
func (w *World) accountOf(kind Kind, spec v1alpha1.MerchantAccountSpec) client.Object {
	if kind == Account {
		return &v1alpha1.MerchantAccount{ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: w.opts.Provider}, Spec: spec}
	}
	return &v1alpha1.ClusterMerchantAccount{
		ObjectMeta: metav1.ObjectMeta{Name: w.opts.Provider},
		Spec:       v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: spec, AllowedNamespaces: v1alpha1.AllowedNamespaces{Names: []string{Shop}}},
	}
}

func (w *World) secret(namespace string, data map[string]string) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: w.opts.Provider}, Data: map[string][]byte{}}
	for k, v := range data {
		s.Data[k] = []byte(v)
	}
	return s
}

// accountSpec is the merchant's account in an environment.
func (w *World) accountSpec(environment string) v1alpha1.MerchantAccountSpec {
	provider := w.opts.Provider
	s := v1alpha1.MerchantAccountSpec{
		Provider: provider, Environment: environment, Currency: "XOF", Country: "ci", SecretRef: v1alpha1.SecretReference{Name: provider},
	}
	switch provider {
	case "mtn":
		s.BaseURL = w.sim.MTNURL()
		if environment == "production" {
			s.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
		}
	case "orange":
		s.BaseURL = w.sim.OrangeURL(map[string]string{"sandbox": "dev", "production": "ci"}[environment])
		s.Orange = &v1alpha1.OrangeAccount{TokenURL: w.sim.OrangeTokenURL()}
	case "wave":
		s.BaseURL = w.sim.WaveURL()
	}
	return s
}

// account is where the merchant's account is now: its key, and its namespace's Secret.
func (w *World) account() (account, secret Key, there bool) {
	account, secret = Key{Account, Shop, w.opts.Provider}, Key{Secret, Shop, w.opts.Provider}
	if w.Store.Live(account) == nil {
		if cluster := (Key{Kind: ClusterAccount, Name: w.opts.Provider}); w.Store.Live(cluster) != nil {
			return cluster, Key{Secret, System, w.opts.Provider}, true
		}
		return account, secret, false
	}
	return account, secret, true
}

func specOf(o client.Object) *v1alpha1.MerchantAccountSpec {
	switch x := o.(type) {
	case *v1alpha1.MerchantAccount:
		return &x.Spec
	case *v1alpha1.ClusterMerchantAccount:
		return &x.Spec.MerchantAccountSpec
	default:
		return nil
	}
}

// EditAccount changes the merchant's account, wherever it is; false: it is gone.
func (w *World) EditAccount(change func(*v1alpha1.MerchantAccountSpec)) bool {
	key, _, there := w.account()
	return there && w.Store.Edit(key, false, func(o client.Object) { change(specOf(o)) })
}

// Rename gives the simulator the other one of its names.
func Rename(s *v1alpha1.MerchantAccountSpec) {
	from, to := "//"+simulatorHost+"/", "//"+otherHost+"/"
	if strings.Contains(s.BaseURL, to) {
		from, to = to, from
	}
	s.BaseURL = strings.Replace(s.BaseURL, from, to, 1)
}

// SwitchEnvironment makes the account one of the other environment.
func (w *World) SwitchEnvironment() bool {
	return w.EditAccount(func(s *v1alpha1.MerchantAccountSpec) {
		to := "production"
		if s.Environment == to {
			to = "sandbox"
		}
		suspend := s.Suspend
		*s = w.accountSpec(to)
		s.Suspend = suspend
	})
}

// MoveAccount makes the account one of the cluster, or of the shop again: the same merchant under another kind.
func (w *World) MoveAccount() bool {
	account, secret, there := w.account()
	if !there {
		return false
	}
	o, keys := w.Store.Live(account), w.Store.Live(secret)
	spec := *specOf(o).DeepCopy()
	w.Store.Delete(account)
	kind, to := ClusterAccount, Key{Secret, System, w.opts.Provider}
	if account.Kind == ClusterAccount {
		kind, to.Namespace = Account, Shop
	}
	if s, ok := keys.(*corev1.Secret); ok {
		w.Store.Delete(to)
		w.declare(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: to.Namespace, Name: to.Name}, Data: s.Data})
	}
	next := w.accountOf(kind, spec)
	w.Store.Delete(KeyOf(next)) // one of an earlier move
	w.declare(next)
	return true
}

// MendAccount puts back what the merchant's account needs: the object, open, in the
// environment in which it is, the Secret, and the right keys.
func (w *World) MendAccount() {
	w.mendPinned()
	account, secret, there := w.account()
	if !there {
		w.declare(w.accountOf(Account, w.accountSpec("sandbox")))
	}
	if w.Store.Live(secret) == nil {
		w.declare(w.secret(secret.Namespace, credentials()[w.opts.Provider]))
	}
	w.rightKeys()
	w.EditAccount(func(s *v1alpha1.MerchantAccountSpec) {
		*s = w.accountSpec(s.Environment)
	})
	if account.Kind == ClusterAccount {
		w.Allow(true)
	}
}

// mendPinned puts the accounts back that Charges are pinned to and that are gone.
func (w *World) mendPinned() {
	for _, o := range w.Store.All(Charge) {
		pin := o.(*v1alpha1.Charge).Spec.Account
		spec := w.accountSpec(pin.Environment)
		k, secret := Key{Account, Shop, pin.Name}, Key{Secret, Shop, pin.Name}
		if pin.Kind == ClusterAccount.String() {
			k, secret = Key{Kind: ClusterAccount, Name: pin.Name}, Key{Secret, System, pin.Name}
		}
		if w.Store.Live(k) == nil {
			w.declare(w.accountOf(k.Kind, spec))
		}
		if w.Store.Live(secret) == nil {
			w.declare(w.secret(secret.Namespace, credentials()[w.opts.Provider]))
		}
		w.editSecret(secret, "")
	}
}

// DeleteAccount deletes the account, or only its Secret; false: it is gone.
func (w *World) DeleteAccount(secretOnly bool) bool {
	account, secret, there := w.account()
	if secretOnly {
		return w.Store.Delete(secret)
	}
	return there && w.Store.Delete(account)
}

// Allow says whether the shop may use the account of the cluster.
func (w *World) Allow(yes bool) bool {
	return w.Store.Edit(Key{Kind: ClusterAccount, Name: w.opts.Provider}, false, func(o client.Object) {
		names := &o.(*v1alpha1.ClusterMerchantAccount).Spec.AllowedNamespaces.Names
		if *names = nil; yes {
			*names = []string{Shop}
		}
	})
}

// editKeys changes the secrets that prove who we are, by what is put after them.
func (w *World) editKeys(suffix string) bool {
	_, secret, _ := w.account()
	return w.editSecret(secret, suffix)
}

func (w *World) editSecret(secret Key, suffix string) bool {
	keys := []string{"apiSecret", "disbursementAPISecret", "clientSecret", "apiKey"}
	have := credentials()[w.opts.Provider]
	return w.Store.Edit(secret, false, func(o client.Object) {
		for _, k := range keys {
			if v := have[k]; v != "" {
				o.(*corev1.Secret).Data[k] = []byte(v + suffix)
			}
		}
	})
}

// Keys makes the Secret hold other credentials: rotated ones, of which the old ones
// stay good, or wrong ones; false: there is no Secret.
func (w *World) Keys(rotate bool) bool {
	if rotate {
		w.rotated = true
		return w.editKeys(rotated)
	}
	return w.editKeys("-wrong")
}

// rightKeys mends what somebody got wrong; a Secret that is away, once it is back.
func (w *World) rightKeys() {
	_, secret, _ := w.account()
	if w.Store.Live(secret) == nil {
		w.after(mendedAfter, w.rightKeys)
		return
	}
	w.editKeys("")
}
