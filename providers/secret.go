package providers

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const masked = "[masked]"

// Secret is a string that masks itself wherever it is printed, logged or
// marshalled. Reveal is the only way to its content.
type Secret string

// Reveal returns the content, to be sent where it belongs.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string               { return masked }
func (s Secret) Format(f fmt.State, _ rune)   { write(f, s) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(masked) }

// Equal compares in constant time. An empty secret equals nothing.
func (s Secret) Equal(other string) bool {
	return s != "" && subtle.ConstantTimeCompare([]byte(s), []byte(other)) == 1
}

// HashToken is what is kept of a token that only has to be recognised.
func HashToken(token Secret) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Phone is a number in E.164 with +, which masks itself like a Secret but
// keeps its last two digits, so that people can tell payers apart.
type Phone string

// Reveal returns the number, to be sent where it belongs.
func (p Phone) Reveal() string { return string(p) }

func (p Phone) Format(f fmt.State, _ rune)   { write(f, p) }
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
func (p Phone) LogValue() slog.Value         { return slog.StringValue(p.String()) }

func (p Phone) String() string {
	if len(p) < 6 {
		return masked
	}
	return "+***" + string(p[len(p)-2:])
}

// The types below, and those above, carry credentials, tokens, phones and callback paths on their way to and from the
// wire. Printing one, by accident or while debugging, shows only what it is about: by any verb of fmt (a wrong one,
// such as %d, would show the content), in JSON, and in any log.

func (c Call) String() string { return "call " + string(c.Operation) }

func (c Call) Format(f fmt.State, _ rune) { write(f, c) }

func (c Call) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (a Answer) String() string { return fmt.Sprintf("answer HTTP %d", a.Status) }

func (a Answer) Format(f fmt.State, _ rune) { write(f, a) }

func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func (r InitiateRequest) String() string { return "initiate " + r.Reference }

func (r InitiateRequest) Format(f fmt.State, _ rune) { write(f, r) }

func (r InitiateRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (CallbackRequest) String() string { return "callback request" }

func (r CallbackRequest) Format(f fmt.State, _ rune) { write(f, r) }

func (r CallbackRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func write(f fmt.State, s fmt.Stringer) { _, _ = io.WriteString(f, s.String()) }
