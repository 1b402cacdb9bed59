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

// mint gives out tok-1, tok-2, ... of one life.
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

// Without a token nothing was sent, whatever became of the token request.
func TestErrorClasses(t *testing.T) {
	tests := map[string]struct {
		err  error
		want providers.Class
	}{
		"unclassified":  {errors.New("boom"), providers.ClassNotSent},
		"unknown":       {&providers.Error{Class: providers.ClassUnknown, Operation: "token", HTTPStatus: 500}, providers.ClassNotSent},
		"misconfigured": {&providers.Error{Class: providers.ClassMisconfigured}, providers.ClassMisconfigured},
		"throttled":     {&providers.Error{Class: providers.ClassThrottled, RetryAfter: time.Minute}, providers.ClassThrottled},
		"not sent":      {&providers.Error{Class: providers.ClassNotSent}, providers.ClassNotSent},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			m := &mint{err: tt.err, life: time.Hour}
			s := token.NewSource(m.fetch, wiretest.NewClock().Now)
			if _, err := s.Get(t.Context()); providers.ClassOf(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			m.err = nil
			get(t, s, "tok-2") // an error is not kept
		})
	}
	before := &providers.Error{Class: providers.ClassUnknown}
	s := token.NewSource((&mint{err: before}).fetch, time.Now)
	_, _ = s.Get(t.Context())
	if before.Class != providers.ClassUnknown {
		t.Error("the original error was changed")
	}
}

func TestQuestion_ReplacesARefusedTokenOnce(t *testing.T) {
	lost := &providers.Error{Class: providers.ClassUnknown}
	refused := func(a providers.Answer) bool { return a.Status == http.StatusUnauthorized }
	tests := map[string]struct {
		statuses []int // of the calls; 0 is a lost answer
		tokens   int
		final    int
	}{
		"accepted":      {[]int{202}, 1, 202},
		"refused once":  {[]int{401, 202}, 2, 202},
		"refused twice": {[]int{401, 401}, 2, 401},
		"lost":          {[]int{0}, 1, 0},
		"then lost":     {[]int{401, 0}, 2, 0},
		"another error": {[]int{500}, 1, 500},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			m := &mint{life: time.Hour}
			s := token.NewSource(m.fetch, wiretest.NewClock().Now)
			var used []providers.Secret
			a, err := s.Question(t.Context(), func(v providers.Secret) (providers.Answer, error) {
				used = append(used, v)
				if len(used) > len(tt.statuses) {
					t.Fatal("one call too many")
				}
				status := tt.statuses[len(used)-1]
				if status == 0 {
					return providers.Answer{}, lost
				}
				return providers.Answer{Status: status}, nil
			}, refused)
			if (err != nil) != (tt.final == 0) || a.Status != tt.final {
				t.Errorf("got %d, %v", a.Status, err)
			}
			if len(used) != len(tt.statuses) || m.count != tt.tokens || used[len(used)-1] != name(tt.tokens) {
				t.Errorf("%d calls, %d tokens", len(used), m.count)
			}
		})
	}
}

func TestQuestion_WithoutToken(t *testing.T) {
	m := &mint{err: errors.New("boom")}
	s := token.NewSource(m.fetch, wiretest.NewClock().Now)
	calls := 0
	send := func(providers.Secret) (providers.Answer, error) {
		calls++
		m.err = errors.New("boom")
		return providers.Answer{Status: 401}, nil
	}
	always := func(providers.Answer) bool { return true }
	if _, err := s.Question(t.Context(), send, always); providers.ClassOf(err) != providers.ClassNotSent || calls != 0 {
		t.Errorf("%v after %d calls", err, calls)
	}
	m.err = nil
	if _, err := s.Question(t.Context(), send, always); providers.ClassOf(err) != providers.ClassNotSent || calls != 1 {
		t.Errorf("%v after %d calls: a refused call moved nothing", err, calls)
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

// Whatever happens in whatever order: a token is never used once it was
// dropped or is due, and no more are fetched than needed.
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
