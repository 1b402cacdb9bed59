package account

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

var deletedAt = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) deletion {
	return deletion{now: deletedAt.Add(d), at: deletedAt, settle: 2 * time.Minute}
}

func TestWhatNeedsAnAccount(t *testing.T) {
	at := func(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(deletedAt.Add(d)) }
	held := func(d time.Duration) *v1alpha1.ChargeHold { return &v1alpha1.ChargeHold{At: at(d)} }
	paid := &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded}
	refunds := func(r ...v1alpha1.ChargeRefund) v1alpha1.ChargeRecord {
		return v1alpha1.ChargeRecord{Outcome: paid, Refunds: r}
	}
	taken := at(0)
	askable := providers.Traits{Recovery: providers.RecoverByReference, Refund: providers.RefundPartial}
	byRepeat := providers.Traits{Recovery: providers.RecoverByRepeat, Refund: providers.RefundManual}
	for name, c := range map[string]struct {
		record v1alpha1.ChargeRecord
		traits providers.Traits
		passed time.Duration
		want   bool
	}{
		"never sent, just now":        {v1alpha1.ChargeRecord{}, askable, time.Minute, true},
		"never sent":                  {v1alpha1.ChargeRecord{}, askable, time.Hour, false},
		"sent in vain":                {v1alpha1.ChargeRecord{Sends: 2, VoidSends: 2}, askable, time.Hour, false},
		"sent":                        {v1alpha1.ChargeRecord{Sends: 2, VoidSends: 1}, askable, 90 * 24 * time.Hour, true},
		"opened":                      {v1alpha1.ChargeRecord{Sends: 1, Session: &v1alpha1.ChargeSession{}}, byRepeat, time.Hour, true},
		"found":                       {v1alpha1.ChargeRecord{Session: &v1alpha1.ChargeSession{}}, askable, time.Hour, true},
		"refused, to be confirmed":    {v1alpha1.ChargeRecord{Sends: 1, VoidSends: 1, Refusal: &v1alpha1.ChargeRefusal{}}, askable, time.Hour, true},
		"unknown":                     {v1alpha1.ChargeRecord{Sends: 1, Hold: held(-time.Minute)}, askable, time.Hour, false},
		"unknown, with a session":     {v1alpha1.ChargeRecord{Sends: 1, Hold: held(0), Session: &v1alpha1.ChargeSession{}}, byRepeat, time.Hour, false},
		"over":                        {v1alpha1.ChargeRecord{Sends: 1, Session: &v1alpha1.ChargeSession{}, Outcome: paid}, askable, 0, false},
		"a refund that is over":       {refunds(v1alpha1.ChargeRefund{Outcome: &v1alpha1.ChargeRefundOutcome{}}), askable, 0, false},
		"a refund under way":          {refunds(v1alpha1.ChargeRefund{Outcome: &v1alpha1.ChargeRefundOutcome{}}, v1alpha1.ChargeRefund{Sends: 1}), askable, time.Hour, true},
		"a refund that was taken":     {refunds(v1alpha1.ChargeRefund{Taken: &taken}), askable, time.Hour, true},
		"a refund that was refused":   {refunds(v1alpha1.ChargeRefund{Sends: 1, VoidSends: 1, Refusal: &v1alpha1.ChargeRefusal{}}), askable, time.Hour, true},
		"a refund by hand":            {refunds(v1alpha1.ChargeRefund{Sends: 1}), byRepeat, 0, false},
		"a refund that is unknown":    {refunds(v1alpha1.ChargeRefund{Sends: 1, Hold: held(0)}), askable, time.Hour, false},
		"a refund claimed just now":   {refunds(v1alpha1.ChargeRefund{}), askable, time.Minute, true},
		"a refund that was only made": {refunds(v1alpha1.ChargeRefund{}), askable, time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := after(c.passed).needs(&v1alpha1.Charge{Record: c.record}, c.traits); got != c.want {
				t.Errorf("needs: %t", got)
			}
		})
	}
}

// The provider may be about to take somebody's money: then the account stays, however
// long that is. And no Charge holds it for ever that is not so.
func TestNeedsOfAnyCharge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(name string) bool { return rapid.Bool().Draw(t, name) }
		rec := v1alpha1.ChargeRecord{Sends: rapid.Int32Range(0, 3).Draw(t, "sends")}
		rec.VoidSends = rapid.Int32Range(0, rec.Sends).Draw(t, "void")
		if some("session") {
			rec.Session = &v1alpha1.ChargeSession{}
		}
		if some("hold") {
			rec.Hold = &v1alpha1.ChargeHold{At: metav1.NewMicroTime(deletedAt)}
		}
		if some("outcome") {
			rec.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseFailed}
		}
		traits := providers.Traits{Recovery: rapid.SampledFrom([]providers.Recovery{
			providers.RecoverByReference, providers.RecoverBySearch, providers.RecoverByRepeat,
		}).Draw(t, "recovery")}
		passed := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "passed"))
		needs := after(passed).needs(&v1alpha1.Charge{Record: rec}, traits)
		open := rec.Outcome == nil && rec.Hold == nil && (rec.Session != nil || rec.Sends > rec.VoidSends)
		switch {
		case open && !needs:
			t.Fatal("let go while somebody may pay")
		case !open && needs && passed > time.Hour && rec.Refusal == nil:
			t.Fatal("held for ever")
		case rec.Outcome != nil && needs:
			t.Fatal("held by what is over")
		}
	})
}
