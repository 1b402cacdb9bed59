package attempt

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func micro(ago time.Duration) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(-ago)) }

// kinds of requests, by the column of the table of verdicts.
func kinds() map[string]Rules {
	return map[string]Rules{
		"mtn": CollectionRules(mtn.Kind().Traits), "orange": CollectionRules(orange.Kind().Traits), "wave": CollectionRules(wave.Kind().Traits),
		"refund, mtn": RefundRules(mtn.Kind().Traits), "refund, wave": RefundRules(wave.Kind().Traits),
	}
}

type change func(*Facts)

// situation is a request that is wanted and of which nothing is recorded, at noon.
func situation(kind string, changes ...change) Facts {
	f := Facts{
		Now: noon, Settings: DefaultSettings(), Process: "me", Rules: kinds()[kind], Created: noon.Add(-200 * 24 * time.Hour), Usable: true,
		Key: "shop/sale", Wanted: true, Timeout: time.Hour, Interval: 2 * time.Minute,
	}
	for _, c := range changes {
		c(&f)
	}
	f.LacksHandle = f.Attempt != nil && f.Attempt.Taken == nil && !f.Rules.Askable
	return f
}

func (f *Facts) record() *v1alpha1.Attempt {
	if f.Attempt == nil {
		f.Attempt = &v1alpha1.Attempt{}
	}
	return f.Attempt
}

func sent(ago time.Duration, sender string) change {
	return func(f *Facts) {
		a := f.record()
		a.Sends++
		a.Open = append(a.Open, v1alpha1.Send{Number: a.Sends, Sender: sender, At: micro(ago)})
	}
}

func refused(ago time.Duration) change {
	return func(f *Facts) {
		a := f.record()
		a.Sends++
		a.Refusal = &v1alpha1.Refusal{Send: v1alpha1.Send{Number: a.Sends, Sender: "me", At: micro(ago)}, At: micro(ago), Reason: v1alpha1.ReasonRequestRejected}
	}
}

func void(f *Facts) { f.record().Sends++ }
func taken(ago time.Duration) change {
	return func(f *Facts) { f.record().Sends++; f.Attempt.Taken = &v1alpha1.Taken{Send: 1, At: micro(ago)} }
}

// asked: the last question began that long ago, and was answered.
func asked(ago time.Duration, changes ...func(*Observation)) change {
	return func(f *Facts) {
		f.Seen.At, f.Seen.Asked, f.Seen.State = noon.Add(-ago), noon.Add(-ago), providers.StatePending
		for _, c := range changes {
			c(&f.Seen)
		}
	}
}

func notFound(o *Observation)                   { o.NotFound, o.State = true, "" }
func failures(n int) func(*Observation)         { return func(o *Observation) { o.Failures = n } }
func said(s providers.State) func(*Observation) { return func(o *Observation) { o.State = s } }
func endedAgo(ago time.Duration) func(*Observation) {
	return func(o *Observation) { o.EndedAt = noon.Add(-ago) }
}
func calledOff(f *Facts)   { f.CalledOff = true }
func unwanted(f *Facts)    { f.Wanted = false }
func overdue(f *Facts)     { f.Overdue = true }
func earlierLife(f *Facts) { f.EarlierLife = true }
func lost(f *Facts)        { f.RecordLost = true; f.record() }
func adoptOnly(f *Facts)   { f.AdoptOnly = true }
func unusable(f *Facts)    { f.Usable = false }
func noticed(reason v1alpha1.Reason) change {
	return func(f *Facts) { f.record().Notice = &v1alpha1.Notice{Reason: reason} }
}
func unknown(reason v1alpha1.Reason, ago time.Duration) change {
	return func(f *Facts) { f.record().Unknown = &v1alpha1.Unknown{Reason: reason, Since: micro(ago)} }
}
func ended(phase v1alpha1.Phase, ago time.Duration, settledBy string) change {
	return func(f *Facts) {
		f.record().Outcome = &v1alpha1.Outcome{Phase: phase, At: micro(ago), SettledBy: settledBy}
	}
}

// forCallback: the last question that a callback asked for began then.
func forCallback(ago time.Duration) change {
	return func(f *Facts) { f.Seen.ForCallback = noon.Add(-ago) }
}

func calledBack(ago time.Duration) change { return func(f *Facts) { f.Callback = noon.Add(-ago) } }

// A page that is over by a clock that was set back after the question.
func TestDecide_R6ConcludesNothingFromAQuestionOfTheFuture(t *testing.T) {
	f := situation("orange", taken(20*time.Minute), asked(-time.Minute, said(providers.StateNotStarted)))
	if d := Decide(f); d.Action != Wait {
		t.Errorf("%+v", d)
	}
	f.Now = f.Now.Add(2 * time.Minute)
	if d := Decide(f); d.Action != Conclude {
		t.Errorf("%+v after the question", d)
	}
}

func TestDecide(t *testing.T) {
	const minute, hour = time.Minute, time.Hour
	wait := func(d time.Duration) Decision { return Decision{Action: Wait, After: d} }
	because := func(a Action, r v1alpha1.Reason) Decision { return Decision{Action: a, Reason: r} }
	for _, c := range []struct {
		name, kind string
		facts      []change
		want       Decision
	}{
		{"R1 a new request", "mtn", nil, Decision{Action: Raise}},
		{"R1 nobody wants it", "mtn", []change{unwanted}, Decision{Action: Idle}},
		{"R1 blocked", "wave", []change{func(f *Facts) { f.Blocked = v1alpha1.ReasonAccountSuspended }}, Decision{Wait, minute, "", v1alpha1.ReasonAccountSuspended}},
		{"R1 void just now", "orange", []change{void, asked(0, failures(2))}, wait(10 * time.Second)},
		{"R1 void long ago", "orange", []change{void, asked(minute, failures(9))}, Decision{Action: Raise}},
		{"R5 may have arrived: asked", "mtn", []change{sent(0, "me")}, Decision{Action: Ask}},
		{"R5 may still arrive", "orange", []change{sent(90*time.Second, "me")}, wait(30 * time.Second)},
		{"R5 another's clock may be wrong", "orange", []change{sent(150*time.Second, "other")}, wait(30 * time.Second)},
		{"R5 the same order again", "orange", []change{sent(2*minute, "me")}, Decision{Action: Raise}},
		{"R5 asked too early to repeat", "mtn", []change{sent(3*minute, "me"), asked(2*minute, notFound)}, Decision{Action: Ask}},
		{"R5 not under other credentials", "mtn", []change{sent(3*minute, "me"), asked(0)}, wait(minute + 50*time.Second)},
		{"R5 not once it is known", "mtn", []change{sent(3*minute, "me"), asked(0, notFound), func(f *Facts) { f.Attempt.ReferenceKnown = true }}, wait(minute + 50*time.Second)},
		{"R5 not more than five open", "orange", []change{sent(9*minute, "me"), sent(8*minute, "me"), sent(7*minute, "me"), sent(6*minute, "me"), sent(5*minute, "me")}, wait(minute)},
		{"R5 not without an account", "orange", []change{sent(2*minute, "me"), unusable}, wait(minute)},
		{"R5 not under --adopt-only", "orange", []change{sent(2*minute, "me"), adoptOnly}, wait(minute)},
		{"R5 not once it is refused", "mtn", []change{sent(4*minute, "me"), refused(3 * minute), asked(0, notFound)}, wait(minute + 50*time.Second)},
		{"R6 refused: asked after the late window", "mtn", []change{refused(0), asked(0, notFound)}, wait(2 * minute)},
		{"R6 refused, and not known since", "mtn", []change{refused(3 * minute), asked(0, notFound)}, Decision{Conclude, 0, v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected}},
		{"R6 refused, Unknown, and not known since", "mtn", []change{refused(30 * hour), unknown(v1alpha1.ReasonOutcomeUnknown, hour), asked(0, notFound)}, Decision{Conclude, 0, v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected}},
		{"R6 refused, and another's", "mtn", []change{refused(30 * hour), unknown(v1alpha1.ReasonReusedName, hour), asked(10*minute, notFound)}, Decision{Action: Ask}},
		{"R6 refused by a page", "wave", []change{refused(0)}, Decision{Conclude, 0, v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected}},
		{"R6 refused by a page, another may arrive", "orange", []change{sent(minute, "me"), refused(0)}, wait(2 * minute)},
		{"R6 refused by a page, none can arrive", "orange", []change{sent(3*minute, "me"), refused(2 * minute)}, Decision{Conclude, 0, v1alpha1.PhaseFailed, v1alpha1.ReasonRequestRejected}},
		{"R6 nobody can pay, and nobody wants it", "orange", []change{sent(2*minute, "me"), unwanted}, Decision{Conclude, 0, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled}},
		{"R6 a page of before may be paid", "orange", []change{sent(hour, "me"), unwanted, func(f *Facts) { f.Attempt.ReferenceKnown = true }}, because(GiveUp, v1alpha1.ReasonOutcomeUnknown)},
		{"R6 absence ends nothing at MTN", "mtn", []change{sent(hour, "me"), unwanted, asked(0, notFound)}, because(GiveUp, v1alpha1.ReasonOutcomeUnknown)},
		{"R6 not ended before it was asked", "mtn", []change{calledOff}, Decision{Action: Ask}},
		{"R6 nor by an answer that failed", "wave", []change{overdue, asked(minute, notFound, failures(1))}, Decision{Action: Ask}},
		{"R6 nor without an account", "mtn", []change{calledOff, unusable}, wait(minute)},
		{"R9 taken just now", "mtn", []change{taken(0), asked(0)}, wait(minute + 50*time.Second)},
		{"R9 the page is still open", "orange", []change{taken(14 * minute), asked(0, said(providers.StateNotStarted))}, wait(minute)},
		{"R9 a short timeout ends no session", "orange", []change{taken(5 * minute), asked(0, said(providers.StateNotStarted)), func(f *Facts) { f.Timeout = minute }}, wait(minute + 50*time.Second)},
		{"R9 ended, then asked", "wave", []change{taken(61 * minute), asked(minute, endedAgo(0))}, Decision{Action: Ask}},
		{"R9 ended and still open, not again at once", "wave", []change{taken(61 * minute), asked(minute, endedAgo(2*minute))}, wait(4*minute + 6*time.Second)},
		{"R8 ended and still open, and called back", "wave", []change{taken(61 * minute), asked(minute, endedAgo(2*minute)), calledBack(30 * time.Second)}, Decision{Action: Ask}},
		{"R9 called off: ended at once", "wave", []change{taken(minute), asked(0), calledOff}, Decision{Action: EndSession}},
		{"R9 cannot be asked", "orange", []change{sent(hour, "me"), unknown(v1alpha1.ReasonLostInitiation, minute)}, Decision{Action: Idle}},
		{"R12 the record is made again", "mtn", []change{func(f *Facts) { f.RecordLost = true }}, Decision{Action: Recreate}},
		{"R12 but for no account", "mtn", []change{func(f *Facts) { f.RecordLost, f.Created = true, noon }, unusable}, wait(minute)},
		{"K2c R12 nor is there one later", "mtn", []change{func(f *Facts) { f.RecordLost = true }, unusable}, Decision{GiveUp, 0, "", v1alpha1.ReasonLostInitiation}},
		{"K2c R12 asked in vain", "mtn", []change{lost, asked(minute, failures(1))}, Decision{GiveUp, 0, "", v1alpha1.ReasonLostInitiation}},
		{"K2c R12 asked in vain, lately", "mtn", []change{lost, asked(minute, failures(1)), func(f *Facts) { f.Created = noon.Add(-25*hour + 1) }}, Decision{Action: Ask}},
		{"R12 asked first", "mtn", []change{lost}, Decision{Action: Ask}},
		{"R12 adopt only", "wave", []change{adoptOnly}, Decision{Action: Recreate}},
		{"R12 adopt only, cannot be asked", "orange", []change{adoptOnly}, Decision{Wait, minute, "", v1alpha1.ReasonAdoptOnly}},
		{"R12 adopt only, said so", "mtn", []change{adoptOnly, asked(0, notFound), noticed(v1alpha1.ReasonAdoptOnly)}, wait(22*hour + 6*minute)},
		{"R13 paid", "mtn", []change{ended(v1alpha1.PhaseSucceeded, hour, ""), calledBack(0)}, Decision{Action: Idle}},
		{"R13 failed", "mtn", []change{ended(v1alpha1.PhaseFailed, hour, ""), asked(hour)}, Decision{Action: Idle}},
		{"R13 failed, and called back", "mtn", []change{ended(v1alpha1.PhaseFailed, hour, ""), asked(hour), calledBack(0)}, Decision{Action: Ask}},
		{"R13 failed in the future, and called back", "mtn", []change{ended(v1alpha1.PhaseFailed, -9*hour, ""), asked(hour), calledBack(0), func(f *Facts) { f.Created = noon.Add(-2 * hour) }}, Decision{Action: Ask}},
		{"R13 called back before it failed", "mtn", []change{ended(v1alpha1.PhaseFailed, hour, ""), asked(hour), calledBack(2 * hour)}, Decision{Action: Idle}},
		{"R13 called back a day ago", "mtn", []change{ended(v1alpha1.PhaseFailed, 30*hour, ""), asked(hour), calledBack(25 * hour)}, Decision{Action: Idle}},
		{"R13 settled: asked on", "mtn", []change{taken(9 * hour), ended(v1alpha1.PhaseSucceeded, hour, "awa"), asked(hour)}, Decision{Action: Ask}},
		{"R13 settled, and confirmed", "mtn", []change{ended(v1alpha1.PhaseSucceeded, hour, "awa"), asked(hour), func(f *Facts) { f.Attempt.Later = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded} }}, Decision{Action: Idle}},
		{"R13 settled, and contradicted", "mtn", []change{ended(v1alpha1.PhaseFailed, hour, "awa"), calledBack(0), func(f *Facts) { f.Attempt.Later = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded} }}, Decision{Action: Idle}},
		{"settled now", "mtn", []change{unknown(v1alpha1.ReasonOutcomeUnknown, hour), func(f *Facts) { f.Settled = true }}, Decision{Action: Settle}},
		{"reused, with consent", "mtn", []change{unknown(v1alpha1.ReasonReusedName, hour), asked(3 * minute), func(f *Facts) { f.Consent = true }}, Decision{Action: Ask}},
		{"R8 called back, polled a moment ago", "mtn", []change{taken(10 * minute), asked(4 * time.Second), calledBack(time.Second)}, Decision{Action: Ask}},
		{"R8 called back twice, asked a moment ago", "mtn", []change{taken(10 * minute), asked(4 * time.Second), forCallback(4 * time.Second), calledBack(time.Second)}, wait(6 * time.Second)},
		{"R5 asked for a lost answer once more at the deadline", "mtn", []change{sent(hour, "me"), asked(minute, notFound)}, Decision{Action: Ask}},
		{"R6 a late send at the deadline", "wave", []change{sent(hour, "me"), sent(minute, "me"), asked(0, notFound)}, wait(minute)},
		{"R6 reused or not", "orange", []change{func(f *Facts) { f.EarlierLife = true; f.record() }}, because(GiveUp, v1alpha1.ReasonLostInitiation)},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			got := Decide(situation(c.kind, c.facts...))
			if c.want.Action == Wait && got.Action == Wait && got.Reason == c.want.Reason {
				// Checks are spread by ten per cent.
				if off := got.After - c.want.After; off.Abs() <= c.want.After/5 {
					return
				}
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// anyFacts is every situation there can be, plausible or not.
func anyFacts(t *rapid.T) Facts {
	maybe := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) == 0 }
	when := func(name string) time.Duration {
		return time.Duration(rapid.Int64Range(-int64(2*time.Hour), int64(2000*time.Hour)).Draw(t, name))
	}
	var changes []change
	add := func(name string, c change) {
		if maybe(name) {
			changes = append(changes, c)
		}
	}
	for range rapid.IntRange(0, 6).Draw(t, "open") {
		changes = append(changes, sent(when("sent"), rapid.SampledFrom([]string{"me", "other"}).Draw(t, "sender")))
	}
	add("void", void)
	add("refused", refused(when("refused at")))
	add("taken", taken(when("taken at")))
	add("unknown", unknown(rapid.SampledFrom([]string{v1alpha1.ReasonOutcomeUnknown, v1alpha1.ReasonReusedName, v1alpha1.ReasonLostInitiation}).Draw(t, "why"), when("since")))
	add("ended", ended(rapid.SampledFrom([]v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}).Draw(t, "as"), when("ended at"), rapid.SampledFrom([]string{"", "awa"}).Draw(t, "by")))
	add("asked", asked(max(0, when("asked at")), failures(rapid.IntRange(0, 9).Draw(t, "failures"))))
	add("not found", func(f *Facts) { f.Seen.NotFound = true })
	add("ended the session", func(f *Facts) { endedAgo(max(0, when("then")))(&f.Seen) })
	add("called back", calledBack(when("callback")))
	add("requested", func(f *Facts) { f.Requested = noon.Add(-when("request")) })
	others := map[string]change{
		"called off": calledOff, "unwanted": unwanted, "overdue": overdue, "earlier life": earlierLife, "lost": func(f *Facts) { f.RecordLost = true },
		"adopt only": adoptOnly, "unusable": unusable, "settled": func(f *Facts) { f.Settled = true }, "blocked": func(f *Facts) { f.Blocked = "X" },
		"known": func(f *Facts) { f.record().ReferenceKnown = true }, "young": func(f *Facts) { f.Created = noon.Add(-time.Hour) },
	}
	for _, name := range slices.Sorted(maps.Keys(others)) {
		add(name, others[name])
	}
	return situation(rapid.SampledFrom([]string{"mtn", "orange", "wave", "refund, mtn", "refund, wave"}).Draw(t, "kind"), changes...)
}

// Whatever the situation: nothing is sent that must not be, nothing is ended without a
// reason, and nothing is done in a hot loop.
func TestDecide_Always(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		d := Decide(f)
		if again := Decide(f); again != d {
			t.Fatalf("%+v, then %+v", d, again)
		}
		a := f.Attempt
		if a == nil {
			a = &v1alpha1.Attempt{}
		}
		broken := ""
		switch {
		case d.Action == Raise && (!f.Wanted || f.CalledOff || f.EarlierLife || f.RecordLost || f.AdoptOnly):
			broken = "sent though it must not be"
		case d.Action == Raise && (a.Outcome != nil || a.Unknown != nil || a.Taken != nil || a.ReferenceKnown || a.Refusal != nil || len(a.Open) >= v1alpha1.MaxOpenSends):
			broken = "sent though something is known"
		case d.Action == Raise && !MayHaveArrived(a) && f.Blocked != "":
			broken = "sent though it is blocked"
		case d.Action == Raise && len(a.Open) > 0 && f.Rules.Askable && !(f.Seen.OK() && f.Seen.NotFound):
			broken = "repeated though it may be known"
		case d.Action == EndUnasked && !NothingSent(a):
			broken = "ended as not asked though it may have been"
		case d.Action == Conclude && d.Phase != v1alpha1.PhaseFailed && !f.Rules.PageOnly:
			broken = "ended by absence where a phone rings"
		case d.Action == Conclude && (a.Outcome != nil || a.Unknown != nil && a.Refusal == nil || d.Phase == v1alpha1.PhaseSucceeded):
			broken = "concluded what is not ours to conclude"
		case d.Action == Ask && !f.askable():
			broken = "asked though it cannot be"
		case a.Outcome != nil && d.Action != Idle && d.Action != Ask && d.Action != Wait:
			broken = "acted after the outcome"
		case d.Action == Wait && (d.After <= 0 || d.After > 40*time.Hour):
			broken = "waits too short or too long"
		case (d.Action == Conclude || d.Action == EndUnasked || d.Action == GiveUp || d.Action == Note) && d.Reason == "":
			broken = "no reason"
		}
		if broken != "" {
			t.Fatalf("%s: %+v of %+v, attempt %+v", broken, d, f, *a)
		}
	})
}
