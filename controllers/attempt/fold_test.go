package attempt

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// expected of a request for 5000 XOF under ref-1 with the tag c-1.
func expected() Expected {
	return Expected{
		Money: v1alpha1.Money{Amount: "5000", Currency: "XOF"}, Tag: "c-1", Paid: v1alpha1.ReasonPaid,
		Ours: func(st providers.Status) bool { return st.About(providers.Handle{Reference: "ref-1"}) },
	}
}

func status(state providers.State, change ...func(*providers.Status)) providers.Status {
	st := providers.Status{State: state, Reference: "ref-1", CorrelationTag: "c-1", TransactionID: "tx-1", Money: providers.Money{Amount: "5000", Currency: "XOF"}}
	for _, c := range change {
		c(&st)
	}
	return st
}

// raised has n open sends.
func raised(n int) *v1alpha1.Attempt {
	a := &v1alpha1.Attempt{}
	for range n {
		raise(a, "me", "key", noon)
	}
	return a
}

func TestFoldStatus_SuccessNeedsWhatWasSent(t *testing.T) {
	const paid, mismatch, reused = v1alpha1.ReasonPaid, v1alpha1.ReasonAmountMismatch, v1alpha1.ReasonReusedName
	known := func(a *v1alpha1.Attempt) { a.ReferenceKnown = true }
	found := func(a *v1alpha1.Attempt) { a.Open, a.Taken = nil, &v1alpha1.Taken{Found: true} }
	answered := func(a *v1alpha1.Attempt) { a.Open, a.Taken = nil, &v1alpha1.Taken{Send: 1} }
	unsent := func(a *v1alpha1.Attempt) { *a = v1alpha1.Attempt{} }
	open := func(*v1alpha1.Attempt) {}
	untagged := func(s *providers.Status) { s.CorrelationTag = "" }
	for name, c := range map[string]struct {
		change func(*providers.Status)
		of     func(*v1alpha1.Attempt)
		want   v1alpha1.Reason
	}{
		"as sent":                             {func(*providers.Status) {}, open, paid},
		"amount written else":                 {func(s *providers.Status) { s.Money.Amount = "5000.00" }, open, paid},
		"reference not echoed":                {func(s *providers.Status) { s.Reference = "" }, open, paid},
		"less":                                {func(s *providers.Status) { s.Money.Amount = "500" }, open, mismatch},
		"more":                                {func(s *providers.Status) { s.Money.Amount = "5001" }, open, mismatch},
		"no amount":                           {func(s *providers.Status) { s.Money.Amount = "" }, open, mismatch},
		"not a number":                        {func(s *providers.Status) { s.Money.Amount = "5e3" }, open, mismatch},
		"another currency":                    {func(s *providers.Status) { s.Money.Currency = "XAF" }, open, mismatch},
		"a currency of other case":            {func(s *providers.Status) { s.Money.Currency = "xof" }, open, mismatch},
		"another reference":                   {func(s *providers.Status) { s.Reference = "ref-2" }, open, mismatch},
		"another record's":                    {func(s *providers.Status) { s.CorrelationTag = "c-2" }, open, reused},
		"another record's, though we sent":    {func(s *providers.Status) { s.CorrelationTag = "c-2" }, answered, reused},
		"another record's, taken while open":  {func(s *providers.Status) { s.CorrelationTag = "c-2" }, found, paid},
		"without a tag":                       {untagged, open, paid},
		"without a tag, known at the first":   {untagged, known, reused},
		"with the tag, known at the first":    {func(*providers.Status) {}, known, paid},
		"without a tag, nothing was sent":     {untagged, unsent, reused},
		"of the record that was there before": {func(*providers.Status) {}, unsent, paid},
	} {
		t.Run(name, func(t *testing.T) {
			a := raised(1)
			c.of(a)
			fold := FoldStatus(status(providers.StateSucceeded, c.change), expected(), noon)
			if !fold(a) || fold(a) {
				t.Fatal("it is not recorded once")
			}
			got := ""
			switch {
			case a.Outcome != nil && a.Unknown == nil && a.Outcome.TransactionID == "tx-1" && a.Outcome.Paid != nil:
				got = a.Outcome.Reason
			case a.Unknown != nil && a.Outcome == nil && a.Unknown.Reported != nil && a.Unknown.Reported.TransactionID == "tx-1":
				got = a.Unknown.Reason
			}
			if got != c.want {
				t.Errorf("outcome %+v, unknown %+v", a.Outcome, a.Unknown)
			}
			e := expected()
			e.Consent = true
			consents := raised(1)
			c.of(consents)
			if FoldStatus(status(providers.StateSucceeded, c.change), e, noon)(consents); c.want == reused && (consents.Outcome == nil || consents.Outcome.Phase != v1alpha1.PhaseSucceeded) {
				t.Errorf("with consent: %+v", consents)
			}
		})
	}
}

func TestFoldStatus_AdoptsWhatIsOpenForThisMoney(t *testing.T) {
	other := func(s *providers.Status) { s.Money.Amount, s.CorrelationTag = "2500", "c-2" }
	a := &v1alpha1.Attempt{}
	FoldStatus(status(providers.StatePending, func(s *providers.Status) { s.CorrelationTag = "c-2" }), expected(), noon)(a)
	if a.Taken == nil || !a.Taken.Found || a.Outcome != nil {
		t.Errorf("not adopted: %+v", a)
	}
	a = &v1alpha1.Attempt{}
	FoldStatus(status(providers.StatePending, other), expected(), noon)(a)
	if a.Taken != nil || a.Unknown == nil || a.Unknown.Reason != v1alpha1.ReasonAmountMismatch || a.Unknown.Reported.Amount != "2500" {
		t.Errorf("other money is adopted: %+v", a)
	}
}

func TestFoldStatus_Outcomes(t *testing.T) {
	failed := func(f providers.FailureReason) providers.Status {
		return providers.Status{State: providers.StateFailed, Failure: f, Code: "X"}
	}
	for name, c := range map[string]struct {
		status              providers.Status
		calledOff           bool
		phase               v1alpha1.Phase
		reason, code, notes v1alpha1.Reason
	}{
		"declined":            {failed(providers.FailurePayerDeclined), false, v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined, "X", ""},
		"no funds":            {failed(providers.FailureInsufficientFunds), false, v1alpha1.PhaseFailed, v1alpha1.ReasonInsufficientFunds, "X", ""},
		"no reason":           {failed(""), false, v1alpha1.PhaseFailed, v1alpha1.ReasonProviderRefused, "X", ""},
		"expired":             {providers.Status{State: providers.StateExpired, Code: "EXPIRED"}, false, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout, "EXPIRED", ""},
		"expired after a try": {providers.Status{State: providers.StateExpired, Code: "expired", LastError: "insufficient-funds"}, false, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout, "insufficient-funds", ""},
		"expired, called off": {providers.Status{State: providers.StateExpired}, true, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, "", ""},
		"cancelled":           {providers.Status{State: providers.StateCancelled}, false, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, "", ""},
		"of another one":      {providers.Status{State: providers.StateFailed, Reference: "ref-2", Code: "X"}, false, "", "", "", v1alpha1.ReasonUnrecognizedStatus},
		"an unknown word":     {providers.Status{State: providers.StatePending, Unrecognized: true, Code: "ODD"}, false, "", "", "", v1alpha1.ReasonUnrecognizedStatus},
		"a try that failed":   {providers.Status{State: providers.StatePending, LastError: "no funds"}, false, "", "", "", v1alpha1.ReasonAwaitingPayer},
		"pending":             {providers.Status{State: providers.StatePending}, false, "", "", "", ""},
		"no state":            {providers.Status{State: "Paid"}, false, "", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, e := raised(1), expected()
			e.CalledOff = c.calledOff
			FoldStatus(c.status, e, noon)(a)
			if c.phase == "" {
				if a.Outcome != nil || a.Unknown != nil || (a.Notice == nil) != (c.notes == "") || a.Notice != nil && a.Notice.Reason != c.notes {
					t.Errorf("%+v", a)
				}
				return
			}
			if o := a.Outcome; o == nil || o.Phase != c.phase || o.Reason != c.reason || o.Code != c.code || !o.At.Equal(&metav1.MicroTime{Time: noon}) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// folds are what may be recorded of an attempt with two open sends.
func folds() map[string]Fold {
	at := micro(0)
	notice := v1alpha1.Notice{Reason: v1alpha1.ReasonProviderThrottled, At: at}
	refusal := func(n int32) Fold {
		return FoldRefusal(v1alpha1.Refusal{Send: v1alpha1.Send{Number: n, Sender: "me"}, Reason: v1alpha1.ReasonRequestRejected, At: at})
	}
	lost := v1alpha1.Unknown{Reason: v1alpha1.ReasonLostInitiation, Since: at}
	return map[string]Fold{
		"void 1": FoldVoid(1, notice), "void 2": FoldVoid(2, notice), "refused 1": refusal(1), "refused 2": refusal(2),
		"taken 1": FoldTaken(v1alpha1.Taken{Send: 1, At: at}), "taken 2": FoldTaken(v1alpha1.Taken{Send: 2, At: at}),
		"pending": FoldStatus(status(providers.StatePending), expected(), noon), "lost": FoldUnknown(lost),
		"undecided": FoldUnknown(v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at}),
		"mismatch":  FoldStatus(status(providers.StateSucceeded, func(s *providers.Status) { s.Money.Amount = "1" }), expected(), noon),
		"notice":    FoldNotice(notice), "known": FoldReferenceKnown,
		"paid": FoldStatus(status(providers.StateSucceeded), expected(), noon), "declined": FoldStatus(status(providers.StateFailed), expected(), noon),
		"still ended": FoldStillEnded(noon), "settled": FoldSettled(v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, SettledBy: "awa", At: at}, nil),
	}
}

// Folds in any order, repeated or not: facts are added, never taken back, and whether something changed is told.
func TestFolds_OnlyAdd(t *testing.T) {
	all := folds()
	names := slices.Sorted(maps.Keys(all))
	same := equality.Semantic.DeepEqual
	rapid.Check(t, func(t *rapid.T) {
		a := raised(2)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 12).Draw(t, "folds") {
			before := a.DeepCopy()
			changed := all[name](a)
			switch {
			case same(before, a) == changed:
				t.Fatalf("%s says changed=%t: %+v → %+v", name, changed, before, a)
			case all[name](a):
				t.Fatalf("%s changes something again: %+v", name, a)
			case before.Taken != nil && !same(before.Taken, a.Taken), before.Outcome != nil && !same(before.Outcome, a.Outcome), before.ReferenceKnown && !a.ReferenceKnown,
				before.Refusal != nil && (a.Refusal == nil || a.Refusal.Send.Number < before.Refusal.Send.Number), before.Later != nil && a.Later == nil,
				a.Sends != before.Sends, len(a.Open) > len(before.Open), before.Unknown != nil && before.Unknown.Reported != nil && a.Unknown == nil:
				t.Fatalf("%s took something back: %+v → %+v", name, before, a)
			}
		}
	})
}

func TestK3h_FoldsOfAnswersCommute(t *testing.T) {
	all := folds()
	answers := [][2]string{{"void 1", "void 2"}, {"void 1", "refused 2"}, {"refused 1", "void 2"}, {"refused 1", "refused 2"}, {"taken 1", "refused 2"}, {"void 1", "taken 2"}, {"lost", "taken 2"}, {"refused 1", "undecided"}, {"taken 1", "undecided"}, {"pending", "void 2"}, {"mismatch", "void 2"}, {"paid", "void 2"}, {"paid", "refused 2"}, {"paid", "undecided"}}
	for _, pair := range answers {
		one, other := raised(2), raised(2)
		all[pair[0]](one)
		all[pair[1]](one)
		all[pair[1]](other)
		all[pair[0]](other)
		one.Notice, other.Notice = nil, nil
		if one.Taken != nil && other.Taken != nil { // who was first is told, and decides nothing
			one.Taken, other.Taken = nil, nil
		}
		if one.Outcome != nil && other.Outcome != nil { // nothing else counts then
			one.Refusal, one.Unknown, other.Refusal, other.Unknown = nil, nil, nil, nil
		}
		if !equality.Semantic.DeepEqual(one, other) {
			t.Errorf("%v: %+v or %+v", pair, one, other)
		}
	}
	for _, kind := range []string{"orange", "wave"} {
		f := situation(kind, func(f *Facts) { f.Attempt = raised(2) })
		all["refused 2"](f.Attempt)
		all["void 1"](f.Attempt)
		if d := Decide(f); d.Action != Conclude || d.Phase != v1alpha1.PhaseFailed {
			t.Errorf("%s: %+v", kind, d)
		}
	}
}

func TestFoldConcluded_HoldsOnlyIfNothingWasLearnt(t *testing.T) {
	for name, c := range map[string]struct {
		learn func(*v1alpha1.Attempt)
		holds bool
	}{
		"nothing":            {func(*v1alpha1.Attempt) {}, true},
		"a send is void":     {func(a *v1alpha1.Attempt) { folds()["void 1"](a) }, false},
		"another send":       {func(a *v1alpha1.Attempt) { raise(a, "other", "", noon) }, false},
		"it was taken":       {func(a *v1alpha1.Attempt) { folds()["taken 1"](a) }, false},
		"it was known":       {func(a *v1alpha1.Attempt) { folds()["known"](a) }, false},
		"it cannot be told":  {func(a *v1alpha1.Attempt) { folds()["lost"](a) }, false},
		"it ended otherwise": {func(a *v1alpha1.Attempt) { folds()["paid"](a) }, false},
	} {
		a := raised(1)
		fold := FoldConcluded(v1alpha1.Outcome{Phase: v1alpha1.PhaseCancelled, Reason: v1alpha1.ReasonCancelled, At: micro(0)}, a)
		c.learn(a)
		if fold(a) != c.holds || c.holds != (a.Outcome != nil && a.Outcome.Phase == v1alpha1.PhaseCancelled) {
			t.Errorf("%s: %+v", name, a.Outcome)
		}
	}
}

// R13: in what way it was not paid contradicts nothing; that it was does, or that it was not.
func TestLater_WhatContradicts(t *testing.T) {
	for _, was := range []v1alpha1.Phase{v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled, v1alpha1.PhaseSucceeded} {
		for _, says := range []providers.State{providers.StateFailed, providers.StateExpired, providers.StateCancelled, providers.StateSucceeded} {
			a := raised(1)
			a.Outcome = &v1alpha1.Outcome{Phase: was, At: micro(time.Hour), Paid: &v1alpha1.Money{Amount: "5000", Currency: "XOF"}}
			FoldStatus(status(says), expected(), noon)(a)
			contradicts := (was == v1alpha1.PhaseSucceeded) != (says == providers.StateSucceeded)
			if a.Outcome.Phase != was || a.Later == nil || Contradicts(a.Outcome, a.Later) != contradicts {
				t.Errorf("%s, then %s: later %+v", was, says, a.Later)
			}
		}
	}
	a := raised(1)
	a.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, At: micro(time.Hour), Paid: &v1alpha1.Money{Amount: "5000", Currency: "XOF"}}
	if folds()["mismatch"](a); a.Later == nil || !Contradicts(a.Outcome, a.Later) {
		t.Errorf("paid with other money: %+v", a.Later)
	}
}

// What the person knew who settled it contradicts nothing, nor does an earlier sale's end.
func TestLater_WhatWasKnown(t *testing.T) {
	other := func(s *providers.Status) { s.Money.Amount = "1" }
	more := func(s *providers.Status) { s.Money.Amount = "2" }
	earlier := func(s *providers.Status) { s.CorrelationTag = "c-2" }
	for name, c := range map[string]struct {
		reported, later func(*providers.Status)
		late            bool
	}{
		"the money that was reported": {other, other, false}, "yet other money": {other, more, true},
		"an earlier sale's": {earlier, earlier, false}, "this one's": {earlier, func(*providers.Status) {}, true},
	} {
		a := raised(1)
		FoldStatus(status(providers.StateSucceeded, c.reported), expected(), noon)(a)
		FoldSettled(v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, SettledBy: "awa", At: micro(0)}, a.Unknown)(a)
		FoldStatus(status(providers.StateSucceeded, c.later), expected(), noon.Add(time.Hour))(a)
		if late := a.Later != nil; late != c.late || late && !Contradicts(a.Outcome, a.Later) {
			t.Errorf("%s: later %+v", name, a.Later)
		}
	}
}

// The answer to a write is lost, and the write is repeated on what was stored.
func TestLater_ARepeatedWriteIsNoLaterWord(t *testing.T) {
	a, stored := raised(1), &v1alpha1.Attempt{}
	fold := FoldStatus(status(providers.StateSucceeded), expected(), noon.Add(123456789*time.Nanosecond))
	fold(a)
	written, err := json.Marshal(a)
	if err = errors.Join(err, json.Unmarshal(written, stored)); err != nil || fold(stored) || stored.Later != nil {
		t.Errorf("later %+v, %v", stored.Later, err)
	}
}

// K4c: a settlement is about the Unknown that was shown.
func TestK4c_FoldSettled(t *testing.T) {
	shown := &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: micro(time.Hour)}
	said := v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, SettledBy: "awa", At: micro(0)}
	for name, c := range map[string]struct {
		now    *v1alpha1.Unknown
		counts bool
	}{
		"the same":       {shown.DeepCopy(), true},
		"another reason": {&v1alpha1.Unknown{Reason: v1alpha1.ReasonAmountMismatch, Since: shown.Since}, false},
		"another time":   {&v1alpha1.Unknown{Reason: shown.Reason, Since: micro(0)}, false},
		"known by now":   {nil, false},
	} {
		a := raised(1)
		a.Unknown = c.now
		if FoldSettled(said, shown)(a) != c.counts || (a.Outcome != nil) != c.counts {
			t.Errorf("%s: %+v", name, a.Outcome)
		}
	}
}
