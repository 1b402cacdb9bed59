package payment

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/wave"
)

// project runs in every reconcile, mostly to find that nothing has to be written.
func BenchmarkProject(b *testing.B) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := metav1.NewMicroTime(now.Add(-time.Minute))
	inst := looptest.Installation()
	r := &Reconciler{Installation: inst}
	sale := func(provider string, record v1alpha1.ChargeRecord) projection {
		p := newPayment("sale", provider, "5000")
		p.UID, p.Generation = "uid-payment", 1
		return projection{payment: p, relation: relationOwn, traits: mtn.Kind().Traits, charge: &v1alpha1.Charge{
			ObjectMeta: metav1.ObjectMeta{Name: inst.ChargeName(looptest.Shop, "sale"), UID: "uid-charge"},
			Spec: v1alpha1.ChargeSpec{
				Provider: provider, Account: v1alpha1.AccountPin{Kind: "MerchantAccount", Namespace: looptest.Shop, Name: provider, Environment: "production"},
				Money: v1alpha1.Money{Amount: "5000", Currency: "XOF"}, ProviderReference: "0d2bd5cd-2c5c-4b0f-9d27-1f0b9a3a5a10",
			},
			Record: record,
		}}
	}
	open := v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1, Sender: "me", At: at}}}
	taken := v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: at}}
	paid, lost := taken, open
	paid.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, TransactionID: "363440463", At: at}
	lost.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at}
	vacant := sale("mtn", v1alpha1.ChargeRecord{})
	vacant.charge, vacant.relation = nil, relationNone
	fencing := sale("mtn", v1alpha1.ChargeRecord{Attempt: open})
	fencing.fencing = true
	page := sale("wave", v1alpha1.ChargeRecord{Attempt: taken, Session: &v1alpha1.Session{PaymentURL: "https://pay.wave.com/c/cos-1"}})
	page.traits = wave.Kind().Traits
	for _, c := range []struct {
		name string
		in   projection
	}{
		{"new", vacant},
		{"fencing", fencing},
		{"taken", sale("mtn", v1alpha1.ChargeRecord{Attempt: taken})},
		{"page", page},
		{"unknown", sale("mtn", v1alpha1.ChargeRecord{Attempt: lost})},
		{"paid", sale("mtn", v1alpha1.ChargeRecord{Attempt: paid})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				project(c.in, now, r.localID)
			}
		})
		if c.in.fencing {
			continue
		}
		// The status shows it already.
		again := c.in
		again.payment = c.in.payment.DeepCopy()
		again.payment.Status = project(c.in, now, r.localID)
		b.Run(c.name+"_again", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !sameStatus(project(again, now, r.localID), again.payment.Status) {
					b.Fatal("another status")
				}
			}
		})
	}
}
