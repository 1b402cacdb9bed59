package providertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// opCheck is the one call that is no operation of a payment or refund.
const opCheck Op = "CheckAccount"

// probe is a call that may be answered with anything.
type probe struct {
	op       Op
	on       func(Role) bool // the requests that are answered so
	question bool
	call     func(w *world) (subject, error)
}

// probes are all calls of the provider, in situations in which they work.
func (w *world) probes(t rapid.TB) []probe {
	t.Helper()
	w.client = w.clientOf(t, w.facts.Account)
	w.wire.during(edited(func(a providers.Answer) providers.Answer { w.token = a; return a }).at(isToken), func() { w.warm(t) })
	var all []probe
	for _, o := range w.operations() {
		ready := *o.ready(t, w)
		all = append(all, probe{o.op, noToken, o.question(), func(w *world) (subject, error) {
			s := ready
			err := w.call(o.op, func(ctx context.Context) error { return o.do(ctx, w, &s) })
			return s, err
		}})
	}
	for _, op := range []Op{OpPrepare, OpPrepareRefund} {
		if _, err := w.preparing(op); err != nil {
			continue
		}
		all = append(all, probe{op, isToken, false, func(w *world) (subject, error) {
			prepare, err := w.preparing(op)
			if err == nil {
				err = w.call(op, prepare)
			}
			return subject{}, err
		}})
	}
	if w.profile().checker {
		all = append(all, probe{opCheck, noToken, false, func(w *world) (subject, error) { return subject{}, w.checkAccount() }})
	}
	return all
}

// answered makes the call as a client does that has no token yet, and judges what came of the answer:
// nothing is taken for a decision that it does not say in the documented words, no session is
// handed out that cannot be used, and no error shows more of it than its code.
func (p probe) answered(t rapid.TB, w *world, a providers.Answer) (s subject, err error) {
	t.Helper()
	defer func(before providers.Provider) { w.client = before }(w.client)
	w.client, w.wire.sent = w.clientOf(t, w.facts.Account), nil
	fired := 0
	call := func() { fired = w.wire.during(says(a).at(p.on), func() { s, err = p.call(w) }) }
	if p.on(RoleToken) {
		call()
	} else {
		w.wire.during(says(w.token).at(isToken), call)
	}
	most := 1
	if p.question && providers.ClassOf(err) == providers.ClassMisconfigured {
		most = 2 // once more, with another token
	}
	switch {
	case fired > most:
		t.Errorf("%s is sent %d times after HTTP %d %q", p.op, fired, a.Status, a.Body)
	case fired == 0: // there is no such question
		if p.op != opCheck {
			t.Errorf("%s sends nothing", p.op)
		}
	case err != nil:
		if s.status != (providers.Status{}) || len(s.sessions) > 0 || p.op == OpInitiate && s.payment.Initiation != (providers.Initiation{}) {
			t.Errorf("%s: %v, and %+v", p.op, err, s)
		}
		w.judgeRefusal(t, p.op, a, err)
	default:
		w.judgeSuccess(t, p.op, a, s)
	}
	return s, err
}

// judgeRefusal: only a documented answer is a definite one.
func (w *world) judgeRefusal(t rapid.TB, op Op, a providers.Answer, err error) {
	t.Helper()
	e, token := providers.AsError(err), op == OpPrepare || op == OpPrepareRefund
	harmless := []providers.Class{providers.ClassUnknown}
	switch {
	case token: // whoever needed it sent nothing
		harmless = []providers.Class{providers.ClassNotSent}
	case op == opCheck:
		harmless = append(harmless, providers.ClassMisconfigured, providers.ClassThrottled)
	}
	code := said(a.Body, "code")
	documented := func(r Refusal) bool {
		status := r.Answer.Status == a.Status
		if r.Code != "" && !token {
			status = r.Code == code && (status || r.Answer.Status/100 == 4 && a.Status/100 == 4)
		}
		return status && r.Op == op && r.Class == e.Class
	}
	if !slices.Contains(harmless, e.Class) && !slices.ContainsFunc(w.facts.Refusals, documented) {
		t.Errorf("%s: %v for HTTP %d %q", op, err, a.Status, a.Body)
	}
	if op != opCheck {
		diagnosed(t, fmt.Sprintf("HTTP %d %q", a.Status, a.Body), op, err, a.Status)
	}
	if wait := e.RetryAfter; wait != 0 && (wait < time.Second || wait > 15*time.Minute) {
		t.Errorf("%s: wait %s", op, wait)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", err, err), planted) {
		t.Errorf("%s: %v shows %q", op, err, a.Body)
	}
}

// judgeSuccess: no error needs a documented success.
func (w *world) judgeSuccess(t rapid.TB, op Op, a providers.Answer, s subject) {
	t.Helper()
	object := map[string]json.RawMessage{}
	if isObject := json.Unmarshal(a.Body, &object) == nil; a.Status/100 != 2 || !isObject && len(bytes.TrimSpace(a.Body)) > 0 {
		t.Errorf("%s: HTTP %d %q is no error", op, a.Status, a.Body)
	}
	switch op {
	case OpInitiate:
		if w.facts.Kind.Traits.Flow == providers.FlowRedirect {
			in := s.payment.Initiation
			w.judgeSession(t, a.Body, in.Session)
			if token := in.NotificationToken; token != "" && !isUsable(a.Body, token.Reveal(), 255) {
				t.Errorf("%s: notification token %q", a.Body, token.Reveal())
			}
			if in.PaymentURL == "" {
				t.Errorf("%s: no page", a.Body)
			}
		}
	case OpStatus, OpRefundStatus:
		w.judgeStatus(t, op, a.Body, s.status)
	case OpSearch:
		var found []json.RawMessage
		if err := json.Unmarshal(object[w.facts.List], &found); err != nil || len(found) != len(s.sessions) {
			t.Fatalf("%s: %d sessions", a.Body, len(s.sessions))
		}
		for i, session := range s.sessions {
			w.judgeSession(t, found[i], session)
			if session.Status.Reference != s.payment.Request.Reference {
				t.Errorf("%s: a session of %q", a.Body, session.Status.Reference)
			}
		}
	case OpPrepare, OpPrepareRefund:
		if said(a.Body, "access_token") == "" {
			t.Errorf("%q has a token", a.Body)
		}
	default:
	}
}

// judgeSession: a page that a browser opens safely, a token or an id that was sent.
func (w *world) judgeSession(t rapid.TB, body []byte, s providers.Session) {
	t.Helper()
	page, err := url.Parse(s.PaymentURL.Reveal())
	if s.PaymentURL != "" && (err != nil || page.Host == "" || page.Scheme != "https" && page.Scheme != "http" || !isUsable(body, s.PaymentURL.Reveal(), 2048)) {
		t.Errorf("%s: page %q", body, s.PaymentURL.Reveal())
	}
	if id := cmp.Or(s.ID, s.Token.Reveal()); !isUsable(body, id, 255) || s.ID != "" && (strings.ContainsAny(s.ID, "/?#%") || strings.Trim(s.ID, ".") == "") {
		t.Errorf("%s: session %q", body, id)
	}
	if s.Status != nil {
		w.judgeStatus(t, OpStatus, body, *s.Status)
	}
}

// isUsable tells whether a text was sent, and can be sent back.
func isUsable(body []byte, text string, longest int) bool {
	fields := map[string]any{}
	_ = json.Unmarshal(body, &fields)
	sent := false
	for _, v := range fields {
		sent = sent || v == text
	}
	return sent && text != "" && len(text) <= longest && !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

// judgeStatus: the state is what the words say, the reference is what is echoed, and so is the
// money; what is not told of it is the question's, or none.
func (w *world) judgeStatus(t rapid.TB, op Op, body []byte, got providers.Status) {
	t.Helper()
	want := w.facts.Read(op, func(path ...string) string { return said(body, path...) })
	if got.State != want.State || (got.Failure != "") != (want.State == providers.StateFailed) {
		t.Errorf("%s %s: %+v", op, body, got)
	}
	asked := w.money(t, w.facts.Request.Money.Amount)
	x, _ := new(big.Rat).SetString(got.Money.Amount)
	y, ok := new(big.Rat).SetString(cmp.Or(want.Money.Amount, asked.Amount))
	sameCurrency := got.Money.Currency == cmp.Or(want.Money.Currency, asked.Currency)
	if got.Money != (providers.Money{}) && (!ok || x == nil || x.Cmp(y) != 0 || !sameCurrency) {
		t.Errorf("%s: %v", body, got.Money)
	}
	if got.Reference != want.Reference && got.Reference != "unreadable" {
		t.Errorf("%s: %q", body, got.Reference)
	}
}

// said is the string or number that a JSON object has under a key, read without the code under
// test; empty where there is none, or two.
func said(body []byte, path ...string) string {
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); !json.Valid(body) || err != nil || first != json.Delim('{') {
		return ""
	}
	var found []json.RawMessage
	for d.More() {
		key, _ := d.Token()
		var value json.RawMessage
		_ = d.Decode(&value) // it is valid
		if strings.EqualFold(fmt.Sprint(key), path[0]) {
			found = append(found, value)
		}
	}
	var text string
	switch {
	case len(found) != 1:
		return ""
	case len(path) > 1:
		return said(found[0], path[1:]...)
	case json.Unmarshal(found[0], &text) == nil:
		return text
	case found[0][0] == '-' || found[0][0] >= '0' && found[0][0] <= '9':
		return string(found[0])
	}
	return ""
}

// planted is what no error may show of an answer.
const planted = "canary!"

func plantedIn(body []byte) []byte {
	rest, isObject := bytes.CutPrefix(body, []byte("{"))
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return body
	case !isObject:
		return append(slices.Clone(body), planted...)
	case bytes.HasPrefix(bytes.TrimSpace(rest), []byte("}")):
		return slices.Concat([]byte(`{"`+planted+`":"`+planted+`"`), rest)
	}
	return slices.Concat([]byte(`{"`+planted+`":"`+planted+`",`), rest)
}

// FuzzAnswers answers every call of the provider with what the fuzzer makes of the documented answers.
func FuzzAnswers(f *testing.F, factory Factory) {
	w := newWorld(f, factory)
	probes, seen := w.probes(f), map[string]bool{}
	for i, p := range probes {
		for _, a := range w.seeds(f, p.op) {
			if text := fmt.Sprint(a.Status, string(a.Body)); !seen[text] || p.op == OpInitiate || p.op == OpRefund {
				seen[text] = true
				f.Add(uint8(i), a.Status, a.Header.Get("Retry-After"), a.Body)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, wait string, body []byte) {
		w.t = t
		clear(w.shown) // what is shown is the rules' business
		a := providers.Answer{Status: status, Body: plantedIn(body)}
		_, _ = probes[int(which)%len(probes)].answered(t, w, withHeader(a, "Retry-After", wait))
	})
}

// seeds are the documented answers to a call, and damaged ones.
func (w *world) seeds(t T, op Op) []providers.Answer {
	out := []providers.Answer{withHeader(JSON(429, "{}"), "Retry-After", "Fri, 01 May 2026 12:01:00 GMT"), withHeader(Page(503), "Retry-After", "-1")}
	for _, r := range w.facts.Refusals {
		if r.Op == op {
			out = append(out, r.Answer)
		}
	}
	o, ok := w.operation(op)
	if !ok {
		return append(out, JSON(200, `{"access_token":"a b"}`), JSON(200, `{"access_token":"t","expires_in":-1}`))
	}
	good, err := w.answer(t, o, o.ready(t, w))
	if err != nil {
		t.Fatalf("%s: %v", op, err)
	}
	words := map[Op][]Word{OpStatus: w.facts.Statuses, OpRefundStatus: w.facts.RefundStatuses}[op]
	for _, word := range words {
		out = append(out, word.Answer(good))
	}
	out = append(out, good)
	for _, edits := range []map[string]Edit{garbage(), damage(), oddities(good), w.facts.Echoes} {
		for name, edit := range edits {
			if name != "huge" && name != "deep" {
				out = append(out, edit(good))
			}
		}
	}
	return out
}

// FuzzCallbacks: no callback counts without its proof, and it says nothing but its own words.
func FuzzCallbacks(f *testing.F, factory Factory) {
	w := newWorld(f, factory)
	p, c := w.paid(f), w.facts.Callbacks
	for _, body := range []string{
		string(c.Body(p)), "", "{}", "[]", "null", "<html>", `{"id":`, `{"status":{}}`, `{"type":7}`, `{"status":"\u001b[31m","status":"B"}`,
		`{"type":"checkout.session.completed","data":{"id":7}}`, `{"type":"test.test_event","data":"x"}`, strings.Repeat(`{"a":`, 1000),
	} {
		for i, header := range []string{"", "t=1,t=2,v1=,v1=zz", "t=9223372036854775808,v1=00", ",,=,;", "v0=aa", strings.Repeat("v1=00,", 17), "Bearer "} {
			f.Add([]byte(body), header, int64(i-3)*110)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, header string, seconds int64) {
		w.t = t
		late := time.Duration(seconds%1000) * time.Second
		cb := c.Prove(body, p, w.Now())
		cb.Now = w.Now().Add(late)
		err := w.judgeCallback(t, cb)
		if token := p.Initiation.NotificationToken; token != "" && !isBad(err) && !isUsable(body, token.Reveal(), 255) {
			t.Errorf("%q is taken without its token", body)
		}
		if signed := c.Window > 0; signed {
			if inTime := late <= c.Window && late >= -c.Ahead; isBad(err) == inTime {
				t.Errorf("%q, %s late: %v", body, late, err)
			}
			forged := cb
			forged.Header = http.Header{"Authorization": {header}}
			for name := range cb.Header {
				forged.Header.Set(name, header)
			}
			if err := w.judgeCallback(t, forged); !isBad(err) {
				t.Errorf("%q is taken with %q: %v", body, header, err)
			}
		}
		bare := providers.CallbackRequest{Body: body, Header: cb.Header, Now: cb.Now}
		if err := w.judgeCallback(t, bare); len(c.Forgeries) > 0 && !isBad(err) {
			t.Errorf("%q is taken where no secret is known: %v", body, err)
		}
	})
}

// judgeCallback: what is verified says what its body says, and anything else says nothing.
func (w *world) judgeCallback(t rapid.TB, cb providers.CallbackRequest) error {
	t.Helper()
	got, err := w.parse(t, cb)
	claim, event := providers.SafeCode(said(cb.Body, w.facts.Callbacks.Claim)), providers.SafeCode(said(cb.Body, "id"))
	switch {
	case err != nil:
		if !isUnreadable(err) || got != (providers.Callback{}) {
			t.Errorf("%q: %+v, %v", cb.Body, got, err)
		}
	case claim != "" && got.Claim != claim, got.Claim != providers.SafeCode(got.Claim), w.facts.Callbacks.EventIDs && got.EventID != event:
		t.Errorf("%q says %+v", cb.Body, got)
	}
	return err
}
