// Package wiretest helps to test the adapters: a transport that keeps what it is told to send
// and answers from a script, and checks of what came of it.
package wiretest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/simulator"
)

// Base is the address of the API in these tests.
const Base = "https://api.example"

// Answer of the script. Lost: the call leaves, and nothing comes back.
type Answer struct {
	Status int
	Body   string
	Header http.Header
	Lost   bool
}

// OK is an answer with HTTP 200.
func OK(body string) Answer { return Answer{Status: http.StatusOK, Body: body} }

// Script is a transport that gives each call the next answer. The test fails if there is none.
type Script struct {
	Calls   []providers.Call
	t       testing.TB
	answers []Answer
}

// Client of an account, and the script that it speaks to.
func Client[P providers.Provider](t testing.TB, k providers.Kind, a providers.Account, answers ...Answer) (P, *Script) {
	t.Helper()
	s := &Script{t: t, answers: answers}
	p, err := k.New(a, s, NewClock().Now)
	if err != nil {
		t.Fatal(err)
	}
	return p.(P), s
}

// Do answers.
func (s *Script) Do(_ context.Context, c providers.Call) (providers.Answer, error) {
	s.Calls = append(s.Calls, c)
	if len(s.answers) == 0 {
		s.t.Errorf("a call that the script does not expect: %s %s", c.Method, c.URL)
		return providers.Answer{}, &providers.Error{Class: providers.ClassNotSent, Operation: c.Operation}
	}
	a := s.answers[0]
	if s.answers = s.answers[1:]; a.Lost {
		return providers.Answer{}, &providers.Error{Class: providers.ClassUnknown, Operation: c.Operation, Fault: providers.FaultProvider}
	}
	return providers.Answer{Status: a.Status, Header: a.Header, Body: []byte(a.Body)}, nil
}

// Seen is "METHOD URI" of each call.
func (s *Script) Seen() []string {
	var out []string
	for _, c := range s.Calls {
		out = append(out, c.Method+" "+strings.TrimPrefix(c.URL, Base))
	}
	return out
}

// Sent is what a call has to be: "METHOD URI", all of its headers, and its JSON object; nil: none.
type Sent struct {
	Call   string
	Header map[string]string
	Body   map[string]any
}

// Check compares all calls with what they have to be.
func (s *Script) Check(t testing.TB, want ...Sent) {
	t.Helper()
	if len(s.Calls) != len(want) {
		t.Fatalf("%v, want %d calls", s.Seen(), len(want))
	}
	for i, w := range want {
		if got := s.Seen()[i]; got != w.Call {
			t.Errorf("%s, want %s", got, w.Call)
		}
		header := http.Header{}
		for name, value := range w.Header {
			header.Set(name, value)
		}
		if got := s.Calls[i].Header; !reflect.DeepEqual(got, header) {
			t.Errorf("%s: header %v, want %v", w.Call, got, header)
		}
		if w.Body == nil && len(s.Calls[i].Body) > 0 || w.Body != nil && !reflect.DeepEqual(s.Object(i), w.Body) {
			t.Errorf("%s: body %s, want %v", w.Call, s.Calls[i].Body, w.Body)
		}
	}
}

// Object is the JSON body of a call. Numbers stay json.Number, so that a test can tell them from strings.
func (s *Script) Object(call int) map[string]any {
	s.t.Helper()
	d := json.NewDecoder(strings.NewReader(string(s.Calls[call].Body)))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		s.t.Fatalf("the body is no JSON object: %v", err)
	}
	return out
}

// CheckUnsent compares the class of an error for a request that is not sent, which shows nothing of it.
func CheckUnsent(t testing.TB, name string, err error, want providers.Class) {
	t.Helper()
	if err == nil || providers.ClassOf(err) != want || providers.AsError(err).HTTPStatus != 0 {
		t.Errorf("%s: %v, want %s", name, err, want)
		return
	}
	NoCanary(t, fmt.Sprintf("%v %+v", err, err), "canary", "http://", "https://", "010203", "020304", "102030")
}

// CheckEndpoint fills an account in, twice with the same result; or it, and New, say what is missing.
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

// Canned is a transport that answers each operation in the same way, however often it is asked.
type Canned map[providers.Operation]Answer

// Do answers.
func (c Canned) Do(_ context.Context, call providers.Call) (providers.Answer, error) {
	a := c[call.Operation]
	return providers.Answer{Status: a.Status, Header: a.Header, Body: []byte(a.Body)}, nil
}

// Bench runs f as the benchmark of a name, with a client whose calls have canned answers. It fails if f does.
func Bench[P providers.Provider](b *testing.B, name string, k providers.Kind, a providers.Account, answers Canned, f func(context.Context, P) error) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		p, err := k.New(a, answers, NewClock().Now)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := f(b.Context(), p.(P)); err != nil {
				b.Fatal(err)
			}
		}
	})
}
