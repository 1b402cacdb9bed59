// Package redact keeps secrets and personal data out of the log: values of panics,
// requests that a library prints, and control characters.
package redact

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.uber.org/zap/zapcore"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Panics wraps r: of the value of a panic only its type is kept, unless it is one of Go's own, such as an index out of
// range, which holds no data. The controller counts it, logs it with its stack, and goes on.
func Panics(r reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		defer func() {
			if v := recover(); v != nil {
				panic(masked(v))
			}
		}()
		return r.Reconcile(ctx, req)
	})
}

// Recovered, deferred, makes a panic the error of a function that nobody else
// recovers: Go itself would print the value.
func Recovered(err *error) {
	if v := recover(); v != nil {
		stack := make([]byte, 64<<10)
		stack = stack[:runtime.Stack(stack, false)]
		*err = fmt.Errorf("a panic: %v\n%s", masked(v), stack)
	}
}

func masked(v any) any {
	if own, ok := v.(runtime.Error); ok {
		return own
	}
	return fmt.Sprintf("a %T, which is not shown", v)
}

// Loudest level that a log can have. From 8 on, client-go writes what it sends to
// the API server and what it gets, Secrets and all.
const Loudest = 5

// Level is l up to Loudest, whatever else a flag asks for.
func Level(l zapcore.LevelEnabler) zapcore.LevelEnabler { return level{l} }

type level struct{ inner zapcore.LevelEnabler }

// Enabled takes zap's levels: those of logr, negated.
func (l level) Enabled(at zapcore.Level) bool { return at >= -Loudest && l.inner.Enabled(at) }

// Writer writes to w, with everything escaped that is neither printable nor a line feed or a tab:
// an encoder of JSON escapes quotes and ASCII's control characters, but not those of Unicode that
// steer a terminal or turn text around. Inside JSON what it writes means the same.
func Writer(w io.Writer) io.Writer { return writer{w} }

type writer struct{ inner io.Writer }

func (w writer) Write(p []byte) (int, error) {
	var out strings.Builder
	for rest := p; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r == '\n', r == '\t', r != utf8.RuneError && unicode.IsPrint(r):
			out.WriteRune(r)
		case r > 0xffff:
			out.WriteString(`\ufffd`)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	if _, err := io.WriteString(w.inner, out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}
