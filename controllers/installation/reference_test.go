package installation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/providers"
)

// The golden vectors below may NEVER change. They were computed by
// another program, and are what running installations have told
// their providers. A build that derives something else finds none of its open
// charges, and asks every one of their payers for the money again. If one of these
// tests fails, the code is wrong. A new derivation needs a new ReferenceVersion,
// and code that keeps the old one for the Charges that bear it.
var goldenInstallation = Installation{ID: "golden-installation", Key: []byte("golden-key-of-thirty-two-bytes!!")}

func TestGoldenChargeName(t *testing.T) {
	if ReferenceVersion != "v1" {
		t.Errorf("version %s has no vectors", ReferenceVersion)
	}
	vectors := []struct{ got, want string }{
		{goldenInstallation.ChargeName("shop", "order-1042"), "charge-aw32iufujqd2fmzoko2qx2oothepf7rplioirrbb"},
		{Installation{}.ChargeName("", ""), "charge-5j4bgsh4af25dztntj3bj6wfthrthmicxdim6nms"},
		{Installation{ID: "é\x00"}.ChargeName("a/b", "c"), "charge-4nxv5mmk5buxjp2erndwsbtxye5gpec7h3r2ezri"},
	}
	for _, v := range vectors {
		if v.got != v.want {
			t.Errorf("%s, was %s", v.got, v.want)
		}
	}
}

func TestGoldenProviderReferences(t *testing.T) {
	vectors := []struct {
		provider, account, digest, reference string
	}{
		{"mtn", "MerchantAccount/shop/mtn", "f2bb70398245f729d31dcac59fe7d14c9f3462836fbca4711fcab59dd1ebe17a", "f2bb7039-8245-4729-931d-cac59fe7d14c"},
		{"orange", "ClusterMerchantAccount//orange", "22756f1897e3d54cf019a04fb3f2b4f09edc1ee9b45d242ecf87c28fb00b3c50", "ej2w6gex4pkuz4azubh3h4vu"},
		{"wave", "Operator//wave", "1854d8705e55412b4a260f9c77aa9bfe3d45997a61be25467f6682dbe1924d0d", "dbknq4c6kvaswsrgb6ohpku37y6ulgl2mg7ckrt7m2bnxymsjugq"},
	}
	for _, v := range vectors {
		digest := goldenInstallation.ReferenceDigest(v.provider, v.account, "shop", "order-1042")
		if got := fmt.Sprintf("%x", digest); got != v.digest {
			t.Errorf("%s: digest %s, was %s", v.provider, got, v.digest)
		}
		if got := testRegistry()[v.provider].Reference(digest); got != v.reference {
			t.Errorf("%s: reference %s, was %s", v.provider, got, v.reference)
		}
	}
}

// The account's part of the digest is frozen too.
func TestGoldenAccountIdentity(t *testing.T) {
	for want, pin := range map[string]v1alpha1.AccountPin{
		"MerchantAccount/shop/mtn":       {Kind: account.KindNamespaced, Namespace: "shop", Name: "mtn", Environment: "production", BaseURL: "https://x.example"},
		"ClusterMerchantAccount//orange": {Kind: account.KindCluster, Name: "orange"},
		"Operator//wave":                 {Kind: account.KindOperator, Name: "wave", TargetEnvironment: "x", TokenURL: "y"},
	} {
		if got := (&account.Account{Pin: pin}).Identity(); got != want {
			t.Errorf("%s, was %s", got, want)
		}
	}
}

func TestGoldenFingerprint(t *testing.T) {
	with := newPayment("order-1042", "mtn", "5000")
	if got := goldenInstallation.Fingerprint(with, "XOF"); got != "1709cd8f:1568a7f3781f7d136cf2df9128d5e7d573075b145caa94297010946ad1dfa9e2" {
		t.Errorf("fingerprint %s", got)
	}
	without := newPayment("order-1042", "wave", "10.50")
	without.Spec.Phone = ""
	if got := goldenInstallation.Fingerprint(without, "GMD"); got != "1709cd8f:41a2e88d71b5a528cf9cbe487fd7c0cbc0250c72b579e28999e64d13ad49f1b6" {
		t.Errorf("fingerprint %s", got)
	}
}

// Two sales have two names, whatever tricks their parts play: moving a letter
// from one to the next, separators, lengths, nothing at all.
func TestNamesAreInjective(t *testing.T) {
	part := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ab/:.\x00-]{0,4}`))
	inst := func(id string) Installation { return Installation{ID: id, Key: goldenInstallation.Key} }
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SliceOfN(part, 5, 5).Draw(t, "a")
		b := rapid.SliceOfN(part, 5, 5).Draw(t, "b")
		if rapid.Bool().Draw(t, "same letters") {
			// The same text, cut at other places.
			text := strings.Join(a, "")
			b = nil
			for range 4 {
				n := rapid.IntRange(0, len(text)).Draw(t, "cut")
				b, text = append(b, text[:n]), text[n:]
			}
			b = append(b, text)
		}
		if same := slices.Equal(a, b); same != (inst(a[0]).ReferenceDigest(a[1], a[2], a[3], a[4]) == inst(b[0]).ReferenceDigest(b[1], b[2], b[3], b[4])) {
			t.Fatalf("%q and %q", a, b)
		}
		if same := slices.Equal(a[:3], b[:3]); same != (inst(a[0]).ChargeName(a[1], a[2]) == inst(b[0]).ChargeName(b[1], b[2])) {
			t.Fatalf("%q and %q", a[:3], b[:3])
		}
	})
	if i := inst("x"); i.ChargeName("a", "bc") == i.ChargeName("ab", "c") || inst("xa").ChargeName("", "bc") == inst("x").ChargeName("a", "bc") {
		t.Error("a letter moved from one part to the next, and nothing changed")
	}
	// A name is no digest of another kind, whatever the parts.
	i := inst("x")
	if a, b := i.ChargeName("a", "b"), nameEncoding().EncodeToString(digestOf(i.ReferenceDigest("x", "a", "b", ""))[:25]); strings.HasSuffix(a, b) {
		t.Error("names and references come from one domain")
	}
}

func digestOf(d [32]byte) []byte { return d[:] }

// What providers and Kubernetes allow.
func TestAlphabets(t *testing.T) {
	uuid4 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	orderID := regexp.MustCompile(`^[a-z2-7]{24}$`)
	clientReference := regexp.MustCompile(`^[a-z2-7]{52}$`)
	chargeName := regexp.MustCompile(`^charge-[a-z2-7]{40}$`)
	pathID := regexp.MustCompile(`^[A-Za-z0-9_-]{55}$`)
	fingerprint := regexp.MustCompile(`^[0-9a-f]{8}:[0-9a-f]{64}$`)
	registry := testRegistry()
	rapid.Check(t, func(t *rapid.T) {
		inst := Installation{ID: rapid.String().Draw(t, "id"), Key: rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")}
		namespace, sale := rapid.String().Draw(t, "namespace"), rapid.String().Draw(t, "sale")
		digest := inst.ReferenceDigest("p", "a", namespace, sale)
		name := inst.ChargeName(namespace, sale)
		p := newPayment("x", "mtn", "1")
		p.Spec.Phone = rapid.String().Draw(t, "phone")
		for text, want := range map[string]*regexp.Regexp{
			registry["mtn"].Reference(digest): uuid4, registry["orange"].Reference(digest): orderID, registry["wave"].Reference(digest): clientReference,
			name: chargeName, inst.PathKeys().ID("mtn", name): pathID, inst.Fingerprint(p, "XOF"): fingerprint,
		} {
			if !want.MatchString(text) {
				t.Fatalf("%q is not %s", text, want)
			}
		}
		if n := len(registry["orange"].Reference(digest)); n > 24 {
			t.Fatalf("an order id of %d characters", n)
		}
		if digest != inst.ReferenceDigest("p", "a", namespace, sale) {
			t.Fatal("asked twice, told two things")
		}
	})
}

// References have 100 bits and more of the digest in them, everywhere.
func TestReferencesKeepTheDigest(t *testing.T) {
	for name, kind := range testRegistry() {
		free := 0
		base := [32]byte{}
		for bit := range 256 {
			d := base
			d[bit/8] ^= 0x80 >> (bit % 8)
			if kind.Reference(d) != kind.Reference(base) {
				free++
			}
		}
		if free < 100 {
			t.Errorf("%s: %d bits", name, free)
		}
	}
}

// Each money field is in the fingerprint, and none can be traded for another.
func TestFingerprint(t *testing.T) {
	fingerprintOf := func(provider, amount, currency, phone string) string {
		return testInstallation.Fingerprint(&v1alpha1.Payment{Spec: v1alpha1.PaymentSpec{Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: phone}}, currency)
	}
	first := fingerprintOf("mtn", "5000", "XOF", "+2250501020304")
	for _, other := range []string{
		fingerprintOf("wave", "5000", "XOF", "+2250501020304"),
		fingerprintOf("mtn", "5001", "XOF", "+2250501020304"),
		fingerprintOf("mtn", "500", "XOF", "+2250501020304"),
		fingerprintOf("mtn", "50000", "XOF", "+2250501020304"),
		fingerprintOf("mtn", "5000.01", "XOF", "+2250501020304"),
		fingerprintOf("mtn", "5000", "XAF", "+2250501020304"),
		fingerprintOf("mtn", "5000", "XOF", "+2250501020305"),
		fingerprintOf("mtn", "5000", "XOF", ""),
		fingerprintOf("mtn", "5000", "XOF+2250501020304", ""),
		fingerprintOf("mtn5000", "", "XOF", "+2250501020304"),
		Installation{ID: testInstallation.ID, Key: goldenInstallation.Key}.Fingerprint(newPayment("x", "mtn", "5000"), "XOF"),
	} {
		if other == first {
			t.Errorf("not told apart: %s", other)
		}
	}
	for _, same := range [][2]string{{"10.5", "10.50"}, {"5000", "5000.0"}, {"5000", "5000.00"}, {"0.1", "0.10"}} {
		if fingerprintOf("wave", same[0], "GMD", "") != fingerprintOf("wave", same[1], "GMD", "") {
			t.Errorf("%s and %s are told apart", same[0], same[1])
		}
	}
	// The name of the sale, the installation's id and everything else is not in it.
	p := newPayment("another", "mtn", "5000")
	p.Namespace, p.Spec.Reference, p.Spec.Description = "bakery", "x", "y"
	if (Installation{ID: "another", Key: testInstallation.Key}).Fingerprint(p, "XOF") != first {
		t.Error("the fingerprint depends on more than the money")
	}
	if strings.Contains(first, "225") && strings.Contains(first, "0501020304") {
		t.Error("the phone can be read")
	}
}

// Two amounts that the CRD admits have one canonical form if, and only if, they
// are equal as decimals.
func TestCanonicalAmount(t *testing.T) {
	amounts := rapid.StringMatching(`(0|[1-9][0-9]{0,11})([.][0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a := amounts.Draw(t, "a")
		b := rapid.OneOf(amounts, rapid.SampledFrom([]string{a + "0", a + ".0", a + ".00", strings.TrimRight(a, "0")})).Draw(t, "b")
		if _, ok := providers.ParseAmount(a); !ok {
			t.Skip("zero")
		}
		if _, ok := providers.ParseAmount(b); !ok {
			t.Skip("no amount")
		}
		if got, want := CanonicalAmount(v1alpha1.NewAmount(a)) == CanonicalAmount(v1alpha1.NewAmount(b)), providers.EqualAmount(a, b); got != want {
			t.Fatalf("%s and %s: %t", a, b, got)
		}
	})
}
