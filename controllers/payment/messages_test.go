package payment

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"

	"mobilemoney.dev/operator/api/reasons"
	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
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

// constants are the reasons of Payments and accounts, by name.
func constants(t *testing.T) map[string]v1alpha1.Reason {
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
	all := constants(t)
	known := map[v1alpha1.Reason]bool{}
	for name, reason := range all {
		if known[reason] {
			t.Errorf("%s: two reasons are called %s", name, reason)
		}
		known[reason] = true
		_, said := reasons.Payment()[reason]
		places := 0
		for _, here := range []bool{said, slices.Contains(saidByAccounts, reason), slices.Contains(ofAccounts, reason)} {
			if here {
				places++
			}
		}
		if places != 1 {
			t.Errorf("%s is said in %d places; it belongs into api/reasons, or into one of the lists of this test", name, places)
		}
		// kstatus and `kubectl wait` show it: one word in CamelCase (KEP-1623).
		if !regexp.MustCompile(`^[A-Z][A-Za-z]{3,}$`).MatchString(reason) {
			t.Errorf("%s is written %q", name, reason)
		}
	}
	for reason := range reasons.Payment() {
		if !known[reason] {
			t.Errorf("a message for %s, which is no reason", reason)
		}
	}
}

func TestReasonsOfAccounts(t *testing.T) {
	files, err := filepath.Glob("../account/[a-z]*.go")
	must(t, err)
	used := map[v1alpha1.Reason]bool{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		must(t, err)
		for name, reason := range constants(t) {
			if !strings.HasSuffix(path, "_test.go") && regexp.MustCompile(`v1alpha1\.`+name+`\b`).Match(text) {
				used[reason] = true
			}
		}
	}
	for reason := range used {
		if _, said := reasons.Payment()[reason]; !said && !slices.Contains(saidByAccounts, reason) && !slices.Contains(ofAccounts, reason) {
			t.Errorf("package account gives %s, which has no message", reason)
		}
	}
	for _, reason := range saidByAccounts {
		if !used[reason] {
			t.Errorf("package account never gives %s", reason)
		}
	}
}

func TestFailureReasons(t *testing.T) {
	known := slices.Collect(maps.Values(constants(t)))
	for _, m := range written(t, "../../providers/provider.go", `(?m)^\tFailure\w+ +FailureReason = "(\w+)"`) {
		reason := attempt.RefusalReason(&providers.Error{Failure: providers.FailureReason(m[1])})
		if _, said := reasons.Payment()[reason]; !said || !slices.Contains(known, reason) {
			t.Errorf("%s becomes %s, which is no reason", m[1], reason)
		}
	}
}

func TestDocumentedReasons(t *testing.T) {
	section := written(t, "../../docs/payment.md", `(?s)\n## Reasons\n(.*?)(?:\n## |$)`)[0][1]
	rows := map[v1alpha1.Reason]int{}
	for _, m := range regexp.MustCompile("(?m)^\\| *`(\\w+)` *\\|(.*)$").FindAllStringSubmatch(section, -1) {
		rows[m[1]]++
		if cells := strings.Split(strings.Trim(m[2], " |"), "|"); len(cells) < 3 || slices.ContainsFunc(cells, func(c string) bool { return strings.TrimSpace(c) == "" }) {
			t.Errorf("%s: the row does not say where, what and what to do", m[1])
		}
	}
	for name, reason := range constants(t) {
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

// The API server refuses the operator's own write, of the record before the send or of the
// answer: the Payment says so, with the class of the refusal, and it is Stalled. Once the
// cause is gone it goes on, and nothing is lost or asked for twice.
func TestK5f_RecordRefused(t *testing.T) {
	kind := v1alpha1.SchemeGroupVersion.WithKind("Charge").GroupKind()
	resource := v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource()
	for class, refusal := range map[string]error{
		"Forbidden": apierrors.NewForbidden(resource, "x", errors.New("a policy says no")), "Invalid": apierrors.NewInvalid(kind, "x", nil),
		"InternalError": apierrors.NewInternalError(errors.New("failed calling webhook")), "Unauthorized": apierrors.NewUnauthorized("expired"),
		"MethodNotAllowed": apierrors.NewMethodNotSupported(resource, "create"), "RequestEntityTooLarge": apierrors.NewRequestEntityTooLargeError("too much"),
	} {
		for _, provider := range allProviders {
			for verb, phase := range map[string]v1alpha1.Phase{"create Charge": v1alpha1.PhasePending, "update Charge": v1alpha1.PhaseProcessing} {
				t.Run(fmt.Sprintf("%s/%s/%s", provider, verb, class), func(t *testing.T) {
					w := newWorld(t)
					w.payerPays = true
					w.OnPoint = func(_ int, label string, after bool) error {
						if label == verb && !after {
							return refusal
						}
						return nil
					}
					w.payment("sale", provider, "1902")
					w.until("sale", 20*time.Second, never)
					p := w.get("sale")
					expectPhase(t, p, phase, v1alpha1.ReasonRecordRefused)
					if c := condition(p, v1alpha1.ConditionStalled); c == nil || !strings.Contains(c.Message, class) {
						t.Errorf("%+v", p.Status.Conditions)
					}
					if named := strings.Contains(fmt.Sprint(w.Errs), looptest.Shop+"/sale"); !named {
						t.Errorf("no error names the Payment: %v", w.Errs)
					}
					w.OnPoint, w.Errs = nil, nil
					expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
					if n := w.asked(); n != 1 || w.charges("sale") != 1 {
						t.Errorf("asked %d times, charged %d times", n, w.charges("sale"))
					}
				})
			}
		}
	}
}

// What an answer says that does not tell whether the request was taken is shown as long as
// nobody knows, and as the end of what nobody could pay.
func TestK5_AnswersThatSayNothingAreShown(t *testing.T) {
	for _, provider := range allProviders {
		for said, answer := range map[string]simulator.Behaviour{
			"initiate (HTTP 500, code SOMETHING_NEW)": {Status: 500, Body: ptr.To(`{"code":"SOMETHING_NEW"}`)}, "initiate (HTTP 503)": {Status: 503, Body: ptr.To("<html>")},
		} {
			w := newWorld(t)
			answer.Unprocessed = true
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, answer)
			w.payment("sale", provider, "1902")
			w.until("sale", time.Minute, never)
			expectPhase(t, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonProviderUnreachable)
			early := condition(w.get("sale"), v1alpha1.ConditionSucceeded).Message
			p := w.settle("sale", 5*time.Hour)
			if late := condition(p, v1alpha1.ConditionSucceeded).Message; !strings.Contains(early, said) || p.Status.Phase != v1alpha1.PhaseUnknown && !strings.Contains(late, said) {
				t.Errorf("%s: %q, and in the end %s: %q", provider, early, p.Status.Phase, late)
			}
		}
	}
}

// K5a, K5b: what the key says of its wallet's country counts before anything is sent, and who
// collects for others names them.
func TestK5aK5b_WaveIsAskedForWhatItsWalletTakes(t *testing.T) {
	w := newWorld(t)
	w.EditMerchant("wave", func(m *v1alpha1.MerchantAccount) { m.Spec.Wave = &v1alpha1.WaveAccount{AggregatedMerchantID: "am-1"} })
	w.payment("gambian", "wave", "1902", func(p *v1alpha1.Payment) { p.Spec.Currency = "GMD" })
	expectPhase(t, w.settle("gambian", time.Hour), v1alpha1.PhaseFailed, v1alpha1.ReasonInvalidRequest)
	if w.asked() != 0 || w.charge("gambian") != nil {
		t.Errorf("asked %d times", w.asked())
	}
	w.payment("sale", "wave", "1902")
	w.until("sale", time.Minute, func() bool { return w.asked() > 0 })
	if body := string(w.Calls[len(w.Calls)-1].Body); !strings.Contains(body, `"aggregated_merchant_id":"am-1"`) {
		t.Error(body)
	}
	w.EditSecret("wave", func(data map[string][]byte) { data["apiKey"] = []byte("wave_gm_prod_other") })
	w.start()
	w.payment("other", "wave", "1902")
	w.until("other", time.Hour, never)
	expectPhase(t, w.get("other"), v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
}

// No provider's word gives a phone away, whatever it writes for a code.
func TestCodesAreNoPhones(t *testing.T) {
	for _, reason := range []string{`"PAYER +225 05-01-02-03-04 REFUSED"`, `{"code":"NO_2250501020304"}`} {
		w := newWorld(t)
		w.payment("sale", "mtn", "1902")
		w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, simulator.Behaviour{Body: ptr.To(
			`{"status":"FAILED","externalId":"sale","amount":"1902","currency":"EUR","reason":` + reason + `}`)})
		expectPhase(t, w.settle("sale", time.Hour), v1alpha1.PhaseFailed, v1alpha1.ReasonProviderRefused)
	}
}

func TestK5g_UnknownProviderIsStalled(t *testing.T) {
	w := newWorld(t)
	w.payment("sale", "orange-money", "1902")
	p := w.settle("sale", time.Hour)
	expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonProviderNotSupported)
	if condition(p, v1alpha1.ConditionStalled) == nil || condition(p, v1alpha1.ConditionReconciling) != nil {
		t.Errorf("%+v", p.Status.Conditions)
	}
}

// Nothing is recorded with credentials that do not work; and Charges of which nothing was
// sent are limited in each namespace, whatever else is in the way.
func TestK6a_UnsentCharges(t *testing.T) {
	for _, provider := range []string{"mtn", "orange"} { // Wave's key is tried with the search
		w := newWorld(t)
		w.secret(provider, false)
		for i := range 5 {
			name := fmt.Sprint("sale-", i)
			w.payment(name, provider, "1902")
			w.until(name, time.Minute, never)
			expectPhase(t, w.get(name), v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
			if w.charge(name) != nil {
				t.Errorf("%s: recorded with credentials that do not work", provider)
			}
		}
	}
	for _, provider := range allProviders {
		w := newWorld(t, func(s *attempt.Settings) { s.UnsentCharges = 3 })
		w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		for i := range 5 {
			name := fmt.Sprint("sale-", i)
			w.payment(name, provider, "1902")
			w.until(name, time.Second, never)
			w.Clock.Add(20 * time.Minute)
			w.until(name, time.Second, never)
		}
		expectPhase(t, w.get("sale-2"), v1alpha1.PhaseProcessing, v1alpha1.ReasonProviderThrottled)
		expectPhase(t, w.get("sale-3"), v1alpha1.PhasePending, v1alpha1.ReasonUnsentChargesLimited)
		if w.charge("sale-4") != nil {
			t.Errorf("%s: recorded beyond the limit", provider)
		}
		w.Sim.ClearScripts()
		w.payerPays = true
		w.Clock.Add(time.Hour)
		for _, name := range []string{"sale-0", "sale-3"} {
			expectPhase(t, w.settle(name, time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		}
	}
}
