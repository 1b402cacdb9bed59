package main

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// probe asks the program for something as soon as it announces itself.
type probe struct {
	bytes.Buffer
	stop   context.CancelFunc
	status int
}

func (p *probe) Write(b []byte) (int, error) {
	n, err := p.Buffer.Write(b)
	if url, ok := strings.CutPrefix(string(b), "admin         "); ok {
		url, _, _ = strings.Cut(url, "{")
		if resp, err := http.Get(url + "ledger"); err == nil {
			p.status = resp.StatusCode
			resp.Body.Close()
		}
		p.stop()
	}
	return n, err
}

func TestRun(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	out := &probe{stop: stop}
	ledger := filepath.Join(t.TempDir(), "ledger")
	err := run(ctx, []string{"-listen", "127.0.0.1:0", "-speed", "60", "-ledger", ledger, "-auto-pay", "25s",
		"-wave-callback", "http://a.example,http://b.example", "-wave-secret", "one,two"}, out)
	if err != nil || out.status != 200 {
		t.Errorf("run: %v, ledger answered %d", err, out.status)
	}
	for _, want := range []string{"/mtn\n", "/orange/orange-money-webpay/dev/v1", "/orange/oauth/v3/token", "/wave\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("announcement lacks %q: %s", want, out.String())
		}
	}
	if _, err := os.Stat(ledger); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	o, autoPay, err := options([]string{"-wave-callback", "http://a,http://b", "-wave-secret", "one,two", "-payer-opens"})
	if err != nil || autoPay != 0 || !o.PayerOpens || len(o.Wave.Callbacks) != 2 || len(o.Wave.Callbacks[1].SigningSecrets) != 2 {
		t.Errorf("%+v %v", o, err)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{{"-nonsense"}, {"-ledger", t.TempDir()}, {"-listen", "nowhere"}} {
		if err := run(context.Background(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was taken", args)
		}
	}
}
