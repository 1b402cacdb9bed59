// Package retention collects Charges that were over long ago and that nobody
// refers to any more, and counts those that cannot be followed.
//
//	decide.go      settings, and whether a Charge may go   pure
//	collector.go   sweeps, and deletes
package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	// workers is how many Charges are checked at a time: each deletion takes the API server a tenth of a second.
	workers = 8
	// After so many failures the rest is left to the next sweep.
	maxFailures = 10
	// clocksApart is a difference that is logged.
	clocksApart = time.Minute
)

// SetupIndexes adds the index that the metric uses.
func SetupIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	err := indexer.IndexField(ctx, &v1alpha1.Charge{}, indexUnfollowed, func(o client.Object) []string {
		if whyUnfollowed(o.(*v1alpha1.Charge)) == nil {
			return nil
		}
		return []string{"true"}
	})
	if err != nil {
		return fmt.Errorf("indexing Charges by %s: %w", indexUnfollowed, err)
	}
	return nil
}

// Collector looks through all Charges every now and then (docs/adr/0011), in a process
// that leads. Two at a time do no harm.
type Collector struct {
	// Client reads the cache, of which a stub is enough, and deletes.
	Client client.Client
	// Live reads past the cache. Every deletion stands on such a read.
	Live         client.Reader
	Installation installation.Installation
	Settings     Settings
	Now          func() time.Time
	// ServerNow is the API server's clock: one process whose own is wrong must not delete everything.
	ServerNow func(context.Context) (time.Time, error)
	// Leads reports whether this process may begin anything; nil: it may.
	Leads func() bool
	// RestoreDetected reports that etcd was restored: then nothing is deleted, because
	// the Payment that names it may be lost. nil: it never is.
	RestoreDetected func() bool
	Collected       *prometheus.CounterVec
	Log             logr.Logger
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

// NeedLeaderElection is false: Leads says when it may sweep.
func (c *Collector) NeedLeaderElection() bool { return false }

// Start sweeps until ctx is over.
func (c *Collector) Start(ctx context.Context) (err error) {
	defer redact.Recovered(&err)
	tick := time.NewTicker(c.Settings.Every)
	defer tick.Stop()
	for {
		if err := c.Sweep(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error(err, "Failed to collect all Charges; the next sweep retries")
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
	if !c.mayDelete() {
		return nil
	}
	now, err := c.clock(ctx)
	if err != nil {
		return err
	}
	var done tally
	// In parts, and only looked at; whoever may go is read afresh.
	err = attempt.EachPart(ctx, c.Client, func(part []v1alpha1.Charge) error { return c.sweepPart(ctx, part, now, &done) })
	if err != nil {
		return err
	}
	if done.collected > 0 {
		c.Log.Info("Collected Charges", "count", done.collected)
	}
	return errors.Join(done.failures...)
}

func (c *Collector) sweepPart(ctx context.Context, charges []v1alpha1.Charge, now time.Time, done *tally) error {
	var group errgroup.Group
	group.SetLimit(workers)
	for i := range charges {
		f := facts{now: now, settings: c.Settings, installation: c.Installation, charge: &charges[i]}
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

// mayDelete reports whether this process may delete anything now.
func (c *Collector) mayDelete() bool {
	return (c.Leads == nil || c.Leads()) && (c.RestoreDetected == nil || !c.RestoreDetected())
}

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
		c.Log.Info("The clocks of this process and of the API server differ", "here", now, "there", server)
	}
	if server.Before(now) {
		return server, nil
	}
	return now, nil
}

// ServerTime asks the API server for its time. A review of oneself is dated by it, and nothing is stored.
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

// look deletes a Charge that is due, if nobody uses it: first by the cache, which
// costs nothing, then by what is there now.
func (c *Collector) look(ctx context.Context, f facts) (deleted bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, oneTimeout)
	defer cancel()
	if f, err = users(ctx, c.Client, f); err != nil || decide(f) != collect {
		return false, err
	}
	// The Charge before the rest: whoever reserves on it later changes its version.
	live := &v1alpha1.Charge{}
	if err := c.Live.Get(ctx, types.NamespacedName{Name: f.charge.Name}, live); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	f.charge = live
	if f, err = users(ctx, c.Live, f); err != nil || decide(f) != collect || !c.mayDelete() {
		return false, err
	}
	return c.delete(ctx, live)
}

// users adds the Payment of the sale to f, and whether a Refund exists that the Charge has an entry of.
func users(ctx context.Context, reader client.Reader, f facts) (facts, error) {
	sale := f.charge.Spec.Payment
	key := types.NamespacedName{Namespace: sale.Namespace, Name: sale.Name}
	var err error
	if f.payment, err = attempt.Get[v1alpha1.Payment](ctx, reader, key); f.payment != nil || err != nil {
		return f, err // one is enough
	}
	for i := range f.charge.Record.Refunds {
		key.Name = f.charge.Record.Refunds[i].Name
		found, err := attempt.Get[v1alpha1.Refund](ctx, reader, key)
		if f.refunds = found != nil; f.refunds || err != nil {
			return f, err
		}
	}
	f.refunds = false
	return f, nil
}

// delete deletes this very version of a Charge. If somebody wrote meanwhile, it is looked at again in the next sweep.
func (c *Collector) delete(ctx context.Context, charge *v1alpha1.Charge) (bool, error) {
	err := c.Client.Delete(ctx, charge, client.Preconditions{UID: &charge.UID, ResourceVersion: &charge.ResourceVersion})
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("deleting Charge %s: %w", charge.Name, err)
	}
	phase := v1alpha1.PhasePending
	if o := charge.Record.Outcome; o != nil {
		phase = o.Phase
	}
	c.Collected.WithLabelValues(charge.Spec.Provider).Inc()
	c.Log.V(1).Info("Collected a Charge", "charge", charge.Name, "provider", charge.Spec.Provider,
		"phase", phase, "since", newestEvidence(charge))
	return true, nil
}

// indexUnfollowed finds the Charges that are open and whose notice says that the provider cannot be asked.
const indexUnfollowed = "unfollowed"

// cannotAsk: by that reason, what the provider was asked with is gone.
func cannotAsk(reason v1alpha1.Reason) bool {
	switch reason {
	case v1alpha1.ReasonAccountNotFound, v1alpha1.ReasonAccountMismatch, v1alpha1.ReasonProviderNotSupported,
		v1alpha1.ReasonCredentialsNotFound, v1alpha1.ReasonCredentialsIncomplete, v1alpha1.ReasonRefundNotConfigured,
		v1alpha1.ReasonEndpointNotAllowed:
		return true
	default:
		return false
	}
}

// whyUnfollowed is the notice of an attempt on c that is open and cannot be followed; nil: there is none.
func whyUnfollowed(c *v1alpha1.Charge) *v1alpha1.Notice {
	attempts := []*v1alpha1.Attempt{&c.Record.Attempt}
	for i := range c.Record.Refunds {
		attempts = append(attempts, &c.Record.Refunds[i].Attempt)
	}
	for _, a := range attempts {
		if a.Outcome == nil && a.Notice != nil && !attempt.NothingSent(a) && cannotAsk(a.Notice.Reason) {
			return a.Notice
		}
	}
	return nil
}

// unfollowed are the Charges that are open, cannot be followed and have no Payment that would show it.
func unfollowed(ctx context.Context, cached client.Reader) ([]v1alpha1.Charge, error) {
	var list v1alpha1.ChargeList
	if err := cached.List(ctx, &list, client.MatchingFields{indexUnfollowed: "true"}); err != nil {
		return nil, fmt.Errorf("listing the Charges that cannot be followed: %w", err)
	}
	return slices.DeleteFunc(list.Items, func(c v1alpha1.Charge) bool {
		key := types.NamespacedName{Namespace: c.Spec.Payment.Namespace, Name: c.Spec.Payment.Name}
		err := cached.Get(ctx, key, &v1alpha1.Payment{})
		return !attempt.IsGone(err) || whyUnfollowed(&c) == nil
	}), nil
}

func unfollowedDesc() *prometheus.Desc {
	return prometheus.NewDesc("mobilemoney_charges_unfollowed",
		"Open Charges without a Payment about which the provider cannot be asked: their account, Secret or namespace is gone.",
		[]string{"provider", "reason"}, nil)
}

// UnfollowedMetric counts, at each scrape, the Charges that cannot be followed.
type UnfollowedMetric struct{ Cached client.Reader }

// Describe implements prometheus.Collector.
func (UnfollowedMetric) Describe(out chan<- *prometheus.Desc) { out <- unfollowedDesc() }

// Collect implements prometheus.Collector.
func (m UnfollowedMetric) Collect(out chan<- prometheus.Metric) {
	type labels struct{ provider, reason string }
	counts := map[labels]int{}
	ctx, cancel := context.WithTimeout(context.Background(), oneTimeout)
	defer cancel()
	charges, err := unfollowed(ctx, m.Cached)
	if err != nil {
		out <- prometheus.NewInvalidMetric(unfollowedDesc(), err)
		return
	}
	for i := range charges {
		counts[labels{charges[i].Spec.Provider, whyUnfollowed(&charges[i]).Reason}]++
	}
	for l, n := range counts {
		out <- prometheus.MustNewConstMetric(unfollowedDesc(), prometheus.GaugeValue, float64(n), l.provider, l.reason)
	}
}
