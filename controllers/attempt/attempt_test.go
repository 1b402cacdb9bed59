package attempt

import (
	"strings"
	"sync"
	"sync/atomic"
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

// One worker at a time is at a Charge, and another Charge is free meanwhile.
func TestBusy(t *testing.T) {
	var b Busy
	var inside, entered atomic.Int32
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 200 {
				if !b.Enter("a") {
					continue
				}
				entered.Add(1)
				if inside.Add(1) != 1 {
					t.Error("two at once")
				}
				inside.Add(-1)
				b.Leave("a")
			}
		})
	}
	group.Wait()
	if entered.Load() == 0 || !b.Enter("a") || b.Enter("a") || !b.Enter("b") {
		t.Error("not free when it should be, or free when it should not")
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
