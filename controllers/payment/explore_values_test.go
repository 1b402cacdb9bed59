//go:build !race

package payment

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers"
)

// The explorer's states hold numbers; what they stand for are real objects, the
// same that the loop works on, kept once each in a table. So decide, the folds,
// project and relate are called on real Charges and Payments, and a field that
// they begin to use tomorrow is part of the state without a change here.

// num is the number of a value in its table; 0 is none.
type num uint32

// table holds each different value once. Values are never changed.
type table[T any] struct {
	text   func(*T) string
	byText map[string]num
	values []*T
	// ages are the times in a value, as bits: see age.
	ages  []uint64
	moved map[[2]uint64]num
}

func newTable[T any](text func(*T) string) *table[T] {
	return &table[T]{text: text, byText: map[string]num{}, values: []*T{nil}, ages: []uint64{0}, moved: map[[2]uint64]num{}}
}

func (t *table[T]) number(v *T) num {
	text := t.text(v)
	if n, ok := t.byText[text]; ok {
		return n
	}
	n := num(len(t.values))
	t.byText[text] = n
	t.values = append(t.values, v)
	var mask uint64
	eachTime(reflect.ValueOf(v), func(at time.Time) time.Time {
		mask |= 1 << age(at)
		return at
	})
	t.ages = append(t.ages, mask)
	return n
}

func (t *table[T]) at(n num) *T { return t.values[n] }

// move gives the value with its times moved: those that are before gap stay as
// they are (long ago), the others are one tick older.
func (t *table[T]) move(n num, gap int, copyOf func(*T) *T) num {
	if n == 0 || t.ages[n] == 0 {
		return n
	}
	key := [2]uint64{uint64(n), uint64(gap)}
	if m, ok := t.moved[key]; ok {
		return m
	}
	v := copyOf(t.values[n])
	eachTime(reflect.ValueOf(v), func(at time.Time) time.Time {
		if age(at) >= gap {
			return at
		}
		return at.Add(-tick)
	})
	m := t.number(v)
	t.moved[key] = m
	return m
}

// tick is the grain of time. The clock of the model always shows epoch: what
// gets older are the times in objects.
const tick = time.Minute

var (
	epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	// undated stands for times that nothing in the protocol reads.
	undated = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
)

func age(at time.Time) int {
	n := int(epoch.Sub(at) / tick)
	if n < 0 || n > 62 {
		panic(fmt.Sprintf("a time in the model is %d ticks old", n))
	}
	return n
}

// oldestGap finds where time can be shortened without anything noticing: a gap
// between two times that is longer than every window. Times on its far side
// need not get older. 63: there is none.
func oldestGap(ages uint64, longest int) int {
	last := 0 // now is one of the times
	for ages != 0 {
		n := bits.TrailingZeros64(ages)
		if n-last > longest {
			return n
		}
		last = n
		ages &^= 1 << n
	}
	return 63
}

var (
	timeType  = reflect.TypeFor[time.Time]()
	metaType  = reflect.TypeFor[metav1.Time]()
	microType = reflect.TypeFor[metav1.MicroTime]()
)

// eachTime changes every dated time in v, however deep.
func eachTime(v reflect.Value, change func(time.Time) time.Time) {
	dated := func(at time.Time) bool { return !at.IsZero() && !at.Equal(undated) }
	switch {
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			eachTime(v.Elem(), change)
		}
	case v.Type() == timeType:
		if at := v.Interface().(time.Time); dated(at) {
			v.Set(reflect.ValueOf(change(at)))
		}
	case v.Type() == metaType:
		if at := v.Interface().(metav1.Time); dated(at.Time) {
			v.Set(reflect.ValueOf(metav1.NewTime(change(at.Time))))
		}
	case v.Type() == microType:
		if at := v.Interface().(metav1.MicroTime); dated(at.Time) {
			v.Set(reflect.ValueOf(metav1.NewMicroTime(change(at.Time))))
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				eachTime(f, change)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachTime(v.Index(i), change)
		}
	}
}

func asJSON[T any](v *T) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// memory is an observation whose times can be reached from outside.
type memory struct {
	At, CancelledAt time.Time
	Failures        int
	NotFound        bool
	State           providers.State
}

func remembered(o observation) memory {
	return memory{At: o.at, CancelledAt: o.cancelledAt, Failures: o.failures, NotFound: o.notFound, State: o.state}
}

func (m memory) observation() observation {
	return observation{at: m.At, failures: m.Failures, notFound: m.NotFound, state: m.State, cancelledAt: m.CancelledAt}
}

// An answer is what a process has read and is about to record: the fold and
// what it was made of.
type answer struct {
	Kind    string
	Send    int32
	Reason  v1alpha1.Reason
	At      time.Time
	Session *v1alpha1.ChargeSession
	Status  *providers.Status
}

const (
	foldsHold, foldsNotice, foldsExpired, foldsCallOff, foldsCancelled = "hold", "notice", "expired", "called off", "cancelled"
	foldsSession, foldsKnown, foldsStatus, foldsAsked                  = "session", "known", "status", "asked"
	foldsRefusal, foldsRefusalConfirmed, foldsVoid                     = "refusal", "refusal confirmed", "void"
	foldsFailed                                                        = "failed" // mutants only
)

// fold is the real one.
func (a *answer) fold(traits providers.Traits) fold {
	switch a.Kind {
	case foldsHold:
		return foldHold(a.Reason, "", a.At)
	case foldsNotice:
		return foldNotice(v1alpha1.ChargeNotice{Reason: a.Reason}, a.At)
	case foldsExpired:
		return foldExpired(a.At)
	case foldsCallOff:
		return foldCallOff(a.At)
	case foldsCancelled:
		return foldCancelled(a.Send, a.At)
	case foldsSession:
		return foldSession(*a.Session)
	case foldsKnown:
		return foldReferenceKnown
	case foldsStatus:
		return foldStatus(*a.Status, a.At)
	case foldsAsked:
		return func(c *v1alpha1.Charge) bool {
			opened := foldSession(*a.Session)(c)
			return foldStatus(*a.Status, a.At)(c) || opened
		}
	case foldsRefusal:
		return foldRefusal(v1alpha1.ChargeRefusal{Send: a.Send, At: metav1.NewMicroTime(a.At), Reason: a.Reason}, traits.Flow)
	case foldsRefusalConfirmed:
		return foldRefusalConfirmed(a.At)
	case foldsVoid:
		return foldVoid(a.Send, a.Reason, "", a.At)
	case foldsFailed:
		return foldOutcome(v1alpha1.ChargeOutcome{Phase: v1alpha1.PhaseFailed, Reason: v1alpha1.ReasonProviderRefused, At: metav1.NewMicroTime(a.At)})
	default:
		panic("no such fold: " + a.Kind)
	}
}

// undate drops the times that no decision and no projection depends on, so that
// states that differ in nothing else are one.
func undateCharge(c *v1alpha1.Charge) {
	r := &c.Record
	never := metav1.NewMicroTime(undated)
	if r.Notice != nil {
		r.Notice.At = never
	}
	if r.Refusal != nil {
		r.Refusal.At = never
	}
	if r.Outcome != nil && (saidPaid(r.Outcome) || r.Contradiction != nil) {
		o := *r.Outcome
		o.At = never
		r.Outcome = &o
	}
	if r.Contradiction != nil {
		r.Contradiction.At = never
	}
}

// undateRecord drops the times that no decision reads any more, once more is
// recorded. TestExploreForgetsNothing holds it to that.
func undateRecord(r *v1alpha1.ChargeRecord) {
	never := metav1.NewMicroTime(undated)
	if r.LastSend != nil && (r.Session != nil || r.Hold != nil || r.Outcome != nil) {
		last := *r.LastSend
		last.At = never
		r.LastSend = &last
	}
	if r.Session != nil && (r.Hold != nil || r.Outcome != nil) {
		session := *r.Session
		session.At = never
		r.Session = &session
	}
	if r.Hold != nil && r.Outcome != nil {
		hold := *r.Hold
		hold.At = never
		r.Hold = &hold
	}
	if r.Cancel != nil && (r.Hold != nil || r.Outcome != nil) {
		r.Cancel = &v1alpha1.ChargeCancel{At: never}
	}
}

// undateAnswer drops the time of an answer that leaves none, or none that counts.
func undateAnswer(a *answer) {
	if a.Kind == foldsNotice || a.Kind == foldsVoid || a.Kind == foldsSession || (a.Status != nil && !a.Status.State.Final()) {
		a.At = undated
	}
}

func undatePayment(p *v1alpha1.Payment) {
	never := metav1.NewTime(undated)
	if p.Status.CompletedAt != nil {
		p.Status.CompletedAt = &never
	}
	if p.Status.InitiatedAt != nil {
		p.Status.InitiatedAt = &never
	}
	for i := range p.Status.Conditions {
		p.Status.Conditions[i].LastTransitionTime = never
	}
}
