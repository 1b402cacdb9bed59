package simulator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// bench is a simulator with a manual clock, a client and a merchant that receives callbacks.
type bench struct {
	t     *testing.T
	sim   *Simulator
	clock *Clock
	http  *http.Client
	hook  *receiver
	n     int
}

func setUp(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, clock: NewClock(start), hook: newReceiver(t), http: &http.Client{Timeout: 5 * time.Second}}
	o := Options{Now: b.clock.Now, Rand: Seeded(1)}
	o.Wave.Callbacks = []WaveCallback{{URL: b.hook.url + "/wave", SigningSecrets: []string{"s1", "s2"}}}
	for _, c := range change {
		c(&o)
	}
	sim, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	b.sim = sim
	t.Cleanup(func() {
		b.http.CloseIdleConnections()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) pass(d time.Duration) {
	b.clock.Add(d)
	b.sim.Tick()
}

type receiver struct {
	url    string
	mu     sync.Mutex
	status int
	got    []received
}

type received struct {
	method, path string
	header       http.Header
	body         []byte
}

func (r received) json(t *testing.T) map[string]any { return reply{body: string(r.body)}.json(t) }

func newReceiver(t *testing.T) *receiver {
	rc := &receiver{status: 200}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rc.mu.Lock()
		defer rc.mu.Unlock()
		rc.got = append(rc.got, received{r.Method, r.URL.Path, r.Header, body})
		w.WriteHeader(rc.status)
	}))
	t.Cleanup(srv.Close)
	rc.url = srv.URL
	return rc
}

func (rc *receiver) answer(status int) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.status = status
}

func (rc *receiver) all() []received {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]received(nil), rc.got...)
}

// reply is an answer as the client got it; err and no status if it got none.
type reply struct {
	status int
	header http.Header
	body   string
	err    error
}

func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("no JSON: %v: %q", err, r.body)
	}
	return m
}

func (b *bench) do(method, url, body string, header ...string) reply {
	b.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, rd)
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[http.CanonicalHeaderKey(header[i])] = []string{header[i+1]}
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{err: err}
	}
	return reply{resp.StatusCode, resp.Header, string(got), nil}
}

func (b *bench) want(r reply, status int, contains ...string) {
	b.t.Helper()
	if r.err != nil || r.status != status {
		b.t.Fatalf("answer %d %v, want %d: %s", r.status, r.err, status, r.body)
	}
	for _, c := range contains {
		if !strings.Contains(r.body, c) {
			b.t.Errorf("answer %s lacks %q", r.body, c)
		}
	}
}

// client speaks one provider's wire just far enough for a table of tests.
type client interface {
	create(ref, amount string, header ...string) reply
	status(ref string) reply
	state(r reply) string // open, paid, failed, expired or the word itself
}

func (b *bench) client(p Provider) client {
	switch p {
	case MTN:
		return &mtnClient{b: b, token: b.mtnToken(collection), payer: "46733000000"}
	case Orange:
		return &orangeClient{b: b, token: b.orangeToken(), tokens: map[string]reply{}, amounts: map[string]string{}}
	default:
		return &waveClient{b: b, ids: map[string]string{}}
	}
}

// reference makes one that every provider takes.
func (b *bench) reference() string {
	b.n++
	return fmt.Sprintf("00000000-0000-4000-8000-%06x", b.n)[:30] + fmt.Sprintf("%06x", b.n)
}

func (b *bench) ref(p Provider) string {
	ref := b.reference()
	if p == Orange {
		return ref[6:]
	}
	return ref
}

func (b *bench) mtnToken(product string) string {
	b.t.Helper()
	r := b.do("POST", b.sim.MTNURL()+"/"+product+"/token/", "", mtnBasic(product)...)
	b.want(r, 200)
	return r.json(b.t)["access_token"].(string)
}

func mtnBasic(product string) []string {
	if product == disbursement {
		return append(basic(DefaultMTNDisbursementUser, DefaultMTNDisbursementKey),
			"Ocp-Apim-Subscription-Key", DefaultMTNDisbursementSubscriptionKey, "X-Target-Environment", "sandbox")
	}
	return append(basic(DefaultMTNUser, DefaultMTNKey),
		"Ocp-Apim-Subscription-Key", DefaultMTNSubscriptionKey, "X-Target-Environment", "sandbox")
}

func basic(user, secret string) []string {
	req, _ := http.NewRequest("GET", "http://x", nil)
	req.SetBasicAuth(user, secret)
	return []string{"Authorization", req.Header.Get("Authorization")}
}

type mtnClient struct {
	b     *bench
	token string
	payer string
	note  string
}

func (c *mtnClient) headers() []string {
	return []string{"Authorization", "Bearer " + c.token, "X-Target-Environment", "sandbox",
		"Ocp-Apim-Subscription-Key", DefaultMTNSubscriptionKey, "Content-Type", "application/json"}
}

func (c *mtnClient) body(ref, amount string) string {
	return fmt.Sprintf(`{"amount":%q,"currency":"EUR","externalId":%q,"payer":{"partyIdType":"MSISDN","partyId":%q},"payerMessage":"Order 1.","payeeNote":%q}`,
		amount, ref, c.payer, c.note)
}

func (c *mtnClient) post(body string, header ...string) reply {
	return c.b.do("POST", c.b.sim.MTNURL()+"/collection/v1_0/requesttopay", body, append(c.headers(), header...)...)
}

func (c *mtnClient) create(ref, amount string, header ...string) reply {
	h := append([]string{"X-Reference-Id", ref, "X-Callback-Url", c.b.hook.url + "/mtn"}, header...)
	return c.post(c.body(ref, amount), h...)
}

func (c *mtnClient) status(ref string) reply {
	return c.b.do("GET", c.b.sim.MTNURL()+"/collection/v1_0/requesttopay/"+ref, "", c.headers()...)
}

func (c *mtnClient) state(r reply) string {
	word := r.json(c.b.t)["status"].(string)
	return cmp.Or(map[string]string{"PENDING": "open", "CREATED": "open", "SUCCESSFUL": "paid", "FAILED": "failed"}[word], word)
}

func (b *bench) orangeToken() string {
	b.t.Helper()
	r := b.do("POST", b.sim.OrangeTokenURL(), "grant_type=client_credentials", orangeBasic()...)
	b.want(r, 200, `"Bearer"`)
	return r.json(b.t)["access_token"].(string)
}

func orangeBasic() []string {
	return append(basic(DefaultOrangeClientID, DefaultOrangeClientSecret), "Accept", "application/json",
		"Content-Type", "application/x-www-form-urlencoded")
}

type orangeClient struct {
	b       *bench
	token   string
	tokens  map[string]reply
	amounts map[string]string
}

func (c *orangeClient) post(op, body string) reply {
	return c.b.do("POST", c.b.sim.OrangeURL("dev")+"/"+op, body,
		"Authorization", "Bearer "+c.token, "Accept", "application/json", "Content-Type", "application/json")
}

func (c *orangeClient) body(ref, amount string) string {
	return fmt.Sprintf(`{"merchant_key":%q,"currency":"OUV","order_id":%q,"amount":%s,"return_url":"https://shop.example/ok","cancel_url":"https://shop.example/no","notif_url":%q,"lang":"fr","reference":"Shop"}`,
		DefaultOrangeMerchantKey, ref, amount, c.b.hook.url+"/orange")
}

func (c *orangeClient) create(ref, amount string, _ ...string) reply {
	r := c.post("webpayment", c.body(ref, amount))
	c.tokens[ref], c.amounts[ref] = r, amount
	return r
}

func (c *orangeClient) field(ref, name string) string {
	v, _ := c.tokens[ref].json(c.b.t)[name].(string)
	return v
}

func (c *orangeClient) status(ref string) reply {
	return c.post("transactionstatus", fmt.Sprintf(`{"order_id":%q,"amount":%s,"pay_token":%q}`,
		ref, c.amounts[ref], c.field(ref, "pay_token")))
}

func (c *orangeClient) state(r reply) string {
	word := r.json(c.b.t)["status"].(string)
	return cmp.Or(map[string]string{"INITIATED": "open", "PENDING": "open", "SUCCESS": "paid", "FAILED": "failed"}[word], word)
}

type waveClient struct {
	b   *bench
	ids map[string]string
}

func (c *waveClient) call(method, path, body string, header ...string) reply {
	h := append([]string{"Authorization", "Bearer " + DefaultWaveKey, "Content-Type", "application/json"}, header...)
	return c.b.do(method, c.b.sim.WaveURL()+"/v1/checkout/sessions"+path, body, h...)
}

func (c *waveClient) body(ref, amount string) string {
	return fmt.Sprintf(`{"amount":%q,"currency":"XOF","success_url":"https://shop.example/ok","error_url":"https://shop.example/no","client_reference":%q}`, amount, ref)
}

func (c *waveClient) create(ref, amount string, _ ...string) reply {
	r := c.call("POST", "", c.body(ref, amount))
	var session struct{ ID string }
	if json.Unmarshal([]byte(r.body), &session) == nil {
		c.ids[ref] = session.ID
	}
	return r
}

func (c *waveClient) status(ref string) reply { return c.call("GET", "/"+c.ids[ref], "") }

func (c *waveClient) state(r reply) string {
	word := r.json(c.b.t)["checkout_status"].(string)
	return cmp.Or(map[string]string{"complete": "paid"}[word], word)
}
