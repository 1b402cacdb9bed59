package main

import (
	"context"
	"fmt"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

const (
	// manyShops have a limit at the provider each, so that no limit is what is measured.
	manyShops = 40
	pollEvery = 2 * time.Minute
	// burstWithin is the longest that a burst may take.
	burstWithin = 10 * time.Minute
)

// round is one burst.
type round struct {
	perSecond float64
	used      usage // per payment
	// refused callbacks by what was answered.
	refused map[string]int
}

// burst pays many at once, over many accounts: the floor before and after the manager.
func (t *trial) burst(ctx context.Context) error {
	n := t.of(1000, 40)
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		var floor, ours []round
		one := func(name string, into *[]round) func(context.Context, *process.Process) error {
			return func(ctx context.Context, client *process.Process) error {
				r, err := s.round(ctx, client, fmt.Sprintf("%s-%d", name, len(*into)), n)
				*into = append(*into, r)
				t.logf("        %s: %.1f payments a second; ms of processor time a payment: %s", name, r.perSecond, r.used)
				return err
			}
		}
		managed := func() error {
			return s.managed(ctx, func(ctx context.Context, m *manager) error {
				return one("manager", &ours)(ctx, m.Process)
			})
		}
		for _, do := range []func() error{
			func() error { return s.floored(ctx, one("floor", &floor)) },
			managed,
			func() error { return s.empty(ctx) },
			func() error { return s.floored(ctx, one("floor", &floor)) },
			managed,
			func() error { return s.empty(ctx) },
			func() error { return s.floored(ctx, one("floor", &floor)) },
		} {
			if err := do(); err != nil {
				return err
			}
		}
		t.report.set("throughput_ratio", mean(ours, throughput)/mean(floor, throughput))
		t.report.set("cpu_ratio", mean(ours, totalTime)/mean(floor, totalTime))
		for name, rounds := range map[string][]round{"floor": floor, "manager": ours} {
			t.report.raw("burst", name+"_payments_per_second", mean(rounds, throughput))
			t.report.raw("burst", name+"_cpu_ms_per_payment", mean(rounds, totalTime))
			for _, part := range []string{"etcd", "api_server", "client"} {
				t.report.raw("burst", name+"_"+part+"_cpu_ms_per_payment", mean(rounds, func(r round) float64 { return milliseconds(r.used[part]) }))
			}
		}
		t.report.raw("burst", "payments", n)
		return nil
	})
}

func (s *stage) round(ctx context.Context, client *process.Process, name string, n int) (r round, err error) {
	s.paid(0)
	sales := s.market.plan(name, n)
	before, err := s.used(client)
	if err != nil {
		return r, err
	}
	if err := s.market.sell(ctx, sales, 0); err != nil {
		return r, err
	}
	if err := s.market.wait(ctx, sales, ended, burstWithin); err != nil {
		return r, err
	}
	after, err := s.used(client)
	if err != nil {
		return r, err
	}
	r.used = after.since(before)
	for part := range r.used {
		r.used[part] /= time.Duration(n)
	}
	first, last := sales[0].created, sales[0].ended
	for _, one := range sales {
		if one.created.Before(first) {
			first = one.created
		}
		if one.ended.After(last) {
			last = one.ended
		}
	}
	r.perSecond = float64(n) / last.Sub(first).Seconds()
	back := s.market.took(sales, s.market.calledBack(), endedAt)
	r.refused = s.refusedCallbacks()
	s.trial.logf("        callback to end p50 %.0f ms, longest %.0f ms; callbacks that were not taken: %v", back.at(0.5), back.at(1), r.refused)
	return r, nil
}

func throughput(r round) float64 { return r.perSecond }
func totalTime(r round) float64  { return milliseconds(r.used.total()) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mean[T any](all []T, of func(T) float64) (sum float64) {
	for _, one := range all {
		sum += of(one)
	}
	return sum / float64(len(all))
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f (etcd %.1f, API server %.1f, client %.1f)",
		milliseconds(u.total()), milliseconds(u["etcd"]), milliseconds(u["api_server"]), milliseconds(u["client"]))
}
