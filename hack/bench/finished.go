package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// idleFor is how long a manager at rest is watched.
const idleFor = 60 * time.Second

// atRest is what a manager needs while there is nothing to do.
type atRest struct {
	bytes int64
	cpu   time.Duration
	start time.Duration // until its first useful step
}

// finished holds payments that are over: a thousand that were paid, then up to fifty thousand that are written.
func (t *trial) finished(ctx context.Context) error {
	paid := t.of(1000, 40)
	return t.with(ctx, manyShops, pollEvery, func(ctx context.Context, s *stage) error {
		var models []*sale
		none, err := s.atRest(ctx, "none", idleFor)
		if err != nil {
			return err
		}
		t.rest("0", none)
		err = s.managed(ctx, func(ctx context.Context, _ *manager) error {
			s.paid(0)
			models = s.market.plan("paid", paid)
			if err := s.market.sell(ctx, models, 0); err != nil {
				return err
			}
			return s.market.wait(ctx, models, ended, burstWithin)
		})
		if err != nil {
			return err
		}
		seeds, err := s.seeder(ctx, models[:len(s.shops)])
		if err != nil {
			return err
		}
		if err := s.stored(ctx, models[0]); err != nil {
			return err
		}
		there := paid
		for _, n := range []int{t.of(1000, 40), t.of(10_000, 80), t.of(50_000, 200)} {
			if err := seeds.write(ctx, fmt.Sprintf("over-%d", n), n-there); err != nil {
				return err
			}
			there = n
			idle := idleFor
			if n < t.of(50_000, 200) {
				idle = idleFor / 6 // only the most is held against none
			}
			rest, err := s.atRest(ctx, fmt.Sprintf("of-%d", n), idle)
			if err != nil {
				return err
			}
			t.rest(fmt.Sprint(n), rest)
			t.report.set("rss_bytes_per_finished_payment", float64(rest.bytes-none.bytes)/float64(n))
			t.report.set("idle_cpu_ratio", float64(rest.cpu)/float64(none.cpu))
			bare, err := s.list(ctx)
			if err != nil {
				return err
			}
			t.report.raw("finished", fmt.Sprintf("%d_bare_list_seconds", n), bare.Seconds())
			t.report.set("startup_ratio_50000", rest.start.Seconds()/bare.Seconds())
		}
		return nil
	})
}

func (t *trial) rest(n string, r atRest) {
	t.logf("        %s finished: %d MB, %v of processor time at rest, first step after %v", n, r.bytes>>20, r.cpu, r.start.Round(time.Millisecond))
	t.report.raw("finished", n+"_rss_bytes", r.bytes)
	t.report.raw("finished", n+"_idle_cpu_ms", milliseconds(r.cpu))
	t.report.raw("finished", n+"_start_seconds", r.start.Seconds())
}

// atRest starts a manager, for which one payment waits, and watches it at rest.
func (s *stage) atRest(ctx context.Context, name string, idle time.Duration) (r atRest, err error) {
	s.paid(0)
	waiting := s.market.plan("waiting-"+name, 1)
	if err := s.market.sell(ctx, waiting, 0); err != nil {
		return r, err
	}
	began := time.Now()
	m, err := s.startManager(ctx, "")
	if err != nil {
		return r, err
	}
	if err := s.market.wait(ctx, waiting, asked, readyWithin); err != nil {
		return r, err
	}
	r.start = s.market.took(waiting, func(*sale) time.Time { return began }, askedAt)[0]
	if err := s.market.wait(ctx, waiting, ended, readyWithin); err != nil {
		return r, err
	}
	if err := sleep(ctx, s.trial.during(min(idle, settle-idleFor))); err != nil {
		return r, err
	}
	before, err := processorTime(m.PID())
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, s.trial.during(idle)); err != nil {
		return r, err
	}
	after, err := processorTime(m.PID())
	if err != nil {
		return r, err
	}
	r.cpu = after - before
	if r.bytes, err = resident(m.PID()); err != nil {
		return r, err
	}
	return r, m.Stop(stopWithin)
}

// list is how long a bare client takes to list and decode all that there is, its own start included.
func (s *stage) list(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	p, err := s.startClient("lister", listerOptions{Kubeconfig: s.kubeconfig})
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, errors.Join(ctx.Err(), p.Stop(stopWithin))
	case <-p.Done():
	}
	if !p.Succeeded() {
		return 0, fmt.Errorf("%w: %s", p.Ended(), p.Tail(3))
	}
	return time.Since(began), nil
}

// stored is how large a paid Payment and its Charge are, as the API server stores them: JSON, with the field managers.
func (s *stage) stored(ctx context.Context, of *sale) error {
	var p v1alpha1.Payment
	var c v1alpha1.Charge
	if err := s.Env.Client().Get(ctx, of.key, &p); err != nil {
		return err
	}
	if err := s.Env.Client().Get(ctx, types.NamespacedName{Name: p.Status.ChargeName}, &c); err != nil {
		return err
	}
	for name, o := range map[string]any{"payment": &p, "charge": &c} {
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		s.trial.report.raw("finished", name+"_stored_bytes", len(text))
	}
	return nil
}
