package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/transport"
)

// Everything that must not show in an error.
const (
	canaryToken = "canary-token-51"
	canaryPhone = "2250501020304"
	canaryPath  = "canary-path-52"
)

var local = []string{"127.0.0.1", "localhost"}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

func call(method, base string, body []byte) providers.Call {
	return providers.Call{
		Operation: "test", Method: method, URL: base + "/" + canaryPath, Body: body,
		Header: http.Header{"Authorization": {"Bearer " + canaryToken}},
	}
}

func checkError(t *testing.T, err error, want providers.Class) {
	t.Helper()
	if err == nil {
		t.Fatal("want an error")
	}
	if got := providers.ClassOf(err); got != want {
		t.Errorf("class %s of %q, want %s", got, err, want)
	}
	text := fmt.Sprintf("%v %+v %#v %q", err, err, err, errors.Unwrap(err))
	wiretest.NoCanary(t, text, canaryToken, canaryPhone, canaryPath, "http://", "https://", "127.0.0.1", "example")
}

// raw is a server on bare connections. serve gets each of them with its number from 1, and closes it by returning.
func raw(t *testing.T, serve func(n int, c net.Conn)) (base string, accepted *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(accepted.Add(1))
			wg.Go(func() {
				defer c.Close()
				serve(n, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	return "http://" + l.Addr().String(), accepted
}

func readRequest(c net.Conn) (*http.Request, []byte) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil, nil
	}
	body, _ := io.ReadAll(r.Body)
	return r, body
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// serve keeps the requests that h answers, and their bodies.
func serve(t *testing.T, h http.HandlerFunc) (base string, sent *[]*http.Request, bodies *[]string) {
	t.Helper()
	sent, bodies = new([]*http.Request), new([]string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		*sent, *bodies = append(*sent, r), append(*bodies, string(body))
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, sent, bodies
}

func TestH5NoRedirectIsFollowed(t *testing.T) {
	// Answers of any status are answers, and no errors.
	for _, status := range []int{200, 202, 301, 302, 307, 308, 400, 401, 409, 429, 500, 503} {
		base, sent, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "body")
		})
		a, err := transport.New(transport.Options{Trusted: local}).Do(t.Context(), call(http.MethodPost, base, []byte("{}")))
		if err != nil || a.Status != status || string(a.Body) != "body" || a.Header.Get("Location") != "/elsewhere" {
			t.Errorf("got %d %q, %v", a.Status, a.Body, err)
		}
		if n := len(*sent); n != 1 {
			t.Errorf("HTTP %d: %d requests, want 1: no redirect is followed", status, n)
		}
	}
}

func TestRequestAsSent(t *testing.T) {
	base, kept, bodies := serve(t, func(http.ResponseWriter, *http.Request) {})
	tr := transport.New(transport.Options{Trusted: local})
	for _, c := range []providers.Call{
		call(http.MethodPost, base, []byte(`{"a":1}`)),
		call(http.MethodPost, base, nil),
		call(http.MethodPost, base, []byte{}),
		{Operation: "test", Method: http.MethodGet, URL: base, Header: http.Header{"User-Agent": {"mine/1"}, "X-Two": {"1", "2"}}},
	} {
		if _, err := tr.Do(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	sent := *kept
	if (*bodies)[0] != `{"a":1}` || sent[0].ContentLength != 7 || sent[0].Header.Get("Authorization") != "Bearer "+canaryToken {
		t.Errorf("got %+v", sent[0])
	}
	for _, r := range sent[1:3] {
		// MTN MoMo API: a POST without a length, or chunked, is answered 411.
		if r.ContentLength != 0 || r.Header.Get("Content-Length") != "0" || len(r.TransferEncoding) != 0 {
			t.Errorf("a POST without body: length %d, header %q, encoding %v", r.ContentLength, r.Header.Get("Content-Length"), r.TransferEncoding)
		}
	}
	for _, r := range sent {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Error("compression is asked for")
		}
	}
	if ua := sent[0].Header.Get("User-Agent"); !strings.HasPrefix(ua, "mobile-money-operator/") {
		t.Errorf("User-Agent %q", ua)
	}
	if sent[3].Header.Get("User-Agent") != "mine/1" || len(sent[3].Header.Values("X-Two")) != 2 {
		t.Errorf("header %v", sent[3].Header)
	}
}

func TestCompressedAnswerIsNotDecoded(t *testing.T) {
	const packed = "\x1f\x8b\x08\x00"
	base, _, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, packed)
	})
	a, err := transport.New(transport.Options{Trusted: local}).Do(t.Context(), call(http.MethodGet, base, nil))
	if err != nil || string(a.Body) != packed {
		t.Errorf("got %q, %v", a.Body, err)
	}
}

func tlsServer(t *testing.T, config *tls.Config) *httptest.Server {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS, s.Config.ErrorLog = config, log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestNotSent(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	strange, old := tlsServer(t, nil), tlsServer(t, &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	roots := x509.NewCertPool()
	roots.AddCert(old.Certificate())
	roots.AddCert(strange.Certificate())
	noName := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "host.example", IsNotFound: true}
	}
	slow := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: context.DeadlineExceeded}
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()

	tests := map[string]struct {
		ctx     context.Context
		options transport.Options
		call    providers.Call
		detail  string
	}{
		"connection refused": {call: call("POST", closed.URL, []byte("{}")), detail: "cannot be opened"},
		"no such name":       {options: transport.Options{DialContext: noName}, call: call("POST", "https://host.example", nil), detail: "cannot be resolved"},
		"dial timed out":     {options: transport.Options{DialContext: slow}, call: call("POST", "https://host.example", nil), detail: "timed out"},
		"unknown authority":  {call: call("POST", strange.URL, nil), detail: "certificate"},
		"wrong host":         {options: transport.Options{RootCAs: roots}, call: call("POST", strings.Replace(strange.URL, "127.0.0.1", "localhost", 1), nil), detail: "certificate"},
		"TLS below 1.2":      {options: transport.Options{RootCAs: roots}, call: call("POST", old.URL, nil), detail: "failed"},
		"context over":       {ctx: over, call: call("POST", strange.URL, nil), detail: "canceled"},
		"URL with password":  {call: call("POST", "https://user:"+canaryToken+"@host.example", nil), detail: "URL"},
		"URL without host":   {call: call("POST", "", nil), detail: "URL"},
		"URL of a file":      {call: call("POST", "file://host.example", nil), detail: "URL"},
		"URL unreadable":     {call: call("POST", "https://host.example/%zz", nil), detail: "URL"},
		"bad method":         {call: call("NO METHOD", strange.URL, nil), detail: "cannot be built"},
		"header with break":  {call: providers.Call{Method: "POST", URL: strange.URL, Header: http.Header{"Authorization": {canaryToken + "\r\nX: y"}}}},
		"idempotency key":    {call: providers.Call{Method: "POST", URL: strange.URL, Header: http.Header{"Idempotency-Key": {"1"}}}, detail: "idempotency"},
		"other spelling":     {call: providers.Call{Method: "POST", URL: strange.URL, Header: http.Header{"x-idempotency-KEY": {"1"}}}, detail: "idempotency"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			ctx := tt.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			tt.options.Trusted = local
			_, err := transport.New(tt.options).Do(ctx, tt.call)
			checkError(t, err, providers.ClassNotSent)
			if !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("%q does not say %q", err, tt.detail)
			}
		})
	}
}

func TestContextOverWhileDialling(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	_, err := transport.New(transport.Options{DialContext: dial}).Do(ctx, call("POST", "https://host.example", []byte("{}")))
	checkError(t, err, providers.ClassNotSent)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%q must be a cancellation", err)
	}
}

func TestProxy(t *testing.T) {
	base, sent, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	proxy, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	tr := transport.New(transport.Options{Proxy: http.ProxyURL(proxy)})
	_, err = tr.Do(t.Context(), call("POST", "https://host.example", []byte("{}")))
	checkError(t, err, providers.ClassNotSent)
	if len(*sent) != 1 || (*sent)[0].Method != http.MethodConnect {
		t.Errorf("the proxy was asked for %v", *sent)
	}
}

func TestUnknown(t *testing.T) {
	says := func(text string) func(net.Conn) {
		return func(c net.Conn) {
			readRequest(c)
			_, _ = io.WriteString(c, text)
		}
	}
	reset := func(c net.Conn) {
		readRequest(c)
		_ = c.(*net.TCPConn).SetLinger(0)
	}
	const length = "HTTP/1.1 202 Accepted\r\nContent-Length: "
	tests := map[string]struct {
		serve  func(net.Conn)
		detail string
		status int
	}{
		"closed without reading": {serve: func(net.Conn) {}},
		"closed after reading":   {serve: says(""), detail: "cut short or missing"},
		"reset after reading":    {serve: reset},
		"no HTTP":                {serve: says(canaryPhone + " " + canaryToken + "\r\n\r\n")},
		"headers cut short":      {serve: says("HTTP/1.1 202 Accepted\r\nX-A: " + canaryToken)},
		"headers too large":      {serve: says("HTTP/1.1 202 Accepted\r\nX-A: " + strings.Repeat("a", 128<<10) + "\r\n\r\n")},
		"body cut short":         {serve: says(length + "100\r\n\r\n" + canaryPhone), detail: "cut short", status: 202},
		"chunks cut short":       {serve: says("HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), detail: "cut short", status: 201},
		"body too large":         {serve: says(length + "1048577\r\n\r\n" + strings.Repeat("a", 1<<20+1)), detail: "too large", status: 202},
	}
	for name, tt := range tests {
		for _, c := range []providers.Call{{Method: "POST", Body: []byte(`{"phone":"` + canaryPhone + `"}`)}, {Method: "POST"}, {Method: "GET"}} {
			t.Run(fmt.Sprintf("%s, %s with %d bytes", name, c.Method, len(c.Body)), func(t *testing.T) {
				base, accepted := raw(t, func(_ int, c net.Conn) { tt.serve(c) })
				tr := transport.New(transport.Options{Trusted: local})
				_, err := tr.Do(t.Context(), call(c.Method, base, c.Body))
				checkError(t, err, providers.ClassUnknown)
				if e := providers.AsError(err); !strings.Contains(e.Detail, tt.detail) || e.HTTPStatus != tt.status || e.Operation != "test" {
					t.Errorf("got %+v", e)
				}
				if n := accepted.Load(); n != 1 {
					t.Errorf("%d connections for one call", n)
				}
			})
		}
	}
}

func TestBodyOfTheLargestSize(t *testing.T) {
	base, _, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("a", 1<<20)) })
	a, err := transport.New(transport.Options{Trusted: local}).Do(t.Context(), call("GET", base, nil))
	if err != nil || len(a.Body) != 1<<20 {
		t.Errorf("%d bytes, %v", len(a.Body), err)
	}
}

// A server that closes connections that look idle, at the worst moment: when the second request is there. net/http
// would repeat a GET, a POST without a body, or one with an idempotency header, if it had reused the connection.
func TestIdleConnectionsAreNotReused(t *testing.T) {
	var requests atomic.Int64
	base, accepted := raw(t, func(_ int, c net.Conn) {
		reader := bufio.NewReader(c)
		for n := 0; ; n++ {
			r, err := http.ReadRequest(reader)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			requests.Add(1)
			if n > 0 {
				return // dies with the second request in hand
			}
			_, _ = io.WriteString(c, okAnswer)
		}
	})
	tr := transport.New(transport.Options{Trusted: local})
	for i, c := range []providers.Call{
		call("POST", base, []byte("{}")), call("POST", base, nil), call("GET", base, nil), call("POST", base, []byte("{}")),
	} {
		if _, err := tr.Do(t.Context(), c); err != nil {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if requests.Load() != 4 || accepted.Load() != 4 {
		t.Errorf("%d requests on %d connections, want 4 on 4", requests.Load(), accepted.Load())
	}
}

func TestTimeoutsAfterSending(t *testing.T) {
	serve := map[string]string{
		"no answer":       "",
		"endless body":    "HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nab",
		"endless headers": "HTTP/1.1 202 Accepted\r\n",
	}
	for name, text := range serve {
		for limit, want := range map[time.Duration]error{0: context.Canceled, 50 * time.Millisecond: context.DeadlineExceeded} {
			t.Run(fmt.Sprintf("%s, %v", name, want), func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				base, _ := raw(t, func(_ int, c net.Conn) {
					readRequest(c)
					_, _ = io.WriteString(c, text)
					if limit == 0 {
						cancel()
					}
					_, _ = io.Copy(io.Discard, c) // until the client gives up
				})
				_, err := transport.New(transport.Options{Timeout: limit, Trusted: local}).Do(ctx, call("POST", base, []byte("{}")))
				checkError(t, err, providers.ClassUnknown)
				if !errors.Is(err, want) {
					t.Errorf("%q must be: %v", err, want)
				}
			})
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	t.Cleanup(s.Close)
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	a, err := transport.New(transport.Options{RootCAs: roots, Proxy: noProxy, Trusted: local}).Do(t.Context(), call("POST", s.URL, []byte("{}")))
	if err != nil || string(a.Body) != "HTTP/1.1" {
		t.Errorf("%q, %v", a.Body, err)
	}
}
