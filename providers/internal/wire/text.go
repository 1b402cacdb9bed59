package wire

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Letters that Unicode does not decompose: those of French and of the languages of West Africa, as
// CLDR's Latin-ASCII has them. "&" stays out: which word it stands for depends on the language.
var letters = strings.NewReplacer(
	"œ", "oe", "Œ", "OE", "æ", "ae", "Æ", "AE", "ß", "ss", "ø", "o", "Ø", "O", "ł", "l", "Ł", "L",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "TH", "ħ", "h", "Ħ", "H", "ı", "i",
	"ɓ", "b", "Ɓ", "B", "ɖ", "d", "Ɖ", "D", "ɗ", "d", "Ɗ", "D", "ɛ", "e", "Ɛ", "E", "ǝ", "e", "Ǝ", "E", "ə", "e", "Ə", "E",
	"ƒ", "f", "Ƒ", "F", "ɣ", "g", "Ɣ", "G", "ɩ", "i", "Ɩ", "I", "ƙ", "k", "Ƙ", "K", "ɲ", "n", "Ɲ", "N", "ŋ", "n", "Ŋ", "N",
	"ɔ", "o", "Ɔ", "O", "ʊ", "u", "Ʊ", "U", "ʋ", "v", "Ʋ", "V", "ƴ", "y", "Ƴ", "Y",
	"€", " EUR ", "−", "-",
)

// PlainText reduces a text to ASCII letters, digits, single spaces, dots and
// hyphens, at most longest of them. Accents are dropped, the rest is a space.
func PlainText(text string, longest int) string {
	var out strings.Builder
	for _, r := range letters.Replace(norm.NFKD.String(text)) {
		switch {
		case unicode.Is(unicode.Mn, r):
			// the accent of the letter before
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.':
			out.WriteRune(r)
		case unicode.Is(unicode.Pd, r):
			out.WriteByte('-')
		default:
			out.WriteByte(' ')
		}
	}
	plain := strings.Join(strings.Fields(out.String()), " ")
	return strings.TrimRight(plain[:min(len(plain), longest)], " ")
}
