// Package token keeps an access token for as long as it is good, and gets a
// new one once for all who wait for it.
package token

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"mobilemoney.dev/operator/providers"
)

const (
	// early is how long before its end a token is replaced (MTN MoMo API best
	// practices); a short-lived one after three quarters of its life.
	early = 10 * time.Minute
	// unknownLife is that of a token whose answer does not tell.
	unknownLife = 5 * time.Minute
	maxLife     = 90 * 24 * time.Hour
)

// Token as a provider gave it out.
type Token struct {
	Value providers.Secret
	// Life from the moment it was asked for; not positive where not told.
	Life time.Duration
}

// Source of access tokens for one account.
type Source struct {
	fetch  func(context.Context) (Token, error)
	now    func() time.Time
	flight singleflight.Group

	mu        sync.Mutex
	value     providers.Secret
	refreshAt time.Time
}

// NewSource returns a Source that gets its tokens by fetch.
func NewSource(fetch func(context.Context) (Token, error), now func() time.Time) *Source {
	return &Source{fetch: fetch, now: now}
}

// Get returns a good token. Asking for one moves no money, so that an error
// that would be Unknown is NotSent: whoever needed the token sent nothing.
func (s *Source) Get(ctx context.Context) (providers.Secret, error) {
	if value, ok := s.cached(); ok {
		return value, nil
	}
	// The fetch outlives the caller, since others wait for it too; the
	// transport bounds it.
	shared := context.WithoutCancel(ctx)
	result := s.flight.DoChan("", func() (any, error) { return s.refresh(shared) })
	select {
	case r := <-result:
		if r.Err != nil {
			return "", notSent(r.Err)
		}
		return r.Val.(providers.Secret), nil
	case <-ctx.Done():
		return "", &providers.Error{Class: providers.ClassNotSent, Operation: "token", Err: ctx.Err()}
	}
}

// Drop forgets a token that was refused, and no other.
func (s *Source) Drop(refused providers.Secret) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value == refused {
		s.value = ""
	}
}

// Authorized makes a call with a token, and if the token is refused once more
// with a new one. That is no second send: a refused request was not processed.
func (s *Source) Authorized(
	ctx context.Context,
	send func(providers.Secret) (providers.Answer, error),
	refused func(providers.Answer) bool,
) (providers.Answer, error) {
	value, err := s.Get(ctx)
	if err != nil {
		return providers.Answer{}, err
	}
	answer, err := send(value)
	if err != nil || !refused(answer) {
		return answer, err
	}
	s.Drop(value)
	if value, err = s.Get(ctx); err != nil {
		return providers.Answer{}, err
	}
	return send(value)
}

func (s *Source) cached() (providers.Secret, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, s.value != "" && s.now().Before(s.refreshAt)
}

func (s *Source) refresh(ctx context.Context) (providers.Secret, error) {
	// The flight before this one may have landed since the caller looked.
	if value, ok := s.cached(); ok {
		return value, nil
	}
	asked := s.now()
	t, err := s.safely(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value, s.refreshAt = t.Value, asked.Add(goodFor(t.Life))
	return t.Value, nil
}

// safely fetches. A panic is an error without its value: it would end the process,
// and Go would print what it says.
func (s *Source) safely(ctx context.Context) (_ Token, err error) {
	defer func() {
		if recover() != nil {
			err = &providers.Error{Class: providers.ClassNotSent, Operation: "token", Detail: "a bug in getting the token"}
		}
	}()
	return s.fetch(ctx)
}

func goodFor(life time.Duration) time.Duration {
	if life <= 0 {
		life = unknownLife
	}
	life = min(life, maxLife)
	return life - min(early, life/4)
}

func notSent(err error) error {
	if providers.ClassOf(err) != providers.ClassUnknown {
		return err
	}
	e := *providers.AsError(err)
	e.Class = providers.ClassNotSent
	return &e
}
