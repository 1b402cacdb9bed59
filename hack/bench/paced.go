package main

import (
	"context"
	"fmt"
	"time"

	"mobilemoney.dev/operator/hack/internal/process"
)

// payAfter is how long payers take: long enough that the callback finds a payment at rest.
const payAfter = time.Second

// paced pays evenly, with callbacks, and measures how long each takes from its callback to its end: the floor and the
// manager in turns, so that a machine that is slower for a while is so for both.
func (t *trial) paced(ctx context.Context) error {
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		all := map[string]*pacedLatencies{}
		for round := range 2 {
			measure := func(of string) func(context.Context) error {
				return func(ctx context.Context) error { return s.paceBoth(ctx, all, of, round) }
			}
			err := s.floored(ctx, func(ctx context.Context, _ *process.Process) error { return measure("floor")(ctx) })
			if err != nil {
				return err
			}
			err = s.managed(ctx, func(ctx context.Context, _ *manager) error { return measure("manager")(ctx) })
			if err != nil {
				return err
			}
			if err := s.empty(ctx); err != nil {
				return err
			}
		}
		for key, l := range all {
			t.report.raw("paced", key+"_callback_p50_ms", l.back.sorted().at(0.5))
			t.report.raw("paced", key+"_callback_p99_ms", l.back.sorted().at(0.99))
			t.report.raw("paced", key+"_asked_p99_ms", l.fresh.sorted().at(0.99))
		}
		t.report.set("callback_p50_ratio", t.report.ratio("paced", "manager_20_callback_p50_ms", "floor_20_callback_p50_ms"))
		t.report.set("callback_p99_ratio", t.report.ratio("paced", "manager_20_callback_p99_ms", "floor_20_callback_p99_ms"))
		return nil
	})
}

// pacedLatencies from callback to end, and from creation until the payer was asked.
type pacedLatencies struct{ back, fresh latencies }

// paceBoth sells at both rates.
func (s *stage) paceBoth(ctx context.Context, all map[string]*pacedLatencies, of string, round int) error {
	for _, rate := range []int{5, 20} {
		key := fmt.Sprintf("%s_%d", of, rate)
		back, fresh, err := s.pace(ctx, fmt.Sprintf("%s-%d-%d", of, rate, round), float64(rate), s.trial.during(20*time.Second))
		if err != nil {
			return err
		}
		s.trial.logf("        %s, %d a second: callback to end p50 %.1f ms, p99 %.1f ms; creation to asked p99 %.1f ms", of, rate, back.at(0.5), back.at(0.99), fresh.at(0.99))
		if all[key] == nil {
			all[key] = &pacedLatencies{}
		}
		all[key].back, all[key].fresh = append(all[key].back, back...), append(all[key].fresh, fresh...)
	}
	return nil
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
