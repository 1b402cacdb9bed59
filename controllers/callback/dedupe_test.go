package callback

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

func said(status string) string { return fmt.Sprintf(`{"status":%q}`, status) }

// A thousand repetitions are one note, whenever they come, and if they
// alternate.
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

// Many at the same time are one note, and all of them are taken.
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

// What one replica noted, another one does not note again, and neither does its
// successor: as far as the Payment shows it.
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

// A cache that is behind shows no note: the replica remembers its own.
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

// A failed note is not remembered as noted.
func TestG2_WhatCouldNotBeNotedIsNotedLater(t *testing.T) {
	f, s := withSale(t, "mtn")
	f.onCall = func(label string) error {
		if label == "apply status" {
			return apierrors.NewServiceUnavailable("later")
		}
		return nil
	}
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

// The same words are noted once more after an end that is not "paid": the payment may
// be paid late.
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
