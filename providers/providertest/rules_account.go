package providertest

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"mobilemoney.dev/operator/providers"
)

const (
	// settling is how long a refund may take that nothing befalls.
	settling = time.Minute
	// stuck is when calls that wait for one another are given up on. It is never waited for where they do not.
	stuck = 10 * time.Second
)

func accountRules() []rule {
	return []rule{
		{name: "traits", says: "A client has the traits of its Kind, and the optional interfaces that these promise.", check: checkTraits},
		{name: "account", says: "There is no client of an account that lacks a credential, or some of those for refunds, or names no environment. Accounts with the same API user at the same host share a limit.", check: checkAccount},
		{name: "wrong-credentials", says: "A wrong credential is Misconfigured: from Prepare, where there is one, and before any session.", check: checkWrongCredentials},
		{name: "check-account", says: "CheckAccount is content with a good account; it is Misconfigured only for what the provider says.", applies: func(p profile) bool { return p.checker }, check: checkCheckAccount},
		{name: "tokens", says: "A token that has ended or was revoked is renewed, by a question at once, by a request for money for the next one; one that stays refused is Misconfigured.", applies: func(p profile) bool { return p.preparer }, check: checkTokens},
		{name: "requests", says: "Requests go to the account's hosts, without idempotency headers and without tokens in their URLs.", check: checkRequests},
		{name: "context", says: "A call whose context is over is NotSent, and nothing is on the wire.", check: checkContext},
		{name: "concurrency", says: "Calls at the same time do not wait for one another, nor mix.", check: checkConcurrency},
		{name: "stateless", says: "A client keeps nothing: another one of the account goes on with what the Handle says.", check: checkStateless},
	}
}

func checkTraits(t T, w *world) {
	p := w.profile()
	if got := w.client.Traits(); got != p.traits {
		t.Errorf("the client has %+v, its Kind %+v", got, p.traits)
	}
	refunds := p.traits.Refund == providers.RefundWhole || p.traits.Refund == providers.RefundPartial
	for promise, kept := range map[string]bool{
		"Recovery BySearch has Search":                 p.traits.Recovery != providers.RecoverBySearch || p.searcher,
		"CanCancel has Cancel, and the other way":      p.traits.CanCancel == p.canceller,
		"Refund Whole or Partial has Refund, no other": refunds == p.refunder,
		"Refund Partial has references":                p.traits.Refund != providers.RefundPartial || w.facts.Kind.RefundReference != nil,
		"refund credentials have PrepareRefund":        len(w.facts.Kind.RefundCredentialKeys) == 0 || p.refundPreparer,
		"callbacks are parsed if there are any":        !p.callbacks() || w.facts.Kind.Callbacks != nil,
		"Flow is known":                                p.traits.Flow == providers.FlowPush || p.traits.Flow == providers.FlowRedirect,
		"Recovery is known":                            slices.Contains([]providers.Recovery{providers.RecoverByReference, providers.RecoverBySearch, providers.RecoverByRepeat}, p.traits.Recovery),
	} {
		if !kept {
			t.Errorf("not so: %s", promise)
		}
	}
}

// with is the account with another value for one credential, or without it.
func with(a providers.Account, key string, value providers.Secret) providers.Account {
	a.Credentials = maps.Clone(a.Credentials)
	if a.Credentials[key] = value; value == "" {
		delete(a.Credentials, key)
	}
	return a
}

func checkAccount(t T, w *world) {
	bad := map[string]providers.Account{}
	for _, key := range slices.Concat(w.facts.Kind.CredentialKeys, w.facts.Kind.RefundCredentialKeys) {
		bad[key] = with(w.facts.Account, key, "")
	}
	nowhere := w.facts.Account
	nowhere.Environment = "elsewhere"
	bad["environment"] = nowhere
	for missing, account := range bad {
		_, err := w.facts.Kind.New(account, w.wire, w.Now)
		w.showError(err)
		if err == nil || providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: %v", missing, err)
		}
	}
	if n := w.wire.mark(); n != 0 {
		t.Errorf("%d requests to build a client", n)
	}
	kind, elsewhere := w.facts.Kind, w.facts.Account
	elsewhere.BaseURL = strings.Replace(elsewhere.BaseURL, "127.0.0.1", "127.0.0.2", 1)
	limit := kind.LimitKey(w.facts.Account)
	for _, key := range slices.Concat(kind.CredentialKeys, kind.RefundCredentialKeys) {
		if other := kind.LimitKey(with(w.facts.Account, key, "another")); (other == limit) == (key == kind.LimitCredential) {
			t.Errorf("K6d: a limit is that of %s, and not of %s", kind.LimitCredential, key)
		}
	}
	if slash := w.facts.Account; kind.LimitKey(elsewhere) == limit {
		t.Errorf("K6d: another host has the same limit")
	} else if slash.BaseURL += "/"; kind.LimitKey(slash) != limit {
		t.Errorf("K6d: the same host has another limit")
	}
	w.show(limit)
}

func checkWrongCredentials(t T, w *world) {
	for _, key := range w.facts.Kind.CredentialKeys {
		w := w.fresh()
		w.client = w.clientOf(t, with(w.facts.Account, key, "wrong-"+providers.Secret(strings.ToLower(key))))
		req, mark := w.request(t), w.wire.mark()
		preparer, prepares := w.client.(providers.Preparer)
		late := slices.Contains(w.facts.LateCredentials, key)
		var err error
		if prepares {
			err = w.call(OpPrepare, preparer.Prepare)
		}
		if err == nil && (!prepares || late) {
			_, err = w.initiate(req)
		} else if w.wire.count(mark, RoleMoney) > 0 {
			t.Errorf("%s: Prepare asks for money", key)
		}
		wantClass(t, key+" is wrong", err, providers.ClassMisconfigured)
		if opened := w.Ledger(req.Reference).Opened; len(opened) > 0 {
			t.Errorf("%s is wrong, and a session is open", key)
		}
		w.noLeaks(t)
	}
}

func (w *world) checkAccount() error {
	return w.call(opCheck, func(ctx context.Context) error {
		return w.client.(providers.AccountChecker).CheckAccount(ctx, providers.AccountCheck{CallbackURL: w.facts.Request.CallbackURL})
	})
}

func checkCheckAccount(t T, w *world) {
	if err := w.checkAccount(); err != nil {
		t.Errorf("a good account: %v", err)
	}
	if w.wire.count(0, RoleMoney)+w.wire.count(0, RoleRefund) > 0 {
		t.Error("it moves money")
	}
	everything := func(Role) bool { return true }
	for name, f := range map[string]fault{"unsent": unsent(), "dropped": dropped(), "lost": lost(), "500": says(JSON(500, "{}")), "page": says(Page(200))} {
		w := w.fresh()
		var err error
		if w.wire.during(f.at(everything), func() { err = w.checkAccount() }) == 0 {
			t.Errorf("%s: it asks nobody", name)
		}
		wantClass(t, name, err, providers.ClassUnknown, providers.ClassNotSent)
	}
	for _, key := range w.facts.Kind.CredentialKeys {
		w := w.fresh()
		w.client = w.clientOf(t, with(w.facts.Account, key, "wrong-value"))
		err := w.checkAccount()
		if late := slices.Contains(w.facts.LateCredentials, key); late && err == nil {
			continue
		}
		wantClass(t, key+" is wrong", err, providers.ClassMisconfigured)
	}
}

func checkTokens(t T, w *world) {
	tokens := func(do func()) int {
		mark := w.wire.mark()
		do()
		return w.wire.count(mark, RoleToken)
	}
	p := w.open(t)
	if n := tokens(func() { w.mustStatus(t, p.Handle()) }); n != 0 {
		t.Errorf("%d tokens where there is a good one", n)
	}
	w.RevokeTokens()
	if n := tokens(func() { w.mustStatus(t, p.Handle()) }); n != 1 {
		t.Errorf("%d new tokens for one that was revoked", n)
	}
	w.RevokeTokens()
	req := w.request(t)
	for i, want := range []providers.Class{providers.ClassNotSent, ""} {
		_, err := w.initiate(req)
		wantClass(t, fmt.Sprint("Initiate with a token that was revoked, try ", i+1), err, want)
		if n := len(w.Ledger(req.Reference).Opened); n != i {
			t.Errorf("Initiate with a token that was revoked, try %d, opens %d sessions", i+1, n)
		}
	}
	w.Advance(91 * 24 * time.Hour) // no token lives longer
	if n := tokens(func() { _, _ = w.status(p.Handle()) }); n != 1 {
		t.Errorf("%d new tokens for one that has ended", n)
	}
	for _, o := range w.operations() {
		checkRefusedTokens(t, w, o)
	}
}

// checkRefusedTokens refuses each token of an operation. To a request for money that says
// nothing against the account, where the token had worked before.
func checkRefusedTokens(t T, w *world, o operation) {
	for _, refused := range append([]providers.Answer{JSON(http.StatusUnauthorized, "{}")}, w.facts.RefusedTokens...) {
		if _, err := o.run(t, w, edited(asItIs)); err != nil { // with a token that works
			t.Errorf("%s: %v", o.op, err)
		}
		s := o.ready(t, w)
		for last := range 2 {
			mark := w.wire.mark()
			err := o.again(t, w, s, says(refused))
			if n := len(w.wire.since(mark)) - w.wire.count(mark, RoleToken); o.question() != (n == 2) || n > 2 {
				t.Errorf("%s is sent %d times", o.op, n)
			}
			class := providers.ClassNotSent
			if o.question() || last > 0 {
				class = providers.ClassMisconfigured
			}
			wantClass(t, string(o.op)+" is refused again and again", err, class)
			diagnosed(t, string(refused.Body), o.op, err, refused.Status)
		}
	}
}

func checkRequests(t T, w *world) {
	account, err := w.facts.Kind.Endpoint(w.facts.Account)
	if err != nil {
		t.Fatalf("Endpoint: %v", err)
	}
	hosts := map[string]bool{}
	for _, raw := range []string{account.BaseURL, account.TokenURL} {
		if u, err := url.Parse(raw); err == nil && raw != "" {
			hosts[u.Scheme+"://"+u.Host] = true
		}
	}
	for _, o := range w.operations() {
		s := o.ready(t, w)
		if err := w.call(o.op, func(ctx context.Context) error { return o.do(ctx, w, s) }); err != nil {
			t.Errorf("%s: %v", o.op, err)
		}
	}
	proofs := w.wire.authorizations()
	for _, s := range w.wire.since(0) {
		u, err := url.Parse(s.call.URL)
		if err != nil || !hosts[u.Scheme+"://"+u.Host] || u.User != nil {
			t.Errorf("%s goes to another host", s.call.Operation)
		}
		for name := range s.call.Header {
			if strings.HasSuffix(strings.ToLower(name), "idempotency-key") {
				t.Errorf("%s has %s, which lets HTTP clients send twice", s.call.Operation, name)
			}
		}
		for _, proof := range proofs {
			if strings.Contains(s.call.URL, proof) {
				t.Errorf("%s has a token in its URL", s.call.Operation)
			}
		}
	}
}

func checkContext(t T, w *world) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, o := range w.operations() {
		s := o.ready(t, w)
		mark := w.wire.mark()
		err := w.callIn(over, o.op, func(ctx context.Context) error { return o.do(ctx, w, s) })
		wantClass(t, string(o.op), err, providers.ClassNotSent)
		if n := len(w.wire.since(mark)); n != 0 {
			t.Errorf("%s sends %d requests", o.op, n)
		}
	}
}

// checkConcurrency holds requests for money up until all of them are there.
func checkConcurrency(t T, w *world) {
	w.warm(t)
	const n = 4
	payments, errs := make([]Payment, n), make([]error, n)
	for i := range payments {
		payments[i].Request = w.request(t)
		payments[i].Request.Money = w.money(t, fmt.Sprint(1000+i))
	}
	var there, done sync.WaitGroup
	there.Add(n)
	all := make(chan struct{})
	go func() { there.Wait(); close(all) }()
	meet := func(_ providers.Call, deliver func() (providers.Answer, error)) (providers.Answer, error) {
		there.Done()
		select {
		case <-all:
		case <-time.After(stuck):
			t.Errorf("calls wait for one another")
		}
		return deliver()
	}
	w.wire.during(fault{on: isMoney, times: n, do: meet}, func() {
		for i := range payments {
			done.Go(func() { payments[i].Initiation, errs[i] = w.client.Initiate(t.Context(), payments[i].Request) })
		}
		done.Wait()
	})
	for i, p := range payments {
		w.showError(errs[i])
		w.remember(p.Initiation.Session, p.Initiation.NotificationToken)
		if errs[i] != nil {
			t.Fatalf("Initiate: %v", errs[i])
		}
		if opened := w.Ledger(p.Request.Reference).Opened; len(opened) != 1 || !opened[0].Equal(p.Request.Money) {
			t.Errorf("opened %v, asked for %v", opened, p.Request.Money)
		}
	}
	w.pay(t, payments[0])
	for i, p := range payments {
		s := w.mustStatus(t, p.Handle())
		if (s.State == providers.StateSucceeded) != (i == 0) || !s.Money.Equal(p.Request.Money) {
			t.Errorf("payment %d: %+v", i, s)
		}
	}
}

// checkStateless restarts the operator before each call, as it were.
func checkStateless(t T, w *world) {
	for _, o := range w.operations() {
		s := o.ready(t, w)
		w.client = w.clientOf(t, w.facts.Account)
		if err := o.again(t, w, s, edited(asItIs)); err != nil {
			t.Errorf("%s: %v", o.op, err)
			continue
		}
		ok := true
		switch o.op {
		case OpStatus, OpRefundStatus:
			ok = s.status.State == providers.StateSucceeded && o.isAbout(s)
		case OpSearch:
			ok = len(s.sessions) == 1
		case OpCancel:
			ok = w.mustStatus(t, s.payment.Handle()).State.Final()
		case OpRefund:
			w.given(t, s.payment, w.facts.Request.Money.Amount)
		default:
		}
		if !ok {
			t.Errorf("%s: %+v, %d sessions", o.op, s.status, len(s.sessions))
		}
	}
}
