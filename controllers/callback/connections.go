package callback

import (
	"context"
	"net"
	"net/netip"
	"sync"
)

// connections bounds how many there are, in all and from one source. At the limit, the connection
// that has waited longest without a complete request is closed: a slow sender keeps nobody out, and
// a genuine callback, which comes whole, is never the oldest.
type connections struct {
	net.Listener
	limits Limits

	mu    sync.Mutex
	ticks uint64
	conns map[*connection]struct{}
	// from counts the connections of a source.
	from map[netip.Prefix]int
}

// connection is one of a set, whose lock guards it.
type connection struct {
	net.Conn
	set    *connections
	source netip.Prefix
	// since is when it last began to wait for a request, in ticks of the set.
	since uint64
	// busy: its request is complete and being answered.
	busy bool
}

func newConnections(l net.Listener, limits Limits) *connections {
	return &connections{Listener: l, limits: limits, conns: map[*connection]struct{}{}, from: map[netip.Prefix]int{}}
}

// Accept returns the next connection within the limits.
func (s *connections) Accept() (net.Conn, error) {
	for {
		inner, err := s.Listener.Accept()
		if err != nil {
			return nil, err
		}
		peer := peerOf(inner.RemoteAddr().String())
		c := &connection{Conn: inner, set: s, source: sourceOf(peer)}
		evicted, admitted := s.admit(c, s.limits.trusts(peer))
		if evicted != nil {
			_ = evicted.Conn.Close()
		}
		if admitted {
			return c, nil
		}
		_ = inner.Close()
	}
}

// admit adds a connection, and returns the one to close for it.
func (s *connections) admit(c *connection, trusted bool) (evicted *connection, admitted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var full bool
	if !trusted && s.from[c.source] >= s.limits.SourceConnections {
		full, evicted = true, s.oldest(func(o *connection) bool { return o.source == c.source })
	} else if len(s.conns) >= s.limits.Connections {
		full, evicted = true, s.oldest(func(*connection) bool { return true })
	}
	if full && evicted == nil {
		return nil, false // all are being answered
	}
	if evicted != nil {
		s.forget(evicted)
	}
	s.ticks++
	c.since = s.ticks
	s.conns[c] = struct{}{}
	s.from[c.source]++
	return evicted, true
}

// oldest of the matching connections that wait for a request.
func (s *connections) oldest(matches func(*connection) bool) *connection {
	var oldest *connection
	for c := range s.conns {
		if !c.busy && matches(c) && (oldest == nil || c.since < oldest.since) {
			oldest = c
		}
	}
	return oldest
}

func (s *connections) forget(c *connection) {
	if _, ok := s.conns[c]; !ok {
		return
	}
	delete(s.conns, c)
	if s.from[c.source]--; s.from[c.source] == 0 {
		delete(s.from, c.source)
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.set.mu.Lock()
	c.set.forget(c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}

// setBusy marks whether a complete request is being answered; after that the connection counts as new.
func (c *connection) setBusy(busy bool) {
	c.set.mu.Lock()
	defer c.set.mu.Unlock()
	c.set.ticks++
	c.busy, c.since = busy, c.set.ticks
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
