// Package shop installs the operator as it is shipped, and shops that sell through the simulator.
package shop

import (
	"context"
	"fmt"
	"hash/crc32"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/testenv"
	"mobilemoney.dev/operator/providers/simulator"
)

const (
	// OperatorNamespace and OperatorAccount: where the operator is, and its ServiceAccount.
	OperatorNamespace = "mobile-money-system"
	OperatorAccount   = "mobile-money-operator"

	// WaveWebhookSecret signs Wave's callbacks to the shops.
	WaveWebhookSecret = "wave_ci_WHS_demo"
	// Wave wants https, and nobody follows it here.
	thanks = "https://shop.example/thanks"
)

// InstallOperator puts into the cluster what a platform team would: the operator's
// namespace and rights as they are shipped. The CRDs came with the control plane.
func InstallOperator(ctx context.Context, env *testenv.Env) error {
	objects, err := env.ReadManifests("config/manager", "config/rbac", "config/policy")
	if err != nil {
		return err
	}
	deployed := OnlyKind(objects, "Deployment")
	for _, o := range objects {
		// The manager runs outside the cluster, and nothing would run a pod.
		if len(deployed) > 0 && o == deployed[0] {
			continue
		}
		if err := env.Apply(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// OnlyKind picks the objects of a kind.
func OnlyKind(objects []*unstructured.Unstructured, kind string) []*unstructured.Unstructured {
	var some []*unstructured.Unstructured
	for _, o := range objects {
		if o.GetKind() == kind {
			some = append(some, o)
		}
	}
	return some
}

// ReasonOf a Payment's phase, as kubectl's column shows it too.
func ReasonOf(p *v1alpha1.Payment) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionSucceeded); c != nil {
		return c.Reason
	}
	return ""
}

// Shop is the namespace of a team that sells.
type Shop struct {
	Namespace string
	// Clerk is a user who may create Payments in the shop and nothing else, and Refunder one who may create Refunds.
	Clerk, Refunder string
	// PollEvery is how often its open payments are asked about.
	PollEvery time.Duration
	// Prompts limits how often its payers are rung.
	Prompts v1alpha1.Prompts
}

// Open creates the shop: its namespace, rights, and an account at each provider.
func (s Shop) Open(ctx context.Context, c client.Client, sim *simulator.Simulator) error {
	for provider, keys := range s.Keys() {
		sim.AddKeys(provider, keys)
	}
	for _, o := range s.objects(sim) {
		if err := c.Create(ctx, o); err != nil {
			return fmt.Errorf("creating %T %s: %w", o, o.GetName(), err)
		}
	}
	return nil
}

// WavePath is the path at which Wave calls the shop back.
func (s Shop) WavePath() string { return "/callbacks/wave/account/" + s.Namespace + "/wave" }

// Keys are the shop's own: providers count the calls of each, and so does the operator.
func (s Shop) Keys() map[simulator.Provider]simulator.Keys {
	mtnUser := fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(s.Namespace))) + simulator.DefaultMTNUser[8:]
	return map[simulator.Provider]simulator.Keys{
		simulator.MTN:    {ID: mtnUser, Secret: simulator.DefaultMTNKey, Key: simulator.DefaultMTNSubscriptionKey},
		simulator.Orange: {ID: simulator.DefaultOrangeClientID + s.Namespace, Secret: simulator.DefaultOrangeClientSecret, Key: simulator.DefaultOrangeMerchantKey},
		simulator.Wave:   {Key: simulator.DefaultWaveKey + s.Namespace},
	}
}

func (s Shop) objects(sim *simulator.Simulator) []client.Object {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}},
		s.bound(s.Clerk, "mobilemoney-payment-creator"),
		s.bound(s.Refunder, "mobilemoney-refunder"),
	}
	for _, a := range accounts(sim, s.Keys()) {
		a.spec.Country, a.spec.Currency = "ci", "XOF"
		a.spec.SecretRef.Name = a.spec.Provider + "-credentials"
		a.spec.Polling.Interval = &metav1.Duration{Duration: s.PollEvery}
		a.spec.Prompts = s.Prompts
		objects = append(objects,
			&corev1.Secret{ObjectMeta: s.named(a.spec.SecretRef.Name), StringData: a.credentials},
			&v1alpha1.MerchantAccount{ObjectMeta: s.named(a.spec.Provider), Spec: a.spec},
		)
	}
	return objects
}

func (s Shop) bound(user, role string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		ObjectMeta: s.named(user),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}
}

func (s Shop) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.Namespace}
}

type account struct {
	spec        v1alpha1.MerchantAccountSpec
	credentials map[string]string
}

func accounts(sim *simulator.Simulator, keys map[simulator.Provider]simulator.Keys) []account {
	mtn, orange := keys[simulator.MTN], keys[simulator.Orange]
	return []account{
		{
			spec: v1alpha1.MerchantAccountSpec{Provider: "mtn", Environment: "sandbox", BaseURL: sim.MTNURL()},
			credentials: map[string]string{
				"subscriptionKey": mtn.Key,
				"userID":          mtn.ID,
				"apiSecret":       mtn.Secret,
				// For refunds.
				"disbursementSubscriptionKey": simulator.DefaultMTNDisbursementSubscriptionKey,
				"disbursementUserID":          simulator.DefaultMTNDisbursementUser,
				"disbursementAPISecret":       simulator.DefaultMTNDisbursementKey,
			},
		},
		{
			spec: v1alpha1.MerchantAccountSpec{
				Provider: "orange", Environment: "sandbox", MerchantName: "Demo Shop",
				BaseURL: sim.OrangeURL("dev"), Orange: &v1alpha1.OrangeAccount{TokenURL: sim.OrangeTokenURL()},
			},
			credentials: map[string]string{
				"clientID":     orange.ID,
				"clientSecret": orange.Secret,
				"merchantKey":  orange.Key,
			},
		},
		{
			// Wave has no sandbox.
			spec: v1alpha1.MerchantAccountSpec{
				Provider: "wave", Environment: "production", BaseURL: sim.WaveURL(),
				ReturnURL: thanks, CancelURL: thanks,
			},
			credentials: map[string]string{
				"apiKey":        keys[simulator.Wave].Key,
				"webhookSecret": WaveWebhookSecret,
			},
		},
	}
}
