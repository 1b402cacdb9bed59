package simulator

import (
	"strings"
	"testing"
	"time"
)

func TestOrangePayment(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	ref := b.ref(Orange)
	r := c.create(ref, "1200")
	b.want(r, 201, `"status":201`, `"message":"OK"`)
	payURL := c.field(ref, "payment_url")
	if payURL != b.sim.URL()+"/orange/pay/"+c.field(ref, "pay_token") || len(c.field(ref, "pay_token")) != 64 {
		t.Errorf("answer %s", r.body)
	}
	b.want(c.status(ref), 201, `"INITIATED"`, ref)
	b.pass(5 * time.Minute)
	b.want(c.status(ref), 201, `"INITIATED"`) // nobody is at the page

	b.want(b.do("GET", payURL, ""), 200, "1200 OUV", "Shop", "refuse")
	b.want(b.do("POST", payURL+"/pay", ""), 200, "paid", "https://shop.example/ok")
	b.want(b.do("POST", payURL+"/pay", ""), 409)
	r = c.status(ref)
	b.want(r, 201, `"SUCCESS"`, `"txnid":"MP261122.1005.A`)
	b.sim.Tick()
	got := b.hook.all()
	if len(got) != 1 || got[0].method != "POST" || got[0].path != "/orange" {
		t.Fatalf("notifications %+v", got)
	}
	n := got[0].json(t)
	if len(n) != 3 || n["status"] != "SUCCESS" || n["notif_token"] != c.field(ref, "notif_token") || n["txnid"] != r.json(t)["txnid"] {
		t.Errorf("notification %s", got[0].body)
	}
	if b.sim.Charges(ref) != 1 {
		t.Errorf("ledger %+v", b.sim.Ledger())
	}
}

func TestOrangeToken(t *testing.T) {
	b := setUp(t, func(o *Options) { o.Orange.ExpiresInString = true })
	url, grant := b.sim.OrangeTokenURL(), "grant_type=client_credentials"
	b.want(b.do("POST", url, grant, orangeBasic()...), 200, `"expires_in":"3600"`)
	b.want(b.do("POST", strings.Replace(url, "v3", "v2", 1), grant, orangeBasic()...), 200)
	b.want(b.do("POST", url, grant, append(orangeBasic(), "Authorization", "Basic eDp5")...), 401, "invalid_client")
	b.want(b.do("POST", url, grant, append(orangeBasic(), "Content-Type", "application/json")...), 400)
	b.want(b.do("POST", url, "grant_type=password", orangeBasic()...), 400, "unsupported_grant_type")

	b = setUp(t)
	b.want(b.do("POST", b.sim.OrangeTokenURL(), grant, orangeBasic()...), 200, `"expires_in":3600`)
}

// Clients of OAuth 2.0 send no Accept, or curl's; whether Orange takes that differs by report.
func TestOrangeTokenAccept(t *testing.T) {
	for accept, taken := range map[string]struct{ byDefault, strictly bool }{
		"application/json":                   {true, true},
		"text/plain, application/json;q=0.5": {true, true},
		"":                                   {true, false},
		"*/*":                                {true, false},
		"application/*":                      {true, false},
		"text/html":                          {false, false},
	} {
		for _, strict := range []bool{false, true} {
			b := setUp(t, func(o *Options) { o.Orange.StrictAccept = strict })
			want := 406
			if taken.byDefault && !strict || taken.strictly {
				want = 200
			}
			header := append(basic(DefaultOrangeClientID, DefaultOrangeClientSecret), "Content-Type", "application/x-www-form-urlencoded")
			if accept != "" {
				header = append(header, "Accept", accept)
			}
			if got := b.do("POST", b.sim.OrangeTokenURL(), "grant_type=client_credentials", header...); got.status != want {
				t.Errorf("Accept %q, strict %v: HTTP %d", accept, strict, got.status)
			}
		}
	}
}

func TestOrangeAccess(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	ref := b.ref(Orange)
	b.want(b.do("POST", b.sim.OrangeURL("dev")+"/webpayment", c.body(ref, "1")), 401, `"code":40`)
	good := c.token
	c.token = "no"
	b.want(c.post("webpayment", c.body(ref, "1")), 401, `"code":41`)
	c.token = good
	b.sim.ExpireTokens()
	b.want(c.post("webpayment", c.body(ref, "1")), 401, `"code":42`)
	b.want(c.post("transactionstatus", "{}"), 401, `"code":42`)
}

func TestOrangeValidation(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	good := c.body("order-1", "1200")
	swap := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	for _, tc := range []struct {
		name, body string
		status     int
		code       string
	}{
		{"no body", "", 400, `"code":21`},
		{"no JSON", "{", 400, `"code":22`},
		{"no object", "[]", 400, `"code":22`},
		{"no order id", swap("order-1", ""), 400, `"code":23`},
		{"long order id", swap("order-1", strings.Repeat("x", 31)), 400, `"code":24`},
		{"text amount", swap("1200", `"1200"`), 400, `"code":24`},
		{"fraction", swap("1200", "1200.0"), 400, `"code":24`},
		{"exponent", swap("1200", "12e2"), 400, `"code":24`},
		{"zero", swap("1200", "0"), 400, `"code":24`},
		{"long URL", swap("https://shop.example/ok", "https://shop.example/"+strings.Repeat("x", 100)), 400, `"code":24`},
		{"no URL", swap("https://shop.example/ok", "shop"), 400, `"code":24`},
		{"language", swap(`"fr"`, `"de"`), 400, `"code":24`},
		{"merchant name", swap(`"Shop"`, `"`+strings.Repeat("x", 31)+`"`), 400, `"code":24`},
		{"merchant key", swap(DefaultOrangeMerchantKey, "no"), 403, `"code":1202`},
		{"currency", swap("OUV", "XOF"), 403, `"code":1203`},
	} {
		t.Run(tc.name, func(t *testing.T) { b.want(c.post("webpayment", tc.body), tc.status, tc.code) })
	}
	if len(b.sim.Sessions()) != 0 {
		t.Error("an invalid request opened a session")
	}
	for env, fits := range map[string]bool{"dev OUV": true, "dev XOF": false, "ci XOF": true, "ci OUV": false, "gn GNF": true, "xx OUV": false, "xx CDF": true} {
		if e, c, _ := strings.Cut(env, " "); orangeCurrencyFits(e, c) != fits {
			t.Errorf("%s: %v", env, !fits)
		}
	}
}

func TestOrangeStatusNeedsAllThree(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	ref := b.ref(Orange)
	b.want(c.create(ref, "1200"), 201)
	tok := c.field(ref, "pay_token")
	b.want(c.post("transactionstatus", "{"), 400, `"code":22`)
	b.want(c.post("transactionstatus", `{"order_id":"`+ref+`","amount":1200}`), 400, `"code":23`)
	b.want(c.post("transactionstatus", `{"order_id":"`+ref+`","amount":"1200","pay_token":"`+tok+`"}`), 400, `"code":24`)
	b.want(c.post("transactionstatus", `{"order_id":"`+ref+`","amount":1201,"pay_token":"`+tok+`"}`), 404)
	b.want(c.post("transactionstatus", `{"order_id":"other","amount":1200,"pay_token":"`+tok+`"}`), 404)
	b.want(c.post("transactionstatus", `{"order_id":"`+ref+`","amount":1200,"pay_token":"no"}`), 404)
}
