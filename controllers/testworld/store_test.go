package testworld

import (
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func newStore() *Store {
	now := time.Date(2026, 11, 22, 12, 0, 0, 123456789, time.UTC)
	return &Store{now: func() time.Time { return now }}
}

func sale() *v1alpha1.Payment {
	return &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: Shop, Name: Sale},
		Spec:       v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.NewAmount("1902")},
	}
}

func create(t *testing.T, s *Store, o client.Object) {
	t.Helper()
	if err := s.Create(o); err != nil {
		t.Fatal(err)
	}
}

func TestCreate(t *testing.T) {
	s, p := newStore(), sale()
	p.Status.Phase = v1alpha1.PhaseSucceeded
	create(t, s, p)
	if p.Status.Phase != "" || p.UID == "" || p.ResourceVersion == "" || p.Generation != 1 || p.CreationTimestamp.Nanosecond() != 0 {
		t.Errorf("%+v", p)
	}
	if err := s.Create(sale()); !apierrors.IsAlreadyExists(err) {
		t.Error(err)
	}
	if err := s.Create(p); !apierrors.IsAlreadyExists(err) {
		t.Error(err)
	}
}

func TestUpdateStandsOnVersionAndUID(t *testing.T) {
	s, p := newStore(), sale()
	careless := 0
	s.careless = func(Key) { careless++ }
	create(t, s, p)
	stale := p.DeepCopy()
	p.Labels = map[string]string{"a": "b"}
	if err := s.Update(p, false); err != nil || p.ResourceVersion == stale.ResourceVersion {
		t.Fatal(err, p.ResourceVersion)
	}
	if err := s.Update(stale, false); !apierrors.IsConflict(err) {
		t.Errorf("a stale write: %v", err)
	}
	s.Delete(keyOf(p))
	if err := s.Update(p, false); !apierrors.IsNotFound(err) {
		t.Errorf("a write of what is gone: %v", err)
	}
	create(t, s, sale())
	p.ResourceVersion = ""
	if err := s.Update(p, false); !apierrors.IsConflict(err) {
		t.Errorf("a write of another one under the same name: %v", err)
	}
	if careless != 1 {
		t.Errorf("%d careless writes", careless)
	}
}

func TestStatusIsASubresource(t *testing.T) {
	s, p := newStore(), sale()
	create(t, s, p)
	p.Status.Phase, p.Spec.Cancel = v1alpha1.PhaseProcessing, true
	if err := s.Update(p, false); err != nil || p.Status.Phase != "" || !p.Spec.Cancel || p.Generation != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	p.Status.Phase, p.Spec.Cancel, p.Labels = v1alpha1.PhaseProcessing, false, map[string]string{"a": "b"}
	if err := s.Update(p, true); err != nil || p.Status.Phase != v1alpha1.PhaseProcessing || !p.Spec.Cancel || p.Labels != nil || p.Generation != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	version := p.ResourceVersion
	if err := s.Update(p, true); err != nil || p.ResourceVersion != version {
		t.Errorf("a write that changes nothing made version %s of %s, %v", p.ResourceVersion, version, err)
	}
}

func TestVersionsAreKeptAsTheyWere(t *testing.T) {
	s, p := newStore(), sale()
	var seen []Version
	s.committed = func(v Version) { seen = append(seen, v) }
	create(t, s, p)
	p.Labels = map[string]string{"a": "b"}
	if err := s.Update(p, false); err != nil {
		t.Fatal(err)
	}
	p.Labels["a"] = "changed after it was written"
	s.Delete(keyOf(p))
	if len(seen) != 3 || len(s.history) != 3 || seen[1].Old.GetLabels() != nil || seen[1].New.GetLabels()["a"] != "b" || seen[2].New != nil {
		t.Errorf("%+v", seen)
	}
	if got := replay(s.history[:2]).find(keyOf(p)); got == nil || got.GetLabels()["a"] != "b" {
		t.Errorf("the second state: %+v", got)
	}
	if got := replay(s.history).find(keyOf(p)); got != nil {
		t.Errorf("the last state: %+v", got)
	}
}
