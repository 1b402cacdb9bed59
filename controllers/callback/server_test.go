package callback

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

// What a real API server makes of a note: our manager owns it and nothing else.
func TestNote_OnARealServer(t *testing.T) {
	env, ctx := testenv.ForTest(t), t.Context()
	api := env.Client()
	now := time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	r := &Receiver{Client: api}

	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "order-1"},
		Spec:       v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.AmountFromInt(5000), Phone: phone},
	}
	must(t, api.Create(ctx, p))
	fresh := p.DeepCopy()
	p.Status.Phase = v1alpha1.PhaseProcessing
	must(t, api.Status().Update(ctx, p, client.FieldOwner("loop")))

	// The cache may be behind: a note needs no resourceVersion.
	must(t, r.apply(ctx, fresh, received{claim: "SUCCESSFUL", digest: "d1", at: now}))
	var got v1alpha1.Payment
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.Phase != v1alpha1.PhaseProcessing || got.Status.LastCallback == nil ||
		got.Status.LastCallback.Claim != "SUCCESSFUL" || !got.Status.LastCallback.ReceivedAt.Time.Equal(now) {
		t.Errorf("%+v", got.Status)
	}
	expectOwner(t, &got)

	// The loop writes the whole status, note included; the next note is in nobody's way.
	got.Status.Phase = v1alpha1.PhaseUnknown
	must(t, api.Status().Update(ctx, &got, client.FieldOwner("loop")))
	now = now.Add(time.Minute)
	must(t, r.apply(ctx, &got, received{claim: "FAILED", digest: "d2", at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.Phase != v1alpha1.PhaseUnknown || got.Status.LastCallback.Claim != "FAILED" {
		t.Errorf("%+v", got.Status)
	}
	// A note without a word takes the old word back.
	must(t, r.apply(ctx, &got, received{at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.LastCallback.Claim != "" {
		t.Errorf("the time is new, the word is old: %+v", got.Status.LastCallback)
	}

	must(t, api.Delete(ctx, p))
	if err := r.apply(ctx, p, received{at: now}); !apierrors.IsNotFound(err) {
		t.Errorf("gone: %v", err)
	}
	// A cache that is behind may mean the one before: the API server ignores a uid
	// in a status, so the note lands here. It is a note, and nothing else.
	again := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "order-1"}, Spec: p.Spec}
	must(t, api.Create(ctx, again))
	must(t, r.apply(ctx, p, received{claim: "FAILED", digest: "d3", at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(again), again))
	want := v1alpha1.PaymentStatus{ObservedGeneration: -1, LastCallback: again.Status.LastCallback}
	if again.UID == p.UID || again.Status.LastCallback == nil || !equality.Semantic.DeepEqual(again.Status, want) {
		t.Errorf("%+v", again.Status)
	}
}

func expectOwner(t *testing.T, p *v1alpha1.Payment) {
	t.Helper()
	for _, m := range p.ManagedFields {
		if m.Manager != FieldManager {
			continue
		}
		got := strings.ReplaceAll(m.FieldsV1.GetRawString(), `".":{},`, "")
		if got != `{"f:status":{"f:lastCallback":{"f:claim":{},"f:digest":{},"f:receivedAt":{}}}}` || m.Subresource != "status" || m.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("%s %s owns %s", m.Operation, m.Subresource, got)
		}
		return
	}
	t.Error("nobody owns the note")
}
