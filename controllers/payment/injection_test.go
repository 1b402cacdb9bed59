package payment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers"
)

// marker is in everything nasty, to be looked for where it must not be.
const marker = "Zqx"

// nasty draws what somebody writes who wants to end a header, leave a path, or add a
// field; mostly more than the CRD lets in, as if that were not there.
func nasty() *rapid.Generator[string] {
	pieces := []string{
		marker, "\r\nX-Evil: " + marker, "\n", "\x00", "\x1b[31m", "\u202e", "\u200b", "/../", "%2f", "%0d%0a", "?a=", "&b=", "#", "\"", "\\",
		"},{\"amount\":\"1\"", "javascript:", "https://", "user:pass@", "shop.example", "\u0665", "\uff15", " ", "\u043e", "'", "<", "\xff", "5000", "+225",
	}
	return rapid.Custom(func(t *rapid.T) string {
		return marker + strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 6).Draw(t, "pieces"), "")
	})
}

// maybeNasty is that, or what it should be: mostly, since a spec in which all is nasty comes as far as no provider.
func maybeNasty(t *rapid.T, label string, good ...string) string {
	if rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, label+" is nasty") {
		return nasty().Draw(t, label)
	}
	return rapid.SampledFrom(good).Draw(t, label)
}

var (
	derived = regexp.MustCompile(`^[A-Za-z0-9._/-]*$`)
	// What is asked for in a query is one of our own references.
	query = regexp.MustCompile(`^(client_reference=[A-Za-z0-9-]+)?$`)
	// What a header may hold: a token, a type, an id, or the URL of our own receiver.
	header = regexp.MustCompile(`^[A-Za-z0-9 ._:/=+;-]*$`)
)

// injected tells what of a call does not come from us; empty: nothing.
func injected(c providers.Call) string {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || strings.Contains(c.URL, marker) || !derived.MatchString(u.EscapedPath()) || !query.MatchString(u.RawQuery) || u.Fragment != "":
		return "the URL"
	case strings.Contains(u.Path, ".."):
		return "the path"
	}
	for name, values := range c.Header {
		for _, v := range append(values, name) {
			if strings.Contains(v, marker) || !header.MatchString(v) {
				return "the header " + name
			}
		}
	}
	if strings.HasPrefix(c.Header.Get("Content-Type"), "application/json") && len(c.Body) > 0 {
		return unknownField(c.Body)
	}
	return ""
}

// unknownField: a body is one JSON object of fields that the providers document, each once.
func unknownField(body []byte) string {
	known := []string{
		"amount", "currency", "externalId", "payer", "partyIdType", "partyId", "payerMessage", "payeeNote",
		"merchant_key", "order_id", "return_url", "cancel_url", "notif_url", "lang", "reference", "pay_token",
		"client_reference", "success_url", "error_url", "restrict_payer_mobile",
	}
	d := json.NewDecoder(bytes.NewReader(body))
	var object map[string]any
	if err := d.Decode(&object); err != nil || d.More() {
		return "a body that is not one object"
	}
	if payer, ok := object["payer"].(map[string]any); ok {
		for k, v := range payer {
			object[k] = v
		}
	}
	for k := range object {
		if !slices.Contains(known, k) || bytes.Count(body, []byte(`"`+k+`":`)) > 1 {
			return "the field " + k
		}
	}
	return ""
}

// Whatever a spec holds, paths and headers consist of what we derived, bodies are
// what the encoder made of it, and what others read of it holds no control character.
func TestH7WhateverASpecHoldsOnlyDerivedTextReachesPathsAndHeaders(t *testing.T) {
	sent := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		provider := rapid.SampledFrom([]string{"mtn", "orange", "wave"}).Draw(rt, "provider")
		w.payment("sale", provider, maybeNasty(rt, "amount", "5901", "5903"), func(p *v1alpha1.Payment) {
			p.Spec.Description = maybeNasty(rt, "description", "", "Two books")
			p.Spec.Reference = maybeNasty(rt, "reference", "", "order-1042")
			p.Spec.Phone = maybeNasty(rt, "phone", looptest.Phone)
			p.Spec.Currency = maybeNasty(rt, "currency", "", "XOF")
			p.Spec.ReturnURL = v1alpha1.BrowserURL(maybeNasty(rt, "returnURL", "", "https://shop.example/thanks"))
			p.Spec.CancelURL = v1alpha1.BrowserURL(maybeNasty(rt, "cancelURL", "", "https://shop.example/back"))
		})
		w.until("sale", 15*time.Minute, never)
		for _, c := range w.Calls {
			if what := injected(c); what != "" {
				rt.Fatalf("%s of %s is not ours: %q", what, c.Operation, c.URL)
			}
			sent[provider+" "+string(c.Operation)]++
		}
		for _, c := range w.get("sale").Status.Conditions {
			if strings.ContainsFunc(c.Message, func(r rune) bool { return r < ' ' || r > '~' }) || strings.Contains(c.Message, marker) {
				rt.Fatalf("H8: a condition holds what the user wrote: %q", c.Message)
			}
		}
	})
	for _, op := range []string{"mtn initiate", "orange initiate", "wave initiate"} {
		if sent[op] == 0 {
			t.Errorf("nothing came as far as %s: %v", op, sent)
		}
	}
}

// What is looked for is found.
func TestH7InjectionIsSeen(t *testing.T) {
	good := providers.Call{URL: "https://api.example/v1_0/requesttopay/4cec2d96", Header: map[string][]string{"Authorization": {"Bearer abc="}}}
	if what := injected(good); what != "" {
		t.Errorf("%s of a good call is refused", what)
	}
	for name, change := range map[string]func(*providers.Call){
		"path up":        func(c *providers.Call) { c.URL = "https://api.example/a/../b" },
		"encoded slash":  func(c *providers.Call) { c.URL = "https://api.example/a%2fb" },
		"query":          func(c *providers.Call) { c.URL += "?a=b" },
		"header":         func(c *providers.Call) { c.Header = map[string][]string{"X": {"a\r\nY: b"}} },
		"text of a user": func(c *providers.Call) { c.Header = map[string][]string{"X": {marker}} },
		"a field more":   func(c *providers.Call) { c.Header, c.Body = jsonHeader(), []byte(`{"amount":"1","admin":true}`) },
		"a field twice":  func(c *providers.Call) { c.Header, c.Body = jsonHeader(), []byte(`{"amount":"1","amount":"2"}`) },
		"an object more": func(c *providers.Call) { c.Header, c.Body = jsonHeader(), []byte(`{"amount":"1"}{"amount":"2"}`) },
	} {
		c := good
		change(&c)
		if injected(c) == "" {
			t.Errorf("%s is not seen", name)
		}
	}
}

func jsonHeader() map[string][]string {
	return map[string][]string{"Content-Type": {"application/json"}}
}

// A merchant who names a sale after the payer has told the cluster, and nobody else. The
// order number is told where there is a field for it.
func TestI6NamesDoNotLeave(t *testing.T) {
	const name, reference = "kouassi-yao", "INV-7"
	for _, provider := range []string{"mtn", "orange", "wave"} {
		w := newWorld(t)
		w.payment(name, provider, "5901", func(p *v1alpha1.Payment) { p.Spec.Reference = reference })
		w.until(name, time.Hour, never)
		expectPhase(t, w.get(name), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if len(w.Calls) < 2 {
			t.Fatalf("%s: only %d requests", provider, len(w.Calls))
		}
		told := false
		for _, call := range w.Calls {
			said := fmt.Sprint(call.URL, map[string][]string(call.Header), string(call.Body))
			told = told || strings.Contains(said, reference)
			if strings.Contains(strings.ToLower(said), "kouassi") || strings.Contains(said, looptest.Shop+"/") {
				t.Errorf("%s is told who pays in %s", provider, call.Operation)
			}
		}
		if told != (provider == "mtn") {
			t.Errorf("%s is told the order number: %t", provider, told)
		}
	}
}

// Who may read Payments may read the URL, while it is of use to the payer and no longer.
func TestI7PaymentURLIsGoneWhenThePaymentIsOver(t *testing.T) {
	for _, provider := range []string{"orange", "wave"} {
		for _, amount := range []string{"5901", "5903", "5906"} {
			w := newWorld(t)
			w.payment("sale", provider, amount)
			w.until("sale", time.Hour, func() bool { return w.get("sale").Status.NextAction != nil })
			open := w.get("sale")
			if open.Status.NextAction == nil || open.Status.NextAction.URL == "" {
				t.Fatalf("%s %s: no URL", provider, amount)
			}
			url := open.Status.NextAction.URL
			over := w.settle("sale", 100*time.Hour)
			if !over.Status.Phase.Terminal() || over.Status.NextAction != nil {
				t.Errorf("%s %s: %s, next action %+v", provider, amount, over.Status.Phase, over.Status.NextAction)
			}
			for _, c := range over.Status.Conditions {
				if strings.Contains(c.Message, url) {
					t.Errorf("%s %s: condition %s holds the URL", provider, amount, c.Type)
				}
			}
		}
	}
}
