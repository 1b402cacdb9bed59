// Package transport is the only HTTP client of the project. It is built for
// requests that move money: it sends each one once, and knows whether it left.
package transport

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mobilemoney.dev/operator/providers"
)

const (
	// MTN's token calls take 10-20 s on its new platform.
	defaultTimeout = 30 * time.Second
	maxBody        = 1 << 20
	maxHeaderBytes = 64 << 10
	dialTimeout    = 10 * time.Second
)

// Options of a Transport. The zero value is what production runs with.
type Options struct {
	// Timeout of one call from dialling to the last byte of the answer; default 30 s. A context that ends sooner wins.
	Timeout time.Duration
	// Trusted hosts, without ports, may be at any address. All others have to be at
	// public ones: a host that somebody names must not lead into the private network.
	Trusted []string
	// Resolver looks host names up; nil: the system's.
	Resolver *net.Resolver
	// DialContext opens connections, to whatever address; default one that keeps to Trusted. For tests.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Proxy chooses a proxy; default http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// RoundTripper sends requests in place of the network, which the options below and DialContext are for; it tells a
	// trace in the request's context (GotConn) from when on the request may have left. For tests.
	RoundTripper http.RoundTripper
	// RootCAs that servers are verified against; nil: the system's.
	RootCAs *x509.CertPool
}

// Transport sends requests. It implements providers.Transport.
type Transport struct {
	options Options
	http    http.RoundTripper
}

var _ providers.Transport = (*Transport)(nil)

// New returns a Transport.
func New(o Options) *Transport {
	o.Timeout = cmp.Or(o.Timeout, defaultTimeout)
	if o.RoundTripper != nil {
		return &Transport{options: o, http: o.RoundTripper}
	}
	if o.DialContext == nil {
		o.DialContext = dialer{net.Dialer{Timeout: dialTimeout, Resolver: o.Resolver}, o.Trusted}.dial
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Transport{options: o, http: &http.Transport{
		Proxy:       o.Proxy,
		DialContext: o.DialContext,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            o.RootCAs,
			ClientSessionCache: tls.NewLRUClientSessionCache(0),
		},
		TLSHandshakeTimeout: dialTimeout,
		// One connection per request. net/http repeats requests by itself, but only on a connection that was used
		// before; and a request on an idle connection that died would be one without an outcome.
		DisableKeepAlives: true,
		// HTTP/2 would share connections, and repeat what a server refused.
		Protocols:              protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}}
}

// Do sends one request, once: no redirect, no repetition, no cookies.
func (t *Transport) Do(ctx context.Context, call providers.Call) (providers.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, t.options.Timeout)
	defer cancel()

	// A connection is used for one request, which is written as soon as there
	// is a connection: until then not a byte of it has left.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req, err := request(ctx, call)
	if err != nil {
		return providers.Answer{}, err
	}
	if t.proxied(req) {
		req = req.WithContext(context.WithValue(ctx, viaProxy{}, true))
	}
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		class := providers.ClassNotSent
		if connected.Load() {
			class = providers.ClassUnknown
		} else if errors.Is(err, errNotPublic) {
			class = providers.ClassMisconfigured
		}
		return providers.Answer{}, failure(ctx, call.Operation, class, err)
	}
	defer resp.Body.Close()
	return read(ctx, call.Operation, resp)
}

func (t *Transport) proxied(req *http.Request) bool {
	if t.options.Proxy == nil {
		return false
	}
	proxy, err := t.options.Proxy(req)
	return err == nil && proxy != nil
}

func request(ctx context.Context, call providers.Call) (*http.Request, error) {
	u, err := url.Parse(call.URL)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, notSent(call.Operation, "the URL cannot be used")
	}
	var body io.Reader // nil goes out with Content-Length 0, never chunked
	if len(call.Body) > 0 {
		body = bytes.NewReader(call.Body)
	}
	req, err := http.NewRequestWithContext(ctx, call.Method, call.URL, body)
	if err != nil {
		return nil, notSent(call.Operation, "the request cannot be built")
	}
	// Without GetBody net/http cannot send the body a second time.
	req.GetBody = nil
	for name, values := range call.Header {
		// net/http takes such a header for leave to repeat a POST.
		if strings.EqualFold(name, "Idempotency-Key") || strings.EqualFold(name, "X-Idempotency-Key") {
			return nil, notSent(call.Operation, "idempotency headers are not allowed")
		}
		for _, v := range values {
			req.Header.Add(name, v)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "mobile-money-operator/"+version())
	}
	return req, nil
}

func read(ctx context.Context, op providers.Operation, resp *http.Response) (providers.Answer, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) <= maxBody {
		return providers.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
	}
	e := &providers.Error{Class: providers.ClassUnknown, Operation: op, Fault: providers.FaultProvider, Detail: "the answer is too large"}
	if err != nil {
		e = failure(ctx, op, providers.ClassUnknown, err)
	}
	e.HTTPStatus = resp.StatusCode
	return providers.Answer{}, e
}

func notSent(op providers.Operation, detail string) *providers.Error {
	return &providers.Error{Class: providers.ClassNotSent, Operation: op, Fault: providers.FaultProvider, Detail: detail}
}

// failure says in fixed words what went wrong. The cause itself may hold the
// URL, an address or a header; of it only a context's end is kept.
func failure(ctx context.Context, op providers.Operation, class providers.Class, cause error) *providers.Error {
	e := &providers.Error{Class: class, Operation: op, Fault: class.Fault(), Detail: describe(cause)}
	if err := ctx.Err(); err != nil {
		e.Detail, e.Err = "", err
	}
	return e
}

func describe(err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		plain       tls.RecordHeaderError
		op          *net.OpError
		network     net.Error
	)
	switch {
	case errors.Is(err, errNotPublic):
		return "the host is at a private address, and the operator does not trust it with --allowed-endpoints"
	case errors.As(err, &dns):
		return "the host name cannot be resolved"
	case errors.As(err, &certificate):
		return "the server's certificate is not accepted"
	case errors.As(err, &plain):
		return "the server does not speak TLS at this port"
	case errors.As(err, &network) && network.Timeout():
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the answer is cut short or missing"
	case errors.As(err, &op) && op.Op == "dial":
		return "the connection cannot be opened"
	default:
		return "the connection failed"
	}
}

var version = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		return info.Main.Version
	}
	return "dev"
})
