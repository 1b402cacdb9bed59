// Package wiretest helps to test the adapters on a real wire: a server that
// records what it is asked and answers from a script.
package wiretest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
	"mobilemoney.dev/operator/providers/transport"
)

// Answer of the script. Lost reads the request and answers nothing.
type Answer struct {
	Status int
	Body   string
	Header map[string]string
	Lost   bool
}

// Request as it arrived.
type Request struct {
	Method           string
	URI              string
	Header           http.Header
	Body             string
	ContentLength    int64
	TransferEncoding []string
}

// Server answers each request with the next answer of its script.
type Server struct {
	URL string

	t        testing.TB
	mu       sync.Mutex
	script   []Answer
	requests []Request
}

// Start runs a server until the test ends. The test fails if a request comes
// that the script has no answer for.
func Start(t testing.TB, script ...Answer) *Server {
	t.Helper()
	s := &Server{t: t, script: script}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s.next(r)
	switch {
	case !ok:
		s.t.Errorf("a request that the script does not expect: %s %s", r.Method, r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
	case answer.Lost:
		panic(http.ErrAbortHandler)
	default:
		for k, v := range answer.Header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(answer.Status)
		_, _ = io.WriteString(w, answer.Body)
	}
}

func (s *Server) next(r *http.Request) (Answer, bool) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{
		Method: r.Method, URI: r.RequestURI, Header: r.Header, Body: string(body),
		ContentLength: r.ContentLength, TransferEncoding: r.TransferEncoding,
	})
	if len(s.script) == 0 {
		return Answer{}, false
	}
	answer := s.script[0]
	s.script = s.script[1:]
	return answer, true
}

// Requests that arrived so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Seen is "METHOD URI" of each request.
func (s *Server) Seen() []string {
	var out []string
	for _, r := range s.Requests() {
		out = append(out, r.Method+" "+r.URI)
	}
	return out
}

// Object reads the JSON body. Numbers stay json.Number, so that a test can
// tell them from strings.
func (r Request) Object(t testing.TB) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.Body))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		t.Fatalf("the body is no JSON object: %v", err)
	}
	return out
}

// CheckHeader compares some of the headers; an empty one must not be there.
func (r Request) CheckHeader(t testing.TB, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, sent := r.Header.Get(name), len(r.Header.Values(name)) > 0; got != value || sent != (value != "") {
			t.Errorf("%s %s: header %s: %q, want %q", r.Method, r.URI, name, got, value)
		}
	}
}

// Client of an account at this machine.
func Client(t testing.TB, k providers.Kind, a providers.Account, now func() time.Time) providers.Provider {
	t.Helper()
	p, err := k.New(a, transport.New(transport.Options{Trusted: []string{"127.0.0.1"}}), now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// CheckError compares the parts of an error that decide: all but whose fault it is, and the
// texts. These must not hold a URL, nor a canary.
func CheckError(t testing.TB, err error, want providers.Error, canaries ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("want %+v", want)
	}
	got := *providers.AsError(err)
	got.Operation, got.Fault, got.Field, got.Detail, got.Err = "", "", "", "", nil
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	NoCanary(t, fmt.Sprintf("%v %+v", err, err), append(canaries, "canary", "Y2FuYXJ5", "http://", "https://")...)
}

// CheckEndpoint fills an account in, twice with the same result; or it, and New, say what is
// missing.
func CheckEndpoint(t testing.TB, k providers.Kind, a, want providers.Account, says string) {
	t.Helper()
	got, err := k.Endpoint(a)
	if says != "" {
		_, errNew := k.New(a, nil, nil)
		for _, err := range []error{err, errNew} {
			if providers.ClassOf(err) != providers.ClassMisconfigured || !strings.Contains(err.Error(), says) {
				t.Errorf("%v does not say %q", err, says)
			}
		}
		return
	}
	if err != nil || got.BaseURL != want.BaseURL || got.TokenURL != want.TokenURL || got.TargetEnvironment != want.TargetEnvironment {
		t.Errorf("got %+v, %v", got, err)
	}
	if again, err := k.Endpoint(got); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("a second time: %+v, %v", again, err)
	}
}

// CheckVectors holds references to what they were derived as before: of a digest of zeros, one
// of ones, and those of "abc" and "1042". A changed reference charges open payments again.
func CheckVectors(t testing.TB, derive func([32]byte) string, zeros, ones, abc, order string) {
	t.Helper()
	full := [32]byte{}
	for i := range full {
		full[i] = 0xff
	}
	for digest, want := range map[[32]byte]string{
		{}: zeros, full: ones, sha256.Sum256([]byte("abc")): abc, sha256.Sum256([]byte("1042")): order,
	} {
		if got := derive(digest); got != want {
			t.Errorf("%x: %s, want %s", digest, got, want)
		}
	}
}

// CheckMoney compares what an account's money becomes on the wire; refused money is none.
func CheckMoney(t testing.TB, k providers.Kind, a providers.Account, m, want providers.Money) {
	t.Helper()
	got, err := k.WireMoney(a, m)
	if got != want || (err == nil) != (want.Amount != "") || err != nil && providers.ClassOf(err) != providers.ClassRejected {
		t.Errorf("%v in %s: %v, %v; want %v", m, a.Environment, got, err, want)
	}
}

// NewClock is a clock that only moves when told, at a fixed time.
func NewClock() *simulator.Clock { return simulator.NewClock(time.Unix(1_790_000_000, 0)) }

// CheckDiagnosis compares all of an error but its texts, in which the words have to be.
func CheckDiagnosis(t testing.TB, err error, want providers.Error, says ...string) {
	t.Helper()
	got := *providers.AsError(err)
	for _, words := range says {
		if !strings.Contains(got.Detail, words) {
			t.Errorf("%q does not say %q", got.Detail, words)
		}
	}
	NoCanary(t, got.Error(), "canary", "http://", "https://")
	if got.Detail, got.Err = "", nil; err == nil || got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// NoCanary fails the test if a text holds one of the canaries.
func NoCanary(t testing.TB, text string, canaries ...string) {
	t.Helper()
	for _, c := range canaries {
		if strings.Contains(text, c) {
			t.Errorf("%q leaks %q", text, c)
		}
	}
}
