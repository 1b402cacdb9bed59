package v1alpha1_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"
	"pgregory.net/rapid"

	"mobilemoney.dev/operator/api/v1alpha1"
)

// decode reads an amount where it stands in a Payment.
func decode(text string) (v1alpha1.Amount, error) {
	var spec v1alpha1.PaymentSpec
	err := json.Unmarshal([]byte(`{"amount": `+text+`}`), &spec)
	return spec.Amount, err
}

func TestAmount_IsAnIntegerOrAString(t *testing.T) {
	for _, c := range []struct{ in, amount, out string }{
		{`5000`, "5000", `5000`},
		{`"5000"`, "5000", `5000`},
		{`"10.50"`, "10.50", `"10.50"`},
		{`"0.1"`, "0.1", `"0.1"`},
		{`999999999999`, "999999999999", `999999999999`},
		{`9223372036854775807`, "9223372036854775807", `9223372036854775807`},
		// More than a float holds exactly, or an int64 at all: as it is.
		{`"12345678901234567890"`, "12345678901234567890", `"12345678901234567890"`},
		// What no Payment has, because the API server refuses it, goes through
		// unchanged too: nothing is repaired on the way.
		{`-5`, "-5", `-5`},
		{`""`, "", `""`},
		{`"0100"`, "0100", `"0100"`},
		{`"+5"`, "+5", `"+5"`},
		{`"-0"`, "-0", `"-0"`},
		{`"1e3"`, "1e3", `"1e3"`},
		{`" 5000"`, " 5000", `" 5000"`},
	} {
		t.Run(c.in, func(t *testing.T) {
			g := NewWithT(t)
			a, err := decode(c.in)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(a).To(Equal(v1alpha1.NewAmount(c.amount)))
			g.Expect(json.Marshal(a)).To(BeEquivalentTo(c.out))
		})
	}
}

// A number that is no integer never becomes an amount, not even a whole one.
func TestAmount_RefusesOtherJSON(t *testing.T) {
	for _, in := range []string{`10.5`, `100.0`, `1e3`, `1E3`, `-0.0`, `9223372036854775808`, `12345678901234567890`, `true`, `null`, `{}`, `[5000]`} {
		t.Run(in, func(t *testing.T) {
			g := NewWithT(t)
			a, err := decode(in)
			g.Expect(err).To(MatchError(ContainSubstring("neither an integer nor a string")))
			g.Expect(a).To(BeZero())
		})
	}
	for _, in := range []string{`"5000`, `"\x"`, `"`} {
		var a v1alpha1.Amount
		NewWithT(t).Expect(a.UnmarshalJSON([]byte(in))).NotTo(Succeed(), in)
	}
}

func TestAmountFromInt_IsWhole(t *testing.T) {
	g := NewWithT(t)
	g.Expect(v1alpha1.AmountFromInt(5000)).To(Equal(v1alpha1.NewAmount("5000")))
	g.Expect(v1alpha1.AmountFromInt(math.MaxInt64)).To(Equal(v1alpha1.NewAmount("9223372036854775807")))
}

func TestAmount_SurvivesARoundTrip(t *testing.T) {
	t.Run("text", rapid.MakeCheck(func(t *rapid.T) {
		a := v1alpha1.NewAmount(rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`(0|[1-9][0-9]{0,18})([.][0-9]{1,3})?`),
			rapid.StringMatching(`[-+]?[0-9]{1,20}`),
		).Draw(t, "amount"))
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decode(string(text)); err != nil || back != a {
			t.Fatalf("%q became %s, then %q (%v)", a, text, back, err)
		}
	}))
	// Both ways to write an integer are one amount, and are written in one way: a
	// controller that reads a Payment and writes it back changes nothing.
	t.Run("integer", rapid.MakeCheck(func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		digits := strconv.FormatInt(n, 10)
		bare, err := decode(digits)
		if err != nil {
			t.Fatal(err)
		}
		quoted, err := decode(strconv.Quote(digits))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(quoted)
		if bare != quoted || bare != v1alpha1.AmountFromInt(n) || err != nil || string(text) != digits {
			t.Fatalf("%d: %q, %q, %s, %v", n, bare, quoted, text, err)
		}
	}))
}

// Controllers with dynamic clients convert what they read.
func TestAmount_Converts(t *testing.T) {
	for _, written := range []any{int64(5000), "10.50"} {
		g := NewWithT(t)
		in := map[string]any{"spec": map[string]any{"provider": "mtn", "amount": written}}
		var p v1alpha1.Payment
		g.Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(in, &p)).To(Succeed())
		g.Expect(p.Spec.Amount.String()).To(Equal(fmt.Sprint(written)))
		out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&p)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(out["spec"]).To(HaveKeyWithValue("amount", written))
	}
}
