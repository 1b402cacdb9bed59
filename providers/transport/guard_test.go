package transport_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/transport"
)

func resolver(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			_ = answerOne(server, addresses)
		}()
		return client, nil
	}}
}

func answerOne(c net.Conn, addresses []string) error {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return err
	}
	question := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, question); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return err
	}
	m.Response, m.Additionals = true, nil
	for _, s := range addresses {
		a, h := netip.MustParseAddr(s), dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: 1}
		switch kind := m.Questions[0].Type; {
		case kind == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case kind == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...))
	return err
}

// A name may resolve to anything, and to something else the next moment: what counts
// is the address that is dialled. Nothing of the request leaves.
func TestH5PrivateAddressesAreNotDialled(t *testing.T) {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())

	for name, addresses := range map[string][]string{
		"loopback": {"127.0.0.1"}, "loopback, other": {"127.8.8.8"}, "loopback, six": {"::1"},
		"mapped": {"::ffff:127.0.0.1"}, "this host": {"0.0.0.0"}, "unspecified": {"::"},
		"ten": {"10.96.0.1"}, "seventeen": {"172.16.0.1"}, "nineteen": {"192.168.1.1"},
		"metadata": {"169.254.169.254"}, "metadata, six": {"fd00:ec2::254"}, "metadata, mapped": {"::ffff:169.254.169.254"},
		"carrier": {"100.100.100.200"}, "link-local": {"fe80::1"}, "unique local": {"fc00::7"}, "multicast": {"224.0.0.1"},
		"translated": {"64:ff9b::10.0.0.1"}, "six to four": {"2002:7f00:1::"}, "several": {"10.0.0.1", "127.0.0.1", "::1"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := transport.New(transport.Options{Resolver: resolver(t, addresses...), Trusted: []string{"other.test"}, Proxy: noProxy})
			for _, scheme := range []string{"http", "https"} {
				_, err := tr.Do(t.Context(), call(http.MethodPost, scheme+"://pay.test:"+port, []byte("{}")))
				checkError(t, err, providers.ClassMisconfigured)
				if !strings.Contains(err.Error(), "private address") {
					t.Errorf("%q", err)
				}
			}
		})
	}
	if reached != 0 {
		t.Errorf("%d requests came through", reached)
	}
}

// An address in place of a name is no way around it, however it is written.
func TestH5AddressesAsHosts(t *testing.T) {
	tr := transport.New(transport.Options{Proxy: noProxy, Resolver: resolver(t)})
	for _, host := range []string{"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.0.0.1", "169.254.169.254", "[fe80::1%25lo]", "0.0.0.0"} {
		_, err := tr.Do(t.Context(), call(http.MethodPost, "http://"+host+":9", nil))
		checkError(t, err, providers.ClassMisconfigured)
	}
	// Those are names, and no addresses.
	for _, host := range []string{"2130706433", "0x7f000001", "0177.0.0.1", "127.1"} {
		_, err := tr.Do(t.Context(), call(http.MethodPost, "http://"+host+":9", nil))
		checkError(t, err, providers.ClassNotSent)
	}
}

// What the platform names itself may be anywhere: its gateway, its proxy.
func TestH5TrustedHosts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	at := resolver(t, "127.0.0.1")

	trusting := transport.New(transport.Options{Resolver: at, Trusted: []string{"Gateway.test"}, Proxy: noProxy})
	if _, err := trusting.Do(t.Context(), call(http.MethodPost, "http://gateway.test:"+port, nil)); err != nil {
		t.Errorf("a trusted host: %v", err)
	}
	for _, other := range []string{"gateway.test.evil.test", "x.gateway.test", "gateway.tes"} {
		_, err := trusting.Do(t.Context(), call(http.MethodPost, "http://"+other+":"+port, nil))
		checkError(t, err, providers.ClassMisconfigured)
	}
	proxy, err := url.Parse("http://proxy.test:" + port)
	if err != nil {
		t.Fatal(err)
	}
	proxied := transport.New(transport.Options{Resolver: at, Proxy: http.ProxyURL(proxy)})
	if _, err := proxied.Do(t.Context(), call(http.MethodPost, "http://pay.test", nil)); err != nil {
		t.Errorf("through the platform's proxy: %v", err)
	}
	confused := transport.New(transport.Options{Resolver: at, Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no proxy") }})
	if _, err := confused.Do(t.Context(), call(http.MethodPost, "http://pay.test:"+port, nil)); err == nil {
		t.Error("sent without knowing the way")
	}
}
