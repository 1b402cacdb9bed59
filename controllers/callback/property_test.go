package callback

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

type genuineCallback struct{ path, body, secret string }

// Whatever is sent, to whatever path, with whatever proof, a callback changes nothing but the note;
// it never breaks the receiver, and it leaves no trace in the log.
func TestG1_CallbackDecidesNothing(t *testing.T) {
	m := newMarket(t)
	mtnSale, orangeSale := newSale("shop", "at-mtn", "mtn"), newSale("shop", "at-orange", "orange")
	early := newSale("shop", "early", "orange", unansweredSale)
	over := newSale("shop", "over", "mtn", ended(v1alpha1.PhaseSucceeded))
	m.add(mtnSale, orangeSale, early, over)
	sales := append(m.sales(), mtnSale, orangeSale, early, over)
	handler := m.Handler()

	word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"SUCCESSFUL", "SUCCESS", "checkout.session.completed", "Succeeded", "succeeded", "", "mobile\x1b[31m"}))
	reference := rapid.Custom(func(t *rapid.T) string { return rapid.SampledFrom(sales).Draw(t, "sale").reference() })
	body := rapid.OneOf(
		rapid.String(),
		rapid.Custom(func(t *rapid.T) string {
			return toJSON(map[string]any{
				"status": word.Draw(t, "status"), "phase": "Succeeded", "lastCallback": word.Draw(t, "x"),
				"notif_token": rapid.SampledFrom([]string{notifToken, "", "wrong"}).Draw(t, "token"), "externalId": reference.Draw(t, "ref"),
			})
		}),
		rapid.Custom(func(t *rapid.T) string {
			return toJSON(map[string]any{
				"id": word.Draw(t, "id"), "type": "checkout.session." + word.Draw(t, "type"),
				"data": map[string]any{"id": "cos-1", "client_reference": reference.Draw(t, "ref"), "payment_status": "succeeded"},
			})
		}),
	)
	path := rapid.OneOf(
		rapid.SampledFrom([]string{pathA, pathB, pathCluster, pathClosed, pathOperator, mtnSale.path(), orangeSale.path(), early.path(), over.path()}),
		rapid.Map(rapid.String(), func(s string) string { return "/callbacks/mtn/" + url.PathEscape(s) }),
	)
	secrets := rapid.SliceOfN(rapid.SampledFrom([]string{secretA, secretB, secretCluster, secretOperator, "", "wrong"}), 0, 3)
	noted := 0

	// genuine callbacks, so that the random ones get as far.
	genuine := []genuineCallback{
		{mtnSale.path(), mtnBody, ""}, {orangeSale.path(), orangeBody("SUCCESS", notifToken), ""}, {over.path(), mtnBody, ""},
		{early.path(), orangeBody("SUCCESS", notifToken), ""},
		{pathA, waveBody(m.a.reference()), secretA}, {pathB, waveBody(m.b.reference()), secretB}, {pathOperator, waveBody(m.operator.reference()), secretOperator},
		{pathCluster, waveBody(m.cluster.reference()), secretCluster}, {pathClosed, waveBody(m.closed.reference()), secretCluster},
	}

	try := func(t *rapid.T) {
		m.now = m.now.Add(time.Duration(rapid.IntRange(-3600, 3600).Draw(t, "seconds")) * time.Second)
		g := rapid.SampledFrom(genuine).Draw(t, "genuine")
		// No two are the same, or they would not be noted twice.
		text, raw := g.body+strings.Repeat(" ", rapid.IntRange(0, 1000).Draw(t, "spaces")), g.path
		if rapid.Bool().Draw(t, "other body") {
			text = body.Draw(t, "body")
		}
		if rapid.Bool().Draw(t, "other path") {
			raw = path.Draw(t, "path")
		}
		req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
		req.Method = rapid.SampledFrom([]string{"POST", "POST", "POST", "PUT", "GET", "DELETE", "X"}).Draw(t, "method")
		u, err := url.Parse(raw)
		if err != nil {
			return // no server would see it
		}
		req.URL = u
		switch rapid.IntRange(0, 5).Draw(t, "proof") {
		case 0:
			req.Header.Set("Wave-Signature", signature(m.now, text, secrets.Draw(t, "secrets")...))
		case 1:
			req.Header.Set("Wave-Signature", word.Draw(t, "header"))
		case 2:
			req.Header.Set("Authorization", "Bearer "+rapid.SampledFrom([]string{secretA, secretOperator, ""}).Draw(t, "bearer"))
		default:
			if g.secret != "" {
				req.Header.Set("Wave-Signature", signature(m.now, text, g.secret))
			}
		}
		before := len(m.writes)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)

		allowed := []int{200, 400, 401, 404, 405, 413, 503}
		if !slices.Contains(allowed, w.Code) {
			t.Fatalf("%s %s: HTTP %d", req.Method, raw, w.Code)
		}
		if w.Code == 503 && u.Path != early.path() {
			t.Fatalf("%s %s: HTTP 503\n%s", req.Method, raw, m.logs.String())
		}
		if written := m.writes[before:]; len(written) > 1 || (len(written) == 1 && (written[0] != "apply status" || w.Code != 200)) {
			t.Fatalf("HTTP %d, and wrote %v", w.Code, written)
		}
		noted += len(m.writes) - before
		for _, s := range sales {
			m.noteOf(s)
		}
		m.expectNoNote(over)
		m.expectNoNote(early)
		if m.t.Failed() {
			t.Fatalf("after %s %s %q", req.Method, raw, text)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			try(t)
		}
	})
	if noted < 50 {
		t.Errorf("%d callbacks were noted: this test tests little", noted)
	}
	var words []string
	for _, s := range sales {
		words = append(words, s.id(), s.reference())
	}
	m.expectNotLogged(append(words, secretA, secretB, secretCluster, secretOperator, "canary", errPanic.Error())...)
}
