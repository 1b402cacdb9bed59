package main

import (
	"flag"
	"io"
	"testing"

	. "github.com/onsi/gomega"
)

func parsed(t *testing.T, args ...string) options {
	t.Helper()
	o := defaultOptions()
	fs := flag.NewFlagSet("manager", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o.bind(fs)
	if err := fs.Parse(append([]string{"--namespace=here"}, args...)); err != nil {
		t.Fatal(err)
	}
	return o
}

// A lease that every replica holds, or none, is found before the manager starts.
func TestLease(t *testing.T) {
	const duration, renew, retry = "--leader-elect-lease-duration=", "--leader-elect-renew-deadline=", "--leader-elect-retry-period="
	tests := map[string]struct {
		args      []string
		complaint string
	}{
		"as it comes":                 {},
		"short":                       {args: []string{duration + "2s", renew + "1500ms", retry + "300ms"}},
		"no lease":                    {args: []string{duration + "0s"}, complaint: "whole seconds"},
		"parts of a second":           {args: []string{duration + "60500ms"}, complaint: "whole seconds"},
		"shorter than its renewal":    {args: []string{duration + "30s"}, complaint: "shorter than"},
		"renewed in a single try":     {args: []string{renew + "9s"}, complaint: "retry-period"},
		"tried again without a pause": {args: []string{retry + "0s"}, complaint: "more than 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := parsed(t, tt.args...)
			if tt.complaint == "" {
				NewWithT(t).Expect(o.validate()).To(Succeed())
				return
			}
			NewWithT(t).Expect(o.validate()).To(MatchError(ContainSubstring(tt.complaint)))
		})
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
