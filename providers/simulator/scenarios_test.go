package simulator

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var all = []Provider{MTN, Orange, Wave}

// story is how a payment with a magic amount goes at one provider.
type story struct {
	code      string
	provider  Provider
	atOnce    string // state after creation
	later     string // after two minutes
	end       string // after 52 minutes
	charges   int
	callbacks int
}

func TestPayers(t *testing.T) {
	for _, s := range []story{
		{"000", MTN, "open", "paid", "paid", 1, 1},
		{"000", Orange, "open", "open", "open", 0, 0},
		{"000", Wave, "open", "open", "expired", 0, 0},
		{"901", MTN, "paid", "paid", "paid", 1, 1},
		{"901", Orange, "paid", "paid", "paid", 1, 1},
		{"901", Wave, "paid", "paid", "paid", 1, 1},
		{"902", MTN, "open", "paid", "paid", 1, 1},
		{"902", Orange, "open", "paid", "paid", 1, 1},
		{"902", Wave, "open", "paid", "paid", 1, 1},
		{"903", MTN, "open", "failed", "failed", 0, 1},
		{"903", Orange, "open", "failed", "failed", 0, 1},
		{"903", Wave, "open", "open", "expired", 0, 1},
		{"904", MTN, "open", "failed", "failed", 0, 1},
		{"904", Orange, "open", "failed", "failed", 0, 1},
		{"904", Wave, "open", "open", "expired", 0, 1},
		{"906", MTN, "open", "open", "failed", 0, 1},
		{"906", Orange, "open", "open", "EXPIRED", 0, 0},
		{"906", Wave, "open", "open", "expired", 0, 0},
		{"907", MTN, "open", "open", "open", 0, 0},
		{"907", Orange, "open", "open", "open", 0, 0},
		{"907", Wave, "open", "open", "expired", 0, 0},
		{"908", MTN, "open", "open", "open", 0, 0},
		{"908", Orange, "open", "open", "open", 0, 0},
		{"908", Wave, "open", "open", "expired", 0, 0},
		{"909", MTN, "open", "open", "failed", 0, 1},
		{"911", MTN, "open", "failed", "failed", 0, 1},
		{"911", Orange, "open", "failed", "failed", 0, 1},
		{"911", Wave, "open", "paid", "paid", 1, 2},
		{"912", MTN, "open", "paid", "paid", 1, 2},
		{"912", Orange, "open", "paid", "paid", 1, 2},
		{"942", MTN, "ON_HOLD", "ON_HOLD", "ON_HOLD", 1, 1},
		{"942", Orange, "ON_HOLD", "ON_HOLD", "ON_HOLD", 1, 1},
		{"942", Wave, "ON_HOLD", "ON_HOLD", "ON_HOLD", 1, 1},
		{"961", MTN, "open", "paid", "paid", 1, 0},
		{"961", Orange, "open", "paid", "paid", 1, 0},
		{"961", Wave, "open", "paid", "paid", 1, 0},
		{"962", MTN, "open", "paid", "paid", 1, 2},
		{"962", Orange, "open", "paid", "paid", 1, 2},
		{"962", Wave, "open", "paid", "paid", 1, 2},
		{"964", MTN, "open", "open", "open", 0, 1},
		{"964", Orange, "open", "open", "open", 0, 1},
		{"964", Wave, "open", "open", "expired", 0, 1},
	} {
		t.Run(s.code+" "+string(s.provider), func(t *testing.T) {
			b := setUp(t)
			c := b.client(s.provider)
			ref := b.ref(s.provider)
			b.want(c.create(ref, "5"+s.code), map[Provider]int{MTN: 202, Orange: 201, Wave: 200}[s.provider])
			b.sim.Tick()
			got := []string{c.state(c.status(ref))}
			b.pass(2 * time.Minute)
			got = append(got, c.state(c.status(ref)))
			b.pass(50 * time.Minute)
			got = append(got, c.state(c.status(ref)))
			if want := []string{s.atOnce, s.later, s.end}; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("states %v, want %v", got, want)
			}
			if n := b.sim.Charges(ref); n != s.charges {
				t.Errorf("%d charges, want %d", n, s.charges)
			}
			if n := len(b.hook.all()); n != s.callbacks {
				t.Errorf("%d callbacks, want %d", n, s.callbacks)
			}
		})
	}
}

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

// MTN calls a forged callback successful, Orange gets a wrong token, Wave a
// wrong signature; none of them is paid.
func TestForgedCallbacksDoNotVerify(t *testing.T) {
	for _, p := range all {
		b := setUp(t, func(o *Options) { o.Wave.Callbacks[0].SharedSecret = "shared" })
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
			if !strings.Contains(body, "succeeded") || sig == "" || got[0].header.Get("Authorization") != "" ||
				sig == WaveSignature(start.Add(time.Minute), got[0].body, "s1", "s2") {
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

// creation is how the first request of a payment ends with a magic amount.
type creation struct {
	code      string
	first     map[Provider]int // 0: no usable answer
	processed bool
	second    map[Provider]int // the same request again
}

func TestCreationFaults(t *testing.T) {
	fresh := map[Provider]int{MTN: 202, Orange: 201, Wave: 200}
	known := map[Provider]int{MTN: 409, Orange: 403, Wave: 200}
	each := func(status int) map[Provider]int { return map[Provider]int{MTN: status, Orange: status, Wave: status} }
	for _, f := range []creation{
		{"921", each(0), true, known},
		{"922", each(0), false, fresh},
		{"923", each(500), true, known},
		{"924", each(500), false, fresh},
		{"926", each(503), false, fresh},
		{"927", each(429), false, fresh},
		{"929", known, true, known},
		{"931", each(200), true, known},
		{"932", each(0), true, known},
		{"933", each(200), true, known},
		{"936", known, true, known},
	} {
		for _, p := range all {
			t.Run(f.code+" "+string(p), func(t *testing.T) {
				b := setUp(t)
				c := b.client(p)
				ref := b.ref(p)
				first := c.create(ref, "1"+f.code)
				if first.err != nil {
					first.status = 0
				}
				if first.status != f.first[p] {
					t.Errorf("first answer %d, want %d: %v", first.status, f.first[p], first.err)
				}
				opened := b.sim.Opened(ref)
				if (opened > 0) != f.processed {
					t.Errorf("processed: opened %d sessions", opened)
				}
				if f.code == "936" && p == Wave && opened != 2 {
					t.Error("Wave opens a session for each copy")
				}
				if f.code != "936" && p != Wave { // nobody can pay before the URL is known
					checkUndelivered(t, b, p, ref, f)
				}
				if got := c.create(ref, "1"+f.code).status; got != f.second[p] {
					t.Errorf("second answer %d, want %d", got, f.second[p])
				}
				b.pass(5 * time.Minute)
				if got, want := b.sim.Charges(ref), map[Provider]int{MTN: 1}[p]; got != want {
					t.Errorf("%d charges, want %d", got, want)
				}
			})
		}
	}
}

// checkUndelivered makes sure that a lost Orange session cannot be paid, and
// that an MTN payer has the prompt all the same.
func checkUndelivered(t *testing.T, b *bench, p Provider, ref string, f creation) {
	t.Helper()
	if !f.processed {
		return
	}
	if s := b.sim.Sessions()[0]; s.Delivered != (p == MTN) || s.Seen != (p == MTN) {
		t.Errorf("session %+v", s)
	}
	if err := b.sim.Pay(ref); (err == nil) != (p == MTN) {
		t.Errorf("pay: %v", err)
	}
}

func TestThrottledCreationNamesRetryAfter(t *testing.T) {
	b := setUp(t)
	if r := b.client(MTN).create(b.ref(MTN), "927"); r.header.Get("Retry-After") != "7" {
		t.Errorf("headers %v", r.header)
	}
}

func TestLostAnswerIsFoundBySearch(t *testing.T) {
	b := setUp(t)
	c := b.client(Wave).(*waveClient)
	ref := b.ref(Wave)
	if r := c.create(ref, "921"); r.err == nil {
		t.Fatal("the answer was not lost")
	}
	if found := c.search(ref); len(found) != 1 || found[0]["wave_launch_url"] == "" {
		t.Fatalf("found %v", found)
	}
	if err := b.sim.Pay(ref); err != nil {
		t.Errorf("after the search the URL is known: %v", err)
	}
}

func TestLateProcessing(t *testing.T) {
	for _, p := range all {
		b := setUp(t)
		c := b.client(p)
		ref := b.ref(p)
		if r := c.create(ref, "934"); r.err == nil {
			t.Fatal("answered")
		}
		if b.sim.Opened(ref) != 0 {
			t.Error("processed at once")
		}
		b.pass(lateTime)
		if b.sim.Opened(ref) != 1 || !lastInitiate(b).Processed {
			t.Error("never processed")
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

func TestSlowAnswer(t *testing.T) {
	b := setUp(t)
	c := b.client(MTN)
	ref := b.ref(MTN)
	processed := make(chan struct{})
	b.sim.AfterProcess(func(Request) { close(processed) })
	answer := make(chan reply)
	go func() { answer <- c.create(ref, "928") }()
	<-processed
	b.sim.AfterProcess(nil)
	waitFor(t, func() bool { b.pass(40 * time.Second); return len(answer) > 0 || b.sim.Journal()[1].Done })
	b.want(<-answer, 202)
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

func TestStatusFaults(t *testing.T) {
	found := map[Provider]int{MTN: 200, Orange: 201, Wave: 200}
	for _, p := range all {
		for code, want := range map[string]int{"946": 200, "947": 0, "948": 500, "949": 429} {
			b := setUp(t)
			c := b.client(p)
			ref := b.ref(p)
			c.create(ref, code)
			for range 3 {
				r := c.status(ref)
				if r.err != nil {
					r.status = 0
				}
				if r.status != want || code == "946" && r.header.Get("Content-Type") != "text/html" ||
					code == "949" && r.header.Get("Retry-After") != "7" {
					t.Errorf("%s %s: %d %v %q", p, code, r.status, r.err, r.body)
				}
			}
			b.want(c.status(ref), found[p])
		}
		b := setUp(t)
		c := b.client(p)
		hidden, amount, currency := b.ref(p), b.ref(p), b.ref(p)
		c.create(hidden, "941")
		b.want(c.status(hidden), 404)
		b.pass(someTime)
		b.want(c.status(hidden), found[p])
		c.create(amount, "943")
		b.want(c.status(amount), found[p], map[Provider]string{MTN: `"amount":"1"`, Orange: "another-order", Wave: `"amount":"1"`}[p])
		c.create(currency, "944")
		b.want(c.status(currency), found[p], map[Provider]string{MTN: `"USD"`, Orange: currency, Wave: `"USD"`}[p])
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

func TestChosenScenario(t *testing.T) {
	b := setUp(t)
	b.sim.SetScenario("chosen", Scenario{Payer: Pays, After: time.Second})
	b.sim.SetDefault(Wave, Scenario{Payer: Pays, After: time.Minute})
	c := b.client(Wave)
	c.create("chosen", "907")
	c.create("default", "1000")
	b.pass(time.Second)
	if b.sim.Charges("chosen") != 1 || b.sim.Charges("default") != 0 {
		t.Error("the chosen scenario was not played")
	}
	b.pass(time.Minute)
	if b.sim.Charges("default") != 1 {
		t.Error("the default scenario was not played")
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

func TestOrangeConfirmedPayment(t *testing.T) {
	b := setUp(t)
	c := b.client(Orange)
	ref := b.ref(Orange)
	c.create(ref, "902")
	b.pass(21 * time.Second)
	b.want(c.status(ref), 201, `"PENDING"`)
	stuck := b.ref(Orange)
	c.create(stuck, "908")
	b.pass(50 * time.Minute)
	b.want(c.status(stuck), 201, `"PENDING"`)
	b.want(c.status(ref), 201, `"SUCCESS"`)
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
