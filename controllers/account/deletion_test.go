package account_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
)

const settle = 2 * time.Minute

type indexAdder struct{ *fake.ClientBuilder }

func (i indexAdder) IndexField(_ context.Context, o client.Object, field string, extract client.IndexerFunc) error {
	i.WithIndex(o, field, extract)
	return nil
}

// withSelectableFields are those that the API server knows of a Charge.
func withSelectableFields(b *fake.ClientBuilder) *fake.ClientBuilder {
	for field, value := range map[string]func(*v1alpha1.Charge) string{
		"spec.account.kind": func(c *v1alpha1.Charge) string { return c.Spec.Account.Kind },
		"spec.account.name": func(c *v1alpha1.Charge) string { return c.Spec.Account.Name },
		"record.outcome.phase": func(c *v1alpha1.Charge) string {
			if c.Record.Outcome == nil {
				return ""
			}
			return string(c.Record.Outcome.Phase)
		},
	} {
		b.WithIndex(&v1alpha1.Charge{}, field, func(o client.Object) []string { return []string{value(o.(*v1alpha1.Charge))} })
	}
	return b
}

// open is a Charge through an account that somebody may pay.
func open(name string, pin v1alpha1.AccountPin) *v1alpha1.Charge {
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.ChargeSpec{Provider: "mtn", Account: pin, Payment: v1alpha1.PaymentIdentity{Namespace: "shop", Name: name}},
		Record:     v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1}}}},
	}
}

func pinOf(o client.Object) v1alpha1.AccountPin {
	kind := account.KindNamespaced
	if _, ok := o.(*v1alpha1.ClusterMerchantAccount); ok {
		kind = account.KindCluster
	}
	return v1alpha1.AccountPin{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// reconcile looks at the account once, and tells whether it is still there.
func (r *readiness) reconcile(o client.Object) (ctrl.Result, bool) {
	r.t.Helper()
	result, err := r.Reconcile(r.t.Context(), ctrl.Request{NamespacedName: r.name})
	must(r.t, err)
	err = r.api.Get(r.t.Context(), r.name, o)
	if apierrors.IsNotFound(err) {
		return result, false
	}
	must(r.t, err)
	return result, true
}

// A deletion waits for the open charges of the account, and for nobody else's.
func TestH16DeletionIsHeld(t *testing.T) {
	for name, o := range map[string]client.Object{
		"namespaced": merchant("shop", "mtn", "mtn"), "cluster": cluster("mtn", "mtn", names("shop")),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, pin := t.Context(), pinOf(o)
			charges := []*v1alpha1.Charge{}
			others := []client.Object{namespace("shop", nil), namespace(operatorNamespace, nil)}
			for i := range 5 {
				charges = append(charges, open(fmt.Sprintf("order-%d", i), pin))
				others = append(others, charges[i])
			}
			for i, foreign := range []v1alpha1.AccountPin{
				{Kind: account.KindOperator, Name: "mtn"}, {Kind: account.KindNamespaced, Namespace: "other", Name: "mtn"},
				{Kind: pin.Kind, Namespace: pin.Namespace, Name: "mtn-2"},
			} {
				others = append(others, open(fmt.Sprintf("foreign-%d", i), foreign))
			}
			r := readinessOf(t, o, token(), others...)
			if r.reconcile(o); !slices.Contains(o.GetFinalizers(), v1alpha1.FinalizerCharges) {
				t.Fatal("no finalizer")
			}
			must(t, r.api.Delete(ctx, o))
			for i, over := range charges {
				c, there := r.ready()
				if c.Reason != v1alpha1.ReasonDeletionHeld || c.Status != metav1.ConditionFalse || there != time.Minute {
					t.Fatalf("%+v, next look after %s", c, there)
				}
				if !strings.Contains(c.Message, fmt.Sprintf("Open: %d, such as shop/order-%d", 5-i, i)) || strings.Count(c.Message, "shop/") > 3 {
					t.Errorf("message %q", c.Message)
				}
				over.Record.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded}
				must(t, r.api.Update(ctx, over))
			}
			if _, there := r.reconcile(o); there {
				t.Error("held by nothing")
			}
			if n := len(r.events.Events); n != 1 {
				t.Fatalf("%d events", n)
			}
			// Who reads the events of namespace default learns of no tenant's payments.
			event := <-r.events.Events
			if !strings.Contains(event, "Open: 5") || strings.Contains(event, "shop/") == (name == "cluster") {
				t.Errorf("event %q", event)
			}
		})
	}
}

func TestDeletionIsHeldByWhatIsLive(t *testing.T) {
	o := merchant("shop", "mtn", "mtn")
	r := readinessOf(t, o, token(), namespace("shop", nil), open("order", pinOf(o)))
	r.reconcile(o)
	must(t, r.api.Delete(t.Context(), o))
	empty := withSelectableFields(fake.NewClientBuilder().WithScheme(r.api.Scheme()))
	must(t, account.SetupIndexes(t.Context(), indexAdder{empty}))
	r.Client = behind{r.api, empty.Build()}
	if _, there := r.reconcile(o); !there {
		t.Error("let go while a charge is open")
	}
}

// behind shows no list as it is now.
type behind struct {
	client.Client
	past client.Reader
}

func (b behind) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	return b.past.List(ctx, list, opts...)
}

// A closed account is not passed over: its Payments wait for it. What is open is followed on.
func TestClosedTakesNothingNew(t *testing.T) {
	suspended := func(s *v1alpha1.MerchantAccountSpec) { s.Suspend = true }
	f := setUp(t, merchant("shop", "mtn", "mtn", suspended), cluster("mtn", "mtn", names("shop")),
		secret("shop", "mtn-credentials", keysOf("mtn")))
	chosen, err := f.Resolve(f.ctx, payment("shop", "mtn"))
	must(t, err)
	expectProblem(t, chosen.Closed, v1alpha1.ReasonAccountSuspended, `"mtn" is suspended`, "continues automatically")
	pinned, err := f.Pinned(f.ctx, open("order", v1alpha1.AccountPin{Kind: account.KindNamespaced, Namespace: "shop", Name: "mtn", Environment: "sandbox"}))
	must(t, err)
	f.client(pinned)
	expectProblem(t, pinned.Closed, v1alpha1.ReasonAccountSuspended)

	gone := &account.Account{Pin: v1alpha1.AccountPin{Kind: account.KindNamespaced, Namespace: "shop", Name: "gone"}}
	unsent := open("order", gone.Pin)
	p, err := f.ClosedNow(f.ctx, gone, unsent)
	must(t, err)
	expectProblem(t, p, v1alpha1.ReasonAccountNotFound)
	if p, err := f.ClosedNow(f.ctx, &account.Account{Pin: v1alpha1.AccountPin{Kind: account.KindOperator}}, unsent); p != nil || err != nil {
		t.Error(p, err)
	}
	f.broken = "MerchantAccount"
	if _, err := f.ClosedNow(f.ctx, gone, unsent); err == nil {
		t.Error("an account that cannot be read is not open")
	}
}

// Who removes the CRDs is not stopped: without the kind Charge there is none.
func TestDeletionWithoutTheKindCharge(t *testing.T) {
	o := merchant("shop", "mtn", "mtn")
	r := readinessOf(t, o, token(), namespace("shop", nil))
	r.reconcile(o)
	must(t, r.api.Delete(t.Context(), o))
	gone := apierrors.NewNotFound(schema.GroupResource{Group: "mobilemoney.dev", Resource: "charges"}, "")
	broken := errors.New("the API is out of order")
	for _, err := range []error{broken, gone} {
		r.Resolver.Live = interceptor.NewClient(r.api.(client.WithWatch), interceptor.Funcs{
			List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
		})
		_, got := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: r.name})
		if there := !apierrors.IsNotFound(r.api.Get(t.Context(), r.name, o)); there != errors.Is(err, broken) || there != (got != nil) {
			t.Errorf("%v: there %t, %v", err, there, got)
		}
	}
}
