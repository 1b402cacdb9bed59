package providers_test

import (
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// amountOf reads an amount without the code under test: digits, and perhaps a
// point with digits behind it; nil where it is none, or longer than an amount may be.
func amountOf(text string) *big.Rat {
	integer, fraction, hasPoint := strings.Cut(text, ".")
	digits := func(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
	switch {
	case !digits(integer), hasPoint && !digits(fraction):
		return nil
	case len(integer) > 1 && integer[0] == '0':
		return nil
	case len(integer) > 15, len(strings.TrimRight(fraction, "0")) > 15:
		return nil
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || r.Sign() <= 0 {
		return nil
	}
	return r
}

func orZero(r *big.Rat) *big.Rat {
	if r == nil {
		return new(big.Rat)
	}
	return r
}

// Amounts mean what they mean to math/big, or nothing at all.
func FuzzAmounts(f *testing.F) {
	for _, seed := range []struct{ a, b, currency string }{
		{"5000", "5000.00", "XOF"}, {"12.50", "12.5", "EUR"}, {"10.999", "0.001", "EUR"}, {"0.1", "0.10000000000000001", "GMD"},
		{"999999999999999.999999999999999", "0.000000000000001", "EUR"}, {"999999999999999", "999999999999998", "XOF"}, {"123456789012345.1", "123456789012345.2", "GMD"},
		{"9007199254740993", "9007199254740992", "EUR"}, {"0", "0.00", "XOF"}, {"01", "1", "XOF"}, {"1e3", "1000", "XAF"},
		{"10.01", "1.2.3", "EUR"}, {"999999999999999", "1000000000000000", "XOF"}, {"1.000000000000000000000", "1." + strings.Repeat("1", 16), "EUR"},
		{"00.5", "0100", "EUR"}, {".5", "5.", "EUR"}, {"1,000", "1 000", "XOF"}, {" 1", "1 ", "XOF"}, {"１", "NaN", "EUR"}, {"Inf", strings.Repeat("9", 1000), "EUR"},
		{"-1", "+1", "EUR"}, {"1\n", "1", "EUR"}, {"٣", "3", "EUR"}, {"1/2", "0.5", "EUR"}, {"0x10", "16", "eur"}, {"1_000", "1000", "XO"}, {"", "", ""},
	} {
		f.Add(seed.a, seed.b, seed.currency, uint8(2))
	}
	f.Fuzz(func(t *testing.T, a, b, currency string, decimals uint8) {
		checkAmounts(t, a, b, currency, int(decimals))
	})
}

func checkAmounts(t rapid.TB, a, b, currency string, decimals int) {
	t.Helper()
	x, y := amountOf(a), amountOf(b)
	checkParsed(t, a, x)
	checkArithmetic(t, a, b, x, y)
	if got, want := providers.EqualAmount(a, b), x != nil && y != nil && x.Cmp(y) == 0; got != want {
		t.Errorf("%q equals %q: %v", a, b, got)
	}
	checkCanonical(t, providers.Money{Amount: a, Currency: currency}, x, decimals)
}

func checkParsed(t rapid.TB, text string, want *big.Rat) {
	t.Helper()
	got, ok := providers.ParseAmount(text)
	if ok != (want != nil) {
		t.Fatalf("%q: %q, %v", text, got, ok)
	}
	if !ok {
		return
	}
	if r := amountOf(got); r == nil || r.Cmp(want) != 0 || strings.Contains(got, ".") && strings.HasSuffix(got, "0") {
		t.Fatalf("%q became %q", text, got)
	}
	if again, ok := providers.ParseAmount(got); !ok || again != got {
		t.Fatalf("%q, then %q", got, again)
	}
}

func checkArithmetic(t rapid.TB, a, b string, x, y *big.Rat) {
	t.Helper()
	x, y = orZero(x), orZero(y)
	if got := providers.CompareAmounts(a, b); got != x.Cmp(y) {
		t.Errorf("%q against %q: %d", a, b, got)
	}
	left := new(big.Rat).Sub(x, y)
	if left.Sign() < 0 {
		left.SetInt64(0)
	}
	if got := orZero(amountOf(providers.SubtractAmounts(a, b))); got.Cmp(left) != 0 {
		t.Errorf("%q less %q: %s", a, b, got)
	}
	sum := new(big.Rat).Add(x, y)
	total := providers.SumAmounts(a, b)
	if got, ok := new(big.Rat).SetString(total); !ok || got.Cmp(sum) != 0 {
		t.Errorf("%q and %q: %s", a, b, total)
	}
	if left := providers.SubtractAmounts(a, a, b); left != "0" {
		t.Errorf("%q less itself and %q: %s", a, b, left)
	}
}

func checkCanonical(t rapid.TB, m providers.Money, want *big.Rat, decimals int) {
	t.Helper()
	got, err := m.Canonical(decimals)
	if err != nil {
		if providers.ClassOf(err) != providers.ClassRejected || got != (providers.Money{}) {
			t.Errorf("%v: %v, %v", m, got, err)
		}
		return
	}
	_, fraction, _ := strings.Cut(got.Amount, ".")
	if r := amountOf(got.Amount); want == nil || r == nil || r.Cmp(want) != 0 || len(fraction) > decimals ||
		got.Currency != m.Currency || len(m.Currency) != 3 || strings.Trim(m.Currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		t.Fatalf("%v became %v", m, got)
	}
	if again, err := got.Canonical(decimals); err != nil || again != got || !m.Equal(got) || !got.Equal(m) {
		t.Fatalf("%v, then %v (%v)", got, again, err)
	}
}
