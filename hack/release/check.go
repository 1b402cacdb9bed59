package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/gosym"
	"fmt"
	"os"
	"slices"
	"strings"
)

// manager is the path of the program that moves money; it has to fulfil more.
const manager = "mobilemoney.dev/operator"

// check tells what speaks against a binary; an error where it cannot be read.
func check(file string) ([]error, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("how it was built: %w", err)
	}
	program, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("its sections: %w", err)
	}
	problems := append(notStatic(program), notReproducible(info)...)
	if info.Path == manager {
		functions, err := functionsOf(program)
		if err != nil {
			return nil, fmt.Errorf("its functions: %w", err)
		}
		problems = append(problems, onlyForTests(info, functions, content)...)
	}
	return problems, nil
}

func notStatic(program *elf.File) []error {
	var problems []error
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
			problems = append(problems, fmt.Errorf("it is not static: it has a segment %s", segment.Type))
		}
	}
	return problems
}

// notReproducible: who builds the same commit has to get the same bytes.
func notReproducible(info *buildinfo.BuildInfo) []error {
	have := map[string]string{}
	for _, s := range info.Settings {
		have[s.Key] = s.Value
	}
	var problems []error
	for key, want := range map[string]string{"-trimpath": "true", "CGO_ENABLED": "0", "-buildmode": "exe", "-tags": "", "-race": "", "-cover": ""} {
		if have[key] != want {
			problems = append(problems, fmt.Errorf("it was built with %s=%q, and not %q", key, have[key], want))
		}
	}
	if have["vcs.revision"] == "" || have["vcs.modified"] != "false" {
		problems = append(problems, fmt.Errorf("it was not built from a commit: revision %q, modified %q", have["vcs.revision"], have["vcs.modified"]))
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			problems = append(problems, fmt.Errorf("%s is replaced by %s", m.Path, m.Replace.Path))
		}
	}
	return problems
}

// functionsOf a binary are known also where its symbols were stripped: Go prints them in stacks.
func functionsOf(program *elf.File) ([]string, error) {
	section := program.Section(".gopclntab")
	text := program.Section(".text")
	if section == nil || text == nil {
		return nil, fmt.Errorf("there is no table of functions")
	}
	content, err := section.Data()
	if err != nil {
		return nil, err
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(content, text.Addr))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range table.Funcs {
		names = append(names, f.Name)
	}
	if !slices.Contains(names, "main.main") {
		return nil, fmt.Errorf("the table of functions cannot be read")
	}
	return names, nil
}

// forbidden are functions that must not be in the manager: what makes payments up,
// what tests do, and what would send traces to somebody.
var forbidden = map[string]string{
	manager + "/providers/simulator.":   "the simulator",
	manager + "/providers/providertest": "the conformance suite",
	manager + "/controllers/testenv":    "the control plane of tests",
	manager + "/controllers/testworld":  "the loops in a world of tests",
	manager + "/hack/":                  "programs of developers",
	"testing.":                          "the package testing",
	"github.com/onsi/":                  "Ginkgo",
	"pgregory.net/rapid":                "rapid",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc.New": "an exporter of traces",
}

// switches of the tests' own manager, see main_test.go, and of failpoints.
var switches = []string{
	"TEST_RUN_AS_MANAGER", "TEST_KILL_AT", "TEST_CHARGE_RETENTION", "GOFAIL_FAILPOINTS",
	"simulator-mtn-api-key", "wave_ci_prod_simulator",
}

func onlyForTests(info *buildinfo.BuildInfo, functions []string, content []byte) []error {
	var problems []error
	for prefix, what := range forbidden {
		if i := slices.IndexFunc(functions, func(f string) bool { return strings.HasPrefix(f, prefix) }); i >= 0 {
			problems = append(problems, fmt.Errorf("it holds %s: %s", what, functions[i]))
		}
	}
	for _, s := range switches {
		if bytes.Contains(content, []byte(s)) {
			problems = append(problems, fmt.Errorf("it holds a switch of tests: %s", s))
		}
	}
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/onsi/") || m.Path == "pgregory.net/rapid" {
			problems = append(problems, fmt.Errorf("it is linked with %s", m.Path))
		}
	}
	return problems
}
