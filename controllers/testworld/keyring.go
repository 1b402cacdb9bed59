package testworld

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/callback"
)

// keyring is filled when a process boots, before anything can befall it: what
// reads it is no part of a payment.
func (w *World) keyring(resolver *account.Resolver) *callback.Keyring {
	direct := *resolver
	direct.Reader, direct.Live = shelf{w}, shelf{w}
	k := &callback.Keyring{Reader: shelf{w}, Accounts: &direct}
	w.must(k.Load(w.ctx, account.KindNamespaced, types.NamespacedName{Namespace: Shop, Name: w.opts.Provider}))
	return k
}

// shelf reads what is stored; none of its reads is a point.
type shelf struct{ w *World }

func (s shelf) Get(_ context.Context, name client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	k := Key{kindOf(into), name.Namespace, name.Name}
	return tell(k, s.w.Store.Live(k), into)
}

func (shelf) List(context.Context, client.ObjectList, ...client.ListOption) error { return errNoVerb }
