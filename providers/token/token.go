// Package token keeps an access token for as long as it is good, and gets a new one once for all who wait for it.
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
	accepted  bool // the provider took value at least once
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
	// The fetch outlives the caller, since others wait for it too; the transport bounds it.
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

// Question is a call that moves no money. If its token is refused it is made once more, with a new token.
func (s *Source) Question(ctx context.Context, send Send, refused Refused) (providers.Answer, error) {
	answer, _, err := s.once(ctx, send, refused)
	if err == nil && refused(answer) {
		answer, _, err = s.once(ctx, send, refused)
	}
	return answer, err
}

// Order is a call that moves money, made once. A token that is refused is forgotten. If it had worked before, the order
// is NotSent: the provider did not process it, and the next one gets another token.
func (s *Source) Order(ctx context.Context, op providers.Operation, send Send, refused Refused) (providers.Answer, error) {
	answer, early, err := s.once(ctx, send, refused)
	if err == nil && early {
		return providers.Answer{}, &providers.Error{
			Class: providers.ClassNotSent, Operation: op, HTTPStatus: answer.Status, Fault: providers.FaultProvider,
			Detail: "the provider ended the access token early; the next request gets a new one",
		}
	}
	return answer, err
}

// Send makes a call with a token.
type Send func(token providers.Secret) (providers.Answer, error)

// Refused tells whether an answer says that the token is no good.
type Refused func(providers.Answer) bool

// once makes a call. Early says that its token was refused, though it had worked before.
func (s *Source) once(ctx context.Context, send Send, refused Refused) (a providers.Answer, early bool, err error) {
	value, err := s.Get(ctx)
	if err != nil {
		return a, false, err
	}
	if a, err = send(value); err != nil {
		return a, false, err
	}
	return a, s.judge(value, refused(a)), nil
}

// judge keeps that a token was accepted, and forgets one that was refused. It tells whether the
// refused one had been accepted before.
func (s *Source) judge(value providers.Secret, refused bool) (early bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.value != value: // replaced meanwhile
		return refused
	case refused:
		s.value = ""
		return s.accepted
	}
	s.accepted = true
	return false
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
	s.value, s.refreshAt, s.accepted = t.Value, asked.Add(goodFor(t.Life)), false
	return t.Value, nil
}

// safely fetches. A panic is an error without its value: it would end the process, and Go would print what it says.
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
