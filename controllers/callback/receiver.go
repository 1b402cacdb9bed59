// Package callback receives what providers send. It runs on every replica with
// its own listener. A callback decides nothing: it is verified, noted on the
// Payment, and thereby makes the loop ask the provider.
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
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/account"
	"mobilemoney.dev/operator/controllers/payment"
	"mobilemoney.dev/operator/providers"
)

const (
	maxBody      = 64 << 10
	maxHeader    = 8 << 10
	drainTimeout = 10 * time.Second
	// MTN gives up after two seconds, Wave after five.
	noteTimeout = 1500 * time.Millisecond
)

// Receiver is the HTTP server for callbacks. It is a manager.Runnable that
// starts after the caches, with or without leadership.
type Receiver struct {
	// Addr to listen on, unless Listener is given.
	Addr     string
	Listener net.Listener
	// Client reads the cache and notes callbacks.
	Client   client.Client
	Accounts *account.Resolver
	Registry providers.Registry
	Now      func() time.Time
	Log      logr.Logger
	// NoteGap is the least time between two notes on one Payment.
	NoteGap time.Duration

	listening atomic.Bool
}

// Ready tells whether callbacks are received, which begins after the caches are
// filled. It is a healthz.Checker.
func (r *Receiver) Ready(*http.Request) error {
	if !r.listening.Load() {
		return errors.New("not listening for callbacks yet")
	}
	return nil
}

// NeedLeaderElection is false: every replica receives.
func (r *Receiver) NeedLeaderElection() bool { return false }

// Start serves until ctx is over and then drains.
func (r *Receiver) Start(ctx context.Context) error {
	l := r.Listener
	if l == nil {
		var err error
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", r.Addr); err != nil {
			return fmt.Errorf("listening for callbacks: %w", err)
		}
	}
	server := r.server()
	defer func() { _ = server.Close() }()
	r.listening.Store(true)
	defer r.listening.Store(false)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving callbacks: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return fmt.Errorf("draining callbacks: %w", err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving callbacks: %w", err)
	}
	return nil
}

// server with limits on everything that a stranger sends.
func (r *Receiver) server() *http.Server {
	return &http.Server{
		Handler:           r.Handler(),
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    maxHeader,
	}
}

// Handler routes callbacks:
//
//	/callbacks/{provider}/{id}                        one charge (mtn, orange)
//	/callbacks/{provider}                             the operator's account (wave)
//	/callbacks/{provider}/account/{namespace}/{name}  a MerchantAccount (wave)
//	/callbacks/{provider}/cluster/{name}              a ClusterMerchantAccount (wave)
//	/return                                           the payer's landing page
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		mux.HandleFunc(method+" /callbacks/{provider}/{id}", r.answer(r.byCharge))
		mux.HandleFunc(method+" /callbacks/{provider}", r.answer(r.byOperatorAccount))
		mux.HandleFunc(method+" /callbacks/{provider}/account/{namespace}/{name}", r.answer(r.byAccount))
		mux.HandleFunc(method+" /callbacks/{provider}/cluster/{name}", r.answer(r.byClusterAccount))
	}
	mux.HandleFunc("GET /return", landing)
	return mux
}

// Outcomes of a callback, each one HTTP status and nothing more: the sender
// learns nothing from the answer.
var (
	errNotFound = errors.New("no such callback")
	errLater    = errors.New("cannot be noted now")
	errPanic    = errors.New("a bug in the callback receiver")
)

func (r *Receiver) answer(handle func(*http.Request, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		defer r.recovered(w)
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
		if err != nil {
			w.WriteHeader(unreadable(err))
			return
		}
		err = handle(req, body)
		switch {
		case err == nil:
			w.WriteHeader(http.StatusOK)
		case errors.Is(err, errNotFound):
			w.WriteHeader(http.StatusNotFound)
		case errors.Is(err, providers.ErrBadCallback):
			w.WriteHeader(http.StatusUnauthorized)
		case errors.Is(err, providers.ErrMalformedCallback):
			w.WriteHeader(http.StatusBadRequest)
		default:
			r.Log.Info("A callback could not be noted", "provider", req.PathValue("provider"), "error", withoutID(err, req))
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
}

// withoutID: the path names a charge, and whoever knows it can call back, so it
// is not logged, also where an error of the API quotes it.
func withoutID(err error, req *http.Request) string {
	if id := req.PathValue("id"); id != "" {
		return strings.ReplaceAll(err.Error(), id, "[id]")
	}
	return err.Error()
}

func unreadable(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// recovered keeps net/http from printing a panic, whose text may hold what was
// sent. The stack has no text.
func (r *Receiver) recovered(w http.ResponseWriter) {
	if recover() != nil {
		r.Log.Error(errPanic, "A callback was dropped", "stack", string(debug.Stack()))
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// byCharge: the path holds the unguessable id of one charge.
func (r *Receiver) byCharge(req *http.Request, body []byte) error {
	parser := r.Registry[req.PathValue("provider")].Callbacks
	if parser == nil {
		return errNotFound
	}
	charge, err := r.findCharge(req.Context(), payment.IndexCallbackID, req.PathValue("id"))
	if err != nil {
		return err
	}
	if charge == nil || charge.Spec.Provider != req.PathValue("provider") {
		return errNotFound
	}
	cb := providers.CallbackRequest{Header: req.Header, Body: body, Now: r.Now()}
	if s := charge.Record.Session; s != nil {
		cb.TokenHash = s.NotificationTokenHash
	}
	parsed, err := parser.ParseCallback(cb)
	if errors.Is(err, providers.ErrBadCallback) && unanswered(charge) {
		return errLater
	}
	if err != nil {
		return err
	}
	return r.note(req.Context(), charge, parsed)
}

// unanswered: what a callback is recognised by comes with an answer that is not
// recorded yet, or not in this replica's cache. A provider whose callbacks are
// recognised by their path alone (MTN, which sends each once) does not need it.
func unanswered(c *v1alpha1.Charge) bool { return c.Record.Session == nil && c.Record.Outcome == nil }

func (r *Receiver) byOperatorAccount(req *http.Request, body []byte) error {
	provider := req.PathValue("provider")
	return r.signed(req, body, account.KindOperator, "", provider)
}

func (r *Receiver) byAccount(req *http.Request, body []byte) error {
	return r.signed(req, body, account.KindNamespaced, req.PathValue("namespace"), req.PathValue("name"))
}

func (r *Receiver) byClusterAccount(req *http.Request, body []byte) error {
	return r.signed(req, body, account.KindCluster, "", req.PathValue("name"))
}

// signed: the path names an account, whose secrets verify the callback. It can
// only wake payments that were made through that account.
func (r *Receiver) signed(req *http.Request, body []byte, kind, namespace, name string) error {
	provider := req.PathValue("provider")
	parser := r.Registry[provider].Callbacks
	if parser == nil || len(r.Registry[provider].CallbackSecretKeys) == 0 {
		return errNotFound
	}
	ctx, cancel := context.WithTimeout(req.Context(), noteTimeout)
	defer cancel()
	secrets, err := r.secrets(ctx, provider, kind, namespace, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseCallback(providers.CallbackRequest{
		Header: req.Header, Body: body, Now: r.Now(), Secrets: secrets,
	})
	if err != nil {
		return err
	}
	charge, err := r.findCharge(ctx, payment.IndexProviderReference, parsed.Reference)
	if err != nil {
		return err
	}
	if charge == nil || !belongs(charge, provider, kind, namespace, name) {
		// Verified, but none of ours: nothing to repeat.
		return nil
	}
	return r.note(ctx, charge, parsed)
}

// secrets of the account that a path names. An account that does not exist, or
// that has none, verifies nothing.
func (r *Receiver) secrets(ctx context.Context, provider, kind, namespace, name string) ([]providers.Secret, error) {
	acct, err := r.Accounts.ForCallbacks(ctx, provider, kind, namespace, name)
	if err == nil {
		var secrets []providers.Secret
		if secrets, err = r.Accounts.CallbackSecrets(ctx, acct); err == nil {
			return secrets, nil
		}
	}
	var p *account.Problem
	if errors.As(err, &p) {
		return nil, providers.ErrBadCallback
	}
	return nil, err
}

func belongs(c *v1alpha1.Charge, provider, kind, namespace, name string) bool {
	pin := c.Spec.Account
	return c.Spec.Provider == provider && pin.Kind == kind && pin.Namespace == namespace && pin.Name == name
}

func (r *Receiver) findCharge(ctx context.Context, index, value string) (*v1alpha1.Charge, error) {
	if value == "" {
		return nil, nil
	}
	var list v1alpha1.ChargeList
	if err := r.Client.List(ctx, &list, client.MatchingFields{index: value}); err != nil {
		return nil, fmt.Errorf("looking the charge up: %w", err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	return &list.Items[0], nil
}

// note writes status.lastCallback of the Payments of the charge that are not paid
// yet: one that failed may be paid late. It does so under a field
// manager of its own, so that it is in nobody's way.
func (r *Receiver) note(ctx context.Context, charge *v1alpha1.Charge, cb providers.Callback) error {
	ctx, cancel := context.WithTimeout(ctx, noteTimeout)
	defer cancel()
	var list v1alpha1.PaymentList
	if err := r.Client.List(ctx, &list, client.MatchingFields{payment.IndexCharge: charge.Name}); err != nil {
		return fmt.Errorf("looking the Payment up: %w", err)
	}
	for i := range list.Items {
		p := &list.Items[i]
		if p.Status.Phase == v1alpha1.PhaseSucceeded || r.notedJustNow(p) {
			continue
		}
		if err := r.apply(ctx, p, cb); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("%w: %w", errLater, err)
		}
	}
	return nil
}

// notedJustNow: a flood of callbacks is one note, and one question.
func (r *Receiver) notedJustNow(p *v1alpha1.Payment) bool {
	last := p.Status.LastCallback
	return last != nil && r.Now().Sub(last.ReceivedAt.Time).Abs() < r.NoteGap
}

func (r *Receiver) apply(ctx context.Context, p *v1alpha1.Payment, cb providers.Callback) error {
	return r.Client.Status().Apply(ctx, lastCallback(types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, cb, r.Now()),
		client.FieldOwner(FieldManager), client.ForceOwnership)
}
