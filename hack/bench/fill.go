package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/hack/internal/shop"
)

const (
	installationID = "bench"
	namespace      = "shop"
	year           = 365 * 24 * time.Hour
)

// fill puts the Charges into the API server: those that are due, and others that are young.
func fill(ctx context.Context, env *testenv.Env, o options) error {
	if err := shop.InstallOperator(ctx, env); err != nil {
		return err
	}
	if err := env.Client().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return fmt.Errorf("creating the shop's namespace: %w", err)
	}
	cfg := rest.CopyConfig(env.AdminConfig())
	cfg.QPS = -1
	api, err := client.New(cfg, client.Options{Scheme: env.Scheme})
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	now := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.workers)
	for i := range o.charges {
		group.Go(func() error {
			charge := newCharge(i, now)
			if i >= o.due {
				charge.Record.Outcome.At = metav1.NewMicroTime(now.Add(year))
			}
			if err := api.Create(ctx, charge); err != nil {
				return fmt.Errorf("creating a Charge: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// newCharge is one that was paid a year ago, as big as they are.
func newCharge(i int, now time.Time) *v1alpha1.Charge {
	sale := fmt.Sprintf("order-%06d", i)
	at := metav1.NewMicroTime(now.Add(-year))
	money := v1alpha1.Money{Amount: "5000", Currency: "XOF"}
	return &v1alpha1.Charge{
		ObjectMeta: metav1.ObjectMeta{Name: installation.Installation{ID: installationID}.ChargeName(namespace, sale)},
		Spec: v1alpha1.ChargeSpec{
			InstallationID: installationID, ReferenceVersion: installation.ReferenceVersion,
			Payment:           v1alpha1.PaymentIdentity{Namespace: namespace, Name: sale, UID: "00000000-0000-4000-8000-000000000000"},
			MerchantReference: sale, Provider: "orange",
			Account: v1alpha1.AccountPin{
				Kind: "MerchantAccount", Namespace: namespace, Name: "orange", Environment: "production",
				BaseURL: "https://api.orange.example/orange-money-webpay/ci/v1", TokenURL: "https://api.orange.example/oauth/v3/token",
			},
			Requested: money, Money: money,
			Fingerprint:       fmt.Sprintf("00000000:%064d", i),
			ProviderReference: fmt.Sprintf("%030d", i), TimeoutSeconds: 3600,
		},
		Record: v1alpha1.ChargeRecord{
			Attempt: v1alpha1.Attempt{
				Sends: 1, Taken: &v1alpha1.Taken{Send: 1, At: at},
				Outcome: &v1alpha1.Outcome{Phase: v1alpha1.PhaseSucceeded, Reason: v1alpha1.ReasonPaid, TransactionID: fmt.Sprintf("MP%020d", i), Paid: &money, At: at},
			},
			Session: &v1alpha1.Session{
				Token: fmt.Sprintf("%064d", i), NotificationTokenHash: fmt.Sprintf("%064d", i),
				PaymentURL: fmt.Sprintf("https://mpayment.orange.example/mpayment/abstract/v4/wpresponse/%064d", i),
			},
		},
	}
}
