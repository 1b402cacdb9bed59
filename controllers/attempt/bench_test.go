package attempt

import (
	"testing"
	"time"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// Decide runs at least once in every reconcile, before anything is written.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name  string
		facts Facts
	}{
		{"new", situation("mtn")},
		{"unanswered", situation("mtn", sent(time.Minute, "me"))},
		{"taken", situation("mtn", sent(time.Hour, "me"), taken(10*time.Minute), asked(time.Minute), calledBack(2*time.Minute))},
		{"refused", situation("mtn", refused(time.Minute))},
		{"unknown", situation("mtn", sent(time.Hour, "me"), unknown(v1alpha1.ReasonOutcomeUnknown, time.Hour), asked(time.Minute))},
		{"session", situation("wave", taken(10*time.Minute), asked(time.Minute))},
		{"refund", situation("refund, mtn", sent(time.Minute, "me"))},
		{"ended", situation("mtn", taken(time.Hour), ended(v1alpha1.PhaseSucceeded, time.Minute, ""))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decide(c.facts)
			}
		})
	}
}

// A fold runs under the compare-and-swap of a Charge, again after each conflict.
func BenchmarkFold(b *testing.B) {
	at := micro(0)
	notice := v1alpha1.Notice{Reason: v1alpha1.ReasonProviderThrottled, At: at}
	refusal := v1alpha1.Refusal{Send: v1alpha1.Send{Number: 1, Sender: "me"}, Reason: v1alpha1.ReasonRequestRejected, At: at}
	expect, paid, pending := expected(), status(providers.StateSucceeded), status(providers.StatePending)
	mismatch := status(providers.StateSucceeded, func(s *providers.Status) { s.Money.Amount = "500" })
	outcome := v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, At: at}
	open, known := raised(1), raised(1)
	FoldTaken(v1alpha1.Taken{Send: 1, At: at})(known)
	over := known.DeepCopy()
	FoldStatus(paid, expect, noon)(over)
	for _, c := range []struct {
		name string
		of   *v1alpha1.Attempt
		fold func() Fold
	}{
		{"taken", open, func() Fold { return FoldTaken(v1alpha1.Taken{Send: 1, At: at}) }},
		{"void", open, func() Fold { return FoldVoid(1, notice) }},
		{"refusal", open, func() Fold { return FoldRefusal(refusal) }},
		{"notice", open, func() Fold { return FoldNotice(notice) }},
		{"unknown", open, func() Fold { return FoldUnknown(v1alpha1.Unknown{Reason: v1alpha1.ReasonLostInitiation, Since: at}) }},
		{"concluded", open, func() Fold { return FoldConcluded(outcome, open) }},
		{"outcome", known, func() Fold { return FoldOutcome(outcome) }},
		{"pending", known, func() Fold { return FoldStatus(pending, expect, noon) }},
		{"paid", known, func() Fold { return FoldStatus(paid, expect, noon) }},
		{"mismatch", known, func() Fold { return FoldStatus(mismatch, expect, noon) }},
		{"paid_again", over, func() Fold { return FoldStatus(paid, expect, noon) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			sends := make([]v1alpha1.Send, 0, v1alpha1.MaxOpenSends)
			var a v1alpha1.Attempt
			for b.Loop() {
				a = *c.of
				a.Open = sends[:copy(sends[:len(c.of.Open)], c.of.Open)]
				c.fold()(&a)
			}
		})
	}
}
