package mutants

// verdictMutants break how an outcome is told.
func verdictMutants() []Mutant {
	return []Mutant{
		one("deadline-fails", "our own deadline is no verdict",
			ids("I4"), actFile,
			`return r.record(ctx, o, foldHold(d.reason, "", r.Now()))`,
			`if mutation.On("deadline-fails") && d.reason == v1alpha1.ReasonOutcomeUnknown {
			return r.record(ctx, o, foldOutcome(v1alpha1.ChargeOutcome{
				Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonPayerTimeout, At: metav1.NewMicroTime(r.Now()),
			}))
		}
		return r.record(ctx, o, foldHold(d.reason, "", r.Now()))`),
		one("expired-unasked", "before a session counts as expired the provider is asked once more",
			ids("I4"), decideFile,
			`case !end.IsZero() && checkedAfter(end) && f.seen.state == providers.StateNotStarted:`,
			`case mutation.On("expired-unasked") && !end.IsZero() && !f.now.Before(end),
		!end.IsZero() && checkedAfter(end) && f.seen.state == providers.StateNotStarted:`),
		one("ended-taken-for-unpaid", "a session that we ended is asked about before it counts as unpaid",
			ids("I4"), actFile,
			`r.remember(o, func(seen *observation) { *seen = observation{cancelledAt: r.Now()} })`,
			`if mutation.On("ended-taken-for-unpaid") {
		return r.record(ctx, o, foldExpired(r.Now()))
	}
	r.remember(o, func(seen *observation) { *seen = observation{cancelledAt: r.Now()} })`),
		one("other-sessions-unasked", "a negative verdict needs every session of the reference to be over",
			ids("I4", "I8"), actFile,
			`if c.Traits().Recovery == providers.RecoverBySearch && st.State.Final()`,
			`if !mutation.On("other-sessions-unasked") && c.Traits().Recovery == providers.RecoverBySearch && st.State.Final()`),
		one("amount-unchecked", "success needs the amount that was sent",
			ids("I3"), recordFile,
			`providers.EqualAmount(st.Money.Amount, spec.Money.Amount)`,
			`(mutation.On("amount-unchecked") || providers.EqualAmount(st.Money.Amount, spec.Money.Amount))`),
		one("currency-unchecked", "success needs the currency that was sent",
			ids("I3"), recordFile,
			`st.Money.Currency == spec.Money.Currency`,
			`(mutation.On("currency-unchecked") || st.Money.Currency == spec.Money.Currency)`),
		one("reference-unchecked", "success needs our own reference, where one is echoed",
			ids("I3"), statusFile,
			`return s.Reference == "" ||`,
			`return mutation.On("reference-unchecked") || s.Reference == "" ||`),
		one("callback-believed", "a callback is no evidence",
			ids("I3"), actFile,
			`st = endedByUs(o.charge, c.Traits(), st)`,
			`if mutation.On("callback-believed") && o.holder != nil && o.holder.Status.LastCallback != nil {
		switch o.holder.Status.LastCallback.Claim {
		case "SUCCESSFUL", "SUCCESS", "checkout.session.completed":
			st.State, st.Money = providers.StateSucceeded, providers.Money(o.charge.Spec.Money)
		}
	}
	st = endedByUs(o.charge, c.Traits(), st)`),
		one("outcome-overwritten", "the first outcome stays",
			ids("I5"), recordFile,
			`return foldContradiction(o)(c)`,
			`if mutation.On("outcome-overwritten") && rec.Outcome.Phase != o.Phase {
			rec.Outcome = &o
			return true
		}
		return foldContradiction(o)(c)`),
		one("status-reopened", "a finished Payment stays as it ended",
			ids("I5"), projectFile,
			`if old.Phase.Terminal() {`,
			`if old.Phase.Terminal() && !mutation.On("status-reopened") {`),
		one("status-overwrites", "a status is written under the version that it was made from",
			ids("I5", "I6"), loopFile,
			`next.Status = status`,
			`next.Status = status
	if mutation.On("status-overwrites") {
		now := &v1alpha1.Payment{}
		if r.Live.Get(ctx, client.ObjectKeyFromObject(p), now) == nil {
			next.ResourceVersion, next.UID = now.ResourceVersion, now.UID
		}
	}`),
		one("cancelled-though-sent", "what was called off is not Cancelled while a send may have arrived",
			ids("I4"), decideFile,
			`case openSends(rec) > 0:`,
			`case openSends(rec) > 0 && !(mutation.On("cancelled-though-sent") && rec.Cancel != nil):`),
	}
}

// adoptionMutants break what a new Payment, or a restored one, may take up.
func adoptionMutants() []Mutant {
	return []Mutant{
		one("restored-sent", "for a restored Payment nothing is sent",
			ids("I14"), decideFile,
			`attempt.Restored(f.payment) ||`,
			`attempt.Restored(f.payment) && !mutation.On("restored-sent") ||`),
		one("record-lost-ignored", "a Charge that is younger than its request sends nothing",
			ids("I14", "I2", "I8"), decideFile,
			`f.recordLost())`,
			`f.recordLost() && !mutation.On("record-lost-ignored"))`),
		one("adopt-only-ignored", "an operator that adopts only sends nothing",
			ids("I14"), decideFile,
			`return f.settings.AdoptOnly ||`,
			`return f.settings.AdoptOnly && !mutation.On("adopt-only-ignored") ||`),
		one("other-money-adopted", "a Charge for other money is not taken up",
			ids("I3"), claimFile,
			`case !sameMoney(p, charge, inst):`,
			`case !sameMoney(p, charge, inst) && !mutation.On("other-money-adopted"):`),
		one("duplicate-adopted", "of two Payments with one reference only one has its Charge",
			ids("I3"), claimFile,
			`case holder != nil && p.UID != holder.UID:`,
			`case holder != nil && p.UID != holder.UID && !mutation.On("duplicate-adopted"):`),
		one("reused-adopted", "a sale that ended long ago is not silently taken for a new one",
			ids("I3"), claimFile,
			`case endedTooLongBefore(p, charge, adoptionWindow) && !consents(p):`,
			`case endedTooLongBefore(p, charge, adoptionWindow) && !consents(p) && !mutation.On("reused-adopted"):`),
	}
}

// followMutants break that every payment is followed to its end, and no further.
func followMutants() []Mutant {
	return []Mutant{
		one("orphan-dropped", "a Charge whose Payment is gone is followed to its end",
			ids("I10", "L2"), decideFile,
			`case rec.Session != nil:`,
			`case rec.Session != nil && f.payment == nil && mutation.On("orphan-dropped"):
		return decision{action: actWait, after: f.interval}
	case rec.Session != nil:`),
		one("deadline-ignored", "an undecided payment is settled at its deadline",
			ids("L1"), decideFile,
			`case checkedAfter(verdict):`,
			`case checkedAfter(verdict) && !mutation.On("deadline-ignored"):`),
		one("held-unwatched", "an undecided payment is watched on",
			ids("L2"), decideFile,
			`return f.slowly(hold.At.Time, ask)`,
			`if mutation.On("held-unwatched") {
			return decision{action: actIdle}
		}
		return f.slowly(hold.At.Time, ask)`),
		one("check-unscheduled", "every open payment has a wake-up",
			ids("L4", "L1", "L2"), loopFile,
			`return ctrl.Result{RequeueAfter: d.after, Priority: &priority}`,
			`if mutation.On("check-unscheduled") {
			return ctrl.Result{}
		}
		return ctrl.Result{RequeueAfter: d.after, Priority: &priority}`),
		one("asked-after-the-end", "what is over is left alone",
			ids("L3"), loopFile,
			`r.memory.Forget(o.name)`,
			`if mutation.On("asked-after-the-end") {
				return ctrl.Result{RequeueAfter: time.Minute}
			}
			r.memory.Forget(o.name)`),
		one("no-back-off", "failures in a row are waited for",
			ids("O7"), decideFile,
			`if f.seen.failures == 0 {`,
			`if f.seen.failures == 0 || mutation.On("no-back-off") {`),
	}
}

// quietMutants reveal what must stay private.
func quietMutants() []Mutant {
	return []Mutant{
		one("payer-logged", "a log holds no phone",
			ids("O8"), actFile,
			`if before.Record.Outcome == nil && after.Record.Outcome != nil && o.holder == nil {`,
			`if mutation.On("payer-logged") && o.holder != nil {
		r.logger(ctx, o).V(5).Info("Recorded", "spec", o.holder.Spec)
	}
	if before.Record.Outcome == nil && after.Record.Outcome != nil && o.holder == nil {`),
	}
}
