package orange_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/orange"
)

var calls = []string{"initiate", "status", "token"}

// answered makes one of the calls and answers it.
func answered(t *testing.T, op string, a providers.Answer) (i providers.Initiation, s providers.Status, err error) {
	t.Helper()
	requests, most := 0, 1
	refused := a.Status >= 400 && a.Status <= 499 && slices.Contains([]string{"40", "41", "42"}, wiretest.Said(a.Body, "code"))
	if op != "token" && (a.Status == 401 || refused) {
		most = 2 // once more, with another token
	}
	answer := wiretest.Wired(func(c providers.Call) providers.Answer {
		if strings.HasSuffix(c.URL, "/token") && op != "token" {
			return providers.Answer{Status: 200, Body: []byte(tokenAnswer.Body)}
		}
		if requests++; requests > most {
			t.Fatalf("%s: %s is sent again after HTTP %d %q", op, c.Operation, a.Status, a.Body)
		}
		return a
	})
	p, err := orange.Kind().New(account("https://api.example/orange-money-webpay/ci/v1"), answer, wiretest.NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	switch op {
	case "initiate":
		i, err = p.Initiate(t.Context(), request())
	case "status":
		s, err = p.Status(t.Context(), handle())
	default:
		err = p.(providers.Preparer).Prepare(t.Context())
	}
	return i, s, err
}

// Whatever Orange answers to whatever call: nothing is taken for a decision that does
// not say so in the documented words, and no page or token is handed out that cannot
// be used.
func FuzzAnswers(f *testing.F) {
	bodies := []string{
		opened.Body, paid.Body, tokenAnswer.Body, "", "{}", "<html>", `{"code":1204,"message":"canary!","description":"x"}`, `{"code":"23"}`, `{"code":42}`, `{"code":1201}`,
		`{"code":1202}`, `{"code":53}`, `{"code":21.0}`, `{"code":{}}`, `{"code":1,"Code":24}`, `{"Code":1,"Code":0}`, `{"code":9999}`, `{"error":"invalid_client","error_description":"canary!"}`,
		`{"status":"INITIATED","order_id":"` + ref + `"}`, `{"status":"PENDING"}`, `{"status":"FAILED","order_id":7}`, `{"status":"FAILED","message":"upstream timeout"}`, `{"status":"SUCCESS"}`,
		`{"status":"SUCCESS","order_id":"` + ref + `","amount":"5000.00","currency":"XOF"}`, `{"status":"SUCCESS","order_id":"` + ref + `","amount":50}`, `{"status":"PENDING","amount":5e3,"currency":"xof"}`,
		`{"status":"EXPIRED","order_id":"a b"}`, `{"status":"CANCELLED"}`,
		`{"status":"success"}`, `{"status":"SUCCESS","status":"FAILED"}`, `{"status":["SUCCESS"]}`, `{"status":"SUCCESS"}{}`, `{"status":201,"pay_token":"p","payment_url":"javascript://x/","notif_token":""}`,
		`{"pay_token":"p","payment_url":"https://pay.example/p","notif_token":null}`, `{"pay_token":"p\r\nX: y","payment_url":"https://pay.example/p"}`, `{"pay_token":"","payment_url":"https://pay.example/p"}`,
	}
	statuses := []int{400, 401, 403, 404, 405, 406, 429, 500, 503}
	for i, body := range bodies {
		for op := range calls {
			f.Add(uint8(op), 200, "", []byte(body))
			f.Add(uint8(op), 201, "soon", []byte(body))
			f.Add(uint8(op), statuses[(i+op)%len(statuses)], "30", []byte(body))
		}
		f.Add(uint8(0), 403, "-1", []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, status int, wait string, body []byte) {
		op := calls[int(which)%len(calls)]
		a := providers.Answer{Status: status, Header: http.Header{"Retry-After": {wait}}, Body: wiretest.Planted(body)}
		i, s, err := answered(t, op, a)
		if err != nil {
			if s != (providers.Status{}) || i != (providers.Initiation{}) {
				t.Errorf("%s: %v, and %+v %+v", op, err, s, i)
			}
			checkError(t, op, a, err)
			return
		}
		if status != 200 && (status != 201 || op == "token") {
			t.Fatalf("%s: HTTP %d is no error", op, status)
		}
		switch op {
		case "initiate":
			checkOpened(t, a.Body, i)
		case "status":
			checkOutcome(t, a.Body, s)
		default:
			if wiretest.Said(a.Body, "access_token") == "" {
				t.Fatalf("%q has a token", a.Body)
			}
		}
	})
}

// checkOpened: a page that a browser opens safely, and tokens that were sent.
func checkOpened(t *testing.T, body []byte, i providers.Initiation) {
	t.Helper()
	page, token, notif := i.PaymentURL.Reveal(), i.Token.Reveal(), i.NotificationToken.Reveal()
	odd := func(s string) bool {
		return len(s) > 2048 || strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' })
	}
	if page != wiretest.Said(body, "payment_url") || !strings.HasPrefix(strings.ToLower(page), "https://") || odd(page) {
		t.Errorf("%s: page %q", body, page)
	}
	if token == "" || token != wiretest.Said(body, "pay_token") || len(token) > 255 || odd(token) || notif != wiretest.Said(body, "notif_token") || len(notif) > 255 || odd(notif) {
		t.Errorf("%s: tokens %q, %q", body, token, notif)
	}
}

// checkOutcome: the state is what the one status word says (Orange Money Web Payment,
// transactionstatus: status), about the order that is echoed.
func checkOutcome(t *testing.T, body []byte, s providers.Status) {
	t.Helper()
	want := providers.StatePending
	switch wiretest.Said(body, "status") {
	case "SUCCESS":
		want = providers.StateSucceeded
	case "FAILED":
		want = providers.StateFailed
	case "EXPIRED":
		want = providers.StateExpired
	case "INITIATED":
		want = providers.StateNotStarted
	}
	if s.State != want || (s.Failure != "") != (want == providers.StateFailed) {
		t.Fatalf("%s: %+v", body, s)
	}
	order := wiretest.Said(body, "order_id")
	if s.Reference != order && s.Reference != "unreadable" || order == "" && want != providers.StatePending {
		t.Fatalf("%s: %q", body, s.Reference)
	}
	// What is not told is the question's.
	amount, currency := cmp.Or(wiretest.Said(body, "amount"), handle().Money.Amount), cmp.Or(wiretest.Said(body, "currency"), handle().Money.Currency)
	if !wiretest.SameMoney(s.Money, amount, currency) {
		t.Fatalf("%s: %v", body, s.Money)
	}
}

// definite are the answers that prove that nothing moved: by class, the codes that
// count with any HTTP 4xx (Orange Money Web Payment, error codes; Orange Developer,
// API errors), and what counts without a code.
var definite = map[providers.Class]struct {
	codes    []string
	statuses []int
}{
	providers.ClassRejected:      {[]string{"21", "22", "23", "24", "1201"}, nil},
	providers.ClassMisconfigured: {[]string{"40", "41", "42", "50", "1202", "1203", "60", "61", "62"}, []int{403, 404, 405, 406}},
	providers.ClassThrottled:     {[]string{"53"}, nil},
	providers.ClassAlreadyExists: {[]string{"1204"}, nil},
}

func isDefinite(a providers.Answer, class providers.Class) bool {
	d, code := definite[class], wiretest.Said(a.Body, "code")
	switch {
	case a.Status == 401:
		return class == providers.ClassMisconfigured
	case a.Status == 429:
		return class == providers.ClassThrottled
	default:
		return a.Status >= 400 && a.Status <= 499 && (slices.Contains(d.codes, code) || code == "" && slices.Contains(d.statuses, a.Status))
	}
}

func checkError(t *testing.T, op string, a providers.Answer, err error) {
	t.Helper()
	e := providers.AsError(err)
	allowed := []providers.Class{providers.ClassMisconfigured, providers.ClassThrottled}
	switch op {
	case "token": // whoever needed the token sent nothing
		allowed = append(allowed, providers.ClassNotSent)
	case "initiate":
		allowed = append(allowed, providers.ClassUnknown, providers.ClassRejected, providers.ClassAlreadyExists)
	default:
		allowed = append(allowed, providers.ClassUnknown)
	}
	if !slices.Contains(allowed, e.Class) || op != "token" && e.Class != providers.ClassUnknown && !isDefinite(a, e.Class) {
		t.Fatalf("%s: %v for HTTP %d %q", op, err, a.Status, a.Body)
	}
	wiretest.CheckShown(t, a.Body, err, "Y2FuYXJ5", "2250701020304", "pay.example")
}

// No notification counts without the token of its own payment, and each with it does.
func FuzzCallback(f *testing.F) {
	for _, seed := range []struct{ body, token string }{
		{`{"status":"SUCCESS","notif_token":"canary-notif","txnid":"MP150709.1341.A00073"}`, "canary-notif"}, {`{"status":"FAILED","notif_token":"wrong"}`, "canary-notif"},
		{`{"status":"SUCCESS","notif_token":""}`, ""}, {`{"status":"SUCCESS"}`, ""}, {`{"notif_token":null}`, ""}, {`{"notif_token":7}`, "7"}, {`{"notif_token":"a","notif_token":"b"}`, "b"},
		{`{"Notif_Token":"a"}`, "a"}, {`{"notif_token":"a"}{}`, "a"}, {`[{"notif_token":"a"}]`, "a"}, {`notif_token=a`, "a"}, {`{"status":{},"notif_token":"a"}`, "a"}, {"", "a"}, {`{"notif_token":"\ufffd"}`, "\xff"},
	} {
		f.Add([]byte(seed.body), seed.token)
	}
	f.Fuzz(func(t *testing.T, body []byte, token string) {
		hash := providers.HashToken(providers.Secret(token))
		got, err := orange.Callbacks{}.ParseCallback(providers.CallbackRequest{Body: body, TokenHash: hash})
		if err != nil {
			if !errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) || strings.Contains(err.Error(), "canary") {
				t.Fatalf("%q: %+v, %v", body, got, err)
			}
		} else if token == "" || wiretest.Said(body, "notif_token") != token || got != (providers.Callback{Claim: providers.SafeCode(wiretest.Said(body, "status"))}) {
			t.Fatalf("%q with %q: %+v", body, token, got)
		}
		genuine, err := json.Marshal(map[string]string{"status": "SUCCESS", "notif_token": token})
		if err != nil || wiretest.Said(genuine, "notif_token") != token || token == "" {
			return // no token that JSON can hold
		}
		if got, err := (orange.Callbacks{}).ParseCallback(providers.CallbackRequest{Body: genuine, TokenHash: hash}); err != nil || got.Claim != "SUCCESS" {
			t.Fatalf("%s: %+v, %v", genuine, got, err)
		}
		if _, err := (orange.Callbacks{}).ParseCallback(providers.CallbackRequest{Body: genuine}); !errors.Is(err, providers.ErrBadCallback) {
			t.Fatalf("%s with no token kept: %v", genuine, err)
		}
	})
}
