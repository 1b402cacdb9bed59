package simulator

import (
	"slices"
	"sync"
	"time"
)

// Clock is a manual clock: pass its Now as Options.Now.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock is a clock that stands at t.
func NewClock(t time.Time) *Clock { return &Clock{now: t} }

// Now is where the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock; Tick then does what has become due.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type job struct {
	at time.Time
	do func()
}

// later schedules do after a simulated duration; the caller holds the lock.
func (s *Simulator) later(d time.Duration, do func()) {
	s.at(s.now().Add(s.scaled(d)), do)
}

func (s *Simulator) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.opts.Speed)
}

// at plans a job, behind those of the same time.
func (s *Simulator) at(t time.Time, do func()) {
	i, _ := slices.BinarySearchFunc(s.agenda, t, func(j job, t time.Time) int {
		if j.at.After(t) {
			return 1
		}
		return -1
	})
	s.agenda = slices.Insert(s.agenda, i, job{t, do})
	s.wake()
}

func (s *Simulator) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// settle runs what is due, each job at its own time however far the clock has jumped; the caller holds the lock.
func (s *Simulator) settle() {
	for len(s.agenda) > 0 && !s.agenda[0].at.After(s.opts.Now()) {
		due := s.agenda[0]
		s.agenda = slices.Delete(s.agenda, 0, 1)
		s.moment = due.at
		due.do()
		s.moment = time.Time{}
	}
}

// now is the time of the job that is running, or else of the clock; the caller holds the lock.
func (s *Simulator) now() time.Time {
	if !s.moment.IsZero() {
		return s.moment
	}
	return s.opts.Now()
}

// Tick does everything that is due by the clock and returns when all due callbacks are sent. Needed with a manual clock
// only; requests settle what is due before they are answered, but send no callbacks.
func (s *Simulator) Tick() {
	for {
		due := s.due()
		if len(due) == 0 {
			return
		}
		for _, d := range due {
			s.send(d)
		}
	}
}

// Next is when something is due next by itself; false: nothing is.
func (s *Simulator) Next() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.outbox) > 0:
		return s.now(), true
	case len(s.agenda) == 0:
		return time.Time{}, false
	default:
		return s.agenda[0].at, true
	}
}

func (s *Simulator) due() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	due := s.outbox
	s.outbox = nil
	return due
}

// run drives the real clock until Close.
func (s *Simulator) run() {
	for {
		for _, d := range s.due() {
			s.owned.Go(func() { s.send(d) })
		}
		timer := time.NewTimer(s.untilNext())
		select {
		case <-timer.C:
		case <-s.kick:
			timer.Stop()
		case <-s.ctx.Done():
			timer.Stop()
			return
		}
	}
}

func (s *Simulator) untilNext() time.Duration {
	next, any := s.Next()
	if !any {
		return time.Hour
	}
	return max(0, next.Sub(s.opts.Now()))
}

// wait returns a channel that closes after a simulated duration.
func (s *Simulator) wait(d time.Duration) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	over := make(chan struct{})
	s.later(d, func() { close(over) })
	return over
}
