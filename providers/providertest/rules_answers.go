package providertest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

func answerRules() []rule {
	return []rule{
		{name: "status-words", says: "Every documented status answer has its State, Failure and Code.", check: func(t T, w *world) {
			checkWords(t, w, asking(), w.facts.Statuses)
		}},
		{name: "unknown-words", says: "A status word that is not documented is Pending and Unrecognized.", check: func(t T, w *world) {
			checkUnknownWord(t, w, asking(), w.facts.UnknownWord, w.facts.Statuses)
		}},
		{name: "refusals", says: "Every documented answer that says no has its Class, Code, Failure, Field and Fault, and is not asked for twice. Without a token nothing is sent.", check: checkRefusals},
		{name: "garbage", says: "An answer that is a page, cut, empty, doubled or of other types is an Unknown error and no verdict.", check: checkGarbage},
		{name: "random-answers", says: "No answer makes the client panic, none that is made up is a verdict or hands out what cannot be used, whatever its status. No error shows one; each names operation, HTTP status, whose fault it is, and what people have to correct.", check: checkRandomAnswers},
		{name: "throttled", says: "429 is Throttled, with RetryAfter from seconds or from a date, of 15 minutes at most; other errors have it, too.", check: checkThrottled},
		{name: "redaction", says: "No error and no printed answer holds a credential, token, payer, or payment URL, in whatever form.", check: checkRedaction},
	}
}

func checkWords(t T, w *world, o operation, words []Word) {
	if len(words) == 0 {
		t.Fatalf("there are no documented words for %s", o.op)
	}
	names := map[string]bool{}
	for _, word := range words {
		if names[word.Name] {
			t.Errorf("%s comes twice", word.Name)
		}
		names[word.Name] = true
		s, err := o.run(t, w, edited(word.Answer))
		got := s.status
		got.Money, got.Reference, got.TransactionID, got.CompletedAt = providers.Money{}, "", "", time.Time{}
		if err != nil || got != word.Want {
			t.Errorf("%s: %+v, %v; want %+v", word.Name, got, err, word.Want)
		}
	}
}

func checkUnknownWord(t T, w *world, o operation, edit func(string) Edit, known []Word) {
	s := o.ready(t, w)
	property(t, func(r *rapid.T) {
		word := rapid.OneOf(
			rapid.StringMatching(`[A-Za-z_]{1,20}`), rapid.String(),
			rapid.SampledFrom([]string{
				"REVERSED", "ON_HOLD", "Success", "success", "SUCCESS ", "SUCCESSFUL ", "Succeeded", "SUCCEEDED", "COMPLETED", "COMPLETE", "completed",
				"REJECTED", "TIMEOUT", "ONGOING", "DELAYED", "CANCELED", "PAID", "ok", "null", "true",
			}),
		).Draw(r, "word")
		if slices.ContainsFunc(known, func(w Word) bool { return w.Name == word }) || word == "" {
			return
		}
		// Not JSON's own words for it: any error is fine, and no verdict.
		err := o.again(r, w, s, edited(edit(word)))
		if err != nil || s.status.State != providers.StatePending || !s.status.Unrecognized {
			r.Fatalf("%q: %+v, %v", word, s.status, err)
		}
		if code := s.status.Code; code != providers.SafeCode(code) || !strings.HasPrefix(code, providers.SafeCode(word)) {
			r.Fatalf("%q: the code is %q", word, code)
		}
	})
}

func checkRefusals(t T, w *world) {
	if len(w.facts.Refusals) == 0 {
		t.Fatalf("there are no documented refusals")
	}
	names, probes := map[string]bool{}, w.probes(t)
	for _, refusal := range w.facts.Refusals {
		name := fmt.Sprint(refusal, refusal.Answer.Header)
		if names[name] {
			t.Errorf("%s comes twice", refusal)
		}
		names[name] = true
		i := slices.IndexFunc(probes, func(p probe) bool { return p.op == refusal.Op })
		if i < 0 {
			t.Fatalf("%s: the provider has no %s", refusal, refusal.Op)
		}
		_, err := probes[i].answered(t, w, refusal.Answer)
		checkRefusal(t, refusal, err)
		for token, o := range map[Op]operation{OpPrepare: initiating(), OpPrepareRefund: refunding()} {
			if token == refusal.Op {
				checkRefusal(t, refusal, w.withoutToken(t, o, refusal.Answer))
			}
		}
	}
}

func checkRefusal(t T, want Refusal, err error) {
	t.Helper()
	e := providers.AsError(err)
	if err == nil || e.Class != want.Class || e.Code != want.Code || e.Failure != want.Failure {
		t.Errorf("%s: %v (%s), want %s %s %s", want, err, e.Failure, want.Class, want.Code, want.Failure)
	}
	if fault := cmp.Or(want.Fault, want.Class.Fault()); e.Field != want.Field || e.Fault != fault {
		t.Errorf("%s: field %q, fault %s; want %q, %s", want, e.Field, e.Fault, want.Field, fault)
	}
	for _, words := range want.Says {
		if !strings.Contains(e.Detail, words) {
			t.Errorf("%s: %q does not say %q", want, e.Detail, words)
		}
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
		t.Errorf("%s: the provider's text is shown: %v", want, err)
	}
	diagnosed(t, want.String(), want.Op, err, want.Answer.Status)
}

var operationsOf = map[Op]providers.Operation{
	OpPrepare: providers.OpToken, OpInitiate: providers.OpInitiate, OpStatus: providers.OpStatus, OpSearch: providers.OpSearch,
	OpCancel: providers.OpCancel, OpPrepareRefund: providers.OpToken, OpRefund: providers.OpRefund, OpRefundStatus: providers.OpRefundStatus,
}

// diagnosed fails the test unless an error says where it comes from, whose fault it is and, where
// people have to correct something, what.
func diagnosed(t rapid.TB, name string, op Op, err error, status int) {
	t.Helper()
	e := providers.AsError(err)
	if e.Operation != operationsOf[op] || e.HTTPStatus != status || e.Fault == "" {
		t.Errorf("%s, %s: operation %q, HTTP %d, fault %q", op, name, e.Operation, e.HTTPStatus, e.Fault)
	}
	if e.Class == providers.ClassMisconfigured && e.Detail == "" {
		t.Errorf("%s, %s: it does not say what to correct: %v", op, name, err)
	}
}

// withoutToken moves money where the provider gives out no token: nothing is sent.
func (w *world) withoutToken(t T, o operation, a providers.Answer) (err error) {
	t.Helper()
	fresh := w.fresh()
	defer fresh.noLeaks(t)
	s := o.ready(t, fresh)
	fresh.client = fresh.clientOf(t, fresh.facts.Account) // has none of its own yet
	mark := fresh.wire.mark()
	fresh.wire.during(says(a).at(isToken), func() {
		err = fresh.call(o.op, func(ctx context.Context) error { return o.do(ctx, fresh, s) })
	})
	if n := len(fresh.wire.since(mark)); n != 1 {
		t.Errorf("%s without a token sends %d requests", o.op, n)
	}
	return err
}

func (w *world) preparing(op Op) (func(context.Context) error, error) {
	if p, ok := w.client.(providers.Preparer); ok && op == OpPrepare {
		return p.Prepare, nil
	}
	if p, ok := w.client.(providers.RefundPreparer); ok && op == OpPrepareRefund {
		return p.PrepareRefund, nil
	}
	return nil, fmt.Errorf("the provider has no %s", op)
}

// garbage that is never a good answer. Where the documented answer is empty,
// what matters is that a page is not taken for it.
func garbage() map[string]Edit {
	return map[string]Edit{
		"page":    func(a providers.Answer) providers.Answer { return Page(a.Status) },
		"list":    withBody(`[]`),
		"text":    withBody(`"OK"`),
		"cut":     withBody(`{"status":"SUCC`),
		"binary":  withBody("\x1f\x8b\x08\x00\xff\xfe"),
		"two":     withBody(`{}{}`),
		"deep":    withBody(strings.Repeat(`{"a":`, 10_000)),
		"doubled": withBody(`{"status":"FAILED","status":"SUCCESSFUL"}`),
	}
}

// damage of an answer that says something.
func damage() map[string]Edit {
	return map[string]Edit{
		"empty": withBody(""), "blank": withBody(" \n"), "object": withBody("{}"), "null": withBody("null"),
		"half": halved, "fields doubled": doubled, "other types": retyped,
		"trailing": func(a providers.Answer) providers.Answer {
			a.Body = append(slices.Clone(a.Body), " <!-- proxy -->"...)
			return a
		},
	}
}

func checkGarbage(t T, w *world) {
	probes := w.probes(t)
	for i, o := range w.operations() {
		s := o.ready(t, w)
		good, err := w.answer(t, o, s)
		if err != nil {
			t.Fatalf("%s: %v", o.op, err)
		}
		kinds := garbage()
		if len(good.Body) > 0 {
			for name, edit := range damage() {
				kinds[name] = edit
			}
		}
		for name, edit := range kinds {
			s := o.ready(t, w)
			err := o.again(t, w, s, edited(edit))
			tolerated := false
			if name == "object" && o.readsStatus() {
				tolerated = s.status.Unrecognized && !s.status.State.Final()
			}
			if !tolerated {
				wantClass(t, fmt.Sprint(o.op, ", ", name), err, providers.ClassUnknown)
			}
			if s.status.State.Final() {
				t.Errorf("%s, %s: a verdict: %+v", o.op, name, s.status)
			}
		}
		for _, edit := range oddities(good) {
			_, _ = probes[i].answered(t, w, edit(good))
		}
	}
}

func (w *world) answer(t T, o operation, s *subject) (good providers.Answer, err error) {
	err = o.again(t, w, s, edited(func(a providers.Answer) providers.Answer { good = a; return a }))
	return good, err
}

// oddities leave an answer readable for some: whoever reads it must find the same in it, or nothing.
func oddities(good providers.Answer) map[string]Edit {
	huge := strings.Repeat("9", 1<<16)
	out := map[string]Edit{
		"huge":        Set(map[string]any{"huge": huge, "amount": json.Number(huge)}),
		"more fields": Set(map[string]any{"unheard_of": map[string]any{"status": "FAILED"}}),
		"other content type": func(a providers.Answer) providers.Answer {
			return withHeader(a, "Content-Type", "text/html")
		},
	}
	fields := map[string]json.RawMessage{}
	_ = json.Unmarshal(good.Body, &fields)
	for name := range fields {
		out[name+" of another type"] = Set(map[string]any{name: []any{true}})
		out["no "+name] = Set(map[string]any{name: nil})
	}
	return out
}

func anything() *rapid.Generator[[]byte] {
	word := rapid.SampledFrom([]string{"a", "id", "state", "data", "error", "code", "result", "x"})
	return rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 64),
		rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }),
		rapid.Map(rapid.MapOfN(word, rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Float64Range(-1e18, 1e18), func(f float64) any { return f }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
			rapid.Just[any](nil), rapid.Just[any](map[string]any{"a": 1}), rapid.Just[any]([]any{1, "a"}),
		), 0, 5), func(m map[string]any) []byte {
			b, _ := json.Marshal(m)
			return b
		}),
	)
}

func checkRandomAnswers(t T, w *world) {
	statuses := rapid.OneOf(rapid.SampledFrom([]int{200, 201, 202, 400, 409, 0, -1, 1 << 20}), rapid.IntRange(300, 399), rapid.IntRange(500, 599))
	for _, p := range w.probes(t) {
		for _, a := range answers() {
			_, _ = p.answered(t, w, a)
		}
		property(t, func(r *rapid.T) {
			a := providers.Answer{Status: statuses.Draw(r, "status"), Body: plantedIn(anything().Draw(r, "body"))}
			if rapid.Bool().Draw(r, "with header") {
				a = withHeader(a, rapid.SampledFrom([]string{"Retry-After", "Content-Type", "Location"}).Draw(r, "name"), rapid.String().Draw(r, "value"))
			}
			_, _ = p.answered(r, w, a)
		})
	}
}

func checkThrottled(t T, w *world) {
	inSeconds := withHeader(JSON(http.StatusTooManyRequests, "{}"), "Retry-After", "7")
	atDate := withHeader(Page(http.StatusTooManyRequests), "Retry-After", w.Now().Add(90*time.Second).UTC().Format(http.TimeFormat))
	check := func(what Op, err error, low, high time.Duration) {
		e := providers.AsError(err)
		if err == nil || e.HTTPStatus == http.StatusTooManyRequests && e.Class != providers.ClassThrottled || e.RetryAfter < low || e.RetryAfter > high {
			t.Errorf("%s: %v, retry after %s", what, err, e.RetryAfter)
		}
	}
	for _, p := range w.probes(t) {
		if p.op != opCheck {
			_, err := p.answered(t, w, inSeconds)
			check(p.op, err, 7*time.Second, 7*time.Second)
		}
	}
	_, err := initiating().run(t, w, says(JSON(http.StatusTooManyRequests, "")))
	check(OpInitiate, err, 0, 0)
	_, err = initiating().run(t, w, says(withHeader(JSON(http.StatusServiceUnavailable, ""), "Retry-After", "999999999")))
	check(OpInitiate, err, 15*time.Minute, 15*time.Minute)
	fresh := w.fresh() // where the clock did not move
	_, err = initiating().run(t, fresh, says(atDate))
	check(OpInitiate, err, 89*time.Second, 91*time.Second)
}
