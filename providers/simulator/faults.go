package simulator

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is one line of the table of all that can go wrong: something that befalls one request, or the story of the
// payment (or payout) that the request asks for. It is asked for by a magic number, or with /admin/behaviour.
type Fault struct {
	// Name is what admin calls it.
	Name string `json:"name"`
	// Tells what happens.
	Tells string `json:"tells"`
	// Creation is the magic number that lets it befall the request that opens
	// the payment, once; or that opens a payment with this story.
	Creation string `json:"creation,omitempty"`
	// Query is the magic number that lets it befall the status queries of the payment: three, or all if it is lasting.
	Query string `json:"query,omitempty"`

	lasting bool
	request func(Provider) Behaviour
	story   func(Provider) Scenario
}

const (
	html     = "<html><body>Request Rejected</body></html>"
	htmlPage = "<html><head><title>502 Bad Gateway</title></head></html>"
)

// Faults lists everything that can go wrong.
func Faults() []Fault { return slices.Concat(stories(), requestFaults(), ownFaults()) }

func stories() []Fault {
	f := func(name, creation, tells string, story func(Provider) Scenario) Fault {
		return Fault{Name: name, Creation: creation, Tells: tells, story: story}
	}
	return []Fault{
		f("paid-at-once", "901", "paid at once", with(func(sc *Scenario) { sc.After = 0 })),
		f("paid-late", "902", "paid after 25 s", with(func(sc *Scenario) { sc.After = 25 * time.Second })),
		f("refused", "903", "refused by the payer", failing(approvalRejected, paymentFailure)),
		f("not-enough-funds", "904", "not enough funds", failing(notEnoughFunds, insufficientFunds)),
		f("too-late", "906", "payer too late", with(func(sc *Scenario) { sc.Payer, sc.Reason = PaysLate, "EXPIRED" })),
		f("ignored", "907", "stuck: the payer never acts", with(func(sc *Scenario) { sc.Payer = Ignores })),
		f("confirmed-only", "908", "stuck after the payer confirmed", with(func(sc *Scenario) { sc.Payer = Confirms })),
		f("waits", "909", "waits for a person", func(Provider) Scenario { return Scenario{} }),
		f("second-try", "911", "not enough funds, paid at the second try (Wave)", secondTry),
		f("success-after-refusal", "912", "reported failed, paid 60 s later (not Wave)", failedThenPaid),
		f("not-found-at-first", "941", "taken, but the status query does not find it for 30 s", with(func(sc *Scenario) { sc.HiddenFor = someTime })),
		f("not-found-for-long", "968", "taken, but the status query does not find it for 10 min", with(func(sc *Scenario) { sc.HiddenFor = longTime })),
		f("reason-object", "951", "refused, reason as an object (MTN)", func(p Provider) Scenario {
			sc := failing(approvalRejected, paymentFailure)(p)
			sc.ReasonObject = true
			return sc
		}),
		f("callback-lost", "961", "paid, callback lost", with(func(sc *Scenario) { sc.Callback = CallbackLost })),
		f("callback-doubled", "962", "paid, callback doubled", with(func(sc *Scenario) { sc.Callback = CallbackDoubled })),
		f("callback-ahead", "963", "paid, callback 30 s ahead of the status query", with(func(sc *Scenario) { sc.ShownAfter = someTime })),
		f("callback-far-ahead", "969", "paid, callback 10 min ahead of the status query", with(func(sc *Scenario) { sc.ShownAfter = longTime })),
		f("callback-forged", "964", "never paid, callback forged", with(func(sc *Scenario) { sc.Payer, sc.Callback = Ignores, CallbackForged })),
		f("callback-late", "966", "paid, callback 60 s late", with(func(sc *Scenario) { sc.Callback = CallbackLate })),
		f("callback-reordered", "967", "failed, then paid, callbacks in the wrong order", func(p Provider) Scenario {
			sc := failedThenPaid(p)
			if p == Wave {
				sc = secondTry(p)
			}
			sc.Callback = CallbackReordered
			return sc
		}),
	}
}

func secondTry(p Provider) Scenario {
	sc := failing(notEnoughFunds, insufficientFunds)(p)
	sc.Payer = FailsThenPays
	return sc
}

func failedThenPaid(p Provider) Scenario {
	sc := failing(internalError, paymentFailure)(p)
	sc.SettlesAfter = lateTime
	return sc
}

func requestFaults() []Fault {
	f := func(name, creation, query, tells string, b Behaviour) Fault {
		return one(name, creation, query, tells, map[Provider]Behaviour{MTN: b, Orange: b, Wave: b})
	}
	revoked := saying(waveError(401, "api-key-revoked", "The API key is revoked"))
	revoked.Unprocessed = true
	return []Fault{
		f("lost-answer", "921", "952", "processed, answer lost", LoseAnswer()),
		f("dropped", "922", "", "dropped unprocessed", Drop()),
		f("error-500-processed", "923", "", "500, processed", Fail(500, true)),
		f("error-500", "924", "948", "500, not processed", Fail(500, false)),
		f("error-503", "926", "", "503, not processed", Fail(503, false)),
		f("throttled", "927", "949", "429 with Retry-After 7", Throttle("7")),
		f("error-403", "918", "", "403, not processed", Fail(403, false)),
		f("slow", "928", "953", "answer takes 40 s", Behaviour{Delay: slowTime}),
		f("dribble", "916", "", "answer stops for 40 s in its middle", Behaviour{Dribble: slowTime}),
		one("already-exists", "929", "", "409 (MTN), 403/1204 (Orange) though first, processed",
			map[Provider]Behaviour{MTN: Fail(409, true), Orange: saying(orangeError(403, 1204))}),
		f("html", "931", "946", "200 with HTML instead of the body, processed", Answer(200, html)),
		f("html-error", "937", "954", "502 with the HTML page of a gateway, processed", Answer(502, htmlPage)),
		f("wrong-type", "938", "956", "the right body as text/plain, processed",
			Behaviour{Header: http.Header{"Content-Type": {"text/plain"}}}),
		f("truncated", "932", "947", "body truncated, processed", Behaviour{Truncate: true}),
		f("empty", "933", "", "200 with an empty body, processed", Answer(200, "")),
		f("late", "934", "", "connection cut, processed 60 s later", Behaviour{Late: lateTime}),
		f("twice", "936", "", "arrives twice", Behaviour{Twice: true}),
		f("not-found", "", "957", "404, not processed", Fail(404, false)),
		one("token-expired", "917", "958", "the access token has just expired (not Wave)",
			map[Provider]Behaviour{MTN: {Token: TokenExpired}, Orange: {Token: TokenExpired}}),
		one("token-revoked", "919", "959", "the access token is revoked (Wave: the API key)",
			map[Provider]Behaviour{MTN: {Token: TokenRevoked}, Orange: {Token: TokenRevoked}, Wave: revoked}),
		one("unknown-word", "", "942", "unknown word for the state",
			map[Provider]Behaviour{MTN: set("status", "ON_HOLD"), Orange: set("status", "ON_HOLD"), Wave: set("checkout_status", "ON_HOLD")}).always(),
		one("other-amount", "", "943", "other amount (Orange: other order id) in the answer",
			map[Provider]Behaviour{MTN: set("amount", "1"), Orange: set("order_id", "another-order"), Wave: set("amount", "1")}).always(),
		one("other-currency", "", "944", "other currency in the answer (not Orange)",
			map[Provider]Behaviour{MTN: set("currency", "USD"), Wave: set("currency", "USD")}).always(),
	}
}

// one of the faults that are not the same at each provider; who is not named is spared.
func one(name, creation, query, tells string, at map[Provider]Behaviour) Fault {
	return Fault{Name: name, Creation: creation, Query: query, Tells: tells, request: func(p Provider) Behaviour { return at[p] }}
}

func (f Fault) always() Fault { f.lasting = true; return f }

// ownFaults are what one provider answers.
func ownFaults() []Fault {
	f := func(name, creation, tells string, p Provider, processed bool, a answer) Fault {
		b := saying(a)
		b.Unprocessed = !processed
		return one(name, creation, "", tells, map[Provider]Behaviour{p: b})
	}
	return []Fault{
		f("orange-1201", "913", "403/1201, forbidden transaction (Orange)", Orange, false, orangeError(403, 1201)),
		f("orange-1202", "914", "403/1202, invalid merchant key (Orange)", Orange, false, orangeError(403, 1202)),
		f("orange-1203", "939", "403/1203, currency not allowed (Orange)", Orange, false, orangeError(403, 1203)),
		f("mtn-currency", "971", "500 INVALID_CURRENCY (MTN)", MTN, false, moMo(500, "INVALID_CURRENCY", "Currency not supported.")),
		f("mtn-callback-host", "972", "500 INVALID_CALLBACK_URL_HOST (MTN)", MTN, false,
			moMo(500, "INVALID_CALLBACK_URL_HOST", "Callback URL does not match the configured value.")),
		f("mtn-no-funds-processed", "973", "500 NOT_ENOUGH_FUNDS, processed all the same (MTN)", MTN, true,
			moMo(500, notEnoughFunds, "The payer does not have enough funds.")),
		f("wave-merchant-field", "974", "400, details name aggregated_merchant_id (Wave)", Wave, false, waveInvalid("aggregated_merchant_id", "field required")),
		f("wave-wallet", "976", "403 unauthorized-wallet (Wave)", Wave, false, waveFailure(403)),
	}
}

// saying puts an answer in place of the provider's.
func saying(a answer) Behaviour {
	body := string(a.body)
	return Behaviour{Status: a.status, Body: &body, Header: http.Header{"Content-Type": {a.kind}}}
}

// on is what the fault does to a request; false if that is nothing.
func (f Fault) on(c *call) (Behaviour, bool) {
	b := Behaviour{}
	if f.story != nil {
		sc := f.story(c.provider)
		sc.Name = f.Tells
		b.Story = &sc
	} else {
		b = f.request(c.provider)
	}
	b.Name = f.Name
	_, hasToken := bearer(c.r)
	return b, !b.idle() && (b.Story == nil || c.opens) && (b.Token == "" || hasToken)
}

// faultByName is a table that is made once and read only.
//
//nolint:gochecknoglobals // a constant that Go cannot write as one
var faultByName = sync.OnceValue(func() map[string]Fault {
	byName := map[string]Fault{}
	for _, f := range Faults() {
		byName[f.Name] = f
	}
	return byName
})

// Magic is one line of the table of magic numbers.
type Magic struct {
	// Code is what amount or phone end in.
	Code string
	Name string
	// Scenario tells the story for one provider.
	Scenario func(Provider) Scenario
}

// MagicTable lists the magic numbers: the last three digits of the amount's
// whole part, or, if those are not magic, of the payer's phone.
func MagicTable() []Magic {
	var table []Magic
	for _, f := range Faults() {
		switch {
		case f.story != nil:
			table = append(table, Magic{f.Creation, f.Tells, f.story})
			continue
		case f.Creation != "":
			table = append(table, Magic{f.Creation, "creation: " + f.Tells + ", once", f.creating})
		}
		switch {
		case f.Query != "" && f.lasting:
			table = append(table, Magic{f.Query, "status: " + f.Tells, f.querying})
		case f.Query != "":
			table = append(table, Magic{f.Query, "status: " + f.Tells + ", three times", f.querying})
		}
	}
	slices.SortFunc(table, func(a, b Magic) int { return strings.Compare(a.Code, b.Code) })
	return table
}

func (f Fault) creating(p Provider) Scenario {
	sc := usual(p)
	sc.Create = f.request(p).named(f.Name).once()
	return sc
}

func (f Fault) querying(p Provider) Scenario {
	sc := paid(p)
	sc.Query = f.request(p).named(f.Name)
	if !f.lasting {
		sc.Query.Times = 3
	}
	return sc
}
