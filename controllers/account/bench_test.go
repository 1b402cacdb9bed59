package account

import (
	"fmt"
	"testing"
	"time"
)

// Reserve runs before every call to a provider, under the lock of its limiter. The clock moves as fast as
// it must for a call to be allowed each time, where nobody waits.
func BenchmarkLimiter(b *testing.B) {
	who := Caller{Name: "shop/order-1042", Namespace: "shop", Purpose: ToSend, Since: noon}
	limiter := func(perSecond int) (*Client, *time.Time) {
		now := noon
		return &Client{limiter: newLimiter(perSecond, func() time.Time { return now }, nil)}, &now
	}
	crowded := func(namespaces, each int) *Client {
		client, _ := limiter(5)
		for i := range namespaces {
			for _, c := range crowd(each, fmt.Sprintf("shop-%d", i), Scheduled, noon) {
				client.Reserve(c)
			}
		}
		return client
	}
	b.Run("reserve_release", func(b *testing.B) {
		client, now := limiter(5)
		b.ReportAllocs()
		for b.Loop() {
			*now = now.Add(time.Second)
			if client.Reserve(who) > 0 {
				b.Fatal("limited")
			}
			client.Release(who)
		}
	})
	b.Run("unlimited", func(b *testing.B) {
		client, _ := limiter(0)
		b.ReportAllocs()
		for b.Loop() {
			client.Reserve(who)
			client.Release(who)
		}
	})
	for _, c := range []struct {
		name             string
		namespaces, each int
	}{
		{"waiting=100", 1, 100},
		{"waiting=10000", 1, 10_000},
		{"waiting=10000_namespaces=1000", 1000, 10},
	} {
		b.Run(c.name, func(b *testing.B) {
			client := crowded(c.namespaces, c.each)
			last := crowd(c.each, "shop-0", Scheduled, noon)[c.each-1]
			b.ReportAllocs()
			for b.Loop() {
				if client.Reserve(last) == 0 {
					b.Fatal("not limited")
				}
			}
		})
	}
	// A new caller joins the crowd, and leaves it.
	b.Run("join_waiting=9000", func(b *testing.B) {
		w := &crowded(1, 9_000).limiter.window
		b.ReportAllocs()
		for b.Loop() {
			w.waiting.leave(w.waiting.join(who, noon))
		}
	})
}
