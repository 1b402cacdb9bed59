package transport

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

// Without GetBody net/http has no second copy of a body to send.
func TestBodyCannotBeReplayed(t *testing.T) {
	req, err := request(t.Context(), providers.Call{Method: "POST", URL: "https://host.example", Body: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	if req.GetBody != nil || req.ContentLength != 2 {
		t.Errorf("GetBody %v, length %d", req.GetBody != nil, req.ContentLength)
	}
}

func TestH5PublicAddresses(t *testing.T) {
	private := []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
		"::/128", "::1/128", "::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	}
	rapid.Check(t, func(t *rapid.T) {
		p := netip.MustParsePrefix(rapid.SampledFrom(private).Draw(t, "prefix"))
		raw := p.Addr().AsSlice()
		for bit := p.Bits(); bit < len(raw)*8; bit++ {
			if rapid.Bool().Draw(t, "bit") {
				raw[bit/8] |= 0x80 >> (bit % 8)
			}
		}
		a, _ := netip.AddrFromSlice(raw)
		forms := []netip.Addr{a}
		if a.Is4() {
			nat64, old := netip.MustParseAddr("64:ff9b::").As16(), [16]byte{}
			copy(nat64[12:], raw)
			copy(old[12:], raw)
			forms = append(forms, netip.AddrFrom16(a.As16()), netip.AddrFrom16(nat64), netip.AddrFrom16(old))
		}
		for _, f := range forms {
			if public(f) {
				t.Fatalf("%s passes for public", f)
			}
		}
	})
	for _, s := range []string{"1.1.1.1", "41.202.0.1", "100.128.0.1", "172.32.0.1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2606:4700::1111", "2a00::1"} {
		if !public(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
}
