package payment

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

var askedFor = v1alpha1.ChargeSpec{
	ProviderReference: "ref-1",
	Money:             v1alpha1.Money{Amount: "5000", Currency: "XOF"},
}

func paidStatus(change func(*providers.Status)) providers.Status {
	st := providers.Status{
		State: providers.StateSucceeded, Reference: "ref-1", TransactionID: "tx-1",
		Money: providers.Money{Amount: "5000", Currency: "XOF"},
	}
	change(&st)
	return st
}

func TestSuccessNeedsWhatWasSent(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*providers.Status)
		paid   bool
	}{
		"as sent":                {func(*providers.Status) {}, true},
		"amount written else":    {func(s *providers.Status) { s.Money.Amount = "5000.00" }, true},
		"reference not echoed":   {func(s *providers.Status) { s.Reference = "" }, true},
		"another amount":         {func(s *providers.Status) { s.Money.Amount = "500" }, false},
		"more":                   {func(s *providers.Status) { s.Money.Amount = "5001" }, false},
		"no amount":              {func(s *providers.Status) { s.Money.Amount = "" }, false},
		"not a number":           {func(s *providers.Status) { s.Money.Amount = "5e3" }, false},
		"another currency":       {func(s *providers.Status) { s.Money.Currency = "XAF" }, false},
		"no currency":            {func(s *providers.Status) { s.Money.Currency = "" }, false},
		"another reference":      {func(s *providers.Status) { s.Reference = "ref-2" }, false},
		"currency of other case": {func(s *providers.Status) { s.Money.Currency = "xof" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			charge := &v1alpha1.Charge{Spec: askedFor}
			if !foldStatus(paidStatus(c.change), noon)(charge) {
				t.Fatal("nothing was recorded")
			}
			o, hold := charge.Record.Outcome, charge.Record.Hold
			if c.paid && (o == nil || o.Phase != v1alpha1.PhaseSucceeded || o.TransactionID != "tx-1" || o.Paid == nil || hold != nil) {
				t.Fatalf("outcome %+v, hold %+v", o, hold)
			}
			if !c.paid && (o != nil || hold == nil || hold.Reason != v1alpha1.ReasonAmountMismatch) {
				t.Fatalf("outcome %+v, hold %+v", o, hold)
			}
		})
	}
}

func TestOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		status providers.Status
		phase  v1alpha1.Phase
		reason string
		code   string
	}{
		"declined":                    {providers.Status{State: providers.StateFailed, Failure: providers.FailurePayerDeclined, Code: "X"}, v1alpha1.PhaseFailed, v1alpha1.ReasonPayerDeclined, "X"},
		"no funds":                    {providers.Status{State: providers.StateFailed, Failure: providers.FailureInsufficientFunds}, v1alpha1.PhaseFailed, v1alpha1.ReasonInsufficientFunds, ""},
		"not found":                   {providers.Status{State: providers.StateFailed, Failure: providers.FailurePayerNotFound}, v1alpha1.PhaseFailed, v1alpha1.ReasonPayerNotFound, ""},
		"limit":                       {providers.Status{State: providers.StateFailed, Failure: providers.FailureLimitReached}, v1alpha1.PhaseFailed, v1alpha1.ReasonLimitReached, ""},
		"not allowed":                 {providers.Status{State: providers.StateFailed, Failure: providers.FailureNotAllowed}, v1alpha1.PhaseFailed, v1alpha1.ReasonNotAllowed, ""},
		"no reason":                   {providers.Status{State: providers.StateFailed}, v1alpha1.PhaseFailed, v1alpha1.ReasonProviderRefused, ""},
		"expired":                     {providers.Status{State: providers.StateExpired, Code: "EXPIRED"}, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout, "EXPIRED"},
		"expired, after a failed try": {providers.Status{State: providers.StateExpired, Code: "expired", LastError: "insufficient-funds"}, v1alpha1.PhaseExpired, v1alpha1.ReasonPayerTimeout, "insufficient-funds"},
		"cancelled":                   {providers.Status{State: providers.StateCancelled}, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled, ""},
	} {
		t.Run(name, func(t *testing.T) {
			charge := &v1alpha1.Charge{Spec: askedFor}
			foldStatus(c.status, noon)(charge)
			o := charge.Record.Outcome
			if o == nil || o.Phase != c.phase || o.Reason != c.reason || o.Code != c.code || !o.At.Time.Equal(noon) {
				t.Fatalf("%+v", o)
			}
		})
	}
}

// No state that is not final, and no word without a mapping, ends a payment.
func TestUndecidedStaysUndecided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := providers.Status{
			State:        providers.State(rapid.SampledFrom([]string{"Pending", "NotStarted", "", "succeeded", "SUCCEEDED", "Paid"}).Draw(t, "state")),
			Unrecognized: rapid.Bool().Draw(t, "unrecognized"),
			Code:         providers.SafeCode(rapid.String().Draw(t, "code")),
			Money:        providers.Money{Amount: "5000", Currency: "XOF"},
		}
		charge := &v1alpha1.Charge{Spec: askedFor}
		foldStatus(st, noon)(charge)
		if charge.Record.Outcome != nil || charge.Record.Hold != nil {
			t.Fatalf("%+v ended as %+v", st, charge.Record)
		}
		if st.Unrecognized && (charge.Record.Notice == nil || charge.Record.Notice.Reason != v1alpha1.ReasonUnrecognizedStatus) {
			t.Fatal("the unknown word is not reported")
		}
	})
}

// Folds in any order, repeated or not: facts are added, never taken back.
func TestFoldsOnlyAdd(t *testing.T) {
	session := func(id string) fold { return foldSession(v1alpha1.ChargeSession{ID: id, At: micro(0)}) }
	refusal := v1alpha1.ChargeRefusal{Send: 1, Reason: v1alpha1.ReasonRequestRejected, At: micro(0)}
	folds := map[string]fold{
		"session a": session("a"),
		"session b": session("b"),
		"void":      foldVoid(1, v1alpha1.ReasonProviderUnreachable, "", noon),
		"refused":   foldRefusal(refusal, providers.FlowPush),
		"no URL":    foldRefusal(refusal, providers.FlowRedirect),
		"confirmed": foldRefusalConfirmed(noon),
		"hold":      foldHold(v1alpha1.ReasonLostInitiation, "", noon),
		"paid":      foldStatus(paidStatus(func(*providers.Status) {}), noon),
		"mismatch":  foldStatus(paidStatus(func(s *providers.Status) { s.Money.Amount = "1" }), noon),
		"declined":  foldStatus(providers.Status{State: providers.StateFailed}, noon),
		"expired":   foldExpired(noon),
		"pending":   foldStatus(providers.Status{State: providers.StatePending}, noon),
		"odd word":  foldStatus(providers.Status{State: providers.StatePending, Unrecognized: true, Code: "ODD"}, noon),
		"unreached": foldNotice(v1alpha1.ChargeNotice{Reason: v1alpha1.ReasonProviderUnreachable}, noon),
	}
	names := []string{}
	for name := range folds {
		names = append(names, name)
	}
	rapid.Check(t, func(t *rapid.T) {
		charge := &v1alpha1.Charge{Spec: askedFor}
		raise(charge, "me", "", noon)
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 12).Draw(t, "folds") {
			before := charge.DeepCopy()
			changed := folds[name](charge)
			if same := equal(before.Record, charge.Record); same == changed {
				t.Fatalf("%s says changed=%v: %+v → %+v", name, changed, before.Record, charge.Record)
			}
			if b := before.Record; b.Session != nil && !equal(b.Session, charge.Record.Session) ||
				b.Refusal != nil && !equal(b.Refusal, charge.Record.Refusal) ||
				b.Outcome != nil && !equal(b.Outcome, charge.Record.Outcome) ||
				b.Contradiction != nil && !equal(b.Contradiction, charge.Record.Contradiction) ||
				b.VoidSends > charge.Record.VoidSends {
				t.Fatalf("%s took something back: %+v → %+v", name, b, charge.Record)
			}
			if folds[name](charge) {
				t.Fatalf("%s changes something again", name)
			}
			if charge.Record.VoidSends > charge.Record.Sends {
				t.Fatalf("%s: more void sends than sends", name)
			}
		}
	})
}

func equal(a, b any) bool { return semantic(a) == semantic(b) }

func semantic(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestClip(t *testing.T) {
	if got := attempt.Clip("MP150709.1341.A00073\n\x1b[31m\u202e"); got != "MP150709.1341.A00073[31m" {
		t.Errorf("%q", got)
	}
	if got := attempt.Clip(strings.Repeat("é", 200)); len(got) > 255 || !strings.HasPrefix(strings.Repeat("é", 200), got) {
		t.Errorf("%d bytes", len(got))
	}
}

// recording is a recorder over a fake API with one Charge.
func recording(t *testing.T, funcs interceptor.Funcs) (attempt.Recorder, *v1alpha1.Charge, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, corev1.AddToScheme(scheme))
	must(t, v1alpha1.AddToScheme(scheme))
	c := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-x", UID: "u1"}, Spec: askedFor}
	api := fake.NewClientBuilder().WithScheme(scheme).WithObjects(c).Build()
	var stored v1alpha1.Charge
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(c), &stored))
	return attempt.Recorder{Writer: interceptor.NewClient(api, funcs), Live: api, Timeout: 2 * time.Second}, &stored, api
}

// Who loses a race merges the answer into what the winner wrote.
func TestCommitMergesAfterConflict(t *testing.T) {
	r, stale, api := recording(t, interceptor.Funcs{})
	winner := stale.DeepCopy()
	raise(winner, "other", "", noon)
	must(t, api.Update(t.Context(), winner))
	got, err := r.Commit(t.Context(), stale, foldSession(v1alpha1.ChargeSession{ID: "mine", At: micro(0)}))
	must(t, err)
	if got.Record.Sends != 1 || got.Record.Session == nil || got.Record.Session.ID != "mine" {
		t.Errorf("%+v", got.Record)
	}
}

func TestCommitKeepsTheFirstSession(t *testing.T) {
	r, stale, api := recording(t, interceptor.Funcs{})
	winner := stale.DeepCopy()
	foldSession(v1alpha1.ChargeSession{ID: "theirs", At: micro(0)})(winner)
	must(t, api.Update(t.Context(), winner))
	got, err := r.Commit(t.Context(), stale, foldSession(v1alpha1.ChargeSession{ID: "mine", At: micro(0)}))
	must(t, err)
	if got.Record.Session.ID != "theirs" {
		t.Errorf("%+v", got.Record.Session)
	}
}

// An answer belongs to the Charge that was asked for, not to one of its name.
func TestCommitRefusesAnotherCharge(t *testing.T) {
	r, stale, api := recording(t, interceptor.Funcs{})
	must(t, api.Delete(t.Context(), stale.DeepCopy()))
	if _, err := r.Commit(t.Context(), stale, foldExpired(noon)); err == nil {
		t.Error("recorded on a Charge that is gone")
	}
	must(t, api.Create(t.Context(), &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: "charge-x", UID: "u2"}, Spec: askedFor}))
	if _, err := r.Commit(t.Context(), stale, foldExpired(noon)); !errors.Is(err, attempt.ErrGone) {
		t.Errorf("error %v", err)
	}
}

// An API server that is away for a while loses no answer, and neither does a
// shutdown. One that has just started knows neither our rights nor the kind yet.
func TestCommitRetriesAndOutlivesShutdown(t *testing.T) {
	charges := v1alpha1.SchemeGroupVersion.WithResource("charges").GroupResource()
	for name, answer := range map[string]error{
		"away":           apierrors.NewServiceUnavailable("restarting"),
		"without rights": apierrors.NewForbidden(charges, "charge-x", errors.New("no")),
		"without kind":   apierrors.NewGenericServerResponse(http.StatusNotFound, "put", charges, "charge-x", "404 page not found", 0, true),
	} {
		tries := 0
		r, charge, _ := recording(t, interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			if tries++; tries < 3 {
				return answer
			}
			return c.Update(ctx, o, opts...)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		got, err := r.Commit(ctx, charge, foldExpired(noon))
		if err != nil || got.Record.Outcome == nil || tries != 3 {
			t.Errorf("%s: %d tries, %v, %+v", name, tries, err, got.Record)
		}
	}
}

func TestCommitGivesUp(t *testing.T) {
	for name, answer := range map[string]error{
		"at the limit":   apierrors.NewServiceUnavailable("down"),
		"when forbidden": apierrors.NewForbidden(schema.GroupResource{}, "charge-x", nil),
	} {
		r, charge, _ := recording(t, interceptor.Funcs{Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return answer }})
		r.Timeout = 100 * time.Millisecond
		if _, err := r.Commit(t.Context(), charge, foldExpired(noon)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
