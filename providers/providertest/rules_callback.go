package providertest

import (
	"errors"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

func callbackRules() []rule {
	sent := func(p profile) bool { return p.callbacks() }
	return []rule{
		{name: "callback-good", says: "A good callback is accepted, and names nothing but the payment that it is about.", applies: sent, check: checkGoodCallback},
		{name: "callback-hint", says: "A callback changes nothing: what it claims is not true until Status says so.", applies: sent, check: checkCallbackHint},
		{name: "callback-forged", says: "A callback without the right proof is ErrBadCallback.", applies: func(p profile) bool { return p.callbacks() && len(p.facts.Callbacks.Forgeries) > 0 }, check: checkForgedCallback},
		{name: "callback-replayed", says: "A proof that is too old or from the future is ErrBadCallback; a repetition in time has the same EventID.", applies: func(p profile) bool { return p.callbacks() && p.facts.Callbacks.Window > 0 }, check: checkReplayedCallback},
		{name: "callback-secrets", says: "While a secret is exchanged, a proof with the old one is as good as one with the new one; a third is ErrBadCallback.", applies: func(p profile) bool { return p.callbacks() && p.facts.Callbacks.Secrets != nil }, check: checkCallbackSecrets},
		{name: "callback-malformed", says: "A callback that cannot be read is ErrMalformedCallback or ErrBadCallback, and never a panic.", applies: sent, check: checkMalformedCallback},
	}
}

// parse a callback, and keep what went wrong.
func (w *world) parse(t rapid.TB, cb providers.CallbackRequest) (out providers.Callback, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("ParseCallback panics: %v", r)
			err = errors.New("panic")
		}
	}()
	out, err = w.facts.Kind.Callbacks.ParseCallback(cb)
	w.showError(err)
	return out, err
}

func (w *world) callback(p Payment) providers.CallbackRequest {
	now := w.Now()
	c := w.facts.Callbacks
	cb := c.Prove(c.Body(p), p, now)
	cb.Now = now
	return cb
}

func isBad(err error) bool { return errors.Is(err, providers.ErrBadCallback) }

func isUnreadable(err error) bool {
	return isBad(err) || errors.Is(err, providers.ErrMalformedCallback)
}

func checkGoodCallback(t T, w *world) {
	p := w.paid(t)
	cb := w.callback(p)
	got, err := w.parse(t, cb)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(cb.Secrets) > 0 && w.facts.Callbacks.Secrets == nil {
		t.Errorf("a secret proves it, and Callbacks.Secrets is nil")
	}
	h := p.Handle()
	if got.SessionID != "" && got.SessionID != h.SessionID || got.Reference != "" && got.Reference != h.Reference {
		t.Errorf("it is about another payment: %+v", got)
	}
	if got.Claim == "" || got.Claim != providers.SafeCode(got.Claim) || got.EventID != providers.SafeCode(got.EventID) {
		t.Errorf("a claim that cannot be shown: %+v", got)
	}
	if w.facts.Callbacks.EventIDs != (got.EventID != "") {
		t.Errorf("event id %q", got.EventID)
	}
	w.show(got)
}

func checkCallbackHint(t T, w *world) {
	p := w.open(t) // and not paid
	mark := w.wire.mark()
	if _, err := w.parse(t, w.callback(p)); err != nil {
		t.Errorf("%v", err)
	}
	if n := len(w.wire.since(mark)); n != 0 {
		t.Errorf("parsing sends %d requests", n)
	}
	if s := w.mustStatus(t, p.Handle()); s.State.Final() {
		t.Errorf("the callback is believed: %+v", s)
	}
}

func checkForgedCallback(t T, w *world) {
	p, other := w.paid(t), w.paid(t)
	for name, forge := range w.facts.Callbacks.Forgeries {
		if got, err := w.parse(t, forge(w.callback(p))); !isBad(err) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	// A proof is good for the body that it was made for, and for no other.
	swapped := w.callback(p)
	swapped.Body = w.facts.Callbacks.Body(other)
	if got, err := w.parse(t, swapped); !isBad(err) {
		t.Errorf("another body: %+v, %v", got, err)
	}
	if got, err := w.parse(t, providers.CallbackRequest{Body: w.facts.Callbacks.Body(p), Now: w.Now()}); !isBad(err) {
		t.Errorf("no proof: %+v, %v", got, err)
	}
}

func checkReplayedCallback(t T, w *world) {
	cb := w.callback(w.paid(t))
	first, err := w.parse(t, cb)
	if err != nil {
		t.Fatalf("%v", err)
	}
	window, ahead := w.facts.Callbacks.Window, w.facts.Callbacks.Ahead
	at := func(d time.Duration) (providers.Callback, error) {
		later := cb
		later.Now = cb.Now.Add(d)
		return w.parse(t, later)
	}
	for _, d := range []time.Duration{window - time.Second, -max(ahead-time.Second, 0)} {
		if again, err := at(d); err != nil || again != first {
			t.Errorf("repeated in time, %s later: %+v, %v; at first %+v", d, again, err, first)
		}
	}
	const long = 100 * 365 * 24 * time.Hour
	for _, d := range []time.Duration{window + 2*time.Second, 24 * time.Hour, long, -(ahead + 2*time.Second), -24 * time.Hour, -long} {
		if got, err := at(d); !isBad(err) || got != (providers.Callback{}) {
			t.Errorf("%s later: %+v, %v", d, got, err)
		}
	}
}

func checkCallbackSecrets(t T, w *world) {
	secrets := w.facts.Callbacks.Secrets
	if len(secrets) != 3 {
		t.Fatalf("Callbacks.Secrets are %d, and not three", len(secrets))
	}
	own, other, third := secrets[0], secrets[1], secrets[2]
	p := w.paid(t)
	for name, c := range map[string]struct {
		known []providers.Secret
		good  bool
	}{
		"alone": {[]providers.Secret{own}, true}, "first": {[]providers.Secret{own, other}, true}, "last": {[]providers.Secret{other, own}, true},
		"gone": {[]providers.Secret{other}, false}, "a third": {[]providers.Secret{other, third}, false},
	} {
		cb := w.callback(p)
		cb.Secrets = c.known
		if got, err := w.parse(t, cb); c.good && err != nil || !c.good && (!isBad(err) || got != (providers.Callback{})) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func checkMalformedCallback(t T, w *world) {
	p := w.paid(t)
	prove := func(body []byte) providers.CallbackRequest {
		cb := w.facts.Callbacks.Prove(body, p, w.Now())
		cb.Now = w.Now()
		return cb
	}
	good := w.facts.Callbacks.Body(p)
	for name, body := range map[string]string{
		"empty": "", "page": string(Page(0).Body), "half": string(good[:len(good)/2]), "list": "[]", "text": `"OK"`, "binary": "\xff\x00",
	} {
		if got, err := w.parse(t, prove([]byte(body))); !isUnreadable(err) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	property(t, func(r *rapid.T) {
		cb := prove(anything().Draw(r, "body"))
		if rapid.Bool().Draw(r, "other header") {
			for name := range cb.Header {
				cb.Header.Set(name, rapid.String().Draw(r, "value"))
			}
		}
		if got, err := w.parse(r, cb); err != nil && (!isUnreadable(err) || got != (providers.Callback{})) {
			r.Fatalf("%+v, %v", got, err)
		}
	})
}
