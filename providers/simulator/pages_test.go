package simulator

import (
	"fmt"
	"io/fs"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const evil = `<script>alert("x")</script>`

// one asks for a payment of a provider, and returns its reference and the address of its page.
func (b *bench) one(p Provider, amount string) (ref, page string) {
	b.t.Helper()
	ref = b.ref(p)
	c := b.client(p)
	if r := c.create(ref, amount); r.err != nil || r.status/100 != 2 {
		b.t.Fatalf("%s: %+v", p, r)
	}
	sessions := b.sim.Sessions()
	return ref, sessions[len(sessions)-1].URL
}

func (b *bench) session(ref string) Session {
	b.t.Helper()
	all := b.sim.Sessions()
	i := slices.IndexFunc(all, func(s Session) bool { return s.Reference == ref })
	if i < 0 {
		b.t.Fatalf("no session of %q", ref)
	}
	return all[i]
}

func (b *bench) manual() {
	for _, p := range []Provider{MTN, Orange, Wave} {
		b.sim.SetDefault(p, Scenario{})
	}
}

func TestPhone(t *testing.T) {
	for _, p := range []Provider{MTN, Orange, Wave} {
		for button, want := range map[string]struct {
			state, later string
			shows        []string
		}{
			"approve": {"paid", "paid", []string{">Paid<", "Callbacks sent: 1, taken: 1"}},
			"refuse":  {"failed", "failed", []string{">Refused<", "Callbacks sent: 1, taken: 1"}},
			"ignore":  {"open", "expired", []string{"You ignore it"}},
		} {
			t.Run(string(p)+" "+button, func(t *testing.T) {
				b := setUp(t)
				b.manual()
				b.want(b.do("GET", b.sim.URL()+"/", ""), 200, "Nothing waits for you.")
				ref, _ := b.one(p, "1000")
				id := b.session(ref).ID
				b.want(b.do("GET", b.sim.URL()+"/now", ""), 200, "One payment waits for you.", `id="p-`+id+`"`, "1,000")

				b.want(b.do("POST", b.sim.URL()+"/phone/"+id+"/"+button, ""), 200) // after the redirect
				b.sim.Tick()
				if p == Wave && button == "refuse" { // a failed try ends no session
					want.state, want.later, want.shows = "open", "expired", []string{"The last try failed", "payment-failure"}
				}
				if p == Orange && want.later == "expired" {
					want.later = "lapsed"
				}
				if got := b.session(ref).State; got != want.state {
					t.Errorf("it is %s, want %s", got, want.state)
				}
				b.want(b.do("GET", b.sim.URL()+"/", ""), 200, want.shows...)
				b.pass(time.Hour)
				if got := b.session(ref).State; got != want.later {
					t.Errorf("in the end it is %s, want %s", got, want.later)
				}
				b.want(b.do("POST", b.sim.URL()+"/phone/"+id+"/approve", ""), 409, "That came too late")
				b.want(b.do("POST", b.sim.URL()+"/phone/nothing/approve", ""), 404, "There is no such payment.")
			})
		}
	}
}

// Whom a person made ignore the payment does not act any more, whatever the scenario had in mind.
func TestIgnoreOverrulesTheScenario(t *testing.T) {
	for _, amount := range []string{"902", "903", "906", "911", "1000"} {
		for _, p := range []Provider{MTN, Orange, Wave} {
			b := setUp(t)
			ref, _ := b.one(p, amount)
			b.want(b.do("POST", b.sim.URL()+"/phone/"+b.session(ref).ID+"/ignore", ""), 200)
			b.pass(time.Hour)
			if n := b.sim.Charges(ref); n != 0 || CountEvents(b.sim.Ledger(), ref, Expired) != 1 {
				t.Errorf("%s %s: charged %d times, ledger %v", p, amount, n, b.sim.Ledger())
			}
		}
	}
}

func TestPaymentPages(t *testing.T) {
	french := []string{"Accept-Language", "fr-CI,fr;q=0.9"}
	for _, p := range []Provider{Orange, Wave} {
		b := setUp(t)
		ref, page := b.one(p, "25000")
		b.want(b.do("GET", page, "", french...), 200, `<html lang="fr">`, "Payer 25\u202f000", "https://shop.example/no", `data-state="open"`)
		before := b.sim.Count("", OpPage)
		b.want(b.do("GET", page+"/now", "", french...), 200, "Payer 25\u202f000")
		if b.sim.Count("", OpPage) != before {
			t.Error("looking again was noted in the journal")
		}
		b.want(b.do("POST", page+"/pay", ""), 200, `data-state="paid"`, "https://shop.example/ok", "The money has moved")
		b.want(b.do("POST", page+"/refuse", ""), 409, "That came too late", `data-state="paid"`)
		if b.sim.Charges(ref) != 1 {
			t.Errorf("%s: charged %d times", p, b.sim.Charges(ref))
		}
		_, page = b.one(p, "25000")
		b.pass(time.Hour)
		b.want(b.do("GET", page, ""), 200, "Expired", "https://shop.example/no")
		b.want(b.do("GET", page+"x", ""), 404, "There is no such payment.")
		b.want(b.do("GET", page+"x/now", ""), 404, "There is no such payment.")
	}
}

// Nobody can open a page whose address nobody was told.
func TestPhoneHidesWhatNobodyWasTold(t *testing.T) {
	b := setUp(t)
	b.sim.Script(Match{Op: OpInitiate}, LoseAnswer())
	c := b.client(Wave)
	if r := c.create(b.ref(Wave), "1000"); r.err == nil {
		t.Fatalf("the answer was not lost: %+v", r)
	}
	b.want(b.do("GET", b.sim.URL()+"/", ""), 200, "Nothing waits for you.", "nobody was told of: 1")
}

// The browser of a victim who visits another site pays nothing.
func TestForeignSitesPressNothing(t *testing.T) {
	b := setUp(t)
	b.manual()
	mtn, _ := b.one(MTN, "1000")
	wave, page := b.one(Wave, "1000")
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		b.want(b.do("POST", b.sim.URL()+"/phone/"+b.session(mtn).ID+"/approve", "", header...), 403, "came from another site")
		b.want(b.do("POST", page+"/pay", "", header...), 403, "came from another site")
	}
	if b.sim.Charges(mtn)+b.sim.Charges(wave) != 0 {
		t.Error("another site paid")
	}
	b.want(b.do("POST", page+"/pay", "", "Sec-Fetch-Site", "same-origin"), 200)
	b.want(b.do("POST", page+"/pay", "", "Origin", b.sim.URL()), 409)
}

// What comes from outside stays text, no page refers to another host but by
// the way back to the merchant, and all come with the policy that enforces it.
func TestPagesAreSealed(t *testing.T) {
	b := setUp(t, func(o *Options) { o.Wave.BusinessName = evil })
	b.manual()
	ref, _ := b.one(MTN, "1000")
	b.sim.mu.Lock()
	b.sim.byReference(MTN, ref).mtn.PayerMessage = evil
	b.sim.byReference(MTN, ref).phone = evil
	b.sim.mu.Unlock()
	_, orange := b.one(Orange, "2000")
	_, wave := b.one(Wave, "3000")
	b.want(b.do("POST", wave+"/pay", ""), 200)

	reference := regexp.MustCompile(`(?:href|src|action|data-poll|content)="([^"]*)"`)
	for _, page := range []string{b.sim.URL() + "/", b.sim.URL() + "/?lang=fr", orange, wave, wave + "x"} {
		r := b.do("GET", page, "")
		if r.err != nil || r.header.Get("Content-Security-Policy") != policy || r.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v %v", page, r.err, r.header)
		}
		if strings.Contains(r.body, evil) || strings.Count(r.body, "<script") != 1 {
			t.Errorf("%s: outside text became markup: %s", page, r.body)
		}
		for _, found := range reference.FindAllStringSubmatch(r.body, -1) {
			u, err := url.Parse(found[1])
			if err != nil || (u.Host != "" || u.Scheme != "") && u.Host != "shop.example" {
				t.Errorf("%s refers to %q (%v)", page, found[1], err)
			}
		}
	}
	err := fs.WalkDir(web, "web", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(web, path)
		for _, outside := range regexp.MustCompile(`(https?:)?//[a-z0-9.]+\.[a-z]+[^\s"]*`).FindAllString(string(content), -1) {
			if outside != "http://www.w3.org/2000/svg" { // a name, not a place
				t.Errorf("%s names %s", path, outside)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAssets(t *testing.T) {
	b := setUp(t)
	for name, want := range map[string]struct {
		status int
		kind   string
	}{
		"page.css": {200, "text/css"}, "page.js": {200, "text/javascript"}, "icon.svg": {200, "image/svg+xml"},
		"page.html": {404, "text/plain"}, "": {404, "text/plain"}, "none": {404, "text/plain"}, "..%2fpages.go": {400, "text/plain"},
	} {
		r := b.do("GET", b.sim.URL()+"/assets/"+name, "")
		if r.status != want.status || !strings.HasPrefix(r.header.Get("Content-Type"), want.kind) {
			t.Errorf("%s: %d %s", name, r.status, r.header.Get("Content-Type"))
		}
	}
}

// The choice of language outlives the page it was made on; looking again does not make it.
func TestLanguageIsRemembered(t *testing.T) {
	b := setUp(t, func(o *Options) { o.PublicURL = "https://pay.example/below" })
	cookie := func(path string) string {
		w := httptest.NewRecorder()
		b.sim.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), `action="/below/phone/`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		for _, c := range w.Result().Cookies() {
			return c.Name + "=" + c.Value + " " + c.Path
		}
		return ""
	}
	b.manual()
	b.sim.mu.Lock()
	b.sim.add(&payment{provider: MTN, id: "a", reference: "a", amount: "1", currency: "EUR"}, time.Minute)
	b.sim.mu.Unlock()
	for path, want := range map[string]string{
		"/?lang=fr": "lang=fr /below/", "/?lang=en": "lang=en /below/", "/?lang=xx": "", "/": "", "/now?lang=fr": "",
	} {
		if got := cookie(path); got != want {
			t.Errorf("%s: cookie %q, want %q", path, got, want)
		}
	}
}

func TestTongue(t *testing.T) {
	for _, c := range []struct {
		asked, remembered, accept string
		want                      tongue
	}{
		{"", "", "", english},
		{"", "", "fr", french},
		{"", "", "fr-CI,fr;q=0.9,en;q=0.5", french},
		{"", "", "en;q=0.5,fr;q=0.9", french},
		{"", "", "wo,fr;q=0.5", french},
		{"", "", "de", english},
		{"", "", "fr;q=nonsense", english},
		{"", "fr", "en", french},
		{"en", "fr", "fr", english},
		{"xx", "yy", "fr", french},
	} {
		if got := tongueOf(c.asked, c.remembered, c.accept); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

var verb = regexp.MustCompile(`%[a-z]`)

// Both languages have every text, with the same blanks to fill in, and the templates ask for no other.
func TestTexts(t *testing.T) {
	for key, p := range texts() {
		v := reflect.ValueOf(p)
		for i := range v.NumField() {
			text := v.Field(i).String()
			if strings.TrimSpace(text) == "" || !slices.Equal(verb.FindAllString(text, -1), verb.FindAllString(p.EN, -1)) {
				t.Errorf("%s in %s: %q", key, v.Type().Field(i).Name, text)
			}
		}
	}
	asked := regexp.MustCompile(`\.?T "([^"]+)"`)
	files, err := fs.Glob(web, "web/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		content, err := fs.ReadFile(web, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range asked.FindAllStringSubmatch(string(content), -1) {
			if _, ok := texts()[found[1]]; !ok {
				t.Errorf("%s asks for %q", file, found[1])
			}
		}
	}
	for _, st := range []state{open, confirming, settled, failed, expired, lapsed} {
		c := card{State: st}
		if _, err := english.say("state." + c.Word()); err != nil {
			t.Error(err)
		}
	}
	for _, e := range []Event{Opened, Paid, Refused, Expired, Refunded} {
		if _, err := english.say("history." + string(e)); err != nil {
			t.Error(err)
		}
	}
	if _, err := french.say("nothing"); err == nil {
		t.Error("a text that does not exist was found")
	}
}

func TestMoney(t *testing.T) {
	for amount, want := range map[string][2]string{
		"0": {"0", "0"}, "100": {"100", "100"}, "1000": {"1,000", "1 000"}, "1234567": {"1,234,567", "1 234 567"},
		"12500.5": {"12,500.5", "12 500,5"}, "0.05": {"0.05", "0,05"}, "-1000": {"-1000", "-1000"}, evil: {evil, evil},
	} {
		if got := [2]string{english.money(amount), strings.ReplaceAll(french.money(amount), narrowSpace, " ")}; got != want {
			t.Errorf("%s is written %q", amount, got)
		}
	}
}

func TestMasked(t *testing.T) {
	for phone, want := range map[string]string{
		"": "", "12": "••••", "1234567": "••••", "+2250501020304": "•••• 0304", "2250501020304": "•••• 0304",
	} {
		if got := masked(phone); got != want {
			t.Errorf("%s is shown as %s", phone, got)
		}
	}
}

func TestMinutes(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0:00", time.Millisecond: "0:01", 59 * time.Second: "0:59", 5 * time.Minute: "5:00", 90 * time.Minute: "90:00",
	} {
		if got := minutes(d); got != want {
			t.Errorf("%v is %s", d, got)
		}
	}
}

func TestHistory(t *testing.T) {
	b := setUp(t)
	ref, _ := b.one(MTN, "5962")
	b.pass(time.Hour)
	b.sim.mu.Lock() // MTN gives back in a session of its own
	b.sim.ledger = append(b.sim.ledger, LedgerEntry{Provider: MTN, Reference: ref, Session: "r", Refund: "r", Event: Refunded, At: b.clock.Now()})
	b.sim.ledger = append(b.sim.ledger, LedgerEntry{Provider: MTN, Reference: "another", Session: "s", Refund: "s", Event: Refunded, At: b.clock.Now()})
	b.sim.mu.Unlock()
	board := b.sim.board()
	var got []string
	for _, m := range board.Finished[0].History {
		got = append(got, fmt.Sprintf("%s %s %d", minutes(m.After), m.What, m.Status))
	}
	if fmt.Sprint(got[:2]) != "[0:00 opened 0 0:05 paid 0]" || len(got) != 5 || !slices.Contains(got, "60:00 refunded 0") || board.Sent != 2 || board.Taken != 2 {
		t.Errorf("%s: %q, %d of %d callbacks taken", ref, got, board.Taken, board.Sent)
	}
	if c := board.Finished[0]; c.Code != "962" || !c.Automatic || c.Payable || c.Sent != 2 {
		t.Errorf("%+v", c)
	}
}

// Old payments leave the page, and never an open one.
func TestPhoneShowsTheRecentOnes(t *testing.T) {
	b := setUp(t)
	b.manual()
	kept, _ := b.one(MTN, "1000")
	var last string
	for range recentlyFinished + 3 {
		last, _ = b.one(MTN, "901")
		b.pass(time.Second)
	}
	board := b.sim.board()
	if len(board.Finished) != recentlyFinished || board.Finished[0].ID != last || len(board.Open) != 1 || board.Open[0].ID != kept {
		t.Errorf("%d finished, %d open", len(board.Finished), len(board.Open))
	}
}
