package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// names that are declared in the tree, by what they are. Functions and tests are
// package.Func or package.Type.Method, the package being the name of its folder.
type names struct{ functions, tests, mutants, messages map[string]bool }

// files of the tree that have one of the extensions, by path.
func files(t *testing.T, extensions ...string) map[string]string {
	t.Helper()
	root, found := os.DirFS(".."), map[string]string{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(extensions, path.Ext(name)):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func declared(t *testing.T) names {
	t.Helper()
	n := names{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	for name, text := range files(t, ".go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			switch {
			case !ok:
			case strings.HasSuffix(name, "_test.go"):
				n.tests[path.Base(path.Dir(name))+"."+f.Name.Name] = true
			default:
				n.functions[path.Base(path.Dir(name))+"."+receiver(f)+f.Name.Name] = true
			}
		}
		switch {
		case strings.HasPrefix(name, "api/v1alpha1/"):
			for _, m := range regexp.MustCompile(`message="([^"]+)"`).FindAllStringSubmatch(text, -1) {
				n.messages[m[1]] = true
			}
		case strings.HasPrefix(name, "hack/torture/mutants/table"):
			addMutants(t, n.mutants, file)
		}
	}
	return n
}

// receiver of a method, with a dot.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	return t.(*ast.Ident).Name + "."
}

// addMutants adds those of a table: they are named by the first argument of a call, or by
// a field Name. Those that the sweep is not asked to find do not count.
func addMutants(t *testing.T, mutants map[string]bool, file *ast.File) {
	t.Helper()
	text := func(e ast.Expr) string {
		if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
			s, err := strconv.Unquote(l.Value)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		return ""
	}
	isName := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`).MatchString
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); !ok || f.Name.Name == "Uncounted" {
			continue
		}
		ast.Inspect(d, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if len(n.Args) > 0 && isName(text(n.Args[0])) {
					mutants[text(n.Args[0])] = true
				}
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Name" && isName(text(n.Value)) {
					mutants[text(n.Value)] = true
				}
			}
			return true
		})
	}
}

func TestPromise_NamesWhatExists(t *testing.T) {
	have := declared(t)
	code, quoted := regexp.MustCompile("`([^`]+)`"), regexp.MustCompile(`"([^"]+)"`)
	rows := tableAfter(t, "promise.md", "## Rules")
	for i, row := range rows[1:] {
		id := fmt.Sprintf("R%d", i+1)
		if len(row) != 6 || row[0] != id {
			t.Fatalf("docs/promise.md: row %d is %q, and should be that of %s", i+1, row, id)
		}
		check := func(what, cell string, find *regexp.Regexp, known map[string]bool, least int) {
			t.Helper()
			found := find.FindAllStringSubmatch(cell, -1)
			if len(found) < least {
				t.Errorf("%s names no %s", id, what)
			}
			for _, m := range found {
				if !known[m[1]] {
					t.Errorf("%s names the %s %q, which does not exist", id, what, m[1])
				}
			}
		}
		check("function", row[2], code, have.functions, 1)
		check("message", row[3], quoted, have.messages, 0)
		check("test", row[4], code, have.tests, 1)
		check("mutant", row[5], code, have.mutants, 1)
	}
	if len(rows)-1 != 14 {
		t.Errorf("docs/promise.md has %d rules", len(rows)-1)
	}
}

func TestPromise_IsTheOnlyNumbering(t *testing.T) {
	rule := regexp.MustCompile(`\bR([0-9]+)\b`)
	for name, text := range files(t, ".go", ".md", ".yaml") {
		for _, m := range rule.FindAllStringSubmatch(text, -1) {
			if n, err := strconv.Atoi(m[1]); err != nil || n < 1 || n > 14 {
				t.Errorf("%s speaks of %s, which is no rule of docs/promise.md", name, m[0])
			}
		}
	}
}
