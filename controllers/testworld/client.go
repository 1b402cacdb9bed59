package testworld

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	applyv1alpha1 "mobilemoney.dev/operator/api/applyconfiguration/api/v1alpha1"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/retention"
)

var (
	errLost    = errors.New("the connection to the API server was lost")
	errNoVerb  = errors.New("the world's API server does not know this verb: teach it, and sweep it")
	errDropped = errors.New("the API server did not answer")
)

// api is a process's way to the API server: reads come from its cache, or past it if it is live; each use is a point. A
// verb that the world does not know is that of a nil client, and panics: teach it, and sweep it.
type api struct {
	client.Client
	p    *Process
	live bool
}

var (
	_ client.Client = (*api)(nil)
	_ client.Reader = (*api)(nil)
)

func (a *api) Get(_ context.Context, name client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	k := Key{kindOf(into), name.Namespace, name.Name}
	a.p.alive()
	if a.live || k.Kind == Secret || k.Kind == Namespace {
		return a.getLive(k, into)
	}
	h := a.p.w.arrive(a.p, Read, "get "+k.Kind.String())
	a.p.alive()
	found := a.p.view.objects.find(k)
	switch h.kind {
	case ReadError:
		return errDropped
	case StaleOne:
		found = a.p.viewBefore(k)
		a.p.behind(k.Kind)
	case StaleAll:
		found = nil
		a.p.behind(k.Kind)
	}
	a.p.w.observer.Shown(a.p, k, found, false)
	return tell(k, a.p.cached(found), into)
}

func (a *api) getLive(k Key, into client.Object) error {
	h := a.p.w.arrive(a.p, LiveRead, "live get "+k.Kind.String())
	a.p.alive()
	switch h.kind {
	case ReadError:
		return errDropped
	case Slow:
		a.p.w.advance(20 * time.Second)
	case Gone:
		a.p.w.remove(k)
	}
	found := a.p.w.Store.Live(k)
	a.p.w.observer.Shown(a.p, k, found, true)
	return tell(k, found, into)
}

func tell(k Key, found, into client.Object) error {
	if found == nil {
		return apierrors.NewNotFound(k.Kind.resource(), k.Name)
	}
	copyInto(into, found)
	return nil
}

func (a *api) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	a.p.alive()
	kind, err := listed(into)
	if err != nil || a.live {
		return errors.Join(err, errNoVerb)
	}
	var o client.ListOptions
	o.ApplyOptions(opts)
	h := a.p.w.arrive(a.p, Read, "list "+kind.String())
	a.p.alive()
	from := a.p.view.objects
	switch h.kind {
	case ReadError:
		return errDropped
	case StaleOne:
		from = a.p.viewOneBehind(kind)
		a.p.behind(kind)
	case StaleAll:
		from = nil
		a.p.behind(kind)
	}
	a.p.w.list(a.p.cache(from), kind, o, into)
	return nil
}

// list adds what matches.
func (w *World) list(from table, kind Kind, o client.ListOptions, into client.ObjectList) {
	for _, found := range from {
		if kindOf(found) == kind && (o.Namespace == "" || found.GetNamespace() == o.Namespace) && w.matches(kind, found, o) {
			addTo(into, found)
		}
	}
}

func listed(into client.ObjectList) (Kind, error) {
	switch into.(type) {
	case *v1alpha1.PaymentList:
		return Payment, nil
	case *v1alpha1.ChargeList:
		return Charge, nil
	case *v1alpha1.RefundList:
		return Refund, nil
	default:
		return 0, errNoVerb
	}
}

func addTo(into client.ObjectList, o client.Object) {
	switch l := into.(type) {
	case *v1alpha1.PaymentList:
		l.Items = append(l.Items, *o.(*v1alpha1.Payment).DeepCopy())
	case *v1alpha1.ChargeList:
		l.Items = append(l.Items, *o.(*v1alpha1.Charge).DeepCopy())
	case *v1alpha1.RefundList:
		l.Items = append(l.Items, *o.(*v1alpha1.Refund).DeepCopy())
	}
}

// index of the cache, as the product sets them up.
type index struct {
	kind  Kind
	field string
	value client.IndexerFunc
}

// IndexField takes an index; a World is a client.FieldIndexer.
func (w *World) IndexField(_ context.Context, o client.Object, field string, value client.IndexerFunc) error {
	w.indexes = append(w.indexes, index{kindOf(o), field, value})
	return nil
}

func (w *World) matches(kind Kind, o client.Object, opts client.ListOptions) bool {
	if opts.FieldSelector == nil {
		return true
	}
	for _, r := range opts.FieldSelector.Requirements() {
		i := slices.IndexFunc(w.indexes, func(i index) bool { return i.kind == kind && i.field == r.Field })
		if i < 0 || !slices.Contains(w.indexes[i].value(o), r.Value) {
			return false
		}
	}
	return true
}

func (a *api) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	k := keyOf(o)
	return a.write("create "+k.Kind.String(), k, func() error { return a.p.w.Store.Create(o) },
		func() { _ = a.p.w.Store.Create(clone(o)) })
}

func (a *api) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	k := keyOf(o)
	return a.write("update "+k.Kind.String(), k, func() error { return a.p.w.Store.Update(o, false) }, a.foreignEdit(k))
}

func (a *api) foreignEdit(k Key) func() {
	return func() {
		a.p.w.Store.Edit(k, false, func(o client.Object) {
			labels := maps.Clone(o.GetLabels())
			if labels == nil {
				labels = map[string]string{}
			}
			labels["somebody"] = "was-here"
			o.SetLabels(labels)
		})
	}
}

// write is a point at which a write is made, or something in its place. faster
// is what somebody else may do just before.
func (a *api) write(label string, k Key, do func() error, faster func()) error {
	p := a.p
	p.alive()
	h := p.w.arrive(p, Write, label)
	p.alive()
	switch h.kind {
	case CrashBefore:
		p.die(h.stale)
	case Conflict:
		faster()
	case Throttled:
		return apierrors.NewTooManyRequests("the API server is busy", 1)
	case Error500:
		return apierrors.NewInternalError(errDropped)
	case Deleted:
		p.w.remove(k)
	}
	before := len(p.w.Store.history)
	p.w.Store.writer = p
	err := do()
	p.w.Store.writer = nil
	if err != nil {
		p.w.logf(p, "%s %s: %v", label, k.Name, err)
		if apierrors.IsInvalid(err) {
			p.w.observer.Refused(p, k, err)
		}
		return err
	}
	wrote := len(p.w.Store.history) > before
	switch h.kind {
	case Lost:
		p.w.advance(10 * time.Second)
		return errLost
	case LostCrash:
		p.die(h.stale)
	case Held:
		p.w.hold()
	case Dropped:
		p.w.drop(before)
	}
	if wrote {
		p.w.observer.Acknowledged(p, p.w.Store.history[before])
	}
	return nil
}

// Delete an object under its uid and version: the operator deletes nothing else.
func (a *api) Delete(_ context.Context, o client.Object, opts ...client.DeleteOption) error {
	k := keyOf(o)
	var d client.DeleteOptions
	d.ApplyOptions(opts)
	if d.Preconditions == nil || d.Preconditions.UID == nil || d.Preconditions.ResourceVersion == nil {
		a.p.w.observer.Careless(k)
		return errNoVerb
	}
	return a.write("delete "+k.Kind.String(), k, func() error {
		return a.p.w.Store.Remove(k, *d.Preconditions.UID, *d.Preconditions.ResourceVersion)
	}, a.foreignEdit(k))
}

func (a *api) Status() client.SubResourceWriter { return statusAPI{a: a} }

func (a *api) SubResource(string) client.SubResourceClient { return statusAPI{a: a} }

func (a *api) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	return v1alpha1.SchemeGroupVersion.WithKind(kindOf(o.(client.Object)).String()), nil
}

func (a *api) IsObjectNamespaced(o runtime.Object) (bool, error) {
	k := kindOf(o.(client.Object))
	return k != Charge && k != ClusterAccount && k != Namespace, nil
}

// statusAPI writes the subresource status.
type statusAPI struct {
	client.SubResourceClient
	a *api
}

func (s statusAPI) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	k := keyOf(o)
	return s.a.write("update "+k.Kind.String()+"/status", k, func() error { return s.a.p.w.Store.Update(o, true) }, s.a.foreignEdit(k))
}

// Apply knows the one apply there is: the note of a callback, which its manager
// owns and nobody else writes, and which therefore names no version.
func (s statusAPI) Apply(_ context.Context, config runtime.ApplyConfiguration, _ ...client.SubResourceApplyOption) error {
	note, ok := config.(*applyv1alpha1.PaymentApplyConfiguration)
	if !ok || note.Status == nil || note.Status.LastCallback == nil {
		return errNoVerb
	}
	k := Key{Payment, *note.Namespace, *note.Name}
	return s.a.write("patch Payment/status", k, func() error {
		done := s.a.p.w.Store.Edit(k, true, func(o client.Object) {
			at := &o.(*v1alpha1.Payment).Status.LastCallback
			*at = &v1alpha1.CallbackNote{ReceivedAt: *note.Status.LastCallback.ReceivedAt}
			if claim := note.Status.LastCallback.Claim; claim != nil {
				(*at).Claim = *claim
			}
			if digest := note.Status.LastCallback.Digest; digest != nil {
				(*at).Digest = *digest
			}
		})
		if !done {
			return apierrors.NewNotFound(k.Kind.resource(), k.Name)
		}
		return nil
	}, func() {})
}

// keyring is filled when a process boots, before anything can befall it: what reads it is no part of a payment.
func (w *World) keyring(resolver *account.Resolver) *callback.Keyring {
	direct := *resolver
	direct.Reader, direct.Live = shelf{w: w}, shelf{w: w}
	k := &callback.Keyring{Reader: shelf{w: w}, Accounts: &direct}
	w.must(k.Load(w.ctx, account.KindNamespaced, types.NamespacedName{Namespace: Shop, Name: w.opts.Provider}))
	return k
}

// shelf reads what is stored, or what the cache of a process holds of it; none of its reads is a point.
type shelf struct {
	client.Client
	w *World
	// cache of this process; nil: it reads live.
	cache *Process
}

func (s shelf) hold(o client.Object) client.Object {
	if s.cache == nil {
		return o
	}
	return s.cache.cached(o)
}

func (s shelf) Get(_ context.Context, name client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	s.w.shelves.Lock()
	defer s.w.shelves.Unlock()
	k := Key{kindOf(into), name.Namespace, name.Name}
	return tell(k, s.hold(s.w.Store.Live(k)), into)
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
	from := make(table, 0, len(s.w.Store.objects))
	for _, o := range s.w.Store.objects {
		from = append(from, s.hold(o))
	}
	s.w.list(from, kind, o, into)
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
	return &retention.Collector{
		Client: shelf{w: w, cache: p}, Live: shelf{w: w}, Installation: p.Installation(), Settings: retention.DefaultSettings(), Now: p.now,
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
