package providers_test

import (
	"slices"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
)

func TestCurrencies_AreISO4217(t *testing.T) {
	all := providers.Currencies()
	if !slices.IsSorted(all) || len(slices.Compact(slices.Clone(all))) != len(all) || len(all) < 150 {
		t.Errorf("%d: %v", len(all), all)
	}
	for _, code := range all {
		if len(code) != 3 || strings.ToUpper(code) != code {
			t.Errorf("%q", code)
		}
	}
	for code, want := range map[string]int{"XOF": 0, "XAF": 0, "GNF": 0, "RWF": 0, "UGX": 0, "EUR": 2, "GHS": 2, "NGN": 2, "MGA": 2, "TND": 3} {
		if got, ok := providers.Decimals(code); !ok || got != want {
			t.Errorf("%s: %d, %v", code, got, ok)
		}
	}
	for _, code := range []string{"", "CFA", "XYZ", "OUV", "xof", "XO", "XOF XAF", "XXX", "XTS"} {
		if _, ok := providers.Decimals(code); ok {
			t.Errorf("%q is no currency", code)
		}
	}
}

// K5a: what is no currency, or not the country's, is refused with a sentence that says what is.
func TestCheckCurrency(t *testing.T) {
	for name, tt := range map[string]struct {
		currency, country string
		says              string // empty: taken
	}{
		"the country's":   {"XOF", "ci", ""},
		"one of two":      {"USD", "cd", ""},
		"unknown country": {"XOF", "zz", ""},
		"no country":      {"GHS", "", ""},
		"another's":       {"GHS", "ci", "write XOF"},
		"the other franc": {"XAF", "ci", "write XOF"},
		"of two":          {"XOF", "lr", "write LRD or USD"},
		"a nickname":      {"CFA", "ci", "CFA is no ISO 4217 currency; write XOF"},
		"none, anywhere":  {"XYZ", "", "XAF"},
	} {
		err := providers.CheckCurrency(tt.currency, tt.country)
		e := providers.AsError(err)
		switch {
		case tt.says == "":
			if err != nil {
				t.Errorf("K5a: %s: %v", name, err)
			}
		case err == nil, e.Class != providers.ClassRejected, e.Fault != providers.FaultPayment, e.Field != "currency", !strings.Contains(e.Detail, tt.says):
			t.Errorf("K5a: %s: %v", name, err)
		}
	}
}

func TestStatus_About(t *testing.T) {
	money, other := providers.Money{Amount: "5000", Currency: "XOF"}, providers.Money{Amount: "5000", Currency: "XAF"}
	payment := providers.Handle{Reference: "p", Money: money}
	refund := providers.RefundHandle{Reference: "r", Money: money, Payment: payment}
	whole := providers.RefundHandle{Money: money, Payment: payment}
	for _, tt := range []struct {
		reference                     string
		about, aboutRefund, ofPayment bool
	}{{"", true, true, true}, {"p", true, false, true}, {"r", false, true, false}, {"x", false, false, false}} {
		for _, m := range []providers.Money{money, other, {}} {
			s := providers.Status{Reference: tt.reference, Money: m}
			if s.About(payment) != tt.about || s.AboutRefund(refund) != tt.aboutRefund || s.AboutRefund(whole) != tt.ofPayment ||
				s.Matches(payment) != (tt.about && m == money) || s.MatchesRefund(refund) != (tt.aboutRefund && m == money) {
				t.Errorf("%q %v", tt.reference, m)
			}
		}
	}
}

func TestFaultOf(t *testing.T) {
	for class, want := range map[providers.Class]providers.Fault{
		providers.ClassRejected: providers.FaultPayment, providers.ClassMisconfigured: providers.FaultAccount,
		providers.ClassUnknown: providers.FaultProvider, providers.ClassThrottled: providers.FaultProvider, "": providers.FaultProvider,
	} {
		if got := providers.FaultOf(&providers.Error{Class: class}); got != want {
			t.Errorf("%s: %s", class, got)
		}
	}
	if got := providers.FaultOf(&providers.Error{Class: providers.ClassMisconfigured, Fault: providers.FaultOperator}); got != providers.FaultOperator {
		t.Error(got)
	}
}
