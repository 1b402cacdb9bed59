package callback

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
)

// chargeNote is the note on the Charge of a sale, after checking that nothing else of it is new.
func (f *fixture) chargeNote(s sale) *v1alpha1.CallbackNote {
	f.t.Helper()
	var c v1alpha1.Charge
	must(f.t, f.api.Get(f.ctx, client.ObjectKeyFromObject(s.charge), &c))
	note := c.Record.LastCallback
	if c.Record.LastCallback = s.charge.Record.LastCallback; !equality.Semantic.DeepEqual(c.Record, s.charge.Record) {
		f.t.Errorf("a callback changed the Charge: %+v", c.Record)
	}
	return note
}

func TestNote_IsOnTheChargeWhereNoPaymentShowsIt(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "payments"}, "order-1")
	for name, hide := range map[string]func(f *fixture, p *v1alpha1.Payment){
		"no Payment": func(f *fixture, p *v1alpha1.Payment) { must(t, f.api.Delete(f.ctx, p)) },
		"not shown yet": func(f *fixture, p *v1alpha1.Payment) {
			p.Status.ChargeName = ""
			must(t, f.api.Status().Update(f.ctx, p))
		},
		"shows another one": func(f *fixture, p *v1alpha1.Payment) {
			p.Status.ChargeName = "c"
			must(t, f.api.Status().Update(f.ctx, p))
		},
		"it goes in this moment": func(f *fixture, _ *v1alpha1.Payment) { f.onCall = failing("apply status", notFound) },
	} {
		for _, provider := range []string{"mtn", "orange"} {
			t.Run(name+" "+provider, func(t *testing.T) {
				f, s := withSale(t, provider)
				p, _ := f.get(s)
				hide(f, p)
				body := map[string]string{"mtn": mtnBody, "orange": orangeBody("SUCCESSFUL", notifToken)}[provider]
				f.expect(http.StatusOK, http.MethodPost, s.path(), body)
				if n := f.chargeNote(s); n == nil || n.Claim != "SUCCESSFUL" || !n.ReceivedAt.Time.Equal(f.now) || n.Digest == "" {
					t.Errorf("noted %+v", n)
				}
				f.Receiver.memory = newMemory() // another process notes it no second time
				writes := len(f.writes)
				f.now = f.now.Add(time.Minute)
				if f.onCall == nil {
					f.expect(http.StatusOK, http.MethodPost, s.path(), body)
				}
				if len(f.writes) != writes {
					t.Errorf("noted again: %v", f.writes)
				}
			})
		}
	}
}

func failing(label string, err error) func(string) error {
	return func(l string) error {
		if l == label {
			return err
		}
		return nil
	}
}

func TestNote_OnAChargeIsRetriedOnConflict(t *testing.T) {
	f, s := withSale(t, "mtn")
	must(t, f.api.Delete(f.ctx, s.payment.DeepCopy()))
	tries := 0
	f.onCall = func(label string) error {
		if label != "update" {
			return nil
		}
		if tries++; tries == 1 {
			var c v1alpha1.Charge
			must(t, f.api.Get(f.ctx, client.ObjectKeyFromObject(s.charge), &c))
			c.Record.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown}
			must(t, f.api.Update(f.ctx, &c))
		}
		return nil
	}
	f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	s.charge.Record.Unknown = &v1alpha1.Unknown{Reason: v1alpha1.ReasonOutcomeUnknown}
	if n := f.chargeNote(s); n == nil || tries != 2 {
		t.Errorf("%d tries, noted %+v", tries, n)
	}

	// A conflict that stays is an error, and the callback comes again.
	f.now = f.now.Add(time.Minute)
	f.onCall = failing("update", apierrors.NewConflict(schema.GroupResource{Resource: "charges"}, "c", errAPI))
	f.expect(http.StatusServiceUnavailable, http.MethodPost, s.path(), `{"status":"FAILED"}`)
	// A Charge that is gone, or was made again, has nothing to learn.
	f.onCall = failing("update", apierrors.NewNotFound(schema.GroupResource{Resource: "charges"}, "c"))
	f.expect(http.StatusOK, http.MethodPost, s.path(), `{"status":"FAILED"}`)
}

// K2g: only what the provider said was paid has nothing to learn. Any other end is
// noted, even within the gap of a note that was before it, and even the same words.
func TestNote_AfterAnEnd(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  []func(*sale)
		earlier time.Duration // of another note, before now
		noted   bool
	}{
		{"paid", []func(*sale){ended(v1alpha1.PhaseSucceeded)}, 0, false},
		{"settled as paid", []func(*sale){ended(v1alpha1.PhaseSucceeded), settledByHand}, 0, true},
		{"settled as not paid", []func(*sale){ended(v1alpha1.PhaseFailed), settledByHand}, 0, true},
		{"failed", []func(*sale){ended(v1alpha1.PhaseFailed)}, 0, true},
		{"expired", []func(*sale){ended(v1alpha1.PhaseExpired)}, 0, true},
		{"cancelled", []func(*sale){ended(v1alpha1.PhaseCancelled)}, 0, true},
		{"failed after a note just now", []func(*sale){ended(v1alpha1.PhaseFailed)}, 6 * time.Second, true},
		{"failed before a note just now", []func(*sale){ended(v1alpha1.PhaseFailed)}, 4 * time.Second, false},
		{"open after a note just now", nil, 6 * time.Second, false},
	} {
		for _, words := range []string{"other words", "the same words"} {
			for _, place := range []string{"Payment", "Charge"} {
				t.Run(test.name+", "+words+" on a "+place, func(t *testing.T) {
					s := newSale("shop", "order-1", "mtn", test.change...)
					f := setUp(t)
					if o := s.charge.Record.Outcome; o != nil {
						o.At.Time = f.now.Add(-5 * time.Second)
					}
					f.add(s)
					p, _ := f.get(s)
					if place == "Charge" {
						must(t, f.api.Delete(f.ctx, p))
					}
					note := func() *v1alpha1.CallbackNote {
						if place == "Charge" {
							return f.chargeNote(s)
						}
						return f.noteOf(s)
					}
					before := map[string]string{"other words": `{"status":"PENDING"}`, "the same words": mtnBody}[words]
					if test.earlier > 0 {
						now := f.now
						f.now = now.Add(-test.earlier)
						f.expect(http.StatusOK, http.MethodPost, s.path(), before)
						f.now = now
					}
					f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
					n := note()
					if got := n != nil && n.ReceivedAt.Time.Equal(f.now); got != test.noted {
						t.Errorf("noted %+v, want a note of now: %t", n, test.noted)
					}
				})
			}
		}
	}
}

func said(status string) string { return fmt.Sprintf(`{"status":%q}`, status) }

func TestG2_RepetitionsAreOneNote(t *testing.T) {
	for name, bodies := range map[string][]string{
		"the same":      {mtnBody},
		"alternating":   {said("A"), said("B")},
		"three of them": {said("A"), said("B"), said("C")},
	} {
		t.Run(name, func(t *testing.T) {
			s, other := newSale("shop", "order-1", "mtn"), newSale("shop", "order-2", "mtn")
			f := withSales(t, s, other)
			for i := range 1000 {
				f.expect(http.StatusOK, http.MethodPost, s.path(), bodies[i%len(bodies)])
				f.now = f.now.Add(f.NoteGap)
			}
			f.expectWrites(len(bodies))
			f.expect(http.StatusOK, http.MethodPost, other.path(), bodies[0]) // each Payment has its own
			f.expectWrites(len(bodies) + 1)
		})
	}
}

func TestG2_SimultaneousCallbacksAreOneNote(t *testing.T) {
	f, s := withSale(t, "mtn")
	var senders sync.WaitGroup
	for i := range 100 {
		senders.Go(func() {
			if w := f.do(http.MethodPost, s.path(), fmt.Sprintf(`{"status":"SUCCESSFUL","n":%d}`, i%3)); w.Code != http.StatusOK {
				t.Errorf("HTTP %d", w.Code)
			}
		})
	}
	senders.Wait()
	f.expectNote(s, "SUCCESSFUL")
	f.expectWrites(1)
}

func TestG2_AnotherReplicaNotesNothingAgain(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	for range 3 {
		f.Receiver.memory = newMemory() // another process
		f.now = f.now.Add(time.Minute)
		f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	}
	f.expectWrites(1)
}

func TestG2_ACacheThatIsBehindMakesNoSecondNote(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.Client = interceptor.NewClient(f.Client.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			if p, ok := o.(*v1alpha1.Payment); ok {
				p.Status.LastCallback = nil
			}
			return err
		},
	})
	for i := range 100 { // in 50 s, all of them different
		f.expect(http.StatusOK, http.MethodPost, s.path(), said(fmt.Sprint("N", i)))
		f.now = f.now.Add(f.NoteGap / 20)
	}
	f.expectWrites(5)
}

func TestG2_WhatCouldNotBeNotedIsNotedLater(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.onCall = failing("apply status", apierrors.NewServiceUnavailable("later"))
	f.expect(http.StatusServiceUnavailable, http.MethodPost, s.path(), mtnBody)
	f.onCall = nil
	f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	f.expectNote(s, "SUCCESSFUL")
	// Nor what was ignored because it came too soon.
	f.expect(http.StatusOK, http.MethodPost, s.path(), said("FAILED"))
	f.now = f.now.Add(f.NoteGap)
	f.expect(http.StatusOK, http.MethodPost, s.path(), said("FAILED"))
	f.expectNote(s, "FAILED")
}

func TestG6_TheSameWordsAreNotedOnceAfterAnEnd(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
	f.now = f.now.Add(time.Minute)
	_, c := f.get(s)
	c.Record.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseExpired, Reason: "PayerTimeout"}
	c.Record.Outcome.At.Time = f.now
	must(t, f.api.Update(f.ctx, c))
	s.charge = c
	f.now = f.now.Add(time.Minute)
	first := f.now
	for range 100 {
		f.expect(http.StatusOK, http.MethodPost, s.path(), mtnBody)
		f.now = f.now.Add(f.NoteGap)
	}
	f.expectWrites(2)
	if n := f.noteOf(s); !n.ReceivedAt.Time.Equal(first) {
		t.Errorf("noted at %s", n.ReceivedAt)
	}
}

func TestNote_OnARealServer(t *testing.T) {
	env, ctx := testenv.ForTest(t), t.Context()
	api := env.Client()
	now := time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	r := &Receiver{Client: api}

	p := &v1alpha1.Payment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "order-1"},
		Spec:       v1alpha1.PaymentSpec{Provider: "mtn", Amount: v1alpha1.AmountFromInt(5000), Phone: phone},
	}
	must(t, api.Create(ctx, p))
	fresh := p.DeepCopy()
	p.Status.Phase = v1alpha1.PhaseProcessing
	must(t, api.Status().Update(ctx, p, client.FieldOwner("loop")))

	// The cache may be behind: a note needs no resourceVersion.
	must(t, r.apply(ctx, fresh, received{claim: "SUCCESSFUL", digest: "d1", at: now}))
	var got v1alpha1.Payment
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.Phase != v1alpha1.PhaseProcessing || got.Status.LastCallback == nil ||
		got.Status.LastCallback.Claim != "SUCCESSFUL" || !got.Status.LastCallback.ReceivedAt.Time.Equal(now) {
		t.Errorf("%+v", got.Status)
	}
	expectOwner(t, &got)

	// The loop writes the whole status, note included; the next note is in nobody's way.
	got.Status.Phase = v1alpha1.PhaseUnknown
	must(t, api.Status().Update(ctx, &got, client.FieldOwner("loop")))
	now = now.Add(time.Minute)
	must(t, r.apply(ctx, &got, received{claim: "FAILED", digest: "d2", at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.Phase != v1alpha1.PhaseUnknown || got.Status.LastCallback.Claim != "FAILED" {
		t.Errorf("%+v", got.Status)
	}
	// A note without a word takes the old word back.
	must(t, r.apply(ctx, &got, received{at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(p), &got))
	if got.Status.LastCallback.Claim != "" {
		t.Errorf("the time is new, the word is old: %+v", got.Status.LastCallback)
	}

	must(t, api.Delete(ctx, p))
	if err := r.apply(ctx, p, received{at: now}); !apierrors.IsNotFound(err) {
		t.Errorf("gone: %v", err)
	}
	// A cache that is behind may mean the one before: the API server ignores a uid
	// in a status, so the note lands here. It is a note, and nothing else.
	again := &v1alpha1.Payment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "order-1"}, Spec: p.Spec}
	must(t, api.Create(ctx, again))
	must(t, r.apply(ctx, p, received{claim: "FAILED", digest: "d3", at: now}))
	must(t, api.Get(ctx, client.ObjectKeyFromObject(again), again))
	want := v1alpha1.PaymentStatus{ObservedGeneration: -1, LastCallback: again.Status.LastCallback}
	if again.UID == p.UID || again.Status.LastCallback == nil || !equality.Semantic.DeepEqual(again.Status, want) {
		t.Errorf("%+v", again.Status)
	}
}

func expectOwner(t *testing.T, p *v1alpha1.Payment) {
	t.Helper()
	for _, m := range p.ManagedFields {
		if m.Manager != FieldManager {
			continue
		}
		got := m.FieldsV1.GetRawString()
		if got != `{"f:status":{"f:lastCallback":{}}}` || m.Subresource != "status" || m.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("%s %s owns %s", m.Operation, m.Subresource, got)
		}
		return
	}
	t.Error("nobody owns the note")
}
