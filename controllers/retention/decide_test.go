package retention

import (
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
)

const (
	shop = "shop"
	keep = 90 * 24 * time.Hour
)

var (
	testInstallation = installation.Installation{ID: "test-installation", Key: []byte("0123456789abcdef0123456789abcdef")}
	noon             = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func ago(d time.Duration) metav1.MicroTime { return metav1.NewMicroTime(noon.Add(-d)) }

// old is a Charge that was paid as long ago as it has to be.
func old(reference string, change ...func(*v1alpha1.Charge)) *v1alpha1.Charge {
	c := &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{
			Name: testInstallation.ChargeName(shop, reference), UID: types.UID("uid-" + reference),
			CreationTimestamp: metav1.NewTime(noon.Add(-keep - time.Hour)),
		},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: testInstallation.ID, ReferenceVersion: installation.ReferenceVersion, Reference: reference, Provider: "mtn",
			Payment: v1alpha1.PaymentIdentity{Namespace: shop, Name: reference, UID: "uid-of-payment"},
		},
		Record: v1alpha1.ChargeRecord{
			Sends:    1,
			LastSend: &v1alpha1.Send{Number: 1, Sender: "a", At: ago(keep + time.Hour)},
			Outcome:  &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, At: ago(keep)},
		},
	}
	for _, do := range change {
		do(c)
	}
	return c
}

// refunded adds a claim, which ended some time ago.
func refunded(name string, since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Refunds = append(c.Record.Refunds, v1alpha1.ChargeRefund{
			Name: name, ClaimedAt: ago(since + time.Hour),
			Outcome: &v1alpha1.ChargeRefundOutcome{Phase: v1alpha1.RefundSucceeded, Reason: v1alpha1.ReasonRefunded, At: ago(since)},
		})
	}
}

func contradicted(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Contradiction = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseFailed, At: ago(since)}
	}
}

func created(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) { c.CreationTimestamp = metav1.NewTime(noon.Add(-since)) }
}

func ended(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) { c.Record.Outcome.At = ago(since) }
}

func unended(c *v1alpha1.Charge) { c.Record.Outcome = nil }

func held(c *v1alpha1.Charge) {
	c.Record.Hold = &v1alpha1.ChargeHold{Reason: v1alpha1.ReasonOutcomeUnknown, At: ago(2 * keep)}
}

func claimed(c *v1alpha1.Charge) {
	c.Record.Refunds = append(c.Record.Refunds, v1alpha1.ChargeRefund{Name: "open", ClaimedAt: ago(2 * keep)})
}

func situation(c *v1alpha1.Charge) facts {
	return facts{now: noon, settings: Settings{Keep: keep}, installation: testInstallation, charge: c}
}

func TestDecide(t *testing.T) {
	tests := map[string]struct {
		charge *v1alpha1.Charge
		change func(*facts)
		want   verdict
	}{
		"over for long":                     {old("sale"), nil, collect},
		"to the microsecond":                {old("sale", ended(keep-time.Microsecond)), nil, keepYoung},
		"ended in the future":               {old("sale", ended(-time.Hour)), nil, keepYoung},
		"failed for long":                   {old("sale", func(c *v1alpha1.Charge) { c.Record.Outcome.Phase = v1alpha1.PhaseFailed }), nil, collect},
		"no outcome":                        {old("sale", unended), nil, keepOpen},
		"a hold and no outcome":             {old("sale", unended, held), nil, keepOpen},
		"nothing was ever sent":             {old("sale", func(c *v1alpha1.Charge) { c.Record = v1alpha1.ChargeRecord{} }), nil, keepOpen},
		"an outcome that is none":           {old("sale", func(c *v1alpha1.Charge) { c.Record.Outcome.Phase = v1alpha1.PhaseUnknown }), nil, keepOpen},
		"a hold that an outcome has ended":  {old("sale", held), nil, collect},
		"an open refund":                    {old("sale", claimed), nil, keepOpen},
		"an open refund beside others":      {old("sale", refunded("a", keep), claimed, refunded("b", keep)), nil, keepOpen},
		"a refund whose outcome is none":    {old("sale", refunded("a", keep), func(c *v1alpha1.Charge) { c.Record.Refunds[0].Outcome.Phase = v1alpha1.RefundUnknown }), nil, keepOpen},
		"refunds over for long":             {old("sale", refunded("a", keep), refunded("b", 2*keep)), nil, collect},
		"a refund not over for long":        {old("sale", refunded("a", 2*keep), refunded("b", keep-time.Second)), nil, keepYoung},
		"contradicted long ago":             {old("sale", contradicted(keep)), nil, collect},
		"contradicted lately":               {old("sale", contradicted(keep-time.Second)), nil, keepYoung},
		"the API server made it later":      {old("sale", created(keep-time.Second)), nil, keepYoung},
		"the API server made it just then":  {old("sale", created(keep)), nil, collect},
		"not made by an API server":         {old("sale", func(c *v1alpha1.Charge) { c.CreationTimestamp = metav1.Time{} }), nil, keepYoung},
		"of another installation":           {old("sale", func(c *v1alpha1.Charge) { c.Spec.InstallationID = "other" }), nil, keepForeign},
		"of another version":                {old("sale", func(c *v1alpha1.Charge) { c.Spec.ReferenceVersion = "v2" }), nil, keepForeign},
		"under a name that is not its own":  {old("sale", func(c *v1alpha1.Charge) { c.Name = "charge-by-hand" }), nil, keepForeign},
		"on its way out":                    {old("sale", func(c *v1alpha1.Charge) { c.DeletionTimestamp = &metav1.Time{Time: noon} }), nil, keepForeign},
		"a Payment names it":                {old("sale"), func(f *facts) { f.payments = make([]v1alpha1.Payment, 1) }, keepUsed},
		"a Refund claimed of it":            {old("sale"), func(f *facts) { f.refunds = make([]v1alpha1.Refund, 1) }, keepUsed},
		"for ever":                          {old("sale"), func(f *facts) { f.settings.Keep = 0 }, keepYoung},
		"a retention that is not one":       {old("sale"), func(f *facts) { f.settings.Keep = -time.Hour }, keepYoung},
		"a clock that was set back":         {old("sale"), func(f *facts) { f.now = noon.Add(-time.Second) }, keepYoung},
		"a clock that knows nothing at all": {old("sale"), func(f *facts) { f.now = time.Time{} }, keepYoung},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := situation(test.charge)
			if test.change != nil {
				test.change(&f)
			}
			if got := decide(f); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// obstacles each keep a Charge that may go otherwise.
var obstacles = map[string]func(*rapid.T, *facts){
	"no outcome": func(_ *rapid.T, f *facts) { f.charge.Record.Outcome = nil },
	"an open refund": func(t *rapid.T, f *facts) {
		i := rapid.IntRange(0, len(f.charge.Record.Refunds)).Draw(t, "place")
		f.charge.Record.Refunds = slices.Insert(f.charge.Record.Refunds, i, v1alpha1.ChargeRefund{
			Name: "open", Sends: rapid.Int32Range(0, 3).Draw(t, "sends"),
			Hold: rapid.SampledFrom([]*v1alpha1.ChargeHold{nil, {At: ago(3 * keep)}}).Draw(t, "hold"),
		})
	},
	"a young outcome": func(t *rapid.T, f *facts) {
		if o := f.charge.Record.Outcome; o != nil {
			o.At = young(t)
		}
	},
	"a young refund": func(t *rapid.T, f *facts) {
		refunded("young", 0)(f.charge)
		f.charge.Record.Refunds[len(f.charge.Record.Refunds)-1].Outcome.At = young(t)
	},
	"a young contradiction": func(t *rapid.T, f *facts) {
		f.charge.Record.Contradiction = &v1alpha1.ChargeOutcome{At: young(t)}
	},
	"a young object": func(t *rapid.T, f *facts) { f.charge.CreationTimestamp = metav1.NewTime(young(t).Time) },
	"a Payment":      func(_ *rapid.T, f *facts) { f.payments = append(f.payments, v1alpha1.Payment{}) },
	"a Refund":       func(_ *rapid.T, f *facts) { f.refunds = append(f.refunds, v1alpha1.Refund{}) },
	"installation":   func(_ *rapid.T, f *facts) { f.charge.Spec.InstallationID += "x" },
	"version":        func(_ *rapid.T, f *facts) { f.charge.Spec.ReferenceVersion += "x" },
	"keep for ever":  func(_ *rapid.T, f *facts) { f.settings.Keep = 0 },
}

// young is a time that was less than the retention ago, or is yet to come.
func young(t *rapid.T) metav1.MicroTime {
	return ago(keep - time.Microsecond - time.Duration(rapid.Int64Range(0, int64(3*keep)).Draw(t, "young")))
}

// aged is a time that was at least the retention ago.
func aged(t *rapid.T) time.Duration {
	return keep + time.Duration(rapid.Int64Range(0, int64(3*keep)).Draw(t, "aged"))
}

// Whatever else a record says, any one obstacle keeps the Charge, and without
// one it goes.
func TestDecideAlways(t *testing.T) {
	names := make([]string, 0, len(obstacles))
	for name := range obstacles {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(t *rapid.T) {
		f := situation(anyOldCharge(t))
		inTheWay := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(t, "obstacles")
		for _, name := range inTheWay {
			obstacles[name](t, &f)
		}
		before := f.charge.DeepCopy()
		got := decide(f)
		switch {
		case slices.Contains(inTheWay, "no outcome") && got == collect, slices.Contains(inTheWay, "an open refund") && got == collect:
			t.Fatalf("collected with an open outcome: %+v", f.charge.Record)
		case (got == collect) != (len(inTheWay) == 0):
			t.Fatalf("%s with %v: %+v", got, inTheWay, f.charge.Record)
		case !equality.Semantic.DeepEqual(before, f.charge):
			t.Fatal("decide changed the Charge")
		}
	})
}

// anyOldCharge is over for long, with anything in its record that says nothing
// about that.
func anyOldCharge(t *rapid.T) *v1alpha1.Charge {
	c := old(rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9:/#-]{0,20}[A-Za-z0-9]`).Draw(t, "reference"), created(aged(t)), ended(aged(t)))
	rec := &c.Record
	rec.Outcome.Phase = rapid.SampledFrom([]v1alpha1.Phase{
		v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed, v1alpha1.PhaseExpired, v1alpha1.PhaseCancelled,
	}).Draw(t, "phase")
	rec.Sends = rapid.Int32Range(0, 5).Draw(t, "sends")
	rec.VoidSends = rapid.Int32Range(0, rec.Sends).Draw(t, "void")
	if rapid.Bool().Draw(t, "held") {
		rec.Hold = &v1alpha1.ChargeHold{Reason: v1alpha1.ReasonLostInitiation, At: ago(0)}
	}
	if rapid.Bool().Draw(t, "noticed") {
		rec.Notice = &v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonAwaitingPayer, At: ago(0)}
	}
	if rapid.Bool().Draw(t, "opened") {
		rec.Session = &v1alpha1.ChargeSession{At: ago(0)}
	}
	if rapid.Bool().Draw(t, "called off") {
		rec.Cancel = &v1alpha1.ChargeCancel{At: ago(0)}
	}
	if rapid.Bool().Draw(t, "contradicted") {
		contradicted(aged(t))(c)
	}
	for range rapid.IntRange(0, 3).Draw(t, "refunds") {
		refunded("back", aged(t))(c)
	}
	return c
}
