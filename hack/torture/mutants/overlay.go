// Package mutants proves that the fault sweep sees what it is there to see. Each mutant takes one safeguard away from
// the product; a sweep that stays clean without it is blind, or the safeguard is not needed.
//
// All mutants live in one build, made with go build -overlay from the sources and a table, and one
// of them is chosen when it runs. The sources themselves have no switches.
package mutants

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const mutationPackage = "mobilemoney.dev/operator/hack/torture/mutation"

// Mutant is one safeguard, and how to take it away.
type Mutant struct {
	Name string
	// Rule that it breaks, in plain words.
	Rule string
	// Breaks are the invariants that the sweep is expected to see violated.
	Breaks []string
	// Seed of the first life that it lives: the one that found it out when it was last
	// looked for from 1 on. It saves time, no more.
	Seed  uint64
	Edits []Edit
}

// Edit is one place of a mutant. Find occurs exactly once in the file; Replace
// asks mutation.On for the mutant's name, and does what Find did where it is off.
type Edit struct {
	File, Find, Replace string
}

// Files that the table changes, in order.
func Files(table []Mutant) []string {
	files := map[string]bool{}
	for _, m := range table {
		for _, e := range m.Edits {
			files[e.File] = true
		}
	}
	return slices.Sorted(maps.Keys(files))
}

// Overlay returns the sources with all mutants in them, by file. It is pure, and refuses a table that is not clear.
func Overlay(sources map[string][]byte, table []Mutant) (map[string][]byte, error) {
	edits, names, out := map[string][]string{}, map[string]bool{}, map[string][]byte{}
	for _, m := range table {
		if m.Name == "" || names[m.Name] || len(m.Edits) == 0 {
			return nil, fmt.Errorf("mutant %q: needs a name of its own and an edit", m.Name)
		}
		names[m.Name] = true
		for _, e := range m.Edits {
			if err := check(sources, m.Name, e); err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
			edits[e.File] = append(edits[e.File], e.Find, e.Replace)
		}
	}
	for file, pairs := range edits {
		mutated, err := mutate(file, sources[file], pairs)
		if err != nil {
			return nil, err
		}
		out[file] = mutated
	}
	return out, nil
}

func check(sources map[string][]byte, name string, e Edit) error {
	source, ok := sources[e.File]
	if !ok {
		return fmt.Errorf("no source of %s", e.File)
	}
	if n := bytes.Count(source, []byte(e.Find)); e.Find == "" || n != 1 {
		return fmt.Errorf("%s: the text must occur once, and occurs %d times: %s", e.File, n, e.Find)
	}
	if guard := "mutation.On(" + strconv.Quote(name) + ")"; !strings.Contains(e.Replace, guard) {
		return fmt.Errorf("%s: the replacement does not ask %s", e.File, guard)
	}
	return nil
}

// mutate makes the edits of one file, texts and what replaces them, and adds the import that they need.
func mutate(file string, source []byte, pairs []string) ([]byte, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.PackageClauseOnly)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	// Positions count from 1: this is the offset behind the package's name.
	clause := int(parsed.Name.End()) - 1
	text := strings.NewReplacer(pairs...).Replace(string(source[clause:]))
	for i := 1; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			return nil, fmt.Errorf("%s: edits overlap at: %s", file, pairs[i-1])
		}
	}
	formatted, err := format.Source(fmt.Appendf(nil, "%s\n\nimport %q\n%s", source[:clause], mutationPackage, text))
	if err != nil {
		return nil, fmt.Errorf("the mutated %s: %w", file, err)
	}
	return formatted, nil
}

// readSources reads the files that the table changes.
func readSources(root string, table []Mutant) (map[string][]byte, error) {
	sources := map[string][]byte{}
	for _, file := range Files(table) {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return nil, fmt.Errorf("reading what is to be mutated: %w", err)
		}
		sources[file] = source
	}
	return sources, nil
}

// prepare makes the overlay of a table in dir, and returns the name of the file
// for go build -overlay. root is absolute.
func prepare(dir, root string, table []Mutant) (string, error) {
	sources, err := readSources(root, table)
	if err != nil {
		return "", err
	}
	files, err := Overlay(sources, table)
	if err != nil {
		return "", err
	}
	return writeOverlay(dir, root, files)
}

// writeOverlay writes the mutated files into dir, and beside them what go build
// -overlay wants, whose name it returns.
func writeOverlay(dir, root string, files map[string][]byte) (string, error) {
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for file, content := range files {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(to, content, 0o600); err != nil {
			return "", fmt.Errorf("writing a mutated file: %w", err)
		}
		overlay.Replace[filepath.Join(root, file)] = to
	}
	data, err := json.Marshal(overlay)
	if err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		return "", fmt.Errorf("writing the overlay: %w", err)
	}
	return name, nil
}
