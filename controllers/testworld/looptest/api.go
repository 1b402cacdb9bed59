package looptest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
)

// bearing is an API server that gives what is created a uid, a time and a generation.
func (w *World) bearing(api client.WithWatch) client.WithWatch {
	return interceptor.NewClient(api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if o.GetUID() == "" {
				w.mu.Lock()
				w.uids++
				o.SetUID(types.UID(fmt.Sprint("uid-", w.uids)))
				w.mu.Unlock()
			}
			if t := o.GetCreationTimestamp(); t.IsZero() {
				o.SetCreationTimestamp(metav1.NewTime(w.Clock.Now().Truncate(time.Second)))
			}
			o.SetGeneration(max(1, o.GetGeneration()))
			return c.Create(ctx, o, opts...)
		},
	})
}

// point is a place where a process can die: before or after a write or a call.
func (w *World) point(label string, do func() error) error {
	w.mu.Lock()
	n := len(w.Points)
	w.Points = append(w.Points, label)
	w.mu.Unlock()
	if w.OnPoint != nil {
		if err := w.OnPoint(n, label, false); err != nil {
			return err
		}
	}
	err := do()
	if w.OnPoint != nil {
		if hookErr := w.OnPoint(n, label, true); hookErr != nil {
			return hookErr
		}
	}
	return err
}

// cached is what the cache of the loop holds of an object.
func (w *World) cached(o client.Object) error {
	switch o := o.(type) {
	case *v1alpha1.Payment:
		*o = *w.Stubs.Held(o).(*v1alpha1.Payment)
	case *v1alpha1.Charge:
		*o = *w.Stubs.Held(o).(*v1alpha1.Charge)
	}
	return nil
}

// watched is a client of the loop: what it reads is cached, and each write is a point.
func (w *World) watched() client.Client {
	cache := func() client.Reader {
		if w.Stale != nil {
			return w.Stale
		}
		return w.API
	}
	write := func(verb string, o client.Object, sub string, do func() error) error {
		kind := strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.")
		return w.point(strings.TrimSpace(verb+" "+kind+" "+sub), func() error {
			w.publish(o)
			err := do()
			if err == nil {
				w.mu.Lock()
				w.Writes++
				w.mu.Unlock()
			}
			return err
		})
	}
	return stub.NewClient(interceptor.NewClient(w.API, interceptor.Funcs{
		Get: func(ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if err := cache().Get(ctx, key, o, opts...); err != nil {
				return err
			}
			return w.cached(o)
		},
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if err := cache().List(ctx, list, opts...); err != nil {
				return err
			}
			return meta.EachListItem(list, func(o runtime.Object) error { return w.cached(o.(client.Object)) })
		},
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write("create", o, "", func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return write("delete", o, "", func() error { return c.Delete(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write("update", o, "", func() error { return c.Update(ctx, o, opts...) })
		},
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return write("update", o, sub, func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
	}), w.API)
}

// publish is what others may read of what is written: all but what a Charge and nextAction are there to keep.
func (w *World) publish(o client.Object) {
	switch o := o.(type) {
	case *v1alpha1.Payment:
		status := o.Status.DeepCopy()
		status.NextAction = nil
		w.said.Say(status)
	case *v1alpha1.Refund:
		w.said.Say(o.Status)
	}
}

// wire makes each call to a provider a point.
type wire struct {
	w     *World
	inner providers.Transport
}

func (t wire) Do(ctx context.Context, call providers.Call) (answer providers.Answer, err error) {
	t.w.mu.Lock()
	t.w.Calls = append(t.w.Calls, call)
	t.w.mu.Unlock()
	err = t.w.point("call "+string(call.Operation), func() (err error) {
		answer, err = t.inner.Do(ctx, call)
		return err
	})
	return answer, err
}
