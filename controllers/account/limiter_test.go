package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"mobilemoney.dev/operator/providers"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newWindow(limit int) *window {
	return &window{limit: limit, permits: map[string]time.Time{}}
}

// demand is a crowd of callers that come again when they were told to, as reconcilers
// do, and want their next call a while after the last one.
type demand struct {
	w     *window
	now   time.Time
	every time.Duration
	next  map[Caller]time.Time
	calls map[Caller][]time.Time
}

func newDemand(limit int, every time.Duration, callers ...Caller) *demand {
	d := &demand{w: newWindow(limit), now: noon, every: every, next: map[Caller]time.Time{}, calls: map[Caller][]time.Time{}}
	for _, c := range callers {
		d.next[c] = noon
	}
	return d
}

func crowd(n int, namespace string, purpose Purpose, since time.Time) []Caller {
	out := make([]Caller, n)
	for i := range out {
		out[i] = Caller{Name: fmt.Sprintf("%s-%d-%d", namespace, purpose, i), Namespace: namespace, Purpose: purpose, Since: since}
	}
	return out
}

// run until that much after noon.
func (d *demand) run(until time.Duration) {
	for end := noon.Add(until); d.now.Before(end); {
		soonest := end
		for _, c := range slices.SortedFunc(maps.Keys(d.next), func(a, b Caller) int { return cmp.Compare(a.Name, b.Name) }) {
			if !d.next[c].After(d.now) {
				d.come(c)
			}
			if d.next[c].Before(soonest) {
				soonest = d.next[c]
			}
		}
		d.now = soonest
	}
}

func (d *demand) come(c Caller) {
	if wait := d.w.reserve(c, d.now); wait > 0 {
		d.next[c] = d.now.Add(wait)
	} else if d.w.admit(c.Name, d.now) == 0 {
		d.calls[c] = append(d.calls[c], d.now)
		d.next[c] = d.now.Add(max(d.every, time.Millisecond))
	}
}

func (d *demand) count(match func(Caller) bool) (n int) {
	for c, at := range d.calls {
		if match(c) {
			n += len(at)
		}
	}
	return n
}

func TestWindow_K6dNeverMoreThanTheLimitInAnySecond(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 12).Draw(t, "limit")
		w, now := newWindow(limit), noon
		var left []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			who := Caller{
				Name:      rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"}).Draw(t, "name"),
				Namespace: rapid.SampledFrom([]string{"shop", "store"}).Draw(t, "namespace"),
				Purpose:   Purpose(rapid.IntRange(0, 2).Draw(t, "purpose")),
			}
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1, 2, 3:
				if wait := w.reserve(who, now); wait < 0 || wait > maxPause+maxWait {
					t.Fatalf("to wait for %s", wait)
				}
			case 4, 5, 6:
				if w.admit(who.Name, now) == 0 {
					left = append(left, now)
				}
			case 7:
				w.pause(time.Duration(rapid.Int64Range(-5, 5).Draw(t, "pause"))*time.Second, now)
			default:
				now = now.Add(time.Duration(rapid.Int64Range(0, 1200).Draw(t, "ms")) * time.Millisecond)
			}
			if w.free() < 0 && len(w.left) > w.limit {
				t.Fatalf("%d left of %d", len(w.left), w.limit)
			}
		}
		for i := range left {
			if i >= limit && left[i].Sub(left[i-limit]) <= time.Second {
				t.Fatalf("%d calls from %s to %s", limit+1, left[i-limit], left[i])
			}
		}
	})
}

func TestQueue_K6cACallbackOfAnotherTenantGoesWithinASecond(t *testing.T) {
	for _, others := range []Purpose{Scheduled, AfterCallback, ToSend} {
		d := newDemand(8, 2*time.Minute, crowd(3000, "a", others, noon.Add(-time.Hour))...)
		for i := range 8 {
			b := Caller{Name: fmt.Sprintf("b-%d", i), Namespace: "b", Purpose: AfterCallback, Since: noon}
			at := noon.Add(time.Duration(i)*3170*time.Millisecond + 300*time.Millisecond)
			d.next[b] = at
			d.run(at.Sub(noon) + 2*time.Second)
			if len(d.calls[b]) == 0 || d.calls[b][0].Sub(at) > time.Second {
				t.Errorf("beside %d: asked for %s, left at %v", others, at, d.calls[b])
			}
		}
	}
}

func TestQueue_K6cNoPurposeStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		n := rapid.SliceOfNDistinct(rapid.IntRange(0, 100), 3, 3, rapid.ID[int]).Draw(t, "callers")
		var callers []Caller
		for p, n := range n {
			callers = append(callers, crowd(n, "shop", Purpose(p), noon)...)
		}
		d := newDemand(limit, 0, callers...)
		d.run(15 * time.Second)
		all := d.count(func(Caller) bool { return true })
		if all < limit*14 && len(callers) > limit {
			t.Errorf("%d calls in 15 s at %d a second", all, limit)
		}
		for p, n := range n {
			got := d.count(func(c Caller) bool { return c.Purpose == Purpose(p) })
			if n > 2*limit && got < all/5-2 {
				t.Errorf("%v callers: purpose %d has %d of %d calls", n, p, got, all)
			}
		}
	})
}

func TestQueue_K6cTenantsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tenants := rapid.SliceOfN(rapid.IntRange(20, 100), 2, 4).Draw(t, "tenants")
		purpose := Purpose(rapid.IntRange(0, 2).Draw(t, "purpose"))
		var callers []Caller
		for i, n := range tenants {
			callers = append(callers, crowd(n, fmt.Sprint("tenant-", i), purpose, noon)...)
		}
		d := newDemand(8, 0, callers...)
		for i, n := range tenants { // some come later
			for _, c := range crowd(n, fmt.Sprint("tenant-", i), purpose, noon) {
				d.next[c] = noon.Add(time.Duration(i) * time.Second)
			}
		}
		d.run(14 * time.Second)
		share := 8 * 10 / len(tenants)
		for i := range tenants {
			if got := d.count(func(c Caller) bool { return c.Namespace == fmt.Sprint("tenant-", i) }); got < share*9/10-2 {
				t.Errorf("%v: tenant %d has %d calls, its share is %d", tenants, i, got, share)
			}
		}
	})
}

func TestQueue_YoungBeforeOldAndNoneForgotten(t *testing.T) {
	old, young := crowd(20, "shop", Scheduled, noon.Add(-24*time.Hour)), crowd(400, "shop", Scheduled, noon)
	for i := range old {
		old[i].Name += "-old"
	}
	d := newDemand(8, 10*time.Second, append(old, young...)...)
	isOld := func(c Caller) bool { return c.Since.Before(noon) }
	d.run(50 * time.Second)
	if got := d.count(isOld); got > 8 { // those that came before anybody else
		t.Errorf("%d old ones went before young ones", got)
	}
	d.run(maxHeadStart + 3*time.Minute)
	for _, c := range old {
		if len(d.calls[c]) == 0 {
			t.Fatalf("%s was never asked about", c.Name)
		}
	}
}

func TestQueue_MemoryIsBounded(t *testing.T) {
	w := newWindow(1)
	for i, c := range crowd(maxWaiting+100, "shop", Scheduled, noon) {
		c.Namespace = fmt.Sprint(i)
		if wait := w.reserve(c, noon); wait < 0 || wait > maxWait {
			t.Fatalf("to wait for %s", wait)
		}
	}
	if n := len(w.waiting.waiters); n > maxWaiting {
		t.Errorf("%d are remembered", n)
	}
	// Nobody comes any more.
	if w.idle(noon.Add(maxWait + grace)) {
		t.Error("they may still come")
	}
	if !w.idle(noon.Add(maxWait + grace + 2*time.Second)) {
		t.Errorf("%d are remembered", len(w.waiting.waiters))
	}
	for p := range purposes {
		if n := len(w.waiting.lanes[p].tenants); n != 0 {
			t.Errorf("%d tenants are remembered", n)
		}
	}
}

func TestQueue_APlaceIsKept(t *testing.T) {
	w := newWindow(1)
	w.reserve(Caller{Name: "first"}, noon)
	for _, c := range crowd(100, "shop", Scheduled, noon) {
		w.reserve(c, noon)
	}
	last := Caller{Name: "shop-2-99", Namespace: "shop", Purpose: AfterCallback, Since: noon}
	if wait := w.reserve(last, noon); wait > second {
		t.Errorf("after a callback it waits for %s", wait)
	}
	last.Purpose = Scheduled
	if wait := w.reserve(last, noon); wait > second {
		t.Errorf("looked at once more it waits for %s", wait)
	}
}

func TestWindow_RetryAfter(t *testing.T) {
	for name, tt := range map[string]struct{ asked, want time.Duration }{
		"none": {0, time.Second}, "less than a second": {time.Millisecond, time.Second},
		"a minute": {time.Minute, time.Minute}, "days": {72 * time.Hour, 15 * time.Minute}, "nonsense": {-time.Hour, time.Second},
	} {
		for _, limit := range []int{0, 8} {
			w := newWindow(limit)
			w.reserve(Caller{Name: "permitted"}, noon)
			w.pause(tt.asked, noon)
			w.pause(0, noon) // a shorter one takes nothing back
			for _, who := range []string{"permitted", "a", "b"} {
				if got := w.admit(who, noon); got != tt.want {
					t.Errorf("%s, limit %d: a call waits for %s", name, limit, got)
				}
				// They do not all come in the instant in which it ends.
				if got := w.reserve(Caller{Name: who}, noon); got < tt.want || got > tt.want+time.Second/4 {
					t.Errorf("%s, limit %d: %s waits for %s", name, limit, who, got)
				}
			}
			if w.admit("a", noon.Add(tt.want)) != 0 {
				t.Errorf("%s: still paused", name)
			}
			// A clock that was set back makes no pause longer than any.
			w.pause(time.Hour, noon.Add(time.Hour))
			if got := w.admit("a", noon); got > maxPause {
				t.Errorf("%s: paused for %s", name, got)
			}
		}
	}
}

// Calls that nobody reserved, such as the repetition after a 401, wait for a moment, and
// are not made if that would take long.
func TestLimiter_Admit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(8, time.Now, sleep)
		began := time.Now()
		for range 20 {
			if err := l.Admit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took != 2*second {
			t.Errorf("20 calls took %s", took)
		}
		l.pause(time.Minute)
		err := l.Admit(t.Context())
		if wait, ok := LimitedFor(err); !ok || wait != time.Minute || providers.ClassOf(err) != providers.ClassNotSent {
			t.Errorf("%v, %s", err, wait)
		}
		if _, ok := LimitedFor(&providers.Error{Class: providers.ClassNotSent, RetryAfter: time.Second}); ok {
			t.Error("a word of the provider's is taken for the limit")
		}
		time.Sleep(time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 9 {
			err = l.Admit(ctx)
		}
		if !errors.Is(err, context.Canceled) || providers.ClassOf(err) != providers.ClassNotSent {
			t.Errorf("%v", err)
		}
	})
}

// Who makes no call after all, such as a payment that another limit holds up, stands in nobody's way.
func TestLimiter_ReleaseMakesRoom(t *testing.T) {
	l := newLimiter(1, func() time.Time { return noon }, nil)
	first, second := Caller{Name: "first", Namespace: "shop"}, Caller{Name: "second", Namespace: "shop"}
	if l.reserve(first) != 0 || l.reserve(second) == 0 {
		t.Fatal("the limit is one call in each second")
	}
	l.release(first)
	if wait := l.reserve(second); wait != 0 {
		t.Fatalf("the next one waits for %v", wait)
	}
}
