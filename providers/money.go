package providers

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// An amount longer than this is a mistake, and would not survive a receiver that reads numbers as floats.
const maxIntegerDigits = 15

var (
	plainDecimal = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]+)?$`)
	currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)
)

// ParseAmount returns the canonical form of a positive plain decimal: without zeros at the end of its fraction. It
// never rounds. A sign, an exponent, a separator or a leading zero is no plain decimal.
func ParseAmount(amount string) (string, bool) {
	if !plainDecimal.MatchString(amount) {
		return "", false
	}
	integer, fraction, _ := strings.Cut(amount, ".")
	fraction = strings.TrimRight(fraction, "0")
	switch {
	case len(integer) > maxIntegerDigits, len(fraction) > maxIntegerDigits:
		return "", false
	case fraction != "":
		return integer + "." + fraction, true
	default:
		return integer, integer != "0"
	}
}

// EqualAmount compares two amounts as decimals. What is no amount equals nothing.
func EqualAmount(a, b string) bool {
	x, ok := ParseAmount(a)
	y, okToo := ParseAmount(b)
	return ok && okToo && x == y
}

// Equal compares the amounts as decimals and the currencies as they are. What is no money equals nothing.
func (m Money) Equal(other Money) bool {
	return currencyCode.MatchString(m.Currency) && m.Currency == other.Currency && EqualAmount(m.Amount, other.Amount)
}

// Canonical returns m with its amount in canonical form. An error, of class Rejected, says that it
// is no amount of that currency, or has more than maxDecimals decimals.
func (m Money) Canonical(maxDecimals int) (Money, error) {
	amount, ok := ParseAmount(m.Amount)
	switch {
	case !currencyCode.MatchString(m.Currency):
		return Money{}, badMoney("currency", "currency must be an ISO 4217 code of three capital letters")
	case !ok:
		return Money{}, badMoney("amount", "amount must be a positive plain decimal")
	}
	_, fraction, _ := strings.Cut(amount, ".")
	decimals, known := Decimals(m.Currency)
	switch {
	case fraction != "" && known && decimals == 0:
		return Money{}, badMoney("amount", m.Currency+" has no decimals; write a whole amount")
	case len(fraction) > maxDecimals:
		return Money{}, badMoney("amount", fmt.Sprintf("amount must have at most %d decimals", maxDecimals))
	}
	return Money{Amount: amount, Currency: m.Currency}, nil
}

func badMoney(field, detail string) error {
	return &Error{Class: ClassRejected, Operation: OpInitiate, Field: field, Fault: FaultPayment, Detail: detail}
}

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

// CompareAmounts compares two amounts as decimals: -1, 0 or 1. What is no amount counts as 0.
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

// Currencies in use, by their decimals (ISO 4217, without funds, metals and test codes).
const (
	withoutDecimals = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
	threeDecimals   = "BHD IQD JOD KWD LYD OMR TND"
	twoDecimals     = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP " +
		"CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES " +
		"KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD " +
		"PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY " +
		"TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)

// countries of mobile money (ISO 3166 alpha-2, small letters) by their currencies, the usual one first.
var countries = map[string][]string{
	"ao": {"AOA"}, "bf": {"XOF"}, "bi": {"BIF"}, "bj": {"XOF"}, "bw": {"BWP"}, "cd": {"CDF", "USD"}, "cf": {"XAF"}, "cg": {"XAF"},
	"ci": {"XOF"}, "cm": {"XAF"}, "cv": {"CVE"}, "dj": {"DJF"}, "eg": {"EGP"}, "et": {"ETB"}, "ga": {"XAF"}, "gh": {"GHS"},
	"gm": {"GMD"}, "gn": {"GNF"}, "gq": {"XAF"}, "gw": {"XOF"}, "jo": {"JOD"}, "ke": {"KES"}, "km": {"KMF"}, "lr": {"LRD", "USD"},
	"ls": {"LSL"}, "ma": {"MAD"}, "mg": {"MGA"}, "ml": {"XOF"}, "mr": {"MRU"}, "mw": {"MWK"}, "mz": {"MZN"}, "na": {"NAD"},
	"ne": {"XOF"}, "ng": {"NGN"}, "rw": {"RWF"}, "sd": {"SDG"}, "sl": {"SLE"}, "sn": {"XOF"}, "ss": {"SSP"}, "sz": {"SZL"},
	"td": {"XAF"}, "tg": {"XOF"}, "tn": {"TND"}, "tz": {"TZS"}, "ug": {"UGX"}, "za": {"ZAR"}, "zm": {"ZMW"}, "zw": {"ZWG", "USD"},
}

// Currencies returns the ISO 4217 codes that money may have, sorted.
func Currencies() []string {
	all := strings.Fields(withoutDecimals + " " + twoDecimals + " " + threeDecimals)
	slices.Sort(all)
	return all
}

// Decimals returns how many decimals an amount of a currency has; false if it is none.
func Decimals(currency string) (int, bool) {
	for decimals, codes := range map[int]string{0: withoutDecimals, 2: twoDecimals, 3: threeDecimals} {
		if slices.Contains(strings.Fields(codes), currency) {
			return decimals, true
		}
	}
	return 0, false
}

// CheckCurrency refuses, with class Rejected, what is no currency, or not one of the country;
// any currency will do where the country is not known.
func CheckCurrency(currency, country string) error {
	allowed := countries[country]
	if _, ok := Decimals(currency); !ok {
		return badMoney("currency", SafeCode(currency)+" is no ISO 4217 currency; write "+orAny(allowed))
	}
	if len(allowed) > 0 && !slices.Contains(allowed, currency) {
		return badMoney("currency", "the account is of the country "+country+", where "+currency+" is not paid; write "+orAny(allowed))
	}
	return nil
}

func orAny(allowed []string) string {
	if len(allowed) == 0 {
		return "the real one, such as XOF (the franc CFA of West Africa) or XAF (that of Central Africa)"
	}
	return strings.Join(allowed, " or ")
}
