package main

import (
	"debug/buildinfo"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"testing/fstest"
)

// build is what go build makes of a package, as a release or otherwise.
func build(t *testing.T, dir, pkg string, env []string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false", "GOOS=linux"), env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, text)
	}
	return out
}

func problemsOf(t *testing.T, file string) string {
	t.Helper()
	problems, err := check(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) == 0 {
		return ""
	}
	return errors.Join(problems...).Error()
}

// The manager as it is given out, but that no commit is asked for: a test runs on what is being written.
func TestJ6TheManagerHoldsNothingForTests(t *testing.T) {
	file := build(t, "../..", ".", nil, "-ldflags=-s -w")
	got := problemsOf(t, file)
	if got != `it was not built from a commit: revision "", modified ""` {
		t.Errorf("%s", got)
	}
}

func TestJ6WhatIsForTestsIsFound(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	err := os.CopyFS(dir, fstest.MapFS{
		"go.mod": file("module mobilemoney.dev/operator\n\ngo 1.26.0\n"),
		"main.go": file(`package main

import (
	"os"

	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

func main() { os.Exit(simulator.Play(os.Getenv("TEST_KILL_AT")) + testenv.Start()) }
`),
		"providers/simulator/s.go": file("package simulator\n\n//go:noinline\nfunc Play(s string) int { println(s); return 0 }\n"),
		"controllers/testenv/t.go": file("package testenv\n\nimport \"testing\"\n\n//go:noinline\nfunc Start() int { println(testing.Short()); return 1 }\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := problemsOf(t, build(t, dir, ".", nil, "-ldflags=-s -w"))
	for _, want := range []string{"the simulator", "the control plane of tests", "the package testing", "a switch of tests: TEST_KILL_AT"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not found: %s", want, got)
		}
	}
}

func TestJ2WhatIsNotStaticOrNotReproducibleIsFound(t *testing.T) {
	tests := map[string]struct {
		env   []string
		flags []string
		want  []string
	}{
		"for a dynamic loader": {flags: []string{"-buildmode=pie"}, want: []string{"PT_INTERP", "PT_DYNAMIC", `-buildmode="pie"`}},
		"with paths":           {env: []string{"GOFLAGS=-buildvcs=false"}, want: []string{`-trimpath=""`}},
		"with tags":            {flags: []string{"-tags=failpoints"}, want: []string{`-tags="failpoints"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := problemsOf(t, build(t, "alarm", ".", tt.env, tt.flags...))
			for _, want := range append(tt.want, "not built from a commit") {
				if !strings.Contains(got, want) {
					t.Errorf("%s is not found: %s", want, got)
				}
			}
		})
	}
}

func TestJ2ACommitIsNeeded(t *testing.T) {
	for modified, fit := range map[string]bool{"false": true, "true": false, "": false} {
		info := &buildinfo.BuildInfo{Settings: []debug.BuildSetting{
			{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"}, {Key: "-buildmode", Value: "exe"},
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: modified},
		}}
		if got := notReproducible(info); (len(got) == 0) != fit {
			t.Errorf("modified=%q: %v", modified, got)
		}
		info.Deps = []*debug.Module{{Path: "example.com/x", Replace: &debug.Module{Path: "../x"}}}
		if got := notReproducible(info); len(got) == 0 {
			t.Error("a replaced module is not found")
		}
	}
}

func TestNoProgramIsAnError(t *testing.T) {
	for _, file := range []string{"check.go", "nothing"} {
		if problems, err := check(file); err == nil {
			t.Errorf("%s: %v", file, problems)
		}
	}
}

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
