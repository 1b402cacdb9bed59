package providertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/providertest/canary"
)

// secrets are all that must never be shown, but for the payer.
func (w *world) secrets() []string {
	all := append(slices.Clone(w.told), w.facts.Request.CallbackURL)
	for _, secret := range w.facts.Account.Credentials {
		all = append(all, secret.Reveal())
	}
	return append(all, w.wire.authorizations()...)
}

// printed is a value in every form in which it may get into a log.
func printed(v any) []string {
	out := []string{fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v), fmt.Sprintf("%q", v)}
	if _, isError := v.(error); !isError {
		marshalled, _ := json.Marshal(v)
		out = append(out, string(marshalled))
	}
	return out
}

// show keeps a value in the forms in which it may be printed.
func (w *world) show(values ...any) {
	for _, v := range values {
		for _, text := range printed(v) {
			w.shown[text] = fmt.Sprintf("%T", v)
		}
	}
}

// showError shows an error with everything inside it.
func (w *world) showError(err error) {
	for ; err != nil; err = errors.Unwrap(err) {
		w.show(err)
		if e := new(providers.Error); errors.As(err, &e) {
			w.show(*e)
		}
	}
}

// noLeaks looks at everything that was shown so far.
func (w *world) noLeaks(t rapid.TB) {
	t.Helper()
	find := canary.New()
	for i, secret := range w.secrets() {
		find.Secret(fmt.Sprint("secret ", i), secret)
	}
	find.Phone("payer", w.facts.Request.Payer.Reveal())
	for text, kind := range w.shown {
		for _, leak := range find.Find(text) {
			t.Errorf("a %s shows %s", kind, leak)
		}
	}
	clear(w.shown)
}

// talkative answers repeat what they were told, as error pages do.
func talkative(secrets []string) map[string]providers.Answer {
	all := strings.Join(secrets, " ")
	message, _ := json.Marshal(all)
	out := map[string]providers.Answer{}
	for _, status := range []int{200, 201, 202, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503} {
		for shape, body := range map[string]string{
			"message": `{"message":%[1]s,"description":%[1]s,"error_description":%[1]s,"details":[{"msg":%[1]s}]}`,
			"cut":     `{"message":%[1]s`, "page": "<html>%[1]s</html>", "type": `{"code":{"x":%[1]s},"status":[%[1]s],"id":{"a":%[1]s}}`,
		} {
			a := JSON(status, fmt.Sprintf(body, message))
			out[fmt.Sprint(status, " ", shape)] = withHeader(withHeader(a, "Location", "https://elsewhere.example/?"+url.QueryEscape(all)), "Retry-After", all)
		}
	}
	return out
}

func checkRedaction(t T, w *world) {
	w.paid(t) // so that there are tokens and a URL to keep quiet about
	everything := talkative(append(w.secrets(), w.facts.Request.Payer.Reveal()))
	for _, p := range w.probes(t) {
		for _, a := range everything {
			s, _ := p.answered(t, w, a)
			w.showSubject(&s)
		}
	}
	for _, o := range w.operations() {
		s := o.ready(t, w)
		if _, err := w.answer(t, o, s); err != nil {
			t.Errorf("%s: %v", o.op, err)
		}
		w.showSubject(s)
		for _, way := range noAnswers() {
			_ = o.again(t, w, s, way.fault)
		}
	}
	_, _ = w.initiate(w.badRequest(t))
	w.noLeaks(t)
}

func (w *world) badRequest(t rapid.TB) providers.InitiateRequest {
	req := w.request(t)
	req.Payer += "9999999999999"
	req.ReturnURL, req.CallbackURL = "%zz"+req.ReturnURL, strings.Repeat(req.CallbackURL, 20)
	return req
}

func (w *world) showSubject(s *subject) {
	in := s.payment.Initiation
	w.remember(in.Session, in.NotificationToken)
	for _, found := range s.sessions {
		w.remember(found, "")
	}
	w.show(in, in.Session, &in, s.status, s.sessions, s.payment.Handle())
}
