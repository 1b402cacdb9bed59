package attempt

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestMemory(t *testing.T) {
	var m Memory[int]
	if m.Recall("a") != 0 {
		t.Error("an empty memory remembers")
	}
	m.Keep("a", 1)
	m.Keep("b", 2)
	m.Forget("b")
	if m.Recall("a") != 1 || m.Recall("b") != 0 {
		t.Error(m.Recall("a"), m.Recall("b"))
	}
}

func TestClipAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		got := Clip(s)
		if len(got) > 255 || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\x1b\u202e") || Clip(got) != got {
			t.Fatalf("%q from %q", got, s)
		}
	})
}
