// Package attempt holds what all that write to a Charge share.
package attempt

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
)

// A Fold adds one answer to a Charge and tells whether that changed anything.
// Folds are pure, and repeatable: each adds only what is not recorded yet.
type Fold func(c *v1alpha1.Charge) bool

// ErrGone says that the Charge that an answer belongs to is gone, or was replaced.
var ErrGone = errors.New("the Charge is not the one that was asked for")

// Recorder writes answers to Charges.
type Recorder struct {
	Writer client.Writer
	// Live reads past any cache.
	Live client.Reader
	// Timeout bounds one commit, retries included.
	Timeout time.Duration
	// Pause waits between two tries, for the duration or until the context is
	// over; nil: with a timer.
	Pause func(context.Context, time.Duration) error
}

// Commit folds an answer into a Charge and writes it under its resourceVersion.
// Who loses a race reads the Charge live and folds again; an answer once read
// is not dropped for want of a retry, nor for a shutdown.
func (r Recorder) Commit(ctx context.Context, c *v1alpha1.Charge, f Fold) (*v1alpha1.Charge, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Timeout)
	defer cancel()
	backoff := wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 20, Cap: 2 * time.Second}
	for tries := 0; ; tries++ {
		next := c.DeepCopy()
		if !f(next) {
			return c, nil
		}
		err := r.Writer.Update(ctx, next)
		switch {
		case err == nil:
			return next, nil
		case IsGone(err), apierrors.IsInvalid(err):
			return c, fmt.Errorf("recording on Charge %s: %w", c.Name, err)
		}
		// A view that was behind is mended by reading again; whoever is in a race
		// waits a little.
		if !apierrors.IsConflict(err) || tries > 0 {
			if waitErr := r.pause(ctx, backoff.Step()); waitErr != nil {
				return c, fmt.Errorf("recording on Charge %s: %w", c.Name, err)
			}
		}
		live, liveErr := r.reread(ctx, c)
		if errors.Is(liveErr, ErrGone) {
			return c, liveErr
		}
		if liveErr == nil {
			c = live
		}
	}
}

// reread returns the Charge as it is now, if it still is the same one.
func (r Recorder) reread(ctx context.Context, c *v1alpha1.Charge) (*v1alpha1.Charge, error) {
	var live v1alpha1.Charge
	if err := r.Live.Get(ctx, types.NamespacedName{Name: c.Name}, &live); err != nil {
		if IsGone(err) {
			return nil, ErrGone
		}
		return nil, fmt.Errorf("reading Charge %s: %w", c.Name, err)
	}
	if live.UID != c.UID {
		return nil, ErrGone
	}
	return &live, nil
}

// IsGone: what was asked for is not there. An API server that has just started may know
// neither our rights nor the kind yet, and says 403 or another 404: then it is
// worth a retry.
func IsGone(err error) bool {
	return apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

func (r Recorder) pause(ctx context.Context, d time.Duration) error {
	if r.Pause != nil {
		return r.Pause(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
