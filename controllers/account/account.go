// Package account finds the merchant account that a Payment uses, reads its credentials and keeps
// one provider client for each, so that access tokens are shared.
package account

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "mobilemoney.dev/operator/api/v1alpha1"
	"mobilemoney.dev/operator/controllers/attempt"
	"mobilemoney.dev/operator/providers"
)

// Kinds of accounts, as pinned in a Charge.
const (
	KindNamespaced = "MerchantAccount"
	KindCluster    = "ClusterMerchantAccount"
	KindOperator   = "Operator"
)

// DefaultInterval between two checks of an open payment, and DefaultTimeout after
// which it is no longer followed closely.
const (
	DefaultInterval = 2 * time.Minute
	DefaultTimeout  = time.Hour
)

// Problem says why an account cannot be used now, in a form for the user.
type Problem = attempt.Problem

func problem(reason v1alpha1.Reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// problem of an account. What is wrong with one of the platform team, such as the
// name of a Secret in the operator's namespace, is not for the tenants that use it.
func (a *Account) problem(reason v1alpha1.Reason, format string, args ...any) *Problem {
	p := problem(reason, format, args...)
	if a.Pin.Kind == KindCluster {
		p.ForManager = p.Message
		p.Message = fmt.Sprintf("%s cannot be used now. Its condition Ready tells the platform team why.", DisplayName(a.Pin))
	}
	return p
}

// Account is a resolved account: everything but the credentials.
type Account struct {
	// Pin is what a Charge remembers of it.
	Pin v1alpha1.AccountPin
	// Provider it belongs to, and what the registry knows of that.
	Provider string
	Kind     providers.Kind

	Country      string
	Currency     string
	MerchantName string
	Interval     time.Duration
	// Prompts limits how often payers may be rung; 0: as the operator says.
	Prompts v1alpha1.Prompts
	// Timeout of payments that name none.
	Timeout time.Duration
	// ChecksPerSecond to the account; 0: as many as its provider allows.
	ChecksPerSecond float64
	ReturnURL       string
	CancelURL       string
	// AggregatedMerchantID of the merchant, for keys of an aggregator.
	AggregatedMerchantID string
	// CallbackURL overrides where the provider's callbacks arrive.
	CallbackURL string
	// Closed says why nothing new is sent through it; nil: it is open.
	Closed *Problem
	// NoCallbacks: the provider is told no callback URL unless it needs one.
	NoCallbacks bool

	uid     types.UID
	secret  types.NamespacedName
	literal map[string]providers.Secret
	// allowed are the namespaces that may use it; nil: its own one.
	allowed *v1alpha1.AllowedNamespaces
}

// Identity names the account within the installation. What the provider sees
// is derived from it, so it never changes for the same account.
func (a *Account) Identity() string {
	return identity(a.Pin)
}

// DisplayName is the account for people: kind/name.
func DisplayName(pin v1alpha1.AccountPin) string { return pin.Kind + "/" + pin.Name }

// Resolver finds accounts.
type Resolver struct {
	// Reader reads accounts; a cache will do.
	Reader client.Reader
	// Live reads Secrets and Namespaces past any cache: the operator may get them but not list them.
	Live     client.Reader
	Registry providers.Registry
	// Operator holds the accounts that the operator's environment describes, by provider.
	Operator map[string]OperatorAccount
	// OperatorNamespace holds the Secrets of ClusterMerchantAccounts.
	OperatorNamespace string
	// AllowedEndpoints are the host[:port]s that an account's own baseURL may
	// name besides the hosts of its provider. Credentials are sent nowhere else.
	AllowedEndpoints []string
	// InstallationIDGiven: the installation id was given to this process, and not made by it. A cluster that is built
	// again would have another one, and charge again; so nothing new is sent in production until it is given.
	InstallationIDGiven bool
	Clients             *Clients
}

// Resolve finds the account that p uses. One that is Closed can still be asked, and nothing new is
// sent through it. An error that is a *Problem is the user's to mend; any other is ours.
func (r *Resolver) Resolve(ctx context.Context, p *v1alpha1.Payment) (*Account, error) {
	kind, ok := r.Registry[p.Spec.Provider]
	if !ok {
		return nil, problem(v1alpha1.ReasonProviderNotSupported,
			"This operator does not know provider %q. Create a new Payment with %s.", p.Spec.Provider, oneOf(r.Registry.Names()))
	}
	acct, err := r.find(ctx, p)
	if err != nil {
		return nil, err
	}
	acct.Kind = kind
	return r.complete(acct)
}

// Named returns the account of that kind and name, complete but for its credentials.
func (r *Resolver) Named(ctx context.Context, kind, namespace, name string) (*Account, error) {
	acct, err := r.get(ctx, r.Reader, kind, namespace, name)
	if err != nil {
		return nil, err
	}
	if acct == nil {
		return nil, problem(v1alpha1.ReasonAccountNotFound, "%s %q does not exist. Create it.", kind, name)
	}
	known, ok := r.Registry[acct.Provider]
	if !ok {
		return nil, problem(v1alpha1.ReasonProviderNotSupported,
			"This operator does not know provider %q. Create another account with %s.", acct.Provider, oneOf(r.Registry.Names()))
	}
	acct.Kind = known
	if _, err := acct.namespaceSelector(); err != nil {
		return nil, err
	}
	return r.complete(acct)
}

func (r *Resolver) find(ctx context.Context, p *v1alpha1.Payment) (*Account, error) {
	if ref := p.Spec.AccountRef; ref != nil {
		acct, err := r.choose(ctx, ref.Kind, p.Namespace, ref.Name)
		switch {
		case err != nil:
			return nil, err
		case acct == nil && ref.Kind == KindCluster:
			// Do not reveal its existence to namespaces it does not allow.
			return nil, problem(v1alpha1.ReasonAccountNotAllowed,
				"There is no ClusterMerchantAccount %q that allows namespace %q. Ask the platform team to add it to allowedNamespaces.",
				ref.Name, p.Namespace)
		case acct == nil:
			return nil, problem(v1alpha1.ReasonAccountNotFound,
				"%s %q, which accountRef names, does not exist. Create it.", ref.Kind, ref.Name)
		case acct.Provider != p.Spec.Provider:
			return nil, problem(v1alpha1.ReasonAccountMismatch,
				"%s %q is an account at %s, not at %s. Name another account in a new Payment.",
				ref.Kind, ref.Name, acct.Provider, p.Spec.Provider)
		}
		return acct, nil
	}
	return r.findDefault(ctx, p.Namespace, p.Spec.Provider)
}

// findDefault looks in the namespace, then in the cluster, then in the operator's own environment.
func (r *Resolver) findDefault(ctx context.Context, namespace, provider string) (*Account, error) {
	// unfit is why an account that bears the name is not the one.
	var unfit *Problem
	for _, kind := range []string{KindNamespaced, KindCluster} {
		acct, err := r.choose(ctx, kind, namespace, provider)
		switch {
		case err != nil:
			return nil, err
		case acct == nil:
		case acct.Provider == provider:
			return acct, nil
		default:
			unfit = problem(v1alpha1.ReasonAccountMismatch,
				"%s %q is an account at %s, in spite of its name. Create it again as one at %s, or name another account in a new Payment.",
				kind, provider, acct.Provider, provider)
		}
	}
	if op, ok := r.Operator[provider]; ok {
		return op.choose(provider)
	}
	if unfit != nil {
		return nil, unfit
	}
	return nil, problem(v1alpha1.ReasonAccountNotFound,
		"There is no account for %s. Create a MerchantAccount named %q in this namespace, or have a ClusterMerchantAccount of that name allow it.",
		provider, provider)
}

// choose returns the named account for a new payment of namespace, or nil if there is none that the namespace may use.
func (r *Resolver) choose(ctx context.Context, kind, namespace, name string) (*Account, error) {
	acct, err := r.get(ctx, r.Reader, kind, namespace, name)
	if err != nil || acct == nil || acct.allowed == nil {
		return acct, err
	}
	if ok, err := r.allows(ctx, acct, namespace); err != nil || !ok {
		return nil, err
	}
	return acct, nil
}

// get returns the named account, or nil if there is none.
func (r *Resolver) get(ctx context.Context, from client.Reader, kind, namespace, name string) (*Account, error) {
	switch kind {
	case KindNamespaced:
		var m v1alpha1.MerchantAccount
		if err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &m); err != nil {
			return nil, ignoreNotFound("MerchantAccount", err)
		}
		acct := fromSpec(m.Spec, v1alpha1.AccountPin{Kind: kind, Namespace: namespace, Name: name},
			types.NamespacedName{Namespace: namespace, Name: m.Spec.SecretRef.Name})
		acct.uid, acct.Closed = m.UID, closed(kind, &m, m.Spec.Suspend)
		return acct, nil
	case KindCluster:
		var m v1alpha1.ClusterMerchantAccount
		if err := from.Get(ctx, types.NamespacedName{Name: name}, &m); err != nil {
			return nil, ignoreNotFound("ClusterMerchantAccount", err)
		}
		acct := fromSpec(m.Spec.MerchantAccountSpec, v1alpha1.AccountPin{Kind: kind, Name: name},
			types.NamespacedName{Namespace: r.OperatorNamespace, Name: m.Spec.SecretRef.Name})
		acct.allowed = &m.Spec.AllowedNamespaces
		acct.uid, acct.Closed = m.UID, closed(kind, &m, m.Spec.Suspend)
		return acct, nil
	default:
		return nil, problem(v1alpha1.ReasonAccountNotFound,
			"There is no kind of account %q. Use %s or %s.", kind, KindNamespaced, KindCluster)
	}
}

// closed says why nothing new is sent through an account; nil: it is open.
func closed(kind string, o client.Object, suspended bool) *Problem {
	switch {
	case o.GetDeletionTimestamp() != nil:
		return problem(v1alpha1.ReasonAccountDeleting,
			"%s %q is being deleted, so nothing new is sent through it. Create it again once it is gone, or name another account in a new Payment.",
			kind, o.GetName())
	case suspended:
		return problem(v1alpha1.ReasonAccountSuspended,
			"%s %q is suspended, so nothing new is sent through it. Remove suspend; the operator continues automatically.",
			kind, o.GetName())
	default:
		return nil
	}
}

// ClosedNow says why no first request may be sent through a, for c or for a refund of it, by what
// the API server says now: a cache may be behind, and who suspended or deleted the account, or took
// the namespace off it, was told that it is done. nil: it may.
func (r *Resolver) ClosedNow(ctx context.Context, a *Account, c *v1alpha1.Charge) (*Problem, error) {
	if a.Pin.Kind == KindOperator {
		return nil, nil //nolint:nilnil // No problem, and no error.
	}
	now, err := r.get(ctx, r.Live, a.Pin.Kind, a.Pin.Namespace, a.Pin.Name)
	switch {
	case err != nil:
		return nil, err
	case now == nil:
		return problem(v1alpha1.ReasonAccountNotFound, "%s is gone. Create it again.", DisplayName(a.Pin)), nil
	case now.Closed != nil:
		return now.Closed, nil
	default:
		return r.notAllowed(ctx, now, c)
	}
}

// notAllowed says that the account does not allow the namespace of a payment of which nothing was sent yet. What was
// sent is followed to its end, and what was paid can be given back, also once the namespace may not collect any more.
func (r *Resolver) notAllowed(ctx context.Context, a *Account, c *v1alpha1.Charge) (*Problem, error) {
	rec := &c.Record
	if a.allowed == nil || !attempt.NothingSent(&rec.Attempt) {
		return nil, nil //nolint:nilnil // No problem, and no error.
	}
	if ok, err := r.allows(ctx, a, c.Spec.Payment.Namespace); ok || err != nil {
		return nil, err
	}
	return problem(v1alpha1.ReasonAccountNotAllowed,
		"%s no longer allows namespace %q, and nothing was sent yet. Ask the platform team to add it to allowedNamespaces; the operator continues automatically.",
		DisplayName(a.Pin), c.Spec.Payment.Namespace), nil
}

func ignoreNotFound(what string, err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("reading %s: %w", what, err)
}

func fromSpec(s v1alpha1.MerchantAccountSpec, pin v1alpha1.AccountPin, secret types.NamespacedName) *Account {
	pin.Environment = s.Environment
	pin.BaseURL = s.BaseURL
	noCallbacks := false
	if s.MTN != nil {
		pin.TargetEnvironment, noCallbacks = s.MTN.TargetEnvironment, s.MTN.Callbacks == v1alpha1.CallbacksDisabled
	}
	if s.Orange != nil {
		pin.TokenURL = s.Orange.TokenURL
	}
	aggregated := ""
	if s.Wave != nil {
		aggregated = s.Wave.AggregatedMerchantID
	}
	return &Account{
		AggregatedMerchantID: aggregated,

		Pin:             pin,
		Provider:        s.Provider,
		Country:         s.Country,
		Currency:        s.Currency,
		MerchantName:    s.MerchantName,
		Interval:        ptr.Deref(s.Polling.Interval, metav1.Duration{Duration: DefaultInterval}).Duration,
		Timeout:         ptr.Deref(s.Polling.Timeout, metav1.Duration{Duration: DefaultTimeout}).Duration,
		ChecksPerSecond: float64(s.RateLimit.ChecksPerSecond),
		Prompts:         s.Prompts,
		ReturnURL:       string(s.ReturnURL),
		CancelURL:       string(s.CancelURL),
		NoCallbacks:     noCallbacks,
		secret:          secret,
	}
}

// allows tells whether a namespace may use a. A selector that cannot be read allows
// nobody: whom it would have meant is not known, and the others are not to hear of it.
func (r *Resolver) allows(ctx context.Context, a *Account, namespace string) (bool, error) {
	if slices.Contains(a.allowed.Names, namespace) {
		return true, nil
	}
	selector, err := a.namespaceSelector()
	if err != nil || a.allowed.Selector == nil {
		return false, nil //nolint:nilerr // It is the owner's to read, in the account's status.
	}
	var ns corev1.Namespace
	if err := r.Live.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
		return false, ignoreNotFound("Namespace", err)
	}
	return selector.Matches(labels.Set(ns.Labels)), nil
}

// namespaceSelector of the allowed namespaces; without one it matches nothing.
func (a *Account) namespaceSelector() (labels.Selector, error) {
	if a.allowed == nil {
		return labels.Nothing(), nil
	}
	selector, err := metav1.LabelSelectorAsSelector(a.allowed.Selector)
	if err != nil {
		return nil, a.problem(v1alpha1.ReasonAccountMisconfigured, "The namespace selector of %s cannot be read. Correct it.", DisplayName(a.Pin))
	}
	return selector, nil
}

// complete checks a custom endpoint against the allow list and fills in the
// provider's own one where the account names none.
func (r *Resolver) complete(a *Account) (*Account, error) {
	if p := r.Untrusted(a); p != nil {
		return nil, p
	}
	if p := r.unnamed(a); p != nil {
		return nil, p
	}
	full, err := a.Kind.Endpoint(a.providerAccount(nil))
	if err != nil {
		return nil, a.misconfigured(err)
	}
	a.Pin.BaseURL, a.Pin.TokenURL = full.BaseURL, full.TokenURL
	a.Pin.TargetEnvironment = full.TargetEnvironment
	if _, err := a.WireMoney(providers.Money{Amount: "1", Currency: a.Currency}); err != nil {
		return nil, a.misconfigured(err)
	}
	return a, nil
}

func (a *Account) misconfigured(err error) *Problem {
	what := "Correct the account or its Secret."
	if a.Pin.Kind == KindOperator {
		what = "Correct the operator's environment variables " + strings.ToUpper(a.Provider) + "_*."
	}
	return a.problem(v1alpha1.ReasonAccountMisconfigured,
		"Account %s cannot be used: %s. %s", DisplayName(a.Pin), detail(err), what)
}

// unnamed says that nothing new may be sent in production, because the installation has no lasting id.
func (r *Resolver) unnamed(a *Account) *Problem {
	if r.InstallationIDGiven || a.Pin.Environment != string(providers.Production) {
		return nil
	}
	return problem(v1alpha1.ReasonAccountMisconfigured,
		"The operator was started without --installation-id, and a rebuilt cluster would charge again. Start it with --installation-id; its log shows the id in use.")
}

// Pinned returns the account that a Charge was made through, with the endpoint
// that it was made with, whatever the account says now. It is closed where nothing new may be
// sent through it. What was sent is asked about all the same, if Client trusts the endpoint.
func (r *Resolver) Pinned(ctx context.Context, c *v1alpha1.Charge) (*Account, error) {
	kind, ok := r.Registry[c.Spec.Provider]
	if !ok {
		return nil, problem(v1alpha1.ReasonProviderNotSupported,
			"This operator does not know provider %q.", c.Spec.Provider)
	}
	acct, err := r.pinned(ctx, c)
	if err != nil {
		return nil, err
	}
	acct.Kind = kind
	acct.Pin = c.Spec.Account
	if acct.Closed == nil {
		acct.Closed = cmp.Or(r.Untrusted(acct), r.unnamed(acct))
	}
	if acct.Closed == nil {
		if acct.Closed, err = r.notAllowed(ctx, acct, c); err != nil {
			return nil, err
		}
	}
	return acct, nil
}

func (r *Resolver) pinned(ctx context.Context, c *v1alpha1.Charge) (*Account, error) {
	pin := c.Spec.Account
	if pin.Kind == KindOperator {
		if op, ok := r.Operator[c.Spec.Provider]; ok {
			return op.account(c.Spec.Provider), nil
		}
		return nil, problem(v1alpha1.ReasonAccountNotFound,
			"This payment was made with the operator's own %s account, whose environment variables are gone. Set them again.", c.Spec.Provider)
	}
	// Whether the namespace is still allowed is not asked here: the open payments learn
	// how they end, also once their namespace is gone.
	acct, err := r.get(ctx, r.Reader, pin.Kind, c.Spec.Payment.Namespace, pin.Name)
	if err != nil {
		return nil, err
	}
	if acct == nil {
		return nil, problem(v1alpha1.ReasonAccountNotFound,
			"%s, through which this payment was made, is gone. Create it again so that the outcome can be asked for.",
			DisplayName(pin))
	}
	if acct.Provider != c.Spec.Provider {
		return nil, problem(v1alpha1.ReasonAccountMismatch,
			"%s, through which this payment was made, is now an account at another provider. Create it again as it was.",
			DisplayName(pin))
	}
	return acct, nil
}

// WireMoney turns what a merchant asks for through a into what the provider is sent. An error is of class Rejected: it
// is no money, or its currency is not one of the account's country, in a sandbox as in production.
func (a *Account) WireMoney(m providers.Money) (providers.Money, error) {
	return a.Kind.WireMoney(a.providerAccount(nil), m)
}

// providerAccount is the account in the words of package providers.
func (a *Account) providerAccount(credentials map[string]providers.Secret) providers.Account {
	return providers.Account{
		BaseURL:           a.Pin.BaseURL,
		TokenURL:          a.Pin.TokenURL,
		Environment:       providers.Environment(a.Pin.Environment),
		TargetEnvironment: a.Pin.TargetEnvironment,
		Country:           a.Country,
		MerchantName:      a.MerchantName,
		Credentials:       credentials,

		AggregatedMerchantID: a.AggregatedMerchantID,
	}
}

// oneOf lists names for people: mtn, orange or wave.
func oneOf(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}
