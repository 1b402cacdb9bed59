package transport

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// errNotPublic: the host is at an address that no provider has.
var errNotPublic = errors.New("the host is at an address of a private network")

// notPublic are the addresses that IsGlobalUnicast takes for public, and that lead
// into this machine, this network or the cloud's own services.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),        // this host
	netip.MustParsePrefix("100.64.0.0/10"),    // carriers and clusters; metadata at Alibaba
	netip.MustParsePrefix("168.63.129.16/32"), // the wire server of Azure
	netip.MustParsePrefix("192.0.0.0/24"),     // protocols; metadata at Oracle
	netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
	netip.MustParsePrefix("240.0.0.0/4"),      // reserved, and used inside meshes
	netip.MustParsePrefix("::/96"),            // IPv4 in IPv6, once
	netip.MustParsePrefix("::ffff:0:0:0/96"),  // IPv4, translated
	netip.MustParsePrefix("64:ff9b:1::/48"),   // NAT64 of a private network
	netip.MustParsePrefix("2001::/32"),        // Teredo
	netip.MustParsePrefix("2002::/16"),        // 6to4
	netip.MustParsePrefix("fec0::/10"),        // site-local, once
}

// public tells whether a provider can be at an address: not on this machine, in a
// private network, or among the services of a cloud.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(a) {
		in := a.As16()
		return public(netip.AddrFrom4([4]byte(in[12:])))
	}
	return a.IsGlobalUnicast() && !a.IsPrivate() &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(a) })
}

// dialer opens connections to public addresses, and to any address of the hosts that the platform trusts. What is
// checked is the address that is dialled, so that a name which resolves to another one a moment later is of no use.
type dialer struct {
	net.Dialer
	trusted []string
}

// viaProxy marks the context of a request that goes through a proxy. The dial leads
// to the proxy then, which the platform chose.
type viaProxy struct{}

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	free := ctx.Value(viaProxy{}) != nil ||
		slices.ContainsFunc(d.trusted, func(t string) bool { return strings.EqualFold(t, host) })
	if !free {
		d.ControlContext = refuse
	}
	return d.DialContext(ctx, network, address)
}

// refuse is asked about each address before it is connected to.
func refuse(_ context.Context, _, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err != nil || !public(at.Addr()) {
		return errNotPublic
	}
	return nil
}
