package mutants

// answerMutants break what becomes of an answer: kept, merged, never guessed.
func answerMutants() []Mutant {
	return []Mutant{
		one("record-overwrites", "an answer is merged into what is there, not written over it",
			ids("I5", "I6", "I7"), recorderFile,
			`if liveErr == nil {
			c = live`,
			`if liveErr == nil && mutation.On("record-overwrites") {
			stale := c.DeepCopy()
			stale.ResourceVersion = live.ResourceVersion
			c = stale
		} else if liveErr == nil {
			c = live`),
		one("record-without-version", "an answer is written under the version that it was folded into",
			ids("I6"), recorderFile,
			`err := r.Writer.Update(ctx, next)`,
			`if mutation.On("record-without-version") {
			next.ResourceVersion = ""
		}
		err := r.Writer.Update(ctx, next)`),
		one("answer-dropped", "an answer that lost a race is recorded all the same",
			ids("I7"), recorderFile,
			`if !apierrors.IsConflict(err) || tries > 0 {`,
			`if apierrors.IsConflict(err) && mutation.On("answer-dropped") {
			return c, err
		}
		if !apierrors.IsConflict(err) || tries > 0 {`),
		one("merged-into-another", "an answer is merged into the Charge of its own uid only",
			ids("I7", "I1"), recorderFile,
			`if live.UID != c.UID {`,
			`if live.UID != c.UID && !mutation.On("merged-into-another") {`),
		one("timeout-fails", "no answer is not a failure",
			ids("I4"), actFile,
			`r.logger(ctx, o).Info("No usable answer from the provider; finding out what became of the request", "error", e.Error())`,
			`if mutation.On("timeout-fails") {
			return r.record(ctx, o, foldOutcome(v1alpha1.ChargeOutcome{
				Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonProviderUnreachable, At: metav1.NewMicroTime(now),
			}))
		}
		r.logger(ctx, o).Info("No usable answer from the provider; finding out what became of the request", "error", e.Error())`),
		one("unanswered-is-void", "a send that may have arrived is not counted as one that did not",
			ids("I4", "I8"), actFile,
			`e := providers.AsError(err)
	switch e.Class {`,
			`e := providers.AsError(err)
	if mutation.On("unanswered-is-void") && e.Class == providers.ClassUnknown {
		e = &providers.Error{Class: providers.ClassNotSent, Operation: e.Operation}
	}
	switch e.Class {`),
		one("void-uncounted", "a send that certainly did nothing is not held against the payment",
			ids("L2", "L1"), recordFile,
			`rec.VoidSends++`,
			`if !mutation.On("void-uncounted") {
			rec.VoidSends++
		}`),
	}
}

// lossMutants break what becomes of a reference or a session that is known from
// elsewhere than the answer to its send.
func lossMutants() []Mutant {
	return []Mutant{
		one("known-reference-fails", "that the provider knows the reference already is no failure",
			ids("I4"), actFile,
			`return r.recordKnown(ctx, o, c, send)`,
			`if mutation.On("known-reference-fails") {
			return r.record(ctx, o, foldOutcome(v1alpha1.ChargeOutcome{
				Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonRequestRejected, At: metav1.NewMicroTime(now),
			}))
		}
		return r.recordKnown(ctx, o, c, send)`),
		one("not-found-fails", "that the provider does not find the reference after an unanswered send is no failure",
			ids("I4"), actFile,
			`return r.record(ctx, o, foldRefusalConfirmed(r.Now()))`,
			`if mutation.On("not-found-fails") && openSends(&o.charge.Record) > 0 {
			return r.record(ctx, o, foldOutcome(v1alpha1.ChargeOutcome{
				Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonRequestRejected, At: metav1.NewMicroTime(r.Now()),
			}))
		}
		return r.record(ctx, o, foldRefusalConfirmed(r.Now()))`),
		one("refusal-unconfirmed", "where a phone may have rung, a refusal is confirmed by asking",
			ids("I4"), recordFile,
			`if flow != providers.FlowPush {`,
			`if flow != providers.FlowPush || mutation.On("refusal-unconfirmed") {`),
		{
			Name: "orange-new-order", Rule: "at Orange an order whose page is lost is held, not ordered again under another id",
			Breaks: ids("I1", "I2", "L2"),
			Edits: []Edit{
				{
					actFile,
					`return r.record(ctx, o, foldHold(v1alpha1.ReasonLostInitiation, "", now))`,
					`if mutation.On("orange-new-order") {
		return r.record(ctx, o, foldVoid(send, v1alpha1.ReasonProviderUnreachable, "", now))
	}
	return r.record(ctx, o, foldHold(v1alpha1.ReasonLostInitiation, "", now))`,
				},
				{
					"providers/orange/orange.go",
					`OrderID:     req.Reference,`,
					`OrderID: func() string {
			if mutation.On("orange-new-order") && p.now().Unix()%60 != 0 {
				return req.Reference[:len(req.Reference)-1] + string("23456789"[p.now().Unix()%8])
			}
			return req.Reference
		}(),`,
				},
			},
		},
		one("surplus-kept", "of two sessions the one that was not recorded is ended",
			ids("I8"), actFile,
			`if recorded := o.charge.Record.Session; recorded != nil && s.ID != "" && recorded.ID != s.ID {`,
			`if recorded := o.charge.Record.Session; recorded != nil && s.ID != "" && recorded.ID != s.ID && !mutation.On("surplus-kept") {`),
		one("found-surplus-kept", "of several sessions that a search finds all but one are ended",
			ids("I8"), actFile,
			`chosen, surplus := chooseSession(sessions)`,
			`chosen, surplus := chooseSession(sessions)
	if mutation.On("found-surplus-kept") {
		surplus = nil
	}`),
		one("url-before-record", "a payment URL is published from a recorded session only",
			ids("I8"), actFile,
			`if err := r.record(ctx, o, foldSession(s)); err != nil {`,
			`if err := r.record(ctx, o, foldSession(s)); err != nil {
		if mutation.On("url-before-record") {
			shown := o.charge.DeepCopy()
			foldSession(s)(shown)
			o.charge = shown
		}`),
		one("notice-drops-session", "a notice leaves the session alone",
			ids("I5", "I7", "I8"), recordFile,
			`rec.Notice = &n`,
			`rec.Notice = &n
		if mutation.On("notice-drops-session") {
			rec.Session = nil
		}`),
	}
}
