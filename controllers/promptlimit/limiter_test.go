package promptlimit

import (
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestNextAt_KeepsTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var passed []time.Time
		now := noon
		for range rapid.IntRange(1, 60).Draw(t, "requests") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "seconds")) * time.Second)
			shuffled := rapid.Permutation(passed).Draw(t, "order")
			inWindow := 0
			for _, at := range passed {
				if now.Sub(at) < window {
					inWindow++
				}
			}
			until := nextAt(now, limit, 0, shuffled)
			if free := inWindow < limit; free != !until.After(now) {
				t.Fatalf("%d of %d in the window, held until %v at %v", inWindow, limit, until, now)
			}
			if until.After(now) {
				if again := nextAt(until, limit, 0, passed); again.After(until) {
					t.Fatalf("told to come back at %v, and then at %v", until, again)
				}
				behind := nextAt(now, limit, rapid.IntRange(1, 10).Draw(t, "position"), shuffled)
				if behind.Before(until) || behind.Sub(now) > window {
					t.Fatalf("held for %v, and who is behind for %v", until.Sub(now), behind.Sub(now))
				}
				continue
			}
			passed = append(passed, now)
		}
	})
}

// Everybody in a queue has a position, nobody has that of another who was there before,
// and what is left behind by those who leave is nothing.
func TestQueues_EachHasAPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l queues
		order := map[string][]string{}
		leave := func(name string) {
			for value, queue := range order {
				order[value] = slices.DeleteFunc(queue, func(n string) bool { return n == name })
			}
		}
		name, value := rapid.SampledFrom(names(6)), rapid.SampledFrom([]string{"a", "b"})
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n, v := name.Draw(t, "name"), value.Draw(t, "value")
			if rapid.Bool().Draw(t, "leaves") {
				l.leave(n)
				leave(n)
				continue
			}
			got := l.position(n, v)
			if !slices.Contains(order[v], n) {
				leave(n)
				order[v] = append(order[v], n)
				if got != len(order[v])-1 {
					t.Fatalf("%s is new, and has position %d of %v", n, got, order[v])
				}
			}
			if got > slices.Index(order[v], n) {
				t.Fatalf("%s has position %d of %v", n, got, order[v])
			}
		}
		for _, n := range names(6) {
			l.leave(n)
		}
		if len(l.of)+len(l.values) > 0 {
			t.Fatalf("left behind: %+v", l)
		}
	})
}

func TestLimiter_Forgets(t *testing.T) {
	b := Limiter{}
	for i, name := range names(1000) {
		b.remember(name, Prompt{At: noon.Add(time.Duration(i) * time.Second)})
	}
	if n := len(b.admitted); n > 62 {
		t.Errorf("%d remembered", n)
	}
}

func TestPromptedAt_IsTheNewestSend(t *testing.T) {
	first, second := metav1.NewMicroTime(noon.Add(time.Hour)), metav1.NewMicroTime(noon.Add(2*time.Hour))
	charge := func(a v1alpha1.Attempt) *v1alpha1.Charge {
		return &v1alpha1.Charge{
			ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(noon)},
			Spec:       v1alpha1.ChargeSpec{Payer: "payer", Payment: v1alpha1.PaymentIdentity{Namespace: "shop"}},
			Record:     v1alpha1.ChargeRecord{Attempt: a},
		}
	}
	open := []v1alpha1.Send{{Number: 1, At: first}}
	rings := charge(v1alpha1.Attempt{Open: open})
	rings.Spec.Payer = ""
	for name, tc := range map[string]struct {
		charge *v1alpha1.Charge
		at     time.Time
	}{
		"not sent":         {charge(v1alpha1.Attempt{}), time.Time{}},
		"sent":             {charge(v1alpha1.Attempt{Sends: 1, Open: open}), first.Time},
		"sent twice":       {charge(v1alpha1.Attempt{Sends: 2, Open: append(open, v1alpha1.Send{Number: 2, At: second})}), second.Time},
		"sent and void":    {charge(v1alpha1.Attempt{Sends: 1, Notice: &v1alpha1.Notice{At: first}}), time.Time{}},
		"taken":            {charge(v1alpha1.Attempt{Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: second}}), second.Time},
		"refused":          {charge(v1alpha1.Attempt{Sends: 1, Refusal: &v1alpha1.Refusal{Send: v1alpha1.Send{Number: 1, At: first}, At: second}}), first.Time},
		"refused, resent":  {charge(v1alpha1.Attempt{Sends: 2, Refusal: &v1alpha1.Refusal{Send: open[0]}, Open: []v1alpha1.Send{{Number: 2, At: second}}}), second.Time},
		"rings nobody":     {rings, time.Time{}},
		"ended unsent":     {charge(v1alpha1.Attempt{Outcome: &v1alpha1.Outcome{At: second}}), time.Time{}},
		"asked about only": {charge(v1alpha1.Attempt{Notice: &v1alpha1.Notice{Reason: v1alpha1.ReasonAdoptOnly, At: second}}), time.Time{}},
	} {
		at, ok := promptedAt(tc.charge)
		if ok == tc.at.IsZero() || !at.Equal(tc.at) {
			t.Errorf("%s: %v %v, want %v", name, at, ok, tc.at)
		}
		keys := namespaceKeys(tc.charge)
		if ok && !slices.Equal(keys, []string{indexKey("shop", tc.at)}) || !ok && len(keys) != 0 {
			t.Errorf("%s: keys %v", name, keys)
		}
	}
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("sale-%d", i)
	}
	return out
}
