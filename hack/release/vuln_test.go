package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// govulncheck of these tests: it finds the made-up vulnerability of the alarm, and
// ends for everything else as it is told.
const govulncheck = `#!/bin/sh
case "$*" in
*"-db file://"*) echo "$ALARM_SAYS"; exit "${ALARM_CODE:-3}" ;;
*) echo "$CHECK_SAYS" >&2; exit "$CHECK_CODE" ;;
esac
`

// A check that did not take place never looks like one that found nothing.
func TestJ1Outcomes(t *testing.T) {
	tests := map[string]struct {
		env  []string
		code int
		says string
		loud bool
	}{
		"nothing found":       {env: []string{"CHECK_CODE=0", "CHECK_SAYS=No vulnerabilities found."}, code: 0, says: "none"},
		"something found":     {env: []string{"CHECK_CODE=3", "CHECK_SAYS=Vulnerability #1"}, code: 3, says: "FOUND", loud: true},
		"no database":         {env: []string{"CHECK_CODE=1", `CHECK_SAYS=govulncheck: fetching vulnerabilities: Get "https://vuln.go.dev": no such host`}, code: 4, says: "NOT CHECKED: the database cannot be reached", loud: true},
		"nothing compiles":    {env: []string{"CHECK_CODE=1", "CHECK_SAYS=govulncheck: loading packages: errors"}, code: 1, says: "NOT CHECKED: govulncheck failed", loud: true},
		"killed":              {env: []string{"CHECK_CODE=137"}, code: 1, says: "NOT CHECKED", loud: true},
		"the alarm is silent": {env: []string{"CHECK_CODE=0", "ALARM_CODE=0"}, code: 1, says: "NOT CHECKED: the alarm", loud: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tool, result := filepath.Join(dir, "govulncheck"), filepath.Join(dir, "new", "vuln.txt")
			if err := os.WriteFile(tool, []byte(govulncheck), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "./vuln.sh", tool, result, ".")
			cmd.Env = append(os.Environ(), tt.env...)
			out, err := cmd.CombinedOutput()
			code := 0
			if exit := new(exec.ExitError); errors.As(err, &exit) {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			told, err := os.ReadFile(result)
			if err != nil {
				t.Fatal(err)
			}
			if code != tt.code || !strings.HasPrefix(string(told), "known vulnerabilities: "+tt.says) {
				t.Errorf("exit code %d, and %q; want %d, %q", code, told, tt.code, tt.says)
			}
			if strings.Contains(string(out), "####") != tt.loud {
				t.Errorf("said: %s", out)
			}
		})
	}
}
