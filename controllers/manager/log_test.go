package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func logged(t *testing.T, args []string, text string) string {
	t.Helper()
	var o zap.Options
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	o.BindFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := newLogger(o, &out)
	l.WithName("x").WithValues("v", text).Info("A message", "value", text, "bytes", []byte(text), "struct", struct{ Text string }{text})
	l.V(1).Error(errors.New(text), "A failure", "value", text)
	return out.String()
}

// Whatever a value holds, it is no second line, no command to a terminal, and does not
// turn around what follows it; and a machine still reads the value.
func TestH8ValuesStayValues(t *testing.T) {
	pieces := []string{
		"a", "\n", "\r", "\x00", "\x1b[2J", "\x1b]0;owned\a", "\u009b31m", "\x7f", "\u202e", "\u2066", "\u200b", "\u2028", "\xff", "\U000e0041",
		"\n{\"level\":\"info\",\"msg\":\"paid\"}", "\"", "\\", "\t", "é", "ƒ",
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(rt, "pieces"), "")
		for _, encoder := range []string{"json", "console"} {
			out := logged(t, []string{"--zap-encoder=" + encoder, "--zap-log-level=10", "--zap-stacktrace-level=panic"}, text)
			if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }); i >= 0 {
				rt.Fatalf("%s: a control character at %d of %q", encoder, i, out)
			}
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if len(lines) != 2 {
				rt.Fatalf("%s: %d lines: %q", encoder, len(lines), out)
			}
			if encoder == "console" {
				continue
			}
			for _, line := range lines {
				var entry struct{ Msg, Value string }
				if err := json.Unmarshal([]byte(line), &entry); err != nil || !strings.HasPrefix(entry.Msg, "A ") {
					rt.Fatalf("%v: %q", err, line)
				}
				if want := strings.ToValidUTF8(text, ""); !strings.ContainsRune(text, '\U000e0041') && strings.ReplaceAll(entry.Value, "\ufffd", "") != want {
					rt.Fatalf("%q was read as %q", text, entry.Value)
				}
			}
		}
	})
}
