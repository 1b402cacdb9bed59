package manager

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// Whoever reads docs/recreation.md can trust that each of its sections is proved,
// and finds each thing that is proved.
func TestEverySpecIsOnThePageAndBack(t *testing.T) {
	page, err := os.ReadFile("../../docs/recreation.md")
	if err != nil {
		t.Fatal(err)
	}
	var sections []string
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllSubmatch(page, -1) {
		sections = append(sections, string(m[1]))
	}
	specs := append(specsOf(t, "recreation_test.go"), specsOf(t, "restore_test.go")...)
	if len(specs) < 20 {
		t.Fatalf("only %d specs are found", len(specs))
	}
	for _, s := range specs {
		if !slices.Contains(sections, s) {
			t.Errorf("docs/recreation.md has no section %q", s)
		}
	}
	for _, s := range sections {
		if !slices.Contains(specs, s) {
			t.Errorf("no spec proves the section %q", s)
		}
	}
}

// specsOf returns the texts of the specs in a file.
func specsOf(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		name, isName := call.Fun.(*ast.Ident)
		text, isText := call.Args[0].(*ast.BasicLit)
		if isName && isText && name.Name == "It" {
			s, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, s)
		}
		return true
	})
	return texts
}
