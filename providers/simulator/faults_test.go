package simulator

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// effect is how a fault shows: in the answer to the request that it befalls, and in what the simulator did.
type effect struct {
	status    map[Provider]int // 0: none; a provider that is absent is not befallen
	contains  map[Provider]string
	asked     map[Provider]string // in the answer to a status query; nil: as in contains
	kind      string              // Content-Type
	processed bool
	untold    bool             // the session is open, and its page known to nobody (not Wave)
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
	fresh, known := map[Provider]int{MTN: 202, Orange: 201, Wave: 200}, map[Provider]int{MTN: 409, Orange: 403, Wave: 200}
	says := func(p Provider, status int, text string, processed bool) effect {
		return effect{status: map[Provider]int{p: status}, contains: map[Provider]string{p: text}, kind: jsonType, processed: processed}
	}
	failing := func(status int, mtn, orange, wave string) effect {
		return effect{status: alike(status), contains: words(mtn, orange, wave), kind: jsonType, again: fresh}
	}
	untold := func(status int, text, kind string) effect {
		return effect{status: alike(status), contains: words(text, text, text), kind: kind, processed: true, untold: true, again: known}
	}
	processed := failing(500, internalError, `"code":1,`, "internal-server-error")
	processed.processed, processed.untold, processed.again = true, true, known
	return map[string]effect{
		"lost-answer": untold(0, "", ""), "dropped": {status: alike(0), again: fresh}, "truncated": untold(0, "", ""), "late": {status: alike(0)},
		"error-500-processed": processed,
		"error-500":           failing(500, internalError, `"code":1,`, "internal-server-error"),
		"error-503":           failing(503, "SERVICE_UNAVAILABLE", `"code":5,`, "service-unavailable"),
		"throttled":           failing(429, `"statusCode":429`, `"code":53`, "too-many-requests"),
		"error-403":           failing(403, "Forbidden", `"code":50`, "unauthorized-wallet"),
		"not-found":           failing(404, `"statusCode":404`, `"code":60`, "checkout-session-not-found"),
		"slow":                {status: fresh, processed: true},
		"dribble":             {status: fresh, processed: true},
		"already-exists": {status: map[Provider]int{MTN: 409, Orange: 403}, contains: words("RESOURCE_ALREADY_EXIST", `"code":1204`, ""), kind: jsonType,
			processed: true, untold: true, again: known},
		"html": untold(200, "Request Rejected", pageType), "html-error": untold(502, "Bad Gateway", pageType), "empty": untold(200, "", pageType),
		"wrong-type":     {status: fresh, contains: words("", "pay_token", "wave_launch_url"), asked: words("status", "status", "wave_launch_url"), kind: "text/plain", processed: true},
		"twice":          {status: known, processed: true, again: known},
		"token-expired":  {status: map[Provider]int{MTN: 401, Orange: 401}, contains: words(`"statusCode":401`, `"code":42`, ""), kind: jsonType, again: map[Provider]int{MTN: 401, Orange: 401}},
		"token-revoked":  {status: alike(401), contains: words(`"statusCode":401`, `"code":41`, "api-key-revoked"), kind: jsonType, again: map[Provider]int{MTN: 401, Orange: 401, Wave: 200}},
		"unknown-word":   {status: fresh, contains: words("", "ON_HOLD", `"checkout_status":"ON_HOLD"`), asked: words(`"status":"ON_HOLD"`, "ON_HOLD", `"checkout_status":"ON_HOLD"`), processed: true},
		"other-amount":   {status: fresh, contains: words("", "another-order", `"amount":"1"`), asked: words(`"amount":"1"`, "another-order", `"amount":"1"`), processed: true},
		"other-currency": {status: map[Provider]int{MTN: 202, Wave: 200}, contains: words("", "", `"USD"`), asked: words(`"USD"`, "", `"USD"`), processed: true},
		"orange-1201":    says(Orange, 403, `"code":1201`, false), "orange-1202": says(Orange, 403, `"code":1202`, false), "orange-1203": says(Orange, 403, `"code":1203`, false),
		"mtn-currency": says(MTN, 500, "INVALID_CURRENCY", false), "mtn-callback-host": says(MTN, 500, "INVALID_CALLBACK_URL_HOST", false),
		"mtn-no-funds-processed": says(MTN, 500, notEnoughFunds, true),
		"wave-merchant-field":    says(Wave, 400, `"aggregated_merchant_id"]`, false), "wave-wallet": says(Wave, 403, "unauthorized-wallet", false),
	}
}

// The ways in which a fault is asked for: each befalls the one creation.
var ways = map[string]func(b *bench, f Fault, p Provider) (amount string){
	"number": func(_ *bench, f Fault, _ Provider) string { return "1" + f.Creation },
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
					checkRequestFault(t, f, want, p, ask)
				})
			}
		}
	}
}

func checkRequestFault(t *testing.T, f Fault, want effect, p Provider, ask func(*bench, Fault, Provider) string) {
	b := setUp(t)
	c, ref := b.client(p), b.ref(p)
	amount := ask(b, f, p)
	got := b.patiently(func() reply { return c.create(ref, amount) })
	_, befallen := want.status[p]
	if befallen && want.untold && p != Wave {
		// Nobody can pay before the page is known, but an MTN payer has the prompt.
		if s := b.sim.Sessions()[0]; s.Delivered != (p == MTN) || s.Seen != (p == MTN) {
			t.Errorf("session %+v", s)
		}
		if err := b.sim.Pay(ref); (err == nil) != (p == MTN) {
			t.Errorf("pay: %v", err)
		}
	}
	checkEffect(t, b, f, want, p, got)
	if befallen && want.again != nil {
		b.want(c.create(ref, amount), want.again[p])
	}
	b.pass(promptLife)
	if got, want := b.sim.Charges(ref), map[bool]int{true: 1}[p == MTN && b.sim.Opened(ref) > 0]; got != want {
		t.Errorf("%d charges, want %d", got, want)
	}
}

func checkEffect(t *testing.T, b *bench, f Fault, want effect, p Provider, got reply) {
	t.Helper()
	e := lastInitiate(b)
	status, befallen := want.status[p]
	if !befallen {
		if e.Fault == f.Name {
			t.Errorf("it does not fit, but befell %+v", e)
		}
		return
	}
	if e.Fault != f.Name {
		t.Errorf("fault %q", e.Fault)
	}
	checkAnswer(t, got, status, want.contains[p], want.kind)
	opened := len(b.sim.Sessions())
	if (opened > 0) != want.processed || opened > 1 && (f.Name != "twice" || p != Wave) {
		t.Errorf("opened %d sessions", opened)
	}
	if b.pass(lateTime); f.Name == "late" && (len(b.sim.Sessions()) != 1 || !lastInitiate(b).Processed) {
		t.Error("never processed")
	}
}

// patiently makes a request while time goes by, if the provider takes its time.
func (b *bench) patiently(request func() reply) reply {
	before := len(b.sim.Journal())
	got := make(chan reply, 1)
	go func() { got <- request() }()
	waitFor(b.t, func() bool {
		// Only as far as the simulator has planned: a request that is not yet served must not find its token expired.
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
					got := b.patiently(func() reply { return c.status(ref) })
					if j := b.sim.Journal(); j[len(j)-1].Fault == f.Name {
						checkQueried(t, effects()[f.Name], got, p, found[p])
					}
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
			})
		}
	}
}

func checkQueried(t *testing.T, want effect, got reply, p Provider, found int) {
	t.Helper()
	status, contains := want.status[p], want.asked
	if status/100 == 2 && want.kind != pageType {
		status = found
	}
	if contains == nil {
		contains = want.contains
	}
	checkAnswer(t, got, status, contains[p], want.kind)
}

func checkAnswer(t *testing.T, got reply, status int, contains, kind string) {
	t.Helper()
	odd := kind != "" && got.header.Get("Content-Type") != kind || status == 429 && got.header.Get("Retry-After") != "7"
	if odd || got.status != status || !strings.Contains(got.body, contains) {
		t.Errorf("answer %d %v %s, headers %v", got.status, got.err, got.body, got.header)
	}
}

// tale is how a story shows: its state at once, after two minutes and after 52 minutes.
type tale struct {
	atOnce, later, end string // 404: not found
	charges            int
	callbacks          string // what they claim, in the order of their arrival
}

func tales() map[string]map[Provider]tale {
	every := func(t tale) map[Provider]tale { return map[Provider]tale{MTN: t, Orange: t, Wave: t} }
	each := func(mtn, orange, wave tale) map[Provider]tale {
		return map[Provider]tale{MTN: mtn, Orange: orange, Wave: wave}
	}
	paid, idle := tale{"open", "paid", "paid", 1, "paid"}, tale{"open", "open", "expired", 0, ""}
	stuck, failed, retryable := tale{"open", "open", "open", 0, ""}, tale{"open", "failed", "failed", 0, "failed"}, tale{"open", "open", "expired", 0, "failed"}
	refused, afterAll := each(failed, failed, retryable), tale{"open", "paid", "paid", 1, "failed paid"}
	confirmed := tale{"open", "open", "open", 0, ""}
	return map[string]map[Provider]tale{
		"":                      each(paid, stuck, idle), // without a number
		"paid-at-once":          every(tale{"paid", "paid", "paid", 1, "paid"}),
		"paid-late":             every(paid),
		"refused":               refused,
		"not-enough-funds":      refused,
		"reason-object":         refused,
		"too-late":              each(tale{"open", "open", "failed", 0, "failed"}, tale{"open", "open", "EXPIRED", 0, ""}, idle),
		"ignored":               each(stuck, stuck, idle),
		"confirmed-only":        each(confirmed, confirmed, idle),
		"waits":                 each(tale{"open", "open", "failed", 0, "failed"}, stuck, idle),
		"second-try":            each(failed, failed, afterAll),
		"success-after-refusal": each(afterAll, afterAll, retryable),
		"not-found-at-first":    every(tale{"404", "paid", "paid", 1, "paid"}),
		"not-found-for-long":    every(tale{"404", "404", "paid", 1, "paid"}),
		"callback-lost":         every(tale{"open", "paid", "paid", 1, ""}),
		"callback-doubled":      every(tale{"open", "paid", "paid", 1, "paid paid"}),
		"callback-ahead":        every(paid),
		"callback-far-ahead":    every(tale{"open", "open", "paid", 1, "paid"}),
		"callback-late":         every(paid),
		"callback-forged":       each(tale{"open", "open", "open", 0, "paid"}, tale{"open", "open", "open", 0, "paid"}, tale{"open", "open", "expired", 0, "paid"}),
		"callback-reordered":    every(tale{"open", "paid", "paid", 1, "paid failed"}),
	}
}

func TestEveryStory(t *testing.T) {
	stories := []Fault{{Creation: "000", story: func(Provider) Scenario { return Scenario{} }}}
	for _, f := range Faults() {
		if f.story != nil {
			stories = append(stories, f)
		}
	}
	for _, f := range stories {
		want, listed := tales()[f.Name]
		if !listed {
			t.Errorf("nobody says how %s shows", f.Name)
		}
		for way, ask := range ways {
			if f.Name == "" && way != "number" {
				continue
			}
			for _, p := range all {
				t.Run(strings.Join([]string{f.Name, way, string(p)}, " "), func(t *testing.T) { checkStory(t, f, want[p], p, ask) })
			}
		}
	}
}

func checkStory(t *testing.T, f Fault, want tale, p Provider, ask func(*bench, Fault, Provider) string) {
	b := setUp(t)
	c := b.client(p)
	ref := b.ref(p)
	amount := ask(b, f, p)
	r := c.create(ref, amount)
	b.want(r, map[Provider]int{MTN: 202, Orange: 201, Wave: 200}[p])
	if s := b.sim.Sessions()[0]; !strings.HasSuffix(s.Scenario, f.Tells) {
		t.Errorf("scenario %q", s.Scenario)
	}
	b.sim.Tick()
	var states, claims []string
	for _, passed := range []time.Duration{0, 2 * time.Minute, 50 * time.Minute} {
		for range passed / (10 * time.Second) {
			b.pass(10 * time.Second)
		}
		if r := c.status(ref); r.status == 404 {
			states = append(states, "404")
		} else {
			states = append(states, c.state(r))
		}
		if f.Name == "confirmed-only" && passed > 0 && p == Orange {
			b.want(c.status(ref), 201, `"PENDING"`)
		}
	}
	for _, cb := range b.hook.all() {
		claims = append(claims, claim(string(cb.body)))
	}
	if got := (tale{states[0], states[1], states[2], b.sim.Charges(ref), strings.Join(claims, " ")}); got != want {
		t.Errorf("%+v, want %+v", got, want)
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

// Refunds are befallen like payments, by both ways.
func TestFaultsOfRefunds(t *testing.T) {
	for name, want := range map[string]struct {
		post        int
		first, then string // what the status query says; empty: it finds nothing
	}{
		"lost-answer":           {0, "PENDING", "SUCCESSFUL"},
		"dropped":               {0, "", ""},
		"already-exists":        {409, "PENDING", "SUCCESSFUL"},
		"error-403":             {403, "", ""},
		"late":                  {0, "", "SUCCESSFUL"},
		"twice":                 {409, "PENDING", "SUCCESSFUL"},
		"token-expired":         {401, "", ""},
		"not-found-at-first":    {202, "", "SUCCESSFUL"},
		"ignored":               {202, "PENDING", "PENDING"},
		"refused":               {202, "PENDING", "FAILED"},
		"too-late":              {202, "PENDING", "FAILED"},
		"success-after-refusal": {202, "PENDING", "SUCCESSFUL"},
	} {
		for way := range ways {
			t.Run(name+" "+way, func(t *testing.T) {
				b := setUp(t, func(o *Options) { o.MTN.UncappedRefunds = true })
				of, id, amount := b.paid("2000"), b.ref(MTN), "9"
				if way == "number" {
					amount = faultByName()[name].Creation
				} else {
					b.sim.Script(Match{Op: OpRefund, Method: "POST"}, Behaviour{Fault: name, Times: 1})
				}
				if r := b.disburser().refund(id, of, amount); r.status != want.post {
					t.Errorf("answer %d, want %d", r.status, want.post)
				}
				d := b.disburser()
				for i, word := range []string{want.first, want.then} {
					b.pass(time.Duration(i) * (promptLife + lateTime))
					got := ""
					if r := d.status(OpRefund, id); r.status != 404 {
						got = r.json(t)["status"].(string)
					}
					if got != word {
						t.Errorf("%q, want %q", got, word)
					}
				}
				back := "0"
				if want.then == "SUCCESSFUL" {
					back = amount
				}
				if got := b.sim.RefundedAmount(of); got != back {
					t.Errorf("%s given back, want %s", got, back)
				}
			})
		}
	}
}

func TestFaultThatThereIsNot(t *testing.T) {
	b := setUp(t)
	b.want(b.do("POST", b.sim.URL()+"/admin/behaviour", `{"fault":"no-such-fault"}`), 400, "/admin/faults")
	b.want(b.do("GET", b.sim.URL()+"/admin/faults", ""), 200, `"name":"lost-answer"`)
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
