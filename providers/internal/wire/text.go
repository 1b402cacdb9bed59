package wire

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Letters that Unicode does not decompose.
var letters = strings.NewReplacer(
	"œ", "oe", "Œ", "OE", "æ", "ae", "Æ", "AE", "ß", "ss", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L",
	"ɛ", "e", "Ɛ", "E", "ɔ", "o", "Ɔ", "O", "ŋ", "n", "Ŋ", "N", "ɓ", "b", "Ɓ", "B", "ɗ", "d", "Ɗ", "D",
)

// PlainText reduces a text to ASCII letters, digits, single spaces, dots and
// hyphens, at most longest of them. Accents are dropped, the rest is a space.
func PlainText(text string, longest int) string {
	var out strings.Builder
	for _, r := range norm.NFKD.String(letters.Replace(text)) {
		switch {
		case unicode.Is(unicode.Mn, r):
			// the accent of the letter before
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			out.WriteRune(r)
		default:
			out.WriteByte(' ')
		}
	}
	plain := strings.Join(strings.Fields(out.String()), " ")
	return strings.TrimRight(plain[:min(len(plain), longest)], " ")
}
