package wire

import (
	"encoding/base64"
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

// Shapes tells, as sentences to append, which of the keys have values that cannot be right by
// their shape; "" if none does.
func Shapes(have map[string]providers.Secret, keys ...string) string {
	found := map[string][]string{}
	for _, key := range keys {
		value := have[key].Reveal()
		for _, s := range shapes {
			if s.is(value) {
				found[s.says] = append(found[s.says], key)
				break
			}
		}
	}
	text := ""
	for _, s := range shapes {
		if of := found[s.says]; of != nil {
			text += ". " + s.says + strings.Join(of, ", ")
		}
	}
	return text
}

var shapes = []struct {
	says string
	is   func(value string) bool
}{
	{"A placeholder seems to be left in ", placeholder.MatchString},
	{"A credential has no blanks or quotes; remove those in ", regexp.MustCompile(`["'` + "`" + `\s]`).MatchString},
	{"Encoded in base64 once too often seems to be ", isBase64OfText},
}

var placeholder = regexp.MustCompile(`(?i)[<>]|^\.*$|^x+$|\.\.\.|change.?me|placeholder|replace|\byour\b|\btodo\b`)

// isBase64OfText: that a credential is one by chance is unlikely from 12 bytes on.
func isBase64OfText(value string) bool {
	text, err := base64.StdEncoding.DecodeString(value)
	return err == nil && len(text) >= 12 && !slices.ContainsFunc(text, func(b byte) bool { return b < '\n' || b > '~' })
}

// HasAny tells whether any of the keys has a value.
func HasAny(have map[string]providers.Secret, keys ...string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return have[k] != "" })
}
