package callback

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

var (
	_ manager.Runnable               = (*Receiver)(nil)
	_ manager.LeaderElectionRunnable = (*Receiver)(nil)
)

func TestG7_EveryReplicaReceives(t *testing.T) {
	if (&Receiver{}).NeedLeaderElection() {
		t.Error("only the leader receives")
	}
}

func TestG12_ServerHasTimeLimits(t *testing.T) {
	s := (&Receiver{}).server()
	if s.ReadHeaderTimeout != 3*time.Second || s.ReadTimeout != 5*time.Second || s.WriteTimeout != 5*time.Second ||
		s.IdleTimeout != 30*time.Second || s.MaxHeaderBytes != 8<<10 {
		t.Errorf("%+v", s)
	}
	// MTN gives up after two seconds, and the answer has to reach it.
	if noteTimeout >= 2*time.Second {
		t.Errorf("a note may take %s", noteTimeout)
	}
}

// listening runs the receiver at a real address until stop is called, which waits for its end.
func listening(t *testing.T, f *fixture) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f.Listener = l
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Start(ctx) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-ended })
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func TestReceiver_ServesUntilItsContextEnds(t *testing.T) {
	f, s := withSale(t, "mtn")
	if f.Ready(nil) == nil {
		t.Error("ready before it listens")
	}
	addr, end := listening(t, f)
	resp, err := http.Post("http://"+addr+s.path(), "application/json", strings.NewReader(mtnBody))
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusOK {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
	f.expectNote(s, "SUCCESSFUL")
	must(t, f.Ready(nil))
	must(t, end())
	if f.Ready(nil) == nil {
		t.Error("ready after its end")
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}

// What no client of a library sends.
func TestG13_RawRequests(t *testing.T) {
	f, s := withSale(t, "mtn")
	addr, end := listening(t, f)
	post := func(path string) string { return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" }
	deep := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)
	with := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	for name, c := range map[string]struct {
		sent string
		want string
	}{
		"an encoded slash":     {post("/callbacks/mtn%2f"+s.id()) + with(mtnBody), "404"},
		"dots":                 {post("/callbacks/x/../mtn/"+s.id()) + with(mtnBody), "404"},
		"two slashes":          {post("//callbacks/mtn/"+s.id()) + with(mtnBody), "404"},
		"a whole URL":          {post("http://elsewhere.example"+s.path()) + with(mtnBody), "200"},
		"another host":         {"POST " + s.path() + " HTTP/1.1\r\nHost: elsewhere.example\r\n" + with(mtnBody), "200"},
		"no host":              {"POST " + s.path() + " HTTP/1.1\r\n" + with(mtnBody), "400"},
		"two lengths":          {post(s.path()) + "Content-Length: 1\r\n" + with(mtnBody), "400"},
		"length and chunks":    {post(s.path()) + "Transfer-Encoding: chunked\r\n" + with("0\r\n\r\n"), "400"},
		"a negative length":    {post(s.path()) + "Content-Length: -1\r\n\r\n", "400"},
		"a huge length":        {post(s.path()) + "Content-Length: 99999999999\r\n\r\n" + strings.Repeat(" ", maxBody+1), "413"},
		"endless chunks":       {post(s.path()) + "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1000\r\n"+strings.Repeat(" ", 0x1000)+"\r\n", 17), "413"},
		"a gzip bomb":          {post(s.path()) + "Content-Encoding: gzip\r\n" + with("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), "400"},
		"deep":                 {post(s.path()) + with(deep), "200"},
		"deep without an end":  {post(s.path()) + with(deep[:50000]), "400"},
		"too deep":             {post(s.path()) + with(strings.Repeat("[", 20000)+strings.Repeat("]", 20000)), "400"},
		"another type":         {post(s.path()) + "Content-Type: text/html\r\n" + with(mtnBody), "200"},
		"a form":               {post(s.path()) + "Content-Type: multipart/form-data; boundary=x\r\n" + with("--x--"), "400"},
		"a large header":       {post(s.path()) + "X-Large: " + strings.Repeat("a", 1<<20) + "\r\n\r\n", "431"},
		"HTTP/2 by prior fame": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "404"},
		"an upgrade to HTTP/2": {post(s.path()) + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" + with(mtnBody), "200"},
		"no HTTP at all":       {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", addr)
		must(t, err)
		go func() { _, _ = io.WriteString(conn, c.sent) }()
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if fields := strings.Fields(answer); len(fields) < 2 || fields[1] != c.want {
			t.Errorf("%s: %q, %v, want %s", name, answer, err, c.want)
		}
		_ = conn.Close()
	}
	must(t, end())
	f.expectWrites(1)
}

func TestReceiver_FailsWhereItCannotListen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	f := setUp(t)
	f.Addr = l.Addr().String() // taken
	if err := f.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listening for callbacks: ") {
		t.Errorf("%v", err)
	}
	f.Listener = l
	must(t, l.Close())
	if err := f.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "serving callbacks: ") {
		t.Errorf("%v", err)
	}
	f.TLS = TLSFiles{Cert: "/nowhere/tls.crt", Key: "/nowhere/tls.key"}
	if err := f.Start(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "listening for callbacks: reading the certificate: ") || f.Ready(nil) == nil {
		t.Errorf("%v", err)
	}
}

// pipes is a network within a synctest bubble, whose clock is not the real one.
// The bubble fails the test if a goroutine is left at its end.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// bubble runs a Receiver whose clock does not wait.
func bubble(t *testing.T, s sale, test func(t *testing.T, f *fixture, p *pipes, stop func() error)) {
	t.Helper()
	f := withSales(t, s)
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		f.t, f.Listener = t, p
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- f.Start(ctx) }()
		test(t, f, p, func() error { cancel(); return <-ended })
	})
}

func (p *pipes) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}}
}

func TestG12_SlowSendersAreCutOff(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	for name, c := range map[string]struct {
		sent  string
		limit time.Duration
	}{
		"nothing at all":   {"", 3 * time.Second},
		"half a header":    {"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nX-", 3 * time.Second},
		"half a body":      {"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", 5 * time.Second},
		"an endless chunk": {"POST " + s.path() + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, s, func(t *testing.T, f *fixture, p *pipes, stop func() error) {
				conn, err := p.dial(t.Context(), "", "")
				must(t, err)
				begin := time.Now()
				_, err = io.WriteString(conn, c.sent)
				must(t, err)
				answer, err := io.ReadAll(bufio.NewReader(conn))
				if err != nil && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%v", err)
				}
				if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 400 ") {
					t.Errorf("answered %q", answer)
				}
				if took := time.Since(begin); took < c.limit || took > c.limit+time.Second {
					t.Errorf("cut off after %s, want %s", took, c.limit)
				}
				must(t, conn.Close())
				must(t, stop())
				f.expectWrites(0)
			})
		})
	}
}

func TestG12_IdleConnectionsAreClosed(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	bubble(t, s, func(t *testing.T, _ *fixture, p *pipes, stop func() error) {
		conn, err := p.dial(t.Context(), "", "")
		must(t, err)
		_, err = io.WriteString(conn, "GET /return HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
		begin := time.Now()
		_, _ = io.ReadAll(conn)
		if took := time.Since(begin); took != 30*time.Second {
			t.Errorf("ended after %s", took)
		}
		must(t, conn.Close())
		must(t, stop())
	})
}

// A callback that came before the end is noted before the end. One that hangs is not waited for for ever.
func TestReceiver_DrainsAtTheEnd(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	for _, hangs := range []bool{false, true} {
		bubble(t, s, func(t *testing.T, f *fixture, p *pipes, stop func() error) {
			reached, goOn := make(chan struct{}), make(chan struct{})
			f.onCall = func(label string) error {
				if label == "apply status" {
					close(reached)
					<-goOn
				}
				return nil
			}
			status := make(chan int, 1)
			go func() {
				resp, err := p.client().Post("http://x"+s.path(), "application/json", strings.NewReader(mtnBody))
				if err != nil { // the connection is closed on it
					status <- 0
					return
				}
				_ = resp.Body.Close()
				status <- resp.StatusCode
			}()
			<-reached
			begin, stopped := time.Now(), make(chan error, 1)
			go func() { stopped <- stop() }()
			synctest.Wait()
			if hangs {
				err, code, took := <-stopped, <-status, time.Since(begin)
				if !errors.Is(err, context.DeadlineExceeded) || code != 0 || took != drainTimeout {
					t.Errorf("%v, HTTP %d after %s", err, code, took)
				}
				close(goOn)
				return
			}
			if len(stopped) > 0 {
				t.Error("it did not wait")
			}
			close(goOn)
			must(t, <-stopped)
			if code := <-status; code != http.StatusOK {
				t.Errorf("HTTP %d", code)
			}
			f.expectNote(s, "SUCCESSFUL")
		})
	}
}

func TestG16_ASlowAPIIsAnsweredInTime(t *testing.T) {
	s := newSale("shop", "order-1", "mtn")
	for _, at := range []string{"get Payment", "apply status"} {
		bubble(t, s, func(t *testing.T, f *fixture, p *pipes, stop func() error) {
			f.onCall = func(label string) error {
				if label == at {
					time.Sleep(noteTimeout) // of the bubble: the API client gives up with the context
					return context.DeadlineExceeded
				}
				return nil
			}
			begin := time.Now()
			resp, err := p.client().Post("http://x"+s.path(), "application/json", strings.NewReader(mtnBody))
			must(t, err)
			must(t, resp.Body.Close())
			if took := time.Since(begin); resp.StatusCode != http.StatusServiceUnavailable || took > 2*time.Second {
				t.Errorf("%s: HTTP %d after %s", at, resp.StatusCode, took)
			}
			must(t, stop())
		})
	}
}

// certificate writes one for 127.0.0.1, as a mounted Secret is changed: a new file takes the place of the old one.
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

// While all places are taken by connections that dribble, a genuine callback comes through, with TLS and without.
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
