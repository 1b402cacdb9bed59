package wiretest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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

func TestClock(t *testing.T) {
	c := wiretest.NewClock()
	before := c.Now()
	c.Advance(time.Minute)
	if c.Now().Sub(before) != time.Minute {
		t.Error("the clock must move by a minute")
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
