package attempt_test

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// source is a parsed file of the tree.
type source struct {
	path string
	text []byte
	file *ast.File
}

// sources parses the Go files under a directory of the repository that are no tests.
func sources(t *testing.T, files *token.FileSet, under string) (out []source) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(filepath.Join(root, under), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
		path, _ = filepath.Rel(root, path)
		out = append(out, source{filepath.ToSlash(path), text, file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// called is the name of the method, or the field, that a node calls; empty: it calls none.
func called(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return ""
	}
	if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
		return sel.Sel.Name
	}
	return ""
}

// What is no part of the operator calls providers in its own ways: the providers
// themselves, whoever checks them, and what stands in for the operator in tests.
var apart = regexp.MustCompile(`^(providers|hack|controllers/test\w+)/`)

// One function calls Initiate and one calls Refund, both inside the Call of an
// attempt.Sending; and one function makes that call: Protocol.Send.
func TestSend_IsTheOnlyWayToAskForMoney(t *testing.T) {
	files := token.NewFileSet()
	calls, wild := map[string][]string{}, []string(nil)
	for _, s := range sources(t, files, ".") {
		if apart.MatchString(s.path) {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			here := s.path + " " + f.Name.Name
			var permitted []ast.Node // function literals that are the Call of a Sending
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Call" {
						permitted = append(permitted, n.Value)
					}
				case *ast.AssignStmt:
					if sel, ok := n.Lhs[0].(*ast.SelectorExpr); ok && sel.Sel.Name == "Call" {
						permitted = append(permitted, n.Rhs[0])
					}
				case *ast.SelectorExpr:
					if n.Sel.Name == "Initiate" && !slices.ContainsFunc(permitted, within(n)) {
						wild = append(wild, here)
					}
				}
				switch name := called(n); name {
				case "Initiate", "Refund":
					if calls[name] = append(calls[name], here); !slices.ContainsFunc(permitted, within(n)) {
						wild = append(wild, here)
					}
				case "Call":
					if strings.HasPrefix(s.path, "controllers/") {
						calls[name] = append(calls[name], here)
					}
				}
				return true
			})
		}
	}
	for name, want := range map[string]string{
		"Initiate": "controllers/payment/send.go send", "Refund": "controllers/refund/send.go sending", "Call": "controllers/attempt/protocol.go Send",
	} {
		if got := calls[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is called in %q, want %q", name, got, want)
		}
	}
	if len(wild) > 0 {
		t.Errorf("outside the Call of a Sending: %q", wild)
	}
}

// within tells whether a node is inside another one.
func within(n ast.Node) func(ast.Node) bool {
	return func(outer ast.Node) bool { return outer.Pos() <= n.Pos() && n.End() <= outer.End() }
}

// function of at least 20 lines, as normalised tokens.
type function struct {
	name   string
	tokens []string
}

// kindOfObject are the words in which the loops differ by nature.
var kindOfObject = regexp.MustCompile(`(?i)payment|refund|charge|sale|entry`)

// functions of at least so many lines. Comments and line ends count for nothing, one
// literal is as good as another, and so are the words for what a loop is about.
func functions(t *testing.T, files *token.FileSet, under string, lines int) (out []function) {
	for _, s := range sources(t, files, under) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := files.Position(f.Pos()), files.Position(f.End())
			if to.Line-from.Line+1 < lines {
				continue
			}
			g := function{name: s.path + " " + f.Name.Name}
			var scan scanner.Scanner
			text := s.text[from.Offset:to.Offset]
			scan.Init(token.NewFileSet().AddFile("", -1, len(text)), text, nil, 0)
			for {
				_, tok, literal := scan.Scan()
				switch {
				case tok == token.EOF:
					out = append(out, g)
				case tok == token.SEMICOLON && literal == "\n":
					continue
				case tok == token.IDENT:
					g.tokens = append(g.tokens, kindOfObject.ReplaceAllString(literal, "Object"))
					continue
				case tok.IsLiteral():
					g.tokens = append(g.tokens, "literal")
					continue
				default:
					g.tokens = append(g.tokens, tok.String())
					continue
				}
				break
			}
		}
	}
	return out
}

// common is the length of the longest common subsequence.
func common(a, b []string) int {
	row := make([]int, len(b)+1)
	for _, x := range a {
		diagonal := 0
		for j, y := range b {
			above := row[j+1]
			if x == y {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(above, row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

func TestLoops_ShareNoLongFunction(t *testing.T) {
	if n := common(strings.Split("abcbdab", ""), strings.Split("bdcaba", "")); n != 4 {
		t.Fatalf("the longest common subsequence has %d tokens", n)
	}
	files := token.NewFileSet()
	payments, refunds := functions(t, files, "controllers/payment", 20), functions(t, files, "controllers/refund", 20)
	if len(payments) < 10 || len(refunds) < 10 {
		t.Fatalf("%d and %d functions", len(payments), len(refunds))
	}
	for _, p := range payments {
		for _, r := range refunds {
			if share := 100 * common(p.tokens, r.tokens) / min(len(p.tokens), len(r.tokens)); share >= 60 {
				t.Errorf("%s and %s have %d %% of their tokens in common", p.name, r.name, share)
			}
		}
	}
}
