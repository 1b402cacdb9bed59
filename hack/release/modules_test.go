package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// direct dependencies of the module, and whether any module is replaced.
func direct(t *testing.T) (paths []string, replaced bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if !r.Indirect {
			paths = append(paths, r.Path)
		}
	}
	return paths, len(mod.Replace) > 0
}

// Whoever adds a dependency says why: docs/release.md has a row for each, and no other.
func TestJ1EveryDirectDependencyIsExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/release.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Direct dependencies")
	var listed []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| .{5,} \\|$").FindAllStringSubmatch(table, -1) {
		listed = append(listed, row[1])
	}
	have, replaced := direct(t)
	slices.Sort(have)
	if !slices.Equal(have, listed) {
		t.Errorf("docs/release.md lists\n%v, and go.mod requires\n%v", strings.Join(listed, "\n"), strings.Join(have, "\n"))
	}
	if replaced {
		t.Error("go.mod replaces a module: what is built is not what go.sum and the vulnerability database know")
	}
}

// Nobody's certificate goes unchecked, and no product code reads a test's switch.
func TestJ6NoSourceTurnsVerificationOff(t *testing.T) {
	words := append([]string{"InsecureSkipVerify", "InsecureIgnoreHostKey"}, switches...)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{"bin", "hack", ".git", "testenv", "testworld", "simulator", "providertest"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, w := range words {
			if strings.Contains(string(source), w) {
				t.Errorf("%s: %s", path, w)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
