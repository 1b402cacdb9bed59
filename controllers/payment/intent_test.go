package payment

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/providers"
)

func testAccount(provider string) *account.Account {
	return &account.Account{
		Provider: provider, Currency: "XOF", Kind: testRegistry()[provider],
		Pin: v1alpha1.AccountPin{
			Kind: account.KindNamespaced, Namespace: testNamespace, Name: provider,
			Environment: "sandbox", BaseURL: "https://sim.example", TokenURL: "https://sim.example/t", TargetEnvironment: "sandbox",
		},
	}
}

func TestIntent(t *testing.T) {
	p, acct := newPayment("order", "mtn", "5000"), testAccount("mtn")
	p.Spec.TimeoutSeconds = 90
	before := p.DeepCopy()
	c, err := intent(p, acct, testInstallation)
	must(t, err)
	name := testInstallation.ChargeName(testNamespace, "order")
	want := v1alpha1.ChargeSpec{
		InstallationID: "test-installation", ReferenceVersion: "v1",
		Payment:   v1alpha1.PaymentIdentity{Namespace: testNamespace, Name: "order", UID: string(p.UID)},
		Reference: "order", Provider: "mtn", Account: acct.Pin,
		Requested:         v1alpha1.Money{Amount: "5000", Currency: "XOF"},
		Money:             v1alpha1.Money{Amount: "5000", Currency: "EUR"}, // MTN's sandbox takes no other
		Fingerprint:       testInstallation.Fingerprint(p, "XOF"),
		ProviderReference: acct.Kind.Reference(testInstallation.ReferenceDigest("mtn", "MerchantAccount/shop/mtn", testNamespace, "order")),
		Payer:             testInstallation.Payer(p.Spec.Phone),
		TimeoutSeconds:    90,
	}
	if c.Name != name || c.Namespace != "" || c.Spec != want || !equality.Semantic.DeepEqual(c.Record, v1alpha1.ChargeRecord{}) {
		t.Errorf("%+v\nwant %+v", c.Spec, want)
	}
	if !equality.Semantic.DeepEqual(p, before) {
		t.Error("the Payment was changed")
	}
	again, err := intent(p, acct, testInstallation)
	must(t, err)
	if !equality.Semantic.DeepEqual(c, again) {
		t.Error("asked twice, told two things")
	}
}

func TestIntentDefaults(t *testing.T) {
	p, acct := newPayment("order", "wave", "10.50"), testAccount("wave")
	p.Spec.TimeoutSeconds, p.Spec.Reference = 0, "INV/7"
	acct.Currency = "GMD"
	c, err := intent(p, acct, testInstallation)
	must(t, err)
	if c.Spec.Payer != "" {
		t.Error("Wave rings no phone, and the Charge names a payer")
	}
	if c.Spec.TimeoutSeconds != 3600 || c.Spec.Reference != "INV/7" || c.Spec.Requested != (v1alpha1.Money{Amount: "10.50", Currency: "GMD"}) ||
		c.Spec.Money != (v1alpha1.Money{Amount: "10.5", Currency: "GMD"}) {
		t.Errorf("%+v", c.Spec)
	}
	// The Payment's own currency wins, and is what the fingerprint is made with.
	p.Spec.Currency = "UGX"
	p.Spec.Amount = v1alpha1.NewAmount("10")
	c, err = intent(p, acct, testInstallation)
	must(t, err)
	if c.Spec.Requested.Currency != "UGX" || c.Spec.Fingerprint != testInstallation.Fingerprint(p, "UGX") {
		t.Errorf("%+v", c.Spec)
	}
}

// What is sent, in the sandbox and in production.
func TestIntentMoney(t *testing.T) {
	cases := []struct {
		provider, environment, amount, currency string
		want                                    v1alpha1.Money // empty: refused
	}{
		{"mtn", "sandbox", "5000", "XOF", v1alpha1.Money{Amount: "5000", Currency: "EUR"}},
		{"mtn", "production", "5000", "XOF", v1alpha1.Money{Amount: "5000", Currency: "XOF"}},
		{"mtn", "production", "10.50", "GHS", v1alpha1.Money{Amount: "10.5", Currency: "GHS"}},
		{"orange", "sandbox", "5000", "XOF", v1alpha1.Money{Amount: "5000", Currency: "OUV"}},
		{"orange", "production", "5000", "GNF", v1alpha1.Money{Amount: "5000", Currency: "GNF"}},
		{"orange", "production", "5000.00", "SLE", v1alpha1.Money{Amount: "5000", Currency: "SLE"}},
		{"wave", "production", "5000", "XOF", v1alpha1.Money{Amount: "5000", Currency: "XOF"}},
		{"mtn", "sandbox", "10.50", "XOF", v1alpha1.Money{}},
		{"mtn", "production", "10.555", "GHS", v1alpha1.Money{}},
		{"orange", "production", "10.5", "SLE", v1alpha1.Money{}},
		{"wave", "production", "10.5", "XOF", v1alpha1.Money{}},
		{"wave", "production", "10", "GHS", v1alpha1.Money{}},
		{"mtn", "production", "0", "XOF", v1alpha1.Money{}},
		{"mtn", "production", "-5", "XOF", v1alpha1.Money{}},
		{"mtn", "production", "1e3", "XOF", v1alpha1.Money{}},
		{"mtn", "production", "", "XOF", v1alpha1.Money{}},
		{"mtn", "production", "5", "xof", v1alpha1.Money{}},
	}
	for _, c := range cases {
		p, acct := newPayment("order", c.provider, c.amount), testAccount(c.provider)
		p.Spec.Currency, acct.Pin.Environment = c.currency, c.environment
		got, err := intent(p, acct, testInstallation)
		switch {
		case c.want == (v1alpha1.Money{}):
			// InvalidRequest is for good, so it has to be a definite no, that says why.
			if e := providers.AsError(err); got != nil || err == nil || e.Class != providers.ClassRejected || e.Detail == "" {
				t.Errorf("%+v: %+v, %v", c, got, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", c, err)
		case got.Spec.Money != c.want || got.Spec.Requested != (v1alpha1.Money{Amount: c.amount, Currency: c.currency}):
			t.Errorf("%+v: %+v", c, got.Spec)
		}
	}
}

// The time-out is that of the Payment, else that of the account, and it is pinned:
// who edits the account moves no deadline of what is open.
func TestTimeoutIsPinned(t *testing.T) {
	for _, c := range []struct {
		payment int32
		account time.Duration
		want    int32
	}{{0, 0, 3600}, {0, 10 * time.Minute, 600}, {0, 168 * time.Hour, 604800}, {90, 10 * time.Minute, 90}} {
		p, acct := newPayment("order", "mtn", "5000"), testAccount("mtn")
		p.Spec.TimeoutSeconds, acct.Timeout = c.payment, c.account
		made, err := intent(p, acct, testInstallation)
		must(t, err)
		if made.Spec.TimeoutSeconds != c.want {
			t.Errorf("%+v: %d", c, made.Spec.TimeoutSeconds)
		}
	}

	w := newWorld(t)
	change := func(timeout time.Duration) {
		var m v1alpha1.MerchantAccount
		must(t, w.api.Get(w.ctx, types.NamespacedName{Namespace: testNamespace, Name: "mtn"}, &m))
		m.Spec.Polling.Timeout = &metav1.Duration{Duration: timeout}
		must(t, w.api.Update(w.ctx, &m))
	}
	change(10 * time.Minute)
	w.payment("sale", "mtn", "1907", func(p *v1alpha1.Payment) { p.Spec.TimeoutSeconds = 0 }) // nobody pays
	w.until("sale", time.Minute, func() bool { return w.charge("sale") != nil && w.charge("sale").Record.Session != nil })
	opened := w.charge("sale").Record.Session.At
	change(24 * time.Hour)
	w.until("sale", time.Hour, func() bool { return w.charge("sale").Record.Hold != nil })
	hold := w.charge("sale").Record.Hold
	if hold == nil || hold.At.Sub(opened.Time) < 10*time.Minute || hold.At.Sub(opened.Time) > 15*time.Minute {
		t.Fatalf("opened at %s, held: %+v", opened, hold)
	}
}

// Outside are uid, times, generation, resourceVersion, attempt,
// amount, phone. So whoever asks again asks under the same name.
func TestWhatNamesDoNotDependOn(t *testing.T) {
	acct := testAccount("mtn")
	rapid.Check(t, func(t *rapid.T) {
		p, q := newPayment("order", "mtn", "5000"), newPayment("order", "mtn", "5000")
		q.UID = types.UID(rapid.String().Draw(t, "uid"))
		q.CreationTimestamp = metav1.NewTime(time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "created"), 0))
		q.Generation, q.ResourceVersion = rapid.Int64().Draw(t, "generation"), rapid.String().Draw(t, "rv")
		q.Labels = map[string]string{"a": rapid.String().Draw(t, "label")}
		q.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"}
		q.Spec.Amount = v1alpha1.NewAmount(fmt.Sprint(rapid.IntRange(1, 1e9).Draw(t, "amount")))
		q.Spec.Phone = rapid.StringMatching(`\+[1-9][0-9]{6,14}`).Draw(t, "phone")
		q.Spec.Description, q.Spec.TimeoutSeconds = rapid.String().Draw(t, "description"), 77
		q.Spec.ReturnURL, q.Spec.CancelURL = "https://a.example", "https://b.example"
		q.Status.Phase = v1alpha1.PhaseUnknown
		other := *acct
		other.Pin.BaseURL, other.Pin.TargetEnvironment, other.Interval = "https://c.example", "x", time.Hour

		a, err := intent(p, acct, testInstallation)
		b, errB := intent(q, &other, testInstallation)
		if err != nil || errB != nil {
			t.Fatal(err, errB)
		}
		if a.Name != b.Name || a.Spec.ProviderReference != b.Spec.ProviderReference || a.Spec.Reference != b.Spec.Reference {
			t.Fatalf("%+v\n%+v", a.Spec, b.Spec)
		}
	})
}

// Inside are installation, provider, account, namespace and the sale.
func TestWhatNamesDependOn(t *testing.T) {
	base := func() (*v1alpha1.Payment, *account.Account, installation.Installation) {
		return newPayment("order", "mtn", "5000"), testAccount("mtn"), testInstallation
	}
	p, acct, inst := base()
	first, err := intent(p, acct, inst)
	must(t, err)
	for name, c := range map[string]struct {
		change        func(*v1alpha1.Payment, *account.Account, *installation.Installation)
		sameCharge    bool
		sameReference bool
	}{
		"installation": {change: func(_ *v1alpha1.Payment, _ *account.Account, i *installation.Installation) { i.ID = "another" }},
		"namespace":    {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) { p.Namespace = "bakery" }},
		"name":         {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) { p.Name = "order-2" }},
		"reference": {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) {
			p.Spec.Reference = "order-2"
		}},
		"its own name": {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) {
			p.Spec.Reference = "order"
		}, sameCharge: true, sameReference: true},
		"by reference": {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) {
			p.Name, p.Spec.Reference = "x", "order"
		}, sameCharge: true, sameReference: true},
		"account": {change: func(_ *v1alpha1.Payment, a *account.Account, _ *installation.Installation) { a.Pin.Name = "second" }, sameCharge: true},
		"account kind": {change: func(_ *v1alpha1.Payment, a *account.Account, _ *installation.Installation) {
			a.Pin.Kind = account.KindCluster
		}, sameCharge: true},
		"provider": {change: func(p *v1alpha1.Payment, _ *account.Account, _ *installation.Installation) { p.Spec.Provider = "mtn2" }, sameCharge: true},
		"the key alone": {change: func(_ *v1alpha1.Payment, _ *account.Account, i *installation.Installation) {
			i.Key = []byte("another-key-of-thirty-two-bytes!")
		}, sameCharge: true, sameReference: true},
	} {
		p, acct, inst := base()
		c.change(p, acct, &inst)
		got, err := intent(p, acct, inst)
		must(t, err)
		if (got.Name == first.Name) != c.sameCharge || (got.Spec.ProviderReference == first.Spec.ProviderReference) != c.sameReference {
			t.Errorf("%s: %s %s, was %s %s", name, got.Name, got.Spec.ProviderReference, first.Name, first.Spec.ProviderReference)
		}
	}
}

// What a Charge shows is no secret and no phone.
func TestNothingToGuessIn(t *testing.T) {
	c, err := intent(newPayment("order", "mtn", "5000"), testAccount("mtn"), testInstallation)
	must(t, err)
	text, err := json.Marshal(c)
	must(t, err)
	for _, word := range []string{"2250501020304", string(testInstallation.Key)} {
		if strings.Contains(string(text), word) {
			t.Errorf("%q is in %s", word, text)
		}
	}
	// The callback's path follows from nothing that can be read.
	id := testInstallation.PathKeys().ID("mtn", c.Name)
	if other := (installation.Installation{ID: testInstallation.ID, Key: []byte("another-key-of-thirty-two-bytes!")}); other.PathKeys().ID("mtn", c.Name) == id || strings.Contains(string(text), id[40:]) {
		t.Error("the path of the callback does not depend on the key, or can be read")
	}
}
