package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
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
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"mobilemoney.dev/operator/hack/torture/sweep"
)

var update = flag.Bool("update", false, "write the golden file anew")

const golden = "testdata/points.golden"

func labels(t *testing.T) map[string]map[string]int {
	t.Helper()
	s, err := sweep.New(sweep.Scenarios(), sweep.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Labels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Nobody adds a write or a call to the provider without seeing it here, and with
// that in the sweep. (Reads are too many to be counted.)
func TestPointsAreKnown(t *testing.T) {
	var b strings.Builder
	all := labels(t)
	for _, story := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintln(&b, story)
		for _, label := range slices.Sorted(maps.Keys(all[story])) {
			if count := all[story][label]; isRead(label) {
				fmt.Fprintf(&b, "\t%s\n", label)
			} else {
				fmt.Fprintf(&b, "\t%s %d\n", label, count)
			}
		}
	}
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("the points of the clean runs changed; if that was meant: go test ./hack/torture -run PointsAreKnown -update, and look at the difference")
	}
}

func isRead(label string) bool {
	return strings.HasPrefix(label, "get ") || strings.HasPrefix(label, "live ") || strings.HasPrefix(label, "list ")
}

func discovered(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, story := range labels(t) {
		for label := range story {
			found[label] = true
		}
	}
	return found
}

// Every write that the operator may make is swept, or there is a reason.
func TestEveryWriteIsSwept(t *testing.T) {
	elsewhere := map[string]string{
		"delete charges": "old Charges are collected days after their end; package retention tests that",
	}
	body, err := os.ReadFile("../../config/rbac/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{
		"payments": "Payment", "payments/status": "Payment/status", "charges": "Charge",
		"refunds": "Refund", "refunds/status": "Refund/status",
	}
	found, checked := discovered(t), 0
	for _, document := range strings.Split(string(body), "\n---\n") {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if kinds[resource] == "" || slices.Contains([]string{"get", "list", "watch"}, verb) {
						continue
					}
					checked++
					label := verb + " " + kinds[resource]
					if !found[label] && elsewhere[verb+" "+resource] == "" {
						t.Errorf("the operator may %s %s, and no scenario comes to %q", verb, resource, label)
					}
				}
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d verbs were looked at", checked)
	}
}

// Every operation of the providers' clients is swept, or there is a reason.
func TestEveryCallIsSwept(t *testing.T) {
	elsewhere := map[string]string{"account-check": "it asks whether an account can be used, and about no payment"}
	found, checked := discovered(t), 0
	for _, op := range operations(t, "../../providers") {
		checked++
		if !found["call "+op] && elsewhere[op] == "" {
			t.Errorf("no scenario comes to the operation %q", op)
		}
	}
	if checked < 8 {
		t.Errorf("only %d operations were looked at", checked)
	}
}

// operations are the constants Op… of a package: what its calls are named by.
func operations(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 || !regexp.MustCompile(`^Op[A-Z]`).MatchString(spec.Names[0].Name) {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				if op, err := strconv.Unquote(literal.Value); err == nil {
					ops = append(ops, op)
				}
			}
			return true
		})
	}
	return ops
}

// command runs the program as its users do.
func command(t *testing.T, args ...string) (code int, out string, err error) {
	t.Helper()
	var b bytes.Buffer
	code, err = run(t.Context(), args, &b, time.Now)
	return code, b.String(), err
}

// The short form of the sweep: every single fault of the plainest story at each
// provider, and a sample of all the others and of pairs.
func TestSweep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	for _, args := range [][]string{
		{"-scenarios", "^paid/", "-pairs", "80"},
		{"-singles", "500", "-pairs", "80"},
	} {
		code, out, err := command(t, append(args, "-seed", "1", "-report", file)...)
		if err != nil || code != 0 {
			t.Fatalf("%v: exit %d, %v\n%s", args, code, err, out)
		}
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var whole report
		if err := json.Unmarshal(body, &whole); err != nil {
			t.Fatal(err)
		}
		r := whole.Sweep
		lines := strings.Split(strings.TrimSpace(out), "\n")
		last := fmt.Sprintf("%d schedules, 0 lives, 0 simulated days, 0 mutants killed of 0, 0 violations", whole.Schedules)
		if r.Seed != 1 || r.Singles < 400 || r.Pairs < 50 || r.Schedules < r.Singles+r.Pairs || lines[len(lines)-1] != last {
			t.Errorf("%v: %d singles, %d pairs, %d schedules; %q", args, r.Singles, r.Pairs, r.Schedules, lines[len(lines)-1])
		}
	}
}

func TestReplay(t *testing.T) {
	code, out, err := command(t, "-replay", "paid/orange: call initiate#1=lost")
	if err != nil || code != 0 || !strings.Contains(out, "*** call initiate#1=lost") || !strings.Contains(out, `ended "Unknown"`) {
		t.Errorf("exit %d, %v: %s", code, err, out)
	}
	for _, bad := range []string{"paid/orange: call initiate#9=lost", "paid/nobody: ", "paid", "nothing/mtn: "} {
		if code, _, err := command(t, "-replay", bad); err == nil || code != 2 {
			t.Errorf("%q: exit %d, %v", bad, code, err)
		}
	}
}

func TestFlagsThatMeanNothing(t *testing.T) {
	for _, args := range [][]string{{"-scenarios", "("}, {"-scenarios", "no-such-scenario"}, {"-no-such-flag"}} {
		if code, _, err := command(t, args...); err == nil || code != 2 {
			t.Errorf("%v: exit %d, %v", args, code, err)
		}
	}
}
