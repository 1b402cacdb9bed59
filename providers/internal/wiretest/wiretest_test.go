package wiretest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
)

// recorder is a testing.TB that only notes whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any)     { r.failed = true }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = true }
func (r *recorder) Helper()                   {}

func TestServerFollowsItsScript(t *testing.T) {
	r := &recorder{TB: t}
	s := wiretest.Start(r,
		wiretest.Answer{Status: 202, Body: "ok", Header: map[string]string{"X-Test": "1"}},
		wiretest.Answer{Lost: true},
	)
	resp, err := http.Post(s.URL+"/a?b=c", "application/json", strings.NewReader(`{"n":1,"s":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 202 || string(body) != "ok" || resp.Header.Get("X-Test") != "1" {
		t.Errorf("got %d %q", resp.StatusCode, body)
	}
	if object := s.Requests()[0].Object(t); object["n"] == object["s"] {
		t.Error("numbers and strings must stay different")
	}
	if resp, err := http.Post(s.URL+"/lost", "", http.NoBody); err == nil {
		_ = resp.Body.Close()
		t.Error("a lost answer must be an error")
	}
	if r.failed {
		t.Error("the script was followed")
	}
	if resp, err := http.Post(s.URL+"/more", "", http.NoBody); err == nil {
		_ = resp.Body.Close()
	}
	if !r.failed {
		t.Error("a request too many must fail the test")
	}
	if got := strings.Join(s.Seen(), ","); got != "POST /a?b=c,POST /lost,POST /more" {
		t.Error(got)
	}
	r.failed = false
	wiretest.Request{Body: "no"}.Object(r)
	if !r.failed {
		t.Error("a body that is no object must fail the test")
	}
}

func TestNoCanary(t *testing.T) {
	r := &recorder{TB: t}
	wiretest.NoCanary(r, "harmless", "secret")
	if r.failed {
		t.Error("nothing leaked")
	}
	wiretest.NoCanary(r, "a secret", "secret")
	if !r.failed {
		t.Error("the leak must be found")
	}
}

func TestSaid(t *testing.T) {
	tests := []struct {
		body string
		path []string
		want string
	}{
		{`{"code":"A"}`, []string{"code"}, "A"},
		{`{"Code":1204}`, []string{"code"}, "1204"},
		{`{"code":-1.50}`, []string{"code"}, "-1.50"},
		{`{"reason":{"code":"A"}}`, []string{"reason", "code"}, "A"},
		{`{"reason":"A"}`, []string{"reason", "code"}, ""},
		{`{"code":"A","Code":"B"}`, []string{"code"}, ""},
		{`{"code":"A","code":"B"}`, []string{"code"}, ""},
		{`{"code":null}`, []string{"code"}, ""},
		{`{"code":{}}`, []string{"code"}, ""},
		{`{"code":"A"}x`, []string{"code"}, ""},
		{`["code"]`, []string{"code"}, ""},
		{``, []string{"code"}, ""},
	}
	for _, test := range tests {
		if got := wiretest.Said([]byte(test.body), test.path...); got != test.want {
			t.Errorf("%s %v: %q, want %q", test.body, test.path, got, test.want)
		}
	}
}

func TestPlanted(t *testing.T) {
	for body, want := range map[string]string{
		"": "", " \n": " \n", "<html>": "<html>canary!", "[]": "[]canary!",
		"{}": `{"canary!":"canary!"}`, `{ "a":1}`: `{"canary!":"canary!", "a":1}`,
	} {
		if got := string(wiretest.Planted([]byte(body))); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

func TestCheckShown(t *testing.T) {
	body := []byte(`{"code":"canary-1"}`)
	tests := map[string]struct {
		err  error
		fail bool
	}{
		"says nothing":        {&providers.Error{Class: providers.ClassUnknown, Detail: "HTTP 500"}, false},
		"shows the code":      {&providers.Error{Class: providers.ClassRejected, Code: "canary-1"}, false},
		"shows the body":      {errors.New("canary! was the answer"), true},
		"shows a URL":         {errors.New("calling https://api.example"), true},
		"shows what is named": {errors.New("for 221770102030"), true},
		"a wait":              {&providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Minute}, false},
		"no wait at all":      {&providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Millisecond}, true},
		"a wait for ever":     {&providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Hour}, true},
	}
	for name, test := range tests {
		r := &recorder{TB: t}
		if wiretest.CheckShown(r, body, test.err, "221770102030"); r.failed != test.fail {
			t.Errorf("%s: failed is %v", name, r.failed)
		}
	}
}
