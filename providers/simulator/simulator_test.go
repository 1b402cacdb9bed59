package simulator

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRules(t *testing.T) {
	b := setUp(t)
	c := b.client(MTN)
	ref := b.ref(MTN)
	b.want(c.create(ref, "100"), 202)
	rule := b.sim.Script(Match{Provider: MTN, Op: OpStatus, Reference: ref}, Fail(401, false).times(2))
	rule.behaviour.Skip = 1
	for _, want := range []int{200, 401, 401, 200} {
		b.want(c.status(ref), want)
	}
	if rule.Fired() != 2 {
		t.Errorf("fired %d times", rule.Fired())
	}
	other := b.sim.Script(Match{Reference: "other"}, Drop())
	b.want(c.status(ref), 200)
	if other.Fired() != 0 {
		t.Error("a rule fired for another reference")
	}
	b.sim.Script(Match{}, Throttle("999999999"))
	if r := c.status(ref); r.status != 429 || r.header.Get("Retry-After") != "999999999" {
		t.Errorf("%d %v", r.status, r.header)
	}
	b.sim.ClearScripts()
	b.want(c.status(ref), 200)
	b.sim.Script(Match{}, Fail(400, false))
	b.want(c.status(ref), 400)
}

// A client that is killed while the provider works leaves a session that nobody knows of.
func TestClientDiesInTheMiddle(t *testing.T) {
	b := setUp(t)
	arrived := make(chan struct{})
	ctx, kill := context.WithCancel(context.Background())
	b.sim.BeforeProcess(func(r Request) {
		if r.Op == OpInitiate && r.Provider == Wave && r.Reference == "r" && r.Status == 0 {
			close(arrived)
			<-r.Gone
		}
	})
	processed := 0
	b.sim.AfterProcess(func(r Request) { processed = r.Status })
	c := b.client(Wave).(*waveClient)
	req, _ := http.NewRequestWithContext(ctx, "POST", b.sim.WaveURL()+"/v1/checkout/sessions", strings.NewReader(c.body("r", "901")))
	req.Header.Set("Authorization", "Bearer "+DefaultWaveKey)
	done := make(chan error)
	go func() { _, err := b.http.Do(req); done <- err }()
	<-arrived
	if e := b.sim.Journal()[0]; e.Done || e.Processed {
		t.Errorf("in flight: %+v", e)
	}
	kill()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	waitFor(t, func() bool { return b.sim.Journal()[0].Done })
	if e := b.sim.Journal()[0]; !e.Processed || e.Delivered || e.Status != 0 || processed != 200 {
		t.Errorf("after the kill: %+v", e)
	}
	b.pass(time.Minute)
	if b.sim.Opened("r") != 1 || b.sim.Charges("r") != 0 || b.sim.Pay("r") == nil {
		t.Errorf("an undisclosed session was paid: %+v", b.sim.Ledger())
	}
}

func TestJournal(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	ref := b.ref(Orange)
	c.create(ref, "1200")
	b.do("GET", c.field(ref, "payment_url"), "")
	b.do("GET", c.field(ref, "payment_url")+"/other", "")
	b.sim.Script(Match{Op: OpInitiate}, LoseAnswer())
	c.create(b.ref(Orange), "1200")
	c.create(b.ref(Orange), "1200")
	j := b.sim.Journal()
	if len(j) != 6 || b.sim.Count("", OpPage) != 1 || b.sim.Count(Orange, OpOther) != 1 || b.sim.Count(Orange, OpInitiate) != 3 {
		t.Fatalf("journal %+v", j)
	}
	e := j[1]
	want := Entry{Seq: 1, At: start, Provider: Orange, Op: OpInitiate, Method: "POST",
		Path: "/orange/orange-money-webpay/dev/v1/webpayment", Reference: ref, Processed: true, Done: true, Status: 201, Delivered: true}
	if e != want {
		t.Errorf("entry %+v", e)
	}
	if j[4].Fault != "answer lost" || j[4].Status != 0 || j[4].Delivered || !j[4].Processed {
		t.Errorf("lost: %+v", j[4])
	}
	text, _ := json.Marshal(j)
	for _, secret := range []string{c.field(ref, "pay_token"), c.field(ref, "notif_token"), c.token,
		DefaultOrangeClientSecret, DefaultOrangeMerchantKey} {
		if secret == "" || strings.Contains(string(text), secret) {
			t.Errorf("the journal holds the secret %q", secret)
		}
	}
}

func TestSessionsAreSnapshots(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange).(*orangeClient)
	ref := b.ref(Orange)
	c.create(ref, "902")
	s := b.sim.Sessions()[0]
	tok := c.field(ref, "pay_token")
	if s.Reference != ref || s.State != "open" || !s.Delivered || s.URL != c.field(ref, "payment_url") ||
		s.Scenario != "902 paid after 25 s" || strings.Contains(s.ID, tok) {
		t.Errorf("session %+v", s)
	}
	if err := b.sim.Refuse(s.ID); err != nil {
		t.Error(err)
	}
	if err := b.sim.Pay("nobody"); err == nil {
		t.Error("paid nothing")
	}
	if got := b.sim.Sessions()[0].State; got != "failed" || s.State != "open" {
		t.Errorf("state %s", got)
	}
}

func TestHandlerFindsItsOwnAddress(t *testing.T) {
	s, err := New(Options{Now: NewClock(start).Now, Rand: Seeded(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	srv := httptest.NewServer(s)
	defer srv.Close()
	b := &bench{t: t, sim: s, http: srv.Client()}
	body := (&waveClient{b: b}).body("r", "1000")
	r := b.do("POST", srv.URL+"/wave/v1/checkout/sessions", body, "Authorization", "Bearer "+DefaultWaveKey)
	b.want(r, 200, srv.URL+"/wave/c/cos-")
	if err := s.Pay(r.json(t)["wave_launch_url"].(string)); err != nil {
		t.Error(err)
	}
	s.SetURL("https://pay.example")
	if s.MTNURL() != "https://pay.example/mtn" || s.OrangeURL("ci") != "https://pay.example/orange/orange-money-webpay/ci/v1" {
		t.Error(s.MTNURL(), s.OrangeURL("ci"))
	}
}

// With the real clock the simulator's own goroutine plays the payer.
func TestRealClock(t *testing.T) {
	b := setUp(t, func(o *Options) { o.Now, o.Speed = nil, 5000 })
	b.want(b.client(Wave).create("r", "902"), 200)
	waitFor(t, func() bool { return len(b.hook.all()) == 1 })
	if b.sim.Charges("r") != 1 {
		t.Errorf("ledger %+v", b.sim.Ledger())
	}
	if err := errors.Join(b.sim.Close(), b.sim.Close()); err != nil {
		t.Error(err)
	}
}

// Close ends what is in flight.
func TestCloseCutsPendingAnswers(t *testing.T) {
	b := setUp(t)
	s := b.sim
	s.Script(Match{}, Behaviour{Delay: time.Hour})
	got := make(chan reply)
	go func() { got <- b.client(Wave).create("r", "1000") }()
	waitFor(t, func() bool { return s.Opened("r") == 1 })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if r := <-got; r.err == nil {
		t.Error("answered")
	}
}

func TestCallbackThatCannotBeDelivered(t *testing.T) {
	b := setUp(t, func(o *Options) {
		o.Wave.Callbacks = []WaveCallback{{URL: "http://127.0.0.1:1/"}, {URL: ":no url"}}
	})
	b.client(Wave).create("r", "901")
	b.sim.Tick()
	sent := b.sim.Callbacks()
	if len(sent) != 2 || sent[0].Error == "" || sent[1].Error == "" || sent[0].Status != 0 {
		t.Errorf("sent %+v", sent)
	}
}

func TestHalfARequestIsNone(t *testing.T) {
	b := setUp(t)
	r := b.do("POST", b.sim.WaveURL()+"/v1/checkout/sessions", strings.Repeat("x", bodyLimit+1))
	if r.err == nil && r.status != 0 || len(b.sim.Journal()) != 0 {
		t.Errorf("%d %v", r.status, r.err)
	}
}

func TestAdmin(t *testing.T) {
	b := setUp(t)
	admin := b.sim.URL() + "/admin/"
	c := b.client(Wave).(*waveClient)
	b.want(b.do("POST", admin+"behaviour", `{"provider":"wave","op":"initiate","times":1,"cut":true,"delay":"0s","name":"lost"}`), 201)
	b.want(b.do("POST", admin+"behaviour", `{"unknown":1}`), 400)
	b.want(b.do("POST", admin+"behaviour", `{"delay":"soon"}`), 400)
	b.want(b.do("GET", b.sim.URL()+"/elsewhere", ""), 404)
	if r := c.create("r", "1000"); r.err == nil {
		t.Error("the programmed fault did not fire")
	}
	b.want(b.do("GET", admin+"behaviour", ""), 200, `"name":"lost","fired":1`)
	b.want(c.create("s", "1000"), 200)
	b.want(b.do("DELETE", admin+"behaviour", ""), 200)
	b.want(b.do("GET", admin+"behaviour", ""), 200, "[]")

	b.want(b.do("POST", admin+"pay?ref=r", ""), 409, "nobody was told")
	b.want(b.do("POST", admin+"open?ref=s", ""), 200)
	b.want(b.do("POST", admin+"refuse?ref=s", ""), 200)
	b.want(b.do("POST", admin+"pay?ref=s", ""), 200)
	b.want(b.do("POST", admin+"tick", ""), 200)
	b.want(b.client(MTN).create(b.ref(MTN), "909"), 202)
	b.want(b.do("POST", admin+"approve", ""), 200, "1")
	b.want(b.do("POST", admin+"expire-tokens", ""), 200)
	b.want(b.do("POST", admin+"revoke-tokens", ""), 200)
	b.want(b.do("GET", admin+"journal", ""), 200, `"fault":"lost"`)
	b.want(b.do("GET", admin+"ledger", ""), 200, `"event":"paid"`)
	b.want(b.do("GET", admin+"sessions", ""), 200, `"state":"paid"`)
	b.want(b.do("GET", admin+"callbacks", ""), 200, "checkout.session.completed")
	b.want(b.do("GET", admin+"magic", ""), 200, `"901":"paid at once"`)
	if b.sim.Charges("s") != 1 {
		t.Error("not paid")
	}
}

func TestExpiredTokens(t *testing.T) {
	b := setUp(t)
	c := b.client(MTN)
	b.want(c.create(b.ref(MTN), "100"), 202)
	b.pass(mtnTokenLife)
	b.want(c.create(b.ref(MTN), "100"), 401)
}

// Credentials can be changed: the new ones are good beside the old ones, until the old ones are taken back.
func TestKeysRotate(t *testing.T) {
	b := setUp(t)
	s := b.sim
	s.RevokeKeys(Wave, Keys{Key: "none"})
	for p, old := range s.opts.keys() {
		c := b.client(p)
		fresh := Keys{ID: old[0].ID + "-2", Secret: "new secret", Key: "new key"}
		hasBoth := func() (bool, bool) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.has(p, func(k Keys) bool { return k == old[0] }), s.has(p, func(k Keys) bool { return k == fresh })
		}
		s.AddKeys(p, fresh)
		if first, second := hasBoth(); !first || !second {
			t.Errorf("%s: %t %t", p, first, second)
		}
		s.RevokeKeys(p, old[0])
		if first, second := hasBoth(); first || !second {
			t.Errorf("%s: %t %t", p, first, second)
		}
		b.want(c.create(b.ref(p), "100"), 401)
	}
}
