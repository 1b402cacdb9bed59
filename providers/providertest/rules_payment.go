package providertest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"mobilemoney.dev/operator/providers"
)

func paymentRules() []rule {
	recovers := func(r providers.Recovery) func(profile) bool {
		return func(p profile) bool { return p.traits.Recovery == r }
	}
	return []rule{
		{name: "payment", says: "Initiate opens one session, with what the payer needs; once it is paid, Status says so.", check: checkPayment},
		{name: "payer-phone", says: "The phone that is asked for money is that of the request.", applies: func(p profile) bool { return p.traits.NeedsPayer }, check: checkPayerPhone},
		{name: "expires-at", says: "ExpiresAt, where it is told, is ahead; until then a session can be paid, and afterwards it cannot.", check: checkExpiresAt},
		{name: "payer", says: "A payer who refuses or stays away is told as documented, and never as a success.", check: checkPayer},
		{name: "initiate-once", says: "One Initiate is one request, whatever the answer: no retry, no redirect, not after a 401 either.", check: func(t T, w *world) {
			checkOnce(t, w, initiating())
		}},
		{name: "questions", says: "Nothing but Initiate asks for money, and nothing but Refund gives it back.", check: checkQuestions},
		{name: "lost-answers", says: "A call without an answer is Unknown, or NotSent if it never left; it is never a verdict, and says what was asked and whose fault it is.", check: checkLostAnswers},
		{name: "recover-by-reference", says: "After a lost answer Status finds the payment by its reference, and repeating Initiate opens nothing else.", applies: recovers(providers.RecoverByReference), check: checkRecoverByReference},
		{name: "recover-by-search", says: "After a lost answer Search finds exactly the sessions that the reference opened.", applies: recovers(providers.RecoverBySearch), check: checkRecoverBySearch},
		{name: "recover-by-repeat", says: "After a lost answer a repeated Initiate opens the session, or says AlreadyExists.", applies: recovers(providers.RecoverByRepeat), check: checkRecoverByRepeat},
		{name: "search", says: "Search finds nothing under a reference that nobody used.", applies: func(p profile) bool { return p.searcher }, check: checkSearch},
		{name: "search-reference", says: "Search takes no session of another reference for one of its own.", applies: func(p profile) bool { return p.searcher }, check: checkSearchReference},
		{name: "cancel", says: "Cancel ends an open session for good; a paid one AlreadyExists, and Status says that it is paid.", applies: func(p profile) bool { return p.canceller }, check: checkCancel},
	}
}

func checkPayment(t T, w *world) {
	p := w.open(t)
	opened := w.Ledger(p.Request.Reference).Opened
	if len(opened) != 1 || !opened[0].Equal(p.Request.Money) {
		t.Fatalf("opened %v, asked for %v", opened, p.Request.Money)
	}
	if w.facts.Kind.Traits.Flow == providers.FlowRedirect && p.Initiation.PaymentURL == "" {
		t.Errorf("no payment URL")
	}
	if s := w.mustStatus(t, p.Handle()); s.State.Final() || s.Unrecognized {
		t.Errorf("nobody has paid: %+v", s)
	}
	w.pay(t, p)
	s := w.mustStatus(t, p.Handle())
	if s.State != providers.StateSucceeded || s.Unrecognized || s.Failure != "" || !s.Matches(p.Handle()) {
		t.Errorf("paid: %+v", s)
	}
	if paid := w.Ledger(p.Request.Reference).Paid; paid != 1 {
		t.Errorf("paid %d times", paid)
	}
}

func checkPayerPhone(t T, w *world) {
	payer := w.facts.Request.Payer
	for _, phone := range []providers.Phone{payer, neighbour(payer), payer} {
		req := w.request(t)
		req.Payer = phone
		p := w.openFor(t, req)
		if asked := w.Ledger(p.Request.Reference).Payers; len(asked) != 1 || asked[0] != phone {
			t.Errorf("asked is %v, and not %v", asked, phone)
		}
	}
}

func neighbour(phone providers.Phone) providers.Phone {
	digits := []byte(phone.Reveal())
	last := &digits[len(digits)-1]
	*last = '0' + (*last-'0'+1)%10
	return providers.Phone(digits)
}

func checkExpiresAt(t T, w *world) {
	for _, off := range []time.Duration{-time.Second, time.Second} {
		p := w.open(t)
		end := p.Initiation.ExpiresAt
		if w.profile().searcher {
			for _, s := range w.findAll(t, p.Request.Reference) {
				if !s.ExpiresAt.Equal(end) {
					t.Errorf("it ends at %s, and found it ends at %s", end, s.ExpiresAt)
				}
			}
		}
		if end.IsZero() {
			continue
		}
		left := end.Sub(w.Now())
		if left <= 0 {
			t.Fatalf("just opened, and over since %s", -left)
		}
		w.Advance(left + off)
		if err := w.Pay(p.Handle()); (err == nil) != (off < 0) {
			t.Errorf("paid %s after its end: %v", off, err)
		}
	}
}

func checkPayer(t T, w *world) {
	for name, end := range map[string]struct {
		happen func(providers.Handle) error
		want   []providers.State
	}{"refuses": {w.Refuse, w.facts.Refused}, "stays away": {w.Expire, w.facts.Expired}} {
		p := w.open(t)
		if err := end.happen(p.Handle()); err != nil {
			t.Fatalf("the payer %s: %v", name, err)
		}
		w.warm(t)
		s := w.mustStatus(t, p.Handle())
		if !slices.Contains(end.want, s.State) || s.State == providers.StateSucceeded || s.Unrecognized {
			t.Errorf("the payer %s: %+v", name, s)
		}
		if (s.State == providers.StateFailed) != (s.Failure != "") {
			t.Errorf("the payer %s: a failure has a reason, and nothing else has: %+v", name, s)
		}
	}
}

// answers that a gateway or a server may give to anything.
func answers() map[string]providers.Answer {
	out := map[string]providers.Answer{}
	for _, status := range []int{200, 201, 202, 204, 300, 400, 403, 404, 405, 408, 409, 410, 422, 425, 429, 500, 502, 503, 504} {
		out[fmt.Sprint(status)] = JSON(status, "{}")
		out[fmt.Sprint(status, " empty")] = JSON(status, "")
		out[fmt.Sprint(status, " page")] = Page(status)
	}
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		out[fmt.Sprint(status)] = withHeader(JSON(status, ""), "Location", "/elsewhere")
	}
	out["429 retry"] = withHeader(JSON(http.StatusTooManyRequests, "{}"), "Retry-After", "1")
	out["503 retry"] = withHeader(JSON(http.StatusServiceUnavailable, "{}"), "Retry-After", "1")
	return out
}

// checkOnce counts every request but those for tokens, so that a redirect that is followed by a GET counts, too.
func checkOnce(t T, w *world, o operation) {
	sent := func(f fault) int {
		s := o.ready(t, w)
		mark := w.wire.mark()
		_ = o.again(t, w, s, f)
		return len(w.wire.since(mark)) - w.wire.count(mark, RoleToken)
	}
	faults := map[string]fault{"unsent": unsent(), "dropped": dropped(), "lost": lost(), "none": edited(asItIs)}
	for name, a := range answers() {
		faults[name] = says(a)
	}
	for name, f := range faults {
		if n := sent(f.once()); n != 1 {
			t.Errorf("%s: sent %d times", name, n)
		}
	}
	if n := sent(says(JSON(http.StatusUnauthorized, "{}"))); n != 1 {
		t.Errorf("401: sent %d times", n)
	}
}

func checkQuestions(t T, w *world) {
	w.warm(t)
	if w.wire.count(0, RoleMoney)+w.wire.count(0, RoleRefund) != 0 {
		t.Errorf("preparing moves money")
	}
	for _, o := range w.operations() {
		s := o.ready(t, w)
		for _, f := range []fault{edited(asItIs), dropped(), says(JSON(http.StatusNotFound, "{}"))} {
			mark := w.wire.mark()
			_ = o.again(t, w, s, f)
			if o.op != OpInitiate && w.wire.count(mark, RoleMoney) > 0 {
				t.Errorf("%s asks for money", o.op)
			}
			if o.op != OpRefund && w.wire.count(mark, RoleRefund) > 0 {
				t.Errorf("%s gives money back", o.op)
			}
		}
	}
}

// way to get no answer, and what that is.
type way struct {
	fault fault
	want  providers.Class
}

func noAnswers() map[string]way {
	return map[string]way{
		"unsent":  {unsent(), providers.ClassNotSent},
		"dropped": {dropped(), providers.ClassUnknown},
		"lost":    {lost(), providers.ClassUnknown},
	}
}

func checkLostAnswers(t T, w *world) {
	for name, way := range noAnswers() {
		for _, o := range w.operations() {
			s, err := o.run(t, w, way.fault)
			wantClass(t, fmt.Sprint(o.op, ", ", name), err, way.want)
			if s.status.State.Final() || err != nil && providers.AsError(err).Failure != "" {
				t.Errorf("%s, %s: a verdict without an answer: %v", o.op, name, err)
			}
			diagnosed(t, name, o.op, err, 0)
		}
		checkLostToken(t, w.fresh(), name, way.fault)
	}
}

// checkLostToken: without a token nothing is asked, and nothing is known.
func checkLostToken(t T, w *world, name string, f fault) {
	if !w.profile().preparer {
		return
	}
	var err error
	req := w.request(t)
	fired := w.wire.during(f.at(isToken), func() { _, err = w.initiate(req) })
	wantClass(t, "no token, "+name, err, providers.ClassUnknown, providers.ClassNotSent)
	if fired == 0 || w.wire.count(0, RoleMoney) != 0 {
		t.Errorf("no token, %s: asked for money all the same", name)
	}
}

// recovering opens payments whose answers get lost in each of the three ways.
// Processed is whether the provider got the request.
func recovering(t T, w *world, found func(name string, p Payment, processed bool)) {
	for name, way := range noAnswers() {
		s, err := initiating().run(t, w, way.fault)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		processed := len(w.Ledger(s.payment.Request.Reference).Opened) > 0
		if processed != (name == "lost") {
			t.Fatalf("%s: processed %v", name, processed)
		}
		s.payment.Initiation = providers.Initiation{} // nobody has got it
		found(name, s.payment, processed)
	}
}

func checkRecoverByReference(t T, w *world) {
	recovering(t, w, func(name string, p Payment, processed bool) {
		found, repeated := providers.ClassNotFound, providers.Class("")
		if processed {
			found, repeated = "", providers.ClassAlreadyExists
		}
		_, err := w.status(p.Handle())
		wantClass(t, name+": Status", err, found)
		_, err = w.initiate(p.Request)
		wantClass(t, name+": repeated", err, "", repeated)
		if n := len(w.Ledger(p.Request.Reference).Opened); n != 1 {
			t.Errorf("%s: %d prompts", name, n)
		}
		w.pay(t, p)
		if s := w.mustStatus(t, p.Handle()); s.State != providers.StateSucceeded {
			t.Errorf("%s: paid: %+v", name, s)
		}
	})
	p := w.open(t)
	_, err := w.initiate(p.Request)
	wantClass(t, "repeated", err, "", providers.ClassAlreadyExists)
	if n := len(w.Ledger(p.Request.Reference).Opened); n != 1 {
		t.Errorf("repeated: %d prompts", n)
	}
}

func checkRecoverBySearch(t T, w *world) {
	recovering(t, w, func(name string, p Payment, processed bool) {
		w.findAll(t, p.Request.Reference)
		in, err := w.initiate(p.Request)
		wantClass(t, name+": repeated", err, "", providers.ClassAlreadyExists)
		found := w.findAll(t, p.Request.Reference)
		if err == nil && !slices.ContainsFunc(found, func(s providers.Session) bool { return s.ID == in.ID }) {
			t.Errorf("%s: the repeated session is not found", name)
		}
		p.Initiation.Session = found[len(found)-1]
		w.pay(t, p)
		if s := w.mustStatus(t, p.Handle()); s.State != providers.StateSucceeded {
			t.Errorf("%s: paid: %+v", name, s)
		}
	})
}

// findAll fails the test unless exactly the sessions that were opened are found.
func (w *world) findAll(t T, reference string) []providers.Session {
	found, err := w.search(reference)
	opened := w.Ledger(reference).Opened
	if err != nil || len(found) != len(opened) {
		t.Fatalf("%d sessions found of %d: %v", len(found), len(opened), err)
	}
	ids := map[string]bool{}
	for _, s := range found {
		ids[s.ID] = true
		if s.ID == "" || s.PaymentURL == "" || s.Status == nil {
			t.Errorf("a session that cannot be used: %+v", s)
		}
	}
	if len(ids) != len(found) {
		t.Errorf("one session found twice")
	}
	return found
}

func checkRecoverByRepeat(t T, w *world) {
	recovering(t, w, func(name string, p Payment, processed bool) {
		in, err := w.initiate(p.Request)
		switch {
		case !processed && (err != nil || in.Token == "" && in.ID == ""):
			t.Errorf("%s: repeated: %v", name, err)
		case processed && err != nil && providers.ClassOf(err) != providers.ClassAlreadyExists:
			t.Errorf("%s: repeated: %v", name, err)
		}
		if n := len(w.Ledger(p.Request.Reference).Opened); n != 1 && (err != nil || !processed) {
			t.Errorf("%s: %d sessions", name, n)
		}
	})
}

func checkSearch(t T, w *world) {
	w.warm(t)
	found, err := w.search(w.facts.Kind.Reference(w.digest()))
	if err != nil || len(found) != 0 {
		t.Errorf("a reference that nobody used: %d sessions, %v", len(found), err)
	}
}

// checkSearchReference answers a search with what another one found: whoever
// adopts that gives one customer the page of another.
func checkSearchReference(t T, w *world) {
	o := searching()
	foreign, err := w.answer(t, o, o.ready(t, w))
	if err != nil {
		t.Fatalf("Search: %v", err)
	}
	s, err := o.run(t, w, says(foreign))
	wantClass(t, "the sessions of another reference", err, "", providers.ClassUnknown)
	if len(s.sessions) != 0 {
		t.Errorf("%d sessions of another reference", len(s.sessions))
	}
}

func checkCancel(t T, w *world) {
	p := w.open(t)
	wantClass(t, "open", w.cancel(p.Handle()), "")
	if s := w.mustStatus(t, p.Handle()); !s.State.Final() || s.State == providers.StateSucceeded {
		t.Errorf("cancelled: %+v", s)
	}
	if w.Pay(p.Handle()) == nil || w.Ledger(p.Request.Reference).Paid != 0 {
		t.Errorf("a cancelled session was paid")
	}
	wantClass(t, "cancelled twice", w.cancel(p.Handle()), "", providers.ClassAlreadyExists)
	p = w.paid(t)
	wantClass(t, "paid", w.cancel(p.Handle()), providers.ClassAlreadyExists)
	if s := w.mustStatus(t, p.Handle()); s.State != providers.StateSucceeded {
		t.Errorf("paid: %+v", s)
	}
	for name, way := range noAnswers() {
		o := cancelling()
		s, err := o.run(t, w, way.fault)
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		over := w.mustStatus(t, s.payment.Handle()).State.Final()
		if over != (name == "lost") {
			t.Errorf("%s: over is %v", name, over)
		}
	}
}
