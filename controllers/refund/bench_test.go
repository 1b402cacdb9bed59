package refund

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
)

// project runs in every reconcile, mostly to find that nothing has to be written.
func BenchmarkProject(b *testing.B) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := metav1.NewMicroTime(now.Add(-time.Minute))
	r := &Reconciler{Installation: testInstallation, Protocol: &attempt.Protocol{}, Now: func() time.Time { return now }}
	name := testInstallation.ChargeName(shop, "sale")
	refund := func(entries ...v1alpha1.ChargeRefund) view {
		p := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "sale"}}
		p.Status.Phase, p.Status.ChargeName = v1alpha1.PhaseSucceeded, name
		back := aRefund("back", "sale", "2000")
		back.UID, back.Generation = "uid-refund", 1
		money := v1alpha1.Money{Amount: "5000", Currency: "XOF"}
		return view{
			key: types.NamespacedName{Namespace: shop, Name: "back"}, chargeName: name, refund: back, payment: p, charge: &v1alpha1.Charge{
				ObjectMeta: metav1.ObjectMeta{Name: name, UID: "uid-charge"},
				Spec: v1alpha1.ChargeSpec{
					Provider: "mtn", Account: v1alpha1.AccountPin{Kind: "MerchantAccount", Namespace: shop, Name: "mtn", Environment: "production"},
					Requested: money, Money: money, ProviderReference: "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10",
				},
				Record: v1alpha1.ChargeRecord{
					Attempt: v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: at}, Outcome: &v1alpha1.Outcome{
						Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, TransactionID: "363440463", Paid: &money, At: at,
					}},
					Refunds: entries,
				},
			},
		}
	}
	entry := func(a v1alpha1.Attempt) v1alpha1.ChargeRefund {
		return v1alpha1.ChargeRefund{
			Name: "back", Money: v1alpha1.Money{Amount: "2000", Currency: "XOF"}, Reference: "5f0c7c4e-7a54-4d0c-8f38-6a2b6c0f6f11", ReservedAt: at, Attempt: a,
		}
	}
	open := v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1, Sender: "me", At: at}}}
	taken := v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: at}}
	done, lost := taken, open
	done.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonRefunded, TransactionID: "363440464", At: at}
	lost.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at}
	byHand := refund(entry(v1alpha1.Attempt{}))
	byHand.byHand = true
	for _, c := range []struct {
		name    string
		of      view
		fencing bool
	}{
		{"new", refund(), false},
		{"fencing", refund(entry(open)), true},
		{"taken", refund(entry(taken)), false},
		{"unknown", refund(entry(lost)), false},
		{"by_hand", byHand, false},
		{"refunded", refund(entry(done)), false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.project(c.of, c.fencing)
			}
		})
		if c.fencing {
			continue
		}
		// The status shows it already.
		again := c.of
		again.refund = c.of.refund.DeepCopy()
		again.refund.Status = r.project(c.of, c.fencing)
		b.Run(c.name+"_again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !sameStatus(r.project(again, false), again.refund.Status) {
					b.Fatal("another status")
				}
			}
		})
	}
}
