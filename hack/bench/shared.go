package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/hack/internal/shop"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	sharedShops   = 5
	sharedAccount = "mtn-shared"
	checks        = 60
)

// shared has several shops use one account, at the limit of its provider: a burst of new payments,
// then more open ones than can be asked about in time, of which some are called back about.
func (t *trial) shared(ctx context.Context) error {
	return t.with(ctx, sharedShops, pollEvery, func(ctx context.Context, s *stage) error {
		if err := s.share(ctx); err != nil {
			return err
		}
		var open []*sale
		err := s.managed(ctx, func(ctx context.Context, _ *manager) error {
			burst := s.ofShared("burst", t.of(200, 40))
			s.paid(0)
			began := time.Now()
			if err := s.market.sell(ctx, burst, 0); err != nil {
				return err
			}
			if err := s.market.wait(ctx, burst, ended, burstWithin); err != nil {
				return err
			}
			t.report.raw("shared", "burst_payments_per_second", float64(len(burst))/time.Since(began).Seconds())
			s.paid(-1)
			open = s.ofShared("model", len(s.shops))
			if err := s.market.sell(ctx, open, 0); err != nil {
				return err
			}
			return s.market.wait(ctx, open, asked, burstWithin)
		})
		if err != nil {
			return err
		}
		seeds, err := s.seeder(ctx, open)
		if err != nil {
			return err
		}
		n := t.of(3000, 300)
		if err := seeds.write(ctx, "open", n); err != nil {
			return err
		}
		return s.managed(ctx, func(ctx context.Context, _ *manager) error { return s.called(ctx, n) })
	})
}

// called calls back about some of the n open payments, one a second, and looks when each was asked about. Meanwhile the
// access tokens expire, and are revoked.
func (s *stage) called(ctx context.Context, n int) error {
	step := max(1, n/checks)
	due := map[string]time.Time{}
	for i := 0; i < n && len(due) < checks; i += step {
		var p v1alpha1.Payment
		key := types.NamespacedName{Namespace: s.shops[i%len(s.shops)].Namespace, Name: "open-" + strconv.Itoa(i)}
		if err := s.Env.Client().Get(ctx, key, &p); err != nil {
			return err
		}
		switch len(due) { // what makes calls be repeated must not exceed the limit either
		case checks / 3:
			s.Sim.ExpireTokens()
		case 2 * checks / 3:
			s.Sim.RevokeTokens()
		}
		due[p.Status.ProviderReference] = time.Now()
		if err := s.Sim.Pay(p.Status.ProviderReference); err != nil {
			return fmt.Errorf("paying %s: %w", key, err)
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	if err := sleep(ctx, 5*time.Second); err != nil {
		return err
	}
	var waits latencies
	var calls []time.Time
	all := s.callsOfShared()
	for _, c := range all {
		if c.Op != simulator.OpStatus {
			continue
		}
		calls = append(calls, c.At)
		if at, ok := due[c.Reference]; ok && !c.At.Before(at) {
			waits = append(waits, c.At.Sub(at))
			delete(due, c.Reference)
		}
	}
	if len(due) > 0 {
		return fmt.Errorf("%d of %d payments were not asked about after their callback", len(due), checks)
	}
	slices.Sort(waits)
	r := &s.trial.report
	r.raw("shared", "open", n)
	r.raw("shared", "callback_check_p50_ms", waits.at(0.5))
	r.set("callback_check_p99_seconds", waits.at(0.99)/1000)
	r.set("status_calls_max_in_any_second", float64(busiest(calls)))
	r.raw("shared", "calls_max_in_any_second", busiest(times(all)))
	s.trial.logf("        callback to check p50 %.0f ms, p99 %.0f ms; %d status calls in the busiest second", waits.at(0.5), waits.at(0.99), busiest(calls))
	return nil
}

// share sets up a ClusterMerchantAccount that all shops may use, with keys of its own.
func (s *stage) share(ctx context.Context) error {
	owner := shop.Shop{Namespace: "shared"}
	keys := owner.Keys()[simulator.MTN]
	s.Sim.AddKeys(simulator.MTN, keys)
	var own v1alpha1.MerchantAccount
	if err := s.Env.Client().Get(ctx, types.NamespacedName{Namespace: s.shops[0].Namespace, Name: "mtn"}, &own); err != nil {
		return err
	}
	spec := v1alpha1.ClusterMerchantAccountSpec{MerchantAccountSpec: own.Spec}
	spec.SecretRef.Name = sharedAccount
	for _, one := range s.shops {
		spec.AllowedNamespaces.Names = append(spec.AllowedNamespaces.Names, one.Namespace)
	}
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: named(shop.OperatorNamespace, sharedAccount), StringData: map[string]string{
			"subscriptionKey": keys.Key, "userID": keys.ID, "apiSecret": keys.Secret,
		}},
		&v1alpha1.ClusterMerchantAccount{ObjectMeta: named("", sharedAccount), Spec: spec},
	} {
		if err := s.Env.Client().Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) ofShared(name string, n int) []*sale {
	sales := s.market.plan(name, n)
	for _, one := range sales {
		one.account = sharedAccount
	}
	return sales
}

// callsOfShared are those that the provider counts for the shared account: without those for tokens,
// and without those of the shops' own accounts, which warmed the manager up.
func (s *stage) callsOfShared() (calls []simulator.Entry) {
	own := map[string]bool{}
	s.market.mu.Lock()
	for _, one := range s.market.sales {
		if one.account == "" {
			own[one.reference] = true
		}
	}
	s.market.mu.Unlock()
	for _, c := range s.Sim.Journal() {
		if c.Provider == simulator.MTN && c.Op != simulator.OpToken && !own[c.Reference] {
			calls = append(calls, c)
		}
	}
	return calls
}

func times(calls []simulator.Entry) (at []time.Time) {
	for _, c := range calls {
		at = append(at, c.At)
	}
	return at
}

// busiest is the largest number of calls in any second, wherever it begins.
func busiest(at []time.Time) (most int) {
	slices.SortFunc(at, time.Time.Compare)
	for i, j := 0, 0; j < len(at); j++ {
		for at[j].Sub(at[i]) >= time.Second {
			i++
		}
		most = max(most, j-i+1)
	}
	return most
}
