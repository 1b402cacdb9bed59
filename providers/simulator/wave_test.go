package simulator

import (
	"strings"
	"testing"
	"time"
)

func TestWavePayment(t *testing.T) {
	b := setUp(t)
	c := b.client(Wave).(*waveClient)
	ref := b.ref(Wave)
	r := c.create(ref, "1000")
	b.want(r, 200)
	got := r.json(t)
	for k, want := range map[string]any{
		"amount": "1000", "currency": "XOF", "checkout_status": "open", "payment_status": "processing",
		"client_reference": ref, "transaction_id": nil, "last_payment_error": nil, "when_completed": nil,
		"when_created": "2026-11-22T10:00:00Z", "when_expires": "2026-11-22T10:30:00Z",
		"wave_launch_url": b.sim.URL() + "/wave/c/" + c.ids[ref],
	} {
		if v, ok := got[k]; !ok || v != want {
			t.Errorf("%s = %v, want %v", k, v, want)
		}
	}
	if id := c.ids[ref]; !strings.HasPrefix(id, "cos-") || len(id) > 20 {
		t.Errorf("id %q", id)
	}
	b.pass(time.Minute)
	launch := got["wave_launch_url"].(string)
	b.want(b.do("GET", launch, ""), 200, "1000 XOF", "Simulated Merchant")
	b.want(b.do("POST", launch+"/pay", ""), 200, "https://shop.example/ok")
	got = c.status(ref).json(t)
	if got["checkout_status"] != "complete" || got["payment_status"] != "succeeded" || got["when_completed"] != "2026-11-22T10:01:00Z" {
		t.Errorf("paid: %v", got)
	}
	byTxn := c.call("GET", "?transaction_id="+got["transaction_id"].(string), "")
	b.want(byTxn, 200, c.ids[ref])
	b.want(c.call("POST", "/"+c.ids[ref]+"/expire", ""), 409)
	if b.sim.Charges(ref) != 1 {
		t.Errorf("ledger %+v", b.sim.Ledger())
	}
}

func TestWaveEvents(t *testing.T) {
	b := setUp(t, func(o *Options) {
		o.Wave.Callbacks = append(o.Wave.Callbacks, WaveCallback{URL: o.Wave.Callbacks[0].URL + "2"})
	})
	c := b.client(Wave).(*waveClient)
	ref := b.ref(Wave)
	b.want(c.create(ref, "1000"), 200)
	if err := b.sim.Refuse(ref); err != nil {
		t.Fatal(err)
	}
	b.want(c.status(ref), 200, `"open"`, paymentFailure) // the payer may try again
	if err := b.sim.Pay(ref); err != nil {
		t.Fatal(err)
	}
	b.sim.Tick()
	got := b.hook.all()
	if len(got) != 4 {
		t.Fatalf("%d events, want 2 to each of 2", len(got))
	}
	for i, want := range []string{"payment_failed", "payment_failed", "completed", "completed"} {
		ev := got[i].json(t)
		data, _ := ev["data"].(map[string]any)
		if ev["type"] != "checkout.session."+want || data["id"] != c.ids[ref] || !strings.HasPrefix(ev["id"].(string), "EV_") {
			t.Errorf("event %s", got[i].body)
		}
		signature := map[int]string{0: WaveSignature(start, got[i].body, "s1", "s2")}[i%2] // the second webhook has no secret
		if got := got[i].header.Get("Wave-Signature"); got != signature {
			t.Errorf("signature %q, want %q", got, signature)
		}
	}
}

func TestWaveEventsAreRetried(t *testing.T) {
	b := setUp(t)
	c := b.client(Wave)
	ref := b.ref(Wave)
	b.want(c.create(ref, "1000"), 200)
	b.hook.answer(503)
	_ = b.sim.Pay(ref)
	b.sim.Tick()
	b.pass(10 * time.Second)
	b.hook.answer(200)
	b.pass(time.Minute)
	b.pass(72 * time.Hour)
	got := b.hook.all()
	if len(got) != 3 || string(got[0].body) != string(got[2].body) {
		t.Fatalf("%d tries, want 3 of the same event", len(got))
	}
	if got[2].header.Get("Wave-Signature") != WaveSignature(start.Add(70*time.Second), got[2].body, "s1", "s2") {
		t.Error("a retry is not signed by its own time")
	}
	sent := b.sim.Callbacks()
	if len(sent) != 3 || sent[0].Status != 503 || sent[2].Status != 200 || sent[2].Reference != ref {
		t.Errorf("sent %+v", sent)
	}
}

func TestWaveDoubleCharge(t *testing.T) {
	b := setUp(t)
	c := b.client(Wave).(*waveClient)
	ref := b.ref(Wave)
	b.want(c.create(ref, "1000"), 200)
	first := c.ids[ref]
	b.want(c.create(ref, "1000"), 200) // not idempotent
	if err := b.sim.Pay(ref); err == nil || !strings.Contains(err.Error(), "2 sessions") {
		t.Errorf("which of two was paid? %v", err)
	}
	if err := b.sim.Pay(first); err != nil {
		t.Error(err)
	}
	if err := b.sim.Pay(c.ids[ref]); err != nil || b.sim.Charges(ref) != 2 {
		t.Errorf("a double charge must show: %v, %d", err, b.sim.Charges(ref))
	}
	b.want(c.call("GET", "/search", ""), 400, "request-validation-error")
}

func TestWaveValidation(t *testing.T) {
	b := setUp(t)
	c := b.client(Wave).(*waveClient)
	good := c.body("ref", "1000")
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for name, body := range map[string]string{
		"unknown field": swap(`"amount"`, `"phone":"x","amount"`),
		"number":        swap(`"1000"`, `1000`),
		"decimals":      swap(`"1000"`, `"1000.00"`),
		"leading zero":  swap(`"1000"`, `"01000"`),
		"zero":          swap(`"1000"`, `"0"`),
		"no amount":     swap(`"amount":"1000",`, ``),
		"no currency":   swap(`"currency":"XOF",`, ``),
		"currency":      swap(`XOF`, `GMD`),
		"http":          swap(`https://shop.example/ok`, `http://shop.example/ok`),
		"no error URL":  swap(`"error_url":"https://shop.example/no",`, ``),
		"reference":     swap(`"ref"`, `"`+strings.Repeat("x", 256)+`"`),
		"merchant":      swap(`"amount"`, `"aggregated_merchant_id":"am-1","amount"`),
		"mobile":        swap(`"amount"`, `"restrict_payer_mobile":"221770000000","amount"`),
	} {
		t.Run(name, func(t *testing.T) { b.want(c.call("POST", "", body), 400, `"code":"request-validation-error"`) })
	}
	b.want(c.call("POST", "", swap(`"amount"`, `"phone":"x","amount"`)), 400, "extra fields not permitted", `"phone"`)
	b.want(c.call("POST", "", "{"), 400, "request-not-json")
	if len(b.sim.Sessions()) != 0 {
		t.Error("an invalid request opened a session")
	}
	b.want(c.call("POST", "", swap(`"amount"`, `"restrict_payer_mobile":"+221770000000","amount"`)), 200)

	b = setUp(t, func(o *Options) { o.Wave.AggregatedMerchantID = "am-1" })
	b.want(b.client(Wave).(*waveClient).call("POST", "", good), 400, "aggregated_merchant_id")
	b = setUp(t, func(o *Options) { o.Wave.AllowHTTPReturnURLs = true })
	b.want(b.client(Wave).(*waveClient).call("POST", "", swap(`https://`, `http://`)), 200)
}

func TestWaveAmounts(t *testing.T) {
	for currency, amounts := range map[string]map[string]int{
		"GMD": {
			"1": 200, "10": 200, "0.5": 200, "0.05": 200, "12.50": 200, "1000.00": 200,
			"0": 400, "0.0": 400, "0.00": 400, "0.123": 400, "0.123456": 400, "0.5.25": 400, "1.234": 400, "01": 400, "00.5": 400,
			".5": 400, "1.": 400, "-1": 400, "+1": 400, "1e3": 400, "1,5": 400, "1 000": 400, "": 400,
		},
		"XOF": {"1": 200, "1000": 200, "0": 400, "1.0": 400, "0.5": 400, "01": 400, "": 400},
	} {
		b := setUp(t, func(o *Options) { o.Wave.Currency = currency })
		c := b.client(Wave).(*waveClient)
		for amount, want := range amounts {
			body := strings.NewReplacer(`"1000"`, `"`+amount+`"`, "XOF", currency).Replace(c.body("ref", "1000"))
			if got := c.call("POST", "", body); got.status != want {
				t.Errorf("%q %s: HTTP %d, want %d", amount, currency, got.status, want)
			}
		}
	}
}

func TestWaveAccess(t *testing.T) {
	b := setUp(t)
	url := b.sim.WaveURL() + "/v1/checkout/sessions"
	for header, code := range map[string]string{
		"": "missing-auth-header", "Basic x": "invalid-auth", "Bearer ": "api-key-not-provided", "Bearer no": "no-matching-api-key",
	} {
		for _, call := range []string{"POST ", "GET /cos-1", "GET /search", "POST /cos-1/expire", "POST /cos-1/refund"} {
			method, path, _ := strings.Cut(call, " ")
			want := code
			if header == "Bearer " {
				want = "" // trailing blanks are trimmed on the wire
			}
			b.want(b.do(method, url+path, "", "Authorization", header), 401, want)
		}
	}
	c := b.client(Wave).(*waveClient)
	b.want(c.call("GET", "/cos-unknown", ""), 404, "checkout-session-not-found")
	b.want(c.call("GET", "?transaction_id=no", ""), 404)
	b.want(c.call("POST", "/cos-unknown/expire", ""), 404, "checkout-session-not-found")
	b.want(c.call("POST", "/cos-unknown/refund", ""), 404, "checkout-session-not-found")
}

// A merchant may have the API refuse what is not signed.
func TestWaveRequestSignatures(t *testing.T) {
	b := setUp(t, func(o *Options) { o.Wave.SigningSecret = "wave_ci_AKS_1" })
	c := b.client(Wave).(*waveClient)
	body := c.body("r", "1000")
	for name, signature := range map[string]string{
		"missing": "", "no time": "t=,v1=00", "other secret": WaveSignature(start, []byte(body), "other"),
		"other body": WaveSignature(start, []byte(body+" "), "wave_ci_AKS_1"),
		"old":        WaveSignature(start.Add(-6*time.Minute), []byte(body), "wave_ci_AKS_1"),
	} {
		if r := c.call("POST", "", body, "Wave-Signature", signature); r.status != 401 || !strings.Contains(r.body, "authorization-error") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	r := c.call("POST", "", body, "Wave-Signature", WaveSignature(start, []byte(body), "wave_ci_AKS_1"))
	b.want(r, 200)
	refused := c.call("POST", "/"+r.json(t)["id"].(string)+"/refund", "", "Wave-Signature", WaveSignature(start, nil, "wave_ci_AKS_1"))
	b.want(refused, 400, "checkout-refund-failed")
}
