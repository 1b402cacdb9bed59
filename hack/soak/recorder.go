package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// recorder writes down what every version of every Payment says. It goes on where it
// was when the API server is away; where that is not possible it lists, and counts a
// gap: what came and went in one, it has not seen.
type recorder struct {
	api client.WithWatch
	// see is told about each version.
	see func(*v1alpha1.Payment)

	mu       sync.Mutex // guards everything below
	versions []version
	last     map[types.UID]string // resourceVersion
	phases   map[types.UID]v1alpha1.Phase
	gaps     int
}

func newRecorder(api client.WithWatch, see func(*v1alpha1.Payment)) *recorder {
	return &recorder{api: api, see: see, last: map[types.UID]string{}, phases: map[types.UID]v1alpha1.Phase{}}
}

var errGap = errors.New("the API server does not know any more what was changed since")

// run records until ctx is over.
func (r *recorder) run(ctx context.Context) {
	from := ""
	for ctx.Err() == nil {
		var err error
		if from == "" {
			from, err = r.list(ctx)
		} else {
			from, err = r.follow(ctx, from)
		}
		if errors.Is(err, errGap) {
			from = ""
			r.mu.Lock()
			r.gaps++
			r.mu.Unlock()
		}
		pause(ctx, 100*time.Millisecond)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (r *recorder) list(ctx context.Context) (from string, err error) {
	var list v1alpha1.PaymentList
	if err := r.api.List(ctx, &list); err != nil {
		return "", err
	}
	for i := range list.Items {
		r.record(&list.Items[i], false)
	}
	return list.ResourceVersion, nil
}

// follow watches, and returns where to go on.
func (r *recorder) follow(ctx context.Context, from string) (string, error) {
	w, err := r.api.Watch(ctx, &v1alpha1.PaymentList{}, &client.ListOptions{Raw: &metav1.ListOptions{
		ResourceVersion: from, AllowWatchBookmarks: true,
	}})
	if err != nil {
		return from, err
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			return from, errGap
		}
		if o, err := meta.Accessor(e.Object); err == nil {
			from = o.GetResourceVersion()
		}
		if p, ok := e.Object.(*v1alpha1.Payment); ok && e.Type != watch.Bookmark {
			r.record(p, e.Type == watch.Deleted)
		}
	}
	return from, nil
}

func (r *recorder) record(p *v1alpha1.Payment, deleted bool) {
	st := &p.Status
	says := st.Phase == v1alpha1.PhaseSucceeded || meta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionSucceeded) ||
		meta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionReady)
	r.mu.Lock()
	known := r.last[p.UID] == p.ResourceVersion
	if !known {
		r.last[p.UID] = p.ResourceVersion
		r.phases[p.UID] = st.Phase
		if deleted {
			delete(r.phases, p.UID)
		}
		r.versions = append(r.versions, version{
			uid: p.UID, namespace: p.Namespace, name: p.Name, sale: p.SaleReference(), seen: time.Now(), deleted: deleted,
			phase: st.Phase, succeeded: says, transaction: st.TransactionID, reference: st.ProviderReference,
		})
	}
	r.mu.Unlock()
	if !known && !deleted {
		r.see(p)
	}
}

// open counts the Payments that are not finished.
func (r *recorder) open() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, phase := range r.phases {
		if !phase.Terminal() && phase != v1alpha1.PhaseUnknown {
			n++
		}
	}
	return n
}

func (r *recorder) all() ([]version, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.versions), r.gaps
}
