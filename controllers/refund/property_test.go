package refund

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/wave"
)

var (
	noon     = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	noonTime = metav1.NewMicroTime(noon)
)

// paidCharge is one of a payment that a send of its own made.
func paidCharge(provider, amount string) *v1alpha1.Charge {
	currency := map[string]string{"mtn": "GHS", "wave": "GMD", "orange": "GMD"}[provider]
	money := v1alpha1.Money{Amount: amount, Currency: currency}
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: testInstallation.ChargeName(shop, "sale"), UID: "charge"},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: testInstallation.ID, ReferenceVersion: installation.ReferenceVersion, Provider: provider, ProviderReference: "ref",
			Payment: v1alpha1.PaymentIdentity{Namespace: shop, Name: "sale"}, Account: v1alpha1.AccountPin{Environment: "production"},
			Requested: money, Money: money,
		},
		Record: v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{
			Sends: 1, Taken: &v1alpha1.Taken{Send: 1}, Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Paid: &money, At: noonTime},
		}},
	}
}

var (
	anAmount = rapid.StringMatching(`[1-9][0-9]{0,3}(\.[0-9]{1,2})?`)
	aName    = rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"})
	kinds    = map[string]providers.Kind{"mtn": mtn.Kind(), "wave": wave.Kind(), "orange": orange.Kind()}
	aKind    = rapid.SampledFrom([]string{"mtn", "wave", "orange"})
)

// giver is a provider, or a person, that gives back: each reference at most once, and what it says is true.
type giver map[string]string

// history plays what may happen to one entry.
func (g giver) history(t *rapid.T, c *v1alpha1.Charge, e *v1alpha1.ChargeRefund, byHand bool) {
	a, at := &e.Attempt, metav1.NewMicroTime(noon.Add(time.Hour))
	ends := func(phase v1alpha1.Phase, by string) v1alpha1.Outcome {
		return v1alpha1.Outcome{Phase: phase, Reason: v1alpha1.ReasonRefunded, SettledBy: by, At: at}
	}
	switch what := rapid.SampledFrom([]string{"send", "arrive", "void", "refuse", "take", "ask", "give up", "settle", "report"}).Draw(t, "what"); {
	case what == "send" && a.Outcome == nil && a.Unknown == nil && !byHand && len(a.Open) < v1alpha1.MaxOpenSends:
		a.Sends++
		a.Open = append(a.Open, v1alpha1.Send{Number: a.Sends, At: at})
	case what == "arrive" && (len(a.Open) > 0 || byHand && a.Outcome == nil) && g[e.Name] == "":
		g[e.Name] = e.Money.Amount
	case what == "void" && len(a.Open) > 0 && g[e.Name] == "":
		attempt.FoldVoid(a.Open[0].Number, v1alpha1.Notice{At: at})(a)
	case what == "refuse" && len(a.Open) == 1 && g[e.Name] == "":
		attempt.FoldRefusal(v1alpha1.Refusal{Send: a.Open[0], At: at})(a)
		attempt.FoldConcluded(ends(v1alpha1.PhaseFailed, ""), a)(a)
	case what == "take" && len(a.Open) > 0:
		g[e.Name] = e.Money.Amount
		attempt.FoldTaken(v1alpha1.Taken{Send: a.Open[0].Number, At: at})(a)
	case what == "ask" && (attempt.MayHaveArrived(a) || a.Outcome != nil) && g[e.Name] != "":
		st := providers.Status{State: providers.StateSucceeded, Money: providers.Money{Amount: g[e.Name], Currency: e.Money.Currency}}
		attempt.FoldStatus(st, expected(c, e), noon.Add(2*time.Hour))(a)
	case what == "give up" && a.Sends > 0 && attempt.MayHaveArrived(a):
		attempt.FoldUnknown(v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at})(a)
	case what == "settle" && (a.Unknown != nil || byHand):
		phase := v1alpha1.PhaseSucceeded
		if g[e.Name] == "" {
			phase = v1alpha1.PhaseFailed
		}
		attempt.FoldSettled(ends(phase, "awa"), a.Unknown)(a)
		if phase == v1alpha1.PhaseFailed {
			a.Open = nil // nothing of it arrives any more
		}
	}
}

// reserved compares what is reserved of a Charge with what was paid.
func reserved(c *v1alpha1.Charge) int {
	var amounts []string
	for i := range c.Record.Refunds {
		if counts(&c.Record.Refunds[i]) {
			amounts = append(amounts, c.Record.Refunds[i].Money.Amount)
		}
	}
	return providers.CompareAmounts(providers.SumAmounts(amounts...), c.Record.Outcome.Paid.Amount)
}

// Whatever is reserved, sent, lost, refused, released and applied again, in whatever order: what counts is never more
// than what was paid, and neither is what was given back; each Refund is paid out once.
func TestReservations_NeverExceedWhatWasPaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		paid, provider := anAmount.Draw(t, "paid"), aKind.Draw(t, "provider")
		c, kind, g := paidCharge(provider, paid), kinds[provider], giver{}
		byHand := manual(c, kind.Traits.Refund)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := aName.Draw(t, "name")
			old := attempt.RefundOf(c, name)
			switch do := rapid.SampledFrom([]string{"reserve", "release", "live", "live", "live"}).Draw(t, "do"); {
			case do == "live" && old != nil:
				g.history(t, c, old, byHand)
			case do == "release" && old != nil && !byHand:
				open := !attempt.NothingSent(&old.Attempt)
				if released := release(old)(c); released == open {
					t.Fatalf("released: %t, though sent: %t", released, open)
				}
			case do == "reserve":
				before := c.DeepCopy()
				e, refused := newEntry(aRefund(name, "sale", rapid.OneOf(anAmount, rapid.Just(paid), rapid.Just("")).Draw(t, "amount")), c, kind, testInstallation, noon)
				if !reflect.DeepEqual(before, c) || refused != nil && e.Name != "" {
					t.Fatal("newEntry changed the Charge, or refused and reserved")
				}
				if refused == nil && len(unverified(c, e)) == 0 {
					free := vacant(old, byHand)
					if err := reserve(c, e, byHand); (err == nil) != free {
						t.Fatalf("reserved: %v, though free: %t", err, free)
					}
				} else if refused == nil { // asked about: the provider knows nothing
					attempt.FoldStillEnded(noon)(&attempt.RefundOf(c, unverified(c, e)[0]).Attempt)
				}
			}
			var back []string
			for _, amount := range g {
				back = append(back, amount)
			}
			if sum := providers.SumAmounts(back...); reserved(c) > 0 || providers.CompareAmounts(sum, paid) > 0 {
				t.Fatalf("%s given back of %s: %+v", sum, paid, c.Record.Refunds)
			}
		}
	})
}

// What the provider reported beyond what was reserved, and what it contradicts, leaves less.
func TestRemaining_ByWhatIsReported(t *testing.T) {
	entry := func(edit func(*v1alpha1.ChargeRefund)) *v1alpha1.Charge {
		c := paidCharge("mtn", "5000")
		c.Record.Refunds = []v1alpha1.ChargeRefund{{Name: "a", Money: v1alpha1.Money{Amount: "1000", Currency: "GHS"}, Attempt: v1alpha1.Attempt{Sends: 1}}}
		edit(&c.Record.Refunds[0])
		return c
	}
	word := func(phase v1alpha1.Phase, amount, currency string) *v1alpha1.Outcome {
		o := &v1alpha1.Outcome{Phase: phase, Reason: v1alpha1.ReasonRefunded}
		if amount != "" {
			o.Reason = v1alpha1.ReasonAmountMismatch
			o.Paid = &v1alpha1.Money{Amount: amount, Currency: currency}
		}
		return o
	}
	settled := func(later *v1alpha1.Outcome) *v1alpha1.Charge {
		c := entry(func(*v1alpha1.ChargeRefund) {})
		c.Record.Outcome.SettledBy, c.Record.Later = "awa", later
		return c
	}
	for name, tt := range map[string]struct {
		charge *v1alpha1.Charge
		left   string
	}{
		"reserved":      {entry(func(*v1alpha1.ChargeRefund) {}), "4000"},
		"failed":        {entry(func(e *v1alpha1.ChargeRefund) { e.Outcome = word(v1alpha1.PhaseFailed, "", "") }), "5000"},
		"succeeded":     {entry(func(e *v1alpha1.ChargeRefund) { e.Outcome = word(v1alpha1.PhaseSucceeded, "1000", "GHS") }), "4000"},
		"failed, still": {entry(func(e *v1alpha1.ChargeRefund) { e.Outcome = word(v1alpha1.PhaseFailed, "", ""); e.Later = e.Outcome }), "5000"},
		"failed, paid later": {entry(func(e *v1alpha1.ChargeRefund) {
			e.Outcome, e.Later = word(v1alpha1.PhaseFailed, "", ""), word(v1alpha1.PhaseSucceeded, "3000", "GHS")
		}), "2000"},
		"reported more": {entry(func(e *v1alpha1.ChargeRefund) {
			e.Unknown = &v1alpha1.Unknown{Reported: &v1alpha1.Reported{Amount: "3000", Currency: "GHS"}}
		}), "2000"},
		"reported less": {entry(func(e *v1alpha1.ChargeRefund) {
			e.Unknown = &v1alpha1.Unknown{Reported: &v1alpha1.Reported{Amount: "1", Currency: "GHS"}}
		}), "4000"},
		"reported all": {entry(func(e *v1alpha1.ChargeRefund) {
			e.Unknown = &v1alpha1.Unknown{Reported: &v1alpha1.Reported{Amount: "9999"}}
		}), "0"},
		"settled as the provider":    {settled(word(v1alpha1.PhaseSucceeded, "5000", "GHS")), "4000"},
		"the provider says less":     {settled(word(v1alpha1.PhaseSucceeded, "2000", "GHS")), "1000"},
		"the provider says more":     {settled(word(v1alpha1.PhaseSucceeded, "9000", "GHS")), "4000"},
		"the provider says not paid": {settled(word(v1alpha1.PhaseFailed, "", "")), "0"},
		"another currency":           {settled(word(v1alpha1.PhaseSucceeded, "5000", "XOF")), "0"},
	} {
		if got := remaining(tt.charge, "other"); got != tt.left {
			t.Errorf("%s: %s left, want %s", name, got, tt.left)
		}
		if got := remaining(tt.charge, "a"); providers.CompareAmounts(got, believed(tt.charge)) != 0 {
			t.Errorf("%s: its own amount counts against it: %s left", name, got)
		}
	}
}

func anEntry(t *rapid.T, process string) *v1alpha1.ChargeRefund {
	maybe := func(what string) bool { return rapid.Bool().Draw(t, what) }
	at := metav1.NewMicroTime(noon.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "age")) * time.Minute))
	e := &v1alpha1.ChargeRefund{
		Name: "back", UID: "u", Money: v1alpha1.Money{Amount: rapid.SampledFrom([]string{"5000", "1000"}).Draw(t, "amount"), Currency: "GHS"}, Reference: "r", ReservedAt: at,
	}
	for range rapid.IntRange(0, 4).Draw(t, "sends") {
		e.Sends++
		if send := (v1alpha1.Send{Number: e.Sends, Sender: rapid.SampledFrom([]string{process, "other"}).Draw(t, "sender"), At: at}); maybe("open") {
			e.Open = append(e.Open, send)
		} else if maybe("refused") {
			e.Refusal = &v1alpha1.Refusal{Send: send, At: at, Reason: v1alpha1.ReasonRequestRejected}
		}
	}
	if maybe("taken") {
		e.Taken = &v1alpha1.Taken{Send: e.Sends, At: at}
	}
	if rapid.IntRange(0, 3).Draw(t, "unknown") == 0 {
		e.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: at}
	}
	if maybe("noticed") {
		e.Notice = &v1alpha1.Notice{Reason: v1alpha1.ReasonAdoptOnly, At: at}
	}
	if rapid.IntRange(0, 3).Draw(t, "over") == 0 {
		e.Outcome = &v1alpha1.Outcome{Phase: rapid.SampledFrom([]v1alpha1.Phase{v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}).Draw(t, "end"), Reason: v1alpha1.ReasonRefunded, At: at}
		if maybe("later") {
			e.Later = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonRefunded, At: noonTime}
		}
	}
	return e
}

// aView is any situation, with the loop that is in it.
func aView(t *rapid.T) (*Reconciler, view) {
	maybe := func(what string) bool { return rapid.Bool().Draw(t, what) }
	settings := attempt.DefaultSettings()
	settings.AdoptOnly = maybe("adopt only")
	now := func() time.Time { return noon }
	r := &Reconciler{
		Protocol: &attempt.Protocol{Settings: settings, Now: now, Process: "me"}, Settings: settings, Now: now,
		Accounts: &account.Resolver{Registry: kinds}, Installation: testInstallation,
	}
	c := paidCharge(aKind.Draw(t, "provider"), "5000")
	v := view{key: types.NamespacedName{Namespace: shop, Name: "back"}, chargeName: c.Name}
	if rapid.IntRange(0, 5).Draw(t, "charge") > 0 {
		v.charge, v.byHand = c, manual(c, r.kind(c).Traits.Refund)
		v.foreign = rapid.IntRange(0, 5).Draw(t, "foreign") == 0
		c.Record.ReferenceKnown = rapid.IntRange(0, 5).Draw(t, "known before") == 0
		if rapid.IntRange(0, 5).Draw(t, "unpaid") == 0 {
			c.Record.Outcome = nil
		} else if maybe("reserved") {
			e := anEntry(t, "me")
			if e.Money.Currency = c.Spec.Money.Currency; v.byHand {
				e.Attempt = v1alpha1.Attempt{Outcome: e.Outcome}
			}
			c.Record.Refunds = []v1alpha1.ChargeRefund{*e}
		}
	}
	switch {
	case v.foreign || maybe("problem"):
		v.problem = &attempt.Problem{Reason: v1alpha1.ReasonAccountNotFound, Message: "make it again"}
	default:
		v.account = &account.Account{Interval: 2 * time.Minute}
		if maybe("closed") {
			v.account.Closed = &attempt.Problem{Reason: v1alpha1.ReasonAccountSuspended, Message: "wait"}
		}
	}
	v.seen.Failures = rapid.IntRange(0, 3).Draw(t, "failures")
	if ago := rapid.IntRange(-1, 100).Draw(t, "asked"); ago >= 0 {
		v.seen.At, v.seen.NotFound = noon.Add(-time.Duration(ago)*time.Minute), maybe("not found")
	}
	if maybe("payment") {
		v.payment = &v1alpha1.Payment{Status: v1alpha1.PaymentStatus{
			ChargeName: rapid.SampledFrom([]string{c.Name, ""}).Draw(t, "its charge"),
			Phase:      rapid.SampledFrom([]v1alpha1.Phase{"", v1alpha1.PhaseProcessing, v1alpha1.PhaseSucceeded, v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}).Draw(t, "payment"),
		}}
	}
	if maybe("refund") {
		v.refund = someRefund(t, r, v, c)
	}
	return r, v
}

func someRefund(t *rapid.T, r *Reconciler, v view, c *v1alpha1.Charge) *v1alpha1.Refund {
	refund := aRefund("back", "sale", rapid.SampledFrom([]string{"", "5000", "1000", "6000"}).Draw(t, "asks for"))
	refund.UID, refund.Generation = "u", 1
	if rapid.IntRange(0, 3).Draw(t, "restored") == 0 {
		restored(refund)
	}
	if rapid.IntRange(0, 5).Draw(t, "deleted") == 0 {
		refund.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	refund.Status.Phase = rapid.SampledFrom([]v1alpha1.RefundPhase{
		"", v1alpha1.RefundPending, v1alpha1.RefundProcessing, v1alpha1.RefundUnknown, v1alpha1.RefundManualActionRequired, v1alpha1.RefundSucceeded, v1alpha1.RefundFailed,
	}).Draw(t, "phase")
	if asked := refund.Status.Phase != "" && refund.Status.Phase != v1alpha1.RefundPending; asked && rapid.Bool().Draw(t, "shown") {
		refund.Status.ChargeName = c.Name
	}
	v.refund = refund
	if id := rapid.SampledFrom([]string{"", "none", "planted", "right"}).Draw(t, "confirmed"); id != "none" {
		if u := r.unknown(v); id == "right" && u != nil {
			id = r.unknownID(v, u)
		}
		refund.Spec.Confirmation = &v1alpha1.RefundConfirmation{UnknownID: id, Outcome: v1alpha1.ConfirmedRefunded, ConfirmedBy: "awa"}
	}
	return refund
}

// The rules, in every situation.
func TestDecide_Always(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, v := aView(t)
		d, e := r.decide(v), v.entry()
		if again := r.decide(v); again != d {
			t.Fatalf("%+v, then %+v", d, again)
		}
		over := e != nil && (e.Outcome != nil || e.Unknown != nil)
		switch d.Action {
		case attempt.Raise:
			sound := v.open() && !over && !v.byHand && !v.foreign && !attempt.Restored(v.refund) && !r.Protocol.AdoptOnly() && !v.recordLost() && v.account != nil
			first := e == nil || attempt.NothingSent(&e.Attempt)
			if first {
				sound = sound && paid(v.payment, v.charge) && !historyUnknown(v.charge) && v.account.Closed == nil && r.refusal(v) == nil
			} else {
				sound = sound && sameRefund(v.refund, v.charge, e) && e.Taken == nil && v.seen.OK() && v.seen.NotFound
			}
			if !sound {
				t.Fatalf("sends in %+v, %+v", v, e)
			}
		case actRelease:
			if !v.gone() || !attempt.NothingSent(&e.Attempt) || v.byHand {
				t.Fatalf("releases in %+v, %+v", v, e)
			}
		case actRefuse:
			if why := r.refusal(v).Reason; !v.open() || (why == v1alpha1.ReasonRefundConflict) == v.vacant() || v.vacant() && (v.recordLost() || attempt.Restored(v.refund)) {
				t.Fatalf("refuses for %s in %+v, %+v", why, v, e)
			}
		case actReserve, attempt.Recreate:
			if !v.open() || e != nil && !v.vacant() || !payable(v.charge) || d.Action == actReserve && !v.byHand {
				t.Fatalf("reserves in %+v, %+v", v, e)
			}
		case attempt.Settle:
			if u := r.unknown(v); u == nil || attempt.Restored(v.refund) || v.refund.Spec.Confirmation.UnknownID != r.unknownID(v, u) {
				t.Fatalf("settles in %+v, %+v", v, e)
			}
		case attempt.Conclude, attempt.EndUnasked, attempt.EndSession:
			if d.Action != attempt.Conclude || e.Refusal == nil || len(e.Open) > 0 || e.Taken != nil || e.Outcome != nil {
				t.Fatalf("%s in %+v, %+v", d.Action, v, e)
			}
		case attempt.Wait:
			if d.After <= 0 {
				t.Fatalf("waits %s in %+v", d.After, v)
			}
		default: // the rest may be done in any of them
		}
		if v.foreign && d.Action != attempt.Idle || e != nil && e.Outcome != nil && d.Action != attempt.Idle && d.Action != actRefuse && (e.Outcome.SettledBy == "" || d.Action == attempt.Raise) {
			t.Fatalf("%s in %+v, %+v", d.Action, v, e)
		}
	})
}

// The status is a function of what is there: projected again it is the same, it does not
// go back, and it ends only by what is recorded, or refused, or confirmed.
func TestProject_Always(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, v := aView(t)
		if v.refund == nil {
			return
		}
		if v.vacant() && v.open() {
			v.refused = r.refusal(v)
		}
		old, e := v.refund.DeepCopy(), v.entry()
		status := r.project(v, false)
		if old.Status.Phase.Terminal() {
			if status.Phase != old.Status.Phase {
				t.Fatalf("%s became %s", old.Status.Phase, status.Phase)
			}
			return
		}
		recorded := !v.foreign && e != nil && e.Outcome != nil && sameRefund(v.refund, v.charge, e)
		ended := recorded || v.refused != nil || r.lost(v) && r.confirmation(v) != nil
		needsPerson := status.Phase == v1alpha1.RefundUnknown || status.Phase == v1alpha1.RefundManualActionRequired
		if status.Phase.Terminal() != ended || (status.Phase == v1alpha1.RefundSucceeded) && recorded && e.Outcome.Phase != v1alpha1.PhaseSucceeded || needsPerson != (status.Unknown != nil) ||
			asked(old) && !status.Phase.Terminal() && status.Phase == v1alpha1.RefundPending {
			t.Fatalf("%s from %s, %+v, refused %v", status.Phase, old.Status.Phase, e, v.refused)
		}
		v.refund.Status = status
		r.Now = func() time.Time { return noon.Add(time.Hour) }
		if again := r.project(v, false); !sameStatus(again, status) {
			t.Fatalf("projected again, the status changed:\n%+v\n%+v", status, again)
		}
	})
}
