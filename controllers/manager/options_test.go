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

// What is not safe, or cannot work, is found before anything starts.
func TestOptions_AreValidated(t *testing.T) {
	for args, complaint := range map[string]string{
		"":                                  "",
		"--leader-elect-renew-deadline=15s": "shorter than",
		"--start-deadline=0s":               "more than 0",
		"--unsent-charges-per-namespace=0":  "at least 1",
		"--late-window=1s":                  "--call-timeout",
		"--revision-check=0s":               "--revision-check",
		"--revision-check=-1s":              "--revision-check",
		"--revision-check=1s":               "",
		"--charge-retention=0":              "",
		"--charge-retention=95h":            "at least 96h",
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
