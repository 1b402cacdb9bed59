package main

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"mobilemoney.dev/operator/controllers/testenv"
)

const (
	// restartRate of new payments a second while managers come and go.
	restartRate = 10
	// crashAfter and restartFor: when the manager goes, and how long new payments come.
	goesAfter  = 5 * time.Second
	rolledFor  = 20 * time.Second
	crashedFor = 45 * time.Second
	// rolled: payments that were created so near the restart are looked at.
	near = 5 * time.Second
)

// restart replaces the leader as a rolling update does, several times, and then kills one.
func (t *trial) restart(ctx context.Context) error {
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		leader, err := s.replica(ctx)
		if err != nil {
			return err
		}
		if err := s.warm(ctx, asked); err != nil {
			return err
		}
		var rolled []*sale
		for i := range t.of(4, 1) {
			standby, err := s.replica(ctx)
			if err != nil {
				return err
			}
			some, err := s.sellWhile(ctx, "rolled-"+string(rune('a'+i)), rolledFor, func() error { return term(leader) })
			if err != nil {
				return err
			}
			rolled, leader = append(rolled, some...), standby
		}
		waits := s.market.took(rolled, createdAt, askedAt)
		t.report.set("rollout_p99_seconds", waits.at(0.99)/1000)
		t.report.raw("restart", "rollout_payments", len(waits))
		t.report.raw("restart", "rollout_p50_ms", waits.at(0.5))
		t.report.raw("restart", "rollout_max_ms", waits.at(1))
		t.logf("        rolling restart: new payment to asked p50 %.0f ms, p99 %.0f ms, longest %.0f ms", waits.at(0.5), waits.at(0.99), waits.at(1))

		if _, err := s.replica(ctx); err != nil {
			return err
		}
		crashed, err := s.sellWhile(ctx, "crashed", crashedFor, func() error {
			_, err := leader.Kill()
			return err
		})
		if err != nil {
			return err
		}
		waits = s.market.took(crashed, createdAt, askedAt)
		t.report.set("failover_seconds", waits.at(1)/1000)
		t.logf("        crash: longest wait of a new payment %.1f s", waits.at(1)/1000)
		return nil
	})
}

// replica starts a manager with a receiver of its own, and waits until its caches are filled.
func (s *stage) replica(ctx context.Context) (*manager, error) {
	ports, err := testenv.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	m, err := s.startManager(ctx, ports[0])
	if err != nil {
		return nil, err
	}
	return m, m.ready(ctx)
}

// sellWhile does something a few seconds after new payments began to come,  something after a few seconds, and returns those that were created around it.
func (s *stage) sellWhile(ctx context.Context, name string, during time.Duration, do func() error) ([]*sale, error) {
	s.paid(-1)
	sales := s.market.plan(name, int(restartRate*during.Seconds()))
	var at time.Time
	group, both := errgroup.WithContext(ctx)
	group.Go(func() error { return s.market.sell(both, sales, restartRate) })
	group.Go(func() error {
		if err := sleep(both, goesAfter); err != nil {
			return err
		}
		at = time.Now()
		return do()
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := s.market.wait(ctx, sales, asked, burstWithin); err != nil {
		return nil, err
	}
	var some []*sale
	for _, one := range sales {
		if one.created.After(at.Add(-near)) && (name == "crashed" || one.created.Before(at.Add(near))) {
			some = append(some, one)
		}
	}
	return some, nil
}
