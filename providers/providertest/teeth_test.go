package providertest_test

import (
	"context"
	"flag"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/providertest"
)

// The planted faults make properties fail on purpose: they need no shrinking, and leave no files.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "0s"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	m.Run()
}

// variants have all that a provider can be, between the three.
func variants(fault string) map[string]providertest.Factory {
	out := map[string]providertest.Factory{}
	for name, sound := range map[string]providertest.Factory{
		"mtn": simtest.MTN()["sandbox"], "orange": simtest.Orange()["ci"], "wave": simtest.Wave()["GMD"],
	} {
		out[name] = func(t providertest.T) providertest.Fixture { return planted{sound(t), fault} }
	}
	return out
}

// further faults of a rule, besides the one that has its name.
var further = map[string][]string{
	"stateless":         {"stateless Cancel", "stateless Refund", "stateless RefundStatus"},
	"expires-at":        {"expires-at too late"},
	"echo":              {"echo of a failure", "echo of a failure dropped"},
	"garbage":           {"garbage search"},
	"random-answers":    {"random-answers code", "random-answers verdict", "random-answers server", "random-answers operation"},
	"callback-replayed": {"callback-replayed ahead"},
	"callback-secrets":  {"callback-secrets last", "callback-secrets any"},
}

// What the rules find is the planted fault, and not how it is planted.
func TestRules_WithoutAFault(t *testing.T) {
	for name, factory := range variants("") {
		t.Run(name, func(t *testing.T) { providertest.Run(t, factory) })
	}
}

// Each rule finds its fault at every provider that it applies to, and further ones at any.
func TestRules_HaveTeeth(t *testing.T) {
	source, err := os.ReadFile("faulty_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range further {
		if !slices.ContainsFunc(providertest.Rules(), func(r providertest.Rule) bool { return r.Name == name }) {
			t.Errorf("%s is no rule", name)
		}
	}
	for _, rule := range providertest.Rules() {
		if !strings.Contains(string(source), `"`+rule.Name+`"`) {
			t.Errorf("%s has no planted fault", rule.Name)
		}
		t.Run(rule.Name, func(t *testing.T) {
			if found, applies := bites(t, rule.Name, rule.Name); applies == 0 || found != applies {
				t.Errorf("found at %d of %d providers", found, applies)
			}
			for _, fault := range further[rule.Name] {
				if found, _ := bites(t, rule.Name, fault); found == 0 {
					t.Errorf("%q is not found", fault)
				}
			}
		})
	}
}

// bites counts the providers that a rule applies to, and those where it finds the fault.
func bites(t *testing.T, rule, fault string) (found, applies int) {
	t.Helper()
	for name, factory := range variants(fault) {
		for _, applicable := range providertest.Applicable(t, factory) {
			if applicable.Name != rule {
				continue
			}
			applies++
			if record(t, applicable, factory).Failed() {
				found++
			} else {
				t.Logf("%q is not found at %s", fault, name)
			}
		}
	}
	return found, applies
}

func TestRules_AreNamed(t *testing.T) {
	names := map[string]bool{}
	for _, rule := range providertest.Rules() {
		if names[rule.Name] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(rule.Name) || !strings.HasSuffix(rule.Says, ".") {
			t.Errorf("%q: %q", rule.Name, rule.Says)
		}
		names[rule.Name] = true
	}
}

// recorder is a test that only notes whether it failed.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	failed   bool
	cleanups []func()
}

func record(t *testing.T, rule providertest.Rule, factory providertest.Factory) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, f := range r.cleanups {
				f()
			}
		}()
		rule.Check(r, factory)
	}()
	<-done
	return r
}

func (r *recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *recorder) Helper()                  {}
func (r *recorder) Cleanup(f func())         { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Context() context.Context { return context.Background() }
func (r *recorder) Log(...any)               {}
func (r *recorder) Logf(string, ...any)      {}
func (r *recorder) Error(...any)             { r.Fail() }
func (r *recorder) Errorf(string, ...any)    { r.Fail() }
func (r *recorder) Fatal(...any)             { r.FailNow() }
func (r *recorder) Fatalf(string, ...any)    { r.FailNow() }
func (r *recorder) FailNow()                 { r.Fail(); runtime.Goexit() }
