package callback

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// looksSecret are names of what nobody may find out byte by byte.
var looksSecret = regexp.MustCompile(`(?i)(mac|signatures?|token|tokenhash|secrets?|hash|bearer|digest|sum|apikey|authorization|signer)$`)

// comparesToo are functions that compare, and stop at the first difference.
var comparesToo = []string{"bytes.Equal", "bytes.Compare", "bytes.HasPrefix", "strings.Compare", "strings.EqualFold", "slices.Equal", "slices.Contains", "reflect.DeepEqual"}

// notSecret are comparisons that are none of a secret with what a stranger sent.
var notSecret = map[string]string{
	"have.Credentials == sum": "our own credentials with earlier ones",
	"last.Digest == n.digest": "a digest proves nothing to anybody: it tells repetitions apart",
}

// findings are the comparisons in a file that take longer the more is right.
func findings(t *testing.T, name string, src any, used map[string]bool) (out []string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, 0)
	must(t, err)
	text := func(n ast.Node) string {
		var b strings.Builder
		must(t, printer.Fprint(&b, fset, n))
		return b.String()
	}
	report := func(n ast.Node) {
		if _, ok := notSecret[text(n)]; ok {
			used[text(n)] = true
		} else {
			out = append(out, fmt.Sprintf("%s: %s", fset.Position(n.Pos()), text(n)))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch x := n.(type) {
		case *ast.BinaryExpr:
			a, b := text(x.X), text(x.Y)
			if (x.Op == token.EQL || x.Op == token.NEQ) && !fixed.MatchString(a) && !fixed.MatchString(b) && (isSecret(a) || isSecret(b)) {
				report(x)
			}
		case *ast.CallExpr:
			if slices.Contains(comparesToo, text(x.Fun)) && slices.ContainsFunc(x.Args, func(a ast.Expr) bool { return isSecret(text(a)) }) {
				report(x)
			}
		case *ast.SwitchStmt:
			if x.Tag != nil && isSecret(text(x.Tag)) {
				report(x.Tag)
			}
		}
		return true
	})
	return out
}

// fixed: a literal, nil, a number of things.
var fixed = regexp.MustCompile("^(nil|true|false|[0-9].*|[\"'`].*|len\\(.*\\))$")

// isSecret looks at the last name of an expression, behind conversions, indexes and calls.
func isSecret(text string) bool {
	if strings.Contains(text, ".Reveal()") || strings.Contains(text, ".Sum(") {
		return true
	}
	if strings.ContainsAny(text, "+-&|<>=!{") {
		return false // its parts are looked at
	}
	for before := ""; text != before; {
		before = text
		text = regexp.MustCompile(`^(?:string|\[\]byte|)\((.*)\)$`).ReplaceAllString(strings.TrimPrefix(text, "*"), "$1")
		text = regexp.MustCompile(`(\[[^]]*\]|\([^()]*\))$`).ReplaceAllString(text, "")
	}
	return looksSecret.MatchString(text)
}

// sources of the manager: what is neither test nor simulator.
func sources(t *testing.T, roots ...string) (files []string) {
	t.Helper()
	for _, root := range roots {
		must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && slices.Contains([]string{"simulator", "providertest", "wiretest", "simtest", "testenv", "testworld", "testdata"}, d.Name()):
				return fs.SkipDir
			case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
				files = append(files, path)
			}
			return nil
		}))
	}
	return files
}

// No secret, MAC or token is compared by anything that stops at the first
// difference.
func TestG8_SecretsAreComparedInConstantTime(t *testing.T) {
	files := sources(t, "../../providers", "../../controllers", "../../main.go")
	if len(files) < 40 {
		t.Fatalf("only %d files", len(files))
	}
	used := map[string]bool{}
	for _, name := range files {
		for _, f := range findings(t, name, nil, used) {
			t.Errorf("%s: compare with hmac.Equal, subtle.ConstantTimeCompare or Secret.Equal", f)
		}
	}
	if len(used) != len(notSecret) {
		t.Errorf("of the exceptions only these are there: %v", used)
	}
	// It finds what it is there to find.
	for _, bad := range []string{
		`secret.Reveal() == sent`, `sent != secret.Reveal()`, `string(mac) == sent`, `bytes.Equal(sum, got)`, `cb.TokenHash == hash`,
		`strings.EqualFold(header, signature)`, `mac.Sum(nil)[0] == x`, `[]byte(token)[i] != b`, `slices.Contains(secrets, sent)`, `string(h.Sum(nil)) == sent`,
	} {
		src := "package x\nfunc f() bool { return " + bad + " }"
		if len(findings(t, "bad.go", src, used)) != 1 {
			t.Errorf("not found: %s", bad)
		}
	}
	for _, good := range []string{`secret == ""`, `len(signatures) == 1`, `hmac.Equal(mac, sent)`, `secret.Equal(sent)`, `name == sent`, `token != nil`} {
		src := "package x\nfunc f() bool { return " + good + " }"
		if got := findings(t, "good.go", src, used); len(got) != 0 {
			t.Errorf("found: %v", got)
		}
	}
}
