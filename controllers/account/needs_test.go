package account

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

var deletedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) deletion {
	return deletion{now: deletedAt.Add(d), at: deletedAt, settle: 2 * time.Minute}
}

func TestNeeds_OpenRequestsHoldAnAccount(t *testing.T) {
	type attempt = v1alpha1.Attempt
	open := attempt{Sends: 1, Open: []v1alpha1.Send{{Number: 1}}}
	void := attempt{Sends: 2}
	taken := attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1}}
	refused := attempt{Sends: 1, Refusal: &v1alpha1.Refusal{}}
	unknown := attempt{Sends: 1, Taken: &v1alpha1.Taken{}, Unknown: &v1alpha1.Unknown{}}
	paid := attempt{Sends: 1, Taken: &v1alpha1.Taken{}, Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded}}
	charge := func(a attempt, refunds ...attempt) v1alpha1.ChargeRecord {
		rec := v1alpha1.ChargeRecord{Attempt: a}
		for _, r := range refunds {
			rec.Refunds = append(rec.Refunds, v1alpha1.ChargeRefund{Attempt: r})
		}
		return rec
	}
	byReference := providers.Traits{Recovery: providers.RecoverByReference, Refund: providers.RefundPartial}
	byHand := providers.Traits{Recovery: providers.RecoverByRepeat, Refund: providers.RefundManual}
	for name, c := range map[string]struct {
		record v1alpha1.ChargeRecord
		traits providers.Traits
		passed time.Duration
		want   bool
	}{
		"never sent, just now":        {charge(attempt{}), byReference, time.Minute, true},
		"never sent":                  {charge(attempt{}), byReference, time.Hour, false},
		"every send void":             {charge(void), byReference, time.Hour, false},
		"open":                        {charge(open), byReference, 90 * 24 * time.Hour, true},
		"taken":                       {charge(taken), byHand, time.Hour, true},
		"refused, to be confirmed":    {charge(refused), byReference, time.Hour, true},
		"unknown":                     {charge(unknown), byReference, time.Hour, false},
		"over":                        {charge(paid), byReference, 0, false},
		"a refund that is over":       {charge(paid, paid), byReference, 0, false},
		"a refund under way":          {charge(paid, paid, open), byReference, time.Hour, true},
		"a refund that was taken":     {charge(paid, taken), byReference, time.Hour, true},
		"a refund that was refused":   {charge(paid, refused), byReference, time.Hour, true},
		"a refund by hand":            {charge(paid, open), byHand, 0, false},
		"a refund that is unknown":    {charge(paid, unknown), byReference, time.Hour, false},
		"a reservation of just now":   {charge(paid, attempt{}), byReference, time.Minute, true},
		"a reservation, nothing sent": {charge(paid, attempt{}), byReference, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := after(c.passed).needs(&v1alpha1.Charge{Record: c.record}, c.traits); got != c.want {
				t.Errorf("needs: %t", got)
			}
		})
	}
}
