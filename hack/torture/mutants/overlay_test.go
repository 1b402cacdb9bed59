package mutants

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"

	"mobilemoney.dev/operator/controllers/testworld/judge"
)

const source = `// Package sample is mutated.
package sample

import "fmt"

func allowed(n int) bool {
	fmt.Println(n)
	return n < 10
}
`

func sample(edits ...Edit) []Mutant {
	var table []Mutant
	for i, e := range edits {
		e.File = "sample.go"
		table = append(table, Mutant{Name: string(rune('a' + i)), Edits: []Edit{e}})
	}
	return table
}

func overlaid(t *testing.T, table []Mutant) string {
	t.Helper()
	out, err := Overlay(map[string][]byte{"sample.go": []byte(source)}, table)
	if err != nil {
		t.Fatal(err)
	}
	return string(out["sample.go"])
}

func TestAnOverlayHoldsEveryMutantAndImportsOnce(t *testing.T) {
	got := overlaid(t, sample(
		Edit{Find: "n < 10", Replace: `n < 10 || mutation.On("a")`},
		Edit{Find: "fmt.Println(n)", Replace: `if !mutation.On("b") { fmt.Println(n) }`},
	))
	want := `// Package sample is mutated.
package sample

import "` + mutationPackage + `"

import "fmt"

func allowed(n int) bool {
	if !mutation.On("b") {
		fmt.Println(n)
	}
	return n < 10 || mutation.On("a")
}
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestATableThatIsNotClearIsRefused(t *testing.T) {
	on := func(name string) string { return `mutation.On("` + name + `")` }
	for name, c := range map[string]struct {
		table []Mutant
		want  string
	}{
		"text missing":        {sample(Edit{Find: "n < 11", Replace: on("a")}), "occurs 0 times"},
		"text empty":          {sample(Edit{Find: "", Replace: on("a")}), "must occur once"},
		"text twice":          {sample(Edit{Find: "fmt", Replace: on("a")}), "occurs 2 times"},
		"no guard":            {sample(Edit{Find: "n < 10", Replace: "true"}), "does not ask"},
		"guard of another":    {sample(Edit{Find: "n < 10", Replace: on("b")}), "does not ask"},
		"broken syntax":       {sample(Edit{Find: "n < 10", Replace: "n < (" + on("a")}), "the mutated sample.go"},
		"overlap":             {sample(Edit{Find: "n < 10", Replace: on("a")}, Edit{Find: "< 10\n", Replace: on("b")}), "overlap"},
		"the same text":       {sample(Edit{Find: "n < 10", Replace: on("a")}, Edit{Find: "n < 10", Replace: on("b")}), "overlap"},
		"name twice":          {slices.Concat(sample(Edit{Find: "n < 10", Replace: on("a")}), sample(Edit{Find: "fmt.P", Replace: on("a")})), "name of its own"},
		"no edit":             {[]Mutant{{Name: "a"}}, "an edit"},
		"file that is not it": {[]Mutant{{Name: "a", Edits: []Edit{{File: "b.go", Find: "x", Replace: on("a")}}}}, "no source"},
	} {
		_, err := Overlay(map[string][]byte{"sample.go": []byte(source)}, c.table)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const root = "../../.."

// A change of the product that makes a mutant void is found here, quickly.
func TestTheTableFitsTodaysSources(t *testing.T) {
	sources, err := readSources(root, Table())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Overlay(sources, Table()); err != nil {
		t.Error(err)
	}
}

func TestTable_HasAMutantForEveryRuleThatIsJudged(t *testing.T) {
	broken := sets.New[string]()
	for _, m := range Table() {
		if m.Rule == "" || len(m.Breaks) == 0 {
			t.Errorf("%s: which rule does it break, and how is that seen?", m.Name)
		}
		broken.Insert(m.Breaks...)
	}
	if missing := sets.New(judge.Rules()...).Difference(broken); missing.Len() > 0 {
		t.Errorf("no mutant breaks %v", sets.List(missing))
	}
	if unknown := broken.Difference(sets.New(judge.Rules()...)); unknown.Len() > 0 {
		t.Errorf("nobody judges %v", sets.List(unknown))
	}
}

func TestTheMutatedSourcesCompile(t *testing.T) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := prepare(t.TempDir(), absolute, Table())
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"build", "-overlay", overlay}
	for _, file := range Files(Table()) {
		args = append(args, "./"+filepath.Dir(file))
	}
	build := exec.CommandContext(t.Context(), "go", slices.Compact(args)...)
	build.Dir = absolute
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheProductHoldsNoMutants(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", ".")
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), "operator/controllers/payment\n") {
		t.Fatal("this is not the list of what the manager is made of")
	}
	if strings.Contains(string(out), "hack/torture") {
		t.Error("the manager is linked with hack/torture")
	}
}
