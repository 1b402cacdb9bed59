package mtn_test

import (
	"context"
	"testing"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/mtn"
)

func BenchmarkProvider(b *testing.B) {
	answers := wiretest.Canned{providers.OpToken: tokenAnswer, providers.OpInitiate: accepted, providers.OpStatus: successful}
	run := func(name string, f func(context.Context, *mtn.Provider) error) {
		wiretest.Bench(b, name, mtn.Kind(), account(), answers, f)
	}
	run("initiate", func(ctx context.Context, p *mtn.Provider) error {
		_, err := p.Initiate(ctx, request())
		return err
	})
	run("status", func(ctx context.Context, p *mtn.Provider) error {
		_, err := p.Status(ctx, handle())
		return err
	})
}

func BenchmarkParseCallback(b *testing.B) {
	cb := providers.CallbackRequest{Body: []byte(successful.Body)}
	b.Run("paid", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (mtn.Callbacks{}).ParseCallback(cb); err != nil {
				b.Fatal(err)
			}
		}
	})
}
