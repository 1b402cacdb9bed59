package manager

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/callback"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/controllers/promptlimit"
	"mobilemoney.dev/operator/controllers/refund"
	"mobilemoney.dev/operator/controllers/restoreguard"
	"mobilemoney.dev/operator/controllers/retention"
	"mobilemoney.dev/operator/providers"
)

// setup adds the loop and the receiver to mgr.
func setup(ctx context.Context, mgr ctrl.Manager, opts Options, inst installation.Installation, paths *installation.PathKeys, t providers.Transport, getenv func(string) string) error {
	if err := setupIndexes(ctx, mgr.GetFieldIndexer(), inst); err != nil {
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
		URLs:         callback.NewURLs(opts.publicURL, paths),
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
	if err := addAccounts(mgr, opts, resolver, loop.URLs); err != nil {
		return err
	}
	if err := addCollector(mgr, opts, inst, back); err != nil {
		return err
	}
	return addReceiver(mgr, opts, inst, loop.URLs.Paths, resolver)
}

func setupIndexes(ctx context.Context, indexer client.FieldIndexer, inst installation.Installation) error {
	if err := attempt.SetupIndexes(ctx, indexer, inst); err != nil {
		return err
	}
	if err := promptlimit.SetupIndexes(ctx, indexer); err != nil {
		return err
	}
	if err := refund.SetupIndexes(ctx, indexer); err != nil {
		return err
	}
	if err := account.SetupIndexes(ctx, indexer); err != nil {
		return err
	}
	if err := retention.SetupIndexes(ctx, indexer); err != nil {
		return err
	}
	return nil
}

// addAccounts adds what tells of each account whether it is ready.
func addAccounts(mgr ctrl.Manager, opts Options, resolver *account.Resolver, urls callback.URLs) error {
	for _, kind := range []string{account.KindNamespaced, account.KindCluster} {
		accounts := &account.Reconciler{
			Client:    mgr.GetClient(),
			Resolver:  resolver,
			Kind:      kind,
			CheckURLs: urls.CheckAccount,

			CallbackBase: urls.CallbackBase,
			Now:          time.Now,
			Recorder:     mgr.GetEventRecorder("mobile-money-operator"),
			CallTimeout:  opts.settings.CallTimeout,
			Retry:        opts.settings.RetryMax,
			Recheck:      opts.accountRecheck,
			Settle:       opts.settings.RunTimeout() + opts.settings.ClockSkew,
		}
		if err := accounts.SetupWithManager(mgr); err != nil {
			return fmt.Errorf("setting the account controller up: %w", err)
		}
	}
	return nil
}

// addReceiver adds the receiver of callbacks to mgr, and what keeps its keys.
func addReceiver(mgr ctrl.Manager, opts Options, inst installation.Installation, paths *installation.PathKeys, resolver *account.Resolver) error {
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
func addCollector(mgr ctrl.Manager, opts Options, inst installation.Installation, back *restoreguard.Detector) error {
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
func watchRevisions(mgr ctrl.Manager, every time.Duration) (*restoreguard.Detector, error) {
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
