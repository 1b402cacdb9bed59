// Command manager runs the mobile-money-operator: the loop that turns Payments
// into charges, and the receiver of the providers' callbacks.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/redact"
	"mobilemoney.dev/operator/controllers/refund"
	"mobilemoney.dev/operator/controllers/restoreguard"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/providers"
	"mobilemoney.dev/operator/providers/mtn"
	"mobilemoney.dev/operator/providers/orange"
	"mobilemoney.dev/operator/providers/transport"
	"mobilemoney.dev/operator/providers/wave"
)

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create
// +kubebuilder:rbac:groups="",namespace=mobile-money-system,resources=events,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=mobile-money-system,resources=leases,verbs=get;create;update

func main() {
	opts := defaultOptions()
	opts.bind(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Parse()
	setLogger(logging)

	if err := start(ctrl.SetupSignalHandler(), opts); err != nil {
		ctrl.Log.Error(err, "The manager stopped")
		os.Exit(1)
	}
}

// setLogger makes one log of what this process says and of what its libraries say.
func setLogger(o zap.Options) {
	l := newLogger(o, os.Stderr)
	ctrl.SetLogger(l)
	klog.SetLogger(l)
}

func newLogger(o zap.Options, to io.Writer) logr.Logger {
	if o.Level != nil {
		o.Level = redact.Level(o.Level)
	}
	o.DestWriter = redact.Writer(to)
	return zap.New(zap.UseFlagOptions(&o))
}

func start(ctx context.Context, opts options) error {
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	return run(ctx, cfg, opts, newTransport(opts, os.Getenv), os.Getenv)
}

// newTransport trusts the hosts that the platform team itself names: those of the
// flag and of the operator's own accounts may be in the private network.
func newTransport(opts options, getenv func(string) string) *transport.Transport {
	trusted := account.Hosts(account.FromEnvironment(getenv))
	for _, endpoint := range splitList(opts.allowedEndpoints) {
		trusted = append(trusted, (&url.URL{Host: endpoint}).Hostname())
	}
	return transport.New(transport.Options{Timeout: opts.settings.CallTimeout, Trusted: trusted})
}

// callbackKeyRefresh is how often Secrets are read that callbacks are verified with:
// the operator may get them and not watch them.
const callbackKeyRefresh = 30 * time.Second

// options are the flags.
type options struct {
	namespace        string
	installationID   string
	publicURL        string
	allowedEndpoints string
	callbackAddress  string
	callbackTLS      callback.TLSFiles
	callbackLimits   callback.Limits
	trustedProxies   string
	metricsAddress   string
	insecureMetrics  bool
	probeAddress     string
	leaderElection   bool
	lease            lease
	workers          int
	accountRecheck   time.Duration
	revisionCheck    time.Duration
	settings         attempt.Settings
	retention        retention.Settings
}

// lease of the leader: how long it lasts, how long its holder tries to renew it
// before it stops, and the pause between two tries.
type lease struct{ duration, renew, retry time.Duration }

func defaultOptions() options {
	return options{
		lease:    lease{duration: 60 * time.Second, renew: 40 * time.Second, retry: 8 * time.Second},
		settings: attempt.DefaultSettings(), retention: retention.DefaultSettings(),
		callbackLimits: callback.DefaultLimits(),
	}
}

func (o *options) bind(fs *flag.FlagSet) {
	fs.StringVar(&o.namespace, "namespace", os.Getenv("POD_NAMESPACE"),
		"Namespace of the operator: its key, its lease and the Secrets of ClusterMerchantAccounts. Default: $POD_NAMESPACE.")
	fs.StringVar(&o.installationID, "installation-id", "",
		"What references are derived from. Installations that share a merchant account must differ in it; one that takes over from another must keep it. Default: the uid of the kube-system namespace.")
	fs.StringVar(&o.publicURL, "public-url", "",
		"Public https URL of the callback receiver, such as https://pay.example.com. Orange and Wave need it.")
	fs.StringVar(&o.allowedEndpoints, "allowed-endpoints", "",
		"Hosts (host or host:port, comma-separated) that the baseURL or tokenURL of an account may name, besides those of its provider. Only these may be at private addresses. Default: none.")
	fs.StringVar(&o.callbackAddress, "callback-bind-address", ":8090", "Address of the callback receiver.")
	fs.StringVar(&o.callbackTLS.Cert, "callback-tls-cert", "", "File with the certificate of the callback receiver; read again when it changes. Default: plain http, behind an ingress that ends TLS.")
	fs.StringVar(&o.callbackTLS.Key, "callback-tls-key", "", "File with the key of that certificate.")
	fs.StringVar(&o.trustedProxies, "callback-trusted-proxies", "",
		"Networks (CIDR, comma-separated) of the proxies in front of the callback receiver, which are believed in X-Forwarded-For. Default: none.")
	l := &o.callbackLimits
	fs.IntVar(&l.Connections, "callback-max-connections", l.Connections, "Connections to the callback receiver, in all.")
	fs.IntVar(&l.SourceConnections, "callback-max-connections-per-source", l.SourceConnections, "Connections to the callback receiver from one address that is no trusted proxy.")
	fs.Float64Var(&l.SourceRate, "callback-source-rate", l.SourceRate, "Requests each second that the callback receiver takes from one address in the long run.")
	fs.IntVar(&l.SourceBurst, "callback-source-burst", l.SourceBurst, "Requests that it takes from one address at once.")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "Address of the metrics, such as :8443; 0 is off.")
	fs.BoolVar(&o.insecureMetrics, "metrics-insecure", false, "Serve metrics by http and without authentication.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 is off.")
	fs.BoolVar(&o.leaderElection, "leader-elect", true, "Let one of several replicas work. It limits load; it is not what keeps payments safe.")
	fs.DurationVar(&o.lease.duration, "leader-elect-lease-duration", o.lease.duration, "How long the lease of a leader that is heard of no more is respected.")
	fs.DurationVar(&o.lease.renew, "leader-elect-renew-deadline", o.lease.renew, "How long a leader tries to renew its lease before it stops. Less than the lease.")
	fs.DurationVar(&o.lease.retry, "leader-elect-retry-period", o.lease.retry, "Pause between two tries to take or renew the lease.")
	fs.DurationVar(&o.accountRecheck, "account-recheck", 10*time.Minute, "How often an account that is ready is tried again.")
	fs.DurationVar(&o.revisionCheck, "revision-check", 30*time.Second, "How often the API server is asked whether it went back in time.")
	fs.IntVar(&o.workers, "workers", 10, "Payments that are worked on at the same time.")

	fs.DurationVar(&o.retention.Keep, "charge-retention", o.retention.Keep,
		"How long a Charge is kept after its end, if no Payment names it any more; at least 96h. 0: for ever.")

	s := &o.settings
	fs.DurationVar(&s.CallTimeout, "call-timeout", s.CallTimeout, "Longest that one call to a provider may take.")
	fs.DurationVar(&s.RecordTimeout, "record-timeout", s.RecordTimeout, "Longest that writing an answer down may take.")
	fs.DurationVar(&s.LateWindow, "late-window", s.LateWindow, "How long after a request without an answer it may still arrive.")
	fs.DurationVar(&s.ClockSkew, "clock-skew", s.ClockSkew, "How far the clocks of two replicas may be apart.")
	fs.DurationVar(&s.RetryMin, "retry-min", s.RetryMin, "First wait after a call that did not get through.")
	fs.DurationVar(&s.RetryMax, "retry-max", s.RetryMax, "Longest wait after calls that did not get through, and for an account to be mended.")
	fs.DurationVar(&s.CallbackGap, "callback-gap", s.CallbackGap, "Least time between two checks of one payment, however many callbacks come.")
	fs.DurationVar(&s.CloserInterval, "closer-interval", s.CloserInterval, "Time between checks after a callback that the provider does not confirm yet.")
	fs.DurationVar(&s.ExpiryMargin, "expiry-margin", s.ExpiryMargin, "Added to the end of a payer's session before it counts as over.")
	fs.DurationVar(&s.SlowInterval, "slow-interval", s.SlowInterval, "Time between checks of a payment in phase Unknown.")
	fs.DurationVar(&s.AdoptionWindow, "adoption-window", s.AdoptionWindow,
		"How long after its end a charge is taken up by a new Payment of the same reference without being asked; 0: always.")
	fs.IntVar(&s.Prompts.PerPhone, "prompts-per-phone", s.Prompts.PerPhone,
		"How often one phone may be rung in an hour by the Payments of one namespace, where the account says nothing.")
	fs.IntVar(&s.Prompts.PerNamespace, "prompts-per-namespace", s.Prompts.PerNamespace,
		"How often payers may be rung in an hour by the Payments of one namespace, where the account says nothing.")
	fs.BoolVar(&s.AdoptOnly, "adopt-only", false, "Send nothing: only ask providers, and take up what they know. For disaster recovery.")
}

func (o *options) validate() error {
	if o.namespace == "" {
		return errors.New("the operator's namespace is not known: set --namespace or POD_NAMESPACE")
	}
	if err := o.settings.Validate(); err != nil {
		return err
	}
	if err := o.retention.Validate(o.settings.AdoptionWindow); err != nil {
		return err
	}
	if err := o.lease.validate(); err != nil {
		return err
	}
	if o.revisionCheck <= 0 {
		return errors.New("--revision-check must be more than 0")
	}
	if err := o.validateCallbacks(); err != nil {
		return err
	}
	if o.publicURL == "" {
		return nil
	}
	u, err := url.Parse(o.publicURL)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return errors.New("--public-url must be a URL such as https://pay.example.com")
	}
	if u.Scheme != "https" && !isLoopback(u.Hostname()) {
		return errors.New("--public-url must begin with https://; providers send callbacks there and payers come back to it")
	}
	return nil
}

// validateCallbacks reads what is a list, too.
func (o *options) validateCallbacks() error {
	if (o.callbackTLS.Cert == "") != (o.callbackTLS.Key == "") {
		return errors.New("--callback-tls-cert and --callback-tls-key go together")
	}
	l := &o.callbackLimits
	if l.Connections < 1 || l.SourceConnections < 1 || l.SourceRate <= 0 || l.SourceBurst < 1 {
		return errors.New("the limits of the callback receiver must be more than 0")
	}
	l.TrustedProxies = nil
	for _, s := range splitList(o.trustedProxies) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return errors.New("--callback-trusted-proxies must be a list of networks such as 10.0.0.0/8")
		}
		l.TrustedProxies = append(l.TrustedProxies, p.Masked())
	}
	return nil
}

// validate refuses leases with which two replicas would lead as a matter of course,
// and those that no client of the API server can express.
func (l lease) validate() error {
	switch {
	case l.duration < time.Second, l.duration%time.Second != 0:
		return errors.New("--leader-elect-lease-duration must be a number of whole seconds")
	case l.renew >= l.duration:
		return errors.New("--leader-elect-renew-deadline must be shorter than --leader-elect-lease-duration")
	case l.retry <= 0, float64(l.renew) <= leaderelection.JitterFactor*float64(l.retry):
		return fmt.Errorf("--leader-elect-retry-period must be more than 0, and %v times it less than --leader-elect-renew-deadline",
			leaderelection.JitterFactor)
	default:
		return nil
	}
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// registry of the providers that this operator knows.
func registry() providers.Registry {
	return providers.Registry{
		"mtn":    mtn.Kind(),
		"orange": orange.Kind(),
		"wave":   wave.Kind(),
	}
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(s))
	utilruntime.Must(v1alpha1.AddToScheme(s))
	return s
}

// run runs the manager until ctx is over.
func run(ctx context.Context, cfg *rest.Config, opts options, t providers.Transport, getenv func(string) string) error {
	if err := opts.validate(); err != nil {
		return err
	}
	mgr, err := newManager(cfg, opts)
	if err != nil {
		return err
	}
	direct, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme()})
	if err != nil {
		return fmt.Errorf("connecting to the cluster: %w", err)
	}
	inst, err := installation.Load(ctx, direct, opts.namespace, opts.installationID, rand.Reader)
	if err != nil {
		return err
	}
	ctrl.Log.Info("Installation", "id", inst.ID)
	if opts.installationID == "" {
		ctrl.Log.Info("The installation id is the default, the uid of this cluster's kube-system namespace. " +
			"A rebuilt cluster gets another one and would charge again what it applies again: set --installation-id")
	}
	paths := inst.PathKeys()
	if err := paths.Load(ctx, direct, opts.namespace); err != nil {
		// Callback paths are not worth a manager that does not start.
		ctrl.Log.Error(err, "The keys of callback paths could not be read")
	}
	if err := setup(ctx, mgr, opts, inst, paths, t, getenv); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running the manager: %w", err)
	}
	return nil
}

func newManager(cfg *rest.Config, opts options) (manager.Manager, error) {
	metricsOptions := metricsserver.Options{BindAddress: opts.metricsAddress}
	if !opts.insecureMetrics {
		metricsOptions.SecureServing = true
		metricsOptions.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	// A call and its record that began before the signal are finished.
	grace := opts.settings.CallTimeout + 2*opts.settings.RecordTimeout
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:  scheme(),
		Metrics: metricsOptions,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Client: client.Options{Cache: &client.CacheOptions{
			// The operator may get these, not list them.
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.Namespace{}},
		}},
		HealthProbeBindAddress:  opts.probeAddress,
		LeaderElection:          opts.leaderElection,
		LeaderElectionID:        "mobile-money-operator",
		LeaderElectionNamespace: opts.namespace,
		LeaseDuration:           &opts.lease.duration,
		RenewDeadline:           &opts.lease.renew,
		RetryPeriod:             &opts.lease.retry,
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

// setup adds the loop and the receiver to mgr.
func setup(ctx context.Context, mgr manager.Manager, opts options, inst installation.Installation, paths *installation.PathKeys, t providers.Transport, getenv func(string) string) error {
	if err := payment.SetupIndexes(ctx, mgr.GetFieldIndexer(), inst); err != nil {
		return err
	}
	if err := refund.SetupIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if err := account.SetupIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	if err := retention.SetupIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	back, err := watchRevisions(mgr, opts.revisionCheck)
	if err != nil {
		return err
	}
	clients := account.NewClients(t, time.Now)
	clients.Findings = account.NewFindings()
	resolver := &account.Resolver{
		Reader:            mgr.GetClient(),
		Live:              mgr.GetAPIReader(),
		Registry:          registry(),
		Operator:          account.FromEnvironment(getenv),
		OperatorNamespace: opts.namespace,
		AllowedEndpoints:  splitList(opts.allowedEndpoints),
		Clients:           clients,

		InstallationIDGiven: opts.installationID != "",
	}
	loop := &payment.Reconciler{
		Client:       back.Client(mgr.GetClient()),
		Live:         back.Reader(mgr.GetAPIReader()),
		Accounts:     resolver,
		Installation: inst,
		Settings:     opts.settings,
		URLs:         payment.NewURLs(opts.publicURL, paths),
		Recorder:     mgr.GetEventRecorder("mobile-money-operator"),
		Metrics:      payment.NewMetrics(metrics.Registry),
		Now:          time.Now,
		Process:      processName(),
		Start:        time.Now(),
		WentBack:     back.WentBack,
	}
	if err := loop.SetupWithManager(mgr, opts.workers); err != nil {
		return fmt.Errorf("setting the payment controller up: %w", err)
	}
	refunds := &refund.Reconciler{
		Client:       loop.Client,
		Live:         loop.Live,
		Accounts:     resolver,
		Installation: inst,
		Settings:     opts.settings,
		Recorder:     loop.Recorder,
		Metrics:      refund.NewMetrics(metrics.Registry),
		Called:       loop.Metrics.Called,
		Now:          time.Now,
		Process:      loop.Process,
		WentBack:     back.WentBack,
	}
	if err := refunds.SetupWithManager(mgr, opts.workers); err != nil {
		return fmt.Errorf("setting the refund controller up: %w", err)
	}
	for _, kind := range []string{account.KindNamespaced, account.KindCluster} {
		accounts := &account.Reconciler{
			Client:      mgr.GetClient(),
			Resolver:    resolver,
			Kind:        kind,
			CheckURLs:   loop.URLs.CheckAccount,
			Now:         time.Now,
			Recorder:    loop.Recorder,
			CallTimeout: opts.settings.CallTimeout,
			Retry:       opts.settings.RetryMax,
			Recheck:     opts.accountRecheck,
			Settle:      opts.settings.RunTimeout() + opts.settings.ClockSkew,
		}
		if err := accounts.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting the account controller up: %w", err)
		}
	}
	if err := addCollector(mgr, opts, inst, back); err != nil {
		return err
	}
	return addReceiver(mgr, opts, inst, loop.URLs.Paths, resolver)
}

// addReceiver adds the receiver of callbacks to mgr, and what keeps its keys.
func addReceiver(mgr manager.Manager, opts options, inst installation.Installation, paths *installation.PathKeys, resolver *account.Resolver) error {
	log := mgr.GetLogger().WithName("callback")
	keyring := &callback.Keyring{Reader: mgr.GetClient(), Accounts: resolver, Refresh: callbackKeyRefresh}
	if err := keyring.SetupWithManager(mgr); err != nil {
		return err
	}
	loader := &installation.PathKeyLoader{
		Keys: paths, Live: mgr.GetAPIReader(), Namespace: opts.namespace, Every: callbackKeyRefresh, Log: log,
	}
	if err := mgr.Add(loader); err != nil {
		return fmt.Errorf("adding the loader of path keys: %w", err)
	}
	receiver := &callback.Receiver{
		Addr:     opts.callbackAddress,
		TLS:      opts.callbackTLS,
		Client:   mgr.GetClient(),
		Paths:    paths,
		Keyring:  keyring,
		Registry: resolver.Registry,
		Digest:   inst.CallbackDigest,
		Now:      time.Now,
		Log:      log,
		NoteGap:  opts.settings.CallbackGap,
		Limits:   opts.callbackLimits,
		Metrics:  callback.NewMetrics(metrics.Registry),
	}
	if err := mgr.Add(receiver); err != nil {
		return fmt.Errorf("adding the callback receiver: %w", err)
	}
	if err := mgr.AddReadyzCheck("callbacks", receiver.Ready); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	return nil
}

// addCollector adds what deletes old Charges. While payments are taken up after a
// disaster nothing is deleted: what they name may not be restored yet.
func addCollector(mgr manager.Manager, opts options, inst installation.Installation, back *restoreguard.Detector) error {
	collected := retention.NewMetrics(metrics.Registry)
	if opts.retention.Keep == 0 || opts.settings.AdoptOnly {
		return nil
	}
	err := mgr.Add(&retention.Collector{
		Client:       mgr.GetClient(),
		Live:         back.Reader(mgr.GetAPIReader()),
		Installation: inst,
		Settings:     opts.retention,
		Now:          time.Now,
		ServerNow:    retention.ServerTime(mgr.GetClient()),
		Collected:    collected,
		Log:          mgr.GetLogger().WithName("retention"),
		WentBack:     back.WentBack,
	})
	if err != nil {
		return fmt.Errorf("adding the collector of Charges: %w", err)
	}
	return nil
}

// watchRevisions watches for an API server that goes back in time, for as long as
// mgr runs.
func watchRevisions(mgr manager.Manager, every time.Duration) (*restoreguard.Detector, error) {
	recorder := mgr.GetEventRecorder("mobile-money-operator")
	back := &restoreguard.Detector{Tell: func(sign string, o client.Object) {
		ctrl.Log.Error(nil, "The API server went back in time, as after a restored backup of etcd. Nothing is sent any more, "+
			"neither payments nor refunds. See the disaster recovery in docs/operations.md", "sign", sign, "object", client.ObjectKeyFromObject(o).String())
		if o.GetUID() != "" {
			recorder.Eventf(o, nil, corev1.EventTypeWarning, "RevisionsWentBack", "StopSending",
				"The API server went back in time, as after a restored backup of etcd: %s. Nothing is sent until the operator is started again.", sign)
		}
	}}
	wentBack := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "mobilemoney", Name: "revisions_went_back",
		Help: "1 once the API server went back in time, as after a restored backup of etcd: nothing is sent until the operator is started again.",
	}, func() float64 {
		if back.WentBack() {
			return 1
		}
		return 0
	})
	if err := metrics.Registry.Register(wentBack); err != nil {
		return nil, fmt.Errorf("registering a metric: %w", err)
	}
	watch := &restoreguard.Watch{Detector: back, Cache: mgr.GetCache(), Live: mgr.GetAPIReader(), Every: every}
	if err := mgr.Add(watch); err != nil {
		return nil, fmt.Errorf("watching revisions: %w", err)
	}
	return back, nil
}

// processName tells this process from every other, also from its predecessor
// in the same pod.
func processName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%.60s/%d/%s", host, os.Getpid(), rand.Text()[:8])
}

func splitList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
