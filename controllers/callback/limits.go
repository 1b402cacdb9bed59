package callback

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/lru"
)

// Limits on what strangers may ask for. A source is an IPv4 address or an IPv6 network of 64 bits.
type Limits struct {
	// Connections in all, and of one source.
	Connections, SourceConnections int
	// SourceRate is how many requests of one source are taken each second in the long run,
	// SourceBurst how many at once. The same goes for the verified callbacks of one account.
	SourceRate  float64
	SourceBurst int
	// TrustedProxies are believed in X-Forwarded-For, and have as many connections as there are.
	TrustedProxies []netip.Prefix
}

// DefaultLimits are far above what providers send.
func DefaultLimits() Limits {
	return Limits{Connections: 1024, SourceConnections: 256, SourceRate: 200, SourceBurst: 400}
}

const (
	// chargeRate and chargeBurst: one charge has few callbacks.
	chargeRate  = 1
	chargeBurst = 10
	// remembered is how many sources, charges and accounts have a bucket. An evicted key starts with a full one.
	remembered = 8192
)

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	l.Connections = cmp.Or(l.Connections, d.Connections)
	l.SourceConnections = cmp.Or(l.SourceConnections, d.SourceConnections)
	l.SourceRate = cmp.Or(l.SourceRate, d.SourceRate)
	l.SourceBurst = cmp.Or(l.SourceBurst, d.SourceBurst)
	return l
}

func (l Limits) trusts(a netip.Addr) bool {
	return slices.ContainsFunc(l.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// clientOf is where a request comes from: the peer, or behind proxies that are trusted the last hop
// that is none of them. What is left of that is the sender's own invention.
func (l Limits) clientOf(req *http.Request) netip.Addr {
	at := peerOf(req.RemoteAddr)
	hops := strings.Split(strings.Join(req.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !l.trusts(at) {
			break
		}
		next := peerOf(strings.TrimSpace(hop))
		if !next.IsValid() {
			break
		}
		at = next
	}
	return at
}

// peerOf reads an address with or without a port; the zero Addr if it is none.
func peerOf(s string) netip.Addr {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

// sourceOf is what an address counts as.
func sourceOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// throttle is how often whom is served.
type throttle struct{ sources, charges, accounts *buckets }

func newThrottle(l Limits) *throttle {
	return &throttle{
		sources:  newBuckets(l.SourceRate, l.SourceBurst),
		charges:  newBuckets(chargeRate, chargeBurst),
		accounts: newBuckets(l.SourceRate, l.SourceBurst),
	}
}

func (t *throttle) source(a netip.Addr, now time.Time) bool    { return t.sources.take(sourceOf(a), now) }
func (t *throttle) charge(name string, now time.Time) bool     { return t.charges.take(name, now) }
func (t *throttle) account(key accountKey, now time.Time) bool { return t.accounts.take(key, now) }

// buckets are limiters by key, a bounded number of them.
type buckets struct {
	limit rate.Limit
	burst int

	mu    sync.Mutex
	known *lru.Cache
}

func newBuckets(perSecond float64, burst int) *buckets {
	return &buckets{limit: rate.Limit(perSecond), burst: burst, known: lru.New(remembered)}
}

func (b *buckets) take(key any, now time.Time) bool {
	b.mu.Lock()
	found, ok := b.known.Get(key)
	if !ok {
		found = rate.NewLimiter(b.limit, b.burst)
		b.known.Add(key, found)
	}
	b.mu.Unlock()
	return found.(*rate.Limiter).AllowN(now, 1)
}
