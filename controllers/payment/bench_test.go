package payment

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func BenchmarkDecide(b *testing.B) {
	f := situation("mtn", sent(1, time.Hour, "me"), opened(10*time.Minute), seen(time.Minute), calledBack(2*time.Minute))
	for b.Loop() {
		decide(f)
	}
}

func BenchmarkProject(b *testing.B) {
	f := situation("orange", opened(10*time.Minute))
	f.charge.Record.Session.PaymentURL = "https://pay.example/x"
	v := view{payment: f.payment, charge: f.charge, relation: relationOwn}
	for b.Loop() {
		if s := project(v, noon); s.Phase != v1alpha1.PhaseProcessing {
			b.Fatal(s.Phase)
		}
	}
}
