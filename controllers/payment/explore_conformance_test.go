//go:build !race

package payment

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The explorer follows act.go by hand. So that it cannot fall behind, what
// act.go can do is written down here: an action or a call that is new makes this
// test fail, and belongs into the explorer first.
func TestExploreKnowsEveryAction(t *testing.T) {
	var actions []string
	for _, d := range parsed(t, "decide.go").Decls {
		if g, isGen := d.(*ast.GenDecl); isGen && g.Tok == token.CONST {
			for _, s := range g.Specs {
				actions = append(actions, s.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	known := []string{"actIdle", "actWait", "actClaim", "actSend", "actAsk", "actCheck", "actCancel", "actCallOff",
		"actCancelled", "actExpire", "actHold", "actNote",
		"actSettle"} // which nobody does in the model
	slices.Sort(actions)
	slices.Sort(known)
	if !slices.Equal(actions, known) {
		t.Errorf("decide knows %v, the explorer %v", actions, known)
	}
}

// Every call of act.go that leaves the process, and every fold, in the order of
// the file.
func TestExploreKnowsEveryCall(t *testing.T) {
	want := map[string]string{
		"cancelled":        "record foldCancelled Live.Get",
		"claim":            "foldHold Client.Create Live.Get",
		"act":              "record foldHold record foldNotice record foldExpired record foldCallOff record foldSettled",
		"send":             "record foldHold raise Client.Update record foldVoid record foldVoid Initiate",
		"accountOpen":      "record foldNotice", // the model's account is always open
		"prepare":          "Prepare",
		"recordInitiation": "record foldRefusal record foldVoid",
		"recordKnown":      "record foldHold record",
		"recordSession":    "record foldSession",
		"endSession":       "Cancel",
		"notKnownHere":     "record foldHold", // the model's credentials never change
		"ask":              "Reserve Status record foldRefusalConfirmed foldHold foldSession foldStatus",
		"search":           "Search foldStatus foldHold",
		"check":            "Reserve Status foldStatus",
		"others":           "Search",
		"learn":            "record",
		"failed":           "record foldNotice record foldNotice",
		"record":           "Commit",
	}
	got := map[string]string{}
	for _, d := range parsed(t, "act.go").Decls {
		if f, isFunc := d.(*ast.FuncDecl); isFunc {
			if calls := outward(f); len(calls) > 0 {
				got[f.Name.Name] = strings.Join(calls, " ")
			}
		}
	}
	for name := range got {
		if want[name] != got[name] {
			t.Errorf("%s does %q, the explorer follows %q", name, got[name], want[name])
		}
	}
	for name := range want {
		if got[name] == "" {
			t.Errorf("%s is gone", name)
		}
	}
}

func parsed(t *testing.T, file string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func outward(f *ast.FuncDecl) []string {
	names := []string{"Get", "Create", "Update", "Patch", "Delete", "Prepare", "Initiate", "Status", "Search", "Cancel", "Reserve", "Commit", "record", "raise"}
	var out []string
	ast.Inspect(f, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall {
			return true
		}
		switch fun := call.Fun.(type) {
		case *ast.Ident:
			if strings.HasPrefix(fun.Name, "fold") || fun.Name == "raise" {
				out = append(out, fun.Name)
			}
		case *ast.SelectorExpr:
			if !slices.Contains(names, fun.Sel.Name) {
				return true
			}
			name := fun.Sel.Name
			on, nested := fun.X.(*ast.SelectorExpr)
			if nested && on.Sel.Name == "URLs" {
				return true // no call
			}
			if nested && (on.Sel.Name == "Client" || on.Sel.Name == "Live") {
				name = on.Sel.Name + "." + name
			}
			out = append(out, name)
		}
		return true
	})
	return out
}

// What the explorer forgets of a Charge, no decision depends on.
func TestExploreForgetsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if f.charge == nil {
			return
		}
		want := decide(f)
		f.charge = f.charge.DeepCopy()
		undateCharge(f.charge)
		undateRecord(&f.charge.Record)
		if got := decide(f); got != want {
			t.Fatalf("%+v, and without those times %+v", want, got)
		}
	})
}

// A process remembers in the model what it remembers in the loop.
func TestExploreRemembersAll(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := anyFacts(t)
		if got := remembered(f.seen).observation(); got != f.seen {
			t.Fatalf("%+v became %+v", f.seen, got)
		}
	})
	if n := reflect.TypeFor[observation]().NumField(); n != reflect.TypeFor[memory]().NumField() {
		t.Errorf("an observation has %d fields", n)
	}
}
