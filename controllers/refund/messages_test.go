package refund

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Reasons whose message is written where the problem is found: package account.
var saidByAccounts = []v1alpha1.Reason{
	v1alpha1.ReasonRefundNotConfigured, v1alpha1.ReasonAccountNotFound, v1alpha1.ReasonAccountMismatch,
	v1alpha1.ReasonAccountSuspended, v1alpha1.ReasonAccountDeleting, v1alpha1.ReasonEndpointNotAllowed,
	v1alpha1.ReasonCredentialsNotFound, v1alpha1.ReasonCredentialsIncomplete,
}

// Every reason that only a Refund has is said somewhere, and every one that a
// Refund can show is explained, once.
func TestReasons(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../api/v1alpha1/refund_types.go", nil, parser.SkipObjectResolution)
	must(t, err)
	own := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		own++
		reason, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		must(t, err)
		if _, here := messages()[reason]; here == slices.Contains(saidByAccounts, reason) {
			t.Errorf("%s is said in both places or in none", reason)
		}
		return true
	})
	if own < 10 {
		t.Errorf("found %d reasons", own)
	}
	doc, err := os.ReadFile("../../docs/refund.md")
	must(t, err)
	_, section, _ := strings.Cut(string(doc), "\n## Reasons\n")
	rows := map[v1alpha1.Reason]int{}
	for _, m := range regexp.MustCompile("(?m)^\\| *`(\\w+)` *\\|.*\\|.*\\|.*\\|$").FindAllStringSubmatch(section, -1) {
		rows[m[1]]++
	}
	for _, reason := range saidByAccounts {
		if rows[reason] != 1 {
			t.Errorf("%s has %d rows in docs/refund.md", reason, rows[reason])
		}
		delete(rows, reason)
	}
	for reason, text := range messages() {
		if rows[reason] != 1 {
			t.Errorf("%s has %d rows in docs/refund.md", reason, rows[reason])
		}
		delete(rows, reason)
		if !strings.HasSuffix(text, ".") || strings.ContainsAny(text, "\n%{}") || len(text) > 400 {
			t.Errorf("%s: %q", reason, text)
		}
		if got := message(reason, "CODE_1"); got != text+" (provider code CODE_1)" {
			t.Errorf("%s: %q", reason, got)
		}
	}
	for reason := range rows {
		t.Errorf("docs/refund.md explains %s, which no Refund shows", reason)
	}
}
