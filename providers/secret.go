package providers

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
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
