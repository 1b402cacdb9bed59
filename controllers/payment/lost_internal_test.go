package payment

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func TestRecordLost_TellsALostRecordFromAnOldViewOfIt(t *testing.T) {
	charge := func(sends int32) *v1alpha1.Charge {
		return &v1alpha1.Charge{Record: v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{Sends: sends}}}
	}
	asked := &v1alpha1.NextAction{Type: v1alpha1.NextActionOpenURL}
	for name, c := range map[string]struct {
		status v1alpha1.PaymentStatus
		charge *v1alpha1.Charge
		want   bool
	}{
		"new":                          {v1alpha1.PaymentStatus{}, nil, false},
		"no record of what was begun":  {v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing}, nil, true},
		"no send of it":                {v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing}, charge(0), true},
		"a void send, nobody asked":    {v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing, Sends: 1}, charge(1), false},
		"a void send, payer was asked": {v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing, Sends: 1, NextAction: asked}, charge(1), true},
		"an old view of two sends":     {v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseProcessing, Sends: 2, NextAction: asked}, charge(1), false},
	} {
		if got := recordLost(&v1alpha1.Payment{Status: c.status}, c.charge); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAskedBefore_K6bOpenSendThatIsNotCountedIsNoEarlierLife(t *testing.T) {
	p := &v1alpha1.Payment{Status: v1alpha1.PaymentStatus{Phase: v1alpha1.PhaseUnknown, InitiatedAt: &metav1.Time{}}}
	again, pruned := &v1alpha1.Charge{}, &v1alpha1.Charge{}
	pruned.Record.Open = []v1alpha1.Send{{Number: 1}}
	for name, c := range map[string]struct {
		charge *v1alpha1.Charge
		want   bool
	}{"lost": {nil, true}, "made again": {again, true}, "its own send, the count lost": {pruned, false}} {
		if got := askedBefore(p, c.charge); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if p.Status.InitiatedAt = nil; askedBefore(p, nil) {
		t.Error("nobody was asked")
	}
}
