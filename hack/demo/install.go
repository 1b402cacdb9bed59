package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	waveWebhookSecret = "wave_ci_WHS_demo"
	pollEvery         = 2 * time.Second
	// Wave wants https, and nobody follows it here.
	thanks = "https://shop.example/thanks"
	// clerk is a user who may create Payments in the shop and nothing else, and
	// refunder one who may create Refunds.
	clerk    = "clerk"
	refunder = "refunder"
)

// install puts into the cluster what a platform team would: the operator's namespace
// and rights as they are shipped (the CRDs came with the control plane), and a shop.
func (s *stage) install(ctx context.Context) error {
	objects, err := s.env.ReadManifests("config/manager", "config/rbac", "config/policy")
	if err != nil {
		return err
	}
	deployed := onlyKind(objects, "Deployment")
	for _, o := range objects {
		// The manager runs outside the cluster, and nothing would run a pod.
		if len(deployed) > 0 && o == deployed[0] {
			continue
		}
		if err := s.env.Apply(ctx, o); err != nil {
			return err
		}
	}
	for _, o := range s.shop() {
		if err := s.env.Client().Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// shop is the namespace of a team that sells: its rights and its accounts.
func (s *stage) shop() []client.Object {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: shop}},
		bound(clerk, "mobilemoney-payment-creator"),
		bound(refunder, "mobilemoney-refunder"),
	}
	for _, a := range s.accounts() {
		a.spec.Country, a.spec.Currency = "ci", "XOF"
		a.spec.SecretRef.Name = a.spec.Provider + "-credentials"
		a.spec.Polling.Interval = &metav1.Duration{Duration: pollEvery}
		objects = append(objects,
			&corev1.Secret{ObjectMeta: named(a.spec.SecretRef.Name), StringData: a.credentials},
			&v1alpha1.MerchantAccount{ObjectMeta: named(a.spec.Provider), Spec: a.spec},
		)
	}
	return objects
}

// bound is a user of the shop with one role.
func bound(user, role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: named(user),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}

type account struct {
	spec        v1alpha1.MerchantAccountSpec
	credentials map[string]string
}

func (s *stage) accounts() []account {
	return []account{
		{
			spec: v1alpha1.MerchantAccountSpec{Provider: "mtn", Environment: "sandbox", BaseURL: s.sim.MTNURL()},
			credentials: map[string]string{
				"subscriptionKey": simulator.DefaultMTNSubscriptionKey,
				"userID":          simulator.DefaultMTNUser,
				"apiSecret":       simulator.DefaultMTNKey,
				// For refunds.
				"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
				"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
				"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
			},
		},
		{
			spec: v1alpha1.MerchantAccountSpec{
				Provider: "orange", Environment: "sandbox", MerchantName: "Demo Shop",
				BaseURL: s.sim.OrangeURL("dev"), TokenURL: s.sim.OrangeTokenURL(),
			},
			credentials: map[string]string{
				"clientID":     simulator.DefaultOrangeClientID,
				"clientSecret": simulator.DefaultOrangeClientSecret,
				"merchantKey":  simulator.DefaultOrangeMerchantKey,
			},
		},
		{
			// Wave has no sandbox.
			spec: v1alpha1.MerchantAccountSpec{
				Provider: "wave", Environment: "production", BaseURL: s.sim.WaveURL(),
				ReturnURL: thanks, CancelURL: thanks,
			},
			credentials: map[string]string{
				"apiKey":        simulator.DefaultWaveKey,
				"webhookSecret": waveWebhookSecret,
			},
		},
	}
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: shop} }
