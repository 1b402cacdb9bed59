package providers_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

func TestParseAmount(t *testing.T) {
	good := map[string]string{
		"1": "1", "5000": "5000", "5000.0": "5000", "5000.00": "5000", "12.50": "12.5", "12.5": "12.5",
		"0.5": "0.5", "0.05": "0.05", "10": "10", "100": "100", "10.01": "10.01",
		"999999999999999": "999999999999999", "1.000000000000000000000": "1",
	}
	for text, want := range good {
		if got, ok := providers.ParseAmount(text); !ok || got != want {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	bad := []string{
		"", "0", "0.0", "0.00", "-1", "+1", "1e3", "1E3", "0x10", "01", "00.5", "0100", ".5", "5.", "1,000", "1 000", "1_000",
		" 1", "1 ", "1\n", "１", "٣", "NaN", "Inf", "1.2.3", "1000000000000000", strings.Repeat("9", 1000), "1." + strings.Repeat("1", 16),
	}
	for _, text := range bad {
		if got, ok := providers.ParseAmount(text); ok {
			t.Errorf("%q was read as %q", text, got)
		}
	}
}

func TestEqual(t *testing.T) {
	money := func(amount, currency string) providers.Money {
		return providers.Money{Amount: amount, Currency: currency}
	}
	tests := []struct {
		a, b providers.Money
		want bool
	}{
		{money("12.5", "EUR"), money("12.50", "EUR"), true},
		{money("5000", "XOF"), money("5000.00", "XOF"), true},
		{money("5000", "XOF"), money("5000", "XAF"), false},
		{money("5000", "XOF"), money("5001", "XOF"), false},
		{money("5000", "XOF"), money("50000", "XOF"), false},
		{money("0.1", "EUR"), money("0.10000000000000001", "EUR"), false},
		{money("", ""), money("", ""), false},
		{money("1", ""), money("1", ""), false},
		{money("x", "EUR"), money("x", "EUR"), false},
		{money("0", "EUR"), money("0", "EUR"), false},
	}
	for _, tt := range tests {
		if tt.a.Equal(tt.b) != tt.want || tt.b.Equal(tt.a) != tt.want {
			t.Errorf("%v and %v: want %v", tt.a, tt.b, tt.want)
		}
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct {
		amount, currency string
		decimals         int
		want             string
	}{
		{"5000.0", "XOF", 2, "5000"},
		{"10.00", "XOF", 0, "10"},
		{"10.50", "EUR", 2, "10.5"},
		{"10.99", "GMD", 2, "10.99"},
		{"10.50", "XOF", 2, ""},
		{"10.50", "XAF", 2, ""},
		{"10.50", "GNF", 2, ""},
		{"10.5", "EUR", 0, ""},
		{"10.999", "EUR", 2, ""},
		{"0", "EUR", 2, ""},
		{"-1", "EUR", 2, ""},
		{"1", "eur", 2, ""},
		{"1", "EURO", 2, ""},
		{"1", "", 2, ""},
	}
	for _, tt := range tests {
		got, err := providers.Money{Amount: tt.amount, Currency: tt.currency}.Canonical(tt.decimals)
		if tt.want == "" {
			if providers.ClassOf(err) != providers.ClassRejected || got != (providers.Money{}) {
				t.Errorf("%+v: %v, %v", tt, got, err)
			}
		} else if err != nil || got.Amount != tt.want || got.Currency != tt.currency {
			t.Errorf("%+v: %v, %v", tt, got, err)
		}
	}
}

func TestAmountProperties(t *testing.T) {
	amounts := rapid.StringMatching(`(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?`)
	rat := func(s string) *big.Rat {
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q", s)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := amounts.Draw(t, "a"), amounts.Draw(t, "b")
		canonical, ok := providers.ParseAmount(a)
		if ok != (rat(a).Sign() > 0) {
			t.Fatalf("%q: %v", a, ok)
		}
		if !ok {
			return
		}
		again, ok := providers.ParseAmount(canonical)
		if !ok || again != canonical || rat(canonical).Cmp(rat(a)) != 0 {
			t.Fatalf("%q: %q, then %q", a, canonical, again)
		}
		if got, want := providers.EqualAmount(a, b), rat(a).Cmp(rat(b)) == 0; got != want {
			t.Fatalf("%q and %q: %v", a, b, got)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if got, ok := providers.ParseAmount(text); ok && strings.Trim(got, "0123456789.") != "" {
			t.Fatalf("%q: %q", text, got)
		}
	})
}
