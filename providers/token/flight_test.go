package token

import (
	"context"
	"testing"
	"time"
)

// A caller may look, find no token, and come too late for the flight that gets
// it: the next flight looks again before it asks.
func TestFlightLooksAgain(t *testing.T) {
	count := 0
	s := NewSource(func(context.Context) (Token, error) {
		count++
		return Token{Value: "tok", Life: time.Hour}, nil
	}, func() time.Time { return time.Unix(0, 0) })
	for range 2 {
		if value, err := s.refresh(t.Context()); err != nil || value != "tok" || count != 1 {
			t.Errorf("%v after %d token requests", err, count)
		}
	}
}
