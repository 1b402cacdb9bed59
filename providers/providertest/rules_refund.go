package providertest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

func refundRules() []rule {
	refunds := func(p profile) bool { return p.refunder }
	mode := func(m providers.RefundMode) func(profile) bool {
		return func(p profile) bool { return p.refunder && p.traits.Refund == m }
	}
	return []rule{
		{name: "refund-once", says: "One Refund is one request, whatever the answer: no retry, no redirect, not after a 401 either.", applies: refunds, check: func(t T, w *world) {
			checkOnce(t, w, refunding())
		}},
		{name: "refund-whole", says: "The whole payment is given back, and asking again gives nothing back.", applies: mode(providers.RefundWhole), check: checkWholeRefund},
		{name: "refund-partial", says: "Each reference gives back once and AlreadyExists then; other references give back more. The sum is the caller's business.", applies: mode(providers.RefundPartial), check: checkPartialRefund},
		{name: "refund-exact", says: "The amount to give back arrives at the provider exactly, and comes back exactly.", applies: refunds, check: checkRefundExact},
		{name: "refund-lost", says: "After a lost answer RefundStatus finds the refund, or says that there is none, and repeating gives back once.", applies: refunds, check: checkLostRefund},
		{name: "refund-words", says: "Every documented answer about a refund is Pending, Succeeded or Failed; other words are Pending and Unrecognized.", applies: refunds, check: checkRefundWords},
		{name: "refund-echo", says: "An answer about a refund of other money or another reference cannot be taken for the refund's, whatever word it has.", applies: refunds, check: func(t T, w *world) {
			o := askingForRefund()
			checkEchoes(t, w, o, o.ready(t, w), w.facts.RefundEchoes, w.facts.RefundStatuses)
		}},
		{name: "refund-credentials", says: "Wrong or missing refund credentials are Misconfigured, from PrepareRefund too, and nothing is given back.", applies: func(p profile) bool { return p.refundPreparer }, check: checkRefundCredentials},
	}
}

// given fails the test unless exactly these amounts were given back, once everything has had its time.
func (w *world) given(t rapid.TB, p Payment, amounts ...string) {
	t.Helper()
	w.Advance(settling)
	w.warm(t)
	got := w.Ledger(p.Request.Reference).Refunded
	ok := len(got) == len(amounts)
	for i := 0; ok && i < len(got); i++ {
		ok = got[i].Equal(w.money(t, amounts[i]))
	}
	if !ok {
		t.Errorf("given back %v, want %v", got, amounts)
	}
}

// mustRefundStatus asks when a refund has had its time.
func (w *world) mustRefundStatus(t rapid.TB, req providers.RefundRequest) providers.Status {
	t.Helper()
	w.Advance(settling)
	w.warm(t)
	s, err := w.refundStatus(req.RefundHandle)
	if err != nil {
		t.Fatalf("RefundStatus: %v", err)
	}
	return s
}

// refunded fails the test unless a refund is done, and told as the one asked for.
func (w *world) refunded(t rapid.TB, req providers.RefundRequest) {
	t.Helper()
	s := w.mustRefundStatus(t, req)
	if s.State != providers.StateSucceeded || !s.MatchesRefund(req.RefundHandle) {
		t.Errorf("given back: %+v", s)
	}
}

func checkWholeRefund(t T, w *world) {
	whole := w.facts.Request.Money.Amount
	p := w.paid(t)
	req := w.refundOf(t, p, whole)
	for range 3 {
		wantClass(t, "Refund", w.refund(req), "", providers.ClassAlreadyExists)
	}
	w.given(t, p, whole)
	w.refunded(t, req)
	if s := w.mustStatus(t, p.Handle()); s.State != providers.StateSucceeded {
		t.Errorf("the payment was paid all the same: %+v", s)
	}
	open := w.open(t)
	wantClass(t, "nobody has paid", w.refund(w.refundOf(t, open, whole)), providers.ClassRejected)
	w.given(t, open)
}

func checkPartialRefund(t T, w *world) {
	p := w.openFor(t, func() providers.InitiateRequest {
		req := w.request(t)
		req.Money = w.money(t, "5000")
		return req
	}())
	w.pay(t, p)
	first, second := w.refundOf(t, p, "1200"), w.refundOf(t, p, "3800")
	for _, step := range []struct {
		req   providers.RefundRequest
		want  providers.Class
		given []string
	}{
		{first, "", []string{"1200"}},
		{first, providers.ClassAlreadyExists, []string{"1200"}},
		{second, "", []string{"1200", "3800"}},
		{second, providers.ClassAlreadyExists, []string{"1200", "3800"}},
		{first, providers.ClassAlreadyExists, []string{"1200", "3800"}},
	} {
		wantClass(t, "Refund", w.refund(step.req), step.want)
		w.given(t, p, step.given...)
	}
	w.refunded(t, first)
	w.refunded(t, second)
	mark := w.wire.mark()
	_ = w.refund(w.refundOf(t, p, "100000"))
	if w.wire.count(mark, RoleRefund) != 1 {
		t.Errorf("the client judges the sum")
	}
}

// checkRefundExact gives back amounts that have cents where the currency has: parts, where that can be.
func checkRefundExact(t T, w *world) {
	w.warm(t)
	decimals := w.facts.Accepts[w.facts.Request.Money.Currency]
	written := func(n int64) string {
		if decimals == 2 {
			return fmt.Sprintf("%d.%02d", n/100, n%100)
		}
		return strconv.FormatInt(n, 10)
	}
	amounts := rapid.Int64Range(100, 99_999_999)
	property(t, func(r *rapid.T) {
		part := amounts.Draw(r, "part")
		paid := part
		if w.profile().traits.Refund == providers.RefundPartial {
			paid += amounts.Draw(r, "rest")
		}
		req := w.request(r)
		req.Money = w.money(r, written(paid))
		p := w.openFor(r, req)
		w.pay(r, p)
		back := w.refundOf(r, p, written(part))
		if err := w.refund(back); err != nil {
			r.Fatalf("Refund of %s: %v", back.Money, err)
		}
		w.given(r, p, written(part))
		w.refunded(r, back)
	})
}

func checkLostRefund(t T, w *world) {
	whole := w.facts.Request.Money.Amount
	for name, way := range noAnswers() {
		s, err := refunding().run(t, w, way.fault)
		wantClass(t, name, err, way.want)
		if name == "lost" {
			w.given(t, s.payment, whole)
			w.refunded(t, s.refund)
		} else {
			w.given(t, s.payment)
			w.Advance(settling)
			w.warm(t)
			st, err := w.refundStatus(s.refund.RefundHandle)
			wantClass(t, name+": RefundStatus", err, "", providers.ClassNotFound)
			if err == nil && st.State != providers.StatePending {
				t.Errorf("%s: %+v", name, st)
			}
		}
		wantClass(t, name+": repeated", w.refund(s.refund), "", providers.ClassAlreadyExists)
		w.given(t, s.payment, whole)
		w.refunded(t, s.refund)
	}
}

func checkRefundWords(t T, w *world) {
	for _, word := range w.facts.RefundStatuses {
		if s := word.Want.State; s != providers.StatePending && s != providers.StateSucceeded && s != providers.StateFailed {
			t.Errorf("%s: a refund is never %s", word.Name, s)
		}
	}
	checkWords(t, w, askingForRefund(), w.facts.RefundStatuses)
	if edit := w.facts.UnknownRefundWord; edit != nil {
		checkUnknownWord(t, w, askingForRefund(), edit, w.facts.RefundStatuses)
	}
}

func checkRefundCredentials(t T, w *world) {
	p := w.paid(t)
	req := w.refundOf(t, p, w.facts.Request.Money.Amount)
	without := w.facts.Account
	for _, key := range w.facts.Kind.RefundCredentialKeys {
		without = with(without, key, "")
		w := w.fresh()
		w.client = w.clientOf(t, with(w.facts.Account, key, "wrong-"+providers.Secret(strings.ToLower(key))))
		err := w.call(OpPrepareRefund, w.client.(providers.RefundPreparer).PrepareRefund)
		wantClass(t, key+" is wrong", err, providers.ClassMisconfigured)
		if w.wire.count(0, RoleRefund) > 0 {
			t.Errorf("%s: PrepareRefund gives money back", key)
		}
		w.noLeaks(t)
	}
	w.client = w.clientOf(t, without)
	mark := w.wire.mark()
	for op, do := range map[Op]func(context.Context) error{
		OpPrepareRefund: w.client.(providers.RefundPreparer).PrepareRefund,
		OpRefund:        func(ctx context.Context) error { return w.client.(providers.Refunder).Refund(ctx, req) },
		OpRefundStatus: func(ctx context.Context) error {
			_, err := w.client.(providers.Refunder).RefundStatus(ctx, req.RefundHandle)
			return err
		},
	} {
		err := w.call(op, do)
		if err == nil || providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), strings.Join(w.facts.Kind.RefundCredentialKeys, ", ")) {
			t.Errorf("%s without credentials: %v", op, err)
		}
	}
	if n := len(w.wire.since(mark)); n != 0 {
		t.Errorf("%d requests without credentials", n)
	}
}
