package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"mobilemoney.dev/operator/providers/simulator"
)

type options struct {
	payments int
	kills    int
	splits   int
	restarts int
	slow     int // how many Payments may be slow to end
	duration time.Duration
	speed    float64 // of the simulator
	seed     uint64
	manager  string
	out      string // folder of the report
}

// The shares of the duration at whose end each part ends. The last Payments are opened after the last deed, so that a
// manager which has lived through a load is measured. A machine that is too slow for all Payments has a little longer
// for them, and then fails; what is left after that is enough for the longest session.
const (
	chaosUntil = 0.56
	loadUntil  = 0.70
	cutAt      = 0.78
	drainUntil = 0.94
)

func (o options) at(began time.Time, share float64) time.Time {
	return began.Add(time.Duration(share * float64(o.duration)))
}

// soak sets the stage, lets it all happen, and clears it away whatever happens.
func soak(ctx context.Context, o options, logf func(string, ...any)) (r report, err error) {
	began := time.Now()
	ctx, cancel := context.WithDeadlineCause(ctx, began.Add(o.duration), errors.New("the time is over"))
	defer cancel()
	s := &stage{options: o, shops: []string{"shop-a", "shop-b", "shop-c", "shop-d", "shop-e", "shop-f"}, logf: logf}
	defer func() {
		err = errors.Join(err, s.Clear())
		r.Seconds = time.Since(began).Round(100 * time.Millisecond).Seconds()
	}()
	if err := s.set(ctx); err != nil {
		return r, err
	}
	t := &trial{stage: s, began: began, report: report{Seed: o.seed}}
	err = t.play(ctx)
	return t.report, err
}

type trial struct {
	*stage
	began   time.Time
	market  *market
	witness *witness
	chaos   *chaos
	report  report
	before  needs
}

func (t *trial) play(ctx context.Context) (err error) {
	if t.before, err = t.crew.rest(ctx); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	t.market = newMarket(working, t.Env.Client(), t.Sim, plan(t.seed, t.payments+t.payments/50, t.slow, t.shops))
	t.witness = &witness{ledger: t.Sim.Ledger, see: t.market.see, open: map[types.UID]bool{}}
	t.chaos = &chaos{stage: t.stage, trap: newTrap(t.Sim), rng: t.rng(3)}
	watched := make(chan error, 1)
	go func() { watched <- t.witness.run(working, t.Env) }()
	finish := sync.OnceValue(func() error {
		stop()
		t.market.tasks.Wait()
		return <-watched
	})
	defer func() { err = errors.Join(err, finish()) }()

	if err := t.load(working); err != nil {
		return err
	}
	if err := t.drain(working); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	return t.conclude(ctx)
}

// load opens Payments while chaos is at work.
func (t *trial) load(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer func() {
		stop()
		group.Wait()
	}()
	selling := make(chan struct{})
	group.Go(func() {
		defer close(selling)
		t.market.run(ctx, t.at(t.began, loadUntil), t.witness.opened)
	})
	group.Go(func() { t.chaos.weather(ctx, t.rng(4)) })
	group.Go(func() { t.tell(ctx) })

	// Not each deed comes off: a manager may end by itself just then.
	end, last := t.at(t.began, chaosUntil), t.at(t.began, loadUntil)
	for deeds := t.missing(); len(deeds) > 0 && time.Now().Before(last); deeds, end = t.missing(), last {
		if err := t.chaos.run(ctx, deeds, end); err != nil {
			return err
		}
	}
	t.logf("chaos is over: %d kills, %d splits, %d restarts of the API server", t.crew.kills(), t.chaos.splits.Load(), t.chaos.restarts.Load())
	select {
	case <-selling:
	case <-time.After(time.Until(t.at(t.began, cutAt))):
		t.logf("not all Payments could be opened in time")
	}
	return nil
}

// missing are the deeds that the floors still want, in an order that follows from the seed.
func (t *trial) missing() []deed {
	deeds := slices.Concat(slices.Repeat([]deed{kill}, max(0, t.kills-t.crew.kills())),
		slices.Repeat([]deed{split}, max(0, t.splits-int(t.chaos.splits.Load()))),
		slices.Repeat([]deed{restart}, max(0, t.restarts-int(t.chaos.restarts.Load()))))
	t.chaos.rng.Shuffle(len(deeds), func(i, j int) { deeds[i], deeds[j] = deeds[j], deeds[i] })
	return deeds
}

// tell says every now and then how it goes.
func (t *trial) tell(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 15*time.Second)
		t.logf("%3.0f s: %d Payments, %d open; %d kills, %d splits, %d restarts of the API server", time.Since(t.began).Seconds(),
			t.market.acknowledged(), t.witness.opened(), t.crew.kills(), t.chaos.splits.Load(), t.chaos.restarts.Load())
	}
}

// drain lets the operator work in peace, until nothing is missing any more or the time is over.
func (t *trial) drain(ctx context.Context) error {
	t.Sim.ClearScripts()
	if err := t.complete(ctx); err != nil {
		return err
	}
	end := t.at(t.began, drainUntil)
	for time.Now().Before(end) {
		e, err := t.evidence(ctx)
		if err != nil {
			return err
		}
		v, alive, busy := assess(e), alive(e.sessions, time.Now()), int(t.market.busy.Load())
		t.logf("%3.0f s: %d sessions alive, %d things left to do for payers and shops, %d outcomes and %d refunds not told yet; %d unpayable, %d undecided",
			time.Since(t.began).Seconds(), alive, busy, len(v.faults), v.refunds.Open, v.unpayable, v.undecided)
		if alive+busy+len(v.faults)+v.refunds.Open == 0 {
			return nil
		}
		pause(ctx, 3*time.Second)
	}
	t.report.Cut = true
	return ctx.Err()
}

// alive counts the sessions that still come to an end by themselves. As long as there
// are any, an end may be so new that nobody can have been told.
func alive(sessions []simulator.Session, now time.Time) (n int) {
	for _, s := range sessions {
		if (s.State == "open" || s.State == "confirming") && s.Expires.After(now) {
			n++
		}
	}
	return n
}

func (t *trial) evidence(ctx context.Context) (evidence, error) {
	e := evidence{sales: t.market.opened()}
	c := t.Env.Client()
	if err := errors.Join(c.List(ctx, &e.payments), c.List(ctx, &e.charges), c.List(ctx, &e.refunds)); err != nil {
		return e, err
	}
	e.ledger, e.sessions = t.Sim.Ledger(), t.Sim.Sessions()
	return e, nil
}

// conclude measures the managers at rest, stops them, and judges.
func (t *trial) conclude(ctx context.Context) error {
	after, err := t.crew.rest(ctx)
	if err != nil {
		return err
	}
	if err := t.crew.stop(); err != nil {
		return err
	}
	e, err := t.evidence(ctx)
	if err != nil {
		return err
	}
	t.report.Payments = t.market.acknowledged()
	t.report.Kills, t.report.Splits, t.report.Restarts = t.crew.kills(), int(t.chaos.splits.Load()), int(t.chaos.restarts.Load())
	var versions []fault
	versions, t.report.Versions = t.witness.testify()
	t.report.fill(e, assess(e), versions)
	t.report.countFaults(t.Sim)
	t.report.compare(t.before, after)
	return nil
}
