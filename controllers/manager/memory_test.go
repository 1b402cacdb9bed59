package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/stub"
)

// What the caches may hold of a Payment and its Charge, in bytes of heap (docs/adr/0024). The
// process takes half as much again for garbage.
const (
	heapFinished = 2400
	heapOpen     = 4000
)

func TestCaches_BytesPerPayment(t *testing.T) {
	const pairs = 10_000
	for name, tc := range map[string]struct {
		phase v1alpha1.Phase
		most  int
	}{
		"paid":   {v1alpha1.PhaseSucceeded, heapFinished},
		"failed": {v1alpha1.PhaseFailed, heapFinished + 400},
		"open":   {v1alpha1.PhaseProcessing, heapOpen},
	} {
		t.Run(name, func(t *testing.T) {
			before := liveHeap()
			c := newCaches(t)
			for i := range pairs {
				p, charge := pair(i, tc.phase)
				c.add(t, p, charge)
			}
			each := (liveHeap() - before) / pairs
			runtime.KeepAlive(c)
			t.Logf("%d bytes of heap for each of %d payments", each, pairs)
			if each > tc.most {
				t.Errorf("more than %d", tc.most)
			}
			if c.stubs != 2*pairs && tc.phase.Terminal() || c.stubs != 0 && !tc.phase.Terminal() {
				t.Errorf("%d stubs", c.stubs)
			}
		})
	}
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// caches are the stores of a manager, with all of its indexes.
type caches struct {
	payments, charges toolscache.Indexer
	transform         *stub.Transform
	stubs             int
}

func newCaches(t *testing.T) *caches {
	t.Helper()
	c := &caches{transform: payment.NewTransform(time.Now)}
	empty := func() toolscache.Indexer {
		return toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, toolscache.Indexers{toolscache.NamespaceIndex: toolscache.MetaNamespaceIndexFunc})
	}
	c.payments, c.charges = empty(), empty()
	if err := setupIndexes(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// IndexField adds an index as controller-runtime does.
func (c *caches) IndexField(_ context.Context, o client.Object, field string, values client.IndexerFunc) error {
	store := c.charges
	switch o.(type) {
	case *v1alpha1.Payment:
		store = c.payments
	case *v1alpha1.Charge:
	default:
		return nil
	}
	return store.AddIndexers(toolscache.Indexers{"field:" + field: func(o any) (keys []string, err error) {
		namespace := o.(client.Object).GetNamespace()
		for _, value := range values(o.(client.Object)) {
			keys = append(keys, "__all_namespaces/"+value)
			if namespace != "" {
				keys = append(keys, namespace+"/"+value)
			}
		}
		return keys, nil
	}})
}

// add both as they come from the API server.
func (c *caches) add(t *testing.T, p *v1alpha1.Payment, charge *v1alpha1.Charge) {
	t.Helper()
	for _, one := range []struct {
		from, into client.Object
		transform  toolscache.TransformFunc
		store      toolscache.Indexer
	}{
		{p, &v1alpha1.Payment{}, c.transform.Payment, c.payments},
		{charge, &v1alpha1.Charge{}, c.transform.Charge, c.charges},
	} {
		text, err := json.Marshal(one.from)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, one.into); err != nil {
			t.Fatal(err)
		}
		held, err := one.transform(one.into)
		if err != nil {
			t.Fatal(err)
		}
		if stub.Is(held.(client.Object)) {
			c.stubs++
		}
		if err := one.store.Add(held); err != nil {
			t.Fatal(err)
		}
	}
}

// pair is a payment through MTN as the operator leaves it, half an hour after the payer was asked.
func pair(i int, phase v1alpha1.Phase) (*v1alpha1.Payment, *v1alpha1.Charge) {
	inst := installation.Installation{ID: "shop-cluster", Key: []byte("0123456789abcdef0123456789abcdef")}
	now := time.Now()
	sent, over := metav1.NewMicroTime(now.Add(-30*time.Minute)), metav1.NewMicroTime(now.Add(-29*time.Minute))
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: namespace, Name: name, UID: uuid.NewUUID(), ResourceVersion: fmt.Sprint(1_000_000 + i), Generation: 1,
			CreationTimestamp: metav1.NewTime(sent.Time),
		}
	}
	p := &v1alpha1.Payment{ObjectMeta: meta("shop", fmt.Sprintf("order-%06d", i)), Spec: v1alpha1.PaymentSpec{
		Provider: "mtn", Amount: v1alpha1.AmountFromInt(5000), Currency: "XOF", Phone: fmt.Sprintf("+22505%08d", i), Description: "Two pairs of shoes",
	}}
	charge := &v1alpha1.Charge{ObjectMeta: meta("", inst.ChargeName("shop", p.Name)), Spec: v1alpha1.ChargeSpec{
		InstallationID: inst.ID, ReferenceVersion: installation.ReferenceVersion, MerchantReference: p.Name, Provider: "mtn",
		Payment: v1alpha1.PaymentIdentity{Namespace: "shop", Name: p.Name, UID: string(p.UID)},
		Account: v1alpha1.AccountPin{
			Kind: "MerchantAccount", Namespace: "shop", Name: "mtn", Environment: "production", TargetEnvironment: "mtnivorycoast",
			BaseURL: "https://proxy.momoapi.mtn.com/collection",
		},
		Requested: v1alpha1.Money{Amount: "5000", Currency: "XOF"}, Money: v1alpha1.Money{Amount: "5000", Currency: "XOF"},
		Fingerprint: inst.Fingerprint(p, "XOF"), Payer: inst.Payer(p.Spec.Phone), CallbackID: inst.PathKeys().ID("mtn", inst.ChargeName("shop", p.Name)),
		ProviderReference: string(uuid.NewUUID()), TimeoutSeconds: 3600,
	}}
	charge.Record.Attempt = v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: sent}}
	p.Status = v1alpha1.PaymentStatus{
		Phase: phase, ObservedGeneration: 1, ChargeName: charge.Name, Reference: p.Name, Account: "MerchantAccount/mtn", Environment: "production",
		Amount: "5000", Currency: "XOF", ProviderReference: charge.Spec.ProviderReference, Sends: 1, InitiatedAt: &metav1.Time{Time: sent.Time},
	}
	standing := attempt.Standing{Finished: metav1.ConditionFalse, Succeeded: metav1.ConditionUnknown, Reason: v1alpha1.ReasonAwaitingPayer}
	if phase.Terminal() {
		p.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: metav1.NewMicroTime(over.Add(-time.Millisecond)), Claim: "SUCCESSFUL", Digest: charge.Spec.Fingerprint}
		p.Status.CompletedAt = &metav1.Time{Time: over.Truncate(time.Second)}
		end := &v1alpha1.Outcome{Phase: phase, Reason: v1alpha1.ReasonPaid, TransactionID: fmt.Sprint(9_000_000 + i), At: over}
		charge.Record.Outcome = end
		standing.Finished, standing.Succeeded, standing.Reason = metav1.ConditionTrue, metav1.ConditionTrue, end.Reason
	}
	standing.Message = reasons.OfPayments().Of(standing.Reason, "")
	attempt.SetConditions(&p.Status.Conditions, standing, 1, now)
	return p, charge
}
