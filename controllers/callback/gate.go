package callback

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// gate bounds how many connections there are, in all and from one source. Where it
// is full, the connection that has waited longest without a complete request makes
// room: whoever dribbles keeps nobody out, and a genuine callback, which comes
// whole, is not there for long enough to be the oldest.
type gate struct {
	net.Listener
	limits Limits

	mu    sync.Mutex
	turn  uint64
	conns map[*connection]struct{}
	// from counts the connections of a source.
	from map[netip.Prefix]int
}

// connection behind a gate. Its fields belong to the gate's lock.
type connection struct {
	net.Conn
	gate   *gate
	source netip.Prefix
	// since is when it last began to wait for a request, in turns of the gate.
	since uint64
	// busy: its request is complete and being answered.
	busy bool
}

func newGate(l net.Listener, limits Limits) *gate {
	return &gate{Listener: l, limits: limits, conns: map[*connection]struct{}{}, from: map[netip.Prefix]int{}}
}

// Accept returns the next connection that there is room for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		inner, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(inner.RemoteAddr().String())
		c := &connection{Conn: inner, gate: g, source: sourceOf(peer)}
		leaves, admitted := g.admit(c, g.limits.trusts(peer))
		if leaves != nil {
			_ = leaves.Conn.Close()
		}
		if admitted {
			return c, nil
		}
		_ = inner.Close()
	}
}

// admit takes a connection in, and tells which one has to leave for it.
func (g *gate) admit(c *connection, trusted bool) (leaves *connection, admitted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var full bool
	if !trusted && g.from[c.source] >= g.limits.SourceConnections {
		full, leaves = true, g.oldest(func(o *connection) bool { return o.source == c.source })
	} else if len(g.conns) >= g.limits.Connections {
		full, leaves = true, g.oldest(func(*connection) bool { return true })
	}
	if full && leaves == nil {
		return nil, false // all are being answered, which takes moments
	}
	if leaves != nil {
		g.forget(leaves)
	}
	g.turn++
	c.since = g.turn
	g.conns[c] = struct{}{}
	g.from[c.source]++
	return leaves, true
}

// oldest connection that waits for a request, of those that are meant.
func (g *gate) oldest(meant func(*connection) bool) *connection {
	var oldest *connection
	for c := range g.conns {
		if !c.busy && meant(c) && (oldest == nil || c.since < oldest.since) {
			oldest = c
		}
	}
	return oldest
}

func (g *gate) forget(c *connection) {
	if _, ok := g.conns[c]; !ok {
		return
	}
	delete(g.conns, c)
	if g.from[c.source]--; g.from[c.source] == 0 {
		delete(g.from, c.source)
	}
}

// Close makes room.
func (c *connection) Close() error {
	c.gate.mu.Lock()
	c.gate.forget(c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}

// setBusy says whether a complete request is being answered; after that it waits
// from anew.
func (c *connection) setBusy(busy bool) {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	c.gate.turn++
	c.busy, c.since = busy, c.gate.turn
}

type connectionKey struct{}

// withConnection lets a handler find the connection that its request came on.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = secure.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, c)
}

// working says that the request is complete, until what it returns is called.
func working(ctx context.Context) func() {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.setBusy(true)
	return func() { c.setBusy(false) }
}
