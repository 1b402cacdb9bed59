package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
	"testing"
)

// not says a word that the tree has a better one for: translated phrases, and pictures
// of our own that a newcomer has to learn.
func not() []*regexp.Regexp {
	var found []*regexp.Regexp
	for _, s := range []string{
		`leave to (send|make|ask)`, `asks? for leave`, `who (loses|lost) (a|the) race`, `who is forgotten`, `begins? anew`, `nobody's business`,
		`InForce are`, `(goes|go|went|tried again|continues?) by (it|them)sel(f|ves)`, `rung too often`, `was asked; waiting`, `not enough money`,
		`about to be asked for`, `could not be noted`, `use one of \[`,
		`\bbrakes?\b`, `\btickets?\b`, `\brew(i|ou)nd\w*\b`, `\bdoors?\b`, `\bnews\b`,
	} {
		found = append(found, regexp.MustCompile(`(?i)`+s))
	}
	return found
}

func TestWords_AreTheFieldsOwn(t *testing.T) {
	wrong := not()
	for name, text := range files(t, ".go", ".md", ".yaml") {
		if name == "docs/words_test.go" || strings.Contains(name, "/testdata/") {
			continue
		}
		text = strings.Join(strings.Fields(strings.ReplaceAll(text, "//", " ")), " ")
		for _, w := range wrong {
			if at := w.FindStringIndex(text); at != nil {
				t.Errorf("%s says %q", name, text[max(0, at[0]-30):min(len(text), at[1]+30)])
			}
		}
	}
}

// What people read holds no list as Go prints it.
func TestWords_MessagesPrintNoGoValues(t *testing.T) {
	for name, text := range files(t, ".go") {
		if !strings.HasPrefix(name, "controllers/") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called := ""
			switch f := call.Fun.(type) {
			case *ast.Ident:
				called = f.Name
			case *ast.SelectorExpr:
				called = f.Sel.Name
			}
			if called != "problem" && called != "Eventf" && called != "condition" {
				return true
			}
			for _, a := range call.Args {
				if l, ok := a.(*ast.BasicLit); ok && regexp.MustCompile(`%[+#]?v`).MatchString(l.Value) {
					t.Errorf("%s: a message prints a Go value: %s", name, l.Value)
				}
			}
			return true
		})
	}
}
