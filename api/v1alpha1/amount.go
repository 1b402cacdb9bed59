package v1alpha1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Amount is an exact amount of money, written as an integer (5000) or as a
// decimal string ("10.50"). It is never a float.
//
// +kubebuilder:validation:Type=""
// +kubebuilder:validation:XIntOrString
// +kubebuilder:validation:MaxLength=40
// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(0|[1-9][0-9]*)([.][0-9]+)?$')",message="amount must be a plain positive number such as 5000 or \"10.50\": no sign, blank, exponent, thousands separator or leading zero"
// +kubebuilder:validation:XValidation:rule="type(self) == int ? self != 0 : !self.matches('^0+([.]0+)?$')",message="amount must be more than 0"
// +kubebuilder:validation:XValidation:rule="string(self).matches('^-?[^.]{0,12}([.].*)?$')",message="amount has too many digits: write at most 12 before the decimal point"
// +kubebuilder:validation:XValidation:rule="type(self) == int || self.matches('^[^.]*([.].{1,2})?$')",message="amount has too many decimals: write at most 2"
type Amount struct {
	// Decimal is the amount as text. A struct, because converters take a
	// string type for a string on the wire.
	Decimal string `json:"-"`
}

// NewAmount returns the amount that decimal writes, such as 5000 or 10.50.
func NewAmount(decimal string) Amount { return Amount{Decimal: decimal} }

// AmountFromInt returns a whole amount.
func AmountFromInt(n int64) Amount { return NewAmount(strconv.FormatInt(n, 10)) }

func (a Amount) String() string { return a.Decimal }

// Canonical is the amount without the zeros that change nothing: 1500.00 is 1500.
func (a Amount) Canonical() string {
	if !strings.Contains(a.Decimal, ".") {
		return a.Decimal
	}
	return strings.TrimRight(strings.TrimRight(a.Decimal, "0"), ".")
}

// UnmarshalJSON takes an integer or a string. Anything else is an error.
func (a *Amount) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte(`"`)) {
		if err := json.Unmarshal(b, &a.Decimal); err != nil {
			return fmt.Errorf("amount: %w", err)
		}
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return fmt.Errorf("amount %s is neither an integer nor a string", b)
	}
	*a = AmountFromInt(n)
	return nil
}

// MarshalJSON writes a whole amount as an integer and any other as a string.
func (a Amount) MarshalJSON() ([]byte, error) {
	if n, err := strconv.ParseInt(a.Decimal, 10, 64); err == nil && AmountFromInt(n) == a {
		return []byte(a.Decimal), nil
	}
	return json.Marshal(a.Decimal)
}
