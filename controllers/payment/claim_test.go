package payment

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
)

var claimTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func created(name string, at time.Time) *v1alpha1.Payment {
	p := newPayment(name, "mtn", "5000")
	p.CreationTimestamp = metav1.NewTime(at)
	return p
}

func TestClaimant(t *testing.T) {
	young, old, older := created("young", claimTime.Add(time.Hour)), created("old", claimTime), created("older", claimTime.Add(-time.Second))
	twin := created("a-twin", claimTime) // as old as old, and first by name
	madeFor := func(namespace, name string) *v1alpha1.Charge {
		return &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{Payment: v1alpha1.PaymentIdentity{Namespace: namespace, Name: name, UID: "x"}}}
	}
	list := func(p ...*v1alpha1.Payment) []*v1alpha1.Payment { return p }
	for name, c := range map[string]struct {
		payments []*v1alpha1.Payment
		charge   *v1alpha1.Charge
		want     *v1alpha1.Payment
	}{
		"nobody":                            {},
		"nobody, and a charge":              {charge: madeFor(testNamespace, "old")},
		"one":                               {payments: list(young), want: young},
		"the oldest":                        {payments: list(young, old, older), want: older},
		"as old: by name":                   {payments: list(old, twin), want: twin},
		"the one that it was made for":      {payments: list(young, old, older), charge: madeFor(testNamespace, "young"), want: young},
		"made for one that is gone":         {payments: list(young, old), charge: madeFor(testNamespace, "gone"), want: old},
		"made for a namesake in another ns": {payments: list(young, old), charge: madeFor("bakery", "young"), want: old},
	} {
		// In whatever order they are listed.
		for range 6 {
			if got := claimant(c.payments, c.charge); got != c.want {
				t.Errorf("%s: %+v", name, got)
			}
			if n := len(c.payments); n > 1 {
				c.payments = append(c.payments[1:n:n], c.payments[0])
				slices.Reverse(c.payments[:2])
			}
		}
	}
}

// There is one claimant, whoever looks, and a Payment that comes later is not it.
func TestClaimantIsStable(t *testing.T) {
	payment := rapid.Custom(func(t *rapid.T) *v1alpha1.Payment {
		p := &v1alpha1.Payment{}
		p.Namespace, p.Name = testNamespace, rapid.StringMatching(`[a-d]{1,2}`).Draw(t, "name")
		p.CreationTimestamp = metav1.NewTime(claimTime.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "age")) * time.Second))
		return p
	})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfNDistinct(payment, 1, 6, func(p *v1alpha1.Payment) string { return p.Name }).Draw(t, "payments")
		var charge *v1alpha1.Charge
		if name := rapid.StringMatching(`[a-d]{0,2}`).Draw(t, "made for"); name != "" {
			charge = &v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{Payment: v1alpha1.PaymentIdentity{Namespace: testNamespace, Name: name}}}
		}
		got := claimant(all, charge)
		if other := claimant(rapid.Permutation(all).Draw(t, "order"), charge); other != got {
			t.Fatalf("%s, in another order %s", got.Name, other.Name)
		}
		late := &v1alpha1.Payment{}
		late.Namespace, late.Name, late.CreationTimestamp = testNamespace, "zz", metav1.NewTime(claimTime.Add(time.Hour))
		if other := claimant(append(all, late), charge); other != got {
			t.Fatalf("%s, then %s", got.Name, other.Name)
		}
	})
}

func TestRelate(t *testing.T) {
	const window = 24 * time.Hour
	otherKey := installation.Installation{ID: testInstallation.ID, Key: []byte("another-key-of-thirty-two-bytes!")}
	type change = func(p *v1alpha1.Payment, c *v1alpha1.Charge)
	// The Charge was made for "order", which ended at claimTime; p is an "order"
	// that was created at the same moment.
	ended := func(at time.Time) change {
		return func(_ *v1alpha1.Payment, c *v1alpha1.Charge) {
			c.Record.Outcome = &v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseSucceeded, At: metav1.NewMicroTime(at)}
		}
	}
	recreated := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.UID = "another" }
	after := func(d time.Duration) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.CreationTimestamp = metav1.NewTime(claimTime.Add(d)) }
	}
	annotated := func(value string) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) {
			p.Annotations = map[string]string{"mobilemoney.dev/adopt": value}
		}
	}
	restoredBy := func(value string) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) {
			p.Labels = map[string]string{"velero.io/restore-name": value}
		}
	}
	amount := func(a string) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Amount = v1alpha1.NewAmount(a) }
	}
	phone := func(n string) change { return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Phone = n } }
	currency := func(n string) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Currency = n }
	}
	provider := func(n string) change {
		return func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Provider = n }
	}
	keyed := func(p *v1alpha1.Payment, c *v1alpha1.Charge) { c.Spec.Fingerprint = otherKey.Fingerprint(p, "XOF") }
	garbled := func(_ *v1alpha1.Payment, c *v1alpha1.Charge) { c.Spec.Fingerprint = "garbage" }
	anotherHolds := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Name: "first", UID: "first"}}

	cases := map[string]struct {
		changes []change
		holder  *v1alpha1.Payment
		window  time.Duration
		want    relation
	}{
		"its own":                   {window: window, want: relationOwn},
		"its own, ended long after": {changes: []change{ended(claimTime.Add(90 * 24 * time.Hour))}, window: window, want: relationOwn},
		// An own one is own whatever the clocks say: nothing was charged before it.
		"its own, ended long before it was created, by the clocks": {changes: []change{ended(claimTime.Add(-90 * 24 * time.Hour))}, window: window, want: relationOwn},
		"applied again, open":        {changes: []change{recreated, after(90 * 24 * time.Hour)}, window: window, want: relationAdopted},
		"applied again, just ended":  {changes: []change{recreated, ended(claimTime), after(time.Minute)}, window: window, want: relationAdopted},
		"at the end of the window":   {changes: []change{recreated, ended(claimTime), after(window)}, window: window, want: relationAdopted},
		"after the window":           {changes: []change{recreated, ended(claimTime), after(window + time.Second)}, window: window, want: relationReused},
		"a month later":              {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour)}, window: window, want: relationReused},
		"created before it ended":    {changes: []change{recreated, ended(claimTime), after(-time.Hour)}, window: window, want: relationAdopted},
		"a month later, window off":  {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour)}, window: 0, want: relationAdopted},
		"a shorter window":           {changes: []change{recreated, ended(claimTime), after(2 * time.Second)}, window: time.Second, want: relationReused},
		"a month later, by consent":  {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour), annotated("true")}, window: window, want: relationAdopted},
		"consent must be true":       {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour), annotated("false")}, window: window, want: relationReused},
		"and nothing like true":      {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour), annotated("True")}, window: window, want: relationReused},
		"a month later, restored":    {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour), restoredBy("nightly")}, window: window, want: relationAdopted},
		"restored, label empty":      {changes: []change{recreated, ended(claimTime), after(30 * 24 * time.Hour), restoredBy("")}, window: window, want: relationAdopted},
		"another amount":             {changes: []change{amount("5001")}, window: window, want: relationConflict},
		"the same, otherwise":        {changes: []change{amount("5000.00")}, window: window, want: relationOwn},
		"another phone":              {changes: []change{phone("+2250501020305")}, window: window, want: relationConflict},
		"no phone":                   {changes: []change{phone("")}, window: window, want: relationConflict},
		"another provider":           {changes: []change{provider("wave")}, window: window, want: relationConflict},
		"another currency":           {changes: []change{currency("XAF")}, window: window, want: relationConflict},
		"the currency, said":         {changes: []change{currency("XOF")}, window: window, want: relationOwn},
		"applied again, other money": {changes: []change{recreated, amount("1")}, window: window, want: relationConflict},
		"consent to other money":     {changes: []change{recreated, amount("1"), annotated("true"), restoredBy("nightly")}, window: window, want: relationConflict},
		"months later, other money":  {changes: []change{recreated, ended(claimTime), after(1000 * window), amount("1")}, window: window, want: relationConflict},
		"another one holds it":       {changes: []change{recreated}, holder: anotherHolds, window: window, want: relationDuplicate},
		"another one, other money":   {changes: []change{recreated, amount("1")}, holder: anotherHolds, window: window, want: relationConflict},
		"another one, by consent":    {changes: []change{recreated, annotated("true")}, holder: anotherHolds, window: window, want: relationDuplicate},
		"another one, restored":      {changes: []change{recreated, restoredBy("x")}, holder: anotherHolds, window: 0, want: relationDuplicate},

		// Made with another key: what is in clear has to do.
		"other key":                {changes: []change{keyed}, window: window, want: relationOwn},
		"other key, other phone":   {changes: []change{keyed, phone("+2250501020305")}, window: window, want: relationOwn},
		"other key, same amount":   {changes: []change{keyed, amount("5000.0")}, window: window, want: relationOwn},
		"other key, other amount":  {changes: []change{keyed, amount("5001")}, window: window, want: relationConflict},
		"other key, provider":      {changes: []change{keyed, provider("wave")}, window: window, want: relationConflict},
		"other key, currency":      {changes: []change{keyed, currency("XAF")}, window: window, want: relationConflict},
		"other key, applied again": {changes: []change{keyed, recreated}, window: window, want: relationAdopted},
		"no key id":                {changes: []change{garbled}, window: window, want: relationOwn},
		"no key id, other amount":  {changes: []change{garbled, amount("1")}, window: window, want: relationConflict},
	}
	for name, c := range cases {
		p := created("order", claimTime)
		charge, err := intent(p, testAccount("mtn"), testInstallation)
		must(t, err)
		for _, change := range c.changes {
			change(p, charge)
		}
		holder := c.holder
		if holder == nil {
			holder = p
		}
		got := relate(p, holder, charge, testInstallation, c.window)
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if got.holds() != (c.want == relationOwn || c.want == relationAdopted) {
			t.Errorf("%s: %s holds: %t", name, got, got.holds())
		}
		// The clock plays no part, so it does not change by itself.
		if again := relate(p.DeepCopy(), holder.DeepCopy(), charge.DeepCopy(), testInstallation, c.window); again != got {
			t.Errorf("%s: %s, then %s", name, got, again)
		}
	}
}

// At most one Payment of a sale holds its Charge.
func TestOneHolder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(t, "payments")
		var payments []*v1alpha1.Payment
		for i := range n {
			p := created(string(rune('a'+i)), claimTime.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "hours"))*time.Hour))
			p.Spec.Reference = "sale"
			p.Spec.Amount = v1alpha1.NewAmount(rapid.SampledFrom([]string{"5000", "5000", "1"}).Draw(t, "amount"))
			if rapid.Bool().Draw(t, "consent") {
				p.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"}
			}
			payments = append(payments, p)
		}
		maker := rapid.SampledFrom(append(payments, created("gone", claimTime))).Draw(t, "maker").DeepCopy()
		maker.Spec.Reference, maker.Spec.Amount = "sale", v1alpha1.AmountFromInt(5000)
		charge, err := intent(maker, testAccount("mtn"), testInstallation)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "ended") {
			charge.Record.Outcome = &v1alpha1.ChargeOutcome{At: metav1.NewMicroTime(claimTime)}
		}
		if rapid.Bool().Draw(t, "recreated") {
			charge.Spec.Payment.UID = "before"
		}
		holder := claimant(payments, charge)
		var holds []types.UID
		for _, p := range payments {
			r := relate(p, holder, charge, testInstallation, 24*time.Hour)
			if r.holds() {
				holds = append(holds, p.UID)
				if p != holder || p.Spec.Amount.String() != "5000" {
					t.Fatalf("%s %s is %s", p.Name, p.Spec.Amount, r)
				}
			}
		}
		if len(holds) > 1 {
			t.Fatalf("%v hold it", holds)
		}
	})
}
