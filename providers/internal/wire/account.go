package wire

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"mobilemoney.dev/operator/providers"
)

// BadAccount is the error for an account that cannot be used.
func BadAccount(detail string) error {
	return Refuse(providers.OpAccountCheck, providers.ClassMisconfigured, detail)
}

// CheckEnvironment refuses an environment that is neither of the two.
func CheckEnvironment(e providers.Environment) error {
	if e != providers.Sandbox && e != providers.Production {
		return BadAccount("environment must be sandbox or production")
	}
	return nil
}

// BaseURL returns raw without slashes at its end, since a double slash is refused by providers.
func BaseURL(field, raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Host == "", u.Scheme != "https" && u.Scheme != "http":
		return "", BadAccount(field + " must be an absolute https URL")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", BadAccount(field + " must have no user, query or fragment")
	}
	return strings.TrimRight(raw, "/"), nil
}

// CheckCredentials names the first of the keys that is missing, or that holds what no header can.
func CheckCredentials(have map[string]providers.Secret, keys ...string) error {
	for _, key := range keys {
		value := have[key].Reveal()
		switch {
		case value == "":
			return BadAccount("credential " + key + " is missing")
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return BadAccount("credential " + key + " has a line break or another control character")
		}
	}
	return nil
}

// Placeholders names those of the keys whose values look like what a manual prints where the
// value belongs; "" if there are none.
func Placeholders(have map[string]providers.Secret, keys ...string) string {
	var found []string
	for _, key := range keys {
		if placeholder.MatchString(have[key].Reveal()) {
			found = append(found, key)
		}
	}
	return strings.Join(found, ", ")
}

var placeholder = regexp.MustCompile(`(?i)[<>\s]|^\.*$|^x+$|\.\.\.|change.?me|placeholder|replace|\byour\b|\btodo\b`)

// HasAny tells whether any of the keys has a value.
func HasAny(have map[string]providers.Secret, keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return have[k] != "" })
}
