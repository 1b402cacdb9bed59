package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime"

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
		// Both ways to write an integer are one amount, and are written in one way: a
		// controller that reads a Payment and writes it back changes nothing.
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

// Whatever JSON stands for an amount: it is read exactly or refused, and what is
// written back is read as the same amount and written in the same way.
func FuzzAmountJSON(f *testing.F) {
	for _, seed := range []string{
		`5000`, `"5000"`, `"10.50"`, `0`, `-5`, `9223372036854775807`, `9223372036854775808`, `"12345678901234567890"`, `9007199254740993`,
		`10.5`, `100.0`, `1e3`, `"1e3"`, `-0`, `"-0"`, `"0100"`, `" 5000"`, `+5`, `0x10`, `1_000`, `""`, `null`, `true`, `{}`, `[5000]`, `"\u0035"`, `"\ud800"`, "\"\xff\"", `"`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = new(v1alpha1.Amount).UnmarshalJSON(text) // it may be called with what is no JSON
		if !json.Valid(text) {
			return
		}
		a, err := decode(string(text))
		if err != nil {
			if a != (v1alpha1.Amount{}) {
				t.Errorf("%s was refused and read as %q", text, a)
			}
			return
		}
		checkRead(t, bytes.TrimSpace(text), a)
		written, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decode(string(written))
		if err != nil || back != a {
			t.Fatalf("%s: %q was written as %s and read as %q (%v)", text, a, written, back, err)
		}
		if again, err := json.Marshal(back); err != nil || !bytes.Equal(again, written) {
			t.Fatalf("%s was written as %s and then as %s (%v)", text, written, again, err)
		}
	})
}

// checkRead compares with what the text says: a string as it is, or an integer.
func checkRead(t *testing.T, text []byte, a v1alpha1.Amount) {
	t.Helper()
	var quoted string
	if text[0] == '"' {
		if err := json.Unmarshal(text, &quoted); err != nil || a.String() != quoted {
			t.Fatalf("%s was read as %q (%v)", text, a, err)
		}
		return
	}
	want, ok := new(big.Int).SetString(string(text), 10)
	got, okToo := new(big.Int).SetString(a.String(), 10)
	if !ok || !okToo || want.Cmp(got) != 0 {
		t.Fatalf("%s was read as %q", text, a)
	}
}
