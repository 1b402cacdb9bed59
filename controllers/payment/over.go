package payment

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/stub"
)

// NewTransform returns what the caches of a process are filled by.
func NewTransform(now func() time.Time) *stub.Transform {
	prompted := func(c *v1alpha1.Charge) time.Time { return promptlimit.Counted(c, now()) }
	return stub.New(paymentOver, attempt.Over, prompted)
}

// paymentOver tells whether nothing is left to do for p, as far as it shows itself: it is finished,
// its status needs no write, and nothing was given back.
func paymentOver(p *v1alpha1.Payment) bool {
	s := p.Status
	if !s.Phase.Terminal() || s.SettledBy != "" || s.Refunded != "" || p.DeletionTimestamp != nil {
		return false
	}
	return sameStatus(afterEnd(projection{payment: p}, s, time.Time{}), s)
}

// nothingLeft tells of a sale whether nothing is left to do, by what a cache holds of it: what is there are stubs, and no
// callback came after the end. It is the only place that says so. Where there is one, either end may need the other.
func nothingLeft(p *v1alpha1.Payment, c *v1alpha1.Charge) bool {
	switch {
	case p == nil && c == nil, p != nil && !stub.Is(p), c != nil && !stub.Is(c):
		return false
	case p == nil || c == nil || p.Status.LastCallback == nil:
		return true
	default:
		return !p.Status.LastCallback.ReceivedAt.After(c.Record.Outcome.At.Time)
	}
}

// whole reads live of what the cache holds a stub. That a Charge is gone of which the cache knows an outcome is
// no reason to ask again: whoever deleted it may not have meant that, and the cache will show it, too.
func (r *Reconciler) whole(ctx context.Context, v view) (view, error) {
	var err error
	if stub.Is(v.payment) {
		v.payment, err = attempt.Get[v1alpha1.Payment](ctx, r.Live, v.key)
	}
	if !stub.Is(v.charge) || err != nil {
		return v, err
	}
	name := v.charge.Name
	v.charge, err = attempt.Get[v1alpha1.Charge](ctx, r.Live, types.NamespacedName{Name: name})
	if v.charge == nil && err == nil {
		err = fmt.Errorf("reading Charge %s, which is over and gone: %w", name, attempt.ErrBehind)
	}
	return v, err
}
