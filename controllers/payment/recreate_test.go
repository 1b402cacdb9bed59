package payment

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/testworld/looptest"
	"mobilemoney.dev/operator/providers/simulator"
)

var allProviders = []string{"mtn", "orange", "wave"}

// edits are what makes another sale of a Payment of the same name.
func edits() map[string]func(*v1alpha1.Payment) {
	return map[string]func(*v1alpha1.Payment){
		"reference": func(p *v1alpha1.Payment) { p.Spec.Reference = "second" },
		"amount":    func(p *v1alpha1.Payment) { p.Spec.Amount = v1alpha1.NewAmount("2902") },
		"phone":     func(p *v1alpha1.Payment) { p.Spec.Phone = "+2250501020305" },
	}
}

// replace deletes a Payment and applies it again, edited.
func (w *world) replace(name, provider, amount string, change ...func(*v1alpha1.Payment)) *v1alpha1.Payment {
	w.T.Helper()
	must(w.T, w.API.Delete(w.Ctx, w.get(name)))
	return w.payment(name, provider, amount, change...)
}

// lose the Charge, as where a backup did not have it.
func (w *world) lose(name string) {
	w.T.Helper()
	must(w.T, w.API.Delete(w.Ctx, w.charge(name)))
	w.start()
}

func (w *world) asked() int { return w.Sim.Count("", simulator.OpInitiate) }

func consenting(p *v1alpha1.Payment) {
	p.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"}
}

// What is made again under an old name with another intent is another sale, however far
// behind the watch of Payments is. The old Charge is followed without a Payment.
func TestK1a_AnotherIntentUnderTheSameName(t *testing.T) {
	for _, provider := range allProviders {
		for name, edit := range edits() {
			t.Run(provider+"/"+name, func(t *testing.T) {
				w := newWorld(t)
				w.payment("order", provider, "1909", func(p *v1alpha1.Payment) { p.Spec.Reference = "first" })
				w.until("order", time.Second, never)
				w.Freeze()
				w.replace("order", provider, "1909", edit)
				reference := w.charge("order").Spec.ProviderReference
				must(t, w.Sim.Pay(reference))
				w.until("order", 5*time.Minute, func() bool { return w.charge("order").Record.Outcome != nil })
				w.Stale, w.Errs = nil, nil
				p := w.settle("order", time.Hour)
				expectPhase(t, p, v1alpha1.PhaseFailed, v1alpha1.ReasonSaleConflict)
				if p.Status.ChargeName != "" || p.Status.TransactionID != "" {
					t.Errorf("it shows what is not its own: %+v", p.Status)
				}
				if o := w.charge("order").Record.Outcome; o == nil || o.Phase != v1alpha1.PhaseSucceeded || w.asked() != 1 {
					t.Errorf("asked %d times, outcome %+v", w.asked(), o)
				}
				w.payerPays = true
				w.payment("order-2", provider, "1902", edit)
				expectPhase(t, w.settle("order-2", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
				if w.charges("order") != 1 || w.charges("order-2") != 1 {
					t.Errorf("charged %d and %d times", w.charges("order"), w.charges("order-2"))
				}
			})
		}
	}
}

// Where nothing was sent for the old intent it is in nobody's way, wherever the process
// dies and however far behind the cache is: what is asked for is what the Payment says now.
func TestK1bK1i_UnsentIsAskedForAsCorrected(t *testing.T) {
	for _, provider := range allProviders {
		for name, edit := range edits() {
			for _, behind := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%s/behind_%t", provider, name, behind), func(t *testing.T) {
					w := newWorld(t)
					w.payerPays = true
					limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
					w.payment("order", provider, "1922")
					w.until("order", time.Minute, func() bool { return limited.Fired() > 0 })
					w.Clock.Add(time.Hour)
					if behind {
						w.Freeze()
					}
					p := w.replace("order", provider, "1922", edit)
					calls := len(w.Calls)
					w.until("order", 5*time.Second, func() bool { return behind })
					for _, call := range w.Calls[calls:] {
						if behind && call.Operation == "initiate" {
							t.Fatal("asked for a Payment that is gone")
						}
					}
					w.Sim.ClearScripts()
					w.Stale, w.Errs = nil, nil
					w.Clock.Add(time.Hour)
					expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
					c := w.charge("order")
					if c.Spec.Payment.UID != string(p.UID) || c.Spec.Requested.Amount != p.Spec.Amount.String() || w.charges("order") != 1 {
						t.Errorf("charged %d times for %+v", w.charges("order"), c.Spec)
					}
				})
			}
		}
	}
}

// K1f, K5e: where nothing was sent, the account counts as it is now: corrected, switched to
// another environment, or replaced.
func TestK1fK5e_UnsentIsAskedForWhereTheAccountIs(t *testing.T) {
	for name, c := range map[string]struct {
		provider    string
		refuse      simulator.Behaviour
		change      func(w *world, m *v1alpha1.MerchantAccount)
		environment string
	}{
		"switched, orange": {"orange", simulator.Fail(429, false), func(w *world, m *v1alpha1.MerchantAccount) {
			m.Spec.Environment, m.Spec.BaseURL = "production", w.Sim.OrangeURL("ci")
		}, "production"},
		"switched, wave":    {"wave", simulator.Fail(429, false), func(_ *world, m *v1alpha1.MerchantAccount) { m.Spec.Environment = "production" }, "production"},
		"replaced, mtn":     {"mtn", simulator.Fail(429, false), nil, ""},
		"corrected, orange": {"orange", simulator.Behaviour{}, func(w *world, m *v1alpha1.MerchantAccount) { m.Spec.BaseURL = w.Sim.OrangeURL("dev") }, "sandbox"},
		"currency, orange":  {"orange", simulator.Fail(429, false), func(_ *world, m *v1alpha1.MerchantAccount) { m.Spec.Currency = "XAF" }, "sandbox"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.payerPays = true
			if name == "corrected, orange" {
				w.EditMerchant("orange", func(m *v1alpha1.MerchantAccount) { m.Spec.BaseURL = strings.TrimSuffix(m.Spec.BaseURL, "v1") + "v7" })
			} else {
				w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, c.refuse)
			}
			w.payment("order", c.provider, "1902")
			w.until("order", 5*time.Minute, never)
			old := w.charge("order")
			w.Sim.ClearScripts()
			if c.change == nil {
				c.environment = "sandbox"
				w.replaceAccount(c.provider)
			} else {
				w.EditMerchant(c.provider, func(m *v1alpha1.MerchantAccount) { c.change(w, m) })
			}
			p := w.settle("order", time.Hour)
			expectPhase(t, p, v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if now := w.charge("order"); now.UID != old.UID || now.Record.Sends <= old.Record.Sends || p.Status.Environment != c.environment || w.charges("order") != 1 {
				t.Errorf("charged %d times in %s: %+v", w.charges("order"), p.Status.Environment, now.Spec)
			}
		})
	}
}

// replaceAccount puts a ClusterMerchantAccount in the place of the MerchantAccount.
func (w *world) replaceAccount(provider string) {
	w.T.Helper()
	m, s := w.Merchant(provider), looptest.Get[corev1.Secret](w.World, looptest.Shop, provider)
	w.Delete(m)
	w.Must(w.API.Create(w.Ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "mobile-money-system", Name: provider}, Data: s.Data}))
	w.Must(w.API.Create(w.Ctx, &v1alpha1.ClusterMerchantAccount{ObjectMeta: metav1.ObjectMeta{Name: provider}, Spec: v1alpha1.ClusterMerchantAccountSpec{
		MerchantAccountSpec: m.Spec, AllowedNamespaces: v1alpha1.AllowedNamespaces{Names: []string{looptest.Shop}},
	}}))
}

// K1d, K3e: a refusal by which nothing was taken was wrong. Before another merchant's account is
// asked, or other money, the one that was asked before says how it stands.
func TestK1dK3e_WhatWasTakenInSpiteOfARefusalIsNotAskedForElsewhere(t *testing.T) {
	for status, change := range map[int]func(w *world){
		403: func(w *world) { w.replaceAccount("mtn") },
		429: func(w *world) { w.replace("order", "mtn", "2902") },
	} {
		w := newWorld(t)
		w.payerPays = true
		refused := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(status, true))
		w.payment("order", "mtn", "1902")
		w.until("order", time.Minute, func() bool { return refused.Fired() > 0 })
		w.Sim.ClearScripts()
		change(w)
		p := w.settle("order", time.Hour)
		c := w.charge("order")
		if o := c.Record.Outcome; o == nil || o.Phase != v1alpha1.PhaseSucceeded || c.Spec.Account.Kind != "MerchantAccount" || w.asked() != 1 || w.charges("order") != 1 {
			t.Errorf("%d: asked %d times, charged %d times, %+v, %+v", status, w.asked(), w.charges("order"), c.Record, p.Status)
		}
	}
}

// Nor does a later send that was not made hide the first one, which the provider does not show yet.
func TestK3e_ASendThatWasNotMadeHidesNoOther(t *testing.T) {
	w := newWorld(t)
	refused := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, true))
	w.payment("order", "mtn", "1902")
	w.until("order", time.Minute, func() bool { return refused.Fired() > 0 })
	w.Sim.ClearScripts()
	w.OnPoint = func(_ int, label string, after bool) error {
		if c := w.charge("order"); label == "update Payment status" && !after && c.Record.Sends == 2 && len(c.Record.Open) > 0 {
			return looptest.ErrInjected
		}
		return nil
	}
	w.until("order", time.Minute, func() bool { c := w.charge("order"); return c.Record.Sends == 2 && len(c.Record.Open) == 0 })
	w.OnPoint = nil
	w.replaceAccount("mtn")
	w.Sim.Script(simulator.Match{Op: simulator.OpStatus}, simulator.Fail(404, false))
	if w.until("order", time.Minute, never); w.asked() != 1 {
		t.Errorf("asked %d times within the late window", w.asked())
	}
	w.Errs = nil
}

// K1f, K5e: an account that is gone cannot be asked, and a process that never used it has no client of it left.
func TestK1fK5e_AnAccountThatIsGoneHoldsNothingUp(t *testing.T) {
	for _, edit := range []func(w *world){func(*world) {}, func(w *world) { w.replace("order", "mtn", "2902") }} {
		w := newWorld(t)
		w.payerPays = true
		limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		w.payment("order", "mtn", "1902")
		w.until("order", time.Minute, func() bool { return limited.Fired() > 0 })
		w.Sim.ClearScripts()
		w.replaceAccount("mtn")
		edit(w)
		w.start()
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
}

// R12: nor is anything sent on a record that came out of a backup, which may lack what was sent since.
func TestR12_NothingIsSentForARestoredCharge(t *testing.T) {
	for _, provider := range allProviders {
		for name, answer := range map[string]simulator.Behaviour{"void": simulator.Fail(429, false), "lost": {Cut: true, Unprocessed: true}} {
			w := newWorld(t)
			w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, answer)
			w.payment("order", provider, "1902")
			w.until("order", 20*time.Second, func() bool { return w.asked() > 0 })
			w.Sim.ClearScripts()
			c := w.charge("order")
			c.Labels = map[string]string{v1alpha1.LabelRestore: "nightly"}
			w.Must(w.API.Update(w.Ctx, c))
			w.replace("order", provider, "1902")
			w.until("order", 30*time.Hour, never)
			if p := w.get("order"); w.asked() != 1 || p.Status.Phase.Terminal() {
				t.Errorf("%s, %s: asked %d times, %s", provider, name, w.asked(), p.Status.Phase)
			}
		}
	}
}

// Nor where the API server does not take the write that puts it in the place of the old one.
func TestK1i_UnsentIsAskedForAfterAWriteThatFailed(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		w.payment("order", provider, "1922")
		w.until("order", time.Minute, func() bool { return limited.Fired() > 0 })
		w.Sim.ClearScripts()
		w.Clock.Add(time.Hour)
		w.replace("order", provider, "1922", func(p *v1alpha1.Payment) { p.Spec.Amount = v1alpha1.NewAmount("2902") })
		failed := false
		w.OnPoint = func(_ int, label string, after bool) error {
			if failed || after || label != "update Charge" {
				return nil
			}
			failed = true
			return apierrors.NewInternalError(looptest.ErrInjected)
		}
		w.until("order", 5*time.Second, func() bool { return failed })
		w.Errs = nil
		if p := w.settle("order", time.Hour); !failed || p.Status.Phase != v1alpha1.PhaseSucceeded || w.charges("order") != 1 {
			t.Errorf("%s: %s, charged %d times", provider, p.Status.Phase, w.charges("order"))
		}
	}
}

// Nor is it in the way of one that came out of a backup, which sends nothing.
func TestK1i_UnsentIsInNobodysWay(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		limited := w.Sim.Script(simulator.Match{Op: simulator.OpInitiate}, simulator.Fail(429, false))
		w.payment("order", provider, "1902")
		w.until("order", time.Minute, func() bool { return limited.Fired() > 0 })
		w.replace("order", provider, "2902", restored1)
		asked := w.asked()
		p := w.settle("order", time.Hour)
		if p.Status.Phase != v1alpha1.PhasePending && provider != "orange" || w.asked() != asked || w.charge("order").Spec.Requested.Amount != "2902" {
			t.Errorf("%s: %s, asked %d times more, for %+v", provider, p.Status.Phase, w.asked()-asked, w.charge("order").Spec.Requested)
		}
	}
}

// Another installation id touches nothing, says so once, and back under the old one it goes on.
func TestK1c_InstallationChanged(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		w.payment("order", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		w.Clock.Add(time.Minute)
		w.replace("order", provider, "1902")
		before := w.charge("order").ResourceVersion
		w.installation.ID = "another"
		w.start()
		other, lost := w.loop, false
		w.OnPoint = func(_ int, label string, after bool) error {
			if label == "update Payment status" && !after && !lost {
				lost = true
				return looptest.ErrInjected
			}
			return nil
		}
		w.until("order", 10*time.Hour, never)
		w.OnPoint, w.Errs = nil, nil
		p := w.get("order")
		expectPhase(t, p, v1alpha1.PhasePending, v1alpha1.ReasonInstallationChanged)
		if c := condition(p, v1alpha1.ConditionStalled); c == nil || w.asked() != 1 || w.charge("order").ResourceVersion != before {
			t.Errorf("%s: asked %d times, conditions %+v", provider, w.asked(), p.Status.Conditions)
		}
		// Both run: they do not write it in turns.
		w.installation = testInstallation
		w.start()
		ours, writes := w.loop, w.Writes
		for range 10 {
			for _, w.loop = range []*Reconciler{other, ours} {
				w.step("order")
			}
		}
		expectPhase(t, w.get("order"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if n := w.Writes - writes; n > 2 || w.asked() != 1 {
			t.Errorf("%s: %d writes, asked %d times", provider, n, w.asked())
		}
	}
}

// The account object is another one and the record is lost: the reference is the same, so
// whoever remembers it does not charge again.
func TestK1d_AnotherAccountObjectOfTheSameMerchant(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		w.payment("order", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		reference := w.charge("order").Spec.ProviderReference
		w.replaceAccount(provider)
		w.replace("order", provider, "1902")
		w.lose("order")
		p := w.settle("order", 3*time.Hour)
		want := v1alpha1.ReasonReusedName
		if provider == "orange" {
			want = v1alpha1.ReasonLostInitiation
		}
		expectPhase(t, p, v1alpha1.PhaseUnknown, want)
		if c := w.charge("order"); c.Spec.ProviderReference != reference || c.Spec.Account.Kind != "ClusterMerchantAccount" || w.Sim.Charges(reference) != 1 {
			t.Errorf("%s: charged %d times, %+v", provider, w.Sim.Charges(reference), c.Spec)
		}
	}
}

// With a new key fingerprints cannot be compared. Only the very object goes on; another
// one, whoever pays it, needs consent.
func TestK1e_TheKeyIsLost(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		w.payment("order", provider, "1902")
		w.payment("open", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		w.until("open", time.Second, never)
		w.installation.Key = []byte("another-key-of-thirty-two-bytes!")
		w.start()
		expectPhase(t, w.settle("open", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		p := w.replace("order", provider, "1902", edits()["phone"])
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
		p = w.get(p.Name)
		consenting(p)
		must(t, w.API.Update(w.Ctx, p))
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		if w.asked() != 2 {
			t.Errorf("%s: asked %d times", provider, w.asked())
		}
	}
}

func TestK1f_FromSandboxToProduction(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payerPays = true
		w.payment("order", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		w.EditMerchant(provider, func(m *v1alpha1.MerchantAccount) {
			m.Spec.Environment = "production"
			switch provider {
			case "mtn":
				m.Spec.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
			case "orange":
				m.Spec.BaseURL = w.Sim.OrangeURL("ci")
			}
		})
		w.replace("order", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
		if w.asked() != 1 {
			t.Errorf("%s: asked %d times", provider, w.asked())
		}
	}
}

// Two operators see the account differently: one asks, the other says that this can never
// be asked for. Whatever the order, it is either ended and never sent, or sent and followed.
func TestK1g_TheFenceDecides(t *testing.T) {
	for _, provider := range allProviders {
		for n := range 12 {
			w := newWorld(t)
			w.payerPays = true
			currency, amount, other := refusedCurrency(provider)
			w.EditMerchant(provider, func(m *v1alpha1.MerchantAccount) { m.Spec.Currency = currency })
			w.payment("order", provider, amount)
			refuses := w.loop
			refuses.Accounts.Reader = interceptor.NewClient(w.API, interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					err := c.Get(ctx, key, o, opts...)
					if m, ok := o.(*v1alpha1.MerchantAccount); ok {
						m.Spec.Currency = other
					}
					return err
				},
			})
			w.start()
			met := false
			w.OnPoint = func(at int, _ string, after bool) error {
				if at == n/2 && after == (n%2 == 1) && !met {
					met = true
					_, _ = refuses.Reconcile(w.Ctx, request(looptest.Shop, "order"))
				}
				return nil
			}
			w.until("order", time.Hour, never)
			p := w.get("order")
			if asked := w.asked(); asked > 1 || (p.Status.Phase == v1alpha1.PhaseFailed) == (asked == 1) || w.charges("order") != asked {
				t.Errorf("%s, met at point %d: %s, asked %d times: %v", provider, n, p.Status.Phase, asked, w.Points)
			}
		}
	}
}

func TestK1h_ProductionNeedsAGivenInstallationID(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.loop.Accounts.InstallationIDGiven = false
		w.EditMerchant(provider, func(m *v1alpha1.MerchantAccount) {
			m.Spec.Environment = "production"
			m.Spec.MTN = &v1alpha1.MTNAccount{TargetEnvironment: "mtnivorycoast"}
		})
		w.payment("order", provider, "1902")
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhasePending, v1alpha1.ReasonAccountMisconfigured)
		if len(w.Sim.Journal()) != 0 || w.charge("order") != nil {
			t.Errorf("%s: something was called or recorded", provider)
		}
	}
}

// The record of what was asked for is lost, and the account has changed so that it would be refused
// now, or is gone: that is no word about the payment. What becomes of it is found out, or Unknown.
func TestRecordLost_IsNeverRefused(t *testing.T) {
	for _, provider := range []string{"mtn", "wave"} {
		for _, gone := range []bool{false, true} {
			if !gone && provider == "wave" {
				continue // its accounts have one currency, so none is refused
			}
			w := newWorld(t)
			currency, amount, other := refusedCurrency(provider)
			w.EditMerchant(provider, func(m *v1alpha1.MerchantAccount) { m.Spec.Currency = currency })
			w.payment("order", provider, amount)
			w.until("order", time.Second, never)
			expectPhase(t, w.get("order"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAwaitingPayer)
			must(t, w.Sim.Pay(w.charge("order").Spec.ProviderReference))
			var kept v1alpha1.MerchantAccount
			must(t, w.API.Get(w.Ctx, types.NamespacedName{Namespace: looptest.Shop, Name: provider}, &kept))
			if gone {
				must(t, w.API.Delete(w.Ctx, kept.DeepCopy()))
			} else {
				w.EditMerchant(provider, func(m *v1alpha1.MerchantAccount) { m.Spec.Currency = other })
			}
			w.lose("order")
			w.until("order", time.Hour, never)
			if !gone {
				expectPhase(t, w.get("order"), v1alpha1.PhaseUnknown, v1alpha1.ReasonAmountMismatch)
				continue
			}
			expectPhase(t, w.get("order"), v1alpha1.PhaseProcessing, v1alpha1.ReasonAccountNotFound)
			kept.ResourceVersion = ""
			must(t, w.API.Create(w.Ctx, &kept))
			expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
			if w.asked() != 1 {
				t.Errorf("%s: asked %d times", provider, w.asked())
			}
		}
	}
}

// A Payment that the cache still shows gets no Charge that nobody would follow.
func TestRecreate_OnlyForAPaymentThatIsThere(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		p := w.payment("order", provider, "1909")
		w.Delete(p)
		v, err := w.loop.recreate(w.Ctx, view{key: client.ObjectKeyFromObject(p), payment: p})
		if err != nil || v.payment != nil || w.charge("order") != nil || w.loop.next(v, attempt.Decision{Action: attempt.Recreate}) != (ctrl.Result{}) {
			t.Errorf("%s: %+v, %v", provider, w.charge("order"), err)
		}
	}
}

// A cache that shows the Charge before its end would let a Payment adopt what ended long before it.
func TestConclude_AdoptsOnlyByWhatTheAPIServerSays(t *testing.T) {
	for _, provider := range allProviders {
		w := newWorld(t)
		w.payment("order", provider, "1909")
		w.until("order", time.Second, never)
		open := w.charge("order")
		w.payerPays = true
		w.Must(w.Sim.Pay(open.Spec.ProviderReference))
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
		w.Clock.Add(30 * 24 * time.Hour)
		p := w.replace("order", provider, "1909", func(*v1alpha1.Payment) {})
		v := view{key: client.ObjectKeyFromObject(p), payment: p, charge: open, relation: relationAdopted}
		_, err := w.loop.conclude(w.Ctx, v, attempt.Decision{Action: attempt.Wait})
		must(t, err)
		if s := w.get("order").Status; s.ChargeName != "" {
			t.Errorf("%s: adopted by an old view: %+v", provider, s)
		}
		expectPhase(t, w.settle("order", time.Hour), v1alpha1.PhaseUnknown, v1alpha1.ReasonReusedName)
	}
}

func TestReferenceIdentifiesNoSale(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"deposit", "rest"} {
		w.payment(name, "mtn", "1902", func(p *v1alpha1.Payment) { p.Spec.Reference = "order-7" })
		expectPhase(t, w.settle(name, time.Hour), v1alpha1.PhaseSucceeded, v1alpha1.ReasonPaid)
	}
	if a, b := w.charge("deposit").Spec.ProviderReference, w.charge("rest").Spec.ProviderReference; a == b || w.asked() != 2 {
		t.Errorf("asked %d times under %s and %s", w.asked(), a, b)
	}
}

func TestRelate(t *testing.T) {
	const window, sandbox = 24 * time.Hour, "sandbox"
	inst := testInstallation
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	type change func(*v1alpha1.Payment, *v1alpha1.Charge)
	another := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.UID = "another" }
	dearer := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Amount = v1alpha1.NewAmount("1") }
	named := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Spec.Currency = "XOF" }
	sent := func(_ *v1alpha1.Payment, c *v1alpha1.Charge) {
		c.Record.Sends, c.Record.Open = 1, []v1alpha1.Send{{Number: 1, Sender: "me", At: metav1.NewMicroTime(at)}}
	}
	void := func(_ *v1alpha1.Payment, c *v1alpha1.Charge) { c.Record.Sends = 1 }
	ended := func(ago time.Duration) change {
		return func(p *v1alpha1.Payment, c *v1alpha1.Charge) {
			c.Record.Outcome = &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, At: metav1.NewMicroTime(p.CreationTimestamp.Add(-ago))}
		}
	}
	consent := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { consenting(p) }
	label := func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { restored1(p) }
	keyLost := func(_ *v1alpha1.Payment, c *v1alpha1.Charge) { c.Spec.Fingerprint = "0000:abcd" }
	shows := func(p *v1alpha1.Payment, c *v1alpha1.Charge) { p.Status.ChargeName = c.Name }
	for name, c := range map[string]struct {
		changes     []change
		environment string
		want        relation
		currency    string
	}{
		"its own":                            {nil, sandbox, relationOwn, ""},
		"its own, the key lost":              {[]change{keyLost, sent}, sandbox, relationOwn, ""},
		"its own, the account unknown":       {[]change{sent}, "", relationOwn, ""},
		"made again":                         {[]change{another, sent}, sandbox, relationAdopted, ""},
		"made again, the account unknown":    {[]change{another, sent}, "", relationOpen, ""},
		"made again, other money":            {[]change{another, dearer, sent}, sandbox, relationConflict, ""},
		"made again, other money, void":      {[]change{another, dearer, void}, sandbox, relationVacant, ""},
		"made again, other money, shown":     {[]change{another, dearer, void, shows}, sandbox, relationConflict, ""},
		"other money with consent":           {[]change{another, dearer, sent, consent}, sandbox, relationConflict, ""},
		"ended a day before":                 {[]change{another, sent, ended(window)}, sandbox, relationAdopted, ""},
		"ended longer before":                {[]change{another, sent, ended(window + time.Second)}, sandbox, relationReused, ""},
		"ended longer before, consent":       {[]change{another, sent, ended(window + time.Second), consent}, sandbox, relationAdopted, ""},
		"ended longer before, restored":      {[]change{another, sent, ended(window + time.Second), label}, sandbox, relationAdopted, ""},
		"ended longer before, adopted then":  {[]change{another, sent, ended(window + time.Second), shows}, sandbox, relationAdopted, ""},
		"the key lost":                       {[]change{another, sent, keyLost}, sandbox, relationReused, ""},
		"the key lost, other money":          {[]change{another, dearer, sent, keyLost}, sandbox, relationReused, ""},
		"the key lost, consent":              {[]change{another, sent, keyLost, consent}, sandbox, relationAdopted, ""},
		"another environment":                {[]change{another, sent}, "production", relationReused, ""},
		"another environment, consent":       {[]change{another, sent, consent}, "production", relationReused, ""},
		"another environment, nothing sent":  {[]change{another, void}, "production", relationVacant, ""},
		"another installation":               {[]change{func(_ *v1alpha1.Payment, c *v1alpha1.Charge) { c.Spec.InstallationID = "x" }}, sandbox, relationForeign, ""},
		"another version":                    {[]change{func(_ *v1alpha1.Payment, c *v1alpha1.Charge) { c.Spec.ReferenceVersion = "v9" }}, sandbox, relationForeign, ""},
		"another name, by a digest collided": {[]change{func(p *v1alpha1.Payment, _ *v1alpha1.Charge) { p.Name = "x" }}, sandbox, relationForeign, ""},
		"made again, other default":          {[]change{another, sent}, sandbox, relationConflict, "GHS"},
		"made again, the same default":       {[]change{another, sent}, sandbox, relationAdopted, "XOF"},
		"made again, other default, void":    {[]change{another, void}, sandbox, relationVacant, "GHS"},
		"made again, its own currency":       {[]change{another, sent, named}, sandbox, relationAdopted, "GHS"},
	} {
		p := newPayment("order", "mtn", "5000")
		p.UID = "own"
		p.CreationTimestamp = metav1.NewTime(at)
		charge := &v1alpha1.Charge{ObjectMeta: metav1.ObjectMeta{Name: inst.ChargeName(p.Namespace, p.Name)}, Spec: v1alpha1.ChargeSpec{
			InstallationID: inst.ID, ReferenceVersion: "v2", Fingerprint: inst.Fingerprint(p, "XOF"), Requested: v1alpha1.Money{Amount: "5000", Currency: "XOF"},
			Payment: v1alpha1.PaymentIdentity{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID)}, Account: v1alpha1.AccountPin{Environment: sandbox},
		}}
		for _, change := range c.changes {
			change(p, charge)
		}
		if got := relate(p, charge, inst, chosen{c.environment, c.currency}, window); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if attempt.DefaultSettings().AdoptionWindow != window {
		t.Error("the default adoption window is not a day")
	}
}

// refusedCurrency is that of an account and an amount that it can be asked for, and
// another currency in which it can't: at MTN never, elsewhere until the account is mended.
func refusedCurrency(provider string) (currency, amount, other string) {
	if provider == "mtn" {
		return "GHS", "1902.50", "XOF"
	}
	return "XOF", "1902", "GHS"
}
