package manager

import (
	"flag"
	"io"
	"net/netip"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
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

// A lease that every replica holds, or none, is found before the manager starts.
func TestLease(t *testing.T) {
	o := parsed(t)
	NewWithT(t).Expect(o.validate()).To(Succeed())
	o = parsed(t, "--leader-elect-renew-deadline=15s")
	NewWithT(t).Expect(o.validate()).To(MatchError(ContainSubstring("shorter than")))
}

func TestWindows_ThatAreNotSafeAreRefused(t *testing.T) {
	for args, complaint := range map[string]string{
		"--start-deadline=0s": "more than 0", "--unsent-charges-per-namespace=0": "at least 1", "--late-window=1s": "--call-timeout",
	} {
		o := parsed(t, args)
		NewWithT(t).Expect(o.validate()).To(MatchError(ContainSubstring(complaint)), args)
	}
}

func TestRevisionCheck(t *testing.T) {
	g := NewWithT(t)
	for _, wrong := range []string{"0s", "-1s"} {
		o := parsed(t, "--revision-check="+wrong)
		g.Expect(o.validate()).To(MatchError(ContainSubstring("--revision-check")))
	}
	o := parsed(t, "--revision-check=1s")
	g.Expect(o.validate()).To(Succeed())
}

// What the callback receiver is told is checked before anything starts.
func TestCallbackFlags(t *testing.T) {
	for args, complaint := range map[string]string{
		"":                                                "",
		"--callback-tls-cert=a":                           "go together",
		"--callback-tls-key=a":                            "go together",
		"--callback-max-connections=0":                    "more than 0",
		"--callback-source-rate=-1":                       "more than 0",
		"--callback-source-burst=0":                       "more than 0",
		"--callback-trusted-proxies=10.0.0.1":             "networks",
		"--callback-trusted-proxies=everything":           "networks",
		"--callback-max-connections-per-source=-5":        "more than 0",
		"--callback-trusted-proxies=10.1.2.3/8, fd00::/8": "",
		"--callback-tls-cert=a --callback-tls-key=b":      "",
	} {
		var list []string
		if strings.Contains(args, ", ") {
			list = []string{args}
		} else {
			list = strings.Fields(args)
		}
		o := parsed(t, list...)
		if complaint == "" {
			NewWithT(t).Expect(o.validate()).To(Succeed(), args)
		} else {
			NewWithT(t).Expect(o.validate()).To(MatchError(ContainSubstring(complaint)), args)
		}
	}
	o := parsed(t, "--callback-trusted-proxies=10.1.2.3/8,fd00::/8")
	NewWithT(t).Expect(o.validate()).To(Succeed())
	NewWithT(t).Expect(o.callbackLimits.TrustedProxies).To(HaveExactElements(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")))
}
