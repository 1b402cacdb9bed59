package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"testing"

	"mobilemoney.dev/operator/api/v1alpha1"
)

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
