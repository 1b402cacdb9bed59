package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/leadership"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/refund"
	"mobilemoney.dev/operator/controllers/restoreguard"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
)

// component is the name of the operator in events and of its lease.
const component = "mobile-money-operator"

// parts are what the controllers share.
type parts struct {
	mgr      ctrl.Manager
	opts     Options
	inst     installation.Installation
	gate     *leadership.Gate
	restore  *restoreguard.Detector
	resolver *account.Resolver
	protocol *attempt.Protocol
	urls     callback.URLs
	recorder events.EventRecorder
}

// setup adds the controllers and the receiver to mgr.
func setup(ctx context.Context, mgr ctrl.Manager, opts Options, inst installation.Installation, paths *installation.PathKeys, t providers.Transport, getenv func(string) string) (parts, error) {
	p := parts{mgr: mgr, opts: opts, inst: inst, urls: callback.NewURLs(opts.publicURL, paths), recorder: mgr.GetEventRecorder(component)}
	if err := setupIndexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return p, err
	}
	p.resolver = newResolver(mgr, opts, inst, t, getenv)
	process := processName()
	var err error
	if p.gate, err = addGate(mgr, opts, process, p.resolver.Clients.StartEmpty); err != nil {
		return p, err
	}
	if p.restore, err = p.watchRevisions(); err != nil {
		return p, err
	}
	live := p.restore.Reader(mgr.GetAPIReader())
	p.protocol = &attempt.Protocol{
		Client: stub.NewClient(p.restore.Client(mgr.GetClient()), live), Live: live, Settings: opts.settings,
		Now: time.Now, Process: process, Leads: p.gate.Leads, RestoreDetected: p.restore.Detected, Behind: p.restore.Behind,
	}
	for _, add := range []func() error{p.addLoops, p.addAccounts, p.addCollector, p.addReceiver} {
		if err := add(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func setupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for _, add := range []func(context.Context, client.FieldIndexer) error{
		attempt.SetupIndexes, promptlimit.SetupIndexes, refund.SetupIndexes, account.SetupIndexes, retention.SetupIndexes,
	} {
		if err := add(ctx, indexer); err != nil {
			return err
		}
	}
	return nil
}

func newResolver(mgr ctrl.Manager, opts Options, inst installation.Installation, t providers.Transport, getenv func(string) string) *account.Resolver {
	return &account.Resolver{
		Reader: mgr.GetClient(), Live: mgr.GetAPIReader(), Registry: registry(), Operator: account.FromEnvironment(getenv),
		OperatorNamespace: opts.namespace, AllowedEndpoints: splitList(opts.allowedEndpoints), InstallationIDGiven: inst.Given,
		Clients: account.NewClients(t, time.Now),
	}
}

// addGate adds the leader election; without one, every replica begins work.
func addGate(mgr ctrl.Manager, opts Options, process string, prepare func()) (*leadership.Gate, error) {
	if !opts.leaderElection {
		return nil, nil
	}
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, opts.namespace, component,
		resourcelock.ResourceLockConfig{Identity: process}, mgr.GetConfig(), opts.lease.Renew)
	if err != nil {
		return nil, fmt.Errorf("setting up the lease: %w", err)
	}
	gate := leadership.NewGate(lock, opts.lease, prepare, mgr.GetLogger().WithName("leadership"))
	if err := mgr.Add(gate); err != nil {
		return nil, fmt.Errorf("adding the leader election: %w", err)
	}
	return gate, nil
}

// addLoops adds the controllers of payments and refunds, on one protocol.
func (p parts) addLoops() error {
	called := payment.NewMetrics(metrics.Registry)
	payments := &payment.Reconciler{
		Protocol: p.protocol, Client: p.protocol.Client, Live: p.protocol.Live,
		Accounts: p.resolver, Installation: p.inst, Settings: p.opts.settings,
		URLs: p.urls, Prompts: &promptlimit.Limiter{}, Recorder: p.recorder, Metrics: called, Now: time.Now,
	}
	if err := payments.SetupWithManager(p.mgr, p.opts.workers, p.gate.Source(payments.Everything)); err != nil {
		return fmt.Errorf("setting the payment controller up: %w", err)
	}
	refunds := &refund.Reconciler{
		Protocol: p.protocol, Client: p.protocol.Client, Live: p.protocol.Live,
		Accounts: p.resolver, Installation: p.inst, Settings: p.opts.settings,
		Recorder: p.recorder, Metrics: refund.NewMetrics(metrics.Registry), Called: called.Called, Now: time.Now,
	}
	if err := refunds.SetupWithManager(p.mgr, p.opts.workers, p.gate.Source(refunds.Everything)); err != nil {
		return fmt.Errorf("setting the refund controller up: %w", err)
	}
	return nil
}

// addAccounts adds what tells of each account whether it is ready.
func (p parts) addAccounts() error {
	for _, kind := range []string{account.KindNamespaced, account.KindCluster} {
		accounts := &account.Reconciler{
			Client: p.mgr.GetClient(), Resolver: p.resolver, Kind: kind, CheckURLs: p.urls.CheckAccount,
			CallbackBase: p.urls.CallbackBase, Now: time.Now, Recorder: p.recorder, CallTimeout: p.opts.settings.CallTimeout,
			Retry: p.opts.settings.RetryMax, Recheck: p.opts.accountRecheck,
			Settle: p.opts.settings.RunTimeout() + p.opts.settings.ClockSkew, Leads: p.gate.Leads,
		}
		if err := accounts.SetupWithManager(p.mgr, p.gate.Source(accounts.Everything)); err != nil {
			return fmt.Errorf("setting the account controller up: %w", err)
		}
	}
	return nil
}

// addReceiver adds the receiver of callbacks, and what keeps its keys, on every replica.
func (p parts) addReceiver() error {
	log := p.mgr.GetLogger().WithName("callback")
	keyring := &callback.Keyring{Reader: p.mgr.GetClient(), Accounts: p.resolver, Refresh: callbackKeyRefresh}
	if err := keyring.SetupWithManager(p.mgr); err != nil {
		return err
	}
	loader := &installation.PathKeyLoader{
		Keys: p.urls.Paths, Live: p.mgr.GetAPIReader(), Namespace: p.opts.namespace, Every: callbackKeyRefresh, Log: log,
	}
	if err := p.mgr.Add(loader); err != nil {
		return fmt.Errorf("adding the loader of path keys: %w", err)
	}
	receiver := &callback.Receiver{
		Addr: p.opts.callbackAddress, TLS: p.opts.callbackTLS,
		Client: stub.NewClient(p.mgr.GetClient(), p.mgr.GetAPIReader()), Live: p.mgr.GetAPIReader(),
		Paths: p.urls.Paths, Keyring: keyring, Registry: p.resolver.Registry, Digest: p.inst.CallbackDigest, Now: time.Now, Log: log,
		NoteGap: p.opts.settings.CallbackGap, Limits: p.opts.callbackLimits, Metrics: callback.NewMetrics(metrics.Registry),
	}
	if err := p.mgr.Add(receiver); err != nil {
		return fmt.Errorf("adding the callback receiver: %w", err)
	}
	if err := p.mgr.AddReadyzCheck("callbacks", receiver.Ready); err != nil {
		return fmt.Errorf("adding a probe: %w", err)
	}
	return nil
}

// addCollector adds what deletes old Charges. While payments are adopted after a
// disaster nothing is deleted: what names them may not be restored yet.
func (p parts) addCollector() error {
	collected := retention.NewMetrics(metrics.Registry)
	if err := metrics.Registry.Register(retention.UnfollowedMetric{Cached: p.mgr.GetClient()}); err != nil {
		return fmt.Errorf("registering a metric: %w", err)
	}
	if p.opts.settings.AdoptOnly {
		return nil
	}
	err := p.mgr.Add(&retention.Collector{
		Client:          p.mgr.GetClient(),
		Live:            p.protocol.Live,
		Installation:    p.inst,
		Settings:        p.opts.retention,
		Now:             time.Now,
		ServerNow:       retention.ServerTime(p.mgr.GetClient()),
		Leads:           p.gate.Leads,
		RestoreDetected: p.restore.Detected,
		Collected:       collected,
		Log:             p.mgr.GetLogger().WithName("retention"),
	})
	if err != nil {
		return fmt.Errorf("adding the collector of Charges: %w", err)
	}
	return nil
}

// watchRevisions watches for an API server that goes back in time, for as long as the manager runs.
func (p parts) watchRevisions() (*restoreguard.Detector, error) {
	back := &restoreguard.Detector{OnRestore: func(sign string, o client.Object) {
		ctrl.Log.Error(nil, "The API server went back in time, as after a restored backup of etcd. Nothing is sent any more, "+
			"neither payments nor refunds. See the disaster recovery in docs/operations.md", "sign", sign, "object", client.ObjectKeyFromObject(o).String())
		if o.GetUID() != "" {
			p.recorder.Eventf(o, nil, corev1.EventTypeWarning, "RevisionsWentBack", "StopSending",
				"The API server went back in time, as after a restored backup of etcd: %s. Nothing is sent until the operator is started again.", sign)
		}
	}}
	wentBack := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "mobilemoney", Name: "revisions_went_back",
		Help: "1 once the API server went back in time, as after a restored backup of etcd: nothing is sent until the operator is started again.",
	}, func() float64 {
		if back.Detected() {
			return 1
		}
		return 0
	})
	if err := metrics.Registry.Register(wentBack); err != nil {
		return nil, fmt.Errorf("registering a metric: %w", err)
	}
	watch := &restoreguard.Watch{Detector: back, Cache: p.mgr.GetCache(), Live: p.mgr.GetAPIReader(), Every: p.opts.revisionCheck}
	if err := p.mgr.Add(watch); err != nil {
		return nil, fmt.Errorf("watching revisions: %w", err)
	}
	return back, nil
}

// drain records the answers that could not be recorded before the shutdown.
func (p parts) drain(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := p.protocol.Drain(ctx); err != nil {
		return fmt.Errorf("recording answers before the end: %w", err)
	}
	return nil
}
