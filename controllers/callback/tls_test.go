package callback

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/util/cert"
)

// certificate writes one for 127.0.0.1, as a mounted Secret is changed: a new file takes
// the place of the old one.
func certificate(t *testing.T, files TLSFiles) *x509.CertPool {
	t.Helper()
	chain, key, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	must(t, err)
	for path, content := range map[string][]byte{files.Cert: chain, files.Key: key} {
		must(t, os.WriteFile(path+".new", content, 0o600))
		must(t, os.Rename(path+".new", path))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(chain)
	return roots
}

// overTLS is a client that trusts one certificate and no other.
func overTLS(roots *x509.CertPool, keep bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: !keep, ForceAttemptHTTP2: true,
	}}
}

// TLS can be ended here. The certificate is followed without a restart, old
// connections are served to their end, and the limits come before it all.
func TestTLS_FollowsItsFiles(t *testing.T) {
	f, s := withSale(t, "mtn")
	dir := t.TempDir()
	f.TLS = TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	first := certificate(t, f.TLS)
	addr, end := listening(t, f)
	post := func(c *http.Client) (status int) {
		t.Helper()
		resp, err := c.Post("https://"+addr+s.path(), "application/json", strings.NewReader(mtnBody))
		if err != nil {
			return 0
		}
		must(t, resp.Body.Close())
		if resp.ProtoMajor != 1 {
			t.Errorf("%s", resp.Proto)
		}
		return resp.StatusCode
	}
	old := overTLS(first, true)
	if status := post(old); status != http.StatusOK {
		t.Fatalf("HTTP %d", status)
	}
	f.expectNote(s, "SUCCESSFUL")

	second := certificate(t, f.TLS)
	fresh := overTLS(second, false)
	for post(fresh) != http.StatusOK && t.Context().Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if post(overTLS(first, false)) != 0 {
		t.Error("the old certificate is still shown")
	}
	if status := post(old); status != http.StatusOK {
		t.Errorf("the old connection: HTTP %d", status)
	}
	// What cannot be read changes nothing.
	must(t, os.WriteFile(f.TLS.Cert, []byte("nonsense"), 0o600))
	if status := post(fresh); status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	outdated := &tls.Config{RootCAs: second, MaxVersion: tls.VersionTLS11} //nolint:gosec // this is what has to be refused
	if conn, err := tls.Dial("tcp", addr, outdated); err == nil {
		_ = conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	if conn, err := net.Dial("tcp", addr); err == nil { // no TLS
		_, _ = conn.Write([]byte("POST / HTTP/1.1\r\n\r\n"))
		_ = conn.Close()
	}
	must(t, end())
	f.expectWrites(1)
	if strings.Contains(f.logs.String(), "handshake") {
		t.Errorf("%s", f.logs.String())
	}
}

// While all places are taken by connections that dribble, a genuine callback comes
// through, with TLS and without.
func TestG12_DribblingConnectionsMakeRoom(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	for name, begin := range map[string]string{
		"nothing": "", "a handshake": "\x16\x03\x01", "a header": "POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nX-",
		"a body":  "POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{",
		"a chunk": "POST /callbacks/wave HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfff0\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := withSales(t, s)
			f.Limits.Connections = 5
			scheme, sender := "http", &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			if name == "a handshake" {
				dir := t.TempDir()
				f.TLS = TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
				scheme, sender = "https", overTLS(certificate(t, f.TLS), false)
			}
			addr, end := listening(t, f)
			var crowd [5]net.Conn
			for i := range crowd {
				conn, err := net.Dial("tcp", addr)
				must(t, err)
				_, err = conn.Write([]byte(begin))
				must(t, err)
				crowd[i] = conn
			}
			resp, err := sender.Post(scheme+"://"+addr+s.path(), "application/json", strings.NewReader(mtnBody))
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusOK {
				t.Errorf("HTTP %d", resp.StatusCode)
			}
			for _, conn := range crowd {
				_ = conn.Close()
			}
			must(t, end())
			f.expectWrites(1)
		})
	}
}

func TestTLS_FailsWithoutItsFiles(t *testing.T) {
	f := setUp(t)
	f.TLS = TLSFiles{Cert: "/nowhere/tls.crt", Key: "/nowhere/tls.key"}
	if err := f.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listening for callbacks: reading the certificate: ") {
		t.Errorf("%v", err)
	}
	if f.Ready(nil) == nil {
		t.Error("ready")
	}
}
