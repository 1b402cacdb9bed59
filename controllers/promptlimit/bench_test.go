package promptlimit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// index answers lists by an index, as the cache of controller-runtime does where nothing is copied deeply.
type index struct {
	client.Reader
	by map[string][]runtime.Object
}

func (x *index) add(c *v1alpha1.Charge) {
	for _, key := range namespaceKeys(c) {
		x.by[IndexNamespace+"="+key] = append(x.by[IndexNamespace+"="+key], c)
	}
}

func (x *index) List(_ context.Context, out client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	var found []runtime.Object
	for _, r := range o.FieldSelector.Requirements() {
		found = x.by[fields.OneTermEqualSelector(r.Field, r.Value).String()]
	}
	return meta.SetList(out, append([]runtime.Object(nil), found...))
}

// filled is an index of Charges that were sent within the last hour.
func filled(charges, namespaces int) *index {
	x := &index{by: map[string][]runtime.Object{}}
	for i := range charges {
		x.add(&v1alpha1.Charge{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("charge-%d", i)},
			Spec: v1alpha1.ChargeSpec{
				Payer: fmt.Sprintf("payer-%d", i/4), Payment: v1alpha1.PaymentIdentity{Namespace: fmt.Sprintf("shop-%d", i%namespaces)},
			},
			Record: v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{
				Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: metav1.NewMicroTime(noon.Add(-time.Duration(i) * window / time.Duration(charges)))},
			}},
		})
	}
	return x
}

// Check runs before every first send, under one lock for all of them.
func BenchmarkLimiter_Check(b *testing.B) {
	for _, c := range []struct {
		name                string
		charges, namespaces int
		limits              Limits
	}{
		{"charges=0", 0, 1, Limits{20, 3000}},
		{"charges=10000_namespaces=100", 10_000, 100, Limits{20, 3000}},
		{"charges=10000_namespaces=1", 10_000, 1, Limits{20, 20_000}},
		{"charges=10000_exceeded", 10_000, 1, Limits{20, 3000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, l := filled(c.charges, c.namespaces), &Limiter{}
			next := Prompt{Namespace: "shop-0", Payer: "payer-0", At: noon.Add(time.Minute)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Check(context.Background(), x, "charge-new", next, c.limits); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
