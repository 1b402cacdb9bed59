package providers

import (
	"slices"
	"strings"
)

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
