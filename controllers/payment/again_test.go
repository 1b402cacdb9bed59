package payment

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
)

// sold makes a sale that is paid.
func (w *world) sold(provider string) *v1alpha1.Charge {
	w.T.Helper()
	w.payment("sale", provider, "1902")
	w.paidOnce()
	return w.charge("sale")
}

// paidOnce runs the sale to its end: by the provider's books the payer was asked once and paid once.
func (w *world) paidOnce() *v1alpha1.Payment {
	w.T.Helper()
	p := w.endsAs(v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	if n := w.charges("sale"); n != 1 {
		w.T.Fatalf("charged %d times", n)
	}
	return p
}

// adopts: so it was, and the Payment says that it was sold before.
func (w *world) adopts() {
	w.T.Helper()
	if c := condition(w.paidOnce(), v1alpha1.ConditionAdopted); c == nil || c.Status != metav1.ConditionTrue {
		w.T.Fatal("not shown as adopted")
	}
}

// endsAs runs the sale for a while; nobody is asked to pay a second time.
func (w *world) endsAs(phase v1alpha1.Phase, reason v1alpha1.Reason) *v1alpha1.Payment {
	w.T.Helper()
	p := w.settle("sale", 2*time.Hour)
	expectPhase(w.T, p, phase, reason)
	assertProjection(w.T, p)
	if c := w.charge("sale"); c != nil && w.Sim.Opened(c.Spec.ProviderReference) != 1 {
		w.T.Fatalf("the payer was asked %d times", w.Sim.Opened(c.Spec.ProviderReference))
	}
	return p
}

// gone with the cluster: Payment and Charge.
func (w *world) gone() {
	w.T.Helper()
	must(w.T, w.API.Delete(w.Ctx, w.get("sale")))
	w.lose("sale")
}

// consent is what a person says who knows that it is the same sale.
func (w *world) consent() {
	w.T.Helper()
	p := w.get("sale")
	consenting(p)
	must(w.T, w.API.Update(w.Ctx, p))
}

// recreations are sections of docs/recreation.md. What needs a real API server is among the
// specs of controllers/manager.
func recreations() map[string]func(w *world, provider string) {
	return map[string]func(w *world, provider string){
		"Deleted and applied again before anything was sent": func(w *world, provider string) {
			w.Suspend(provider, true)
			w.payment("sale", provider, "1907")
			w.until("sale", time.Minute, never)
			w.replace("sale", provider, "1907")
			w.replace("sale", provider, "1902")
			w.Suspend(provider, false)
			w.paidOnce()
			if c := w.charge("sale"); c.Spec.Requested.Amount != "1902" {
				w.T.Errorf("asked for %+v", c.Spec.Requested)
			}
		},
		"Deleted and applied again while the provider is being asked": func(w *world, provider string) {
			w.OnPoint = func(_ int, label string, after bool) error {
				if label == "call initiate" && !after {
					w.OnPoint = nil
					w.replace("sale", provider, "1902")
				}
				return nil
			}
			w.payment("sale", provider, "1902")
			w.adopts()
		},
		"Deleted and applied again while the payer has not decided": func(w *world, provider string) {
			w.opened(provider, "1907")
			page := w.get("sale").Status.NextAction.URL
			w.replace("sale", provider, "1907")
			w.until("sale", time.Second, never)
			if again := w.get("sale").Status.NextAction; again == nil || again.URL != page {
				w.T.Errorf("another page: %+v", again)
			}
			w.pay()
			w.adopts()
		},
		"Deleted and applied again after it was paid": func(w *world, provider string) {
			w.sold(provider)
			for _, gap := range []time.Duration{0, time.Minute, 20 * time.Hour} {
				must(w.T, w.API.Delete(w.Ctx, w.get("sale")))
				w.until("sale", time.Minute, never)
				w.Clock.Add(gap)
				w.payment("sale", provider, "1902")
				w.adopts()
			}
		},
		"Deleted and applied again with another amount": func(w *world, provider string) {
			w.opened(provider, "1907")
			w.replace("sale", provider, "2907")
			w.until("sale", time.Minute, never)
			w.pay()
			w.endsAs(v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
			if p, c := w.get("sale"), w.charge("sale"); p.Status.NextAction != nil || c.Record.Outcome == nil || c.Record.Outcome.Phase != v1alpha1.PhaseSucceeded {
				w.T.Errorf("%+v, %+v", p.Status, c.Record)
			}
			w.replace("sale", provider, "1907")
			w.adopts()
		},
		"Deleted and applied again at any moment": deletedAtEveryPoint,
		"Changed in Git and forced by Flux": func(w *world, provider string) {
			w.sold(provider)
			w.replace("sale", provider, "2902")
			w.endsAs(v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
		},
		"Pruned, and reverted minutes later": func(w *world, provider string) {
			w.opened(provider, "1907")
			must(w.T, w.API.Delete(w.Ctx, w.get("sale")))
			w.pay()
			w.until("sale", 20*time.Minute, never)
			w.payment("sale", provider, "1907")
			w.adopts()
		},
		"Pruned, and reverted days later": func(w *world, provider string) {
			w.sold(provider)
			w.Clock.Add(30 * time.Hour)
			w.replace("sale", provider, "1902")
			w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
			w.consent()
			w.adopts()
		},
		"Applied again after its Charge was collected": func(w *world, provider string) {
			w.sold(provider)
			w.gone()
			w.payment("sale", provider, "1902")
			if provider == "orange" {
				w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
				return
			}
			w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
			w.consent()
			w.adopts()
			w.gone()
			w.payment("sale", provider, "1902", consenting)
			w.adopts()
		},
		"Its Charge is deleted by hand": func(w *world, provider string) { // R12
			w.opened(provider, "1907")
			w.lose("sale")
			w.until("sale", 10*time.Minute, never)
			if provider == "orange" {
				w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
				return
			}
			expectPhase(w.T, w.get("sale"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
			w.pay()
			w.paidOnce()
			if n := w.sends(); n != 0 {
				w.T.Errorf("%d sends", n)
			}
		},
		"Restored by Velero, with its Charge": func(w *world, provider string) {
			w.sold(provider)
			w.Clock.Add(72 * time.Hour)
			w.replace("sale", provider, "1902", restored1)
			w.adopts()
		},
		"Restored by Velero, without its Charge": func(w *world, provider string) {
			w.sold(provider)
			w.gone()
			w.payment("sale", provider, "1902", restored1)
			if provider == "orange" {
				w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
			} else {
				w.adopts()
			}
		},
		"Restored by Velero in two steps, the status a second later": func(w *world, provider string) {
			w.opened(provider, "1907")
			backup := w.get("sale").Status
			w.pay()
			w.paidOnce()
			p := w.replace("sale", provider, "1907", restored1)
			w.lose("sale")
			p.Status = backup
			must(w.T, w.API.Status().Update(w.Ctx, p))
			if provider == "orange" {
				w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
			} else {
				w.paidOnce()
			}
		},
		"Restored onto a second cluster with the same installation id": func(w *world, provider string) {
			c := w.sold(provider)
			w.gone()
			c.ObjectMeta = metav1.ObjectMeta{Name: c.Name}
			must(w.T, w.API.Create(w.Ctx, c))
			w.payment("sale", provider, "1902")
			w.adopts()
		},
		"A cluster is built again from Git alone, with the same installation id": func(w *world, provider string) {
			w.sold(provider)
			w.tweak = func(s *attempt.Settings) { s.AdoptOnly, s.AdoptionWindow = true, 0 }
			w.gone()
			w.payment("sale", provider, "1902")
			if provider != "orange" {
				w.adopts()
				return
			}
			w.endsAs(v1alpha1.PhasePending, v1alpha1.ReasonAdoptOnly)
			w.tweak = nil
			w.start()
			w.settle("sale", time.Hour)
			w.endsAs(v1alpha1.PhaseUnknown, v1alpha1.ReasonLostInitiation)
		},
		"The same file in two clusters with different installation ids": func(w *world, provider string) {
			first := w.sold(provider).Spec.ProviderReference
			w.installation.ID = "another"
			w.gone()
			w.payment("sale", provider, "1902")
			expectPhase(w.T, w.settle("sale", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if second := w.charge("sale").Spec.ProviderReference; second == first || w.Sim.Charges(first) != 1 || w.Sim.Charges(second) != 1 {
				w.T.Errorf("%s and %s are one sale", first, second)
			}
		},
	}
}

func TestRecreation(t *testing.T) {
	for name, story := range recreations() {
		for _, provider := range allProviders {
			t.Run(provider+"/"+name, func(t *testing.T) { story(newWorld(t), provider) })
		}
	}
}

// deletedAtEveryPoint plays a sale in a world of its own for each moment.
func deletedAtEveryPoint(clean *world, provider string) {
	t := clean.T
	clean.sold(provider)
	for n, label := range clean.Points {
		w := newWorld(t)
		p := w.payment("sale", provider, "1902")
		w.OnPoint = func(at int, _ string, after bool) error {
			if at == n && !after {
				_ = w.API.Delete(w.Ctx, p)
			}
			return nil
		}
		w.until("sale", 20*time.Minute, never)
		w.OnPoint = nil
		w.payment("sale", provider, "1902")
		got := w.settle("sale", 3*time.Hour)
		if charges := w.charges("sale"); charges > 1 || (got.Status.Phase == v1alpha1.PhaseSucceeded) != (charges == 1) || w.asked() > 1 {
			t.Errorf("%s, deleted before %d (%s): %s, asked %d times, charged %d times", provider, n, label, got.Status.Phase, w.asked(), charges)
		}
		assertProjection(t, got)
	}
}
