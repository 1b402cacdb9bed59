// Package restoreguard detects that an older snapshot of etcd was restored under a running
// operator: the revisions of the API server go back. What was sent since the snapshot is then
// missing in the records, so a process that detects it sends nothing more.
//
// A process that starts after the restore has nothing to compare with: a person has to start it with --adopt-only.
package restoreguard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/redact"
)

// remembered is how many written objects are remembered.
const remembered = 20_000

// Detector compares the revisions that the API server gives out. It is pure: no
// clock, no I/O. What it detected, it never takes back.
type Detector struct {
	// OnRestore is called once, with the sign and the object that showed it, or an empty
	// one of its kind; nil: nothing is.
	OnRestore func(sign string, o client.Object)

	mu       sync.Mutex
	detected bool
	// newest revision seen, by kind: only within one are they comparable.
	newest map[string]string
	// written is what was acknowledged to this process, by UID.
	written *lru.Cache
	writes  int64
}

type write struct {
	number  int64
	version string
}

// moment is what was known when a request began. What is learnt while it is in flight
// proves nothing against its answer.
type moment struct {
	newest string
	writes int64
}

// Detected reports whether a restore was detected.
func (d *Detector) Detected() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.detected
}

// begin is called before a request about objects of o's kind.
func (d *Detector) begin(o client.Object) moment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return moment{newest: d.newest[kind(o)], writes: d.writes}
}

// wrote: the write of o was acknowledged. before is the version that it was written over; empty for a new object. A
// write that changed nothing keeps its version; any other gets one above all that were known before.
func (d *Detector) wrote(m moment, o client.Object, before string) {
	version := o.GetResourceVersion()
	if version != before && less(version, m.newest) {
		d.trip("a write was given a revision below one that was known", o)
	}
	d.saw(kind(o), version)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.written == nil {
		d.written = lru.New(remembered)
	}
	d.written.Add(o.GetUID(), write{number: d.writes, version: version})
}

// lastWrite to o that was acknowledged to this process, if it is remembered. d is locked.
func (d *Detector) lastWrite(o client.Object) write {
	if d.written == nil {
		return write{}
	}
	found, _ := d.written.Get(o.GetUID())
	ours, _ := found.(write)
	return ours
}

// read: o was read past every cache. It cannot be older than what we wrote to it.
func (d *Detector) read(m moment, o client.Object) {
	d.mu.Lock()
	ours := d.lastWrite(o)
	d.mu.Unlock()
	if ours.number <= m.writes && less(o.GetResourceVersion(), ours.version) {
		d.trip("an object is older than what this process wrote to it", o)
	}
	d.saw(kind(o), o.GetResourceVersion())
}

// Behind tells whether o, as a cache shows it, is older than what this process wrote to it.
func (d *Detector) Behind(o client.Object) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.detected && less(o.GetResourceVersion(), d.lastWrite(o).version)
}

// listed: the newest revision is version, by a list past every cache of objects like o.
func (d *Detector) listed(m moment, o client.Object, version string) {
	if less(version, m.newest) {
		d.trip("the newest revision is below one that was known", o)
	}
	d.saw(kind(o), version)
}

// changed: a watch, or the list that began it again, replaced old by o.
func (d *Detector) changed(old, o client.Object) {
	if old.GetUID() == o.GetUID() && less(o.GetResourceVersion(), old.GetResourceVersion()) {
		d.trip("a watched object became older", o)
	}
	d.saw(kind(o), o.GetResourceVersion())
}

func (d *Detector) saw(kind, version string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.newest == nil {
		d.newest = map[string]string{}
	}
	if d.newest[kind] == "" || less(d.newest[kind], version) {
		d.newest[kind] = version
	}
}

func (d *Detector) trip(sign string, o client.Object) {
	d.mu.Lock()
	first := !d.detected
	d.detected = true
	d.mu.Unlock()
	if first && d.OnRestore != nil {
		d.OnRestore(sign, o)
	}
}

func kind(o client.Object) string { return fmt.Sprintf("%T", o) }

// less compares two revisions; what is none is not less.
func less(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// Client is c with its acknowledged writes compared. Its reads may be cached, and prove nothing.
func (d *Detector) Client(c client.Client) client.Client { return watchedClient{c, d} }

// Reader is r, which reads past every cache, with its answers compared.
func (d *Detector) Reader(r client.Reader) client.Reader { return watchedReader{r, d} }

type watchedClient struct {
	client.Client
	detector *Detector
}

func (c watchedClient) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	return c.detector.write(o, func() error { return c.Client.Create(ctx, o, opts...) })
}

func (c watchedClient) Update(ctx context.Context, o client.Object, opts ...client.UpdateOption) error {
	return c.detector.write(o, func() error { return c.Client.Update(ctx, o, opts...) })
}

func (c watchedClient) Status() client.SubResourceWriter {
	return watchedStatus{c.Client.Status(), c.detector}
}

type watchedStatus struct {
	client.SubResourceWriter
	detector *Detector
}

func (s watchedStatus) Update(ctx context.Context, o client.Object, opts ...client.SubResourceUpdateOption) error {
	return s.detector.write(o, func() error { return s.SubResourceWriter.Update(ctx, o, opts...) })
}

func (d *Detector) write(o client.Object, do func() error) error {
	m, before := d.begin(o), o.GetResourceVersion()
	if err := do(); err != nil {
		return err
	}
	d.wrote(m, o, before)
	return nil
}

type watchedReader struct {
	client.Reader
	detector *Detector
}

func (r watchedReader) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	m := r.detector.begin(o)
	if err := r.Reader.Get(ctx, key, o, opts...); err != nil {
		return err
	}
	r.detector.read(m, o)
	return nil
}

// Watch follows the watches of a manager, and asks now and then for the newest
// revision, so that an idle operator and a replica that does not lead notice, too.
type Watch struct {
	Detector *Detector
	Cache    cache.Cache
	// Live reads past the cache.
	Live client.Reader
	// Every is the time between two questions.
	Every time.Duration
}

// NeedLeaderElection: every replica has to know before it leads.
func (w *Watch) NeedLeaderElection() bool { return false }

// Start works until ctx is over.
func (w *Watch) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	for _, o := range []client.Object{&v1alpha1.Payment{}, &v1alpha1.Charge{}, &v1alpha1.Refund{}} {
		informer, err := w.Cache.GetInformer(ctx, o)
		if err != nil {
			return fmt.Errorf("watching %T: %w", o, err)
		}
		if _, err := informer.AddEventHandler(w.Detector.handler()); err != nil {
			return fmt.Errorf("watching %T: %w", o, err)
		}
	}
	ticker := time.NewTicker(w.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			w.ask(ctx)
		}
	}
}

func (d *Detector) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) {
			if o, ok := o.(client.Object); ok {
				d.saw(kind(o), o.GetResourceVersion())
			}
		},
		UpdateFunc: func(old, o any) {
			before, ok := old.(client.Object)
			now, ok2 := o.(client.Object)
			if ok && ok2 {
				d.changed(before, now)
			}
		},
	}
}

// ask lists as little as can be. That the API server does not answer says nothing.
func (w *Watch) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.Every)
	defer cancel()
	var list v1alpha1.ChargeList
	o := &v1alpha1.Charge{}
	m := w.Detector.begin(o)
	if err := w.Live.List(ctx, &list, client.Limit(1)); err != nil {
		log.FromContext(ctx).V(1).Info("Cannot ask for the newest revision", "error", err.Error())
		return
	}
	if len(list.Items) > 0 {
		o = &list.Items[0]
	}
	w.Detector.listed(m, o, list.ResourceVersion)
}
