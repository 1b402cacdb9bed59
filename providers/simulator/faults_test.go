package simulator

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// effect is how a fault shows: in the answer to the request that it befalls,
// and in what the simulator did.
type effect struct {
	status    map[Provider]int // 0: none; a provider that is absent is not befallen
	contains  map[Provider]string
	kind      string // Content-Type
	processed bool
	again     map[Provider]int // the same request once more, where that tells something
}

func alike(status int) map[Provider]int {
	return map[Provider]int{MTN: status, Orange: status, Wave: status}
}

func words(mtn, orange, wave string) map[Provider]string {
	return map[Provider]string{MTN: mtn, Orange: orange, Wave: wave}
}

const jsonType, pageType = "application/json", "text/html"

// effects of the faults that befall a request, on one that opens a payment.
func effects() map[string]effect {
	ok := map[Provider]int{MTN: 202, Orange: 201, Wave: 200}
	orangeSays := func(code string) effect {
		return effect{status: map[Provider]int{Orange: 403}, contains: words("", code, ""), kind: jsonType}
	}
	mtnSays := func(code string, processed bool) effect {
		return effect{status: map[Provider]int{MTN: 500}, contains: words(code, "", ""), kind: jsonType, processed: processed}
	}
	waveSays := func(status int, text string) effect {
		return effect{status: map[Provider]int{Wave: status}, contains: words("", "", text), kind: jsonType}
	}
	return map[string]effect{
		"lost-answer":         {status: alike(0), processed: true},
		"dropped":             {status: alike(0)},
		"error-500-processed": {status: alike(500), contains: words(internalError, `"code":1,`, "internal-server-error"), kind: jsonType, processed: true},
		"error-500":           {status: alike(500), contains: words(internalError, `"code":1,`, "internal-server-error"), kind: jsonType},
		"error-503":           {status: alike(503), contains: words("SERVICE_UNAVAILABLE", `"code":5,`, "service-unavailable"), kind: jsonType},
		"throttled":           {status: alike(429), contains: words(`"statusCode":429`, `"code":53`, "too-many-requests"), kind: jsonType},
		"error-403":           {status: alike(403), contains: words("Forbidden", `"code":50`, "unauthorized-wallet"), kind: jsonType},
		"slow":                {status: ok, processed: true},
		"dribble":             {status: ok, processed: true},
		"already-exists":      {status: map[Provider]int{MTN: 409, Orange: 403}, contains: words("RESOURCE_ALREADY_EXIST", `"code":1204`, ""), kind: jsonType, processed: true},
		"html":                {status: alike(200), contains: words("Request Rejected", "Request Rejected", "Request Rejected"), kind: pageType, processed: true},
		"html-error":          {status: alike(502), contains: words("Bad Gateway", "Bad Gateway", "Bad Gateway"), kind: pageType, processed: true},
		"wrong-type":          {status: ok, contains: words("", "pay_token", "wave_launch_url"), kind: "text/plain", processed: true},
		"truncated":           {status: alike(0), processed: true},
		"empty":               {status: alike(200), kind: pageType, processed: true},
		"late":                {status: alike(0)},
		"twice":               {status: map[Provider]int{MTN: 409, Orange: 403, Wave: 200}, processed: true},
		"not-found":           {status: alike(404), contains: words(`"statusCode":404`, `"code":60`, "checkout-session-not-found"), kind: jsonType},
		"token-expired":       {status: map[Provider]int{MTN: 401, Orange: 401}, contains: words(`"statusCode":401`, `"code":42`, ""), kind: jsonType, again: map[Provider]int{MTN: 401, Orange: 401}},
		"token-revoked":       {status: alike(401), contains: words(`"statusCode":401`, `"code":41`, "api-key-revoked"), kind: jsonType, again: map[Provider]int{MTN: 401, Orange: 401, Wave: 200}},
		"unknown-word":        {status: ok, contains: words("", "ON_HOLD", `"checkout_status":"ON_HOLD"`), processed: true},
		"other-amount":        {status: ok, contains: words("", "another-order", `"amount":"1"`), processed: true},
		"other-currency":      {status: map[Provider]int{MTN: 202, Wave: 200}, contains: words("", "", `"USD"`), processed: true},
		"orange-1201":         orangeSays(`"code":1201`), "orange-1202": orangeSays(`"code":1202`), "orange-1203": orangeSays(`"code":1203`),
		"mtn-currency": mtnSays("INVALID_CURRENCY", false), "mtn-callback-host": mtnSays("INVALID_CALLBACK_URL_HOST", false),
		"mtn-no-funds-processed": mtnSays(notEnoughFunds, true),
		"wave-merchant-field":    waveSays(400, `"aggregated_merchant_id"]`), "wave-wallet": waveSays(403, "unauthorized-wallet"),
	}
}

// The ways in which a fault is asked for: each befalls the one creation.
var ways = map[string]func(b *bench, f Fault, p Provider) (amount string){
	"number": func(_ *bench, f Fault, _ Provider) string { return "1" + f.Creation },
	"header": func(b *bench, f Fault, _ Provider) string {
		b.extra = []string{SimulateHeader, f.Name}
		return "1000"
	},
	"admin": func(b *bench, f Fault, p Provider) string {
		b.want(b.do("POST", b.sim.URL()+"/admin/behaviour", fmt.Sprintf(`{"fault":%q,"provider":%q,"op":"initiate","times":1}`, f.Name, p)), 201)
		return "1000"
	},
}

func TestEveryRequestFault(t *testing.T) {
	known := effects()
	for _, f := range Faults() {
		if f.request == nil {
			continue
		}
		want, listed := known[f.Name]
		if !listed {
			t.Errorf("nobody says how %s shows", f.Name)
		}
		for way, ask := range ways {
			for _, p := range all {
				if way == "number" && f.Creation == "" {
					continue
				}
				t.Run(strings.Join([]string{f.Name, way, string(p)}, " "), func(t *testing.T) {
					b := setUp(t)
					c := b.client(p)
					ref := b.ref(p)
					checkEffect(t, b, f, want, p, func() reply {
						amount := ask(b, f, p)
						defer func() { b.extra = nil }()
						return b.patiently(func() reply { return c.create(ref, amount) })
					})
					if _, befallen := want.status[p]; befallen && want.again != nil {
						b.want(c.create(ref, "1000"), want.again[p])
					}
				})
			}
		}
	}
}

func checkEffect(t *testing.T, b *bench, f Fault, want effect, p Provider, request func() reply) {
	t.Helper()
	got := request()
	if got.err != nil {
		got.status = 0
	}
	e := lastInitiate(b)
	status, befallen := want.status[p]
	if !befallen {
		if e.Fault == f.Name {
			t.Errorf("it does not fit, but befell %+v", e)
		}
		return
	}
	if e.Fault != f.Name || got.status != status || !strings.Contains(got.body, want.contains[p]) {
		t.Errorf("fault %q, answer %d %v %s", e.Fault, got.status, got.err, got.body)
	}
	if kind := got.header.Get("Content-Type"); want.kind != "" && kind != want.kind {
		t.Errorf("Content-Type %q", kind)
	}
	opened := len(b.sim.Sessions())
	if (opened > 0) != want.processed || opened > 1 && (f.Name != "twice" || p != Wave) {
		t.Errorf("opened %d sessions", opened)
	}
	if f.Name == "throttled" && got.header.Get("Retry-After") != "7" {
		t.Errorf("headers %v", got.header)
	}
	if b.pass(lateTime); f.Name == "late" && len(b.sim.Sessions()) != 1 {
		t.Error("never processed")
	}
}

// patiently makes a request while time goes by, if the provider takes its time.
func (b *bench) patiently(request func() reply) reply {
	before := len(b.sim.Journal())
	got := make(chan reply, 1)
	go func() { got <- request() }()
	waitFor(b.t, func() bool {
		// Only as far as the simulator has planned: a request that is not yet
		// served must not find its token expired.
		j, due := b.sim.Journal(), b.sim.untilNext() <= slowTime
		if due && len(j) > before && (j[before].Fault == "slow" || j[before].Fault == "dribble") {
			b.pass(slowTime)
		}
		return len(got) > 0
	})
	return <-got
}

// The number of a status query befalls three, or all, and nothing but those.
func TestEveryQueryFault(t *testing.T) {
	found := map[Provider]int{MTN: 200, Orange: 201, Wave: 200}
	for _, f := range Faults() {
		for _, p := range all {
			if f.Query == "" || f.request(p).idle() {
				continue
			}
			t.Run(f.Name+" "+string(p), func(t *testing.T) {
				b := setUp(t)
				c := b.client(p)
				ref := b.ref(p)
				b.want(c.create(ref, "1"+f.Query), map[Provider]int{MTN: 202, Orange: 201, Wave: 200}[p])
				for range 4 {
					b.patiently(func() reply { return c.status(ref) })
				}
				fired := 0
				for _, e := range b.sim.Journal() {
					if e.Op == OpStatus && e.Fault == f.Name {
						fired++
					}
				}
				if want := map[bool]int{false: 3, true: 4}[f.lasting]; fired != want {
					t.Errorf("fired %d times, want %d", fired, want)
				}
				b.sim.ExpireTokens()
				if f.lasting {
					return
				}
				c = renewed(b, c)
				b.want(c.status(ref), found[p])
			})
		}
	}
}

// renewed is the client with a fresh token.
func renewed(b *bench, c client) client {
	switch c := c.(type) {
	case *mtnClient:
		c.token = b.mtnToken(collection)
	case *orangeClient:
		c.token = b.orangeToken()
	}
	return c
}

// told is how a story shows after two minutes.
type told struct {
	state     map[Provider]string
	charges   int
	callbacks []string // their states, in the order of their arrival
}

func TestEveryStory(t *testing.T) {
	every := func(state string) map[Provider]string {
		return map[Provider]string{MTN: state, Orange: state, Wave: state}
	}
	failedAtEnd := map[Provider]string{MTN: "failed", Orange: "failed", Wave: "open"}
	paidAtEnd := told{every("paid"), 1, []string{"paid"}}
	known := map[string]told{
		"paid-at-once": paidAtEnd, "paid-late": paidAtEnd, "callback-ahead": paidAtEnd, "callback-late": paidAtEnd,
		"not-found-at-first":    paidAtEnd,
		"not-found-for-long":    paidAtEnd,
		"callback-far-ahead":    {every("open"), 1, []string{"paid"}},
		"refused":               {failedAtEnd, 0, []string{"failed"}},
		"not-enough-funds":      {failedAtEnd, 0, []string{"failed"}},
		"reason-object":         {failedAtEnd, 0, []string{"failed"}},
		"too-late":              {every("open"), 0, nil},
		"ignored":               {every("open"), 0, nil},
		"confirmed-only":        {every("open"), 0, nil},
		"waits":                 {every("open"), 0, nil},
		"second-try":            {map[Provider]string{MTN: "failed", Orange: "failed", Wave: "paid"}, 0, nil},
		"success-after-refusal": {map[Provider]string{MTN: "paid", Orange: "paid", Wave: "open"}, 0, nil},
		"callback-lost":         {every("paid"), 1, nil},
		"callback-doubled":      {every("paid"), 1, []string{"paid", "paid"}},
		"callback-forged":       {every("open"), 0, []string{"paid"}},
		"callback-reordered":    {every("paid"), 1, []string{"paid", "failed"}},
	}
	for _, f := range Faults() {
		if f.story == nil {
			continue
		}
		want, listed := known[f.Name]
		if !listed {
			t.Errorf("nobody says how %s shows", f.Name)
		}
		for way, ask := range ways {
			for _, p := range all {
				t.Run(strings.Join([]string{f.Name, way, string(p)}, " "), func(t *testing.T) {
					checkStory(t, f, want, p, ask)
				})
			}
		}
	}
}

func checkStory(t *testing.T, f Fault, want told, p Provider, ask func(*bench, Fault, Provider) string) {
	b := setUp(t)
	c := b.client(p)
	ref := b.ref(p)
	amount := ask(b, f, p)
	r := c.create(ref, amount)
	b.extra = nil
	b.want(r, map[Provider]int{MTN: 202, Orange: 201, Wave: 200}[p])
	if s := b.sim.Sessions()[0]; !strings.HasSuffix(s.Scenario, f.Tells) {
		t.Errorf("scenario %q", s.Scenario)
	}
	if strings.HasPrefix(f.Name, "not-found-") {
		b.want(c.status(ref), 404)
	}
	for range 12 {
		b.pass(10 * time.Second)
	}
	if f.Name == "not-found-for-long" {
		b.want(c.status(ref), 404)
		for range 50 {
			b.pass(10 * time.Second)
		}
		c = renewed(b, c)
	}
	if got := c.state(c.status(ref)); got != want.state[p] {
		t.Errorf("state %s, want %s", got, want.state[p])
	}
	if f.Name == "second-try" || f.Name == "success-after-refusal" {
		want.charges = map[string]int{"paid": 1}[want.state[p]]
		want.callbacks = []string{"failed", "paid"}[:1+want.charges]
	}
	if n := b.sim.Charges(ref); n != want.charges {
		t.Errorf("%d charges, want %d", n, want.charges)
	}
	var got []string
	for _, cb := range b.hook.all() {
		got = append(got, claim(string(cb.body)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want.callbacks) {
		t.Errorf("callbacks %v, want %v", got, want.callbacks)
	}
}

// claim is what a callback says of the payment.
func claim(body string) string {
	for _, word := range []string{`"SUCCESSFUL"`, `"SUCCESS"`, "session.completed"} {
		if strings.Contains(body, word) {
			return "paid"
		}
	}
	return "failed"
}

// Refunds are befallen like payments, by all three ways.
func TestFaultsOfRefunds(t *testing.T) {
	for name, want := range map[string]struct {
		post        int
		first, then string // what the status query says; empty: it finds nothing
		back        string
	}{
		"lost-answer":           {0, "PENDING", "SUCCESSFUL", "9"},
		"dropped":               {0, "", "", "0"},
		"already-exists":        {409, "PENDING", "SUCCESSFUL", "9"},
		"error-403":             {403, "", "", "0"},
		"late":                  {0, "", "SUCCESSFUL", "9"},
		"twice":                 {409, "PENDING", "SUCCESSFUL", "9"},
		"token-expired":         {401, "", "", "0"},
		"not-found-at-first":    {202, "", "SUCCESSFUL", "9"},
		"ignored":               {202, "PENDING", "PENDING", "0"},
		"refused":               {202, "PENDING", "FAILED", "0"},
		"too-late":              {202, "PENDING", "FAILED", "0"},
		"success-after-refusal": {202, "PENDING", "SUCCESSFUL", "9"},
	} {
		f := faultByName()[name]
		for way := range ways {
			t.Run(name+" "+way, func(t *testing.T) {
				b := setUp(t, func(o *Options) { o.MTN.UncappedRefunds = true })
				of, id, amount := b.paid("2000"), b.ref(MTN), "9"
				d := b.disburser()
				var header []string
				switch way {
				case "number":
					amount = f.Creation
				case "header":
					header = []string{SimulateHeader, name}
				case "admin":
					b.sim.Script(Match{Op: OpRefund, Method: "POST"}, Behaviour{Fault: name, Times: 1})
				}
				r := d.refund(id, of, amount, header...)
				if r.err != nil {
					r.status = 0
				}
				if r.status != want.post {
					t.Errorf("answer %d, want %d", r.status, want.post)
				}
				d = b.disburser()
				word := func() string {
					if r := d.status(OpRefund, id); r.status != 404 {
						return r.json(t)["status"].(string)
					}
					return ""
				}
				if got := word(); got != want.first {
					t.Errorf("at first %q, want %q", got, want.first)
				}
				b.pass(promptLife + lateTime)
				if got := word(); got != want.then {
					t.Errorf("then %q, want %q", got, want.then)
				}
				back := want.back
				if back == "9" {
					back = amount
				}
				if got := b.sim.RefundedAmount(of); got != back {
					t.Errorf("%s given back, want %s", got, back)
				}
			})
		}
	}
}

// Every call of a client can be befallen, and a wrong name is told.
func TestHeaderFitsAnyCall(t *testing.T) {
	b := setUp(t)
	w := b.client(Wave).(*waveClient)
	ref := b.ref(Wave)
	b.want(w.create(ref, "1000"), 200)
	b.want(b.do("POST", b.sim.MTNURL()+"/collection/token/", "", append(mtnBasic(collection), SimulateHeader, "error-503")...), 503)
	b.extra = []string{SimulateHeader, "error-500-processed"}
	b.want(w.call("POST", "/"+w.ids[ref]+"/expire", ""), 500)
	for _, unfit := range []string{"no-such-fault", "orange-1201", "token-expired", "callback-lost"} {
		b.extra = []string{SimulateHeader, unfit}
		b.want(w.call("GET", "/"+w.ids[ref], ""), 400, SimulateHeader)
	}
	b.extra = nil
	b.want(w.status(ref), 200, `"expired"`)
	b.want(b.do("POST", b.sim.URL()+"/admin/behaviour", `{"fault":"no-such-fault"}`), 400, "/admin/faults")
	b.want(b.do("GET", b.sim.URL()+"/admin/faults", ""), 200, `"name":"lost-answer"`)
	b.want(b.do("POST", b.sim.URL()+"/admin/revoke-tokens", ""), 200)
	defer func() {
		if recover() == nil {
			t.Error("a rule with a fault that there is not")
		}
	}()
	b.sim.Script(Match{}, Behaviour{Fault: "no-such-fault"})
}

// What a rule does not fit, it passes by, and does not count.
func TestRuleOfAFaultThatDoesNotFit(t *testing.T) {
	b := setUp(t)
	rule := b.sim.Script(Match{}, Behaviour{Fault: "callback-lost", Times: 1})
	c := b.client(Wave)
	ref := b.ref(Wave)
	b.want(c.status(ref), 404)
	b.want(c.create(ref, "901"), 200)
	b.want(c.create(b.ref(Wave), "901"), 200)
	b.sim.Tick()
	if rule.Fired() != 1 || len(b.hook.all()) != 1 {
		t.Errorf("fired %d times, %d callbacks", rule.Fired(), len(b.hook.all()))
	}
}

func TestTableAndREADMEAgree(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	number := func(code string) string {
		if code == "" {
			return ""
		}
		return "`" + code + "`"
	}
	names, codes := map[string]bool{}, map[string]bool{}
	for _, f := range Faults() {
		row := fmt.Sprintf("| `%s` | %s |", f.Name, strings.Join([]string{number(f.Creation), number(f.Query), f.Tells}, " | "))
		if f.story != nil {
			row = fmt.Sprintf("| `%s` | %s | %s |", f.Name, number(f.Creation), f.Tells)
		}
		if row = strings.ReplaceAll(row, "|  |", "| |"); names[f.Name] || !strings.Contains(string(readme), row) {
			t.Errorf("README lacks %s, or the name is there twice", row)
		}
		names[f.Name] = true
	}
	for _, m := range MagicTable() {
		if codes[m.Code] || len(m.Code) != 3 {
			t.Errorf("number %s is there twice, or none", m.Code)
		}
		codes[m.Code] = true
	}
}
