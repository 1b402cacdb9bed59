// Package callback receives what providers send, on every replica. A callback decides
// nothing: it is verified and noted on the Payment, or on the Charge where no Payment
// shows it, and thereby makes the loop ask the provider. Nothing here calls a provider.
package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/singleflight"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/controllers/installation"
	"mobilemoney.dev/operator/controllers/stub"
	"mobilemoney.dev/operator/providers"
)

// Receiver is the HTTP server for callbacks. It is a manager.Runnable that
// starts after the caches, with or without leadership.
type Receiver struct {
	// Addr to listen on, unless Listener is given.
	Addr     string
	Listener net.Listener
	// TLS files; without them plain http is spoken.
	TLS TLSFiles
	// Client reads the cache, and whole objects, and notes callbacks.
	Client client.Client
	// Live reads past the cache, where that does not show yet what a proven path names.
	Live client.Reader
	// Paths verify the paths that name a charge, Keyring verifies
	// those that name an account. Neither reads anything when a callback comes.
	Paths    *installation.PathKeys
	Keyring  *Keyring
	Registry providers.Registry
	// Digest is a keyed hash of a body.
	Digest func(body []byte) string
	Now    func() time.Time
	Log    logr.Logger
	// NoteGap is the least time between two notes on one Payment.
	NoteGap time.Duration
	// Limits on what strangers may ask for; zero ones are the default.
	Limits Limits
	// Metrics may be nil.
	Metrics *Metrics

	listening atomic.Bool
	once      sync.Once
	throttle  *throttle
	memory    *memory
	flight    singleflight.Group
}

// Ready reports whether callbacks are received, which begins after the caches are filled. It is a healthz.Checker.
func (r *Receiver) Ready(*http.Request) error {
	if !r.listening.Load() {
		return errors.New("not listening for callbacks yet")
	}
	return nil
}

// NeedLeaderElection is false: every replica receives.
func (r *Receiver) NeedLeaderElection() bool { return false }

// Handler serves callbacks, and the payer's landing page:
//
//	/callbacks/{provider}/{id}                        one charge (mtn, orange)
//	/callbacks/{provider}                             the operator's account (wave)
//	/callbacks/{provider}/account/{namespace}/{name}  a MerchantAccount (wave)
//	/callbacks/{provider}/cluster/{name}              a ClusterMerchantAccount (wave)
//	/return                                           the payer's landing page
func (r *Receiver) Handler() http.Handler {
	r.once.Do(func() {
		r.Limits = r.Limits.withDefaults()
		r.throttle, r.memory = newThrottle(r.Limits), newMemory()
	})
	return http.HandlerFunc(r.serve)
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request) {
	t := targetOf(req.URL.EscapedPath())
	defer r.recovered(w, t)
	if t.kind == landingTarget {
		r.land(w, req)
		return
	}
	got, err := r.receive(w, req, t)
	r.Metrics.received(r.label(t), got)
	if err != nil && got == resultLater {
		r.Log.Info("Failed to record callback", "provider", r.label(t), "error", err.Error())
	}
	got.answer(w)
}

// receive handles one callback. The cheapest checks come first, and no body is read of
// a request that is refused already.
func (r *Receiver) receive(w http.ResponseWriter, req *http.Request, t target) (result, error) {
	if !r.throttle.source(r.Limits.clientOf(req), r.Now()) {
		return resultLimited, nil
	}
	kind := r.Registry[t.provider]
	if !t.fits(kind) {
		return resultUnknown, nil
	}
	if req.Method != http.MethodPost && (req.Method != http.MethodPut || !kind.CallbackByPut) {
		return resultMethod, nil
	}
	if t.kind == chargeTarget {
		name, key := r.Paths.Verify(t.provider, t.id)
		r.Metrics.verifiedBy(key)
		if key < 0 {
			return resultUnverified, nil
		}
		if !r.throttle.charge(name, r.Now()) {
			return resultLimited, nil
		}
		t.charge = name
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		return unreadable(err), nil
	}
	defer working(req.Context())()
	ctx, cancel := context.WithTimeout(req.Context(), noteTimeout)
	defer cancel()
	cb := providers.CallbackRequest{Header: req.Header, Body: body, Now: r.Now()}
	if t.kind == chargeTarget {
		return r.byCharge(ctx, t, kind, cb)
	}
	return r.byAccount(ctx, t, kind, cb)
}

// byCharge: the path names one charge, and is proven. MTN and Orange send a callback once, maybe before this replica's
// cache shows the charge, or what the callback is recognised by: then the charge is read live.
func (r *Receiver) byCharge(ctx context.Context, t target, kind providers.Kind, cb providers.CallbackRequest) (result, error) {
	got, err := r.byChargeFrom(ctx, r.Client, t, kind, cb)
	if got == resultUnknown || errors.Is(err, errUnanswered) {
		return r.byChargeFrom(ctx, r.Live, t, kind, cb)
	}
	return got, err
}

func (r *Receiver) byChargeFrom(ctx context.Context, from client.Reader, t target, kind providers.Kind, cb providers.CallbackRequest) (result, error) {
	var charge v1alpha1.Charge
	if err := from.Get(ctx, types.NamespacedName{Name: t.charge}, &charge); err != nil {
		if attempt.IsGone(err) {
			return resultUnknown, nil
		}
		return resultLater, fmt.Errorf("looking the charge up: %w", err)
	}
	if charge.Spec.Provider != t.provider {
		return resultUnknown, nil
	}
	if s := charge.Record.Session; s != nil {
		cb.TokenHash = s.NotificationTokenHash
	}
	parsed, err := kind.Callbacks.ParseCallback(cb)
	switch {
	case errors.Is(err, providers.ErrBadCallback) && unanswered(&charge):
		return resultLater, errUnanswered
	case err != nil:
		return refused(err), nil
	}
	return r.note(ctx, &charge, parsed, cb.Body)
}

var errUnanswered = errors.New("what it is recognised by is not recorded yet")

// unanswered: what a callback is recognised by comes with an answer that is not recorded yet, or not in this replica's
// cache. A provider whose callbacks are recognised by their path alone (MTN, which sends each once) does not need it.
func unanswered(c *v1alpha1.Charge) bool { return c.Record.Session == nil && c.Record.Outcome == nil }

// byAccount: the path names an account, whose secrets verify the callback. It can
// only wake payments that were made through that account.
func (r *Receiver) byAccount(ctx context.Context, t target, kind providers.Kind, cb providers.CallbackRequest) (result, error) {
	secrets, loaded := r.Keyring.secrets(t.account)
	// Also where there is no secret: the sender must not learn whether the account exists.
	cb.Secrets = r.Keyring.padded(secrets)
	parsed, err := kind.Callbacks.ParseCallback(cb)
	switch {
	case !loaded && r.exists(ctx, t.account):
		return resultLater, errNotLoaded
	case len(secrets) == 0:
		return resultUnverified, nil
	case err != nil:
		return refused(err), nil
	case !r.throttle.account(t.account, r.Now()):
		return resultLimited, nil
	}
	charge, err := r.findCharge(ctx, t.account, parsed)
	if err != nil {
		return resultLater, err
	}
	if charge == nil {
		return resultIgnored, nil // verified, but none of ours: nothing to repeat
	}
	return r.note(ctx, charge, parsed, cb.Body)
}

var errNotLoaded = errors.New("the secrets of its account are not loaded yet")

// findCharge that a callback is about: by its reference, or by its session where it names none. Where the session is
// recorded for another charge than the reference names, it is about neither. A session that is not recorded contradicts
// nothing: the callback may come before the answer, and be about a surplus session.
func (r *Receiver) findCharge(ctx context.Context, key accountKey, cb providers.Callback) (*v1alpha1.Charge, error) {
	bySession, err := r.chargeBy(ctx, key, attempt.IndexSession, cb.SessionID)
	if err != nil || cb.Reference == "" {
		return bySession, err
	}
	byReference, err := r.chargeBy(ctx, key, attempt.IndexProviderReference, cb.Reference)
	if err != nil || byReference == nil || (bySession != nil && bySession.Name != byReference.Name) {
		return nil, err
	}
	return byReference, nil
}

// chargeBy an index, among those that were made through an account: what another
// account's provider calls its sessions does not matter here.
func (r *Receiver) chargeBy(ctx context.Context, key accountKey, index, value string) (*v1alpha1.Charge, error) {
	if value == "" {
		return nil, nil
	}
	var list v1alpha1.ChargeList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index: value}); err != nil {
		return nil, fmt.Errorf("looking the charge up: %w", err)
	}
	for i := range list.Items {
		c := &list.Items[i]
		switch {
		case !key.made(c):
		case stub.Is(c):
			return attempt.Get[v1alpha1.Charge](ctx, r.Client, types.NamespacedName{Name: c.Name})
		default:
			return c, nil
		}
	}
	return nil, nil
}

// recovered keeps net/http from printing a panic, whose text may hold what was sent. The stack has no text.
func (r *Receiver) recovered(w http.ResponseWriter, t target) {
	if recover() != nil {
		r.Metrics.received(r.label(t), resultBug)
		r.Log.Error(errPanic, "Dropped a callback", "stack", string(debug.Stack()))
		resultBug.answer(w)
	}
}

var errPanic = errors.New("a bug in the callback receiver")

// label of a provider: one that is known, so that nobody makes up labels.
func (r *Receiver) label(t target) string {
	if _, known := r.Registry[t.provider]; known {
		return t.provider
	}
	return "other"
}

type targetKind int

const (
	noTarget targetKind = iota
	landingTarget
	chargeTarget
	accountTarget
)

// target is what a path means.
type target struct {
	kind     targetKind
	provider string
	// id that names a charge, and the charge once the id is verified.
	id, charge string
	account    accountKey
}

// accountKey names an account in the path of its callbacks.
type accountKey struct{ provider, kind, namespace, name string }

// made reports whether a charge was made through the account.
func (key accountKey) made(c *v1alpha1.Charge) bool {
	pin := c.Spec.Account
	return c.Spec.Provider == key.provider && pin.Kind == key.kind && pin.Namespace == key.namespace && pin.Name == key.name
}

// targetOf reads an escaped path. It is taken as it is: what is escaped, doubled or
// ends in a slash is no path of ours, and nobody is sent to a better one.
func targetOf(path string) target {
	if path == "/return" {
		return target{kind: landingTarget}
	}
	rest, ok := strings.CutPrefix(path, "/callbacks/")
	if !ok || strings.Contains(path, "%") || strings.Contains(path, "//") {
		return target{}
	}
	parts := strings.Split(rest, "/")
	t := target{provider: parts[0]}
	byAccount := func(kind, namespace, name string) target {
		t.kind, t.account = accountTarget, accountKey{t.provider, kind, namespace, name}
		return t
	}
	switch {
	case parts[len(parts)-1] == "":
		return t
	case len(parts) == 1:
		return byAccount(account.KindOperator, "", t.provider)
	case len(parts) == 2:
		t.kind, t.id = chargeTarget, parts[1]
		return t
	case len(parts) == 3 && parts[1] == "cluster":
		return byAccount(account.KindCluster, "", parts[2])
	case len(parts) == 4 && parts[1] == "account":
		return byAccount(account.KindNamespaced, parts[2], parts[3])
	default:
		return t
	}
}

// fits reports whether a provider has such paths: where callbacks are verified with an account's secrets, a charge's
// path proves nothing that they do not, and where there are none, an account's path proves nothing at all.
func (t target) fits(kind providers.Kind) bool {
	if kind.Callbacks == nil {
		return false
	}
	switch t.kind {
	case chargeTarget:
		return len(kind.CallbackSecretKeys) == 0
	case accountTarget:
		return len(kind.CallbackSecretKeys) > 0
	default:
		return false
	}
}
