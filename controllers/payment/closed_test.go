package payment

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// suspend closes an account, or opens it again.
func (w *world) suspend(name string, suspended bool) {
	w.t.Helper()
	var m v1alpha1.MerchantAccount
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: name}, &m))
	m.Spec.Suspend = suspended
	must(w.t, w.api.Update(w.ctx, &m))
}

// A closed account stops a first request, whatever else is so, and nothing else.
func TestClosedStopsTheFirstRequestOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		provider := rapid.SampledFrom([]string{"mtn", "orange", "wave"}).Draw(t, "provider")
		f := situation(provider)
		f.settings.AdoptOnly = rapid.Bool().Draw(t, "adoptOnly")
		f.payment.Spec.Cancel = rapid.Bool().Draw(t, "cancel")
		rec := &f.charge.Record
		rec.Sends = rapid.Int32Range(0, 4).Draw(t, "sends")
		rec.VoidSends = rapid.Int32Range(0, rec.Sends).Draw(t, "void")
		if rec.Sends > 0 {
			ago := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "ago"))
			rec.LastSend = &v1alpha1.Send{Number: rec.Sends, Sender: "me", At: micro(-ago)}
			f.seen = observation{at: noon, notFound: rapid.Bool().Draw(t, "notFound")}
		}
		if rapid.Bool().Draw(t, "opened") {
			rec.Session = &v1alpha1.ChargeSession{At: micro(-time.Minute)}
		}
		before := decide(f)
		f.closed = v1alpha1.ReasonAccountSuspended
		after := decide(f)
		first := before.action == actSend && openSends(rec) == 0
		switch {
		case first && (after.action != actNote || after.reason != f.closed):
			t.Fatalf("%+v", after)
		case !first && after != before:
			t.Fatalf("%+v became %+v", before, after)
		}
		rec.Notice = &v1alpha1.ChargeNotice{Reason: f.closed}
		if again := decide(f); first && again.action != actWait {
			t.Fatalf("noted already: %+v", again)
		}
	})
}

// Nothing new is sent through a suspended account; it goes on once it is open again.
func TestSuspendedBeforeTheClaim(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payerPays = true
		w.suspend(provider, true)
		w.payment("sale", provider, "1901")
		w.until("sale", time.Hour, func() bool { return false })
		expectPhase(t, w.get("sale"), v1alpha1.PhasePending, v1alpha1.ReasonAccountSuspended)
		if w.charge("sale") != nil || len(w.sim.Journal()) != 0 {
			t.Fatalf("%s: claimed, or called", provider)
		}
		w.suspend(provider, false)
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if n := w.charges("sale"); n != 1 {
			t.Errorf("%s: charged %d times", provider, n)
		}
	}
}

// What is claimed is not sent, also where the cache shows the account as it was.
func TestSuspendedAfterTheClaim(t *testing.T) {
	for _, behind := range []bool{false, true} {
		for _, provider := range []string{"mtn", "orange", "wave"} {
			w := newWorld(t)
			w.payerPays = true
			w.payment("sale", provider, "1901")
			w.until("sale", time.Hour, func() bool { return w.charge("sale") != nil })
			if behind {
				w.loop.Accounts.Reader = notSuspended(w.api)
			}
			w.suspend(provider, true)
			w.until("sale", time.Hour, func() bool { return false })
			expectPhase(t, w.get("sale"), v1alpha1.PhasePending, v1alpha1.ReasonAccountSuspended)
			if c := w.charge("sale"); c.Record.Sends != 0 || c.Record.Notice.Message == "" {
				t.Fatalf("%s, behind %t: %+v", provider, behind, c.Record)
			}
			w.suspend(provider, false)
			expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if n := w.charges("sale"); n != 1 {
				t.Errorf("%s: charged %d times", provider, n)
			}
		}
	}
}

// What was asked for is followed to its end.
func TestSuspendedAfterTheSend(t *testing.T) {
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payerPays = true
		w.payment("sale", provider, "1901")
		w.until("sale", time.Hour, func() bool { return w.charge("sale") != nil && w.charge("sale").Record.Session != nil })
		w.suspend(provider, true)
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
