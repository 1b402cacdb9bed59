package mutants

// sendMutants break what stands before a send: written down, once, live.
func sendMutants() []Mutant {
	return []Mutant{
		one("send-unacknowledged", "a send waits for its write-ahead to be acknowledged",
			ids("I1"), actFile,
			`if err := r.Client.Update(ctx, raised); err != nil {`,
			`if err := r.Client.Update(ctx, raised); err != nil && !mutation.On("send-unacknowledged") {`),
		one("write-ahead-overwrites", "the write-ahead holds only for the Charge as it was when the send was decided",
			ids("I1", "I6", "I8"), actFile,
			`raise(raised, r.Process, credentials, at)`,
			`raise(raised, r.Process, credentials, at)
	if mutation.On("write-ahead-overwrites") {
		var now v1alpha1.Charge
		if r.Live.Get(ctx, types.NamespacedName{Name: o.name}, &now) == nil {
			raised.ResourceVersion = now.ResourceVersion
		}
	}`),
		one("send-not-counted", "each send is counted before it is made",
			ids("I1"), recordFile,
			`rec.Sends++`,
			`if !mutation.On("send-not-counted") {
		rec.Sends++
	}`),
		one("send-on-cached-read", "a send is decided on a live read",
			ids("I1", "I4", "I6"), loopFile,
			`r.observe(ctx, req.Name, live)`,
			`r.observe(ctx, req.Name, freshness(!mutation.On("send-on-cached-read") || d.action != actSend))`),
		one("cancel-on-cached-read", "a payment is called off on a live read only",
			ids("I4"), loopFile,
			`d := r.decide(o)`,
			`d := r.decide(o)
	if mutation.On("cancel-on-cached-read") && d.action == actCancelled {
		return r.next(o, d), errors.Join(r.act(ctx, o, d), r.projectAll(ctx, o))
	}`),
		one("charge-read-cached", "where a live read is asked for, the Charge is read live, too",
			ids("I1", "I2", "I4"), loopFile,
			`switch err := r.reader(f).Get(`,
			`switch err := r.reader(f && freshness(!mutation.On("charge-read-cached"))).Get(`),
		one("paused-sender-sends", "a sender that was paused too long does not send any more",
			ids("I9"), actFile,
			`if r.Now().Sub(at) > r.Settings.CallTimeout {`,
			`if r.Now().Sub(at) > r.Settings.CallTimeout && !mutation.On("paused-sender-sends") {`),
	}
}

// againMutants break what stands before another send: its name, its time, its
// number.
func againMutants() []Mutant {
	return []Mutant{
		one("reference-per-attempt", "every attempt uses the same reference",
			ids("I2", "I1"), actFile,
			`spec.ProviderReference,
		Money:`,
			`func() string {
			ref, sends := spec.ProviderReference, o.charge.Record.Sends
			if mutation.On("reference-per-attempt") && sends > 1 {
				return ref[:len(ref)-1] + string("0123456789"[sends%10])
			}
			return ref
		}(),
		Money:`),
		one("uid-in-reference", "what a sale is known by holds no uid",
			ids("I2"), typesFile,
			`return p.Name
}`,
			`if mutation.On("uid-in-reference") {
		return p.Name + "-" + string(p.UID)
	}
	return p.Name
}`),
		one("late-window-ignored", "nothing is sent again while the first send may still arrive",
			ids("I8", "I4"), decideFile,
			`case f.now.Before(late):`,
			`case f.now.Before(late) && !mutation.On("late-window-ignored"):`),
		one("hurried-verdict", "what was asked before the window of a late arrival was over is asked again",
			ids("I4", "I8", "L2"), decideFile,
			`case !askedInTime:`,
			`case !askedInTime && !mutation.On("hurried-verdict"):`),
		one("wave-unsearched", "before a send at Wave the reference is searched for",
			ids("I8", "I2"), actFile,
			`if err := r.search(ctx, o, c); err != nil {`,
			`if mutation.On("wave-unsearched") {
			return true, nil
		}
		if err := r.search(ctx, o, c); err != nil {`),
		one("sends-unlimited", "the sends that may have arrived are limited",
			ids("L1", "O7"), decideFile,
			`openSends(&f.charge.Record) < f.settings.MaxSends`,
			`(openSends(&f.charge.Record) < f.settings.MaxSends || mutation.On("sends-unlimited"))`),
		one("called-off-yet-sent", "after it was called off nothing is sent",
			ids("I4", "I1"), decideFile,
			`return f.charge.Record.Cancel != nil`,
			`return f.charge.Record.Cancel != nil && !mutation.On("called-off-yet-sent")`),
	}
}
