package manager

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/netip"
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func parsed(t *testing.T, args ...string) Options {
	t.Helper()
	o := DefaultOptions()
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.Bind(fs)
	if err := fs.Parse(append([]string{"--namespace=here"}, args...)); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOptions_AreValidated(t *testing.T) {
	for args, complaint := range map[string]string{
		"":                                                            "",
		"--leader-elect-renew-deadline=15s":                           "shorter than",
		"--start-deadline=0s":                                         "more than 0",
		"--unsent-charges-per-namespace=0":                            "at least 1",
		"--late-window=1s":                                            "--call-timeout",
		"--revision-check=0s":                                         "--revision-check",
		"--revision-check=-1s":                                        "--revision-check",
		"--revision-check=1s":                                         "",
		"--charge-retention=0":                                        "",
		"--charge-retention=95h":                                      "at least 96h",
		"--charge-retention=-24h":                                     "at least 96h",
		"--charge-retention=96h":                                      "",
		"--charge-retention=120h --adoption-window=120h":              "longer than --adoption-window",
		"--callback-tls-cert=a":                                       "go together",
		"--callback-tls-key=a":                                        "go together",
		"--callback-tls-cert=a --callback-tls-key=b":                  "",
		"--callback-max-connections=0":                                "more than 0",
		"--callback-max-connections-per-source=-5":                    "more than 0",
		"--callback-source-rate=-1":                                   "more than 0",
		"--callback-source-burst=0":                                   "more than 0",
		"--callback-trusted-proxies=10.0.0.1":                         "networks",
		"--callback-trusted-proxies=everything":                       "networks",
		"--callback-trusted-proxies=10.1.2.3/8,fd00::/8 --workers=40": "",
	} {
		o := parsed(t, strings.Fields(args)...)
		if complaint == "" {
			NewWithT(t).Expect(o.validate()).To(Succeed(), args)
		} else {
			NewWithT(t).Expect(o.validate()).To(MatchError(ContainSubstring(complaint)), args)
		}
	}
	o := parsed(t, "--callback-trusted-proxies=10.1.2.3/8, fd00::/8")
	NewWithT(t).Expect(o.validate()).To(Succeed())
	NewWithT(t).Expect(o.callbackLimits.TrustedProxies).To(HaveExactElements(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")))
}

// Addresses that providers refuse or do not reach are told at the start (B08).
func TestOptions_UnreachablePublicURL(t *testing.T) {
	for _, host := range []string{"203.0.113.7", "[2001:db8::1]", "10.0.0.1", "localhost", "pay", "pay.shop.svc", "pay.shop.svc.cluster.local", "PAY.Internal."} {
		o := parsed(t, "--public-url=https://"+host+":8443/x")
		NewWithT(t).Expect(o.unreachable()).NotTo(BeEmpty(), host)
	}
	for _, args := range []string{"--public-url=https://pay.example.com", "--public-url=https://pay.example.com.", "--workers=1"} {
		o := parsed(t, args)
		NewWithT(t).Expect(o.unreachable()).To(BeEmpty(), args)
	}
}

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
