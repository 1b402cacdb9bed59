package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// phrases and words that the tree has better ones for: translated ones, and pictures of
// our own that a newcomer has to learn. Lower case.
func phrases() []string {
	return []string{
		"leave to send", "leave to make", "ask for leave", "asks for leave", "who loses a race", "who loses the race", "who is forgotten", "begins anew",
		"nobody's business", "inforce are", "goes on by itself", "go on by itself", "go on by themselves", "tried again by itself", "rung too often",
		"was asked; waiting", "not enough money", "about to be asked for", "could not be noted", "use one of [",
	}
}

func pictures() []string {
	return []string{"brake", "brakes", "ticket", "tickets", "rewind", "rewound", "rewinds", "door", "doors", "news"}
}

func TestWords_AreTheFieldsOwn(t *testing.T) {
	for name, text := range files(t, ".go", ".md", ".yaml") {
		if name == "docs/words_test.go" || strings.Contains(name, "/testdata/") {
			continue
		}
		words := strings.Fields(strings.ToLower(strings.ReplaceAll(text, "//", " ")))
		text = strings.Join(words, " ")
		for _, p := range phrases() {
			if strings.Contains(text, p) {
				t.Errorf("%s says %q", name, p)
			}
		}
		for i, w := range words {
			w = strings.Trim(w, `.,;:()"`+"`")
			if slices.Contains(pictures(), w) {
				t.Errorf("%s says %q", name, strings.Join(words[max(0, i-3):min(len(words), i+4)], " "))
			}
			if (w == "rule" || w == "rules") && i+1 < len(words) && words[i+1][0] >= '0' && words[i+1][0] <= '9' {
				t.Errorf("%s says %q; rules are R1 to R14", name, w+" "+words[i+1])
			}
		}
	}
}

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
