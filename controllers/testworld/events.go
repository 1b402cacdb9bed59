package testworld

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

// Events of the world: they happen before the point that they are planned for.
const (
	CancelSale     = "cancel"
	DeleteSale     = "delete"
	Recreate       = "recreate"
	RecreateOther  = "recreate-with-another-amount"
	Restore        = "restore"
	RestoreNothing = "restore-without-its-charge"
	EditAccount    = "edit-account"
	RemoveAccount  = "remove-account"
	RemoveSecret   = "remove-secret"
	Rotate         = "rotate"
	WrongKeys      = "wrong-keys"
	Ahead          = "clock+6h"
	AheadALittle   = "clock+4m"
	Behind         = "clock-6h"
	DeleteRefund   = "delete-refund"
	RecreateRefund = "recreate-refund"
	// Other: another process does one step meanwhile.
	Other = "other"
	// Others go on for a while, and this one is paused.
	PausedShort = "paused-20s"
	PausedLong  = "paused-5m"
	// Restart: this process dies, and all that it knows.
	Restart = "restart"
)

// Sale is the one that scenarios are about.
const Sale = "sale"

// GiveBackName is the Refund that scenarios are about.
const GiveBackName = "refund"

// event of a kind; false: it is none.
func (w *World) event(kind string) (do func(*World, *Process), known bool) {
	sale := Key{Payment, Shop, Sale}
	do, known = map[string]func(*World, *Process){
		CancelSale: func(w *World, _ *Process) { w.Cancel(Sale) },
		DeleteSale: func(w *World, _ *Process) { w.Store.Delete(sale) },
		Recreate:   func(w *World, _ *Process) { w.recreate(sale, nil) },
		RecreateOther: func(w *World, _ *Process) {
			w.recreate(sale, func(o client.Object) { o.(*v1alpha1.Payment).Spec.Amount = v1alpha1.NewAmount("2901") })
		},
		Restore: func(w *World, _ *Process) { w.recreate(sale, restored) },
		RestoreNothing: func(w *World, _ *Process) {
			w.Store.Delete(Key{Kind: Charge, Name: w.Installation().ChargeName(Shop, Sale)})
			w.recreate(sale, restored)
		},
		EditAccount:   func(w *World, _ *Process) { w.editAccount() },
		RemoveAccount: func(w *World, _ *Process) { w.remove(Key{Account, Shop, w.opts.Provider}) },
		RemoveSecret:  func(w *World, _ *Process) { w.remove(Key{Secret, Shop, w.opts.Provider}) },
		Rotate:        func(w *World, _ *Process) { w.rotated = true; w.editKeys(rotated) },
		WrongKeys: func(w *World, _ *Process) {
			w.editKeys("-wrong")
			w.after(3*time.Minute, w.rightKeys)
		},
		DeleteRefund:   func(w *World, _ *Process) { w.Store.Delete(Key{Refund, Shop, GiveBackName}) },
		RecreateRefund: func(w *World, _ *Process) { w.recreate(Key{Refund, Shop, GiveBackName}, nil) },
		Ahead:          func(w *World, _ *Process) { w.jump(6 * time.Hour) },
		AheadALittle:   func(w *World, _ *Process) { w.jump(4 * time.Minute) },
		Behind:         func(w *World, _ *Process) { w.jump(-6 * time.Hour) },
		Other:          func(w *World, p *Process) { w.others(p) },
		PausedShort:    func(w *World, p *Process) { w.paused(p, 20*time.Second) },
		PausedLong:     func(w *World, p *Process) { w.paused(p, 5*time.Minute) },
		Restart:        func(_ *World, p *Process) { p.kill(0) },
	}[kind]
	return do, known
}

// Cancel calls a payment off.
func (w *World) Cancel(name string) {
	w.Store.Edit(Key{Payment, Shop, name}, false, func(o client.Object) { o.(*v1alpha1.Payment).Spec.Cancel = true })
}

// Settle says how a payment ended, as a person who looked it up does.
func (w *World) Settle(name string, outcome v1alpha1.SettledOutcome) {
	w.Store.Edit(Key{Payment, Shop, name}, false, func(o client.Object) {
		p := o.(*v1alpha1.Payment)
		if p.Status.Unknown == nil {
			return
		}
		p.Spec.Settlement = &v1alpha1.Settlement{
			UnknownID: p.Status.Unknown.ID, Outcome: outcome, SettledBy: "ama", Reason: "listed in the portal of the provider",
		}
	})
}

// Approve: who has a prompt pays.
func (w *World) Approve() { w.sim.Approve() }

// Decline: whoever was asked refuses.
func (w *World) Decline() {
	for _, s := range w.sim.Sessions() {
		if s.Provider == simulator.MTN || slices.Contains(w.urls, s.URL) {
			_ = w.sim.Refuse(s.ID)
		}
	}
}

// PayNow: who has a page pays, if that is still possible.
func (w *World) PayNow() {
	for _, url := range w.urls {
		_ = w.sim.Pay(url)
	}
}

// Again applies the sale's declaration again, as a new object.
func (w *World) Again() { w.recreate(Key{Payment, Shop, Sale}, nil) }

func restored(o client.Object) { o.SetLabels(map[string]string{v1alpha1.LabelRestore: "last-night"}) }

// recreate deletes an object and applies its declaration again.
func (w *World) recreate(k Key, change func(client.Object)) {
	if old := w.Store.Live(k); old != nil {
		w.Store.Delete(k)
		w.apply(old, change)
	}
}

func (w *World) apply(old client.Object, change func(client.Object)) {
	next := clone(old)
	takeStatus(next, kindOf(old).empty())
	next.SetUID("")
	next.SetResourceVersion("")
	next.SetCreationTimestamp(metav1.Time{})
	next.SetDeletionTimestamp(nil)
	if change != nil {
		change(next)
	}
	w.declare(next)
}

// declare applies an object under a name that is free, as whoever owns it does.
func (w *World) declare(o client.Object) {
	w.declared[keyOf(o)] = clone(o)
	w.must(w.Store.Create(o))
}

// Remake applies what was declared under a name, changed; what is there under it is deleted first. False: nothing was.
func (w *World) Remake(k Key, change func(client.Object)) bool {
	declared := w.declared[k]
	if declared == nil {
		return false
	}
	w.Store.Delete(k)
	w.apply(declared, change)
	return true
}

// remove an object. What a platform owns is put back after a while; what a user or an administrator deletes stays away.
func (w *World) remove(k Key) {
	old := w.Store.Live(k)
	if old == nil {
		return
	}
	w.Store.Delete(k)
	if k.Kind >= Account {
		w.after(mendedAfter, func() {
			if w.Store.Live(k) == nil {
				w.apply(old, nil)
			}
		})
	}
}

func (w *World) editAccount() {
	w.EditAccount(func(spec *v1alpha1.MerchantAccountSpec) {
		Rename(spec)
		spec.MerchantName = "Another name"
		spec.Polling.Interval = &metav1.Duration{Duration: time.Minute}
	})
}

// jump sets the operator's clock, while time goes on as it does.
func (w *World) jump(d time.Duration) {
	w.SetClock(w.skew + d)
}

// Meanwhile does something while p is in the middle of a step.
func (w *World) Meanwhile(p *Process, do func()) {
	before := w.current
	w.current = p
	do()
	w.current = before
}

// Other lets the other processes look at the sale while one is in the middle of a step; false: none is.
func (w *World) Other() bool {
	if w.current == nil {
		return false
	}
	w.others(w.current)
	return true
}

// Pause the process that is in the middle of a step, while the world goes on; false: none is.
func (w *World) Pause(d time.Duration) bool {
	if w.current == nil {
		return false
	}
	w.paused(w.current, d)
	return true
}

// others lets each other process look at the sale now.
func (w *World) others(p *Process) {
	for _, q := range append([]*Process(nil), w.processes...) {
		if q == p || q.busy || q.dead {
			continue
		}
		q.pump()
		q.run(w.saleJob())
		for _, o := range q.view.objects {
			if r, ok := o.(*v1alpha1.Refund); ok && !q.dead {
				q.run(refundJob(r))
			}
		}
	}
}

func (w *World) saleJob() Job {
	return Job{Name: types.NamespacedName{Namespace: Shop, Name: Sale}}
}

// paused: p does nothing for a while, and the world goes on.
func (w *World) paused(p *Process, d time.Duration) {
	for end := w.clock.Now().Add(d); w.clock.Now().Before(end); {
		if w.ends() != nil {
			return
		}
		if w.work(p) {
			w.payers()
			continue
		}
		w.clock.Add(w.next(end.Sub(w.clock.Now())))
		w.tick()
	}
}

// describe a version in a line.
func describe(v Version) string {
	shown := any("deleted")
	switch o := v.New.(type) {
	case *v1alpha1.Payment:
		shown = map[string]any{"spec": o.Spec, "status": o.Status}
	case *v1alpha1.Charge:
		shown = o.Record
	case *v1alpha1.Refund:
		shown = map[string]any{"spec": o.Spec, "status": o.Status}
	case client.Object:
		shown = o.GetGeneration()
	}
	return fmt.Sprintf("%s: %s", v.Key, body(shown))
}
