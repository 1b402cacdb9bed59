package refund

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// suspend closes an account, or opens it again.
func (w *world) suspend(name string, suspended bool) {
	w.t.Helper()
	var m v1alpha1.MerchantAccount
	must(w.t, w.api.Get(w.ctx, types.NamespacedName{Namespace: shop, Name: name}, &m))
	m.Spec.Suspend = suspended
	must(w.t, w.api.Update(w.ctx, &m))
}

// Nothing is given back through a suspended account, neither before the claim nor
// after it, also where the cache is behind. It goes on once the account is open
// again, and gives back once.
func TestSuspended(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		for name, closeIt := range map[string]func(w *world){
			"before the claim": func(*world) {},
			"after the claim": func(w *world) {
				for claimOf(w.charge("sale"), "back") == nil {
					w.step("back")
				}
			},
			"after the claim, the cache behind": func(w *world) {
				for claimOf(w.charge("sale"), "back") == nil {
					w.step("back")
				}
				w.loop.Accounts.Reader = interceptor.NewClient(w.api, interceptor.Funcs{
					Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
						err := c.Get(ctx, key, o, opts...)
						if m, ok := o.(*v1alpha1.MerchantAccount); ok {
							m.Spec.Suspend = false
						}
						return err
					},
				})
			},
		} {
			t.Run(provider+" "+name, func(t *testing.T) {
				w := newWorld(t)
				w.pay("sale", provider, "5000")
				w.refund("back", "sale", "")
				closeIt(w)
				w.suspend(provider, true)
				w.settle("back", time.Hour)
				expect(t, w.get("back"), v1alpha1.RefundPending, v1alpha1.ReasonAccountSuspended)
				if got := w.givenBack("sale"); got != "0" && got != "" {
					t.Fatalf("gave back %s", got)
				}
				w.suspend(provider, false)
				w.settle("back", time.Hour)
				expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
				if got := w.givenBack("sale"); got != "5000" {
					t.Errorf("gave back %s", got)
				}
			})
		}
	}
}

// What was asked for is followed to its end.
func TestSuspendedAfterTheSend(t *testing.T) {
	w := newWorld(t)
	w.pay("sale", "mtn", "5000")
	w.refund("back", "sale", "")
	w.sent()
	w.suspend("mtn", true)
	w.settle("back", time.Hour)
	expect(t, w.get("back"), v1alpha1.RefundSucceeded, v1alpha1.ReasonRefunded)
}
