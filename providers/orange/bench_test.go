package orange_test

import (
	"context"
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/orange"
)

func BenchmarkProvider(b *testing.B) {
	answers := wiretest.Canned{providers.OpToken: tokenAnswer, providers.OpInitiate: opened, providers.OpStatus: paid}
	run := func(name string, f func(context.Context, *orange.Provider) error) {
		wiretest.Bench(b, name, orange.Kind(), account(), answers, f)
	}
	run("initiate", func(ctx context.Context, p *orange.Provider) error {
		_, err := p.Initiate(ctx, request())
		return err
	})
	run("status", func(ctx context.Context, p *orange.Provider) error {
		_, err := p.Status(ctx, handle())
		return err
	})
}

// What proves a notification is a token, of which a hash is kept.
func BenchmarkParseCallback(b *testing.B) {
	for _, c := range []struct {
		name, token string
		valid       bool
	}{{"valid", "canary-notif", true}, {"forged", "canary-other", false}} {
		b.Run(c.name, func(b *testing.B) {
			cb := providers.CallbackRequest{
				Body:      []byte(`{"status":"SUCCESS","notif_token":"` + c.token + `","txnid":"MP150709.1341.A00073"}`),
				TokenHash: providers.HashToken("canary-notif"),
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := (orange.Callbacks{}).ParseCallback(cb); (err == nil) != c.valid {
					b.Fatal(err)
				}
			}
		})
	}
}
