package testworld

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/retention"
)

// keyring is filled when a process boots, before anything can befall it: what
// reads it is no part of a payment.
func (w *World) keyring(resolver *account.Resolver) *callback.Keyring {
	direct := *resolver
	direct.Reader, direct.Live = shelf{w: w}, shelf{w: w}
	k := &callback.Keyring{Reader: shelf{w: w}, Accounts: &direct}
	w.must(k.Load(w.ctx, account.KindNamespaced, types.NamespacedName{Namespace: Shop, Name: w.opts.Provider}))
	return k
}

// shelf reads what is stored; none of its reads is a point.
type shelf struct {
	client.Client
	w *World
}

func (s shelf) Get(_ context.Context, name client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.w.shelves.Lock()
	defer s.w.shelves.Unlock()
	k := Key{kindOf(into), name.Namespace, name.Name}
	return tell(k, s.w.Store.Live(k), into)
}

func (s shelf) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	s.w.shelves.Lock()
	defer s.w.shelves.Unlock()
	kind, err := listed(into)
	if err != nil {
		return err
	}
	var o client.ListOptions
	o.ApplyOptions(opts)
	for _, found := range s.w.Store.objects {
		if kindOf(found) == kind && (o.Namespace == "" || found.GetNamespace() == o.Namespace) && s.w.matches(kind, found, o) {
			addTo(into, found)
		}
	}
	return nil
}

// Delete for the collector, which works in goroutines of its own.
func (s shelf) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	s.w.shelves.Lock()
	defer s.w.shelves.Unlock()
	var d client.DeleteOptions
	d.ApplyOptions(opts)
	return s.w.Store.Remove(keyOf(o), *d.Preconditions.UID, *d.Preconditions.ResourceVersion)
}

// collector of a process. What it does is no part of a payment.
func (w *World) collector(p *Process) *retention.Collector {
	direct := shelf{w: w}
	return &retention.Collector{
		Client: direct, Live: direct, Installation: p.Installation(), Settings: retention.DefaultSettings(), Now: p.now,
		ServerNow: func(context.Context) (time.Time, error) { return w.clock.Now(), nil }, Leads: p.Leads,
		Collected: w.opts.Shared.Collected, Log: w.said.Logger(),
	}
}

// Collect lets every process look for Charges that can go.
func (w *World) Collect() {
	for _, p := range w.processes {
		if p.dead || p.busy {
			continue
		}
		w.Store.writer = p
		w.must(p.collector.Sweep(w.ctx))
		w.Store.writer = nil
	}
}
