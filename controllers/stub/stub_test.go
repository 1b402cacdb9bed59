package stub

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func everything() *Transform {
	return New(func(*v1alpha1.Payment) bool { return true }, func(*v1alpha1.Charge) bool { return true },
		func(*v1alpha1.Charge) time.Time { return time.Time{} })
}

func ended(phase v1alpha1.Phase) *v1alpha1.Charge {
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: "charge", UID: "uid", ResourceVersion: "7"},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: "id", Provider: "wave", ProviderReference: "reference", Fingerprint: "fingerprint",
			Payment: v1alpha1.PaymentIdentity{Namespace: "shop", Name: "order"}, Account: v1alpha1.AccountPin{Kind: "MerchantAccount", Name: "wave"},
		},
		Record: v1alpha1.ChargeRecord{
			Attempt: v1alpha1.Attempt{Sends: 1, Outcome: &v1alpha1.Outcome{Phase: phase, Reason: "Any", At: metav1.NowMicro()}},
			Session: &v1alpha1.Session{ID: "session", Token: "token"},
		},
	}
}

func server(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	return fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.Payment{}).WithObjects(objects...).Build()
}

func TestTransform_KeepsWhatOthersGoBy(t *testing.T) {
	tr := everything()
	for phase, findable := range map[v1alpha1.Phase]bool{v1alpha1.PhaseSucceeded: false, v1alpha1.PhaseFailed: true} {
		whole := ended(phase)
		held, err := tr.Charge(whole.DeepCopy())
		c := held.(*v1alpha1.Charge)
		if err != nil || !Is(c) || Is(whole) {
			t.Fatal(phase, err, c)
		}
		if c.Name != "charge" || c.UID != "uid" || c.ResourceVersion != "7" || c.Spec.InstallationID != "id" || c.Spec.Payment.Name != "order" ||
			c.Spec.Account != whole.Spec.Account || c.Record.Outcome.Phase != phase {
			t.Errorf("%s: %+v", phase, c)
		}
		if c.Spec.Fingerprint != "" || findable != (c.Spec.ProviderReference != "" && c.Record.Session.ID != "") {
			t.Errorf("%s: %+v", phase, c.Spec)
		}
		if again, _ := tr.Charge(c); again != held {
			t.Error("a stub of a stub")
		}
	}
}

func TestTransform_KeepsACallbackThatMayBeNewer(t *testing.T) {
	end := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		phase v1alpha1.Phase
		after time.Duration
		kept  bool
	}{
		"of what was paid": {v1alpha1.PhaseSucceeded, time.Minute, false},
		"before the end":   {v1alpha1.PhaseFailed, -time.Millisecond, false},
		"in its second":    {v1alpha1.PhaseFailed, time.Millisecond, true},
		"after the end":    {v1alpha1.PhaseFailed, time.Minute, true},
	} {
		held, _ := everything().Payment(&v1alpha1.Payment{Status: v1alpha1.PaymentStatus{
			Phase: c.phase, CompletedAt: &metav1.Time{Time: end}, LastCallback: &v1alpha1.CallbackNote{ReceivedAt: metav1.NewMicroTime(end.Add(c.after))},
		}})
		if kept := held.(*v1alpha1.Payment).Status.LastCallback != nil; kept != c.kept {
			t.Errorf("%s: kept %t", name, kept)
		}
	}
}

func TestTransform_SharesStringsWithinBounds(t *testing.T) {
	tr := everything()
	for i := range 3 * maxStrings {
		if s := fmt.Sprint(i); shared(tr, s) != s {
			t.Fatal(s)
		}
	}
	if n := len(tr.strings.seen); n > maxStrings {
		t.Errorf("%d strings", n)
	}
}

func TestClient_ReadsWholeObjects(t *testing.T) {
	whole := ended(v1alpha1.PhaseSucceeded)
	held, _ := everything().Charge(whole.DeepCopy())
	key := types.NamespacedName{Name: "charge"}
	c := NewClient(server(t, held.(*v1alpha1.Charge)), server(t, whole))
	var got v1alpha1.Charge
	if err := c.Get(t.Context(), key, &got); err != nil || Is(&got) || got.Record.Sends != 1 || got.Spec.Fingerprint != "fingerprint" {
		t.Errorf("%v, %+v", err, got)
	}
	if err := c.Get(t.Context(), key, &got, Allow{}); err != nil || !Is(&got) {
		t.Errorf("%v, %+v", err, got)
	}
	gone := NewClient(server(t, held.(*v1alpha1.Charge)), server(t))
	if err := gone.Get(t.Context(), key, &got); !apierrors.IsNotFound(err) {
		t.Errorf("%v, %+v", err, got)
	}
	forged := NewClient(server(t, held.(*v1alpha1.Charge)), server(t, held.(*v1alpha1.Charge)))
	if err := forged.Get(t.Context(), key, &got); !errors.Is(err, errStub) {
		t.Errorf("%v, %+v", err, got)
	}
}

func TestClient_WritesNoStub(t *testing.T) {
	payment, _ := everything().Payment(&v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "order"}})
	charge, _ := everything().Charge(ended(v1alpha1.PhaseFailed))
	api := server(t)
	c := NewClient(api, api)
	for _, held := range []any{payment, charge} {
		o := held.(client.Object)
		for verb, err := range map[string]error{
			"create": c.Create(t.Context(), o), "update": c.Update(t.Context(), o), "status": c.Status().Update(t.Context(), o),
			"patch": c.Patch(t.Context(), o, client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})),
		} {
			if !errors.Is(err, errStub) {
				t.Errorf("%s %T: %v", verb, o, err)
			}
		}
	}
}
