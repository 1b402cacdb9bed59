package mtn

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers/internal/wire"
)

// The tag of a request comes back with its status, whatever the description is; a description alone bears none.
func TestCorrelationTag_ComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := wire.PlainText(rapid.String().Draw(t, "description"), maxMessage)
		tag := rapid.StringMatching(`c-[0-9a-f]{12}`).Draw(t, "tag")
		note := noted(text, tag)
		if tagOf(note) != tag || len(note) > maxMessage {
			t.Fatalf("%q bears %q", note, tagOf(note))
		}
		if noted(text, "") != text {
			t.Fatalf("%q without a tag", noted(text, ""))
		}
	})
	for _, note := range []string{"", "books", "c-", "c-12 books", "abc-12", "c-1G", "C-12", "c-" + strings.Repeat("1", 33)} {
		if got := tagOf(note); got != "" {
			t.Errorf("%q bears %q", note, got)
		}
	}
}
