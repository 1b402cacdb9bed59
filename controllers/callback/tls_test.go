package callback

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate writes a self-signed one for 127.0.0.1 with a name, as a mounted Secret
// is changed: a new file takes the place of the old one.
func certificate(t *testing.T, files TLSFiles, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	keyDER, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	for path, block := range map[string]*pem.Block{
		files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "EC PRIVATE KEY", Bytes: keyDER},
	} {
		must(t, os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600))
		must(t, os.Rename(path+".new", path))
	}
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

func whoTrusts(cert *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &tls.Config{RootCAs: pool}
}

// TLS can be ended here. The certificate is followed without a restart, old
// connections are served to their end, and the gate is in front of it all.
func TestTLS(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	f := withSales(t, s)
	dir := t.TempDir()
	f.TLS = TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	first := certificate(t, f.TLS, "first")
	addr, end := listening(t, f)
	post := func(c *http.Client) (string, int) {
		t.Helper()
		resp, err := c.Post("https://"+addr+s.path(), "application/json", strings.NewReader(mtnBody))
		if err != nil {
			return err.Error(), 0
		}
		must(t, resp.Body.Close())
		if resp.ProtoMajor != 1 {
			t.Errorf("%s", resp.Proto)
		}
		return resp.TLS.PeerCertificates[0].Subject.CommonName, resp.StatusCode
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: whoTrusts(first), ForceAttemptHTTP2: true}}
	if by, status := post(old); by != "first" || status != http.StatusOK {
		t.Fatalf("%s: HTTP %d", by, status)
	}
	f.expectNote(s, "SUCCESSFUL")

	second := certificate(t, f.TLS, "second")
	fresh := &http.Client{Transport: &http.Transport{TLSClientConfig: whoTrusts(second), DisableKeepAlives: true}}
	var by string
	var status int
	for by != "second" && t.Context().Err() == nil {
		by, status = post(fresh)
		time.Sleep(10 * time.Millisecond)
	}
	if status != http.StatusOK {
		t.Errorf("HTTP %d", status)
	}
	if by, status := post(old); by != "first" || status != http.StatusOK {
		t.Errorf("the old connection: %s, HTTP %d", by, status)
	}
	// What cannot be read changes nothing.
	must(t, os.WriteFile(f.TLS.Cert, []byte("nonsense"), 0o600))
	if by, status := post(fresh); by != "second" || status != http.StatusOK {
		t.Errorf("%s: HTTP %d", by, status)
	}
	outdated := whoTrusts(second)
	outdated.MaxVersion = tls.VersionTLS11
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

// A dribbling handshake makes room like any other connection.
func TestG12DribblingHandshake(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	f := withSales(t, s)
	f.Limits.Connections = 5
	dir := t.TempDir()
	f.TLS = TLSFiles{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}
	cert := certificate(t, f.TLS, "only")
	addr, end := listening(t, f)
	for range 5 {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte{0x16, 0x03, 0x01})
		must(t, err)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: whoTrusts(cert), DisableKeepAlives: true}}
	resp, err := c.Post("https://"+addr+s.path(), "application/json", strings.NewReader(mtnBody))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	must(t, end())
}

func TestTLSFilesThatAreNotThere(t *testing.T) {
	f := setUp(t)
	f.TLS = TLSFiles{Cert: "/nowhere/tls.crt", Key: "/nowhere/tls.key"}
	if err := f.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listening for callbacks: reading the certificate: ") {
		t.Errorf("%v", err)
	}
	if f.Ready(nil) == nil {
		t.Error("ready")
	}
}
