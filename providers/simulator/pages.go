package simulator

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

func (s *Simulator) page(p *payment, base string) string {
	switch p.provider {
	case Orange:
		return base + "/orange/pay/" + p.id
	case Wave:
		return base + "/wave/c/" + p.id
	default:
		return ""
	}
}

//go:embed web
var web embed.FS

var pageTemplate = template.Must(template.ParseFS(web, "web/*.html"))

// policy lets a page load and send to where it came from, and nowhere else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	rememberLanguage  = 365 * 24 * time.Hour
	languageCookie    = "lang"
	languageParameter = "lang"
)

// pageRoutes are the payer's phone, and the payment pages of Orange and Wave. The pages ask for
// themselves every second under …/now, which no journal notes and no fault befalls.
func (s *Simulator) pageRoutes(mux *http.ServeMux, handle func(string, wire)) {
	mux.Handle("GET /assets/", http.StripPrefix("/assets/", http.HandlerFunc(serveAsset)))
	mux.HandleFunc("GET /{$}", s.showPhone)
	mux.HandleFunc("GET /now", s.showPhone)
	for name, act := range map[string]func(string) error{"approve": s.Pay, "refuse": s.Refuse, "ignore": s.Ignore} {
		mux.HandleFunc("POST /phone/{id}/"+name, func(w http.ResponseWriter, r *http.Request) { s.press(w, r, act) })
	}
	for provider, path := range map[Provider]string{Orange: "/orange/pay/{id}", Wave: "/wave/c/{id}"} {
		route := func(pattern string, act func(*payment) error) {
			handle(pattern, wire{provider: provider, op: OpPage,
				peek:   func(c *call) { s.about(c, s.find(provider, c.r.PathValue("id"))) },
				handle: func(c *call) answer { return s.visit(c, act) }})
		}
		route("GET "+path, nil)
		route("POST "+path+"/pay", s.pay)
		route("POST "+path+"/refuse", func(p *payment) error { return s.fail(p, "") })
		mux.HandleFunc("GET "+path+"/now", func(w http.ResponseWriter, r *http.Request) { s.write(w, s.pageAgain(r, provider)) })
	}
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".html") || r.URL.Path == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeFileFS(w, r, web, "web/"+r.URL.Path)
}

type screen struct {
	Lang   tongue
	Root   string // path of the base URL, without the slash at its end
	Here   string // path of the page
	Poll   string // path of what is new on it
	Notice string // key of a text
	Board  *board
	Card   *card
}

// newScreen is a screen in the language of who asks, at a path below root.
func newScreen(r *http.Request, base, path string) screen {
	remembered := ""
	if c, err := r.Cookie(languageCookie); err == nil {
		remembered = c.Value
	}
	sc := screen{Lang: tongueOf(r.URL.Query().Get(languageParameter), remembered, r.Header.Get("Accept-Language"))}
	if u, err := url.Parse(base); err == nil {
		sc.Root = strings.TrimSuffix(u.Path, "/")
	}
	sc.Here = sc.Root + path
	sc.Poll = strings.TrimSuffix(sc.Here, "/") + "/now?" + languageParameter + "=" + string(sc.Lang)
	return sc
}

// T is a text in the language of the screen.
func (sc screen) T(key string, args ...any) (string, error) { return sc.Lang.say(key, args...) }

// Money is an amount as the language writes it.
func (sc screen) Money(amount string) string { return sc.Lang.money(amount) }

// Minutes is a time as 4:05.
func (sc screen) Minutes(d time.Duration) string { return minutes(d) }

// Waiting says how many payments wait for their payer.
func (sc screen) Waiting() (string, error) {
	switch n := len(sc.Board.Open); n {
	case 0, 1:
		return sc.T("waiting" + string(rune('0'+n)))
	default:
		return sc.T("waitingN", n)
	}
}

// With is a card on the screen.
func (sc screen) With(c card) cardScreen { return cardScreen{sc, c} }

type cardScreen struct {
	screen
	card
}

// Price is the amount with its currency.
func (c cardScreen) Price() string { return c.Lang.money(c.Amount) + hardSpace + c.Currency }

// Brand is the provider's name as payers know it.
func (c card) Brand() string {
	return map[Provider]string{MTN: "MTN MoMo", Orange: "Orange Money", Wave: "Wave"}[c.Provider]
}

// Word names the state in the table of texts.
func (c card) Word() string {
	switch {
	case c.State == open && c.Reason != "":
		return "retry"
	case c.State == failed && (c.Reason == "" || c.Reason == approvalRejected):
		return "refused"
	default:
		return string(c.State)
	}
}

// render is a screen as an answer. The language is remembered where the reader chose it.
func render(r *http.Request, status int, sc screen) answer {
	var page bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&page, "page.html", sc); err != nil {
		panic("simulator: page: " + err.Error())
	}
	a := asHTML(status, page.String())
	a.kind = "text/html; charset=utf-8"
	a.header = http.Header{
		"Content-Security-Policy": {policy},
		"X-Content-Type-Options":  {"nosniff"},
		"Referrer-Policy":         {"same-origin"}, // the URL of a payment page opens it
		"Cache-Control":           {"no-store"},
		"Vary":                    {"Accept-Language, Cookie"},
	}
	if chosen := r.URL.Query().Get(languageParameter); chosen == string(sc.Lang) && !strings.HasSuffix(r.URL.Path, "/now") {
		cookie := http.Cookie{Name: languageCookie, Value: chosen, Path: sc.Root + "/",
			MaxAge: int(rememberLanguage.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode}
		a.header.Set("Set-Cookie", cookie.String())
	}
	return a
}

func (s *Simulator) write(w http.ResponseWriter, a answer) {
	s.headers(w, a)
	_, _ = w.Write(a.body) // who has gone reads nothing
}

func foreign(r *http.Request) bool {
	return new(http.CrossOriginProtection).Check(r) != nil
}

func seeOther(to string) answer {
	return answer{status: http.StatusSeeOther, header: http.Header{"Location": {to}, "Cache-Control": {"no-store"}}}
}

// showPhone shows everything that waits for a payer.
func (s *Simulator) showPhone(w http.ResponseWriter, r *http.Request) {
	s.write(w, s.phone(r, http.StatusOK, ""))
}

func (s *Simulator) phone(r *http.Request, status int, notice string) answer {
	sc, b := newScreen(r, s.URL(), "/"), s.board()
	sc.Board, sc.Notice = &b, notice
	return render(r, status, sc)
}

func (s *Simulator) press(w http.ResponseWriter, r *http.Request, act func(ref string) error) {
	id := r.PathValue("id")
	if foreign(r) {
		s.write(w, s.phone(r, http.StatusForbidden, "foreign"))
		return
	}
	switch err := act(id); {
	case errors.Is(err, ErrOver):
		s.write(w, s.phone(r, http.StatusConflict, "late"))
	case err != nil:
		s.write(w, s.phone(r, http.StatusNotFound, "none"))
	default:
		s.write(w, seeOther(newScreen(r, s.URL(), "/").Here+"#p-"+url.PathEscape(id)))
	}
}

// visit is a payer who looks at the page, or presses one of its buttons.
func (s *Simulator) visit(c *call, act func(*payment) error) answer {
	p := c.payment
	switch {
	case p == nil:
		return render(c.r, http.StatusNotFound, newScreen(c.r, c.base, "/"))
	case act != nil && foreign(c.r):
		return s.paymentPage(c.r, c.base, p, http.StatusForbidden, "foreign")
	}
	p.delivered = true // who has the page has the URL
	s.opens(p)
	switch {
	case act == nil:
		return s.paymentPage(c.r, c.base, p, http.StatusOK, "")
	case act(p) != nil:
		return s.paymentPage(c.r, c.base, p, http.StatusConflict, "late")
	default:
		return seeOther(newScreen(c.r, c.base, s.page(p, "")).Here)
	}
}

// pageAgain shows a payment page again, which is no new visit.
func (s *Simulator) pageAgain(r *http.Request, provider Provider) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if p := s.find(provider, r.PathValue("id")); p != nil {
		return s.paymentPage(r, s.url, p, http.StatusOK, "")
	}
	return render(r, http.StatusNotFound, newScreen(r, s.url, "/"))
}

// paymentPage shows one payment; the caller holds the lock.
func (s *Simulator) paymentPage(r *http.Request, base string, p *payment, status int, notice string) answer {
	sc, c := newScreen(r, base, s.page(p, "")), s.card(p)
	sc.Card, sc.Notice = &c, notice
	return render(r, status, sc)
}
