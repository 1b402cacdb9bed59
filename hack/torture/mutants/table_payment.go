package mutants

// sending breaks what stands before a request for money.
func sending() []Mutant {
	return []Mutant{
		one("raise-overwrites", "a raise holds only for the Charge as it was when the send was decided", "R1 R4", protocolFile,
			`	if err := p.Write(ctx, c); err != nil {`, `	if MUTATED && c.ResourceVersion != "" {
		var now v1alpha1.Charge
		if p.Live.Get(ctx, client.ObjectKeyFromObject(c), &now) == nil {
			c.ResourceVersion = now.ResourceVersion
		}
	}
	if err := p.Write(ctx, c); err != nil {`),
		one("send-not-raised", "each send is counted and open before it is made", "R1", foldFile, `	a.Open = append(a.Open, send)
	a.Notice = nil`, `	if !MUTATED {
		a.Open = append(a.Open, send)
	}
	a.Notice = nil`),
		one("raise-unchecked", "what comes back from a raise is what was written", "R1", recordFile, `if c.Spec != spec || text(c) != record {`,
			`if (c.Spec != spec || text(c) != record) && !MUTATED {`),
		unless("fence-skipped", "the object that wants a send is written after the raise", "R1", protocolFile, `if err := s.Fence(ctx, c); err != nil {`),
		one("gate-ignored", "a process that does not lead begins nothing", "R11", protocolFile, `return p.Leads == nil || p.Leads() }`, `return p.Leads == nil || p.Leads() || MUTATED }`),
		one("reference-per-attempt", "every send uses the same reference", "one-charge R1 R2", sendFile, `		Reference:         spec.ProviderReference,`,
			`		Reference: func() string {
			ref, sends := spec.ProviderReference, c.Record.Sends
			if MUTATED && sends > 1 {
				return ref[:len(ref)-1] + string("0123456789"[sends%10])
			}
			return ref
		}(),`),
		one("paused-sender-sends", "who was paused for long after the raise does not send", "R1", protocolFile,
			`	case p.Now().Sub(send.At.Time) > p.Settings.CallTimeout/2 ||`, `	case p.Now().Sub(send.At.Time) > p.Settings.CallTimeout/2 && !MUTATED ||`),
		{
			Name: "called-off-yet-sent", Rule: "what was called off is not sent again", Breaks: []string{"R1", "R6"},
			Edits: []Edit{
				edit("called-off-yet-sent", decideFile, `wanted := f.Wanted && !f.CalledOff &&`, `wanted := f.Wanted && (!f.CalledOff || MUTATED) &&`),
				edit("called-off-yet-sent", sendFile, `p.Spec.Cancel || p.Status.Phase.Terminal() {`, `p.Spec.Cancel && !MUTATED || p.Status.Phase.Terminal() {`),
			},
		},
		one("unsearched", "at Wave sessions are looked for before each send", "one-charge R4", askFile,
			`func (r *Reconciler) searchBefore(ctx context.Context, v view, c *account.Client) (bool, view, error) {`,
			`func (r *Reconciler) searchBefore(ctx context.Context, v view, c *account.Client) (bool, view, error) {
	if MUTATED {
		return true, v, nil
	}`),
		unless("earlier-session-adopted", "what was open before the first send is ended, and not this sale's", "R6 R2", askFile,
			`if found.best != nil && rank(*found.best) == open {`),
	}
}

// answers breaks what becomes of an answer: kept, merged, never guessed.
func answers() []Mutant {
	return []Mutant{
		one("record-overwrites", "an answer is merged into what is there, not written over it", "R13 R3", recordFile, `		if liveErr == nil {
			c = live
		}`, `		if liveErr == nil && MUTATED {
			stale := c.DeepCopy()
			stale.ResourceVersion = live.ResourceVersion
			c = stale
		} else if liveErr == nil {
			c = live
		}`),
		one("record-without-version", "an answer is written under the version that it was folded into", "R1", recordFile, `		err := p.Write(ctx, next)`,
			`		if now, err := p.reread(ctx, next); MUTATED && err == nil {
			next.ResourceVersion = now.ResourceVersion
		}
		err := p.Write(ctx, next)`),
		one("answer-dropped", "an answer that lost a race is recorded all the same", "R3", recordFile, `		// A view that was behind`, `		if apierrors.IsConflict(err) && MUTATED {
			return c, nil
		}
		// A view that was behind`),
		one("timeout-fails", "no answer is not a failure", "R6", protocolFile, `	default:
		return s.Where.On(foldUnanswered(a.Send, e, now))`, `	default:
		if MUTATED {
			return s.Where.On(FoldOutcome(v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonProviderUnreachable, At: at}))
		}
		return s.Where.On(foldUnanswered(a.Send, e, now))`),
		one("unanswered-is-void", "a send that may have arrived is not void", "R1 R4 R6", protocolFile, `	e := providers.AsError(a.Err)
	switch e.Class {`, `	e := providers.AsError(a.Err)
	if MUTATED && e.Class == providers.ClassUnknown {
		e = &providers.Error{Class: providers.ClassNotSent, Operation: e.Operation}
	}
	switch e.Class {`),
		one("void-uncounted", "a send that certainly did nothing is not held against the payment", "R5 R3 R9", protocolFile, `		return s.Where.On(FoldVoid(a.Send.Number, NoticeOf(e, now)))`, `		if MUTATED {
			return s.Where.On(FoldNotice(NoticeOf(e, now)))
		}
		return s.Where.On(FoldVoid(a.Send.Number, NoticeOf(e, now)))`),
		one("void-in-order", "a definite answer removes its own send, in whatever order answers come (K3h)", "R3 R5 R9", foldFile,
			`		if !closeSend(a, number) {`, `		if MUTATED && number != a.Sends || !closeSend(a, number) {`),
		one("known-reference-fails", "that the provider knows the reference is no failure", "R6", protocolFile, `		return s.Where.On(a.known(s, now))`, `		if MUTATED {
			return s.Where.On(FoldOutcome(v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonRequestRejected, At: at}))
		}
		return s.Where.On(a.known(s, now))`),
		one("not-found-fails", "that the provider does not know a reference ends nothing", "R6", decideFile, `	case f.mayRepeat(late) && !f.CalledBack():`, `	case MUTATED && f.Seen.OK() && f.Seen.NotFound:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonRequestRejected}
	case f.mayRepeat(late) && !f.CalledBack():`),
		one("nobody-panics", "a sale without a Payment has no status to write", "panic", projectFile, `	if p == nil || v.relation == relationForeign &&`,
			`	if p == nil && !MUTATED || v.relation == relationForeign &&`),
		one("url-before-record", "a payment URL is published from a recorded session only", "R4", projectFile, `	if s := rec.Session; s != nil && s.PaymentURL != "" {
		return &v1alpha1.NextAction`, `	if s := rec.Session; s != nil && s.PaymentURL != "" {
		if MUTATED {
			return &v1alpha1.NextAction{Type: v1alpha1.NextActionOpenURL, URL: s.PaymentURL + "?from=" + in.payment.Name}
		}
		return &v1alpha1.NextAction`),
	}
}

// lost breaks what is done where a record is lost, or may be.
func lost() []Mutant {
	return []Mutant{
		one("restored-sent", "nothing is sent for what was restored", "R12 one-charge", payFacts, `	f.EarlierLife = attempt.Restored(p) ||`, `	f.EarlierLife = attempt.Restored(p) && !MUTATED ||`),
		one("record-lost-ignored", "nothing is sent for an object whose record is lost", "R12 one-charge", payFacts, `	f.RecordLost = recordLost(p, v.charge)`, `	f.RecordLost = recordLost(p, v.charge) && !MUTATED`),
		one("adopt-only-ignored", "an operator that adopts only sends nothing", "R12", protocolFile, `	return p.Settings.AdoptOnly ||`, `	return p.Settings.AdoptOnly && !MUTATED ||`),
		{
			Name: "orange-new-order", Rule: "at Orange an order whose page is lost is not ordered again under another id", Breaks: []string{"one-charge", "R1", "R2", "R9"},
			Edits: []Edit{
				edit("orange-new-order", protocolFile, `		case !s.Rules.Askable:
			known`, `		case !s.Rules.Askable && MUTATED:
			return FoldVoid(a.Send.Number, v1alpha1.Notice{Reason: v1alpha1.ReasonProviderUnreachable, At: at})(attempt)
		case !s.Rules.Askable:
			known`),
				edit("orange-new-order", orangeFile, `		OrderID:     req.Reference,`, `		OrderID: func() string {
			if MUTATED && p.now().Unix()%60 != 0 {
				return req.Reference[:len(req.Reference)-1] + string("23456789"[p.now().Unix()%8])
			}
			return req.Reference
		}(),`),
			},
		},
		one("cancelled-unasked", "what was called off is asked about before it ends (K3a)", "R6", decideFile,
			`	case f.Seen.OK() && f.Seen.NotFound && f.askedSince(late):`, `	case f.Seen.OK() && f.Seen.NotFound && f.askedSince(late), MUTATED:`),
		one("refusal-overwrites", "of who refuses and who sends, the one that wrote the object first is right (K1g)", "R6 R2", projectFile, `	if err := r.Client.Status().Update(ctx, next); err != nil {
		r.told`, `	err := r.Client.Status().Update(ctx, next)
	if now := p.DeepCopy(); MUTATED && v.settled != "" && attempt.Conflicts(err) && r.Live.Get(ctx, v.key, now) == nil {
		next.ResourceVersion = now.ResourceVersion
		err = r.Client.Status().Update(ctx, next)
	}
	if err != nil {
		r.told`),
	}
}

// verdicts breaks how it is said that a payment ended.
func verdicts() []Mutant {
	return []Mutant{
		one("deadline-fails", "that time is over is not a failure", "R6", decideFile, `	case f.undecided(verdict) && !f.Now.Before(verdict):
		return`, `	case f.undecided(verdict) && !f.Now.Before(verdict) && MUTATED:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout}
	case f.undecided(verdict) && !f.Now.Before(verdict):
		return`),
		one("expired-unasked", "at Orange a page expired by the clock and by a question after it", "R6", decideFile, `	case !end.IsZero() && f.askedSince(end) && f.Seen.State == providers.StateNotStarted:`,
			`	case !end.IsZero() && (f.askedSince(end) || MUTATED) && f.Seen.State == providers.StateNotStarted:`),
		one("ended-taken-for-unpaid", "who ends a session asks what became of it", "R6", decideFile, `	case f.askedSince(f.Seen.EndedAt) && f.Seen.At.After(f.Seen.EndedAt):`, `	case MUTATED:
		return Decision{Action: Conclude, Phase: v1alpha1.PhaseExpired, Reason: v1alpha1.ReasonPayerTimeout}
	case f.askedSince(f.Seen.EndedAt) && f.Seen.At.After(f.Seen.EndedAt):`),
		{
			Name: "money-unchecked", Rule: "a success is of this amount, in this currency", Breaks: []string{"R7", "over-refund"},
			Edits: []Edit{
				edit("money-unchecked", foldFile, `providers.EqualAmount(said.Amount, want.Amount)`, `(providers.EqualAmount(said.Amount, want.Amount) || MUTATED)`),
				edit("money-unchecked", foldFile, `said.Currency == want.Currency`, `(said.Currency == want.Currency || MUTATED)`),
			},
		},
		one("status-reopened", "a Payment that is over stays as it ended", "R13", projectFile, `	if old.Phase.Terminal() {
		return afterEnd`, `	if old.Phase.Terminal() && !MUTATED {
		return afterEnd`),
		one("late-word-hidden", "what contradicts the end of a Payment is shown", "R13", projectFile, `	if rec.Outcome != nil && rec.Later != nil && attempt.Contradicts`, `	if !MUTATED && rec.Outcome != nil && rec.Later != nil && attempt.Contradicts`),
	}
}
