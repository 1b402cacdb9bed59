package main

import (
	"context"
	"fmt"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

// payAfter is how long payers take: long enough that the callback finds a payment at rest.
const payAfter = time.Second

// paced pays evenly, with callbacks, and measures how long each takes from its callback to its end.
func (t *trial) paced(ctx context.Context) error {
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		measure := func(of string) func(context.Context, *process.Process) error {
			return func(ctx context.Context, _ *process.Process) error {
				for _, rate := range []int{5, 20} {
					all, fresh, err := s.pace(ctx, fmt.Sprintf("%s-%d", of, rate), float64(rate), t.during(30*time.Second))
					if err != nil {
						return err
					}
					t.logf("        %s, %d a second: callback to end p50 %.1f ms, p99 %.1f ms; creation to asked p99 %.1f ms", of, rate, all.at(0.5), all.at(0.99), fresh.at(0.99))
					key := fmt.Sprintf("%s_%d", of, rate)
					t.report.raw("paced", key+"_callback_p50_ms", all.at(0.5))
					t.report.raw("paced", key+"_callback_p99_ms", all.at(0.99))
					t.report.raw("paced", key+"_asked_p99_ms", fresh.at(0.99))
					if rate == 20 {
						t.report.raw("paced", of+"_p50", all.at(0.5))
						t.report.raw("paced", of+"_p99", all.at(0.99))
					}
				}
				return nil
			}
		}
		if err := s.floored(ctx, measure("floor")); err != nil {
			return err
		}
		err := s.managed(ctx, func(ctx context.Context, m *manager) error { return measure("manager")(ctx, m.Process) })
		if err != nil {
			return err
		}
		t.report.set("callback_p50_ratio", t.report.ratio("paced", "manager_20_callback_p50_ms", "floor_20_callback_p50_ms"))
		t.report.set("callback_p99_ratio", t.report.ratio("paced", "manager_20_callback_p99_ms", "floor_20_callback_p99_ms"))
		return nil
	})
}

// pace sells evenly, and returns how long the sales took from callback to end, and from creation until the payer was asked.
func (s *stage) pace(ctx context.Context, name string, perSecond float64, during time.Duration) (back, fresh latencies, err error) {
	s.paid(payAfter)
	sales := s.market.plan(name, int(perSecond*during.Seconds()))
	if err := s.market.sell(ctx, sales, perSecond); err != nil {
		return nil, nil, err
	}
	if err := s.market.wait(ctx, sales, ended, burstWithin); err != nil {
		return nil, nil, err
	}
	return s.market.took(sales, s.market.calledBack(), endedAt), s.market.took(sales, createdAt, askedAt), nil
}
