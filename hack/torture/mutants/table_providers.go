package mutants

// providerMutants break how the providers' answers are read and how requests
// leave the machine.
func providerMutants() []Mutant {
	return []Mutant{
		one("mtn-error-rejected", "an error of MTN's gateway is no refusal",
			ids("I4"), mtnRefusals,
			`	return wire.Verdict{Class: providers.ClassUnknown}
}

func classifyStatus`,
			`	if mutation.On("mtn-error-rejected") && status >= 500 {
		return wire.Verdict{Class: providers.ClassRejected}
	}
	return wire.Verdict{Class: providers.ClassUnknown}
}

func classifyStatus`),
		one("mtn-conflict-rejected", "that MTN knows the reference already is no refusal",
			ids("I4"), mtnRefusals,
			`	return p.fail(op, a, classify(a.Status, code), code)`,
			`	v := classify(a.Status, code)
	if v.Class == providers.ClassAlreadyExists && mutation.On("mtn-conflict-rejected") {
		v.Class = providers.ClassRejected
	}
	return p.fail(op, a, v, code)`),
		one("mtn-unknown-word-fails", "a word of MTN's that is not mapped decides nothing",
			ids("I4"), mtnAnswers,
			`s.State, s.Unrecognized = providers.StatePending, true`,
			`s.State, s.Unrecognized = providers.StatePending, true
		if mutation.On("mtn-unknown-word-fails") {
			s.State, s.Unrecognized = providers.StateFailed, false
		}`),
		one("orange-error-rejected", "an error of Orange's gateway is no refusal",
			ids("I4", "L2"), orangeRefusals,
			`case a.Status < 400 || a.Status > 499:`,
			`case a.Status >= 500 && mutation.On("orange-error-rejected"):
		return wire.Verdict{Class: providers.ClassRejected}
	case a.Status < 400 || a.Status > 499:`),
		one("wave-garbage-rejected", "an answer of Wave's that cannot be read is no refusal",
			ids("I4", "I8"), waveAnswers,
			`return session{}, wire.Odd(op, a, err.Error())`,
			`if op == providers.OpInitiate && mutation.On("wave-garbage-rejected") {
			return session{}, wire.Refuse(op, providers.ClassRejected, "")
		}
		return session{}, wire.Odd(op, a, err.Error())`),
		one("wave-open-taken-for-over", "a Wave session stays payable after a failed try",
			ids("I4"), waveAnswers,
			`case "open processing", "open cancelled":
		status.State = providers.StatePending`,
			`case "open processing", "open cancelled":
		status.State = providers.StatePending
		if mutation.On("wave-open-taken-for-over") && s.PaymentStatus == "cancelled" {
			status.State = providers.StateFailed
		}`),
		one("transport-repeats", "one send is one attempt on the wire",
			ids("I9", "I1"), transportFile,
			`resp, err := t.http.RoundTrip(req)`,
			`resp, err := t.http.RoundTrip(req)
	if err != nil && mutation.On("transport-repeats") {
		if again, buildErr := t.request(ctx, call); buildErr == nil {
			resp, err = t.http.RoundTrip(again) //nolint:bodyclose // closed below
		}
	}`),
		one("transport-replayable", "the body of a request cannot be sent a second time",
			ids("I9"), transportFile,
			`req.GetBody = nil`,
			`if !mutation.On("transport-replayable") {
		req.GetBody = nil
	}`),
		one("sent-taken-for-unsent", "a request that may have left is not one that did not",
			ids("I4", "I8"), transportFile,
			`if connected.Load() {`,
			`if connected.Load() && !mutation.On("sent-taken-for-unsent") {`),
	}
}
