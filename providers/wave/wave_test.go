package wave_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/simtest"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/providertest"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/wave"
)

// What an answer means is said in the tables of package simtest. The other tests are of what
// is sent, and of what the suite cannot know.
func TestConformance(t *testing.T) {
	for name, factory := range simtest.Wave() {
		t.Run(name, func(t *testing.T) { providertest.Run(t, factory) })
	}
}

func FuzzAnswers(f *testing.F) { providertest.FuzzAnswers(f, simtest.Wave()["GMD"]) }

func FuzzCallbacks(f *testing.F) { providertest.FuzzCallbacks(f, simtest.Wave()["GMD"]) }

type answer = wiretest.Answer

const (
	ref = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	id  = "cos-18qq25rgr100a"
)

// session is a checkout session object with the given states (Wave Checkout API).
func session(id, checkout, payment string) string {
	return `{"id":"` + id + `","amount":"5000","currency":"XOF","checkout_status":"` + checkout + `","payment_status":"` + payment + `",
		"client_reference":"` + ref + `","business_name":"Annas Apiaries","success_url":"https://shop.example/back","error_url":"https://shop.example/cancel",
		"wave_launch_url":"https://pay.wave.example/c/` + id + `","transaction_id":"TCN4Y4ZC3FM","last_payment_error":null,"aggregated_merchant_id":null,
		"restrict_payer_mobile":null,"when_created":"2026-05-01T12:00:00Z","when_expires":"2026-05-01T12:30:00Z","when_completed":null,"when_refunded":null}`
}

func account() providers.Account {
	return providers.Account{
		BaseURL: wiretest.Base + "/", Environment: providers.Production,
		Credentials: map[string]providers.Secret{wave.KeyAPI: "canary-key"},
	}
}

func client(t testing.TB, answers ...answer) (*wave.Provider, *wiretest.Script) {
	t.Helper()
	return wiretest.Client[*wave.Provider](t, wave.Kind(), account(), answers...)
}

func request() providers.InitiateRequest {
	return providers.InitiateRequest{
		Reference: ref, Money: providers.Money{Amount: "5000", Currency: "XOF"}, Payer: "+221770102030", Description: "Order",
		CallbackURL: "https://hooks.example/canary", ReturnURL: "https://shop.example/back", CancelURL: "https://shop.example/cancel",
	}
}

func handle() providers.Handle {
	return providers.Handle{Reference: ref, SessionID: id, Money: providers.Money{Amount: "5000", Currency: "XOF"}}
}

func refundHandle() providers.RefundHandle {
	return providers.RefundHandle{Money: handle().Money, Payment: handle()}
}

func checkSession(t testing.TB, got providers.Session, id string, state providers.State, word string) {
	t.Helper()
	status := providers.Status{State: state, Code: word, Reference: ref, Money: handle().Money, TransactionID: "TCN4Y4ZC3FM"}
	want := providers.Session{
		ID: id, PaymentURL: providers.Secret("https://pay.wave.example/c/" + id),
		ExpiresAt: time.Date(2026, 5, 1, 12, 30, 0, 0, time.UTC), Status: &status,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v with %+v, want %+v", got, got.Status, want)
	}
}

// Wave Checkout API: create, search, retrieve, expire and refund a checkout session; for the account
// a search by a reference that no payment has. Wave API, request signing: by the clock that is
// passed in, over what is sent. K5b: an aggregator names the merchant; nobody else does.
func TestRequests_AsSent(t *testing.T) {
	open, paid, none := session(id, "open", "processing"), session(id, "complete", "succeeded"), wiretest.OK(`{"result":[]}`)
	two := wiretest.OK(`{"result":[` + session("cos-1", "expired", "cancelled") + `,` + open + `]}`)
	// Wave refuses fields that it does not know.
	body := map[string]any{
		"amount": "5000", "currency": "XOF", "success_url": "https://shop.example/back", "error_url": "https://shop.example/cancel",
		"client_reference": ref, "restrict_payer_mobile": "+221770102030",
	}
	plain := maps.Clone(body)
	delete(plain, "restrict_payer_mobile")
	plain["error_url"] = "https://shop.example/back"
	for merchant, secret := range map[string]providers.Secret{"": "", "am-7lks22ap113t4": "canary_AKS_1"} {
		a := account()
		a.Credentials[wave.KeySigning], a.AggregatedMerchantID = secret, merchant
		p, s := wiretest.Client[*wave.Provider](t, wave.Kind(), a, wiretest.OK(open), wiretest.OK(open), two, none, wiretest.OK(paid), wiretest.OK(paid), wiretest.OK(""), wiretest.OK(""), none)
		without := request()
		without.Payer, without.CancelURL = "", ""
		in, err := p.Initiate(t.Context(), request())
		_, err2 := p.Initiate(t.Context(), without)
		found, err3 := p.Search(t.Context(), ref)
		empty, err4 := p.Search(t.Context(), "a&b=c/../é")
		_, err5 := p.Status(t.Context(), handle())
		_, err6 := p.RefundStatus(t.Context(), refundHandle())
		err7 := p.Refund(t.Context(), providers.RefundRequest{RefundHandle: refundHandle(), Description: "canary"})
		if err := errors.Join(err, err2, err3, err4, err5, err6, err7, p.Cancel(t.Context(), handle()), p.CheckAccount(t.Context(), providers.AccountCheck{})); err != nil {
			t.Fatal(err)
		}
		if len(found) != 2 || len(empty) != 0 || in.NotificationToken != "" {
			t.Fatalf("%v, %v, %v", found, empty, in)
		}
		checkSession(t, in.Session, id, providers.StatePending, "open")
		checkSession(t, found[0], "cos-1", providers.StateExpired, "expired")
		checkSession(t, found[1], id, providers.StatePending, "open")
		const sessions, one = " /v1/checkout/sessions", " /v1/checkout/sessions/" + id
		want := []wiretest.Sent{
			{Call: "POST" + sessions, Body: maps.Clone(body)}, {Call: "POST" + sessions, Body: maps.Clone(plain)},
			{Call: "GET" + sessions + "/search?client_reference=" + ref}, {Call: "GET" + sessions + "/search?client_reference=a%26b%3Dc%2F..%2F%C3%A9"},
			{Call: "GET" + one}, {Call: "GET" + one}, {Call: "POST" + one + "/refund"}, {Call: "POST" + one + "/expire"},
			{Call: "GET" + sessions + "/search?client_reference=account-check"},
		}
		for i := range want {
			want[i].Header = map[string]string{"Authorization": "Bearer canary-key", "Accept": "application/json"}
			if want[i].Body != nil {
				want[i].Header["Content-Type"] = "application/json"
			}
			if merchant != "" {
				want[i].Header["Wave-Signature"] = simulator.WaveSignature(time.Unix(ownTime, 0), s.Calls[i].Body, secret.Reveal())
			}
			if want[i].Body != nil && merchant != "" {
				want[i].Body["aggregated_merchant_id"] = merchant
			}
		}
		s.Check(t, want...)
		// printf 1790000000 | openssl dgst -sha256 -hmac canary_AKS_1
		const signed = "t=1790000000,v1=052bffa2e2868a42a8302281378d88ddf8b29ae0dd5919c3012ecc42db46f90f"
		if got := s.Calls[2].Header.Get("Wave-Signature"); merchant != "" && got != signed {
			t.Errorf("without a body: %q", got)
		}
	}
}

func TestRequests_RefusedBeforeSending(t *testing.T) {
	p, _ := client(t) // expects no call
	for name, tt := range map[string]struct {
		change func(*providers.InitiateRequest)
		class  providers.Class
	}{
		"no return URL":    {func(r *providers.InitiateRequest) { r.ReturnURL = "" }, providers.ClassMisconfigured},
		"return URL http":  {func(r *providers.InitiateRequest) { r.ReturnURL = "http://shop.example" }, providers.ClassMisconfigured},
		"cancel URL http":  {func(r *providers.InitiateRequest) { r.CancelURL = "http://shop.example" }, providers.ClassMisconfigured},
		"cancel URL ftp":   {func(r *providers.InitiateRequest) { r.CancelURL = "ftp://shop.example" }, providers.ClassMisconfigured},
		"no URL":           {func(r *providers.InitiateRequest) { r.CancelURL = "https://%zz" }, providers.ClassMisconfigured},
		"decimals in XOF":  {func(r *providers.InitiateRequest) { r.Money.Amount = "10.5" }, providers.ClassRejected},
		"amount of zero":   {func(r *providers.InitiateRequest) { r.Money.Amount = "0" }, providers.ClassRejected},
		"without currency": {func(r *providers.InitiateRequest) { r.Money.Currency = "" }, providers.ClassRejected},
	} {
		req := request()
		tt.change(&req)
		_, err := p.Initiate(t.Context(), req)
		wiretest.CheckUnsent(t, name, err, tt.class)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a?b"} {
		h := providers.Handle{SessionID: bad}
		refund := providers.RefundRequest{RefundHandle: providers.RefundHandle{Payment: h}}
		_, err := p.Status(t.Context(), h)
		_, err2 := p.RefundStatus(t.Context(), refund.RefundHandle)
		for _, err := range []error{err, err2, p.Cancel(t.Context(), h)} {
			wiretest.CheckUnsent(t, bad, err, providers.ClassUnknown)
		}
		wiretest.CheckUnsent(t, bad, p.Refund(t.Context(), refund), providers.ClassRejected)
	}
}

func TestSessions_WithLess(t *testing.T) {
	p, _ := client(t, wiretest.OK(strings.Replace(session(id, "open", "processing"), "2026-05-01T12:30:00Z", "soon", 1)),
		wiretest.OK(`{"result":[{"id":"cos-1","checkout_status":"expired","payment_status":"cancelled","client_reference":"`+ref+`"}]}`),
		wiretest.OK(`{"result":[{"id":"","client_reference":"`+ref+`"}]}`))
	if got, err := p.Initiate(t.Context(), request()); err != nil || !got.ExpiresAt.IsZero() {
		t.Errorf("an expiry that cannot be read is not told: %v, %v", got.ExpiresAt, err)
	}
	if got, err := p.Search(t.Context(), ref); err != nil || len(got) != 1 || got[0].PaymentURL != "" || got[0].Status.State != providers.StateExpired {
		t.Errorf("without a page: %v, %v", got, err)
	}
	if got, err := p.Search(t.Context(), ref); providers.ClassOf(err) != providers.ClassUnknown || got != nil {
		t.Errorf("without an id: %v, %v", got, err)
	}
}

func TestEndpoint(t *testing.T) {
	for _, env := range []providers.Environment{providers.Sandbox, providers.Production} {
		for base, want := range map[string]string{"": "https://api.wave.com", "http://127.0.0.1:80/": "http://127.0.0.1:80"} {
			wiretest.CheckEndpoint(t, wave.Kind(), providers.Account{Environment: env, BaseURL: base}, providers.Account{BaseURL: want}, "")
		}
	}
	wiretest.CheckEndpoint(t, wave.Kind(), providers.Account{}, providers.Account{}, "environment")
	wiretest.CheckEndpoint(t, wave.Kind(), providers.Account{Environment: "sandbox", BaseURL: "wave"}, providers.Account{}, "baseURL")
}

// K5a: what an account tells of itself.
func TestKind_Country(t *testing.T) {
	k := wave.Kind()
	for name, tt := range map[string]struct {
		key      providers.Secret
		country  string
		currency []string
	}{
		"key of Ivory Coast":       {"wave_ci_prod_x", "", []string{"XOF"}},
		"key of the Gambia":        {"wave_gm_prod_x", "", []string{"GMD"}},
		"key of Uganda":            {"wave_ug_prod_x", "", []string{"UGX"}},
		"the setting":              {"x", "sn", []string{"XOF"}},
		"the key is more certain":  {"wave_gm_prod_x", "ci", []string{"GMD"}},
		"nothing told":             {"x", "", []string{"XOF", "GMD", "UGX"}},
		"a country without wallet": {"x", "gh", nil},
	} {
		for _, env := range []providers.Environment{providers.Sandbox, providers.Production} {
			a := providers.Account{Environment: env, Country: tt.country, Credentials: map[string]providers.Secret{wave.KeyAPI: tt.key}}
			var taken []string
			for _, currency := range []string{"XOF", "GMD", "UGX", "XAF", "GHS", "CFA", "XYZ"} {
				if _, err := k.WireMoney(a, providers.Money{Amount: "5000", Currency: currency}); err == nil {
					taken = append(taken, currency)
				} else if providers.ClassOf(err) != providers.ClassRejected || providers.AsError(err).Field != "currency" {
					t.Errorf("K5a: %s %s: %v", name, currency, err)
				}
			}
			if strings.Join(taken, " ") != strings.Join(tt.currency, " ") {
				t.Errorf("K5a: %s: %v, want %v", name, taken, tt.currency)
			}
		}
	}
	for m, want := range map[providers.Money]string{{Amount: "10.50", Currency: "GMD"}: "10.5", {Amount: "10.505", Currency: "GMD"}: "", {Amount: "10.50", Currency: "UGX"}: ""} {
		wire := map[bool]providers.Money{true: {Amount: want, Currency: m.Currency}}[want != ""]
		wiretest.CheckMoney(t, k, providers.Account{Environment: providers.Production}, m, wire)
	}
}

func TestKind_ReferencesAndTraits(t *testing.T) {
	k := wave.Kind()
	wiretest.CheckVectors(t, k.Reference, ref, strings.Repeat("7", 51)+"q",
		"xj4bnp4pahh6uqkbidpf3lrceoyagyndsylxvhfucd7wd4qacwwq", "efw2ks2zggtng7gkryuzkm3b7ybmnaf33c2ienb7kchdf2hjzq5q")
	want := providers.Traits{Flow: providers.FlowRedirect, Recovery: providers.RecoverBySearch, CanCancel: true, RefusalIsFinal: true, NeedsReturnURL: true, Refund: providers.RefundWhole}
	if k.Traits != want {
		t.Errorf("%+v", k.Traits)
	}
	keys := [][]string{k.CredentialKeys, k.OptionalCredentialKeys, k.RefundCredentialKeys, k.CallbackSecretKeys}
	if !reflect.DeepEqual(keys, [][]string{{"apiKey"}, {"signingSecret"}, nil, {"webhookSecret"}}) || k.RefundReference != nil {
		t.Errorf("%v", keys)
	}
}

// The account is checked by a question, whose refusals mean the same; K5c: a key that was never filled in is named.
func TestCheckAccount_Refused(t *testing.T) {
	for key, words := range map[providers.Secret]string{"canary-key": "wallet", "<your API key>": "placeholder", "wave_ci_WHS_canary": "secret of a webhook"} {
		a := account()
		a.Credentials[wave.KeyAPI] = key
		p, _ := wiretest.Client[*wave.Provider](t, wave.Kind(), a, answer{Status: 401, Body: `{"code":"no-matching-api-key","message":"canary"}`})
		wiretest.CheckDiagnosis(t, p.CheckAccount(t.Context(), providers.AccountCheck{}), providers.Error{
			Operation: providers.OpAccountCheck, Class: providers.ClassMisconfigured, HTTPStatus: 401, Code: "no-matching-api-key", Fault: providers.FaultAccount,
		}, "apiKey", words)
	}
}

func TestStatus_TellsWhenItWasCompleted(t *testing.T) {
	at := time.Date(2026, 5, 1, 12, 10, 5, 0, time.UTC)
	for when, tt := range map[string]struct {
		state string
		want  time.Time
	}{
		`"2026-05-01T12:10:05Z"`: {"complete", at}, `null`: {state: "complete"}, `"soon"`: {state: "complete"}, `"2026-05-01T12:10:05.000Z"`: {"complete", at},
		`"2026-05-01T12:10:05+00:00"`: {state: "expired"},
	} {
		payment := map[string]string{"complete": "succeeded", "expired": "cancelled"}[tt.state]
		body := strings.Replace(session(id, tt.state, payment), `"when_completed":null`, `"when_completed":`+when, 1)
		p, _ := client(t, wiretest.OK(body))
		if got, err := p.Status(t.Context(), handle()); err != nil || !got.CompletedAt.Equal(tt.want) {
			t.Errorf("%s: %v, %v", when, got.CompletedAt, err)
		}
	}
}

func TestNew_UnusableSigningSecret(t *testing.T) {
	a := account()
	a.Credentials[wave.KeySigning] = "canary\ncanary"
	_, err := wave.Kind().New(a, nil, time.Now)
	if wiretest.CheckUnsent(t, "line break", err, providers.ClassMisconfigured); !strings.Contains(err.Error(), "signingSecret") {
		t.Errorf("%v", err)
	}
	a.Credentials[wave.KeySigning] = ""
	if _, err := wave.Kind().New(a, nil, time.Now); err != nil {
		t.Errorf("an empty one is none: %v", err)
	}
}

const (
	// The vector that Wave publishes (Wave webhooks, signing secret).
	publishedSecret = "wave_sn_WHS_xz4m6g8rjs9bshxy05xj4khcvjv7j3hcp4fbpvv6met0zdrjvezg"
	publishedTime   = 1667920421
	publishedSum    = "53c971695230e9c51b1030d673eee76e70bbcdf8a7c5b8c1d44e0b8b1329647b"
	publishedBody   = `{"id": "AE_ijzo7oGgrlM7", "type": "checkout.session.completed", "data": {"id": "cos-1b01sghpg100j", "amount": "100", "checkout_status": "complete", "client_reference": null, "currency": "XOF", "error_url": "https://example.com/error", "last_payment_error": null, "business_name": "Annas Apiaries", "payment_status": "succeeded", "success_url": "https://example.com/success", "wave_launch_url": "https://pay.wave.com/c/cos-1b01sghpg100j?a=100&c=XOF&m=Annas%20Apiaries", "when_completed": "2022-11-08T15:05:45Z", "when_created": "2022-11-08T15:05:32Z", "when_expires": "2022-11-09T15:05:32Z", "transaction_id": "TCN4Y4ZC3FM"}}`

	// printf '%s%s' 1790000000 "$ownBody" | openssl dgst -sha256 -hmac "$ownSecret"
	ownTime   = 1790000000
	ownSecret = "canary_WHS_1"
	ownBody   = `{"id":"EV_1","type":"checkout.session.payment_failed","data":{"id":"cos-1","client_reference":"ref-1"}}`
	ownSum    = "e2548f537f279b0261ed1607bded29724e576e01f27bde71c50d4059c8fc7e72"
	// the same with "." between timestamp and body, as others sign
	dottedSum = "43c9a538ff0846f44007158550c7c133988e10ed41e26cc6d74ebd437d022a0c"
	// the same with another secret
	otherSecret = "canary_WHS_2"
	otherSum    = "927b7f0d106a3316318e0ec696285d664b68bebfecc1ea9a163fe314f056d57e"
)

func callback(header, body string, at int64, secrets ...providers.Secret) providers.CallbackRequest {
	cb := providers.CallbackRequest{Header: http.Header{}, Body: []byte(body), Now: time.Unix(at, 0), Secrets: secrets}
	if header != "" {
		cb.Header.Set("Wave-Signature", header)
	}
	return cb
}

func TestG8_PublishedVector(t *testing.T) {
	header := fmt.Sprintf("t=%d,v1=%s", publishedTime, publishedSum)
	got, err := wave.Kind().Callbacks.ParseCallback(callback(header, publishedBody, publishedTime, publishedSecret))
	want := providers.Callback{EventID: "AE_ijzo7oGgrlM7", Claim: "checkout.session.completed", SessionID: "cos-1b01sghpg100j"}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (wave.Callbacks{}).ParseCallback(callback(header, publishedBody+" ", publishedTime, publishedSecret)); !errors.Is(err, providers.ErrBadCallback) {
		t.Errorf("a changed body: %v", err)
	}
}

// sign is a header with these signatures.
func sign(sums ...string) string {
	out := fmt.Sprintf("t=%d", ownTime)
	for _, s := range sums {
		out += ",v1=" + s
	}
	return out
}

var wrong = strings.Repeat("0", 64)

// Wave webhooks, signing secret and shared secret.
func TestG8_Proofs(t *testing.T) {
	for name, cb := range signedCallbacks() {
		got, err := wave.Callbacks{}.ParseCallback(cb)
		want := providers.Callback{EventID: "EV_1", Claim: "checkout.session.payment_failed", SessionID: "cos-1", Reference: "ref-1"}
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, cb := range forgedCallbacks() {
		got, err := wave.Callbacks{}.ParseCallback(cb)
		if !errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		} else {
			wiretest.NoCanary(t, err.Error(), "canary", ownSum, "EV_1")
		}
	}
}

func signedCallbacks() map[string]providers.CallbackRequest {
	return map[string]providers.CallbackRequest{
		"plain":             callback(sign(ownSum), ownBody, ownTime, ownSecret),
		"capitals":          callback(sign(strings.ToUpper(ownSum)), ownBody, ownTime, ownSecret),
		"blanks":            callback(fmt.Sprintf(" t=%d , v1=%s ", ownTime, ownSum), ownBody, ownTime, ownSecret),
		"first of two":      callback(sign(ownSum, wrong), ownBody, ownTime, ownSecret),
		"last of three":     callback(sign("zz", wrong, ownSum), ownBody, ownTime, ownSecret),
		"other scheme too":  callback("v0=aa,"+sign(ownSum)+",v2=bb", ownBody, ownTime, ownSecret),
		"first secret":      callback(sign(ownSum), ownBody, ownTime, ownSecret, otherSecret),
		"last secret":       callback(sign(otherSum), ownBody, ownTime, ownSecret, otherSecret),
		"secrets in lines":  callback(sign(otherSum), ownBody, ownTime, "\n"+ownSecret+"\r\n "+otherSecret+"\n\n"),
		"five minutes old":  callback(sign(ownSum), ownBody, ownTime+300, ownSecret),
		"30 seconds ahead":  callback(sign(ownSum), ownBody, ownTime-30, ownSecret),
		"signature first":   callback(fmt.Sprintf("v1=%s,t=%d", ownSum, ownTime), ownBody, ownTime, ownSecret),
		"shared secret":     withBearer(callback("", ownBody, ownTime, ownSecret), ownSecret),
		"second of two":     withBearer(callback("", ownBody, ownTime, ownSecret+"\n"+otherSecret), otherSecret),
		"bearer is ignored": withBearer(callback(sign(ownSum), ownBody, ownTime, ownSecret), "wrong"),
	}
}

func forgedCallbacks() map[string]providers.CallbackRequest {
	twice := callback(sign(ownSum), ownBody, ownTime, ownSecret)
	twice.Header.Add("Wave-Signature", sign(ownSum))
	twiceWithBearer := withBearer(callback(sign(ownSum), ownBody, ownTime, ownSecret), ownSecret)
	twiceWithBearer.Header.Add("Wave-Signature", sign(ownSum))
	basic := callback("", ownBody, ownTime, ownSecret)
	basic.Header.Set("Authorization", "Basic "+ownSecret)
	return map[string]providers.CallbackRequest{
		"two with bearer":    twiceWithBearer,
		"wrong":              callback(sign(wrong), ownBody, ownTime, ownSecret),
		"with a dot":         callback(sign(dottedSum), ownBody, ownTime, ownSecret),
		"other secret":       callback(sign(ownSum), ownBody, ownTime, otherSecret),
		"prefix of a secret": callback(sign(ownSum), ownBody, ownTime, ownSecret+"0"),
		"no secret":          callback(sign(ownSum), ownBody, ownTime),
		"empty secret":       callback(sign(ownSum), ownBody, ownTime, ""),
		"blank secret":       callback(sign(ownSum), ownBody, ownTime, " \n"),
		"other body":         callback(sign(ownSum), ownBody+"\n", ownTime, ownSecret),
		"no body":            callback(sign(ownSum), "", ownTime, ownSecret),
		"too old":            callback(sign(ownSum), ownBody, ownTime+301, ownSecret),
		"too far ahead":      callback(sign(ownSum), ownBody, ownTime-31, ownSecret),
		"no timestamp":       callback("v1="+ownSum, ownBody, ownTime, ownSecret),
		"empty timestamp":    callback("t=,v1="+ownSum, ownBody, ownTime, ownSecret),
		"two timestamps":     callback(sign(ownSum)+fmt.Sprintf(",t=%d", ownTime), ownBody, ownTime, ownSecret),
		"empty and real":     callback("t=,"+sign(ownSum), ownBody, ownTime, ownSecret),
		"negative":           callback("t=-1,v1="+ownSum, ownBody, ownTime, ownSecret),
		"overflow":           callback("t=99999999999999999999,v1="+ownSum, ownBody, ownTime, ownSecret),
		"largest":            callback("t=9223372036854775807,v1="+ownSum, ownBody, ownTime, ownSecret),
		"smallest":           callback("t=-9223372036854775808,v1="+ownSum, ownBody, ownTime, ownSecret),
		"no number":          callback("t=now,v1="+ownSum, ownBody, ownTime, ownSecret),
		"no signature":       callback(fmt.Sprintf("t=%d", ownTime), ownBody, ownTime, ownSecret),
		"empty signature":    callback(sign(""), ownBody, ownTime, ownSecret),
		"half a signature":   callback(sign(ownSum[:32]), ownBody, ownTime, ownSecret),
		"and more":           callback(sign(ownSum+"00"), ownBody, ownTime, ownSecret),
		"and no hex":         callback(sign(ownSum+"zz"), ownBody, ownTime, ownSecret),
		"other scheme":       callback(fmt.Sprintf("t=%d,v0=%s", ownTime, ownSum), ownBody, ownTime, ownSecret),
		"too many":           callback(sign(strings.Split(strings.Repeat(wrong+" ", 16)+ownSum, " ")...), ownBody, ownTime, ownSecret),
		"two headers":        twice,
		"garbage":            callback(",,=,;", ownBody, ownTime, ownSecret),
		"no header":          callback("", ownBody, ownTime, ownSecret),
		"bearer, wrong":      withBearer(callback("", ownBody, ownTime, ownSecret), "canary"),
		"bearer, empty":      withBearer(callback("", ownBody, ownTime, ownSecret), ""),
		"bearer, no secret":  withBearer(callback("", ownBody, ownTime), ""),
		"no bearer":          basic,
		"bearer instead":     withBearer(callback(sign(wrong), ownBody, ownTime, ownSecret), ownSecret),
		"empty with bearer":  withBearer(emptySignature(), ownSecret),
	}
}

func emptySignature() providers.CallbackRequest {
	cb := callback("", ownBody, ownTime, ownSecret)
	cb.Header["Wave-Signature"] = []string{""}
	return cb
}

func withBearer(cb providers.CallbackRequest, secret string) providers.CallbackRequest {
	cb.Header.Set("Authorization", "Bearer "+secret)
	return cb
}

// Only after it is verified is a callback read.
func TestCallbacks_Bodies(t *testing.T) {
	parse := func(body string) (providers.Callback, error) {
		return wave.Callbacks{}.ParseCallback(withBearer(callback("", body, ownTime, ownSecret), ownSecret))
	}
	good := map[string]providers.Callback{
		`{"id":"EV_2","type":"test.test_event","data":"x"}`:                    {EventID: "EV_2", Claim: "test.test_event"},
		`{"id":"EV_3","type":"merchant.payment_received","data":{"id":"T_1"}}`: {EventID: "EV_3", Claim: "merchant.payment_received"},
		`{"type":"checkout.session.completed","data":{}}`:                      {Claim: "checkout.session.completed"},
		`{"type":"checkout.session.completed","data":{"id":"a/b","client_reference":"x y"}}`: {
			Claim: "checkout.session.completed", SessionID: "unreadable", Reference: "unreadable",
		},
		`{}`: {},
	}
	for body, want := range good {
		if got, err := parse(body); err != nil || got != want {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
	for _, body := range []string{``, `<html>`, `[]`, `{"id":`, `{"type":7}`, `{"type":"checkout.session.completed"}`, `{"type":"checkout.session.completed","data":null}`, `{"type":"checkout.session.completed","data":{"id":7}}`, `{"type":"a","type":"b"}`} {
		got, err := parse(body)
		if !errors.Is(err, providers.ErrMalformedCallback) || errors.Is(err, providers.ErrBadCallback) || got != (providers.Callback{}) {
			t.Errorf("%s: %+v, %v", body, got, err)
		}
	}
}
