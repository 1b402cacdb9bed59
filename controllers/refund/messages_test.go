package refund

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// Reasons whose message is written where the problem is found: package account.
var saidByAccounts = []v1alpha1.Reason{
	v1alpha1.ReasonRefundNotConfigured, v1alpha1.ReasonAccountNotFound, v1alpha1.ReasonAccountMismatch,
	v1alpha1.ReasonAccountSuspended, v1alpha1.ReasonAccountDeleting, v1alpha1.ReasonEndpointNotAllowed,
	v1alpha1.ReasonCredentialsNotFound, v1alpha1.ReasonCredentialsIncomplete,
}

func TestReasons(t *testing.T) {
	types, err := os.ReadFile("../../api/v1alpha1/refund_types.go")
	must(t, err)
	own := regexp.MustCompile(`(?m)^\tReason\w+ +Reason = "(\w+)"`).FindAllStringSubmatch(string(types), -1)
	for _, m := range own {
		if _, here := reasons.Refund()[m[1]]; here == slices.Contains(saidByAccounts, m[1]) {
			t.Errorf("%s is said in both places or in none", m[1])
		}
	}
	if len(own) < 10 {
		t.Errorf("found %d reasons", len(own))
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
	for reason := range reasons.Refund() {
		if rows[reason] != 1 {
			t.Errorf("%s has %d rows in docs/refund.md", reason, rows[reason])
		}
		delete(rows, reason)
	}
	for reason := range rows {
		t.Errorf("docs/refund.md explains %s, which no Refund shows", reason)
	}
}
