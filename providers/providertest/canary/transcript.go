package canary

import (
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
)

// Transcript is all that a story said, in whatever way. It can be written by several at once.
type Transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

// Say adds values in the forms in which they may be printed.
func (t *Transcript) Say(values ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range values {
		if text, ok := v.(string); ok {
			t.text.WriteString(text + "\n")
			continue
		}
		fmt.Fprintf(&t.text, "%v\n%+v\n%#v\n", v, v, v)
	}
}

// Logger writes into the transcript, at every level there is.
func (t *Transcript) Logger() logr.Logger {
	return funcr.New(func(prefix, args string) { t.Say(prefix + " " + args) }, funcr.Options{Verbosity: 127})
}

// Leaks are what s finds in it.
func (t *Transcript) Leaks(s *Scanner) []Leak {
	t.mu.Lock()
	defer t.mu.Unlock()
	return s.Find(t.text.String())
}
