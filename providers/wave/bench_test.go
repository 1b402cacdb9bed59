package wave_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/wave"
)

func BenchmarkProvider(b *testing.B) {
	answers := wiretest.Canned{
		providers.OpInitiate: wiretest.OK(session(id, "open", "processing")), providers.OpStatus: wiretest.OK(session(id, "complete", "succeeded")),
		providers.OpSearch: wiretest.OK(`{"result":[` + session(id, "open", "processing") + `]}`),
	}
	run := func(name string, a providers.Account, f func(context.Context, *wave.Provider) error) {
		wiretest.Bench(b, name, wave.Kind(), a, answers, f)
	}
	initiate := func(ctx context.Context, p *wave.Provider) error {
		_, err := p.Initiate(ctx, request())
		return err
	}
	signs := account()
	signs.Credentials = maps.Clone(signs.Credentials)
	signs.Credentials[wave.KeySigning] = "canary-signing"
	run("initiate", account(), initiate)
	run("initiate_signed", signs, initiate)
	run("status", account(), func(ctx context.Context, p *wave.Provider) error {
		_, err := p.Status(ctx, handle())
		return err
	})
	run("search", account(), func(ctx context.Context, p *wave.Provider) error {
		_, err := p.Search(ctx, ref)
		return err
	})
}

// A callback is verified over its whole body before it is read, with each secret of its account.
func BenchmarkParseCallback(b *testing.B) {
	header := fmt.Sprintf("t=%d,v1=%s", publishedTime, publishedSum)
	for _, c := range []struct {
		name  string
		cb    providers.CallbackRequest
		valid bool
	}{
		{"valid", callback(header, publishedBody, publishedTime, publishedSecret), true},
		{"rotated", callback(header, publishedBody, publishedTime, otherSecret+"\n"+publishedSecret), true},
		{"forged", callback(header, publishedBody, publishedTime, otherSecret), false},
		{"forged_16_signatures", callback(header+strings.Repeat(",v1="+wrong, 15), publishedBody, publishedTime, otherSecret), false},
		{"forged_64KiB", callback(header, publishedBody+strings.Repeat(" ", 64<<10), publishedTime, publishedSecret), false},
		{"bearer", withBearer(callback("", publishedBody, publishedTime, publishedSecret), publishedSecret), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (wave.Callbacks{}).ParseCallback(c.cb); (err == nil) != c.valid {
					b.Fatal(err)
				}
			}
		})
	}
}
