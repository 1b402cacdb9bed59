// Package manager wires what the operator consists of, and runs it.
//
//	options.go  the flags
//	manager.go  what runs, from its start to its shutdown
//	kinds.go    whether the installed CRDs fit
//	wiring.go   the controllers, and what they share
//	notices.go  what a start tells people about
package manager

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/redact"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=mobile-money-system,resources=leases,verbs=get;create;update

// callbackKeyRefresh is how often Secrets are read that callbacks are verified with:
// the operator may get them and not watch them.
const callbackKeyRefresh = 30 * time.Second

// garbage is how much of it there may be, in per cent of what is alive. Most of what is alive is what the caches hold
// for months and few runs change, so that half of Go's default saves a quarter of the memory and costs little time.
const garbage = 50

// Run runs the manager in the cluster that the environment names, until ctx is over.
func Run(ctx context.Context, opts Options) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	return run(ctx, cfg, opts, newTransport(opts, os.Getenv), os.Getenv)
}

// run is Run in the cluster of cfg.
func run(ctx context.Context, cfg *rest.Config, opts Options, t providers.Transport, getenv func(string) string) error {
	if err := opts.validate(); err != nil {
		return err
	}
	direct, err := client.New(cfg, client.Options{Scheme: scheme()})
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	installed, err := newKinds(direct, time.Now)
	if err != nil {
		return err
	}
	if !installed.wait(ctx, opts.probeAddress) {
		return nil
	}
	mgr, err := newManager(cfg, opts)
	if err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("crds", installed.Ready); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	inst, keyMade, err := installation.Load(ctx, direct, opts.namespace, opts.installationID, rand.Reader)
	if err != nil {
		return err
	}
	ctrl.Log.Info("Installation", "id", inst.ID)
	if !inst.Given {
		ctrl.Log.Info("The installation id is made up and would be another one in a rebuilt cluster, which would charge again: nothing is sent in production. Set --installation-id")
	}
	if why := opts.unreachable(); why != "" {
		ctrl.Log.Info("Providers may not reach the host of --public-url: callbacks may not arrive, and accounts may be refused. Set the public https URL of the callback receiver", "cause", why)
	}
	paths := inst.PathKeys()
	if err := paths.Load(ctx, direct, opts.namespace); err != nil {
		// Callback paths are not worth a manager that does not start.
		ctrl.Log.Error(err, "The keys of callback paths could not be read")
	}
	p, err := setup(ctx, mgr, opts, inst, paths, t, getenv)
	if err != nil {
		return err
	}
	if err := mgr.Add(&notices{parts: p, keyMade: keyMade}); err != nil {
		return fmt.Errorf("adding the notices of the start: %w", err)
	}
	if err = mgr.Start(ctx); err != nil {
		err = fmt.Errorf("running the manager: %w", err)
	}
	return errors.Join(err, p.drain(opts.settings.RecordTimeout))
}

// newTransport trusts the hosts that the platform team itself names: those of the
// flag and of the operator's own accounts may be in the private network.
func newTransport(opts Options, getenv func(string) string) *transport.Transport {
	trusted := account.Hosts(account.FromEnvironment(getenv))
	for _, endpoint := range splitList(opts.allowedEndpoints) {
		trusted = append(trusted, (&url.URL{Host: endpoint}).Hostname())
	}
	return transport.New(transport.Options{Timeout: opts.settings.CallTimeout, Trusted: trusted})
}

// newManager runs its controllers on every replica: the gate of package leadership says which of them begins anything.
func newManager(cfg *rest.Config, opts Options) (ctrl.Manager, error) {
	metricsOptions := metricsserver.Options{BindAddress: opts.metricsAddress}
	if !opts.insecureMetrics {
		metricsOptions.SecureServing = true
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	// A call and its record that began before the signal are finished.
	grace := opts.settings.CallTimeout + 2*opts.settings.RecordTimeout
	slim := payment.NewTransform(time.Now)
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:  scheme(),
		Metrics: metricsOptions,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&v1alpha1.Payment{}: {Transform: slim.Payment},
				&v1alpha1.Charge{}:  {Transform: slim.Charge},
			},
		},
		Client: client.Options{Cache: &client.CacheOptions{
			// The operator may get these, not list them.
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.Namespace{}},
		}},
		HealthProbeBindAddress:  opts.probeAddress,
		GracefulShutdownTimeout: &grace,
	})
	if err != nil {
		return nil, fmt.Errorf("building the manager: %w", err)
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, fmt.Errorf("adding a probe: %w", err)
	}
	return mgr, nil
}

// registry of the providers that this operator knows.
func registry() providers.Registry {
	return providers.Registry{"mtn": mtn.Kind(), "orange": orange.Kind(), "wave": wave.Kind()}
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(apiextensionsv1.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// processName tells this process from every other, also from its predecessor in the same pod.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.60s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

// notices tells, once the caches are filled, what a start found that people have to know: Charges
// of another installation id, and a key that is new though Charges are not.
type notices struct {
	parts
	// keyMade: this start made the operator's own key.
	keyMade bool
}

// NeedLeaderElection is false: each process tells of its own start.
func (n *notices) NeedLeaderElection() bool { return false }

// Start tells once.
func (n *notices) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	all, foreign := 0, map[string]int{}
	err = attempt.EachPart(ctx, n.mgr.GetClient(), func(charges []v1alpha1.Charge) error {
		all += len(charges)
		for i := range charges {
			if id := charges[i].Spec.InstallationID; id != n.inst.ID {
				foreign[id]++
			}
		}
		return nil
	})
	n.otherInstallations(foreign)
	n.newKey(all)
	return err
}

func (n *notices) otherInstallations(count map[string]int) {
	for id, charges := range count {
		n.mgr.GetLogger().Error(nil, "Charges of another installation id: they are not followed, and their Payments are Stalled. "+
			"Start the operator with that --installation-id to go on with them", "id", id, "charges", charges, "ours", n.inst.ID)
	}
}

func (n *notices) newKey(charges int) {
	if !n.keyMade || charges == 0 {
		return
	}
	const text = "The operator's own key is new, but there are Charges that were made with another one: " +
		"a Payment that is applied again does not adopt them without consent. Restore the Secret from a backup"
	n.mgr.GetLogger().Error(nil, text, "secret", installation.KeySecretName, "charges", charges)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: n.opts.namespace, Name: installation.KeySecretName}}
	n.recorder.Eventf(secret, nil, corev1.EventTypeWarning, "OperatorKeyMade", "Start", "%s. Charges: %d.", text, charges)
}
