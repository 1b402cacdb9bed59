// Package canary looks for what must be kept quiet: credentials, tokens, payment pages and phones, in each form in
// which they may get into a log, an event, a condition, a metric or an error. For tests.
package canary

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// shortest text, in bytes, that is looked for; shorter ones are found by chance.
const shortest = 6

// Scanner knows what to look for. It can be used by several at once.
type Scanner struct {
	mu sync.Mutex
	// forms by their first bytes, so that a text is gone through once; begins has the
	// first two of each, and passes over most of a text.
	forms  map[[shortest]byte][]form
	begins [1 << 16]bool
	known  map[string]bool
	phones map[string]string // national digits to name
}

type form struct{ text, name, kind string }

// Leak is something that was found. It does not hold the secret itself.
type Leak struct {
	// Name that the secret was added under.
	Name string
	// Form in which it was found, such as "base64".
	Form string
	// At is where in the text, in bytes; for a phone, without its separators.
	At int
}

func (l Leak) String() string { return fmt.Sprintf("%s (%s, at %d)", l.Name, l.Form, l.At) }

// New returns a Scanner that looks for nothing yet.
func New() *Scanner {
	return &Scanner{forms: map[[shortest]byte][]form{}, known: map[string]bool{}, phones: map[string]string{}}
}

// Secret adds something to look for, under a name that may be shown. What is
// shorter than six bytes is left out: it would be found by chance.
func (s *Scanner) Secret(name, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret(name, secret)
}

func (s *Scanner) secret(name, secret string) {
	if len(secret) < shortest || s.known[secret] {
		return
	}
	s.known[secret] = true
	seen := map[string]bool{}
	for _, form := range formsOf(secret) {
		if len(form.text) >= shortest && !seen[form.text] {
			seen[form.text] = true
			form.name = name
			first := [shortest]byte([]byte(form.text[:shortest]))
			s.forms[first] = append(s.forms[first], form)
			s.begins[pair(first[0], first[1])] = true
		}
	}
}

// Phone adds a number in E.164 with +. It is looked for as a secret, and in the ways in which
// people write it: with or without the country, spaces, dots and dashes.
func (s *Scanner) Phone(name, phone string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	digits := strings.TrimPrefix(phone, "+")
	s.secret(name, phone)
	s.secret(name, digits)
	// Country codes of the region have three digits.
	if len(digits) > 3+shortest {
		s.secret(name, digits[3:])
		s.phones[digits[3:]] = name
	}
}

// Find what is in text, each secret once.
func (s *Scanner) Find(text string) []Leak {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Leak
	found := map[string]bool{}
	tell := func(name, kind string, at int) {
		if !found[name] {
			found[name] = true
			out = append(out, Leak{name, kind, at})
		}
	}
	for i := 0; i+shortest <= len(text); i++ {
		if !s.begins[pair(text[i], text[i+1])] {
			continue
		}
		for _, f := range s.forms[[shortest]byte([]byte(text[i:i+shortest]))] {
			if strings.HasPrefix(text[i:], f.text) {
				tell(f.name, f.kind, i)
			}
		}
	}
	dense := withoutSeparators(text)
	for digits, name := range s.phones {
		if i := strings.Index(dense, digits); i >= 0 {
			tell(name, "written with separators", i)
		}
	}
	return out
}

func pair(a, b byte) int { return int(a)<<8 | int(b) }

// formsOf a secret. The plainest come first.
func formsOf(secret string) []form {
	b := []byte(secret)
	marshalled, _ := json.Marshal(secret) // of a string: it cannot fail
	escaped := unquoted(string(marshalled))
	again, _ := json.Marshal(escaped)
	percent := strings.Builder{}
	for _, c := range b {
		fmt.Fprintf(&percent, "%%%02x", c)
	}
	listed := strings.Trim(fmt.Sprint(b), "[]")
	var out []form
	add := func(kind string, texts ...string) {
		for _, text := range texts {
			out = append(out, form{text: text, kind: kind})
		}
	}
	add("raw", secret)
	add("in another case", strings.ToLower(secret), strings.ToUpper(secret))
	add("JSON", escaped, unquoted(string(again)))
	add("Go", unquoted(strconv.Quote(secret)), unquoted(strconv.QuoteToASCII(secret)))
	add("URL-encoded", url.QueryEscape(secret), url.PathEscape(secret), percent.String(), strings.ToUpper(percent.String()))
	add("hex", hex.EncodeToString(b), strings.ToUpper(hex.EncodeToString(b)))
	add("hex dump", dumped(b)...)
	add("bytes", listed, strings.ReplaceAll(listed, " ", ","), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprintf("%#v", b), "[]byte{"), "}"))
	add("base64", append(inside(base64.RawStdEncoding, b), inside(base64.RawURLEncoding, b)...)...)
	return out
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// dumped are the runs of eight bytes that hex.Dump prints side by side: wherever b
// begins, one of them is whole, if b has fifteen bytes.
func dumped(b []byte) []string {
	var out []string
	for i := 0; i < 8 && i+8 <= len(b); i++ {
		out = append(out, fmt.Sprintf("% x", b[i:i+8]))
	}
	return out
}

// inside is what of b shows in the encoding of something longer that holds it, for
// each of the three places at which it may begin.
func inside(e *base64.Encoding, b []byte) []string {
	var out []string
	for before := range 3 {
		text := e.EncodeToString(append(make([]byte, before), b...))
		// The first and the last characters hold bits of the neighbours, too.
		out = append(out, text[(8*before+5)/6:8*(before+len(b))/6])
	}
	return out
}

// withoutSeparators drops what people write between the digits of a phone.
func withoutSeparators(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r == '(' || r == ')' || r == '/' || r != '\n' && unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}
