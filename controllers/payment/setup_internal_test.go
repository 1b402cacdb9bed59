package payment

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func TestCalledBack_OvertakesNewPayments(t *testing.T) {
	noted := func(at time.Time) *v1alpha1.Payment {
		p := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "called-back"}}
		if !at.IsZero() {
			p.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: metav1.NewMicroTime(at)}
		}
		return p
	}
	none, first, second := noted(time.Time{}), noted(time.Unix(1, 0)), noted(time.Unix(2, 0))
	for name, c := range map[string]struct {
		before, after *v1alpha1.Payment
		overtakes     bool
	}{
		"first note": {none, first, true}, "newer note": {first, second, true}, "the same note": {first, first, false}, "no note": {none, none, false},
	} {
		q := priorityqueue.New[reconcile.Request]("test")
		q.Add(request("shop", "new"))
		calledBack(t.Context(), event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after}, q)
		next, _, _ := q.GetWithPriority()
		if (next.Name == "called-back") != c.overtakes {
			t.Errorf("%s: %s comes next", name, next.Name)
		}
		q.ShutDown()
	}
}
