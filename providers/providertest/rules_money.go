package providertest

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

func moneyRules() []rule {
	return []rule{
		{name: "amounts", says: "WireMoney takes the documented currencies and decimals of the account's country, changes no value, and refuses what is no amount or no currency.", check: checkAmounts},
		{name: "amount-exact", says: "The amount arrives at the provider exactly, and comes back exactly.", check: checkAmountExact},
		{name: "echo", says: "A status answer about other money or another reference cannot be taken for the payment's, whatever word it has.", check: checkEcho},
		{name: "references", says: "References have the documented form, depend on the digest only, and differ where it does.", check: func(t T, w *world) {
			checkReferences(t, w.facts.Kind.Reference, w.facts.Reference)
		}},
		{name: "refund-references", says: "The same holds for the references of refunds.", applies: func(p profile) bool { return p.facts.Kind.RefundReference != nil }, check: func(t T, w *world) { checkReferences(t, w.facts.Kind.RefundReference, w.facts.RefundReference) }},
	}
}

func checkAmounts(t T, w *world) {
	wireMoney := func(amount, currency string) (providers.Money, bool) {
		m, err := w.facts.Kind.WireMoney(w.facts.Account, providers.Money{Amount: amount, Currency: currency})
		if err != nil && (providers.ClassOf(err) != providers.ClassRejected || providers.AsError(err).Field == "") {
			t.Errorf("%s %s: %v", amount, currency, err)
		}
		w.showError(err)
		return m, err == nil
	}
	// The sandbox may have a currency of its own, but never other amounts, and no other rules.
	sandbox := w.facts.Account.Environment == providers.Sandbox
	for currency, minor := range map[string]int{"XOF": 0, "XAF": 0, "GNF": 0, "EUR": 2, "GMD": 2} {
		decimals, accepted := w.facts.Accepts[currency]
		decimals = min(decimals, minor)
		for amount, canonical := range map[string]struct {
			text     string
			decimals int
		}{
			"1": {"1", 0}, "5000": {"5000", 0}, "999999999999": {"999999999999", 0}, "5000.00": {"5000", 0},
			"12.5": {"12.5", 1}, "12.50": {"12.5", 1}, "0.01": {"0.01", 2}, "12.345": {"12.345", 3},
		} {
			want := accepted && canonical.decimals <= decimals
			m, ok := wireMoney(amount, currency)
			if ok != want || ok && (m.Amount != canonical.text || m.Currency != currency && !sandbox) {
				t.Errorf("%s %s: %v, taken %v, want %v", amount, currency, m, ok, want)
			}
		}
		for _, amount := range []string{"", "0", "0.00", "-1", "+1", "1e3", "1E3", "01", "1,000", "1 000", ".5", "5.", "٣", "NaN", "0x10", "1_000"} {
			if m, ok := wireMoney(amount, currency); ok {
				t.Errorf("%q %s is taken as %v", amount, currency, m)
			}
		}
	}
	for _, currency := range []string{"", "CFA", "XYZ", "xof", "XO", "XOFF", "OUV", "XXX"} {
		if m, ok := wireMoney("5000", currency); ok {
			t.Errorf("K5a: the currency %q is taken as %v", currency, m)
		}
	}
}

func checkAmountExact(t T, w *world) {
	w.warm(t)
	decimals := w.facts.Accepts[w.facts.Request.Money.Currency]
	property(t, func(r *rapid.T) {
		amount := strconv.FormatInt(rapid.Int64Range(1, 999_999_999_999).Draw(r, "amount"), 10)
		if decimals == 2 && rapid.Bool().Draw(r, "with cents") {
			amount += fmt.Sprintf(".%02d", rapid.IntRange(0, 99).Draw(r, "cents"))
		}
		req := w.request(r)
		req.Money = w.money(r, amount)
		p := w.openFor(r, req)
		opened := w.Ledger(req.Reference).Opened
		if len(opened) != 1 || !opened[0].Equal(req.Money) || !providers.EqualAmount(opened[0].Amount, amount) {
			r.Fatalf("asked for %s, opened %v", amount, opened)
		}
		if s := w.mustStatus(r, p.Handle()); !s.Matches(p.Handle()) {
			r.Fatalf("asked for %s, told %+v", amount, s)
		}
	})
}

func checkEcho(t T, w *world) {
	for _, happen := range []func(providers.Handle) error{w.Pay, w.Refuse, w.Expire} {
		s := &subject{payment: w.open(t)}
		if err := happen(s.payment.Handle()); err != nil {
			t.Fatalf("a payment cannot end: %v", err)
		}
		w.warm(t)
		checkEchoes(t, w, asking(), s, w.facts.Echoes, w.facts.Statuses)
	}
}

// checkEchoes has a question answered with what is said about something else: with the word that
// the answer has, and with every other that there is. What the answer is about is told alike with
// all of them: the failure of another payment is no more this one's than its success.
func checkEchoes(t T, w *world, o operation, s *subject, echoes map[string]Edit, words []Word) {
	if len(echoes) == 0 {
		t.Fatalf("there are no echoes for %s", o.op)
	}
	type about struct {
		money     providers.Money
		reference string
	}
	told := func(name string, edit Edit) (about, error) {
		s.status = providers.Status{}
		err := o.again(t, w, s, edited(edit))
		if err == nil && o.isAbout(s) {
			t.Errorf("%s: %+v", name, s.status)
		}
		wantClass(t, name, err, "", providers.ClassUnknown)
		return about{s.status.Money, s.status.Reference}, err
	}
	for name, edit := range echoes {
		want, _ := told(name, edit)
		for _, word := range words {
			if got, err := told(name+", "+word.Name, word.Answer.then(edit)); err == nil && got != want {
				t.Errorf("%s, %s: it is about %v, and without the word about %v", name, word.Name, got, want)
			}
		}
	}
}

func checkReferences(t T, derive func([32]byte) string, form *regexp.Regexp) {
	seen := map[string][32]byte{}
	digests := rapid.Custom(func(r *rapid.T) (d [32]byte) {
		copy(d[:], rapid.SliceOfN(rapid.Byte(), len(d), len(d)).Draw(r, "digest"))
		return d
	})
	property(t, func(r *rapid.T) {
		d := digests.Draw(r, "digest")
		one, again := derive(d), derive(d)
		if one != again {
			r.Fatalf("%s and %s from one digest", one, again)
		}
		if !form.MatchString(one) || strings.TrimSpace(one) != one {
			r.Fatalf("%s is not of the documented form", one)
		}
		if other, ok := seen[one]; ok && other != d {
			r.Fatalf("two digests have the reference %s", one)
		}
		seen[one] = d
		// Digests that differ early, where the short references come from.
		d[rapid.IntRange(0, 5).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
		if derive(d) == one {
			r.Fatalf("two digests have the reference %s", one)
		}
	})
}
