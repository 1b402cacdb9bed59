package main

import (
	"context"
	"time"
)

const (
	openShops = 20
	// settle is how long a manager is left alone before its memory is measured: the questions that
	// it has at its start are asked, and the garbage of its start is collected.
	settle = 130 * time.Second
)

// open keeps many payments open, which are asked about every two minutes, while new ones come.
func (t *trial) open(ctx context.Context) error {
	n := t.of(10_000, 200)
	return t.with(ctx, openShops, pollEvery, func(ctx context.Context, s *stage) error {
		var models []*sale
		var before int64
		err := s.managed(ctx, func(ctx context.Context, m *manager) error {
			fresh, err := s.fresh(ctx, "none")
			if err != nil {
				return err
			}
			t.report.raw("open", "new_payment_p50_ms_without", fresh.at(0.5))
			t.report.raw("open", "new_payment_p99_ms_without", fresh.at(0.99))
			s.paid(-1)
			models = s.market.plan("model", len(s.shops))
			if err := s.market.sell(ctx, models, 0); err != nil {
				return err
			}
			return s.market.wait(ctx, models, asked, burstWithin)
		})
		if err != nil {
			return err
		}
		if before, err = s.memoryAtRest(ctx); err != nil {
			return err
		}
		seeds, err := s.seeder(ctx, models)
		if err != nil {
			return err
		}
		s.paid(-1)
		if err := seeds.write(ctx, "open", n); err != nil {
			return err
		}
		t.logf("        %d open payments are written", n)
		m, err := s.startManager(ctx, "")
		if err != nil {
			return err
		}
		if err := m.ready(ctx); err != nil {
			return err
		}
		if err := sleep(ctx, t.during(settle)); err != nil {
			return err
		}
		after, err := resident(m.PID())
		if err != nil {
			return err
		}
		fresh, err := s.fresh(ctx, "many")
		if err != nil {
			return err
		}
		t.logf("        %.0f bytes a payment; new payment to asked p99 %.1f ms", float64(after-before)/float64(n), fresh.at(0.99))
		t.report.raw("open", "payments", n)
		t.report.raw("open", "new_payment_p50_ms_under_load", fresh.at(0.5))
		t.report.raw("open", "new_payment_p99_ms_under_load", fresh.at(0.99))
		t.report.set("new_payment_p99_ratio_under_load", t.report.ratio("open", "new_payment_p99_ms_under_load", "new_payment_p99_ms_without"))
		t.report.set("rss_bytes_per_open_payment", float64(after-before)/float64(n))
		return m.Stop(stopWithin)
	})
}

// memoryAtRest of a fresh manager, which has had as long as any that is measured.
func (s *stage) memoryAtRest(ctx context.Context) (bytes int64, err error) {
	m, err := s.startManager(ctx, "")
	if err != nil {
		return 0, err
	}
	if err := m.ready(ctx); err != nil {
		return 0, err
	}
	if err := sleep(ctx, s.trial.during(settle)); err != nil {
		return 0, err
	}
	if bytes, err = resident(m.PID()); err != nil {
		return 0, err
	}
	return bytes, m.Stop(stopWithin)
}

// fresh sells five a second, and returns how long it took from creation until the payer was asked.
func (s *stage) fresh(ctx context.Context, name string) (latencies, error) {
	_, fresh, err := s.pace(ctx, "fresh-"+name, 5, s.trial.during(60*time.Second))
	return fresh, err
}
