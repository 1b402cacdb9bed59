package providers_test

import (
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

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

func TestAmounts_Properties(t *testing.T) {
	amounts := rapid.OneOf(rapid.StringMatching(`(0|[1-9][0-9]{0,9})(\.[0-9]{1,6})?`), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		currency := rapid.SampledFrom([]string{"XOF", "EUR", "TND", "eur", ""}).Draw(t, "currency")
		checkAmounts(t, amounts.Draw(t, "a"), amounts.Draw(t, "b"), currency, rapid.IntRange(0, 3).Draw(t, "decimals"))
	})
}
