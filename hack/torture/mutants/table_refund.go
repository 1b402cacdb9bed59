package mutants

// refundMutants break how money is given back.
func refundMutants() []Mutant {
	return []Mutant{
		one("refund-cap-ignored", "all refunds together are no more than what was paid",
			ids("I2"), refundRecord,
			`case providers.CompareAmounts(money.Amount, left) > 0:`,
			`case providers.CompareAmounts(money.Amount, left) > 0 && !mutation.On("refund-cap-ignored"):`),
		one("open-refunds-uncounted", "what another refund claimed counts before it is given back",
			ids("I2"), refundRecord,
			`o == nil || o.Phase != v1alpha1.RefundFailed {`,
			`o == nil && !mutation.On("open-refunds-uncounted") || o != nil && o.Phase != v1alpha1.RefundFailed {`),
		one("refund-sent-first", "a refund is written down before it is sent",
			ids("I1"), refundAct,
			`at, raised := r.Now(), false`,
			`if mutation.On("refund-sent-first") {
		_ = refunder.Refund(ctx, providers.RefundRequest{RefundHandle: handleOf(o)})
	}
	at, raised := r.Now(), false`),
		{
			Name: "refund-unpaid", Rule: "only what was paid is given back", Breaks: ids("I2", "I3"),
			Edits: []Edit{
				{
					refundDecide,
					`case refundable(p, f.charge):`,
					`case refundable(p, f.charge), mutation.On("refund-unpaid") && f.charge != nil && f.charge.Record.Session != nil:`,
				},
				{
					refundRecord,
					`paid := c.Record.Outcome.Paid.Amount`,
					`paid := c.Spec.Money.Amount
	if !mutation.On("refund-unpaid") {
		paid = c.Record.Outcome.Paid.Amount
	}`,
				},
			},
		},
		one("refund-reference-per-attempt", "every attempt of a refund uses the same reference",
			ids("I1", "I2"), refundAct,
			`Reference: claim.Reference,`,
			`Reference: func() string {
			ref := claim.Reference
			if mutation.On("refund-reference-per-attempt") && claim.Sends > 1 && ref != "" {
				return ref[:len(ref)-1] + string("0123456789"[claim.Sends%10])
			}
			return ref
		}(),`),
		one("refund-unasked", "a refund that was taken is asked about before it counts as made",
			ids("I3"), refundAct,
			`return r.record(ctx, o, foldTaken(o.key.Name, r.Now()))`,
			`if mutation.On("refund-unasked") {
		return r.record(ctx, o, onClaim(o.key.Name, func(c *v1alpha1.ChargeRefund) bool {
			return end(c, v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundSucceeded, Reason: v1alpha1.ReasonRefunded}, r.Now())
		}))
	}
	return r.record(ctx, o, foldTaken(o.key.Name, r.Now()))`),
		one("refund-not-found-fails", "a refund that the provider does not find after an unanswered send has not failed",
			ids("I4", "I2"), refundAct,
			`sent, asked := o.claim().LastSend, r.Installation.Credentials(c.Credentials)`,
			`if mutation.On("refund-not-found-fails") && openSends(o.claim()) > 0 {
			return r.record(ctx, o, foldWithdrawn(name, o.claim().Sends, now))
		}
		sent, asked := o.claim().LastSend, r.Installation.Credentials(c.Credentials)`),
		one("refund-amount-unchecked", "a refund counts as made with its own money and reference only",
			ids("I3"), refundRecord,
			`case st.State == providers.StateSucceeded && !echoes(st, c.Money, reference):`,
			`case st.State == providers.StateSucceeded && !echoes(st, c.Money, reference) && !mutation.On("refund-amount-unchecked"):`),
	}
}
