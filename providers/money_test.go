package providers_test

import (
	"context"
	"errors"
	"testing"
	"time"

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

// sender counts what leaves.
type sender int

func (s *sender) Do(context.Context, providers.Call) (providers.Answer, error) {
	*s++
	return providers.Answer{Status: 200}, nil
}

// K6d: calls are counted as they leave, and what is stopped here moved nothing.
func TestAdmitted_StopsRequestsBeforeTheyLeave(t *testing.T) {
	for name, tt := range map[string]struct {
		says       error
		class      providers.Class
		retryAfter time.Duration
	}{
		"admitted":     {},
		"throttled":    {says: &providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Second}, class: providers.ClassThrottled, retryAfter: time.Second},
		"context over": {says: context.Canceled, class: providers.ClassNotSent},
		"unknown":      {says: &providers.Error{Class: providers.ClassUnknown}, class: providers.ClassNotSent},
		"rejected":     {says: &providers.Error{Class: providers.ClassRejected}, class: providers.ClassNotSent},
	} {
		var sent sender
		var asked []providers.Operation
		wire := providers.Admitted(&sent, func(_ context.Context, c providers.Call) error {
			asked = append(asked, c.Operation)
			return tt.says
		})
		_, err := wire.Do(t.Context(), providers.Call{Operation: providers.OpStatus})
		if tt.says == nil {
			if err != nil || sent != 1 || len(asked) != 1 || asked[0] != providers.OpStatus {
				t.Errorf("%s: %v, sent %d, asked %v", name, err, sent, asked)
			}
			continue
		}
		e := providers.AsError(err)
		if err == nil || sent != 0 || e.Class != tt.class || e.RetryAfter != tt.retryAfter || e.Operation != providers.OpStatus {
			t.Errorf("%s: %+v, sent %d", name, e, sent)
		}
		if errors.Is(tt.says, context.Canceled) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the cause is lost: %v", name, err)
		}
	}
}
