package lives

import (
	"maps"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testworld"
	"mobilemoney.dev/operator/controllers/testworld/judge"
)

// word is what somebody does. It returns false where there was nothing to do it to.
type word func(l *life) bool

// life is a program while it runs.
type life struct {
	program Program
	w       *testworld.World
	judge   *judge.Judge
	// seen are the ids of each Unknown that the sale showed, the newest last.
	seen []string
	// refunds that were made, by name.
	refunds int
	// ids is how many installation ids and keys were made up.
	ids int
}

// What else the same name is made again with.
const (
	otherAmount    = "3902"
	otherPhone     = "+2250509080706"
	otherReference = "order-7"
	other          = "other"
	back           = "back"
)

//nolint:gochecknoglobals // Made once, and only read.
var table = sync.OnceValue(func() map[string]word {
	all := map[string]word{}
	for _, some := range []map[string]word{users(), settlers(), refunders(), platform(), operators(), outside()} {
		maps.Copy(all, some)
	}
	return all
})

func sale() testworld.Key { return key(testworld.Sale) }

func key(name string) testworld.Key {
	return testworld.Key{Kind: testworld.Payment, Namespace: testworld.Shop, Name: name}
}

func refund(name string) testworld.Key {
	return testworld.Key{Kind: testworld.Refund, Namespace: testworld.Shop, Name: name}
}

func (l *life) payment() *v1alpha1.Payment { return l.w.Payment(testworld.InShop(testworld.Sale)) }

func (l *life) charge() *v1alpha1.Charge { return l.w.Charge(testworld.InShop(testworld.Sale)) }

// again makes the sale's Payment again, changed.
func again(change func(*v1alpha1.Payment)) word {
	return func(l *life) bool {
		return l.w.Remake(sale(), func(o client.Object) {
			p := o.(*v1alpha1.Payment)
			p.Labels, p.Annotations, p.Spec.Settlement, p.Spec.Cancel = nil, nil, nil, false
			change(p)
		})
	}
}

func (l *life) edit(change func(*v1alpha1.Payment)) bool {
	return l.w.Store.Edit(sale(), false, func(o client.Object) { change(o.(*v1alpha1.Payment)) })
}

func restored(o client.Object) { o.SetLabels(map[string]string{v1alpha1.LabelRestore: "last-night"}) }

// users apply, delete and make again.
func users() map[string]word {
	nothing := func(*v1alpha1.Payment) {}
	return map[string]word{
		"apply": func(l *life) bool {
			switch {
			case l.payment() != nil:
				return false
			case again(nothing)(l):
				return true
			}
			l.w.Pay(testworld.Sale, l.program.Amount, func(p *v1alpha1.Payment) {
				if l.program.has("production") {
					p.Spec.Currency = "XOF"
				}
			})
			return true
		},
		"apply-other": func(l *life) bool {
			if l.w.Payment(testworld.InShop(other)) != nil {
				return false
			}
			l.w.Pay(other, l.program.Amount, nil)
			return true
		},
		"delete":          func(l *life) bool { return l.w.Store.Delete(sale()) },
		"again":           again(nothing),
		"again-amount":    again(func(p *v1alpha1.Payment) { p.Spec.Amount = v1alpha1.NewAmount(otherAmount) }),
		"again-phone":     again(func(p *v1alpha1.Payment) { p.Spec.Phone = otherPhone }),
		"again-reference": again(func(p *v1alpha1.Payment) { p.Spec.Reference = otherReference }),
		"again-cancelled": again(func(p *v1alpha1.Payment) { p.Spec.Cancel = true }),
		"again-consent":   again(func(p *v1alpha1.Payment) { p.Annotations = map[string]string{v1alpha1.AnnotationAdopt: "true"} }),
		"again-cluster-account": again(func(p *v1alpha1.Payment) {
			p.Spec.AccountRef = &v1alpha1.AccountReference{Kind: "ClusterMerchantAccount", Name: p.Spec.Provider}
		}),
		"again-currency": again(func(p *v1alpha1.Payment) { p.Spec.Currency = "XOF" }),
		"restore":        func(l *life) bool { return l.w.Remake(sale(), restored) },
		"unlabel": func(l *life) bool {
			return l.edit(func(p *v1alpha1.Payment) { delete(p.Labels, v1alpha1.LabelRestore) })
		},
		"cancel": func(l *life) bool { return l.edit(func(p *v1alpha1.Payment) { p.Spec.Cancel = true }) },
		"touch": func(l *life) bool {
			return l.edit(func(p *v1alpha1.Payment) {
				p.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: l.w.Now().Format(time.RFC3339)}
			})
		},
	}
}

// settlers look an Unknown up, or say that they did.
func settlers() map[string]word {
	settle := func(outcome v1alpha1.SettledOutcome) word {
		return func(l *life) bool {
			p := l.payment()
			return p != nil && p.Status.Unknown != nil && l.settle(p.Status.Unknown, p.Status.Unknown.ID, outcome)
		}
	}
	return map[string]word{
		"settle-paid":   settle(v1alpha1.SettledPaid),
		"settle-unpaid": settle(v1alpha1.SettledNotPaid),
		// What was seen once, or never.
		"settle-stale": func(l *life) bool { return l.settle(nil, l.stale(), v1alpha1.SettledPaid) },
		"again-planted": func(l *life) bool {
			id := l.stale()
			return again(func(p *v1alpha1.Payment) { p.Spec.Settlement = settlement(nil, id, v1alpha1.SettledPaid) })(l)
		},
		"restore-planted": func(l *life) bool {
			id := l.stale()
			return l.w.Remake(sale(), func(o client.Object) {
				restored(o)
				o.(*v1alpha1.Payment).Spec.Settlement = settlement(nil, id, v1alpha1.SettledPaid)
			})
		},
	}
}

// stale is an id that the sale showed once, or a made-up one.
func (l *life) stale() string {
	if len(l.seen) == 0 {
		return "0123456789abcdef0123"
	}
	return l.seen[0]
}

func settlement(u *v1alpha1.UnknownStatus, id string, outcome v1alpha1.SettledOutcome) *v1alpha1.Settlement {
	s := &v1alpha1.Settlement{UnknownID: id, Outcome: outcome, SettledBy: "ama", Reason: "listed in the portal of the provider"}
	if u != nil && u.Reported != nil && u.Reported.Amount != "" && outcome == v1alpha1.SettledPaid {
		amount := v1alpha1.NewAmount(u.Reported.Amount)
		s.Amount, s.Currency = &amount, u.Reported.Currency
	}
	return s
}

func (l *life) settle(u *v1alpha1.UnknownStatus, id string, outcome v1alpha1.SettledOutcome) bool {
	return l.edit(func(p *v1alpha1.Payment) { p.Spec.Settlement = settlement(u, id, outcome) })
}

// refunders give back.
func refunders() map[string]word {
	give := func(amount string) word {
		return func(l *life) bool {
			l.refunds++
			l.w.GiveBack(back+string(rune('a'+l.refunds%26)), testworld.Sale, amount)
			return true
		}
	}
	change := func(do func(*life, testworld.Key) bool) word {
		return func(l *life) bool { return l.refunds > 0 && do(l, refund(back+string(rune('a'+l.refunds%26)))) }
	}
	confirm := func(outcome v1alpha1.ConfirmedOutcome) word {
		return change(func(l *life, k testworld.Key) bool {
			r := l.w.Refund(testworld.InShop(k.Name))
			return r != nil && r.Status.Unknown != nil && l.w.Store.Edit(k, false, func(o client.Object) {
				o.(*v1alpha1.Refund).Spec.Confirmation = &v1alpha1.RefundConfirmation{
					UnknownID: r.Status.Unknown.ID, Outcome: outcome, ConfirmedBy: "ama", Note: "listed in the portal of the provider",
				}
			})
		})
	}
	amount := v1alpha1.NewAmount("700")
	return map[string]word{
		"refund":      give(""),
		"refund-part": give("1000"),
		"refunds": func(l *life) bool {
			for _, amount := range []string{"", "", "1907"} {
				if !give(amount)(l) {
					return false
				}
			}
			return true
		},
		"delete-refund": change(func(l *life, k testworld.Key) bool { return l.w.Store.Delete(k) }),
		"refund-again":  change(func(l *life, k testworld.Key) bool { return l.w.Remake(k, nil) }),
		"refund-again-amount": change(func(l *life, k testworld.Key) bool {
			return l.w.Remake(k, func(o client.Object) { o.(*v1alpha1.Refund).Spec.Amount = &amount })
		}),
		"restore-refund":     change(func(l *life, k testworld.Key) bool { return l.w.Remake(k, restored) }),
		"lose-refund-status": change(func(l *life, k testworld.Key) bool { return l.w.Store.Lose(k) }),
		"confirm":            confirm(v1alpha1.ConfirmedRefunded),
		"confirm-not":        confirm(v1alpha1.ConfirmedNotRefunded),
	}
}

// platform teams look after accounts and namespaces.
func platform() map[string]word {
	edit := func(change func(*v1alpha1.MerchantAccountSpec)) word {
		return func(l *life) bool { return l.w.EditAccount(change) }
	}
	return map[string]word{
		"suspend":      edit(func(s *v1alpha1.MerchantAccountSpec) { s.Suspend = true }),
		"resume":       edit(func(s *v1alpha1.MerchantAccountSpec) { s.Suspend = false }),
		"edit-account": edit(testworld.Rename),
		"other-country": edit(func(s *v1alpha1.MerchantAccountSpec) {
			if s.Country, s.Currency = "gh", "GHS"; s.MTN != nil {
				s.MTN.TargetEnvironment = "mtnghana"
			}
		}),
		"environment":    func(l *life) bool { return l.w.SwitchEnvironment() },
		"move-account":   func(l *life) bool { return l.w.MoveAccount() },
		"disallow":       func(l *life) bool { return l.w.Allow(false) || l.w.MoveAccount() && l.w.Allow(false) },
		"delete-account": func(l *life) bool { return l.w.DeleteAccount(false) },
		"delete-secret":  func(l *life) bool { return l.w.DeleteAccount(true) },
		"mend-account":   func(l *life) bool { l.w.MendAccount(); return true },
		"rotate":         func(l *life) bool { return l.w.Keys(true) },
		"break-keys":     func(l *life) bool { return l.w.Keys(false) },
		"delete-namespace": func(l *life) bool {
			gone := false
			for _, kind := range []testworld.Kind{testworld.Payment, testworld.Refund, testworld.Account, testworld.Secret} {
				for _, o := range l.w.Store.All(kind) {
					gone = o.GetNamespace() == testworld.Shop && l.w.Store.Delete(testworld.KeyOf(o)) || gone
				}
			}
			return gone
		},
	}
}

// operators run the operator.
func operators() map[string]word {
	restarted := func(change func(*life)) word {
		return func(l *life) bool {
			change(l)
			l.w.Down(2 * time.Second)
			return true
		}
	}
	away := func(d time.Duration) word {
		return func(l *life) bool { l.w.Down(d); return true }
	}
	clock := func(d time.Duration) word {
		return func(l *life) bool { l.w.SetClock(d); return true }
	}
	prune := func(field string) word {
		return func(l *life) bool {
			l.judge.Pruned = true
			l.w.Store.Prune = pruner(field)
			return true
		}
	}
	config := func(change func(*testworld.Config)) word {
		return restarted(func(l *life) { change(&l.w.Config) })
	}
	return map[string]word{
		"restart":    restarted(func(*life) {}),
		"away-10m":   away(10 * time.Minute),
		"away-3d":    away(73 * time.Hour),
		"away-3w":    away(21 * 24 * time.Hour),
		"lose-lease": func(l *life) bool { return l.w.LoseLease(false) },
		"no-leader":  func(l *life) bool { return l.w.LoseLease(true) },
		"gain-lease": func(l *life) bool { return l.w.GainLease() },
		"other-installation": restarted(func(l *life) {
			l.ids++
			l.w.Config.Installation.ID = "other-" + string(rune('a'+l.ids%26))
		}),
		// A cluster that is made anew from what is in Git, without its installation id.
		"rebuild": restarted(func(l *life) {
			for _, o := range l.w.Store.All(testworld.Charge) {
				l.w.Store.Delete(testworld.KeyOf(o))
			}
			again(func(*v1alpha1.Payment) {})(l)
			l.ids++
			l.w.Config.Installation.ID, l.w.Config.Installation.Given = "made-"+string(rune('a'+l.ids%26)), false
		}),
		"own-installation": restarted(func(l *life) { l.w.Config.Installation.ID = l.w.FirstConfig().Installation.ID }),
		"lose-key":         restarted(func(l *life) { l.w.LoseKey() }),
		"lose-charge": func(l *life) bool {
			c := l.charge()
			return c != nil && l.w.Store.Delete(testworld.KeyOf(c))
		},
		"lose-status":       func(l *life) bool { return l.w.Store.Lose(sale()) },
		"clock+4m":          clock(4 * time.Minute),
		"clock+6h":          clock(6 * time.Hour),
		"clock-6h":          clock(-6 * time.Hour),
		"clock+1y":          clock(365 * 24 * time.Hour),
		"clock-right":       clock(0),
		"drop-sends":        prune("sends"),
		"drop-open":         prune("open"),
		"drop-session":      prune("session"),
		"drop-refund-sends": prune("refund-sends"),
		"mend-crd":          func(l *life) bool { l.w.Store.Prune = nil; return true },
		"distrust":          config(func(c *testworld.Config) { c.Allowed = nil }),
		"trust":             config(func(c *testworld.Config) { c.Allowed = testworld.Endpoints() }),
		"adopt-only":        config(func(c *testworld.Config) { c.AdoptOnly = true }),
		"send-again":        config(func(c *testworld.Config) { c.AdoptOnly = false }),
		"collect":           func(l *life) bool { l.w.Collect(); return true },
		"api-silent":        func(l *life) bool { l.w.Outage(testworld.Write, testworld.Error500, 5*time.Minute); return true },
	}
}

// pruner takes a field off every Charge that is written.
func pruner(field string) func(client.Object) {
	return func(o client.Object) {
		c, ok := o.(*v1alpha1.Charge)
		switch {
		case !ok:
		case field == "sends":
			c.Record.Sends = 0
		case field == "open":
			c.Record.Open = nil
		case field == "session":
			c.Record.Session = nil
		default:
			for i := range c.Record.Refunds {
				c.Record.Refunds[i].Sends = 0
			}
		}
	}
}

// outside is what payers and providers do, and another process meanwhile.
func outside() map[string]word {
	silent := func(kind string, d time.Duration) word {
		return func(l *life) bool { l.w.Outage(testworld.Call, kind, d); return true }
	}
	announce := func(paid bool) word {
		return func(l *life) bool {
			c := l.charge()
			if c == nil {
				return false
			}
			l.w.Sim().Announce(c.Spec.ProviderReference, paid)
			return true
		}
	}
	return map[string]word{
		"pay":             func(l *life) bool { l.w.Approve(); l.w.PayNow(); return true },
		"decline":         func(l *life) bool { l.w.Decline(); return true },
		"callback":        announce(false),
		"callback-paid":   announce(true),
		"refused-1h":      silent(testworld.Forbidden, time.Hour),
		"refused-4d":      silent(testworld.Forbidden, 4*24*time.Hour),
		"unreachable-10m": silent(testworld.Unsent, 10*time.Minute),
		"failing-1h":      silent(testworld.Error500, time.Hour),
		"throttled-10m":   silent(testworld.Throttled, 10*time.Minute),
		"other":           func(l *life) bool { return l.w.Other() },
		"paused-20s":      func(l *life) bool { return l.w.Pause(20 * time.Second) },
		// What held others up is mended while one does nothing.
		"paused-mended": func(l *life) bool { l.w.MendAccount(); return l.w.Pause(20 * time.Second) },
		"paused-5m":     func(l *life) bool { return l.w.Pause(5 * time.Minute) },
	}
}
