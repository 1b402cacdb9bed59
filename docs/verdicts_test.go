package docs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

const (
	timeout  = time.Hour
	horizon  = 90 * 24 * time.Hour
	thisOne  = "this process"
	maxSteps = 5000
)

// reply is what the provider says to every question.
type reply int

const (
	notKnown reply = iota
	notKnownHere
	undecided
	notStarted
	// failing: every question fails.
	failing
	// closed: the account cannot be used to ask.
	closed
)

// request whose end the page tells, at a provider.
type request struct {
	facts attempt.Facts
	reply reply
}

// now is when every situation begins.
func now() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

func at(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(now().Add(d)) }

func send(number int32) v1alpha1.Send {
	return v1alpha1.Send{Number: number, Sender: thisOne, At: at(0), Credentials: "old"}
}

// situations are those of the page, by the first part of a row's title.
func situations() map[string]func(*attempt.Facts) {
	lost := func(f *attempt.Facts) { f.Attempt = &v1alpha1.Attempt{Sends: 1, Open: []v1alpha1.Send{send(1)}} }
	refused := func(f *attempt.Facts) {
		f.Attempt = &v1alpha1.Attempt{Sends: 1, Refusal: &v1alpha1.Refusal{Send: send(1), At: at(0), Reason: v1alpha1.ReasonNotAllowed}}
	}
	taken := func(f *attempt.Facts) {
		f.Attempt = &v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: at(0)}}
	}
	calledOff := func(f *attempt.Facts) { f.CalledOff = true }
	unwanted := func(f *attempt.Facts) { f.Wanted = false }
	all := func(parts ...func(*attempt.Facts)) func(*attempt.Facts) {
		return func(f *attempt.Facts) {
			for _, p := range parts {
				p(f)
			}
		}
	}
	return map[string]func(*attempt.Facts){
		"nothing recorded, called off":                     calledOff,
		"nothing recorded, too late to ask":                func(f *attempt.Facts) { f.Overdue = true },
		"nothing recorded, signs of an earlier life":       func(f *attempt.Facts) { f.EarlierLife = true },
		"nothing recorded, the object shows a Charge":      func(f *attempt.Facts) { f.RecordLost = true },
		"answer lost, still wanted":                        lost,
		"answer lost, still wanted, other credentials now": lost,
		"answer lost, not wanted any more":                 all(lost, unwanted),
		"refused, no other send open":                      refused,
		"refused, another send open":                       all(refused, func(f *attempt.Facts) { f.Attempt.Sends, f.Attempt.Open = 2, []v1alpha1.Send{send(2)} }),
		"taken":                                            taken,
		"taken, called off":                                all(taken, calledOff),
		"Unknown": all(lost, func(f *attempt.Facts) {
			f.Attempt.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at(0)}
		}),
	}
}

// replies are those of the page, by the second part of a row's title.
func replies() map[string][]reply {
	return map[string][]reply{
		"not known":             {notKnown},
		"not known to these":    {notKnownHere},
		"undecided":             {undecided},
		"the payer did nothing": {notStarted},
		"silence":               {failing, closed},
	}
}

// columns of the page.
func columns() map[string]attempt.Rules {
	return map[string]attempt.Rules{
		"MTN": attempt.CollectionRules(mtn.Kind().Traits), "Orange": attempt.CollectionRules(orange.Kind().Traits),
		"Wave": attempt.CollectionRules(wave.Kind().Traits), "refund at MTN": attempt.RefundRules(mtn.Kind().Traits),
		"refund at Wave": attempt.RefundRules(wave.Kind().Traits),
	}
}

// facts of a request that somebody wants, before anything happened.
func facts(rules attempt.Rules, key string) attempt.Facts {
	return attempt.Facts{
		Now: now().Add(time.Second), Settings: attempt.DefaultSettings(), Process: thisOne, Rules: rules, Created: now(), Key: key,
		Usable: true, Wanted: true, Timeout: timeout, Interval: 2 * time.Minute,
	}
}

// end plays a request forward until something happens to it, and says what, and when.
func end(r request) string {
	f := r.facts
	for range maxSteps {
		if f.Now.Sub(now()) > horizon {
			break
		}
		f.Seen = f.Seen.See(f.Attempt, f.Now)
		switch d := attempt.Decide(f); d.Action {
		case attempt.Ask:
			f = asked(f, r.reply)
		case attempt.Recreate:
			f.Attempt = &v1alpha1.Attempt{}
		case attempt.Note:
			attempt.FoldNotice(v1alpha1.Notice{Reason: d.Reason})(f.Attempt)
		case attempt.Raise:
			return "sent again " + when(f)
		case attempt.EndSession:
			if r.reply != failing {
				return "session ended " + when(f)
			}
			f = asked(f, failing)
		case attempt.EndUnasked, attempt.Conclude:
			return fmt.Sprintf("`%s`/`%s` %s", d.Phase, d.Reason, when(f))
		case attempt.GiveUp:
			return fmt.Sprintf("`Unknown`/`%s` %s", d.Reason, when(f))
		case attempt.Wait:
			f.Now = f.Now.Add(d.After)
		case attempt.Idle:
			f.Now = now().Add(horizon + time.Second)
		default:
			return string(d.Action)
		}
	}
	if f.Attempt != nil && f.Attempt.Unknown != nil {
		return "asked on"
	}
	return "waits"
}

func asked(f attempt.Facts, r reply) attempt.Facts {
	begun := f.Now
	f.Now = f.Now.Add(time.Second)
	if r != failing {
		f.Seen.Asked = begun
	}
	f.Seen.At, f.Seen.NotFound, f.Seen.State = f.Now, false, ""
	switch r {
	case notKnown:
		f.Seen.Failures, f.Seen.NotFound = 0, true
	case notKnownHere:
		f.Seen.Failures = 0
	case undecided:
		f.Seen.Failures, f.Seen.State = 0, providers.StatePending
	case notStarted:
		f.Seen.Failures, f.Seen.State = 0, providers.StateNotStarted
	default:
		f.Seen.Failures++
	}
	return f
}

// when in the words of the page.
func when(f attempt.Facts) string {
	const minute = time.Minute
	switch since := f.Now.Sub(now()); {
	case since < 10*time.Second:
		return "at once"
	case since >= 2*minute && since < 5*minute:
		return "after the late window"
	case since >= 15*minute && since < 18*minute:
		return "15 minutes later"
	case since >= timeout && since < timeout+5*minute:
		return "at the deadline"
	case since >= 25*time.Hour && since < 27*time.Hour:
		return "a day after the deadline"
	default:
		return "after " + since.String()
	}
}

// R5 R6: each cell of the page is what attempt.Decide comes to, and every situation is on the page.
func TestVerdicts(t *testing.T) {
	rows := tableAfter(t, "promise.md", "## Verdicts")
	head := rows[0]
	played := map[string]bool{}
	for _, row := range rows[1:] {
		what, says, _ := strings.Cut(row[0], "; ")
		situation, known := situations()[what]
		variants, answers := replies()[says]
		if !known || !answers {
			t.Errorf("no test plays %q", row[0])
			continue
		}
		played[what] = true
		for i, column := range head[1:] {
			if row[i+1] == "" {
				continue
			}
			for _, v := range variants {
				f := facts(columns()[column], fmt.Sprint(row[0], column, v))
				situation(&f)
				f.Usable = v != closed
				f.LacksHandle = !f.Rules.Askable && (f.Attempt == nil || f.Attempt.Taken == nil)
				if got := end(request{f, v}); got != row[i+1] {
					t.Errorf("%s, %s: docs/promise.md says %q, the operator comes to %q (reply %d)", row[0], column, row[i+1], got, v)
				}
			}
		}
	}
	for what := range situations() {
		if !played[what] {
			t.Errorf("docs/promise.md has no row for %q", what)
		}
	}
}
