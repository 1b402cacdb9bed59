package restoreguard

import (
	"context"
	"fmt"
	"time"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/redact"
)

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
