package retention

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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
func old(name string, change ...func(*v1alpha1.Charge)) *v1alpha1.Charge {
	c := &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{
			Name: testInstallation.ChargeName(shop, name), UID: types.UID("uid-" + name),
			CreationTimestamp: metav1.NewTime(noon.Add(-keep - time.Hour)),
		},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: testInstallation.ID, ReferenceVersion: installation.ReferenceVersion, Provider: "mtn",
			Payment: v1alpha1.PaymentIdentity{Namespace: shop, Name: name, UID: "uid-of-payment"},
		},
		Record: v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{
			Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: ago(keep + time.Hour)},
			Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, At: ago(keep)},
		}},
	}
	for _, do := range change {
		do(c)
	}
	return c
}

// refunded adds a refund, which ended some time ago.
func refunded(name string, since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Refunds = append(c.Record.Refunds, v1alpha1.ChargeRefund{
			Name: name, ReservedAt: ago(since + time.Hour), Attempt: v1alpha1.Attempt{
				Sends: 1, Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonRefunded, At: ago(since)},
			},
		})
	}
}

func contradicted(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record.Later = &v1alpha1.Outcome{Phase: v1alpha1.PhaseFailed, At: ago(since)}
	}
}

func created(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) { c.CreationTimestamp = metav1.NewTime(noon.Add(-since)) }
}

func ended(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) { c.Record.Outcome.At = ago(since) }
}

func calledBack(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) { c.Record.LastCallback = &v1alpha1.CallbackNote{ReceivedAt: ago(since)} }
}

func open(c *v1alpha1.Charge) { c.Record.Outcome = nil }

func unknown(c *v1alpha1.Charge) {
	c.Record.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown, Since: ago(2 * keep)}
}

func reserved(c *v1alpha1.Charge) {
	c.Record.Refunds = append(c.Record.Refunds, v1alpha1.ChargeRefund{Name: "open", ReservedAt: ago(2 * keep)})
}

// neverSent is a Charge of which every send is void, the last one some time ago.
func neverSent(since time.Duration) func(*v1alpha1.Charge) {
	return func(c *v1alpha1.Charge) {
		c.Record = v1alpha1.ChargeRecord{Attempt: v1alpha1.Attempt{
			Sends: 2, Notice: &v1alpha1.Notice{Reason: v1alpha1.ReasonAccountMisconfigured, At: ago(since)},
		}}
	}
}

func situation(c *v1alpha1.Charge) facts {
	return facts{now: noon, settings: Settings{Keep: keep}, installation: testInstallation, charge: c}
}

func payment(phase v1alpha1.Phase) func(*facts) {
	return func(f *facts) { f.payment = &v1alpha1.Payment{Status: v1alpha1.PaymentStatus{Phase: phase}} }
}

func TestDecide_NamesWhatKeepsACharge(t *testing.T) {
	const day = 24 * time.Hour
	send := v1alpha1.Send{Number: 1, Sender: "a", At: ago(2 * keep)}
	tests := map[string]struct {
		charge *v1alpha1.Charge
		change func(*facts)
		want   verdict
	}{
		"over for long":                     {old("sale"), nil, collect},
		"to the microsecond":                {old("sale", ended(keep-time.Microsecond)), nil, keepYoung},
		"ended in the future":               {old("sale", ended(-time.Hour)), nil, keepYoung},
		"failed for long":                   {old("sale", func(c *v1alpha1.Charge) { c.Record.Outcome.Phase = v1alpha1.PhaseFailed }), nil, collect},
		"settled by a person":               {old("sale", func(c *v1alpha1.Charge) { c.Record.Outcome.SettledBy = "ama" }), nil, collect},
		"no outcome":                        {old("sale", open), nil, keepOpen},
		"Unknown":                           {old("sale", open, unknown), nil, keepOpen},
		"Unknown before it ended":           {old("sale", unknown), nil, collect},
		"an outcome that is none":           {old("sale", func(c *v1alpha1.Charge) { c.Record.Outcome.Phase = v1alpha1.PhaseUnknown }), nil, keepOpen},
		"an open refund":                    {old("sale", reserved), nil, keepOpen},
		"an open refund beside others":      {old("sale", refunded("a", keep), reserved, refunded("b", keep)), nil, keepOpen},
		"a refund whose outcome is none":    {old("sale", refunded("a", keep), func(c *v1alpha1.Charge) { c.Record.Refunds[0].Outcome.Phase = v1alpha1.PhaseUnknown }), nil, keepOpen},
		"refunds over for long":             {old("sale", refunded("a", keep), refunded("b", 2*keep)), nil, collect},
		"a refund not over for long":        {old("sale", refunded("a", 2*keep), refunded("b", keep-time.Second)), nil, keepYoung},
		"contradicted long ago":             {old("sale", contradicted(keep)), nil, collect},
		"contradicted lately":               {old("sale", contradicted(keep-time.Second)), nil, keepYoung},
		"a callback lately":                 {old("sale", calledBack(keep-time.Second)), nil, keepYoung},
		"the API server made it later":      {old("sale", created(keep-time.Second)), nil, keepYoung},
		"the API server made it just then":  {old("sale", created(keep)), nil, collect},
		"not made by an API server":         {old("sale", func(c *v1alpha1.Charge) { c.CreationTimestamp = metav1.Time{} }), nil, keepYoung},
		"of another installation":           {old("sale", func(c *v1alpha1.Charge) { c.Spec.InstallationID = "other" }), nil, keepForeign},
		"of another version":                {old("sale", func(c *v1alpha1.Charge) { c.Spec.ReferenceVersion = "v1" }), nil, keepForeign},
		"under a name that is not its own":  {old("sale", func(c *v1alpha1.Charge) { c.Name = "charge-by-hand" }), nil, keepForeign},
		"on its way out":                    {old("sale", func(c *v1alpha1.Charge) { c.DeletionTimestamp = &metav1.Time{Time: noon} }), nil, keepForeign},
		"its Payment exists":                {old("sale"), payment(v1alpha1.PhaseSucceeded), keepUsed},
		"a Refund of it exists":             {old("sale"), func(f *facts) { f.refunds = true }, keepUsed},
		"for ever":                          {old("sale"), func(f *facts) { f.settings.Keep = 0 }, keepYoung},
		"a retention that is not one":       {old("sale"), func(f *facts) { f.settings.Keep = -time.Hour }, keepYoung},
		"a clock that was set back":         {old("sale"), func(f *facts) { f.now = noon.Add(-time.Second) }, keepYoung},
		"a clock that knows nothing at all": {old("sale"), func(f *facts) { f.now = time.Time{} }, keepYoung},

		"K6a never sent, a day ago":      {old("sale", neverSent(day)), nil, collect},
		"K6a never sent, less ago":       {old("sale", neverSent(day-time.Second)), nil, keepYoung},
		"K6a never sent, made lately":    {old("sale", neverSent(day), created(day-time.Second)), nil, keepYoung},
		"K6a kept for ever otherwise":    {old("sale", neverSent(day)), func(f *facts) { f.settings.Keep = 0 }, collect},
		"K6a nothing recorded at all":    {old("sale", func(c *v1alpha1.Charge) { c.Record = v1alpha1.ChargeRecord{} }), nil, collect},
		"K6a its Payment waits":          {old("sale", neverSent(day)), payment(v1alpha1.PhasePending), keepUsed},
		"K6a its Payment is new":         {old("sale", neverSent(day)), payment(""), keepUsed},
		"K6a its Payment is Unknown":     {old("sale", neverSent(day)), payment(v1alpha1.PhaseUnknown), keepUsed},
		"K6a its Payment is over":        {old("sale", neverSent(day)), payment(v1alpha1.PhaseExpired), collect},
		"K6a of another installation":    {old("sale", neverSent(day), func(c *v1alpha1.Charge) { c.Spec.InstallationID = "other" }), nil, keepForeign},
		"K3g a send that has no answer":  {old("sale", neverSent(2*keep), func(c *v1alpha1.Charge) { c.Record.Open = []v1alpha1.Send{send} }), nil, keepOpen},
		"K3g and is Unknown":             {old("sale", neverSent(2*keep), unknown), nil, keepOpen},
		"a send that was refused":        {old("sale", neverSent(2*keep), func(c *v1alpha1.Charge) { c.Record.Refusal = &v1alpha1.Refusal{Send: send} }), nil, keepOpen},
		"a reference that was known":     {old("sale", neverSent(2*keep), func(c *v1alpha1.Charge) { c.Record.ReferenceKnown = true }), nil, keepOpen},
		"taken":                          {old("sale", neverSent(2*keep), func(c *v1alpha1.Charge) { c.Record.Taken = &v1alpha1.Taken{At: ago(2 * keep)} }), nil, keepOpen},
		"a session":                      {old("sale", neverSent(2*keep), func(c *v1alpha1.Charge) { c.Record.Session = &v1alpha1.Session{ID: "s"} }), nil, keepOpen},
		"never sent, but a refund taken": {old("sale", neverSent(2*keep), reserved, func(c *v1alpha1.Charge) { c.Record.Refunds[0].Taken = &v1alpha1.Taken{} }), nil, keepOpen},
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
