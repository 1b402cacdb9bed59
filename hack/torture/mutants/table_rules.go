package mutants

import "strings"

// identity breaks what belongs to which sale.
func identity() []Mutant {
	return []Mutant{
		one("charge-by-name", "a new object is compared with the Charge of its name", "R2", saleFile, `	case string(p.UID) == c.Spec.Payment.UID:`, `	case string(p.UID) == c.Spec.Payment.UID, MUTATED:`),
		unless("other-money-adopted", "a Charge of other intent is not taken up", "R2 R7", saleFile, `	case known && !sameIntent(p, c, inst, at.currency):`),
		one("unsent-conflicts", "a Charge of which nothing was sent is in nobody's way", "R2", saleFile, `		if attempt.NothingSent(&c.Record.Attempt) && p.Status.ChargeName == "" {`, `		if attempt.NothingSent(&c.Record.Attempt) && p.Status.ChargeName == "" && !MUTATED {`),
		unless("lost-key-adopted", "what was made with a lost key is adopted with consent only", "R2", saleFile, `	case !known && !consents(p):`),
		unless("reused-adopted", "a sale that ended long ago is not taken for a new one", "R2", saleFile, `	case endedTooLongBefore(p, c, adoptionWindow) && !consents(p):`),
		unless("sandbox-adopted", "money of another environment is not adopted", "R2", saleFile, `	case at.environment != c.Spec.Account.Environment:`),
		{
			Name: "foreign-touched", Rule: "a Charge of another installation is not touched", Breaks: strings.Fields("R2 R13 R9 one-charge"),
			Edits: []Edit{
				edit("foreign-touched", saleFile, `	case !sale, c.Spec.InstallationID != inst.ID, c.Spec.ReferenceVersion != installation.ReferenceVersion:`,
					`	case !sale || !MUTATED && (c.Spec.InstallationID != inst.ID || c.Spec.ReferenceVersion != installation.ReferenceVersion):`),
				edit("foreign-touched", payFacts, `	if c := v.charge; c != nil && !r.Installation.Made(c) {`, `	if c := v.charge; c != nil && !r.Installation.Made(c) && !MUTATED {`),
				edit("foreign-touched", loopFile, `	case !r.Installation.Made(c), c.Record`, `	case !r.Installation.Made(c) && !MUTATED, c.Record`),
			},
		},
		one("installation-in-name", "a sale has one record, whatever the installation id", "one-charge R2", nameFile, `func (Installation) ChargeName(namespace, name string) string {
	sum := SaleDigest(namespace, name)`, `func (i Installation) ChargeName(namespace, name string) string {
	if MUTATED {
		name += i.ID
	}
	sum := SaleDigest(namespace, name)`),
		one("account-in-reference", "what a provider knows a sale by holds no account", "one-charge R2", sendFile, `inst.ReferenceDigest(p.Spec.Provider, environment, p.Namespace, p.Name)`, `inst.ReferenceDigest(p.Spec.Provider, environment, p.Namespace, func() string {
				if MUTATED {
					return p.Name + acct.Pin.Kind
				}
				return p.Name
			}())`),
		one("uid-in-reference", "what a provider knows a sale by holds no uid", "one-charge R2", sendFile, `	name := inst.ChargeName(p.Namespace, p.Name)
	return &v1alpha1.Charge{`, `	name := inst.ChargeName(p.Namespace, p.Name)
	if MUTATED {
		p = p.DeepCopy()
		p.Name += string(p.UID)
	}
	return &v1alpha1.Charge{`),
		one("unnamed-sends", "without a given installation id nothing is sent in production (K1h)", "R2 one-charge", accountFile,
			`	if r.InstallationIDGiven || a.Pin`, `	if r.InstallationIDGiven || MUTATED || a.Pin`),
	}
}

// settling breaks what a person's word counts for.
func settling() []Mutant {
	return []Mutant{
		one("settlement-unbound", "a settlement counts for the Unknown that it names", "R2", saleFile, `said.UnknownID == id && !attempt.Restored(p) {`, `(said.UnknownID == id || MUTATED) && (!attempt.Restored(p) || MUTATED) {`),
		one("unknown-id-unbound", "another reason, time or report is another Unknown (K4c)", "R2", nameFile, `	parts := []string{chargeUID, objectUID, reason, since.UTC().Format(time.RFC3339)}
	if r != nil {`, `	parts := []string{chargeUID, objectUID, reason, since.UTC().Format(time.RFC3339)}
	if MUTATED {
		parts, r = parts[:2], nil
	}
	if r != nil {`),
		one("settled-as-asked", "who settles says how much was really paid (K4a)", "R2 over-refund", askFile, `		if said.Amount != nil {`, `		if said.Amount != nil && !MUTATED {`),
		one("unknown-id-of-name", "another object has another Unknown", "R2", payFacts, `	return r.Installation.UnknownID(string(c.UID), string(p.UID),`, `	if MUTATED {
		return r.Installation.UnknownID("", p.Name, u.Reason, u.Since.Time, u.Reported)
	}
	return r.Installation.UnknownID(string(c.UID), string(p.UID),`),
	}
}

// schedule breaks that what is open is asked about, and not too often.
func schedule() []Mutant {
	return []Mutant{
		one("orphan-dropped", "a Charge whose Payment is gone is followed to its end", "R9", payFacts, `	if c := v.charge; c != nil && v.relation != relationVacant {
		f = r.ofCharge`, `	if c := v.charge; c != nil && v.relation != relationVacant && !(MUTATED && v.payment == nil) {
		f = r.ofCharge`),
		one("orphan-open-waits", "a send without an answer and without a Payment becomes Unknown", "R9", decideFile, `	case !f.Now.Before(verdict) && (!f.Rules.Askable || f.undecided(verdict)):`, `	case !f.Now.Before(verdict) && (f.Wanted || !MUTATED) && (!f.Rules.Askable || f.undecided(verdict)):`),
		one("unknown-forgotten", "what is Unknown is asked about on", "R9", decideFile, `	case a.Unknown != nil:
		return f.ask(f.nextCheck())`, `	case a.Unknown != nil:
		if MUTATED && f.Now.Sub(a.Unknown.Since.Time) > 20*time.Minute {
			return Decision{Action: Idle}
		}
		return f.ask(f.nextCheck())`),
		one("silence-gives-up", "who does not answer for days is asked on (K2b)", "R9", decideFile, `	if f.askable() {
		return f.waitUntil(at, Ask)`, `	if f.askable() && !(MUTATED && f.Attempt.Unknown != nil && f.Attempt.Notice != nil) {
		return f.waitUntil(at, Ask)`),
		one("unfollowed-unsaid", "what cannot be followed any more says so (K2d)", "R9", actFile, `	before := v.charge.Record.Notice
	v, err`, `	if MUTATED {
		return v, nil
	}
	before := v.charge.Record.Notice
	v, err`),
		one("silence-waits", "a day past the deadline without an answer it is Unknown", "R9", factsFile, `f.Now.Sub(verdict) >= silentFor`, `f.Now.Sub(verdict) >= silentFor && !MUTATED`),
		one("future-believed", "a recorded time from the future counts as now", "R9", factsFile, `	case !t.After(f.Now):`, `	case !t.After(f.Now), MUTATED:`),
		one("callback-ignored", "a callback makes a check due at once", "R8", scheduleFile, `	if f.CalledBack() {`, `	if f.CalledBack() && !MUTATED {`),
		one("callback-dropped", "a callback about a Charge without a Payment is noted", "R8", noteFile, `	if !onPayment || apierrors.IsNotFound(err) {`, `	if !MUTATED && (!onPayment || apierrors.IsNotFound(err)) {`),
		one("late-callback-ignored", "a callback after an end that is not paid is asked about", "R8 R9", decideFile, `o.Phase != v1alpha1.PhaseSucceeded && called:`, `o.Phase != v1alpha1.PhaseSucceeded && called && !MUTATED:`),
		one("callback-believed", "a callback changes no phase itself", "R7 R8", noteFile, `		c.Record.LastCallback = note`, `		c.Record.LastCallback = note
		if MUTATED && n.claim == "SUCCESSFUL" && c.Record.Outcome == nil {
			c.Record.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, Paid: &c.Spec.Money, At: note.ReceivedAt}
		}`),
		one("overdue-sent", "who could not be asked for in a day is not asked for weeks later", "R9", payFacts, `	f.Overdue = f.Now.Sub`, `	f.Overdue = !MUTATED && f.Now.Sub`),
		one("payer-logged", "a log holds no phone", "privacy", actFile, `	case attempt.Raise:
		return r.send(ctx, v)`, `	case attempt.Raise:
		if MUTATED {
			log.FromContext(ctx).Info("Sending", "spec", v.payment.Spec)
		}
		return r.send(ctx, v)`),
	}
}

// refunds breaks how money is given back.
func refunds() []Mutant {
	return []Mutant{
		unless("refund-cap-ignored", "all refunds together are no more than was paid", "over-refund", reserveFile, `	case providers.CompareAmounts(amount, left) > 0:`),
		one("open-refunds-uncounted", "what another refund reserved counts before it is given back", "over-refund", reserveFile, `	case o == nil || o.Phase == v1alpha1.PhaseSucceeded:`, `	case o == nil && !MUTATED || o != nil && o.Phase == v1alpha1.PhaseSucceeded:`),
		one("refund-fence-skipped", "the Refund is written after the raise", "R1", refundSend, `	if err := r.Client.Status().Update(ctx, next); err != nil {`, `	if MUTATED {
		return next, nil
	}
	if err := r.Client.Status().Update(ctx, next); err != nil {`),
		one("refund-reference-per-attempt", "every send of a refund uses the same reference", "over-refund R1", refundSend, `	h := providers.RefundHandle{
		Reference: e.Reference,`, `	ref := e.Reference
	if MUTATED && e.Sends > 1 && ref != "" {
		ref = ref[:len(ref)-1] + string("0123456789"[e.Sends%10])
	}
	h := providers.RefundHandle{
		Reference: ref,`),
		one("refund-unasked", "a refund that was taken is asked about before it counts as made", "R7", protocolFile, `			opened := foldSession(c, a.Initiation, s.Where)`, `			if refund := s.Where(c); MUTATED && refund != nil && refund != &c.Record.Attempt {
				return FoldOutcome(v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonRefunded, At: at})(refund)
			}
			opened := foldSession(c, a.Initiation, s.Where)`),
		one("reservation-freed", "what a Refund reserved is never freed by absence (K3d)", "over-refund R6", refundFacts, `	case r.refusal(v) != nil:
		return`, `	case MUTATED && e != nil && e.Outcome == nil && v.gone() && v.seen.OK() && v.seen.NotFound:
		return attempt.Decision{Action: attempt.Conclude, Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonNotRefunded}
	case r.refusal(v) != nil:
		return`),
		one("refund-refusal-final", "a refused refund counts after the late window and a question (K3e)", "R6 over-refund", factsFile, `RefusalFinal: t.Refund == providers.RefundWhole`, `RefusalFinal: t.Refund == providers.RefundWhole || MUTATED`),
		one("history-ignored", "what was found without the record of its refunds is not given back (K3f)", "over-refund", reserveFile, `	return attempt.Restored(c) ||`, `	if MUTATED {
		return false
	}
	return attempt.Restored(c) ||`),
	}
}

// wires breaks how the providers' answers are read and how requests leave the machine.
func wires() []Mutant {
	return []Mutant{
		one("mtn-unknown-word-fails", "a word of MTN's that is not mapped decides nothing", "R6", mtnAnswers, `		s.State, s.Unrecognized = providers.StatePending, true`, `		s.State, s.Unrecognized = providers.StatePending, true
		if MUTATED {
			s.State, s.Unrecognized = providers.StateFailed, false
		}`),
		one("wave-garbage-rejected", "an answer of Wave's that cannot be read is no refusal", "R6 R4", waveAnswers, `		return session{}, wire.Odd(op, a, err.Error())`, `		if op == providers.OpInitiate && MUTATED {
			return session{}, &providers.Error{Class: providers.ClassRejected, Operation: op}
		}
		return session{}, wire.Odd(op, a, err.Error())`),
		one("transport-repeats", "one send is one request on the wire", "R1", wireFile, `	resp, err := t.http.RoundTrip(req)`, `	resp, err := t.http.RoundTrip(req)
	if err != nil && MUTATED {
		if again, buildErr := request(ctx, call); buildErr == nil {
			resp, err = t.http.RoundTrip(again) //nolint:bodyclose // closed below
		}
	}`),
		one("transport-replayable", "the body of a request cannot be sent a second time", "R1", wireFile, `	req.GetBody = nil`, `	if !MUTATED {
		req.GetBody = nil
	}`),
		one("distrust-ignored", "an endpoint that is not trusted gets nothing", "R14", secretsFile, `	allowed := r.AllowedEndpoints
`, `	allowed := r.AllowedEndpoints
	if MUTATED {
		return nil
	}
`),
	}
}

// bounds breaks that no input makes the operator work without bound.
func bounds() []Mutant {
	return []Mutant{
		one("calls-uncounted", "calls are counted as they leave (K6d)", "R10", limiterFile, `		w.left = append(w.left, now)`, `		if !MUTATED {
			w.left = append(w.left, now)
		}`),
		one("callbacks-last", "who was called back about does not wait for the schedule, nor a tenant for another (K6c)", "R8", queueFile, `func (q *queue) join(who Caller, now time.Time) *waiter {
`, `func (q *queue) join(who Caller, now time.Time) *waiter {
	if MUTATED {
		who.Purpose, who.Namespace = Scheduled, ""
	}
`),
		one("no-back-off", "failures in a row are waited for", "bounds", decideFile, `	if f.Seen.Failures == 0 {`, `	if f.Seen.Failures == 0 || MUTATED {`),
	}
}
