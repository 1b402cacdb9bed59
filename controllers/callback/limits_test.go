package callback

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// Who a request comes from is the peer. Only proxies that are trusted are believed,
// and only what they themselves have seen.
func TestG18_TheClientIsTheLastUntrustedHop(t *testing.T) {
	for name, c := range map[string]struct {
		trusted   []string
		peer      string
		forwarded []string
		want      string
	}{
		"nobody is trusted":        {nil, "203.0.113.9:4711", []string{"10.0.0.1"}, "203.0.113.9"},
		"another network":          {[]string{"10.0.0.0/8"}, "203.0.113.9:4711", []string{"198.51.100.7"}, "203.0.113.9"},
		"a proxy":                  {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"198.51.100.7"}, "198.51.100.7"},
		"what the sender made up":  {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"192.0.2.1, 198.51.100.7"}, "198.51.100.7"},
		"in several lines":         {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"192.0.2.1", "198.51.100.7"}, "198.51.100.7"},
		"a made-up trusted one":    {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"10.9.9.9, 198.51.100.7"}, "198.51.100.7"},
		"two proxies":              {[]string{"10.0.0.0/8", "192.168.0.0/16"}, "10.1.2.3:80", []string{"198.51.100.7, 192.168.1.1"}, "198.51.100.7"},
		"only proxies":             {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"10.0.0.1"}, "10.0.0.1"},
		"no header":                {[]string{"10.0.0.0/8"}, "10.1.2.3:80", nil, "10.1.2.3"},
		"nonsense":                 {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"198.51.100.7, unknown"}, "10.1.2.3"},
		"with ports":               {[]string{"10.0.0.0/8"}, "10.1.2.3:80", []string{"198.51.100.7:1234"}, "198.51.100.7"},
		"v6":                       {[]string{"fd00::/8"}, "[fd00::1]:80", []string{"2001:db8::7"}, "2001:db8::7"},
		"v4 in v6":                 {[]string{"10.0.0.0/8"}, "[::ffff:10.1.2.3]:80", []string{"::ffff:198.51.100.7"}, "198.51.100.7"},
		"a zone makes no new host": {nil, "[fe80::1%eth0]:80", nil, "fe80::1"},
	} {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.RemoteAddr = c.peer
		for _, h := range c.forwarded {
			req.Header.Add("X-Forwarded-For", h)
		}
		for _, h := range []string{"X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"} {
			req.Header.Set(h, "192.0.2.66")
		}
		if got := (Limits{TrustedProxies: prefixes(c.trusted...)}).clientOf(req); got != netip.MustParseAddr(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Whatever a sender writes into the header, behind a trusted proxy it is one source, and without one too.
func TestG18_NobodyMakesUpASource(t *testing.T) {
	l := Limits{TrustedProxies: prefixes("10.0.0.0/8")}
	rapid.Check(t, func(t *rapid.T) {
		own := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"1.2.3.4", "10.0.0.1", "", ",", "::1", "10.0.0.1, 10.0.0.2"})).Draw(t, "own")
		direct, proxied := httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRequest(http.MethodPost, "/", nil)
		direct.RemoteAddr, proxied.RemoteAddr = "203.0.113.9:1", "10.0.0.1:1"
		direct.Header["X-Forwarded-For"] = []string{own}
		proxied.Header["X-Forwarded-For"] = []string{own, "203.0.113.9"}
		want := netip.MustParseAddr("203.0.113.9")
		if a, b := l.clientOf(direct), l.clientOf(proxied); a != want || b != want {
			t.Fatalf("%s, %s", a, b)
		}
	})
}

func TestSource_IsAnAddressOrANetwork(t *testing.T) {
	for a, want := range map[string]string{
		"203.0.113.9": "203.0.113.9/32", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "::ffff:203.0.113.9": "203.0.113.9/32",
	} {
		if got := sourceOf(peerOf(a)).String(); got != want {
			t.Errorf("%s: %s, want %s", a, got, want)
		}
	}
	if sourceOf(peerOf("pipe")) != sourceOf(peerOf("@")) {
		t.Error("what is no address is not one source")
	}
}

// fromPeer sends from an address, and returns what came.
func (f *fixture) fromPeer(peer, path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	req := request(http.MethodPost, path, body, headers...)
	req.RemoteAddr = peer
	return f.answerTo(req)
}

func limited(t *testing.T, l Limits, sales ...sale) *fixture {
	t.Helper()
	f := withSales(t, sales...)
	f.Limits = l.withDefaults()
	f.throttle = newThrottle(f.Limits)
	return f
}

func TestG14_OneSourceIsLimited(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	f := limited(t, Limits{SourceRate: 2, SourceBurst: 5}, s)
	forged := "/callbacks/mtn/" + strings.Repeat("A", len(s.id()))
	for i := range 20 {
		w := f.fromPeer(fmt.Sprintf("203.0.113.9:%d", 1000+i), forged, strings.NewReader(mtnBody))
		if want := map[bool]int{true: http.StatusUnauthorized, false: http.StatusTooManyRequests}[i < 5]; w.Code != want {
			t.Fatalf("request %d: HTTP %d", i, w.Code)
		}
		if w.Code == http.StatusTooManyRequests && (w.Header().Get("Retry-After") != "1" || w.Body.Len() > 0) {
			t.Errorf("%v %q", w.Header(), w.Body.String())
		}
	}
	if w := f.fromPeer("203.0.113.9:1", s.path(), unread{t}); w.Code != http.StatusTooManyRequests {
		t.Errorf("HTTP %d", w.Code)
	}
	if w := f.fromPeer("198.51.100.7:1", s.path(), strings.NewReader(mtnBody)); w.Code != http.StatusOK {
		t.Errorf("another source: HTTP %d", w.Code)
	}
	f.now = f.now.Add(time.Second)
	if w := f.fromPeer("203.0.113.9:1", forged, strings.NewReader(mtnBody)); w.Code != http.StatusUnauthorized {
		t.Errorf("after a second: HTTP %d", w.Code)
	}
}

func TestG14_OneChargeIsLimited(t *testing.T) {
	s, other := newSale("shop", "order-1", "mtn"), newSale("shop", "order-2", "mtn")
	f := limited(t, Limits{}, s, other)
	codes := map[int]int{}
	for range 50 {
		codes[f.send(http.MethodPost, s.path(), mtnBody)]++
	}
	if codes[200] != chargeBurst || codes[429] != 50-chargeBurst {
		t.Errorf("%v", codes)
	}
	f.expect(http.StatusOK, http.MethodPost, other.path(), mtnBody)
	f.now = f.now.Add(time.Second)
	f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	f.expect(http.StatusTooManyRequests, http.MethodPost, s.path(), mtnBody)
}

// What is forged does not use up what an account may have: that would keep the genuine out.
func TestG14_ForgedCallbacksUseUpNoAccount(t *testing.T) {
	m := newMarket(t)
	m.Limits = Limits{SourceRate: 1, SourceBurst: 20}.withDefaults()
	m.throttle = newThrottle(m.Limits)
	body := waveBody(m.a.reference())
	for i := range 200 {
		w := m.fromPeer(fmt.Sprintf("203.0.113.%d:1", i), pathA, strings.NewReader(body), "Wave-Signature", signature(m.now, body, "wrong"))
		if w.Code != http.StatusUnauthorized {
			t.Fatalf("HTTP %d", w.Code)
		}
	}
	codes := map[int]int{}
	for i := range 30 { // from everywhere, as a cloud does
		codes[m.fromPeer(fmt.Sprintf("198.51.100.%d:1", i), pathA, strings.NewReader(body), "Wave-Signature", signature(m.now, body, secretA)).Code]++
	}
	if codes[200] != 20 || codes[429] != 10 {
		t.Errorf("%v", codes)
	}
	m.expectNote(m.a, "checkout.session.completed")
}

func TestG14_MemoryIsBounded(t *testing.T) {
	b := newBuckets(1, 1)
	for i := range 5 * remembered {
		b.take(i, time.Unix(0, 0))
	}
	if n := b.known.Len(); n != remembered {
		t.Errorf("%d are remembered", n)
	}
	m := newMemory()
	for i := range 5 * remembered {
		s := newSale("shop", fmt.Sprint(i), "mtn")
		m.note(received{charge: s.charge, digest: "d"})
	}
	if m.last.Len() != remembered || m.notes.Len() != remembered {
		t.Errorf("%d and %d notes are remembered", m.last.Len(), m.notes.Len())
	}
}
