package attempt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// A run whose own write wakes it at once, as that of a CRD that lost a field (K6b).
func TestK6bPaced_HoldsAgainstOwnWrites(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		min, max int
	}{
		"every run fails":    {errors.New("the field is not there"), 4, 4},
		"every run succeeds": {nil, burst, burst + 10*runsPerSecond},
	} {
		t.Run(name, func(t *testing.T) {
			now, writes := time.Unix(1_700_000_000, 0), 0
			loop := Paced(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
				writes++
				return ctrl.Result{}, c.err
			}), func() time.Time { return now })
			for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(time.Millisecond) {
				_, _ = loop.Reconcile(t.Context(), ctrl.Request{})
			}
			if writes < c.min || writes > c.max {
				t.Errorf("%d writes in 10 s", writes)
			}
		})
	}
}

func TestPaced_LimitsEveryWindowAndDelaysNoLongerThanItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1_700_000_000, 0)
		var fail error
		var runs []time.Time
		loop := Paced(reconcile.Func(func(_ context.Context, key ctrl.Request) (ctrl.Result, error) {
			if key.Name == "" {
				runs = append(runs, now)
			}
			return ctrl.Result{}, fail
		}), func() time.Time { return now })
		for i := range rapid.IntRange(1, 200).Draw(t, "wake-ups") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 100, 600, 5000, 70_000}).Draw(t, "ms later")) * time.Millisecond)
			fail = rapid.SampledFrom([]error{nil, nil, errors.New("failed")}).Draw(t, "outcome")
			before := len(runs)
			result, err := loop.Reconcile(context.Background(), ctrl.Request{})
			if ran := len(runs) > before; ran == (result.RequeueAfter > 0) || result.RequeueAfter > lastRetry || ran && !errors.Is(err, fail) {
				t.Fatalf("ran: %t, again in %v, %v", ran, result.RequeueAfter, err)
			}
			if result.RequeueAfter > 0 && rapid.Bool().Draw(t, "until it says") {
				now = now.Add(result.RequeueAfter)
				if again, _ := loop.Reconcile(context.Background(), ctrl.Request{}); again.RequeueAfter > 0 {
					t.Fatalf("not run when it said, but in %v", again.RequeueAfter)
				}
			}
			fail = nil
			other := ctrl.Request{NamespacedName: types.NamespacedName{Name: strconv.Itoa(i)}}
			if result, _ := loop.Reconcile(context.Background(), other); result.RequeueAfter > 0 {
				t.Fatal("another key is held up")
			}
		}
		for i := range runs {
			for j := i; j < len(runs); j++ {
				if limit := burst + runsPerSecond*runs[j].Sub(runs[i]).Seconds(); float64(j-i+1) > limit+0.001 {
					t.Fatalf("%d runs in %v", j-i+1, runs[j].Sub(runs[i]))
				}
			}
		}
	})
}

func TestPaced_RepeatsConflictsEverMoreSlowlyAndWithoutAnError(t *testing.T) {
	now, conflict := time.Unix(1_700_000_000, 0), apierrors.NewConflict(schema.GroupResource{}, "sale", nil)
	loop := Paced(reconcile.Func(func(context.Context, ctrl.Request) (ctrl.Result, error) {
		return Finish(ctrl.Result{}, fmt.Errorf("writing Payment sale: %w", conflict))
	}), func() time.Time { return now })
	for _, ms := range []int{50, 100, 200, 400, 800, 1600, 3200, 4000, 4000} {
		want := time.Duration(ms) * time.Millisecond
		result, err := loop.Reconcile(context.Background(), ctrl.Request{})
		if err != nil || result.RequeueAfter != want {
			t.Fatalf("again in %v, %v; want %v", result.RequeueAfter, err, want)
		}
		now = now.Add(want)
	}
}

func TestPaced_ForgetsKeysThatAreNotRun(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	p := &pacer{now: func() time.Time { return now }, keys: map[ctrl.Request]pace{}}
	for i := range 1000 {
		p.begin(ctrl.Request{NamespacedName: types.NamespacedName{Name: strconv.Itoa(i)}})
		now = now.Add(time.Second)
	}
	if n := len(p.keys); n > 200 {
		t.Errorf("%d keys are remembered", n)
	}
}

// A run waits for a cache that does not show our own write yet, but not for ever.
func TestCatchUp_WaitsForOwnWritesForAWhile(t *testing.T) {
	now, behind := time.Unix(1_700_000_000, 0), true
	p := &Protocol{Now: func() time.Time { return now }, Behind: func(client.Object) bool { return behind }}
	read := &v1alpha1.Charge{}
	for range 19 {
		if p.CatchUp("a", read) == 0 {
			t.Fatalf("goes on after %v", now.Sub(time.Unix(1_700_000_000, 0)))
		}
		now = now.Add(100 * time.Millisecond)
	}
	if p.CatchUp("a") != 0 || p.CatchUp("b", read) == 0 {
		t.Fatal("what was not read is behind, or another key is not")
	}
	p.CatchUp("a", read)
	if now = now.Add(maxBehind); p.CatchUp("a", read) != 0 {
		t.Fatal("waits for ever")
	}
	if behind = false; p.CatchUp("a", read) != 0 {
		t.Fatal("waits for nothing")
	}
	if behind = true; p.CatchUp("a", read) == 0 {
		t.Fatal("does not wait again")
	}
	if (&Protocol{Now: p.Now}).CatchUp("a", read) != 0 {
		t.Fatal("waits though nothing tells that the cache is behind")
	}
}
