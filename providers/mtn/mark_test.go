package mtn

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers/internal/wire"
)

// The mark of a request comes back with its status, whatever the description is; a
// description alone bears none.
func TestMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := wire.PlainText(rapid.String().Draw(t, "description"), maxMessage)
		mark := rapid.StringMatching(`c-[0-9a-f]{12}`).Draw(t, "mark")
		note := noted(text, mark)
		if markOf(note) != mark || len(note) > maxMessage {
			t.Fatalf("%q bears %q", note, markOf(note))
		}
		if noted(text, "") != text {
			t.Fatalf("%q without a mark", noted(text, ""))
		}
	})
	for _, note := range []string{"", "books", "c-", "c-12 books", "abc-12", "c-1G", "C-12", "c-" + strings.Repeat("1", 33)} {
		if got := markOf(note); got != "" {
			t.Errorf("%q bears %q", note, got)
		}
	}
}
