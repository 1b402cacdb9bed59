package callback

import (
	"net"
	"testing"

	"pgregory.net/rapid"
)

// peer is a connection that only has an address and an end.
type peer struct {
	net.Conn
	address string
	closed  bool
}

func (p *peer) RemoteAddr() net.Addr { return address(p.address) }
func (p *peer) Close() error         { p.closed = true; return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// arrivals is a listener to which peers come.
type arrivals struct {
	net.Listener
	next []*peer
}

func (a *arrivals) Accept() (net.Conn, error) {
	if len(a.next) == 0 {
		return nil, net.ErrClosed
	}
	p := a.next[0]
	a.next = a.next[1:]
	return p, nil
}

// enter lets a peer connect; nil: it is refused.
func enter(g *connections, address string) (*connection, *peer) {
	p := &peer{address: address}
	g.Listener.(*arrivals).next = []*peer{p}
	c, err := g.Accept()
	if err != nil {
		return nil, p
	}
	return c.(*connection), p
}

func TestG12_ClosesTheConnectionThatWaitedLongest(t *testing.T) {
	g := newConnections(&arrivals{}, Limits{Connections: 6, SourceConnections: 3, TrustedProxies: prefixes("10.0.0.0/8")})
	first, p1 := enter(g, "203.0.113.9:1")
	_, p2 := enter(g, "203.0.113.9:2")
	_, p3 := enter(g, "203.0.113.9:3")
	first.setBusy(true)
	_, p4 := enter(g, "203.0.113.9:4")
	if p1.closed || !p2.closed || p3.closed || p4.closed {
		t.Error("not the one that waited longest")
	}
	// Once it is served it counts as new.
	first.setBusy(false)
	_, p5 := enter(g, "203.0.113.9:5")
	if p1.closed || !p3.closed || p4.closed || p5.closed {
		t.Error("not the one that waited longest")
	}
	// A whole network of a source is one source.
	for _, a := range []string{"[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"} {
		enter(g, a)
	}
	_, p6 := enter(g, "[2001:db8::4]:1")
	if n := g.from[sourceOf(peerOf("2001:db8::9"))]; n != 3 || p6.closed {
		t.Errorf("%d connections", n)
	}
	// A trusted proxy has no limit of its own, but that of all.
	for range 6 {
		enter(g, "10.0.0.1:1")
	}
	if n := g.from[sourceOf(peerOf("10.0.0.1"))]; n != 6 || len(g.conns) != 6 {
		t.Errorf("%d connections of %d", n, len(g.conns))
	}
}

func TestG12_ClosesNoneThatIsBeingAnswered(t *testing.T) {
	g := newConnections(&arrivals{}, Limits{Connections: 10, SourceConnections: 2})
	a, pa := enter(g, "203.0.113.9:1")
	b, pb := enter(g, "203.0.113.9:2")
	a.setBusy(true)
	b.setBusy(true)
	if c, p := enter(g, "203.0.113.9:3"); c != nil || !p.closed || pa.closed || pb.closed {
		t.Error("who is being served is cut off, or another one is let in")
	}
	if _, p := enter(g, "198.51.100.7:1"); p.closed {
		t.Error("the full source is in the way of another one")
	}
	b.setBusy(false)
	if c, p := enter(g, "203.0.113.9:4"); c == nil || p.closed || !pb.closed {
		t.Error("no room after one was served")
	}
}

func TestG12_ConnectionsStayWithinTheLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limits{Connections: rapid.IntRange(1, 8).Draw(t, "all"), SourceConnections: rapid.IntRange(1, 4).Draw(t, "each")}
		g := newConnections(&arrivals{}, l)
		in := map[*connection]*peer{}
		t.Repeat(map[string]func(*rapid.T){
			"comes": func(t *rapid.T) {
				var served []*peer
				for c, p := range in {
					if c.busy && !p.closed {
						served = append(served, p)
					}
				}
				c, p := enter(g, rapid.SampledFrom([]string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "pipe"}).Draw(t, "peer"))
				if c != nil {
					in[c] = p
				}
				for _, p := range served {
					if p.closed {
						t.Fatal("one that was being served is cut off")
					}
				}
			},
			"goes": func(*rapid.T) {
				for c := range in {
					_ = c.Close()
					_ = c.Close()
					break
				}
			},
			"is served": func(t *rapid.T) {
				busy := rapid.Bool().Draw(t, "busy")
				for c := range in {
					c.setBusy(busy)
					break
				}
			},
			"": func(t *rapid.T) {
				open, from := 0, 0
				for c, p := range in {
					if _, known := g.conns[c]; known == p.closed {
						t.Fatalf("closed: %t, known: %t", p.closed, known)
					}
					if p.closed {
						delete(in, c)
						continue
					}
					open++
				}
				for _, n := range g.from {
					if from += n; n < 1 || n > l.SourceConnections {
						t.Fatalf("%d of one source", n)
					}
				}
				if open > l.Connections || open != from || open != len(g.conns) {
					t.Fatalf("%d open, %d counted, %d known", open, from, len(g.conns))
				}
			},
		})
	})
}
