package attempt

import (
	"strings"
	"unicode"
	"unicode/utf8"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// ReasonOf maps what an error means for the money to what the user is told.
func ReasonOf(e *providers.Error) v1alpha1.Reason {
	switch e.Class {
	case providers.ClassMisconfigured:
		return v1alpha1.ReasonAccountMisconfigured
	case providers.ClassThrottled:
		return v1alpha1.ReasonProviderThrottled
	default:
		return v1alpha1.ReasonProviderUnreachable
	}
}

// RefusalReason is why a request was refused for good.
func RefusalReason(e *providers.Error) v1alpha1.Reason {
	if e.Failure != "" {
		return v1alpha1.Reason(e.Failure)
	}
	return v1alpha1.ReasonRequestRejected
}

// FailureReason of a provider as a reason for the user: the two closed lists use the same words.
func FailureReason(f providers.FailureReason) v1alpha1.Reason {
	if f == "" {
		return v1alpha1.ReasonProviderRefused
	}
	return v1alpha1.Reason(f)
}

// Clip bounds what a provider may make us store and show.
func Clip(s string) string {
	const limit = 255
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > limit {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
