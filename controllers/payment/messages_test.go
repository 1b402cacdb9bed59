package payment

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// Reasons whose message is written where the problem is found, because it says
// which account, Secret or key is meant: package account.
var saidByAccounts = []v1alpha1.Reason{
	v1alpha1.ReasonProviderNotSupported,
	v1alpha1.ReasonAccountNotFound,
	v1alpha1.ReasonAccountNotAllowed,
	v1alpha1.ReasonAccountMismatch,
	v1alpha1.ReasonAccountSuspended,
	v1alpha1.ReasonAccountDeleting,
	v1alpha1.ReasonEndpointNotAllowed,
	v1alpha1.ReasonCredentialsNotFound,
	v1alpha1.ReasonCredentialsIncomplete,
}

// Reasons that no Payment shows: those of account readiness.
var ofAccounts = []v1alpha1.Reason{v1alpha1.ReasonAccountUsable, v1alpha1.ReasonAccountChecked, v1alpha1.ReasonDeletionHeld}

// reasonConstants are the Reason constants, by name, as the source has them.
func reasonConstants(t *testing.T) map[string]v1alpha1.Reason {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/conditions.go", nil, parser.SkipObjectResolution)
	must(t, err)
	out := map[string]v1alpha1.Reason{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		typed, _ := spec.Type.(*ast.Ident)
		for i, name := range spec.Names {
			isReason := typed != nil && typed.Name == "Reason"
			if isReason != strings.HasPrefix(name.Name, "Reason") {
				t.Errorf("%s: every reason is a ReasonX of type Reason, and nothing else is", name.Name)
			}
			if isReason {
				value, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
				must(t, err)
				out[name.Name] = value
			}
		}
		return true
	})
	if len(out) < 30 {
		t.Fatalf("found %d reasons only: %v", len(out), out)
	}
	return out
}

func TestEveryReasonHasAMessage(t *testing.T) {
	constants := reasonConstants(t)
	known := map[v1alpha1.Reason]bool{}
	for name, reason := range constants {
		if known[reason] {
			t.Errorf("%s: two reasons are called %s", name, reason)
		}
		known[reason] = true
		_, said := messages()[reason]
		places := 0
		for _, here := range []bool{said, slices.Contains(saidByAccounts, reason), slices.Contains(ofAccounts, reason)} {
			if here {
				places++
			}
		}
		if places != 1 {
			t.Errorf("%s is said in %d places; it belongs into messages(), or into one of the lists of this test", name, places)
		}
		// kstatus and `kubectl wait` show it: one word in CamelCase (KEP-1623).
		if !regexp.MustCompile(`^[A-Z][A-Za-z]{3,}$`).MatchString(reason) {
			t.Errorf("%s is written %q", name, reason)
		}
	}
	for reason, text := range messages() {
		if !known[reason] {
			t.Errorf("a message for %s, which is no reason", reason)
		}
		if !strings.HasSuffix(text, ".") || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n%{}") || len(text) > 400 {
			t.Errorf("%s: %q", reason, text)
		}
		if got := message(reason, ""); got != text {
			t.Errorf("%s: %q", reason, got)
		}
		if got := message(reason, "CODE_1"); got != text+" (provider code CODE_1)" {
			t.Errorf("%s: %q", reason, got)
		}
	}
}

// Package account gives no reason that these lists do not know, and gives each of
// those that are left to it.
func TestReasonsOfAccounts(t *testing.T) {
	constants := reasonConstants(t)
	used := map[v1alpha1.Reason]bool{}
	files, err := filepath.Glob("../account/*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if reason, ok := constants[s.Sel.Name]; ok {
					used[reason] = true
				}
			}
			return true
		})
	}
	for reason := range used {
		if _, said := messages()[reason]; !said && !slices.Contains(saidByAccounts, reason) && !slices.Contains(ofAccounts, reason) {
			t.Errorf("package account gives %s, which has no message", reason)
		}
	}
	for _, reason := range saidByAccounts {
		if !used[reason] {
			t.Errorf("package account never gives %s", reason)
		}
	}
}

// A provider's failure becomes a reason by its name.
func TestFailureReasons(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../providers/provider.go", nil, parser.SkipObjectResolution)
	must(t, err)
	known := slices.Collect(maps.Values(reasonConstants(t)))
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typed, ok := spec.Type.(*ast.Ident); ok && typed.Name == "FailureReason" {
			found++
			failure, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			must(t, err)
			reason := attempt.RefusalReason(&providers.Error{Failure: providers.FailureReason(failure)})
			if _, said := messages()[reason]; !said || !slices.Contains(known, reason) {
				t.Errorf("%s becomes %s, which is no reason", spec.Names[0].Name, reason)
			}
		}
		return true
	})
	if found < 6 {
		t.Errorf("found %d", found)
	}
}

// docs/payment.md explains every reason in a row of a table, and no other.
func TestDocumentedReasons(t *testing.T) {
	doc, err := os.ReadFile("../../docs/payment.md")
	if err != nil {
		t.Fatalf("the page that explains the reasons: %v", err)
	}
	_, section, found := strings.Cut(string(doc), "\n## Reasons\n")
	if !found {
		t.Fatal("docs/payment.md has no section Reasons")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[v1alpha1.Reason]int{}
	for _, m := range regexp.MustCompile("(?m)^\\| *`(\\w+)` *\\|(.*)$").FindAllStringSubmatch(section, -1) {
		rows[m[1]]++
		if cells := strings.Split(strings.Trim(m[2], " |"), "|"); len(cells) < 3 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("%s: the row does not say where, what and what to do", m[1])
		}
	}
	for name, reason := range reasonConstants(t) {
		want := 1
		if slices.Contains(ofAccounts, reason) {
			want = 0
		}
		if rows[reason] != want {
			t.Errorf("%s (%s) has %d rows in docs/payment.md, want %d", name, reason, rows[reason], want)
		}
		delete(rows, reason)
	}
	for reason := range rows {
		t.Errorf("docs/payment.md explains %s, which is no reason", reason)
	}
}
