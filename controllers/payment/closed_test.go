package payment

import (
	"context"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// Nothing is sent again through an account that was suspended after a send that was void, also
// where the cache shows the account as it was.
func TestSuspended_StopsTheNextSend(t *testing.T) {
	for _, behind := range []bool{false, true} {
		for _, provider := range []string{"mtn", "orange", "wave"} {
			w := newWorld(t)
			w.payerPays = true
			limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
			w.payment("sale", provider, "1901")
			w.until("sale", time.Hour, func() bool { return limited.Fired() > 0 })
			w.Sim.ClearScripts()
			if behind {
				w.loop.Accounts.Reader = notSuspended(w.API)
			}
			w.Suspend(provider, true)
			w.until("sale", time.Hour, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAccountSuspended)
			if c := w.charge("sale"); c.Record.Sends != 1 || len(c.Record.Open) != 0 {
				t.Fatalf("%s, behind %t: %+v", provider, behind, c.Record)
			}
			w.Suspend(provider, false)
			expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if n := w.charges("sale"); n != 1 {
				t.Errorf("%s: charged %d times", provider, n)
			}
		}
	}
}

// What was asked for is followed to its end.
func TestSuspended_AfterTheSend(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payerPays = true
		w.payment("sale", provider, "1901")
		w.until("sale", time.Hour, func() bool { return w.charge("sale") != nil && w.charge("sale").Record.Taken != nil })
		w.Suspend(provider, true)
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
}

// notSuspended is a cache that is behind.
func notSuspended(api client.WithWatch) client.Reader {
	return interceptor.NewClient(api, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			if m, ok := o.(*v1alpha1.MerchantAccount); ok {
				m.Spec.Suspend = false
			}
			return err
		},
	})
}
