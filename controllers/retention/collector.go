// Package retention collects Charges that were over long ago and that nobody
// refers to any more. Deleting those is all that it does.
package retention

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/redact"
)

const (
	// oneTimeout bounds what is done about one Charge.
	oneTimeout = time.Minute
	// workers that look at Charges at a time: after each deletion the API server
	// takes a tenth of a second for a list that is up to date.
	workers = 8
	// After so many failures the rest is left to the next sweep.
	maxFailures = 10
	// clocksApart is worth a line in the log.
	clocksApart = time.Minute
	// fieldReference of a Payment can be selected at the API server.
	fieldReference = "spec.reference"
	// indexPart finds the Charges that are over, in parts, by the last letter of
	// their names, which are hashes: a list of all at once takes much memory.
	indexPart = "retentionPart"
	parts     = "abcdefghijklmnopqrstuvwxyz234567"
)

// SetupIndexes adds the index that the collector uses.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Charge{}, indexPart, func(o client.Object) []string {
		c := o.(*v1alpha1.Charge)
		if !over(&c.Record) {
			return nil
		}
		return []string{c.Name[len(c.Name)-1:]}
	})
	if err != nil {
		return fmt.Errorf("indexing Charges: %w", err)
	}
	return nil
}

// Collector looks through all Charges every now and then (docs/adr/0011). It
// runs on the leader. Two at a time do no harm.
type Collector struct {
	Client client.Client
	// Live reads past the cache. Every deletion stands on such a read.
	Live         client.Reader
	Installation installation.Installation
	Settings     Settings
	Now          func() time.Time
	// ServerNow is the API server's clock: one process whose own is wrong must
	// not delete everything.
	ServerNow func(context.Context) (time.Time, error)
	// WentBack tells that the API server went back in time: then nothing is
	// deleted, because what names it may be lost. nil: it never does.
	WentBack  func() bool
	Collected *prometheus.CounterVec
	Log       logr.Logger
}

// +kubebuilder:rbac:groups=mobilemoney.dev,resources=charges,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=mobilemoney.dev,resources=payments;refunds,verbs=get;list;watch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=selfsubjectreviews,verbs=create

// NewMetrics returns the counter of collected Charges, registered with reg.
func NewMetrics(reg prometheus.Registerer) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "mobilemoney", Name: "charges_collected_total",
		Help: "Charges that were deleted after their retention.",
	}, []string{"provider"})
	reg.MustRegister(c)
	return c
}

// NeedLeaderElection says that it runs on the leader.
func (c *Collector) NeedLeaderElection() bool { return true }

// Start sweeps until ctx is over.
func (c *Collector) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	tick := time.NewTicker(c.Settings.Every)
	defer tick.Stop()
	for {
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error(err, "Not all Charges could be looked at; the next sweep will")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Sweep deletes the Charges that are due.
func (c *Collector) Sweep(ctx context.Context) error {
	if c.wentBack() {
		return nil
	}
	now, err := c.clock(ctx)
	if err != nil {
		return err
	}
	var done tally
	for _, part := range parts {
		if err := c.sweepPart(ctx, string(part), now, &done); err != nil {
			return err
		}
	}
	if done.collected > 0 {
		c.Log.Info("Charges were collected", "count", done.collected)
	}
	return errors.Join(done.failures...)
}

func (c *Collector) sweepPart(ctx context.Context, part string, now time.Time, done *tally) error {
	var list v1alpha1.ChargeList
	// Only looked at; whoever may go is read afresh.
	if err := c.Client.List(ctx, &list, client.MatchingFields{indexPart: part}, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("listing Charges: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range list.Items {
		f := facts{now: now, settings: c.Settings, installation: c.Installation, charge: &list.Items[i]}
		if decide(f) != collect {
			continue
		}
		if done.hopeless() || ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			done.add(c.look(ctx, f))
			return nil
		})
	}
	return group.Wait()
}

// tally of a sweep.
type tally struct {
	mu        sync.Mutex
	collected int
	failures  []error
}

func (t *tally) add(deleted bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures = append(t.failures, err)
	}
	if deleted {
		t.collected++
	}
}

// hopeless: so much failed that the rest is left to the next sweep.
func (t *tally) hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.failures) >= maxFailures
}

func (c *Collector) wentBack() bool { return c.WentBack != nil && c.WentBack() }

// clock is the earlier one of ours and the API server's.
func (c *Collector) clock(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTimeout)
	defer cancel()
	server, err := c.ServerNow(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking the API server for the time: %w", err)
	}
	now := c.Now()
	if now.Sub(server).Abs() > clocksApart {
		c.Log.Info("The clocks of this process and of the API server are apart", "here", now, "there", server)
	}
	if server.Before(now) {
		return server, nil
	}
	return now, nil
}

// ServerTime asks the API server for its time. A review of oneself is dated by
// it, and nothing is stored.
func ServerTime(w client.Writer) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		var review authenticationv1.SelfSubjectReview
		if err := w.Create(ctx, &review); err != nil {
			return time.Time{}, fmt.Errorf("creating a SelfSubjectReview: %w", err)
		}
		if review.CreationTimestamp.IsZero() {
			return time.Time{}, errors.New("the SelfSubjectReview has no date")
		}
		return review.CreationTimestamp.Time, nil
	}
}

// look deletes a Charge that is due, if nobody refers to it: first by the cache,
// which costs nothing, then by what is there now.
func (c *Collector) look(ctx context.Context, f facts) (deleted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneTimeout)
	defer cancel()
	seen := f.charge
	if f.payments, err = c.cachedPayments(ctx, seen); err != nil {
		return false, err
	}
	if f.refunds, err = claimants(ctx, c.Client, seen); err != nil || decide(f) != collect {
		return false, err
	}

	// The Charge before the rest: who claims of it later changes its version.
	live := &v1alpha1.Charge{}
	if err := c.Live.Get(ctx, types.NamespacedName{Name: seen.Name}, live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	f.charge = live
	if f.payments, err = c.livePayments(ctx, live); err != nil {
		return false, err
	}
	if f.refunds, err = claimants(ctx, c.Live, live); err != nil || decide(f) != collect || c.wentBack() {
		return false, err
	}
	return c.delete(ctx, live)
}

// delete deletes this very version of a Charge. If somebody wrote meanwhile, it
// is looked at again in the next sweep.
func (c *Collector) delete(ctx context.Context, charge *v1alpha1.Charge) (bool, error) {
	err := c.Client.Delete(ctx, charge, client.Preconditions{UID: &charge.UID, ResourceVersion: &charge.ResourceVersion})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("deleting Charge %s: %w", charge.Name, err)
	}
	c.Collected.WithLabelValues(charge.Spec.Provider).Inc()
	c.Log.V(1).Info("Collected a Charge", "charge", charge.Name, "provider", charge.Spec.Provider,
		"phase", charge.Record.Outcome.Phase, "since", newest(charge))
	return true, nil
}

// cachedPayments are those that name the sale of a Charge, by the index.
func (c *Collector) cachedPayments(ctx context.Context, charge *v1alpha1.Charge) ([]v1alpha1.Payment, error) {
	var list v1alpha1.PaymentList
	if err := c.Client.List(ctx, &list, client.MatchingFields{attempt.IndexCharge: charge.Name}); err != nil {
		return nil, fmt.Errorf("listing the Payments of Charge %s: %w", charge.Name, err)
	}
	return list.Items, nil
}

// livePayments are those that name the sale of a Charge: by spec.reference, or,
// without one, by their name.
func (c *Collector) livePayments(ctx context.Context, charge *v1alpha1.Charge) ([]v1alpha1.Payment, error) {
	namespace, reference := charge.Spec.Payment.Namespace, charge.Spec.Reference
	var list v1alpha1.PaymentList
	err := c.Live.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{fieldReference: reference})
	if err != nil {
		return nil, fmt.Errorf("listing the Payments of Charge %s: %w", charge.Name, err)
	}
	if len(content.IsPathSegmentName(reference)) > 0 {
		return list.Items, nil // no name
	}
	var p v1alpha1.Payment
	switch err := c.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: reference}, &p); {
	case attempt.IsGone(err):
		return list.Items, nil
	case err != nil:
		return nil, fmt.Errorf("reading Payment %s/%s: %w", namespace, reference, err)
	case p.SaleReference() == reference:
		return append(list.Items, p), nil
	default:
		return list.Items, nil
	}
}

// claimants are the Refunds that exist and claimed of a Charge.
func claimants(ctx context.Context, reader client.Reader, charge *v1alpha1.Charge) ([]v1alpha1.Refund, error) {
	var out []v1alpha1.Refund
	for i := range charge.Record.Refunds {
		key := types.NamespacedName{Namespace: charge.Spec.Payment.Namespace, Name: charge.Record.Refunds[i].Name}
		var r v1alpha1.Refund
		switch err := reader.Get(ctx, key, &r); {
		case err == nil:
			return append(out, r), nil // one is enough
		case !attempt.IsGone(err):
			return nil, fmt.Errorf("reading Refund %s: %w", key, err)
		}
	}
	return out, nil
}
