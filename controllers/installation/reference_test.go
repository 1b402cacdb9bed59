package installation

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

var goldenInstallation = Installation{ID: "golden-installation", Key: []byte("golden-key-of-thirty-two-bytes!!")}

// golden are the vectors in testdata. They may NEVER change. They were computed by another program,
// and are what running installations have sent to their providers. A build that derives something
// else finds none of its open charges, and asks every one of their payers for the money again. If a
// test fails by them, the code is wrong. A new derivation needs a new ReferenceVersion, a file of
// its own, and code that keeps the old one for the Charges that bear it.
type golden struct {
	Version, InstallationID, Key string
	ChargeNames                  []struct{ Namespace, Name, Want string }
	References                   []struct{ Provider, Environment, Namespace, Name, Digest, Want, Refund, WantRefund string }
	Fingerprints                 []struct{ Provider, Amount, Currency, Phone, Reference, Want string }
	UnknownIDs                   []struct {
		ChargeUID, ObjectUID, Reason string
		Since                        time.Time
		Reported                     *v1alpha1.Reported
		Want                         string
	}
	CorrelationTags []struct{ PaymentUID, Want string }
	PathIDs         []struct{ Provider, ChargeName, Want string }
	Others          map[string]string
}

func TestDerivations_AreThoseOfTheGoldenVectors(t *testing.T) {
	var g golden
	body, err := os.ReadFile("testdata/golden-" + ReferenceVersion + ".json")
	must(t, err)
	must(t, json.Unmarshal(body, &g))
	inst := goldenInstallation
	if g.Version != ReferenceVersion || g.InstallationID != inst.ID || g.Key != string(inst.Key) {
		t.Fatalf("%+v are not the vectors of %s", g, ReferenceVersion)
	}
	compared := 0
	same := func(what, got, want string) {
		t.Helper()
		if compared++; got != want {
			t.Errorf("%s: %s, was %s", what, got, want)
		}
	}
	for _, v := range g.ChargeNames {
		same("Charge of "+v.Name, inst.ChargeName(v.Namespace, v.Name), v.Want)
		same("whatever the installation", Installation{ID: "another"}.ChargeName(v.Namespace, v.Name), v.Want)
	}
	for _, v := range g.References {
		kind, digest := testRegistry()[v.Provider], inst.ReferenceDigest(v.Provider, v.Environment, v.Namespace, v.Name)
		same(v.Provider+" digest", fmt.Sprintf("%x", digest), v.Digest)
		same(v.Provider+" reference", kind.Reference(digest), v.Want)
		if (kind.RefundReference != nil) != (v.WantRefund != "") {
			t.Errorf("%s: a refund reference that has no vector, or none", v.Provider)
		} else if v.WantRefund != "" {
			same(v.Provider+" refund", kind.RefundReference(inst.RefundDigest(v.Want, v.Refund)), v.WantRefund)
		}
	}
	for _, v := range g.Fingerprints {
		p := &v1alpha1.Payment{Spec: v1alpha1.PaymentSpec{Provider: v.Provider, Amount: v1alpha1.NewAmount(v.Amount), Phone: v.Phone, Reference: v.Reference}}
		same("fingerprint", inst.Fingerprint(p, v.Currency), v.Want)
	}
	for _, v := range g.UnknownIDs {
		same("unknown id", inst.UnknownID(v.ChargeUID, v.ObjectUID, v.Reason, v.Since, v.Reported), v.Want)
	}
	for _, v := range g.CorrelationTags {
		same("tag", CorrelationTag(&v1alpha1.Charge{Spec: v1alpha1.ChargeSpec{Payment: v1alpha1.PaymentIdentity{UID: v.PaymentUID}}}), v.Want)
	}
	for _, v := range g.PathIDs {
		same("path id", inst.PathKeys().ID(v.Provider, v.ChargeName), v.Want)
	}
	same("payer", inst.Payer("+2250501020304"), g.Others["payer +2250501020304"])
	same("callback", inst.CallbackDigest([]byte("body")), g.Others["callback body"])
	same("credentials", inst.Credentials([32]byte{}), g.Others["credentials"])
	if compared != 8+2*6+2+2+2+1+1+3 {
		t.Errorf("%d vectors were compared", compared)
	}
}

func TestNames_AreInjective(t *testing.T) {
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
		if same := slices.Equal(a[:2], b[:2]); same != (inst("x").ChargeName(a[0], a[1]) == inst("y").ChargeName(b[0], b[1])) ||
			same != (inst("x").RefundDigest(a[0], a[1]) == inst("y").RefundDigest(b[0], b[1])) {
			t.Fatalf("%q and %q", a[:2], b[:2])
		}
	})
	// No domain says what another one does, whatever the parts.
	i := inst("x")
	for n, d := range map[string][32]byte{"reference": i.ReferenceDigest("", "", "a", "b"), "refund": i.RefundDigest("a", "b")} {
		if strings.HasSuffix(i.ChargeName("a", "b"), nameEncoding().EncodeToString(digestOf(d)[:25])) {
			t.Errorf("the name of a Charge is a digest of a %s", n)
		}
	}
}

func TestUnknownID_IsOfOneObjectAndOneReport(t *testing.T) {
	since := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	reported := v1alpha1.Reported{Amount: "1", Currency: "EUR", TransactionID: "T1", Code: "C"}
	ids := map[string]string{}
	add := func(name string, i Installation, charge, object, reason string, at time.Time, r *v1alpha1.Reported) {
		id := i.UnknownID(charge, object, reason, at, r)
		if other, ok := ids[id]; ok {
			t.Errorf("%s and %s have one id", name, other)
		}
		if ids[id] = name; len(id) != 20 {
			t.Errorf("%s: %q", name, id)
		}
	}
	i := goldenInstallation
	add("as it is", i, "c", "p", "r", since, &reported)
	add("another Charge", i, "c2", "p", "r", since, &reported)
	add("another object", i, "c", "p2", "r", since, &reported)
	add("another reason", i, "c", "p", "r2", since, &reported)
	add("another time", i, "c", "p", "r", since.Add(time.Second), &reported)
	add("another key", Installation{ID: i.ID, Key: testInstallation.Key}, "c", "p", "r", since, &reported)
	add("no report", i, "c", "p", "r", since, nil)
	add("an empty report", i, "c", "p", "r", since, &v1alpha1.Reported{})
	for name, change := range map[string]func(*v1alpha1.Reported){
		"another amount":      func(r *v1alpha1.Reported) { r.Amount = "2" },
		"another currency":    func(r *v1alpha1.Reported) { r.Currency = "XOF" },
		"another transaction": func(r *v1alpha1.Reported) { r.TransactionID = "T2" },
		"another code":        func(r *v1alpha1.Reported) { r.Code = "D" },
	} {
		r := reported
		change(&r)
		add(name, i, "c", "p", "r", since, &r)
	}
	// What a status shows is in whole seconds.
	if i.UnknownID("c", "p", "r", since, nil) != i.UnknownID("c", "p", "r", since.Add(time.Millisecond).In(time.FixedZone("", 3600)), nil) {
		t.Error("the id depends on how the time is written")
	}
}

func digestOf(d [32]byte) []byte { return d[:] }

func TestReferences_AreOfTheAlphabetsThatProvidersTake(t *testing.T) {
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
			registry["mtn"].Reference(digest): uuid4, registry["mtn"].RefundReference(inst.RefundDigest(namespace, sale)): uuid4, registry["orange"].Reference(digest): orderID, registry["wave"].Reference(digest): clientReference,
			name: chargeName, inst.PathKeys().ID("mtn", name): pathID, inst.Fingerprint(p, "XOF"): fingerprint,
		} {
			if !want.MatchString(text) {
				t.Fatalf("%q is not %s", text, want)
			}
		}
		if digest != inst.ReferenceDigest("p", "a", namespace, sale) {
			t.Fatal("asked twice, told two things")
		}
	})
}

func TestReferences_KeepAHundredBitsOfTheDigest(t *testing.T) {
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

func TestFingerprint_IsOfTheIntentAlone(t *testing.T) {
	fingerprintOf := func(provider, amount, currency, phone, reference string) string {
		return testInstallation.Fingerprint(&v1alpha1.Payment{Spec: v1alpha1.PaymentSpec{
			Provider: provider, Amount: v1alpha1.NewAmount(amount), Phone: phone, Reference: reference,
		}}, currency)
	}
	first := fingerprintOf("mtn", "5000", "XOF", "+2250501020304", "r")
	for _, other := range []string{
		fingerprintOf("wave", "5000", "XOF", "+2250501020304", "r"),
		fingerprintOf("mtn", "5001", "XOF", "+2250501020304", "r"),
		fingerprintOf("mtn", "50000", "XOF", "+2250501020304", "r"),
		fingerprintOf("mtn", "5000.01", "XOF", "+2250501020304", "r"),
		fingerprintOf("mtn", "5000", "XAF", "+2250501020304", "r"),
		fingerprintOf("mtn", "5000", "XOF", "+2250501020305", "r"),
		fingerprintOf("mtn", "5000", "XOF", "", "r"),
		fingerprintOf("mtn", "5000", "XOF", "+2250501020304", ""),
		fingerprintOf("mtn", "5000", "XOF", "+2250501020304r", ""),
		fingerprintOf("mtn", "5000", "XOF+2250501020304", "", "r"),
		fingerprintOf("mtn5000", "", "XOF", "+2250501020304", "r"),
		Installation{ID: testInstallation.ID, Key: goldenInstallation.Key}.Fingerprint(newPayment("x", "mtn", "5000"), "XOF"),
	} {
		if other == first {
			t.Errorf("not told apart: %s", other)
		}
	}
	for _, same := range [][2]string{{"10.5", "10.50"}, {"5000", "5000.0"}, {"5000", "5000.00"}, {"0.1", "0.10"}} {
		if fingerprintOf("wave", same[0], "GMD", "", "") != fingerprintOf("wave", same[1], "GMD", "", "") {
			t.Errorf("K7c: %s and %s are told apart", same[0], same[1])
		}
	}
	p := newPayment("another", "mtn", "5000")
	p.Namespace, p.UID, p.Spec.Reference, p.Spec.Description, p.CreationTimestamp = "bakery", types.UID("u"), "r", "y", metav1.Now()
	if (Installation{ID: "another", Key: testInstallation.Key}).Fingerprint(p, "XOF") != first {
		t.Error("the fingerprint depends on more than the intent")
	}
	if strings.Contains(first, "0501020304") {
		t.Error("the phone can be read")
	}
	if !testInstallation.MadeFingerprint(first) || goldenInstallation.MadeFingerprint(first) || testInstallation.MadeFingerprint("") {
		t.Error("MadeFingerprint does not know the key")
	}
}
