package payment

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// written are what a pattern finds in a file of the repository.
func written(t *testing.T, path, pattern string) [][]string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	found := regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1)
	if len(found) == 0 {
		t.Fatalf("%s has no %s", path, pattern)
	}
	return found
}

// reasons are those of Payments and accounts, by the name of the constant.
func reasons(t *testing.T) map[string]v1alpha1.Reason {
	t.Helper()
	const path = "../../api/v1alpha1/conditions.go"
	out := map[string]v1alpha1.Reason{}
	for _, m := range written(t, path, `(?m)^\t(Reason\w+) +Reason = "(\w+)"`) {
		out[m[1]] = m[2]
	}
	if n := len(written(t, path, `(?m)^\t(?:Reason.*|\w+ +Reason = .*)$`)); len(out) < 30 || len(out) != n {
		t.Fatalf("%d of %d reasons: every one is a ReasonX of type Reason, and nothing else is", len(out), n)
	}
	return out
}

func TestEveryReasonHasAMessage(t *testing.T) {
	constants := reasons(t)
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
	files, err := filepath.Glob("../account/[a-z]*.go")
	must(t, err)
	used := map[v1alpha1.Reason]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		for name, reason := range reasons(t) {
			if !strings.HasSuffix(path, "_test.go") && regexp.MustCompile(`v1alpha1\.`+name+`\b`).Match(text) {
				used[reason] = true
			}
		}
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
	known := slices.Collect(maps.Values(reasons(t)))
	for _, m := range written(t, "../../providers/provider.go", `(?m)^\tFailure\w+ +FailureReason = "(\w+)"`) {
		reason := attempt.RefusalReason(&providers.Error{Failure: providers.FailureReason(m[1])})
		if _, said := messages()[reason]; !said || !slices.Contains(known, reason) {
			t.Errorf("%s becomes %s, which is no reason", m[1], reason)
		}
	}
}

// docs/payment.md explains every reason in a row of a table, and no other.
func TestDocumentedReasons(t *testing.T) {
	section := written(t, "../../docs/payment.md", `(?s)\n## Reasons\n(.*?)(?:\n## |$)`)[0][1]
	rows := map[v1alpha1.Reason]int{}
	for _, m := range regexp.MustCompile("(?m)^\\| *`(\\w+)` *\\|(.*)$").FindAllStringSubmatch(section, -1) {
		rows[m[1]]++
		if cells := strings.Split(strings.Trim(m[2], " |"), "|"); len(cells) < 3 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("%s: the row does not say where, what and what to do", m[1])
		}
	}
	for name, reason := range reasons(t) {
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
