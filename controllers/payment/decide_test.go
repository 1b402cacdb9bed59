package payment

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) time.Time { return noon.Add(d) }

func micro(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(at(d)) }

// situation is a fact sheet that cases change: a payment that was just claimed.
func situation(provider string, changes ...func(*facts)) facts {
	f := facts{
		now:          noon,
		settings:     attempt.DefaultSettings(),
		process:      "me",
		processStart: at(-24 * time.Hour),
		payment:      newPayment("sale", provider, "5000"),
		charge: &v1alpha1.Charge{
			ObjectMeta: metav1.ObjectMeta{Name: "charge-x"},
			Spec:       v1alpha1.ChargeSpec{ReferenceVersion: installation.ReferenceVersion, Provider: provider, TimeoutSeconds: 3600},
		},
		traits:   testRegistry()[provider].Traits,
		interval: 2 * time.Minute,
	}
	for _, change := range changes {
		change(&f)
	}
	return f
}

func sent(n int32, ago time.Duration, sender string) func(*facts) {
	return func(f *facts) {
		f.charge.Record.Sends = n
		f.charge.Record.LastSend = &v1alpha1.Send{Number: n, Sender: sender, At: micro(-ago)}
	}
}

func voided(n int32) func(*facts) { return func(f *facts) { f.charge.Record.VoidSends = n } }

func opened(ago time.Duration) func(*facts) {
	return func(f *facts) { f.charge.Record.Session = &v1alpha1.ChargeSession{Send: 1, At: micro(-ago)} }
}

func expires(in time.Duration) func(*facts) {
	return func(f *facts) {
		t := metav1.NewTime(at(in))
		f.charge.Record.Session.ExpiresAt = &t
	}
}

func seen(ago time.Duration, change ...func(*observation)) func(*facts) {
	return func(f *facts) {
		f.seen = observation{at: at(-ago), state: providers.StatePending}
		for _, c := range change {
			c(&f.seen)
		}
	}
}

func failures(n int) func(*observation)          { return func(o *observation) { o.failures = n } }
func notFound(o *observation)                    { o.notFound = true }
func state(s providers.State) func(*observation) { return func(o *observation) { o.state = s } }
func cancelled(ago time.Duration) func(*observation) {
	return func(o *observation) { o.cancelledAt = at(-ago) }
}
func gone(f *facts)      { f.payment = nil }
func deleting(f *facts)  { t := metav1.NewTime(noon); f.payment.DeletionTimestamp = &t }
func adoptOnly(f *facts) { f.settings.AdoptOnly = true }
func unclaimed(f *facts) { f.charge = nil }
func restoredByVelero(f *facts) {
	f.payment.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"}
}
func askedBefore(f *facts) { t := metav1.NewTime(at(-time.Hour)); f.payment.Status.InitiatedAt = &t }
func calledBack(ago time.Duration) func(*facts) {
	return func(f *facts) { f.payment.Status.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: micro(-ago)} }
}
func outcome(p v1alpha1.Phase) func(*facts) {
	return func(f *facts) { f.charge.Record.Outcome = &v1alpha1.ChargeOutcome{Phase: p} }
}
func refusedBefore(f *facts) {
	f.charge.Record.Refusal = &v1alpha1.ChargeRefusal{Send: 1, At: micro(0)}
}
func onHold(reason string, ago time.Duration) func(*facts) {
	return func(f *facts) { f.charge.Record.Hold = &v1alpha1.ChargeHold{Reason: reason, At: micro(-ago)} }
}
func notice(reason string) func(*facts) {
	return func(f *facts) { f.charge.Record.Notice = &v1alpha1.ChargeNotice{Reason: reason} }
}
func finished(f *facts) { f.payment.Status.Phase = v1alpha1.PhaseFailed }

func TestDecide(t *testing.T) {
	const (
		mtn, orange, wave = "mtn", "orange", "wave"
		second, minute    = time.Second, time.Minute
	)
	do := func(a action) decision { return decision{action: a} }
	because := func(a action, r string) decision { return decision{action: a, reason: r} }
	wait := func(d time.Duration) decision { return decision{action: actWait, after: d} }
	// about stands for any wait of the interval, ten per cent more or less.
	about := func(d time.Duration) decision { return decision{action: "About", after: d} }

	cases := []struct {
		name     string
		provider string
		facts    []func(*facts)
		want     decision
	}{
		{"nothing there", mtn, []func(*facts){unclaimed, gone}, do(actIdle)},
		{"a new payment", mtn, []func(*facts){unclaimed}, do(actClaim)},
		{"a new payment that is being deleted", mtn, []func(*facts){unclaimed, deleting}, do(actIdle)},
		{"finished, and its charge collected", mtn, []func(*facts){unclaimed, finished}, do(actIdle)},

		{"claimed", mtn, nil, do(actSend)},
		{"claimed, payment gone", mtn, []func(*facts){gone}, do(actIdle)},
		{"claimed, payment being deleted", wave, []func(*facts){deleting}, do(actIdle)},
		{"claimed by another version", mtn, []func(*facts){func(f *facts) { f.charge.Spec.ReferenceVersion = "v9" }}, do(actIdle)},
		{"token refused just now", mtn, []func(*facts){seen(0, failures(1))}, wait(5 * second)},
		{"token refused for the third time", mtn, []func(*facts){seen(second, failures(3))}, wait(19 * second)},
		{"token refused long ago", mtn, []func(*facts){seen(minute, failures(9))}, do(actSend)},
		{"sent, and certainly did nothing", wave, []func(*facts){sent(1, minute, "me"), voided(1)}, do(actSend)},
		{"sent, did nothing just now", wave, []func(*facts){sent(1, 0, "me"), voided(1), seen(0, failures(2))}, wait(10 * second)},

		{"adopt-only asks what can be asked", mtn, []func(*facts){adoptOnly}, do(actAsk)},
		{"a restored payment asks first", wave, []func(*facts){restoredByVelero}, do(actAsk)},
		{"adopt-only, not known there", mtn, []func(*facts){adoptOnly, seen(minute, notFound)}, because(actNote, v1alpha1.ReasonAdoptOnly)},
		{"adopt-only, said so", mtn, []func(*facts){adoptOnly, seen(minute, notFound), notice(v1alpha1.ReasonAdoptOnly)}, do(actIdle)},
		{"adopt-only at Orange, which cannot be asked", orange, []func(*facts){adoptOnly}, because(actNote, v1alpha1.ReasonAdoptOnly)},
		{"the record was lost", mtn, []func(*facts){askedBefore, seen(minute, notFound)}, because(actHold, v1alpha1.ReasonLostInitiation)},
		{"the record was lost, not asked yet", mtn, []func(*facts){askedBefore}, do(actAsk)},
		{"the record was lost at Orange", orange, []func(*facts){askedBefore}, because(actHold, v1alpha1.ReasonLostInitiation)},

		{"unanswered by a predecessor", mtn, []func(*facts){sent(1, second, "other")}, do(actAsk)},
		{"unanswered, asked, may still arrive", mtn, []func(*facts){sent(1, minute, "me"), seen(5*second, notFound)}, wait(10 * second)},
		{"unanswered, asked before it was too late to arrive", mtn, []func(*facts){sent(1, 2*minute, "me"), seen(second, notFound)}, do(actAsk)},
		{"unanswered, not known after it could arrive", mtn, []func(*facts){sent(1, 3*minute, "me"), seen(second, notFound)}, do(actSend)},
		{"another's clock may be wrong", mtn, []func(*facts){sent(1, 150*second, "other"), seen(second, notFound)}, wait(14 * second)},
		{"not known, payment gone", mtn, []func(*facts){sent(1, 3*minute, "me"), seen(second, notFound), gone}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"not known, sent too often", mtn, []func(*facts){sent(5, 3*minute, "me"), seen(second, notFound)}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"not known, adopt-only", wave, []func(*facts){sent(1, 3*minute, "me"), seen(second, notFound), adoptOnly}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"the question failed", mtn, []func(*facts){sent(1, 5*minute, "me"), seen(second, failures(1))}, wait(4 * second)},
		{"a callback came before the answer", mtn, []func(*facts){sent(1, minute, "me"), seen(15*second, notFound), calledBack(second)}, do(actAsk)},
		{"callbacks are no reason to hurry", mtn, []func(*facts){sent(1, minute, "me"), seen(2*second, notFound), calledBack(second)}, wait(8 * second)},
		{"unanswered at Orange, may still arrive", orange, []func(*facts){sent(1, minute, "me")}, wait(minute)},
		{"unanswered at Orange by another", orange, []func(*facts){sent(1, 2*minute, "other")}, wait(minute)},
		{"unanswered at Orange, the same order again", orange, []func(*facts){sent(1, 2*minute, "me")}, do(actSend)},
		{"unanswered at Orange, payment gone", orange, []func(*facts){sent(1, 2*minute, "me"), gone}, because(actHold, v1alpha1.ReasonLostInitiation)},
		{"unanswered at Orange, sent too often", orange, []func(*facts){sent(5, 2*minute, "me")}, because(actHold, v1alpha1.ReasonLostInitiation)},

		{"refused by a push provider: asked once more", mtn, []func(*facts){sent(1, 0, "me"), refusedBefore}, do(actAsk)},
		{"refused, and the question failed", mtn, []func(*facts){sent(1, 0, "me"), refusedBefore, seen(0, failures(1))}, wait(5 * second)},

		{"opened just now", mtn, []func(*facts){sent(1, 0, "me"), opened(0)}, about(2 * minute)},
		{"checked just now", mtn, []func(*facts){opened(10 * minute), seen(0)}, about(2 * minute)},
		{"due", mtn, []func(*facts){opened(10 * minute), seen(3 * minute)}, do(actCheck)},
		{"called back after the last check", mtn, []func(*facts){opened(10 * minute), seen(minute), calledBack(second)}, do(actCheck)},
		{"called back before any check", orange, []func(*facts){opened(second), calledBack(0)}, do(actCheck)},
		{"called back, checked a moment ago", mtn, []func(*facts){opened(10 * minute), seen(4 * second), calledBack(second)}, wait(6 * second)},
		{"called back, not confirmed: closer", mtn, []func(*facts){opened(10 * minute), seen(5 * second), calledBack(minute)}, wait(10 * second)},
		{"called back long ago", mtn, []func(*facts){opened(50 * minute), seen(0), calledBack(11 * minute)}, about(2 * minute)},
		{"a failing check waits for the next", mtn, []func(*facts){opened(10 * minute), seen(3*minute, failures(7))}, do(actCheck)},
		{"not later than the deadline", mtn, []func(*facts){opened(59 * minute), seen(0)}, wait(minute)},
		{"the deadline: one last check", mtn, []func(*facts){opened(60 * minute), seen(second)}, do(actCheck)},
		{"past the deadline and undecided", mtn, []func(*facts){opened(61 * minute), seen(second)}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"past the deadline, provider out of order", mtn, []func(*facts){opened(61 * minute), seen(second, failures(1))}, about(2 * minute)},
		{"payment gone: followed all the same", mtn, []func(*facts){opened(10 * minute), seen(3 * minute), gone}, do(actCheck)},

		{"Orange: nobody began, session not over", orange, []func(*facts){opened(14 * minute), seen(second, state(providers.StateNotStarted))}, wait(minute)},
		{"Orange: nobody began, session over", orange, []func(*facts){opened(16 * minute), seen(second, state(providers.StateNotStarted))}, do(actExpire)},
		{"Orange: session over, asked before that", orange, []func(*facts){opened(15 * minute), seen(30*second, state(providers.StateNotStarted))}, do(actCheck)},
		{"Orange: confirmed, never decided", orange, []func(*facts){opened(61 * minute), seen(second)}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"Orange: a short timeout does not end a session", orange, []func(*facts){opened(5 * minute), seen(second, state(providers.StateNotStarted)),
			func(f *facts) { f.charge.Spec.TimeoutSeconds = 60 }}, about(2 * minute)},

		{"Wave: past the deadline: ended", wave, []func(*facts){opened(61 * minute), expires(24 * time.Hour), seen(second)}, do(actCancel)},
		{"Wave: ended, then asked", wave, []func(*facts){opened(61 * minute), expires(24 * time.Hour), func(f *facts) { f.seen.cancelledAt = noon }}, do(actCheck)},
		{"Wave: ended, still open, not again at once", wave, []func(*facts){opened(61 * minute), expires(24 * time.Hour), seen(second, cancelled(minute))}, wait(minute)},

		{"Wave: ended for an hour, and never told how", wave, []func(*facts){opened(125 * minute), expires(24 * time.Hour), seen(second, cancelled(3*minute))}, because(actHold, v1alpha1.ReasonOutcomeUnknown)},
		{"the clock was set back since it was opened", mtn, []func(*facts){opened(-6 * time.Hour)}, do(actCheck)},

		{"held: asked slowly", mtn, []func(*facts){opened(2 * time.Hour), onHold(v1alpha1.ReasonOutcomeUnknown, time.Minute)}, about(time.Hour)},
		{"held: due", mtn, []func(*facts){opened(9 * time.Hour), onHold(v1alpha1.ReasonOutcomeUnknown, 5*time.Hour), seen(2 * time.Hour)}, do(actCheck)},
		{"held without a session: by reference", mtn, []func(*facts){sent(1, 9*time.Hour, "me"), onHold(v1alpha1.ReasonOutcomeUnknown, 5*time.Hour), seen(2 * time.Hour)}, do(actAsk)},
		{"held, called back", mtn, []func(*facts){opened(9 * time.Hour), onHold(v1alpha1.ReasonOutcomeUnknown, 5*time.Hour), seen(minute), calledBack(0)}, do(actCheck)},
		{"held for three days", mtn, []func(*facts){opened(99 * time.Hour), onHold(v1alpha1.ReasonOutcomeUnknown, 75*time.Hour), seen(time.Hour)}, do(actIdle)},
		{"held, with nothing to ask by", orange, []func(*facts){sent(1, time.Hour, "me"), onHold(v1alpha1.ReasonLostInitiation, minute)}, do(actIdle)},

		{"over", mtn, []func(*facts){opened(time.Hour), outcome(v1alpha1.PhaseSucceeded), calledBack(0)}, do(actIdle)},
	}
	for _, c := range cases {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			got := decide(situation(c.provider, c.facts...))
			if c.want.action == "About" {
				if got.action != actWait || got.after < c.want.after*9/10 || got.after > c.want.after*11/10 {
					t.Fatalf("got %+v, want to wait about %s", got, c.want.after)
				}
				return
			}
			if got != c.want {
				t.Fatalf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// After a restart the checks spread over one interval.
func TestDecideSpreadsChecksAfterRestart(t *testing.T) {
	early, late := 0, 0
	for i := range 200 {
		f := situation("mtn", opened(30*time.Minute), func(f *facts) {
			f.processStart = noon
			f.charge.Name = strings.Repeat("x", i)
		})
		d := decide(f)
		if d.action == actCheck {
			d.after = 0
		}
		if d.after > 2*time.Minute*11/10 {
			t.Fatalf("a check %s after the restart", d.after)
		}
		if d.after < time.Minute {
			early++
		} else {
			late++
		}
	}
	if early < 50 || late < 50 {
		t.Errorf("%d checks in the first half of the interval, %d in the second", early, late)
	}
}

// anyFacts is every situation there can be, plausible or not.
func anyFacts(t *rapid.T) facts {
	provider := rapid.SampledFrom([]string{"mtn", "orange", "wave"}).Draw(t, "provider")
	ago := rapid.Custom(func(t *rapid.T) time.Duration {
		return time.Duration(rapid.Int64Range(-int64(2*time.Hour), int64(100*time.Hour)).Draw(t, "ago"))
	})
	maybe := func(name string, change func(*facts)) func(*facts) {
		if rapid.Bool().Draw(t, name) {
			return change
		}
		return func(*facts) {}
	}
	rarely := func(name string, change func(*facts)) func(*facts) {
		if rapid.IntRange(0, 7).Draw(t, name) == 0 {
			return change
		}
		return func(*facts) {}
	}
	sends := rapid.Int32Range(0, 6).Draw(t, "sends")
	return situation(provider,
		func(f *facts) {
			if sends > 0 {
				sent(sends, ago.Draw(t, "sent"), rapid.SampledFrom([]string{"me", "other"}).Draw(t, "sender"))(f)
				voided(rapid.Int32Range(0, sends).Draw(t, "void"))(f)
			}
		},
		maybe("opened", opened(ago.Draw(t, "opened"))),
		rarely("refused", refusedBefore),
		rarely("held", onHold(v1alpha1.ReasonOutcomeUnknown, ago.Draw(t, "held"))),
		rarely("over", outcome(rapid.SampledFrom([]v1alpha1.Phase{v1alpha1.PhaseFailed, v1alpha1.PhaseSucceeded}).Draw(t, "phase"))),
		maybe("seen", seen(ago.Draw(t, "seen"), failures(rapid.SampledFrom([]int{0, 0, 0, 1, 7}).Draw(t, "failures")), func(o *observation) {
			o.notFound = rapid.Bool().Draw(t, "notFound")
			o.state = rapid.SampledFrom([]providers.State{providers.StateNotStarted, providers.StatePending}).Draw(t, "state")
		})),
		rarely("adoptOnly", adoptOnly),
		rarely("restored", restoredByVelero),
		rarely("askedBefore", askedBefore),
		maybe("calledBack", calledBack(ago.Draw(t, "calledBack"))),
		rarely("deleting", deleting),
		rarely("unclaimed", unclaimed),
		rarely("gone", gone),
	)
}

// checkAfterTheEnd: only a callback about what is not known as paid is worth a
// question, and only for a while.
func checkAfterTheEnd(t *rapid.T, f facts, d decision) {
	t.Helper()
	news := f.recentlyCalledBack() && f.lastCallback().ReceivedAt.After(f.charge.Record.Outcome.At.Time)
	switch d.action {
	case actIdle:
	case actWait, actAsk, actCheck:
		if f.charge.Record.Outcome.Phase == v1alpha1.PhaseSucceeded || !news {
			t.Fatalf("%s after the end, and nobody called", d.action)
		}
	default:
		t.Fatalf("does %s after the end", d.action)
	}
}

func TestDecideAlways(t *testing.T) {
	for range 20 { // situations are many, and cheap
		rapid.Check(t, decidesSafely)
	}
}

func decidesSafely(t *rapid.T) {
	f := anyFacts(t)
	d := decide(f)
	if again := decide(f); again != d {
		t.Fatalf("the same facts gave %+v and %+v", d, again)
	}
	if (d.action == actWait) != (d.after > 0) {
		t.Fatalf("%+v waits without saying how long, or says how long without waiting", d)
	}
	if d.action == actWait && d.after > f.settings.SlowInterval*11/10+2*time.Hour {
		t.Fatalf("waits for %s", d.after)
	}
	if d.action == actClaim && (f.charge != nil || f.payment == nil || f.payment.DeletionTimestamp != nil) {
		t.Fatal("claims what is claimed, gone or going")
	}
	if f.charge == nil {
		return
	}
	rec := &f.charge.Record
	if d.action == actSend {
		switch {
		case f.payment == nil || f.payment.DeletionTimestamp != nil:
			t.Fatal("sends for nobody")
		case f.settings.AdoptOnly || attempt.Restored(f.payment):
			t.Fatal("sends for an object that may come from a backup")
		case rec.Outcome != nil || rec.Session != nil || rec.Refusal != nil || rec.Hold != nil:
			t.Fatal("sends what is opened, refused, held or over")
		case openSends(rec) >= f.settings.MaxSends:
			t.Fatal("sends for ever")
		case openSends(rec) > 0 && f.now.Before(rec.LastSend.At.Add(f.settings.LateWindow)):
			t.Fatal("sends while the last request may still arrive")
		case openSends(rec) > 0 && f.traits.Recovery != providers.RecoverByRepeat && !f.seen.notFound:
			t.Fatal("sends again without having asked")
		}
	}
	if rec.Outcome != nil {
		checkAfterTheEnd(t, f, d)
	}
	if d.action == actExpire && (f.traits.SessionLife == 0 && rec.Session.ExpiresAt == nil) {
		t.Fatal("declares a payment expired that has no end")
	}
}
