package providers

import (
	"math/big"
	"strings"
)

// SumAmounts adds amounts exactly. What is no amount counts as nothing; "0" is the
// sum of none. A sum may be longer than an amount may be.
func SumAmounts(amounts ...string) string { return plain(sum(amounts)) }

// SubtractAmounts takes amounts from a, exactly; "0" where nothing is left.
func SubtractAmounts(a string, amounts ...string) string {
	rest := new(big.Rat).Sub(rational(a), sum(amounts))
	if rest.Sign() <= 0 {
		return "0"
	}
	return plain(rest)
}

// CompareAmounts compares two amounts as decimals: -1, 0 or 1. What is no amount
// counts as 0.
func CompareAmounts(a, b string) int { return rational(a).Cmp(rational(b)) }

func sum(amounts []string) *big.Rat {
	total := new(big.Rat)
	for _, a := range amounts {
		total.Add(total, rational(a))
	}
	return total
}

// plain writes a sum of amounts, which has no more decimals than they have.
func plain(r *big.Rat) string {
	return strings.TrimSuffix(strings.TrimRight(r.FloatString(maxIntegerDigits), "0"), ".")
}

func rational(amount string) *big.Rat {
	canonical, ok := ParseAmount(amount)
	if !ok {
		return new(big.Rat)
	}
	r, _ := new(big.Rat).SetString(canonical)
	return r
}
