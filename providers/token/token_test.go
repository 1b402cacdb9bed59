package token_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/internal/wiretest"
	"mobilemoney.dev/operator/providers/token"
)

type mint struct {
	mu    sync.Mutex
	count int
	life  time.Duration
	err   error
}

func (m *mint) fetch(context.Context) (token.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count++
	return token.Token{Value: name(m.count), Life: m.life}, m.err
}

func name(n int) providers.Secret { return providers.Secret("tok-" + string(rune('0'+n))) }

func get(t *testing.T, s *token.Source, want providers.Secret) {
	t.Helper()
	got, err := s.Get(t.Context())
	if err != nil || got != want {
		t.Errorf("got %q, %v; want %q", got.Reveal(), err, want.Reveal())
	}
}

func TestEarlyRefresh(t *testing.T) {
	tests := map[string]struct{ life, good time.Duration }{
		"an hour (MTN MoMo API, best practices: 10 minutes early)": {time.Hour, 50 * time.Minute},
		"90 days":         {90 * 24 * time.Hour, 90*24*time.Hour - 10*time.Minute},
		"40 minutes":      {40 * time.Minute, 30 * time.Minute},
		"short-lived":     {time.Minute, 45 * time.Second},
		"not told":        {0, 5 * time.Minute * 3 / 4},
		"negative":        {-time.Hour, 5 * time.Minute * 3 / 4},
		"beyond all ages": {1 << 62, 90*24*time.Hour - 10*time.Minute},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			clock := wiretest.NewClock()
			m := &mint{life: tt.life}
			s := token.NewSource(m.fetch, clock.Now)
			get(t, s, "tok-1")
			get(t, s, "tok-1")
			clock.Add(tt.good - time.Nanosecond)
			get(t, s, "tok-1")
			if m.count != 1 {
				t.Fatalf("%d token requests, want 1", m.count)
			}
			clock.Add(time.Nanosecond)
			get(t, s, "tok-2")
		})
	}
}

// The life counts from when the token was asked for, not from the answer.
func TestSlowAnswer(t *testing.T) {
	clock := wiretest.NewClock()
	m := &mint{life: time.Hour}
	s := token.NewSource(func(ctx context.Context) (token.Token, error) {
		clock.Add(20 * time.Second)
		return m.fetch(ctx)
	}, clock.Now)
	get(t, s, "tok-1")
	clock.Add(50*time.Minute - 20*time.Second)
	get(t, s, "tok-2")
}

func TestOrder_LateRefusalForgetsNoOtherToken(t *testing.T) {
	m := &mint{life: time.Hour}
	s := token.NewSource(m.fetch, wiretest.NewClock().Now)
	refuse := func(send func()) {
		_, _ = s.Order(t.Context(), providers.OpInitiate, func(providers.Secret) (providers.Answer, error) {
			send()
			return providers.Answer{Status: http.StatusUnauthorized}, nil
		}, func(providers.Answer) bool { return true })
	}
	refuse(func() { // with tok-1, whose refusal comes after tok-2 took its place
		refuse(func() {})
		get(t, s, "tok-2")
	})
	get(t, s, "tok-2")
}

func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		s := token.NewSource(func(ctx context.Context) (token.Token, error) {
			time.Sleep(time.Second) // of the bubble's clock
			return m.fetch(ctx)
		}, time.Now)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { get(t, s, "tok-1") })
		}
		wg.Wait()
		if m.count != 1 {
			t.Errorf("%d token requests, want 1", m.count)
		}
	})
}

func TestOneCancelledCallerDoesNotPoisonTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &mint{life: time.Hour}
		s := token.NewSource(func(ctx context.Context) (token.Token, error) {
			time.Sleep(time.Second)
			if err := ctx.Err(); err != nil {
				return token.Token{}, err
			}
			return m.fetch(ctx)
		}, time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		failed := make(chan error, 1)
		go func() {
			_, err := s.Get(ctx)
			failed <- err
		}()
		synctest.Wait() // the first caller leads the flight
		var wg sync.WaitGroup
		wg.Go(func() { get(t, s, "tok-1") })
		synctest.Wait()
		cancel()
		err := <-failed
		if providers.ClassOf(err) != providers.ClassNotSent || !errors.Is(err, context.Canceled) {
			t.Errorf("the cancelled caller got %v", err)
		}
		wg.Wait()
		get(t, s, "tok-1")
		if m.count != 1 {
			t.Errorf("%d token requests, want 1", m.count)
		}
	})
}

// Without a token nothing was sent, whatever became of the token request. An error is not kept, nor changed.
func TestErrorClasses(t *testing.T) {
	for before, want := range map[error]providers.Class{
		errors.New("boom"): providers.ClassNotSent, &providers.Error{Class: providers.ClassUnknown}: providers.ClassNotSent,
		&providers.Error{Class: providers.ClassThrottled}: providers.ClassThrottled,
	} {
		m, class := &mint{err: before, life: time.Hour}, providers.ClassOf(before)
		s := token.NewSource(m.fetch, wiretest.NewClock().Now)
		if _, err := s.Get(t.Context()); providers.ClassOf(err) != want || providers.ClassOf(before) != class {
			t.Errorf("got %v, want %s", err, want)
		}
		m.err = nil
		get(t, s, "tok-2")
	}
}

// A 401 to a request for money is void: it is never repeated, and the next one has a new token.
func TestOrder_IsNeverRepeated(t *testing.T) {
	refused := func(a providers.Answer) bool { return a.Status == http.StatusUnauthorized }
	for name, tt := range map[string]struct {
		before, status int // 0: no call before; a lost answer
		class          providers.Class
		next           providers.Secret
	}{
		"accepted":                    {status: 202, next: name(1)},
		"lost":                        {class: providers.ClassUnknown, next: name(1)},
		"refused at its first use":    {status: 401, next: name(2)},
		"refused after it had worked": {before: 200, status: 401, class: providers.ClassNotSent, next: name(2)},
		"worked twice":                {before: 200, status: 202, next: name(1)},
	} {
		m := &mint{life: time.Hour}
		s := token.NewSource(m.fetch, wiretest.NewClock().Now)
		calls := 0
		answering := func(status int) token.Send {
			return func(providers.Secret) (providers.Answer, error) {
				if calls++; status == 0 {
					return providers.Answer{}, &providers.Error{Class: providers.ClassUnknown}
				}
				return providers.Answer{Status: status}, nil
			}
		}
		if tt.before != 0 {
			if _, err := s.Order(t.Context(), providers.OpInitiate, answering(tt.before), refused); err != nil {
				t.Fatal(err)
			}
		}
		calls = 0
		a, err := s.Order(t.Context(), providers.OpInitiate, answering(tt.status), refused)
		if calls != 1 || (err == nil) != (tt.class == "") || err != nil && providers.ClassOf(err) != tt.class || err == nil && a.Status != tt.status {
			t.Errorf("%s: %d calls, HTTP %d, %v", name, calls, a.Status, err)
		}
		if next, err := s.Get(t.Context()); err != nil || next != tt.next {
			t.Errorf("%s: the next token is another: %v", name, err)
		}
	}
}

func TestTokenCacheProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clock := wiretest.NewClock()
		life := time.Duration(rapid.Int64Range(1, int64(3*time.Hour)).Draw(t, "life"))
		m := &mint{life: life}
		dropped := map[providers.Secret]bool{}
		born := map[providers.Secret]time.Time{}
		var serial int
		s := token.NewSource(func(context.Context) (token.Token, error) {
			serial++
			v := providers.Secret(time.Duration(serial).String())
			born[v] = clock.Now()
			return token.Token{Value: v, Life: m.life}, nil
		}, clock.Now)
		var current providers.Secret
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				before := serial
				v, err := s.Get(t.Context())
				if err != nil || dropped[v] || !clock.Now().Before(born[v].Add(life)) {
					t.Fatalf("got a bad token: %v", err)
				}
				if v == current && serial != before {
					t.Fatal("fetched for nothing")
				}
				current = v
			},
			"refused": func(t *rapid.T) {
				_, _ = s.Order(t.Context(), providers.OpInitiate, func(v providers.Secret) (providers.Answer, error) {
					dropped[v] = true
					return providers.Answer{Status: http.StatusUnauthorized}, nil
				}, func(providers.Answer) bool { return true })
			},
			"wait": func(t *rapid.T) {
				clock.Add(time.Duration(rapid.Int64Range(0, int64(life)).Draw(t, "d")))
			},
		})
	})
}

// What a panic says may hold the credentials; nobody above could keep it quiet,
// since the fetch has a goroutine of its own.
func TestI1PanicOfAFetchIsAnErrorWithoutItsText(t *testing.T) {
	s := token.NewSource(func(context.Context) (token.Token, error) { panic("canary-secret") }, time.Now)
	_, err := s.Get(t.Context())
	if providers.ClassOf(err) != providers.ClassNotSent {
		t.Errorf("class of %v", err)
	}
	wiretest.NoCanary(t, err.Error(), "canary")
}
