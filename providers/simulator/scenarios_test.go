package simulator

import (
	"strings"
	"testing"
	"time"
)

var all = []Provider{MTN, Orange, Wave}

func TestReasons(t *testing.T) {
	for code, want := range map[string]map[Provider]string{
		"903": {MTN: `"reason":"APPROVAL_REJECTED"`, Wave: `"payment-failure"`},
		"904": {MTN: `"reason":"NOT_ENOUGH_FUNDS"`, Wave: `"insufficient-funds"`},
		"951": {MTN: `"reason":{"message":"The transaction failed.","code":"APPROVAL_REJECTED"}`},
	} {
		for p, reason := range want {
			b := setUp(t)
			c := b.client(p)
			ref := b.ref(p)
			c.create(ref, code)
			b.pass(time.Minute)
			b.want(c.status(ref), 200, reason)
		}
	}
}

// MTN calls a forged callback successful, Orange gets a wrong token, Wave a wrong signature; none of them is paid.
func TestForgedCallbacksDoNotVerify(t *testing.T) {
	for _, p := range all {
		b := setUp(t)
		c := b.client(p)
		ref := b.ref(p)
		r := c.create(ref, "964")
		b.pass(time.Minute)
		got := b.hook.all()
		if len(got) != 1 {
			t.Fatalf("%s: %d callbacks", p, len(got))
		}
		body := string(got[0].body)
		switch p {
		case MTN:
			if !strings.Contains(body, "SUCCESSFUL") {
				t.Error(body)
			}
		case Orange:
			if !strings.Contains(body, "SUCCESS") || strings.Contains(body, r.json(t)["notif_token"].(string)) {
				t.Error(body)
			}
		case Wave:
			sig := got[0].header.Get("Wave-Signature")
			if !strings.Contains(body, "succeeded") || sig == "" || sig == WaveSignature(start.Add(time.Minute), got[0].body, "s1", "s2") {
				t.Error(body, sig)
			}
		}
		if b.sim.Charges(ref) != 0 {
			t.Error("a forgery charged")
		}
	}
}

func TestCallbackTiming(t *testing.T) {
	for _, p := range all {
		b := setUp(t)
		c := b.client(p)
		early, late := b.ref(p), b.ref(p)
		c.create(early, "963")
		b.pass(payerDelay(p))
		if n := len(b.hook.all()); n != 1 || c.state(c.status(early)) != "open" || b.sim.Charges(early) != 1 {
			t.Errorf("%s: %d callbacks ahead of the query", p, n)
		}
		b.pass(someTime)
		if got := c.state(c.status(early)); got != "paid" {
			t.Errorf("%s: the query never caught up: %s", p, got)
		}
		c.create(late, "966")
		b.pass(payerDelay(p))
		if n := len(b.hook.all()); n != 1 || c.state(c.status(late)) != "paid" {
			t.Errorf("%s: the late callback was not late", p)
		}
		b.pass(lateTime)
		if n := len(b.hook.all()); n != 2 {
			t.Errorf("%s: the late callback never came", p)
		}
	}
}

func lastInitiate(b *bench) Entry {
	var last Entry
	for _, e := range b.sim.Journal() {
		if e.Op == OpInitiate {
			last = e
		}
	}
	return last
}

// waitFor asks again and again, for what another goroutine does.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
	}
}

func TestMagicPhones(t *testing.T) {
	b := setUp(t)
	m := b.client(MTN).(*mtnClient)
	m.payer = "2250700000904"
	ref, stronger := b.ref(MTN), b.ref(MTN)
	m.create(ref, "100")
	m.create(stronger, "901.50") // the amount wins
	b.pass(time.Minute)
	b.want(m.status(ref), 200, "NOT_ENOUGH_FUNDS")
	b.want(m.status(stronger), 200, "SUCCESSFUL")

	w := b.client(Wave).(*waveClient)
	body := strings.Replace(w.body("r", "100"), `"amount"`, `"restrict_payer_mobile":"+221770000901","amount"`, 1)
	b.want(w.call("POST", "", body), 200)
	if b.sim.Charges("r") != 1 {
		t.Error("the magic payer did not pay")
	}

	b = setUp(t, func(o *Options) { o.NoMagic = true })
	c := b.client(Wave)
	c.create("r", "901")
	if b.sim.Charges("r") != 0 {
		t.Error("magic that was switched off")
	}
}

// With PayerOpens a delivered URL is not enough: somebody must open it.
func TestPayerOpens(t *testing.T) {
	b := setUp(t, func(o *Options) { o.PayerOpens = true })
	c := b.client(Orange).(*orangeClient)
	unseen, seen, told := b.ref(Orange), b.ref(Orange), b.ref(Orange)
	for _, ref := range []string{unseen, seen, told} {
		b.want(c.create(ref, "901"), 201)
	}
	b.want(b.do("GET", c.field(seen, "payment_url"), ""), 200)
	if err := b.sim.Open(c.field(told, "payment_url")); err != nil {
		t.Error(err)
	}
	b.pass(time.Minute)
	if b.sim.Charges(unseen) != 0 || b.sim.Charges(seen) != 1 || b.sim.Charges(told) != 1 {
		t.Errorf("ledger %+v", b.sim.Ledger())
	}
}

func TestSpeed(t *testing.T) {
	b := setUp(t, func(o *Options) { o.Speed = 60 })
	c := b.client(Wave)
	ref := b.ref(Wave)
	b.want(c.create(ref, "902"), 200, `"when_expires":"2026-11-22T10:00:30Z"`)
	b.pass(time.Second)
	if b.sim.Charges(ref) != 1 {
		t.Error("25 s took longer than 25/60 s")
	}
}
