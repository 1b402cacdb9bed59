package callback

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

const mtnBody = `{"status":"SUCCESSFUL","amount":"5000","currency":"EUR","financialTransactionId":"1","externalId":"x"}`

// MTN signs nothing: the path is all that it proves.
func TestReceiver_NotesMTNByItsPath(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		s, other := newSale("shop", "order-1", "mtn"), newSale("shop", "order-2", "mtn")
		f := withSales(t, s, other)
		f.expect(http.StatusOK, method, s.path(), mtnBody)
		f.expectNote(s, "SUCCESSFUL")
		f.expectNoNote(other)
		f.expectWrites(1)
	}
}

// MTN and Orange call once: also where that is faster than this replica's cache.
func TestReceiver_NotesWhatItsCacheDoesNotShowYet(t *testing.T) {
	for provider, body := range map[string]string{"mtn": mtnBody, "orange": orangeBody("SUCCESS", notifToken)} {
		f, s := withSale(t, provider)
		behind := apierrors.NewNotFound(schema.GroupResource{Resource: "charges"}, "charge")
		f.onCall = failing("get Charge", behind)
		f.expect(http.StatusOK, http.MethodPost, s.path(), body)
		f.expectNote(s, map[string]string{"mtn": "SUCCESSFUL", "orange": "SUCCESS"}[provider])
	}
	f, s := withSale(t, "mtn")
	f.onCall = func(label string) error {
		if label == "get Charge" || label == "live get Charge" {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "charges"}, "charge")
		}
		return nil
	}
	f.expect(http.StatusNotFound, http.MethodPost, s.path(), mtnBody)
	f.expectReads(2)
}

func TestG13_OtherMethodsAreRefused(t *testing.T) {
	f, s := withSale(t, "mtn")
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodTrace, "PROPFIND"} {
		for _, path := range []string{s.path(), "/callbacks/wave", "/callbacks/wave/account/shop/wave", "/callbacks/wave/cluster/wave"} {
			f.expect(http.StatusMethodNotAllowed, method, path, mtnBody)
		}
	}
	// Only MTN may use PUT.
	for _, path := range []string{newSale("shop", "x", "orange").path(), "/callbacks/wave", "/callbacks/wave/account/shop/wave"} {
		f.expect(http.StatusMethodNotAllowed, http.MethodPut, path, mtnBody)
	}
	f.expectNoNote(s)
	f.expectWrites(0)
}

func TestG13_OtherPathsAreRefused(t *testing.T) {
	f, s := withSale(t, "mtn")
	for _, path := range []string{
		"/callbacks/mtn/" + s.id() + "%2f",
		"/callbacks/mtn%2f" + s.id(),
		"/callbacks/m%74n/" + s.id(),
		"/callbacks//mtn/" + s.id(),
		"//callbacks/mtn/" + s.id(),
		"/callbacks/./mtn/" + s.id(),
		"/x/../callbacks/mtn/" + s.id(),
		"/callbacks/mtn/" + s.id() + "/",
		"/Callbacks/mtn/" + s.id(),
		"/callbacks/wave/" + s.id(),
		"/callbacks/mpesa/" + s.id(),
		"/callbacks/mpesa",
		"/callbacks/mtn",
		"/callbacks/orange",
		"/callbacks/mtn/account/shop/mtn", // mtn signs nothing, so an account's path proves nothing
		"/callbacks/mtn/cluster/mtn",
		"/callbacks/orange/account/shop/orange",
		"/callbacks/mtn/account/shop",
		"/callbacks", "/", "/metrics", "/callbacks/wave/cluster",
	} {
		f.expect(http.StatusNotFound, http.MethodPost, path, mtnBody)
	}
	f.expectNoNote(s)
	f.expectWrites(0)
	f.expectReads(0)
}

func TestG11_AWrongPathCausesNoRead(t *testing.T) {
	f, s := withSale(t, "mtn")
	for _, path := range []string{
		"/callbacks/mtn/unknown",
		"/callbacks/mtn/" + s.id()[1:],
		"/callbacks/mtn/" + s.id() + "x",
		"/callbacks/mtn/" + strings.ToUpper(s.id()),
		"/callbacks/mtn/" + s.charge.Name,
		"/callbacks/mtn/" + s.reference(),
		"/callbacks/orange/" + s.id(),
		"/callbacks/mtn/" + strings.Repeat("A", len(s.id())),
	} {
		f.expect(http.StatusUnauthorized, http.MethodPost, path, mtnBody)
		if w := f.answerTo(request(http.MethodPost, path, unread{t})); w.Code != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", path, w.Code)
		}
	}
	f.expectReads(0)
	// The right id of a charge that is not there.
	gone := newSale("shop", "order-2", "mtn")
	f.expect(http.StatusNotFound, http.MethodPost, gone.path(), mtnBody)
	f.expectReads(2)
	f.expectNoNote(s)
	f.expectWrites(0)
	f.expectNotLogged(s.id(), gone.id())
}

type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func orangeBody(status, token string) string {
	return toJSON(map[string]string{"status": status, "notif_token": token, "txnid": "MP1"})
}

func TestG11_OrangeNeedsItsToken(t *testing.T) {
	f, s := withSale(t, "orange")
	for name, body := range map[string]string{
		"wrong":        orangeBody("SUCCESS", "wrong"),
		"empty":        orangeBody("SUCCESS", ""),
		"the hash":     orangeBody("SUCCESS", providers.HashToken(notifToken)),
		"longer":       orangeBody("SUCCESS", notifToken+"0"),
		"shorter":      orangeBody("SUCCESS", notifToken[1:]),
		"none":         `{"status":"SUCCESS"}`,
		"null":         `{"status":"SUCCESS","notif_token":null}`,
		"a number":     `{"status":"SUCCESS","notif_token":7}`,
		"twice":        fmt.Sprintf(`{"status":"SUCCESS","notif_token":"x","notif_token":%q}`, notifToken),
		"no JSON":      "status=SUCCESS&notif_token=" + notifToken,
		"no body":      "",
		"in a list":    "[" + orangeBody("SUCCESS", notifToken) + "]",
		"and trailing": orangeBody("SUCCESS", notifToken) + "{}",
	} {
		if got := f.send(http.MethodPost, s.path(), body); got != http.StatusUnauthorized {
			t.Errorf("%s: HTTP %d", name, got)
		}
	}
	f.expectNoNote(s)
	f.expectWrites(0)

	f.expect(http.StatusOK, http.MethodPost, s.path(), orangeBody("SUCCESS", notifToken))
	f.expectNote(s, "SUCCESS")
	f.expectNotLogged(s.id())
}

func TestG11_OrangeWithoutATokenVerifiesNothing(t *testing.T) {
	f, s := withSale(t, "orange", func(s *sale) { s.charge.Record.Session.NotificationTokenHash = "" })
	for _, token := range []string{"", notifToken} {
		f.expect(http.StatusUnauthorized, http.MethodPost, s.path(), orangeBody("SUCCESS", token))
	}
	f.expectWrites(0)
}

// What recognises Orange's callback is recorded a moment after the
// provider made it. MTN's is recognised by its path alone, and comes once.
func TestG3_BeforeTheAnswerIsRecorded(t *testing.T) {
	for name, change := range map[string]func(*sale){"asked": unansweredSale, "an older view": unaskedSale} {
		f, s := withSale(t, "orange", change)
		f.expect(http.StatusServiceUnavailable, http.MethodPost, s.path(), orangeBody("SUCCESS", notifToken))
		f.expectNoNote(s)
		f.expectWrites(0)
		f.expectNotLogged(s.id())
		if f.logs.Len() == 0 {
			t.Errorf("%s: nothing is said about it", name)
		}

		s = newSale("shop", "order-1", "mtn", change)
		f = withSales(t, s)
		f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
		f.expectNote(s, "SUCCESSFUL")
	}
	// It ended without an answer: nothing will be recorded that it could wait for.
	f, s := withSale(t, "orange", unansweredSale, ended(v1alpha1.PhaseFailed))
	f.expect(http.StatusUnauthorized, http.MethodPost, s.path(), orangeBody("SUCCESS", notifToken))
}

func TestG13_MalformedBodiesAreRefused(t *testing.T) {
	f, s := withSale(t, "mtn")
	for _, body := range []string{"", "x", "[]", "<html>", `{"status":`, `{"status":{}}`, `"SUCCESSFUL"`} {
		f.expect(http.StatusBadRequest, http.MethodPost, s.path(), body)
	}
	f.expectNoNote(s)
	f.expectWrites(0)
}

func TestG13_BodiesAreLimited(t *testing.T) {
	f, s := withSale(t, "mtn")
	body := func(n int) string { return mtnBody + strings.Repeat(" ", n-len(mtnBody)) }
	f.expect(http.StatusRequestEntityTooLarge, http.MethodPost, s.path(), body(maxBody+1))
	f.expect(http.StatusRequestEntityTooLarge, http.MethodPost, s.path(), body(10<<20))
	f.expect(http.StatusRequestEntityTooLarge, http.MethodPost, "/callbacks/wave", body(maxBody+1))
	f.expectNoNote(s)
	f.expect(http.StatusOK, http.MethodPost, s.path(), body(maxBody))
	f.expectNote(s, "SUCCESSFUL")
	broken := request(http.MethodPost, s.path(), iotest.ErrReader(io.ErrUnexpectedEOF))
	if w := f.answerTo(broken); w.Code != http.StatusBadRequest {
		t.Errorf("a body that breaks off: HTTP %d", w.Code)
	}
	if maxBody != 64<<10 {
		t.Errorf("the limit is %d", maxBody)
	}
}

func TestNote_ClipsTheClaim(t *testing.T) {
	for _, c := range []struct{ sent, noted string }{
		{"SUCCESSFUL", "SUCCESSFUL"},
		{"a b\x1b[31m<script>é", "ab31mscript"},
		{strings.Repeat("A", 100), strings.Repeat("A", 64)},
		{"\x1b\n", ""},
		{"", ""},
	} {
		f, s := withSale(t, "mtn")
		f.expect(http.StatusOK, http.MethodPost, s.path(), toJSON(map[string]string{"status": c.sent}))
		f.expectNote(s, c.noted)
	}
}

func TestNote_ClipsWhatAParserForgot(t *testing.T) {
	a := lastCallback(client.ObjectKey{Namespace: "shop", Name: "order-1"}, received{claim: "a\x1b[31mb " + phone, at: time.Unix(1790000000, 0)})
	if got := *a.Status.LastCallback.Claim; got != "a31mb" {
		t.Errorf("%q", got)
	}
}

func TestReceiver_AnswersAPIFailuresWith503(t *testing.T) {
	mtnSale, orangeSale := newSale("shop", "order-1", "mtn"), newSale("shop", "order-2", "orange")
	waveSale := newSale("shop", "order-3", "wave")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "wave"}, Data: map[string][]byte{"webhookSecret": []byte(secretA)}}
	acct := waveAccount("shop", "wave")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "payments"}, "order-1", errors.New("uid"))
	for _, c := range []struct {
		at  string
		err error
	}{
		{"get Charge", errAPI}, {"list ChargeList", errAPI}, {"get Payment", errAPI}, {"apply status", errAPI}, {"apply status", conflict},
	} {
		f := setUp(t, secret.DeepCopy(), acct.DeepCopy())
		f.add(mtnSale, orangeSale, waveSale)
		f.onCall = failing(c.at, c.err)
		if c.at != "list ChargeList" {
			f.expect(http.StatusServiceUnavailable, http.MethodPost, mtnSale.path(), mtnBody)
			f.expect(http.StatusServiceUnavailable, http.MethodPost, orangeSale.path(), orangeBody("SUCCESS", notifToken))
		}
		if body := waveBody(waveSale.reference()); c.at != "get Charge" {
			f.expect(http.StatusServiceUnavailable, http.MethodPost, "/callbacks/wave/account/shop/wave", body, "Wave-Signature", signature(f.now, body, secretA))
		}
		for _, s := range []sale{mtnSale, orangeSale, waveSale} {
			f.expectNoNote(s)
		}
		f.expectNotLogged(mtnSale.id(), orangeSale.id(), secretA)
		if f.logs.Len() == 0 {
			t.Errorf("%s: nothing is said about it", c.at)
		}
		f.onCall = nil
		f.expect(http.StatusOK, http.MethodPost, mtnSale.path(), mtnBody)
		f.expectNote(mtnSale, "SUCCESSFUL")
	}
}

// An error that quotes the request, as a client without a cache would make it.
func TestReceiver_LogsNoPath(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.onCall = func(string) error {
		return &url.Error{Op: "Get", URL: "https://10.0.0.1/charges/" + s.charge.Name, Err: errAPI}
	}
	f.expect(http.StatusServiceUnavailable, http.MethodPost, s.path(), mtnBody)
	f.expectNotLogged(s.id())
	if !strings.Contains(f.logs.String(), errAPI.Error()) {
		t.Errorf("the log does not say why: %s", f.logs.String())
	}
}

type panicking struct{}

func (panicking) ParseCallback(cb providers.CallbackRequest) (providers.Callback, error) {
	panic("cannot read " + string(cb.Body))
}

func TestG17_APanicDropsOneCallback(t *testing.T) {
	f, s := withSale(t, "mtn")
	kind := f.Registry["mtn"]
	kind.Callbacks = panicking{}
	f.Registry["mtn"] = kind
	f.expect(http.StatusServiceUnavailable, http.MethodPost, s.path(), `{"canary-body":1}`)
	f.expectNotLogged(s.id(), "canary-body")
	if !strings.Contains(f.logs.String(), "ParseCallback") {
		t.Errorf("the log does not say where:\n%s", f.logs.String())
	}
	f.expectWrites(0)
}

// The page for payers who come back says so in two languages, and does not say that they paid.
func TestLandingPage_PromisesNothing(t *testing.T) {
	f := setUp(t)
	for _, path := range []string{"/return", "/return?status=success&order=<script>"} {
		w := f.do(http.MethodGet, path, "")
		page := w.Body.String()
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("HTTP %d, %v", w.Code, w.Header())
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%v", w.Header())
		}
		for _, want := range []string{`<html lang="fr">`, "revenir chez le marchand", `lang="en"`, "go back to the merchant"} {
			if !strings.Contains(page, want) {
				t.Errorf("%q is not on the page", want)
			}
		}
		for _, promise := range []string{"success", "succès", "réussi", "confirm", "merci", "thank", "received", "reçu", "échec", "fail", "a été", "has been", "script", "order"} {
			if strings.Contains(strings.ToLower(page), promise) {
				t.Errorf("%q is on the page", promise)
			}
		}
	}
	if got := f.send(http.MethodPost, "/return", ""); got != http.StatusMethodNotAllowed {
		t.Errorf("POST: HTTP %d", got)
	}
	f.expectWrites(0)
}

func TestMetrics_CountResults(t *testing.T) {
	s, early := newSale("shop", "order-1", "mtn"), newSale("shop", "early", "orange", unansweredSale)
	over := newSale("shop", "over", "mtn", ended(v1alpha1.PhaseSucceeded))
	f := withSales(t, s, early, over)
	f.send(http.MethodPost, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), said("FAILED"))
	f.send(http.MethodPost, over.path(), mtnBody)
	f.send(http.MethodPost, s.path(), "x")
	f.send(http.MethodPost, s.path()+"x", mtnBody)
	f.send(http.MethodPost, newSale("shop", "gone", "mtn").path(), mtnBody)
	f.send(http.MethodGet, s.path(), mtnBody)
	f.send(http.MethodPost, s.path(), strings.Repeat(" ", maxBody+1))
	f.send(http.MethodPost, early.path(), orangeBody("SUCCESS", notifToken))
	f.send(http.MethodPost, "/callbacks/m-pesa/"+s.id(), mtnBody)
	f.send(http.MethodPost, "/wp-login.php", mtnBody)
	f.send(http.MethodGet, "/return", "")
	kind := f.Registry["orange"]
	kind.Callbacks = panicking{}
	f.Registry["orange"] = kind
	f.send(http.MethodPost, early.path(), "{}")
	f.throttle.charges = newBuckets(1, 0)
	f.send(http.MethodPost, s.path(), mtnBody)
	want := `
		# HELP mobilemoney_callback_path_keys_total Callback paths of charges that were verified, by the key that signed them: current or previous.
		# TYPE mobilemoney_callback_path_keys_total counter
		mobilemoney_callback_path_keys_total{key="current"} 10
		# HELP mobilemoney_callbacks_total Requests to the callback receiver, by provider (or other) and what became of them.
		# TYPE mobilemoney_callbacks_total counter
		mobilemoney_callbacks_total{provider="mtn",result="ignored"} 2
		mobilemoney_callbacks_total{provider="mtn",result="limited"} 1
		mobilemoney_callbacks_total{provider="mtn",result="malformed"} 1
		mobilemoney_callbacks_total{provider="mtn",result="method"} 1
		mobilemoney_callbacks_total{provider="mtn",result="noted"} 1
		mobilemoney_callbacks_total{provider="mtn",result="repeated"} 1
		mobilemoney_callbacks_total{provider="mtn",result="too-large"} 1
		mobilemoney_callbacks_total{provider="mtn",result="unknown"} 1
		mobilemoney_callbacks_total{provider="mtn",result="unverified"} 1
		mobilemoney_callbacks_total{provider="orange",result="bug"} 1
		mobilemoney_callbacks_total{provider="orange",result="later"} 1
		mobilemoney_callbacks_total{provider="other",result="unknown"} 2
	`
	if err := testutil.GatherAndCompare(f.metrics, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	var none *Metrics // a receiver can do without
	none.received("mtn", resultNoted)
	none.verifiedBy(0)
}

func TestG10_MetricOfPathKeys(t *testing.T) {
	f := setUp(t)
	for _, key := range []int{-1, 0, 1, 1} {
		f.Metrics.verifiedBy(key)
	}
	if n := testutil.ToFloat64(f.Metrics.keys.WithLabelValues("previous")); n != 2 {
		t.Errorf("%v", n)
	}
	if n := testutil.ToFloat64(f.Metrics.keys.WithLabelValues("current")); n != 1 {
		t.Errorf("%v", n)
	}
}

// A provider's parser that says neither good nor bad is our fault, and not the sender's.
func TestRefused_TakesOddParserErrors(t *testing.T) {
	for err, want := range map[error]result{providers.ErrBadCallback: resultUnverified, providers.ErrMalformedCallback: resultMalformed, errAPI: resultLater} {
		if got := refused(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
	if !tooSoon(time.Unix(5, 0), time.Unix(9, 0), 10*time.Second) {
		t.Error("a clock that was set back is no reason for more notes")
	}
}
